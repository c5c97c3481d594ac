//! Takes provisioned apps out: the entry in `AppxProvisioning.xml`, the key below `AppxAllUserStore\Applications` (and `Staged`), the folders below
//! `Program Files\WindowsApps` that nothing else uses; and marks the family as deprovisioned, so that an update of Windows does not bring it back.
//!
//! A folder stays while another package of the family is provisioned and its bundle names it, and while a user of the image has the package. A framework stays,
//! and its removal is refused, while a package that stays needs it; packages that the recipe takes away too do not stay. That Windows needs no more than these four places is inferred: it was not
//! proven on a running Windows.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{Image, ImageError, RegistryPath},
    servicing::{
        error::{Problem, ServicingError},
        own_file,
        services::near_names,
    },
};

use super::{
    NAME, first_boot,
    inventory::{Found, folder_path, list_path, store_key},
    name::{AppName, FullName},
};

/// How many apps a message lists.
const LISTED: usize = 12;

/// What a removal does.
#[derive(Debug, Default)]
pub(super) struct Removal {
    /// The new list.
    list: Option<Vec<u8>>,
    /// Keys that go.
    keys: Vec<RegistryPath>,
    /// Families that get the mark.
    families: Vec<String>,
    /// Folders that go.
    folders: Vec<NtPath>,
    /// What is odd about it.
    pub(super) warnings: Vec<Problem>,
}

/// Finds what the removal of `name` does to the image, from which the apps `with` go too, before it or behind it. `Err` in the result is why it cannot be done.
pub(super) fn plan(
    name: &str,
    with: &[String],
    image: &mut Image,
) -> Result<Result<Removal, Problem>, ServicingError> {
    let wanted = AppName::of(name);
    let found = Found::read(image)?;
    if let Some(problem) = waits(name, &wanted, image)? {
        return Ok(Err(problem));
    }
    let targets = found.meant_by(std::slice::from_ref(&wanted));
    if targets.is_empty() {
        return Ok(absent(name, &wanted, &found));
    }
    let is_target = |full: &FullName| targets.contains(&full.folded());
    let mut folders = folders(&targets, &found, image);
    let of_users: BTreeSet<String> = found.of_users.iter().map(FullName::folded).collect();
    let used = |full: &FullName| of_users.contains(&full.folded());
    // Those of the other apps that go, which may be there still.
    let all: Vec<AppName> = with.iter().map(|name| AppName::of(name)).chain([wanted]).collect();
    let leaving: BTreeSet<String> = self::folders(&found.meant_by(&all), &found, image)
        .iter()
        .filter(|(full, _)| !used(full))
        .map(|(full, _)| full.folded())
        .collect();
    if let Some(problem) = needed(name, &folders, &leaving, &found, image) {
        return Ok(Err(problem));
    }
    let mut removal = Removal::default();
    for (full, _) in folders.iter().filter(|(full, _)| used(full)) {
        let cause = "a user of the image has this app: its folder stays, new users do not get it";
        removal.warnings.push(Problem::warning(full.to_string(), cause, ""));
    }
    folders.retain(|(full, _)| !used(full));
    if found.has_repository {
        let cause = "the image has run: its database of packages (StateRepository-Machine.srd) still knows the app, and Windows has to notice that it is gone";
        removal.warnings.push(Problem::warning(
            name,
            cause,
            "remove apps from an image that never ran, or with Remove-AppxProvisionedPackage before the image is captured",
        ));
    }
    removal.list = found.provisioning.as_ref().and_then(|list| list.without(is_target));
    let key = |below: &str, (full, name): &(FullName, Name)| {
        is_target(full).then(|| store_key(below).join(name))
    };
    removal.keys.extend(found.registered.iter().filter_map(|entry| key("Applications", entry)));
    let gone: BTreeSet<String> = folders.iter().map(|(full, _)| full.folded()).collect();
    let goes = |full: &FullName| gone.contains(&full.folded());
    let staged = found.staged.iter().filter(|(full, _)| is_target(full) || goes(full));
    removal.keys.extend(staged.map(|(_, name)| store_key("Staged").join(name)));
    let folded_family = |full: &FullName| full.family().to_ascii_lowercase();
    let mut kept: BTreeSet<String> =
        found.all().filter(|full| !is_target(full)).map(folded_family).collect();
    for target in found.all().filter(|full| is_target(full)) {
        if kept.insert(folded_family(target)) {
            removal.families.push(target.family());
        }
    }
    removal.folders = folders.iter().map(|(_, name)| folder_path(name)).collect();
    Ok(Ok(removal))
}

