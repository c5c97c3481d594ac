//! Shared by reading and writing: producing batches on all threads while this thread consumes, and hashing what comes in pieces.

use rayon::prelude::*;
use sha1::Digest as _;

use crate::base::digest::Sha1;

/// Runs `produce` for the next batch on the thread pool while `consume` handles the one before it on the calling thread; batches are
/// consumed in order. At most two batches exist at a time, which is what bounds the memory. Stops at the first error.
pub(super) fn pipeline<Input: Send, Output: Send, Error: Send>(
    mut next: impl FnMut() -> Option<Input>,
    produce: impl Fn(Input) -> Output + Sync,
    mut consume: impl FnMut(Output) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(first) = next() else { return Ok(()) };
    let mut ready = produce(first);
    while let Some(input) = next() {
        let mut produced = None;
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| produced = Some(produce(input)));
            consume(ready)
        })?;
        match produced {
            Some(output) => ready = output,
            None => return Ok(()),
        }
    }
    consume(ready)
}

/// A piece of an item's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    /// Which item.
    pub(super) item: usize,
    /// Its bytes.
    pub(super) data: &'a [u8],
    /// True for the item's last piece.
    pub(super) is_last: bool,
}

/// SHA-1 of items that come in pieces, in order, several batches of pieces for one item, and several items in a batch.
#[derive(Debug, Default)]
pub(super) struct PieceHasher {
    open: Option<(usize, sha1::Sha1)>,
}

impl PieceHasher {
    /// Takes the next pieces; returns the items that end among them, in order. Different items are hashed in parallel.
    pub(super) fn update(&mut self, pieces: &[Piece<'_>]) -> Vec<(usize, Sha1)> {
        let mut jobs: Vec<(usize, sha1::Sha1, &[Piece<'_>])> = pieces
            .chunk_by(|left, right| left.item == right.item)
            .map(|group| (group[0].item, sha1::Sha1::new(), group))
            .collect();
        if let Some((item, hasher, _)) = jobs.first_mut()
            && let Some((_, open)) = self.open.take_if(|(open, _)| open == item)
        {
            *hasher = open;
        }
        let hashed: Vec<_> = jobs
            .into_par_iter()
            .with_max_len(1)
            .map(|(item, mut hasher, group)| {
                for piece in group {
                    hasher.update(piece.data);
                }
                (item, hasher, group.last().is_some_and(|piece| piece.is_last))
            })
            .collect();
        let mut done = Vec::new();
        for (item, hasher, is_done) in hashed {
            if is_done {
                done.push((item, Sha1(hasher.finalize().into())));
            } else {
                self.open = Some((item, hasher));
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_consumed_in_order_and_an_error_stops() {
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let run = |limit: usize| {
                let mut inputs = 0..10_u32;
                let mut seen = Vec::new();
                let result = pipeline(
                    || inputs.next(),
                    |input| (0..input).into_par_iter().sum::<u32>(),
                    |output| {
                        seen.push(output);
                        if seen.len() == limit { Err("stop") } else { Ok(()) }
                    },
                );
                (result, seen)
            };
            let sums: Vec<u32> = (0..10).map(|n| (0..n).sum()).collect();
            assert_eq!(run(99), (Ok(()), sums.clone()));
            assert_eq!(pool.install(|| run(99)), (Ok(()), sums.clone()));
            assert_eq!(run(4), (Err("stop"), sums[..4].to_vec()));
        }
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let mut hasher = PieceHasher::default();
        let piece = |item, data: &'static [u8], is_last| Piece { item, data, is_last };
        assert_eq!(hasher.update(&[piece(0, b"a", false)]), []);
        let done = hasher.update(&[
            piece(0, b"b", false),
            piece(0, b"c", true),
            piece(1, b"x", true),
            piece(2, b"y", false),
        ]);
        assert_eq!(done, [(0, Sha1::of(b"abc")), (1, Sha1::of(b"x"))]);
        assert_eq!(hasher.update(&[piece(2, b"z", true)]), [(2, Sha1::of(b"yz"))]);
    }
}
