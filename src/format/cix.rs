//! Container indexes ("CIX"): what the files of an update are made of.
//!
//! An index lists the files of an expanded package. Each has its size, time and SHA-256, and one or more *deltas* it can be made with: a source (the
//! finished bytes, `RAW`, or a delta of the kind `PA30` or `PA19`) and what the delta is applied to, another file of the same index (`Basis`) or
//! nothing. The source is a member of the cabinet that the index lies in (`_manifest_.cix.xml`) or a range of a stream file
//! (`express.psf.cix.xml`, [`super::psf`]). Older stream files have a text in the style of `.ini` files: a section for each file, `full=offset,length`
//! for the finished bytes and `p0=offset,length` and so on for deltas of the oldest kind.
//! Nothing of this is published; source: `facts/package-containers.md`, sections 3 and 4, and a real update.

use std::{borrow::Cow, collections::BTreeSet};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::member_name;
use crate::base::{digest::from_hex, filetime::FileTime, malformed::Malformed};

/// Name of the index in a cabinet whose files are made of its own members.
pub const IN_CABINET: &str = "_manifest_.cix.xml";
/// Name of the index beside a stream file.
pub const BESIDE_STREAMS: &str = "express.psf.cix.xml";

const FORMAT: &str = "container index";
/// Deepest nesting accepted; real indexes have 6 levels.
const DEPTH: usize = 32;
/// Most files of an index. That of a cumulative update has some hundred thousand.
const MOST_FILES: usize = 1 << 20;
/// Longest path, in bytes; Windows has fewer characters in any.
const LONGEST_PATH: usize = 3 * 32767;
/// Characters of a wrong value that a message shows.
const SHOWN: usize = 80;
/// A delta whose basis is searched for in the running system (`DeltaBasisSearch`).
const OF_INSTALLED: &str = "PA30 (of an installed file)";

/// What a container says that its files are made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerIndex {
    /// Name of the container, as it was when it was made.
    pub name: String,
    /// `CAB` or `PSF`; empty in indexes that are no XML.
    pub kind: String,
    /// In the order of the index.
    pub files: Vec<IndexFile>,
}

/// A file of the expanded package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexFile {
    /// What [`FileDelta::basis`] calls it; empty when nothing does.
    pub id: String,
    /// The path with `\`; names that could lead out of a folder were refused.
    pub name: String,
    /// Size in bytes, where the index tells it.
    pub size: Option<u64>,
    /// Last write time.
    pub time: Option<FileTime>,
    /// SHA-256 of the content.
    pub sha256: Option<[u8; 32]>,
    /// The ways to make it, in the order of the index.
    pub deltas: Vec<FileDelta>,
}

/// One way to make a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDelta {
    /// What the source is.
    pub kind: SourceKind,
    /// Where the source is.
    pub place: SourcePlace,
    /// SHA-256 of the source's bytes.
    pub sha256: Option<[u8; 32]>,
    /// [`IndexFile::id`] of the file that the delta is applied to; nothing when there is none.
    pub basis: Option<String>,
}

/// What a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// The finished bytes.
    Raw,
    /// A delta ([`super::delta`]).
    Pa30,
    /// Something that is not read here, such as `PA19` or a delta of a file of the installed system, by its name.
    Other(String),
}

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePlace {
    /// A member of the same cabinet, with `\`.
    Member(String),
    /// Bytes of a stream file.
    Range {
        /// Offset of the first.
        offset: u64,
        /// How many.
        length: u64,
    },
}

/// Reads an index in either form.
///
/// # Errors
/// When it does not hold what the format demands, names a file twice, or has a name that leads out of a folder.
pub fn parse(bytes: &[u8]) -> Result<ContainerIndex, Malformed> {
    let text = text(bytes)?;
    let index =
        if text.trim_start().starts_with('<') { parse_xml(&text) } else { parse_ini(&text) }?;
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for file in &index.files {
        if !file.id.is_empty() && !ids.insert(file.id.as_str()) {
            let what = format!("gives the id {} to two files", file.id);
            return Err(Malformed::new(FORMAT, what, 0));
        }
        if !names.insert(file.name.to_lowercase()) {
            return Err(Malformed::new(FORMAT, format!("names the file {} twice", file.name), 0));
        }
    }
    Ok(index)
}

