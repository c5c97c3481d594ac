//! One step in detail: what it was told, what its key is made of, and what it did.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{
    deeds,
    overview::{Explanation, StepExplained},
};
use crate::{
    base::digest::Blake3,
    image::{Change, Changeset},
    plan::{
        memory::OutputRecord,
        model::{Plan, PlannedImage, Step},
        parameters, state,
    },
    recipe::finding::nearest,
    store::{Store, StoreError},
};

/// As many changes are shown unless all are asked for.
pub const SHOWN: usize = 40;

/// Which step is meant by a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// None has such a name or number.
    #[error("the plan has no step `{given}`")]
    None {
        /// What was asked for.
        given: String,
        /// The step that was probably meant.
        near: Option<String>,
    },
    /// It is a number, and the plan has not so many steps.
    #[error("the plan has no step {given}")]
    NoNumber {
        /// What was asked for.
        given: String,
        /// The number of the last step; of several images, of the one with the most. 0 when there is none.
        last: usize,
    },
    /// More than one has it in its name.
    #[error("`{given}` is in the names of several steps")]
    Several {
        /// What was asked for.
        given: String,
        /// Their names.
        names: Vec<String>,
    },
}

/// The steps that `given` means, by image and place: a number, which is never a part of a name; a name (`services.RemoteRegistry`), what stands behind the section, or a part of a name or
/// title that only one step has. Of several images each may have it.
///
/// # Errors
/// When it means none, or steps of several names.
pub fn find(plan: &Plan, given: &str) -> Result<Vec<(usize, usize)>, FindError> {
    let all: Vec<(usize, usize, &Step)> = plan
        .images
        .iter()
        .enumerate()
        .flat_map(|(image, planned)| {
            planned.steps.iter().enumerate().map(move |(place, step)| (image, place, step))
        })
        .collect();
    let wanted = given.trim().to_lowercase();
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    let number = wanted.parse::<usize>().ok();
    let is = |test: &dyn Fn(&Step) -> bool| -> Vec<(usize, usize, &Step)> {
        all.iter().filter(|(_, _, step)| test(step)).copied().collect()
    };
    let ways: [&dyn Fn(&Step) -> bool; 4] = [
        &|step| number == Some(step.number),
        &|step| step.name().to_lowercase() == wanted,
        &|step| step.label.to_lowercase() == wanted,
        &|step| {
            let has = |text: &str| text.to_lowercase().contains(&wanted);
            // A number is none of a title's digits.
            !wanted.is_empty() && !is_number && (has(&step.name()) || has(&step.title))
        },
    ];
    for way in ways {
        let found = is(way);
        let mut names: Vec<String> = found.iter().map(|(_, _, step)| step.name()).collect();
        names.sort();
        names.dedup();
        if names.len() == 1 || (!found.is_empty() && is_number) {
            return Ok(found.into_iter().map(|(image, place, _)| (image, place)).collect());
        }
        if names.len() > 1 {
            return Err(FindError::Several { given: given.to_owned(), names });
        }
    }
    if is_number {
        let last = all.iter().map(|(_, _, step)| step.number).max().unwrap_or(0);
        return Err(FindError::NoNumber { given: wanted, last });
    }
    let names: Vec<String> = all.iter().map(|(_, _, step)| step.name()).collect();
    let labels = all.iter().map(|(_, _, step)| step.label.as_str());
    let near = nearest(given, names.iter().map(String::as_str).chain(labels));
    Err(FindError::None { given: given.to_owned(), near: near.map(str::to_owned) })
}

/// A step in detail. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepDetail<'a> {
    /// Number of its image in the base.
    pub image: u32,
    /// What tells its image from others; `None` when there is only one.
    #[serde(skip)]
    pub label: Option<String>,
    /// Why it is where it is, and why it runs.
    pub step: StepExplained<'a>,
    /// What it was told, leaf by leaf: name and value. Secrets by name alone.
    pub parameters: Vec<Parameter>,
    /// What it reads.
    pub inputs: Vec<InputDetail>,
    /// Its key, and what that is made of.
    pub key: KeyDetail,
    /// What it did; `None` when that is not known.
    pub changes: Option<ChangesDetail>,
    /// The steps inside a recovery image: number and title.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<(usize, &'a str)>,
}

/// A parameter.
#[derive(Debug, Serialize)]
pub struct Parameter {
    /// Its name: `values.AllowTelemetry`.
    pub name: String,
    /// Its value, in short.
    pub value: String,
}

/// An input.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputDetail {
    /// The recipe's text for it.
    pub id: String,
    /// Its digest.
    pub blake3: Blake3,
    /// Size of all files in bytes.
    pub size: u64,
    /// How many files, of a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<usize>,
    /// What it says it is: identities of packages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
}

/// A key and its parts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyDetail {
    /// Kind of operation.
    pub operation: String,
    /// Version of what the kind does.
    pub version: u32,
    /// BLAKE3 of the parameters.
    pub parameters: Blake3,
    /// The state of the image before it; `None` when an earlier step has to run first.
    pub state: Option<Blake3>,
    /// The step's key; `None` when the state before is not known.
    pub step: Option<Blake3>,
    /// The key of what it prepares.
    pub prepared: Blake3,
}

