//! Winners: of the installed versions of a component only the highest is in force.
//!
//! `SideBySide\Winners\<winners key form>`: default value = `major.minor` of the branch that wins; a subkey for each branch: default value = the version that
//! wins in it; a value for each version, `REG_BINARY` 01 for one that is installed (`facts/cbs-registry.md`, section 3; real exports). A version that is
//! staged and not installed has no value here; 00 is read as not installed.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::name::Name,
    format::{
        cbs::{Identity, Version},
        hive::{Value, ValueType},
    },
    image::{Image, ImageError, RegistryPath},
    servicing::ServicingError,
};

use super::{layout, world::World};

/// The versions of a component that are installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Family {
    /// The winners key form: the key's name.
    pub key_form: String,
    /// Any version's identity.
    pub identity: Identity,
    /// Installed versions.
    pub versions: BTreeSet<Version>,
}

/// What becomes of a family in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FamilyChange {
    pub before: Family,
    pub after: Family,
}

impl Family {
    /// The family of `identity` in the image.
    pub(super) fn read(identity: &Identity, world: &mut World<'_>) -> Result<Self, ServicingError> {
        Self::of_image(identity, world.image).map_err(|error| world.failed(error))
    }

    fn of_image(identity: &Identity, image: &mut Image) -> Result<Self, ImageError> {
        let key_form = identity.winners_key_form();
        let key = layout::winners().join(&Name::from(key_form.as_str()));
        let mut versions = BTreeSet::new();
        for branch in image.registry_subkeys(&key)? {
            for value in image.registry_values(&key.join(&branch))? {
                let version = value.name.to_text().and_then(|name| Version::parse(&name));
                let installed = value.data.first().is_some_and(|byte| *byte != 0);
                versions.extend(version.filter(|_| installed));
            }
        }
        Ok(Self { key_form, identity: identity.clone(), versions })
    }

    /// The version in force.
    pub(super) fn winner(&self) -> Option<Version> {
        self.versions.last().copied()
    }

    /// The identity of the version in force.
    pub(super) fn winning_identity(&self) -> Option<Identity> {
        Some(Identity { version: self.winner()?, ..self.identity.clone() })
    }

    /// Writes the family's keys.
    pub(super) fn write(&self, image: &mut Image) -> Result<(), ImageError> {
        let key = layout::winners().join(&Name::from(self.key_form.as_str()));
        let mut branches: BTreeMap<(u16, u16), Vec<Version>> = BTreeMap::new();
        for version in &self.versions {
            branches.entry((version.0[0], version.0[1])).or_default().push(*version);
        }
        let Some(best) = branches.keys().last().copied() else {
            return image.delete_key(&key);
        };
        let branch_name = |(major, minor): (u16, u16)| format!("{major}.{minor}");
        for name in image.registry_subkeys(&key)? {
            if !branches.keys().any(|branch| name.is(&branch_name(*branch))) {
                image.delete_key(&key.join(&name))?;
            }
        }
        image.set_value(&key, &Value::sz("", &branch_name(best)))?;
        for (branch, versions) in &branches {
            Self::write_branch(
                &key.join(&Name::from(branch_name(*branch).as_str())),
                versions,
                image,
            )?;
        }
        Ok(())
    }

    fn write_branch(
        key: &RegistryPath,
        versions: &[Version],
        image: &mut Image,
    ) -> Result<(), ImageError> {
        for value in image.registry_values(key)? {
            let version = value.name.to_text().and_then(|name| Version::parse(&name));
            if version.is_some_and(|version| !versions.contains(&version))
                && value.data.first() == Some(&1)
            {
                image.delete_value(key, &value.name)?;
            }
        }
        if let Some(winner) = versions.last() {
            image.set_value(key, &Value::sz("", &winner.to_string()))?;
        }
        for version in versions {
            image.set_value(
                key,
                &Value::new(version.to_string().as_str(), ValueType::BINARY, [1]),
            )?;
        }
        Ok(())
    }
}

/// What becomes of the families when components come into force or leave it.
pub(super) fn changes(
    entering: &[Identity],
    leaving: &[Identity],
    world: &mut World<'_>,
) -> Result<Vec<FamilyChange>, ServicingError> {
    let mut families: BTreeMap<String, FamilyChange> = BTreeMap::new();
    for (identity, enters) in
        entering.iter().map(|one| (one, true)).chain(leaving.iter().map(|one| (one, false)))
    {
        let form = identity.winners_key_form();
        if !families.contains_key(&form) {
            let before = Family::read(identity, world)?;
            families.insert(form.clone(), FamilyChange { after: before.clone(), before });
        }
        let Some(change) = families.get_mut(&form) else { continue };
        if enters {
            change.after.versions.insert(identity.version);
        } else {
            change.after.versions.remove(&identity.version);
        }
    }
    Ok(families.into_values().collect())
}
