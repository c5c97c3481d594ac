//! Projection: components that come into force get their files linked, their values written; what leaves goes, unless another component owns it too.
//!
//! Installing, replacing a version, removing and switching a feature are all this one change from some components in force to others. Only what is
//! left over from those that leave is looked at for other owners, which means reading every component in force: once a step, when something is left over.
//!
//! Empty keys and folders go with the last component that names them or something in them, but for those that were there before it: a folder that was made
//! before the component's manifest came into the store, a key that was last written to before that. For that a key that is there keeps its time while a
//! component is put into it. Where a time does not tell (all times of the base are this build's epoch; a feature whose payload was staged long before it
//! was enabled) what is empty is taken for the component's.
//!
//! What was there before and belonged to no component cannot be brought back: a value that was overwritten, the security of a key that stays.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::{
    base::{filetime::FileTime, name::Name, ntpath::NtPath},
    format::{
        cbs::{Identity, Manifest, identity},
        hive::Value,
        security::SecurityDescriptor,
    },
    image::{HiveId, Image, ImageError, NewNode, RegistryPath},
    servicing::ServicingError,
};

use super::{
    effects::{Effects, LinkEffect, effects},
    layout,
    winners::Family,
    world::World,
};

/// A component that comes into force or leaves it.
pub(super) struct Projected {
    pub key_form: String,
    /// The package that brings it or takes it away.
    pub package: String,
    /// Since when the image has it, in any version; what is older is not its own.
    pub since: Option<FileTime>,
    pub effects: Effects,
}

/// Something that may have several owners, in a form that compares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// A file or folder, upper case.
    Path(String),
    /// A key.
    Key(HiveId, String),
    /// A value of a key.
    Value(HiveId, String, String),
    /// A text in a list.
    Member(HiveId, String, String, String),
}

impl Item {
    /// A file, folder or key; not what a key holds.
    fn is_place(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Key(..))
    }
}

/// What other components say of the items that are left over.
#[derive(Debug, Default)]
pub(super) struct Owners {
    pub owned: BTreeSet<Item>,
    /// Where the file of another owner lies in the store.
    links: BTreeMap<Item, NtPath>,
    values: BTreeMap<Item, Value>,
}

pub(super) fn path_item(path: &NtPath) -> Item {
    let names: Vec<String> = path.names().iter().map(|name| name.to_upcase().to_string()).collect();
    Item::Path(names.join("\\"))
}

fn key_text(path: &RegistryPath) -> (HiveId, String) {
    let mut names: Vec<String> =
        path.keys().iter().map(|name| name.to_upcase().to_string()).collect();
    if path.in_current_control_set() {
        names.insert(0, "CURRENTCONTROLSET".to_owned());
    }
    (path.hive(), names.join("\\"))
}

fn key_item(path: &RegistryPath) -> Item {
    let (hive, text) = key_text(path);
    Item::Key(hive, text)
}

pub(super) fn value_item(path: &RegistryPath, name: &Name) -> Item {
    let (hive, text) = key_text(path);
    Item::Value(hive, text, name.to_upcase().to_string())
}

fn member_item(path: &RegistryPath, name: &str, member: &str) -> Item {
    let (hive, text) = key_text(path);
    Item::Member(hive, text, name.to_uppercase(), member.to_uppercase())
}

/// All that a component does, as items.
pub(super) fn items(effects: &Effects) -> impl Iterator<Item = Item> + '_ {
    let paths = effects.directories.iter().map(|directory| &directory.path);
    let paths = paths.chain(effects.links.iter().map(|link| &link.path)).map(path_item);
    let keys = effects.keys.iter().map(|key| key_item(&key.path));
    let values = effects
        .values
        .iter()
        .map(|value| value_item(&effects.keys[value.key].path, &value.value.name));
    let members = effects
        .members
        .iter()
        .map(|member| member_item(&effects.keys[member.key].path, &member.name, &member.member));
    paths.chain(keys).chain(values).chain(members)
}

