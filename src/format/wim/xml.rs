//! An XML tree that keeps what it does not know: elements, attributes, comments and their order.
//!
//! Only what WIM files hold: no document type (refused, so there are no entities to expand), no namespaces resolved, UTF-16LE. Line ends
//! become `\n`, as every XML reader makes them.

use std::borrow::Cow;

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use crate::base::malformed::Malformed;

const FORMAT: &str = "WIM XML";
/// Deepest nesting accepted; real documents have 6 levels.
const MAX_DEPTH: usize = 64;

/// One XML element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    nodes: Vec<Node>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
    Comment(String),
    Instruction(String),
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
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets an attribute, keeping its place when it exists.
    pub fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.attributes.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The child elements in order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The child elements in order, to change.
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// The first child element of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children().find(|child| child.name == name)
    }

    /// The first child element of that name, made (last) when there is none.
    pub fn child_mut(&mut self, name: &str) -> &mut Self {
        let place = self.place_of(name).unwrap_or_else(|| {
            self.nodes.push(Node::Element(Self::new(name)));
            self.nodes.len() - 1
        });
        match &mut self.nodes[place] {
            Node::Element(element) => element,
            _ => unreachable!("place_of finds elements only, and an element was pushed"),
        }
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| matches!(node, Node::Element(element) if element.name == name))
    }

    /// Appends a child element.
    pub fn push(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    /// Puts a child element in front of everything else.
    pub fn push_front(&mut self, child: Self) {
        self.nodes.insert(0, Node::Element(child));
    }

    /// The text of the element that `path` leads to (the first match at every step; the empty path is this element). Empty when the
    /// element is; its first piece when child elements cut it up.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        let element = path.iter().try_fold(self, |element, name| element.child(name))?;
        let text = element.nodes.iter().find_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            _ => None,
        });
        Some(text.unwrap_or(""))
    }

    /// Makes `text` the whole content of the element that `path` leads to; elements that lack are made, each as the last child.
    pub fn set_text(&mut self, path: &[&str], text: &str) {
        let element = path.iter().fold(self, |element, name| element.child_mut(name));
        element.nodes.clear();
        if !text.is_empty() {
            element.nodes.push(Node::Text(text.to_owned()));
        }
    }

    /// Removes the element that `path` leads to (the first match) with all below; true when there was one.
    pub fn remove(&mut self, path: &[&str]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let mut element = self;
        for name in parents {
            let Some(place) = element.place_of(name) else { return false };
            let Node::Element(child) = &mut element.nodes[place] else { return false };
            element = child;
        }
        match element.place_of(last) {
            Some(place) => {
                element.nodes.remove(place);
                true
            }
            None => false,
        }
    }

    /// Removes the child number `number` (from 0) among those of that name; true when there was one.
    pub fn remove_nth(&mut self, name: &str, number: usize) -> bool {
        let mut named = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| matches!(node, Node::Element(element) if element.name == name));
        let place = named.nth(number).map(|(place, _)| place);
        place.map(|place| self.nodes.remove(place)).is_some()
    }

    /// Removes all children of that name.
    pub fn remove_all(&mut self, name: &str) {
        self.nodes.retain(|node| !matches!(node, Node::Element(element) if element.name == name));
    }

    /// Takes out the child element for which `wanted` is true first.
    pub(super) fn take(&mut self, wanted: impl Fn(&Self) -> bool) -> Option<Self> {
        let place = self
            .nodes
            .iter()
            .position(|node| matches!(node, Node::Element(element) if wanted(element)))?;
        match self.nodes.remove(place) {
            Node::Element(element) => Some(element),
            _ => None,
        }
    }

    fn push_text(&mut self, text: &str) {
        let text = legal(text);
        if let Some(Node::Text(last)) = self.nodes.last_mut() {
            last.push_str(&text);
        } else if !text.is_empty() {
            self.nodes.push(Node::Text(text.into_owned()));
        }
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, true, out);
            out.push('"');
        }
        if self.nodes.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.nodes {
            match node {
                Node::Element(element) => element.write(out),
                Node::Text(text) => escape(text, false, out),
                Node::Comment(text) => out.extend(["<!--", text, "-->"]),
                Node::Instruction(text) => out.extend(["<?", text, "?>"]),
            }
        }
        out.extend(["</", &self.name, ">"]);
    }
}

