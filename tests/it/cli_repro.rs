//! `transom repro`: two builds are the same, and where two WIMs differ is found in every part of them.

use std::path::{Path, PathBuf};

use transom::{
    base::{digest::Sha1, limits::Limits},
    format::wim::Wim,
    pipeline::repro::{Difference, compare},
};

use crate::support::{expect_success, temporary_folder, transom};

const RECIPE: &str = r#"
[base]
wim = "base.wim"
index = 1
[[files]]
from = "note.txt"
to = 'C:\Data\note.txt'
[services]
WSearch = "manual"
[output]
path = "out/golden.wim"
compression = "lzx"
integrity = true
epoch = "2026-11-01T00:00:00Z"
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: temporary_folder() };
        transom::cli::demo::write_base(&place.path("base.wim"), &Default::default()).unwrap();
        place.write("recipe.toml", RECIPE);
        place.write("note.txt", &"a note that is compressed ".repeat(5000));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    /// Builds with these values and gives the output.
    fn build(&self, name: &str, sets: &[&str]) -> PathBuf {
        let mut command = transom(self.folder.path());
        command.args(["build", "recipe.toml", "--no-report", "--set"]);
        command.arg(format!("output.path=\"{name}\""));
        for set in sets {
            command.args(["--set", set]);
        }
        expect_success(&mut command);
        self.path(name)
    }

    /// What is left of comparisons.
    fn left(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs_err::read_dir(self.path(folder)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("repro-")).collect()
    }
}

fn difference(one: &Path, other: &Path) -> Option<Difference> {
    compare(&[one.to_owned()], &[other.to_owned()], &|| false).unwrap()
}

#[test]
fn a_recipe_gives_the_same_twice_and_touches_nothing_of_the_users() {
    let place = Place::new();
    let arguments = ["repro", "recipe.toml", "--json", "--progress", "none"];
    let output = expect_success(transom(place.folder.path()).args(arguments));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["same"], true, "{told}");
    assert_eq!(told["threads"].as_array().unwrap().len(), 2);
    assert_ne!(told["threads"][0], told["threads"][1]);
    assert!(told["documents"].as_array().unwrap().contains(&".report.json".into()), "{told}");
    assert!(!place.path("out").exists() && !place.path("recipe.lock").exists());
    assert_eq!(place.left("transom-cache"), [""; 0]);
    // It is what a build gives.
    let built = place.build("out/golden.wim", &[]);
    use sha2::Digest as _;
    let digest: String = sha2::Sha256::digest(fs_err::read(&built).unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(told["sha256"][0], digest);
    let against = ["repro", "recipe.toml", "--against", "out/golden.wim", "--work", "scratch"];
    let output = expect_success(transom(place.folder.path()).args(against));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("the same bytes: "));
    assert_eq!(place.left("scratch"), [""; 0]);
}

