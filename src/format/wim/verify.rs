//! Checking a whole WIM: every byte against its SHA-1, on all threads, in bounded memory.
//!
//! Resources are taken in file order. Small ones that are neighbours are read with one call and decoded and hashed by one thread; large
//! ones are decoded in parts by all threads and hashed in order, while the next parts are decoded.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::{
    blob_table::Blob,
    error::WimError,
    integrity::IntegrityTable,
    metadata::ImageMetadata,
    parallel::{Piece, PieceHasher, pipeline},
    reader::{Wim, check},
    resource::{Resource, Worker, to_usize},
    verify_solid,
    volume::{Volume, VolumeKind},
};
use crate::base::{digest::Sha1, malformed::Malformed};

/// Uncompressed bytes one thread takes at a time, or one chunk where that is more.
const UNIT: u64 = 1 << 20;
/// Uncompressed bytes of all threads together before the results are gathered.
const BATCH: u64 = 16 << 20;
/// Bytes between neighbours that are read along rather than skipped.
const MAX_GAP: u64 = 64 << 10;

/// What [`super::Wim::verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// File blobs checked.
    pub blobs: u64,
    /// Metadata resources checked (a shared one counts once).
    pub metadata_resources: u64,
    /// Uncompressed bytes checked.
    pub bytes: u64,
    /// True when there is an integrity table.
    pub has_integrity_table: bool,
    /// Every damage found: hash mismatches, data that does not decode, missing blobs, bad pieces of the integrity table.
    pub problems: Vec<WimError>,
    /// Oddities that do no harm.
    pub warnings: Vec<String>,
    /// What is not as it should be and concerns nobody but who writes files: reference counts that are not those of the images.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// True when nothing is damaged or missing.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A resource to check.
pub(super) struct Item<'a> {
    pub(super) blob: &'a Blob,
    /// The first image that has it as its metadata; `None` for a file's content.
    image: Option<u32>,
    resource: Resource<'a>,
}

/// A damaged resource.
pub(super) struct Damage {
    sha1: Sha1,
    /// Where it lies.
    position: (u16, Option<u32>, u64),
    error: WimError,
}

impl Damage {
    fn new(blob: &Blob, image: Option<u32>, error: WimError) -> Self {
        let error = match error {
            error @ WimError::HashMismatch { .. } => error,
            other => WimError::Damaged {
                sha1: blob.sha1,
                what: name(blob, image),
                source: Box::new(other),
            },
        };
        Self { sha1: blob.sha1, position: blob.position(), error }
    }

    /// Adds a file that has this content.
    fn belongs_to(&mut self, file: &str) {
        if let WimError::HashMismatch { what, .. } | WimError::Damaged { what, .. } =
            &mut self.error
        {
            *what = format!("{what} ({file})");
        }
    }
}

fn name(blob: &Blob, image: Option<u32>) -> String {
    image
        .map_or_else(|| format!("blob {}", blob.sha1), |image| format!("metadata of image {image}"))
}

/// Work for one thread.
enum Unit {
    /// Neighbours, each as a whole.
    Whole(std::ops::Range<usize>),
    /// A part of a large one.
    Part { item: usize, start: u64, length: u64 },
}

/// What came of it.
enum Done {
    Whole(Vec<(usize, Result<Sha1, WimError>)>),
    Part { item: usize, is_last: bool, content: Result<Vec<u8>, WimError> },
}

pub(super) fn verify(wim: &Wim, progress: &dyn Fn(u64)) -> Result<VerifyReport, WimError> {
    let mut report = VerifyReport { warnings: wim.warnings().to_vec(), ..VerifyReport::default() };
    let mut damages = Vec::new();
    let items = items(wim, &mut damages)?;
    // Sorted by volume and solid resource, with what is not solid first.
    for items in items.chunk_by(|left, right| {
        left.blob.volume == right.blob.volume && left.blob.solid == right.blob.solid
    }) {
        match items[0].blob.solid {
            None => check_items(wim, items, &mut report, &mut damages, progress)?,
            Some(_) => verify_solid::check(wim, items, &mut report, &mut damages, progress)?,
        }
    }
    check_references(wim, &mut damages, &mut report);
    damages.sort_by_key(|damage| damage.position);
    report.problems.splice(0..0, damages.into_iter().map(|damage| damage.error));
    for volume in wim.volumes().iter().filter(|volume| volume.kind() == VolumeKind::Part) {
        check_integrity(volume, &mut report)?;
    }
    check_boot(wim, &mut report);
    Ok(report)
}

