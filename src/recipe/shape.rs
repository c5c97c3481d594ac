//! What a recipe may look like, as data.
//!
//! Each section's keys are declared once ([`super::sections`]) and drive three things: the check of a recipe ([`check`]: unknown keys, wrong
//! types, values outside a choice or range), the merging of recipes (what is replaced as a whole, what is appended), and the JSON
//! Schema that editors use. What a value means is decoded elsewhere, from a tree that has passed here.

use super::{
    finding::{Finding, enough, list, nearest, shown},
    node::{Entry, Node, Table, Value},
    source::Origin,
};

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text, of a certain form when a pattern is given.
    Text(Option<&'static Pattern>),
    /// A path on this machine, relative to the file that holds it.
    Path,
    /// `true` or `false`.
    Boolean,
    /// `true`, for keys that mean something by being there.
    True,
    /// A whole number between two bounds, both included; what to do about one outside.
    Integer { least: i128, most: i128, help: &'static str },
    /// A date and time with an offset.
    Time,
    /// One of several words, or text of a certain form.
    Choice { words: &'static [Word], other: Option<&'static Pattern> },
    /// A list of at least so many; `append`: when recipes are merged, lists of both count.
    List { of: &'static Self, least: usize, append: bool },
    /// A table with known keys.
    Table(&'static TableShape),
    /// A table whose keys the user chooses.
    Map(&'static MapShape),
    /// A table of tables, lists and values as decoding alone knows them; what it is, in a sentence.
    Tree(&'static str),
    /// One of these, told apart by the kind of the value.
    OneOf(&'static [Self]),
    /// A part of a whole recipe, which this is the shape of: what is in it is looked at when it is merged.
    Part(&'static TableShape),
}

/// A form that text must have.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// For the schema.
    pub(crate) regex: &'static str,
    /// The same, for us.
    pub(crate) matches: fn(&str) -> bool,
    /// What such text is: `a build number such as 26100`.
    pub(crate) what: &'static str,
}

/// A word of a choice.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) text: &'static str,
    pub(crate) about: &'static str,
    /// What Windows writes for it, where that is a number.
    pub(crate) number: Option<u8>,
    /// Other words that people know it by.
    pub(crate) also: &'static [&'static str],
}

impl Word {
    /// The word, as Windows writes this number and as people may call it.
    pub(crate) const fn also(self, number: Option<u8>, also: &'static [&'static str]) -> Self {
        Self { number, also, ..self }
    }

    /// True when people call it so.
    fn is_called(&self, text: &str) -> bool {
        self.also.iter().any(|name| name.eq_ignore_ascii_case(text))
    }
}

/// A table with known keys.
#[derive(Debug)]
pub(crate) struct TableShape {
    /// What it is, in a sentence: `the section [base]`.
    pub(crate) what: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [Key],
    /// Keys that later versions have, and what they do.
    pub(crate) later: &'static [(&'static str, &'static str)],
    /// Of the keys of a group at most one may be given; exactly one when the group is required.
    pub(crate) groups: &'static [Group],
    /// True: when recipes are merged it is one value, replaced as a whole.
    pub(crate) whole: bool,
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: &'static Shape,
    pub(crate) required: bool,
}

/// Keys of which at most one may be given.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) keys: &'static [&'static str],
    pub(crate) required: bool,
}

/// A table whose keys the user chooses.
#[derive(Debug)]
pub(crate) struct MapShape {
    /// False for a key that is no such thing at all. Decoding refuses it; what is below it is not looked at.
    pub(crate) valid: fn(&str) -> bool,
    pub(crate) about: &'static str,
    pub(crate) value: &'static Shape,
}

impl TableShape {
    /// True for a key that a later version has.
    fn is_later(&self, name: &str) -> bool {
        self.later.iter().any(|(later, _)| *later == name)
    }

    /// The key called `name`.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Shape {
    /// What a person would write there.
    fn expected(&self) -> String {
        match self {
            Self::Text(None) => "text".to_owned(),
            Self::Text(Some(pattern)) => pattern.what.to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::True => "`true`".to_owned(),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Time => "a time such as 2026-11-01T00:00:00Z".to_owned(),
            Self::Choice { words, other } => {
                let words = list(words.iter().map(|word| word.text), "or");
                other.map_or_else(|| words.clone(), |other| format!("{words}, or {}", other.what))
            }
            Self::List { of, .. } => match of {
                Self::Text(None) => "a list of texts".to_owned(),
                Self::Path => "a list of paths".to_owned(),
                Self::Table(_) => "a list of tables".to_owned(),
                Self::OneOf(_) => "a list of paths and tables".to_owned(),
                _ => "a list of words".to_owned(),
            },
            Self::Table(_) | Self::Map(_) | Self::Tree(_) | Self::Part(_) => "a table".to_owned(),
            Self::OneOf(shapes) => {
                let all: Vec<String> = shapes.iter().map(Self::expected).collect();
                match all.split_last() {
                    Some((last, first)) if !first.is_empty() => {
                        format!("{} or {last}", first.join(", "))
                    }
                    _ => all.concat(),
                }
            }
        }
    }

    /// The alternative that a value of this kind must satisfy.
    pub(crate) fn alternative(&self, value: &Value) -> Option<&Self> {
        if let Self::OneOf(shapes) = self {
            return shapes.iter().find_map(|shape| shape.alternative(value));
        }
        let fits = match self {
            Self::Text(_) | Self::Path | Self::Choice { .. } => matches!(value, Value::Text(_)),
            Self::Boolean | Self::True => matches!(value, Value::Boolean(_)),
            Self::Integer { .. } => matches!(value, Value::Integer(_)),
            Self::Time => matches!(value, Value::Time(_)),
            Self::List { .. } => matches!(value, Value::List(_)),
            Self::Table(_) | Self::Map(_) | Self::Tree(_) | Self::Part(_) => {
                matches!(value, Value::Table(_))
            }
            Self::OneOf(_) => false,
        };
        fits.then_some(self)
    }

    /// True when text and nothing else may stand there, so that the command line need not quote it.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Path | Self::Choice { .. })
    }

    /// The shape of what `key` names in a table of this shape.
    pub(crate) fn child(&self, key: &str) -> Option<&'static Self> {
        match self {
            Self::Table(table) | Self::Part(table) => table.key(key).map(|key| key.shape),
            Self::Map(map) => Some(map.value),
            Self::OneOf(shapes) => shapes.iter().find_map(|shape| shape.child(key)),
            _ => None,
        }
    }
}

