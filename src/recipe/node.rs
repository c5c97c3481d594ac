//! A recipe as a tree of values that know where they stand.
//!
//! The TOML parser gives a document with spans; [`read_document`] turns it into [`Node`]s, which files of several recipes can be merged as
//! and which outlive the text. Tables keep the order in which their keys appear.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    finding::Finding,
    source::{Origin, Source},
};

/// How many mistakes of TOML itself are reported for one text: after some of them the rest is usually noise.
const SYNTAX_FINDINGS: usize = 8;

/// Deepest nesting of tables and arrays. A recipe needs six.
const DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A TOML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    /// `None` when it has more than 127 bits.
    Integer(Option<i128>),
    Float,
    Boolean(bool),
    /// As written.
    Time(String),
    List(Vec<Node>),
    Table(Table),
    /// A text that could not be made out; a finding says why.
    Broken,
}

impl Value {
    /// What a person calls such a value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Integer(_) => "a whole number",
            Self::Float => "a number with a decimal point",
            Self::Boolean(_) => "true or false",
            Self::Time(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "unknown",
        }
    }
}

impl Node {
    /// The text, when it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table, when it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The elements, when it is a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            _ => None,
        }
    }
}

/// A key as written in a table, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

/// A table: entries in the order of first appearance.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
}

impl Table {
    /// A table of these entries. Of two with one key, [`Table::get`] finds the first.
    pub(crate) fn from_entries(entries: Vec<Entry>) -> Self {
        let mut index = BTreeMap::new();
        for (position, entry) in entries.iter().enumerate() {
            index.entry(entry.key.clone()).or_insert(position);
        }
        Self { entries, index }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|position| &self.entries[*position])
    }

    pub(crate) fn entry_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.index.get(key).map(|position| &mut self.entries[*position])
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Appends an entry; its key must be new.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.index.entry(entry.key.clone()).or_insert(self.entries.len());
        self.entries.push(entry);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let position = self.index.remove(key)?;
        let entry = self.entries.remove(position);
        for other in self.index.values_mut().filter(|other| **other > position) {
            *other -= 1;
        }
        Some(entry)
    }
}

/// Reads a TOML document.
///
/// # Errors
/// Every mistake of syntax that the parser could make out, each at its place.
pub(crate) fn read_document(source: &Arc<Source>) -> Result<Table, Vec<Finding>> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        return Err(syntax_findings(source, 0, &errors));
    }
    let reader = Reader { source, offset: 0 };
    reader.table(document.into_inner(), 0).map_err(|finding| vec![finding])
}

/// Reads the bytes `span` of `source` as one TOML value.
///
/// # Errors
/// As [`read_document`].
pub(crate) fn read_value(source: &Arc<Source>, span: Range<usize>) -> Result<Node, Vec<Finding>> {
    let (value, errors) = DeValue::parse_recoverable(&source.text[span.clone()]);
    if !errors.is_empty() {
        return Err(syntax_findings(source, span.start, &errors));
    }
    let reader = Reader { source, offset: span.start };
    reader.node(value, 0).map_err(|finding| vec![finding])
}

/// Turns the parser's values into ours.
struct Reader<'a> {
    source: &'a Arc<Source>,
    /// Where in the source the parsed text begins.
    offset: usize,
}

