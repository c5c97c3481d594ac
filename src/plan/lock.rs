//! The lock file: what a recipe was resolved to.
//!
//! `NAME.lock` lies beside `NAME.toml` and is checked in with it. It is TOML text, sorted, with LF, and holds the base image's identity,
//! every input with size and BLAKE3 (folders file by file, so that a difference names the file), the epoch, and the version of the order table. `--locked`
//! compares it with what is there and refuses on any difference.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::base::{
    digest::{Blake3, Sha1},
    filetime::FileTime,
};

/// Version of the lock file's own format.
const FORMAT: u32 = 1;
/// How many differences a message names before it only counts.
const SHOWN: usize = 20;

/// What a recipe was resolved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Version of the order table.
    pub order: String,
    /// Time of everything new in the output.
    pub epoch: FileTime,
    /// The base image.
    pub base: LockedBase,
    /// Every input by the recipe's text for it.
    pub inputs: BTreeMap<String, LockedInput>,
}

/// The base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// The recipe's text for the file.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// BLAKE3 of the file.
    pub blake3: Blake3,
    /// The images that are built, in the recipe's order. One stands in `[base]` itself, several in `[[base.images]]`.
    pub images: Vec<LockedImage>,
}

/// An image of the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedImage {
    /// Its number, from 1.
    pub image: u32,
    /// SHA-1 of its metadata.
    pub metadata: Sha1,
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedInput {
    /// Size of all files in bytes.
    pub size: u64,
    /// The input's digest: of the content for a file, of the tree for a folder.
    pub blake3: Blake3,
    /// What it says it is: the identities of its packages. For people; it is not compared, as the digest says more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
    /// For a folder: its files by their paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, LockedFile>>,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedFile {
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 of the content.
    pub blake3: Blake3,
}

/// One way in which what is there differs from the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `epoch`, `base image`, `input files/a.txt` ...
    pub what: String,
    /// What the lock says; `None` when it does not know it.
    pub locked: Option<String>,
    /// What is there; `None` when it is gone.
    pub found: Option<String>,
}

/// A lock file that cannot be used, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none, and it may not be written.
    #[error("there is no lock file {0}")]
    Missing(String),
    /// It is not a lock file of this version.
    #[error("the lock file {path} cannot be read: {what}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// It says something else than what is there.
    #[error("the lock file {path} is out of date:{}", list(.differences))]
    OutOfDate {
        /// Its path.
        path: String,
        /// Every difference.
        differences: Vec<Difference>,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.locked, &self.found) {
            (Some(locked), Some(found)) => {
                write!(formatter, "{}: locked {locked}, found {found}", self.what)
            }
            (Some(_), None) => {
                write!(formatter, "{}: locked, but the recipe has it no more", self.what)
            }
            _ => write!(formatter, "{}: not locked", self.what),
        }
    }
}

fn list(differences: &[Difference]) -> String {
    let mut text = String::new();
    for difference in differences.iter().take(SHOWN) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {difference}");
    }
    if differences.len() > SHOWN {
        let _ = write!(text, "\n  and {} more", differences.len() - SHOWN);
    }
    text
}

/// The file as serde sees it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    format: u32,
    order: String,
    epoch: String,
    base: DocumentBase,
    #[serde(default)]
    inputs: BTreeMap<String, LockedInput>,
}

/// `[base]` as serde sees it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DocumentBase {
    path: String,
    size: u64,
    blake3: Blake3,
    image: Option<u32>,
    metadata: Option<Sha1>,
    #[serde(default)]
    images: Vec<LockedImage>,
}

impl DocumentBase {
    fn read(self) -> Result<LockedBase, String> {
        let Self { path, size, blake3, image, metadata, mut images } = self;
        match (image, metadata) {
            (Some(image), Some(metadata)) if images.is_empty() => {
                images.push(LockedImage { image, metadata });
            }
            (None, None) if images.len() > 1 => {}
            _ => {
                return Err("`[base]` names neither one image nor several".to_owned());
            }
        }
        Ok(LockedBase { path, size, blake3, images })
    }
}

