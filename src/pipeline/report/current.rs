//! Whether the documents beside an output that is up to date are those that would be made again: then none is.
//!
//! What they tell follows from the recipe's texts, what it was resolved to, the output, and this program. With these the stamps of the files are remembered that were
//! written; as long as both hold, nothing is read or made.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{beside, model::FORMAT};
use crate::{
    base::digest::Blake3,
    pipeline::Outcome,
    plan::{Plan, key, state},
    recipe::Recipe,
    servicing::inventory,
    store::{RecordKind, Stamp, Store, StoreError},
};

/// Documents that were written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Documents {
    /// What they tell of.
    of: Blake3,
    /// Their suffixes, and their stamps when they were written.
    files: Vec<(String, Stamp)>,
}

fn documents_key(plan: &Plan) -> Blake3 {
    key::key("transom documents 1", &[&state::output_key(plan).0])
}

/// Everything that the documents follow from.
fn told_of(recipe: &Recipe, plan: &Plan, outcome: &Outcome) -> Blake3 {
    let mut parts = vec![
        env!("CARGO_PKG_VERSION").to_owned(),
        format!("{FORMAT} {}", inventory::VERSION),
        outcome.commit.to_hex(),
        plan.output.path.display().to_string(),
        plan.variant.clone().unwrap_or_default(),
        plan.lock.to_text(),
    ];
    for source in recipe.sources.iter() {
        parts.extend([source.name.clone(), source.folder_from_recipe.clone(), source.text.clone()]);
    }
    parts.extend(plan.warnings.iter().map(ToString::to_string));
    parts.extend(outcome.warnings.iter().cloned());
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    key::key("transom told of 1", &parts)
}

/// Remembers that the documents at `paths` were written. Where a file system counts whole seconds a stamp tells too little, and nothing is remembered.
///
/// # Errors
/// When the store cannot be written.
pub fn remember(
    recipe: &Recipe,
    plan: &Plan,
    outcome: &Outcome,
    paths: &[PathBuf],
    store: &Store,
) -> Result<(), StoreError> {
    let stamped = |suffix: &&str| {
        let path = beside::path_of(&plan.output.path, suffix);
        let is_told = paths.contains(&path);
        let stamp = is_told.then(|| fs_err::metadata(&path).ok().map(|there| Stamp::of(&there)));
        stamp.map(|stamp| ((*suffix).to_owned(), stamp))
    };
    let mut files = Vec::new();
    for (suffix, stamp) in beside::SUFFIXES.iter().filter_map(stamped) {
        match stamp {
            Some(stamp) if stamp.changed.1 != 0 => files.push((suffix, stamp)),
            _ => return Ok(()),
        }
    }
    let documents = Documents { of: told_of(recipe, plan, outcome), files };
    store.put_json(RecordKind::Stamps, &documents_key(plan), &documents)
}

/// Where the documents about the output are, if those that would be made are there already.
///
/// # Errors
/// When the store cannot be read.
pub fn recall(
    recipe: &Recipe,
    plan: &Plan,
    outcome: &Outcome,
    store: &Store,
) -> Result<Option<Vec<PathBuf>>, StoreError> {
    let Some(known) = store.json::<Documents>(RecordKind::Stamps, &documents_key(plan))? else {
        return Ok(None);
    };
    if known.of != told_of(recipe, plan, outcome) {
        return Ok(None);
    }
    let mut paths = Vec::new();
    for (suffix, stamp) in known.files {
        let path = beside::path_of(&plan.output.path, &suffix);
        if !fs_err::metadata(&path).is_ok_and(|there| Stamp::of(&there) == stamp) {
            return Ok(None);
        }
        paths.push(path);
    }
    Ok(Some(paths))
}
