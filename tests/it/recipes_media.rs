//! The recipes of `recipes/`: each is sound, and says what media it needs when they are not there.

use std::path::{Path, PathBuf};

use crate::support::{temporary_folder, transom};

/// The recipes that are built, not those that others extend.
fn recipes() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut paths: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 7, "{paths:?}");
    paths
}

#[test]
fn every_recipe_is_sound() {
    let folder = temporary_folder();
    for path in recipes() {
        let output = transom(folder.path()).arg("check").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", path.display());
    }
}

#[test]
fn a_recipe_without_its_media_says_which_it_needs() {
    let folder = temporary_folder();
    for path in recipes() {
        let output = transom(folder.path()).arg("plan").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{}: {said}", path.display());
        // Lines are broken where the window ends.
        let words: Vec<&str> = said.split_whitespace().collect();
        assert!(words.join(" ").contains("the recipe says of it: "), "{}: {said}", path.display());
        assert!(said.contains("Media:"), "{}: {said}", path.display());
    }
}

#[test]
fn a_recipe_plans_against_the_demo_base_but_for_what_that_does_not_have() {
    let folder = temporary_folder();
    let demo = folder.path().join("demo");
    crate::support::expect_success(transom(folder.path()).arg("demo").arg(&demo));
    // The parts of a recipe that need no media: what the demo base has of services, everything of registry, files, locale, first boot.
    let recipe = folder.path().join("server.toml");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/server2025.toml");
    let text = format!(
        "extends = [{:?}]\ndrop = [\"services.WinRM\", \"base.edition\"]\n[base]\nwim = {:?}\nindex = 1\n[output]\npath = {:?}\n",
        ours.to_str().unwrap(),
        demo.join("media/install.wim").to_str().unwrap(),
        folder.path().join("out/server.wim").to_str().unwrap(),
    );
    fs_err::write(&recipe, text).unwrap();
    let output = transom(folder.path()).arg("build").arg(&recipe).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
