//! Reads an answer file for what is wrong with it, with line and column.

use std::collections::BTreeSet;

use quick_xml::{
    events::{BytesStart, Event},
    name::ResolveResult,
    reader::NsReader,
};

/// Something wrong or odd in an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Line and column, from 1.
    pub(super) place: Option<(usize, usize)>,
    /// What it is.
    pub(super) cause: String,
    /// What to do about it.
    pub(super) help: String,
}

const NAMESPACES: [&str; 2] =
    ["urn:schemas-microsoft-com:unattend", "urn:schemas-microsoft-com:asm.v3"];
const PASSES: [&str; 7] = [
    "windowsPE",
    "offlineServicing",
    "generalize",
    "specialize",
    "auditSystem",
    "auditUser",
    "oobeSystem",
];
const ARCHITECTURES: [&str; 7] = ["x86", "amd64", "arm", "arm64", "ia64", "wow64", "msil"];
/// Deepest nesting accepted; real files stay below 20.
const DEEPEST: usize = 256;
const NOT_YET: &str = "apply it with DISM /Apply-Unattend to the built image, or write the settings as [registry], [services] or [files]";

/// A sound answer file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Checked {
    /// What is odd about it.
    pub(super) warnings: Vec<Finding>,
    /// Its components.
    pub(super) components: Vec<Component>,
}

/// A component of an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    /// Its name.
    pub(super) name: String,
    /// The architecture it is for, in lower case.
    pub(super) architecture: String,
    /// Line and column, from 1.
    pub(super) place: (usize, usize),
}

/// Checks an answer file; gives what is odd about it, and its components.
///
/// # Errors
/// The first thing that makes it no answer file, or one that cannot be honoured.
pub(super) fn check_answer_file(bytes: &[u8]) -> Result<Checked, Finding> {
    let (text, encoding) = decode(bytes)?;
    let mut checker = Checker {
        text: &text,
        encoding,
        names: Vec::new(),
        passes: BTreeSet::new(),
        components: BTreeSet::new(),
        pass: String::new(),
        found: Checked::default(),
        root_seen: false,
    };
    checker.run()?;
    Ok(checker.found)
}

/// UTF-8, with or without byte order mark, or UTF-16 with one.
fn decode(bytes: &[u8]) -> Result<(String, &'static str), Finding> {
    let (encoding, skip) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    let (text, damaged) = encoding.decode_without_bom_handling(&bytes[skip..]);
    if damaged {
        let cause = format!("it is not {} text", encoding.name());
        let help = "save it as UTF-8".to_owned();
        return Err(Finding { place: None, cause, help });
    }
    Ok((text.into_owned(), encoding.name()))
}

/// A file being checked.
struct Checker<'a> {
    text: &'a str,
    /// What the bytes are: `UTF-8`, `UTF-16LE`, `UTF-16BE`.
    encoding: &'static str,
    /// Local names of the open elements.
    names: Vec<String>,
    passes: BTreeSet<String>,
    /// Identities of the components of the current pass.
    components: BTreeSet<[String; 4]>,
    pass: String,
    found: Checked,
    root_seen: bool,
}

