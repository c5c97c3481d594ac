//! The serialiser: UTF-8 without mark, CRLF, two blanks for each level, the same bytes for the same model.

use std::sync::Arc;

use super::{
    model::{AnswerFile, Attribute, Component, Element, Namespace, Pass},
    read::{CONFIGURATION, NAMESPACES},
};

/// Prefixes that people know namespaces of others by.
const PREFIXES: [(&str, &str); 2] = [
    ("cpi", "urn:schemas-microsoft-com:cpi"),
    ("xsi", "http://www.w3.org/2001/XMLSchema-instance"),
];

impl AnswerFile {
    /// The file as text: passes and components as they stand in the model (see [`AnswerFile::sort`]), lines ended by CRLF.
    ///
    /// Characters that XML cannot hold, which the reader never gives, become U+FFFD.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut writer = Writer { text: String::new(), others: Vec::new(), depth: 0 };
        writer.gather(&self.attributes, self.servicing.iter().chain(&self.others));
        for pass in &self.passes {
            writer.gather(&pass.attributes, &pass.others);
            for component in &pass.components {
                writer.gather(&component.attributes, &component.settings);
            }
        }
        writer.file(self);
        writer.text
    }
}

struct Writer {
    text: String,
    /// Namespaces of others, in the order in which they are met; the position makes the prefix.
    others: Vec<Arc<str>>,
    depth: usize,
}

impl Writer {
    fn gather<'a>(
        &mut self,
        attributes: &[Attribute],
        elements: impl IntoIterator<Item = &'a Element>,
    ) {
        for attribute in attributes {
            self.meet(&attribute.namespace);
        }
        for element in elements {
            self.meet(&element.namespace);
            self.gather(&element.attributes, &element.children);
        }
    }

    fn meet(&mut self, namespace: &Namespace) {
        if let Namespace::Other(name) = namespace
            && !self.others.contains(name)
        {
            self.others.push(name.clone());
        }
    }

    fn file(&mut self, file: &AnswerFile) {
        self.text.push_str("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<unattend xmlns=\"");
        self.text.push_str(NAMESPACES[0]);
        self.text.push_str("\" xmlns:wcm=\"");
        self.text.push_str(CONFIGURATION);
        self.text.push('"');
        for position in 0..self.others.len() {
            let name = self.others[position].clone();
            let prefix = self.prefix(&name);
            self.plain_attribute(&format!("xmlns:{prefix}"), &name);
        }
        self.attributes(&file.attributes);
        self.text.push_str(">\r\n");
        self.depth = 1;
        if let Some(element) = &file.servicing {
            self.element(element, true);
        }
        for pass in &file.passes {
            self.pass(pass);
        }
        for element in &file.others {
            self.element(element, true);
        }
        self.text.push_str("</unattend>\r\n");
    }

    fn pass(&mut self, pass: &Pass) {
        self.indent();
        self.text.push_str("<settings");
        self.plain_attribute("pass", pass.written.as_deref().unwrap_or_else(|| pass.name.name()));
        self.attributes(&pass.attributes);
        if pass.components.is_empty() && pass.others.is_empty() {
            self.text.push_str("/>\r\n");
            return;
        }
        self.text.push_str(">\r\n");
        self.depth += 1;
        for component in &pass.components {
            self.component(component);
        }
        for element in &pass.others {
            self.element(element, true);
        }
        self.depth -= 1;
        self.close("settings");
    }

    fn component(&mut self, component: &Component) {
        self.indent();
        self.text.push_str("<component");
        self.plain_attribute("name", &component.name);
        self.plain_attribute("processorArchitecture", &component.architecture);
        self.plain_attribute("publicKeyToken", &component.public_key_token);
        self.plain_attribute("language", &component.language);
        if let Some(scope) = &component.version_scope {
            self.plain_attribute("versionScope", scope);
        }
        self.attributes(&component.attributes);
        if component.settings.is_empty() {
            self.text.push_str("/>\r\n");
            return;
        }
        self.text.push_str(">\r\n");
        self.depth += 1;
        for element in &component.settings {
            self.element(element, true);
        }
        self.depth -= 1;
        self.close("component");
    }

    /// `default`: elements without prefix are answer files' own here, and not nobody's.
    fn element(&mut self, element: &Element, default: bool) {
        self.indent();
        let name = self.qualified(&element.namespace, &element.name);
        self.text.push('<');
        self.text.push_str(&name);
        let own = match element.namespace {
            Namespace::Unattend => true,
            Namespace::None => false,
            _ => default,
        };
        if own != default {
            self.plain_attribute("xmlns", if own { NAMESPACES[0] } else { "" });
        }
        self.attributes(&element.attributes);
        if element.is_empty() {
            self.text.push_str("/>\r\n");
            return;
        }
        self.text.push('>');
        if element.children.is_empty() {
            let blank = element.text.chars().all(is_blank);
            self.escape(&element.text, false, blank);
            self.text.push_str("</");
            self.text.push_str(&name);
            self.text.push_str(">\r\n");
            return;
        }
        self.escape(&element.text, false, false);
        self.text.push_str("\r\n");
        self.depth += 1;
        for child in &element.children {
            self.element(child, own);
        }
        self.depth -= 1;
        self.close(&name);
    }

    fn close(&mut self, name: &str) {
        self.indent();
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\r\n");
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
    }

    fn attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            let name = match attribute.namespace {
                Namespace::Unattend => attribute.name.clone(),
                _ => self.qualified(&attribute.namespace, &attribute.name),
            };
            self.plain_attribute(&name, &attribute.value);
        }
    }

    fn plain_attribute(&mut self, name: &str, value: &str) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.escape(value, true, false);
        self.text.push('"');
    }

    fn qualified(&self, namespace: &Namespace, name: &str) -> String {
        match namespace {
            Namespace::None | Namespace::Unattend => name.to_owned(),
            Namespace::Configuration => format!("wcm:{name}"),
            Namespace::Xml => format!("xml:{name}"),
            Namespace::Other(namespace) => format!("{}:{name}", self.prefix(namespace)),
        }
    }

    fn prefix(&self, namespace: &str) -> String {
        if let Some((prefix, _)) = PREFIXES.iter().find(|(_, known)| *known == namespace) {
            return (*prefix).to_owned();
        }
        let position = self.others.iter().position(|other| **other == *namespace);
        format!("ns{}", position.map_or(0, |position| position + 1))
    }

    /// `blank`: the text is white space alone, which only stays when it is written as numbers.
    fn escape(&mut self, text: &str, attribute: bool, blank: bool) {
        for character in text.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' if attribute => self.text.push_str("&quot;"),
                '\t' if attribute => self.text.push_str("&#9;"),
                '\n' if attribute => self.text.push_str("&#10;"),
                '\r' => self.text.push_str("&#13;"),
                character if blank => {
                    self.text.push_str("&#");
                    self.text.push_str(&u32::from(character).to_string());
                    self.text.push(';');
                }
                '\n' => self.text.push_str("\r\n"),
                character if is_allowed(character) => self.text.push(character),
                _ => self.text.push('\u{fffd}'),
            }
        }
    }
}

/// White space of XML.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// True for what an XML file may hold.
pub(super) fn is_allowed(character: char) -> bool {
    is_blank(character) || (character >= ' ' && !matches!(character, '\u{fffe}' | '\u{ffff}'))
}
