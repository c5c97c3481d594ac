//! Checking the blobs of a solid resource: each of its chunks is decoded once, by one thread, which also hashes the blobs that lie wholly in it;
//! the pieces of blobs that reach over its edges are hashed in order.

use std::{collections::HashSet, ops::Range};

use rayon::prelude::*;

use super::{
    error::WimError,
    parallel::{Piece, PieceHasher, pipeline},
    reader::Wim,
    resource::to_usize,
    solid::{Damage, SolidResource},
    verify::{self, Item, VerifyReport},
};
use crate::base::{digest::Sha1, read_at::ReadAt};

/// Content of all threads together before the results are gathered, or one block for each where that is more.
const BATCH: u64 = 16 << 20;

/// What came of a block.
struct Done {
    /// Blobs that lie in it as a whole.
    whole: Vec<(usize, Sha1)>,
    /// Bytes of others: item, whether they are its last, content.
    pieces: Vec<(usize, bool, Vec<u8>)>,
    /// Why it does not decode, and whom that concerns.
    damage: Option<(Damage, Range<usize>)>,
}

/// Checks items that all lie in the same solid resource, sorted by where.
pub(super) fn check(
    wim: &Wim,
    items: &[Item<'_>],
    report: &mut VerifyReport,
    damages: &mut Vec<verify::Damage>,
    progress: &dyn Fn(u64),
) -> Result<(), WimError> {
    let first = items[0].blob;
    let Some(solid) = first.solid.and_then(|index| wim.solids(first.volume).get(index as usize))
    else {
        return Ok(());
    };
    let source = &**wim.source_of(first);
    // Empty ones are in no block; nobody writes them.
    for item in items.iter().filter(|item| item.blob.size == 0) {
        verify::note(item, Ok(Sha1::of(b"")), report, damages)?;
    }
    let items: Vec<&Item<'_>> = items.iter().filter(|item| item.blob.size > 0).collect();
    let mut blocks = blocks(solid, &items);
    let width = usize::try_from(BATCH / solid.block_size()).unwrap_or(1);
    let width = width.max(rayon::current_num_threads());
    let mut hasher = PieceHasher::default();
    let mut failed = HashSet::new();
    pipeline(
        || {
            let batch: Vec<u64> = blocks.by_ref().take(width).collect();
            (!batch.is_empty()).then_some(batch)
        },
        |batch: Vec<u64>| -> Vec<Result<Done, WimError>> {
            let each = batch.into_par_iter().with_max_len(1);
            each.map(|block| run(solid, source, &items, block)).collect()
        },
        |batch: Vec<Result<Done, WimError>>| {
            let batch: Vec<Done> = batch.into_iter().collect::<Result<_, _>>()?;
            let mut pieces = Vec::new();
            for done in &batch {
                for &(item, sha1) in &done.whole {
                    report.bytes += items[item].blob.size;
                    verify::note(items[item], Ok(sha1), report, damages)?;
                }
                for (item, is_last, data) in &done.pieces {
                    report.bytes += data.len() as u64;
                    pieces.push(Piece { item: *item, data, is_last: *is_last });
                }
                if let Some((damage, concerned)) = &done.damage {
                    for item in concerned.clone().filter(|item| failed.insert(*item)) {
                        verify::note(items[item], Err(damage.clone().into()), report, damages)?;
                    }
                }
            }
            for (item, sha1) in hasher.update(&pieces) {
                // The hash of an item with a bad piece is of no use: its error is told.
                if !failed.contains(&item) {
                    verify::note(items[item], Ok(sha1), report, damages)?;
                }
            }
            progress(report.bytes);
            Ok::<(), WimError>(())
        },
    )
}

/// The blocks that any of the items touches, in order.
fn blocks<'a>(solid: &'a SolidResource, items: &'a [&Item<'_>]) -> impl Iterator<Item = u64> {
    let mut next = 0;
    items.iter().flat_map(move |item| {
        let start = item.blob.resource.offset;
        let touched = solid.blocks(start..start + item.blob.size);
        let new = touched.start.max(next)..touched.end;
        next = next.max(touched.end);
        new
    })
}

fn run(
    solid: &SolidResource,
    source: &dyn ReadAt,
    items: &[&Item<'_>],
    block: u64,
) -> Result<Done, WimError> {
    let range = solid.range(block);
    let start = |item: &Item<'_>| item.blob.resource.offset;
    let end = |item: &Item<'_>| item.blob.resource.offset + item.blob.size;
    let first = items.partition_point(|item| end(item) <= range.start);
    let last = items.partition_point(|item| start(item) < range.end);
    let mut done = Done { whole: Vec::new(), pieces: Vec::new(), damage: None };
    solid.workers().with(|worker| {
        let mut output = std::mem::take(&mut worker.output);
        let decoded = solid.decode_block(source, block, &mut output, worker);
        let result = match decoded {
            Ok(()) => items[first..last].iter().zip(first..).try_for_each(|(item, place)| {
                let from = start(item).max(range.start) - range.start;
                let to = end(item).min(range.end) - range.start;
                let bytes = &output[to_usize(from)?..to_usize(to)?];
                if bytes.len() as u64 == item.blob.size {
                    done.whole.push((place, Sha1::of(bytes)));
                } else {
                    done.pieces.push((place, end(item) <= range.end, bytes.to_vec()));
                }
                Ok(())
            }),
            Err(error) => Damage::of(error).map(|damage| done.damage = Some((damage, first..last))),
        };
        worker.output = output;
        result
    })?;
    Ok(done)
}
