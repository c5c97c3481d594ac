//! Transaction logs: completing a hive that Windows did not write to its end.
//!
//! ```text
//! old log (up to Windows 8):  512 bytes of base block (type 1), "DIRT", a bitmap with one bit for each 512 bytes of the bins,
//!                             from the next multiple of 512 the pages whose bits are set
//! new log (from 8.1):         512 bytes of base block (type 6), then at multiples of 512 entries
//!   "HvLE", size, flags, sequence number, size of the bins, number of pages, hash of 40..size (u64), hash of 0..32 (u64),
//!   (offset, size) of each page, the pages
//! ```
//! Entries with consecutive sequence numbers, beginning with the hive's secondary one or a later one, are applied in order. A log is
//! reused from its start, so that stale entries behind the valid ones are normal.

use super::{
    error::HiveError,
    file::seal,
    layout::{BASE_BLOCK, BIN_UNIT, BaseBlock, FileKind, MAX_BINS, put_u32, u32_at, u64_at},
    marvin::marvin32,
};
use crate::base::limits::Limits;

/// Everything in a log begins at a multiple of this; pages of old logs have this size.
const SECTOR: usize = 512;
/// Size of an entry's header, before its list of pages.
const ENTRY_HEADER: usize = 40;

/// What became of the hive.
pub(super) enum Replayed {
    /// The hive was clean, or is no hive at all; these are its bytes.
    NotNeeded(Vec<u8>),
    /// The logs completed it.
    Applied(Vec<u8>),
}

/// Completes `bytes` from `logs` when it is dirty.
pub(super) fn replay(
    mut bytes: Vec<u8>,
    logs: &[&[u8]],
    limits: &Limits,
) -> Result<Replayed, HiveError> {
    let block = BaseBlock::parse(&bytes)?;
    if block.is_clean() || block.kind != FileKind::Primary {
        return Ok(Replayed::NotNeeded(bytes));
    }
    let (primary, secondary) = (block.primary, block.secondary);
    if logs.iter().all(|log| log.iter().all(|&byte| byte == 0)) {
        let checksum_holds = block.checksum_holds;
        return Err(HiveError::Dirty { primary, secondary, checksum_holds });
    }
    let mut refused = Vec::new();
    let mut usable = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        match Log::parse(log) {
            Ok(parsed) => usable.push(parsed),
            Err(why) => refused.push(format!("log {} {why}", number + 1)),
        }
    }
    usable.sort_by_key(|log| log.block.primary);
    // The base block of the hive itself is damaged: that of the newest log takes its place, and that log alone counts.
    let mut block = block;
    if !block.checksum_holds {
        let Some(newest) = usable.pop() else {
            return Err(HiveError::LogsDoNotFit { what: refused.join("; ") });
        };
        bytes.resize(bytes.len().max(BASE_BLOCK), 0);
        bytes[..SECTOR].copy_from_slice(&newest.bytes[..SECTOR]);
        put_u32(&mut bytes, 28, 0);
        block = newest.block;
        // The log's own numbers are equal; what it holds begins with them.
        usable = vec![newest];
    }
    block.check(limits)?;
    let mut applied = None;
    let mut next = block.secondary;
    for log in &usable {
        match log.block.kind {
            FileKind::NewLog => {
                if let Some(last) =
                    log.apply_entries(&mut bytes, &mut next, limits, applied.is_some())
                {
                    applied = Some(last);
                }
            }
            _ if applied.is_none() => match log.apply_pages(&mut bytes, &block, limits) {
                Ok(bins_size) => applied = Some((block.primary, bins_size)),
                Err(why) => refused.push(why),
            },
            _ => {}
        }
    }
    let Some((sequence, bins_size)) = applied else {
        if refused.is_empty() {
            refused.push(format!("no entry carries sequence number {}", block.secondary));
        }
        return Err(HiveError::LogsDoNotFit { what: refused.join("; ") });
    };
    seal(&mut bytes, sequence, bins_size);
    Ok(Replayed::Applied(bytes))
}

/// A log whose base block is sound.
struct Log<'a> {
    bytes: &'a [u8],
    block: BaseBlock,
}