/// Checks that `node`, the value of `key`, has the shape; adds to `findings` what is wrong.
pub(crate) fn check(node: &Node, key: &str, shape: &Shape, findings: &mut Vec<Finding>) {
    if node.value == Value::Broken || enough(findings) {
        return;
    }
    let Some(shape) = shape.alternative(&node.value) else {
        findings.push(wrong_kind(node, key, shape));
        return;
    };
    match (&node.value, shape) {
        (Value::Table(table), Shape::Table(shape)) => {
            check_table(table, &node.origin, shape, findings);
        }
        (Value::Table(table), Shape::Map(shape)) => {
            for entry in table.entries().iter().filter(|entry| (shape.valid)(&entry.key)) {
                check(&entry.node, &entry.key, shape.value, findings);
            }
        }
        (Value::List(nodes), Shape::List { of, least, .. }) => {
            for node in nodes {
                check(node, key, of, findings);
            }
            if nodes.len() < *least {
                findings.push(Finding::at(
                    &node.origin,
                    "recipe::empty",
                    format!("`{}` is empty", shown(key)),
                    "nothing in here",
                    format!("give {}, or take `{key}` away", Shape::expected(shape)),
                ));
            }
        }
        (Value::Text(text), _) => check_text(node, text, key, shape, findings),
        (Value::Integer(number), Shape::Integer { least, most, help })
            if !number.is_some_and(|number| (*least..=*most).contains(&number)) =>
        {
            findings.push(Finding::at(
                &node.origin,
                "recipe::out-of-range",
                format!("the number for `{}` is out of range", shown(key)),
                format!("not between {least} and {most}"),
                *help,
            ));
        }
        (Value::Boolean(false), Shape::True) => findings.push(Finding::at(
            &node.origin,
            "recipe::wrong-value",
            format!("`{key}` can only be `true`"),
            "says nothing",
            format!("take `{key}` away to say the opposite"),
        )),
        _ => {}
    }
}

