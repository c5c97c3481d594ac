//! Hives and `.reg` files between us and others: hivex and reged read what we write, and we read and go on editing what hivex writes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use transom::base::{filetime::FileTime, limits::Limits, name::Name};
use transom::format::hive::{Hive, Value, ValueType};
use transom::format::reg_text::{self, RegAction, RegEntry};

use crate::hive_real::real_hive;
use crate::support;

/// Keys by path, values by name; what order they come in is the exporter's affair.
type Content = BTreeMap<String, BTreeMap<String, (u32, Vec<u8>)>>;

fn content(entries: Vec<RegEntry>) -> Content {
    let mut content = Content::new();
    for entry in entries {
        let RegAction::Values(values) = entry.action else { panic!("an export deletes nothing") };
        let values = values.into_iter().map(|(name, data)| {
            let (kind, data) = data.expect("an export deletes nothing");
            (name.to_string(), (kind.0, data))
        });
        let key = entry.key.trim_end_matches('\\').to_owned();
        assert!(content.insert(key, values.collect()).is_none(), "a key appears once");
    }
    content
}

fn content_of(hive: &Hive, prefix: &str) -> Content {
    content(reg_text::entries_of(hive, hive.root(), prefix).unwrap())
}

/// A hive with something of everything that has a name in ASCII; `big` with data in segments.
fn varied(minor: u32, big: bool) -> Hive {
    let mut hive = Hive::create(minor, FileTime(0x01dc_0000_0000_0000), &[1, 0, 4, 0x80]);
    let time = FileTime(0x01dc_1111_0000_0000);
    for outer in 0..12 {
        let parent =
            hive.create_key(hive.root(), &Name::from(format!("Parent{outer}").as_str()), time);
        let parent = parent.unwrap();
        for inner in 0..outer * outer * 10 {
            let name = format!("Key{:05}", inner * 7919 % 10_007);
            let key = hive.create_key(parent, &Name::from(name.as_str()), time).unwrap();
            hive.set_value(key, &Value::dword("Start", inner), time).unwrap();
            hive.set_value(key, &Value::sz("", &name), time).unwrap();
        }
        // Not empty: reged forgets the line end behind empty binary data.
        let size = if big { 5000 * outer as usize + 5 } else { 100 * outer as usize + 5 };
        let data: Vec<u8> = (0..size).map(|index| index.to_le_bytes()[0]).collect();
        for value in [
            Value::binary("bytes", data),
            Value::expand_sz("path", "%SystemRoot%\\system32"),
            Value::multi_sz("list", ["one", "two"]),
            Value::qword("long", 1 << 40),
            Value::new("odd", ValueType(0xffff_0011), [0xff]),
            Value::new("none", ValueType::NONE, []),
        ] {
            hive.set_value(parent, &value, time).unwrap();
        }
        hive.delete_value(parent, &Name::from("long"), time).unwrap();
    }
    let gone = hive.subkey(hive.root(), &Name::from("parent10")).unwrap().unwrap();
    hive.delete_key(gone, time).unwrap();
    hive
}

fn export_by_hivex(hive: &Path) -> Option<Content> {
    let tool = support::oracle("hivexregedit")?;
    let text = tool.run(["--export", "--prefix", "HKLM", hive.to_str().unwrap(), "\\"]);
    Some(content(reg_text::parse(&text).unwrap()))
}

#[test]
fn hivex_reads_what_we_wrote() {
    for (minor, big) in [(3, false), (4, true), (5, true), (6, true)] {
        let folder = support::temporary_folder();
        let path = folder.path().join("hive");
        let hive = varied(minor, big);
        assert_eq!(hive.check(), []);
        fs_err::write(&path, hive.to_bytes()).unwrap();
        let Some(theirs) = export_by_hivex(&path) else { return };
        assert_eq!(theirs, content_of(&hive, "HKLM"), "version 1.{minor}");
    }
}

#[test]
fn hivex_reads_a_real_hive_we_edited() {
    let Some(bytes) = real_hive("NTUSER.DAT") else { return };
    let mut hive = Hive::parse(bytes, &Limits::default()).unwrap();
    let time = FileTime(0x01dc_0000_0000_0000);
    let path = ["Software", "Transom", "Inner"].map(Name::from);
    let key = hive.create_path(hive.root(), &path, time).unwrap();
    hive.set_value(key, &Value::sz("text", "value"), time).unwrap();
    let gone = hive.find(hive.root(), &["Control Panel", "Desktop"].map(Name::from));
    hive.delete_key(gone.unwrap().unwrap(), time).unwrap();
    assert_eq!(hive.check(), []);
    let folder = support::temporary_folder();
    let path = folder.path().join("hive");
    fs_err::write(&path, hive.to_bytes()).unwrap();
    // The exporter garbles names that are not ASCII; this hive has none.
    let Some(theirs) = export_by_hivex(&path) else { return };
    assert_eq!(theirs, content_of(&hive, "HKLM"));
}

