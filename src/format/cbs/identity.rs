//! Identities of assemblies, and the names they have in stores and hives (key forms).
//!
//! The hash in key forms is described in `facts/manifests-keyforms-pa30.md`, section 4; it was checked against 122 real names.

use std::fmt;

/// A version of four numbers: major, minor, build, revision.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Version(pub [u16; 4]);

impl Version {
    /// `a.b.c.d`; missing numbers at the end are 0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = [0; 4];
        let mut parts = text.split('.');
        for number in &mut numbers {
            match parts.next() {
                Some(part) => *number = part.parse().ok()?,
                None => break,
            }
        }
        (parts.next().is_none() && !text.is_empty()).then_some(Self(numbers))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, build, revision] = self.0;
        write!(formatter, "{major}.{minor}.{build}.{revision}")
    }
}

/// The identity of an assembly: a package, a deployment or a component.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub struct Identity {
    /// The name, as written.
    pub name: String,
    /// The version; in dependencies it may be missing and is 0.0.0.0 then.
    pub version: Version,
    /// `amd64`, `x86`, `wow64`, `msil`, `neutral` ..., as written.
    pub architecture: String,
    /// `neutral`, a language tag, or `*` for resources in any language, as written; empty when not given (means neutral).
    pub language: String,
    /// The public key token, as written; empty when there is none.
    pub public_key_token: String,
    /// The attribute `type`: `win32`, `dualModeDriver` ...
    pub kind: Option<String>,
    /// The attribute `typeName`.
    pub type_name: Option<String>,
    /// The attribute `versionScope`: `nonSxS`, `SxS`, as written.
    pub version_scope: Option<String>,
}

impl Identity {
    /// True for `neutral`, `none` and nothing at all.
    #[must_use]
    pub fn is_neutral(&self) -> bool {
        ["", "neutral", "none"].iter().any(|word| self.language.eq_ignore_ascii_case(word))
    }

    /// The id of a package: `name~token~architecture~language~version`, a neutral language being empty.
    #[must_use]
    pub fn package_id(&self) -> String {
        let language = if self.is_neutral() { "" } else { &self.language };
        let Self { name, public_key_token, architecture, version, .. } = self;
        format!("{name}~{public_key_token}~{architecture}~{language}~{version}")
    }

    /// The id that all versions of a package share: its [`Identity::package_id`] with version 0.0.0.0.
    #[must_use]
    pub fn index_id(&self) -> String {
        Self { version: Version::default(), ..self.clone() }.package_id()
    }

    /// Reads a package id back; `None` when it is none.
    #[must_use]
    pub fn of_package_id(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('~').collect();
        let [name, token, architecture, language, version] = parts[..] else { return None };
        if name.is_empty() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            version: Version::parse(version)?,
            architecture: architecture.to_owned(),
            language: if language.is_empty() { "neutral" } else { language }.to_owned(),
            public_key_token: token.to_owned(),
            ..Self::default()
        })
    }
}
