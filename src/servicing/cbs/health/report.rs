//! What a check of the component store says.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{digest::to_hex, name::Name, ntpath::NtPath},
    format::{
        cbs::{Identity, Version, manifest::FileHash},
        hive::Value,
    },
    image::{BlobRef, RegistryPath},
};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A hive that cannot be read.
    Hive,
    /// A catalog.
    Catalog,
    /// A package: its mum, its catalog, its state.
    Package,
    /// A component or deployment manifest.
    Manifest,
    /// A file of a component in `WinSxS`.
    Payload,
    /// A file outside `WinSxS` that a component projects there.
    Projection,
    /// A key or value of COMPONENTS, Winners or Component Based Servicing.
    Registry,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Windows would say that the store is corrupt, or runs a file that is not what it should be.
    Damage,
    /// Worth knowing; the store is sound all the same.
    Note,
}

/// Whether it can be put right.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairState {
    /// With a source that has what is missing; none was asked yet.
    Unknown,
    /// It was put right, with what is named here.
    Repaired(String),
    /// Nothing at hand has what is needed.
    Lost,
}

/// Something in the store that is not as it must be.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What it is about.
    pub what: What,
    /// How bad it is.
    pub severity: Severity,
    /// The file or key.
    pub place: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What Windows says of it, for those who search: `0x80073712`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Whether it can be put right.
    pub state: RepairState,
    /// How it is put right.
    #[serde(skip)]
    pub mend: Mend,
}

/// How a finding is put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// Nobody knows.
    Nothing,
    /// It cannot be read: the same content from elsewhere.
    Same(BlobRef),
    /// A manifest: the hash that the hive says, if it says one. One that a catalog of the image names is right too.
    Manifest {
        /// Its key form.
        key_form: String,
        /// SHA-256 of its plain bytes.
        wanted: Option<[u8; 32]>,
    },
    /// A file of a component: content with this hash.
    Payload {
        /// Its place in `WinSxS`.
        path: NtPath,
        /// What its manifest says.
        wanted: FileHash,
        /// Its places outside; they may still have the content.
        projections: Vec<NtPath>,
    },
    /// A hard link from the store.
    Projection {
        /// The file in `WinSxS`.
        store: NtPath,
        /// What its manifest says of it.
        wanted: FileHash,
        /// The place outside.
        path: NtPath,
    },
    /// A catalog in `WinSxS\Catalogs`.
    Catalog {
        /// SHA-256 of its bytes: its name.
        sha256: [u8; 32],
    },
    /// The mum and the catalog of a package, which belong together.
    Package {
        /// Its id.
        id: String,
    },
    /// The copy of a package's catalog in CatRoot.
    CatRoot {
        /// The package's id.
        id: String,
    },
    /// A value that follows from what is vouched for.
    Set {
        /// The key.
        key: RegistryPath,
        /// The value.
        value: Value,
    },
    /// Values that are missing: those of a source whose file is the same, marks (`c!`, `p!`, ...) left out, then those that follow from the store itself.
    Restore {
        /// The key that is copied, with the keys below it.
        key: RegistryPath,
        /// What must be the same file in the source; `None`: nothing is copied.
        same: Option<NtPath>,
        /// What follows from the store. A value that is there stays.
        computed: Vec<(RegistryPath, Value)>,
    },
    /// `CurrentState` of a package that is in force: that of a source in which the same package is.
    State {
        /// The package's id.
        id: String,
    },
    /// The keys of a component's versions below Winners.
    Winner {
        /// Any version's identity.
        identity: Identity,
        /// The versions that are installed.
        versions: BTreeSet<Version>,
    },
    /// A folder that a component names.
    Directory {
        /// Where.
        path: NtPath,
        /// Its attributes, when the manifest says them.
        attributes: Option<u32>,
    },
    /// A value that a source has for the same thing.
    Copy {
        /// The key.
        key: RegistryPath,
        /// The value's name.
        name: Name,
        /// A value of the same key that must be the same in the source, if any: what the key is about.
        like: Option<Name>,
    },
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Packages that the image knows.
    pub packages: u64,
    /// Catalogs.
    pub catalogs: u64,
    /// Component and deployment manifests.
    pub manifests: u64,
    /// Files of components whose content was compared.
    pub files: u64,
    /// Projections compared.
    pub projections: u64,
    /// What was not checked, by reason.
    pub not_checked: BTreeMap<&'static str, u64>,
}

