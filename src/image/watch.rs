//! Progress and cancellation of work that takes long.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// Who watches long work: is told how far it is, and may end it. Both are called from several threads.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Gets the bytes done so far and those to do in all. Calls of several threads can overtake each other.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
    /// Asked now and then; true ends the work with an error.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// Nobody: no progress is told, nothing is cancelled.
impl Default for Watch<'_> {
    fn default() -> Self {
        Self { progress: &|_, _| (), cancelled: &|| false }
    }
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// A piece of work that is measured in bytes and watched.
pub(super) struct Work<'a> {
    watch: Watch<'a>,
    done: AtomicU64,
    total: u64,
}

impl<'a> Work<'a> {
    /// Work of `total` bytes that begins now.
    pub(super) fn new(watch: Watch<'a>, total: u64) -> Self {
        Self { watch, done: AtomicU64::new(0), total }
    }

    /// Tells that `bytes` more are done.
    pub(super) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // A file that grows while it is read must not make more than all.
        (self.watch.progress)(done.min(self.total), self.total);
    }

    /// True when the work is to end.
    pub(super) fn is_cancelled(&self) -> bool {
        (self.watch.cancelled)()
    }
}
