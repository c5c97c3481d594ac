//! What is told of a build: the same bytes every time, never a secret, and what the schemas say.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde_json::Value;
use transom::{
    cli::demo,
    pipeline::report::{
        Report, Run, beside,
        model::{self, AddedFile},
    },
};

use crate::{
    pipeline_secrets,
    support::{expect_success, oracle, temporary_folder, transom},
    winre_nested,
};

/// What tells nothing of one build, its time and its host.
const SAME: [&str; 4] = [".report.json", ".cdx.json", ".spdx.json", ".provenance.json"];

/// The documents about `output` that are the same every time, by what follows its name.
fn same(output: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let read = |suffix| Some((suffix, fs::read(beside::path_of(output, suffix)).ok()?));
    let documents: BTreeMap<_, _> = SAME.into_iter().filter_map(read).collect();
    assert!(documents.contains_key(".report.json"), "{} has no report", output.display());
    documents
}

pub(crate) fn report(output: &Path) -> Report {
    let bytes = fs::read(beside::path_of(output, ".report.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub(crate) fn run_of(output: &Path) -> Run {
    let bytes = fs::read(beside::path_of(output, ".run.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[track_caller]
fn assert_same(one: &BTreeMap<&'static str, Vec<u8>>, other: &BTreeMap<&'static str, Vec<u8>>) {
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (suffix, bytes) in one {
        if *bytes == other[suffix] {
            continue;
        }
        let [one, other] = [bytes, &other[suffix]].map(|bytes| String::from_utf8_lossy(bytes));
        let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
        panic!("{suffix} differs: {differing:#?}");
    }
}

/// Builds `recipe` in `folder`.
fn build(folder: &Path, recipe: &str, cache: &Path, arguments: &[&str]) -> String {
    let mut command = transom(folder);
    command.args(["build", recipe, "--cache-dir"]).arg(cache).args(arguments);
    let output = expect_success(command.env("TOKEN", pipeline_secrets::SECRET));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// Deletes the records of a kind.
fn forget(cache: &Path, kind: &str) {
    fs::remove_dir_all(cache.join("records").join(kind)).unwrap();
}

/// A workspace of the demo in a folder.
fn workspace() -> (tempfile::TempDir, PathBuf) {
    let folder = temporary_folder();
    demo::write_workspace(folder.path()).unwrap();
    let output = folder.path().join("out/demo-client.wim");
    (folder, output)
}

#[test]
fn the_same_bytes_whatever_the_cache_the_threads_and_the_place() {
    let (one, output) = workspace();
    let home = one.path();
    let cache = home.join("cache");
    let telling = build(home, "demo.toml", &cache, &["--jobs", "1"]);
    assert!(telling.contains("0 cached"), "{telling}");
    let cold = same(&output);
    let stamp =
        || fs::metadata(beside::path_of(&output, ".report.json")).unwrap().modified().unwrap();
    let written = stamp();

    let (two, other) = workspace();
    let elsewhere = temporary_folder();
    let recipe = two.path().join("demo.toml").display().to_string();
    build(elsewhere.path(), &recipe, &elsewhere.path().join("c"), &["--jobs", "4", "-q"]);
    assert_same(&cold, &same(&other));

    let telling = build(home, "./demo.toml", &cache, &[]);
    assert!(telling.contains("up to date"), "{telling}");
    assert_same(&cold, &same(&output));
    assert_eq!(stamp(), written, "a file with the same bytes is not touched");

    for suffix in SAME {
        fs::remove_file(beside::path_of(&output, suffix)).ok();
    }
    build(home, "demo.toml", &cache, &[]);
    assert_same(&cold, &same(&output));

    fs::remove_file(&output).unwrap();
    let telling = build(home, "demo.toml", &cache, &[]);
    assert!(telling.contains("19 cached"), "{telling}");
    assert_same(&cold, &same(&output));

    let text = fs::read_to_string(home.join("demo.toml")).unwrap();
    let changed = text.replace("AllowTelemetry = 0", "AllowTelemetry = 1");
    fs::write(home.join("demo.toml"), &changed).unwrap();
    build(home, "demo.toml", &cache, &[]);
    assert_ne!(cold[".report.json"], same(&output)[".report.json"]);
    fs::write(home.join("demo.toml"), &text).unwrap();
    build(home, "demo.toml", &cache, &[]);
    assert_same(&cold, &same(&output));

    build(home, "demo.toml", &cache, &["--no-cache"]);
    assert_same(&cold, &same(&output));
}

#[test]
fn what_the_cache_lost_is_found_again_and_the_report_is_the_same() {
    let (folder, output) = workspace();
    let cache = folder.path().join("cache");
    build(folder.path(), "demo.toml", &cache, &[]);
    let first = same(&output);
    for kind in ["inventory", "changeset", "step", "stamps", "output"] {
        forget(&cache, kind);
        build(folder.path(), "demo.toml", &cache, &[]);
        assert_same(&first, &same(&output));
    }
    forget(&cache, "inventory");
    let telling = build(folder.path(), "demo.toml", &cache, &[]);
    assert!(telling.contains("19 steps, 19 cached"), "a replay notes it: {telling}");
    // Not asked for, it is not missed.
    forget(&cache, "inventory");
    let telling = build(folder.path(), "demo.toml", &cache, &["--no-report"]);
    assert!(telling.contains("up to date") && !telling.contains("lost"), "{telling}");
}

#[test]
fn several_images_a_recovery_image_a_split_set_and_a_recipe_of_several_files() {
    let place = winre_nested::place_of_two();
    let home = place.folder.path();
    let text = fs::read_to_string(place.path("recipe.toml")).unwrap();
    let text =
        text.replace("golden.wim", "golden.swm").replace("[output]", "[output]\nsplit-mib = 1");
    place.write("common/base.toml", b"[registry.'HKLM\\SOFTWARE\\Common']\nA = \"b\"\n");
    place.write("recipe.toml", format!("extends = [\"common/base.toml\"]\n{text}").as_bytes());
    let output = place.path("out/golden.swm");
    let cache = place.path("cache");
    let set = ["--set", "services.Spooler=manual"];
    build(home, "recipe.toml", &cache, &set);
    let first = same(&output);
    let told = report(&output);
    let files: Vec<&str> = told.recipe.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        (files, told.recipe.set.as_slice()),
        (vec!["common/base.toml", "recipe.toml"], &["services.Spooler=manual".to_owned()][..])
    );
    assert_eq!(told.output.name, "golden.swm");
    assert!(told.output.files.len() > 1, "{:#?}", told.output.files);
    assert_eq!(told.output.files[1].name, "golden2.swm");
    assert!(told.output.files.iter().all(|file| file.sha256.is_some()));
    let indexes: Vec<(u32, u32)> =
        told.images.iter().map(|image| (image.base_index, image.index)).collect();
    assert_eq!(indexes, [(1, 1), (2, 2)]);
    for image in &told.images {
        assert!(image.metadata_sha1.is_some());
        let step = image.steps.iter().find(|step| !step.nested.is_empty()).unwrap();
        let names: Vec<&str> = step.nested.iter().map(|step| step.name.as_str()).collect();
        assert!(names.contains(&"services.RemoteRegistry") && names.len() == 4, "{names:?}");
        assert!(step.nested.iter().any(|step| step.changes.bytes > 70_000));
        let inside = |file: &&AddedFile| file.path.to_lowercase().contains(r"\winre.wim\");
        let inside: Vec<_> = image.files.iter().filter(inside).collect();
        assert!(!inside.is_empty(), "files put inside the recovery image: {:#?}", image.files);
        assert!(inside.iter().all(|file| file.sha1.is_some()), "{inside:#?}");
        let common = image.steps.iter().find(|step| step.name.contains("Common")).unwrap();
        assert_eq!(common.origin, "common/base.toml:1");
        assert_eq!(common.changes.first.last().unwrap().place, r"HKLM\SOFTWARE\Common : A");
        assert_eq!(common.changes.first.last().unwrap().now.as_deref(), Some("REG_SZ \"b\""));
        let spooler = image.steps.iter().find(|step| step.name == "services.Spooler").unwrap();
        assert_eq!(spooler.origin, "--set 1");
    }
    // Named by another path, from another folder, with what the step of the recovery image did gone from the cache.
    build(&place.path("common"), "../recipe.toml", &cache, &set);
    assert_same(&first, &same(&output));
    forget(&cache, "step");
    build(home, "recipe.toml", &cache, &set);
    assert_same(&first, &same(&output));
    validate(&output);
}

#[test]
fn a_secret_is_in_no_document_and_nothing_lets_a_guess_be_tried() {
    let place = pipeline_secrets::place();
    let home = place.folder.path();
    let cache = place.path("cache");
    let output = place.path("out/golden.wim");
    let telling = build(home, "recipe.toml", &cache, &["--json"]);
    let first = same(&output);
    let mut all = vec![("what was said".to_owned(), telling.into_bytes())];
    for path in beside::paths_of(&output).into_iter().filter(|path| path.is_file()) {
        all.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    assert!(all.len() > 2);
    pipeline_secrets::assert_nowhere(&all, pipeline_secrets::SECRET);
    let told = report(&output);
    assert_eq!(told.secrets, ["TOKEN"]);
    assert!(
        told.output.guid.is_none() && told.output.files.iter().all(|file| file.sha256.is_none())
    );
    assert!(told.images.iter().all(|image| image.metadata_sha1.is_none()));
    assert!(!first.contains_key(".provenance.json"));
    // The digests that cannot be told are in none of the documents.
    let bytes = fs::read(&output).unwrap();
    let digest = transom::base::digest::to_hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    for (name, bytes) in &all {
        assert!(!String::from_utf8_lossy(bytes).contains(&digest), "{name}");
    }
    let step = told.images[0].steps.iter().find(|step| step.name.contains("Telemetry")).unwrap();
    let change = step.changes.first.iter().find(|change| change.kind == "set-secret").unwrap();
    assert!(change.now.as_deref().unwrap().contains("TOKEN"));
    // Built again, which such an output always is, and with another value: the same.
    build(home, "recipe.toml", &cache, &[]);
    assert_same(&first, &same(&output));
    validate(&output);
}

#[test]
fn a_doubt_of_the_policy_is_a_warning_of_the_report_however_the_output_came_about() {
    let (folder, output) = workspace();
    let (home, cache) = (folder.path(), folder.path().join("cache"));
    let recipe = fs::read_to_string(home.join("demo.toml")).unwrap();
    let text = format!("{recipe}\n[policy.features]\nDemoTelnt = \"forbidden\"\n");
    fs::write(home.join("demo.toml"), text).unwrap();
    build(home, "demo.toml", &cache, &[]);
    let cold = same(&output);
    let warnings = report(&output).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("DemoTelnt")), "{warnings:?}");
    build(home, "demo.toml", &cache, &[]);
    assert_same(&cold, &same(&output));
    fs::remove_file(&output).unwrap();
    build(home, "demo.toml", &cache, &[]);
    assert_same(&cold, &same(&output));
}

#[test]
fn the_path_of_an_output_that_was_set_is_in_no_document_that_is_the_same_every_time() {
    let (folder, _) = workspace();
    let (home, cache) = (folder.path(), folder.path().join("cache"));
    let output = home.join("elsewhere-4711/a.wim");
    let set = format!("output.path=\"{}\"", output.display());
    build(home, "demo.toml", &cache, &["--set", &set]);
    for (name, bytes) in same(&output) {
        assert!(!String::from_utf8_lossy(&bytes).contains("elsewhere-4711"), "{name}");
    }
    assert_eq!(report(&output).recipe.set, ["output.path=(a path)"]);
}

#[test]
fn a_report_tells_what_was_built_and_a_run_how() {
    let (folder, output) = workspace();
    let (home, cache) = (folder.path(), folder.path().join("cache"));
    build(home, "demo.toml", &cache, &[]);
    validate(&output);
    let (told, run) = (report(&output), run_of(&output));
    assert_eq!(told.format, model::FORMAT);
    assert_eq!(told.base.name, "media/install.wim");
    let bytes = fs::read(&output).unwrap();
    let digest = transom::base::digest::to_hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    assert_eq!(told.output.files[0].sha256, Some(digest));
    assert_eq!(told.output.files[0].size, bytes.len() as u64);
    let image = &told.images[0];
    assert_eq!((image.name.as_deref(), image.index), (Some("demo-client"), 1));
    let has = |packages: &[transom::servicing::inventory::PackageItem]| {
        packages.iter().any(|package| package.id.starts_with("Contoso-Tools"))
    };
    assert!(!has(&image.before.packages) && has(&image.inventory.packages));
    let numbers: Vec<usize> = image.steps.iter().map(|step| step.number).collect();
    assert_eq!(numbers, (1..=19).collect::<Vec<_>>());
    assert!(image.steps.iter().all(|step| step.changeset.is_some()));
    let tools = image.steps.iter().find(|step| step.name == "packages.contoso-tools").unwrap();
    assert_eq!(tools.inputs, ["packages/contoso-tools.cab"]);
    assert!(tools.reasons.iter().any(|reason| !reason.after.is_empty()));
    assert!(tools.changes.counts["put-file"] > 0 && tools.changes.bytes > 0);
    // Nothing of this host.
    let text = fs::read_to_string(beside::path_of(&output, ".report.json")).unwrap();
    assert!(!text.contains(&home.display().to_string()));

    assert_eq!(run.commit, told.output.commit);
    assert_eq!(run.steps.len(), 19);
    assert!(
        run.steps.iter().all(|step| !step.cached && !step.why.is_empty() && step.apply.is_some())
    );
    let names: Vec<&str> = run.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["plan", "prepare", "apply", "finish", "write", "flush", "report"]);
    assert!(run.stages.iter().all(|stage| stage.start + stage.duration <= run.duration));
    assert!(run.steps.iter().any(|step| step.prepare.is_some() && step.bytes > 0));

    // The story of the build that made the output is kept when nothing is done.
    let telling = build(home, "demo.toml", &cache, &[]);
    assert!(telling.contains("up to date") && telling.contains("\nreport: "), "{telling}");
    assert_eq!(run_of(&output), run);
    let text = fs::read_to_string(home.join("demo.toml")).unwrap();
    fs::write(home.join("demo.toml"), text.replace("AllowTelemetry = 0", "AllowTelemetry = 1"))
        .unwrap();
    build(home, "demo.toml", &cache, &[]);
    let changed = run_of(&output);
    assert_eq!(changed.steps.iter().filter(|step| step.cached).count(), 9);
    let step = changed.steps.iter().find(|step| step.name.contains("DataCollection")).unwrap();
    assert!(step.why.iter().any(|why| why.contains("AllowTelemetry")), "{:?}", step.why);
    // Without a story of its own, an output that was there already gets what there is to tell.
    fs::remove_file(beside::path_of(&output, ".run.json")).unwrap();
    build(home, "demo.toml", &cache, &[]);
    assert!(run_of(&output).up_to_date);
    validate(&output);
}

/// Has another program hold the documents against the schemas that `transom schema` prints.
fn validate(output: &Path) {
    let Some(tool) = oracle("check-jsonschema") else { return };
    let home = temporary_folder();
    for what in ["report", "run"] {
        let schema = expect_success(transom(home.path()).args(["schema", what])).stdout;
        let known: Value = serde_json::from_slice(&schema).unwrap();
        assert_eq!(known["$schema"], "http://json-schema.org/draft-07/schema#");
        let path = home.path().join(format!("{what}.schema.json"));
        fs::write(&path, schema).unwrap();
        let document = beside::path_of(output, &format!(".{what}.json"));
        expect_success(tool.command().arg("--schemafile").arg(&path).arg(&document));
        // What is missing is seen.
        let mut broken: Value = serde_json::from_slice(&fs::read(&document).unwrap()).unwrap();
        broken.as_object_mut().unwrap().remove("format");
        let other = home.path().join("broken.json");
        fs::write(&other, broken.to_string()).unwrap();
        let told = tool.command().arg("--schemafile").arg(&path).arg(&other).output().unwrap();
        assert_eq!(told.status.code(), Some(1));
    }
}
