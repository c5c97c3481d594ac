//! What the store knows of a plan: which steps are cached, why others are not, and whether the output is there already.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    key::{self, KeyParts},
    model::Plan,
};
use crate::{
    base::digest::Blake3,
    format::wim::part_path,
    recipe::OutputImages,
    store::{RecordKind, Stamp, Store, StoreError},
};

/// Raised when the same image and settings are written as other bytes.
const COMMIT_VERSION: u32 = 3;

/// What is remembered of a step under its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    /// Digest of what it did; `None` when it changed nothing.
    pub changeset: Option<Blake3>,
    /// What was odd about its inputs.
    pub warnings: Vec<String>,
}

/// What is remembered of an output: from what it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutputRecord {
    /// The commit's key.
    pub commit: Blake3,
    /// The file as it was when it was written.
    pub stamp: Stamp,
    /// The further parts of a split set.
    #[serde(default)]
    pub parts: Vec<Stamp>,
    /// True when a stamp is too coarse to tell a change right after the build: it is then not believed.
    #[serde(default)]
    pub racy: bool,
    /// Its steps in order.
    pub steps: Vec<BuiltStep>,
}

impl OutputRecord {
    /// Size of all parts in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stamp.size + self.parts.iter().map(|part| part.size).sum::<u64>()
    }
}

/// A step of a past build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuiltStep {
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What its key was made of.
    pub parts: KeyParts,
    /// The state of the image before it.
    pub state: Blake3,
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

/// Follows the chain of remembered steps as far as it goes.
///
/// # Errors
/// When the store cannot be read.
pub fn follow(plan: &Plan, store: &Store) -> Result<Chain, StoreError> {
    let mut state = Some(key::first_state(&plan.base.identity, plan.epoch));
    let mut chain = Chain { states: Vec::new(), records: Vec::new(), last: None };
    for step in &plan.steps {
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
    Runs(Vec<String>),
    /// That depends on what an earlier step does.
    DependsOn {
        /// The number of that step.
        step: usize,
        /// True when its inputs were prepared before: at most it is applied again, which takes milliseconds.
        prepared: bool,
    },
}

/// The status of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Of each step, in order.
    pub steps: Vec<StepStatus>,
    /// True when the output is there already and nothing would be done.
    pub up_to_date: bool,
}

/// Which steps are cached, and why others are not.
///
/// # Errors
/// When the store cannot be read.
pub fn status(plan: &Plan, store: &Store) -> Result<Status, StoreError> {
    let chain = follow(plan, store)?;
    let last = last_build(plan, store)?;
    let mut steps = Vec::new();
    let mut unknown = None;
    for (step, (state, record)) in plan.steps.iter().zip(chain.states.iter().zip(&chain.records)) {
        steps.push(match (state, record, unknown) {
            (_, _, Some(number)) => {
                let key = step.parts.prepared_key();
                let prepared = store.record(RecordKind::Prepared, &key)?.is_some();
                StepStatus::DependsOn { step: number, prepared }
            }
            (_, Some(_), _) => StepStatus::Cached,
            (state, None, _) => {
                unknown = Some(step.number);
                StepStatus::Runs(why(&step.name(), &step.parts, state.as_ref(), last.as_ref()))
            }
        });
    }
    let up_to_date = match (chain.last, &last) {
        (Some(state), Some(last)) => is_current(plan, &state, last),
        _ => false,
    };
    Ok(Status { steps, up_to_date })
}

/// Which part of the key changed since the last build of this output.
fn why(
    name: &str,
    parts: &KeyParts,
    state: Option<&Blake3>,
    last: Option<&OutputRecord>,
) -> Vec<String> {
    let Some(last) = last else {
        return vec!["this output was not built with this cache yet".to_owned()];
    };
    let Some(built) = last.steps.iter().find(|built| built.name == name) else {
        return vec!["it is new in the recipe".to_owned()];
    };
    let mut why = parts.changed_since(&built.parts);
    if state != Some(&built.state) {
        why.push("the image before it is another (base, epoch or an earlier step)".to_owned());
    }
    if why.is_empty() {
        why.push("its result is no longer in the cache".to_owned());
    }
    why
}

/// What is remembered of the last build of the plan's output.
///
/// # Errors
/// When the store cannot be read.
pub fn last_build(plan: &Plan, store: &Store) -> Result<Option<OutputRecord>, StoreError> {
    let root = store.root(&output_key(plan))?;
    Ok(root.and_then(|root| serde_json::from_str(&root.details).ok()))
}

/// True when the output at its place is what a commit of `state` would write: by its stamp, nothing is read. Never with secrets: their values are in
/// no key.
#[must_use]
pub fn is_current(plan: &Plan, state: &Blake3, last: &OutputRecord) -> bool {
    let is_there = |path: &Path, stamp: &Stamp| {
        fs_err::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
    };
    plan.secrets.is_empty()
        && last.commit == commit_key(plan, state)
        && !last.racy
        && is_there(&plan.output.path, &last.stamp)
        && (2..)
            .zip(&last.parts)
            .all(|(number, stamp)| is_there(&part_path(&plan.output.path, number), stamp))
}

/// The name of the plan's output in the store: the same for every way to write its path.
#[must_use]
pub fn output_key(plan: &Plan) -> Blake3 {
    let path = &plan.output.path;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    key::key("transom output 1", &[absolute.as_os_str().as_encoded_bytes()])
}

/// The key of a commit of `state`: everything that the output's bytes depend on, but for the values of secrets.
#[must_use]
pub fn commit_key(plan: &Plan, state: &Blake3) -> Blake3 {
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
    let integrity = [u8::from(output.integrity)];
    let solid = output.solid.map_or_else(Vec::new, |solid| {
        let text =
            format!("{}-{}-{}", solid.codec, solid.chunk_size, solid.codec.encoder_version());
        text.into_bytes()
    });
    let part_limit = output.part_limit.unwrap_or(0).to_le_bytes();
    key::key(
        "transom commit 1",
        &[
            &COMMIT_VERSION.to_le_bytes(),
            &state.0,
            &plan.base.blake3.0,
            &plan.base.index.to_le_bytes(),
            output.resources.codec.to_string().as_bytes(),
            &output.resources.codec.encoder_version().to_le_bytes(),
            &output.resources.chunk_size.to_le_bytes(),
            level.as_bytes(),
            &solid,
            &part_limit,
            &integrity,
            images.as_bytes(),
            &text(&plan.image.name),
            &text(&plan.image.description),
            &plan.epoch.0.to_le_bytes(),
        ],
    )
}
