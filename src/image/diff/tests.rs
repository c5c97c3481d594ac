//! Edits of an image, and that the difference tells exactly these.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::{Aspect, Difference, FileChange, Kind, Options, Side, Text, compare, registry};
use crate::{
    base::{filetime::FileTime, name::Name, ntpath::NtPath},
    format::hive::{Hive, Value, ValueType},
    image::{HiveId, Image, NewNode, RegistryPath, tree::ATTRIBUTE_HIDDEN},
};

const SOFTWARE: &str = r"Windows\System32\config\SOFTWARE";
const SECURITY: &[u8] =
    &[1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 2, 0, 8, 0, 0, 0, 0, 0];

fn path(text: &str) -> NtPath {
    NtPath::parse(text).unwrap()
}

fn key(text: &str) -> RegistryPath {
    RegistryPath::parse(text).unwrap()
}

fn put(image: &mut Image, at: &str, content: &[u8]) {
    image.put_bytes(&path(at), content.to_vec(), &NewNode::default()).unwrap();
}

fn sample() -> Image {
    let mut image = Image::empty(FileTime(7));
    for (at, content) in
        [(r"a\one", b"1".as_slice()), (r"a\two", b"2"), (r"b\Three", b"3"), (r"b\empty", b"")]
    {
        put(&mut image, at, content);
    }
    let mut hive = Hive::create(6, FileTime(7), SECURITY);
    let root = hive.root();
    for name in ["Apps", "Policies", "Zeta"] {
        let key = hive.create_path(root, &[name.into()], FileTime(7)).unwrap();
        hive.set_value(key, &Value::dword("Start", 2), FileTime(7)).unwrap();
    }
    put(&mut image, SOFTWARE, &hive.into_bytes());
    image
}

fn difference(before: &mut Image, after: &mut Image) -> Difference {
    let (before, after) = (Side::of(before).unwrap(), Side::of(after).unwrap());
    compare(&before, &after, Options::default())
}

/// What editing the sample by `edit` makes of it.
fn edited(edit: impl FnOnce(&mut Image)) -> Difference {
    let mut after = sample();
    edit(&mut after);
    let found = difference(&mut sample(), &mut after);
    assert_eq!(mirrored(difference(&mut after, &mut sample())), sorted(found.clone()));
    found
}

fn file_lines(difference: &Difference) -> Vec<String> {
    let line = |change: &FileChange| {
        let details: Vec<String> = change
            .details
            .iter()
            .map(|detail| {
                let text =
                    |text: &Option<Text>| text.as_ref().map_or_else(|| "-".into(), Text::to_string);
                format!(" {:?} {} -> {}", detail.aspect, text(&detail.old), text(&detail.new))
            })
            .collect();
        let from = change.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let link = change.link_of.as_ref().map(|link| format!(" link {link}")).unwrap_or_default();
        format!("{:?} {}{from}{link}{}", change.kind, change.path, details.join(","))
    };
    difference.files.iter().map(line).collect()
}

fn registry_lines(difference: &Difference) -> Vec<String> {
    let line = |change: &super::RegistryChange| {
        let value = change.value.as_ref().map(|value| format!(" : {value}")).unwrap_or_default();
        let side = |side: &Option<super::ValueFacts>| {
            side.as_ref()
                .map_or_else(|| "-".into(), |facts| format!("{} {}", facts.kind, facts.data))
        };
        let (old, new) = (side(&change.old), side(&change.new));
        format!("{:?} {}{value} {old} -> {new}", change.kind, change.key)
    };
    difference.registry.iter().map(line).collect()
}

