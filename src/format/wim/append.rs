//! Changing a WIM in place: what stays is not touched, what is new is written behind the end, and then the header is rewritten.
//!
//! No crash, whenever it happens, damages the file. Beside it lies a journal while it is changed (`NAME.wim.transom-journal`):
//!
//! ```text
//! "TRANSOM-WIM-JNL1" (16) | old size (u64) | old header (208) | BLAKE3 of all before (32)
//!                         | new size (u64) | new header (208) | BLAKE3 of all before (32)
//! ```
//!
//! 1. The first half is written and flushed. The file has not been touched.
//! 2. New content, blob table, XML and integrity table are written behind the old end and flushed. The old header stands: the file is still the old one.
//! 3. The second half is written and flushed. From now on the new file can be completed.
//! 4. The header is written and flushed.
//! 5. The journal is removed.
//!
//! After a crash in 1 or 2, [`recover`] cuts the file off at its old size; after one in 3 or 4 it writes the new header. Bytes that the file no
//! longer needs stay in it as holes, as the format allows, until it is written anew.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

use super::{
    error::WimError,
    header::Header,
    info::WimXml,
    integrity::IntegrityTable,
    reader::Wim,
    resource::to_usize,
    write::{BlobToWrite, Body, MetadataToWrite, OldIntegrity, WriteReport, WriteSettings},
    write_plan::Plan,
};
use crate::{base::digest::Blake3, codec::Codec};

const MAGIC: &[u8; 16] = b"TRANSOM-WIM-JNL1";
/// Bytes of the journal's first half.
const FIRST: usize = 16 + 8 + Header::SIZE + 32;
/// Bytes of the whole journal.
const BOTH: usize = FIRST + 8 + Header::SIZE + 32;
/// An integrity table larger than this is not worth reading.
const MAX_INTEGRITY: u64 = 64 << 20;

/// What [`recover`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// No change had been interrupted.
    Nothing,
    /// The file is again what it was before the interrupted change.
    Undone,
    /// The interrupted change was as good as done, and now is.
    Completed,
}

/// Where a change stands; for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    JournalCreated,
    JournalWritten,
    Written,
    JournalComplete,
    HeaderWritten,
}

/// Changes the file at `path`, which `wim` was opened from, into one with just these blobs, images and this XML: the same plan as for
/// [`super::write_wim`], but what lies in the file already (blobs of the same SHA-1, metadata that is copied from `wim`) stays where it is, and the
/// rest is written behind the end. `settings` must have the file's codec and chunk size; solid resources are made only in a
/// file that has some already. With an integrity table, digests that the old one has of unchanged bytes are used again.
///
/// The GUID changes with the content, by the same rule as for new files. The file and its journal are flushed to the disk: when this
/// returns, the change is durable. When it fails, or is cancelled, the file is what it was, if that can be written; else [`recover`] will see to it.
///
/// # Errors
/// When the file is marked as read-only, is part of a split set, was not finished by its writer, has changed since `wim` was opened, is being changed by another process,
/// or waits for [`recover`]; when `settings` are not the file's; and as [`super::write_wim`].
#[expect(clippy::too_many_arguments, reason = "what write_wim takes, and the file")]
pub fn append_wim(
    path: &Path,
    wim: &Arc<Wim>,
    settings: &WriteSettings,
    blobs: Vec<BlobToWrite>,
    images: Vec<MetadataToWrite>,
    xml: WimXml,
    progress: &dyn Fn(u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<WriteReport, WimError> {
    let file = open_alone(path, true)?;
    let journal = check_journal(path)?;
    let old_header = check_file(&file, wim)?;
    check_settings(wim, settings)?;
    let plan = Plan::new(settings, blobs, images, &xml, Some(wim))?;
    let append = Append { path, file: &file, journal, old_header, old_size: wim.source().size() };
    let body = Body { output: &file, settings, plan: &plan, progress, cancelled };
    let mut header = plan.header(settings);
    if wim.header().version == Header::VERSION_SOLID {
        header.version = Header::VERSION_SOLID;
    }
    let old = if settings.integrity { old_integrity(wim) } else { None };
    append.run(&body, header, xml, old, &|_| ())
}

/// Keeps every other process from changing the file at `path`, which `wim` was opened from, as long as the returned file is open: for who
/// writes it anew beside its place and renames. To be held until after the rename; on Windows, which renames nothing over an open file, until just before.
///
/// # Errors
/// When the file has changed since `wim` was opened, is being changed by another process, or waits for [`recover`].
pub fn hold(path: &Path, wim: &Wim) -> Result<File, WimError> {
    let file = match open_alone(path, true) {
        // The folder says whether a file may be replaced, not the file.
        Err(WimError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_alone(path, false)?
        }
        opened => opened?,
    };
    check_journal(path)?;
    check_same(&file, wim)?;
    Ok(file)
}

/// Puts right what an interrupted [`append_wim`] left behind: afterwards the file at `path` is exactly the old one or the complete new one, and the
/// journal is gone. To be called before a file is opened to be changed; costs nothing when there is no journal.
///
/// # Errors
/// When another process is changing the file right now, the journal is not one of this file, or the system refuses.
pub fn recover(path: &Path) -> Result<Recovered, WimError> {
    let journal = journal_path(path);
    if fs::symlink_metadata(&journal).is_err() {
        return Ok(Recovered::Nothing);
    }
    let mut file = open_alone(path, true)?;
    let mut bytes = Vec::new();
    match fs::File::open(&journal) {
        // The other process finished while this one waited for the file.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::Nothing),
        opened => opened?.take(BOTH as u64 + 1).read_to_end(&mut bytes)?,
    };
    let foreign = || {
        refuse(&format!(
            "{} does not belong to the file as it is now; if the file is good, delete that one",
            journal.display()
        ))
    };
    let begins = bytes.len().min(MAGIC.len());
    if bytes.len() > BOTH || bytes[..begins] != MAGIC[..begins] && bytes.iter().any(|&b| b != 0) {
        return foreign();
    }
    let Some((old_size, old_header)) = record(&bytes, 16, FIRST) else {
        // It was cut off while it was written: the file has not been touched.
        remove_journal(path, &journal)?;
        return Ok(Recovered::Undone);
    };
    let size = file.metadata()?.len();
    let mut header = [0; Header::SIZE];
    file.rewind()?;
    if size < old_size || file.read_exact(&mut header).is_err() {
        return foreign();
    }
    if let Some((new_size, new_header)) = record(&bytes, FIRST, BOTH)
        && size == new_size
        && header
            .iter()
            .zip(old_header)
            .zip(new_header)
            .all(|((is, old), new)| is == old || is == new)
    {
        write_header(&file, new_header)?;
        remove_journal(path, &journal)?;
        return Ok(Recovered::Completed);
    }
    if header != *old_header {
        return foreign();
    }
    file.set_len(old_size)?;
    file.sync_all()?;
    remove_journal(path, &journal)?;
    Ok(Recovered::Undone)
}

fn refuse<T>(what: &str) -> Result<T, WimError> {
    Err(WimError::Plan { what: what.to_owned() })
}

/// The journal of the file at `path`: beside it.
fn journal_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".transom-journal");
    path.with_file_name(name)
}

