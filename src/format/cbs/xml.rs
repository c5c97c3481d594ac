//! The tree that packages and manifests are read from: elements with their places, namespace prefixes taken off.
//!
//! Namespaces are not looked at: real files write the same element with and without prefix. There is no document type, so there are no entities but
//! the five of XML and characters by number, and nothing that grows by itself. An element costs about a hundred bytes however short it is written, so their number is bounded: a tree has at most some
//! hundred MB.

use std::borrow::Cow;

use encoding_rs::{UTF_16BE, UTF_16LE};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesRef, BytesStart, Event},
};

use super::CbsError;

/// Deepest nesting accepted; real manifests (with schemas of settings in them) have about 20 levels.
pub const MAX_DEPTH: usize = 100;
/// Most attributes of one element; real ones have about 20.
pub const MAX_ATTRIBUTES: usize = 500;
/// Most elements of one file, and most attributes; the largest real manifests have some ten thousand.
pub const MAX_ELEMENTS: usize = 1 << 20;
/// Largest file accepted; the largest real manifests have a few MB.
pub const MAX_BYTES: usize = 64 << 20;

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
        let text = decode(bytes)?;
        let mut reader = Reader::from_str(&text);
        let mut place = Place {
            text: text.as_bytes(),
            offset: 0,
            line: 1,
            column: 1,
            elements: 0,
            attributes: 0,
        };
        let mut open: Vec<Self> = Vec::new();
        let mut root: Option<Self> = None;
        loop {
            place.move_to(reader.buffer_position());
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    place.move_to(reader.error_position());
                    return Err(place.error(error.to_string()));
                }
            };
            let closed = match event {
                Event::Start(tag) => {
                    if open.len() >= MAX_DEPTH {
                        return Err(place.error(format!("nested deeper than {MAX_DEPTH} elements")));
                    }
                    open.push(place.element(&tag)?);
                    None
                }
                Event::Empty(tag) => Some(place.element(&tag)?),
                Event::End(_) => open.pop(),
                Event::DocType(_) => return Err(place.error("document types are not accepted")),
                Event::Eof => break,
                other => {
                    content(&other, open.last_mut()).map_err(|cause| place.error(cause))?;
                    None
                }
            };
            let Some(mut closed) = closed else { continue };
            let trimmed = closed.text.trim();
            if trimmed.len() != closed.text.len() {
                closed.text = trimmed.to_owned();
            }
            match open.last_mut() {
                Some(parent) => parent.children.push(closed),
                None if root.is_none() => root = Some(closed),
                None => return Err(closed.error("a second root element")),
            }
        }
        if let Some(element) = open.last() {
            return Err(element.error(format!("<{}> is not closed", element.name)));
        }
        root.ok_or_else(|| place.error("it has no element"))
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// True when the attribute says `true`, `yes` or `1`, in any letter case.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.attribute(name).is_some_and(says_yes)
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

    /// A copy of an attribute's value.
    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.attribute(name).map(str::to_owned)
    }

    /// A copy of an attribute's value; empty when it is not there.
    pub(super) fn owned_or_empty(&self, name: &str) -> String {
        self.attribute(name).unwrap_or_default().to_owned()
    }
}

/// True for `true`, `yes` and `1`, in any letter case.
pub(super) fn says_yes(value: &str) -> bool {
    ["true", "yes", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// The document as text; its byte order mark is taken off.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, CbsError> {
    let fail = |line, cause: String| Err(CbsError { line, column: 1, cause });
    if bytes.len() > MAX_BYTES {
        return fail(1, format!("{} bytes are more than any manifest has", bytes.len()));
    }
    let (encoding, rest) = match bytes {
        [0xff, 0xfe, rest @ ..] => (UTF_16LE, rest),
        [0xfe, 0xff, rest @ ..] => (UTF_16BE, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            return match std::str::from_utf8(rest) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(error) => {
                    let before = &rest[..error.valid_up_to()];
                    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                    let line = u32::try_from(line).unwrap_or(u32::MAX);
                    fail(line, "bytes that are neither UTF-8 nor UTF-16 with a mark".to_owned())
                }
            };
        }
    };
    match encoding.decode_without_bom_handling_and_without_replacement(rest) {
        Some(text) => Ok(text),
        None => fail(1, format!("bytes that are not {}", encoding.name())),
    }
}

/// A place in the text that only moves on, so that counting lines costs one pass over the file.
struct Place<'a> {
    text: &'a [u8],
    offset: usize,
    line: u32,
    column: u32,
    /// How many there were so far.
    elements: usize,
    attributes: usize,
}

impl Place<'_> {
    fn move_to(&mut self, offset: u64) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        for byte in self.text.get(self.offset..offset).unwrap_or_default() {
            match byte {
                b'\n' => {
                    self.line = self.line.saturating_add(1);
                    self.column = 1;
                }
                // A further byte of the same character.
                0x80..0xc0 => {}
                _ => self.column = self.column.saturating_add(1),
            }
        }
        self.offset = self.offset.max(offset);
    }

    fn error(&self, cause: impl Into<String>) -> CbsError {
        CbsError { line: self.line, column: self.column, cause: cause.into() }
    }

    fn element(&mut self, tag: &BytesStart<'_>) -> Result<Element, CbsError> {
        self.elements += 1;
        let name = tag.local_name().as_ref().to_owned();
        if name.is_empty() {
            return Err(self.error("an element without a name"));
        }
        let mut element =
            Element { name, line: self.line, column: self.column, ..Element::default() };
        for (count, attribute) in tag.attributes().enumerate() {
            if count >= MAX_ATTRIBUTES {
                let cause = format!("<{}> has more than {MAX_ATTRIBUTES} attributes", element.name);
                return Err(self.error(cause));
            }
            let attribute = attribute.map_err(|error| self.error(error.to_string()))?;
            let name: &str = attribute.key.as_ref();
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| self.error(error.to_string()))?;
            let name = attribute.key.local_name().as_ref().to_owned();
            element.attributes.push((name, value.into_owned()));
        }
        self.attributes += element.attributes.len();
        if self.elements.max(self.attributes) > MAX_ELEMENTS {
            return Err(self.error(format!("more than {MAX_ELEMENTS} elements or attributes")));
        }
        Ok(element)
    }
}

