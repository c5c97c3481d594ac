//! Positioned reads: no shared cursor, so any number of threads may read one source.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

/// Bytes that can be read at any offset by any thread.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the source ends before; otherwise what the system says.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The host file behind it, if it is one: what a copy inside the kernel needs.
    fn as_file(&self) -> Option<&FileSource> {
        None
    }
}

/// Which side of a copy failed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source.
    #[error(transparent)]
    Read(io::Error),
    /// The target.
    #[error(transparent)]
    Write(io::Error),
}

/// A host file opened for positioned reading. Its length is taken once, when it is opened.
#[derive(Debug)]
pub struct FileSource {
    file: fs::File,
    size: u64,
    opened: std::fs::Metadata,
}

impl FileSource {
    /// Opens `path` read-only.
    ///
    /// # Errors
    /// When it cannot be opened or is not a regular file; the error names the path.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = fs::File::open(path.as_ref())?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            let text = format!("{} is a directory", path.as_ref().display());
            return Err(io::Error::new(io::ErrorKind::IsADirectory, text));
        }
        Ok(Self { file, size: metadata.len(), opened: metadata })
    }

    /// A file that is open already, as `path`: one that is locked may not be opened again on every system.
    ///
    /// # Errors
    /// When the system does not tell its length.
    pub fn of(file: std::fs::File, path: impl Into<PathBuf>) -> io::Result<Self> {
        let file = fs::File::from_parts(file, path);
        let metadata = file.metadata()?;
        Ok(Self { file, size: metadata.len(), opened: metadata })
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the system said of the file when it was opened, before a byte of it was read.
    #[must_use]
    pub fn opened(&self) -> &std::fs::Metadata {
        &self.opened
    }

    /// What the system says of the open file now, whatever its path names by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.file.metadata()
    }

    /// Appends `length` bytes from `offset` to `target` at its current position, inside the kernel where the system can.
    ///
    /// # Errors
    /// [`CopyError::Read`] when this file is shorter than that or cannot be read; [`CopyError::Write`] when `target` cannot be written.
    pub fn copy_range_to(
        &self,
        offset: u64,
        length: u64,
        target: &std::fs::File,
    ) -> Result<(), CopyError> {
        let done =
            copy_in_kernel(self.file.file(), offset, length, target).map_err(CopyError::Write)?;
        copy_through_buffer(self, offset + done, length - done, target)
    }
}

/// Copies with `copy_file_range`; returns how much it did before the file system declined.
#[cfg(target_os = "linux")]
fn copy_in_kernel(
    source: &std::fs::File,
    offset: u64,
    length: u64,
    target: &std::fs::File,
) -> io::Result<u64> {
    let mut position = offset;
    let end = offset + length;
    while position < end {
        let step = usize::try_from((end - position).min(1 << 30)).unwrap_or(1 << 30);
        match rustix::fs::copy_file_range(source, Some(&mut position), target, None, step) {
            Ok(0) => break,
            Ok(_) => {}
            // Other file systems, old kernels, special files: the buffer below does it.
            Err(
                rustix::io::Errno::XDEV
                | rustix::io::Errno::NOSYS
                | rustix::io::Errno::INVAL
                // The kernel does not say which side it was; the buffer finds out.
                | rustix::io::Errno::IO
                | rustix::io::Errno::OPNOTSUPP,
            ) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(position - offset)
}

#[cfg(not(target_os = "linux"))]
fn copy_in_kernel(_: &std::fs::File, _: u64, _: u64, _: &std::fs::File) -> io::Result<u64> {
    Ok(0)
}

/// Copies through a buffer of 1 MiB.
fn copy_through_buffer(
    source: &dyn ReadAt,
    mut offset: u64,
    length: u64,
    mut target: &std::fs::File,
) -> Result<(), CopyError> {
    use io::Write as _;
    let end = offset + length;
    let mut buffer = vec![0; usize::try_from(length.min(1 << 20)).unwrap_or(1 << 20)];
    while offset < end {
        let step = usize::try_from((end - offset).min(buffer.len() as u64)).unwrap_or(buffer.len());
        source.read_exact_at(offset, &mut buffer[..step]).map_err(CopyError::Read)?;
        target.write_all(&buffer[..step]).map_err(CopyError::Write)?;
        offset += step as u64;
    }
    Ok(())
}

impl ReadAt for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.file.file().read_exact_at(buffer, offset).map_err(|error| self.named(&error))
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        use std::os::windows::fs::FileExt as _;
        while !buffer.is_empty() {
            match self.file.file().seek_read(buffer, offset) {
                Ok(0) => return Err(self.named(&io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.named(&error)),
            }
        }
        Ok(())
    }

    fn as_file(&self) -> Option<&FileSource> {
        Some(self)
    }
}

impl FileSource {
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path().display()))
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_slice(self, offset, buffer)
    }
}

impl ReadAt for Arc<[u8]> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_slice(self, offset, buffer)
    }
}

fn read_slice(data: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let part = usize::try_from(offset)
        .ok()
        .and_then(|start| data.get(start..start.checked_add(buffer.len())?))
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    buffer.copy_from_slice(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_files_read_alike_and_stop_at_the_end() {
        let data: Vec<u8> = (0..100).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &data).unwrap();
        let sources: [Box<dyn ReadAt>; 2] =
            [Box::new(data), Box::new(FileSource::open(file.path()).unwrap())];
        for source in sources {
            let mut buffer = [0; 4];
            source.read_exact_at(96, &mut buffer).unwrap();
            assert_eq!(buffer, [96, 97, 98, 99]);
            assert_eq!(
                source.read_exact_at(97, &mut buffer).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
            assert!(source.read_exact_at(u64::MAX, &mut buffer).is_err());
        }
    }

    #[test]
    fn a_range_is_copied_and_a_short_source_is_an_error() {
        let source = tempfile::NamedTempFile::new().unwrap();
        fs::write(source.path(), b"0123456789").unwrap();
        let source = FileSource::open(source.path()).unwrap();
        let target = tempfile::NamedTempFile::new().unwrap();
        source.copy_range_to(2, 5, target.as_file()).unwrap();
        assert_eq!(fs::read(target.path()).unwrap(), b"23456");
        let short = source.copy_range_to(8, 5, target.as_file());
        assert!(
            matches!(short, Err(CopyError::Read(_))),
            "a source that is too short is no failed write"
        );
        let read_only = fs::File::open(target.path()).unwrap();
        let refused = source.copy_range_to(2, 5, read_only.file());
        assert!(matches!(refused, Err(CopyError::Write(_))));
    }
}