/// Where the journal of a change is to be; an earlier change must not have left one.
fn check_journal(path: &Path) -> Result<PathBuf, WimError> {
    let journal = journal_path(path);
    match fs::symlink_metadata(&journal) {
        Ok(_) => refuse("an earlier change of this file was interrupted; recover it first"),
        Err(_) => Ok(journal),
    }
}

/// Size and header in the half of a journal that ends at `end`; `None` when it was not written whole.
fn record(journal: &[u8], start: usize, end: usize) -> Option<(u64, &[u8])> {
    let (before, checksum) = journal.get(..end)?.split_at(end - 32);
    if Blake3::of(before).0 != checksum {
        return None;
    }
    let size = u64::from_le_bytes(before.get(start..start + 8)?.try_into().ok()?);
    Some((size, before.get(start + 8..)?))
}

/// Opens the file for changing; no other process can do that at the same time.
fn open_alone(path: &Path, for_writing: bool) -> Result<File, WimError> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(for_writing);
    #[cfg(windows)]
    {
        // Others may read. A lock would keep this process itself from reading what it opened before.
        use fs_err::os::windows::fs::OpenOptionsExt as _;
        options.share_mode(1);
    }
    let file: File = options.open(path)?.into();
    if cfg!(not(windows)) {
        match file.try_lock() {
            // File systems without locks are used as they are.
            Ok(()) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => {
                let text = format!("{}: {error}", path.display());
                return Err(io::Error::new(error.kind(), text).into());
            }
            Err(TryLockError::WouldBlock) => {
                return refuse("another process is changing this file");
            }
        }
    }
    if !names_file(path, &file)? {
        return refuse("another process has just replaced this file");
    }
    Ok(file)
}

/// True when `path` still leads to the open `file`: before it was locked, another process may have put a new one there.
fn names_file(path: &Path, file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let open = file.metadata()?;
        Ok(fs::metadata(path)
            .is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino())))
    }
    // Elsewhere nobody can rename over a file that is open so.
    #[cfg(not(unix))]
    {
        let _ = (path, file);
        Ok(true)
    }
}

/// Checks that the file is what `wim` was opened from; returns its header.
fn check_same(mut file: &File, wim: &Wim) -> Result<Vec<u8>, WimError> {
    let size = file.metadata()?.len();
    let mut bytes = vec![0; Header::SIZE];
    file.rewind()?;
    let is_same = size == wim.source().size()
        && file.read_exact(&mut bytes).is_ok()
        && Header::parse(&bytes).is_ok_and(|header| header == *wim.header());
    if !is_same {
        return refuse("it was changed by somebody else since it was opened");
    }
    Ok(bytes)
}