/// Adds text to `parent`; outside the root element only white space and comments may stand.
fn content(event: &Event<'_>, parent: Option<&mut Element>) -> Result<(), String> {
    let Some(parent) = parent else {
        return match event {
            Event::Text(text) if !text.trim().is_empty() => Err("text outside the root".into()),
            Event::CData(_) | Event::GeneralRef(_) => Err("text outside the root".into()),
            _ => Ok(()),
        };
    };
    match event {
        // White space between elements is most of a file's text; it would be trimmed anyway.
        Event::Text(text) if parent.text.is_empty() && text.trim().is_empty() => {}
        Event::Text(text) => push_text(&mut parent.text, text),
        Event::CData(data) => push_text(&mut parent.text, data),
        Event::GeneralRef(reference) => parent.text.push(resolve(reference)?),
        _ => {}
    }
    Ok(())
}

/// Line ends become `\n`, as every XML reader makes them.
fn push_text(to: &mut String, text: &str) {
    if text.contains('\r') {
        to.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
    } else {
        to.push_str(text);
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("unknown entity &{other};")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<a:root xmlns:a=\"urn:x\" xmlns=\"urn:y\" name=\"ä &amp; &#66;\">\r\n  <!-- c -->\r\n  <b:leaf b:x='1'/><leaf>  te&lt;xt<![CDATA[ <&> ]]>&#x41;\r\nend </leaf>\r\n</a:root>\r\n";

    #[test]
    fn the_tree_has_names_values_and_places() {
        let root = Element::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!((root.name.as_str(), root.line, root.column), ("root", 2, 1));
        assert_eq!(root.attributes, [("name".to_owned(), "ä & B".to_owned())]);
        let places: Vec<_> =
            root.named("leaf").map(|leaf| (leaf.line, leaf.column, leaf.text.as_str())).collect();
        assert_eq!(places, [(4, 3, ""), (4, 20, "te<xt <&> A\nend")]);
        assert_eq!(root.child("leaf").unwrap().attribute("x"), Some("1"));
        assert_eq!(root.text, "");
    }

    #[test]
    fn every_encoding_gives_the_same_tree() {
        let plain = Element::parse(SAMPLE.as_bytes()).unwrap();
        let marked = [b"\xef\xbb\xbf", SAMPLE.as_bytes()].concat();
        let little: Vec<u8> = "\u{feff}"
            .encode_utf16()
            .chain(SAMPLE.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let big: Vec<u8> = "\u{feff}"
            .encode_utf16()
            .chain(SAMPLE.encode_utf16())
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in [marked, little, big] {
            assert_eq!(Element::parse(&bytes).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_place() {
        let cases: &[(&[u8], u32, &str)] = &[
            (b"", 1, "no element"),
            (b"<a>\n<b>\n</a>", 3, ""),
            (b"<a>\n<b>", 2, "<b> is not closed"),
            (b"<a/>\n<b/>", 2, "second root"),
            (b"<a/>\n x", 1, "text outside"),
            (b"<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a>&b;</a>", 1, "document types"),
            (b"<a>\n&b;</a>", 2, "unknown entity &b;"),
            (b"<a\nb=\"&c;\"/>", 1, "c"),
            (b"<a b='1' b='2'/>", 1, ""),
            (b"<a>\n\xff</a>", 2, "UTF-8"),
            (b"\xff\xfe<", 1, "UTF-16LE"),
        ];
        for (bytes, line, cause) in cases {
            let error = Element::parse(bytes).unwrap_err();
            assert_eq!(error.line, *line, "{error}");
            assert!(error.cause.contains(cause), "{error}");
        }
        let many = format!("<a>{}</a>", "<a/>".repeat(MAX_ELEMENTS));
        assert!(Element::parse(many.as_bytes()).unwrap_err().cause.contains("elements or"));
        let deep = "<a>".repeat(MAX_DEPTH + 1);
        assert!(Element::parse(deep.as_bytes()).unwrap_err().cause.contains("deeper"));
        let wide: String = (0..=MAX_ATTRIBUTES).map(|number| format!(" a{number}=''")).collect();
        let wide = format!("<a{wide}/>");
        assert!(Element::parse(wide.as_bytes()).unwrap_err().cause.contains("attributes"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Element::parse(&bytes));
        }

        #[test]
        fn no_change_of_a_document_makes_it_panic(at in 0..SAMPLE.len(), byte: u8, cut: bool) {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            if cut { bytes.truncate(at) }
            drop(Element::parse(&bytes));
        }

        #[test]
        fn values_come_back(value in "[ -~äß]{0,40}") {
            let escaped = quick_xml::escape::escape(&value).into_owned();
            let root = Element::parse(format!("<a b=\"{escaped}\">{escaped}</a>").as_bytes()).unwrap();
            prop_assert_eq!(root.attribute("b"), Some(value.as_str()));
            prop_assert_eq!(root.text.as_str(), value.trim());
        }
    }
}
