//! `ProgramData\Microsoft\Windows\AppxProvisioning.xml`: which apps each new user gets.
//!
//! ```xml
//! <Provisioned xmlns="http://schemas.microsoft.com/appx/2013/appxprovisionpackage">
//!   <Package FullName="Microsoft.BingNews_4.2.27001.0_neutral_~_8wekyb3d8bbwe" PackageType="bundle" ProvisionSourceIsBundle="true"/>
//!   <EndOfLife><Package FamilyName="..."/></EndOfLife>
//! </Provisioned>
//! ```
//!
//! Known from public readers of the file. What is taken out is cut out of the text; everything else stays byte for byte.

use std::{borrow::Cow, ops::Range};

use encoding_rs::{UTF_16BE, UTF_16LE};
use quick_xml::{Reader, XmlVersion, events::Event};

use super::name::FullName;

/// Largest file accepted, in bytes; real ones have some KiB.
const LARGEST: usize = 4 << 20;
/// Deepest nesting accepted; the format has three levels.
const DEEPEST: usize = 16;

/// The file, and where its packages stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Provisioning {
    text: String,
    encoding: Encoding,
    /// Its packages, in order.
    pub(super) packages: Vec<Package>,
}

/// An entry of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// Which package.
    pub(super) full: FullName,
    /// `bundle`, `main`, `resource` ...
    pub(super) kind: Option<String>,
    /// Other attributes, in order.
    pub(super) others: Vec<(String, String)>,
    /// Where it stands in the text.
    place: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8 { mark: bool },
    Utf16 { little: bool },
}

impl Provisioning {
    /// Reads the file.
    ///
    /// # Errors
    /// What makes it no such file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LARGEST {
            return Err(format!("it has {} bytes", bytes.len()));
        }
        let (text, encoding) = decode(bytes)?;
        let packages = read(&text)?;
        Ok(Self { text, encoding, packages })
    }

    /// The file without the packages that are not wanted; `None` when all stay.
    pub(super) fn without(&self, unwanted: impl Fn(&FullName) -> bool) -> Option<Vec<u8>> {
        let mut text = String::with_capacity(self.text.len());
        let mut end = 0;
        for package in self.packages.iter().filter(|package| unwanted(&package.full)) {
            text.push_str(self.text.get(end..package.place.start)?);
            end = package.place.end;
        }
        if end == 0 {
            return None;
        }
        text.push_str(self.text.get(end..)?);
        Some(self.encoding.encode(&text))
    }
}

impl Encoding {
    fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 { mark: false } => text.as_bytes().to_vec(),
            Self::Utf8 { mark: true } => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            Self::Utf16 { little } => std::iter::once(0xfeff)
                .chain(text.encode_utf16())
                .flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() })
                .collect(),
        }
    }
}

fn decode(bytes: &[u8]) -> Result<(String, Encoding), String> {
    let utf16 = |rest: &[u8], little| {
        let encoding = if little { UTF_16LE } else { UTF_16BE };
        encoding
            .decode_without_bom_handling_and_without_replacement(rest)
            .map(Cow::into_owned)
            .map(|text| (text, Encoding::Utf16 { little }))
            .ok_or_else(|| format!("it is not {}", encoding.name()))
    };
    let utf8 = |rest: &[u8], mark| {
        String::from_utf8(rest.to_vec())
            .map(|text| (text, Encoding::Utf8 { mark }))
            .map_err(|_| "it is neither UTF-8 nor UTF-16 with a mark".to_owned())
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, true),
        [0xfe, 0xff, rest @ ..] => utf16(rest, false),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest, true),
        rest => utf8(rest, false),
    }
}

