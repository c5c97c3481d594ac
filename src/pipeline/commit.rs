//! The last part of a build: a finished image becomes a WIM.
//!
//! Content that the base has is copied as it is stored there, undecoded. Content of the store is a resource in the output's own form already;
//! hives and small files in memory go through the store too, so that one that did not change since the last build is not compressed again: but for
//! those with secrets in them, which are compressed while they are written.
//!
//! Reference counts are counted anew over all images that are written, from their metadata: those of the base's own table are
//! not always right and would outlive their images. What another image's metadata counts is remembered by its SHA-1.

use std::{collections::HashMap, sync::Arc};

use rayon::prelude::*;

use super::{
    build::Settings,
    error::BuildError,
    event::Event,
    flush,
    output::{OutputError, check_room},
};
use crate::{
    base::digest::Sha1,
    format::wim::{
        BlobSource, BlobToWrite, Header, MetadataToWrite, Wim, WimError, WimXml, WriteReport,
        WriteSettings, write_wim,
    },
    image::{self, BlobLocation, FinishedBlob, FinishedImage, assembly::sort_solid},
    plan::{self, Plan, key},
    recipe::OutputImages,
    store::{RecordKind, Resource, Store, StoreError},
};

/// Bytes of one count in a [`RecordKind::References`] record: SHA-1 and number.
const COUNT_SIZE: usize = 24;

