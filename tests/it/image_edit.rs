//! Edits of an image: what changes, what stays, what is recorded, and that a replay gives the same bytes.

use transom::{
    base::{digest::Sha1, name::Name, ntpath::NtPath},
    format::{
        hive::{Hive, Value},
        security::{SecurityDescriptor, to_sddl},
        wim::StreamKind,
    },
    image::{Changeset, Image, ImageError, NewNode, RegistryPath, dump::dump},
};

use crate::{
    image_fixture::{BASE_TIME, EPOCH, MemoryStore, entry, open, path, save_with, sddl, windows},
    support,
};

fn key(text: &str) -> RegistryPath {
    RegistryPath::parse(text).unwrap()
}

fn plain() -> NewNode {
    NewNode::default()
}

/// Edits of every kind, through long names, short names and other case.
fn edit_everything(image: &mut Image, store: &MemoryStore) {
    let new = store.add(b"new notepad");
    image.put_file(&path(r"\WINDOWS\NOTEPAD.EXE"), new, &plain()).unwrap();
    image.put_file(&path(r"C:\progra~1\Vendor\App\app.exe"), store.add(b"app"), &plain()).unwrap();
    image.put_bytes(&path(r"\Windows\empty.txt"), Vec::new(), &plain()).unwrap();
    image.make_directory(&path(r"\Windows\Temp\Below"), &plain()).unwrap();
    image.set_attributes(&path(r"\Windows\hidden.ini"), 0x20, 0x2).unwrap();
    image.set_security(&path(r"\Windows\hidden.ini"), &sddl("O:SYD:P(A;;FA;;;SY)")).unwrap();
    image.remove(&path(r"\Windows\System32\config\DEFAULT")).unwrap();
    image.rename(&path(r"\Program Files\readme.txt"), &path(r"\Windows\moved.txt")).unwrap();
    let test = key(r"HKLM\SYSTEM\CurrentControlSet\Services\Test");
    image.set_value(&test, &Value::dword("Start", 4)).unwrap();
    image.set_value(&key(r"HKCU\Software\Vendor"), &Value::sz("", "default")).unwrap();
    image.delete_key(&key(r"HKLM\SYSTEM\CurrentControlSet\Services\Empty")).unwrap();
    let version = key(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion");
    image.set_value(&version, &Value::sz("EditionID", "ServerStandard")).unwrap();
    image.delete_value(&version, &Name::from("ubr")).unwrap();
}

#[test]
fn an_image_that_was_only_read_comes_out_as_it_was() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let mut image = open(&wim);
    assert_eq!(image.registry_subkeys(&key(r"HKLM\SYSTEM")).unwrap().len(), 3);
    assert_eq!(image.facts().build, Some(26100));
    // Edits to what is there already.
    image.begin_step();
    image.put_bytes(&path(r"\windows\notepad.exe"), b"notepad".to_vec(), &plain()).unwrap();
    image.make_directory(&path(r"\Windows"), &plain()).unwrap();
    image.set_attributes(&path(r"\Windows\hidden.ini"), 0x1, 0x4).unwrap();
    image.remove(&path(r"\nothing")).unwrap();
    image.set_value(&key(r"HKLM\SYSTEM\Select"), &Value::dword("current", 2)).unwrap();
    image.create_key(&key(r"HKLM\SYSTEM\controlset001")).unwrap();
    image.delete_key(&key(r"HKLM\SYSTEM\None")).unwrap();
    image.delete_value(&key(r"HKLM\SYSTEM\Select"), &Name::from("none")).unwrap();
    assert_eq!(image.end_step(), Changeset::default());
    let finished = image.finish().unwrap();
    assert!(!finished.changed);
    let stored = wim.read_blob(wim.metadata_blob(1).unwrap()).unwrap();
    assert_eq!(finished.metadata.encode(), stored);
    assert_eq!(finished.blobs.len(), wim.blobs().len());
    for blob in &finished.blobs {
        assert_eq!(wim.blob(&blob.sha1).unwrap().reference_count, blob.references, "{}", blob.sha1);
    }
}

