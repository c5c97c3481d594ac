//! What components that come into force write over that was not theirs: files and values that no component owns, which removal does not bring back, and
//! those of other components, which it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    format::cbs::manifest::FileHash,
    image::NodeId,
    servicing::{ServicingError, error::Problem},
};

use super::{
    effects::{LinkEffect, stored_names},
    health::digests,
    project::{Item, Projected, items, other_owners, path_item, stored, value_item},
    world::World,
};

/// How many are named.
const NAMED: usize = 4;

/// A warning for each package that writes over something.
///
/// # Errors
/// When the image cannot be read.
pub(super) fn warnings(
    leaving: &[Projected],
    entering: &[Projected],
    world: &mut World<'_>,
) -> Result<Vec<Problem>, ServicingError> {
    let theirs: BTreeSet<Item> =
        leaving.iter().flat_map(|component| items(&component.effects)).collect();
    let mut found: Vec<(&str, Item, String)> = Vec::new();
    for component in entering {
        let effects = &component.effects;
        for link in &effects.links {
            let item = path_item(&link.path);
            let there = world.image.tree().lookup(&link.path);
            if let Some(there) = there.filter(|_| !theirs.contains(&item))
                && !holds_the_same(&component.key_form, link, there, world)?
            {
                found.push((&component.package, item, link.path.to_string()));
            }
        }
        for value in effects.values.iter().filter(|value| !value.mutable) {
            let key = &effects.keys[value.key].path;
            let (item, value) = (value_item(key, &value.value.name), &value.value);
            if theirs.contains(&item) {
                continue;
            }
            let now = world.image.registry_value(key, &value.name);
            let now = now.map_err(|error| world.failed(error))?;
            if now.is_some_and(|now| now.kind != value.kind || now.data != value.data) {
                let name = if value.name.is_empty() {
                    "(default)".to_owned()
                } else {
                    value.name.to_string()
                };
                found.push((&component.package, item, format!("{}!{name}", key.text())));
            }
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    // Only now: every component in force is read for it.
    let asked: BTreeSet<Item> = found.iter().map(|(_, item, _)| item.clone()).collect();
    let own = leaving.iter().chain(entering).map(|component| component.key_form.clone());
    let owners = other_owners(&asked, &own.collect(), world)?;
    let mut packages: BTreeMap<&str, Vec<(bool, String)>> = BTreeMap::new();
    for (package, item, shown) in found {
        packages.entry(package).or_default().push((owners.owned.contains(&item), shown));
    }
    Ok(packages.into_iter().map(|(package, all)| warning(package, &all)).collect())
}

fn warning(package: &str, all: &[(bool, String)]) -> Problem {
    let mut clauses = Vec::new();
    for (owned, whose) in [(false, "that no component owns"), (true, "of other components")] {
        let names: Vec<&str> =
            all.iter().filter(|one| one.0 == owned).map(|(_, shown)| shown.as_str()).collect();
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !names.is_empty() {
            let listed = names[..names.len().min(NAMED)].join(", ");
            clauses.push(format!("{} {whose} ({listed}{more})", names.len()));
        }
    }
    let cause = format!("it writes over files or values of the image: {}", clauses.join("; "));
    let help = match all.iter().any(|(owned, _)| !owned) {
        true => "removing the package does not bring back what no component owns",
        false => "removing the package gives them back to those components",
    };
    Problem::warning(package, cause, help)
}

/// True when the file that is there has the content of the component's, or that cannot be told.
fn holds_the_same(
    key_form: &str,
    link: &LinkEffect,
    there: NodeId,
    world: &mut World<'_>,
) -> Result<bool, ServicingError> {
    let tree = world.image.tree();
    let now = tree.inode(there).data();
    if let Some(staged) = tree.lookup(&stored(link, key_form, world.image)) {
        let staged_data = tree.inode(staged).data();
        if tree.node(staged).inode == tree.node(there).inode || staged_data == now {
            return Ok(true);
        }
    }
    let name = link.stored.join("\\").to_lowercase();
    let brought = world
        .folders
        .iter()
        .find_map(|folder| Some(folder.payload.get(key_form)?.get(&name)?.content));
    if let Some(brought) = brought {
        if brought.size != now.size {
            return Ok(false);
        }
        if !brought.sha1.is_zero() && !now.sha1.is_zero() {
            return Ok(brought.sha1 == now.sha1);
        }
    }
    // A plan does not read payload: its manifest knows the hash.
    let Some(manifest) = world.manifest(key_form)? else { return Ok(true) };
    let wanted: Option<&FileHash> = manifest
        .files
        .iter()
        .find(|file| stored_names(file).is_ok_and(|names| names == link.stored))
        .and_then(|file| file.hash.as_ref());
    Ok(match (wanted, digests(world.image, &now)) {
        (Some(wanted), Ok(found)) => found.is(wanted),
        _ => true,
    })
}