impl Checker<'_> {
    fn run(&mut self) -> Result<(), Finding> {
        let control = |character: char| character < ' ' && !"\t\r\n".contains(character);
        if let Some(offset) = self.text.find(control) {
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
                    (Some(namespace.0.to_owned()), event)
                }
                Ok((ResolveResult::Unbound, event)) => (None, event),
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
                    let attributes = element.attributes().flatten();
                    let undeclared = attributes.map(|attribute| attribute.key).find(|key| {
                        let (found, _) = reader.resolver().resolve_attribute(*key);
                        matches!(found, ResolveResult::Unknown(_))
                    });
                    if let Some(key) = undeclared {
                        let cause = format!("the prefix of `{}` is not declared", key.as_ref());
                        let help = r#"`wcm` is xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State""#;
                        return Err(self.fail(start, cause, help));
                    }
                    self.start(start, namespace.as_deref(), &element)?;
                }
                Event::Decl(_) => self.declaration(start, reader.buffer_position())?,
                Event::End(_) => {
                    self.names.pop();
                }
                Event::GeneralRef(reference) => self.reference(start, &reference)?,
                Event::Text(text) if self.names.is_empty() && !text.trim().is_empty() => {
                    return Err(self.fail(start, "text outside the root element", ""));
                }
                Event::CData(_) if self.names.is_empty() => {
                    return Err(self.fail(start, "text outside the root element", ""));
                }
                Event::Text(text) if self.names.len() < 3 && !text.trim().is_empty() => {
                    let cause = "text where only elements can be";
                    return Err(self.fail(start, cause, "take it out, or make it a comment"));
                }
                Event::DocType(_) => {
                    let cause = "a document type declaration, which an answer file does not have";
                    return Err(self.fail(start, cause, "take it out"));
                }
                Event::Eof => break,
                _ => {}
            }
        }
        match self.names.last() {
            Some(open) => {
                let cause =
                    format!("not well-formed XML: `{open}` is not closed at the end of the file");
                Err(self.fail(self.text.len() as u64, cause, ""))
            }
            None if !self.root_seen => Err(self.fail(0, "it is empty", "")),
            None => Ok(()),
        }
    }

    /// The XML declaration: at the very start, and true about the encoding.
    fn declaration(&self, start: u64, end: u64) -> Result<(), Finding> {
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
        namespace: Option<&str>,
        element: &BytesStart<'_>,
    ) -> Result<(), Finding> {
        let written: &str = element;
        if written.contains('<') {
            return Err(self.fail(offset, "not well-formed XML: `<` inside a tag", ""));
        }
        let attributes = self.attributes(offset, element)?;
        let name = element.local_name().as_ref().to_owned();
        let known = namespace.is_some_and(|namespace| NAMESPACES.contains(&namespace));
        let above: Vec<&str> = self.names.iter().map(String::as_str).collect();
        match above.as_slice() {
            [] => self.root(offset, namespace, &name)?,
            ["unattend"] if known && name == "settings" => self.settings(offset, &attributes)?,
            ["unattend"] if known && name == "servicing" => {
                let cause = "`<servicing>` cannot be applied to the image yet";
                return Err(self.fail(offset, cause, NOT_YET));
            }
            ["unattend"] if known => {
                let cause = format!("`<{name}>` is not known here");
                return Err(self.fail(offset, cause, "an answer file holds <settings> elements"));
            }
            ["unattend", "settings"] if known && name == "component" => {
                self.component(offset, &attributes)?;
            }
            ["unattend", "settings"] if known => {
                let cause = format!("`<{name}>` is not known here");
                return Err(self.fail(offset, cause, "<settings> holds <component> elements"));
            }
            _ => {}
        }
        if self.names.len() >= DEEPEST {
            return Err(self.fail(offset, format!("nested deeper than {DEEPEST} levels"), ""));
        }
        self.names.push(name);
        Ok(())
    }

    fn root(&mut self, offset: u64, namespace: Option<&str>, name: &str) -> Result<(), Finding> {
        let help =
            r#"an answer file begins with <unattend xmlns="urn:schemas-microsoft-com:unattend">"#;
        if std::mem::replace(&mut self.root_seen, true) {
            let cause = format!("`<{name}>` stands behind the root element");
            return Err(self.fail(offset, cause, ""));
        }
        if name != "unattend" {
            return Err(self.fail(
                offset,
                format!("the root element is `{name}`, not `unattend`"),
                help,
            ));
        }
        match namespace {
            Some(namespace) if NAMESPACES.contains(&namespace) => Ok(()),
            Some(other) => Err(self.fail(offset, format!("unknown namespace `{other}`"), help)),
            None => Err(self.fail(offset, "the root element has no namespace", help)),
        }
    }

    fn settings(&mut self, offset: u64, attributes: &[(String, String)]) -> Result<(), Finding> {
        self.components.clear();
        let Some(pass) = value(attributes, "pass") else {
            return Err(self.fail(offset, "`<settings>` without `pass`", &passes()));
        };
        let Some(known) = PASSES.iter().find(|known| known.eq_ignore_ascii_case(pass)) else {
            return Err(self.fail(offset, format!("`{pass}` is not a pass"), &passes()));
        };
        if known != &pass {
            let cause = format!("the pass is written `{pass}`, its name is `{known}`");
            self.warn(offset, cause, "Setup may not find it");
        }
        if !self.passes.insert((*known).to_owned()) {
            let cause = format!("the pass `{known}` is given twice");
            return Err(self.fail(offset, cause, "put its components into one <settings>"));
        }
        if value(attributes, "wasPassProcessed").is_some_and(|was| was.eq_ignore_ascii_case("true"))
        {
            let cause = format!("the pass `{known}` is marked as processed: Setup will skip it");
            self.warn(offset, cause, "this is a copy that Setup kept; take `wasPassProcessed` out");
        }
        (*known).clone_into(&mut self.pass);
        Ok(())
    }

    fn component(&mut self, offset: u64, attributes: &[(String, String)]) -> Result<(), Finding> {
        if self.pass == "offlineServicing" {
            let cause = "the pass `offlineServicing` cannot be applied to the image yet";
            return Err(self.fail(offset, cause, NOT_YET));
        }
        let mut identity: [String; 4] = Default::default();
        let names = ["name", "processorArchitecture", "publicKeyToken", "language"];
        for (field, name) in identity.iter_mut().zip(names) {
            match value(attributes, name) {
                Some(found) if !found.is_empty() => found.to_lowercase().clone_into(field),
                _ => {
                    let cause = format!("`<component>` without `{name}`");
                    let help = "a component has name, processorArchitecture, publicKeyToken, language and versionScope";
                    return Err(self.fail(offset, cause, help));
                }
            }
        }
        let [name, architecture, token, _] = &identity;
        let shown = value(attributes, "name").unwrap_or(name);
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            let cause = format!("{shown}: `{architecture}` is not an architecture");
            return Err(self.fail(offset, cause, "write x86, amd64, arm, arm64 or wow64"));
        }
        if token.len() != 16 || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let cause = format!("{shown}: the public key token is not 16 hexadecimal digits");
            return Err(self.fail(offset, cause, "that of Windows is 31bf3856ad364e35"));
        }
        match value(attributes, "versionScope") {
            Some(scope) if scope.eq_ignore_ascii_case("nonSxS") => {}
            _ => {
                let cause = format!("{shown}: `versionScope` is not `nonSxS`");
                self.warn(offset, cause, "Setup may skip the component");
            }
        }
        self.found.components.push(Component {
            name: shown.to_owned(),
            architecture: architecture.clone(),
            place: self.place(offset),
        });
        if !self.components.insert(identity.clone()) {
            let cause =
                format!("{shown} ({architecture}) is given twice in the pass `{}`", self.pass);
            return Err(self.fail(offset, cause, "put its settings into one <component>"));
        }
        Ok(())
    }

    /// Attributes by local name; the `xmlns` declarations are none.
    fn attributes(
        &self,
        offset: u64,
        element: &BytesStart<'_>,
    ) -> Result<Vec<(String, String)>, Finding> {
        let mut found = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute
                .map_err(|error| self.fail(offset, format!("not well-formed XML: {error}"), ""))?;
            let value = attribute
                .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                .map_err(|error| self.fail(offset, format!("not well-formed XML: {error}"), ""))?;
            found.push((attribute.key.as_ref().to_owned(), value.into_owned()));
        }
        Ok(found)
    }

    /// Entities: characters by number, and the five that XML has.
    fn reference(
        &self,
        offset: u64,
        reference: &quick_xml::events::BytesRef<'_>,
    ) -> Result<(), Finding> {
        let name: &str = reference;
        let known = if reference.is_char_ref() {
            matches!(reference.resolve_char_ref(), Ok(Some(_)))
        } else {
            matches!(name, "lt" | "gt" | "amp" | "apos" | "quot")
        };
        if known {
            return Ok(());
        }
        let cause = format!("not well-formed XML: `&{name};` is not defined");
        Err(self.fail(offset, cause, "write `&amp;` for `&`"))
    }

    fn warn(&mut self, offset: u64, cause: impl Into<String>, help: &str) {
        let finding = self.fail(offset, cause, help);
        self.found.warnings.push(finding);
    }

    fn fail(&self, offset: u64, cause: impl Into<String>, help: &str) -> Finding {
        let place = Some(self.place(offset));
        Finding { place, cause: cause.into(), help: help.to_owned() }
    }

    /// Line and column, from 1.
    fn place(&self, offset: u64) -> (usize, usize) {
        let mut offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
        (line, column)
    }
}

