//! Archives taken apart: what drivers and packages come in.
//!
//! Unpacked content stays in memory while it is little; then it goes to a file without a name that is gone when nothing refers to it any more.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use super::error::{Problem, ServicingError};
use crate::{
    base::{
        digest::Blake3,
        filetime::FileTime,
        name::{Name, compare_ignore_case},
        read_at::ReadAt,
    },
    format::{
        cab::{CabError, Cabinet, Member},
        zip::{ZipArchive, ZipError},
    },
};

/// So much of what is unpacked stays in memory.
const IN_MEMORY: u64 = 64 << 20;
/// How much is copied at once.
const PIECE: usize = 256 << 10;
/// Largest file of a cabinet that each thread decodes into memory before it is kept.
const AHEAD: u64 = 16 << 20;

/// A file taken out of an archive.
#[derive(Debug, Clone)]
pub(super) struct ArchiveFile {
    /// Names from the archive's root; at least one.
    pub(super) path: Vec<String>,
    /// Size in bytes.
    pub(super) size: u64,
    /// Last write time, where the archive tells one.
    pub(super) time: Option<FileTime>,
    /// The content.
    pub(super) content: Arc<dyn ReadAt>,
    /// BLAKE3 of the content.
    pub(super) blake3: Blake3,
}

/// Keeps unpacked content.
#[derive(Debug)]
pub(super) struct Spool {
    /// How much may still stay in memory.
    memory: u64,
    /// Most bytes that everything it takes may have together.
    largest: u64,
    /// How many it took.
    taken: u64,
    file: Option<Arc<SpoolFile>>,
    /// End of what was written to the file.
    end: u64,
}

/// A file without a name that holds unpacked files one behind the other.
#[derive(Debug)]
struct SpoolFile(Mutex<File>);

/// One of them.
#[derive(Debug)]
struct SpooledFile {
    spool: Arc<SpoolFile>,
    offset: u64,
    size: u64,
}

/// Content that is being taken.
pub(super) struct Incoming<'a> {
    spool: &'a mut Spool,
    size: u64,
    written: u64,
    hasher: blake3::Hasher,
    /// What stays in memory; else it goes to the file.
    memory: Option<Vec<u8>>,
}

impl Spool {
    /// Takes archives, and what is made of their files, of at most `largest` bytes together.
    pub(super) fn new(largest: u64) -> Self {
        Self { memory: IN_MEMORY, largest, taken: 0, file: None, end: 0 }
    }

    /// Begins to take content of `size` bytes.
    ///
    /// # Errors
    /// When there is no place for it, or it is more than anything that is unpacked may have ([`io::ErrorKind::InvalidData`]).
    pub(super) fn start(&mut self, size: u64) -> io::Result<Incoming<'_>> {
        let taken = self.taken.saturating_add(size);
        if taken > self.largest {
            let largest = self.largest;
            let what = format!("what is unpacked has more than {largest} bytes together");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.taken = taken;
        let in_memory = size <= self.memory;
        if in_memory {
            self.memory -= size;
        } else if self.file.is_none() {
            self.file = Some(Arc::new(SpoolFile(Mutex::new(tempfile::tempfile()?))));
        }
        let memory = in_memory.then(Vec::new);
        Ok(Incoming { spool: self, size, written: 0, hasher: blake3::Hasher::new(), memory })
    }

    /// Takes all that `content` gives, which must have `size` bytes.
    ///
    /// # Errors
    /// When it has another size, cannot be read, or cannot be kept.
    pub(super) fn take(
        &mut self,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<(Arc<dyn ReadAt>, Blake3)> {
        let mut incoming = self.start(size)?;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(PIECE).clamp(1, PIECE)];
        loop {
            match content.read(&mut buffer)? {
                0 => return incoming.finish(),
                count => incoming.write(&buffer[..count])?,
            }
        }
    }

