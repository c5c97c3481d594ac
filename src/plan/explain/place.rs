//! Where a file or a registry value of the image comes from: the steps that put it there, in order; the last wins.
//!
//! The base image is opened and what the steps did is done to it again, step by step; before and after each the place is looked at. So links, renames, the
//! removal of a folder above, and the current control set come out as they are in the image, and nothing of what a step did is guessed.

use std::{fmt::Write as _, sync::Arc};

use serde::Serialize;

use super::{
    deeds::{self, Deed, Deeds},
    intent::Intent,
    near::{followed, near},
    step::ChangeLine,
};
use crate::{
    base::{
        digest::Blake3,
        name::Name,
        ntpath::{NtPath, PathError},
    },
    image::{
        Change, HiveId, Image, ImageError, NodeId, RegistryPath, RegistryPathError,
        describe::{key_text, value_name, value_text},
    },
    plan::{
        memory::OutputRecord,
        model::{Plan, PlannedImage, Step},
    },
    store::{Store, StoreError},
};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file or folder.
    File(NtPath),
    /// A registry key; or, where there is none of that name, the value of that name of the key above.
    Key(RegistryPath),
    /// A registry value.
    Value(RegistryPath, Name),
}

/// Why a text is no place in an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A registry path.
    #[error(transparent)]
    Registry(#[from] RegistryPathError),
    /// A path.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Target {
    /// Reads a place as people write it: `C:\Windows\notepad.exe`, `HKLM\SOFTWARE\Vendor`, `HKLM\SOFTWARE\Vendor\Value`, `HKLM\SOFTWARE\Vendor : Value`. The
    /// default value of a key is `(default)` or nothing behind the colon.
    ///
    /// # Errors
    /// When it is neither a path nor a registry path of an image.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let root = text.split('\\').find(|part| !part.eq_ignore_ascii_case("computer"));
        let is_registry =
            root.is_some_and(|root| root.len() >= 3 && root.to_uppercase().starts_with("HK"));
        if !is_registry {
            return Ok(Self::File(NtPath::parse(text)?));
        }
        let (key, name) = match text.split_once(" :") {
            Some((key, name)) => (key.trim_end(), Some(name.trim())),
            None => (text, None),
        };
        let path = RegistryPath::parse(key)?;
        Ok(match name {
            None => Self::Key(path),
            Some(name) if name.eq_ignore_ascii_case("(default)") => {
                Self::Value(path, Name::default())
            }
            Some(name) => Self::Value(path, Name::from(name)),
        })
    }
}

/// Why the history of a place cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base image cannot be read, or what a step did does not fit it.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Where a place comes from. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlaceHistory {
    /// Number of the image in the base.
    pub image: u32,
    /// What tells the image from others; `None` when there is only one.
    #[serde(skip)]
    pub label: Option<String>,
    /// The place as the image has it: `\Windows\notepad.exe`, `HKLM\SYSTEM\ControlSet001\Services\x : Start`.
    pub place: String,
    /// What it is.
    pub kind: PlaceKind,
    /// Whether that is of the plan as it is now, or of the last build.
    pub of: deeds::Source,
    /// What the base has there, in short; `None`: nothing.
    pub base: Option<String>,
    /// What is there after the known steps, in short; `None`: nothing. That is not the end when `unknown` names steps behind them.
    pub now: Option<String>,
    /// The steps that changed it, or something below it, in order.
    pub steps: Vec<PlaceStep>,
    /// Places near one that is nowhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
    /// The steps of which is not known what they do, for they did not run yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Those of them that write there by what the recipe says of them. What others do is told only by their inputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub will_write: Vec<String>,
}

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// A file, or what was one.
    File,
    /// A folder, or what was one: steps that changed something below it count.
    Folder,
    /// The file of a registry hive: steps that changed something in the hive count.
    Hive,
    /// A registry key: steps that changed something below it count.
    Key,
    /// A registry value.
    Value,
    /// Neither the base nor any step has it.
    Nowhere,
}

/// A step that changed a place, or something below it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlaceStep {
    /// Its number in the order of execution of its image, from 1.
    pub number: usize,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What it does, where the plan has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where it stands in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What was there before it.
    pub before: Option<String>,
    /// What was there behind it.
    pub after: Option<String>,
    /// How many of its changes are of this place, or below it.
    pub count: usize,
    /// These changes, the first of them.
    pub changes: Vec<ChangeLine>,
}

