//! Finds all useful earlier occurrences: binary trees of 16-bit positions.
//!
//! All positions with the same hash of four bytes form a tree, sorted by the bytes that follow them, the newest position at the root. A
//! search for a position also makes it the new root, and so meets its neighbours in sorting order, which have the longest matches.

use super::MIN_MATCH;
use super::window::{HASHED, Heads, MAX_CHUNK, NONE, View, hash_four, hash_three};
use crate::codec::bits::low_16;
use crate::codec::huffman::boxed;

/// Length and offset of an earlier occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The length without the 3.
    pub(super) length: u16,
    pub(super) offset: u16,
}

impl Found {
    #[inline(always)]
    fn new(length: usize, offset: usize) -> Self {
        Self { length: low_16(length.wrapping_sub(MIN_MATCH)), offset: low_16(offset) }
    }

    /// The whole length.
    #[inline(always)]
    pub(super) fn whole_length(self) -> usize {
        usize::from(self.length).wrapping_add(MIN_MATCH)
    }
}

/// The trees.
#[derive(Debug)]
pub(super) struct Trees {
    heads: Heads,
    /// Of each position: the root of what is less, then the root of what is greater.
    children: Box<[u16; 2 * MAX_CHUNK]>,
}

impl Trees {
    pub(super) fn new() -> Self {
        Self { heads: Heads::new(), children: boxed(NONE) }
    }

    /// Forgets the chunk before, for one of `length` bytes.
    pub(super) fn reset(&mut self, length: usize) {
        self.heads.reset(length);
    }

    /// Remembers `position`, which has [`HASHED`] bytes, and appends its matches to `found`, each longer and farther than the one before. The
    /// search ends after `depth` candidates and at a match of `nice_length`.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        view: View<'_>,
        position: usize,
        (depth, nice_length): (u32, usize),
        found: &mut Vec<Found>,
    ) {
        let first = view.load(position);
        let three = &mut self.heads.threes[hash_three(first)];
        let near = usize::from(*three);
        if *three != NONE && (view.load(near) ^ first) << 8 == 0 {
            found.push(Found::new(MIN_MATCH, position.wrapping_sub(near)));
        }
        *three = low_16(position);
        self.insert(view, position, (depth, nice_length), |length, offset| {
            found.push(Found::new(length, offset));
        });
    }

    /// Remembers the positions from `start` to before `end`.
    pub(super) fn skip(
        &mut self,
        view: View<'_>,
        start: usize,
        end: usize,
        (depth, nice_length): (u32, usize),
    ) {
        for position in start..end.min(view.hashed_end()) {
            self.heads.threes[hash_three(view.load(position))] = low_16(position);
            self.insert(view, position, (depth, nice_length), |_, _| ());
        }
    }

    #[inline(always)]
    fn insert(
        &mut self,
        view: View<'_>,
        position: usize,
        (depth, nice_length): (u32, usize),
        mut found: impl FnMut(usize, usize),
    ) {
        let most = view.len().wrapping_sub(position);
        let nice_length = nice_length.min(most);
        let children = &mut *self.children;
        let root =
            &mut self.heads.fours[usize::from(hash_four(view.load(position), self.heads.shift))];
        let mut candidate = *root;
        *root = low_16(position);
        // Where the roots of what is less and greater than this position belong, and how much the neighbours there have in common with it.
        let mut less = 2 * usize::from(low_16(position));
        let mut greater = less + 1;
        let (mut less_length, mut greater_length) = (0usize, 0usize);
        let mut best = HASHED - 1;
        let mut steps = depth;
        while candidate != NONE && steps != 0 {
            steps = steps.wrapping_sub(1);
            let at = usize::from(candidate);
            let known = less_length.min(greater_length);
            let length = view.common_length(at, position, known, nice_length);
            if length > best {
                best = length;
                if length >= nice_length {
                    let length = view.common_length(at, position, length, most);
                    found(length, position.wrapping_sub(at));
                    // This position takes the place of the candidate, which it equals.
                    children[less] = children[2 * at];
                    children[greater] = children[2 * at + 1];
                    return;
                }
                found(length, position.wrapping_sub(at));
            }
            let theirs = view.byte(at.wrapping_add(length));
            if theirs < view.byte(position.wrapping_add(length)) {
                children[less] = candidate;
                less = 2 * at + 1;
                less_length = length;
                candidate = children[less];
            } else {
                children[greater] = candidate;
                greater = 2 * at;
                greater_length = length;
                candidate = children[greater];
            }
        }
        children[less] = NONE;
        children[greater] = NONE;
    }
}
