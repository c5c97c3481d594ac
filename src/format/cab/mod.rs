//! Cabinets (`MSCF`): reader and writer.
//!
//! A cabinet is a header, a table of folders, a table of files and data blocks. A *folder* is one stream of bytes, compressed as a whole and
//! cut into blocks of at most 32 KiB with a checksum each; its members lie in that stream one behind the other. So the last member costs
//! decoding all before it, and [`Cabinet::extract`] goes through each folder once. Bytes behind the size that the header gives (signatures)
//! are not looked at. Source: Microsoft's cabinet format document (MS-CAB), checked against gcab, cabextract and real updates.
//!
//! Read are stored, MSZIP and LZX folders. Refused by name are Quantum folders and sets of several cabinets.

mod folder;
mod header;
mod write;

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::Arc,
};

use rayon::prelude::*;

use crate::base::{malformed::Malformed, read_at::ReadAt};

pub use super::member_name::NameError;
use folder::FolderReader;
use header::Folder;
pub use write::{CabMethod, NewMember, write};

/// The first bytes of every cabinet.
pub const MAGIC: [u8; 4] = *b"MSCF";
/// How often a folder is gone through when members share bytes, as some tools store equal files.
const PASSES: usize = 16;

/// An opened cabinet: its tables are read and checked, its data is not.
#[derive(Debug)]
pub struct Cabinet {
    source: Arc<dyn ReadAt>,
    /// Size by the header, at most the source's.
    size: u64,
    folders: Vec<Folder>,
    members: Vec<Member>,
    /// Reserved bytes in the head of each block.
    block_reserve: u8,
}

/// A file in a cabinet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path with `\`; names that could lead out of a folder were refused.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Which folder (stream) it lies in, from 0.
    pub folder: usize,
    /// Where it starts in the folder's stream.
    pub offset: u64,
    /// MS-DOS date: bits 0 to 4 day, 5 to 8 month, 9 to 15 years since 1980.
    pub date: u16,
    /// MS-DOS time: bits 0 to 4 half seconds, 5 to 10 minutes, 11 to 15 hours.
    pub time: u16,
    /// Attributes as in FAT (1 read-only, 2 hidden, 4 system, 0x20 archive), 0x40 "run after extraction", 0x80 "the name is UTF-8".
    pub attributes: u16,
}

/// Why a cabinet cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CabError {
    /// It does not hold what the format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The source cannot be read.
    #[error("cannot read the cabinet")]
    Io(#[source] io::Error),
    /// It uses something that this program does not read.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A member's name cannot be used.
    #[error("the cabinet's member {member:?} has a name that cannot be used")]
    Name {
        /// The name, as the cabinet has it.
        member: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The receiver of a member failed.
    #[error("cannot take the member {member:?}")]
    Sink {
        /// The member.
        member: String,
        /// What the receiver says.
        source: io::Error,
    },
}

impl Cabinet {
    /// Reads and checks the tables.
    ///
    /// # Errors
    /// When the source cannot be read, is no cabinet or a damaged one, holds a name that leads out of a folder, or uses Quantum or several
    /// cabinets.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, CabError> {
        header::read(source)
    }

    /// All members, in the order of the cabinet's table.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Gives the content of the wanted members to `sink`, folder by folder in the order of their bytes. A folder without wanted members is
    /// not decoded, others once and only as far as needed. What `sink` leaves unread is skipped. Memory: the window (at most 4 MiB) and
    /// some blocks.
    ///
    /// # Errors
    /// When data is damaged ([`CabError::Malformed`] says where), cannot be read, or `sink` fails. Members given before may have been
    /// right; the failing one must be dropped.
    pub fn extract(
        &self,
        wanted: impl Fn(&Member) -> bool,
        sink: &mut dyn FnMut(&Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), CabError> {
        let folders = self.wanted_by_folder(&wanted);
        folders.into_iter().try_for_each(|(folder, members)| self.folder(folder, members, sink))
    }

    /// As [`Cabinet::extract`], with folders side by side on all threads of the pool. The error is that of the first folder that has one.
    ///
    /// # Errors
    /// As [`Cabinet::extract`].
    pub fn extract_parallel(
        &self,
        wanted: impl Fn(&Member) -> bool,
        sink: &(dyn Fn(&Member, &mut dyn Read) -> io::Result<()> + Sync),
    ) -> Result<(), CabError> {
        let results: Vec<_> = self
            .wanted_by_folder(&wanted)
            .into_par_iter()
            .map(|(folder, members)| {
                self.folder(folder, members, &mut |member, content| sink(member, content))
            })
            .collect();
        results.into_iter().collect()
    }

    /// The wanted members of each folder that has some, in the order of their bytes.
    fn wanted_by_folder(&self, wanted: &dyn Fn(&Member) -> bool) -> BTreeMap<usize, Vec<&Member>> {
        let mut folders: BTreeMap<usize, Vec<&Member>> = BTreeMap::new();
        for member in self.members.iter().filter(|member| wanted(member)) {
            folders.entry(member.folder).or_default().push(member);
        }
        for members in folders.values_mut() {
            members.sort_by_key(|member| (member.offset, member.size));
        }
        folders
    }

    fn folder(
        &self,
        folder: usize,
        mut members: Vec<&Member>,
        sink: &mut dyn FnMut(&Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), CabError> {
        for _ in 0..PASSES {
            if members.is_empty() {
                return Ok(());
            }
            members = self.pass(folder, &members, sink)?;
        }
        let Some(member) = members.first() else { return Ok(()) };
        let what = format!("more than {PASSES} members share the bytes of {:?}", member.name);
        Err(header::malformed(what, 0))
    }

    /// Goes through a folder once; returns the members that share bytes with one that was given.
    fn pass<'a>(
        &self,
        folder: usize,
        members: &[&'a Member],
        sink: &mut dyn FnMut(&Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<Vec<&'a Member>, CabError> {
        let mut later = Vec::new();
        let mut reader = FolderReader::new(
            self.source.as_ref(),
            self.size,
            &self.folders[folder],
            self.block_reserve,
        )?;
        let mut end = 0;
        for &member in members {
            if member.offset < end {
                later.push(member);
                continue;
            }
            end = member.offset + member.size;
            reader.skip_to(member.offset)?;
            let mut content =
                MemberReader { folder: &mut reader, left: member.size, failure: None };
            let taken = sink(member, &mut content);
            if let Some(failure) = content.failure {
                return Err(failure);
            }
            taken.map_err(|source| CabError::Sink { member: member.name.clone(), source })?;
        }
        Ok(later)
    }
}

/// The content of one member.
struct MemberReader<'a, 'b> {
    folder: &'a mut FolderReader<'b>,
    left: u64,
    /// What went wrong; the receiver saw only an [`io::Error`].
    failure: Option<CabError>,
}

impl Read for MemberReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        if self.failure.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match self.folder.read(&mut buffer[..most]) {
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(failure) => {
                let shown = io::Error::new(io::ErrorKind::InvalidData, failure.to_string());
                self.failure = Some(failure);
                Err(shown)
            }
        }
    }
}

#[cfg(test)]
mod tests;