impl Lock {
    /// How every lock file begins.
    pub const FIRST_LINE: &str = "# What the recipe beside this file was resolved to.";

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document =
            toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if document.format != FORMAT {
            let found = document.format;
            return Err(format!("it has format {found}, and this version reads format {FORMAT}"));
        }
        let epoch = FileTime::parse(&document.epoch)
            .ok_or_else(|| format!("`{}` is not a time", document.epoch))?;
        let Document { order, base, inputs, .. } = document;
        Ok(Self { order, epoch, base: base.read()?, inputs })
    }

    /// The text of the lock file. Equal locks give equal text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from(Self::FIRST_LINE);
        text.push_str(
            " Written by `transom lock` and `transom build`;\n\
             # check it in with the recipe. `--locked` refuses to build when anything here is no longer so.\n",
        );
        let mut line = |parts: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = text.write_fmt(parts);
            text.push('\n');
        };
        line(format_args!("format = {FORMAT}"));
        line(format_args!("order = {}", quoted(&self.order)));
        line(format_args!("epoch = {}", quoted(&self.epoch.to_string())));
        line(format_args!("\n[base]"));
        line(format_args!("path = {}", quoted(&self.base.path)));
        line(format_args!("size = {}", self.base.size));
        line(format_args!("blake3 = \"{}\"", self.base.blake3));
        let several = self.base.images.len() > 1;
        for LockedImage { image, metadata } in &self.base.images {
            if several {
                line(format_args!("\n[[base.images]]"));
            }
            line(format_args!("image = {image}"));
            line(format_args!("metadata = \"{metadata}\""));
        }
        for (id, input) in &self.inputs {
            line(format_args!("\n[inputs.{}]", quoted(id)));
            line(format_args!("size = {}", input.size));
            line(format_args!("blake3 = \"{}\"", input.blake3));
            if !input.is.is_empty() {
                let is: Vec<String> = input.is.iter().map(|id| quoted(id)).collect();
                line(format_args!("is = [{}]", is.join(", ")));
            }
            let Some(files) = &input.files else { continue };
            line(format_args!("\n[inputs.{}.files]", quoted(id)));
            for (name, LockedFile { size, blake3 }) in files {
                let name = quoted(name);
                line(format_args!("{name} = {{ size = {size}, blake3 = \"{blake3}\" }}"));
            }
        }
        text
    }

    /// Every way in which `found`, what is there now, differs from this lock, in the order of the file.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, locked: Option<String>, found: Option<String>| {
            if locked != found {
                differences.push(Difference { what: what.to_owned(), locked, found });
            }
        };
        compare("order table", Some(self.order.clone()), Some(found.order.clone()));
        compare("epoch", Some(self.epoch.to_string()), Some(found.epoch.to_string()));
        let (one, other) = (&self.base, &found.base);
        compare("base path", Some(one.path.clone()), Some(other.path.clone()));
        compare(
            "base file",
            Some(content(one.size, one.blake3)),
            Some(content(other.size, other.blake3)),
        );
        let images = |base: &LockedBase| {
            let image =
                |image: &LockedImage| format!("number {} ({})", image.image, image.metadata);
            base.images.iter().map(image).collect::<Vec<_>>().join(", ")
        };
        compare("base image", Some(images(one)), Some(images(other)));
        for id in merged(&self.inputs, &found.inputs) {
            let (one, other) = (self.inputs.get(id), found.inputs.get(id));
            let files = |input: Option<&LockedInput>| input.and_then(|input| input.files.clone());
            if let (Some(one), Some(other)) = (files(one), files(other)) {
                for name in merged(&one, &other) {
                    let [locked, found] = [one.get(name), other.get(name)]
                        .map(|file| file.map(|file| content(file.size, file.blake3)));
                    compare(&format!("input {id}: {name}"), locked, found);
                }
            }
            let [locked, found] = [one, other].map(|input| input.map(describe));
            compare(&format!("input {id}"), locked, found);
        }
        differences
    }
}

/// The names of both, sorted.
fn merged<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> Vec<&'a String> {
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names
}

fn describe(input: &LockedInput) -> String {
    let kind = if input.files.is_some() { "folder of " } else { "" };
    format!("{kind}{}", content(input.size, input.blake3))
}

/// Size and the beginning of a digest: enough to see the difference.
fn content(size: u64, blake3: Blake3) -> String {
    format!("{size} bytes {}", &blake3.to_hex()[..16])
}