pub(super) fn stored(link: &LinkEffect, key_form: &str, image: &Image) -> NtPath {
    let root = layout::component(image, key_form);
    link.stored.iter().fold(root, |path, name| path.join(Name::from(name.as_str())))
}

/// The item, and everything it lies in: what is looked at when empty keys and folders are taken away.
fn with_those_above(item: Item) -> Vec<Item> {
    let above = |text: &str| -> Vec<String> {
        text.match_indices('\\').map(|(end, _)| text[..end].to_owned()).collect()
    };
    let keys = |hive: HiveId, text: &str, own: bool| -> Vec<Item> {
        let all = above(text).into_iter().chain(own.then(|| text.to_owned()));
        all.map(|text| Item::Key(hive, text)).collect()
    };
    let mut all = match &item {
        Item::Path(text) => above(text).into_iter().map(Item::Path).collect(),
        Item::Key(hive, text) => keys(*hive, text, false),
        Item::Value(hive, text, _) | Item::Member(hive, text, _, _) => keys(*hive, text, true),
    };
    all.push(item);
    all
}

/// Takes `leaving` out of force and puts `entering` into it.
pub(super) fn project(
    leaving: &[Projected],
    entering: &[Projected],
    world: &mut World<'_>,
) -> Result<(), ServicingError> {
    let times = key_times(leaving, entering, world.image).map_err(|error| world.failed(error))?;
    let staying: BTreeSet<Item> = if leaving.is_empty() {
        BTreeSet::new()
    } else {
        entering.iter().flat_map(|component| items(&component.effects)).collect()
    };
    let left: BTreeSet<Item> = leaving
        .iter()
        .flat_map(|component| items(&component.effects))
        .filter(|item| !staying.contains(item))
        .collect();
    if !left.is_empty() {
        let skipped = leaving.iter().chain(entering).map(|component| component.key_form.clone());
        let mut owners = other_owners(&left, &skipped.collect(), world)?;
        // What comes keeps its keys and folders, and those above them, as they are.
        owners.owned.extend(staying.into_iter().filter(Item::is_place));
        for component in leaving {
            withdraw(component, &left, &owners, &times, world)
                .map_err(|error| world.failed(error))?;
        }
    }
    for component in entering {
        put(component, world.image).map_err(|error| world.failed(error))?;
    }
    keep_times(&times, world.image).map_err(|error| world.failed(error))
}

/// When keys that are there were last written to.
type KeyTimes = BTreeMap<(HiveId, String), (RegistryPath, FileTime)>;

/// The times of the components' keys, and of those above them.
fn key_times(
    leaving: &[Projected],
    entering: &[Projected],
    image: &mut Image,
) -> Result<KeyTimes, ImageError> {
    let mut seen: BTreeSet<(HiveId, String)> = BTreeSet::new();
    let mut times = KeyTimes::new();
    for key in leaving.iter().chain(entering).flat_map(|component| &component.effects.keys) {
        let names = key.path.keys();
        for count in (1..=names.len()).rev() {
            let here = with_keys(&key.path, &names[..count]);
            let text = key_text(&here);
            if !seen.insert(text.clone()) {
                break;
            }
            if let Some(time) = image.key_time(&here)? {
                times.insert(text, (here, time));
            }
        }
    }
    Ok(times)
}

/// Gives keys that are still there the times that they had.
fn keep_times(times: &KeyTimes, image: &mut Image) -> Result<(), ImageError> {
    for (key, time) in times.values() {
        if image.registry_key_exists(key)? {
            image.set_key_time(key, *time)?;
        }
    }
    Ok(())
}