/// The difference with old and new in each other's place, sorted.
fn mirrored(mut difference: Difference) -> Difference {
    let other = |kind: Kind| match kind {
        Kind::Added => Kind::Removed,
        Kind::Removed => Kind::Added,
        kind => kind,
    };
    for change in &mut difference.files {
        change.kind = other(change.kind);
        std::mem::swap(&mut change.old, &mut change.new);
        if let Some(from) = &mut change.from {
            std::mem::swap(from, &mut change.path);
        }
        for detail in &mut change.details {
            std::mem::swap(&mut detail.old, &mut detail.new);
        }
    }
    for change in &mut difference.registry {
        change.kind = other(change.kind);
        std::mem::swap(&mut change.old, &mut change.new);
        for detail in &mut change.details {
            std::mem::swap(&mut detail.old, &mut detail.new);
        }
    }
    for note in &mut difference.notes {
        *note = note.replace("first", "1st").replace("second", "first").replace("1st", "second");
    }
    sorted(difference)
}

/// In an order, and a spelling, that do not depend on which side is which.
fn sorted(mut difference: Difference) -> Difference {
    for change in &mut difference.files {
        change.path = change.path.to_lowercase();
    }
    difference.files.sort_by_key(|change| format!("{change:?}"));
    difference.registry.sort_by_key(|change| format!("{change:?}"));
    difference
}

#[test]
fn an_image_does_not_differ_from_itself() {
    let found = difference(&mut sample(), &mut sample());
    assert_eq!(found, Difference::default());
}

#[test]
fn files_that_come_go_and_change_are_told() {
    let found = edited(|image| {
        put(image, r"a\new", b"n");
        put(image, r"A\ONE", b"another");
        image.remove(&path(r"b\empty")).unwrap();
        image.set_attributes(&path(r"b\three"), ATTRIBUTE_HIDDEN, 0).unwrap();
    });
    let lines = file_lines(&found);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(lines[0], r"Added C:\a\new");
    assert!(lines[1].starts_with(r"Changed C:\a\one Content 1 bytes, SHA-1 "), "{lines:#?}");
    assert_eq!(lines[2], r"Removed C:\b\empty");
    assert_eq!(lines[3], r"Changed C:\b\Three Attributes archive -> hidden archive");
    assert!(found.registry.is_empty() && found.notes.is_empty());
}

#[test]
fn a_file_with_another_path_was_renamed_when_there_is_no_doubt() {
    let found = edited(|image| {
        image.make_directory(&path("c"), &NewNode::default()).unwrap();
        image.rename(&path(r"a\two"), &path(r"c\deux")).unwrap();
    });
    assert_eq!(file_lines(&found), [r"Added C:\c", r"Renamed C:\c\deux from C:\a\two"]);
    // Two that are gone with the content of the one that is new: which was renamed cannot be known.
    let mut before = sample();
    put(&mut before, r"a\twin", b"2");
    let mut after = sample();
    after.remove(&path(r"a\two")).unwrap();
    put(&mut after, r"c\deux", b"2");
    let lines = file_lines(&difference(&mut before, &mut after));
    let expected = [r"Removed C:\a\twin", r"Removed C:\a\two", r"Added C:\c", r"Added C:\c\deux"];
    assert_eq!(lines, expected);
}

#[test]
fn a_folder_in_a_files_place_is_another_thing() {
    let found = edited(|image| {
        image.remove(&path(r"a\one")).unwrap();
        put(image, r"a\one\x", b"x");
    });
    let expected = [r"Removed C:\a\one", r"Added C:\a\one", r"Added C:\a\one\x"];
    assert_eq!(file_lines(&found), expected);
}

#[test]
fn names_of_one_file_are_told_where_they_differ() {
    let found = edited(|image| image.link(&path(r"a\one"), &path(r"c\uno")).unwrap());
    assert_eq!(file_lines(&found), [r"Added C:\c", r"Added C:\c\uno link C:\a\one"]);
    let mut before = sample();
    before.link(&path(r"a\one"), &path(r"c\uno")).unwrap();
    before.link(&path(r"a\one"), &path(r"c\eins")).unwrap();
    let mut after = sample();
    after.link(&path(r"a\one"), &path(r"c\uno")).unwrap();
    put(&mut after, r"c\eins", b"1");
    let found = difference(&mut before, &mut after);
    let expected = [
        r"Changed C:\a\one Links C:\c\eins, C:\c\uno -> C:\c\uno",
        r"Changed C:\c\eins Links C:\a\one, C:\c\uno -> -",
        r"Changed C:\c\uno Links C:\a\one, C:\c\eins -> C:\a\one",
    ];
    assert_eq!(file_lines(&found), expected);
    // The other names of a file whose one name is gone do not differ.
    after.remove(&path(r"c\eins")).unwrap();
    let found = difference(&mut before, &mut after);
    assert_eq!(file_lines(&found), [r"Removed C:\c\eins link C:\a\one"]);
}