/// The text, whatever its encoding: UTF-8, or UTF-16 with a byte order mark.
fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    let (encoding, mark) = encoding_rs::Encoding::for_bom(bytes).unwrap_or((encoding_rs::UTF_8, 0));
    let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes[mark..]);
    text.ok_or_else(|| Malformed::new(FORMAT, format!("it is not {}", encoding.name()), 0))
}

fn parse_xml(text: &str) -> Result<ContainerIndex, Malformed> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    reader.config_mut().expand_empty_elements = true;
    let mut build = Build::default();
    loop {
        let offset = reader.buffer_position();
        let malformed = |what: String| Malformed::new(FORMAT, what, offset);
        let event = reader.read_event().map_err(|error| malformed(error.to_string()))?;
        match event {
            Event::Start(tag) => build.open(&tag).map_err(malformed)?,
            Event::End(_) => build.close().map_err(malformed)?,
            Event::DocType(_) => return Err(malformed("document types are not accepted".into())),
            Event::Eof if build.path.is_empty() && build.has_root => return Ok(build.index),
            Event::Eof => return Err(malformed("it ends too early".into())),
            _ => {}
        }
    }
}

/// What an element means; others are passed over, with all below them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Container,
    Files,
    File,
    Delta,
    Source,
    Hash,
    Basis,
    Search,
    Other,
}

/// An index that is being read.
#[derive(Default)]
struct Build {
    index: ContainerIndex,
    /// The open elements.
    path: Vec<Tag>,
    has_root: bool,
    /// The file whose element is open; the delta whose element is.
    file: IndexFile,
    delta: PartialDelta,
}

#[derive(Default)]
struct PartialDelta {
    source: Option<(SourceKind, SourcePlace)>,
    sha256: Option<[u8; 32]>,
    basis: Option<String>,
    /// The basis is a file of the running system.
    searched: bool,
}

impl Build {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        if self.path.len() >= DEPTH {
            return Err(format!("nested deeper than {DEPTH} elements"));
        }
        let name = element.local_name();
        let tag = match (self.path.last(), name.as_ref()) {
            (None, "Container") if !self.has_root => Tag::Container,
            (None, other) => return Err(format!("{other} is no container index")),
            (Some(Tag::Container), "Files") => Tag::Files,
            (Some(Tag::Files), "File") => Tag::File,
            (Some(Tag::File), "Delta") => Tag::Delta,
            (Some(Tag::Delta), "Source") => Tag::Source,
            (Some(Tag::Delta), "Basis") => Tag::Basis,
            (Some(Tag::Delta), "DeltaBasisSearch") => Tag::Search,
            (Some(Tag::File | Tag::Source), "Hash") => Tag::Hash,
            _ => Tag::Other,
        };
        let parent = self.path.last().copied();
        self.path.push(tag);
        match tag {
            Tag::Container => {
                self.has_root = true;
                self.index.name = attribute(element, "name")?.unwrap_or_default();
                self.index.kind = attribute(element, "type")?.unwrap_or_default();
            }
            Tag::File => self.file = file(element)?,
            Tag::Delta => self.delta = PartialDelta::default(),
            Tag::Source => self.delta.source = Some(source(element)?),
            Tag::Basis => self.delta.basis = attribute(element, "file")?,
            Tag::Hash => {
                if let Some(hash) = hash(element)? {
                    match parent {
                        Some(Tag::Source) => self.delta.sha256 = Some(hash),
                        _ => self.file.sha256 = Some(hash),
                    }
                }
            }
            Tag::Search => self.delta.searched = true,
            Tag::Files | Tag::Other => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        match self.path.pop() {
            Some(Tag::File) => push(&mut self.index.files, std::mem::take(&mut self.file))?,
            Some(Tag::Delta) => {
                let PartialDelta { source, sha256, basis, searched } =
                    std::mem::take(&mut self.delta);
                if let Some((mut kind, place)) = source {
                    if searched && basis.is_none() && kind == SourceKind::Pa30 {
                        kind = SourceKind::Other(OF_INSTALLED.to_owned());
                    }
                    self.file.deltas.push(FileDelta { kind, place, sha256, basis });
                }
            }
            Some(_) => {}
            None => return Err("an end tag without a start".to_owned()),
        }
        Ok(())
    }
}

fn push(files: &mut Vec<IndexFile>, file: IndexFile) -> Result<(), String> {
    if files.len() >= MOST_FILES {
        return Err(format!("it names more than {MOST_FILES} files"));
    }
    files.push(file);
    Ok(())
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.local_name().as_ref() == name {
            let value = quick_xml::escape::unescape(&attribute.value);
            return value.map(|value| Some(value.into_owned())).map_err(|error| error.to_string());
        }
    }
    Ok(None)
}