/// What components in force, those in `skipped` left out, say of the items.
pub(super) fn other_owners(
    left: &BTreeSet<Item>,
    skipped: &BTreeSet<String>,
    world: &mut World<'_>,
) -> Result<Owners, ServicingError> {
    let in_force = in_force(world)?;
    let asked: BTreeSet<Item> = left.iter().cloned().flat_map(with_those_above).collect();
    let (image, target, stored_manifests) = (&*world.image, &world.target, &world.stored);
    let found: Vec<Result<Option<(String, Effects)>, ImageError>> = in_force
        .par_iter()
        .filter(|key_form| !skipped.contains(*key_form))
        .map(|key_form| {
            let Some(bytes) = stored_manifests.read(image, key_form)? else { return Ok(None) };
            // One that cannot be read owns nothing that could be known; `verify` tells of it.
            let Ok(manifest) = Manifest::parse(&bytes) else { return Ok(None) };
            let (effects, _) = effects(&manifest, target);
            let concerned = items(&effects).any(|item| asked.contains(&item));
            Ok(concerned.then(|| (key_form.clone(), effects)))
        })
        .collect();
    let mut owners = Owners::default();
    // Only what was asked for: of the others their keys and folders count, not what lies there.
    for component in found {
        let component = component.map_err(|error| world.failed(error))?;
        let Some((key_form, effects)) = component else { continue };
        for link in &effects.links {
            let item = path_item(&link.path);
            if left.contains(&item) {
                owners.links.insert(item, stored(link, &key_form, world.image));
            }
        }
        for value in &effects.values {
            let item = value_item(&effects.keys[value.key].path, &value.value.name);
            if left.contains(&item) {
                owners.values.insert(item, value.value.clone());
            }
        }
        owners.owned.extend(items(&effects).filter(|item| asked.contains(item)));
    }
    Ok(owners)
}

/// Key forms of the components in force: the winners of all families that have a key in COMPONENTS.
fn in_force(world: &mut World<'_>) -> Result<Vec<String>, ServicingError> {
    let all = layout::components();
    let names = world.image.registry_subkeys(&all).map_err(|error| world.failed(error))?;
    let mut found = Vec::new();
    let mut winners: BTreeMap<String, Option<identity::Version>> = BTreeMap::new();
    for name in names {
        let value = world.image.registry_value(&all.join(&name), &"identity".into());
        let value = value.map_err(|error| world.failed(error))?;
        let text = value.and_then(|value| String::from_utf8(value.data).ok());
        let Some(identity) = text.and_then(|text| Identity::of_identity_text(&text)) else {
            continue;
        };
        let form = identity.winners_key_form();
        let winner = match winners.get(&form) {
            Some(known) => *known,
            None => {
                let winner = Family::read(&identity, world)?.winner();
                winners.insert(form, winner);
                winner
            }
        };
        if winner == Some(identity.version) {
            found.extend(name.to_text());
        }
    }
    found.sort();
    Ok(found)
}

/// Undoes what nobody else owns.
fn withdraw(
    component: &Projected,
    left: &BTreeSet<Item>,
    owners: &Owners,
    times: &KeyTimes,
    world: &mut World<'_>,
) -> Result<(), ImageError> {
    let effects = &component.effects;
    let is_older = |time: FileTime| component.since.is_some_and(|since| time < since);
    for link in &effects.links {
        let item = path_item(&link.path);
        if !left.contains(&item) || !is_ours(link, &component.key_form, world.image) {
            continue;
        }
        match owners.links.get(&item) {
            Some(other) if world.image.tree().lookup(other).is_some() => {
                world.image.link(other, &link.path)?;
            }
            Some(_) => {}
            None => world.image.remove(&link.path)?,
        }
    }
    for member in &effects.members {
        let key = &effects.keys[member.key].path;
        let item = member_item(key, &member.name, &member.member);
        if left.contains(&item) && !owners.owned.contains(&item) {
            remove_member(key, &member.name, &member.member, world.image)?;
        }
    }
    for value in &effects.values {
        let key = &effects.keys[value.key].path;
        let item = value_item(key, &value.value.name);
        if !left.contains(&item) || !world.image.registry_key_exists(key)? {
            continue;
        }
        // What somebody else has set since stays.
        let now = world.image.registry_value(key, &value.value.name)?;
        let ours =
            now.is_some_and(|now| now.kind == value.value.kind && now.data == value.value.data);
        match owners.values.get(&item) {
            _ if !ours => {}
            Some(other) => world.image.set_value(key, other)?,
            None => world.image.delete_value(key, &value.value.name)?,
        }
    }
    let mut keys: Vec<&RegistryPath> = effects.keys.iter().map(|key| &key.path).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.keys().len()));
    for key in keys {
        let was_there =
            |key: &RegistryPath| times.get(&key_text(key)).is_some_and(|(_, time)| is_older(*time));
        prune_keys(key, owners, was_there, world.image)?;
    }
    let directories = effects.directories.iter().map(|directory| directory.path.clone());
    let parents = effects.links.iter().filter_map(|link| link.path.parent());
    let mut folders: Vec<NtPath> = directories.chain(parents).collect();
    folders.sort_by_key(|path| std::cmp::Reverse(path.names().len()));
    folders.dedup();
    for folder in folders {
        prune_folders(folder, owners, is_older, world)?;
    }
    Ok(())
}

