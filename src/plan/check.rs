//! What can be known to fail before anything is done: every step against the image and against what its inputs hold.
//!
//! An answer file, a `.reg` file or a script is read and prepared here as a build would prepare it, and thrown away. Content that only goes into the image is
//! not read: its digest is known. What was found of a step that can be done is remembered by its inputs, the base and the packages before it, and said again:
//! an unchanged recipe opens none of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
};

use super::{
    base_image::{self, FactsError, LazyImage},
    error::PlanError,
    image::Subject,
    inputs::{Control, InputError, ResolvedInputs, resolve},
    key,
    make::Options,
    model::Step,
    packages::Packages,
};
use crate::{
    base::{
        digest::{Blake3, Sha1},
        read_at::ReadAt,
    },
    format::wim::Wim,
    image::Changeset,
    recipe::{Expect, Finding, Findings, Origin},
    servicing::{
        BlobSink, InputId, InputTree, Inputs, Operation, Prepared, Problem, ServicingError,
    },
    store::{RecordKind, Store, StoredBlob},
};

/// What is remembered of a step that was checked.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Checked {
    /// It leaves something to the first boot.
    deferred: bool,
    /// What is odd and stops nothing.
    warnings: Vec<Problem>,
}

/// Compares the image with what the recipe expects of it.
///
/// # Errors
/// When it is another one ([`PlanError::Refused`]), or cannot be read.
pub(super) fn expectations(
    subject: &Subject<'_>,
    wim: &Wim,
    index: u32,
    image: &mut LazyImage<'_>,
) -> Result<(), PlanError> {
    let base = &subject.recipe.base;
    if base.expect == Expect::default() {
        return Ok(());
    }
    let facts = image.facts().map_err(|error| facts_error(subject, error))?;
    // What cannot be read is not "not known": the image may well be the expected one.
    if let Some(warning) = facts.warnings.first() {
        return Err(subject.damaged(&io::Error::other(warning.clone())));
    }
    base_image::check_expectations(base, &facts, wim.xml(), index).map_err(PlanError::Refused)
}

/// Asks every operation whether it suits the image as the steps before it leave it, and whether its inputs are what they must be. What is odd is
/// returned, and each step is told whether it leaves something to the first boot.
///
/// Steps whose result others look at (packages, features) are done to `image`, which the plan throws away. Their content is not stored for that, so none of
/// it can be read here.
///
/// # Errors
/// All problems at once: [`PlanError::Inputs`] for inputs that are no good by themselves, [`PlanError::Refused`] for what does not suit the image.
pub(super) fn steps(
    subject: &Subject<'_>,
    steps: &mut [Step],
    inputs: &ResolvedInputs,
    packages: Packages,
    image: &mut LazyImage<'_>,
    store: &Store,
    options: &Options<'_>,
) -> Result<Vec<Finding>, PlanError> {
    if options.unchecked {
        return Ok(Vec::new());
    }
    let fresh = options.no_cache || options.control.rehash;
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    // What the image before a step depends on: the base, and every step before it that is rehearsed.
    let mut before = image.identity();
    let mut rehearsal = Rehearsal {
        subject,
        inputs,
        store: (!fresh).then_some(store),
        image,
        prepared: packages.prepared,
        pending: Vec::new(),
        applied: false,
        failed: BTreeSet::new(),
        findings: Gathered::default(),
    };
    for place in 0..steps.len() {
        let prepared_key = steps[place].parts.prepared_key();
        let key = key::key("transom check 6", &[&before.0, &prepared_key.0, version]);
        let is_rehearsed = steps[place].operation.is_rehearsed();
        if is_rehearsed {
            before = key::key("transom rehearsed 1", &[&before.0, &prepared_key.0]);
        }
        let known = match fresh {
            true => None,
            false => store.json::<Checked>(RecordKind::Check, &key)?,
        };
        if let Some(known) = known {
            steps[place].deferred = known.deferred;
            for warning in known.warnings {
                rehearsal.findings.add(&steps[place], warning);
            }
            // What waits for the first boot counts too: later steps may have to wait behind it.
            if is_rehearsed {
                rehearsal.pending.push(place);
            }
            continue;
        }
        if let Some((checked, is_certain)) = rehearsal.check(place, steps)? {
            steps[place].deferred = checked.deferred;
            if is_certain {
                store.put_json(RecordKind::Check, &key, &checked)?;
            }
        }
    }
    rehearsal.findings.end()
}

pub(super) fn facts_error(subject: &Subject<'_>, error: FactsError) -> PlanError {
    match error {
        FactsError::Store(error) => PlanError::Store(error),
        FactsError::Image(error) => subject.damaged(&error),
    }
}

/// Of what a build remembers of a prepared step: what is wanted here.
#[derive(serde::Deserialize)]
struct Built {
    prepared: Prepared,
}

/// What the steps are told.
#[derive(Default)]
struct Gathered {
    unusable: Vec<Finding>,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
}

impl Gathered {
    fn add(&mut self, step: &Step, problem: Problem) {
        let list = if problem.warning { &mut self.warnings } else { &mut self.problems };
        list.push(finding(step, problem));
    }

