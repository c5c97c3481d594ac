//! Finds matches: hash chains, cheaper than trees and less thorough.

use super::data::{Data, Match, hash};
use super::optimal::Finder;
use crate::codec::bits::low_32;

/// No position.
const NONE: u32 = u32::MAX;
/// Bytes that the chains' hash covers.
const HASHED: usize = 4;
/// How many positions at the end of a long match are remembered: matches that begin there reach behind it.
const KEEP: usize = 64;

/// The chains of a chunk.
#[derive(Debug)]
pub(super) struct Chains {
    threes: Vec<u32>,
    fours: Vec<u32>,
    /// For each position the one before with the same hash.
    previous: Vec<u32>,
    /// Steps along a chain.
    depth: u32,
    /// A match of this length is good enough.
    nice_length: usize,
}

impl Chains {
    /// A finder that takes at most `depth` steps and stops at `nice_length`.
    pub(super) fn new(depth: u32, nice_length: usize) -> Self {
        Self { threes: vec![], fours: vec![], previous: vec![], depth, nice_length }
    }

    /// Reads what the search at a position ahead will begin with, so that it is in the processor's caches by then.
    #[inline(always)]
    fn look_ahead(&self, data: &Data, position: usize) {
        let newest = self.fours[hash(data.load_four(position), self.fours.len())] as usize;
        let previous = self.previous.get(newest).copied().unwrap_or(0);
        std::hint::black_box(previous ^ data.load_four(newest));
    }
}

impl Finder for Chains {
    fn reset(&mut self, size: usize) {
        let hashes = (size / 8).next_power_of_two().clamp(1 << 12, 1 << 20);
        for (table, size) in [(&mut self.threes, 1 << 14), (&mut self.fours, hashes)] {
            table.clear();
            table.resize(size, NONE);
        }
        if self.previous.len() < size {
            self.previous.resize(size, NONE);
        }
    }

    #[inline(always)]
    fn find(&mut self, data: &Data, position: usize, matches: &mut Vec<Match>) {
        matches.clear();
        let most = self.nice_length.min(data.len().wrapping_sub(position));
        if most < HASHED {
            return;
        }
        let first = data.load_four(position);
        let here = low_32(position);
        let near = std::mem::replace(&mut self.threes[hash(first << 8, 1 << 14)], here);
        let mut best = 2;
        if near != NONE {
            let length = data.common_length(near as usize, position, 0, most);
            if length > best {
                best = length;
                matches.push(Match { length: low_32(length), offset: here.wrapping_sub(near) });
            }
        }
        self.look_ahead(data, position.wrapping_add(3));
        let hashes = self.fours.len();
        let mut candidate = std::mem::replace(&mut self.fours[hash(first, hashes)], here);
        self.previous[position] = candidate;
        let mut steps = self.depth;
        while candidate != NONE && steps != 0 && best < most {
            let at = candidate as usize;
            steps = steps.wrapping_sub(1);
            // A match longer than the best so far agrees in the byte behind it.
            if data.byte(at.wrapping_add(best)) == data.byte(position.wrapping_add(best)) {
                let length = data.common_length(at, position, 0, most);
                if length > best {
                    best = length;
                    let offset = here.wrapping_sub(candidate);
                    matches.push(Match { length: low_32(length), offset });
                }
            }
            candidate = self.previous[at];
        }
    }

    fn skip(&mut self, data: &Data, start: usize, end: usize) {
        // What lies in the middle of a long match stands in the chains already, where the match was found.
        let start = start.max(end.saturating_sub(KEEP));
        let end = end.min(data.len().saturating_sub(HASHED - 1));
        for position in start..end {
            let first = data.load_four(position);
            let here = low_32(position);
            self.threes[hash(first << 8, 1 << 14)] = here;
            let hashes = self.fours.len();
            let head = &mut self.fours[hash(first, hashes)];
            self.previous[position] = std::mem::replace(head, here);
        }
    }
}
