//! Recipes that nobody would write: whatever the bytes, loading ends, and what it says points into the text.

use std::{collections::BTreeMap, path::Path};

use miette::{GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;
use transom::{
    recipe::{self, Findings, Recipe},
    servicing::Operation,
};

/// Loads `main` with `part.toml` beside it and checks what holds for every outcome.
fn load(main: &[u8], part: &[u8], sets: &[String]) {
    let files: BTreeMap<String, Vec<u8>> =
        [("main.toml".to_owned(), main.to_vec()), ("part.toml".to_owned(), part.to_vec())].into();
    let first = recipe::load_from(&files, Path::new("main.toml"), sets);
    match &first {
        Ok(recipe) => {
            for entry in &recipe.entries {
                let span = entry.origin.span();
                assert!(entry.origin.source().text.get(span).is_some());
            }
            for entry in &recipe.entries {
                assert!(declared(recipe, &entry.operation), "an input is not declared: {entry:?}");
            }
        }
        Err(findings) => check(findings),
    }
    assert_eq!(first, recipe::load_from(&files, Path::new("main.toml"), sets));
}

/// True when the recipe declares every input that the operation reads.
fn declared(recipe: &Recipe, operation: &Operation) -> bool {
    operation.inputs().iter().all(|input| recipe.inputs.contains_key(input))
}

fn check(findings: &Findings) {
    assert!(findings.iter().len() > 0);
    for finding in findings.iter() {
        assert!(finding.code().starts_with("recipe::"), "{finding:?}");
        assert_ne!(finding.code(), "recipe::internal", "{findings:?}");
        for label in finding.labels() {
            let text = &label.origin.source().text;
            assert!(text.get(label.origin.span()).is_some(), "{finding:?}");
        }
    }
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    assert!(!findings.render(&handler).is_empty());
}

/// The samples, which mutation starts from.
fn samples() -> Vec<String> {
    let mut texts = Vec::new();
    for folder in ["tests/data/recipes/valid", "tests/data/recipes/invalid", "recipes"] {
        let mut paths: Vec<_> =
            fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        texts.extend(paths.iter().map(|path| fs_err::read_to_string(path).unwrap()));
    }
    texts
}

/// One change of a text.
#[derive(Debug, Clone)]
enum Edit {
    Byte(usize, u8),
    Cut(usize, usize),
    CopyLine(usize, usize),
    Insert(usize, &'static str),
}

const SNIPPETS: &[&str] = &[
    "extends = [\"part.toml\"]\n",
    "drop = [\"services\"]\n",
    "drop = [\"a.'\"]\n",
    "${version}",
    "${",
    "$${",
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "= ",
    "\n",
    "\\u0000",
    "é",
    "0xffffffffffffffffffffffffffffffffffff",
    "-1",
    "absent",
    "[registry]\n",
    "[[files]]\n",
    ".",
    "#",
];

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<usize>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        (place(), 0..40_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (place(), place()).prop_map(|(from, to)| Edit::CopyLine(from, to)),
        (place(), prop::sample::select(SNIPPETS)).prop_map(|(at, text)| Edit::Insert(at, text)),
    ]
}

fn apply(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let length = bytes.len() + 1;
        match *edit {
            Edit::Byte(at, byte) if !bytes.is_empty() => bytes[at % (length - 1)] = byte,
            Edit::Byte(..) => bytes.clear(),
            Edit::Cut(at, cut) => {
                let at = at % length;
                let end = (at + cut).min(bytes.len());
                bytes.drain(at..end);
            }
            Edit::CopyLine(from, to) => {
                let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
                if let Some(line) = lines.get(from % lines.len().max(1)) {
                    let line = line.to_vec();
                    let at: usize =
                        lines.iter().take(to % lines.len().max(1)).map(|line| line.len()).sum();
                    bytes.splice(at..at, line);
                }
            }
            Edit::Insert(at, text) => {
                let at = at % length;
                bytes.splice(at..at, text.bytes());
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_in_a_recipe_or_findings(
        main in prop::collection::vec(any::<u8>(), 0..300),
        set in "\\PC{0,40}",
    ) {
        load(&main, b"", &[set]);
    }

    #[test]
    fn damaged_samples_end_in_a_recipe_or_findings(
        main in any::<prop::sample::Index>(),
        part in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 0..6),
        set in prop::sample::select(vec!["", "services.A=auto", "base.index=3", "vars.version=${a}", "output={}"]),
    ) {
        let samples = samples();
        let text = |index: prop::sample::Index| index.get(&samples).clone().into_bytes();
        let sets: Vec<String> = [set].iter().filter(|set| !set.is_empty()).map(ToString::to_string).collect();
        load(&apply(text(main), &edits), &text(part), &sets);
    }
}

#[test]
fn huge_recipes_do_not_take_huge_time() {
    let lines = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let files = |text: String| BTreeMap::from([("main.toml".to_owned(), text.into_bytes())]);
    let keys =
        lines(10_000, |index| format!("[registry.'HKLM\\SOFTWARE\\A\\{index}']\nv = {index}\n"));
    let text = format!("[base]\nwim = 'a'\nindex = 1\n[output]\npath = 'b'\n{keys}");
    let recipe = recipe::load_from(&files(text), Path::new("main.toml"), &[]).unwrap();
    assert_eq!(recipe.entries.len(), 10_000);

    let drops = lines(20_000, |index| format!("  'services.RemoteRegistry{index}',\n"));
    let variables = lines(20_000, |index| format!("variable{index} = '${{variible{index}}}'\n"));
    let services = lines(20_000, |index| format!("service{index} = 'disabld'\n"));
    let wrong = format!("drop = [\n{drops}]\n[vars]\n{variables}\n[services]\n{services}");
    let findings = recipe::load_from(&files(wrong), Path::new("main.toml"), &[]).unwrap_err();
    assert!(findings.iter().len() < 1_000, "{} findings help nobody", findings.iter().len());
}