impl PlaceHistory {
    /// The step that what is there now comes from; `None` when it is the base's, or nothing is there.
    #[must_use]
    pub fn source(&self) -> Option<&PlaceStep> {
        self.now.as_ref()?;
        self.steps.iter().rev().find(|step| step.before != step.after)
    }

    /// The step that made what is there now; `None` when the base has it too, or nothing is there.
    #[must_use]
    pub fn maker(&self) -> Option<&PlaceStep> {
        self.now.as_ref()?;
        self.steps.iter().rev().find(|step| step.before.is_none() && step.after.is_some())
    }
}

/// The history of a place in `image`, with the first `shown` changes of each step.
///
/// # Errors
/// When the store or the base image cannot be read.
pub fn history(
    plan: &Plan,
    image: &PlannedImage,
    target: &Target,
    last: Option<&OutputRecord>,
    store: &Arc<Store>,
    shown: usize,
) -> Result<PlaceHistory, HistoryError> {
    let deeds = deeds::of_image(plan, image, last, store)?;
    let open = || deeds::open_base(plan, image, deeds.epoch, store);
    let mut finished = open()?;
    for deed in &deeds.steps {
        finished.replay(&deed.changes)?;
    }
    let mut base = open()?;
    let watch = Watch::new(target, &mut base, &mut finished, &deeds)?;
    let mut history = PlaceHistory {
        image: image.index,
        label: plan.label_of(image),
        place: watch.place(deeds.steps.len()),
        kind: watch.kind(),
        of: deeds.source,
        base: watch.state(&mut base, 0),
        now: watch.state(&mut finished, deeds.steps.len()),
        steps: Vec::new(),
        near: Vec::new(),
        unknown: deeds.unknown.clone(),
        will_write: Vec::new(),
    };
    if !deeds.unknown.is_empty() {
        // Only the plan's own deeds have steps of which nothing is known, and they are the last.
        let waiting = image.steps.iter().skip(deeds.steps.len()).filter(|step| {
            let intent = Intent::of(&step.operation, &mut finished);
            intent.is_some_and(|intent| watch.is_meant_by(&intent))
        });
        history.will_write = waiting.map(Step::name).collect();
    }
    let mut before = history.base.clone();
    let mut image = base;
    for (place, deed) in deeds.steps.iter().enumerate() {
        image.replay(&deed.changes)?;
        let after = watch.state(&mut image, place + 1);
        let touching: Vec<&Change> =
            deed.changes.0.iter().filter(|change| watch.touches(change, place, &image)).collect();
        if before != after || !touching.is_empty() {
            history.steps.push(place_step(deed, before, after.clone(), &touching, shown));
        }
        before = after;
    }
    if history.base.is_none() && history.now.is_none() && history.steps.is_empty() {
        history.kind = PlaceKind::Nowhere;
        history.near = near(target, &mut finished);
    }
    Ok(history)
}

fn place_step(
    deed: &Deed,
    before: Option<String>,
    after: Option<String>,
    touching: &[&Change],
    shown: usize,
) -> PlaceStep {
    PlaceStep {
        number: deed.number,
        name: deed.name.clone(),
        title: deed.title.clone(),
        origin: deed.origin.clone(),
        before,
        after,
        count: touching.len(),
        changes: touching.iter().take(shown).map(|change| ChangeLine::of(change)).collect(),
    }
}

/// What is looked at before and after each step.
enum Watch {
    /// The path before each step, and after the last: a rename on the way gives it another. True when it is, or was, a folder; with the hives whose files
    /// lie below it.
    File { paths: Vec<NtPath>, is_folder: bool, hives: Vec<HiveId> },
    /// The file of a hive.
    Hive { path: NtPath, hive: HiveId },
    /// A key: its hive and its names from the hive's root.
    Key(HiveId, Vec<Name>),
    /// A value of a key.
    Value(HiveId, Vec<Name>, Name),
}

