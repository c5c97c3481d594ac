//! What cannot be done natively and goes the way of `when-not-native = "first-boot"`: the source lies in the image as it came, and a command file of the
//! first boot gives it to `dism.exe /Online`.
//!
//! In `Windows\Setup\Scripts`: `transom-packages\<kind>-<name>\...` is the payload (of a source, the files that hold what the step takes from it),
//! `transom\NN-<kind>-<name>.cmd` the command file, numbered in the order of the plan. The payload goes when it is installed and stays when it is not, so
//! that it can be tried again by hand; a command file whose payload is gone has done its work. DISM's own log is
//! `Windows\Logs\transom-<kind>-<name>.log`; how it ended is in `Windows\Logs\transom-first-boot.status` (see [`crate::servicing::first_boot`]).
//!
//! Packages and languages are given to DISM one container after the other, in the order in which they are to be installed; capabilities and features are
//! told the folder in which their packages lie. A call that found servicing busy is tried three times, a minute apart. 3010 (a restart is needed) is success;
//! what cannot be done before that restart ends with 350, keeps its payload, and is done when the scripts are run again.
//!
//! A file that several entries hold (capabilities of one shelf) is in the image once: the others are hard links to it, so that each entry has its own folder,
//! which it can take away.
//!
//! What an entry needs and the image does not have may be what waits for the first boot: such an entry waits behind it ([`is_late`]).

use std::collections::BTreeMap;

use crate::{
    base::{
        digest::{Blake3, Sha1},
        name::Name,
        ntpath::NtPath,
    },
    image::{Image, ImageError, NewNode},
    servicing::{
        error::{Problem, ServicingError},
        first_boot as scripts,
        inputs::{BlobSink, InputId, InputKind, Inputs},
        not_native::WhenNotNative,
    },
    store::StoredBlob,
};

use super::{
    FeatureSpec, PackageSpec, PreparedPackages,
    command_file::{Unit, script, units},
    dism::DismCommand,
    prepared::{PreparedFolder, PreparedOriginal},
};

/// The folder of all payloads that wait, in `Windows\Setup\Scripts`.
pub(super) const FOLDER: &str = "transom-packages";
/// What the recipe's sections are called in the names of command files.
const KINDS: [&str; 4] = ["package", "language", "capability", "feature"];

/// True when a step that may wait for the first boot comes behind one that does.
///
/// # Errors
/// When the image's SetupComplete.cmd cannot be read.
pub(super) fn is_late(when: WhenNotNative, image: &Image) -> Result<bool, ServicingError> {
    if when != WhenNotNative::FirstBoot {
        return Ok(false);
    }
    let is_one = |name: &str| {
        name.split_once('-').is_some_and(|(kind, _)| KINDS.contains(&kind))
            && name.ends_with(".cmd")
    };
    scripts::waits(image, is_one)
        .map_err(|error| ServicingError::image("first-boot", "SetupComplete.cmd", error))
}

/// True when the first boot is to install the language.
pub(super) fn waits_for_language(tag: &str, image: &Image) -> bool {
    let file = format!("{}.cmd", waiting_name("language", tag));
    scripts::waits(image, |name| name.eq_ignore_ascii_case(&file)).unwrap_or(false)
}

