//! `[matrix]`: variants of one recipe.
//!
//! A variant is one more layer, between the files and the command line: `[matrix.core.image]` is laid over `[image]`, and `drop` in it removes what the
//! recipe has. Each variant is a recipe of its own from there on, with a name, an output and a lock file.

use std::path::{Path, PathBuf};

use super::{
    finding::{Finding, Findings, list, nearest, shown},
    load::Layer,
    model::{InputDecl, Recipe},
    node::Entry,
    paths,
    sections::MATRIX,
    shape,
    source::Origin,
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
/// What is wrong with them, each once; that one of them writes what another writes or reads.
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
    findings.extend(clashes(&recipes));
    Findings::check(findings)?;
    recipes.retain(|recipe| only.is_none() || recipe.variant.as_deref() == only);
    Ok(recipes)
}

/// What a variant writes and reads, as texts that can be compared.
struct Paths<'a> {
    recipe: &'a Recipe,
    output: PathBuf,
    base: PathBuf,
    inputs: Vec<(PathBuf, &'a InputDecl)>,
}

impl<'a> Paths<'a> {
    fn of(recipe: &'a Recipe) -> Self {
        let inputs = recipe.inputs.values();
        Self {
            recipe,
            output: paths::normal(&recipe.output.path.value),
            base: paths::normal(&recipe.base.wim.value),
            inputs: inputs.map(|input| (paths::normal(&input.path), input)).collect(),
        }
    }

    fn name(&self) -> &str {
        self.recipe.variant.as_deref().unwrap_or_default()
    }

    fn finding(&self, message: String, label: &str, help: &'static str) -> Finding {
        Finding::at(&self.recipe.output.path.origin, "recipe::same-output", message, label, help)
    }

    /// True when `path` is the output, or may be a later part of it: `out2.swm` of `out.swm`.
    fn writes(&self, path: &Path) -> bool {
        self.output == path || self.recipe.output.split.is_some() && is_part(&self.output, path)
    }

    /// Where `other` reads what this one writes, and what that is.
    fn read_by(&self, other: &'a Paths<'_>) -> Option<(&'a Origin, &'static str)> {
        if self.writes(&other.base) {
            return Some((&other.recipe.base.wim.origin, "its base image"));
        }
        let read = |path: &Path| self.output.starts_with(path) || self.writes(path);
        let (path, input) = other.inputs.iter().find(|(path, _)| read(path))?;
        let what = if self.writes(path) { "its input" } else { "a folder that it reads" };
        Some((&input.origin, what))
    }
}

/// True when `path` has the name of a part of the split set that begins with `first`.
fn is_part(first: &Path, path: &Path) -> bool {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let (Some(first_stem), Some(stem)) = (stem(first), stem(path)) else { return false };
    let is_number = |end: &str| !end.is_empty() && end.bytes().all(|digit| digit.is_ascii_digit());
    first.parent() == path.parent()
        && first.extension() == path.extension()
        && stem.strip_prefix(&first_stem).is_some_and(is_number)
}

/// Each variant that writes what another one writes or reads: what is built of it would depend on which of them comes first, or be lost.
fn clashes(recipes: &[Recipe]) -> Vec<Finding> {
    let recipes: Vec<Paths<'_>> = recipes.iter().map(Paths::of).collect();
    let mut findings = Vec::new();
    for (place, one) in recipes.iter().enumerate() {
        let same = |other: &&Paths<'_>| one.writes(&other.output) || other.writes(&one.output);
        if let Some(first) = recipes[..place].iter().find(same) {
            let (name, other) = (one.name(), first.name());
            let (message, label) = match one.output == first.output {
                true => (
                    format!("the variants `{other}` and `{name}` write the same file"),
                    "this file",
                ),
                false => (
                    format!("the variants `{other}` and `{name}` may write the same file"),
                    "one is split, and a part of it may have the other's name",
                ),
            };
            let help =
                "give each its own: `path = \"out/${matrix.name}.wim\"`, or [matrix.NAME.output]";
            findings.push(one.finding(message, label, help));
        }
        let others = recipes.iter().enumerate().filter(|(other, _)| *other != place);
        for (_, other) in others {
            let Some((origin, what)) = one.read_by(other) else { continue };
            let (name, other) = (one.name(), other.name());
            let message = format!("the variant `{name}` writes what the variant `{other}` reads");
            let help = "give the output a path that no variant reads";
            let label = format!("`{other}` reads this: {what}");
            findings.push(one.finding(message, &label, help).and(origin, "read here"));
            break;
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_first_name_with_a_number() {
        let first = Path::new("out/s.swm");
        let parts = ["out/s2.swm", "out/s12.swm"];
        assert!(parts.iter().all(|part| is_part(first, Path::new(part))));
        let others = ["out/s.swm", "out/s2.wim", "s2.swm", "out/s2a.swm", "out/t2.swm", "out/s"];
        assert!(!others.iter().any(|other| is_part(first, Path::new(other))));
    }
}