/// `text` as a TOML basic string: a value or a key.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Writing to a string cannot fail.
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Lock {
        let file = |text: &str| LockedFile {
            size: text.len() as u64,
            blake3: Blake3::of(text.as_bytes()),
        };
        let files =
            BTreeMap::from([("a b.txt".to_owned(), file("a")), ("ü/\"".to_owned(), file(""))]);
        Lock {
            order: "2025-01.1".to_owned(),
            epoch: FileTime::parse("2026-11-01T00:00:00.0000001Z").unwrap(),
            base: LockedBase {
                path: r"C:\media\install.wim".to_owned(),
                size: 5,
                blake3: Blake3::of(b"base"),
                images: vec![LockedImage { image: 2, metadata: Sha1::of(b"metadata") }],
            },
            inputs: BTreeMap::from([
                (
                    "files".to_owned(),
                    LockedInput {
                        size: 1,
                        blake3: Blake3::of(b"tree"),
                        is: Vec::new(),
                        files: Some(files),
                    },
                ),
                (
                    "x.reg".to_owned(),
                    LockedInput {
                        size: 3,
                        blake3: Blake3::of(b"reg"),
                        is: vec!["A~b~amd64~~1.0.0.0".to_owned()],
                        files: None,
                    },
                ),
            ]),
        }
    }

    #[test]
    fn the_text_reads_back_and_is_stable() {
        let lock = sample();
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text).as_ref(), Ok(&lock), "{text}");
        assert!(text.starts_with("# What the recipe") && !text.contains('\r'));
        assert_eq!(Lock::parse(&text).unwrap().to_text(), text);
        assert_eq!(lock.differences(&lock), []);
    }

    #[test]
    fn several_images_stand_in_tables_of_their_own() {
        let mut lock = sample();
        lock.base.images.push(LockedImage { image: 1, metadata: Sha1::of(b"other") });
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text).as_ref(), Ok(&lock), "{text}");
        assert_eq!(text.matches("[[base.images]]").count(), 2);
        let differences = sample().differences(&lock);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].what, "base image");
        assert!(Lock::parse(&text.replace("[[base.images]]\nimage = 2", "image = 2")).is_err());
    }

    #[test]
    fn another_format_and_unknown_keys_are_refused() {
        let text = sample().to_text();
        let error = Lock::parse(&text.replace("format = 1", "format = 2")).unwrap_err();
        assert!(error.contains("format 2"), "{error}");
        assert!(Lock::parse(&text.replace("order =", "ordre =")).is_err());
        assert!(Lock::parse(&text.replace("2026-11-01T", "2026-11-01")).is_err());
    }

    #[test]
    fn a_difference_names_the_file_and_both_sides() {
        let locked = sample();
        let mut found = sample();
        let input = found.inputs.get_mut("files").unwrap();
        input.blake3 = Blake3::of(b"other tree");
        let files = input.files.as_mut().unwrap();
        files.get_mut("a b.txt").unwrap().size = 2;
        files.insert("new".to_owned(), LockedFile { size: 0, blake3: Blake3::of(b"") });
        found.inputs.remove("x.reg");
        found.epoch = FileTime::parse("2026-11-02T00:00:00Z").unwrap();
        let text: Vec<String> =
            locked.differences(&found).iter().map(ToString::to_string).collect();
        let starts = [
            "epoch: locked 2026-11-01T00:00:00.0000001Z, found 2026-11-02T00:00:00Z",
            "input files: a b.txt: locked 1 bytes ",
            "input files: new: not locked",
            "input files: locked folder of 1 bytes ",
            "input x.reg: locked, but the recipe has it no more",
        ];
        assert_eq!(text.len(), starts.len(), "{text:#?}");
        for (line, start) in text.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_path_survives(path in any::<String>(), name in any::<String>()) {
            let mut lock = sample();
            lock.base.path.clone_from(&path);
            let input = lock.inputs.get("files").unwrap().clone();
            lock.inputs.insert(path, input);
            let file = LockedFile { size: 1, blake3: Blake3::of(b"") };
            lock.inputs.get_mut("files").unwrap().files.as_mut().unwrap().insert(name, file);
            prop_assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
        }
    }
}
