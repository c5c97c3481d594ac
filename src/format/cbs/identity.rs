//! Identities of assemblies, and the names they have in stores and hives (key forms).
//!
//! # Key forms
//! A key form is a readable part and 16 hexadecimal digits, all in lower case (`facts/manifests-keyforms-pa30.md`, section 4; checked against all real
//! names there are):
//!
//! | form | pattern | where |
//! |---|---|---|
//! | long | `arch_name_token_version_culture_hash` | folders of WinSxS, `Manifests`, `DerivedData\Components` |
//! | short | `name_token_version_hash` | `CanonicalData\Deployments`, `c!` values |
//! | winners | `arch_name_token_culture_hash` | `SideBySide\Winners`, `ComponentFamilies` |
//!
//! - The name loses every character but letters, digits, `.`, `-` and `_`, then is shortened to 40 characters (24 in the short form), the culture to 8, the
//!   version to 16: of a text longer than n the first and the last n/2-1 characters stay, with `..` between.
//! - No architecture, culture or token, or a neutral one, is `none`.
//! - A text hashes to 64 bits: four lanes of 32 bits, character i (UTF-16, lower case) going into lane i mod 4 by `lane = lane * 65599 + character`; then
//!   `((l0 * P + l1) * P + l2) * P + l3` with P = 2^33 - 9, modulo 2^64.
//! - The hash of an identity goes over its attributes name, culture, typeName, type, version, publicKeyToken, processorArchitecture, versionScope, those
//!   that are missing or `none` left out: `hash = hash * P + text(attribute) * P + text(value)`. The winners form leaves the version out too.

use std::fmt;

use super::{CbsError, xml::Element};

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
                Some(part) if part.starts_with('+') => return None,
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

    /// The identity that an element's attributes give (`assemblyIdentity`, `installerAssembly`). `buildType` is no part of it.
    ///
    /// # Errors
    /// When it has no name, or a version that is not four numbers of 16 bits.
    pub fn of_element(element: &Element) -> Result<Self, CbsError> {
        let name = element.owned_or_empty("name");
        if name.is_empty() {
            return Err(element.error(format!("<{}> without a name", element.name)));
        }
        let version = match element.attribute("version") {
            None => Version::default(),
            Some(text) => Version::parse(text).ok_or_else(|| {
                element.error(format!("{name}: the version `{text}` is not four numbers"))
            })?,
        };
        Ok(Self {
            name,
            version,
            architecture: element.owned_or_empty("processorArchitecture"),
            language: element.owned_or_empty("language"),
            public_key_token: element.owned_or_empty("publicKeyToken"),
            kind: element.owned("type"),
            type_name: element.owned("typeName"),
            version_scope: element.owned("versionScope"),
        })
    }

    /// The long key form: what the folder in WinSxS, the manifest's file and the key in `DerivedData\Components` are called.
    #[must_use]
    pub fn key_form(&self) -> String {
        let Self { architecture, language, .. } = self;
        let readable = [
            shown(architecture, 40),
            shown(&self.name, 40),
            shown(&self.public_key_token, 40),
            shorten(&self.version.to_string(), 16),
            shown(language, 8),
        ];
        self.form(&readable, true)
    }

    /// The short key form: what the key in `CanonicalData\Deployments` is called. The hash is that of the long form.
    #[must_use]
    pub fn short_key_form(&self) -> String {
        let readable = [
            shown(&self.name, 24),
            shown(&self.public_key_token, 40),
            shorten(&self.version.to_string(), 16),
        ];
        self.form(&readable, true)
    }

    /// The winners key form, which all versions of a component share: what the key in `SideBySide\Winners` is called.
    #[must_use]
    pub fn winners_key_form(&self) -> String {
        let readable = [
            shown(&self.architecture, 40),
            shown(&self.name, 40),
            shown(&self.public_key_token, 40),
            shown(&self.language, 8),
        ];
        self.form(&readable, false)
    }

    /// A key form: what a person reads, and the hash of the whole, with or without the version.
    fn form(&self, readable: &[String], with_version: bool) -> String {
        let hash = self.hash(with_version);
        format!("{}_{hash:016x}", readable.join("_")).to_ascii_lowercase()
    }

    /// The text in the values `identity` (of components) and `appid` (of deployments) of the COMPONENTS hive.
    ///
    /// Names and values stand as they are written, but `nonSxS` in any letter case is `NonSxS`, and no language is `neutral`; what is missing is left out.
    /// So are the real exports; where `TypeName` and `Type` stand is known from one open source, not from data.
    #[must_use]
    pub fn identity_text(&self) -> String {
        let culture = if self.is_neutral() { "neutral" } else { &self.language };
        let version = self.version.to_string();
        let scope = self
            .version_scope
            .as_deref()
            .map(|scope| if scope.eq_ignore_ascii_case("nonSxS") { "NonSxS" } else { scope });
        let parts = [
            ("Culture", Some(culture)),
            ("TypeName", self.type_name.as_deref()),
            ("Type", self.kind.as_deref()),
            ("Version", Some(version.as_str())),
            ("PublicKeyToken", Some(self.public_key_token.as_str())),
            ("ProcessorArchitecture", Some(self.architecture.as_str())),
            ("versionScope", scope),
        ];
        let mut text = self.name.clone();
        for (key, value) in parts {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                text.extend([", ", key, "=", value]);
            }
        }
        text
    }

    /// Reads an [`Identity::identity_text`] back; `None` when it is none.
    #[must_use]
    pub fn of_identity_text(text: &str) -> Option<Self> {
        let mut parts = text.trim_end_matches('\0').split(", ");
        let name = parts.next().filter(|name| !name.is_empty() && !name.contains('='))?;
        let mut identity = Self { name: name.to_owned(), ..Self::default() };
        for part in parts {
            let (key, value) = part.split_once('=')?;
            let value = value.to_owned();
            match key.to_ascii_lowercase().as_str() {
                "culture" => identity.language = value,
                "typename" => identity.type_name = Some(value),
                "type" => identity.kind = Some(value),
                "version" => identity.version = Version::parse(&value)?,
                "publickeytoken" => identity.public_key_token = value,
                "processorarchitecture" => identity.architecture = value,
                "versionscope" => identity.version_scope = Some(value),
                _ => return None,
            }
        }
        Some(identity)
    }

    /// True when both are versions of one thing: name, token, architecture and language are the same without case.
    #[must_use]
    pub fn is_same_family(&self, other: &Self) -> bool {
        let language = |identity: &Self| {
            if identity.is_neutral() {
                String::new()
            } else {
                identity.language.to_ascii_lowercase()
            }
        };
        self.name.eq_ignore_ascii_case(&other.name)
            && self.public_key_token.eq_ignore_ascii_case(&other.public_key_token)
            && word(&self.architecture).eq_ignore_ascii_case(word(&other.architecture))
            && language(self) == language(other)
    }

    /// The hash of a key form.
    fn hash(&self, with_version: bool) -> u64 {
        let version = with_version.then(|| self.version.to_string());
        let attributes = [
            ("name", Some(self.name.as_str())),
            ("culture", Some(word(&self.language))),
            ("typeName", self.type_name.as_deref()),
            ("type", self.kind.as_deref()),
            ("version", version.as_deref()),
            ("publicKeyToken", Some(word(&self.public_key_token))),
            ("processorArchitecture", Some(word(&self.architecture))),
            ("versionScope", self.version_scope.as_deref()),
        ];
        let given = attributes.iter().filter_map(|(key, value)| Some((key, (*value)?)));
        given.filter(|(_, value)| !value.eq_ignore_ascii_case("none")).fold(
            0,
            |hash: u64, (key, value)| {
                let pair = text_hash(key).wrapping_mul(P).wrapping_add(text_hash(value));
                hash.wrapping_mul(P).wrapping_add(pair)
            },
        )
    }
}