/// The result in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The image has no component store.
    NoStore,
    /// Nothing is damaged.
    Healthy,
    /// Damaged; a source that has the same files can mend all of it.
    Repairable,
    /// Some of it cannot be mended.
    NotRepairable,
}

/// What a check of an image's component store says.
#[derive(Debug, Clone, Default)]
pub struct HealthReport {
    /// False when the image has no component store.
    pub present: bool,
    /// What is not as it must be, files before what depends on them.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub counts: Counts,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// Content that the image refers to and that cannot be read.
    pub unreadable: BTreeSet<BlobRef>,
    pub(in super::super) vouched: Vouched,
}

/// Hashes that the image's sound catalogs name.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Vouched {
    pub(super) sha256: BTreeSet<[u8; 32]>,
    pub(super) sha1: BTreeSet<[u8; 20]>,
    /// SHA-256 of catalogs that the image knows by name.
    pub(in super::super) catalogs: BTreeSet<[u8; 32]>,
}

impl Vouched {
    /// True when a sound catalog names a file with one of these hashes.
    pub(in super::super) fn names(&self, sha256: &[u8; 32], sha1: &[u8; 20]) -> bool {
        self.sha256.contains(sha256) || self.sha1.contains(sha1)
    }
}

impl HealthReport {
    /// The result in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut damage = self.damage().peekable();
        if damage.peek().is_none() {
            return if self.present { Verdict::Healthy } else { Verdict::NoStore };
        }
        let hopeless = |it: &Finding| it.state == RepairState::Lost || it.mend == Mend::Nothing;
        if damage.any(hopeless) { Verdict::NotRepairable } else { Verdict::Repairable }
    }

    /// The findings that are damage.
    pub fn damage(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Damage)
    }

    /// Counts something that was not checked.
    pub(super) fn skip(&mut self, reason: &'static str) {
        *self.counts.not_checked.entry(reason).or_default() += 1;
    }

    /// Adds a finding that is damage.
    pub(super) fn damaged(
        &mut self,
        what: What,
        place: impl ToString,
        (expected, found): (impl Into<String>, impl Into<String>),
        mend: Mend,
    ) {
        let code = match what {
            What::Package => "0x800f0831",
            What::Hive | What::Projection => "",
            _ => "0x80073712",
        };
        self.findings.push(Finding {
            what,
            severity: Severity::Damage,
            place: place.to_string(),
            expected: expected.into(),
            found: found.into(),
            code: (!code.is_empty()).then_some(code),
            state: RepairState::Unknown,
            mend,
        });
    }

    /// Adds a finding that is worth knowing.
    pub(super) fn note(
        &mut self,
        what: What,
        place: impl ToString,
        texts: (impl Into<String>, impl Into<String>),
        mend: Mend,
    ) {
        self.damaged(what, place, texts, mend);
        if let Some(last) = self.findings.last_mut() {
            (last.severity, last.code) = (Severity::Note, None);
        }
    }
}

/// A hash for a message.
pub(super) fn shown(sha256: &[u8; 32]) -> String {
    format!("SHA-256 {}", to_hex(sha256))
}

/// A file's hash for a message.
pub(super) fn shown_hash(hash: &FileHash) -> String {
    match hash {
        FileHash::Sha256(digest) => shown(digest),
        FileHash::Sha1(digest) => format!("SHA-1 {}", to_hex(digest)),
    }
}
