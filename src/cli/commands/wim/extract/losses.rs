//! What unpacking could not keep, counted and named.

use std::collections::BTreeMap;

use crate::cli::text;

/// How many examples of each loss are named.
const NAMED: usize = 5;

/// Something of an NT file that the host's file system does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// A name that the host cannot hold; the entry and what is below it was left out.
    Name,
    /// A link that leads out of the image or cannot be told here; it was left out.
    Link,
    /// A reparse point of another kind; its data was left out.
    Reparse,
    /// An encrypted file; it was left out.
    Encrypted,
    /// A named stream.
    Stream,
    /// A security descriptor.
    Security,
    /// Read-only, hidden, system and the like.
    Attributes,
    /// A short (8.3) name.
    ShortName,
    /// Object id, extended attributes, Unix data that was not asked for.
    TaggedItems,
}

/// The losses so far.
#[derive(Debug, Default)]
pub(super) struct Losses(BTreeMap<Loss, Vec<String>>);

impl Losses {
    /// Remembers that `what` was lost.
    pub(super) fn add(&mut self, loss: Loss, what: impl Into<String>) {
        self.0.entry(loss).or_default().push(what.into());
    }

    /// A line for each kind, most serious first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(loss, names)| {
                let (one, many) = loss.nouns();
                let count = text::count(names.len() as u64, one, many);
                if loss.is_everywhere() {
                    count
                } else {
                    format!("{count}: {}", text::few(names, NAMED))
                }
            })
            .collect()
    }
}

impl Loss {
    fn nouns(self) -> (&'static str, &'static str) {
        match self {
            Self::Name => ("entry left out for its name", "entries left out for their names"),
            Self::Link => ("link left out", "links left out"),
            Self::Reparse => ("reparse point of another kind", "reparse points of other kinds"),
            Self::Encrypted => ("encrypted file left out", "encrypted files left out"),
            Self::Stream => ("named stream", "named streams"),
            Self::Security => ("security descriptor", "security descriptors"),
            Self::Attributes => (
                "entry's attributes (read-only, hidden, system ...)",
                "entries' attributes (read-only, hidden, system ...)",
            ),
            Self::ShortName => ("short name", "short names"),
            Self::TaggedItems => (
                "entry's object id or extended attributes",
                "entries' object ids or extended attributes",
            ),
        }
    }

    /// True for what nearly every file of a Windows image has: examples tell nothing.
    fn is_everywhere(self) -> bool {
        matches!(self, Self::Security | Self::ShortName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_and_named() {
        let mut losses = Losses::default();
        losses.add(Loss::Security, "\\a");
        losses.add(Loss::Stream, "\\a:s");
        losses.add(Loss::Stream, "\\b:t");
        assert_eq!(losses.lines(), ["2 named streams: \\a:s, \\b:t", "1 security descriptor"]);
    }
}