    fn end(mut self) -> Result<Vec<Finding>, PlanError> {
        if self.unusable.is_empty() {
            Findings::check(self.problems).map_err(PlanError::Refused)?;
        } else {
            self.unusable.extend(self.problems);
            Findings::check(self.unusable).map_err(PlanError::Inputs)?;
        }
        Ok(self.warnings)
    }
}

/// The plan's own image, on which steps are tried.
struct Rehearsal<'a, 'b> {
    subject: &'a Subject<'a>,
    inputs: &'a ResolvedInputs,
    /// Where a build may have left what it prepared; `None` when that is not believed.
    store: Option<&'a Store>,
    image: &'a mut LazyImage<'b>,
    /// What was prepared already, by the entry's place in the recipe.
    prepared: BTreeMap<usize, Prepared>,
    /// Steps that are known to be good and were not done to the image yet: they are done when a later one needs them.
    pending: Vec<usize>,
    /// True when the image is no longer the base.
    applied: bool,
    /// Numbers of steps that cannot be done.
    failed: BTreeSet<usize>,
    findings: Gathered,
}

impl Rehearsal<'_, '_> {
    /// Checks a step, and says whether that is worth remembering (everything could be read); `None` when it was refused, or not looked at because one that
    /// it needs was.
    fn check(
        &mut self,
        place: usize,
        steps: &[Step],
    ) -> Result<Option<(Checked, bool)>, PlanError> {
        // Of the base: they are remembered for it, so they are looked up before anything is done to the image.
        let base_facts = self.image.facts().map_err(|error| facts_error(self.subject, error))?;
        for pending in std::mem::take(&mut self.pending) {
            match self.prepare(&steps[pending]) {
                Ok(prepared) => drop(self.apply(&steps[pending], &prepared)?),
                Err(error) => self.refuse_input(&steps[pending], error),
            }
        }
        let step = &steps[place];
        let needs = step.reasons.iter().filter(|reason| !reason.is_phase());
        if needs.flat_map(|reason| &reason.after).any(|after| self.failed.contains(after)) {
            // Whatever would be said of it may come from that alone.
            self.failed.insert(step.number);
            return Ok(None);
        }
        let subject = self.subject;
        let applied = self.applied;
        let prepared = self.prepare(step);
        let opened = self.image.image().map_err(|error| subject.damaged(&error))?;
        let facts = if applied { opened.facts() } else { base_facts };
        let mut found = step.operation.check_image(opened, &facts);
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                self.refuse_input(step, error);
                return Ok(None);
            }
        };
        found.extend(step.operation.check_prepared(&prepared, opened, &facts));
        let mut refused = found.iter().any(|problem| !problem.warning);
        let mut deferred = step.operation.leaves_to_first_boot(&prepared, opened, &facts);
        if step.operation.is_rehearsed() && !refused {
            match self.apply(step, &prepared)? {
                Some(changes) => deferred = Operation::is_deferred(&changes),
                None => refused = true,
            }
        }
        if refused {
            self.failed.insert(step.number);
        }
        for problem in &found {
            self.findings.add(step, problem.clone());
        }
        let checked = Checked { deferred, warnings: found };
        Ok((!refused).then_some((checked, facts.warnings.is_empty())))
    }

    /// What the step's inputs hold: as it was prepared for its relations or by a build, else anew.
    fn prepare(&mut self, step: &Step) -> Result<Prepared, ServicingError> {
        if let Some(prepared) = self.prepared.remove(&(step.listed - 1)) {
            return Ok(prepared);
        }
        let built = self.store.filter(|_| step.operation.is_rehearsed()).and_then(|store| {
            let key = step.parts.prepared_key();
            // Whatever is wrong with the record, the inputs are there.
            store.json::<Built>(RecordKind::Prepared, &key).ok().flatten()
        });
        match built {
            Some(built) => Ok(built.prepared),
            None => prepare(&step.operation, self.inputs),
        }
    }

    /// Does the step to the image; `None`, with a finding, when it cannot be done.
    fn apply(&mut self, step: &Step, prepared: &Prepared) -> Result<Option<Changeset>, PlanError> {
        let subject = self.subject;
        let opened = self.image.image().map_err(|error| subject.damaged(&error))?;
        self.applied = true;
        opened.begin_step();
        let result = step.operation.apply(prepared, opened);
        let changes = opened.end_step();
        match result {
            Ok(()) => Ok(Some(changes)),
            Err(error) => {
                self.failed.insert(step.number);
                self.findings.add(step, error.into_problem());
                Ok(None)
            }
        }
    }

    fn refuse_input(&mut self, step: &Step, error: ServicingError) {
        self.failed.insert(step.number);
        self.findings.unusable.push(unusable_input(&step.origin, step.title.clone(), error));
    }
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
pub(super) struct Known<'a>(pub(super) &'a ResolvedInputs);

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

/// A finding at the entry whose input is no good by itself.
pub(super) fn unusable_input(origin: &Origin, title: String, error: ServicingError) -> Finding {
    let problem = error.into_problem();
    let message = format!("{}: {}", problem.item, problem.cause);
    Finding::at(origin, "input::invalid", message, title, problem.help)
}

fn finding(step: &Step, problem: Problem) -> Finding {
    let message = format!("{}: {}", problem.item, problem.cause);
    let code = if problem.warning { "plan::odd" } else { "plan::impossible" };
    Finding::at(&step.origin, code, message, step.title.clone(), problem.help)
}