#[test]
fn the_case_of_a_name_and_its_security_count() {
    let found = edited(|image| {
        image.remove(&path(r"a\one")).unwrap();
        put(image, r"a\ONE", b"1");
        image.set_security(&path(r"a\two"), SECURITY).unwrap();
    });
    let lines = file_lines(&found);
    assert_eq!(lines[0], r"Changed C:\a\ONE Spelling one -> ONE");
    assert!(lines[1].starts_with(r"Changed C:\a\two Security "), "{lines:#?}");
}

#[test]
fn times_count_when_they_are_asked_for() {
    let (mut before, mut after) = (sample(), sample());
    let later = NewNode { last_write: Some(FileTime(99)), ..NewNode::default() };
    after.put_bytes(&path(r"a\one"), b"1".to_vec(), &later).unwrap();
    assert!(difference(&mut before, &mut after).is_empty());
    let (one, other) = (Side::of(&mut before).unwrap(), Side::of(&mut after).unwrap());
    let found = compare(&one, &other, Options { times: true });
    let aspects: BTreeSet<Aspect> =
        found.files.iter().flat_map(|file| &file.details).map(|detail| detail.aspect).collect();
    assert_eq!(aspects, [Aspect::Times].into(), "{found:#?}");
}

#[test]
fn hives_are_compared_by_what_they_say() {
    let found = edited(|image| {
        image.set_value(&key(r"HKLM\SOFTWARE\Apps"), &Value::sz("Name", "x")).unwrap();
        image.set_value(&key(r"HKLM\SOFTWARE\apps"), &Value::dword("START", 4)).unwrap();
        image.delete_key(&key(r"HKLM\SOFTWARE\Policies")).unwrap();
        image.set_value(&key(r"HKLM\SOFTWARE\New\Deep"), &Value::dword("", 1)).unwrap();
    });
    let expected = [
        r"Added HKLM\SOFTWARE\Apps : Name - -> REG_SZ x",
        r"Changed HKLM\SOFTWARE\Apps : Start REG_DWORD 2 -> REG_DWORD 4",
        r"Added HKLM\SOFTWARE\New - -> -",
        r"Added HKLM\SOFTWARE\New\Deep - -> -",
        r"Added HKLM\SOFTWARE\New\Deep :  - -> REG_DWORD 1",
        r"Removed HKLM\SOFTWARE\Policies - -> -",
        r"Removed HKLM\SOFTWARE\Policies : Start REG_DWORD 2 -> -",
    ];
    assert_eq!(registry_lines(&found), expected);
    assert!(found.files.is_empty(), "the hive's file is told by its keys: {:?}", found.files);
    assert_eq!((found.hives.len(), found.hives[0].changes), (1, 7));
}

#[test]
fn a_hive_that_says_the_same_in_other_bytes_is_no_difference() {
    let found = edited(|image| {
        let at = key(r"HKLM\SOFTWARE\Apps");
        image.set_value(&at, &Value::sz("Gone", &"x".repeat(9000))).unwrap();
        image.delete_value(&at, &"Gone".into()).unwrap();
    });
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!((found.hives[0].hive, found.hives[0].changes), (HiveId::Software, 0));
}