/// 2^33 - 9.
const P: u64 = 0x1_ffff_fff7;

fn text_hash(text: &str) -> u64 {
    let mut lanes = [0_u32; 4];
    for (index, unit) in text.to_lowercase().encode_utf16().enumerate() {
        let lane = &mut lanes[index % 4];
        *lane = lane.wrapping_mul(65599).wrapping_add(u32::from(unit));
    }
    lanes.iter().fold(0, |hash: u64, lane| hash.wrapping_mul(P).wrapping_add(u64::from(*lane)))
}

/// `none` for nothing and `neutral`, else the text.
fn word(text: &str) -> &str {
    if text.is_empty() || text.eq_ignore_ascii_case("neutral") { "none" } else { text }
}

/// A part of an identity in a key form.
fn shown(text: &str, most: usize) -> String {
    let legal = |character: &char| character.is_ascii_alphanumeric() || "-._".contains(*character);
    shorten(&word(text).chars().filter(legal).collect::<String>(), most)
}

/// The first and the last `most / 2 - 1` characters with `..` between, when it is longer. The text is ASCII.
fn shorten(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let keep = most / 2 - 1;
    let first = text.get(..keep).unwrap_or_default();
    let last = text.get(text.len() - keep..).unwrap_or_default();
    format!("{first}..{last}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows(name: &str, version: &str, architecture: &str, language: &str) -> Identity {
        Identity {
            name: name.to_owned(),
            version: Version::parse(version).unwrap(),
            architecture: architecture.to_owned(),
            language: language.to_owned(),
            public_key_token: "31bf3856ad364e35".to_owned(),
            version_scope: Some("nonSxS".to_owned()),
            ..Identity::default()
        }
    }

    #[test]
    fn key_forms_are_those_of_real_files() {
        let core = windows("Microsoft-Windows-Core", "10.0.26100.1", "amd64", "neutral");
        assert_eq!(
            core.key_form(),
            "amd64_microsoft-windows-core_31bf3856ad364e35_10.0.26100.1_none_a943f5e781a44c5c"
        );
        assert_eq!(
            core.short_key_form(),
            "microsoft-windows-core_31bf3856ad364e35_10.0.26100.1_a943f5e781a44c5c"
        );
        let resources = windows("MultiPoint-SrcRes.Resources", "10.0.26100.1", "amd64", "en-US");
        assert_eq!(
            resources.key_form(),
            "amd64_multipoint-srcres.resources_31bf3856ad364e35_10.0.26100.1_en-us_6ab3ac0cf789ac3d"
        );
        let mut driver = windows("dual_netvg63a.inf", "10.0.26100.1", "amd64", "neutral");
        driver.kind = Some("dualModeDriver".to_owned());
        assert_eq!(
            driver.key_form(),
            "amd64_dual_netvg63a.inf_31bf3856ad364e35_10.0.26100.1_none_9162a10543917fc7"
        );
        let long = windows(
            "Microsoft-Windows-SLC-Component-ExtendedSecurityUpdatesAI",
            "6.1.7602.25712",
            "x86",
            "neutral",
        );
        assert_eq!(
            long.key_form(),
            "x86_microsoft-windows-s..edsecurityupdatesai_31bf3856ad364e35_6.1.7602.25712_none_6cc0dfea7dc86f09"
        );
        assert_eq!(
            long.winners_key_form(),
            "x86_microsoft-windows-s..edsecurityupdatesai_31bf3856ad364e35_none_b26c9b4c15d241fc"
        );
        assert_eq!(
            long.identity_text(),
            "Microsoft-Windows-SLC-Component-ExtendedSecurityUpdatesAI, Culture=neutral, Version=6.1.7602.25712, PublicKeyToken=31bf3856ad364e35, ProcessorArchitecture=x86, versionScope=NonSxS"
        );
    }

    #[test]
    fn long_parts_are_shortened() {
        assert_eq!(shorten("sr-Latn-RS", 8), "sr-..-rs".replace("rs", "RS"));
        assert_eq!(shorten("12345678", 8), "12345678");
        assert_eq!(shown("Computer Management (Tools)", 40), "ComputerManagementTools");
        assert_eq!(shown("Neutral", 8), "none");
    }

    #[test]
    fn package_ids_and_identity_texts_come_back() {
        let package = windows("Microsoft-Windows-Foundation-Package", "10.0.26100.1", "amd64", "");
        let id = "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.26100.1";
        assert_eq!(package.package_id(), id);
        let back = Identity::of_package_id(id).unwrap();
        assert!(back.is_same_family(&package));
        assert_eq!(back.package_id(), id);
        let mut german = back;
        german.language = "de-DE".to_owned();
        assert!(!german.is_same_family(&package));
        let again = Identity::of_identity_text(&package.identity_text()).unwrap();
        assert_eq!(again.key_form(), package.key_form());
        for wrong in ["", "A=b", "Name, Version=x", "Name, Foo=1", "Name, Foo"] {
            assert_eq!(Identity::of_identity_text(wrong), None, "{wrong}");
        }
        for wrong in ["", "a~b~c~d", "~b~c~~1.0", "a~b~c~~1.0~x", "a~b~c~~+1"] {
            assert_eq!(Identity::of_package_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_element_without_name_or_with_a_strange_version_is_refused() {
        for (text, cause) in [
            ("<assemblyIdentity version='1.0'/>", "without a name"),
            ("<assemblyIdentity name='a' version='1.0.0.70000'/>", "not four numbers"),
        ] {
            let element = Element::parse(text.as_bytes()).unwrap();
            assert!(Identity::of_element(&element).unwrap_err().cause.contains(cause));
        }
    }

    proptest! {
        #[test]
        fn key_forms_are_legal_names(parts in prop::collection::vec("\\PC{0,60}", 7), version: [u16; 4]) {
            let [name, architecture, language, token, kind, type_name, scope] = &parts[..] else { unreachable!() };
            let identity = Identity {
                name: name.clone(),
                version: Version(version),
                architecture: architecture.clone(),
                language: language.clone(),
                public_key_token: token.clone(),
                kind: Some(kind.clone()),
                type_name: Some(type_name.clone()),
                version_scope: Some(scope.clone()),
            };
            for form in [identity.key_form(), identity.short_key_form(), identity.winners_key_form()] {
                prop_assert!(form.len() < 180, "{form}");
                prop_assert!(form.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || "._-".contains(c)), "{form}");
            }
            let upper = Identity { name: name.to_ascii_uppercase(), ..identity.clone() };
            prop_assert_eq!(identity.key_form(), upper.key_form());
        }
    }
}
