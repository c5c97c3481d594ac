//! Takes provisioned apps out: the entry in `AppxProvisioning.xml`, the key below `AppxAllUserStore\Applications` (and `Staged`), the folders below
//! `Program Files\WindowsApps` that nothing else uses; and marks the family as deprovisioned, so that an update of Windows does not bring it back.
//!
//! A folder stays while another package of the family is provisioned and its bundle names it, and while a user of the image has the package. A framework stays,
//! and its removal is refused, while a package that stays needs it. That Windows needs no more than these four places is inferred: it was not
//! proven on a running Windows.

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{Image, ImageError, NewNode, RegistryPath},
    servicing::{
        error::{Problem, ServicingError},
        services::near_names,
    },
};

use super::{
    NAME,
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

/// Finds what the removal of `name` does to the image. `Err` in the result is why it cannot be done.
pub(super) fn plan(
    name: &str,
    image: &mut Image,
) -> Result<Result<Removal, Problem>, ServicingError> {
    let wanted = AppName::of(name);
    let found = Found::read(image)?;
    let mut targets: Vec<FullName> = Vec::new();
    for full in found.all().filter(|full| wanted.means(full)) {
        if !targets.iter().any(|known| known.is(full)) {
            targets.push(full.clone());
        }
    }
    if targets.is_empty() {
        return Ok(absent(name, &wanted, &found));
    }
    let is_target = |full: &FullName| targets.iter().any(|target| target.is(full));
    let mut folders = folders(&targets, &found, image);
    if let Some(problem) = needed(name, &folders, &found, image) {
        return Ok(Err(problem));
    }
    let mut removal = Removal::default();
    let used = |full: &FullName| found.of_users.iter().any(|other| other.is(full));
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
    let goes = |full: &FullName| folders.iter().any(|(folder, _)| folder.is(full));
    let staged = found.staged.iter().filter(|(full, _)| is_target(full) || goes(full));
    removal.keys.extend(staged.map(|(_, name)| store_key("Staged").join(name)));
    for target in &targets {
        let family = target.family();
        let stays =
            found.all().any(|full| !is_target(full) && full.family().eq_ignore_ascii_case(&family));
        if !stays && !removal.families.contains(&family) {
            removal.families.push(family);
        }
    }
    removal.folders = folders.iter().map(|(_, name)| folder_path(name)).collect();
    Ok(Ok(removal))
}

impl Removal {
    pub(super) fn apply(&self, image: &mut Image) -> Result<(), ImageError> {
        if let Some(list) = &self.list {
            image.put_bytes(&list_path(), list.clone(), &NewNode::default())?;
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
    let near = near_names(plain, names.iter().cloned());
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

/// The folders of `targets` that no other provisioned package of their family uses.
fn folders(targets: &[FullName], found: &Found, image: &Image) -> Vec<(FullName, Name)> {
    let mut gone: Vec<(FullName, Name)> = Vec::new();
    for (full, name) in &found.folders {
        let family = |other: &FullName| other.family().eq_ignore_ascii_case(&full.family());
        if !targets.iter().any(family) {
            continue;
        }
        let rest: Vec<&FullName> = found
            .all()
            .filter(|other| family(other) && !targets.iter().any(|target| target.is(other)))
            .collect();
        let uses = |package: &FullName| uses(package, full, found, image);
        // The last of its family takes along whatever lies there of it.
        let goes = rest.is_empty()
            || targets.iter().any(|target| uses(target) == Some(true))
                && rest.iter().all(|other| uses(other) == Some(false));
        if goes {
            gone.push((full.clone(), name.clone()));
        }
    }
    gone
}

/// True when the folder of `folder` belongs to the package: its own, or one that its bundle names. `None` when nobody can tell.
fn uses(package: &FullName, folder: &FullName, found: &Found, image: &Image) -> Option<bool> {
    if package.is(folder) {
        return Some(true);
    }
    if !package.is_bundle() {
        return Some(false);
    }
    let (_, name) = found.folders.iter().find(|(full, _)| full.is(package))?;
    let members = Found::manifest(image, name)?.members?;
    Some(members.iter().any(|member| member.full.eq_ignore_ascii_case(&folder.to_string())))
}

/// Why it cannot go: a package that stays needs it.
fn needed(name: &str, gone: &[(FullName, Name)], found: &Found, image: &Image) -> Option<Problem> {
    let frameworks: Vec<&FullName> = gone
        .iter()
        .filter(|(_, folder)| Found::manifest(image, folder).is_some_and(|one| one.framework))
        .map(|(full, _)| full)
        .collect();
    if frameworks.is_empty() {
        return None;
    }
    let stays = |full: &FullName| !gone.iter().any(|(other, _)| other.is(full));
    let another = |name: &str| {
        found.folders.iter().any(|(full, _)| stays(full) && full.name.eq_ignore_ascii_case(name))
    };
    let needs = |folder: &Name| {
        let manifest = Found::manifest(image, folder)?;
        let one = frameworks.iter().find(|framework| {
            manifest.needs.iter().any(|(needed, _)| needed.eq_ignore_ascii_case(&framework.name))
        })?;
        if another(&one.name) { None } else { Some(manifest.full) }
    };
    let users: Vec<String> = found
        .folders
        .iter()
        .filter(|(full, _)| stays(full))
        .filter_map(|(_, folder)| needs(folder))
        .collect();
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
