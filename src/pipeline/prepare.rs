//! Preparing steps: the part that needs the inputs alone, in parallel, remembered by operation, parameters and inputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    build::Settings,
    error::BuildError,
    event::Event,
    nested,
    run::{Engine, Placed},
};
use crate::{
    base::{digest::Blake3, read_at::ReadAt},
    plan::inputs::ResolvedInputs,
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

/// What was prepared, by its key: steps of several images that prepare the same share it.
pub(super) type PreparedSteps = BTreeMap<Blake3, Prepared>;

/// Prepares `steps`, each unless that is remembered; what is the same is prepared once.
///
/// # Errors
/// The error of the first step that cannot be prepared.
pub(super) fn prepare(
    engine: &Engine<'_>,
    steps: &[Placed<'_>],
) -> Result<PreparedSteps, BuildError> {
    let mut keys = BTreeSet::new();
    let steps: Vec<(Blake3, &Placed<'_>)> = steps
        .iter()
        .map(|placed| (placed.step.parts.prepared_key(), placed))
        .filter(|(key, _)| keys.insert(*key))
        .collect();
    let results: Vec<_> = steps
        .par_iter()
        .map(|(key, placed)| Ok((*key, prepare_step(engine, placed, key)?)))
        .collect();
    // In the order of the plan, so that the error is the same for any number of threads.
    results.into_iter().collect()
}

fn prepare_step(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    key: &Blake3,
) -> Result<Prepared, BuildError> {
    let Engine { store, settings, stored, .. } = *engine;
    let Placed { step, number, .. } = *placed;
    // Without inputs there is nothing worth remembering.
    let has_inputs = !step.parts.inputs.is_empty();
    if has_inputs
        && !settings.no_cache
        && let Some(record) = store.json::<PreparedRecord>(RecordKind::Prepared, key)?
        && all_there(store, &record.blobs, &stored)?
    {
        tracing::info!("step {number}: prepared before, key {key}");
        return Ok(record.prepared);
    }
    if (settings.cancelled)() {
        return Err(BuildError::Cancelled);
    }
    if has_inputs {
        let (title, image) = (step.title.as_str(), placed.index());
        (settings.events)(Event::StepPreparing { number, title, image });
    }
    let sink = Sink { store, resources: stored, settings, number, taken: Mutex::default() };
    if let Some(inside) = &step.nested {
        let (prepared, blobs) = nested::service(engine, placed, inside)?;
        return keep(engine, number, key, PreparedRecord { prepared, blobs });
    }
    let inputs = PlanInputs(engine.inputs);
    let prepared = step.operation.prepare(&inputs, &sink).map_err(|error| {
        if (settings.cancelled)() { BuildError::Cancelled } else { placed.failure(&error) }
    })?;
    if !has_inputs {
        tracing::debug!("step {number}: prepared, it has no inputs");
        return Ok(prepared);
    }
    let mut blobs = sink.taken.into_inner().unwrap_or_else(PoisonError::into_inner);
    blobs.sort();
    blobs.dedup();
    keep(engine, number, key, PreparedRecord { prepared, blobs })
}

/// Remembers what was prepared.
fn keep(
    engine: &Engine<'_>,
    number: usize,
    key: &Blake3,
    record: PreparedRecord,
) -> Result<Prepared, BuildError> {
    engine.store.put_json(RecordKind::Prepared, key, &record)?;
    tracing::info!("step {number}: prepared, {} blobs, key {key}", record.blobs.len());
    (engine.settings.events)(Event::StepPrepared { number });
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
struct PlanInputs<'a>(&'a ResolvedInputs);

impl Inputs for PlanInputs<'_> {
    fn input(&self, id: &InputId) -> Result<Arc<InputTree>, ServicingError> {
        match self.0.get(id) {
            Some(input) => Ok(Arc::new(input.tree())),
            None => Err(ServicingError::Input {
                input: id.0.clone(),
                source: io::Error::new(io::ErrorKind::NotFound, "the plan does not know it"),
            }),
        }
    }
}

/// Content that cannot be read any more once the caller asked to stop: one big file must not keep it waiting.
struct Interruptible<'a> {
    source: &'a dyn ReadAt,
    cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl fmt::Debug for Interruptible<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(formatter)
    }
}