impl Watch {
    fn new(
        target: &Target,
        base: &mut Image,
        finished: &mut Image,
        deeds: &Deeds,
    ) -> Result<Self, ImageError> {
        match target {
            Target::File(path) => Ok(Self::file(path, base, finished, deeds)),
            Target::Value(path, name) => {
                let (hive, key) = finished.resolve(path)?;
                Ok(Self::Value(hive, key, name.clone()))
            }
            Target::Key(path) => {
                let (hive, key) = finished.resolve(path)?;
                let as_key = Self::Key(hive, key.clone());
                let Some((name, above)) = key.split_last() else { return Ok(as_key) };
                let as_value = Self::Value(hive, above.to_vec(), name.clone());
                let end = deeds.steps.len();
                let is_there = |watch: &Self, base: &mut Image, finished: &mut Image| {
                    let touched = |change: &Change| {
                        watch.touches(change, 0, &*finished) && watch.sets(change)
                    };
                    deeds.steps.iter().any(|deed| deed.changes.0.iter().any(touched))
                        || watch.state(base, 0).is_some()
                        || watch.state(finished, end).is_some()
                };
                let is_value =
                    !is_there(&as_key, base, finished) && is_there(&as_value, base, finished);
                Ok(if is_value { as_value } else { as_key })
            }
        }
    }

    fn file(path: &NtPath, base: &Image, finished: &Image, deeds: &Deeds) -> Self {
        let system_root = finished.system_root();
        let path = &followed(path, finished);
        let same = |hive: &HiveId| same_path(hive.path(&system_root).names(), path.names());
        if let Some(hive) = HiveId::ALL.into_iter().find(same) {
            return Self::Hive { path: path.clone(), hive };
        }
        let end = finished.tree().lookup(path);
        // As the image writes it, and with the long names of all on the way.
        let shown = end.map_or_else(|| path.clone(), |node| finished.tree().path_of(node));
        let paths = match end {
            Some(_) => names_before(&shown, deeds),
            None => vec![shown; deeds.steps.len() + 1],
        };
        let folder = |image: &Image, path: &NtPath| {
            let node = image.tree().lookup(path);
            node.map(|node| image.tree().inode(node).is_directory())
        };
        let made = |change: &Change| match change {
            Change::MakeDirectory { path: made, .. } => {
                paths.iter().any(|path| same_path(made.names(), path.names()))
            }
            _ => false,
        };
        let is_folder = folder(finished, &paths[paths.len() - 1])
            .or_else(|| folder(base, &paths[0]))
            .unwrap_or_else(|| deeds.steps.iter().any(|deed| deed.changes.0.iter().any(made)));
        let mut hives = HiveId::ALL.to_vec();
        let end = &paths[paths.len() - 1];
        hives.retain(|hive| is_folder && is_below(hive.path(&system_root).names(), end.names()));
        Self::File { paths, is_folder, hives }
    }

    fn kind(&self) -> PlaceKind {
        match self {
            Self::File { is_folder: true, .. } => PlaceKind::Folder,
            Self::File { .. } => PlaceKind::File,
            Self::Hive { .. } => PlaceKind::Hive,
            Self::Key(..) => PlaceKind::Key,
            Self::Value(..) => PlaceKind::Value,
        }
    }

    /// The place before step number `step`, from 0.
    fn place(&self, step: usize) -> String {
        match self {
            Self::File { paths, .. } => paths[step].to_string(),
            Self::Hive { path, .. } => path.to_string(),
            Self::Key(hive, key) => key_text(*hive, key),
            Self::Value(hive, key, name) => {
                format!("{} : {}", key_text(*hive, key), value_name(name))
            }
        }
    }

    /// What is there in the state before step number `step`. A hive that is missing or damaged has nothing.
    fn state(&self, image: &mut Image, step: usize) -> Option<String> {
        match self {
            Self::File { paths, .. } => {
                let node = image.tree().lookup(&paths[step])?;
                Some(node_text(image, node))
            }
            Self::Hive { path, .. } => {
                let node = image.tree().lookup(path)?;
                Some(node_text(image, node))
            }
            Self::Key(hive, key) => {
                let path = RegistryPath::from_keys(*hive, key.clone());
                if !image.registry_key_exists(&path).unwrap_or(false) {
                    return None;
                }
                let values = image.registry_values(&path).map_or(0, |values| values.len());
                let keys = image.registry_subkeys(&path).map_or(0, |keys| keys.len());
                let count = |number: usize, what: &str| {
                    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
                };
                Some(format!("a key with {}, {} below", count(values, "value"), count(keys, "key")))
            }
            Self::Value(hive, key, name) => {
                let path = RegistryPath::from_keys(*hive, key.clone());
                let value = image.registry_value(&path, name).ok().flatten()?;
                Some(value_text(value.kind.0, &value.data))
            }
        }
    }

