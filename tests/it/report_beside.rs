//! The documents beside an output: when they are written, when not, and what they are never written over.

use std::{collections::BTreeMap, path::Path};

use fs_err as fs;
use serde_json::Value;
use transom::{codec::Codec, pipeline::report::beside};

use crate::{
    pipeline_place::Place,
    report_promises::report,
    support::{expect_success, transom},
};

/// Runs `transom build` in the place; gives exit code and everything it said.
fn build(place: &Place, arguments: &[&str]) -> (i32, String) {
    let mut command = transom(place.folder.path());
    command.args(["build", "recipe.toml", "--cache-dir", "store"]).args(arguments);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn built(place: &Place, arguments: &[&str]) -> String {
    let (code, said) = build(place, arguments);
    assert_eq!(code, 0, "{said}");
    said
}

/// The files of a folder with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
    });
    files.collect()
}

#[test]
fn documents_lie_beside_the_output_and_are_named() {
    let place = Place::new(Codec::Xpress);
    let output = place.path("out/golden.wim");
    let said = built(&place, &[]);
    assert!(said.contains("\nreport: ") && said.contains("golden.report."), "{said}");
    let names: Vec<String> = files(&place.path("out")).into_keys().collect();
    assert!(names.contains(&"golden.report.json".to_owned()), "{names:?}");
    assert!(
        names.iter().all(|name| name.starts_with("golden.")),
        "nothing else is left: {names:?}"
    );
    let json = expect_success(transom(place.folder.path()).args([
        "build",
        "recipe.toml",
        "--cache-dir",
        "store",
        "--json",
    ]));
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["up-to-date"], true);
    let documents: Vec<&str> =
        json["documents"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert_eq!(documents.len() + 1, names.len(), "{documents:?}");
    assert!(documents.iter().all(|path| place.path(path).is_file()));
    assert!(documents[0].ends_with("golden.report.json"));
    assert_eq!(report(&output).output.name, "golden.wim");
}

#[test]
fn without_a_report_none_is_written_and_an_old_one_is_called_so() {
    let place = Place::new(Codec::Xpress);
    let said = built(&place, &["--no-report"]);
    assert!(!said.contains("report"), "{said}");
    assert_eq!(files(&place.path("out")).len(), 1);
    built(&place, &[]);
    let before = files(&place.path("out"));
    let said = built(&place, &["--no-report"]);
    assert!(!said.contains("earlier"), "it tells of this output: {said}");
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 1");
    let said = built(&place, &["--no-report"]);
    assert!(said.contains("golden.report.json tells of an earlier build"), "{said}");
    let mut after = files(&place.path("out"));
    after.insert("golden.wim".to_owned(), before["golden.wim"].clone());
    assert!(after == before, "they are left alone");
}

#[test]
fn a_build_that_fails_leaves_the_report_of_the_output_that_stands() {
    let place = Place::new(Codec::Xpress);
    let broken = "from = \"files/gone.txt\"";
    place.edit("from = \"files/one.txt\"", broken);
    let (code, _) = build(&place, &[]);
    assert_eq!((code, place.path("out").exists()), (5, false));
    place.edit(broken, "from = \"files/one.txt\"");
    built(&place, &[]);
    let before = files(&place.path("out"));
    place.edit("RemoteRegistry = \"disabled\"", "NoSuchService = \"disabled\"");
    assert_ne!(build(&place, &[]).0, 0);
    assert!(files(&place.path("out")) == before);
}

#[test]
fn what_is_in_the_way_of_a_document_is_told_before_anything_is_built() {
    let place = Place::new(Codec::Xpress);
    fs::create_dir_all(place.path("out/golden.report.json/x")).unwrap();
    let (code, said) = build(&place, &[]);
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("golden.report.json cannot be written"), "{said}");
    assert!(said.contains("nothing was built") && said.contains("--no-report"), "{said}");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1, "no output");
    built(&place, &["--no-report"]);
    fs::remove_dir_all(place.path("out/golden.report.json")).unwrap();
    assert!(built(&place, &[]).contains("built"));
    assert!(place.path("out/golden.report.json").is_file());
}