#[test]
fn another_file_is_told_of_and_can_be_kept() {
    let place = Place::new();
    place.build("out/golden.wim", &[]);
    // What a killed comparison left goes; what is not ours stays.
    for name in ["repro-killed", "repro-mine", "repro-other"] {
        fs_err::create_dir_all(place.path(&format!("scratch/{name}/first"))).unwrap();
    }
    let mark = "A comparison of `transom repro` works in this folder, which is removed when it ends or was killed.\n";
    place.write("scratch/repro-killed/transom-repro.lock", mark);
    place.write("scratch/repro-other/transom-repro.lock", "somebody else's");
    place.write("note.txt", "another note");
    let mut command = transom(place.folder.path());
    command.args([
        "repro",
        "recipe.toml",
        "--against",
        "out/golden.wim",
        "--work",
        "scratch",
        "--keep",
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(10), "{text}");
    assert!(text.contains(r"image 1: \Data\note.txt: content "), "{text}");
    let kept = text.lines().find_map(|line| line.strip_prefix("left in ")).unwrap();
    assert!(place.folder.path().join(kept).join("first/out/golden.wim").is_file());
    let left = place.left("scratch");
    assert!(left.len() == 3 && left.contains(&"repro-mine".to_owned()), "{left:?}");
    // The next one leaves alone what was kept.
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(place.folder.path().join(kept).join("first/out/golden.wim").is_file());
    assert_eq!(place.left("scratch").len(), 4);
}

#[test]
fn a_changed_byte_is_found_in_every_part() {
    let place = Place::new();
    let whole = place.build("whole.wim", &[]);
    let bytes = fs_err::read(&whole).unwrap();
    let wim = Wim::open_path(&whole, &Limits::default()).unwrap();
    let header = wim.header().clone();
    let note = Sha1::of("a note that is compressed ".repeat(5000).as_bytes());
    let content = wim.blob(&note).unwrap().resource;
    let metadata = wim.metadata_blob(1).unwrap().resource;
    drop(wim);
    let end = bytes.len() as u64;
    for (offset, part) in [
        (0x10, "header: flags"),
        (0x18, "header: GUID"),
        (0x30 + 8, "header: place of the blob table"),
        (0x7c, "header: place of the integrity table"),
        (content.offset + 5, r"content of image 1: \Data\note.txt, byte 5 of it"),
        (metadata.offset + 7, "metadata of image 1, byte 7"),
        (header.blob_table.offset + 30, "blob table, byte 30"),
        (header.xml.offset + 200, "XML, byte 200"),
        (header.integrity.offset + 20, "integrity table, byte 20"),
    ] {
        let mut changed = bytes.clone();
        changed[usize::try_from(offset).unwrap()] ^= 0x55;
        let other = place.path("changed.wim");
        fs_err::write(&other, &changed).unwrap();
        for (one, other) in [(&whole, &other), (&other, &whole)] {
            let found = difference(one, other).unwrap();
            assert_eq!((found.offset, found.sizes), (offset, [end, end]), "{part}");
            // One whose header is changed may be no WIM any more; the other one still tells.
            assert!(found.part.starts_with(part), "{} is not {part}", found.part);
            assert!(!found.details.is_empty() || !part.starts_with("XML"), "{part}");
        }
    }
    for (changed, part) in [
        ([&bytes[..], b"more"].concat(), "bytes that belong to nothing"),
        (bytes[..bytes.len() - 4].to_vec(), "integrity table"),
    ] {
        let other = place.path("changed.wim");
        fs_err::write(&other, &changed).unwrap();
        let found = difference(&whole, &other).unwrap();
        assert_eq!(found.offset, end.min(changed.len() as u64));
        assert!(found.part.starts_with(part), "{} is not {part}", found.part);
    }
    assert_eq!(difference(&whole, &whole), None);
}

#[test]
fn what_a_difference_comes_from_is_told_in_words() {
    let place = Place::new();
    let whole = place.build("whole.wim", &[]);
    for (sets, words) in [
        (&["image.name=\"other\""][..], "the XML: <"),
        (&["services.WSearch=\"disabled\""], r"image 1: \Windows\System32\config\SYSTEM: content"),
        (&["output.epoch=\"2026-11-02T00:00:00Z\""], "write time"),
        (&["output.level=\"max\""], "the same content is stored in other bytes: image 1: "),
        (
            &["files=[{from=\"note.txt\", to='C:\\Data\\other.txt'}]"],
            r"image 1: \Data\other.txt is in the second one alone",
        ),
        (
            &["files=[{from=\"note.txt\", to='C:\\Data\\note.txt', attributes=[\"hidden\"]}]"],
            "attributes 0x20 and 0x",
        ),
        (&["output.integrity=false"], "nothing else"),
    ] {
        let mut changed = RECIPE.to_owned();
        // Lists are appended to by --set: what stands there goes first.
        if sets[0].starts_with("files") {
            let start = changed.find("[[files]]").unwrap();
            let end = changed.find("[services]").unwrap();
            changed.replace_range(start..end, "");
        }
        place.write("recipe.toml", &changed);
        let other = place.build("other.wim", sets);
        let Some(found) = difference(&whole, &other) else { panic!("{sets:?}: the same") };
        let told = found.details.join("\n");
        assert!(told.contains(words) || found.details.is_empty(), "{sets:?}: {found:#?}");
        assert!(!found.details.is_empty() || words == "nothing else", "{sets:?}: {found:#?}");
    }
}
