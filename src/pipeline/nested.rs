//! Servicing the recovery image inside an image: the same engine, one level down.
//!
//! Its steps are remembered, prepared and applied like those of any image. What comes of it is written as a WIM of the same compression into a temporary file of
//! the store, and from there becomes content of the store, which the step of the image puts in place.

use std::sync::Arc;

use super::{
    build::Settings,
    error::BuildError,
    event::Event,
    prepare,
    run::{self, Engine, Failure, Placed, Ran},
};
use crate::{
    base::read_at::FileSource,
    codec::{Codec, Level},
    format::wim::{Header, Solid, Volume, Wim, WimError, WriteSettings, write_wim},
    image::{
        Assembly, AssemblyError, BlobLocation, BlobOrder, FinishedImage, Image, StoredContent,
    },
    plan::{Nested, key},
    servicing::{Prepared, winre::PreparedWinRe},
    store::{ResourceSettings, StoreError, StoredBlob},
};

/// What the recovery image is called in messages.
const LABEL: &str = "winre";

/// Does what `nested` says. Gives the serviced file and the content that it put into the store.
///
/// # Errors
/// When a step fails, or the file cannot be written.
pub(super) fn service(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    nested: &Nested,
) -> Result<(Prepared, Vec<StoredBlob>), BuildError> {
    let limits = &engine.settings.limits;
    let wim = nested.open(limits, engine.store).map_err(|error| BuildError::Base(error.into()))?;
    // Its steps are one step of the build: of their own events only what was read is told.
    let events = |event: Event<'_>| {
        if let Event::StepContent { .. } = event {
            (engine.settings.events)(event);
        }
    };
    let mut settings = Settings { events: &events, ..*engine.settings };
    let (finished, ran) = loop {
        let inner = Engine { settings: &settings, stored: stored(&wim), compared: None, ..*engine };
        match image(&inner, placed, nested, &wim) {
            Ok(done) => break done,
            Err(Failure::Build(error)) => return Err(error),
            // As for any image: the record is sound and does not fit.
            Err(Failure::Replay(_)) if !settings.no_cache => settings.no_cache = true,
            Err(Failure::Replay(error)) => return Err(BuildError::Base(error)),
        }
    };
    let mut warnings: Vec<String> = wim.warnings().to_vec();
    warnings.extend(ran.warnings);
    let written = match finished.changed {
        true => Some(write(engine, placed, nested, &wim, finished)?),
        false => None,
    };
    let prepared = PreparedWinRe { from: nested.sha1, wim: written, warnings };
    Ok((Prepared::WinRe(prepared), written.into_iter().collect()))
}

/// Runs the steps.
fn image(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    nested: &Nested,
    wim: &Arc<Wim>,
) -> Result<(FinishedImage, Ran), Failure> {
    let Placed { number, image, .. } = *placed;
    let steps = nested.steps.iter().map(|step| Placed { step, number, image, label: Some(LABEL) });
    let steps: Vec<Placed<'_>> = steps.collect();
    let first = key::first_state(&nested.identity, engine.epoch);
    let remembered = run::remembered(engine, &steps, first)?;
    let missing = steps.iter().zip(&remembered).filter(|(_, known)| known.is_none());
    let missing: Vec<Placed<'_>> = missing.map(|(step, _)| *step).collect();
    let prepared = prepare::prepare(engine, &missing)?;
    let limits = &engine.settings.limits;
    let mut image = Image::open(Arc::clone(wim), nested.index, limits).map_err(BuildError::Base)?;
    image.set_epoch(engine.epoch);
    image.set_stored_content(Arc::clone(engine.content) as Arc<dyn StoredContent>);
    let mut ran = run::run(engine, &steps, &remembered, &prepared, &mut image, first)?;
    let finished = image.finish().map_err(BuildError::Base)?;
    ran.warnings.extend(finished.facts.warnings.iter().cloned());
    Ok((finished, ran))
}

/// The form in which content that goes into `wim` is kept.
fn stored(wim: &Wim) -> ResourceSettings {
    let WriteSettings { codec, chunk_size, level, .. } = settings_of(wim);
    ResourceSettings { codec, chunk_size, level }
}

/// How a WIM like `wim` is written.
fn settings_of(wim: &Wim) -> WriteSettings {
    let header = wim.header();
    let solid = wim.volumes().iter().flat_map(Volume::solids).find(|solid| {
        let codec = solid.codec();
        codec != Codec::None && codec.allows_chunk_size(solid.chunk_size())
    });
    WriteSettings {
        codec: wim.codec(),
        chunk_size: wim.chunk_size(),
        level: Level::Default,
        solid: solid.map(|solid| Solid { codec: solid.codec(), chunk_size: solid.chunk_size() }),
        integrity: header.integrity.size > 0,
        boot_index: header.boot_index,
        rp_fix: header.flags & Header::RP_FIX != 0,
    }
}

/// Writes the serviced WIM and takes it into the store.
fn write(
    engine: &Engine<'_>,
    placed: &Placed<'_>,
    nested: &Nested,
    wim: &Arc<Wim>,
    mut finished: FinishedImage,
) -> Result<StoredBlob, BuildError> {
    let settings = settings_of(wim);
    for blob in &mut finished.blobs {
        if let BlobLocation::Stored(stored) = &blob.location {
            blob.location = BlobLocation::Host(engine.store.content(stored)?);
        }
    }
    let assembly_error = |error: AssemblyError| match error {
        AssemblyError::Wim(error) => BuildError::Base(error.into()),
        error => BuildError::Store(StoreError::Io(std::io::Error::other(error))),
    };
    let mut assembly = Assembly::of(wim);
    assembly.replace(nested.index, finished, engine.epoch).map_err(assembly_error)?;
    let plan = assembly.plan(BlobOrder::of(&settings)).map_err(assembly_error)?;
    let file = engine.store.scratch()?;
    let cancelled = || (engine.settings.cancelled)();
    let written =
        write_wim(&file, &settings, plan.blobs, plan.images, plan.xml, &|_| (), &cancelled);
    written.map_err(|error| match error {
        WimError::Cancelled => BuildError::Cancelled,
        WimError::Io(error) => BuildError::Store(engine.store.full(&error)),
        WimError::Source { source, .. } => BuildError::Store(StoreError::Io(source)),
        error @ WimError::Plan { .. } => BuildError::Internal(error),
        error => BuildError::Base(error.into()),
    })?;
    if cancelled() {
        return Err(BuildError::Cancelled);
    }
    let source = FileSource::of(file, "winre.wim").map_err(StoreError::Io)?;
    let blob = engine.store.put_blob(&source, &engine.stored)?;
    (engine.settings.events)(Event::StepContent { number: placed.number, bytes: blob.size });
    tracing::info!("step {}: the recovery image is serviced, {} bytes", placed.number, blob.size);
    Ok(blob)
}
