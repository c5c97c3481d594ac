//! The sorted lists of subkeys: look-up, insertion, removal.
//!
//! A list is one leaf, or an index (`ri`) of leaves. Leaves come in three kinds, all with a count of 16 bits:
//! `li` (offsets), `lf` (offset and the first four characters) and `lh` (offset and a hash of the upper-case name). Names
//! ascend by their upper-case UTF-16 units through the whole list; Windows searches by halves, so a key out of order is
//! lost to it. Leaves are split beyond [`LEAF_LIMIT`] entries, which Windows accepts in every version.

use std::cmp::Ordering;

use super::{
    cells::Cells,
    error::HiveError,
    layout::{LEAF_LIMIT, NIL, bad, nk, put_u16, u16_at, u32_at},
};
use crate::base::{malformed::Malformed, upcase::upcase};

/// How many bytes of cells a question may read before it must be going in circles: in a sound hive every cell has one owner,
/// so what lies below a key is never more than the hive.
pub(super) struct Budget(u32);

impl Budget {
    pub(super) fn of(cells: &Cells) -> Self {
        Self(cells.bins_size)
    }

    /// Takes `size` bytes for the cell at `offset`.
    pub(super) fn spend(&mut self, size: u32, offset: u32) -> Result<(), Malformed> {
        match self.0.checked_sub(size) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                Err(bad("the structures refer to each other in circles or share cells", offset))
            }
        }
    }
}

/// What each entry of a leaf holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LeafKind {
    /// `li`: the offset alone.
    Plain,
    /// `lf`: and the first four characters.
    Hint,
    /// `lh`: and a hash of the upper-case name.
    Hash,
}

impl LeafKind {
    pub(super) fn stride(self) -> usize {
        match self {
            Self::Plain => 4,
            Self::Hint | Self::Hash => 8,
        }
    }

    fn signature(self) -> &'static [u8; 2] {
        match self {
            Self::Plain => b"li",
            Self::Hint => b"lf",
            Self::Hash => b"lh",
        }
    }

    /// The entry for a key named `name`, of which `stride` bytes count.
    fn entry(self, child: u32, name: &[u16]) -> [u8; 8] {
        let second = match self {
            Self::Plain => 0,
            Self::Hint => name_hint(name),
            Self::Hash => name_hash(name.iter().copied()),
        };
        (u64::from(child) | u64::from(second) << 32).to_le_bytes()
    }
}

/// The hash of a name in `lh` leaves: over its upper-case units, times 37 plus the unit.
pub(super) fn name_hash(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0, |hash: u32, unit| hash.wrapping_mul(37).wrapping_add(upcase(unit).into()))
}

/// The first four characters of a name as `lf` leaves hold them: zero when one of them is not Latin-1.
pub(super) fn name_hint(name: &[u16]) -> u32 {
    let mut hint = [0; 4];
    for (place, &unit) in hint.iter_mut().zip(name) {
        match u8::try_from(unit) {
            Ok(byte) => *place = byte,
            Err(_) => return 0,
        }
    }
    u32::from_le_bytes(hint)
}

/// A leaf, its count checked against its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) offset: u32,
    pub(super) kind: LeafKind,
    pub(super) count: usize,
}

/// What a subkey list offset points to.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Leaf(Leaf),
    /// `ri`, with its count.
    Index(usize),
}

/// Where a name is in a list, or where it would go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The index above the leaf: its offset, the leaf's slot in it, its count.
    index: Option<(u32, usize, usize)>,
    leaf: Leaf,
    position: usize,
    /// The key with that name.
    pub(super) found: Option<u32>,
}

impl Cells {
    /// Reads the head of the list at `offset`.
    pub(super) fn list(&self, offset: u32) -> Result<List, Malformed> {
        let body = self.body(offset)?;
        let kind = match body.get(..2) {
            Some(b"lh") => Some(LeafKind::Hash),
            Some(b"lf") => Some(LeafKind::Hint),
            Some(b"li") => Some(LeafKind::Plain),
            Some(b"ri") => None,
            _ => return Err(bad("a list of subkeys was expected", offset)),
        };
        let count = usize::from(u16_at(body, 2));
        let stride = kind.map_or(4, LeafKind::stride);
        if body.len() < 4 + count * stride {
            return Err(bad(format!("a list of {count} subkeys does not fit its cell"), offset));
        }
        Ok(kind.map_or(List::Index(count), |kind| List::Leaf(Leaf { offset, kind, count })))
    }

    /// A leaf; an index is not allowed here.
    pub(super) fn leaf(&self, offset: u32) -> Result<Leaf, Malformed> {
        match self.list(offset)? {
            List::Leaf(leaf) => Ok(leaf),
            List::Index(_) => Err(bad("an index of subkey lists within another", offset)),
        }
    }

