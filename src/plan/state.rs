//! What the store knows of a plan: which steps are cached, why others are not, and whether the output is there already.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    cause::{Before, Cause, Present, Question},
    key,
    memory::{OutputRecord, PastBuild},
    model::{Plan, PlannedImage, Step},
};
use crate::{
    base::{digest::Blake3, filetime::FileTime},
    format::wim::part_path,
    recipe::OutputImages,
    store::{RecordKind, Stamp, Store, StoreError},
};

/// Raised when the same image and settings are written as other bytes.
pub(super) const COMMIT_VERSION: u32 = 3;

/// What is remembered of a step under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    /// Digest of what it did; `None` when it changed nothing.
    pub changeset: Option<Blake3>,
    /// What was odd about its inputs.
    pub warnings: Vec<String>,
}

/// What is known of the states of a plan's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// For each step: the state before it, as far as it is known without running a step.
    pub states: Vec<Option<Blake3>>,
    /// For each step: what is remembered of it.
    pub records: Vec<Option<StepRecord>>,
    /// The state after the last step, if every step is remembered.
    pub last: Option<Blake3>,
}

/// Follows the chain of remembered steps of `image` as far as it goes.
///
/// # Errors
/// When the store cannot be read.
pub fn follow(image: &PlannedImage, epoch: FileTime, store: &Store) -> Result<Chain, StoreError> {
    follow_steps(&image.steps, key::first_state(&image.identity, epoch), store)
}

/// Follows the chain of remembered steps as far as it goes; `first` is the state before them.
///
/// # Errors
/// When the store cannot be read.
pub fn follow_steps<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    first: Blake3,
    store: &Store,
) -> Result<Chain, StoreError> {
    let mut state = Some(first);
    let mut chain = Chain { states: Vec::new(), records: Vec::new(), last: None };
    for step in steps {
        let record: Option<StepRecord> = match &state {
            Some(state) => store.json(RecordKind::Step, &step.parts.step_key(state))?,
            None => None,
        };
        chain.states.push(state);
        state = match (state, &record) {
            (Some(state), Some(record)) => Some(key::next_state(state, record.changeset)),
            _ => None,
        };
        chain.records.push(record);
    }
    chain.last = state;
    Ok(chain)
}

/// Whether a step will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// Its result is remembered.
    Cached,
    /// It will run, and why.
    Runs(#[serde(serialize_with = "super::cause::as_texts")] Vec<Cause>),
    /// That depends on what an earlier step does.
    DependsOn {
        /// The number of that step.
        step: usize,
        /// True when its inputs were prepared before: at most it is applied again, which takes milliseconds.
        prepared: bool,
    },
}

/// The status of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageStatus {
    /// Of each step, in order.
    pub steps: Vec<StepStatus>,
    /// For each step that is not cached: the earlier image, by number, that prepares the same or needs it too. It is prepared once.
    pub shared_with: Vec<Option<u32>>,
    /// For each step: of each step inside, which only a recovery image has.
    pub nested: Vec<Vec<StepStatus>>,
}

/// The status of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Of each image, in order.
    pub images: Vec<ImageStatus>,
    /// True when the output is there already and nothing would be done.
    pub up_to_date: bool,
}

impl Status {
    /// Of all steps of all images, in the order of [`Plan::steps`].
    pub fn steps(&self) -> impl Iterator<Item = &StepStatus> {
        self.images.iter().flat_map(|image| &image.steps)
    }
}

/// Which steps are cached, and why others are not.
///
/// # Errors
/// When the store cannot be read.
pub fn status(plan: &Plan, store: &Store) -> Result<Status, StoreError> {
    let last = last_build(plan, store)?;
    let (mut images, mut states) = (Vec::new(), Vec::new());
    // What an earlier image has prepared by the time of a later one, by its key.
    let mut prepared: BTreeMap<Blake3, u32> = BTreeMap::new();
    for image in &plan.images {
        let chain = follow(image, plan.epoch, store)?;
        let past = last.as_ref().map(|last| &last.build);
        let why = |place| why(plan, image, place, &chain, past);
        let mut status = ImageStatus {
            steps: status_of(&image.steps, &chain, store, &why)?,
            ..ImageStatus::default()
        };
        for (step, of_step) in image.steps.iter().zip(&status.steps) {
            let is_needed = !step.parts.inputs.is_empty() && *of_step != StepStatus::Cached;
            let first = is_needed
                .then(|| *prepared.entry(step.parts.prepared_key()).or_insert(image.index));
            status.shared_with.push(first.filter(|first| *first != image.index));
            let Some(nested) = &step.nested else {
                status.nested.push(Vec::new());
                continue;
            };
            let chain =
                follow_steps(&nested.steps, key::first_state(&nested.identity, plan.epoch), store)?;
            let unknown = |_| Vec::new();
            status.nested.push(status_of(&nested.steps, &chain, store, &unknown)?);
        }
        images.push(status);
        states.extend(chain.last);
    }
    let up_to_date = match &last {
        Some(last) if states.len() == plan.images.len() => is_current(plan, &states, last),
        _ => false,
    };
    Ok(Status { images, up_to_date })
}

