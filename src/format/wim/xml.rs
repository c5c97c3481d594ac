//! An XML tree that keeps what it does not know: elements, attributes and their order.

/// One XML element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
}

impl Element {
    /// An element without attributes and content.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
    /// The element's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The attributes in order: name and value.
    #[must_use]
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, _name: &str) -> Option<&str> {
        todo!()
    }
    /// Sets an attribute, keeping its place when it exists.
    pub fn set_attribute(&mut self, _name: &str, _value: &str) {
        todo!()
    }
    /// The child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter()
    }
    /// The first child element of that name.
    #[must_use]
    pub fn child(&self, _name: &str) -> Option<&Element> {
        todo!()
    }
    /// The first child element of that name, made (last) when there is none.
    pub fn child_mut(&mut self, _name: &str) -> &mut Element {
        todo!()
    }
    /// Appends a child element.
    pub fn push(&mut self, _child: Element) {
        todo!()
    }
    /// The text of the element that `path` leads to (first match at every step; the empty path is this element).
    #[must_use]
    pub fn text(&self, _path: &[&str]) -> Option<&str> {
        todo!()
    }
    /// Sets the text of the element that `path` leads to; elements that lack are made, as the last child.
    pub fn set_text(&mut self, _path: &[&str], _text: &str) {
        todo!()
    }
    /// Removes the element that `path` leads to (the first match); true when there was one.
    pub fn remove(&mut self, _path: &[&str]) -> bool {
        todo!()
    }
    /// Removes all children of that name.
    pub fn remove_all(&mut self, _name: &str) {
        todo!()
    }
}