    /// Refuses an archive with more bytes than anything that is unpacked may have.
    pub(super) fn check_total(
        &self,
        operation: &'static str,
        shown: &str,
        sizes: impl Iterator<Item = u64>,
    ) -> Result<(), ServicingError> {
        let (total, largest) = (sizes.fold(self.taken, u64::saturating_add), self.largest);
        if total <= largest {
            return Ok(());
        }
        let cause = format!(
            "what is unpacked has {total} bytes together, more than the {largest} that it may have"
        );
        let help = "unpack it and name the folder";
        Err(ServicingError::refused(operation, Problem::error(shown, cause, help)))
    }
}

impl Incoming<'_> {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// When these are more than were announced, or cannot be kept.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.written + bytes.len() as u64;
        if written > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than it says"));
        }
        self.hasher.update(bytes);
        match (&mut self.memory, &self.spool.file) {
            (Some(memory), _) => memory.extend_from_slice(bytes),
            (None, Some(spool)) => {
                let mut file = spool.0.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(self.spool.end + self.written))?;
                file.write_all(bytes)?;
            }
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        }
        self.written = written;
        Ok(())
    }

    /// What was taken, and its digest.
    ///
    /// # Errors
    /// When it is less than was announced.
    pub(super) fn finish(self) -> io::Result<(Arc<dyn ReadAt>, Blake3)> {
        if self.written != self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let blake3 = Blake3(*self.hasher.finalize().as_bytes());
        let content: Arc<dyn ReadAt> = match (self.memory, &self.spool.file) {
            (None, Some(spool)) => {
                let (spool, offset) = (Arc::clone(spool), self.spool.end);
                self.spool.end += self.size;
                Arc::new(SpooledFile { spool, offset, size: self.size })
            }
            (memory, _) => Arc::new(memory.unwrap_or_default()),
        };
        Ok((content, blake3))
    }
}

impl ReadAt for SpooledFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut file = self.spool.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.offset + offset))?;
        file.read_exact(buffer)
    }
}

/// The files of a cabinet, in the order of their bytes. `shown` names it in errors.
///
/// # Errors
/// When it cannot be read, is damaged or not supported, or its content cannot be kept.
pub(super) fn open_cabinet(
    operation: &'static str,
    shown: &str,
    content: &Arc<dyn ReadAt>,
    spool: &mut Spool,
) -> Result<Vec<ArchiveFile>, ServicingError> {
    open_members(operation, shown, content, spool, &|_| true)
}