#[test]
fn documents_that_somebody_changed_are_made_again_and_others_are_left_alone() {
    let place = Place::new(Codec::Xpress);
    built(&place, &[]);
    let names = ["report.json", "cdx.json", "spdx.json", "provenance.json", "report.html"];
    let path = |name: &str| place.path(&format!("out/golden.{name}"));
    let read = || names.map(|name| fs::read(path(name)).unwrap());
    let stamps = || names.map(|name| transom::store::Stamp::of(&fs::metadata(path(name)).unwrap()));
    let (first, before) = (read(), stamps());
    assert!(built(&place, &[]).contains("up to date"));
    assert_eq!(stamps(), before);
    for name in names {
        fs::write(path(name), "changed").unwrap();
        assert!(built(&place, &[]).contains("up to date"));
        assert!(read() == first, "{name} is as it was");
        fs::remove_file(path(name)).unwrap();
        assert!(built(&place, &[]).contains("up to date"));
        assert!(read() == first, "{name} is there again");
    }
    // What the recipe says of itself is told too.
    place.edit("[output]", "# A remark.\n[output]");
    assert!(built(&place, &[]).contains("up to date"));
    assert!(read() != first);
}

#[test]
fn a_name_too_long_for_a_document_is_told_before_anything_is_built() {
    let place = Place::new(Codec::Xpress);
    // The output's own temporary file has a name of 255 bytes, the provenance would have a longer one. Where there is no folder yet, no name is too long.
    fs::create_dir_all(place.path("out")).unwrap();
    place.edit("out/golden.wim", &format!("out/{}.wim", "n".repeat(242)));
    let (code, said) = build(&place, &[]);
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("nothing was built"), "{said}");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
    built(&place, &["--no-report"]);
}

#[test]
fn nothing_that_is_read_is_written_over() {
    let place = Place::new(Codec::Xpress);
    place.write("out/golden.run.json", b"an input");
    place.edit("from = \"files/one.txt\"", "from = \"out/golden.run.json\"");
    let (code, said) = build(&place, &[]);
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("is the input out/golden.run.json"), "{said}");
    assert_eq!(place.read("out/golden.run.json"), b"an input");
    built(&place, &["--no-report"]);
    assert_eq!(place.read("out/golden.run.json"), b"an input");

    let place = Place::new(Codec::Xpress);
    fs::create_dir_all(place.path("out")).unwrap();
    fs::rename(place.path("base.wim"), place.path("out/golden.report.html")).unwrap();
    place.edit("wim = \"base.wim\"", "wim = \"out/golden.report.html\"");
    let (code, said) = build(&place, &[]);
    assert!(code == 9 && said.contains("is the base image"), "{said}");
}

#[test]
fn two_variants_whose_reports_would_be_one_are_refused() {
    let place = Place::new(Codec::Xpress);
    let text = fs::read_to_string(place.path("recipe.toml")).unwrap();
    let text = text.replace("out/golden.wim", "out/golden.${matrix.name}");
    place.write("recipe.toml", format!("{text}\n[matrix.wim]\n[matrix.esd]\n").as_bytes());
    let (code, said) = build(&place, &[]);
    assert_eq!(code, 9, "{said}");
    assert!(said.contains("is that of the variant `"), "{said}");
    assert!(!place.path("out").exists(), "it is refused before anything is built");
    built(&place, &["--no-report"]);
    assert_eq!(files(&place.path("out")).len(), 2);
    place.edit("out/golden.${matrix.name}", "out/golden-${matrix.name}.wim");
    built(&place, &[]);
    for variant in ["wim", "esd"] {
        let output = place.path(&format!("out/golden-{variant}.wim"));
        assert_eq!(report(&output).recipe.variant.as_deref(), Some(variant));
        assert!(beside::path_of(&output, ".run.json").is_file());
    }
}