/// What a step did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChangesDetail {
    /// Whether that is of the plan as it is now, or of the last build.
    pub of: deeds::Source,
    /// How many changes.
    pub count: usize,
    /// How many of each kind: `put-file`, `set-value` ...
    pub counts: BTreeMap<&'static str, usize>,
    /// Bytes of the files put in place.
    pub bytes: u64,
    /// The changes in order, the first of them.
    pub first: Vec<ChangeLine>,
    /// How many more.
    pub more: usize,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeLine {
    /// Its kind: `put-file`, `set-value` ...
    pub kind: &'static str,
    /// The path, or the registry key and, behind ` : `, the value's name.
    pub place: String,
    /// What is there now, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

impl ChangeLine {
    /// The change in words.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        Self { kind: change.kind(), place: change.place(), now: change.now() }
    }
}

impl ChangesDetail {
    /// The first `shown` of `changes`.
    #[must_use]
    pub fn of(source: deeds::Source, changes: &Changeset, shown: usize) -> Self {
        let mut counts = BTreeMap::new();
        for change in &changes.0 {
            *counts.entry(change.kind()).or_insert(0) += 1;
        }
        Self {
            of: source,
            count: changes.0.len(),
            counts,
            bytes: changes.0.iter().map(Change::bytes).sum(),
            first: changes.0.iter().take(shown).map(ChangeLine::of).collect(),
            more: changes.0.len().saturating_sub(shown),
        }
    }
}

/// The step at `place` of the plan's image number `image`, both from 0, in detail, with the first `shown` of its changes.
///
/// # Errors
/// When the store cannot be read.
pub fn detail<'a>(
    plan: &'a Plan,
    explanation: &Explanation<'a>,
    (image, place): (usize, usize),
    last: Option<&OutputRecord>,
    store: &Arc<Store>,
    shown: usize,
) -> Result<Option<StepDetail<'a>>, StoreError> {
    let (Some(planned), Some(explained)) = (plan.images.get(image), explanation.images.get(image))
    else {
        return Ok(None);
    };
    let (Some(step), Some(explained)) = (planned.steps.get(place), explained.steps.get(place))
    else {
        return Ok(None);
    };
    let chain = state::follow(planned, plan.epoch, store)?;
    let state = chain.states.get(place).copied().flatten();
    let parts = &step.parts;
    let inputs = parts.inputs.iter().map(|(id, blake3)| {
        let locked = plan.lock.inputs.get(&id.0);
        InputDetail {
            id: id.0.clone(),
            blake3: *blake3,
            size: locked.map_or(0, |input| input.size),
            files: locked.and_then(|input| Some(input.files.as_ref()?.len())),
            is: locked.map(|input| input.is.clone()).unwrap_or_default(),
        }
    });
    let parameters = serde_json::from_slice(&step.operation.parameters());
    let parameters = parameters.map(|value| parameters::listed(&value)).unwrap_or_default();
    let nested = step.nested.iter().flat_map(|nested| &nested.steps);
    Ok(Some(StepDetail {
        image: planned.index,
        label: plan.label_of(planned),
        step: explained.clone(),
        parameters: parameters.into_iter().map(|(name, value)| Parameter { name, value }).collect(),
        inputs: inputs.collect(),
        key: KeyDetail {
            operation: parts.operation.clone(),
            version: parts.version,
            parameters: parts.parameters,
            state,
            step: state.map(|state| parts.step_key(&state)),
            prepared: parts.prepared_key(),
        },
        changes: changes(planned, place, &chain, last, store, shown)?,
        nested: nested.map(|step| (step.number, step.title.as_str())).collect(),
    }))
}

/// What the step did: as the plan is now, or in the last build.
fn changes(
    image: &PlannedImage,
    place: usize,
    chain: &state::Chain,
    last: Option<&OutputRecord>,
    store: &Store,
    shown: usize,
) -> Result<Option<ChangesDetail>, StoreError> {
    if let Some(Some(record)) = chain.records.get(place)
        && let Some(changes) = deeds::changeset(record.changeset.as_ref(), store)?
    {
        return Ok(Some(ChangesDetail::of(deeds::Source::Plan, &changes, shown)));
    }
    let Some(build) = last.map(|last| &last.build).filter(|build| build.from.is_some()) else {
        return Ok(None);
    };
    let name = image.steps[place].name();
    let nth = image.steps[..place].iter().filter(|step| step.name() == name).count();
    let mut built = build.steps_of(image.index).filter(|step| step.name == name);
    let Some(built) = built.nth(nth) else { return Ok(None) };
    let changes = deeds::changeset(built.changeset.as_ref(), store)?;
    Ok(changes.map(|changes| ChangesDetail::of(deeds::Source::LastBuild, &changes, shown)))
}
