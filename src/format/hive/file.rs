//! A hive file as a whole: opening it and turning it back into bytes.

use std::{collections::BTreeMap, fmt};

use super::{
    cells::Cells,
    error::HiveError,
    layout::{BaseBlock, FileKind, bad_file, checksum, put_u32},
    log,
};
use crate::base::limits::Limits;

/// A key of a hive: where its cell lies. It stays the same for as long as the key exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(super) u32);

/// A registry hive in memory, to be read and edited.
#[derive(Clone)]
pub struct Hive {
    pub(super) cells: Cells,
    pub(super) root: u32,
    pub(super) minor: u32,
    /// Both sequence numbers as the next [`Hive::to_bytes`] after an edit writes them.
    next_sequence: u32,
    pub(super) changed: bool,
    recovered: bool,
    /// Security cells by their descriptor, once one has been looked for.
    pub(super) security_index: Option<BTreeMap<Box<[u8]>, u32>>,
}

impl Hive {
    /// Opens a clean hive.
    ///
    /// Only the base block and the headers of the bins are checked here; everything else is checked when it is used, and by
    /// [`Hive::check`].
    ///
    /// # Errors
    /// [`HiveError::Dirty`] when Windows did not finish writing it, see [`Hive::recover`]; [`HiveError::Malformed`] when it
    /// is no hive of version 1.3 to 1.6, or is truncated; [`HiveError::TooLarge`] beyond `limits.hive`.
    pub fn parse(bytes: Vec<u8>, limits: &Limits) -> Result<Self, HiveError> {
        let size = bytes.len() as u64;
        if size > limits.hive {
            return Err(HiveError::TooLarge { size, limit: limits.hive });
        }
        let block = BaseBlock::parse(&bytes)?;
        if !block.is_clean() {
            return Err(HiveError::Dirty {
                primary: block.primary,
                secondary: block.secondary,
                checksum_holds: block.checksum_holds,
            });
        }
        if block.kind != FileKind::Primary {
            return Err(bad_file("this is a transaction log, not a hive", 28).into());
        }
        block.check(limits)?;
        let cells = Cells::new(bytes, block.bins_size)?;
        cells.key(block.root)?;
        Ok(Self {
            cells,
            root: block.root,
            minor: block.minor,
            next_sequence: block.primary.wrapping_add(1),
            changed: false,
            recovered: false,
            security_index: None,
        })
    }

    /// Opens a hive that may be dirty, and completes it from its log files (`.LOG1` and `.LOG2`, or the `.LOG` of old Windows
    /// versions, in any order; empty ones may be given too). A clean hive is opened as it is, its logs are not looked at.
    ///
    /// # Errors
    /// As [`Hive::parse`], [`HiveError::Dirty`] when `logs` holds nothing, and [`HiveError::LogsDoNotFit`] when no log
    /// continues the hive.
    pub fn recover(bytes: Vec<u8>, logs: &[&[u8]], limits: &Limits) -> Result<Self, HiveError> {
        let size = bytes.len() as u64;
        if size > limits.hive {
            return Err(HiveError::TooLarge { size, limit: limits.hive });
        }
        match log::replay(bytes, logs, limits)? {
            log::Replayed::NotNeeded(bytes) => Self::parse(bytes, limits),
            log::Replayed::Applied(bytes) => {
                let mut hive = Self::parse(bytes, limits)?;
                hive.recovered = true;
                Ok(hive)
            }
        }
    }

    /// A hive over bytes that [`super::create`] has just laid out.
    pub(super) fn from_parts(cells: Cells, root: u32, minor: u32) -> Self {
        Self {
            cells,
            root,
            minor,
            next_sequence: 1,
            changed: true,
            recovered: false,
            security_index: None,
        }
    }

    /// The root key.
    #[must_use]
    pub fn root(&self) -> KeyId {
        KeyId(self.root)
    }

    /// Major and minor version of the format; 1 and 3 to 6.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        (1, self.minor)
    }

    /// How many bytes the hive's file has.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.cells.bytes.len() as u64
    }

    /// True when an edit changed something since the hive was opened, and for a new hive. Completing a dirty hive from its
    /// logs is no edit: see [`Hive::is_recovered`].
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// True when the hive was dirty and its logs completed it. Whoever writes such a hive back should empty its log files.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// Size in bytes of what [`Hive::to_bytes`] returns.
    #[must_use]
    pub fn byte_size(&self) -> usize {
        self.cells.bytes.len()
    }

    /// The hive as a file: the very bytes it was opened from when nothing was changed, otherwise a clean hive whose sequence
    /// numbers are one higher.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.clone_for_writing().into_bytes()
    }

    /// As [`Hive::to_bytes`], without a copy.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        if self.changed {
            let size = self.cells.bins_size;
            let sequence = self.next_sequence;
            seal(&mut self.cells.bytes, sequence, size);
        }
        self.cells.bytes
    }

    fn clone_for_writing(&self) -> Self {
        let cells =
            Cells { bytes: self.cells.bytes.clone(), bins_size: self.cells.bins_size, space: None };
        Self {
            cells,
            root: self.root,
            minor: self.minor,
            next_sequence: self.next_sequence,
            changed: self.changed,
            recovered: self.recovered,
            security_index: None,
        }
    }

    /// Every edit begins with this, once it is sure that it will change something.
    pub(super) fn begin_edit(&mut self) -> Result<(), HiveError> {
        self.cells.begin_edit()?;
        self.changed = true;
        Ok(())
    }
}

/// Makes the base block of a hive that of a clean one.
pub(super) fn seal(bytes: &mut [u8], sequence: u32, bins_size: u32) {
    put_u32(bytes, 4, sequence);
    put_u32(bytes, 8, sequence);
    put_u32(bytes, 40, bins_size);
    if let Some(block) = bytes.first_chunk::<512>() {
        let sum = checksum(block);
        put_u32(bytes, 508, sum);
    }
}

impl fmt::Debug for Hive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Hive")
            .field("version", &self.version())
            .field("bins_size", &self.cells.bins_size)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}
