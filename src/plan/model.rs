//! A plan: everything a build needs to know, and why.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use fs_err as fs;

use super::{
    inputs::ResolvedInputs,
    key::KeyParts,
    lock::{Difference, Lock},
    nested::Nested,
    order::Phase,
};
use crate::{
    base::{digest::Blake3, filetime::FileTime, temporary},
    codec::{Codec, Level},
    format::wim::{Solid, Wim, WriteSettings},
    recipe::{Finding, Origin, OutputImages, PolicySection},
    servicing::Operation,
    store::{ResourceSettings, Stamp},
};

/// What will be done, in which order, and why.
#[derive(Debug)]
pub struct Plan {
    /// The file to start from.
    pub base: PlannedBase,
    /// The images that are built: one at least, in the recipe's order.
    pub images: Vec<PlannedImage>,
    /// The variant of the recipe.
    pub variant: Option<String>,
    /// Version of the golden image, for reports.
    pub version: Option<String>,
    /// The host's files that the steps read.
    pub inputs: ResolvedInputs,
    /// The environment variables that hold the secrets of the recipe, and where it names each first. Planning needs no values.
    pub secrets: BTreeMap<String, Origin>,
    /// What is written.
    pub output: PlannedOutput,
    /// Time of everything new.
    pub epoch: FileTime,
    /// Where the epoch comes from.
    pub epoch_source: EpochSource,
    /// What the recipe was resolved to.
    pub lock: Lock,
    /// Where that is written.
    pub lock_path: PathBuf,
    /// How it compares with what is written there.
    pub lock_state: LockState,
    /// What the built images must keep, and where the recipe says so. In no key: the images are the same without it.
    pub policy: PolicySection,
    /// What is odd and stops nothing.
    pub warnings: Vec<Finding>,
}

/// The file to start from.
#[derive(Debug, Clone)]
pub struct PlannedBase {
    /// The file.
    pub path: PathBuf,
    /// The open file.
    pub wim: Arc<Wim>,
    /// The stamps, when they were hashed, of the file and of the further parts of a split set.
    pub stamps: Vec<Stamp>,
    /// BLAKE3 of the file; of a split set that of its parts' digests.
    pub blake3: Blake3,
    /// BLAKE3 of each file of a split set, as the stamps; of any other base that of the file.
    pub digests: Vec<Blake3>,
}

/// An image that is built.
#[derive(Debug, Clone)]
pub struct PlannedImage {
    /// Number of the image of the base that it starts from, from 1.
    pub index: u32,
    /// The name of that image, if it has one.
    pub base_name: Option<String>,
    /// Identity of that image alone: from the SHA-1 of its metadata, which names all its content.
    pub identity: Blake3,
    /// Name in the output; `None`: as in the base.
    pub name: Option<String>,
    /// Description in the output; `None`: as in the base.
    pub description: Option<String>,
    /// The steps in order of execution.
    pub steps: Vec<Step>,
}

impl PlannedImage {
    /// The name that the built image will have.
    #[must_use]
    pub fn final_name(&self) -> Option<&str> {
        self.name.as_deref().or(self.base_name.as_deref())
    }

    /// The description that the built image will have; `base` is the file it starts from.
    #[must_use]
    pub fn final_description(&self, base: &Wim) -> Option<String> {
        let of_base = || Some(base.xml().image(self.index)?.text(&["DESCRIPTION"])?.to_owned());
        self.description.clone().or_else(of_base)
    }

    /// `image 2 "Windows Server"`, by number and name in the base.
    #[must_use]
    pub fn label(&self) -> String {
        image_label(self.index, self.base_name.as_deref())
    }
}