/// Checks text against the forms that text can have.
fn check_text(node: &Node, text: &str, key: &str, shape: &Shape, findings: &mut Vec<Finding>) {
    match shape {
        Shape::Text(Some(pattern)) if !(pattern.matches)(text) => findings.push(Finding::at(
            &node.origin,
            "recipe::wrong-value",
            format!("`{}` is not {}", shown(key), pattern.what),
            format!("expected {}", pattern.what),
            "",
        )),
        Shape::Path if text.trim().is_empty() || text.contains('\0') => findings.push(Finding::at(
            &node.origin,
            "recipe::wrong-value",
            format!("the text of `{}` is not a path", shown(key)),
            "names no file or folder",
            "paths are relative to the folder of the file that holds them",
        )),
        Shape::Choice { words, other } => {
            let word = words.iter().find(|word| word.text == text);
            if word.is_none() && !other.is_some_and(|other| (other.matches)(text)) {
                findings.push(Finding::at(
                    &node.origin,
                    "recipe::wrong-value",
                    format!("`{}` is not a value of `{}`", shown(text), shown(key)),
                    format!("expected {}", shape.expected()),
                    match words.iter().find(|word| word.is_called(text)) {
                        Some(word) => format!("did you mean `{}`?", word.text),
                        None => did_you_mean(text, words.iter().map(|word| word.text)),
                    },
                ));
            }
        }
        _ => {}
    }
}

/// A value of another kind than any that may stand there.
fn wrong_kind(node: &Node, key: &str, shape: &Shape) -> Finding {
    if node.table().is_some_and(|table| table.get("env").is_some()) {
        return Finding::at(
            &node.origin,
            "recipe::secret-place",
            format!("`{}` cannot be a secret", shown(key)),
            format!("expected {}", shape.expected()),
            "secrets can be values of [registry] keys and settings of [unattend]",
        );
    }
    let scalar =
        matches!(node.value, Value::Integer(_) | Value::Float | Value::Boolean(_) | Value::Time(_));
    let text = match shape {
        Shape::OneOf(shapes) => shapes.iter().any(Shape::is_text),
        _ => shape.is_text(),
    };
    let help = if let Some(help) = meant(key, &node.value, shape) {
        help
    } else if scalar && text {
        format!("put it in quotes: \"{}\"", node.origin.text())
    } else if matches!(shape, Shape::List { .. }) && !matches!(node.value, Value::Table(_)) {
        format!("put it in brackets: [{}]", shown(node.origin.text()))
    } else {
        String::new()
    };
    Finding::at(
        &node.origin,
        "recipe::wrong-type",
        format!("`{}` cannot be {}", shown(key), node.value.kind()),
        format!("expected {}, found {}", shape.expected(), node.value.kind()),
        help,
    )
}

/// What a value of the wrong kind was probably meant to be, where quotes would only lead to the next mistake.
fn meant(key: &str, value: &Value, shape: &Shape) -> Option<String> {
    let single = std::slice::from_ref(shape);
    let shapes = if let Shape::OneOf(shapes) = shape { *shapes } else { single };
    let words = shapes.iter().find_map(|shape| match shape {
        Shape::Choice { words, .. } => Some(words.iter()),
        _ => None,
    });
    let takes = |wanted: fn(&Shape) -> bool| shapes.iter().any(wanted);
    let secret = |shape: &Shape| matches!(shape, Shape::Table(table) if table.what == "a secret");
    match (value, words) {
        (Value::Text(_), _) if takes(secret) => Some(
            "a secret does not stand in a recipe: put it into an environment variable and write { env = \"NAME\" }"
                .to_owned(),
        ),
        (Value::List(_) | Value::Table(_) | Value::Text(_) | Value::Broken, _) => None,
        (_, Some(_)) if takes(|shape| matches!(shape, Shape::Map(_))) => Some(
            "values stand in a table; to remove the key and all below it write = \"absent\""
                .to_owned(),
        ),
        (Value::Integer(number), Some(words)) => {
            let numbered = |word: &&Word| word.number.is_some();
            let all: Vec<&Word> = words.clone().filter(numbered).collect();
            if all.is_empty() {
                return Some(format!("use {}", list(words.map(|word| word.text), "or")));
            }
            let same = all.iter().find(|word| word.number.map(i128::from) == *number);
            let word =
                same.map_or_else(|| "the word".to_owned(), |word| format!("\"{}\"", word.text));
            let known: Vec<String> = all
                .iter()
                .filter_map(|word| Some(format!("{} {}", word.number?, word.text)))
                .collect();
            Some(format!("write {word} ({})", known.join(", ")))
        }
        (Value::Boolean(_) | Value::Float | Value::Time(_), Some(words)) => {
            Some(format!("use {}", list(words.map(|word| word.text), "or")))
        }
        (Value::Boolean(value), None)
            if takes(|shape| matches!(shape, Shape::Integer { .. }))
                && takes(|shape| matches!(shape, Shape::Text(_))) =>
        {
            if key == "absent" && *value {
                return Some("to remove the key and all below it write = \"absent\" for the whole key; to remove one value, Name = { absent = true }".to_owned());
            }
            let number = u8::from(*value);
            Some(format!("write {number} for a REG_DWORD, or \"{value}\" for a text"))
        }
        _ => None,
    }
}

