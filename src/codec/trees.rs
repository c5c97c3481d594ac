//! Finds all earlier occurrences that matter of the bytes at a position: binary trees.
//!
//! Positions with the same hash of four bytes form a binary tree that is sorted by the bytes at the positions, with newer positions above
//! older ones. The walk down a tree, which also makes the new position its root, meets the nearest occurrence of every length. Two more
//! tables hold the newest position of each hash of three and of two bytes.
//! What is found depends on the chunk alone, never on chunks before it.

use super::huffman::boxed;
use super::matches::{Effort, HASHED, Position, Window, hash};

/// Number of three-byte hashes.
const THREES: usize = 0x2000;
/// Number of two-byte hashes.
const TWOS: usize = 0x1000;

/// The trees. `SIZE` is that of the [`Window`], `FOURS` the number of four-byte hashes; both are powers of two.
#[derive(Debug)]
pub(super) struct BinaryTrees<P, const SIZE: usize, const FOURS: usize> {
    fours: Box<[P; FOURS]>,
    threes: Box<[P; THREES]>,
    twos: Box<[P; TWOS]>,
    /// Two for each position: the root of the trees of what sorts before it, and of what sorts behind it.
    children: Box<[P; SIZE]>,
}

impl<P: Position, const SIZE: usize, const FOURS: usize> BinaryTrees<P, SIZE, FOURS> {
    pub(super) fn new() -> Self {
        Self {
            fours: boxed(P::NONE),
            threes: boxed(P::NONE),
            twos: boxed(P::NONE),
            children: boxed(P::NONE),
        }
    }

    /// Forgets the chunk before.
    pub(super) fn reset(&mut self) {
        self.fours.fill(P::NONE);
        self.threes.fill(P::NONE);
        self.twos.fill(P::NONE);
    }

