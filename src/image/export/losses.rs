//! What an extraction could not keep, by kind.

use std::collections::BTreeMap;

/// Something of an NT file that the host's file system does not have. Most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A name that the host cannot hold, or takes for the same as another; the entry and what is below it was left out.
    Name,
    /// A link that leads out of the image or cannot be told here, or an entry below a link; it was left out.
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

/// What was lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses(BTreeMap<Loss, Vec<String>>);

impl Losses {
    /// Remembers that something was lost of the entry `path`.
    pub(crate) fn add(&mut self, loss: Loss, path: impl Into<String>) {
        self.0.entry(loss).or_default().push(path.into());
    }

    /// Each kind with the paths in the image, most serious first.
    pub fn iter(&self) -> impl Iterator<Item = (Loss, &[String])> {
        self.0.iter().map(|(loss, paths)| (*loss, paths.as_slice()))
    }

    /// The paths of one kind, in the image's order; a stream's path is `PATH:NAME`.
    #[must_use]
    pub fn of(&self, loss: Loss) -> &[String] {
        self.0.get(&loss).map_or(&[], Vec::as_slice)
    }

    /// True when all was kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