    /// Offset of the key, or in an index of the leaf, at `position` of the list at `offset`.
    pub(super) fn slot(
        &self,
        offset: u32,
        stride: usize,
        position: usize,
    ) -> Result<u32, Malformed> {
        let body = self.body(offset)?;
        match body.get(4 + position * stride..8 + position * stride) {
            Some(bytes) => Ok(u32_at(bytes, 0)),
            None => Err(bad("a list of subkeys is shorter than its count", offset)),
        }
    }

    /// Appends the offsets of all keys in the list at `offset` to `keys`.
    pub(super) fn list_keys(
        &self,
        offset: u32,
        budget: &mut Budget,
        keys: &mut Vec<u32>,
    ) -> Result<(), Malformed> {
        budget.spend(self.size(offset)?, offset)?;
        match self.list(offset)? {
            List::Leaf(leaf) => self.leaf_keys(leaf, keys),
            List::Index(count) => {
                for slot in 0..count {
                    let leaf = self.leaf(self.slot(offset, 4, slot)?)?;
                    budget.spend(self.size(leaf.offset)?, leaf.offset)?;
                    self.leaf_keys(leaf, keys)?;
                }
                Ok(())
            }
        }
    }

    fn leaf_keys(&self, leaf: Leaf, keys: &mut Vec<u32>) -> Result<(), Malformed> {
        let stride = leaf.kind.stride();
        let entries = &self.body(leaf.offset)?[4..4 + leaf.count * stride];
        keys.extend(entries.chunks_exact(stride).map(|entry| u32_at(entry, 0)));
        Ok(())
    }

    /// How the name of the key at `position` of `leaf` compares with `upcased`.
    fn compare(&self, leaf: Leaf, position: usize, upcased: &[u16]) -> Result<Ordering, Malformed> {
        let child = self.slot(leaf.offset, leaf.kind.stride(), position)?;
        Ok(self.key(child)?.name()?.cmp_upcased(upcased))
    }

