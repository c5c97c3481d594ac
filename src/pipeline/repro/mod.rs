//! Whether two files that should be the same are, and where they first are not.
//!
//! Bytes are compared as they are. Where they differ, the part of the WIM that lies there is named, and then what it comes from, in words of images:
//! the first difference of a file is nearly always in its header, because the GUID there is made of all the content.

mod images;
mod region;

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use fs_err::File;
use serde::Serialize;

use crate::{base::limits::Limits, format::wim::Wim};

/// Bytes compared at a time.
const PIECE: usize = 1 << 20;
/// As many differences are told of images and parts.
pub const MOST_DETAILS: usize = 12;

/// Where two outputs first differ, and in what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// The files that differ: the first of the first output, and its partner.
    pub files: [PathBuf; 2],
    /// Their sizes in bytes.
    pub sizes: [u64; 2],
    /// Offset of the first byte that differs; the size of the shorter one when that is the beginning of the other.
    pub offset: u64,
    /// What lies there: `header: GUID`, `content of image 1: \Windows\notepad.exe`, `XML` ...
    pub part: String,
    /// What is different, in words: entries of images first, then the way they are stored.
    pub details: Vec<String>,
}

/// Why two outputs cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// One cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Compares two outputs, each given by its files: one, or the parts of a split set. `None` when they are the same.
///
/// # Errors
/// When one cannot be read, or the caller asks to stop.
pub fn compare(
    left: &[PathBuf],
    right: &[PathBuf],
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<Difference>, CompareError> {
    for (volume, (one, other)) in left.iter().zip(right).enumerate() {
        let Some((offset, sizes)) = first_difference(one, other, cancelled)? else { continue };
        let wims = [&left[0], &right[0]].map(|path| Wim::open_path(path, &Limits::default()));
        let volume = u16::try_from(volume).unwrap_or(u16::MAX);
        let part = match &wims {
            // What the other one has there may begin only behind the end of the first.
            [Ok(wim), _] if offset < sizes[0] => region::at(wim, volume, offset),
            [_, Ok(wim)] => region::at(wim, volume, offset),
            [Ok(wim), _] => region::at(wim, volume, offset),
            [Err(error), Err(_)] => format!("of no WIM that can be read ({error})"),
        };
        let details = match &wims {
            [Ok(one), Ok(other)] => images::details(one, other),
            [Err(error), _] | [_, Err(error)] => {
                vec![format!("one of them cannot be read: {error}")]
            }
        };
        let files = [one.clone(), other.clone()];
        return Ok(Some(Difference { files, sizes, offset, part, details }));
    }
    if left.len() == right.len() {
        return Ok(None);
    }
    let path = |files: &[PathBuf]| files.last().cloned().unwrap_or_default();
    Ok(Some(Difference {
        files: [path(left), path(right)],
        sizes: [0, 0],
        offset: 0,
        part: "number of parts".to_owned(),
        details: vec![format!("{} parts and {}", left.len(), right.len())],
    }))
}

/// Where two files first differ, with their sizes.
fn first_difference(
    left: &Path,
    right: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<(u64, [u64; 2])>, CompareError> {
    let open = |path: &Path| -> io::Result<(File, u64)> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    };
    let (mut one, one_size) = open(left).map_err(unreadable(left))?;
    let (mut other, other_size) = open(right).map_err(unreadable(right))?;
    let (mut here, mut there) = (vec![0; PIECE], vec![0; PIECE]);
    let mut offset = 0;
    loop {
        if cancelled() {
            return Err(CompareError::Cancelled);
        }
        let first = fill(&mut one, &mut here).map_err(unreadable(left))?;
        let second = fill(&mut other, &mut there).map_err(unreadable(right))?;
        let (first, second) = (&here[..first], &there[..second]);
        if let Some(place) = first.iter().zip(second).position(|(a, b)| a != b) {
            return Ok(Some((offset + place as u64, [one_size, other_size])));
        }
        if first.len() != second.len() {
            let end = offset + first.len().min(second.len()) as u64;
            return Ok(Some((end, [one_size, other_size])));
        }
        if first.is_empty() {
            return Ok(None);
        }
        offset += first.len() as u64;
    }
}

/// What the system said of a file that cannot be read.
fn unreadable(path: &Path) -> impl Fn(io::Error) -> CompareError {
    move |source| CompareError::Unreadable { path: path.to_owned(), source }
}

/// Fills `buffer` as far as the file goes.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where two texts first differ: the line and both lines; for documents made of lines.
#[must_use]
pub fn first_line(left: &[u8], right: &[u8]) -> Option<(usize, String, String)> {
    if left == right {
        return None;
    }
    let (left, right) = (String::from_utf8_lossy(left), String::from_utf8_lossy(right));
    let (mut one, mut other) = (left.lines(), right.lines());
    for number in 1.. {
        match (one.next(), other.next()) {
            (None, None) => break,
            (here, there) if here != there => {
                let text = |line: Option<&str>| line.unwrap_or("(the end)").trim().to_owned();
                return Some((number, text(here), text(there)));
            }
            _ => {}
        }
    }
    Some((0, "(line ends)".to_owned(), "(line ends)".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(first_line(b"a\nb\n", b"a\nb\n"), None);
        assert_eq!(first_line(b"a\nb\n", b"a\n c\n"), Some((2, "b".into(), "c".into())));
        assert_eq!(first_line(b"a\n", b"a\nb\n"), Some((2, "(the end)".into(), "b".into())));
        assert_eq!(first_line(b"a\n", b"a\r\n").unwrap().0, 0);
    }

    #[test]
    fn files_are_compared_to_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs_err::write(&path, bytes).unwrap();
            path
        };
        let long = vec![7; PIECE + 10];
        let mut other = long.clone();
        other[PIECE + 3] = 8;
        let (one, same) = (path("one", &long), path("same", &long));
        let first = |left: &Path, right: &Path| first_difference(left, right, &|| false).unwrap();
        assert_eq!(first(&one, &same), None);
        let size = long.len() as u64;
        let place = PIECE as u64 + 3;
        assert_eq!(first(&one, &path("other", &other)), Some((place, [size, size])));
        let short = path("short", &long[..PIECE]);
        assert_eq!(first(&one, &short), Some((PIECE as u64, [size, PIECE as u64])));
        assert!(matches!(first_difference(&one, &same, &|| true), Err(CompareError::Cancelled)));
        // What is no WIM is still told of.
        let found = compare(&[one], &[short], &|| false).unwrap().unwrap();
        assert!(found.part.starts_with("of no WIM"), "{}", found.part);
    }
}