/// Checks a table's keys: unknown, of a later version, excluding one another, missing.
pub(crate) fn check_table(
    table: &Table,
    origin: &Origin,
    shape: &TableShape,
    findings: &mut Vec<Finding>,
) {
    // Keys that are probably there under a wrong name are not also said to be missing.
    let mut meant: Vec<&str> = Vec::new();
    for entry in table.entries() {
        if enough(findings) {
            return;
        }
        match shape.key(&entry.key) {
            Some(key) => check(&entry.node, &entry.key, key.shape, findings),
            None => {
                findings.push(unknown_key(entry, shape));
                meant.extend(nearest(&entry.key, shape.keys.iter().map(|key| key.name)));
                // Of a table with a choice, what a later version has is one more choice.
                if !shape.groups.is_empty() && shape.is_later(&entry.key) {
                    meant.extend(shape.keys.iter().map(|key| key.name));
                }
            }
        }
    }
    for group in shape.groups {
        let given: Vec<&Entry> = group.keys.iter().filter_map(|key| table.entry(key)).collect();
        if let [first, .., last] = given.as_slice() {
            findings.push(
                Finding::at(
                    &last.origin,
                    "recipe::conflict",
                    format!("`{}` and `{}` exclude each other", first.key, last.key),
                    "this one",
                    format!("keep one of {}", list(group.keys.iter().copied(), "and")),
                )
                .and(&first.origin, "and this one"),
            );
        }
        let meant = group.keys.iter().any(|key| meant.contains(key));
        if given.is_empty() && group.required && !meant {
            let keys = list(group.keys.iter().copied(), "or");
            findings.push(Finding::at(
                origin,
                "recipe::missing-key",
                format!("{} needs {keys}", shape.what),
                "none is given",
                format!("give exactly one of {keys}"),
            ));
        }
    }
    let missing =
        |key: &&Key| key.required && table.get(key.name).is_none() && !meant.contains(&key.name);
    for key in shape.keys.iter().filter(missing) {
        findings.push(Finding::at(
            origin,
            "recipe::missing-key",
            format!("{} needs `{}`", shape.what, key.name),
            format!("`{}` is missing", key.name),
            format!("`{}` is {}", key.name, key.about),
        ));
    }
}

/// A key that the table does not have.
pub(crate) fn unknown_key(entry: &Entry, shape: &TableShape) -> Finding {
    if let Some((name, what)) = shape.later.iter().find(|(name, _)| *name == entry.key) {
        return Finding::at(
            &entry.origin,
            "recipe::not-yet",
            format!("this version of Transom cannot {what} yet"),
            format!("`{name}` is not in this version"),
            format!("take `{name}` out of the recipe; a later version will know it"),
        );
    }
    let known = || shape.keys.iter().map(|key| key.name);
    let near = nearest(&entry.key, known().chain(shape.later.iter().map(|(name, _)| *name)));
    let help = near.map_or_else(
        || format!("its keys: {}", list(known(), "and")),
        |near| format!("did you mean `{near}`?"),
    );
    Finding::at(
        &entry.origin,
        "recipe::unknown-key",
        format!("{} has no key `{}`", shape.what, shown(&entry.key)),
        "unknown key",
        help,
    )
}

/// `did you mean ...?`, or nothing.
fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, known).map_or_else(String::new, |near| format!("did you mean `{near}`?"))
}