#[test]
fn a_replay_gives_the_same_bytes_and_a_second_run_changes_nothing() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = MemoryStore::default();
    let mut image = open(&wim);
    image.begin_step();
    edit_everything(&mut image, &store);
    let changes = image.end_step();
    assert!(changes.0.len() > 12);
    let again = Changeset::from_bytes(&changes.to_bytes()).unwrap();
    assert_eq!((&again, again.digest()), (&changes, changes.digest()));

    let mut replayed = open(&wim);
    replayed.begin_step();
    replayed.replay(&again).unwrap();
    assert_eq!(replayed.end_step(), changes);
    assert_eq!(dump(replayed.tree()), dump(image.tree()));

    let out = folder.path().join("out.wim");
    let first = image.finish().unwrap();
    let second = replayed.finish().unwrap();
    assert!(first.changed);
    assert_eq!(first.metadata.encode(), second.metadata.encode());
    assert_eq!(first.counts, second.counts);

    let output = save_with(first, Some((&wim, 1)), &store, &out);
    let report = output.verify(&|_| ()).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
    let mut next = open(&output);
    next.begin_step();
    // What was moved away is gone, so that one edit does not count.
    let put = |image: &mut Image| {
        image.put_file(&path(r"\Windows\notepad.exe"), store.add(b"new notepad"), &plain())
    };
    put(&mut next).unwrap();
    next.set_value(&key(r"HKCU\Software\Vendor"), &Value::sz("", "default")).unwrap();
    next.set_value(&key(r"HKLM\SYSTEM\ControlSet002\Services\Test"), &Value::dword("start", 4))
        .unwrap();
    assert!(next.end_step().is_empty());
}

#[test]
fn edits_do_what_windows_would_do() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = MemoryStore::default();
    let mut image = open(&wim);
    edit_everything(&mut image, &store);
    let metadata = image.finish().unwrap().metadata;

    let notepads: Vec<_> =
        metadata.dentries.iter().filter(|dentry| dentry.name.is("notepad.exe")).collect();
    assert_eq!(notepads.len(), 2, "both names of the file are there");
    for notepad in notepads {
        assert_eq!(notepad.streams[0].sha1, store.add(b"new notepad").sha1);
        assert_eq!((notepad.creation_time, notepad.last_write_time), (BASE_TIME, EPOCH));
        assert_eq!(notepad.hard_link_group, 0x7000_0000_0001);
        assert_eq!(
            notepad.tagged_items.len(),
            24,
            "the object id stays, the extended attributes go"
        );
    }
    let app = entry(&metadata, "app.exe");
    assert_eq!((app.attributes, app.creation_time, app.last_write_time), (0x20, EPOCH, EPOCH));
    let text = |id: Option<u32>| {
        to_sddl(&SecurityDescriptor::parse(&metadata.security[id.unwrap() as usize]).unwrap())
    };
    assert_eq!(
        text(app.security_id),
        "O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)"
    );
    assert_eq!(
        text(entry(&metadata, "Below").security_id),
        "O:BAG:SYD:AI(A;ID;FA;;;BA)(A;OICIIOID;GA;;;CO)(A;CIID;FA;;;BA)"
    );
    assert_eq!(entry(&metadata, "hidden.ini").attributes, 0x21);
    assert_eq!(
        entry(&metadata, "hidden.ini").last_write_time,
        BASE_TIME,
        "its content is the same"
    );
    let moved = entry(&metadata, "moved.txt");
    assert!(moved.short_name.is_empty() && moved.streams.len() == 2);
    assert_eq!(
        entry(&metadata, "empty.txt")
            .streams
            .iter()
            .filter(|stream| !stream.sha1.is_zero())
            .count(),
        0
    );
    assert_eq!(entry(&metadata, "Program Files").last_write_time, EPOCH);
    assert_eq!(entry(&metadata, "Program Files").short_name, Name::from("PROGRA~1"));
    assert_eq!(entry(&metadata, "WinSxS").last_write_time, BASE_TIME, "nothing in it changed");
}

#[test]
fn a_replaced_file_loses_its_named_streams_and_keeps_the_rest() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let mut image = open(&wim);
    let readme = path(r"\Program Files\README~1.TXT");
    image.put_bytes(&readme, b"other".to_vec(), &plain()).unwrap();
    let node = image.tree().lookup(&readme).unwrap();
    let kinds: Vec<_> = image.tree().inode(node).streams.iter().map(|stream| stream.kind).collect();
    assert_eq!(kinds, [StreamKind::Data]);
    assert_eq!(image.tree().node(node).name, Name::from("readme.txt"));
    assert_eq!(image.read(&readme).unwrap(), b"other");
    let hidden = NewNode { attributes: Some(0x2), ..NewNode::default() };
    image.put_bytes(&readme, b"other".to_vec(), &hidden).unwrap();
    assert_eq!(image.tree().inode(node).attributes, 0x2);
}