#[test]
fn a_hive_that_cannot_be_read_is_compared_as_a_file() {
    let good = sample().read(&path(SOFTWARE)).unwrap();
    let found = edited(|image| put(image, SOFTWARE, b"no hive"));
    let lines = file_lines(&found);
    assert!(lines[0].starts_with(&format!(r"Changed C:\{SOFTWARE} Content ")), "{lines:#?}");
    let note = &found.notes[0];
    assert!(
        note.starts_with(&format!(
            r"C:\{SOFTWARE} of the second image is compared as a file: registry hive"
        )),
        "{note}"
    );
    assert!(found.registry.is_empty());
    // Damaged inside: what was read of it before is not told as if it were all.
    let at = good.windows(8).position(|bytes| bytes == b"Policies").unwrap();
    let mut bad = good;
    bad[at - 76..at - 74].copy_from_slice(b"xx");
    let found = edited(|image| put(image, SOFTWARE, &bad));
    assert!(found.registry.is_empty() && found.files.len() == 1, "{found:#?}");
    assert!(found.notes[0].contains(r"HKLM\SOFTWARE"), "{:?}", found.notes);
}

/// What a random edit does to a file.
#[derive(Debug, Clone)]
enum Edit {
    Put(u8, u8, u8),
    Remove(u8, u8),
    Hide(u8, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..4_u8, 0..6_u8, any::<u8>())
            .prop_map(|(folder, file, byte)| Edit::Put(folder, file, byte)),
        (0..4_u8, 0..6_u8).prop_map(|(folder, file)| Edit::Remove(folder, file)),
        (0..4_u8, 0..6_u8).prop_map(|(folder, file)| Edit::Hide(folder, file)),
    ]
}

type Model = BTreeMap<(u8, u8), (u8, bool)>;

/// An image of the files of `model`, all folders there.
fn image_of(model: &Model) -> Image {
    let mut image = Image::empty(FileTime(7));
    for folder in 0..4 {
        image.make_directory(&path(&format!("f{folder}")), &NewNode::default()).unwrap();
    }
    for ((folder, file), (byte, hidden)) in model {
        let at = format!(r"f{folder}\x{file}");
        put(&mut image, &at, &[*byte]);
        if *hidden {
            image.set_attributes(&path(&at), ATTRIBUTE_HIDDEN, 0).unwrap();
        }
    }
    image
}

/// The values of a hive by key and name.
type Values = BTreeMap<(u8, u8), u32>;