/// The status of `steps`, whose remembered results are `chain`; `why` says why the first that is not remembered, by its place, runs.
fn status_of(
    steps: &[Step],
    chain: &Chain,
    store: &Store,
    why: &dyn Fn(usize) -> Vec<Cause>,
) -> Result<Vec<StepStatus>, StoreError> {
    let mut unknown = None;
    let mut statuses = Vec::new();
    for (place, (step, record)) in steps.iter().zip(&chain.records).enumerate() {
        statuses.push(match (record, unknown) {
            (_, Some(number)) => {
                let key = step.parts.prepared_key();
                let prepared = store.record(RecordKind::Prepared, &key)?.is_some();
                StepStatus::DependsOn { step: number, prepared }
            }
            (Some(_), None) => StepStatus::Cached,
            (None, None) => {
                unknown = Some(step.number);
                StepStatus::Runs(why(place))
            }
        });
    }
    Ok(statuses)
}

/// Why the step at `place` of `image` runs: what changed since the last build of this output. Of a step behind one that has to run only what is its own.
#[must_use]
pub fn why(
    plan: &Plan,
    image: &PlannedImage,
    place: usize,
    chain: &Chain,
    last: Option<&PastBuild>,
) -> Vec<Cause> {
    let Some(step) = image.steps.get(place) else { return Vec::new() };
    let done = image.steps.iter().zip(&chain.records).take(place);
    let before: Vec<Before> = done
        .map(|(step, record)| (step.name(), record.as_ref().and_then(|record| record.changeset)))
        .collect();
    let asked = Question {
        image: image.index,
        name: &step.name(),
        parts: &step.parts,
        parameters: &step.operation.parameters(),
        before: &before,
        state: chain.states.get(place).copied().flatten(),
        first: key::first_state(&image.identity, plan.epoch),
    };
    Present::of(plan).causes(&asked, last)
}

/// What is remembered of the last build of the plan's output.
///
/// # Errors
/// When the store cannot be read.
pub fn last_build(plan: &Plan, store: &Store) -> Result<Option<OutputRecord>, StoreError> {
    last_build_of(&plan.output.path, store)
}

/// What is remembered of the last build of the output at `path`: no plan is needed for that.
///
/// # Errors
/// When the store cannot be read.
pub fn last_build_of(path: &Path, store: &Store) -> Result<Option<OutputRecord>, StoreError> {
    let root = store.root(&output_key_of(path))?;
    Ok(root.and_then(|root| serde_json::from_str(&root.details).ok()))
}

/// True when the output at its place is what a commit of `states`, one for each image, would write: by its stamp, nothing is read. Never with secrets: their
/// values are in no key.
#[must_use]
pub fn is_current(plan: &Plan, states: &[Blake3], last: &OutputRecord) -> bool {
    let is_there = |path: &Path, stamp: &Stamp| {
        fs_err::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
    };
    plan.secrets.is_empty()
        && last.build.commit == commit_key(plan, states)
        && !last.racy
        && is_there(&plan.output.path, &last.stamp)
        && (2..)
            .zip(&last.parts)
            .all(|(number, stamp)| is_there(&part_path(&plan.output.path, number), stamp))
}

/// The name of the plan's output in the store: the same for every way to write its path.
#[must_use]
pub fn output_key(plan: &Plan) -> Blake3 {
    output_key_of(&plan.output.path)
}

/// The path from the root, the same for every way to write it: links on the way to it are followed, as far as it is there. What it names itself may be a link.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folders = absolute.ancestors().skip(1);
    let real =
        folders.filter_map(|folder| Some((folder, fs_err::canonicalize(folder).ok()?))).next();
    match real.and_then(|(folder, real)| Some(real.join(absolute.strip_prefix(folder).ok()?))) {
        Some(real) => real,
        None => absolute,
    }
}

/// The name in the store of the output at `path`.
#[must_use]
pub fn output_key_of(path: &Path) -> Blake3 {
    key::key("transom output 1", &[real_path(path).as_os_str().as_encoded_bytes()])
}

/// The key of a commit of `states`, one for each image: everything that the output's bytes depend on, but for the values of secrets.
#[must_use]
pub fn commit_key(plan: &Plan, states: &[Blake3]) -> Blake3 {
    let output = &plan.output;
    let level = output.resources.level.word();
    let images = match output.images {
        OutputImages::Selected => "selected",
        OutputImages::All => "all",
    };
    // Tags keep "no name" and "an empty name" apart.
    let text = |text: &Option<String>| match text {
        None => vec![0],
        Some(text) => [&[1], text.as_bytes()].concat(),
    };
    let image = |(image, state): (&PlannedImage, &Blake3)| {
        let [name, description] = [&image.name, &image.description].map(text);
        let parts: [&[u8]; 4] = [&state.0, &image.index.to_le_bytes(), &name, &description];
        key::key("transom commit image 1", &parts).0
    };
    let built: Vec<u8> = plan.images.iter().zip(states).flat_map(image).collect();
    let integrity = [u8::from(output.integrity)];
    let solid = output.solid.map_or_else(Vec::new, |solid| {
        let text =
            format!("{}-{}-{}", solid.codec, solid.chunk_size, solid.codec.encoder_version());
        text.into_bytes()
    });
    let part_limit = output.part_limit.unwrap_or(0).to_le_bytes();
    key::key(
        "transom commit 2",
        &[
            &COMMIT_VERSION.to_le_bytes(),
            &built,
            &plan.base.blake3.0,
            output.resources.codec.to_string().as_bytes(),
            &output.resources.codec.encoder_version().to_le_bytes(),
            &output.resources.chunk_size.to_le_bytes(),
            level.as_bytes(),
            &solid,
            &part_limit,
            &integrity,
            images.as_bytes(),
            &plan.epoch.0.to_le_bytes(),
        ],
    )
}
