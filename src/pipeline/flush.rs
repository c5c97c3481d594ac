//! Flushing the output while it is written.
//!
//! A gigabyte that is written first and flushed afterwards keeps the processor waiting for the disk and the disk for the processor. Here a second
//! thread flushes what is there whenever enough has been added, so that little is left for the flush at the end.

use std::{fs::File, io, sync::mpsc};

/// Bytes between two flushes.
const STEP: u64 = 64 << 20;

/// Runs `write`, which reports how many bytes it has written so far, and flushes `file` meanwhile.
///
/// # Errors
/// What a flush says. The system reports a failed write to a file once only, so it must not be lost here.
pub(super) fn while_writing<T>(
    file: &File,
    write: impl FnOnce(&dyn Fn(u64)) -> T,
) -> (T, io::Result<()>) {
    std::thread::scope(|scope| {
        // One place: a flush that is wanted while one is running covers both.
        let (wanted, requests) = mpsc::sync_channel::<()>(1);
        let flusher = scope.spawn(move || requests.iter().try_for_each(|()| file.sync_data()));
        let flushed = std::cell::Cell::new(0);
        let written = write(&|bytes| {
            if bytes >= flushed.get() + STEP {
                flushed.set(bytes);
                // Full or gone: a flush is due anyway, or has failed and is reported below.
                wanted.try_send(()).ok();
            }
        });
        drop(wanted);
        let result = flusher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (written, result)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_result_and_every_byte_arrive() {
        let mut file = tempfile::tempfile().unwrap();
        let handle = file.try_clone().unwrap();
        let (result, flushed) = while_writing(&handle, |tick| {
            for step in 1..=5 {
                file.write_all(b"some").unwrap();
                tick(step * STEP);
            }
            "done"
        });
        assert_eq!(result, "done");
        flushed.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 20);
    }
}