impl Reader<'_> {
    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::new(self.source, shift(span, self.offset))
    }

    fn table(&self, table: DeTable<'_>, depth: usize) -> Result<Table, Finding> {
        // The parser sorts a table by key; where the keys stand is the order they were written in.
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let origin = self.origin(&key.span());
            let node = self.node(value, depth + 1)?;
            read.push(Entry { key: key.into_inner().into_owned(), origin, node });
        }
        Ok(Table::from_entries(read))
    }

    fn node(&self, value: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Finding> {
        let origin = self.origin(&value.span());
        if depth > DEPTH {
            return Err(Finding::at(
                &origin,
                "recipe::syntax",
                format!("tables and lists are nested more than {DEPTH} deep"),
                "here it is one too many",
                "no section of a recipe needs more than a few levels",
            ));
        }
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(integer) => {
                Value::Integer(i128::from_str_radix(integer.as_str(), integer.radix()).ok())
            }
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(boolean) => Value::Boolean(boolean),
            DeValue::Datetime(time) => Value::Time(time.to_string()),
            DeValue::Array(values) => Value::List(
                values
                    .into_iter()
                    .map(|value| self.node(value, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Value::Table(self.table(table, depth)?),
        };
        Ok(Node { value, origin })
    }
}

fn shift(span: &Range<usize>, offset: usize) -> Range<usize> {
    span.start.saturating_add(offset)..span.end.saturating_add(offset)
}

/// The parser's errors as findings: the first of each line.
fn syntax_findings(
    source: &Arc<Source>,
    offset: usize,
    errors: &[toml::de::Error],
) -> Vec<Finding> {
    let mut lines = Vec::new();
    let mut findings = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let origin = Origin::new(source, shift(&span, offset));
        let line = origin.line();
        if findings.len() == SYNTAX_FINDINGS || lines.contains(&line) {
            continue;
        }
        lines.push(line);
        let mut label = error.message().trim().replace('\n', ", ");
        let mut help = "";
        if label.contains("escape") {
            label = "not an escape that TOML knows".to_owned();
            help = "in \"double quotes\" a backslash begins an escape; write Windows paths in 'single quotes'";
        } else if label.contains("duplicate key") {
            help = "a key may stand once in a table; merge the two, or take one away";
        }
        let message = "this is not valid TOML";
        findings.push(Finding::at(&origin, "recipe::syntax", message, label, help));
    }
    findings.sort_by_key(|finding| finding.labels().next().map(|label| label.origin.span().start));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Result<Table, Vec<Finding>> {
        read_document(&Arc::new(Source::new("test.toml", text)))
    }

    #[test]
    fn tables_keep_the_order_of_appearance() {
        let table = document("[z]\nb = 1\na = 2\n[a]\n[z.c]\n").unwrap();
        let keys = |table: &Table| {
            table.entries().iter().map(|entry| entry.key.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(&table), "z a");
        assert_eq!(keys(table.get("z").unwrap().table().unwrap()), "b a c");
    }

    #[test]
    fn values_know_where_they_stand() {
        let table = document("[a]\nb = { c = 'x' }\n").unwrap();
        let node = table.get("a").unwrap().table().unwrap().get("b").unwrap();
        assert_eq!(node.origin.text(), "{ c = 'x' }");
        assert_eq!(node.table().unwrap().entry("c").unwrap().origin.text(), "c");
        assert_eq!(node.table().unwrap().get("c").unwrap().origin.text(), "'x'");
    }

    #[test]
    fn integers_of_any_size_and_radix_are_read() {
        let table = document("a = 0xffff_ffff_ffff_ffff\nb = -1\nc = +7\n").unwrap();
        let value = |key: &str| table.get(key).unwrap().value.clone();
        assert_eq!(value("a"), Value::Integer(Some(i128::from(u64::MAX))));
        assert_eq!(value("b"), Value::Integer(Some(-1)));
        assert_eq!(value("c"), Value::Integer(Some(7)));
        let huge = document(&format!("a = 1{}", "0".repeat(60)));
        if let Ok(table) = huge {
            assert_eq!(table.get("a").unwrap().value, Value::Integer(None));
        }
    }

    #[test]
    fn removing_keeps_the_index_right() {
        let mut table = document("a = 1\nb = 2\nc = 3\n").unwrap();
        assert!(table.remove("a").is_some() && table.remove("a").is_none());
        assert_eq!(table.get("c").unwrap().value, Value::Integer(Some(3)));
        assert_eq!(table.entry_mut("b").unwrap().key, "b");
    }

    #[test]
    fn deep_nesting_is_refused_without_a_crash() {
        for text in [
            format!("a = {}{}", "[".repeat(60), "]".repeat(60)),
            format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("{}a = 1", "a.".repeat(100_000)),
            format!("[{}a]", "a.".repeat(60)),
            format!("a = {}", "{ b = ".repeat(100_000)),
        ] {
            assert!(document(&text).is_err());
        }
    }

    #[test]
    fn several_syntax_mistakes_are_reported_at_once() {
        let findings = document("a = \"HKLM\\SOFTWARE\"\n\n[b\n\nc == 1\n").unwrap_err();
        assert!(findings.len() > 1, "{findings:?}");
        assert!(findings[0].help().unwrap().contains("single quotes"));
        assert_eq!(findings[0].labels().next().unwrap().origin.line(), 1);
    }
}