#[test]
fn hivex_finds_names_in_other_scripts() {
    let Some(tool) = support::oracle("hivexml") else { return };
    let mut hive = Hive::create(5, FileTime(1), &[]);
    for name in ["été", "Жи", "ÿ", "日本"] {
        let key = hive.create_key(hive.root(), &Name::from(name), FileTime(1)).unwrap();
        hive.set_value(key, &Value::sz(name, name), FileTime(1)).unwrap();
    }
    let folder = support::temporary_folder();
    let path = folder.path().join("hive");
    fs_err::write(&path, hive.to_bytes()).unwrap();
    let xml = String::from_utf8(tool.run([path])).unwrap();
    for name in ["été", "Жи", "ÿ", "日本"] {
        assert!(xml.contains(&format!("<node name=\"{name}\"")), "{name}: {xml}");
        let value = format!("<value type=\"string\" key=\"{name}\" value=\"{name}\"");
        assert!(xml.contains(&value), "{name}: {xml}");
    }
}

#[test]
fn reged_reads_what_we_wrote() {
    let Some(tool) = support::oracle("reged") else { return };
    for minor in [3, 5] {
        let folder = support::temporary_folder();
        let (path, output) = (folder.path().join("hive"), folder.path().join("out.reg"));
        let hive = varied(minor, false);
        fs_err::write(&path, hive.to_bytes()).unwrap();
        // Its exit code says nothing.
        let arguments = [
            OsStr::new("-x"),
            path.as_os_str(),
            "HKLM".as_ref(),
            "\\".as_ref(),
            output.as_os_str(),
        ];
        tool.command().args(arguments).output().unwrap();
        let theirs = content(reg_text::parse(&fs_err::read(&output).unwrap()).unwrap());
        assert_eq!(theirs, content_of(&hive, "HKLM"), "version 1.{minor}");
    }
}

#[test]
fn we_go_on_where_hivex_left() {
    let Some(tool) = support::oracle("hivexregedit") else { return };
    let folder = support::temporary_folder();
    let (path, reg) = (folder.path().join("hive"), folder.path().join("in.reg"));
    fs_err::write(&path, varied(5, true).to_bytes()).unwrap();
    let mut text = String::from("Windows Registry Editor Version 5.00\n");
    for number in 0..700 {
        text += &format!("\n[HKLM\\Parent3\\New{number:04}]\n\"v\"=dword:0000002a\n");
    }
    text += "\n[-HKLM\\Parent4]\n\n[HKLM\\Parent3]\n\"bytes\"=hex:01,02\n\"path\"=-\n";
    fs_err::write(&reg, &text).unwrap();
    tool.run([
        OsStr::new("--merge"),
        "--prefix".as_ref(),
        "HKLM".as_ref(),
        path.as_os_str(),
        reg.as_os_str(),
    ]);
    let mut hive = Hive::parse(fs_err::read(&path).unwrap(), &Limits::default()).unwrap();
    let harm: Vec<_> = hive.check().into_iter().filter(|problem| !problem.harmless).collect();
    assert_eq!(harm, [], "what hivex wrote");
    assert_eq!(content_of(&hive, "HKLM"), export_by_hivex(&path).unwrap());
    let parent = hive.subkey(hive.root(), &Name::from("Parent3")).unwrap().unwrap();
    // The leaf hivex left has more entries than we put into one: it is split.
    for number in 0..300 {
        let name = Name::from(format!("New{number:04}a").as_str());
        hive.create_key(parent, &name, FileTime(1)).unwrap();
    }
    assert!(hive.check().iter().all(|problem| problem.harmless), "{:?}", hive.check());
    assert_eq!(hive.subkeys(parent).unwrap().len(), 90 + 700 + 300);
    fs_err::write(&path, hive.to_bytes()).unwrap();
    assert_eq!(content_of(&hive, "HKLM"), export_by_hivex(&path).unwrap());
}