/// Appends `text` with what XML reserves written as references; characters that XML cannot hold become U+FFFD.
fn escape(text: &str, in_attribute: bool, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if in_attribute => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' if in_attribute => out.push_str("&#10;"),
            '\t' if in_attribute => out.push_str("&#9;"),
            '\t' | '\n' => out.push(character),
            character if is_illegal(character) => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
}

/// True for characters that XML cannot hold, not even as references.
fn is_illegal(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// The text with U+FFFD for each character that XML cannot hold, as it would be written.
fn legal(text: &str) -> Cow<'_, str> {
    if text.contains(is_illegal) {
        Cow::Owned(text.replace(is_illegal, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Reads a document and returns its root element.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, Malformed> {
    let text = decode_utf16(bytes)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    loop {
        let offset = 2 * reader.buffer_position();
        let malformed = |what: String| Malformed::new(FORMAT, what, offset);
        let event = reader.read_event().map_err(|error| malformed(error.to_string()))?;
        let closed = match event {
            Event::Start(tag) => {
                if open.len() >= MAX_DEPTH {
                    return Err(malformed(format!("nested deeper than {MAX_DEPTH} elements")));
                }
                open.push(start(&tag).map_err(malformed)?);
                None
            }
            Event::Empty(tag) => Some(start(&tag).map_err(malformed)?),
            Event::End(_) => {
                Some(open.pop().ok_or_else(|| malformed("end tag without start".to_owned()))?)
            }
            Event::DocType(_) => return Err(malformed("document types are not accepted".into())),
            Event::Eof => break,
            other => {
                content(&other, open.last_mut()).map_err(malformed)?;
                None
            }
        };
        match (closed, open.last_mut()) {
            (None, _) => {}
            (Some(element), Some(parent)) => parent.push(element),
            (Some(element), None) if root.is_none() => root = Some(element),
            (Some(_), None) => return Err(malformed("a second root element".to_owned())),
        }
    }
    let end = bytes.len() as u64;
    if let Some(element) = open.last() {
        let what = format!("ends inside element {}", element.name);
        return Err(Malformed::new(FORMAT, what, end));
    }
    root.ok_or_else(|| Malformed::new(FORMAT, "has no element", end))
}

fn start(tag: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element::new(tag.name().as_ref());
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let raw = normalize_line_ends(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).map_err(|error| error.to_string())?;
        element.attributes.push((attribute.key.as_ref().to_owned(), legal(&value).into_owned()));
    }
    Ok(element)
}

/// Adds what is neither a tag nor the end to `parent`; outside the root element only white space and comments may stand.
fn content(event: &Event<'_>, parent: Option<&mut Element>) -> Result<(), String> {
    let Some(parent) = parent else {
        return match event {
            Event::Text(text) if !text.trim().is_empty() => Err("text outside the root".into()),
            Event::CData(_) | Event::GeneralRef(_) => Err("text outside the root".into()),
            _ => Ok(()),
        };
    };
    match event {
        Event::Text(text) => parent.push_text(&normalize_line_ends(text)),
        Event::CData(data) => parent.push_text(&normalize_line_ends(data)),
        Event::GeneralRef(reference) => parent.push_text(&resolve(reference)?),
        Event::Comment(text) => parent.nodes.push(Node::Comment(text.to_string())),
        Event::PI(text) => parent.nodes.push(Node::Instruction(text.to_string())),
        _ => {}
    }
    Ok(())
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let text = match &**reference {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        other => return Err(format!("unknown entity &{other};")),
    };
    Ok(text.to_owned())
}

fn normalize_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

fn decode_utf16(bytes: &[u8]) -> Result<String, Malformed> {
    if !bytes.len().is_multiple_of(2) {
        let what = format!("is not UTF-16: {} bytes", bytes.len());
        return Err(Malformed::new(FORMAT, what, 0));
    }
    let bytes = bytes.strip_prefix(&[0xff, 0xfe]).unwrap_or(bytes);
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let mut text = String::with_capacity(bytes.len() / 2);
    for (index, character) in char::decode_utf16(units).enumerate() {
        text.push(character.map_err(|_| {
            let what = format!("is not UTF-16: lone surrogate at character {index}");
            Malformed::new(FORMAT, what, 0)
        })?);
    }
    // Some writers end the document with NULs.
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}

/// The document with this root: UTF-16LE with byte order mark, without declaration, as Microsoft's tools write it.
pub(super) fn encode(root: &Element) -> Vec<u8> {
    let mut text = String::from('\u{feff}');
    root.write(&mut text);
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_document_comes_back_as_it_was() {
        let text = "\u{feff}<WIM><A x=\"1\" y=\"&lt;&quot;\"/><!-- c --><B>a&amp;b &gt;</B><?p i?><UNKNOWN> t <C/>u</UNKNOWN></WIM>";
        let root = parse(&utf16(text)).unwrap();
        assert_eq!(encode(&root), utf16(text));
        assert_eq!(root.text(&["B"]), Some("a&b >"));
        assert_eq!(root.child("A").unwrap().attribute("y"), Some("<\""));
        assert_eq!(root.text(&["A"]), Some(""));
        assert_eq!(root.text(&["Z"]), None);
    }

    #[test]
    fn characters_that_xml_cannot_hold_are_read_as_they_would_be_written() {
        let text =
            "<a b=\"\u{1}&#2;\"><b>\u{ffff}&#3;<![CDATA[\u{c}]]></b><c>\u{fffe}&#13;\t\n</c></a>";
        let root = parse(&utf16(text)).unwrap();
        assert_eq!(root.attribute("b"), Some("\u{fffd}\u{fffd}"));
        assert_eq!(root.text(&["b"]), Some("\u{fffd}\u{fffd}\u{fffd}"));
        assert_eq!(root.text(&["c"]), Some("\u{fffd}\r\t\n"));
        assert_eq!(parse(&encode(&root)).unwrap(), root);
    }

    #[test]
    fn edits_keep_the_rest() {
        let mut root = parse(&utf16("<W><A>1</A><B><C/></B><D/></W>")).unwrap();
        root.set_text(&["A"], "2<");
        root.set_text(&["B", "C"], "3");
        root.set_text(&["E", "F"], "4");
        assert!(root.remove(&["D"]));
        assert!(!root.remove(&["D"]));
        assert!(!root.remove(&["X", "D"]));
        let expected = "\u{feff}<W><A>2&lt;</A><B><C>3</C></B><E><F>4</F></E></W>";
        assert_eq!(encode(&root), utf16(expected));
    }

    #[test]
    fn bad_documents_are_errors() {
        for text in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>text",
            "<!DOCTYPE a><a/>",
            "<a>&unknown;</a>",
            "<a x=1/>",
            "<a x='1' x='2'/>",
            "<a>&#xD800;</a>",
        ] {
            assert!(parse(&utf16(text)).is_err(), "{text}");
        }
        assert!(parse(&[0x3c]).is_err());
        assert!(parse(&[0x3c, 0, 0, 0xd8]).is_err());
        assert!(parse(&utf16(&"<a>".repeat(100_000))).is_err());
    }

    fn element() -> impl Strategy<Value = Element> {
        let name = "[A-Z][A-Z0-9_]{0,8}";
        let leaf = (name, proptest::option::of("[ -~\\n\\r\\t\u{e9}\u{1f600}]{1,12}")).prop_map(
            |(name, text)| {
                let mut element = Element::new(name);
                if let Some(text) = text {
                    element.set_text(&[], &text);
                }
                element
            },
        );
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let attribute = ("[a-z]{1,4}", "[ -~\\n\\r\\t\u{ff}]{0,8}");
            (
                name,
                proptest::collection::vec(attribute, 0..3),
                proptest::collection::vec(inner, 0..5),
            )
                .prop_map(|(name, attributes, children)| {
                    let mut element = Element::new(name);
                    for (name, value) in attributes {
                        element.set_attribute(&name, &value);
                    }
                    for child in children {
                        element.push(child);
                    }
                    element
                })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_tree_round_trips(root in element()) {
            prop_assert_eq!(parse(&encode(&root)).unwrap(), root);
        }

        #[test]
        fn no_text_panics(text in "[<>/=a\"'!\\-\\[\\]?&;# ]{0,60}") {
            let _ignored = parse(&utf16(&text));
        }
    }
}