impl ReadAt for Interruptible<'_> {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if (self.cancelled)() {
            // Not the kind `Interrupted`: that one is tried again.
            return Err(io::Error::other("interrupted"));
        }
        self.source.read_exact_at(offset, buffer)
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
    fn put(
        &self,
        name: &str,
        source: &dyn ReadAt,
        blake3: &Blake3,
    ) -> Result<StoredBlob, ServicingError> {
        let failed = |source| ServicingError::Store { item: name.to_owned(), source };
        if (self.settings.cancelled)() {
            return Err(failed("interrupted".into()));
        }
        // The plan knows the content by this digest; anything else under its name would be taken for it for ever.
        let source = Interruptible { source, cancelled: self.settings.cancelled };
        let stored = self.store.put_known_blob(&source, *blake3, &self.resources);
        let blob = stored.map_err(|error| match error {
            StoreError::Changed => ServicingError::Changed { input: name.to_owned() },
            StoreError::Source(error) => ServicingError::input(name, error),
            error => failed(Box::new(error)),
        })?;
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(blob);
        (self.settings.events)(Event::StepContent { number: self.number, bytes: blob.size });
        Ok(blob)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::codec::{Codec, Level};

    const FORM: ResourceSettings =
        ResourceSettings { codec: Codec::Xpress, chunk_size: 4096, level: Level::Default };

    fn put(
        store: &Store,
        settings: &Settings<'_>,
        source: &dyn ReadAt,
        blake3: &Blake3,
    ) -> Result<StoredBlob, ServicingError> {
        let sink = Sink { store, resources: FORM, settings, number: 1, taken: Mutex::default() };
        sink.put("drivers/a.sys", source, blake3)
    }

    #[test]
    fn an_input_that_changed_after_it_was_hashed_does_not_get_into_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (old, new) = (b"old content".to_vec(), b"new content".to_vec());
        let error = put(&store, &Settings::default(), &new, &Blake3::of(&old)).unwrap_err();
        assert!(matches!(&error, ServicingError::Changed { input } if input == "drivers/a.sys"));
        assert!(!folder.path().join("blobs").exists());
        let blob = put(&store, &Settings::default(), &old, &Blake3::of(&old)).unwrap();
        assert_eq!(store.read(&blob).unwrap(), old);
    }

    /// Content that cannot be read, as the system says it.
    #[derive(Debug)]
    struct Unreadable(io::ErrorKind);

    impl ReadAt for Unreadable {
        fn size(&self) -> u64 {
            100_000
        }

        fn read_exact_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn an_input_that_vanished_after_the_plan_is_a_bad_input_and_not_a_broken_cache() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let told = |kind| {
            let source = Unreadable(kind);
            put(&store, &Settings::default(), &source, &Blake3::of(b"known")).unwrap_err()
        };
        let vanished = told(io::ErrorKind::NotFound);
        assert!(
            matches!(&vanished, ServicingError::Input { input, .. } if input == "drivers/a.sys")
        );
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::StaleNetworkFileHandle] {
            assert!(matches!(told(kind), ServicingError::Changed { .. }), "{kind}");
        }
    }

    /// Much content; counts how much of it was read.
    #[derive(Debug, Default)]
    struct Endless(AtomicU64);

    impl ReadAt for Endless {
        fn size(&self) -> u64 {
            1 << 40
        }

        fn read_exact_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.0.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn an_interrupt_ends_the_taking_in_of_one_big_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let source = Endless::default();
        let cancelled = || source.0.load(Ordering::Relaxed) > 1 << 20;
        let settings = Settings { cancelled: &cancelled, ..Settings::default() };
        put(&store, &settings, &source, &Blake3::of(b"known")).unwrap_err();
        assert!(source.0.load(Ordering::Relaxed) < 1 << 30);
    }
}