/// The resources to check, in file order.
fn items<'a>(wim: &'a Wim, damages: &mut Vec<Damage>) -> Result<Vec<Item<'a>>, WimError> {
    let is_wanted = wanted(wim);
    let mut listed: Vec<(&Blob, Option<u32>)> =
        wim.blobs().iter().filter(|blob| is_wanted(blob)).map(|blob| (blob, None)).collect();
    for index in 1..=wim.image_count() {
        listed.push((wim.metadata_blob(index)?, Some(index)));
    }
    // Stable, so that a shared metadata resource keeps its first image.
    listed.sort_by_key(|(blob, _)| blob.position());
    listed.dedup_by(|later, earlier| {
        later.1.is_some()
            && earlier.1.is_some()
            && later.0.resource == earlier.0.resource
            && later.0.sha1 == earlier.0.sha1
    });
    let mut items = Vec::with_capacity(listed.len());
    for (blob, image) in listed {
        match wim.resource_of(blob) {
            Ok(resource) => items.push(Item { blob, image, resource }),
            Err(error @ WimError::Unsupported { .. }) => return Err(error),
            Err(error) => damages.push(Damage::new(blob, image, error)),
        }
    }
    Ok(items)
}

/// Which blobs are this WIM's business: its own, and of referenced files those that its images refer to.
fn wanted(wim: &Wim) -> impl Fn(&Blob) -> bool {
    let has_references = wim.volumes().iter().any(|volume| volume.kind() == VolumeKind::Reference);
    let mut used = HashSet::new();
    if has_references {
        // Images may share one metadata resource; a hostile file has thousands that do.
        let mut seen = HashSet::new();
        for image in 1..=wim.image_count() {
            let is_new = wim.metadata_blob(image).is_ok_and(|blob| seen.insert(blob.sha1));
            if is_new && let Ok(metadata) = wim.metadata(image) {
                used.extend(metadata.references().map(|(_, sha1)| sha1));
            }
        }
    }
    move |blob| wim.volume_of(blob).kind() == VolumeKind::Part || used.contains(&blob.sha1)
}

/// Cuts the items into units and hands them out in batches.
struct Units<'a> {
    items: &'a [Item<'a>],
    next: usize,
    start: u64,
}

impl Units<'_> {
    fn unit(&mut self) -> Option<(Unit, u64)> {
        let first = self.items.get(self.next)?;
        let size = first.resource.size();
        let part = UNIT.max(first.resource.granule());
        if size > 2 * part {
            let length = part.min(size - self.start);
            let unit = Unit::Part { item: self.next, start: self.start, length };
            self.start += length;
            if self.start == size {
                self.next += 1;
                self.start = 0;
            }
            return Some((unit, length));
        }
        let begin = self.next;
        let mut total = 0;
        let mut end = first.blob.resource.offset;
        let span = end..end.saturating_add(2 * UNIT);
        while let Some(item) = self.items.get(self.next) {
            let header = &item.blob.resource;
            let is_first = self.next == begin;
            let size = item.resource.size();
            let fits = total + size <= UNIT
                && header.offset >= end
                && header.offset - end <= MAX_GAP
                && header.end().is_some_and(|end| end <= span.end);
            if !is_first && !fits {
                break;
            }
            total += size;
            end = header.end().unwrap_or(end);
            self.next += 1;
        }
        Some((Unit::Whole(begin..self.next), total))
    }

    fn batch(&mut self) -> Option<Vec<Unit>> {
        let mut units = Vec::new();
        let mut total = 0;
        while units.len() < rayon::current_num_threads() || total < BATCH && units.len() < 4096 {
            let Some((unit, size)) = self.unit() else { break };
            total += size;
            units.push(unit);
        }
        (!units.is_empty()).then_some(units)
    }
}

