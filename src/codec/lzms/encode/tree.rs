//! Finds matches: binary search trees.
//!
//! All positions with the same hash of five bytes form a tree, sorted by what follows them; each position becomes the root of its tree and the way
//! down to where it belongs meets ever longer matches. The way is cut after so many steps, which drops what lies below, and at a match that is
//! long enough. Small tables hold the last position of each two bytes, and of each hash of three and of four.

use super::data::{Data, Match, hash};
use super::optimal::Finder;
use crate::codec::bits::low_32;

/// No position.
const NONE: u32 = u32::MAX;
/// Bytes that the trees' hash covers.
const HASHED: usize = 5;
/// Entries of the table of each three bytes.
const THREES: usize = 1 << 15;
/// Entries of the table of each four bytes.
const FOURS: usize = 1 << 18;
/// How many positions at the end of a long match are remembered: matches that begin there reach behind it.
const KEEP: usize = 64;

/// The trees of a chunk.
#[derive(Debug)]
pub(super) struct Tree {
    /// Last positions by two bytes, and by hashes of three and four.
    twos: Vec<u32>,
    threes: Vec<u32>,
    fours: Vec<u32>,
    /// Roots of the trees, by hash.
    roots: Vec<u32>,
    /// For each position the roots of what sorts below and above it.
    children: Vec<[u32; 2]>,
    /// Steps down a tree.
    depth: u32,
    /// A match of this length is good enough.
    nice_length: usize,
}

impl Tree {
    /// A finder that takes at most `depth` steps down and stops at `nice_length`.
    pub(super) fn new(depth: u32, nice_length: usize) -> Self {
        let (twos, threes, fours) = (Vec::new(), Vec::new(), Vec::new());
        Self { twos, threes, fours, roots: Vec::new(), children: Vec::new(), depth, nice_length }
    }

    /// Reads what the search at a position ahead will begin with, so that it is in the processor's caches by then.
    #[inline(always)]
    fn look_ahead(&self, data: &Data, position: usize) {
        let root = self.roots[hash_long(data.load_eight(position), self.roots.len())] as usize;
        let children = self.children.get(root).map_or(0, |children| children[0]);
        std::hint::black_box(children ^ data.load_four(root));
        std::hint::black_box(self.fours[hash(data.load_four(position), FOURS)]);
    }

    /// Remembers a position in the small tables only.
    #[inline(always)]
    fn remember_near(&mut self, data: &Data, position: usize) {
        let first = data.load_four(position);
        self.twos[(first & 0xFFFF) as usize] = low_32(position);
        self.threes[hash(first << 8, THREES)] = low_32(position);
        self.fours[hash(first, FOURS)] = low_32(position);
    }

    /// Remembers a position.
    #[inline(always)]
    fn insert(&mut self, data: &Data, position: usize) {
        let most = self.nice_length.min(data.len().wrapping_sub(position));
        if most >= HASHED {
            self.remember_near(data, position);
            self.descend(data, position, most, |_, _| ());
        }
    }

    /// Puts a position on top of its tree; shows `found` all positions on the way with how many bytes match, at most `most`.
    #[inline(always)]
    fn descend(
        &mut self,
        data: &Data,
        position: usize,
        most: usize,
        mut found: impl FnMut(u32, usize),
    ) {
        let hashes = self.roots.len();
        let root = &mut self.roots[hash_long(data.load_eight(position), hashes)];
        let mut candidate = std::mem::replace(root, low_32(position));
        // Where what sorts below, and above, this position is to be hung next; and how many bytes match there.
        let mut below = (position, 0usize);
        let mut above = (position, 1usize);
        let (mut below_length, mut above_length) = (0usize, 0usize);
        let mut steps = self.depth;
        loop {
            if candidate == NONE || steps == 0 {
                self.children[below.0][below.1] = NONE;
                self.children[above.0][above.1] = NONE;
                return;
            }
            steps = steps.wrapping_sub(1);
            let at = candidate as usize;
            let children = self.children[at];
            let start = below_length.min(above_length);
            let length = data.common_length(at, position, start, most);
            found(candidate, length);
            if length >= most {
                self.children[below.0][below.1] = children[0];
                self.children[above.0][above.1] = children[1];
                return;
            }
            if data.byte(at.wrapping_add(length)) < data.byte(position.wrapping_add(length)) {
                self.children[below.0][below.1] = candidate;
                below = (at, 1);
                below_length = length;
                candidate = children[1];
            } else {
                self.children[above.0][above.1] = candidate;
                above = (at, 0);
                above_length = length;
                candidate = children[0];
            }
        }
    }
}

impl Finder for Tree {
    fn reset(&mut self, size: usize) {
        let hashes = (size / 8).next_power_of_two().clamp(1 << 12, 1 << 22);
        for (table, size) in [
            (&mut self.twos, 1 << 16),
            (&mut self.threes, THREES),
            (&mut self.fours, FOURS),
            (&mut self.roots, hashes),
        ] {
            table.clear();
            table.resize(size, NONE);
        }
        // A node is written before it is read, so what an earlier chunk left does no harm.
        if self.children.len() < size {
            self.children.resize(size, [NONE; 2]);
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
        let two = &mut self.twos[(first & 0xFFFF) as usize];
        let near_two = std::mem::replace(two, here);
        let three = &mut self.threes[hash(first << 8, THREES)];
        let near_three = std::mem::replace(three, here);
        let near_four = std::mem::replace(&mut self.fours[hash(first, FOURS)], here);
        let mut best = 1;
        // Short matches far away cost more than literals.
        for (near, reach) in [(near_two, 1 << 11), (near_three, 1 << 16), (near_four, NONE)] {
            let offset = here.wrapping_sub(near);
            if near != NONE && offset < reach {
                let length = data.common_length(near as usize, position, 0, most);
                if length > best {
                    best = length;
                    matches.push(Match { length: low_32(length), offset });
                }
            }
        }
        self.look_ahead(data, position.wrapping_add(2));
        self.descend(data, position, most, |candidate, length| {
            if length > best {
                best = length;
                let offset = here.wrapping_sub(candidate);
                matches.push(Match { length: low_32(length), offset });
            }
        });
    }

    fn skip(&mut self, data: &Data, start: usize, end: usize) {
        // What lies in the middle of a long match stands in the trees already, where the match was found.
        let full = end.saturating_sub(KEEP).max(start);
        let near_end = full.min(data.len().saturating_sub(HASHED - 1));
        for position in start..near_end {
            self.remember_near(data, position);
        }
        for position in full..end {
            self.insert(data, position);
        }
    }
}

/// Hash of the first [`HASHED`] of eight bytes for a table of `size` entries, a power of two.
#[inline(always)]
fn hash_long(bytes: u64, size: usize) -> usize {
    let product = (bytes << (64 - 8 * HASHED)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // The highest bits of the product, of which a table never needs more than 32.
    let high = (product >> 32 & 0xFFFF_FFFF) as u32;
    high.wrapping_shr(32u32.wrapping_sub(size.trailing_zeros())) as usize & size.wrapping_sub(1)
}
