//! The reader: one pass over the text, what is wrong is said with line and column.
//!
//! There is no document type, so there are no entities but the five of XML and characters by number, and nothing that grows by itself. Depth, elements,
//! attributes and declarations of namespaces are bounded.

use std::{collections::BTreeSet, sync::Arc};

use quick_xml::{
    XmlVersion,
    events::{BytesRef, BytesStart, Event},
    name::ResolveResult,
    reader::NsReader,
};

use super::{
    model::{AnswerFile, Attribute, Component, Element, Namespace, Pass, PassName, Place},
    write::{is_allowed, is_blank},
};

/// Namespaces of the root; the first is written.
pub(super) const NAMESPACES: [&str; 2] =
    ["urn:schemas-microsoft-com:unattend", "urn:schemas-microsoft-com:asm.v3"];
/// The namespace of `wcm`.
pub(super) const CONFIGURATION: &str = "http://schemas.microsoft.com/WMIConfig/2002/State";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// What `processorArchitecture` can be.
pub const ARCHITECTURES: [&str; 7] = ["x86", "amd64", "arm", "arm64", "ia64", "wow64", "msil"];
/// Largest file accepted; real ones have up to a hundred KB, with scripts in them.
pub const MAX_BYTES: usize = 16 << 20;
/// Deepest nesting accepted; real files stay below 20.
const MAX_DEPTH: usize = 256;
/// Most elements of a file.
const MAX_ELEMENTS: usize = 1 << 18;
/// Most attributes of an element.
const MAX_ATTRIBUTES: usize = 100;
/// Most declarations of namespaces in a file.
const MAX_DECLARATIONS: usize = 1000;
/// Longest name of a namespace, in bytes.
const MAX_NAMESPACE: usize = 256;

/// Why a file is no answer file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{cause}", .place.map_or_else(String::new, |place| format!("{place}: ")))]
pub struct AnswerFileError {
    /// Where; `None` for what is wrong with all of it.
    pub place: Option<Place>,
    /// What is wrong; lower case, no full stop.
    pub cause: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl AnswerFile {
    /// Reads an answer file: UTF-8 with or without mark, or UTF-16.
    ///
    /// # Errors
    /// The first thing that makes it no answer file: not well-formed, another root, an unknown pass or one given twice, a component without a whole
    /// identity or given twice in one pass.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerFileError> {
        let (text, encoding) = decode(bytes)?;
        let mut parser = Parser {
            text: &text,
            encoding,
            open: Vec::new(),
            file: None,
            closed: false,
            elements: 0,
            declarations: 0,
            namespaces: BTreeSet::new(),
            cursor: Cursor::default(),
        };
        parser.run()?;
        match parser.file {
            Some(file) => Ok(file),
            None => Err(parser.fail(0, "it is empty", "")),
        }
    }
}

/// The text with line ends as XML has them, and what it is encoded in.
fn decode(bytes: &[u8]) -> Result<(String, &'static str), AnswerFileError> {
    let whole = |cause: String, help: &str| {
        Err(AnswerFileError { place: None, cause, help: help.to_owned() })
    };
    if bytes.len() > MAX_BYTES {
        return whole(
            format!("it has {} bytes, more than an answer file can have", bytes.len()),
            "put scripts into files of their own and run them from there",
        );
    }
    let unmarked = match bytes {
        [b'<', 0, ..] => encoding_rs::UTF_16LE,
        [0, b'<', ..] => encoding_rs::UTF_16BE,
        _ => encoding_rs::UTF_8,
    };
    let (encoding, skip) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((unmarked, 0));
    let (text, damaged) = encoding.decode_without_bom_handling(&bytes[skip..]);
    if damaged {
        return whole(format!("it is not {} text", encoding.name()), "save it as UTF-8");
    }
    let text = match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n"),
        false => text.into_owned(),
    };
    Ok((text, encoding.name()))
}

/// An element whose end has not come.
struct Open {
    kind: Kind,
    /// Its name as written.
    name: String,
    text: String,
    /// The text has parts that are no plain white space: they count even when they are white space.
    explicit: bool,
}

enum Kind {
    Root,
    Settings { pass: Pass, seen: BTreeSet<[String; 4]> },
    Component(Component),
    Element(Element),
}

/// How far line and column have been counted.
#[derive(Default)]
struct Cursor {
    offset: usize,
    /// Lines before it.
    lines: usize,
    /// Characters before it in its line.
    characters: usize,
}