fn number(element: &BytesStart<'_>, name: &str) -> Result<Option<u64>, String> {
    let Some(text) = attribute(element, name)? else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| format!("{name} {} is no number", shown(&text)))
}

/// A wrong value in a message: its beginning, in quotes.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn path(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_PATH {
        return Err(format!("the name {} is longer than any path", shown(text)));
    }
    member_name::checked(text).map_err(|error| format!("the name {text:?} cannot be used: {error}"))
}

fn file(element: &BytesStart<'_>) -> Result<IndexFile, String> {
    let name = attribute(element, "name")?.ok_or("a file without a name")?;
    Ok(IndexFile {
        id: attribute(element, "id")?.unwrap_or_default(),
        name: path(&name)?,
        size: Some(number(element, "length")?.ok_or_else(|| format!("{name} has no length"))?),
        time: number(element, "time")?.map(FileTime),
        sha256: None,
        deltas: Vec::new(),
    })
}

fn source(element: &BytesStart<'_>) -> Result<(SourceKind, SourcePlace), String> {
    let kind = attribute(element, "type")?.ok_or("a source without a type")?;
    let kind = match kind.as_str() {
        "RAW" => SourceKind::Raw,
        "PA30" => SourceKind::Pa30,
        _ => SourceKind::Other(kind),
    };
    let place = match attribute(element, "name")? {
        Some(name) => SourcePlace::Member(path(&name)?),
        None => {
            let both = (number(element, "offset")?, number(element, "length")?);
            let (Some(offset), Some(length)) = both else {
                return Err("a source that is nowhere".to_owned());
            };
            SourcePlace::Range { offset, length }
        }
    };
    Ok((kind, place))
}

/// The hash of an element; `None` for one of another kind.
fn hash(element: &BytesStart<'_>) -> Result<Option<[u8; 32]>, String> {
    if !attribute(element, "alg")?.is_some_and(|name| name.eq_ignore_ascii_case("SHA256")) {
        return Ok(None);
    }
    let text = attribute(element, "value")?.unwrap_or_default();
    let value = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
    value.map(Some).ok_or_else(|| format!("{} is no SHA-256", shown(&text)))
}

/// The old form: `[name]`, then `full=` and `p0=`, `p1=` ... with an offset and a length.
fn parse_ini(text: &str) -> Result<ContainerIndex, Malformed> {
    let mut index = ContainerIndex::default();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let at = offset;
        offset += line.len() as u64;
        let malformed = |what: String| Malformed::new(FORMAT, what, at);
        let line = line.trim();
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let name = path(name).map_err(malformed)?;
            let file = IndexFile { name, ..IndexFile::default() };
            push(&mut index.files, file).map_err(malformed)?;
            continue;
        }
        let file = index.files.last_mut().filter(|_| line.contains('='));
        let file = file.ok_or_else(|| malformed("a line that is no index".to_owned()))?;
        let (key, value) = line.split_once('=').unwrap_or_default();
        let kind = match key.trim() {
            "full" => SourceKind::Raw,
            key if is_patch(key) => SourceKind::Other("PA19".to_owned()),
            _ => continue,
        };
        let place =
            range(value).ok_or_else(|| malformed(format!("{} is no range", shown(value))))?;
        file.deltas.push(FileDelta { kind, place, sha256: None, basis: None });
    }
    Ok(index)
}

/// True for `p0`, `p1` ...
fn is_patch(key: &str) -> bool {
    key.strip_prefix('p').is_some_and(|number| number.parse::<u32>().is_ok())
}