fn value<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn passes() -> String {
    format!("the passes are {}", PASSES.join(", "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPONENT: &str = r#"<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><ComputerName>a &amp; b &#65;</ComputerName></component>"#;

    fn file(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">\n{inside}\n</unattend>\n"
        )
    }

    fn check(text: &str) -> Result<Vec<Finding>, Finding> {
        check_answer_file(text.as_bytes()).map(|checked| checked.warnings)
    }

    #[test]
    fn what_xml_readers_of_windows_refuse_is_refused() {
        let settings = format!("<settings pass=\"specialize\">{COMPONENT}</settings>");
        let sound = file(&settings);
        let with_action = COMPONENT.replace("<ComputerName>", "<ComputerName wcm:action=\"add\">");
        for (text, expected) in [
            (format!(" {sound}"), "not at the very start"),
            (sound.replace("utf-8", "utf-16"), "declares the encoding `utf-16`"),
            (sound.replace("utf-8", "windows-1252"), "declares the encoding"),
            (
                file(&format!("<settings pass=\"specialize\">{with_action}</settings>")),
                "wcm:action",
            ),
            (file(&format!("stray {settings}")), "text where only elements can be"),
            (file(&settings.replace("</settings>", "stray</settings>")), "text where only"),
        ] {
            let found = check(&text).unwrap_err();
            assert!(found.cause.contains(expected), "{expected}: {found:?}");
            assert!(found.place.is_some(), "{found:?}");
        }
        let ampersand = check(&file(&settings.replace("&amp;", "&"))).unwrap_err();
        assert!(ampersand.help.contains("&amp;"), "{ampersand:?}");
    }

    #[test]
    fn a_sound_file_passes_in_every_encoding() {
        let text = file(&format!(
            "<settings pass=\"specialize\">{COMPONENT}</settings><settings pass=\"offlineServicing\"/>\
             <cpi:offlineImage xmlns:cpi=\"urn:schemas-microsoft-com:cpi\" cpi:source=\"x\"/>"
        ));
        assert_eq!(check(&text), Ok(Vec::new()));
        let mut utf16 = vec![0xff, 0xfe];
        let declared = text.replace("utf-8", "utf-16");
        utf16.extend(declared.encode_utf16().flat_map(u16::to_le_bytes));
        let checked = check_answer_file(&utf16).unwrap();
        assert_eq!((checked.warnings.len(), checked.components.len()), (0, 1));
        assert_eq!(checked.components[0].architecture, "amd64");
        assert_eq!(check(&format!("\u{feff}{text}")), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let pass =
            |inside: &str| file(&format!("<settings pass=\"specialize\">{inside}</settings>"));
        let twice = format!("{COMPONENT}{COMPONENT}");
        let cases = [
            (pass("<component"), "not well-formed XML"),
            (pass("</component>"), "not well-formed XML"),
            (file("<settings pass=\"specialize\">"), "not well-formed XML"),
            (pass("<component name=\"a\" name=\"b\"/>"), "not well-formed XML"),
            (pass(&COMPONENT.replace("&amp;", "&")), "not well-formed XML"),
            (pass(&COMPONENT.replace("&amp;", "&nbsp;")), "`&nbsp;` is not defined"),
            (file("<settings/>"), "`<settings>` without `pass`"),
            (file("<settings pass=\"later\"/>"), "`later` is not a pass"),
            (file("<settings pass=\"generalize\"/><settings pass=\"generalize\"/>"), "given twice"),
            (file("<servicing/>"), "`<servicing>` cannot be applied"),
            (file("<setting pass=\"generalize\"/>"), "`<setting>` is not known here"),
            (pass("<Component/>"), "`<Component>` is not known here"),
            (pass("<component/>"), "`<component>` without `name`"),
            (pass(&COMPONENT.replace("amd64", "x64")), "`x64` is not an architecture"),
            (pass(&COMPONENT.replace("31bf", "31b")), "public key token"),
            (pass(&twice), "is given twice in the pass `specialize`"),
            (pass(COMPONENT).replace("specialize", "offlineServicing"), "cannot be applied"),
            ("<unattend/>".to_owned(), "the root element has no namespace"),
            (file("").replace("unattend", "answer"), "the root element is `answer`"),
            (file("") + "<more/>", "stands behind the root element"),
            (String::new(), "it is empty"),
            (format!("<!DOCTYPE x>{}", file("").split_once('\n').unwrap().1), "document type"),
            ("just text".to_owned(), "text outside"),
        ];
        for (text, cause) in cases {
            let finding = check(&text).expect_err(&text);
            assert!(finding.cause.contains(cause), "{finding:?} for {text}");
            assert!(finding.place.is_some());
        }
        let finding = check(&file("  <settings pass=\"later\"/>")).unwrap_err();
        assert_eq!(finding.place, Some((3, 3)));
    }

    #[test]
    fn odd_things_are_warned_of() {
        let text = file(&format!(
            "<settings pass=\"OOBESystem\" wasPassProcessed=\"true\">{}</settings>",
            COMPONENT.replace(" versionScope=\"nonSxS\"", "")
        ));
        let causes: Vec<String> =
            check(&text).unwrap().into_iter().map(|finding| finding.cause).collect();
        assert_eq!(causes.len(), 3, "{causes:?}");
        assert!(causes[0].contains("`oobeSystem`") && causes[1].contains("skip it"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[<>/&;a-c\"'= \\n!?é-]{0,80}") {
            drop(check(&file(&text)));
            drop(check(&text));
        }
    }
}
