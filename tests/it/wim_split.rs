//! Split sets and delta WIMs: several files that make up one WIM.

use std::path::Path;

use fs_err as fs;
use transom::{
    base::limits::Limits,
    format::wim::{VolumeKind, Wim, WimError, part_path},
};

use crate::{
    support::{self, Tool},
    wim_solid::{check, tree},
};

fn said(path: &Path) -> String {
    match Wim::open_path(path, &Limits::default()) {
        Err(error @ WimError::Volumes { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn run(wimlib: &Tool, verb: &str, paths: &[&Path], options: &[&str]) {
    let mut command = wimlib.command();
    command.arg(verb).args(paths).args(options);
    support::expect_success(&mut command);
}

#[test]
fn a_split_set_is_one_wim() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = tree(folder.path(), 1);
    let whole = folder.path().join("whole.wim");
    run(&wimlib, "capture", &[&tree, &whole], &["--no-acls", "--check", "--boot"]);
    let set = folder.path().join("set");
    fs::create_dir(&set).unwrap();
    let first = set.join("install.swm");
    run(&wimlib, "split", &[&whole, &first], &["0.2", "--check"]);
    let wim = check(&first, &[], &[&tree]);
    let parts = wim.volumes().len();
    assert!(parts > 2, "{parts}");
    assert!(wim.volumes().iter().all(|volume| volume.kind() == VolumeKind::Part));
    for blob in wim.blobs() {
        assert_eq!(wim.volumes()[usize::from(blob.volume)].header().part_number, blob.part);
    }
    assert!(wim.verify(&|_| ()).unwrap().has_integrity_table);

    let text = said(&part_path(&first, 2));
    assert!(text.contains("is part 2 of") && text.contains("open part 1, which is"), "{text}");
    let elsewhere = folder.path().join("elsewhere.swm");
    fs::rename(part_path(&first, 2), &elsewhere).unwrap();
    let text = said(&first);
    assert!(text.ends_with("beside it: install2.swm is missing"), "{text}");
    check(&first, std::slice::from_ref(&elsewhere), &[&tree]);

    // A bad byte in the last part is found by its hash and by that part's integrity table.
    fs::rename(&elsewhere, part_path(&first, 2)).unwrap();
    let last = part_path(&first, u16::try_from(parts).unwrap());
    let mut bytes = fs::read(&last).unwrap();
    bytes[300] ^= 1;
    fs::write(&last, bytes).unwrap();
    let wim = Wim::open_path(&first, &Limits::default()).unwrap();
    let problems = wim.verify(&|_| ()).unwrap().problems;
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let piece = format!("of the integrity table of part {parts}");
    assert!(texts.iter().any(|text| text.contains(&piece)), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("in image 1")), "{texts:?}");
}

#[test]
fn a_split_set_of_others_is_read() {
    let Some(folder) = support::shared_data("wim/managedwimlib") else { return };
    let wim = Wim::open_path(&folder.join("Split.swm"), &Limits::default()).unwrap();
    assert_eq!(wim.volumes().len(), 2);
    let report = wim.verify(&|_| ()).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
    let image = wim.metadata(1).unwrap();
    let missing = image.references().filter(|(_, sha1)| wim.blob(sha1).is_none()).count();
    assert_eq!((image.dentries.len(), missing), (3, 0));
    let text = said(&folder.join("Split2.swm"));
    assert!(text.contains("part 2 of 2") && text.contains("Split.swm"), "{text}");
}

#[test]
fn a_delta_wim_takes_from_its_base_what_it_does_not_have() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = tree(folder.path(), 1);
    let base = folder.path().join("base.esd");
    let solid = ["--no-acls", "--solid", "--solid-compress=LZX", "--solid-chunk-size=65536"];
    run(&wimlib, "capture", &[&tree, &base], &solid);
    fs::write(tree.join("new"), b"not in the base").unwrap();
    fs::remove_file(tree.join("a/long.txt")).unwrap();
    let delta = folder.path().join("delta.wim");
    let from = format!("--delta-from={}", base.display());
    run(&wimlib, "capture", &[&tree, &delta], &["--no-acls", &from]);

    let alone = Wim::open_path(&delta, &Limits::default()).unwrap();
    let problems = alone.verify(&|_| ()).unwrap().problems;
    assert!(problems.len() > 10);
    assert!(problems.iter().all(|problem| matches!(problem, WimError::MissingBlob { .. })));

    let wim = check(&delta, std::slice::from_ref(&base), &[&tree]);
    assert_eq!(wim.volumes().len(), 2);
    assert_eq!(wim.volumes()[1].kind(), VolumeKind::Reference);
    assert_eq!(wim.blobs().iter().filter(|blob| blob.volume == 0).count(), 1);
    // What the base has and no image here refers to is not this WIM's business.
    let checked = wim.verify(&|_| ()).unwrap().blobs;
    assert_eq!(checked, wim.blobs().len() as u64 - 1);

    let text = Wim::open_with(&delta, &[tree.join("new")], &Limits::default()).unwrap_err();
    assert!(text.to_string().contains("new: not a WIM file"), "{text}");
}