fn range(text: &str) -> Option<SourcePlace> {
    let number = |text: &str| match text.trim().strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.trim().parse().ok(),
    };
    let (offset, length) = text.split_once(',')?;
    Some(SourcePlace::Range { offset: number(offset)?, length: number(length)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Container name="a&amp;b.cab" type="CAB" length="9" version="1" xmlns="urn:ContainerIndex"><Description/><Files>
<File id="3" name="x/y.dll" length="12" time="132165247187972028" attr="32"><Hash alg="SHA256" value="HASH"/>
<Delta><Source type="PA30" name="0"><Hash alg="SHA256" value="HASH"/></Source><Basis file="4"/></Delta>
<Delta><DeltaBasisSearch><Location path="x"/></DeltaBasisSearch></Delta></File>
<File id="4" name="z" length="1"><Delta><Source type="RAW" offset="7" length="1"/></Delta><Other><File name="no"/></Other></File>
</Files></Container>"#;

    fn small() -> String {
        SMALL.replace("HASH", &"0a".repeat(32))
    }

    #[test]
    fn files_sources_and_bases_are_read() {
        let index = parse(small().as_bytes()).unwrap();
        assert_eq!((index.name.as_str(), index.kind.as_str()), ("a&b.cab", "CAB"));
        let [first, second] = index.files.as_slice() else { panic!("{index:?}") };
        assert_eq!((first.name.as_str(), first.size), (r"x\y.dll", Some(12)));
        assert_eq!(first.time, Some(FileTime(132_165_247_187_972_028)));
        assert_eq!(first.sha256, Some([10; 32]));
        let delta = FileDelta {
            kind: SourceKind::Pa30,
            place: SourcePlace::Member("0".to_owned()),
            sha256: Some([10; 32]),
            basis: Some("4".to_owned()),
        };
        assert_eq!(first.deltas, [delta]);
        assert_eq!(second.deltas[0].place, SourcePlace::Range { offset: 7, length: 1 });
        let utf16: Vec<u8> =
            format!("\u{feff}{}", small()).encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16).unwrap(), index);
    }

    #[test]
    fn the_old_form_is_read() {
        let text =
            "[a\\b.dll]\r\nfull=0x10,200\r\n; a comment\r\np0=300,0x20\r\n[c]\r\nfull=1,2\r\n";
        let index = parse(text.as_bytes()).unwrap();
        assert_eq!(index.files.len(), 2);
        assert_eq!(index.files[0].name, r"a\b.dll");
        let [full, patch] = index.files[0].deltas.as_slice() else { panic!() };
        assert_eq!(full.place, SourcePlace::Range { offset: 16, length: 200 });
        assert_eq!(patch.kind, SourceKind::Other("PA19".to_owned()));
    }

    #[test]
    fn a_delta_of_an_installed_file_is_not_one_of_nothing() {
        let text = small().replace("<Basis file=\"4\"/>", "<DeltaBasisSearch/>");
        let first = &parse(text.as_bytes()).unwrap().files[0].deltas[0];
        assert_eq!(first.kind, SourceKind::Other(OF_INSTALLED.to_owned()));
    }

    #[test]
    fn bad_indexes_say_why() {
        let good = small();
        let cases = [
            (good.replace("x/y.dll", "../y.dll"), "cannot be used"),
            (good.replace("name=\"z\"", "name=\"X\\Y.DLL\""), "twice"),
            (good.replace("id=\"4\"", "id=\"3\""), "gives the id 3 to two files"),
            (good.replace("0a0a", "0g0a"), "is no SHA-256"),
            (good.replace("\"12\"", "\"-1\""), "is no number"),
            (good.replace(" offset=\"7\"", ""), "a source that is nowhere"),
            (good.replace("</Files>", ""), "expected"),
            (good.replace("Container ", "Package "), "is no container index"),
            (good.replace("<Container", "<!DOCTYPE x><Container"), "document types"),
            (good[..good.len() - 20].to_owned(), "too early"),
            ("<a>".repeat(1000), "is no container index"),
            (format!("<Container>{}", "<a>".repeat(1000)), "deeper"),
            ("[..\\x]".to_owned(), "cannot be used"),
            ("[x]\nfull=1".to_owned(), "is no range"),
            ("full=1,2".to_owned(), "no index"),
        ];
        for (text, expected) in cases {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} ({expected})");
        }
        let endless = "\u{1}".repeat(1 << 20);
        for text in [format!("[{endless}]"), format!("[x]\nfull={endless}")] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.len() < 1000, "a message of {} bytes", error.len());
        }
        assert!(parse(b"<Container name='\xff'/>").unwrap_err().to_string().contains("not UTF-8"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_panics(place in 0..2000usize, new in "[<>/=a\"'!&;0-9\\[\\]\\n,]{0,6}") {
            let mut text = small();
            let place = place % text.len();
            if text.is_char_boundary(place) {
                text.replace_range(place..place + 1, &new);
            }
            let _ignored = parse(text.as_bytes());
            let _ignored = parse(new.as_bytes());
        }
    }
}