    /// True when `change`, one of step number `step`, is of this place, of one below it, or of one above it that takes it along. `image` is the image after
    /// the step.
    fn touches(&self, change: &Change, step: usize, image: &Image) -> bool {
        match self {
            Self::File { hives, .. }
                if key_of(change).is_some_and(|(of, ..)| hives.contains(&of)) =>
            {
                true
            }
            Self::File { paths, is_folder, .. } => {
                let last = (step + 1).min(paths.len() - 1);
                [&paths[step.min(last)], &paths[last]]
                    .into_iter()
                    .any(|path| touches_path(change, path, *is_folder))
                    || is_another_name(change, &paths[last], image)
            }
            Self::Hive { path, hive } => {
                key_of(change).is_some_and(|(of, ..)| of == *hive)
                    || touches_path(change, path, false)
            }
            Self::Key(hive, key) => key_of(change).is_some_and(|(of, changed, _)| {
                let takes = matches!(change, Change::DeleteKey { .. }) && is_below(key, changed);
                of == *hive && (is_below(changed, key) || takes)
            }),
            Self::Value(hive, key, name) => key_of(change).is_some_and(|(of, changed, value)| {
                let takes = matches!(change, Change::DeleteKey { .. }) && is_below(key, changed);
                let is_it =
                    same_path(changed, key) && value.is_some_and(|it| it.eq_ignore_case(name));
                of == *hive && (is_it || takes)
            }),
        }
    }

    /// True when a step that writes to `intent` writes to this place, or below it.
    fn is_meant_by(&self, intent: &Intent) -> bool {
        match self {
            Self::File { paths, is_folder, hives } => {
                intent.is_of_file(&paths[paths.len() - 1], *is_folder)
                    || hives.iter().any(|hive| intent.is_in_hive(*hive))
            }
            Self::Hive { path, hive } => intent.is_in_hive(*hive) || intent.is_of_file(path, false),
            Self::Key(hive, key) => intent.is_of_key(*hive, key),
            Self::Value(hive, key, name) => intent.is_of_value(*hive, key, name),
        }
    }

    /// True when `change` puts something there, and does not only take away.
    fn sets(&self, change: &Change) -> bool {
        match change {
            Change::DeleteKey { key, .. } => match self {
                Self::Key(_, own) => same_path(own, key),
                _ => false,
            },
            _ => true,
        }
    }
}

/// Hive, key and value of a change of the registry.
fn key_of(change: &Change) -> Option<(HiveId, &[Name], Option<&Name>)> {
    match change {
        Change::CreateKey { hive, key }
        | Change::SetKeySecurity { hive, key, .. }
        | Change::SetKeyTime { hive, key, .. }
        | Change::DeleteKey { hive, key } => Some((*hive, key, None)),
        Change::SetValue { hive, key, name, .. }
        | Change::SetSecret { hive, key, name, .. }
        | Change::DeleteValue { hive, key, name } => Some((*hive, key, Some(name))),
        _ => None,
    }
}

/// The paths of a change of the tree, and whether it takes along what is below them.
fn paths_of(change: &Change) -> (Vec<&NtPath>, bool) {
    match change {
        Change::MakeDirectory { path, .. }
        | Change::PutFile { path, .. }
        | Change::Link { path, .. }
        | Change::Separate { path }
        | Change::SetAttributes { path, .. }
        | Change::SetSecurity { path, .. } => (vec![path], false),
        Change::Remove { path } => (vec![path], true),
        Change::Rename { from, to } => (vec![from, to], true),
        _ => (Vec::new(), false),
    }
}

/// True when `change` is of `path`, of something below it when it is a folder, or takes it along.
fn touches_path(change: &Change, path: &NtPath, is_folder: bool) -> bool {
    let (paths, takes_along) = paths_of(change);
    paths.into_iter().any(|of| {
        same_path(of.names(), path.names())
            || (is_folder && is_below(of.names(), path.names()))
            || (takes_along && is_below(path.names(), of.names()))
    })
}

/// True when `change` puts content into the file at `path` by another of its names.
fn is_another_name(change: &Change, path: &NtPath, image: &Image) -> bool {
    let (paths, _) = paths_of(change);
    let tree = image.tree();
    let Some(node) = tree.lookup(path) else { return false };
    if tree.links(node) < 2 {
        return false;
    }
    let same = |of: &NtPath| {
        tree.lookup(of).is_some_and(|other| tree.node(other).inode == tree.node(node).inode)
    };
    !matches!(change, Change::Link { .. }) && paths.into_iter().any(same)
}

