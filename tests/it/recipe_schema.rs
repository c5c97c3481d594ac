//! The JSON Schema: the committed file is what the program's tables say, and another program reads it as we mean it.

use std::path::PathBuf;

use transom::recipe::schema;

use crate::support;

const FILE: &str = "schema/recipe.schema.json";

/// Regenerates `schema/recipe.schema.json` with `TRANSOM_BLESS=1`.
#[test]
fn the_committed_schema_is_current() {
    let generated = schema::generate();
    if std::env::var_os("TRANSOM_BLESS").is_some() {
        fs_err::write(FILE, &generated).unwrap();
        return;
    }
    assert!(
        generated == schema::SCHEMA,
        "{FILE} is not what the tables say: run TRANSOM_BLESS=1 cargo test --test it recipe_schema"
    );
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn check_jsonschema_accepts_what_loads() {
    let Some(tool) = support::oracle("check-jsonschema") else { return };
    let folders =
        ["recipes", "recipes/common", "tests/data/recipes/valid", "tests/data/recipes/valid/parts"];
    let mut command = tool.command();
    command.args(["--schemafile", FILE]);
    command.args(folders.iter().flat_map(|folder| toml_files(folder)));
    support::expect_success(&mut command);
}

#[test]
fn check_jsonschema_refuses_what_an_editor_can_see() {
    let Some(tool) = support::oracle("check-jsonschema") else { return };
    // The other samples are wrong in ways that only merging, decoding or TOML itself shows.
    let names = [
        "chunk-of-xpress",
        "files",
        "later-output",
        "later-sections",
        "missing",
        "missing-in-base",
        "output",
        "packages",
        "registry-numbers",
        "registry-types",
        "services",
        "two-choices",
        "unknown-keys",
        "wrong-types",
    ];
    let path = |name: &str| format!("tests/data/recipes/invalid/{name}.toml");
    let mut command = tool.command();
    let output = command.args(["--schemafile", FILE]).args(names.map(path)).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout);
    for name in names {
        assert!(text.contains(&path(name)), "{name} was accepted:\n{text}");
    }
}
