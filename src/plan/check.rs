//! What can be known to fail before anything is done: every step against the image and against what its inputs hold.
//!
//! An answer file, a `.reg` file or a script is read and prepared here as a build would prepare it, and thrown away. Content that only goes into the image is
//! not read: its digest is known. A step without problems is remembered by its inputs and the base, so that an unchanged recipe opens neither.

use std::{io, path::Path, sync::Arc};

use super::{
    base_image::{self, FactsError, LazyImage},
    error::PlanError,
    inputs::{Control, InputError, ResolvedInputs, resolve},
    key,
    make::{Options, damaged_base},
    model::{PlannedBase, Step},
};
use crate::{
    base::{
        digest::{Blake3, Sha1},
        read_at::ReadAt,
    },
    recipe::{Expect, Finding, Findings, Recipe},
    servicing::{
        BlobSink, InputId, InputTree, Inputs, Operation, Prepared, Problem, ServicingError,
    },
    store::{RecordKind, Store, StoredBlob},
};

/// Asks every operation whether it suits the image and whether its inputs are what they must be. What is odd is returned.
///
/// # Errors
/// All problems at once: [`PlanError::Inputs`] for inputs that are no good by themselves, [`PlanError::Refused`] for what does not suit the image.
pub(super) fn steps(
    recipe: &Recipe,
    base: &PlannedBase,
    steps: &[Step],
    inputs: &ResolvedInputs,
    store: &Store,
    options: &Options<'_>,
) -> Result<Vec<Finding>, PlanError> {
    let fresh = options.no_cache || options.control.rehash;
    let limits = &options.limits;
    let mut image = LazyImage::new(&base.wim, base.index, base.identity, limits, store, fresh);
    let facts_error = |error: FactsError| match error {
        FactsError::Store(error) => PlanError::Store(error),
        FactsError::Image(error) => damaged_base(recipe, &error),
    };
    if recipe.base.expect != Expect::default() {
        let facts = image.facts().map_err(facts_error)?;
        // What cannot be read is not "not known": the image may well be the expected one.
        if let Some(warning) = facts.warnings.first() {
            return Err(damaged_base(recipe, &io::Error::other(warning.clone())));
        }
        base_image::check_expectations(&recipe.base, &facts, base.wim.xml(), base.index)
            .map_err(PlanError::Refused)?;
    }
    let (mut unusable, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    for step in steps {
        let parts = [&base.identity.0, &step.parts.prepared_key().0, version];
        let key = key::key("transom check 3", &parts);
        if !fresh && store.record(RecordKind::Check, &key)?.is_some() {
            continue;
        }
        let facts = image.facts().map_err(facts_error)?;
        let opened = image.image().map_err(|error| damaged_base(recipe, &error))?;
        let mut found = step.operation.check_image(opened, &facts);
        match prepare(&step.operation, inputs) {
            Ok(prepared) => found.extend(step.operation.check_prepared(&prepared, opened, &facts)),
            Err(error) => {
                unusable.push(unusable_input(step, error));
                continue;
            }
        }
        if found.is_empty() && facts.warnings.is_empty() {
            store.put_record(RecordKind::Check, &key, b"")?;
        }
        for problem in found {
            let list = if problem.warning { &mut warnings } else { &mut problems };
            list.push(finding(step, problem));
        }
    }
    if unusable.is_empty() {
        Findings::check(problems).map_err(PlanError::Refused)?;
    } else {
        unusable.extend(problems);
        Findings::check(unusable).map_err(PlanError::Inputs)?;
    }
    Ok(warnings)
}

/// Prepares `operation` from `inputs` and keeps nothing. Good for its errors and for [`Operation::check_prepared`].
///
/// # Errors
/// As [`Operation::prepare`].
pub fn prepare(operation: &Operation, inputs: &ResolvedInputs) -> Result<Prepared, ServicingError> {
    operation.prepare(&Known(inputs), &Known(inputs))
}

/// Prepares `operation`, whose only input is the file or folder at `path`, outside of any recipe, and keeps nothing.
///
/// # Errors
/// When the input cannot be used, or as [`Operation::prepare`].
pub fn prepare_alone(
    operation: &Operation,
    path: &Path,
    store: &Store,
    control: &Control<'_>,
) -> Result<Prepared, AloneError> {
    let mut inputs = ResolvedInputs::new();
    for id in operation.inputs() {
        inputs.insert(id.clone(), Arc::new(resolve(&id, path, store, control)?));
    }
    Ok(prepare(operation, &inputs)?)
}

/// Why an operation outside of any recipe cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// The input cannot be found or read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It is not what it should be.
    #[error(transparent)]
    Servicing(#[from] ServicingError),
}

/// The inputs of a plan. As a sink it keeps nothing.
struct Known<'a>(&'a ResolvedInputs);

impl Inputs for Known<'_> {
    fn input(&self, id: &InputId) -> Result<Arc<InputTree>, ServicingError> {
        let input = self.0.get(id).map(|input| Arc::new(input.tree()));
        input.ok_or_else(|| ServicingError::Input {
            input: id.to_string(),
            source: io::ErrorKind::NotFound.into(),
        })
    }
}

impl BlobSink for Known<'_> {
    fn put(
        &self,
        _: &str,
        source: &dyn ReadAt,
        blake3: &Blake3,
    ) -> Result<StoredBlob, ServicingError> {
        // Nobody looks for this blob: its SHA-1 would cost reading it.
        Ok(StoredBlob { blake3: *blake3, sha1: Sha1::ZERO, size: source.size() })
    }
}

fn unusable_input(step: &Step, error: ServicingError) -> Finding {
    let problem = error.into_problem();
    let message = format!("{}: {}", problem.item, problem.cause);
    Finding::at(&step.origin, "input::invalid", message, step.title.clone(), problem.help)
}

fn finding(step: &Step, problem: Problem) -> Finding {
    let message = format!("{}: {}", problem.item, problem.cause);
    let code = if problem.warning { "plan::odd" } else { "plan::impossible" };
    Finding::at(&step.origin, code, message, step.title.clone(), problem.help)
}
