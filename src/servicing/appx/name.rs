//! Names of app packages.
//!
//! The full name is `Name_Version_Architecture_ResourceId_PublisherId`; a bundle has `neutral` and `~` in the middle. The family is `Name_PublisherId`. The id of a
//! publisher is Crockford's base 32 (lower case) of the first eight bytes of the SHA-256 of its distinguished name in UTF-16LE.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Characters of a publisher's id.
const PUBLISHER_ID: usize = 13;
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The full name of an app package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullName {
    /// The identity's name: `Microsoft.BingNews`.
    pub name: String,
    /// `4.2.27001.0`.
    pub version: String,
    /// `x64`, `x86`, `arm`, `arm64`, `neutral`.
    pub architecture: String,
    /// What resources it holds: empty for the app itself, `~` for a bundle, `split.scale-125`, `split.language-de`.
    pub resource: String,
    /// `8wekyb3d8bbwe`.
    pub publisher: String,
}

impl FullName {
    /// Reads a full name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let mut next = || parts.next().map(str::to_owned);
        let found = Self {
            name: next()?,
            version: next()?,
            architecture: next()?,
            resource: next()?,
            publisher: next()?,
        };
        let whole = parts.next().is_none()
            && !found.name.is_empty()
            && version(&found.version).is_some()
            && !found.architecture.is_empty()
            && is_publisher_id(&found.publisher);
        whole.then_some(found)
    }

    /// The family: `Microsoft.BingNews_8wekyb3d8bbwe`.
    #[must_use]
    pub fn family(&self) -> String {
        format!("{}_{}", self.name, self.publisher)
    }

    /// True for a bundle.
    #[must_use]
    pub fn is_bundle(&self) -> bool {
        self.resource == "~"
    }

    /// True for the same package; Windows does not tell letter cases apart.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }

    /// The full name with which Windows tells packages apart: in lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.to_string().to_ascii_lowercase()
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, architecture, resource, publisher } = self;
        write!(formatter, "{name}_{version}_{architecture}_{resource}_{publisher}")
    }
}

/// What a recipe calls an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AppName {
    /// By the identity's name: every version.
    Name(String),
    /// By its family: every version.
    Family(String),
    /// Exactly this one.
    Full(FullName),
}

impl AppName {
    /// What the text of a recipe means; anything that is neither a full name nor a family is a name.
    pub(super) fn of(text: &str) -> Self {
        if let Some(full) = FullName::parse(text) {
            return Self::Full(full);
        }
        match text.split_once('_') {
            Some((name, publisher)) if !name.is_empty() && is_publisher_id(publisher) => {
                Self::Family(text.to_owned())
            }
            _ => Self::Name(text.to_owned()),
        }
    }

    /// True when it means this package.
    pub(super) fn means(&self, full: &FullName) -> bool {
        match self {
            Self::Name(name) => full.name.eq_ignore_ascii_case(name),
            Self::Family(family) => full.family().eq_ignore_ascii_case(family),
            Self::Full(wanted) => full.is(wanted),
        }
    }

    /// True when it means this family, or one package of it.
    pub(super) fn means_family(&self, family: &str) -> bool {
        match self {
            Self::Name(name) => {
                family.rsplit_once('_').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
            }
            Self::Family(wanted) => family.eq_ignore_ascii_case(wanted),
            Self::Full(wanted) => family.eq_ignore_ascii_case(&wanted.family()),
        }
    }
}

/// The four numbers of a version.
#[must_use]
pub fn version(text: &str) -> Option<[u32; 4]> {
    let mut numbers = [0; 4];
    let mut parts = text.split('.');
    for number in &mut numbers {
        *number = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn is_publisher_id(text: &str) -> bool {
    text.len() == PUBLISHER_ID
        && text.bytes().all(|byte| CROCKFORD.contains(&byte.to_ascii_lowercase()))
}

/// The id of the publisher with this distinguished name.
#[must_use]
pub fn publisher_id(publisher: &str) -> String {
    let bytes: Vec<u8> = publisher.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    // 64 bits and one more that is zero: thirteen digits of five bits.
    let bits = u128::from(u64::from_be_bytes(first)) << 1;
    (0..PUBLISHER_ID)
        .rev()
        .map(|place| {
            let digit = usize::try_from(bits >> (5 * place) & 31).unwrap_or(0);
            char::from(CROCKFORD[digit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publisher_of_windows_has_the_id_that_everybody_knows() {
        let microsoft =
            "CN=Microsoft Corporation, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";
        assert_eq!(publisher_id(microsoft), "8wekyb3d8bbwe");
        let windows =
            "CN=Microsoft Windows, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";
        assert_eq!(publisher_id(windows), "cw5n1h2txyewy");
    }

    #[test]
    fn full_names_are_read_and_written() {
        for text in [
            "Microsoft.BingNews_4.2.27001.0_neutral_~_8wekyb3d8bbwe",
            "Microsoft.BingNews_4.2.27001.0_x64__8wekyb3d8bbwe",
            "Microsoft.BingNews_4.2.27001.0_neutral_split.language-de_8wekyb3d8bbwe",
        ] {
            assert_eq!(FullName::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "Microsoft.BingNews",
            "Microsoft.BingNews_8wekyb3d8bbwe",
            "a_1.0_x64__8wekyb3d8bbwe",
            "a_1.0.0.0_x64__8wekyb3d8bbw",
            "a_1.0.0.0_x64__8wekyb3d8bbwe_x",
            "_1.0.0.0_x64__8wekyb3d8bbwe",
        ] {
            assert_eq!(FullName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_recipe_may_use_name_family_or_full_name() {
        let full = FullName::parse("A.b_1.2.3.4_x64__8wekyb3d8bbwe").unwrap();
        for text in ["a.B", "a.b_8WEKYB3D8BBWE", "A.B_1.2.3.4_X64__8wekyb3d8bbwe"] {
            assert!(AppName::of(text).means(&full), "{text}");
            assert!(AppName::of(text).means_family("A.b_8wekyb3d8bbwe"), "{text}");
        }
        for text in ["A", "A.b_cw5n1h2txyewy", "A.b_1.2.3.5_x64__8wekyb3d8bbwe", "A.b_x"] {
            assert!(!AppName::of(text).means(&full), "{text}");
        }
        assert!(!AppName::of("A").means_family("A.b_8wekyb3d8bbwe"));
    }
}
