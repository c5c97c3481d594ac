//! Running the steps of one image: what is remembered is replayed, the rest is applied.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    build::{Settings, StepOutcome},
    error::BuildError,
    event::Event,
    prepare::{self, PreparedSteps, all_there},
};
use crate::{
    base::{digest::Blake3, filetime::FileTime},
    image::{Change, Changeset, Image, StoredContent, changeset::FileContent},
    plan::{
        Step,
        cause::{Before, Cause, Present, Question},
        inputs::ResolvedInputs,
        key,
        memory::{BuiltStep, PastBuild},
        parameters,
        state::{self, Chain, StepRecord},
    },
    servicing::ServicingError,
    store::{RecordKind, ResourceSettings, Store, StoreError, StoredBlob},
};

/// What running steps needs, whichever image they are of.
#[derive(Clone, Copy)]
pub(super) struct Engine<'a> {
    pub(super) store: &'a Arc<Store>,
    pub(super) content: &'a Arc<Content>,
    pub(super) settings: &'a Settings<'a>,
    pub(super) inputs: &'a ResolvedInputs,
    /// The form in which new content is kept.
    pub(super) stored: ResourceSettings,
    pub(super) epoch: FileTime,
    /// What there was in the last build and is now; `None` for a recovery image, of which no record is kept.
    pub(super) compared: Option<Compared<'a>>,
}

/// The last build of the output, and what there is now.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub(super) last: Option<&'a PastBuild>,
    pub(super) present: Present<'a>,
    /// True when nothing remembered is used because something of it was lost, and not because the caller wants it so.
    pub(super) damaged: bool,
}

/// A step and its place among those of all images.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) step: &'a Step,
    /// Its number among the steps of all images, from 1.
    pub(super) number: usize,
    /// Number of its image in the base.
    pub(super) image: u32,
    /// What its image is called in messages, where there are several.
    pub(super) label: Option<&'a str>,
}

impl Placed<'_> {
    /// Number of its image in the base, where there are several.
    pub(super) fn index(&self) -> Option<u32> {
        self.label.map(|_| self.image)
    }

    /// What it failed with.
    pub(super) fn failure(&self, error: &ServicingError) -> BuildError {
        BuildError::of_step(self.step, self.label, error)
    }
}

/// Why an attempt failed.
pub(super) enum Failure {
    Build(BuildError),
    /// A remembered changeset cannot be applied.
    Replay(crate::image::ImageError),
}

impl<E: Into<BuildError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Build(error.into())
    }
}

/// What became of the steps of an image.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) steps: Vec<StepOutcome>,
    pub(super) built: Vec<BuiltStep>,
    pub(super) warnings: Vec<String>,
    /// The state after the last step.
    pub(super) state: Blake3,
}