/// True while the name still leads to the component's file.
fn is_ours(link: &LinkEffect, key_form: &str, image: &Image) -> bool {
    let tree = image.tree();
    let Some(here) = tree.lookup(&link.path) else { return false };
    let Some(there) = tree.lookup(&stored(link, key_form, image)) else { return true };
    tree.node(here).inode == tree.node(there).inode
        || tree.inode(here).data() == tree.inode(there).data()
}

/// Takes empty keys away, upwards: what was made for the component. Keys that others name stay, and those that were there before.
fn prune_keys(
    key: &RegistryPath,
    owners: &Owners,
    was_there: impl Fn(&RegistryPath) -> bool,
    image: &mut Image,
) -> Result<(), ImageError> {
    // Levels that every hive has, empty or not: `Software` of a user, `Services` of a control set.
    let mut names = key.keys().to_vec();
    let kept = match key.hive() {
        HiveId::System if key.in_current_control_set() => 1,
        HiveId::System => 2,
        HiveId::NtUser | HiveId::Default => 1,
        _ => 0,
    };
    while names.len() > kept {
        let here = with_keys(key, &names);
        if owners.owned.contains(&key_item(&here))
            || was_there(&here)
            || !image.registry_key_exists(&here)?
        {
            return Ok(());
        }
        let empty =
            image.registry_subkeys(&here)?.is_empty() && image.registry_values(&here)?.is_empty();
        if !empty {
            return Ok(());
        }
        image.delete_key(&here)?;
        names.pop();
    }
    Ok(())
}

/// The key of those names in the same hive, and in the current control set where `like` is.
fn with_keys(like: &RegistryPath, names: &[Name]) -> RegistryPath {
    if !like.in_current_control_set() {
        return RegistryPath::from_keys(like.hive(), names.to_vec());
    }
    let root = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet").expect("a constant path");
    names.iter().fold(root, |path, name| path.join(name))
}

fn prune_folders(
    mut folder: NtPath,
    owners: &Owners,
    is_older: impl Fn(FileTime) -> bool,
    world: &mut World<'_>,
) -> Result<(), ImageError> {
    while folder.names().len() > 1 {
        let tree = world.image.tree();
        let Some(node) = tree.lookup(&folder) else { return Ok(()) };
        let keep = !tree.children(node).is_empty()
            || !tree.inode(node).is_directory()
            || is_older(tree.inode(node).creation_time)
            || owners.owned.contains(&path_item(&folder))
            || world.target.is_well_known(&folder);
        if keep {
            return Ok(());
        }
        world.image.remove(&folder)?;
        let Some(parent) = folder.parent() else { return Ok(()) };
        folder = parent;
    }
    Ok(())
}

