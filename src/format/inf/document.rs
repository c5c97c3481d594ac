//! An INF as written: sections, lines, fields, each with its place.

use std::collections::HashMap;

use super::error::{InfCause, InfDefect, InfError};
use super::lex::{self, Lexed, RawLine};
use super::text;
use crate::base::upcase::upcase;

/// Largest INF that is read, in bytes. The largest of vendors (graphics) have about 3 MB.
pub const LARGEST: usize = 16 << 20;
/// Most section headers that are read. The largest real files have some ten thousand.
const MOST_SECTIONS: usize = 200_000;

/// The text of an INF, split up.
#[derive(Debug)]
pub struct Inf {
    lexed: Lexed,
    sections: Vec<Merged>,
    /// Section by name, folded.
    index: HashMap<String, usize>,
}

/// A section with the lines of all its headers.
#[derive(Debug)]
struct Merged {
    name: String,
    number: u32,
    lines: Vec<u32>,
}

impl Inf {
    /// Reads the bytes of an INF.
    ///
    /// Lenient: what Windows may read all the same is told by [`Inf::defects`].
    ///
    /// # Errors
    ///
    /// A file that is too large, or that has no section at all.
    pub fn parse(bytes: &[u8]) -> Result<Self, InfError> {
        if bytes.len() > LARGEST {
            let cause = InfCause::TooLarge { size: bytes.len(), limit: LARGEST };
            return Err(InfError::whole(cause));
        }
        let mut lexed = lex::lex(&text::decode(bytes), MOST_SECTIONS);
        if lexed.sections.len() > MOST_SECTIONS {
            return Err(InfError::whole(InfCause::TooManySections(MOST_SECTIONS)));
        }
        if lexed.sections.is_empty() {
            return Err(InfError::whole(InfCause::NoSections));
        }
        let mut sections: Vec<Merged> = Vec::new();
        let mut index = HashMap::new();
        for raw in std::mem::take(&mut lexed.sections) {
            let at = *index.entry(fold(&raw.name)).or_insert(sections.len());
            if at == sections.len() {
                sections.push(Merged { name: raw.name, number: raw.number, lines: Vec::new() });
            }
            sections[at].lines.extend(raw.lines.filter_map(|line| u32::try_from(line).ok()));
        }
        Ok(Self { lexed, sections, index })
    }

    /// The section of this name, whatever its case.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        let merged = &self.sections[*self.index.get(&fold(name))?];
        Some(Section { inf: self, merged })
    }

    /// All sections, in order of first appearance.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().map(|merged| Section { inf: self, merged })
    }

    /// What was noticed while the text was split.
    pub(super) fn text_defects(&self) -> &[InfDefect] {
        &self.lexed.defects
    }

    /// The first thing for which Windows refuses the file as a whole.
    pub(super) fn check(&self) -> Result<(), InfError> {
        match self.lexed.defects.iter().find(|defect| !defect.warning) {
            Some(defect) => Err(InfError::new(defect.line, defect.column, defect.cause.clone())),
            None => Ok(()),
        }
    }
}

/// A section: the lines under all headers of that name.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    inf: &'a Inf,
    merged: &'a Merged,
}

impl<'a> Section<'a> {
    /// Its name as first written.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.merged.name
    }

    /// Line of its first header, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.merged.number
    }

    /// Its lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let inf = self.inf;
        self.merged.lines.iter().map(move |at| Line { inf, raw: &inf.lexed.lines[*at as usize] })
    }

    /// The first line with this key, whatever its case.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Line<'a>> {
        self.lines().find(|line| line.key().is_some_and(|found| same(found, key)))
    }
}

/// One line of a section (several of the file when it is continued).
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    inf: &'a Inf,
    raw: &'a RawLine,
}

impl<'a> Line<'a> {
    fn field(&self, at: u32) -> &'a str {
        let (from, to) = self.inf.lexed.fields[(self.raw.first + at) as usize];
        &self.inf.lexed.text[from as usize..to as usize]
    }

    /// What stands before `=`; `None` when the line has none.
    #[must_use]
    pub fn key(&self) -> Option<&'a str> {
        self.raw.keyed.then(|| self.field(0))
    }

    /// How many fields there are, the key not counted.
    #[must_use]
    pub fn count(&self) -> usize {
        (self.raw.count - u32::from(self.raw.keyed)) as usize
    }

    /// The field at `at` (from 0, the key not counted); empty when there is none.
    #[must_use]
    pub fn value(&self, at: usize) -> &'a str {
        if at >= self.count() {
            return "";
        }
        u32::try_from(at).map_or("", |at| self.field(at + u32::from(self.raw.keyed)))
    }

    /// The fields, the key not counted.
    pub fn values(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let line = *self;
        (0..line.count()).map(move |at| line.value(at))
    }

    /// Its first line in the file, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.raw.number
    }

    /// Its first column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.raw.column
    }

    /// Bytes of text and fields, for a budget.
    pub(super) fn weight(&self) -> u64 {
        let text: usize = self.values().map(str::len).sum();
        (text + 16 * self.count() + 64) as u64
    }

    /// `cause` at this line.
    pub(super) fn error(&self, cause: InfCause) -> InfError {
        InfError::new(self.number(), self.column(), cause)
    }
}

