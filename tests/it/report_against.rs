//! `transom verify --against`: whether an image is the one that a report describes.

use fs_err as fs;
use serde_json::Value;
use transom::{cli::demo, codec::Codec};

use crate::{
    pipeline_place::Place,
    report_bills::{build, keys},
    support::{expect_success, oracle, temporary_folder, transom},
};

const REPORT: &str = "out/golden.report.json";

/// How it ended, and what it said on standard output and error.
fn verify(place: &Place, image: &str, report: &str, more: &[&str]) -> (i32, String, String) {
    let mut command = transom(place.folder.path());
    command.args(["verify", image, "--against", report]).args(more);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn verdict(place: &Place, image: &str, more: &[&str]) -> (i32, Value) {
    let (code, out, error) = verify(place, image, REPORT, &[more, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}")))
}

fn transom_does(place: &Place, arguments: &[&str]) {
    expect_success(transom(place.folder.path()).args(arguments));
}

/// Changes a file of the place as a text.
fn change(place: &Place, file: &str, from: &str, to: &str) {
    let text = String::from_utf8(place.read(file)).unwrap();
    assert!(text.contains(from), "{from} is not in {file}");
    place.write(file, text.replacen(from, to, 1).as_bytes());
}

#[test]
fn the_file_itself_is_told_from_a_copy_of_its_images_and_from_others() {
    let place = Place::new(Codec::Xpress);
    build(&place, &[]);
    let (code, said, _) = verify(&place, "out/golden.wim", REPORT, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("is the file that out/golden.report.json describes"), "{said}");
    assert!(said.contains("a report proves only as much as the place it comes from"), "{said}");
    fs::copy(place.path("out/golden.wim"), place.path("renamed.wim")).unwrap();
    assert_eq!(verdict(&place, "renamed.wim", &[]).1["verdict"], "same-file");

    transom_does(
        &place,
        &["wim", "export", "out/golden.wim", "lzms.wim", "--all", "--compression", "lzms"],
    );
    let (code, json) = verdict(&place, "lzms.wim", &[]);
    assert_eq!((code, json["verdict"].as_str()), (8, Some("same-images")), "{json:#}");
    let (code, json) = verdict(&place, "lzms.wim", &["--content"]);
    assert_eq!((code, json["verdict"].as_str()), (0, Some("same-images")));
    let (_, said, _) = verify(&place, "lzms.wim", REPORT, &["--content"]);
    assert!(said.contains("accepted because of --content"), "{said}");

    let (code, json) = verdict(&place, "base.wim", &["--content"]);
    assert_eq!((code, json["verdict"].as_str()), (8, Some("different")));
    let (_, said, _) = verify(&place, "base.wim", REPORT, &[]);
    assert!(said.contains("RemoteRegistry: disabled -> "), "{said}");
    // One file more, which no area tells of.
    fs::copy(place.path("out/golden.wim"), place.path("more.wim")).unwrap();
    transom_does(
        &place,
        &["wim", "update", "more.wim", "--index", "1", "--command", "add files/one.txt /a.txt"],
    );
    let (code, json) = verdict(&place, "more.wim", &["--content"]);
    assert_eq!((code, json["images"][0]["same-metadata"].as_bool()), (8, Some(false)), "{json:#}");
}

#[test]
fn damaged_and_missing_files_are_named() {
    let place = Place::new(Codec::Xpress);
    build(&place, &[]);
    let whole = place.read("out/golden.wim");
    place.write("short.wim", &whole[..whole.len() - 100]);
    let (code, said, _) = verify(&place, "short.wim", REPORT, &[]);
    assert_eq!(code, 8, "{said}");
    let sizes = format!("{} bytes where the report tells of {}", whole.len() - 100, whole.len());
    assert!(said.contains(&sizes), "{said}");
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    place.write("flipped.wim", &flipped);
    let (code, json) = verdict(&place, "flipped.wim", &["--content"]);
    assert_eq!((code, json["verdict"].as_str()), (8, Some("different")), "{json:#}");
    assert!(json["problems"][0].as_str().is_some_and(|said| !said.is_empty()), "{json:#}");
    let (code, _, said) = verify(&place, "nowhere.wim", REPORT, &[]);
    assert_eq!(code, 5, "{said}");
}

#[test]
fn every_part_of_a_split_set_counts() {
    let place = Place::new(Codec::Xpress);
    place.edit(
        "path = \"out/golden.wim\"",
        "path = \"out/golden.swm\"\nsplit-mib = 1\ncompression = \"none\"",
    );
    place.write(
        "files/tree/big.bin",
        &(0..3_000_000_u32).flat_map(u32::to_le_bytes).take(1_500_000).collect::<Vec<u8>>(),
    );
    build(&place, &[]);
    let (code, json) = verdict(&place, "out/golden.swm", &[]);
    assert_eq!((code, json["verdict"].as_str()), (0, Some("same-file")), "{json:#}");
    assert!(json["files"].as_array().unwrap().len() > 1);
    let mut second = place.read("out/golden2.swm");
    second[1000] ^= 1;
    place.write("out/golden2.swm", &second);
    let (code, said, _) = verify(&place, "out/golden.swm", REPORT, &["--content"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("golden2.swm: SHA-256"), "{said}");
    fs::remove_file(place.path("out/golden2.swm")).unwrap();
    let (code, said, _) = verify(&place, "out/golden.swm", REPORT, &[]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("golden2.swm: missing"), "{said}");
}

#[test]
fn a_signature_vouches_for_the_report_and_nothing_else_does() {
    let Some(openssl) = oracle("openssl") else { return };
    let place = Place::new(Codec::Xpress);
    let key = keys(&openssl, &place, "sign");
    keys(&openssl, &place, "other");
    build(&place, &[]);
    let (code, _, said) = verify(&place, "out/golden.wim", REPORT, &["--key", "sign.pub"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("there is no signed provenance"), "{said}");
    build(&place, &["--sign-key", "sign.key"]);
    let (code, json) = verdict(&place, "out/golden.wim", &["--key", "sign.pub"]);
    assert_eq!((code, json["signature"].as_str()), (0, Some("valid")));
    assert_eq!(json["key"], key.id());
    assert_eq!(verdict(&place, "out/golden.wim", &[]).1["signature"], "not-checked");
    let (code, _, said) = verify(&place, "out/golden.wim", REPORT, &["--key", "other.pub"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("none of its signatures is of the key"), "{said}");
    let (code, _, said) = verify(&place, "out/golden.wim", REPORT, &["--key", "sign.key"]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("this is a private key"), "{said}");
    // A report that was changed to fit another file.
    change(&place, REPORT, "\"tool-version\": \"", "\"tool-version\": \"9");
    for more in [&[][..], &["--key", "sign.pub"]] {
        let (code, _, said) = verify(&place, "out/golden.wim", REPORT, more);
        assert_eq!(code, 8, "{said}");
        assert!(said.contains("the statement does not name this report"), "{said}");
    }
    fs::remove_file(place.path("out/golden.provenance.dsse.json")).unwrap();
    let (code, _, said) = verify(&place, "out/golden.wim", REPORT, &[]);
    assert_eq!(code, 8, "the statement that is not signed does not fit either: {said}");
}

#[test]
fn with_secrets_nothing_is_proven_and_that_is_said() {
    let place = Place::new(Codec::Xpress);
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nToken = { env = \"TOKEN\" }");
    let mut command = transom(place.folder.path());
    expect_success(command.args(["build", "recipe.toml"]).env("TOKEN", "hunter2-hunter2"));
    assert!(!place.path("out/golden.provenance.json").exists());
    for bill in ["out/golden.cdx.json", "out/golden.spdx.json"] {
        let bill = String::from_utf8(place.read(bill)).unwrap();
        assert!(bill.contains("its digest is not told") && !bill.contains("hunter2"), "{bill}");
    }
    let (code, said, _) = verify(&place, "out/golden.wim", REPORT, &[]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("cannot be proven"), "{said}");
    assert!(said.contains("there is no digest to compare (secrets)"), "{said}");
    assert_eq!(verdict(&place, "out/golden.wim", &["--content"]).0, 0);
    let (code, json) = verdict(&place, "base.wim", &["--content"]);
    assert_eq!((code, json["verdict"].as_str()), (8, Some("different")));
    let (code, _, said) = verify(&place, "out/golden.wim", REPORT, &["--key", "none.pub"]);
    assert_eq!(code, 5, "{said}");
}

#[test]
fn an_added_image_another_boot_image_and_another_name_are_not_the_same_images() {
    let place = Place::new(Codec::Xpress);
    build(&place, &[]);
    let refused = |file: &str, message: &str| {
        let (code, said, _) = verify(&place, file, REPORT, &["--content"]);
        assert_eq!(code, 8, "{said}");
        assert!(said.contains(message), "{message}: {said}");
    };
    let export = |from: &str, to: &str, more: &[&str]| {
        transom_does(&place, &[&["wim", "export", from, to], more].concat());
    };
    export("out/golden.wim", "added.wim", &["--all"]);
    export("base.wim", "added.wim", &["--index", "1", "--name", "Other"]);
    refused("added.wim", "it has 2 images, the report tells of 1");
    refused("added.wim", "image 2 (\"Other\"): the report does not tell of it");
    let report = String::from_utf8(place.read(REPORT)).unwrap();
    let boots = report.replace("\"boot-index\": 1", "\"boot-index\": 0");
    assert_ne!(boots, report);
    place.write("a.report.json", boots.as_bytes());
    export("out/golden.wim", "boot.wim", &["--all", "--boot", "--compression", "lzx"]);
    let (code, said, _) = verify(&place, "boot.wim", "a.report.json", &["--content"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("image 1 is marked to be started, in the report no image"), "{said}");
    export("out/golden.wim", "named.wim", &["--index", "1", "--name", "Other"]);
    refused("named.wim", "image 1 has \"Other\", in the report \"golden\"");
}

#[test]
fn an_image_that_was_not_built_is_held_against_the_report_too() {
    let place = Place::new(Codec::Xpress);
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\nimages = \"all\"");
    build(&place, &[]);
    let cdx: Value = serde_json::from_slice(&place.read("out/golden.cdx.json")).unwrap();
    let incomplete = cdx["compositions"][0]["assemblies"].to_string();
    assert!(incomplete.contains("\"output\""), "{incomplete}");
    transom_does(
        &place,
        &["wim", "export", "out/golden.wim", "all.wim", "--all", "--compression", "lzx"],
    );
    assert_eq!(verdict(&place, "all.wim", &["--content"]).1["verdict"], "same-images");
    let report: Value = serde_json::from_slice(&place.read(REPORT)).unwrap();
    let other = report["output"]["others"][0]["index"].to_string();
    transom_does(
        &place,
        &["wim", "update", "all.wim", "--index", &other, "--command", "add files/one.txt /a.txt"],
    );
    let (code, said, _) = verify(&place, "all.wim", REPORT, &["--content"]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("not the one that was taken over from the base"), "{said}");
}

/// What the program is given as secrets by the tests below.
const SECRET: &str = "Geheim-4711-Wort";

#[test]
fn the_very_output_of_a_recipe_with_secrets_is_accepted_and_their_values_are_never_shown() {
    let shown = "[registry.'HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion']\nProductName = { env = \"TOKEN\" }\n[first-boot]";
    for recipe in [shown] {
        let place = Place::new(Codec::Xpress);
        place.edit("[first-boot]", recipe);
        let mut command = transom(place.folder.path());
        expect_success(command.args(["build", "recipe.toml"]).env("TOKEN", SECRET));
        for file in
            [REPORT, "out/golden.report.html", "out/golden.cdx.json", "out/golden.spdx.json"]
        {
            let text = String::from_utf8(place.read(file)).unwrap();
            assert!(!text.contains(SECRET), "{file}");
            assert!(!text.contains('\u{fdd0}') && !text.contains("\\ufdd0"), "{file}: {recipe}");
        }
        if recipe == shown {
            let report = String::from_utf8(place.read(REPORT)).unwrap();
            assert!(report.contains("\"product-name\": \"{secret TOKEN}\""), "{report}");
        }
        let (code, json) = verdict(&place, "out/golden.wim", &["--content"]);
        assert_eq!((code, json["verdict"].as_str()), (0, Some("alike")), "{recipe}: {json:#}");
        let (code, said, error) = verify(&place, "out/golden.wim", REPORT, &["--content"]);
        assert_eq!(code, 0, "{said}{error}");
        assert!(!said.contains(SECRET) && !said.contains('\u{fdd0}'), "{said}");
        let (code, said, _) = verify(&place, "base.wim", REPORT, &["--content"]);
        assert_eq!(code, 8, "{said}");
        assert!(said.contains("RemoteRegistry: disabled -> "), "{said}");
    }
}

#[test]
fn the_very_output_of_a_demo_with_a_secret_password_is_accepted() {
    let folder = temporary_folder();
    demo::write_workspace(folder.path()).unwrap();
    let recipe = fs::read_to_string(folder.path().join("demo.toml")).unwrap();
    let entry = "administrator-password = { env = \"TOKEN\" }";
    let recipe = match recipe.contains("[unattend]") {
        true => recipe.replace("[unattend]", &format!("[unattend]\n{entry}")),
        false => format!("{recipe}\n[unattend]\n{entry}\n"),
    };
    fs::write(folder.path().join("demo.toml"), recipe).unwrap();
    expect_success(transom(folder.path()).args(["build", "demo.toml"]).env("TOKEN", SECRET));
    let report = "out/demo-client.report.json";
    let arguments = ["verify", "out/demo-client.wim", "--content", "--against", report];
    let said = expect_success(transom(folder.path()).args(arguments)).stdout;
    assert!(!String::from_utf8_lossy(&said).contains(SECRET));
    let report = fs::read_to_string(folder.path().join(report)).unwrap();
    assert!(!report.contains(SECRET) && !report.contains('\u{fdd0}'));
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let place = Place::new(Codec::Xpress);
    build(&place, &[]);
    let report = String::from_utf8(place.read(REPORT)).unwrap();
    let deep = format!("{{\"format\":1,\"x\":{}", "[".repeat(1 << 20));
    let long = " ".repeat((64 << 20) + 1);
    let cases = [
        ("", "EOF while parsing"),
        ("{}", "missing field"),
        ("[1]", "not a build report"),
        (&report[..report.len() / 2], "EOF while parsing"),
        (&report.replacen("\"format\": 1", "\"format\": 99", 1), "a build report of version 99"),
        (&deep, "EOF while parsing a list"),
        (&long, "it is longer than"),
    ];
    for (text, message) in cases {
        place.write("a.report.json", text.as_bytes());
        let (code, _, said) = verify(&place, "out/golden.wim", "a.report.json", &[]);
        assert_eq!(code, 5, "{said}");
        assert!(said.contains(message), "{message}: {said}");
    }
    let (code, _, said) = verify(&place, "out/golden.wim", "none.report.json", &[]);
    assert_eq!(code, 5, "{said}");
    // Names in a report lead nowhere and steer no terminal.
    let hostile = report.replacen("\"golden.wim\"", "\"../../etc/passwd\"", 2);
    let hostile = hostile.replace("\"ServerCore\"", "\"Server\\u001b[31mCore\"");
    place.write("a.report.json", hostile.as_bytes());
    let (_, said, _) = verify(&place, "base.wim", "a.report.json", &[]);
    assert!(!said.contains('\u{1b}') && !said.contains("passwd"), "{said}");
}