#[test]
fn what_is_in_the_way_is_named() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let mut image = open(&wim);
    let mut put =
        |text: &str| image.put_bytes(&path(text), b"x".to_vec(), &plain()).unwrap_err().to_string();
    assert!(put(r"\Documents and Settings\a\b").contains("junction or symbolic link"));
    assert_eq!(put(r"\Windows\notepad.exe\x"), r"\Windows\notepad.exe is not a folder");
    assert_eq!(put(r"\Windows"), r"\Windows is a folder");
    assert!(matches!(image.remove(&NtPath::root()), Err(ImageError::Root)));
    let error = image.make_directory(&path(r"\Windows\notepad.exe"), &plain()).unwrap_err();
    assert_eq!(error.to_string(), r"\Windows\notepad.exe is not a folder");
    let error = image.rename(&path(r"\Windows"), &path(r"\Windows\Temp\x")).unwrap_err();
    assert!(matches!(error, ImageError::NotDirectory(_)), "a folder cannot go into itself");
    let error = image.set_value(&key(r"HKLM\DRIVERS\x"), &Value::dword("a", 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        r"the image has no DRIVERS hive (\Windows\System32\config\DRIVERS)"
    );
}

#[test]
fn changed_hives_are_sound_and_their_logs_are_emptied() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = MemoryStore::default();
    let mut image = open(&wim);
    edit_everything(&mut image, &store);
    let output =
        save_with(image.finish().unwrap(), Some((&wim, 1)), &store, &folder.path().join("out.wim"));
    let mut image = open(&output);
    let config = |name: &str| path(&format!(r"\Windows\System32\config\{name}"));
    assert_eq!(image.read(&config("SYSTEM.LOG1")).unwrap(), b"");
    for (name, edited) in [("SYSTEM", true), ("SOFTWARE", true)] {
        let hive = Hive::parse(image.read(&config(name)).unwrap(), &Default::default()).unwrap();
        assert!(hive.check().is_empty(), "{name}");
        let node = image.tree().lookup(&config(name)).unwrap();
        assert_eq!(image.tree().inode(node).last_write_time == EPOCH, edited, "{name}");
    }
    let test = key(r"HKLM\SYSTEM\ControlSet002\Services\Test");
    assert_eq!(image.registry_value(&test, &"Start".into()).unwrap().unwrap().as_dword(), Some(4));
    assert!(!image.registry_key_exists(&key(r"HKLM\SYSTEM\ControlSet001\Services")).unwrap());
    let xml = output.xml();
    let text = |path: &[&str]| xml.image(1).unwrap().text(path).map(str::to_owned);
    assert_eq!(text(&["WINDOWS", "EDITIONID"]).as_deref(), Some("ServerStandard"));
    assert_eq!(text(&["FLAGS"]).as_deref(), Some("ServerStandard"));
    assert_eq!(text(&["WINDOWS", "ARCH"]).as_deref(), Some("9"));
    assert_eq!(text(&["WINDOWS", "VERSION", "BUILD"]).as_deref(), Some("26100"));
    assert_eq!(text(&["WINDOWS", "LANGUAGES", "DEFAULT"]).as_deref(), Some("en-US"));
    assert_eq!(xml.last_modification(1), Some(EPOCH));
    assert_eq!(xml.creation(1), Some(BASE_TIME));
}

#[test]
fn a_hive_file_that_is_replaced_takes_its_open_edits_with_it() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let mut image = open(&wim);
    let test = key(r"HKU\.DEFAULT\Software\Test");
    image.create_key(&test).unwrap();
    let fresh = crate::image_fixture::hive(&[("Fresh", vec![])]);
    let file = path(r"\Windows\System32\config\DEFAULT");
    let mut other = open(&wim);
    other.create_key(&test).unwrap();
    other.put_bytes(&file, fresh.clone(), &plain()).unwrap();
    let finished = other.finish().unwrap();
    assert!(finished.blobs.iter().any(|blob| blob.sha1 == Sha1::of(&fresh)));
    image.put_bytes(&file, fresh, &plain()).unwrap();
    assert!(!image.registry_key_exists(&test).unwrap());
    assert!(image.registry_key_exists(&key(r"HKU\.DEFAULT\Fresh")).unwrap());
}

