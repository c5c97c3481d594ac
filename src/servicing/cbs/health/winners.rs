//! Winners: each family of components of which a version is installed has its keys, and what they say to be in force is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::name::Name,
    format::cbs::{Identity, Version},
    image::{Image, ImageError},
    servicing::cbs::{layout, records},
};

use super::{
    absence::Known,
    report::{HealthReport, Mend, What},
};

/// A family: what is there of it and what is installed.
#[derive(Debug, Default)]
struct Family {
    identity: Identity,
    there: BTreeSet<Version>,
    installed: BTreeSet<Version>,
}

/// Checks the keys below Winners.
pub(super) fn check(
    image: &mut Image,
    known: &Known<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    if !known.registry.software_read || !known.registry.components_read {
        return Ok(());
    }
    let families = families(known);
    for (form, family) in families.iter().filter(|(_, family)| !family.installed.is_empty()) {
        one(form, family, image, report)?;
    }
    for (form, version) in &known.registry.winners {
        let key = layout::winners().join(&Name::from(form.as_str()));
        match (version, families.get(form)) {
            (_, Some(family)) if !family.installed.is_empty() => {}
            (None, _) => report.skip("winner that does not say its version"),
            (Some(_), None) => report.skip("winner without a sound manifest"),
            (Some(version), Some(family)) if !family.there.contains(version) => {
                let branch = format!("{}.{}", version.0[0], version.0[1]);
                let branch = key.join(&Name::from(branch.as_str()));
                let mend = Mend::Copy { key: branch, name: Name::default(), like: None };
                let newest = family.there.last().map(ToString::to_string).unwrap_or_default();
                let expected = format!("a version that is there ({newest})");
                report.damaged(What::Registry, key, (expected, version.to_string()), mend);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The families of which the store has a sound manifest, by winners key form.
fn families(known: &Known<'_>) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (form, component) in &known.manifests.sound {
        let family = families.entry(component.identity.winners_key_form()).or_default();
        family.identity = component.identity.clone();
        family.there.insert(component.identity.version);
        if !component.deployment && known.is_installed(form) {
            family.installed.insert(component.identity.version);
        }
    }
    // A version whose manifest is damaged or gone is there too: the manifest has been told.
    let keys = known.registry.components.iter();
    for (_, key) in keys.filter(|(form, _)| !known.manifests.sound.contains_key(*form)) {
        let text = key.identity.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let Some(identity) = text.and_then(Identity::of_identity_text) else { continue };
        if let Some(family) = families.get_mut(&identity.winners_key_form()) {
            family.there.insert(identity.version);
        }
    }
    families
}

/// One family of which something is installed.
fn one(
    form: &str,
    family: &Family,
    image: &mut Image,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let Some(newest) = family.installed.last() else { return Ok(()) };
    let key = layout::winners().join(&Name::from(form));
    let winner = records::winner(image, form)?;
    let version = winner.as_ref().and_then(records::Winner::version);
    let branches = winner.iter().flat_map(|winner| &winner.branches);
    let versions: Vec<(Version, bool)> =
        branches.flat_map(|branch| branch.versions.iter().copied()).collect();
    let expected = format!("the installed version {newest}");
    let found = match (&winner, version) {
        (None, _) if !is_of_windows(&family.identity) => {
            report.skip("component outside Windows that is no winner");
            return Ok(());
        }
        (None, _) => "nothing".to_owned(),
        (Some(_), None) => "a branch that is not there, or none".to_owned(),
        (Some(_), Some(version)) if !family.there.contains(&version) => version.to_string(),
        (Some(_), Some(version)) if !versions.contains(&(version, true)) => {
            format!("{version}, which is not marked as installed (01)")
        }
        (Some(_), Some(version)) if version < *newest => {
            // Updates of Windows 7 and before come in two branches, of which the lower may be in force.
            report.note(What::Registry, key, (expected, version.to_string()), Mend::Nothing);
            return Ok(());
        }
        _ => return Ok(()),
    };
    // What is marked as installed and is there stays so.
    let marked = versions.into_iter().filter(|(_, installed)| *installed);
    let versions = marked.map(|(version, _)| version).filter(|it| family.there.contains(it));
    let versions = versions.chain(family.installed.iter().copied()).collect();
    let mend = Mend::Winner { identity: family.identity.clone(), versions };
    report.damaged(What::Registry, key, (expected, found), mend);
    Ok(())
}

/// True for what Windows itself consists of; assemblies that programs share have their own rules.
fn is_of_windows(identity: &Identity) -> bool {
    identity.version_scope.as_deref().is_some_and(|scope| scope.eq_ignore_ascii_case("nonSxS"))
}