/// The steps that are remembered with all they need, of an image in state `first`; steps behind one that is not may still be.
pub(super) fn remembered(
    engine: &Engine<'_>,
    steps: &[Placed<'_>],
    first: Blake3,
) -> Result<Vec<Option<Recalled>>, StoreError> {
    if engine.settings.no_cache {
        return Ok(vec![None; steps.len()]);
    }
    let Chain { records, .. } =
        state::follow_steps(steps.iter().map(|placed| placed.step), first, engine.store)?;
    records
        .into_iter()
        .map(|record| record.map_or(Ok(None), |record| recall(engine, record)))
        .collect()
}

/// A remembered step with what it did.
pub(super) type Recalled = (StepRecord, Changeset);

/// The changeset of a remembered step; `None` when it or content it names is gone.
fn recall(engine: &Engine<'_>, record: StepRecord) -> Result<Option<Recalled>, StoreError> {
    let store = engine.store;
    let Some(digest) = record.changeset else { return Ok(Some((record, Changeset::default()))) };
    let Some(bytes) = store.record(RecordKind::Changeset, &digest)? else { return Ok(None) };
    let Some(changeset) = Changeset::from_bytes(&bytes) else { return Ok(None) };
    let blobs: Vec<StoredBlob> = changeset
        .0
        .iter()
        .filter_map(|change| match change {
            Change::PutFile { content: FileContent::Stored(blob), .. } => Some(*blob),
            _ => None,
        })
        .collect();
    Ok(all_there(store, &blobs, &engine.stored)?.then_some((record, changeset)))
}

/// Does `steps` to `image`, which is in state `first`: replays those of which `remembered` knows what they did, and applies the others.
pub(super) fn run(
    engine: &Engine<'_>,
    steps: &[Placed<'_>],
    remembered: &[Option<Recalled>],
    prepared: &PreparedSteps,
    image: &mut Image,
    first: Blake3,
) -> Result<Ran, Failure> {
    let mut ran = Ran { state: first, ..Ran::default() };
    let mut before: Vec<Before> = Vec::new();
    for (placed, known) in steps.iter().zip(remembered) {
        if (engine.settings.cancelled)() {
            return Err(BuildError::Cancelled.into());
        }
        let step = placed.step;
        let why = || why(engine, placed, &before, ran.state, first);
        let (why, record) =
            run_step(engine, placed, known.as_ref(), prepared, image, &ran.state, &why)?;
        let cached = why.is_none();
        if !step.parts.inputs.is_empty() {
            engine.store.keep_record(RecordKind::Prepared, &step.parts.prepared_key());
        }
        ran.steps.push(StepOutcome {
            image: placed.index(),
            name: step.name(),
            cached,
            changed: record.changeset.is_some(),
            deferred: step.deferred,
            why: why.clone().unwrap_or_default(),
            changeset: record.changeset,
        });
        ran.built.push(BuiltStep {
            image: placed.image,
            name: step.name(),
            parts: step.parts.clone(),
            parameters: parameters::remembered(&step.operation.parameters()),
            state: ran.state,
            changeset: record.changeset,
            cached,
            why: why.unwrap_or_default(),
        });
        before.push((step.name(), record.changeset));
        ran.state = key::next_state(ran.state, record.changeset);
        ran.warnings.extend(record.warnings);
    }
    Ok(ran)
}

/// Why a step that runs does: what is other than in the last build of the output.
fn why(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    before: &[Before],
    state: Blake3,
    first: Blake3,
) -> Vec<Cause> {
    let Some(compared) = engine.compared else { return Vec::new() };
    let step = placed.step;
    let asked = Question {
        image: placed.image,
        name: &step.name(),
        parts: &step.parts,
        parameters: &step.operation.parameters(),
        before,
        state: Some(state),
        first,
    };
    let mut causes = compared.present.causes(&asked, compared.last);
    if engine.settings.no_cache {
        let forced = if compared.damaged { Cause::CacheDamaged } else { Cause::NoCache };
        // Whether it is still remembered was not asked.
        causes.retain(|cause| *cause != Cause::Forgotten);
        causes.insert(0, forced);
    }
    causes
}

/// Replays or applies a step on `image`, which is in `state`; gives its record, and why it ran unless it was remembered. `known` is what is remembered of it.
fn run_step(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    known: Option<&Recalled>,
    prepared: &PreparedSteps,
    image: &mut Image,
    state: &Blake3,
    why: &dyn Fn() -> Vec<Cause>,
) -> Result<(Option<Vec<Cause>>, StepRecord), Failure> {
    let Engine { store, settings, .. } = *engine;
    let Placed { step, number, .. } = *placed;
    let (title, index) = (step.title.as_str(), placed.index());
    let key = step.parts.step_key(state);
    // Behind a step that had to run, the state may still be one that is remembered: the step changed nothing, or did what it did before.
    let recalled = match known {
        Some(_) => None,
        None if settings.no_cache => None,
        None => match store.json(RecordKind::Step, &key)? {
            Some(record) => recall(engine, record)?,
            None => None,
        },
    };
    if let Some((record, changeset)) = known.or(recalled.as_ref()) {
        tracing::info!("step {number}: cached, state and inputs are those of key {key} ({title})");
        (settings.events)(Event::StepCached { number, title, image: index });
        image.replay(changeset).map_err(Failure::Replay)?;
        (settings.events)(Event::StepReplayed { number });
        return Ok((None, record.clone()));
    }
    let why = why();
    let texts: Vec<String> = why.iter().map(ToString::to_string).collect();
    tracing::info!("step {number}: applying, key {key} ({title}): {}", texts.join("; "));
    (settings.events)(Event::StepApplying { number, title, image: index });
    let prepared_key = step.parts.prepared_key();
    let late;
    let prepared = match prepared.get(&prepared_key) {
        Some(prepared) => prepared,
        None => {
            late = prepare::prepare(engine, &[*placed])?;
            &late[&prepared_key]
        }
    };
    image.begin_step();
    let applied = step.operation.apply(prepared, image);
    let changeset = image.end_step();
    applied.map_err(|error| placed.failure(&error))?;
    let digest = (!changeset.is_empty()).then(|| changeset.digest());
    if let Some(digest) = &digest {
        store.put_record(RecordKind::Changeset, digest, &changeset.to_bytes())?;
    }
    let warnings = step.operation.warnings(prepared);
    let warnings = warnings.iter().map(|problem| format!("{}: {}", problem.item, problem.cause));
    let record = StepRecord { changeset: digest, warnings: warnings.collect() };
    store.put_json(RecordKind::Step, &key, &record)?;
    tracing::info!("step {number}: applied, {} changes, changeset {digest:?}", changeset.0.len());
    (settings.events)(Event::StepApplied { number, changes: changeset.0.len() });
    Ok((Some(why), record))
}

/// Content of the store for the image; remembers when something was lost, so that the build begins again.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) store: Arc<Store>,
    pub(super) lost: AtomicBool,
}

impl StoredContent for Content {
    fn read(&self, blob: &StoredBlob) -> io::Result<Vec<u8>> {
        self.store.read(blob).map_err(|error| {
            if error.is_lost() {
                self.lost.store(true, Ordering::Relaxed);
            }
            io::Error::other(error)
        })
    }
}
