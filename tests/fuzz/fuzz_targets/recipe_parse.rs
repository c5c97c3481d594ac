//! Recipes: loading ends, and every finding points into its text. A NUL in the data parts the recipe from a second file and a `--set`.
#![no_main]

use std::{collections::BTreeMap, path::Path};

use libfuzzer_sys::fuzz_target;
use transom::recipe;

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let files: BTreeMap<String, Vec<u8>> =
        [("main.toml".to_owned(), next().to_vec()), ("part.toml".to_owned(), next().to_vec())].into();
    let set = String::from_utf8_lossy(next()).into_owned();
    let sets = if set.is_empty() { Vec::new() } else { vec![set] };
    match recipe::load_from(&files, Path::new("main.toml"), &sets) {
        Ok(recipe) => {
            for entry in &recipe.entries {
                assert!(entry.origin.source().text.get(entry.origin.span()).is_some());
            }
        }
        Err(findings) => {
            for finding in findings.iter() {
                assert_ne!(finding.code(), "recipe::internal");
                for label in finding.labels() {
                    let text = &label.origin.source().text;
                    assert!(text.get(label.origin.span()).is_some(), "{finding:?}");
                }
            }
        }
    }
});