/// `image 2 "Windows Server"`.
pub(super) fn image_label(index: u32, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("image {index} \"{name}\""),
        None => format!("image {index}"),
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedOutput {
    /// The file.
    pub path: PathBuf,
    /// Compression of what is stored by itself: everything, or the metadata alone when the content of files is solid.
    pub resources: ResourceSettings,
    /// How the content of files is compressed when it is stored in solid resources.
    pub solid: Option<Solid>,
    /// Most bytes of a part of a split set; `None`: one file.
    pub part_limit: Option<u64>,
    /// Whether it gets an integrity table.
    pub integrity: bool,
    /// Which images of the base it has.
    pub images: OutputImages,
}

impl PlannedOutput {
    /// How the file is written.
    #[must_use]
    pub fn write_settings(&self, boot_index: u32, rp_fix: bool) -> WriteSettings {
        let ResourceSettings { codec, chunk_size, level } = self.resources;
        let (solid, integrity) = (self.solid, self.integrity);
        WriteSettings { codec, chunk_size, level, solid, integrity, boot_index, rp_fix }
    }

    /// The form in which the store keeps new content: that of the output, so that a commit copies it. Content of solid resources is compressed with
    /// its neighbours at the commit; until then it only should not fill the disk.
    #[must_use]
    pub fn stored(&self) -> ResourceSettings {
        match self.solid {
            None => self.resources,
            Some(_) => ResourceSettings {
                codec: Codec::Xpress,
                chunk_size: Codec::Xpress.default_chunk_size(),
                level: Level::Fast,
            },
        }
    }
}

/// Where the epoch comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpochSource {
    /// `[output] epoch` of the recipe.
    Recipe,
    /// The environment variable `SOURCE_DATE_EPOCH`.
    SourceDateEpoch,
    /// The base image's own modification time.
    BaseImage,
    /// Nothing says it: 1601-01-01.
    Unknown,
}

/// How the lock file compares with what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockState {
    /// It says the same.
    Current,
    /// There is none.
    Missing,
    /// It cannot be read, and why.
    Unreadable(String),
    /// It says something else.
    OutOfDate(Vec<Difference>),
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number in the order of execution of its image, from 1.
    pub number: usize,
    /// Its number in the recipe's order, from 1.
    pub listed: usize,
    /// The section of the recipe.
    pub section: &'static str,
    /// What it is called there.
    pub label: String,
    /// What it does, for a person.
    pub title: String,
    /// Where it stands in the recipe.
    pub origin: Origin,
    /// What it is.
    pub operation: Operation,
    /// When in servicing it happens.
    pub phase: Phase,
    /// What its key is made of.
    pub parts: KeyParts,
    /// Why it does not stand earlier; empty for the first of all and where only the recipe's order decides.
    pub reasons: Vec<StepReason>,
    /// True when it leaves something to the first boot, as far as planning can tell: packages, features and drivers that Windows installs.
    pub deferred: bool,
    /// For the step of a recovery image: what is done inside.
    pub nested: Option<Arc<Nested>>,
}

/// Why a step does not stand earlier.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepReason {
    /// The steps it comes after, by number: the first and the last of a whole phase, or one step.
    pub after: Vec<usize>,
    /// Why.
    pub why: String,
}

impl StepReason {
    /// True when it is the order table's: it stands behind a whole phase.
    #[must_use]
    pub fn is_phase(&self) -> bool {
        self.why.starts_with("order table")
    }
}

impl Step {
    /// What tells the step from others of the recipe: `services.RemoteRegistry`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section, self.label)
    }
}

impl Plan {
    /// The steps of all images, in the order of the images.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.images.iter().flat_map(|image| &image.steps)
    }

    /// What tells an image from the others in messages; `None` when there is only one.
    #[must_use]
    pub fn label_of(&self, image: &PlannedImage) -> Option<String> {
        (self.images.len() > 1).then(|| image.label())
    }

    /// Writes the lock file if it does not say the same already; true when it was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_lock(&self) -> std::io::Result<bool> {
        let text = self.lock.to_text();
        if fs::read_to_string(&self.lock_path).is_ok_and(|found| found == text) {
            return Ok(false);
        }
        // A link stays a link: the file that it leads to is written.
        let path = fs::canonicalize(&self.lock_path).unwrap_or_else(|_| self.lock_path.clone());
        let mut file = temporary::beside(&path, ".lock-")?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(true)
    }
}