/// As [`open_cabinet`], but only the files whose path is `wanted`.
pub(super) fn open_members(
    operation: &'static str,
    shown: &str,
    content: &Arc<dyn ReadAt>,
    spool: &mut Spool,
    wanted: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<ArchiveFile>, ServicingError> {
    let of_cab = |error: CabError| match error {
        CabError::Io(source) => ServicingError::input(shown, source),
        CabError::Sink { source, .. } => unpacking(operation, shown, source),
        error => damaged(operation, shown, &error),
    };
    let cabinet = Cabinet::open(Arc::clone(content)).map_err(of_cab)?;
    let wanted = |member: &&Member| wanted(&split(&member.name));
    let sizes = cabinet.members().iter().filter(wanted).map(|member| member.size);
    spool.check_total(operation, shown, sizes)?;
    let files = Mutex::new(Vec::new());
    let spool = Mutex::new(spool);
    let take = |member: &Member, content: &mut dyn Read| {
        let spool = || spool.lock().unwrap_or_else(PoisonError::into_inner);
        // Folders are decoded side by side: only what is large is decoded while the spool waits.
        let (content, blake3) = if member.size <= AHEAD {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            spool().take(member.size, &mut bytes.as_slice())?
        } else {
            spool().take(member.size, content)?
        };
        let path = split(&member.name);
        let time = time_of_dos(member.date, member.time);
        let file = ArchiveFile { path, size: member.size, time, content, blake3 };
        let order = (member.folder, member.offset, member.size);
        files.lock().unwrap_or_else(PoisonError::into_inner).push((order, file));
        Ok(())
    };
    cabinet.extract_parallel(|member| wanted(&member), &take).map_err(of_cab)?;
    let mut files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
    files.sort_by(|(one, file), (other, next)| (one, &file.path).cmp(&(other, &next.path)));
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// The files of a ZIP archive, in its order; their times have no time zone and are not looked at. `shown` names it in errors.
///
/// # Errors
/// As [`open_cabinet`].
pub(super) fn open_zip(
    operation: &'static str,
    shown: &str,
    content: &Arc<dyn ReadAt>,
    spool: &mut Spool,
) -> Result<Vec<ArchiveFile>, ServicingError> {
    let of_zip = |error: ZipError| match error {
        ZipError::Io(source) => ServicingError::input(shown, source),
        ZipError::Sink { source, .. } => unpacking(operation, shown, source),
        error => damaged(operation, shown, &error),
    };
    let archive = ZipArchive::open(Arc::clone(content)).map_err(of_zip)?;
    spool.check_total(operation, shown, archive.members().iter().map(|member| member.size))?;
    let mut files = Vec::new();
    let mut take = |member: &crate::format::zip::Member, content: &mut dyn Read| {
        let (content, blake3) = spool.take(member.size, content)?;
        let path = split(&member.name);
        files.push(ArchiveFile { path, size: member.size, time: None, content, blake3 });
        Ok(())
    };
    archive.extract(|_| true, &mut take).map_err(of_zip)?;
    Ok(files)
}

/// The first bytes of an input: what it is, whatever its name. Zeros when it is shorter.
///
/// # Errors
/// When it cannot be read.
pub(super) fn magic<const SIZE: usize>(
    shown: &str,
    content: &dyn ReadAt,
) -> Result<[u8; SIZE], ServicingError> {
    let mut magic = [0; SIZE];
    if content.size() >= SIZE as u64 {
        let read = content.read_exact_at(0, &mut magic);
        read.map_err(|source| ServicingError::input(shown, source))?;
    }
    Ok(magic)
}

/// The names of a path with `\`.
pub(super) fn split(path: &str) -> Vec<String> {
    path.split('\\').map(str::to_owned).collect()
}

/// A date and time as FAT has them, taken as UTC; `None` for days that there are not.
fn time_of_dos(date: u16, time: u16) -> Option<FileTime> {
    let part = |value: u16, low: u32, bits: u32| i8::try_from(value >> low & ((1 << bits) - 1));
    let year = i16::try_from(date >> 9).ok()? + 1980;
    let (month, day) = (part(date, 5, 4).ok()?, part(date, 0, 5).ok()?);
    let (hour, minute) = (part(time, 11, 5).ok()?, part(time, 5, 6).ok()?);
    let second = part(time, 0, 5).ok()? * 2;
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let time = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(FileTime::from_unix(time.as_second(), 0))
}

/// Refuses files that would be one file, or a file and a folder of one name, on Windows.
///
/// # Errors
/// When there are such; the first pair is named.
pub(super) fn check_names<'a>(
    operation: &'static str,
    shown: &str,
    paths: impl Iterator<Item = &'a [String]>,
) -> Result<(), ServicingError> {
    let names = |path: &[String]| path.iter().map(|name| Name::from(name.as_str())).collect();
    let mut paths: Vec<(Vec<Name>, &[String])> = paths.map(|path| (names(path), path)).collect();
    let compare = |one: &[Name], other: &[Name]| {
        let pairs = one.iter().zip(other);
        let different = pairs.map(|(one, other)| compare_ignore_case(one.units(), other.units()));
        different
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or_else(|| one.len().cmp(&other.len()))
    };
    paths.sort_by(|one, other| compare(&one.0, &other.0));
    let clash = paths.windows(2).find(|pair| {
        let (one, other) = (&pair[0].0, &pair[1].0);
        other.len() >= one.len() && compare(one, &other[..one.len()]).is_eq()
    });
    let Some(pair) = clash else { return Ok(()) };
    let (one, other) = (pair[0].1.join("/"), pair[1].1.join("/"));
    let cause =
        format!("{one} and {other} cannot both be there on Windows: their names are one name");
    Err(ServicingError::refused(operation, Problem::error(shown, cause, "rename one of them")))
}

/// That an archive cannot be used, with all that its reader says.
pub(super) fn damaged(
    operation: &'static str,
    shown: &str,
    error: &dyn std::error::Error,
) -> ServicingError {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    let help = "get the archive again, or unpack it and name the folder";
    ServicingError::refused(operation, Problem::error(shown, cause, help))
}

/// That the files of an archive cannot be kept anywhere, or are more than may be.
pub(super) fn unpacking(operation: &'static str, shown: &str, source: io::Error) -> ServicingError {
    if source.kind() == io::ErrorKind::InvalidData {
        let help = "get the archive again, or unpack it and name the folder";
        return ServicingError::refused(operation, Problem::error(shown, source.to_string(), help));
    }
    ServicingError::Store { item: shown.to_owned(), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::cab;

    #[test]
    fn dos_times_are_utc() {
        let date = (2019 - 1980) << 9 | 10 << 5 | 29;
        let time = 13 << 11 | 37 << 5 | 21;
        let expected = FileTime::parse("2019-10-29T13:37:42Z");
        assert_eq!(time_of_dos(date, time), expected);
        assert_eq!(time_of_dos(0, 0), None, "month 0");
        assert_eq!(time_of_dos(date, 31 << 5 << 6), None, "hour 31");
        assert_eq!(time_of_dos(2 << 5 | 30, 0), None, "30 February");
    }

    #[test]
    fn more_than_the_whole_may_have_is_refused() {
        let mut spool = Spool::new(10);
        for _ in 0..2 {
            spool.take(4, &mut &b"four"[..]).unwrap();
        }
        let error = spool.take(4, &mut &b"four"[..]).unwrap_err();
        let error = unpacking("packages", "a.cab", error).to_string();
        assert!(error.contains("more than 10 bytes together"), "{error}");
        assert!(spool.check_total("packages", "a.cab", [3].into_iter()).is_err());
    }

    #[test]
    fn several_folders_come_in_the_order_of_the_cabinet() {
        let member = |number: u8| cab::NewMember {
            name: format!("{number}"),
            date: 0,
            time: 0,
            content: vec![number; 50_000],
        };
        let folders: Vec<Vec<_>> =
            (0..20).map(|folder| vec![member(2 * folder), member(2 * folder + 1)]).collect();
        let mut bytes = Vec::new();
        cab::write(&mut bytes, cab::CabMethod::MsZip, &folders).unwrap();
        let content: Arc<dyn ReadAt> = Arc::new(bytes);
        let mut spool = Spool::new(u64::MAX);
        spool.memory = 100_000;
        let files = open_cabinet("packages", "a.cab", &content, &mut spool).unwrap();
        for (number, file) in (0..40u8).zip(&files) {
            assert_eq!(file.path, [number.to_string()]);
            assert_eq!(file.blake3, Blake3::of(&vec![number; 50_000]));
        }
        let some = open_members("packages", "a.cab", &content, &mut spool, &|path| path == ["7"]);
        assert_eq!((files.len(), some.unwrap().len()), (40, 1));
    }

    #[test]
    fn content_reads_as_it_was_written_in_memory_and_in_the_file() {
        let mut spool = Spool::new(u64::MAX);
        spool.memory = 5;
        let mut kept = Vec::new();
        for text in ["four", "much longer", "x", "again longer"] {
            let size = text.len() as u64;
            kept.push((text, spool.take(size, &mut text.as_bytes()).unwrap()));
            // What was kept before can be read in between.
            for (text, (content, blake3)) in &kept {
                let mut bytes = vec![0; text.len()];
                content.read_exact_at(0, &mut bytes).unwrap();
                assert_eq!(bytes, text.as_bytes());
                assert_eq!(*blake3, Blake3::of(&bytes));
                assert!(content.read_exact_at(1, &mut bytes).is_err());
            }
        }
        assert_eq!((spool.memory, spool.end), (0, 23));
        assert_eq!(spool.taken, 28);
        assert!(spool.take(3, &mut &b"four"[..]).is_err(), "longer than it says");
        assert!(spool.take(5, &mut &b"four"[..]).is_err(), "shorter than it says");
    }
}