/// A file being read.
struct Parser<'a> {
    text: &'a str,
    /// What the bytes are: `UTF-8`, `UTF-16LE`, `UTF-16BE`.
    encoding: &'static str,
    open: Vec<Open>,
    file: Option<AnswerFile>,
    /// The root element has ended.
    closed: bool,
    elements: usize,
    declarations: usize,
    /// Names of namespaces of others, each kept once.
    namespaces: BTreeSet<Arc<str>>,
    cursor: Cursor,
}

impl Parser<'_> {
    fn run(&mut self) -> Result<(), AnswerFileError> {
        if let Some(offset) = self.text.find(|character| !is_allowed(character)) {
            let cause = "not well-formed XML: a control character";
            return Err(self.fail(offset as u64, cause, "take it out"));
        }
        let mut reader = NsReader::from_str(self.text);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().check_comments = true;
        loop {
            let start = reader.buffer_position();
            let (namespace, event) = match reader.read_resolved_event() {
                Ok((ResolveResult::Bound(namespace), event)) => {
                    (self.namespace(start, Some(namespace.0))?, event)
                }
                Ok((ResolveResult::Unbound, event)) => (Namespace::None, event),
                Ok((ResolveResult::Unknown(prefix), _)) => {
                    let cause = format!("the prefix `{prefix}` is not declared");
                    return Err(self.fail(start, cause, "declare it with xmlns"));
                }
                Err(error) => {
                    let place = reader.error_position();
                    let at = usize::try_from(place).ok().and_then(|place| self.text.get(place..));
                    let help = match at.is_some_and(|rest| rest.starts_with('&')) {
                        true => "write `&amp;` for `&`",
                        false => "",
                    };
                    return Err(self.fail(place, format!("not well-formed XML: {error}"), help));
                }
            };
            match event {
                Event::Start(element) => {
                    let attributes = self.attributes(start, &element, &reader)?;
                    self.start(start, namespace, &element, attributes)?;
                }
                Event::Decl(_) => self.declaration(start, reader.buffer_position())?,
                Event::End(_) => self.end(),
                Event::GeneralRef(reference) => {
                    let character = self.reference(start, &reference)?;
                    self.content(start, character.encode_utf8(&mut [0; 4]), true)?;
                }
                Event::Text(text) => self.content(start, &text, false)?,
                Event::CData(text) => self.content(start, &text, true)?,
                Event::DocType(_) => {
                    let cause = "a document type declaration, which an answer file does not have";
                    return Err(self.fail(start, cause, "take it out"));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        match self.open.last() {
            Some(open) => {
                let cause = format!(
                    "not well-formed XML: `{}` is not closed at the end of the file",
                    open.name
                );
                Err(self.fail(self.text.len() as u64, cause, ""))
            }
            None => Ok(()),
        }
    }

    /// The XML declaration: at the very start, and true about the encoding.
    fn declaration(&mut self, start: u64, end: u64) -> Result<(), AnswerFileError> {
        if start != 0 {
            let cause = "not well-formed XML: the XML declaration is not at the very start";
            return Err(self.fail(start, cause, "take out what stands before `<?xml`"));
        }
        let text = usize::try_from(end).ok().and_then(|end| self.text.get(..end)).unwrap_or("");
        let Some((_, rest)) = text.split_once("encoding") else { return Ok(()) };
        let declared = rest.trim_start().trim_start_matches('=').trim_start();
        let declared = declared.split(['"', '\'']).nth(1).unwrap_or("");
        let right = match self.encoding {
            "UTF-8" => ["utf-8", "us-ascii"].contains(&declared.to_lowercase().as_str()),
            _ => declared.to_lowercase().starts_with("utf-16"),
        };
        if right {
            return Ok(());
        }
        let cause = format!("it declares the encoding `{declared}`, but it is {}", self.encoding);
        Err(self.fail(start, cause, "save it as UTF-8 and declare encoding=\"utf-8\""))
    }

    fn start(
        &mut self,
        offset: u64,
        namespace: Namespace,
        element: &BytesStart<'_>,
        attributes: Vec<Attribute>,
    ) -> Result<(), AnswerFileError> {
        let written: &str = element;
        if written.contains('<') {
            return Err(self.fail(offset, "not well-formed XML: `<` inside a tag", ""));
        }
        let qualified = element.name();
        let written: &str = qualified.as_ref();
        self.check_name(offset, written)?;
        let name = element.local_name().as_ref().to_owned();
        if self.open.len() >= MAX_DEPTH {
            return Err(self.fail(offset, format!("nested deeper than {MAX_DEPTH} levels"), ""));
        }
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            let cause = format!("more than {MAX_ELEMENTS} elements");
            return Err(self.fail(offset, cause, ""));
        }
        let own = namespace == Namespace::Unattend;
        let kind = match self.open.last().map(|open| &open.kind) {
            None => {
                self.root(offset, &namespace, &name)?;
                self.file = Some(AnswerFile { attributes, ..AnswerFile::default() });
                Kind::Root
            }
            Some(Kind::Root) if own && name == "settings" => {
                let pass = self.settings(offset, attributes)?;
                Kind::Settings { pass, seen: BTreeSet::new() }
            }
            Some(Kind::Root) if own && name == "servicing" => {
                if self.file.as_ref().is_some_and(|file| file.servicing.is_some()) {
                    let help = "put its packages into one <servicing>";
                    return Err(self.fail(offset, "`<servicing>` is given twice", help));
                }
                self.element(offset, namespace, name, attributes)
            }
            Some(Kind::Root) if own => {
                let cause = format!("`<{name}>` is not known here");
                return Err(self.fail(offset, cause, "an answer file holds <settings> elements"));
            }
            Some(Kind::Settings { .. }) if own && name == "component" => {
                Kind::Component(self.component(offset, attributes)?)
            }
            Some(Kind::Settings { .. }) if own => {
                let cause = format!("`<{name}>` is not known here");
                return Err(self.fail(offset, cause, "<settings> holds <component> elements"));
            }
            Some(_) => self.element(offset, namespace, name, attributes),
        };
        let name = written.to_owned();
        self.open.push(Open { kind, name, text: String::new(), explicit: false });
        Ok(())
    }

    fn element(
        &mut self,
        offset: u64,
        namespace: Namespace,
        name: String,
        attributes: Vec<Attribute>,
    ) -> Kind {
        let (text, children) = (String::new(), Vec::new());
        let place = self.place(offset);
        Kind::Element(Element { namespace, name, attributes, text, children, place })
    }

    fn end(&mut self) {
        let Some(mut open) = self.open.pop() else { return };
        if let Kind::Element(element) = &mut open.kind {
            element.text = match (element.children.is_empty(), open.explicit) {
                (true, true) => open.text,
                (true, false) if open.text.chars().all(is_blank) => String::new(),
                (true, false) => open.text,
                (false, _) => open.text.trim_matches(is_blank).to_owned(),
            };
        }
        match (open.kind, self.open.last_mut().map(|open| &mut open.kind)) {
            (Kind::Component(component), Some(Kind::Settings { pass, .. })) => {
                pass.components.push(component);
            }
            (Kind::Element(element), Some(Kind::Element(parent))) => parent.children.push(element),
            (Kind::Element(element), Some(Kind::Component(parent))) => {
                parent.settings.push(element);
            }
            (Kind::Element(element), Some(Kind::Settings { pass, .. })) => {
                pass.others.push(element);
            }
            (kind, _) => self.end_below_root(kind),
        }
    }

    fn end_below_root(&mut self, kind: Kind) {
        let Some(file) = &mut self.file else { return };
        match kind {
            Kind::Settings { pass, .. } => file.passes.push(pass),
            Kind::Element(element) if element.is("servicing") => file.servicing = Some(element),
            Kind::Element(element) => file.others.push(element),
            Kind::Root | Kind::Component(_) => self.closed = true,
        }
    }

    /// Text, as far as its place can have any.
    fn content(&mut self, offset: u64, text: &str, explicit: bool) -> Result<(), AnswerFileError> {
        let blank = !explicit && text.chars().all(is_blank);
        match self.open.last_mut() {
            Some(Open { kind: Kind::Element(_), text: whole, explicit: was, .. }) => {
                whole.push_str(text);
                *was |= explicit && !text.is_empty();
                Ok(())
            }
            _ if blank => Ok(()),
            None => Err(self.fail(offset, "text outside the root element", "")),
            Some(_) => {
                let before = text.len() - text.trim_start_matches(is_blank).len();
                let cause = "text where only elements can be";
                let help = "take it out, or make it a comment";
                Err(self.fail(offset + before as u64, cause, help))
            }
        }
    }

    fn root(
        &mut self,
        offset: u64,
        namespace: &Namespace,
        name: &str,
    ) -> Result<(), AnswerFileError> {
        let help =
            r#"an answer file begins with <unattend xmlns="urn:schemas-microsoft-com:unattend">"#;
        if self.closed {
            let cause = format!("`<{name}>` stands behind the root element");
            return Err(self.fail(offset, cause, ""));
        }
        if name != "unattend" {
            let cause = format!("the root element is `{name}`, not `unattend`");
            return Err(self.fail(offset, cause, help));
        }
        match namespace {
            Namespace::Unattend => Ok(()),
            Namespace::None => Err(self.fail(offset, "the root element has no namespace", help)),
            Namespace::Configuration => {
                Err(self.fail(offset, format!("unknown namespace `{CONFIGURATION}`"), help))
            }
            Namespace::Xml => Err(self.fail(offset, format!("unknown namespace `{XML}`"), help)),
            Namespace::Other(other) => {
                Err(self.fail(offset, format!("unknown namespace `{other}`"), help))
            }
        }
    }

    fn settings(
        &mut self,
        offset: u64,
        mut attributes: Vec<Attribute>,
    ) -> Result<Pass, AnswerFileError> {
        let Some(written) = take(&mut attributes, "pass") else {
            return Err(self.fail(offset, "`<settings>` without `pass`", &passes()));
        };
        let Some(name) = PassName::of(&written) else {
            return Err(self.fail(offset, format!("`{written}` is not a pass"), &passes()));
        };
        if self.file.as_ref().is_some_and(|file| file.pass(name).is_some()) {
            let cause = format!("the pass `{name}` is given twice");
            return Err(self.fail(offset, cause, "put its components into one <settings>"));
        }
        let written = Some(written).filter(|written| written != name.name());
        Ok(Pass { written, attributes, place: self.place(offset), ..Pass::new(name) })
    }

    fn component(
        &mut self,
        offset: u64,
        mut attributes: Vec<Attribute>,
    ) -> Result<Component, AnswerFileError> {
        let names = ["name", "processorArchitecture", "publicKeyToken", "language"];
        let mut identity: [String; 4] = Default::default();
        for (field, name) in identity.iter_mut().zip(names) {
            match take(&mut attributes, name) {
                Some(found) if !found.is_empty() => *field = found,
                _ => {
                    let cause = format!("`<component>` without `{name}`");
                    let help = "a component has name, processorArchitecture, publicKeyToken, language and versionScope";
                    return Err(self.fail(offset, cause, help));
                }
            }
        }
        let folded = identity.each_ref().map(|field| field.to_lowercase());
        let [name, _, public_key_token, language] = identity;
        let architecture = folded[1].clone();
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            let cause = format!("{name}: `{architecture}` is not an architecture");
            return Err(self.fail(offset, cause, "write x86, amd64, arm, arm64 or wow64"));
        }
        let token = &public_key_token;
        if token.len() != 16 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let cause = format!("{name}: the public key token is not 16 hexadecimal digits");
            return Err(self.fail(offset, cause, "that of Windows is 31bf3856ad364e35"));
        }
        if let Some(Open { kind: Kind::Settings { pass, seen }, .. }) = self.open.last_mut()
            && !seen.insert(folded)
        {
            let cause =
                format!("{name} ({architecture}) is given twice in the pass `{}`", pass.name);
            return Err(self.fail(offset, cause, "put its settings into one <component>"));
        }
        Ok(Component {
            name,
            architecture,
            public_key_token,
            language,
            version_scope: take(&mut attributes, "versionScope"),
            attributes,
            settings: Vec::new(),
            place: self.place(offset),
        })
    }

    /// Attributes; declarations of namespaces are none.
    fn attributes(
        &mut self,
        offset: u64,
        element: &BytesStart<'_>,
        reader: &NsReader<&[u8]>,
    ) -> Result<Vec<Attribute>, AnswerFileError> {
        let mut found: Vec<Attribute> = Vec::new();
        let mut seen = BTreeSet::new();
        for (count, attribute) in element.attributes().enumerate() {
            if count == MAX_ATTRIBUTES {
                let cause = format!("more than {MAX_ATTRIBUTES} attributes");
                return Err(self.fail(offset, cause, ""));
            }
            let attribute = attribute
                .map_err(|error| self.fail(offset, format!("not well-formed XML: {error}"), ""))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| self.fail(offset, format!("not well-formed XML: {error}"), ""))?;
            if !value.chars().all(is_allowed) {
                let cause = "not well-formed XML: a control character";
                return Err(self.fail(offset, cause, "take it out"));
            }
            let written: &str = attribute.key.as_ref();
            if written == "xmlns" || written.starts_with("xmlns:") {
                self.declarations += 1;
                if self.declarations > MAX_DECLARATIONS {
                    let cause = format!("more than {MAX_DECLARATIONS} declarations of namespaces");
                    return Err(self.fail(offset, cause, ""));
                }
                continue;
            }
            self.check_name(offset, written)?;
            let (resolved, name) = reader.resolver().resolve_attribute(attribute.key);
            let namespace = match resolved {
                ResolveResult::Bound(namespace) => self.namespace(offset, Some(namespace.0))?,
                ResolveResult::Unbound => Namespace::None,
                ResolveResult::Unknown(_) => {
                    let cause = format!("the prefix of `{written}` is not declared");
                    let help =
                        r#"`wcm` is xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State""#;
                    return Err(self.fail(offset, cause, help));
                }
            };
            let namespace = match namespace {
                // A prefix for answer files' own namespace, which their attributes do not have.
                Namespace::Unattend => Namespace::None,
                other => other,
            };
            let name: &str = name.as_ref();
            if !seen.insert((namespace.clone(), name.to_owned())) {
                let cause = format!("not well-formed XML: the attribute `{written}` twice");
                return Err(self.fail(offset, cause, ""));
            }
            let value = value.into_owned();
            found.push(Attribute { namespace, name: name.to_owned(), value });
        }
        Ok(found)
    }

    fn namespace(&mut self, offset: u64, name: Option<&str>) -> Result<Namespace, AnswerFileError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Namespace::None) };
        if name.len() > MAX_NAMESPACE {
            let cause = format!("the name of a namespace has more than {MAX_NAMESPACE} bytes");
            return Err(self.fail(offset, cause, ""));
        }
        let name = quick_xml::escape::unescape(name)
            .map_err(|error| self.fail(offset, format!("not well-formed XML: {error}"), ""))?;
        if !name.chars().all(is_allowed) {
            let cause = "not well-formed XML: a control character";
            return Err(self.fail(offset, cause, "take it out"));
        }
        Ok(match name.as_ref() {
            name if NAMESPACES.contains(&name) => Namespace::Unattend,
            CONFIGURATION => Namespace::Configuration,
            XML => Namespace::Xml,
            other => Namespace::Other(self.kept(other)),
        })
    }

    /// The name of a namespace; one text for all elements that are in it.
    fn kept(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.namespaces.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.namespaces.insert(Arc::clone(&name));
        name
    }

    /// A name with at most one prefix, of characters that can be in names.
    fn check_name(&mut self, offset: u64, written: &str) -> Result<(), AnswerFileError> {
        let part = |part: &str| {
            part.starts_with(|first: char| first.is_alphabetic() || first == '_')
                && part.chars().all(|one| {
                    one.is_alphanumeric()
                        || matches!(one, '_' | '-' | '.')
                        || one > '\u{7f}' && !one.is_whitespace()
                })
        };
        let sound = match written.split_once(':') {
            Some((prefix, local)) => part(prefix) && part(local),
            None => part(written),
        };
        if sound {
            return Ok(());
        }
        let cause = format!("not well-formed XML: `{}` is not a name", written.escape_debug());
        Err(self.fail(offset, cause, ""))
    }

    /// Entities: characters by number, and the five that XML has.
    fn reference(
        &mut self,
        offset: u64,
        reference: &BytesRef<'_>,
    ) -> Result<char, AnswerFileError> {
        let name: &str = reference;
        let known = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => reference.resolve_char_ref().ok().flatten().filter(|one| is_allowed(*one)),
        };
        known.ok_or_else(|| {
            let cause = format!("not well-formed XML: `&{name};` is not defined");
            self.fail(offset, cause, "write `&amp;` for `&`")
        })
    }

    fn fail(&mut self, offset: u64, cause: impl Into<String>, help: &str) -> AnswerFileError {
        let place = Some(self.place(offset));
        AnswerFileError { place, cause: cause.into(), help: help.to_owned() }
    }

    /// Line and column, from 1.
    fn place(&mut self, offset: u64) -> Place {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let offset = self.text.floor_char_boundary(offset);
        if offset < self.cursor.offset {
            self.cursor = Cursor::default();
        }
        let between = &self.text[self.cursor.offset..offset];
        self.cursor.lines += between.matches('\n').count();
        match between.rsplit_once('\n') {
            Some((_, line)) => self.cursor.characters = line.chars().count(),
            None => self.cursor.characters += between.chars().count(),
        }
        self.cursor.offset = offset;
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Place { line: number(self.cursor.lines), column: number(self.cursor.characters) }
    }
}

/// Takes the attribute without prefix out.
fn take(attributes: &mut Vec<Attribute>, name: &str) -> Option<String> {
    let is =
        |attribute: &Attribute| attribute.namespace == Namespace::None && attribute.name == name;
    let position = attributes.iter().position(is)?;
    Some(attributes.remove(position).value)
}

fn passes() -> String {
    format!("the passes are {}", PassName::ALL.map(PassName::name).join(", "))
}