#[test]
fn dirty_hives_are_completed_from_their_logs_or_refused() {
    let Some(hives) = support::shared_data("hives") else { return };
    let mut unpacked = Vec::new();
    for name in ["", ".LOG1", ".LOG2"] {
        let file = hives.join(format!("SYSTEM_win10_16299_dirty{name}.xz"));
        let Some(bytes) = support::unpack_xz(&file) else { return };
        unpacked.push((format!(r"\Windows\System32\config\SYSTEM{name}"), bytes));
    }
    let mut image = Image::empty(BASE_TIME);
    image.put_bytes(&path(&unpacked[0].0), unpacked[0].1.clone(), &plain()).unwrap();
    let select = key(r"HKLM\SYSTEM\CurrentControlSet\Services");
    let error = image.registry_subkeys(&select).unwrap_err().to_string();
    assert!(error.contains("log files"), "{error}");
    for (name, bytes) in &unpacked[1..] {
        image.put_bytes(&path(name), bytes.clone(), &plain()).unwrap();
    }
    assert!(image.registry_subkeys(&select).unwrap().len() > 500);
    image.create_key(&key(r"HKLM\SYSTEM\CurrentControlSet\Services\Ours")).unwrap();
    let finished = image.finish().unwrap();
    for name in ["SYSTEM.LOG1", "SYSTEM.LOG2"] {
        assert!(entry(&finished.metadata, name).streams.iter().all(|stream| stream.sha1.is_zero()));
    }
}

/// An edit of files or keys, by small numbers.
fn edit(image: &mut Image, (kind, first, second): (u8, u8, u8)) {
    let names =
        ["Windows", "windows", "a", "B", "notepad.exe", "Program Files", "Temp", "progra~1"];
    let name = |number: u8| names[usize::from(number) % names.len()];
    let place = path(&format!(r"\{}\{}", name(first), name(second)));
    let key = key(&format!(r"HKCU\{}\{}", name(first), name(second)));
    // Edits that the state does not allow are refused and change nothing.
    let result = match kind % 8 {
        0 => image.put_bytes(&place, vec![first, second], &plain()),
        1 => image.make_directory(&place, &plain()),
        2 => image.remove(&path(&format!(r"\{}", name(first)))),
        3 => image.rename(&place, &path(&format!(r"\{}\{}", name(second), name(first)))),
        4 => image.set_attributes(&place, u32::from(first) & 7, u32::from(second) & 7),
        5 => image.set_value(&key, &Value::dword(name(first), u32::from(second))),
        6 => image.delete_key(&key),
        _ => image.remove(&place),
    };
    drop(result);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    #[test]
    fn any_edits_replay_to_the_same_image(
        edits in proptest::collection::vec((0..8_u8, 0..8_u8, 0..8_u8), 1..40),
    ) {
        static BASE: std::sync::LazyLock<(tempfile::TempDir, std::sync::Arc<transom::format::wim::Wim>)> =
            std::sync::LazyLock::new(|| {
                let folder = support::temporary_folder();
                let wim = windows(&folder.path().join("base.wim"));
                (folder, wim)
            });
        let mut image = open(&BASE.1);
        image.begin_step();
        edits.iter().for_each(|&numbers| edit(&mut image, numbers));
        let changes = image.end_step();
        let mut replayed = open(&BASE.1);
        replayed.replay(&changes).unwrap();
        // Every entry is found by its path, and by it alone.
        for id in image.tree().walk() {
            proptest::prop_assert_eq!(image.tree().lookup(&image.tree().path_of(id)), Some(id));
        }
        let (one, two) = (image.finish().unwrap(), replayed.finish().unwrap());
        let bytes = one.metadata.encode();
        proptest::prop_assert_eq!(&bytes, &two.metadata.encode());
        let again = transom::format::wim::ImageMetadata::parse(&bytes, &Default::default()).unwrap();
        proptest::prop_assert_eq!(again.warnings, Vec::<String>::new());
        proptest::prop_assert_eq!(again.dentries.len(), one.metadata.dentries.len());
        proptest::prop_assert_eq!(one.counts, two.counts);
    }
}