/// As [`check_same`], and that the file is one that may be changed.
fn check_file(file: &File, wim: &Wim) -> Result<Vec<u8>, WimError> {
    let bytes = check_same(file, wim)?;
    let header = wim.header();
    if header.flags & Header::READ_ONLY != 0 {
        return refuse("it is marked as read-only");
    }
    if header.flags & Header::SPANNED != 0 || header.total_parts > 1 {
        return refuse("it is part of a split set; join the set first");
    }
    if header.flags & Header::WRITE_IN_PROGRESS != 0 {
        return refuse("another program did not finish writing it; write it anew");
    }
    Ok(bytes)
}

fn check_settings(wim: &Wim, settings: &WriteSettings) -> Result<(), WimError> {
    let name = |(codec, chunk_size): (Codec, u32)| match codec {
        Codec::None => "no compression".to_owned(),
        codec => format!("{codec} with chunks of {} KiB", chunk_size >> 10),
    };
    let (is, wanted) = ((wim.codec(), wim.chunk_size()), (settings.codec, settings.chunk_size));
    if is.0 != wanted.0 || is.0 != Codec::None && is.1 != wanted.1 {
        return refuse(&format!(
            "it has {}, which cannot become {} in place",
            name(is),
            name(wanted)
        ));
    }
    if settings.solid.is_some() && wim.solids(0).is_empty() && !wim.blobs().is_empty() {
        return refuse("it has no solid resources, and gets none in place");
    }
    Ok(())
}

/// The file's integrity table and the end of what it covers; `None` when there is none, or none that can be read.
fn old_integrity(wim: &Wim) -> Option<OldIntegrity> {
    let header = wim.header();
    let size = header.integrity.stored_size;
    if size == 0 || size > MAX_INTEGRITY {
        return None;
    }
    let mut bytes = vec![0; to_usize(size).ok()?];
    wim.source().read_exact_at(header.integrity.offset, &mut bytes).ok()?;
    Some((IntegrityTable::parse(&bytes).ok()?, header.blob_table.end()?))
}

/// Flushes the folder, so that what was created or removed in it stays so.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A file system that cannot do this has nothing to flush.
        match fs::File::open(folder)?.sync_all() {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

fn remove_journal(path: &Path, journal: &Path) -> io::Result<()> {
    fs::remove_file(journal)?;
    sync_folder(path)
}

fn write_header(mut file: &File, header: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(header)?;
    file.sync_all()
}

/// A change under way.
struct Append<'a> {
    path: &'a Path,
    file: &'a File,
    journal: PathBuf,
    old_header: Vec<u8>,
    old_size: u64,
}

impl Append<'_> {
    fn run(
        &self,
        body: &Body<'_>,
        mut header: Header,
        mut xml: WimXml,
        old: Option<OldIntegrity>,
        at: &dyn Fn(Step),
    ) -> Result<WriteReport, WimError> {
        let mut journal =
            fs::OpenOptions::new().write(true).create_new(true).open(&self.journal)?;
        at(Step::JournalCreated);
        let mut prepare = || -> Result<WriteReport, WimError> {
            let mut bytes = MAGIC.to_vec();
            add_record(&mut bytes, self.old_size, &self.old_header);
            journal.write_all(&bytes)?;
            journal.sync_all()?;
            sync_folder(self.path)?;
            at(Step::JournalWritten);
            let mut file = self.file;
            file.seek(SeekFrom::Start(self.old_size))?;
            let report = body.write(&mut header, &mut xml, old.clone())?;
            file.sync_all()?;
            at(Step::Written);
            let first = bytes.len();
            add_record(&mut bytes, report.file_size, &header.encode());
            journal.write_all(&bytes[first..])?;
            journal.sync_all()?;
            at(Step::JournalComplete);
            Ok(report)
        };
        match prepare() {
            Ok(report) => {
                if let Err(error) = write_header(self.file, &header.encode()) {
                    // Else the next one would complete what is reported as failed here.
                    self.undo();
                    return Err(error.into());
                }
                at(Step::HeaderWritten);
                // The change is done. A journal that stays says so to the next one.
                if let Err(error) = remove_journal(self.path, &self.journal) {
                    tracing::warn!("{} stays: {error}", self.journal.display());
                }
                Ok(report)
            }
            Err(error) => {
                drop(journal);
                self.undo();
                Err(error)
            }
        }
    }

    /// Makes the file what it was. What cannot be undone now stays in the journal.
    fn undo(&self) {
        let undone = write_header(self.file, &self.old_header)
            .and_then(|()| self.file.set_len(self.old_size))
            .and_then(|()| self.file.sync_all());
        if undone.is_ok() {
            let _kept = remove_journal(self.path, &self.journal);
        }
    }
}

fn add_record(journal: &mut Vec<u8>, size: u64, header: &[u8]) {
    journal.extend_from_slice(&size.to_le_bytes());
    journal.extend_from_slice(header);
    let checksum = Blake3::of(journal).0;
    journal.extend_from_slice(&checksum);
}

#[cfg(test)]
mod tests;