fn hive_of(values: &Values, upper: bool) -> Hive {
    let mut hive = Hive::create(6, FileTime(7), SECURITY);
    // In either order of insertion the values lie otherwise.
    let mut all: Vec<_> = values.iter().collect();
    if upper {
        all.reverse();
    }
    for ((at, name), number) in all {
        let names = [Name::from("k"), Name::from(format!("n{at}").as_str())];
        let key = hive.create_path(hive.root(), &names, FileTime(u64::from(upper))).unwrap();
        let value = Value::new(format!("v{name}").as_str(), ValueType(3), number.to_le_bytes());
        hive.set_value(key, &value, FileTime(7)).unwrap();
    }
    hive
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn edits_of_files_are_what_is_told(
        start in vec((0..4_u8, 0..6_u8, any::<u8>()), 0..16),
        edits in vec(edit(), 0..12),
    ) {
        let before: Model = start.iter().map(|(a, b, byte)| ((*a, *b), (*byte, false))).collect();
        let (mut after, mut image) = (before.clone(), image_of(&before));
        for edit in edits {
            let at = |folder: u8, file: u8| path(&format!(r"F{folder}\X{file}"));
            match edit {
                Edit::Put(folder, file, byte) => {
                    let old = after.get(&(folder, file)).copied();
                    image.put_bytes(&at(folder, file), vec![byte], &NewNode::default()).unwrap();
                    after.insert((folder, file), (byte, old.is_some_and(|old| old.1)));
                }
                Edit::Remove(folder, file) => {
                    image.remove(&at(folder, file)).unwrap();
                    after.remove(&(folder, file));
                }
                Edit::Hide(folder, file) => {
                    if let Some(entry) = after.get_mut(&(folder, file)) {
                        image.set_attributes(&at(folder, file), ATTRIBUTE_HIDDEN, 0).unwrap();
                        entry.1 = true;
                    }
                }
            }
        }
        let found = difference(&mut image_of(&before), &mut image);
        let mut told = BTreeSet::new();
        for change in &found.files {
            let place = change.path.to_lowercase();
            match (&change.kind, &change.from) {
                (Kind::Renamed, Some(from)) => {
                    told.insert((Kind::Removed, from.to_lowercase()));
                    told.insert((Kind::Added, place));
                }
                // What was taken away and made anew may be spelled otherwise.
                (Kind::Changed, _) if change.details.iter().all(|detail| detail.aspect == Aspect::Spelling) => {}
                (kind, _) => { told.insert((*kind, place)); }
            }
        }
        let shown = |(folder, file): &(u8, u8)| format!(r"c:\f{folder}\x{file}");
        let mut expected = BTreeSet::new();
        for place in before.keys().chain(after.keys()) {
            match (before.get(place), after.get(place)) {
                (Some(old), Some(new)) if old != new => { expected.insert((Kind::Changed, shown(place))); }
                (Some(_), None) => { expected.insert((Kind::Removed, shown(place))); }
                (None, Some(_)) => { expected.insert((Kind::Added, shown(place))); }
                _ => {}
            }
        }
        prop_assert_eq!(told, expected);
        let back = difference(&mut image, &mut image_of(&before));
        prop_assert_eq!(mirrored(back), sorted(found));
    }

    #[test]
    fn edits_of_a_hive_are_what_is_told(
        start in vec((0..8_u8, 0..5_u8, 0..4_u32), 0..24),
        end in vec((0..8_u8, 0..5_u8, 0..4_u32), 0..24),
        common in vec((0..8_u8, 0..5_u8, 0..4_u32), 0..24),
    ) {
        let values = |own: &[(u8, u8, u32)]| -> Values {
            common.iter().chain(own).map(|(key, name, number)| ((*key, *name), *number)).collect()
        };
        let (before, after) = (values(&start), values(&end));
        let (old, new) = (hive_of(&before, false), hive_of(&after, true));
        let told = |old: &Hive, new: &Hive| {
            let changes = registry::compare("R", old, new, Options::default()).unwrap();
            Difference { registry: changes, ..Difference::default() }
        };
        let found = told(&old, &new);
        let keys = |values: &Values| -> BTreeSet<Option<u8>> {
            let keys: BTreeSet<Option<u8>> = values.keys().map(|(key, _)| Some(*key)).collect();
            // All of them lie in one key, which is there when one of them is.
            keys.iter().copied().chain((!keys.is_empty()).then_some(None)).collect()
        };
        let (old_keys, new_keys) = (keys(&before), keys(&after));
        let name = |key: &Option<u8>| key.map_or(r"R\k".to_owned(), |key| format!(r"R\k\n{key}"));
        let mut expected = BTreeSet::new();
        expected.extend(old_keys.difference(&new_keys).map(|key| (name(key), None, Kind::Removed)));
        expected.extend(new_keys.difference(&old_keys).map(|key| (name(key), None, Kind::Added)));
        for at in before.keys().chain(after.keys()) {
            let kind = match (before.get(at), after.get(at)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(_), Some(_)) => Kind::Changed,
                (Some(_), None) => Kind::Removed,
                _ => Kind::Added,
            };
            expected.insert((name(&Some(at.0)), Some(format!("v{}", at.1)), kind));
        }
        let list: Vec<_> = found.registry.iter()
            .map(|change| (change.key.to_string(), change.value.clone(), change.kind)).collect();
        prop_assert_eq!(list.iter().cloned().collect::<BTreeSet<_>>(), expected);
        prop_assert!(list.is_sorted_by_key(|(key, value, _)| (key.clone(), value.clone())));
        prop_assert_eq!(mirrored(told(&new, &old)), sorted(found));
        prop_assert!(told(&old, &old).is_empty());
    }
}
