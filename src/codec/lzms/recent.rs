//! Recent offsets.
//!
//! A queue holds what the last matches of its kind used, the newest first. An item may repeat one of the three newest, but not what the
//! item right before it used (that would only have made that match longer): when the item before was of the same kind, the three behind
//! the newest are meant.

/// Which kind of item was the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Previous {
    /// A literal, or no item.
    #[default]
    Literal,
    Lz,
    Delta,
}

/// The offset of a delta match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeltaSource {
    /// Binary logarithm of the span.
    pub(super) power: u32,
    /// The offset in units of the span.
    pub(super) raw: u32,
}

/// A queue of recent sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recent<T>([T; 4]);

impl Recent<u32> {
    /// LZ offsets at the start of a chunk.
    pub(super) const START: Self = Self([1, 2, 3, 4]);
}

impl Recent<DeltaSource> {
    /// Delta sources at the start of a chunk.
    pub(super) const START: Self = Self([
        DeltaSource { power: 0, raw: 1 },
        DeltaSource { power: 0, raw: 2 },
        DeltaSource { power: 0, raw: 3 },
        DeltaSource { power: 0, raw: 4 },
    ]);
}

impl<T: Copy> Recent<T> {
    /// Puts a new source in front.
    #[inline(always)]
    pub(super) fn push(&mut self, source: T) {
        let [first, second, third, _] = self.0;
        self.0 = [source, first, second, third];
    }

    /// What repeat `index` (0 to 2) means; `same_kind`: the item before was a match of this kind.
    #[inline(always)]
    pub(super) fn get(&self, index: usize, same_kind: bool) -> T {
        self.0[index.wrapping_add(usize::from(same_kind)) & 3]
    }

    /// As [`Self::get`], and moves it to the front.
    #[inline(always)]
    pub(super) fn repeat(&mut self, index: usize, same_kind: bool) -> T {
        let [first, second, third, fourth] = self.0;
        match index.wrapping_add(usize::from(same_kind)) & 3 {
            0 => first,
            1 => {
                self.0 = [second, first, third, fourth];
                second
            }
            2 => {
                self.0 = [third, first, second, fourth];
                third
            }
            _ => {
                self.0 = [fourth, first, second, third];
                fourth
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_item_before_used_cannot_be_repeated() {
        let mut recent = Recent::<u32>::START;
        recent.push(100);
        assert_eq!(recent.get(0, true), 1);
        assert_eq!(recent.get(0, false), 100);
        assert_eq!(recent.repeat(2, true), 3);
        assert_eq!(recent, Recent([3, 100, 1, 2]));
        assert_eq!(recent.repeat(1, false), 100);
        assert_eq!(recent, Recent([100, 3, 1, 2]));
    }
}
