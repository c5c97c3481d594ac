//! Shared by reading and writing: producing on all threads while this thread consumes, and hashing what comes in pieces.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

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

/// How many units of about `unit` bytes may be under way or wait to be consumed at a time: enough that no thread idles when one unit takes
/// longer than others, and a bounded amount of memory.
pub(super) fn ahead(threads: usize, unit: u64) -> usize {
    let spare = usize::try_from((32 << 20) / unit.max(1)).unwrap_or(usize::MAX);
    let threads = threads.max(1);
    threads + spare.clamp(1, 2 * threads)
}

/// What the threads of [`in_order`] share.
struct Queue<Next, Result> {
    next: Next,
    /// Inputs handed out that were not consumed yet, in order: what came of each, when it is there.
    results: VecDeque<Option<Result>>,
    /// How many were consumed.
    consumed: usize,
    /// No more inputs are handed out.
    ended: bool,
    /// Somebody panicked or does not listen any more.
    stopped: bool,
}

/// The queue and who waits for it.
struct Shared<Next, Result> {
    queue: Mutex<Queue<Next, Result>>,
    /// For threads that wait for room.
    room: Condvar,
    /// For the consumer that waits for a result.
    ready: Condvar,
}

impl<Next, Result> Shared<Next, Result> {
    fn lock(&self) -> MutexGuard<'_, Queue<Next, Result>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops everybody when it is dropped: at the end of the consumer, and when a thread panics.
struct Stop<'a, Next, Result>(&'a Shared<Next, Result>);

impl<Next, Result> Drop for Stop<'_, Next, Result> {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.room.notify_all();
        self.0.ready.notify_all();
    }
}