/// `text` as names are compared: without case, as NT folds it.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let units: Vec<u16> = text.encode_utf16().map(upcase).collect();
    String::from_utf16_lossy(&units)
}

/// Equal without case.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!left.is_ascii() || !right.is_ascii()) && fold(left) == fold(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(String, u32, Vec<String>)> {
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let section = inf.section("s").unwrap();
        section
            .lines()
            .map(|line| {
                let key = line.key().map_or_else(|| "-".to_owned(), str::to_owned);
                (key, line.number(), line.values().map(str::to_owned).collect())
            })
            .collect()
    }

    fn row(text: &str) -> (String, Vec<String>) {
        let mut rows = rows(&format!("[s]\n{text}"));
        assert_eq!(rows.len(), 1, "{text}");
        let (key, _, values) = rows.remove(0);
        (key, values)
    }

    #[test]
    fn fields_are_split_quoted_and_trimmed() {
        for (text, key, values) in [
            ("a = b , c ; d", "a", vec!["b", "c"]),
            ("HKR,,\"x, \"\"y\"\" \",1", "-", vec!["HKR", "", "x, \"y\" ", "1"]),
            ("a,b=c", "-", vec!["a", "b=c"]),
            ("a=b=c", "a", vec!["b=c"]),
            ("k = pre\"; in\" post", "k", vec!["pre; in post"]),
            ("k = C:\\dir\\x", "k", vec!["C:\\dir\\x"]),
            ("k = a, \\ ; why\n   b", "k", vec!["a", "b"]),
            ("k = a \\\\\nb", "k", vec!["ab"]),
            ("k = %a;b%, c", "k", vec!["%a;b%", "c"]),
            ("k = 5% ; 6%", "k", vec!["5%"]),
            ("k = \"open", "k", vec!["open"]),
            ("k =", "k", vec![""]),
            ("x.sys,,,", "-", vec!["x.sys", "", "", ""]),
            ("k = a\\", "k", vec!["a"]),
            ("\"a=b\" = c", "a=b", vec!["c"]),
        ] {
            assert_eq!(
                row(text),
                (key.into(), values.iter().map(|v| (*v).into()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn sections_of_one_name_merge_and_lines_keep_their_numbers() {
        let found = rows("; c\n[S] junk\na\n[t]\nx\n[s]\nb, \\\nc\nd");
        let lines: Vec<(u32, usize)> =
            found.iter().map(|(_, line, values)| (*line, values.len())).collect();
        assert_eq!(lines, [(3, 1), (7, 2), (9, 1)]);
    }

    #[test]
    fn what_is_no_inf_is_refused() {
        for bytes in [&b""[..], b"hello", b"; only a comment", &[0; 100], &[0xff, 0xfe]] {
            assert_eq!(Inf::parse(bytes).unwrap_err().cause, InfCause::NoSections);
        }
        assert!(Inf::parse(&vec![b'x'; LARGEST + 1]).is_err());
        assert!(Inf::parse(&b"[a]\n".repeat(MOST_SECTIONS + 1)).is_err());
    }

    #[test]
    fn hostile_repetition_takes_no_time() {
        for unit in ["\\", "\"", "%", "[", "%;", "\\ ", "a=", ",", "\\\n", "\"\"", "[a]\n", "\\;"] {
            let text = format!("[s]\n{}", unit.repeat((1 << 19) / unit.len()));
            let inf = Inf::parse(text.as_bytes()).unwrap();
            assert!(inf.defects().len() <= 600);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(inf) = Inf::parse(&bytes) {
                for section in inf.sections() {
                    for line in section.lines() {
                        prop_assert!(line.count() >= 1 && line.number() >= 1);
                    }
                }
                prop_assert!(inf.defects().len() <= 512);
            }
        }

        #[test]
        fn a_quoted_field_comes_back(fields in proptest::collection::vec("[^\n\r\u{1a}\u{0}]{0,12}", 1..6)) {
            let quoted: Vec<String> =
                fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            prop_assert_eq!(row(&quoted.join(" , ")).1, fields);
        }
    }
}