    /// Searches the list at `offset` for a name in upper case.
    pub(super) fn locate(&self, offset: u32, upcased: &[u16]) -> Result<Place, Malformed> {
        let (index, leaf) = match self.list(offset)? {
            List::Leaf(leaf) => (None, leaf),
            List::Index(count) => {
                // The last leaf whose first name is not greater; the first leaf when all are.
                let (mut low, mut high) = (0, count);
                while high - low > 1 {
                    let middle = usize::midpoint(low, high);
                    let leaf = self.leaf(self.slot(offset, 4, middle)?)?;
                    if self.compare(leaf, 0, upcased)? == Ordering::Greater {
                        high = middle;
                    } else {
                        low = middle;
                    }
                }
                (Some((offset, low, count)), self.leaf(self.slot(offset, 4, low)?)?)
            }
        };
        let (mut low, mut high) = (0, leaf.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.compare(leaf, middle, upcased)? {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    let found = Some(self.slot(leaf.offset, leaf.kind.stride(), middle)?);
                    return Ok(Place { index, leaf, position: middle, found });
                }
            }
        }
        Ok(Place { index, leaf, position: low, found: None })
    }

    /// Puts `child` into `parent`'s list at `place`, which [`Cells::locate`] has just given (`None` when there is no list).
    pub(super) fn insert_subkey(
        &mut self,
        parent: u32,
        place: Option<Place>,
        child: u32,
        name: &[u16],
        minor: u32,
    ) -> Result<(), HiveError> {
        let Some(place) = place else {
            let kind = if minor >= 5 { LeafKind::Hash } else { LeafKind::Hint };
            let offset = self.new_leaf(kind, &kind.entry(child, name))?;
            return self.put_u32(parent, nk::SUBKEY_LIST, offset);
        };
        let Place { index, leaf, position, .. } = place;
        let entry = leaf.kind.entry(child, name);
        let entry = &entry[..leaf.kind.stride()];
        if leaf.count < LEAF_LIMIT {
            let moved = self.leaf_insert(leaf, position, entry)?;
            return self.repoint(parent, index, leaf.offset, moved);
        }
        let is_last = index.is_none_or(|(_, slot, count)| slot + 1 == count);
        if is_last && position == leaf.count {
            // Names that arrive in order fill each leaf before they begin the next.
            let right = self.new_leaf(leaf.kind, entry)?;
            return self.index_insert(parent, index, leaf.offset, right);
        }
        let half = leaf.count / 2;
        let stride = leaf.kind.stride();
        let upper = self.body(leaf.offset)?[4 + half * stride..4 + leaf.count * stride].to_vec();
        let mut right = self.new_leaf(leaf.kind, &upper)?;
        let mut left = self.resize(leaf.offset, 4 + half * stride)?;
        self.set_count(left, half)?;
        let lower = Leaf { offset: left, count: half, ..leaf };
        if position <= half {
            left = self.leaf_insert(lower, position, entry)?;
        } else {
            let upper = Leaf { offset: right, count: leaf.count - half, ..leaf };
            right = self.leaf_insert(upper, position - half, entry)?;
        }
        self.repoint(parent, index, leaf.offset, left)?;
        self.index_insert(parent, index, left, right)
    }

    /// Takes `child` out of `parent`'s list.
    pub(super) fn remove_subkey(
        &mut self,
        parent: u32,
        child: u32,
        upcased: &[u16],
    ) -> Result<(), HiveError> {
        let list = self.key(parent)?.u32(nk::SUBKEY_LIST);
        let mut place = self.locate(list, upcased)?;
        if place.found != Some(child) {
            place = self.locate_offset(list, child)?;
        }
        let Place { index, leaf, position, .. } = place;
        if leaf.count > 1 {
            let stride = leaf.kind.stride();
            let moved = self.remove_entry(leaf.offset, stride, position, leaf.count)?;
            return self.repoint(parent, index, leaf.offset, moved);
        }
        self.free(leaf.offset)?;
        match index {
            None => self.put_u32(parent, nk::SUBKEY_LIST, NIL),
            Some((offset, slot, count @ 3..)) => {
                let moved = self.remove_entry(offset, 4, slot, count)?;
                self.put_u32(parent, nk::SUBKEY_LIST, moved)
            }
            Some((offset, _, 1)) => {
                self.free(offset)?;
                self.put_u32(parent, nk::SUBKEY_LIST, NIL)
            }
            Some((offset, slot, _)) => {
                let other = self.slot(offset, 4, 1 - slot)?;
                self.free(offset)?;
                self.put_u32(parent, nk::SUBKEY_LIST, other)
            }
        }
    }

    /// Finds a key by its offset, for lists that are out of order.
    fn locate_offset(&self, list: u32, child: u32) -> Result<Place, Malformed> {
        let leaves = match self.list(list)? {
            List::Leaf(_) => 1,
            List::Index(count) => count,
        };
        for slot in 0..leaves {
            let (index, leaf) = match self.list(list)? {
                List::Leaf(leaf) => (None, leaf),
                List::Index(count) => {
                    (Some((list, slot, count)), self.leaf(self.slot(list, 4, slot)?)?)
                }
            };
            for position in 0..leaf.count {
                if self.slot(leaf.offset, leaf.kind.stride(), position)? == child {
                    return Ok(Place { index, leaf, position, found: Some(child) });
                }
            }
        }
        Err(bad("a key that its parent's list of subkeys does not hold", child))
    }

    fn new_leaf(&mut self, kind: LeafKind, entries: &[u8]) -> Result<u32, HiveError> {
        let count = entries.len() / kind.stride();
        let entries = &entries[..count * kind.stride()];
        let offset = self.allocate(4 + entries.len())?;
        let body = self.body_mut(offset)?;
        body[..2].copy_from_slice(kind.signature());
        body[4..4 + entries.len()].copy_from_slice(entries);
        self.set_count(offset, count)?;
        Ok(offset)
    }

    fn set_count(&mut self, offset: u32, count: usize) -> Result<(), HiveError> {
        let count = u16::try_from(count)
            .map_err(|_| bad("a list of subkeys with more than 65,535 entries", offset))?;
        self.put_u16(offset, 2, count)
    }

    fn leaf_insert(&mut self, leaf: Leaf, at: usize, entry: &[u8]) -> Result<u32, HiveError> {
        self.insert_entry(leaf.offset, at, leaf.count, entry)
    }

    /// Puts an entry into a leaf or an index; returns where the list is now.
    fn insert_entry(
        &mut self,
        mut offset: u32,
        position: usize,
        count: usize,
        entry: &[u8],
    ) -> Result<u32, HiveError> {
        let stride = entry.len();
        let needed = 4 + (count + 1) * stride;
        if self.body(offset)?.len() < needed {
            // Some room for more, so that a list that grows entry by entry is not moved each time.
            let room = (count / 8).min(LEAF_LIMIT.saturating_sub(count + 1)) * stride;
            offset = self.resize(offset, needed + room)?;
        }
        let body = self.body_mut(offset)?;
        body.copy_within(4 + position * stride..4 + count * stride, 4 + (position + 1) * stride);
        body[4 + position * stride..4 + (position + 1) * stride].copy_from_slice(entry);
        self.set_count(offset, count + 1)?;
        Ok(offset)
    }

    /// Takes an entry out of a leaf or an index; returns where the list is now.
    fn remove_entry(
        &mut self,
        offset: u32,
        stride: usize,
        position: usize,
        count: usize,
    ) -> Result<u32, HiveError> {
        let body = self.body_mut(offset)?;
        let end = 4 + count * stride;
        body.copy_within(4 + (position + 1) * stride..end, 4 + position * stride);
        body[end - stride..end].fill(0);
        put_u16(body, 2, u16::try_from(count - 1).unwrap_or(0));
        let needed = end - stride;
        if body.len() > 64 + 2 * needed {
            return self.resize(offset, needed);
        }
        Ok(offset)
    }

    /// Notes that the leaf at `old` is now at `new`.
    fn repoint(
        &mut self,
        parent: u32,
        index: Option<(u32, usize, usize)>,
        old: u32,
        new: u32,
    ) -> Result<(), HiveError> {
        match index {
            _ if old == new => Ok(()),
            Some((offset, slot, _)) => self.put_u32(offset, 4 + 4 * slot, new),
            None => self.put_u32(parent, nk::SUBKEY_LIST, new),
        }
    }

    /// Notes a new leaf `right` behind the leaf `left`, under an index that is made where there is none yet.
    fn index_insert(
        &mut self,
        parent: u32,
        index: Option<(u32, usize, usize)>,
        left: u32,
        right: u32,
    ) -> Result<(), HiveError> {
        let list = if let Some((offset, slot, count)) = index {
            self.insert_entry(offset, slot + 1, count, &right.to_le_bytes())?
        } else {
            let offset = self.allocate(12)?;
            let body = self.body_mut(offset)?;
            body[..4].copy_from_slice(b"ri\x02\0");
            body[4..8].copy_from_slice(&left.to_le_bytes());
            body[8..12].copy_from_slice(&right.to_le_bytes());
            offset
        };
        self.put_u32(parent, nk::SUBKEY_LIST, list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{filetime::FileTime, name::Name};
    use crate::format::hive::{Hive, KeyId};

    fn hash(name: &str) -> u32 {
        name_hash(name.encode_utf16())
    }

    #[test]
    fn hashes_follow_the_upper_case_name() {
        assert_eq!(hash("été"), 0x0004_3fce);
        assert_eq!(hash("Жи"), 0x9b46);
        assert_eq!(hash("select"), hash("SELECT"));
        assert_eq!(hash(""), 0);
    }

    #[test]
    fn hints_are_four_latin1_characters_or_nothing() {
        let hint = |name: &str| name_hint(&name.encode_utf16().collect::<Vec<_>>()).to_le_bytes();
        assert_eq!(&hint("Select"), b"Sele");
        assert_eq!(&hint("ab"), b"ab\0\0");
        assert_eq!(&hint("é"), b"\xe9\0\0\0");
        assert_eq!(hint("abЖ"), [0; 4]);
        assert_eq!(&hint("abcdЖ"), b"abcd");
    }

    /// Entries of each leaf below `parent`, and the kinds of the list and its first leaf.
    fn shape(hive: &Hive, parent: KeyId) -> (Vec<usize>, &'static [u8; 2]) {
        let list = hive.node(parent).unwrap().u32(nk::SUBKEY_LIST);
        let leaves = match hive.cells.list(list).unwrap() {
            List::Leaf(leaf) => vec![leaf],
            List::Index(count) => (0..count)
                .map(|slot| hive.cells.leaf(hive.cells.slot(list, 4, slot).unwrap()).unwrap())
                .collect(),
        };
        (leaves.iter().map(|leaf| leaf.count).collect(), leaves[0].kind.signature())
    }

    fn add(hive: &mut Hive, parent: KeyId, number: u32) {
        let name = Name::from(format!("{number:06}").as_str());
        hive.create_key(parent, &name, FileTime(1)).unwrap();
    }

    #[test]
    fn leaves_split_beyond_507_and_join_the_key_when_one_is_left() {
        for (minor, signature) in [(3, b"lf"), (4, b"lf"), (5, b"lh"), (6, b"lh")] {
            let mut hive = Hive::create(minor, FileTime(1), &[1; 24]);
            let parent = hive.create_key(hive.root(), &"parent".into(), FileTime(1)).unwrap();
            (0..507).for_each(|number| add(&mut hive, parent, number * 2));
            assert_eq!(shape(&hive, parent), (vec![507], signature));
            // In order: the full leaf stays full. In between: it is halved.
            add(&mut hive, parent, 507 * 2);
            assert_eq!(shape(&hive, parent), (vec![507, 1], signature));
            add(&mut hive, parent, 101);
            assert_eq!(shape(&hive, parent), (vec![254, 254, 1], signature));
            let last = hive.subkey(parent, &"001014".into()).unwrap().unwrap();
            hive.delete_key(last, FileTime(1)).unwrap();
            assert_eq!(shape(&hive, parent), (vec![254, 254], signature));
            for key in hive.subkeys(parent).unwrap().into_iter().skip(254) {
                hive.delete_key(key, FileTime(1)).unwrap();
            }
            assert_eq!(shape(&hive, parent), (vec![254], signature));
            assert_eq!(hive.check(), []);
        }
    }
}
