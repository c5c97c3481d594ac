//! A recipe after loading: merged, checked, decoded.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    base::filetime::FileTime,
    codec::{Codec, Level},
    servicing::{
        InputId, Operation, WhenNotNative,
        policy::{PolicySpec, Rule},
    },
};

use super::source::{Located, Origin, Sources};

/// A recipe: what the image shall be, where it starts from, what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The variant of `[matrix]` that it is; `None` for a recipe without variants.
    pub variant: Option<String>,
    /// What the built image says of itself.
    pub image: ImageSection,
    /// The image to start from.
    pub base: BaseSection,
    /// What shall be in the image, in the order of first appearance.
    pub entries: Vec<Entry>,
    /// What shall be in the recovery image inside the image.
    pub winre: Vec<Entry>,
    /// What to do where there is a choice.
    pub policy: PolicySection,
    /// What is written, and how.
    pub output: OutputSection,
    /// The files and folders of this machine that the entries read.
    pub inputs: BTreeMap<InputId, InputDecl>,
    /// The environment variables that hold its secrets, and where the recipe names each first. Their values are no part of it.
    pub secrets: BTreeMap<String, Origin>,
    /// The texts that the recipe was read from, for diagnostics; the recipe itself follows what it extends.
    pub sources: Sources,
}

/// `[image]`: what is not given stays as in the base image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageSection {
    /// The image's name in the WIM.
    pub name: Option<Located<String>>,
    /// The version of the golden image, for the build report.
    pub version: Option<Located<String>>,
    /// The image's description in the WIM.
    pub description: Option<Located<String>>,
}

/// `[base]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseSection {
    /// The WIM file.
    pub wim: Located<PathBuf>,
    /// Which of its images: one at least. They are built in this order.
    pub images: Vec<BaseImage>,
    /// What these images must be.
    pub expect: Expect,
}

/// An image of the base that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Which one.
    pub select: Located<ImageSelect>,
    /// The name of the built image, where it is its own.
    pub name: Option<Located<String>>,
    /// The description of the built image, where it is its own.
    pub description: Option<Located<String>>,
}

impl BaseSection {
    /// True when more than one image is built, as far as the recipe tells.
    #[must_use]
    pub fn has_several(&self) -> bool {
        self.images.len() > 1
            || self.images.iter().any(|image| image.select.value == ImageSelect::All)
    }
}

/// How an image is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSelect {
    /// By edition id.
    Edition(String),
    /// By name.
    Name(String),
    /// By number, from 1.
    Index(u32),
    /// All there are.
    All,
}

/// What the base image must be; a build on another is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// `amd64`, `arm64`, `x86` or `arm`.
    pub arch: Option<Located<String>>,
    /// `26100`, or `26100.1742` with the revision.
    pub build: Option<Located<String>>,
}

/// One thing that shall be in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in: `services`.
    pub section: &'static str,
    /// What it is called there: `RemoteRegistry`.
    pub label: String,
    /// Where it stands.
    pub origin: Origin,
    /// What it means.
    pub operation: Operation,
    /// More words for its title: what of an input asks for it.
    pub note: Option<String>,
}

impl Entry {
    /// What it does, for a person.
    #[must_use]
    pub fn title(&self) -> String {
        let title = self.operation.title();
        match &self.note {
            Some(note) => format!("{title}; {note}"),
            None => title,
        }
    }
}

/// `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySection {
    /// What to do with an entry that cannot be applied natively.
    pub when_not_native: WhenNotNative,
    /// What the finished image must keep.
    pub spec: PolicySpec,
    /// Where each rule stands.
    pub origins: BTreeMap<Rule, Origin>,
}

/// `[output]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSection {
    /// The WIM to write.
    pub path: Located<PathBuf>,
    /// How it is compressed; `None`: as the base is.
    pub compression: Option<Compression>,
    /// Effort for what has to be compressed.
    pub level: Level,
    /// Bytes that are compressed together; `None`: the compression's default, or as the base when that decides the compression too.
    pub chunk_size: Option<u32>,
    /// Most bytes of a part of a split set; `None`: one file.
    pub split: Option<Located<u64>>,
    /// True: with an integrity table.
    pub integrity: bool,
    /// Which images the output has.
    pub images: OutputImages,
    /// The time of everything new; `None`: `SOURCE_DATE_EPOCH`, else the base image's own time.
    pub epoch: Option<FileTime>,
}

/// How an output is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Each resource by itself.
    Each(Codec),
    /// The content of files together, in LZMS.
    Solid,
}

impl Compression {
    /// The codec of what takes most room.
    #[must_use]
    pub fn codec(self) -> Codec {
        match self {
            Self::Each(codec) => codec,
            Self::Solid => Codec::Lzms,
        }
    }
}

/// Which images the output has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputImages {
    /// The built images alone.
    #[default]
    Selected,
    /// All images of the base, with the built ones in their places.
    All,
}

/// A file or folder of this machine that the recipe names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDecl {
    /// Where it is: relative to the current folder like the recipe's own path, or absolute.
    pub path: PathBuf,
    /// Where the recipe names it first.
    pub origin: Origin,
}
