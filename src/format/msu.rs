//! Update files (`.msu`): the answer file in them that says what is to be installed.
//!
//! An `.msu` is a cabinet or, since build 26100, a WIM, that holds packages and one answer file for Windows Setup: `unattend`, in it `servicing`, and there for each package
//! its identity and the file that holds it. Source: `facts/package-containers.md`, sections 1 and 2, and a real update.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use crate::base::malformed::Malformed;

const FORMAT: &str = "answer file of an update";
/// Deepest nesting accepted; real ones have 4 levels.
const DEPTH: usize = 64;

/// A package that an update says is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedPackage {
    /// Its package id: `Package_for_KB4528069~31bf3856ad364e35~amd64~~6.1.1.1`.
    pub id: String,
    /// Name of the file that holds it, without folder; empty when the answer file does not say.
    pub file: String,
}

/// The packages that the answer file `xml` installs; none when it is another document.
///
/// # Errors
/// When it is no XML.
pub fn wanted_packages(xml: &[u8]) -> Result<Vec<WantedPackage>, Malformed> {
    let (text, ..) = encoding_rs::UTF_8.decode(xml);
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut wanted: Vec<WantedPackage> = Vec::new();
    loop {
        let offset = reader.buffer_position();
        let malformed = |what: String| Malformed::new(FORMAT, what, offset);
        let event = reader.read_event().map_err(|error| malformed(error.to_string()))?;
        match event {
            Event::Start(element) => {
                if path.len() >= DEPTH {
                    return Err(malformed(format!("nested deeper than {DEPTH} elements")));
                }
                path.push(element.local_name().as_ref().to_owned());
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                let get = |name| attribute(&element, name).map_err(malformed);
                match names.as_slice() {
                    ["unattend", "servicing", "package"] if get("action")? == "install" => {
                        wanted.push(WantedPackage::default());
                    }
                    ["unattend", "servicing", "package", "assemblyIdentity"] => {
                        let language = get("language")?;
                        let language = if language == "neutral" { "" } else { &language };
                        let id = [
                            get("name")?.as_str(),
                            &get("publicKeyToken")?,
                            &get("processorArchitecture")?,
                            language,
                            &get("version")?,
                        ]
                        .join("~");
                        if let Some(package) = wanted.last_mut().filter(|it| it.id.is_empty()) {
                            package.id = id;
                        }
                    }
                    ["unattend", "servicing", "package", "source"] => {
                        let location = get("location")?;
                        let file = location.rsplit(['\\', '/']).next().unwrap_or_default();
                        if let Some(package) = wanted.last_mut().filter(|it| it.file.is_empty()) {
                            file.clone_into(&mut package.file);
                        }
                    }
                    _ => {}
                }
            }
            Event::End(_) => {
                path.pop();
            }
            Event::DocType(_) => return Err(malformed("document types are not accepted".into())),
            Event::Eof => return Ok(wanted),
            _ => {}
        }
    }
}

/// The value of an attribute; empty when there is none.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<String, String> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_ref() == name {
            let value = quick_xml::escape::unescape(&attribute.value);
            return value.map(|value| value.into_owned()).map_err(|error| error.to_string());
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_their_files_are_found() {
        let text = r#"<?xml version="1.0"?><unattend xmlns="urn:schemas-microsoft-com:unattend"><servicing>
<package action="install"><assemblyIdentity name="A" version="1.2.3.4" language="neutral" processorArchitecture="amd64" publicKeyToken="31bf"/>
<source location="%configsetroot%\a.CAB" /></package>
<package action="remove"><assemblyIdentity name="B"/></package>
<package action="install"><assemblyIdentity name="C" version="1" language="de-DE" processorArchitecture="x86" publicKeyToken="31bf"/></package>
</servicing></unattend>"#;
        let wanted = wanted_packages(text.as_bytes()).unwrap();
        let found: Vec<_> = wanted.iter().map(|one| (one.id.as_str(), one.file.as_str())).collect();
        assert_eq!(found, [("A~31bf~amd64~~1.2.3.4", "a.CAB"), ("C~31bf~x86~de-DE~1", "")]);
        assert_eq!(wanted_packages(b"<CompDB><package/></CompDB>").unwrap(), []);
        assert!(wanted_packages(b"<unattend></x>").is_err());
        assert!(wanted_packages(b"<!DOCTYPE x><unattend/>").is_err());
        assert!(wanted_packages("<a>".repeat(1000).as_bytes()).is_err());
    }
}