/// Writes the output of `plan`, whose built images are `finished`, to `file`.
///
/// # Errors
/// When content cannot be had or the file cannot be written.
pub(super) fn write(
    plan: &Plan,
    store: &Store,
    finished: Vec<FinishedImage>,
    file: &std::fs::File,
    settings: &Settings<'_>,
) -> Result<WriteReport, BuildError> {
    let wim = &plan.base.wim;
    let xml = xml(plan, &finished);
    let write_settings =
        plan.output.write_settings(boot_index(plan), wim.header().flags & Header::RP_FIX != 0);
    let all = plan.output.images == OutputImages::All;
    let (mut metadata, mut images, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for (planned, finished) in plan.images.iter().zip(finished) {
        let (wim, index) = (Arc::clone(wim), planned.index);
        images.push(match finished.changed {
            true => MetadataToWrite::Like { bytes: finished.metadata.encode(), wim, index },
            false => MetadataToWrite::Copy { wim, index },
        });
        // Only solid content is sorted by what names it.
        metadata.extend(write_settings.solid.map(|_| finished.metadata));
        found.push(finished.blobs);
    }
    let built: Vec<u32> = plan.images.iter().map(|image| image.index).collect();
    let mut blobs = together(found);
    if all {
        let mut every: Vec<_> = (1..=wim.image_count())
            .map(|index| MetadataToWrite::Copy { wim: Arc::clone(wim), index })
            .collect();
        for (index, image) in built.iter().zip(images) {
            if let Some(place) = every.get_mut(*index as usize - 1) {
                *place = image;
            }
        }
        images = every;
        blobs = with_other_images(plan, store, blobs, &built)?;
    }
    let mut blobs = sources(plan, store, blobs, settings)?;
    if write_settings.solid.is_some() {
        for index in (1..=wim.image_count()).filter(|index| all && !built.contains(index)) {
            metadata.push(wim.metadata(index).map_err(|error| BuildError::Base(error.into()))?);
        }
        sort_solid(&mut blobs, &metadata);
        drop(metadata);
    }
    let needed = blobs
        .iter()
        .fold(0, |sum: u64, blob| sum.saturating_add(stored_size(blob, wim, &write_settings)));
    // Of a split set the whole image is there until its parts are.
    let copies = if plan.output.part_limit.is_some() { 2 } else { 1 };
    let needed = needed.saturating_mul(copies);
    check_room(&plan.output.path, plan::output::free_space(&plan.output.path), needed)?;
    let total = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    (settings.events)(Event::Writing { total });
    let (report, flushed) = flush::while_writing(file, |flush| {
        let progress = |bytes| {
            (settings.events)(Event::Written { bytes });
            flush(bytes);
        };
        write_wim(file, &write_settings, blobs, images, xml, &progress, &|| (settings.cancelled)())
    });
    let report = report.map_err(|error| write_error(plan, error))?;
    flushed.map_err(|error| write_error(plan, error.into()))?;
    Ok(report)
}

/// Bytes that the blob takes in the output at least: what is compressed anew may become next to nothing.
fn stored_size(blob: &BlobToWrite, base: &Wim, settings: &WriteSettings) -> u64 {
    match &blob.source {
        BlobSource::Resource { stored_size, .. } => *stored_size,
        BlobSource::Wim { blob, .. }
            if blob.solid.is_none()
                && base.codec_of(blob) == (settings.codec, settings.chunk_size) =>
        {
            blob.resource.stored_size
        }
        BlobSource::Wim { .. } | BlobSource::Bytes { .. } => 0,
    }
}

fn write_error(plan: &Plan, error: WimError) -> BuildError {
    match error {
        WimError::Cancelled => BuildError::Cancelled,
        WimError::Io(source) => OutputError::Io { path: plan.output.path.clone(), source }.into(),
        // Content comes from the base or from the store.
        WimError::Source { file: Some(file), source } if file != plan.base.path => {
            BuildError::Store(StoreError::Io(source))
        }
        error @ WimError::Plan { .. } => BuildError::Internal(error),
        error => BuildError::Base(error.into()),
    }
}

/// The number of the image to boot, in the output: the base's, where the output has it.
pub(super) fn boot_index(plan: &Plan) -> u32 {
    let boot = plan.base.wim.header().boot_index;
    match plan.output.images {
        OutputImages::All => boot,
        OutputImages::Selected => {
            let place = plan.images.iter().position(|image| image.index == boot && boot != 0);
            place.and_then(|place| u32::try_from(place + 1).ok()).unwrap_or(0)
        }
    }
}

/// The XML of the output: the base's, with the built images' elements brought up to date.
fn xml(plan: &Plan, finished: &[FinishedImage]) -> WimXml {
    let mut xml = plan.base.wim.xml().clone();
    for (planned, finished) in plan.images.iter().zip(finished) {
        let Some(element) = xml.image_mut(planned.index) else { continue };
        if finished.changed {
            image::xml::update(element, finished, plan.epoch);
        }
        // What Setup shows is the name; without a DISPLAYNAME it shows NAME.
        let shown = planned.name.clone().filter(|_| element.text(&["DISPLAYNAME"]).is_some());
        let names = [
            ("NAME", &planned.name),
            ("DISPLAYNAME", &shown),
            ("DESCRIPTION", &planned.description),
        ];
        for (path, text) in names {
            if let Some(text) = text {
                element.set_text(&[path], text);
            }
        }
    }
    if plan.output.images == OutputImages::Selected {
        let built: Vec<u32> = plan.images.iter().map(|image| image.index).collect();
        for index in (1..=plan.base.wim.image_count()).rev() {
            if !built.contains(&index) {
                xml.remove_image(index);
            }
        }
        if !built.is_sorted() {
            let elements: Vec<_> = xml.images().cloned().collect();
            let place = |index: &u32| built.iter().filter(|other| *other < index).count();
            for index in (1..=xml.image_count()).rev() {
                xml.remove_image(index);
            }
            for element in built.iter().filter_map(|index| elements.get(place(index))) {
                xml.push_image(element.clone());
            }
        }
    }
    xml
}

/// The blobs of several images, each once: in the order of the base's file, then what is new as the images have it.
fn together(images: Vec<Vec<FinishedBlob>>) -> Vec<FinishedBlob> {
    let mut places: HashMap<Sha1, usize> = HashMap::new();
    let mut all: Vec<FinishedBlob> = Vec::new();
    for blob in images.into_iter().flatten() {
        match places.get(&blob.sha1) {
            None => {
                places.insert(blob.sha1, all.len());
                all.push(blob);
            }
            Some(&place) => {
                let known = &mut all[place];
                known.references = known.references.saturating_add(blob.references);
                // An image that does not take it from the base knows why.
                if let BlobLocation::Base(..) = known.location {
                    known.location = blob.location;
                }
            }
        }
    }
    all.sort_by_key(|blob| match &blob.location {
        BlobLocation::Base(_, found) => found.position(),
        _ => (u16::MAX, None, u64::MAX),
    });
    all
}

/// The blobs of all images of the output, in the order of the base's file, then what is new; counted anew.
fn with_other_images(
    plan: &Plan,
    store: &Store,
    blobs: Vec<FinishedBlob>,
    built: &[u32],
) -> Result<Vec<FinishedBlob>, BuildError> {
    let wim = &plan.base.wim;
    // Each with its count and the first image that names it.
    let mut others: HashMap<Sha1, (u32, u32)> = HashMap::new();
    for index in (1..=wim.image_count()).filter(|index| !built.contains(index)) {
        for (sha1, count) in references(wim, index, store)? {
            let (sum, _) = others.entry(sha1).or_insert((0, index));
            *sum = sum.saturating_add(count);
        }
    }
    let (in_base, mut new): (Vec<_>, Vec<_>) =
        blobs.into_iter().partition(|blob| wim.blob(&blob.sha1).is_some());
    let mut of_built: HashMap<Sha1, FinishedBlob> =
        in_base.into_iter().map(|blob| (blob.sha1, blob)).collect();
    let mut all = Vec::new();
    // As they lie in the file, so that neighbours are copied together.
    let mut base: Vec<_> = wim.blobs().iter().collect();
    base.sort_by_key(|blob| blob.position());
    for blob in base {
        let elsewhere = others.remove(&blob.sha1).map_or(0, |(count, _)| count);
        match of_built.remove(&blob.sha1) {
            Some(mut finished) => {
                finished.references = finished.references.saturating_add(elsewhere);
                all.push(finished);
            }
            None if elsewhere > 0 => all.push(FinishedBlob {
                sha1: blob.sha1,
                size: blob.size,
                references: elsewhere,
                location: BlobLocation::Base(Arc::clone(wim), *blob),
            }),
            None => {}
        }
    }
    for blob in &mut new {
        let elsewhere = others.remove(&blob.sha1).map_or(0, |(count, _)| count);
        blob.references = blob.references.saturating_add(elsewhere);
    }
    all.extend(new);
    match others.into_iter().map(|(sha1, (_, index))| (index, sha1)).min() {
        None => Ok(all),
        Some((index, sha1)) => {
            let name = wim.xml().image_name(index).unwrap_or_default();
            let needed_by = format!("image {index} \"{name}\"");
            Err(BuildError::Base(WimError::MissingBlob { sha1, needed_by }.into()))
        }
    }
}

/// How often each blob is named by image `index` of the base, sorted by SHA-1.
fn references(wim: &Wim, index: u32, store: &Store) -> Result<Vec<(Sha1, u32)>, BuildError> {
    let base_error = |error: WimError| BuildError::Base(error.into());
    let metadata = wim.metadata_blob(index).map_err(base_error)?.sha1;
    let key = key::key("transom references 1", &[&metadata.0]);
    if let Some(bytes) = store.record(RecordKind::References, &key)? {
        let counts = bytes.chunks_exact(COUNT_SIZE).filter_map(|entry| {
            let (sha1, count) = entry.split_at(COUNT_SIZE - 4);
            Some((Sha1(sha1.try_into().ok()?), u32::from_le_bytes(count.try_into().ok()?)))
        });
        return Ok(counts.collect());
    }
    let mut counts: HashMap<Sha1, u32> = HashMap::new();
    for dentry in &wim.metadata(index).map_err(base_error)?.dentries {
        for stream in dentry.streams.iter().filter(|stream| !stream.sha1.is_zero()) {
            let count = counts.entry(stream.sha1).or_default();
            *count = count.saturating_add(1);
        }
    }
    let mut counts: Vec<(Sha1, u32)> = counts.into_iter().collect();
    counts.sort_unstable();
    let entry = |(sha1, count): &(Sha1, u32)| [&sha1.0[..], &count.to_le_bytes()].concat();
    let bytes: Vec<u8> = counts.iter().flat_map(entry).collect();
    store.put_record(RecordKind::References, &key, &bytes)?;
    Ok(counts)
}

/// Where the writer finds each blob. Content that is not a resource in the output's form yet is brought into it, in parallel.
fn sources(
    plan: &Plan,
    store: &Store,
    blobs: Vec<FinishedBlob>,
    settings: &Settings<'_>,
) -> Result<Vec<BlobToWrite>, BuildError> {
    let resources = &plan.output.resources;
    // Solid content is compressed with its neighbours, at the commit.
    let solid = plan.output.solid.is_some();
    let ready = |resource: Resource| {
        let Resource { source, offset, stored_size, compressed } = resource;
        BlobSource::Resource { source, offset, stored_size, compressed }
    };
    blobs
        .into_par_iter()
        .map(|blob| {
            let source = match blob.location {
                BlobLocation::Base(wim, blob) => BlobSource::Wim { wim, blob },
                // Neither as it is nor compressed does it enter the store: it is compressed while it is written.
                BlobLocation::Secret(bytes) => BlobSource::Bytes { source: Arc::new(bytes) },
                _ if (settings.cancelled)() => return Err(BuildError::Cancelled),
                BlobLocation::Stored(stored) if solid => {
                    BlobSource::Bytes { source: store.content(&stored)? }
                }
                BlobLocation::Memory(bytes) if solid => {
                    BlobSource::Bytes { source: Arc::new(bytes) }
                }
                BlobLocation::Host(source) if solid => BlobSource::Bytes { source },
                BlobLocation::Stored(stored) => ready(store.resource(&stored, resources)?),
                BlobLocation::Memory(bytes) => ready(store.put_resource(&bytes, resources)?),
                BlobLocation::Host(source) => ready(store.put_resource(&*source, resources)?),
                // A finished image has none; its text has placeholders only.
                BlobLocation::Template(template) => {
                    BlobSource::Bytes { source: Arc::new(template.text().as_bytes().to_vec()) }
                }
            };
            let FinishedBlob { sha1, size, references, .. } = blob;
            Ok(BlobToWrite { sha1, size, reference_count: references, source })
        })
        .collect()
}
