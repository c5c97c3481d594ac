//! Contents of host files, opened when they are read: a capture may have more files than a process may have open.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    base::read_at::{FileSource, ReadAt},
    cli::failures::InputError,
};

/// A host file that is opened anew for every read.
#[derive(Debug)]
pub(super) struct HostFile {
    path: PathBuf,
    size: u64,
}

impl HostFile {
    /// A file that had `size` bytes when it was looked at.
    pub(super) fn new(path: &Path, size: u64) -> Self {
        Self { path: path.to_owned(), size }
    }
}

impl ReadAt for HostFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        FileSource::open(&self.path)
            .and_then(|file| file.read_exact_at(offset, buffer))
            .map_err(|error| io::Error::new(error.kind(), InputError(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_went_away_is_an_input_error() {
        let file = HostFile::new(Path::new("/nowhere/x"), 4);
        let error = file.read_exact_at(0, &mut [0; 4]).unwrap_err();
        assert!(error.get_ref().unwrap().is::<InputError>());
        assert!(error.to_string().contains("/nowhere/x"));
    }
}
