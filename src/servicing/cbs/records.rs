//! What the hives of an image say of components, deployments and winners: `HKLM\COMPONENTS` and `SideBySide\Winners`.

use crate::{
    base::name::Name,
    format::{
        cbs::{Identity, Version},
        hive::Value,
    },
    image::{HiveId, Image, ImageError, RegistryPath},
};

use super::layout;

/// A component, as `DerivedData\Components` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRecord {
    /// The key's name: its key form.
    pub key_form: String,
    /// `identity`, read; `None` when it is missing or is none.
    pub identity: Option<Identity>,
    /// `S256H`: the SHA-256 of its plain manifest.
    pub sha256: Option<[u8; 32]>,
    /// `c!<deployment>`: short key forms of the deployments that bring it.
    pub deployments: Vec<String>,
    /// `f!<file>`: names of its files that have been staged, as they are written there.
    pub files: Vec<String>,
}

/// A deployment, as `CanonicalData\Deployments` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentRecord {
    /// The key's name: its short key form.
    pub key: String,
    /// `appid`, read; `None` when it is missing or is none.
    pub identity: Option<Identity>,
    /// `CatalogThumbprint`: the SHA-256 of the catalog that vouches for it, in hexadecimal digits.
    pub catalog: Option<String>,
    /// Values `p!...`, `s!...`, `i!...`: who pinned, staged and installed it.
    pub references: Vec<DeploymentReference>,
}

/// Who refers to a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentReference {
    /// `p` (pinned), `s` (staged) or `i` (installed).
    pub mark: char,
    /// The value's name behind the mark: `CBS_<package id>.<update>`; Windows shortens long ones.
    pub name: String,
    /// The reference itself, out of the data: `<package id>.<update>`; empty when the data has none.
    pub text: String,
}

/// Which versions of a component there are, and which wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Winner {
    /// The key's name: the winners key form.
    pub family: String,
    /// The branch that wins, as written: `10.0`.
    pub branch: Option<String>,
    /// The branches.
    pub branches: Vec<Branch>,
}

/// The versions of a component that share major and minor number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The key's name: `10.0`.
    pub name: String,
    /// The version that wins in it.
    pub winner: Option<Version>,
    /// The versions there, and whether each is installed (`01`).
    pub versions: Vec<(Version, bool)>,
}

impl Winner {
    /// The version that is in force.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let branch = self.branch.as_deref()?;
        self.branches.iter().find(|known| known.name == branch)?.winner
    }
}

/// The key forms of all components in `DerivedData\Components`, in the order of the hive; none without a COMPONENTS hive.
///
/// # Errors
/// When the COMPONENTS hive is damaged.
pub fn component_key_forms(image: &mut Image) -> Result<Vec<String>, ImageError> {
    names(image, &layout::components())
}

/// The short key forms of all deployments in `CanonicalData\Deployments`, in the order of the hive; none without a COMPONENTS hive.
///
/// # Errors
/// When the COMPONENTS hive is damaged.
pub fn deployment_keys(image: &mut Image) -> Result<Vec<String>, ImageError> {
    names(image, &layout::deployments())
}

/// One component; `None` when the hive does not know it.
///
/// # Errors
/// When the COMPONENTS hive is damaged.
pub fn component(image: &mut Image, key_form: &str) -> Result<Option<ComponentRecord>, ImageError> {
    let key = layout::components().join(&key_form.into());
    if !image.has_hive(HiveId::Components) || !image.registry_key_exists(&key)? {
        return Ok(None);
    }
    let values = image.registry_values(&key)?;
    let marked = |mark: &str| -> Vec<String> {
        let name = |value: &Value| value.name.to_text()?.strip_prefix(mark).map(str::to_owned);
        values.iter().filter_map(name).collect()
    };
    let value = |name: &str| values.iter().find(|value| value.name.is(name));
    Ok(Some(ComponentRecord {
        key_form: key_form.to_owned(),
        identity: value("identity").and_then(identity),
        sha256: value("S256H").and_then(|value| value.data.as_slice().try_into().ok()),
        deployments: marked("c!"),
        files: marked("f!"),
    }))
}

