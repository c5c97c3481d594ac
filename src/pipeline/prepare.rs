//! Preparing steps: the part that needs the inputs alone, in parallel, remembered by operation, parameters and inputs.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{build::Settings, error::BuildError, event::Event};
use crate::{
    base::read_at::ReadAt,
    plan::{Plan, Step},
    servicing::{BlobSink, InputId, InputTree, Inputs, Prepared, ServicingError},
    store::{RecordKind, ResourceSettings, Store, StoreError, StoredBlob},
};

/// What is remembered of a prepared step.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PreparedRecord {
    prepared: Prepared,
    /// The content it put into the store; the record is worth nothing when that is gone.
    blobs: Vec<StoredBlob>,
}

/// What was prepared, by the place of the step in the plan.
pub(super) type PreparedSteps = BTreeMap<usize, Prepared>;

/// Prepares the steps at `places`, each unless that is remembered.
///
/// # Errors
/// The error of the first step that cannot be prepared.
pub(super) fn prepare(
    plan: &Plan,
    places: &[usize],
    store: &Store,
    settings: &Settings<'_>,
) -> Result<PreparedSteps, BuildError> {
    let results: Vec<_> = places
        .par_iter()
        .map(|place| Ok((*place, prepare_step(plan, &plan.steps[*place], store, settings)?)))
        .collect();
    // In the order of the plan, so that the error is the same for any number of threads.
    results.into_iter().collect()
}

fn prepare_step(
    plan: &Plan,
    step: &Step,
    store: &Store,
    settings: &Settings<'_>,
) -> Result<Prepared, BuildError> {
    let key = step.parts.prepared_key();
    // Without inputs there is nothing worth remembering.
    let has_inputs = !step.parts.inputs.is_empty();
    if has_inputs
        && !settings.no_cache
        && let Some(record) = store.json::<PreparedRecord>(RecordKind::Prepared, &key)?
        && all_there(store, &record.blobs, &plan.output.resources)?
    {
        tracing::info!("step {}: prepared before, key {key}", step.number);
        return Ok(record.prepared);
    }
    if (settings.cancelled)() {
        return Err(BuildError::Cancelled);
    }
    if has_inputs {
        (settings.events)(Event::StepPreparing { number: step.number, title: &step.title });
    }
    let sink = Sink {
        store,
        resources: plan.output.resources,
        settings,
        number: step.number,
        taken: Mutex::default(),
    };
    let prepared = step.operation.prepare(&PlanInputs(plan), &sink).map_err(|error| {
        if (settings.cancelled)() {
            BuildError::Cancelled
        } else {
            BuildError::of_step(step, &error)
        }
    })?;
    if !has_inputs {
        tracing::debug!("step {}: prepared, it has no inputs", step.number);
        return Ok(prepared);
    }
    let mut blobs = sink.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    blobs.sort();
    blobs.dedup();
    let record = PreparedRecord { prepared, blobs };
    store.put_json(RecordKind::Prepared, &key, &record)?;
    tracing::info!("step {}: prepared, {} blobs, key {key}", step.number, record.blobs.len());
    (settings.events)(Event::StepPrepared { number: step.number });
    Ok(record.prepared)
}

/// True when the store has every one of `blobs`.
pub(super) fn all_there(
    store: &Store,
    blobs: &[StoredBlob],
    likely: &ResourceSettings,
) -> Result<bool, StoreError> {
    for blob in blobs {
        if !store.has_blob(blob, likely)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The inputs of a plan as operations see them.
struct PlanInputs<'a>(&'a Plan);

impl Inputs for PlanInputs<'_> {
    fn input(&self, id: &InputId) -> Result<Arc<InputTree>, ServicingError> {
        match self.0.inputs.get(id) {
            Some(input) => Ok(Arc::new(input.tree())),
            None => Err(ServicingError::Input {
                input: id.0.clone(),
                source: io::Error::new(io::ErrorKind::NotFound, "the plan does not know it"),
            }),
        }
    }
}

/// Takes content into the store in the output's own form.
struct Sink<'a> {
    store: &'a Store,
    resources: ResourceSettings,
    settings: &'a Settings<'a>,
    number: usize,
    taken: Mutex<Vec<StoredBlob>>,
}

impl BlobSink for Sink<'_> {
    fn put(&self, source: &dyn ReadAt) -> Result<StoredBlob, ServicingError> {
        let failed = |source| ServicingError::Store { item: "its content".to_owned(), source };
        if (self.settings.cancelled)() {
            return Err(failed("interrupted".into()));
        }
        let blob = self
            .store
            .put_blob(source, &self.resources)
            .map_err(|error| failed(Box::new(error)))?;
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(blob);
        (self.settings.events)(Event::StepContent { number: self.number, bytes: blob.size });
        Ok(blob)
    }
}
