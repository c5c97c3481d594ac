//! `[matrix]`: variants of one recipe.
//!
//! A variant is one more layer, between the files and the command line: `[matrix.core.image]` is laid over `[image]`, and `drop` in it removes what the
//! recipe has. Each variant is a recipe of its own from there on, with a name, an output and a lock file.

use super::{
    finding::{Finding, Findings, list, nearest, shown},
    load::Layer,
    model::Recipe,
    node::Entry,
    paths,
    sections::MATRIX,
    shape,
};

/// Longest name of a variant: it becomes part of a file name.
const LONGEST: usize = 64;

/// The variants of a recipe, in its order.
///
/// # Errors
/// When there are none, or names are not names.
pub(super) fn named(matrix: &Entry) -> Result<Vec<Entry>, Findings> {
    let mut findings = Vec::new();
    shape::check(&matrix.node, "matrix", &MATRIX, &mut findings);
    let entries = matrix.node.table().map_or(&[][..], |table| table.entries());
    for (place, entry) in entries.iter().enumerate() {
        let refuse = |message: String, label: &str, help: &str| {
            Finding::at(&entry.origin, "recipe::variant-name", message, label, help)
        };
        let name = shown(&entry.key);
        if !is_name(&entry.key) {
            findings.push(refuse(
                format!("`{name}` cannot be the name of a variant"),
                "becomes part of the lock file's name",
                "use letters, digits, `-`, `_` and `.`, a letter or digit first",
            ));
        }
        let same = |other: &&Entry| other.key.eq_ignore_ascii_case(&entry.key);
        if let Some(first) = entries[..place].iter().find(same) {
            findings.push(
                refuse(
                    format!("two variants are called `{name}`"),
                    "differs in case alone",
                    "not every host can tell their lock files apart: rename one",
                )
                .and(&first.origin, "the other one"),
            );
        }
        for key in ["extends", "matrix"] {
            if let Some(inner) = entry.node.table().and_then(|table| table.entry(key)) {
                findings.push(Finding::at(
                    &inner.origin,
                    "recipe::not-here",
                    format!("a variant has no `{key}`"),
                    "not in a variant",
                    "only the whole recipe does: write it at the top of the file",
                ));
            }
        }
    }
    if entries.is_empty() && findings.is_empty() {
        findings.push(Finding::at(
            &matrix.origin,
            "recipe::empty",
            "`matrix` is empty",
            "names no variant",
            "write a table [matrix.NAME], or take `matrix` away",
        ));
    }
    Findings::check(findings)?;
    Ok(entries.to_vec())
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one))
        && !name.ends_with('.')
}

/// Refuses a variant that is not there.
///
/// # Errors
/// What was probably meant.
pub(super) fn choose(name: &str, variants: &[Entry]) -> Result<(), Findings> {
    let names = || variants.iter().map(|variant| variant.key.as_str());
    if names().any(|known| known == name) {
        return Ok(());
    }
    let help = nearest(name, names()).map_or_else(
        || format!("there is {}", list(names(), "and")),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no variant `{}`", shown(name));
    Err(Finding::nowhere("recipe::no-such-variant", message, help).into())
}

/// A variant as a layer.
pub(super) fn layer(variant: &Entry, findings: &mut Vec<Finding>) -> Layer {
    let mut table = variant.node.table().cloned().unwrap_or_default();
    let mut drops = Vec::new();
    if let Some(entry) = table.remove("drop") {
        match entry.node.list() {
            Some(nodes) => drops.extend(
                nodes
                    .iter()
                    .filter_map(|node| Some((node.text()?.to_owned(), node.origin.clone()))),
            ),
            None => findings.push(Finding::at(
                &entry.node.origin,
                "recipe::wrong-type",
                "`drop` is a list of key paths",
                "expected a list of texts",
                "write it in brackets: [\"services.RemoteRegistry\"]",
            )),
        }
    }
    Layer { drops, table }
}

/// The variants that were loaded: all, or the one called `only`.
///
/// # Errors
/// What is wrong with them, each once; that two of them write one file.
pub(super) fn gather(
    loaded: Vec<Result<Recipe, Findings>>,
    variants: &[Entry],
    only: Option<&str>,
) -> Result<Vec<Recipe>, Findings> {
    let mut told: Vec<(Finding, Vec<&str>)> = Vec::new();
    let mut recipes = Vec::new();
    let mut wanted = 0;
    for (variant, result) in variants.iter().zip(loaded) {
        let is_wanted = only.is_none_or(|only| only == variant.key);
        wanted += usize::from(is_wanted);
        match result {
            Ok(recipe) => recipes.push(recipe),
            Err(findings) if is_wanted => {
                for finding in findings {
                    match told.iter_mut().find(|(known, _)| *known == finding) {
                        Some((_, names)) => names.push(&variant.key),
                        None => told.push((finding, vec![&variant.key])),
                    }
                }
            }
            // Whoever builds that one is told.
            Err(_) => {}
        }
    }
    let mut findings: Vec<Finding> = told
        .into_iter()
        .map(|(finding, names)| match names.as_slice() {
            names if names.len() == wanted => finding,
            [name] => finding.about(&format!("variant `{name}`")),
            names => finding.about(&format!("variants {}", list(names.iter().copied(), "and"))),
        })
        .collect();
    findings.extend(same_outputs(&recipes));
    Findings::check(findings)?;
    recipes.retain(|recipe| only.is_none() || recipe.variant.as_deref() == only);
    Ok(recipes)
}

/// Each variant that writes what an earlier one writes.
fn same_outputs(recipes: &[Recipe]) -> Vec<Finding> {
    let name = |recipe: &Recipe| recipe.variant.clone().unwrap_or_default();
    let mut findings = Vec::new();
    for (place, recipe) in recipes.iter().enumerate() {
        let output = &recipe.output.path;
        let first = recipes[..place]
            .iter()
            .find(|other| paths::same(&other.output.path.value, &output.value));
        if let Some(first) = first {
            let message = format!(
                "the variants `{}` and `{}` write the same file",
                name(first),
                name(recipe)
            );
            let help =
                "give each its own: `path = \"out/${matrix.name}.wim\"`, or [matrix.NAME.output]";
            findings.push(Finding::at(
                &output.origin,
                "recipe::same-output",
                message,
                "this file",
                help,
            ));
        }
    }
    findings
}