/// Of the files of the source `id` as they came those that hold `folders`, in the store.
///
/// # Errors
/// When one cannot be read or stored.
pub(super) fn originals(
    id: &InputId,
    folders: &[PreparedFolder],
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<Vec<PreparedOriginal>, ServicingError> {
    let tree = inputs.input(id)?;
    let shown: Vec<String> = tree.entries.iter().map(|entry| join(&id.0, &entry.path)).collect();
    let holds: Vec<&String> =
        shown.iter().filter(|shown| folders.iter().any(|one| belongs(shown, one))).collect();
    let mut originals = Vec::new();
    for (entry, shown) in tree.entries.iter().zip(&shown) {
        let InputKind::File { blake3, content, .. } = &entry.kind else { continue };
        // A stream file belongs to the cabinet beside it. By the metadata of Features on Demand DISM finds them.
        let name = entry.path.last().map_or_else(String::new, |name| name.to_lowercase());
        let in_metadata = |name: &String| name.eq_ignore_ascii_case("metadata");
        let beside = name.starts_with("fodmetadata")
            || entry.path.iter().rev().skip(1).any(in_metadata)
            || name.ends_with(".psf")
                && holds.iter().any(|one| stem(one).eq_ignore_ascii_case(stem(shown)));
        if !beside && !holds.contains(&shown) {
            continue;
        }
        let content = blobs.put(shown, content.as_ref(), blake3)?;
        let path = match entry.path.is_empty() {
            true => vec![file_name(&id.0)],
            false => entry.path.clone(),
        };
        originals.push(PreparedOriginal { shown: shown.clone(), path, content });
    }
    Ok(originals)
}

/// True when the file is the container of the package, the outermost of its containers, or a file of the expanded package.
fn belongs(shown: &str, folder: &PreparedFolder) -> bool {
    folder.shown == shown || is_below(&folder.shown, shown) || is_below(shown, &folder.shown)
}

pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn join(shown: &str, path: &[String]) -> String {
    path.iter().fold(shown.to_owned(), |shown, name| format!("{shown}/{name}"))
}

/// A path without what follows its last dot.
fn stem(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

/// Stages the payload of `spec` and has the first boot do what it says.
pub(super) fn defer_package(
    spec: &PackageSpec,
    prepared: Option<&PreparedPackages>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let originals = prepared.map_or(&[][..], |prepared| &prepared.originals);
    let text = package_script(spec, prepared);
    defer(&waiting_name(spec.kind(), spec.name()), originals, &text, image)
}

/// Stages the payload of `spec` and has the first boot do what it says.
pub(super) fn defer_feature(
    spec: &FeatureSpec,
    prepared: Option<&PreparedPackages>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let originals = prepared.map_or(&[][..], |prepared| &prepared.originals);
    let text = feature_script(spec, prepared);
    defer(&waiting_name("feature", &spec.name), originals, &text, image)
}

/// Why the first boot could not do it either: forms that DISM does not take, names that a command file cannot hold.
pub(super) fn package_problems(
    spec: &PackageSpec,
    prepared: Option<&PreparedPackages>,
) -> Vec<Problem> {
    let (units, mut problems) = if spec.kind() == "capability" {
        (vec![Unit::shelf(prepared)], Vec::new())
    } else {
        units(prepared)
    };
    let commands = units.iter().map(|unit| DismCommand::of_package(spec, unit.path.as_deref()));
    problems.extend(unspeakable(spec.name(), commands));
    problems
}

/// As [`package_problems`].
pub(super) fn feature_problems(
    spec: &FeatureSpec,
    prepared: Option<&PreparedPackages>,
) -> Vec<Problem> {
    let unit = Unit::shelf(prepared);
    let command = DismCommand::of_feature(spec, unit.path.as_deref());
    unspeakable(&spec.name, std::iter::once(command)).into_iter().collect()
}

fn unspeakable(name: &str, mut commands: impl Iterator<Item = DismCommand>) -> Option<Problem> {
    commands.find(|command| !command.text().is_ascii()).map(|command| {
        let cause = format!(
            "a command file of the first boot would be read in the code page of that Windows, and cannot say `{}`",
            command.text()
        );
        Problem::error(name, cause, "give it a name with letters from A to Z")
    })
}

/// The command file for `spec`.
pub(super) fn package_script(spec: &PackageSpec, prepared: Option<&PreparedPackages>) -> String {
    let waiting = waiting_name(spec.kind(), spec.name());
    let units =
        if spec.kind() == "capability" { vec![Unit::shelf(prepared)] } else { units(prepared).0 };
    let calls = units.into_iter().map(|unit| {
        let command = DismCommand::of_package(spec, unit.path.as_deref());
        (unit, command)
    });
    script(&waiting, &spec.title(), &calls.collect::<Vec<_>>())
}

/// The command file for `spec`.
pub(super) fn feature_script(spec: &FeatureSpec, prepared: Option<&PreparedPackages>) -> String {
    let waiting = waiting_name("feature", &spec.name);
    let unit = Unit::shelf(prepared);
    let command = DismCommand::of_feature(spec, unit.path.as_deref());
    script(&waiting, &spec.title(), &[(unit, command)])
}

fn defer(
    waiting: &str,
    originals: &[PreparedOriginal],
    script: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    let folder = place(image, &[FOLDER, waiting]);
    // What an earlier build left there is not what is installed now.
    image.remove(&folder)?;
    let mut known = contents_below(&place(image, &[FOLDER]), image);
    for original in originals {
        let path = original
            .path
            .iter()
            .fold(folder.clone(), |path, name| path.join(Name::from(name.as_str())));
        let StoredBlob { size, sha1, .. } = original.content;
        // In a plan's rehearsal no digest is known: there each is put by itself.
        let content = (size > 0 && !sha1.is_zero()).then_some((size, sha1));
        match content.and_then(|content| known.get(&content)) {
            Some(there) => image.link(there, &path)?,
            None => {
                image.put_file(&path, original.content, &NewNode::default())?;
                known.extend(content.map(|content| (content, path)));
            }
        }
    }
    scripts::add_text(image, &format!("{waiting}.cmd"), script)
}

/// A place below the scripts of the first boot.
fn place(image: &Image, below: &[&str]) -> NtPath {
    let parts = ["Setup", "Scripts"].iter().chain(below).map(|part| Name::from(*part));
    NtPath::from_names(std::iter::once(image.system_root()).chain(parts).collect())
}

/// Files below a folder by size and digest.
fn contents_below(folder: &NtPath, image: &Image) -> BTreeMap<(u64, Sha1), NtPath> {
    let tree = image.tree();
    let Some(folder) = tree.lookup(folder) else { return BTreeMap::new() };
    let files = tree.walk_from(folder).filter(|id| {
        let inode = tree.inode(*id);
        !inode.is_directory() && !inode.is_reparse_point()
    });
    files
        .map(|id| (tree.inode(id).data(), id))
        .filter(|(data, _)| data.size > 0 && !data.sha1.is_zero())
        .map(|(data, id)| ((data.size, data.sha1), tree.path_of(id)))
        .collect()
}

/// What the payload's folder and the command file are called. Names that would be the same with what is safe in a command file get their digest.
fn waiting_name(kind: &str, name: &str) -> String {
    let safe = scripts::safe_name(name);
    match safe == name {
        true => format!("{kind}-{safe}"),
        false => format!("{kind}-{safe}-{}", &Blake3::of(name.as_bytes()).to_hex()[..8]),
    }
}

/// The last name of a host path. DISM finds some packages by their names, so only what cmd cannot read is replaced.
fn file_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let safe = |character: char| match character {
        '"' | '<' | '>' | '|' | ':' | '*' | '?' | '%' => '_',
        ' '..='~' => character,
        _ => '_',
    };
    name.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::filetime::FileTime,
        servicing::{
            WhenNotNative,
            cbs::{FeatureState, PackageAction, PackageSubject},
        },
    };

    fn original(path: &[&str]) -> PreparedOriginal {
        let text = path.join("/");
        let content = StoredBlob {
            blake3: Blake3::of(text.as_bytes()),
            sha1: Sha1::of(text.as_bytes()),
            size: text.len() as u64,
        };
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        PreparedOriginal { shown: join("source", &path), path, content }
    }

    fn folder(shown: &str) -> PreparedFolder {
        PreparedFolder {
            shown: shown.to_owned(),
            packages: Vec::new(),
            manifests: Vec::new(),
            payload: Vec::new(),
            not_native: Vec::new(),
        }
    }

    /// A source with these files, and the packages that it was found to hold.
    fn source(files: &[&[&str]], folders: &[&str]) -> PreparedPackages {
        let originals = files.iter().map(|path| original(path)).collect();
        let folders = folders.iter().map(|shown| folder(shown)).collect();
        PreparedPackages { folders, originals, skipped: Vec::new() }
    }

    fn present(subject: PackageSubject, source: &str) -> PackageSpec {
        let action = PackageAction::Present {
            source: Some(InputId(source.to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::FirstBoot,
        };
        PackageSpec { subject, action }
    }

    fn absent(subject: PackageSubject) -> PackageSpec {
        let action = PackageAction::Absent {
            identity: Some("Old.Package".to_owned()),
            when_not_native: WhenNotNative::FirstBoot,
        };
        PackageSpec { subject, action }
    }

    fn packages(originals: Vec<PreparedOriginal>) -> PreparedPackages {
        PreparedPackages { folders: Vec::new(), originals, skipped: Vec::new() }
    }

    fn paths(image: &Image) -> Vec<String> {
        let tree = image.tree();
        let mut paths: Vec<String> = tree.walk().map(|id| tree.path_of(id).to_string()).collect();
        paths.sort();
        paths
    }

    /// Every label that is jumped to is there once, and every label is jumped to.
    fn check_labels(text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        let labels: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(':')).collect();
        let mut jumps = Vec::new();
        for line in lines.iter().filter(|line| !line.starts_with("rem ")) {
            for mark in ["goto ", "call :"] {
                jumps.extend(
                    line.match_indices(mark)
                        .map(|(at, _)| line[at + mark.len()..].split([' ', ')']).next().unwrap()),
                );
            }
        }
        for jump in &jumps {
            let count = labels.iter().filter(|label| *label == jump).count();
            assert_eq!(count, 1, "{jump} in {text}");
        }
        for label in &labels {
            // What is only fallen into needs no label, but the end of a call has one.
            assert!(jumps.contains(label) || label.starts_with("judge"), "{label} in {text}");
            assert!(label.chars().all(char::is_alphanumeric), "{label} in {text}");
        }
        assert!(text.ends_with("\r\n") && text.lines().all(|line| !line.contains('\r')));
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn the_image_holds_what_the_first_boot_needs_and_nothing_else() {
        let mut image = Image::empty(FileTime(0));
        let before = paths(&image);
        let prepared = packages(vec![original(&["KB 1.msu"])]);
        let spec = present(PackageSubject::Package("kb1".to_owned()), "updates/KB 1.msu");
        defer_package(&spec, Some(&prepared), &mut image).unwrap();
        let prepared = packages(vec![original(&["a.cab"]), original(&["sub", "b.cab"])]);
        let spec = FeatureSpec {
            name: "Net Fx3".to_owned(),
            state: FeatureState::Enabled,
            all: true,
            source: Some(InputId("sxs".to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::FirstBoot,
        };
        defer_feature(&spec, Some(&prepared), &mut image).unwrap();
        let new: Vec<String> =
            paths(&image).into_iter().filter(|path| !before.contains(path)).collect();
        let digest = &Blake3::of(b"Net Fx3").to_hex()[..8];
        let root = r"\Windows\Setup\Scripts";
        let feature = format!("feature-Net_Fx3-{digest}");
        let mut expected = vec![
            r"\Windows".to_owned(),
            r"\Windows\Setup".to_owned(),
            root.to_owned(),
            format!(r"{root}\SetupComplete.cmd"),
            format!(r"{root}\transom"),
            format!(r"{root}\transom\01-package-kb1.cmd"),
            format!(r"{root}\transom\02-{feature}.cmd"),
            format!(r"{root}\{FOLDER}"),
            format!(r"{root}\{FOLDER}\package-kb1"),
            format!(r"{root}\{FOLDER}\package-kb1\KB 1.msu"),
            format!(r"{root}\{FOLDER}\{feature}"),
            format!(r"{root}\{FOLDER}\{feature}\a.cab"),
            format!(r"{root}\{FOLDER}\{feature}\sub"),
            format!(r"{root}\{FOLDER}\{feature}\sub\b.cab"),
        ];
        expected.retain(|path| !before.contains(path));
        expected.sort();
        assert_eq!(new, expected);
        let script = image
            .read(&NtPath::parse(&format!(r"{root}\transom\02-{feature}.cmd")).unwrap())
            .unwrap();
        let script = String::from_utf8(script).unwrap();
        let call = r#"%DISM% /Online /Enable-Feature /FeatureName:"Net Fx3" /All /Source:"%PAYLOAD%" /LimitAccess /NoRestart /Quiet"#;
        assert!(script.contains(call), "{script}");
        assert!(script.contains(&format!(r"transom-packages\{feature}")), "{script}");
        check_labels(&script);
        // Once more on its own output: nothing new.
        let all = paths(&image);
        defer_feature(&spec, Some(&prepared), &mut image).unwrap();
        assert_eq!(paths(&image), all);
    }

    #[test]
    fn each_form_of_source_is_given_as_dism_takes_it() {
        let package = || PackageSubject::Package("x".to_owned());
        let text = |spec: &PackageSpec, file: &str| {
            let packages = source(&[&[file]], &[&format!("source/{file}")]);
            assert!(package_problems(spec, Some(&packages)).is_empty());
            let text = package_script(spec, Some(&packages));
            check_labels(&text);
            text
        };
        let cab = text(&present(package(), "100%.cab"), "a.cab");
        assert!(cab.contains(r#"/Add-Package /PackagePath:"%PAYLOAD%\a.cab" /NoRestart"#), "{cab}");
        assert!(cab.contains("rem package x from 100_.cab") && !cab.contains("wusa"), "{cab}");
        // Servicing that is busy is tried again: as DISM gives the number, and as the HRESULT.
        for code in ["1618", "-2147023278", "-2146498554"] {
            assert!(cab.contains(&format!("\"{code}\" goto wait")), "{code}");
        }
        // What an earlier run installed is not asked for again.
        assert!(cab.contains("if not exist \"%PAYLOAD%\" exit /b 0\r\n"), "{cab}");
        let msu = text(&present(package(), "a.msu"), "a.MSU");
        assert!(msu.contains(r#"wusa.exe" "%PAYLOAD%\a.MSU" /quiet /norestart"#), "{msu}");
        let esd = text(&present(PackageSubject::Language("de-DE".to_owned()), "lp.esd"), "lp.esd");
        assert!(esd.contains(r#"/ImageFile:"%PAYLOAD%\lp.esd" /Index:1"#), "{esd}");
        assert!(esd.contains(r#"/PackagePath:"%EXPANDED%""#), "{esd}");
        // Applying it is tried again too, and leaves nothing behind.
        assert!(esd.find(":again1").unwrap() < esd.find("/Apply-Image").unwrap(), "{esd}");
        assert!(esd.contains("if not \"%CODE%\"==\"0\" goto judge1"), "{esd}");
        let capability = PackageSubject::Capability("A~~~~1.0".to_owned());
        let capability = text(&present(capability, "A~31bf~amd64~~.cab"), "A~31bf~amd64~~.cab");
        assert!(capability.contains(r#"/Source:"%PAYLOAD%" /LimitAccess"#), "{capability}");
    }

    #[test]
    fn a_removal_that_has_nothing_to_do_succeeds_and_a_list_that_failed_does_not() {
        let mut spec = absent(PackageSubject::Package("x".to_owned()));
        let each = package_script(&spec, None);
        check_labels(&each);
        let lines: Vec<&str> = each.lines().collect();
        let listing = lines.iter().position(|line| line.contains("/Get-Packages")).unwrap();
        assert!(lines[listing].ends_with(r#"/English /Get-Packages >"%LOG%.list""#), "{each}");
        assert_eq!(lines[listing + 1], r#"set "CODE=%ERRORLEVEL%""#);
        assert_eq!(lines[listing + 2], r#"if not "%CODE%"=="0" goto judge1"#);
        assert!(lines[listing + 3].contains("/Remove-Package /PackageName:%%p /NoRestart /Quiet"));
        assert!(lines[listing + 3].ends_with("& call :code"), "{each}");
        assert!(!each.contains("if not exist \"%PAYLOAD%\" exit"), "{each}");
        spec.action = PackageAction::Absent {
            identity: Some("A~b~amd64~~1.0.0.0".to_owned()),
            when_not_native: WhenNotNative::FirstBoot,
        };
        let one = package_script(&spec, None);
        check_labels(&one);
        assert!(one.contains(r#"if "%CODE%"=="-2146498555" exit /b 0"#), "{one}");
    }

    #[test]
    fn every_container_is_added_once_in_the_order_of_installation() {
        let spec = present(PackageSubject::Package("x".to_owned()), "source");
        let packages = source(
            &[&["b.cab"], &["lcu", "update.mum"], &["lcu", "c", "file"], &["a.msu"]],
            &["source/a.msu/one.cab", "source/a.msu/two.cab", "source/b.cab", "source/lcu"],
        );
        assert!(package_problems(&spec, Some(&packages)).is_empty());
        let text = package_script(&spec, Some(&packages));
        check_labels(&text);
        let calls: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("/PackagePath:\"")?.1.split('"').next())
            .collect();
        assert_eq!(calls, [r"%PAYLOAD%\a.msu", r"%PAYLOAD%\b.cab", r"%PAYLOAD%\lcu"]);
        let whole = source(&[&["update.mum"], &["c", "file"]], &["source"]);
        let text = package_script(&spec, Some(&whole));
        assert!(text.contains(r#"/PackagePath:"%PAYLOAD%" /NoRestart"#), "{text}");
    }

    #[test]
    fn what_dism_does_not_take_is_refused_by_name() {
        let spec = present(PackageSubject::Package("x".to_owned()), "source");
        let told = |file: &str, folder: &str| {
            let packages = source(&[&[file]], &[folder]);
            let problems = package_problems(&spec, Some(&packages));
            assert!(problems.iter().all(|problem| !problem.warning));
            problems.into_iter().map(|problem| problem.cause).collect::<Vec<_>>().join("; ")
        };
        assert!(told("a.cab", "source/a.cab/b.cab").contains("in another container"));
        assert!(told("a.bin", "source/a.bin").contains("ends of their names"));
        assert!(told("\u{e4}.cab", "source/\u{e4}.cab").contains("code page"));
        let feature = FeatureSpec {
            name: "F\u{fc}r".to_owned(),
            state: FeatureState::Disabled,
            all: false,
            source: None,
            allow_unsigned: false,
            when_not_native: WhenNotNative::FirstBoot,
        };
        assert_eq!(feature_problems(&feature, None).len(), 1);
    }

    #[test]
    fn of_a_source_only_what_the_step_takes_waits() {
        let here = |shown: &str, folder_of: &str| belongs(shown, &folder(folder_of));
        assert!(here("s/a.cab", "s/a.cab") && here("s/a.msu", "s/a.msu/b.cab"));
        assert!(here("s/x/update.mum", "s/x") && here("s.cab", "s.cab"));
        assert!(!here("s/b.cab", "s/a.cab") && !here("s/a", "s/a.cab") && !here("s/xy", "s/x"));
    }

    #[test]
    fn files_of_one_shelf_are_in_the_image_once() {
        let mut image = Image::empty(FileTime(0));
        let shelf = || source(&[&["a.cab"], &["metadata", "m.cab"]], &["source/a.cab"]);
        let capability = |name: &str| present(PackageSubject::Capability(name.to_owned()), "fod");
        let names = ["A~~~~1.0", "B~~~~1.0"];
        for name in names {
            defer_package(&capability(name), Some(&shelf()), &mut image).unwrap();
        }
        let folder = |name: &str| place(&image, &[FOLDER, &waiting_name("capability", name)]);
        for name in names {
            for below in [vec!["a.cab"], vec!["metadata", "m.cab"]] {
                let path = below.iter().fold(folder(name), |path, name| path.join((*name).into()));
                let id = image.tree().lookup(&path).unwrap();
                assert_eq!(image.tree().links(id), 2, "{path}");
            }
        }
        // When one has taken its folder away, the other's is whole.
        let (first, second) = (folder(names[0]), folder(names[1]));
        image.remove(&first).unwrap();
        let left = image.tree().lookup(&second.join("a.cab".into())).unwrap();
        assert_eq!(image.tree().links(left), 1);
        // The same build on its own output: nothing is linked to what goes.
        defer_package(&capability(names[1]), Some(&shelf()), &mut image).unwrap();
        assert!(image.tree().lookup(&second.join("a.cab".into())).is_some());
    }

    #[test]
    fn what_a_restart_has_to_come_before_is_told_from_a_failure() {
        let spec = present(PackageSubject::Package("kb".to_owned()), "kb.msu");
        let text = package_script(&spec, Some(&source(&[&["kb.msu"]], &["source/kb.msu/x.cab"])));
        check_labels(&text);
        let lines: Vec<&str> = text.lines().collect();
        let at = |wanted: &str| lines.iter().position(|line| *line == wanted).unwrap();
        // CBS_E_PENDING behind a restart is not tried again; without one it is.
        let pending = at(r#"if defined TRANSOM_RESTART if "%CODE%"=="-2146498554" goto restart"#);
        assert!(pending < at(r#"if "%CODE%"=="-2146498554" goto wait"#), "{text}");
        assert_eq!(lines[at(":restart") + 1], r#"set "CODE=350""#);
        // wusa.exe is not asked for what waits, and the payload stays.
        assert_eq!(lines[at(":giveup1") + 1], r#"if "%CODE%"=="350" goto failed"#);
        let failed = &lines[at(":failed")..];
        let end = failed.iter().position(|line| *line == "exit /b %CODE%").unwrap();
        assert!(!failed[..end].iter().any(|line| line.contains(r#"rd /s /q "%PAYLOAD%""#)));
    }

    #[test]
    fn names_stay_apart_and_safe() {
        assert_eq!(waiting_name("package", "kb5.1_x"), "package-kb5.1_x");
        assert_ne!(waiting_name("package", "a b"), waiting_name("package", "a&b"));
        // Windows drops a dot at the end of a folder's name.
        let dot = waiting_name("package", "kb.");
        assert!(dot.starts_with("package-kb_-") && !dot.ends_with('.'), "{dot}");
        assert_eq!(file_name("x/\u{c4} 100%~a.cab"), "_ 100_~a.cab");
    }

    #[test]
    fn steps_wait_behind_others_and_languages_are_known() {
        let mut image = Image::empty(FileTime(0));
        assert!(!is_late(WhenNotNative::FirstBoot, &image).unwrap());
        let language = present(PackageSubject::Language("de-DE".to_owned()), "lp.cab");
        defer_package(&language, Some(&source(&[&["lp.cab"]], &["source/lp.cab"])), &mut image)
            .unwrap();
        assert!(is_late(WhenNotNative::FirstBoot, &image).unwrap());
        assert!(!is_late(WhenNotNative::Refuse, &image).unwrap());
        assert!(waits_for_language("de-de", &image) && !waits_for_language("fr-FR", &image));
    }

    #[test]
    fn on_an_own_output_the_scripts_are_those_of_this_build_in_its_order() {
        let mut image = Image::empty(FileTime(0));
        let spec = |name: &str| present(PackageSubject::Package(name.to_owned()), "x");
        let cab = |file: &str| source(&[&[file]], &[&format!("source/{file}")]);
        defer_package(&spec("one"), Some(&cab("old.cab")), &mut image).unwrap();
        defer_package(&spec("two"), Some(&cab("b.cab")), &mut image).unwrap();
        // Another order, and another file.
        defer_package(&spec("two"), Some(&cab("b.cab")), &mut image).unwrap();
        defer_package(&spec("one"), Some(&cab("new.cab")), &mut image).unwrap();
        let all = paths(&image);
        let scripts: Vec<&String> = all.iter().filter(|path| path.contains(r"\transom\")).collect();
        assert_eq!(scripts.len(), 2, "{scripts:?}");
        assert!(scripts[0].ends_with("-package-two.cmd"), "{scripts:?}");
        assert!(scripts[1].ends_with("-package-one.cmd"), "{scripts:?}");
        let text = image.read(&NtPath::parse(scripts[1]).unwrap()).unwrap();
        assert!(String::from_utf8(text).unwrap().contains("new.cab"));
        assert!(!all.iter().any(|path| path.ends_with("old.cab")), "{all:?}");
    }
}