/// One deployment; `None` when the hive does not know it.
///
/// # Errors
/// When the COMPONENTS hive is damaged.
pub fn deployment(image: &mut Image, key: &str) -> Result<Option<DeploymentRecord>, ImageError> {
    let path = layout::deployments().join(&key.into());
    if !image.has_hive(HiveId::Components) || !image.registry_key_exists(&path)? {
        return Ok(None);
    }
    let values = image.registry_values(&path)?;
    let value = |name: &str| values.iter().find(|value| value.name.is(name));
    let references = values.iter().filter_map(|value| {
        let name = value.name.to_text()?;
        let (mark, name) = name.split_once('!')?;
        let mark = match mark {
            "p" => 'p',
            "s" => 's',
            "i" => 'i',
            _ => return None,
        };
        Some(DeploymentReference { mark, name: name.to_owned(), text: reference(&value.data) })
    });
    Ok(Some(DeploymentRecord {
        key: key.to_owned(),
        identity: value("appid").and_then(identity),
        catalog: value("CatalogThumbprint").and_then(Value::as_text),
        references: references.collect(),
    }))
}

/// Every family of components in `SideBySide\Winners`, in the order of the hive.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn winners(image: &mut Image) -> Result<Vec<Winner>, ImageError> {
    let families = image.registry_subkeys(&layout::winners())?;
    let read = families.iter().map(|family| read_winner(image, family));
    read.collect()
}

/// One family, by its winners key form; `None` when the hive does not know it.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn winner(image: &mut Image, family: &str) -> Result<Option<Winner>, ImageError> {
    let family = Name::from(family);
    if !image.registry_key_exists(&layout::winners().join(&family))? {
        return Ok(None);
    }
    read_winner(image, &family).map(Some)
}

fn read_winner(image: &mut Image, family: &Name) -> Result<Winner, ImageError> {
    let key = layout::winners().join(family);
    let default = |image: &mut Image, key: &RegistryPath| -> Result<Option<String>, ImageError> {
        Ok(image.registry_value(key, &"".into())?.and_then(|value| value.as_text()))
    };
    let branch = default(image, &key)?;
    let mut branches = Vec::new();
    for name in image.registry_subkeys(&key)? {
        let below = key.join(&name);
        let winner = default(image, &below)?.and_then(|text| Version::parse(&text));
        let version = |value: Value| {
            let version = Version::parse(&value.name.to_text()?)?;
            Some((version, value.data.first() == Some(&1)))
        };
        let versions = image.registry_values(&below)?.into_iter().filter_map(version).collect();
        branches.push(Branch { name: name.to_string(), winner, versions });
    }
    Ok(Winner { family: family.to_string(), branch, branches })
}

fn names(image: &mut Image, key: &RegistryPath) -> Result<Vec<String>, ImageError> {
    if !image.has_hive(key.hive()) {
        return Ok(Vec::new());
    }
    Ok(image.registry_subkeys(key)?.iter().map(ToString::to_string).collect())
}

/// An identity in ASCII.
fn identity(value: &Value) -> Option<Identity> {
    Identity::of_identity_text(std::str::from_utf8(&value.data).ok()?)
}

/// The text of a reference: behind a length and flags of 32 bits each.
fn reference(data: &[u8]) -> String {
    let text = data.get(8..).unwrap_or_default();
    let length = data.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    String::from_utf8_lossy(&text[..length.min(text.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_as_long_as_they_say_and_no_longer_than_they_are() {
        assert_eq!(reference(b"\x03\0\0\0\x01\0\0\0abcdef"), "abc");
        assert_eq!(reference(b"\xff\xff\xff\xff\x01\0\0\0ab"), "ab");
        assert_eq!(reference(b"\x03\0"), "");
    }

    #[test]
    fn the_winner_is_that_of_the_winning_branch() {
        let version = Version([6, 1, 7602, 1]);
        let branch =
            |name: &str, winner| Branch { name: name.to_owned(), winner, versions: Vec::new() };
        let mut winner = Winner {
            family: "x".to_owned(),
            branch: Some("6.1".to_owned()),
            branches: vec![branch("6.0", None), branch("6.1", Some(version))],
        };
        assert_eq!(winner.version(), Some(version));
        winner.branch = None;
        assert_eq!(winner.version(), None);
    }
}