/// What `path` was called before each step, and after the last. Renames are followed back as far as to what took away something else of that name.
fn names_before(path: &NtPath, deeds: &Deeds) -> Vec<NtPath> {
    let mut names = vec![path.clone()];
    let (mut current, mut ends) = (path.clone(), false);
    for deed in deeds.steps.iter().rev() {
        for change in deed.changes.0.iter().rev() {
            match change {
                Change::Rename { from, to } if !ends && is_below(current.names(), to.names()) => {
                    let rest = &current.names()[to.names().len()..];
                    current = NtPath::from_names([from.names(), rest].concat());
                }
                Change::Remove { path } if is_below(current.names(), path.names()) => ends = true,
                _ => {}
            }
        }
        names.push(current.clone());
    }
    names.reverse();
    names
}

/// A file or folder in short.
fn node_text(image: &Image, node: NodeId) -> String {
    let tree = image.tree();
    let inode = tree.inode(node);
    let mut text = if inode.is_directory() {
        "a folder".to_owned()
    } else {
        let data = inode.data();
        let links = match tree.links(node) {
            0 | 1 => String::new(),
            links => format!(", {links} names"),
        };
        match data.size {
            0 => format!("an empty file{links}"),
            size => format!("{size} bytes, SHA-1 {}{links}", data.sha1),
        }
    };
    if inode.is_reparse_point() {
        text.push_str(", a link");
    }
    // Writing to a string cannot fail.
    let _ = write!(text, ", attributes 0x{:x}", inode.attributes);
    if let Some(security) = tree.security_of(node) {
        let mut digest = Blake3::of(security).to_hex();
        digest.truncate(8);
        let _ = write!(text, ", security {digest}");
    }
    text
}

/// True when both lead to the same place, without case.
pub(super) fn same_path(left: &[Name], right: &[Name]) -> bool {
    left.len() == right.len() && is_below(left, right)
}

/// True when `path` is `folder` or lies below it, without case.
pub(super) fn is_below(path: &[Name], folder: &[Name]) -> bool {
    path.len() >= folder.len()
        && path.iter().zip(folder).all(|(one, other)| one.eq_ignore_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let file = |text: &str| match Target::parse(text).unwrap() {
            Target::File(path) => path.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(file(r"C:\Windows\x.txt"), r"\Windows\x.txt");
        assert_eq!(file("Windows/x.txt"), r"\Windows\x.txt");
        // A folder whose name begins like a root of the registry.
        assert!(matches!(Target::parse(r"\HK\x"), Ok(Target::File(_))));
        assert!(matches!(Target::parse(r"HKLM\SOFTWARE\a b"), Ok(Target::Key(_))));
        let value = |text: &str| match Target::parse(text).unwrap() {
            Target::Value(path, name) => (path.to_string(), name.to_string()),
            other => panic!("{other:?}"),
        };
        let expected = (r"HKLM\SOFTWARE\a".to_owned(), "b c".to_owned());
        assert_eq!(value(r"HKLM\SOFTWARE\a : b c"), expected);
        assert_eq!(value(r"HKLM\SOFTWARE\a : (Default)").1, "");
        assert_eq!(value(r"Computer\HKEY_LOCAL_MACHINE\SOFTWARE\a : x").1, "x");
        assert!(matches!(Target::parse(r"HKLM\HARDWARE\x"), Err(TargetError::Registry(_))));
        assert!(matches!(Target::parse(r"\\server\share"), Err(TargetError::Path(_))));
    }

    #[test]
    fn renames_are_followed_back() {
        let path = |text: &str| NtPath::parse(text).unwrap();
        let deed = |number, changes| Deed {
            number,
            name: format!("step {number}"),
            title: None,
            origin: None,
            changes: crate::image::Changeset(changes),
        };
        let rename = |from, to| Change::Rename { from: path(from), to: path(to) };
        let deeds = Deeds {
            source: deeds::Source::Plan,
            steps: vec![
                deed(1, vec![rename("a", "b")]),
                deed(2, vec![rename("b", "c"), rename("x", "y")]),
                deed(3, Vec::new()),
            ],
            unknown: Vec::new(),
            epoch: crate::base::filetime::FileTime(0),
        };
        let names: Vec<String> =
            names_before(&path(r"C\f.txt"), &deeds).iter().map(ToString::to_string).collect();
        assert_eq!(names, [r"\a\f.txt", r"\b\f.txt", r"\C\f.txt", r"\C\f.txt"]);
    }
}
