//! What the steps of an image did, from the store: as the plan is now, or, where steps of it have not run, as the last build did it.

use std::{io, sync::Arc};

use crate::{
    base::{digest::Blake3, filetime::FileTime, limits::Limits},
    image::{Changeset, Image, ImageError, StoredContent},
    plan::{
        memory::OutputRecord,
        model::{Plan, PlannedImage},
        state,
    },
    store::{RecordKind, Store, StoreError, StoredBlob},
};

/// Which build the deeds are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The plan as it is now.
    Plan,
    /// The last build that wrote the output: the plan has steps that never ran.
    LastBuild,
}

/// What a step did.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Its number in the order of execution of its image, from 1.
    pub number: usize,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What it does, where the plan has it.
    pub title: Option<String>,
    /// Where it stands in the recipe, where the plan has it.
    pub origin: Option<String>,
    /// What it did.
    pub changes: Changeset,
}

/// What the steps of an image did, as far as it is known.
#[derive(Debug, Clone)]
pub struct Deeds {
    /// Which build they are of.
    pub source: Source,
    /// The steps in order.
    pub steps: Vec<Deed>,
    /// The names of the steps behind them of which it is not known.
    pub unknown: Vec<String>,
    /// Time of everything new.
    pub epoch: FileTime,
}

/// What a changeset says; `None` when it is gone. No digest is no change.
///
/// # Errors
/// When the store cannot be read.
pub fn changeset(digest: Option<&Blake3>, store: &Store) -> Result<Option<Changeset>, StoreError> {
    let Some(digest) = digest else { return Ok(Some(Changeset::default())) };
    let bytes = store.record(RecordKind::Changeset, digest)?;
    Ok(bytes.and_then(|bytes| Changeset::from_bytes(&bytes)))
}

/// What the steps of `image` did: of the plan when all of them are remembered, else of the last build when that is and began with the same image,
/// else those of the plan that are.
///
/// # Errors
/// When the store cannot be read.
pub fn of_image(
    plan: &Plan,
    image: &PlannedImage,
    last: Option<&OutputRecord>,
    store: &Store,
) -> Result<Deeds, StoreError> {
    let now = of_plan(plan, image, store)?;
    if now.unknown.is_empty() {
        return Ok(now);
    }
    Ok(of_last_build(plan, image, last, store)?.unwrap_or(now))
}

fn of_plan(plan: &Plan, image: &PlannedImage, store: &Store) -> Result<Deeds, StoreError> {
    let chain = state::follow(image, plan.epoch, store)?;
    let mut deeds =
        Deeds { source: Source::Plan, steps: Vec::new(), unknown: Vec::new(), epoch: plan.epoch };
    for (step, record) in image.steps.iter().zip(&chain.records) {
        let changes = match record {
            Some(record) if deeds.unknown.is_empty() => {
                changeset(record.changeset.as_ref(), store)?
            }
            _ => None,
        };
        match changes {
            Some(changes) => deeds.steps.push(Deed {
                number: step.number,
                name: step.name(),
                title: Some(step.title.clone()),
                origin: Some(step.origin.to_string()),
                changes,
            }),
            None => deeds.unknown.push(step.name()),
        }
    }
    Ok(deeds)
}

/// `None` when there is no last build of this image, or not all of it is known.
fn of_last_build(
    plan: &Plan,
    image: &PlannedImage,
    last: Option<&OutputRecord>,
    store: &Store,
) -> Result<Option<Deeds>, StoreError> {
    let Some(build) = last.map(|last| &last.build) else { return Ok(None) };
    let (Some(from), Some(built)) = (&build.from, build.image(image.index)) else {
        return Ok(None);
    };
    if built.identity != image.identity {
        return Ok(None);
    }
    let mut steps = Vec::new();
    for (number, step) in (1..).zip(build.steps_of(image.index)) {
        let Some(changes) = changeset(step.changeset.as_ref(), store)? else { return Ok(None) };
        let planned =
            plan.images.iter().find(|planned| planned.index == image.index).and_then(|planned| {
                planned.steps.iter().find(|planned| planned.name() == step.name)
            });
        steps.push(Deed {
            number,
            name: step.name.clone(),
            title: planned.map(|planned| planned.title.clone()),
            origin: planned.map(|planned| planned.origin.to_string()),
            changes,
        });
    }
    let (source, unknown) = (Source::LastBuild, Vec::new());
    Ok(Some(Deeds { source, steps, unknown, epoch: from.epoch }))
}

/// The base image that `image` starts from, ready for the steps to be done to it again.
///
/// # Errors
/// When it cannot be read.
pub fn open_base(
    plan: &Plan,
    image: &PlannedImage,
    epoch: FileTime,
    store: &Arc<Store>,
) -> Result<Image, ImageError> {
    let mut base = Image::open(Arc::clone(&plan.base.wim), image.index, &Limits::default())?;
    base.set_epoch(epoch);
    base.set_stored_content(Arc::new(FromStore(Arc::clone(store))));
    Ok(base)
}

/// Content of the store.
#[derive(Debug)]
struct FromStore(Arc<Store>);

impl StoredContent for FromStore {
    fn read(&self, blob: &StoredBlob) -> io::Result<Vec<u8>> {
        self.0.read(blob).map_err(io::Error::other)
    }
}
