//! Recipes as files: what loads, and what is said of those that do not. Driven by `tests/data/recipes`; each sample has its snapshot beside it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use miette::{GraphicalReportHandler, GraphicalTheme};
use transom::recipe::{self, Finding, Findings, Recipe};

/// The samples `tests/data/recipes/{kind}/*.toml`, sorted, relative to the package's folder (the tests' current folder).
fn samples(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| PathBuf::from(folder).join(entry.unwrap().file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no samples in {folder}");
    paths
}

/// What a person sees, without colour.
fn rendered(findings: &Findings) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    let text = findings.render(&handler);
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A recipe as text: one line per thing it says.
fn dump(recipe: &Recipe) -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, what: &dyn std::fmt::Debug| writeln!(text, "{name}: {what:?}").unwrap();
    line("image", &recipe.image);
    line("base wim", &recipe.base.wim);
    for image in &recipe.base.images {
        line("base select", &image.select);
        for (name, text) in [("new-name", &image.name), ("new-description", &image.description)] {
            if text.is_some() {
                line(name, text);
            }
        }
    }
    line("base expect", &recipe.base.expect);
    line("policy", &recipe.policy);
    line("output", &recipe.output);
    for (id, input) in &recipe.inputs {
        line(&format!("input {id}"), input);
    }
    for entry in &recipe.entries {
        writeln!(text, "[{}] {} at {}", entry.section, entry.label, entry.origin).unwrap();
        writeln!(text, "    {}", serde_json::to_string(&entry.operation).unwrap()).unwrap();
    }
    for entry in &recipe.winre {
        writeln!(text, "[winre.{}] {} at {}", entry.section, entry.label, entry.origin).unwrap();
    }
    text
}

fn check_snapshots(folder: &str, text: impl Fn(&PathBuf) -> String) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(std::env::current_dir().unwrap().join(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for path in samples(folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        settings.bind(|| insta::assert_snapshot!(name, text(&path)));
    }
}

#[test]
fn valid_samples_say_what_they_say() {
    check_snapshots("tests/data/recipes/valid", |path| match recipe::load(path, &[]) {
        Ok(recipe) => dump(&recipe),
        Err(findings) => panic!("{}: {}", path.display(), rendered(&findings)),
    });
}

#[test]
fn invalid_samples_are_refused_with_a_place_and_a_way_out() {
    check_snapshots("tests/data/recipes/invalid", |path| {
        let findings = recipe::load(path, &[]).expect_err(&path.display().to_string());
        for finding in findings.iter() {
            check_finding(finding);
        }
        rendered(&findings)
    });
}

/// What holds for every finding.
fn check_finding(finding: &Finding) {
    assert!(finding.code().starts_with("recipe::"), "{finding:?}");
    assert!(!finding.message().ends_with('.'), "{finding:?}");
    assert!(finding.labels().count() > 0, "{finding:?}");
    for label in finding.labels() {
        let origin = &label.origin;
        assert!(origin.span().end <= origin.source().text.len(), "{finding:?}");
        assert!(!origin.source().name.starts_with('/'), "a host path: {finding:?}");
    }
}

#[test]
fn the_recipes_of_the_repository_load() {
    let mut parts = samples("recipes/common");
    for path in samples("recipes") {
        let recipes = match recipe::load_variants(&path, &[], None) {
            Ok(recipes) => recipes,
            Err(findings) => panic!("{}", rendered(&findings)),
        };
        for recipe in recipes {
            // What is Microsoft's or a vendor's is in no repository.
            let is_ours =
                |input: &Path| !input.components().any(|part| part.as_os_str() == "media");
            for input in recipe.inputs.values().filter(|input| is_ours(&input.path)) {
                assert!(input.path.exists(), "{} names {:?}", path.display(), input.path);
            }
            parts.retain(|part| {
                !recipe.sources.iter().any(|source| part.as_path() == Path::new(&source.name))
            });
        }
    }
    assert!(parts.is_empty(), "no recipe extends them, so nothing checks them: {parts:?}");
}

fn smallest(sets: &[&str]) -> Result<Recipe, Findings> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    recipe::load("tests/data/recipes/valid/smallest.toml".as_ref(), &sets)
}

#[test]
fn the_command_line_can_set_anything() {
    let recipe = smallest(&[
        "output.compression=lzx",
        "base.edition = ServerDatacenterCor",
        "services.RemoteRegistry=disabled",
        r"registry.'HKLM\SOFTWARE\X'.number=7",
        r"registry.'HKLM\SOFTWARE\X'.text=plain words",
        "image.version=2026.10",
        "vars.name=farm",
        "image.name='ws-${name}'",
        "files=[{ to = 'C:\\x', absent = true }]",
        "first-boot.run=['scripts/a.cmd']",
    ])
    .map_err(|findings| rendered(&findings))
    .unwrap();
    let text = |located: &Option<recipe::Located<String>>| located.as_ref().unwrap().value.clone();
    assert_eq!(text(&recipe.image.version), "2026.10");
    assert_eq!(text(&recipe.image.name), "ws-farm");
    let edition = recipe::ImageSelect::Edition("ServerDatacenterCor".into());
    assert_eq!(recipe.base.images[0].select.value, edition);
    assert_eq!(recipe.base.images[0].select.origin.to_string(), "--set 2");
    let labels: Vec<&str> = recipe.entries.iter().map(|entry| entry.label.as_str()).collect();
    assert_eq!(labels, ["RemoteRegistry", r"HKLM\SOFTWARE\X", r"\x", "run"]);
    let input = recipe.inputs.values().next().unwrap();
    assert_eq!(input.path, PathBuf::from("tests/data/recipes/valid/scripts/a.cmd"));
}

#[test]
fn mistakes_on_the_command_line_are_shown_there() {
    let mut text = String::new();
    for set in [
        "output.compression",
        "output.=lzx",
        "output.compresion=lzx",
        "output.compression=zip",
        "services=disabled",
        "services.A=[",
        "base.index=two",
        "extends=['a.toml']",
        "drop=['services.A']",
        "registry.HKLM.SOFTWARE.X.v=1",
        "",
    ] {
        let findings = smallest(&[set]).expect_err(set);
        text += &rendered(&findings);
    }
    insta::assert_snapshot!("recipe_set_mistakes", text);
}

#[test]
fn a_recipe_that_is_not_there_is_named() {
    let findings = recipe::load("tests/data/recipes/none.toml".as_ref(), &[]).unwrap_err();
    let message = findings.iter().next().unwrap().message().to_owned();
    assert!(message.contains("`tests/data/recipes/none.toml`"), "{message}");
    assert_eq!(findings.iter().next().unwrap().code(), "recipe::unreadable");
}
