//! An image as wimlib describes it (`wimlib-imagex dir --detailed`), and the difference of two such descriptions.
//!
//! What a WIM writer may choose freely is left out: where a resource lies, its stored size and flags, its reference count. A hard link
//! group's number is replaced by the first path of the group. Times have wimlib's resolution here, which is one second.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::{Tool, temporary_folder};

/// Lines of `dir --detailed` that say how an image is stored, not what it is.
const STORAGE: &[&str] = &[
    "Compressed size",
    "Offset in WIM",
    "Part Number",
    "Reference Count",
    "Flags",
    "Solid resource",
    "Solid offset",
];

/// Path to what wimlib says of it, as `field = value` lines in wimlib's order.
pub(crate) type Dump = BTreeMap<String, Vec<String>>;

/// Describes the image with this 1-based number.
///
/// # Panics
///
/// When wimlib refuses the file.
#[must_use]
pub(crate) fn dump_image(wimlib: &Tool, wim: &Path, index: u32) -> Dump {
    let index = index.to_string();
    let arguments = ["dir".as_ref(), wim.as_os_str(), index.as_ref(), OsStr::new("--detailed")];
    parse(&wimlib.run(arguments))
}

/// The same image after wimlib has applied it to a new NTFS volume of `mebibytes` and captured it again: what NTFS keeps of it. Needs no mount and no root.
///
/// # Panics
///
/// When wimlib refuses the image or it does not fit.
#[must_use]
pub(crate) fn dump_through_ntfs(
    (wimlib, mkntfs): (&Tool, &Tool),
    wim: &Path,
    index: u32,
    mebibytes: u64,
) -> Dump {
    let folder = temporary_folder();
    let volume = folder.path().join("volume.ntfs");
    let captured = folder.path().join("captured.wim");
    fs_err::File::create(&volume).unwrap().set_len(mebibytes << 20).unwrap();
    mkntfs
        .run(["--force", "--quiet", "--fast"].map(OsStr::new).iter().chain([&volume.as_os_str()]));
    let index = index.to_string();
    wimlib.run(["apply".as_ref(), wim.as_os_str(), index.as_ref(), volume.as_os_str()]);
    let none = OsStr::new("--compress=none");
    wimlib.run(["capture".as_ref(), volume.as_os_str(), captured.as_os_str(), none]);
    dump_image(wimlib, &captured, 1)
}

/// One line per object that is not the same: `+ path`, `- path`, or `~ path: before -> after` for each field that changed.
#[must_use]
pub(crate) fn difference(before: &Dump, after: &Dump) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, old) in before {
        match after.get(path) {
            None => lines.push(format!("- {path}")),
            Some(new) if new == old => {}
            Some(new) => {
                let gone = old.iter().filter(|line| !new.contains(line)).cloned();
                let come = new.iter().filter(|line| !old.contains(line)).cloned();
                let gone = gone.collect::<Vec<_>>().join("; ");
                let come = come.collect::<Vec<_>>().join("; ");
                lines.push(format!("~ {path}: {gone} -> {come}"));
            }
        }
    }
    lines.extend(after.keys().filter(|path| !before.contains_key(*path)).map(|p| format!("+ {p}")));
    lines
}

fn parse(printed: &[u8]) -> Dump {
    let mut dump = Dump::new();
    let mut groups = BTreeMap::new();
    let mut current: Option<(String, Vec<String>)> = None;
    let mut stream = String::new();
    for line in printed.split(|byte| *byte == b'\n') {
        // Unpaired surrogates come out as ill-formed UTF-8; escaped, two such names stay different.
        let text = std::str::from_utf8(line)
            .map_or_else(|_| line.escape_ascii().to_string(), ToOwned::to_owned);
        let text = text.trim();
        if let Some(path) = text.strip_prefix("Full Path           = ") {
            dump.extend(current.replace((path.trim_matches('"').to_owned(), Vec::new())));
            stream.clear();
            continue;
        }
        let Some((path, fields)) = &mut current else { continue };
        if text.ends_with(':') && text.contains("data stream") || text == "Raw encrypted data:" {
            text.clone_into(&mut stream);
        } else if let Some((name, value)) = text.split_once('=') {
            let (name, value) = (name.trim(), value.trim());
            match name {
                _ if STORAGE.contains(&name) => {}
                "Link Group ID" if value.trim_start_matches(['0', 'x']).is_empty() => {}
                "Link Group ID" => {
                    let first = groups.entry(value.to_owned()).or_insert_with(|| path.clone());
                    fields.push(format!("linked with {first}"));
                }
                _ => fields.push(format!("{stream}{name} = {value}")),
            }
        } else if !text.is_empty() && !text.starts_with("----") {
            fields.push(text.to_owned());
        }
    }
    dump.extend(current);
    dump
}

mod tests {
    use super::*;
    use crate::support::{oracle, shared_data};

    /// The real WinPE image comes back from NTFS unchanged: security, short names, times, attributes.
    #[test]
    fn an_image_of_dism_survives_ntfs() {
        let Some(wim) = shared_data("wim/wimbuilder2-boot.wim") else { return };
        let (Some(wimlib), Some(mkntfs)) = (oracle("wimlib-imagex"), oracle("mkntfs")) else {
            return;
        };
        let direct = dump_image(&wimlib, &wim, 2);
        assert!(direct.len() > 600, "{} paths", direct.len());
        assert_eq!(
            difference(&direct, &dump_through_ntfs((&wimlib, &mkntfs), &wim, 2, 32)),
            [""; 0]
        );
    }

    /// One changed file, one new, one gone and two links are told apart from what stayed; an image equals itself.
    #[test]
    fn a_difference_names_what_changed_and_nothing_else() {
        let Some(wimlib) = oracle("wimlib-imagex") else { return };
        let folder = temporary_folder();
        let tree = folder.path().join("tree");
        fs_err::create_dir_all(tree.join("sub")).unwrap();
        for name in ["changes", "goes", "stays", "sub/first"] {
            fs_err::write(tree.join(name), name).unwrap();
        }
        fs_err::hard_link(tree.join("sub/first"), tree.join("sub/second")).unwrap();
        let capture = |name: &str, compression: &str| {
            let wim = folder.path().join(name);
            wimlib.run([
                "capture".as_ref(),
                tree.as_os_str(),
                wim.as_os_str(),
                compression.as_ref(),
            ]);
            dump_image(&wimlib, &wim, 1)
        };
        let before = capture("before.wim", "--compress=LZX");
        assert_eq!(difference(&before, &capture("same.wim", "--compress=none")), [""; 0]);
        assert!(before["/sub/second"].contains(&"linked with /sub/first".to_owned()), "{before:?}");

        fs_err::write(tree.join("changes"), "Changes").unwrap();
        fs_err::remove_file(tree.join("goes")).unwrap();
        fs_err::write(tree.join("new"), "new").unwrap();
        let lines = difference(&before, &capture("after.wim", "--compress=LZX"));
        let lines: Vec<_> = lines.iter().filter(|line| !line.starts_with("~ /:")).collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].starts_with("~ /changes: ") && lines[0].contains("Hash"), "{lines:#?}");
        assert_eq!(lines[1..], ["- /goes", "+ /new"]);
    }
}
