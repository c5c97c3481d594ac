//! Inputs whose errors say that they are inputs.
//!
//! Writing a WIM reads files and writes one; both fail with I/O errors. What fails while reading is marked, so that a file that
//! went away is not reported as a full disk.

use std::{io, sync::Arc};

use crate::{base::read_at::ReadAt, cli::failures::InputError};

/// A source that marks its errors.
#[derive(Debug)]
pub(super) struct Marked(pub(super) Arc<dyn ReadAt>);

impl ReadAt for Marked {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0
            .read_exact_at(offset, buffer)
            .map_err(|error| io::Error::new(error.kind(), InputError(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_inputs_are_marked() {
        let source: Arc<dyn ReadAt> = Arc::new(vec![1, 2, 3]);
        let error = Marked(source).read_exact_at(2, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.get_ref().unwrap().is::<InputError>());
    }
}