impl Removal {
    pub(super) fn apply(&self, image: &mut Image) -> Result<(), ImageError> {
        if let Some(list) = &self.list {
            own_file::put_bytes(image, &list_path(), list.clone())?;
        }
        for key in &self.keys {
            image.delete_key(key)?;
        }
        for family in &self.families {
            image.create_key(&store_key("Deprovisioned").join(&Name::from(family.as_str())))?;
        }
        self.folders.iter().try_for_each(|folder| image.remove(folder))
    }
}

/// Nothing to remove: fine when it was removed before; else the name may be wrong.
fn absent(name: &str, wanted: &AppName, found: &Found) -> Result<Removal, Problem> {
    if let Some(part) = found.inbox.iter().find(|full| wanted.means(full)) {
        let cause =
            format!("{part} is a part of Windows, not a provisioned app: it cannot be removed");
        return Err(Problem::error(name, cause, "take it out of [appx]"));
    }
    let mut removal = Removal::default();
    if found.deprovisioned.iter().any(|family| wanted.means_family(family)) {
        return Ok(removal);
    }
    let mut names: Vec<String> = found.all().map(|full| full.name.clone()).collect();
    names.sort_by_key(|name| name.to_lowercase());
    names.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
    let plain = match wanted {
        AppName::Name(name) => name.as_str(),
        AppName::Family(family) => family.split('_').next().unwrap_or_default(),
        AppName::Full(full) => full.name.as_str(),
    };
    let others: Vec<String> = found
        .all()
        .filter(|full| full.name.eq_ignore_ascii_case(plain))
        .map(FullName::to_string)
        .collect();
    let near = near_apps(plain, &names);
    let help = if !others.is_empty() {
        format!("it has {}; write `{plain}` for every version", others.join(", "))
    } else if !near.is_empty() {
        format!("did you mean {}?", near.join(", "))
    } else if names.is_empty() {
        "the image has no provisioned apps".to_owned()
    } else {
        let more = names.len().saturating_sub(LISTED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("it has {}{rest}", names[..names.len() - more].join(", "))
    };
    let cause = "the image has no such app: there is nothing to remove";
    removal.warnings.push(Problem::warning(name, cause, help));
    Ok(removal)
}

/// True when the first boot installs it, as an earlier build had it.
fn waits(name: &str, wanted: &AppName, image: &Image) -> Result<Option<Problem>, ServicingError> {
    let there = first_boot::waiting(image).map_err(|error| failed(name, error))?;
    if !there.iter().any(|one| one.is_meant_by(name, wanted)) {
        return Ok(None);
    }
    let cause = "the image installs it at its first boot";
    let help = "begin with a base image on which it does not wait";
    Ok(Some(Problem::error(name, cause, help)))
}

/// Names like `wanted`. Most apps of an image have one vendor, so what stands before the first dot makes no two of them alike.
fn near_apps(wanted: &str, names: &[String]) -> Vec<String> {
    let own = |name: &str| name.split_once('.').map_or(name, |(_, own)| own).to_owned();
    let near = near_names(&own(wanted), names.iter().map(|name| own(name)));
    near.iter().filter_map(|near| names.iter().find(|name| own(name) == *near)).cloned().collect()
}

/// The folders of `targets` that no other provisioned package of their family uses.
fn folders(targets: &BTreeSet<String>, found: &Found, image: &Image) -> Vec<(FullName, Name)> {
    // By family: its packages that go, and those that stay.
    let mut families: BTreeMap<String, (Vec<&FullName>, Vec<&FullName>)> = BTreeMap::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for full in found.all() {
        let folded = full.folded();
        let goes = targets.contains(&folded);
        if seen.insert(folded) {
            let (gone, rest) = families.entry(full.family().to_ascii_lowercase()).or_default();
            if goes { gone.push(full) } else { rest.push(full) }
        }
    }
    let by_name: BTreeMap<String, &Name> =
        found.folders.iter().map(|(full, name)| (full.folded(), name)).collect();
    let mut bundles: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    let mut gone: Vec<(FullName, Name)> = Vec::new();
    for (full, name) in &found.folders {
        let Some((targets, rest)) = families.get(&full.family().to_ascii_lowercase()) else {
            continue;
        };
        let mut uses = |package: &FullName| uses(package, full, &by_name, &mut bundles, image);
        // The last of its family takes along whatever lies there of it.
        let goes = !targets.is_empty()
            && (rest.is_empty()
                || targets.iter().any(|target| uses(target) == Some(true))
                    && rest.iter().all(|other| uses(other) == Some(false)));
        if goes {
            gone.push((full.clone(), name.clone()));
        }
    }
    gone
}

/// True when the folder of `folder` belongs to the package: its own, or one that its bundle names. `None` when nobody can tell. `bundles` keeps what
/// the bundles that were read name.
fn uses(
    package: &FullName,
    folder: &FullName,
    by_name: &BTreeMap<String, &Name>,
    bundles: &mut BTreeMap<String, Option<BTreeSet<String>>>,
    image: &Image,
) -> Option<bool> {
    if package.is(folder) {
        return Some(true);
    }
    if !package.is_bundle() {
        return Some(false);
    }
    let key = package.folded();
    let read = |key: &String| {
        let members = Found::manifest(image, by_name.get(key)?)?.members?;
        Some(members.iter().map(|member| member.full.to_ascii_lowercase()).collect())
    };
    let members = bundles.entry(key.clone()).or_insert_with(|| read(&key));
    members.as_ref().map(|members| members.contains(&folder.folded()))
}

/// Why it cannot go: a package that stays needs it. `leaving` are the folders that go with it and with the other apps of the recipe.
fn needed(
    name: &str,
    gone: &[(FullName, Name)],
    leaving: &BTreeSet<String>,
    found: &Found,
    image: &Image,
) -> Option<Problem> {
    let frameworks: Vec<&FullName> = gone
        .iter()
        .filter(|(_, folder)| Found::manifest(image, folder).is_some_and(|one| one.framework))
        .map(|(full, _)| full)
        .collect();
    if frameworks.is_empty() {
        return None;
    }
    let own: BTreeSet<String> = gone.iter().map(|(full, _)| full.folded()).collect();
    let staying: Vec<&(FullName, Name)> = found
        .folders
        .iter()
        .filter(|(full, _)| {
            let folded = full.folded();
            !own.contains(&folded) && !leaving.contains(&folded)
        })
        .collect();
    // Frameworks of which no other version stays.
    let mut lost: BTreeSet<String> =
        frameworks.iter().map(|framework| framework.name.to_ascii_lowercase()).collect();
    for (full, _) in &staying {
        lost.remove(&full.name.to_ascii_lowercase());
    }
    if lost.is_empty() {
        return None;
    }
    let needs = |folder: &Name| {
        let manifest = Found::manifest(image, folder)?;
        let needed = |(needed, _): &(String, String)| lost.contains(&needed.to_ascii_lowercase());
        manifest.needs.iter().any(needed).then_some(manifest.full)
    };
    let users: Vec<String> = staying.iter().filter_map(|(_, folder)| needs(folder)).collect();
    let first = users.first()?;
    let more = match users.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    Some(Problem::error(
        name,
        format!("other apps need it: {first}{more}"),
        "remove these apps too, or keep it",
    ))
}

/// The error of an edit.
pub(super) fn failed(name: &str, error: ImageError) -> ServicingError {
    ServicingError::image(NAME, name, error)
}