/// Runs `work` on `threads` threads of its own over what `next` gives, each with a state of its own, while `consume` gets the results in order on the calling thread.
/// Inputs are handed out in order, and at most `limit` of them are under way or wait to be consumed, which is what bounds the memory.
/// Stops at the first error, in the order of the inputs.
///
/// A thread may wait for one that got an earlier input: that one runs. `work` must not use the thread pool: the calling thread may be one of its workers, and
/// all of them may wait here.
pub(super) fn in_order<State, Input: Send, Output: Send, Error: Send>(
    (threads, limit): (usize, usize),
    next: impl FnMut() -> Option<Input> + Send,
    state: impl Fn() -> State + Sync,
    work: impl Fn(&mut State, Input) -> Result<Output, Error> + Sync,
    mut consume: impl FnMut(Output) -> Result<(), Error>,
) -> Result<(), Error> {
    let results = VecDeque::new();
    let queue = Queue { next, results, consumed: 0, ended: false, stopped: false };
    let shared = Shared { queue: Mutex::new(queue), room: Condvar::new(), ready: Condvar::new() };
    let produce = || {
        let stop = Stop(&shared);
        let mut state = state();
        loop {
            let mut queue = shared.lock();
            while queue.results.len() >= limit.max(1) && !queue.stopped && !queue.ended {
                queue = shared.room.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let input = if queue.stopped || queue.ended { None } else { (queue.next)() };
            let Some(input) = input else {
                queue.ended = true;
                break;
            };
            let number = queue.consumed + queue.results.len();
            queue.results.push_back(None);
            drop(queue);
            let output = work(&mut state, input);
            let mut queue = shared.lock();
            queue.ended |= output.is_err();
            let place = number - queue.consumed;
            if let Some(result) = queue.results.get_mut(place) {
                *result = Some(output);
            }
            if place == 0 {
                shared.ready.notify_one();
            }
        }
        // This thread ends as it should: the others go on.
        shared.room.notify_all();
        shared.ready.notify_one();
        std::mem::forget(stop);
    };
    thread::scope(|scope| {
        let _stop = Stop(&shared);
        for _ in 0..threads.max(1) {
            scope.spawn(produce);
        }
        loop {
            let mut queue = shared.lock();
            let output = loop {
                match queue.results.front_mut().map(Option::take) {
                    Some(Some(output)) => break output,
                    Some(None) if queue.stopped => return Ok(()),
                    None if queue.ended || queue.stopped => return Ok(()),
                    Some(None) | None => {}
                }
                queue = shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
            };
            queue.results.pop_front();
            queue.consumed += 1;
            drop(queue);
            shared.room.notify_one();
            consume(output?)?;
        }
    })
}

/// SHA-1 of items whose parts are read by several threads of [`in_order`]: each part waits for the ones before it.
#[derive(Debug, Default)]
pub(super) struct PartHasher {
    open: Mutex<PartsOpen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PartsOpen {
    /// Of each item that has begun: how far it is. For look-up only.
    items: HashMap<usize, (u64, sha1::Sha1)>,
    failed: bool,
}

impl PartHasher {
    /// Takes the part of `item` that begins at `start`; returns the hash when it is the last one. `None` too when another thread failed.
    pub(super) fn update(
        &self,
        item: usize,
        start: u64,
        data: &[u8],
        is_last: bool,
    ) -> Option<Sha1> {
        let mut hasher = if start == 0 {
            sha1::Sha1::new()
        } else {
            let mut open = self.lock();
            loop {
                if open.failed {
                    return None;
                }
                if let Some((_, hasher)) =
                    open.items.get_mut(&item).filter(|(reached, _)| *reached == start)
                {
                    break std::mem::take(hasher);
                }
                open = self.changed.wait(open).unwrap_or_else(PoisonError::into_inner);
            }
        };
        hasher.update(data);
        let mut open = self.lock();
        if is_last {
            open.items.remove(&item);
            return Some(Sha1(hasher.finalize().into()));
        }
        open.items.insert(item, (start + data.len() as u64, hasher));
        drop(open);
        self.changed.notify_all();
        None
    }

    /// Runs the work of a thread; when it fails or panics, nobody waits for it any more.
    pub(super) fn guard<T, Error>(
        &self,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        struct Fail<'a>(&'a PartHasher);
        impl Drop for Fail<'_> {
            fn drop(&mut self) {
                self.0.lock().failed = true;
                self.0.changed.notify_all();
            }
        }
        let fail = Fail(self);
        let result = work();
        if result.is_ok() {
            std::mem::forget(fail);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, PartsOpen> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    fn results_come_in_order_and_the_first_error_counts() {
        for threads in [1, 2, 7] {
            for limit in [1, 3, 100] {
                let run = |bad: u32, stop: u32| {
                    let mut inputs = 0..50_u32;
                    let mut seen = Vec::new();
                    let result = in_order(
                        (threads, limit),
                        || inputs.next(),
                        || 0_u32,
                        |count, input| {
                            *count += 1;
                            if input % 3 == 0 {
                                thread::yield_now();
                            }
                            if input >= bad { Err(input) } else { Ok(input * 2) }
                        },
                        |output| {
                            seen.push(output);
                            if output == stop { Err(1000) } else { Ok(()) }
                        },
                    );
                    (result, seen)
                };
                let all: Vec<u32> = (0..50).map(|number| number * 2).collect();
                assert_eq!(run(99, 999), (Ok(()), all.clone()));
                assert_eq!(run(7, 999), (Err(7), all[..7].to_vec()));
                assert_eq!(run(99, 8), (Err(1000), all[..5].to_vec()));
            }
        }
        let none = in_order((2, 2), || None::<()>, || (), |(), ()| Err(()), |(): ()| Ok(()));
        assert_eq!(none, Ok(()));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_does_not_hang() {
        let mut inputs = 0..9_u32;
        let work = |(): &mut (), input| {
            assert_ne!(input, 4, "a panic that is meant");
            Ok::<_, ()>(())
        };
        let _ignored = in_order((3, 4), || inputs.next(), || (), work, |()| Ok(()));
    }

    #[test]
    fn parts_hash_as_the_whole_whoever_comes_first() {
        let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let hasher = PartHasher::default();
        let mut starts = (0..10_000).step_by(1000);
        let mut found = Vec::new();
        in_order(
            (4, 8),
            || starts.next(),
            || (),
            |(), start: usize| {
                if start.is_multiple_of(2000) {
                    thread::sleep(std::time::Duration::from_millis(2));
                }
                hasher.guard(|| {
                    let part = &data[start..start + 1000];
                    Ok::<_, ()>(hasher.update(3, start as u64, part, start == 9000))
                })
            },
            |hash| {
                found.extend(hash);
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(found, [Sha1::of(&data)]);
        assert!(hasher.guard(|| Err::<(), ()>(())).is_err());
        assert_eq!(hasher.update(0, 5, b"", true), None, "it does not wait for ever");
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