impl<'a> Log<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let block = BaseBlock::parse(bytes).map_err(|error| error.to_string())?;
        if block.kind == FileKind::Primary {
            return Err("is a hive, not a log".into());
        }
        if !block.checksum_holds {
            return Err("has a wrong checksum".into());
        }
        Ok(Self { bytes, block })
    }

    /// Applies the pages of an old log; returns the size of the bins.
    fn apply_pages(
        &self,
        bytes: &mut Vec<u8>,
        hive: &BaseBlock,
        limits: &Limits,
    ) -> Result<u32, String> {
        if self.block.primary != self.block.secondary {
            return Err("the log was not written to its end".into());
        }
        if self.block.written != hive.written {
            return Err("the log was written at another time than the hive".into());
        }
        self.block.check(limits).map_err(|error| error.to_string())?;
        let bins_size = self.block.bins_size as usize;
        let truncated = || String::from("the log is truncated");
        if self.bytes.get(SECTOR..SECTOR + 4) != Some(b"DIRT") {
            return Err("the log holds no bitmap".into());
        }
        let bitmap = self
            .bytes
            .get(SECTOR + 4..SECTOR + 4 + bins_size / SECTOR / 8)
            .ok_or_else(truncated)?;
        let mut source = (SECTOR + 4 + bitmap.len()).next_multiple_of(SECTOR);
        let dirty: Vec<usize> = (0..bins_size / SECTOR)
            .filter(|page| bitmap[page / 8] >> (page % 8) & 1 == 1)
            .collect();
        if self.bytes.len() < source + dirty.len() * SECTOR {
            return Err(truncated());
        }
        if !reach(bytes, bins_size, dirty.len() * SECTOR) {
            return Err("the hive is truncated".into());
        }
        for page in dirty {
            let target = BASE_BLOCK + page * SECTOR;
            bytes[target..target + SECTOR].copy_from_slice(&self.bytes[source..source + SECTOR]);
            source += SECTOR;
        }
        Ok(self.block.bins_size)
    }

    /// Applies the entries of a new log from sequence number `next` on; returns the number after the last one and the size
    /// of the bins it gives. Once entries have been applied (`strict`), a gap is the end.
    fn apply_entries(
        &self,
        bytes: &mut Vec<u8>,
        next: &mut u32,
        limits: &Limits,
        mut strict: bool,
    ) -> Option<(u32, u32)> {
        let mut at = SECTOR;
        let mut applied = None;
        let mut expected = None;
        while let Some(entry) = LogEntry::parse(self.bytes, at, limits) {
            at += entry.bytes.len();
            if expected.is_some_and(|expected| entry.sequence != expected) {
                break;
            }
            expected = Some(entry.sequence.wrapping_add(1));
            if !strict && entry.sequence < *next {
                continue;
            }
            if strict && entry.sequence != *next || !entry.apply(bytes) {
                break;
            }
            strict = true;
            *next = entry.sequence.wrapping_add(1);
            applied = Some((*next, entry.bins_size));
        }
        applied
    }
}

/// One entry of a new log, its hashes and pages checked.
struct LogEntry<'a> {
    bytes: &'a [u8],
    sequence: u32,
    bins_size: u32,
    pages: usize,
}

impl<'a> LogEntry<'a> {
    /// The entry at `at`; `None` where there is none that holds.
    fn parse(log: &'a [u8], at: usize, limits: &Limits) -> Option<Self> {
        let rest = log.get(at..)?;
        let header = rest.first_chunk::<ENTRY_HEADER>()?;
        let size = u32_at(header, 4) as usize;
        if header[..4] != *b"HvLE" || !size.is_multiple_of(SECTOR) {
            return None;
        }
        let bytes = rest.get(..size)?;
        let bins_size = u32_at(header, 16);
        let pages = u32_at(header, 20) as usize;
        let sound = marvin32(bytes.get(ENTRY_HEADER..)?) == u64_at(header, 24)
            && marvin32(&header[..32]) == u64_at(header, 32)
            && bins_size.is_multiple_of(BIN_UNIT)
            && (BIN_UNIT..=MAX_BINS).contains(&bins_size)
            && BASE_BLOCK as u64 + u64::from(bins_size) <= limits.hive;
        let entry = Self { bytes, sequence: u32_at(header, 12), bins_size, pages };
        (sound && entry.pages_fit()).then_some(entry)
    }

    /// Offset and size of the page at `index`; its list has been checked against the entry.
    fn page(&self, index: usize) -> (usize, usize) {
        let at = ENTRY_HEADER + index * 8;
        (u32_at(self.bytes, at) as usize, u32_at(self.bytes, at + 4) as usize)
    }

    fn pages_fit(&self) -> bool {
        if self.pages > (self.bytes.len() - ENTRY_HEADER) / 8 {
            return false;
        }
        let mut used = ENTRY_HEADER + self.pages * 8;
        (0..self.pages).all(|index| {
            let (offset, size) = self.page(index);
            used = used.saturating_add(size);
            used <= self.bytes.len()
                && offset.checked_add(size).is_some_and(|end| end <= self.bins_size as usize)
        })
    }

    /// Copies the pages; false when the hive would have to grow by more than they hold.
    fn apply(&self, bytes: &mut Vec<u8>) -> bool {
        let carried = (0..self.pages).map(|index| self.page(index).1).sum();
        if !reach(bytes, self.bins_size as usize, carried) {
            return false;
        }
        let mut source = ENTRY_HEADER + self.pages * 8;
        for index in 0..self.pages {
            let (offset, size) = self.page(index);
            let target = BASE_BLOCK + offset;
            bytes[target..target + size].copy_from_slice(&self.bytes[source..source + size]);
            source += size;
        }
        true
    }
}

/// Makes a hive file long enough for bins of this size; false when what the log carries does not account for the growth (new
/// bins are always in the log).
fn reach(bytes: &mut Vec<u8>, bins_size: usize, carried: usize) -> bool {
    let wanted = BASE_BLOCK + bins_size;
    if bytes.len() < wanted {
        if wanted - bytes.len() > carried {
            return false;
        }
        bytes.resize(wanted, 0);
    }
    true
}