    /// Remembers `position` and calls `found` with length and offset of matches of growing length (2 and more, at most `most`), each the
    /// nearest of its length. `most` must not reach behind the end of the window.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        window: &Window<SIZE>,
        position: usize,
        most: usize,
        effort: Effort,
        mut found: impl FnMut(usize, usize),
    ) {
        if most < HASHED {
            return;
        }
        let first = window.load(position);
        let two = &mut self.twos[hash(first << 16, TWOS)];
        let three = &mut self.threes[hash(first << 8, THREES)];
        let (near_two, near_three) = (*two, *three);
        *two = P::new(position);
        *three = P::new(position);
        let mut best = 1;
        if near_two != P::NONE && (window.load(near_two.get()) ^ first) << 16 == 0 {
            best = 2;
            // With three equal bytes, the other table knows it too.
            if near_two != near_three || (window.load(near_two.get()) ^ first) << 8 != 0 {
                found(2, position.wrapping_sub(near_two.get()));
            }
        }
        if near_three != P::NONE && (window.load(near_three.get()) ^ first) << 8 == 0 {
            best = 3;
            found(3, position.wrapping_sub(near_three.get()));
        }
        self.walk(window, position, first, most, effort, best.max(HASHED - 1), found);
    }

    /// Remembers `position`, where `most` bytes may be looked at.
    #[inline(always)]
    pub(super) fn skip(
        &mut self,
        window: &Window<SIZE>,
        position: usize,
        most: usize,
        effort: Effort,
    ) {
        if most < HASHED {
            return;
        }
        let first = window.load(position);
        self.twos[hash(first << 16, TWOS)] = P::new(position);
        self.threes[hash(first << 8, THREES)] = P::new(position);
        self.walk(window, position, first, most, effort, most, |_, _| {});
    }

    /// Makes `position` the root of its tree; reports matches longer than `best` on the way.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "one walk for both callers, inlined into them")]
    fn walk(
        &mut self,
        window: &Window<SIZE>,
        position: usize,
        first: u32,
        most: usize,
        effort: Effort,
        mut best: usize,
        mut found: impl FnMut(usize, usize),
    ) {
        let nice = effort.nice_length.min(most);
        let head = &mut self.fours[hash(first, FOURS)];
        let mut candidate = *head;
        *head = P::new(position);
        // Where the next position that sorts before, or behind, is to be hung.
        let mut before = position.wrapping_mul(2) & (SIZE - 1);
        let mut behind = before | 1;
        let (mut before_length, mut behind_length) = (0usize, 0usize);
        let mut steps = effort.depth;
        while candidate != P::NONE && steps != 0 {
            steps = steps.wrapping_sub(1);
            let at = candidate.get();
            let pair = at.wrapping_mul(2) & (SIZE - 1);
            let mut length = before_length.min(behind_length);
            let (mut old, mut new);
            // Always looks at eight bytes once; what they say of bytes behind `nice` is put right below.
            loop {
                old = window.load_eight(at.wrapping_add(length));
                new = window.load_eight(position.wrapping_add(length));
                let different = old ^ new;
                if different != 0 {
                    length = length.wrapping_add((different.trailing_zeros() >> 3) as usize);
                    break;
                }
                length = length.wrapping_add(8);
                if length >= nice {
                    break;
                }
            }
            if length > best {
                best = length.min(nice);
                found(best, position.wrapping_sub(at));
            }
            if length >= nice {
                // The new position takes the place of this one.
                self.children[before] = self.children[pair];
                self.children[behind] = self.children[pair | 1];
                return;
            }
            // The first different byte decides, so it must come first.
            if old.swap_bytes() < new.swap_bytes() {
                self.children[before] = candidate;
                before = pair | 1;
                before_length = length;
                candidate = self.children[before];
            } else {
                self.children[behind] = candidate;
                behind = pair;
                behind_length = length;
                candidate = self.children[behind];
            }
        }
        self.children[before] = P::NONE;
        self.children[behind] = P::NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Trees = BinaryTrees<u16, 2048, 512>;

    /// All that is found at each position of `data`.
    fn matches(data: &[u8], effort: Effort) -> Vec<Vec<(usize, usize)>> {
        let mut window = Window::<2048>::new();
        window.fill(data);
        let mut trees = Trees::new();
        (0..data.len())
            .map(|position| {
                let mut found = Vec::new();
                trees.find(&window, position, data.len() - position, effort, |length, offset| {
                    found.push((length, offset));
                });
                found
            })
            .collect()
    }

    /// The nearest of every length from four on, by looking at everything.
    fn by_hand(data: &[u8], position: usize) -> Vec<(usize, usize)> {
        let mut best = 3;
        let mut found = Vec::new();
        for offset in 1..=position {
            let here = data[position..].iter();
            let length = here.zip(&data[position - offset..]).take_while(|&(a, b)| a == b).count();
            if length > best {
                best = length;
                found.push((length, offset));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn the_nearest_of_every_length_is_found(data in proptest::collection::vec(0u8..3, 0..300)) {
            let effort = Effort { depth: 1000, nice_length: 1000 };
            for (position, found) in matches(&data, effort).into_iter().enumerate() {
                if data.len() - position < 4 {
                    prop_assert!(found.is_empty());
                    continue;
                }
                for &(length, offset) in &found {
                    let earlier = &data[position - offset..][..length];
                    prop_assert_eq!(earlier, &data[position..][..length]);
                }
                prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0));
                let long: Vec<_> = found.into_iter().filter(|&(length, _)| length > 3).collect();
                prop_assert_eq!(long, by_hand(&data, position), "{}", position);
            }
        }

        #[test]
        fn what_little_effort_finds_is_right(
            data in proptest::collection::vec(0u8..4, 0..400),
            depth in 1u32..5,
            nice_length in 4usize..20,
        ) {
            for (position, found) in matches(&data, Effort { depth, nice_length }).into_iter().enumerate() {
                for (length, offset) in found {
                    let earlier = &data[position - offset..][..length];
                    prop_assert_eq!(earlier, &data[position..][..length]);
                    prop_assert!(length <= nice_length.min(data.len() - position));
                }
            }
        }
    }

    #[test]
    fn short_matches_are_found_by_themselves() {
        let found = matches(b"abcX....abY..abcZ", Effort { depth: 10, nice_length: 100 });
        assert_eq!(found[8], [(2, 8)]);
        assert_eq!(found[13], [(2, 5), (3, 13)]);
    }
}
