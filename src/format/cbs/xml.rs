//! The tree that packages and manifests are read from: elements with their places, namespace prefixes taken off.

use super::CbsError;

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its name without prefix.
    pub name: String,
    /// Attributes without prefix, in order; declarations of namespaces are left out.
    pub attributes: Vec<(String, String)>,
    /// Child elements, in order.
    pub children: Vec<Self>,
    /// Its text, white space at both ends taken off.
    pub text: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its column, from 1.
    pub column: u32,
}

impl Element {
    /// Reads a document: its root element.
    ///
    /// # Errors
    /// When it is not well-formed XML in UTF-8 (with or without mark) or UTF-16 with mark, has a document type, or is nested too deeply.
    pub fn parse(bytes: &[u8]) -> Result<Self, CbsError> {
        let cause = format!("XML of {} bytes is not read yet", bytes.len());
        Err(CbsError { line: 1, column: 1, cause })
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The child elements called `name`.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child element called `name`.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// An error about this element.
    #[must_use]
    pub fn error(&self, cause: impl Into<String>) -> CbsError {
        CbsError { line: self.line, column: self.column, cause: cause.into() }
    }
}