/// Checks all items; appends the damaged ones.
fn check_items(
    wim: &Wim,
    items: &[Item<'_>],
    report: &mut VerifyReport,
    damages: &mut Vec<Damage>,
    progress: &dyn Fn(u64),
) -> Result<(), WimError> {
    let mut units = Units { items, next: 0, start: 0 };
    let mut hasher = PieceHasher::default();
    let mut failed = HashSet::new();
    let produce = |batch: Vec<Unit>| -> Vec<Done> {
        batch.into_par_iter().with_max_len(1).map(|unit| run(wim, items, &unit)).collect()
    };
    pipeline(
        || units.batch(),
        produce,
        |batch: Vec<Done>| {
            let mut results = Vec::new();
            let mut parts = Vec::new();
            for done in batch {
                match done {
                    Done::Whole(whole) => {
                        let size = |(item, _): &(usize, _)| items[*item].resource.size();
                        report.bytes += whole.iter().map(size).sum::<u64>();
                        results.extend(whole);
                    }
                    Done::Part { item, is_last, content: Ok(content) } => {
                        report.bytes += content.len() as u64;
                        parts.push((item, is_last, content));
                    }
                    Done::Part { item, content: Err(error), .. } if failed.insert(item) => {
                        results.push((item, Err(error)));
                    }
                    Done::Part { .. } => {}
                }
            }
            let pieces: Vec<Piece<'_>> = parts
                .iter()
                .map(|(item, is_last, data)| Piece { item: *item, data, is_last: *is_last })
                .collect();
            // The hash of an item with a bad part is of no use: its first error is what counts.
            let hashed = hasher.update(&pieces).into_iter();
            results.extend(
                hashed
                    .filter(|(item, _)| !failed.contains(item))
                    .map(|(item, sha1)| (item, Ok(sha1))),
            );
            for (item, result) in results {
                note(&items[item], result, report, damages)?;
            }
            progress(report.bytes);
            Ok::<(), WimError>(())
        },
    )
}

/// Counts a result, and keeps it when it is bad.
pub(super) fn note(
    item: &Item<'_>,
    result: Result<Sha1, WimError>,
    report: &mut VerifyReport,
    damages: &mut Vec<Damage>,
) -> Result<(), WimError> {
    let count = match item.image {
        Some(_) => &mut report.metadata_resources,
        None => &mut report.blobs,
    };
    *count += 1;
    let sha1 = &item.blob.sha1;
    match result.and_then(|actual| check(sha1, actual, || name(item.blob, item.image))) {
        Ok(()) => Ok(()),
        Err(error @ WimError::Io(_)) => Err(error),
        Err(error) => {
            damages.push(Damage::new(item.blob, item.image, error));
            Ok(())
        }
    }
}

fn run(wim: &Wim, items: &[Item<'_>], unit: &Unit) -> Done {
    match unit {
        Unit::Part { item, start, length } => {
            let resource = &items[*item].resource;
            let content = to_usize(*length).and_then(|length| {
                let mut content = vec![0; length];
                resource.read(*start, &mut content)?;
                Ok(content)
            });
            Done::Part { item: *item, is_last: start + length == resource.size(), content }
        }
        Unit::Whole(range) => {
            Done::Whole(wim.volume_of(items[range.start].blob).workers().with(|worker| {
                let mut stored = std::mem::take(&mut worker.stored);
                let mut output = std::mem::take(&mut worker.output);
                let results =
                    run_whole(wim, items, range.clone(), worker, (&mut stored, &mut output));
                (worker.stored, worker.output) = (stored, output);
                results
            }))
        }
    }
}

fn run_whole(
    wim: &Wim,
    items: &[Item<'_>],
    range: std::ops::Range<usize>,
    worker: &mut Worker,
    (stored, output): (&mut Vec<u8>, &mut Vec<u8>),
) -> Vec<(usize, Result<Sha1, WimError>)> {
    let headers = || items[range.clone()].iter().map(|item| &item.blob.resource);
    let start = headers().map(|header| header.offset).min().unwrap_or(0);
    let end = headers().filter_map(super::ResourceHeader::end).max().unwrap_or(start);
    let read = to_usize(end - start).and_then(|length| {
        stored.resize(length, 0);
        Ok(wim.source_of(items[range.start].blob).read_exact_at(start, stored)?)
    });
    if let Err(error) = read {
        return vec![(range.start, Err(error))];
    }
    let mut check = |item: &Item<'_>| {
        let header = &item.blob.resource;
        let first = to_usize(header.offset - start)?;
        let stored = &stored[first..first + to_usize(header.stored_size)?];
        output.resize(to_usize(item.resource.size())?, 0);
        if header.is_compressed() {
            item.resource.decode(stored, output, worker)?;
            Ok(Sha1::of(output))
        } else {
            Ok(Sha1::of(stored))
        }
    };
    range.clone().map(|index| (index, check(&items[index]))).collect()
}

/// Parses each image's metadata; reports blobs that are missing, and says of damaged ones which file they belong to.
fn check_references(wim: &Wim, damages: &mut [Damage], report: &mut VerifyReport) {
    let mut references = References {
        nameless: damages.iter().enumerate().map(|(place, damage)| (damage.sha1, place)).collect(),
        missing: HashSet::new(),
        counts: HashMap::new(),
    };
    // Images that share their metadata are looked at once, and count as many as they are.
    let mut images: Vec<(u32, &Blob, u32)> = Vec::new();
    let mut seen: HashMap<u64, usize> = HashMap::new();
    for image in 1..=wim.image_count() {
        let Ok(blob) = wim.metadata_blob(image) else { continue };
        match seen.get(&blob.resource.offset) {
            Some(&place) => images[place].2 += 1,
            None => {
                seen.insert(blob.resource.offset, images.len());
                images.push((image, blob, 1));
            }
        }
    }
    let mut is_whole = true;
    for (image, blob, times) in images {
        match wim.metadata(image) {
            Ok(metadata) => {
                let warnings = metadata.warnings.iter();
                report.warnings.extend(warnings.map(|text| format!("image {image}: {text}")));
                references.check(wim, (image, times), &metadata, damages, report);
                continue;
            }
            // What is wrong with the resource itself is in the list already.
            Err(_) if damages.iter().any(|damage| damage.sha1 == blob.sha1) => {}
            Err(error) => report.problems.push(WimError::Damaged {
                sha1: blob.sha1,
                what: name(blob, Some(image)),
                source: Box::new(error),
            }),
        }
        is_whole = false;
    }
    if is_whole {
        references.check_counts(wim, report);
    }
}

/// What the streams of all images refer to.
struct References {
    /// Places of the damages of which no file is known yet.
    nameless: HashMap<Sha1, usize>,
    /// Blobs that are missing, each reported once.
    missing: HashSet<Sha1>,
    /// How many streams have each blob.
    counts: HashMap<Sha1, u64>,
}

impl References {
    fn check(
        &mut self,
        wim: &Wim,
        (image, times): (u32, u32),
        metadata: &ImageMetadata,
        damages: &mut [Damage],
        report: &mut VerifyReport,
    ) {
        let mut parents = None;
        for (index, sha1) in metadata.references() {
            *self.counts.entry(sha1).or_default() += u64::from(times);
            let damaged = self.nameless.remove(&sha1);
            let is_missing = wim.blob(&sha1).is_none() && self.missing.insert(sha1);
            if damaged.is_none() && !is_missing {
                continue;
            }
            let parents = parents.get_or_insert_with(|| metadata.parents());
            let file = format!("{} in image {image}", metadata.path_of(index, parents));
            if let Some(place) = damaged {
                damages[place].belongs_to(&file);
            }
            if is_missing {
                report.problems.push(WimError::MissingBlob { sha1, needed_by: file });
            }
        }
    }
}

impl References {
    /// Compares what the blob tables say of references with what the images say.
    fn check_counts(&self, wim: &Wim, report: &mut VerifyReport) {
        let count = |blob: &Blob| self.counts.get(&blob.sha1).copied().unwrap_or(0);
        let mut wrong = wim.blobs().iter().filter(|blob| {
            wim.volume_of(blob).kind() == VolumeKind::Part
                && u64::from(blob.reference_count) != count(blob)
        });
        if let Some(first) = wrong.next() {
            report.notes.push(format!(
                "the reference counts of {} blobs are not those of the images; the first is blob {}: the blob table says {}, the images {}",
                1 + wrong.count(),
                first.sha1,
                first.reference_count,
                count(first)
            ));
        }
    }
}

fn check_integrity(volume: &Volume, report: &mut VerifyReport) -> Result<(), WimError> {
    let header = volume.header().integrity;
    let part = match volume.header().part_number {
        part if volume.header().is_split() => format!(" of part {part}"),
        _ => String::new(),
    };
    if header.offset == 0 || header.stored_size == 0 {
        return Ok(());
    }
    report.has_integrity_table = true;
    let malformed =
        |what: String| WimError::from(Malformed::new("WIM integrity table", what, header.offset));
    let table = match volume.resource(&header) {
        Ok(resource) if resource.size() <= volume.source().size() => {
            let mut bytes = vec![0; to_usize(resource.size())?];
            resource.read_parallel(0, &mut bytes).and_then(|()| Ok(IntegrityTable::parse(&bytes)?))
        }
        Ok(_) => Err(malformed("is larger than the file".to_owned())),
        Err(error) => Err(error),
    };
    let table = match table {
        Ok(table) => table,
        Err(error) => {
            report.problems.push(error);
            return Ok(());
        }
    };
    let end = volume.header().blob_table.end().unwrap_or(0);
    let covered = end.saturating_sub(super::Header::SIZE as u64);
    if table.pieces.len() as u64 != covered.div_ceil(u64::from(table.piece_size)) {
        report.problems.push(malformed(format!(
            "{} pieces of {} bytes for {covered} bytes",
            table.pieces.len(),
            table.piece_size
        )));
        return Ok(());
    }
    let actual = IntegrityTable::compute(&**volume.source(), end, table.piece_size)?;
    for (index, (expected, actual)) in table.pieces.iter().zip(&actual.pieces).enumerate() {
        if expected != actual {
            report.problems.push(WimError::HashMismatch {
                what: format!("piece {index} of the integrity table{part}"),
                expected: *expected,
                actual: *actual,
            });
        }
    }
    Ok(())
}

/// The boot image's metadata is found by a copy of its place; a stale one would boot an old tree.
fn check_boot(wim: &Wim, report: &mut VerifyReport) {
    let header = wim.header();
    let Ok(blob) = wim.metadata_blob(header.boot_index) else { return };
    if header.boot_metadata != blob.resource {
        report.problems.push(
            Malformed::new(
                "WIM header",
                format!("the boot image's place is not that of image {}", header.boot_index),
                0x60,
            )
            .into(),
        );
    }
}