/// The packages directly below the root.
fn read(text: &str) -> Result<Vec<Package>, String> {
    let mut reader = Reader::from_str(text);
    let mut packages: Vec<Package> = Vec::new();
    let mut depth = 0_usize;
    // The entry that is open, with its place in `packages`.
    let mut open: Option<usize> = None;
    let mut root_seen = false;
    loop {
        let start = place(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            let line = line_of(text, place(reader.error_position()));
            format!("line {line}: {error}")
        })?;
        let end = place(reader.buffer_position());
        match event {
            Event::Start(tag) | Event::Empty(tag) if depth == 0 => {
                if tag.local_name().as_ref() != "Provisioned" || root_seen {
                    let line = line_of(text, start);
                    return Err(format!("line {line}: the root element is not <Provisioned>"));
                }
                root_seen = true;
                // An empty root closes at once, and there is nothing more to read.
                depth = usize::from(text.get(start..end).is_some_and(|tag| !tag.ends_with("/>")));
            }
            Event::Start(tag) => {
                if depth == 1 && tag.local_name().as_ref() == "Package" {
                    open = package(&tag, start..end, text)?.map(|package| {
                        packages.push(package);
                        packages.len() - 1
                    });
                }
                depth += 1;
                if depth > DEEPEST {
                    return Err(format!("nested deeper than {DEEPEST} elements"));
                }
            }
            Event::Empty(tag) if depth == 1 && tag.local_name().as_ref() == "Package" => {
                packages.extend(package(&tag, start..end, text)?);
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                if depth == 1
                    && let Some(open) = open.take()
                {
                    packages[open].place.end = end;
                }
            }
            Event::DocType(_) => return Err("it has a document type".to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    match (root_seen, depth) {
        (true, 0) => Ok(packages),
        (true, _) => Err("it ends before its root element does".to_owned()),
        (false, _) => Err("it has no element".to_owned()),
    }
}

/// The entry of a tag; `None` when it names no package.
fn package(
    tag: &quick_xml::events::BytesStart<'_>,
    place: Range<usize>,
    text: &str,
) -> Result<Option<Package>, String> {
    let (mut full, mut kind, mut others) = (None, None, Vec::new());
    for attribute in tag.attributes() {
        let fail = |error: String| format!("line {}: {error}", line_of(text, place.start));
        let attribute = attribute.map_err(|error| fail(error.to_string()))?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| fail(error.to_string()))?;
        let name: &str = attribute.key.local_name().into_inner();
        match name {
            "FullName" => full = FullName::parse(&value),
            "PackageType" => kind = Some(value.into_owned()),
            name => others.push((name.to_owned(), value.into_owned())),
        }
    }
    Ok(full.map(|full| Package { full, kind, others, place }))
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "A.News_4.2.0.0_neutral_~_8wekyb3d8bbwe";
    const TWO: &str = "A.Weather_1.0.0.0_x64__8wekyb3d8bbwe";

    fn file() -> String {
        format!(
            "<?xml version=\"1.0\"?><Provisioned xmlns=\"http://schemas.microsoft.com/appx/2013/appxprovisionpackage\">\
             <Package FullName=\"{ONE}\" PackageType=\"bundle\" ProvisionSourceIsBundle=\"true\"/>\
             <Package FullName=\"{TWO}\" PackageType=\"main\"><Region>US</Region></Package>\
             <EndOfLife><Package FamilyName=\"B_8wekyb3d8bbwe\"/></EndOfLife></Provisioned>"
        )
    }

    #[test]
    fn a_package_is_cut_out_and_the_rest_stays() {
        let text = file();
        let read = Provisioning::parse(text.as_bytes()).unwrap();
        let names: Vec<String> = read.packages.iter().map(|one| one.full.to_string()).collect();
        assert_eq!(names, [ONE, TWO]);
        assert_eq!(read.packages[0].kind.as_deref(), Some("bundle"));
        assert_eq!(read.packages[0].others[0].0, "ProvisionSourceIsBundle");
        let without = read.without(|full| full.name == "A.Weather").unwrap();
        let cut = format!(
            "<Package FullName=\"{TWO}\" PackageType=\"main\"><Region>US</Region></Package>"
        );
        assert_eq!(String::from_utf8(without).unwrap(), text.replace(&cut, ""));
        assert_eq!(read.without(|_| false), None);
        let none = read.without(|_| true).unwrap();
        assert!(Provisioning::parse(&none).unwrap().packages.is_empty());
    }

    #[test]
    fn every_encoding_comes_back_as_it_was() {
        let text = file();
        let utf16 = Encoding::Utf16 { little: true }.encode(&text);
        for bytes in [text.as_bytes().to_vec(), [b"\xef\xbb\xbf", text.as_bytes()].concat(), utf16]
        {
            let read = Provisioning::parse(&bytes).unwrap();
            assert_eq!(read.encoding.encode(&read.text), bytes);
            assert_eq!(read.packages.len(), 2);
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        for text in [
            "",
            "x",
            "<a/>",
            "<Provisioned>",
            "<Provisioned/><Provisioned/>",
            "\u{feff}<",
            "<!DOCTYPE x><Provisioned/>",
        ] {
            assert!(Provisioning::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Provisioning::parse(b"<Provisioned/>").unwrap().packages.is_empty());
        let odd = b"<Provisioned><Package FullName='x'/><Package/></Provisioned>";
        assert!(Provisioning::parse(odd).unwrap().packages.is_empty());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            drop(Provisioning::parse(text.as_bytes()));
            drop(Provisioning::parse(format!("<Provisioned>{text}</Provisioned>").as_bytes()));
        }
    }
}