/// Puts a component into force.
fn put(component: &Projected, image: &mut Image) -> Result<(), ImageError> {
    let effects = &component.effects;
    for directory in &effects.directories {
        let security = completed(directory.security.as_ref(), &directory.path, image)?;
        let options = NewNode { attributes: directory.attributes, security, last_write: None };
        image.make_directory(&directory.path, &options)?;
    }
    for link in &effects.links {
        image.link(&stored(link, &component.key_form, image), &link.path)?;
    }
    for key in &effects.keys {
        image.create_key(&key.path)?;
    }
    for value in &effects.values {
        let key = &effects.keys[value.key].path;
        if value.mutable && image.registry_value(key, &value.value.name)?.is_some() {
            continue;
        }
        image.set_value(key, &value.value)?;
    }
    for member in &effects.members {
        let key = &effects.keys[member.key].path;
        add_member(key, &member.name, &member.member, member.first, image)?;
    }
    for key in &effects.keys {
        let Some(security) = &key.security else { continue };
        let old = image.key_security(&key.path)?;
        let old = old.and_then(|bytes| SecurityDescriptor::parse(&bytes).ok()).unwrap_or_default();
        let bytes = security.clone().completed_by(old).to_bytes();
        image.set_key_security(&key.path, &bytes)?;
    }
    Ok(())
}

/// The descriptor with what it does not say taken from what is there, or would be inherited.
fn completed(
    security: Option<&SecurityDescriptor>,
    path: &NtPath,
    image: &Image,
) -> Result<Option<Vec<u8>>, ImageError> {
    let Some(security) = security else { return Ok(None) };
    let there = image.security_at(path, true)?.unwrap_or_default();
    Ok(Some(security.clone().completed_by(there).to_bytes()))
}

fn list(key: &RegistryPath, name: &str, image: &mut Image) -> Result<Vec<String>, ImageError> {
    let value = image.registry_value(key, &Name::from(name))?;
    Ok(value.and_then(|value| value.as_multi_text()).unwrap_or_default())
}

fn add_member(
    key: &RegistryPath,
    name: &str,
    member: &str,
    first: bool,
    image: &mut Image,
) -> Result<(), ImageError> {
    let mut texts = list(key, name, image)?;
    if texts.iter().any(|text| text.eq_ignore_ascii_case(member)) {
        return Ok(());
    }
    let at = if first { 0 } else { texts.len() };
    texts.insert(at, member.to_owned());
    image.set_value(key, &Value::multi_sz(name, texts))
}

fn remove_member(
    key: &RegistryPath,
    name: &str,
    member: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    let mut texts = list(key, name, image)?;
    let before = texts.len();
    texts.retain(|text| !text.eq_ignore_ascii_case(member));
    if texts.is_empty() {
        // The key goes with those of the component, when nobody else names it.
        return image.delete_value(key, &Name::from(name));
    }
    if texts.len() == before {
        return Ok(());
    }
    image.set_value(key, &Value::multi_sz(name, texts))
}

/// Hives that the components write to and the image does not have.
pub(super) fn missing_hives(entering: &[Projected], image: &Image) -> Vec<(String, HiveId)> {
    let mut found: BTreeMap<HiveId, String> = BTreeMap::new();
    for component in entering {
        for key in &component.effects.keys {
            found.entry(key.path.hive()).or_insert_with(|| component.key_form.clone());
        }
    }
    found
        .into_iter()
        .filter(|(hive, _)| !image.has_hive(*hive))
        .map(|(hive, form)| (form, hive))
        .collect()
}

/// What stands in the way of the links and folders of the components.
pub(super) fn blocked(entering: &[Projected], image: &Image) -> Vec<ImageError> {
    let mut found = Vec::new();
    for component in entering {
        let links = component.effects.links.iter().map(|link| (&link.path, true));
        let folders =
            component.effects.directories.iter().map(|directory| (&directory.path, false));
        for (path, is_file) in links.chain(folders) {
            if let Err(error) = image.check_place(path) {
                found.push(error);
                continue;
            }
            let Some(node) = image.tree().lookup(path) else { continue };
            match (is_file, image.tree().inode(node).is_directory()) {
                (true, true) => found.push(ImageError::IsDirectory(path.clone())),
                (false, false) => found.push(ImageError::NotDirectory(path.clone())),
                _ => {}
            }
        }
    }
    found
}
