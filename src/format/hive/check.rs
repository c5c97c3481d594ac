//! Everything a hive must satisfy for Windows to load it as it is, instead of refusing it or silently dropping what it dislikes.

use std::collections::BTreeMap;

use super::{
    cells::Cells,
    data::BigData,
    file::Hive,
    layout::{BASE_BLOCK, BIN_HEADER, MAX_DEPTH, MAX_KEY_NAME, NIL, SEGMENT, nk, u32_at},
    nodes::{KeyNode, ValueNode},
    subkeys::{Leaf, LeafKind, List, name_hash, name_hint},
};
use crate::base::{malformed::Malformed, upcase::upcase};

/// More problems than this are not listed: the hive is a wreck.
const MOST: usize = 1000;

/// Something in a hive that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: byte offset from the start of the file.
    pub offset: u64,
    /// What.
    pub what: String,
    /// True when Windows takes the hive all the same: space is wasted, nothing more.
    pub harmless: bool,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} (at offset {:#x})", self.what, self.offset)
    }
}

impl Hive {
    /// All that is wrong with the hive; nothing for a sound one. Every key, value and cell is looked at.
    ///
    /// Problems that are [harmless](Problem::harmless) occur in hives that Windows recovered or other tools edited: cells that
    /// nothing refers to, free cells that were not joined.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut checker = Checker {
            hive: self,
            cells: &self.cells,
            problems: Vec::new(),
            owned: BitSet::new(self.cells.bins_size),
            allocated: BitSet::new(self.cells.bins_size),
            security: BTreeMap::new(),
        };
        if checker.bins() {
            checker.keys();
            checker.ring();
            checker.unreferenced();
        }
        checker.problems
    }
}

struct Checker<'a> {
    hive: &'a Hive,
    cells: &'a Cells,
    problems: Vec<Problem>,
    /// Cells that something refers to.
    owned: BitSet,
    /// Cells that are allocated.
    allocated: BitSet,
    /// How many keys refer to each security cell.
    security: BTreeMap<u32, u32>,
}

impl<'a> Checker<'a> {
    fn report(&mut self, offset: u32, what: impl Into<String>, harmless: bool) {
        if self.problems.len() < MOST {
            let offset = BASE_BLOCK as u64 + u64::from(offset);
            self.problems.push(Problem { offset, what: what.into(), harmless });
        }
    }

    fn harm(&mut self, offset: u32, what: impl Into<String>) {
        self.report(offset, what, false);
    }

    fn note<T>(&mut self, result: Result<T, Malformed>) -> Option<T> {
        result
            .map_err(|error| {
                if self.problems.len() < MOST {
                    let (offset, what) = (error.offset, error.what);
                    self.problems.push(Problem { offset, what, harmless: false });
                }
            })
            .ok()
    }

    /// Bins and cells tile the hive. False when they do not, and nothing else can be said.
    fn bins(&mut self) -> bool {
        let mut bin = 0;
        while bin < self.cells.bins_size {
            let Some(size) = self.note(self.cells.bin_size(bin)) else { return false };
            let (mut at, end) = (bin + BIN_HEADER, bin + size);
            let mut free_before = false;
            while at < end {
                let raw = self.cells.raw_size(at);
                let size = raw.unsigned_abs();
                if size == 0 || !size.is_multiple_of(8) || size > end - at {
                    self.harm(at, format!("{size:#x} is not a possible size of a cell"));
                    return false;
                }
                if raw < 0 {
                    self.allocated.insert(at);
                } else if free_before {
                    self.report(at, "a free cell beside another", true);
                }
                free_before = raw > 0;
                at += size;
            }
            bin = end;
        }
        true
    }

    /// Claims a cell for its one owner.
    fn own(&mut self, offset: u32, what: &str) -> Option<&'a [u8]> {
        let body = self.note(self.cells.body(offset))?;
        if !self.allocated.contains(offset) {
            self.harm(offset, format!("{what} begins in the middle of a cell"));
            return None;
        }
        if !self.owned.insert(offset) {
            self.harm(offset, format!("{what} has two owners"));
            return None;
        }
        Some(body)
    }

    fn keys(&mut self) {
        if self.own(self.hive.root, "the root key").is_none() {
            return;
        }
        let mut waiting = vec![(self.hive.root, 0)];
        while let Some((offset, depth)) = waiting.pop() {
            let Some(node) = self.note(self.cells.key(offset)) else { continue };
            self.key(offset, node);
            self.values(offset, node);
            let children = self.subkeys(offset, node);
            if depth == MAX_DEPTH && !children.is_empty() {
                self.harm(offset, "keys nested deeper than 512 levels");
                continue;
            }
            waiting.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        }
    }

    fn key(&mut self, offset: u32, node: KeyNode<'a>) {
        if let Some(name) = self.note(node.name())
            && !(1..=MAX_KEY_NAME + 1).contains(&name.len())
        {
            self.harm(offset, format!("a key name of {} characters", name.len()));
        }
        *self.security.entry(node.u32(nk::SECURITY)).or_default() += 1;
        let (class, length) = (node.u32(nk::CLASS), node.class_length());
        if length > 0 || class != NIL {
            match self.own(class, "a class name") {
                Some(body) if body.len() < length => {
                    self.harm(class, format!("a class name of {length} bytes does not fit"));
                }
                _ => {}
            }
        }
    }

    /// Checks a key's list of subkeys; returns those that can be looked into.
    fn subkeys(&mut self, parent: u32, node: KeyNode<'a>) -> Vec<u32> {
        let (count, list) = (node.u32(nk::SUBKEY_COUNT), node.u32(nk::SUBKEY_LIST));
        let mut found = Vec::new();
        if count == 0 {
            if list != NIL {
                self.report(parent, "a list of subkeys that counts for nothing", true);
            }
            return found;
        }
        if self.own(list, "a list of subkeys").is_none() {
            return found;
        }
        let mut siblings = Siblings { parent, node, last: None, total: 0 };
        match self.note(self.cells.list(list)) {
            Some(List::Leaf(leaf)) => self.leaf(leaf, &mut siblings, &mut found),
            Some(List::Index(count)) => {
                for slot in 0..count {
                    let Some(leaf) = self.note(self.cells.slot(list, 4, slot)) else { break };
                    if self.own(leaf, "a list of subkeys").is_some()
                        && let Some(leaf) = self.note(self.cells.leaf(leaf))
                    {
                        self.leaf(leaf, &mut siblings, &mut found);
                    }
                }
            }
            None => {}
        }
        if siblings.total != count as usize {
            let total = siblings.total;
            self.harm(parent, format!("the key counts {count} subkeys, its list {total}"));
        }
        found
    }

    fn leaf(&mut self, leaf: Leaf, siblings: &mut Siblings<'a>, found: &mut Vec<u32>) {
        if leaf.count == 0 {
            self.harm(leaf.offset, "an empty list of subkeys");
        }
        siblings.total += leaf.count;
        let stride = leaf.kind.stride();
        let Some(body) = self.note(self.cells.body(leaf.offset)) else { return };
        for entry in body[4..4 + leaf.count * stride].chunks_exact(stride) {
            let child = u32_at(entry, 0);
            if self.own(child, "a key").is_none() {
                continue;
            }
            let Some(key) = self.note(self.cells.key(child)) else { continue };
            if key.u32(nk::PARENT) != siblings.parent {
                self.harm(child, "the key names another parent than the one that lists it");
            }
            if let Some(name) = self.note(key.name()) {
                let units: Vec<u16> = name.units().collect();
                if leaf.kind != LeafKind::Plain && !hint_holds(leaf.kind, u32_at(entry, 4), &units)
                {
                    self.harm(leaf.offset, format!("the hash of `{name:?}` is wrong"));
                }
                if 2 * units.len() > (siblings.node.u32(nk::LONGEST_SUBKEY) & 0xffff) as usize {
                    self.harm(siblings.parent, "the longest subkey name is understated");
                }
                let upcased: Vec<u16> = units.into_iter().map(upcase).collect();
                if siblings.last.as_ref().is_some_and(|last| *last >= upcased) {
                    self.harm(
                        child,
                        format!("the subkey `{name:?}` is out of order or a duplicate"),
                    );
                }
                siblings.last = Some(upcased);
            }
            found.push(child);
        }
    }

    fn values(&mut self, key: u32, node: KeyNode<'a>) {
        let (count, list) = (node.u32(nk::VALUE_COUNT), node.u32(nk::VALUE_LIST));
        if count == 0 {
            if list != NIL {
                self.report(key, "a list of values that counts for nothing", true);
            }
            return;
        }
        if self.own(list, "a list of values").is_none() {
            return;
        }
        let hive = self.hive;
        let Some(entries) = self.note(hive.value_list(node)) else { return };
        for entry in entries {
            let offset = u32::from_le_bytes(*entry);
            if self.own(offset, "a value").is_some()
                && let Some(value) = self.note(self.cells.value(offset))
            {
                self.value(key, node, value);
            }
        }
    }

    fn value(&mut self, key: u32, node: KeyNode<'a>, value: ValueNode<'a>) {
        let length = value.length();
        if let Some(name) = self.note(value.name())
            && 2 * name.len() > node.u32(nk::LONGEST_VALUE_NAME) as usize
        {
            self.harm(key, "the longest value name is understated");
        }
        if length > node.u32(nk::LONGEST_VALUE_DATA) as usize {
            self.harm(key, "the longest value data is understated");
        }
        if value.is_inline() {
            if length > 4 {
                self.harm(value.offset(), format!("{length} bytes of data in place"));
            }
            return;
        }
        let data = value.data_offset();
        if length == 0 {
            if data != NIL {
                self.harm(value.offset(), "a data cell for no data");
            }
            return;
        }
        let Some(body) = self.own(data, "data") else { return };
        match self.note(self.cells.big_data(data, length, self.hive.minor)) {
            Some(Some(big)) => self.segments(big, length),
            Some(None) if self.hive.minor >= 4 && length > SEGMENT => {
                self.harm(data, format!("data of {length} bytes is not in segments"));
            }
            Some(None) if body.len() < length => {
                self.harm(data, format!("data of {length} bytes does not fit its cell"));
            }
            _ => {}
        }
    }

    fn segments(&mut self, big: BigData, length: usize) {
        let Some(list) = self.own(big.list, "a list of segments") else { return };
        for index in 0..big.count {
            if self.own(u32_at(list, index * 4), "a segment").is_some() {
                self.note(self.cells.segment(big, index, length).map(|_| ()));
            }
        }
    }

    /// The security cells form one ring, each with the number of keys that use it.
    fn ring(&mut self) {
        let Some(root) = self.note(self.cells.key(self.hive.root)) else { return };
        let start = root.u32(nk::SECURITY);
        let mut at = start;
        let mut wanted = std::mem::take(&mut self.security);
        loop {
            if self.own(at, "a security cell").is_none() {
                break;
            }
            let Some(node) = self.note(self.cells.security(at)) else { break };
            let used = wanted.remove(&at).unwrap_or(0);
            if used != node.references {
                let counted = node.references;
                self.harm(at, format!("a descriptor counts {counted} keys, {used} use it"));
            }
            match self.note(self.cells.security(node.next)) {
                Some(next) if next.previous != at => {
                    self.harm(node.next, "the ring of security cells does not lead back");
                }
                Some(_) => {}
                None => break,
            }
            at = node.next;
            if at == start {
                break;
            }
        }
        for offset in wanted.into_keys() {
            self.harm(offset, "keys use a security cell outside the ring");
        }
    }

    fn unreferenced(&mut self) {
        for offset in self.allocated.without(&self.owned) {
            self.report(offset, "nothing refers to this cell", true);
        }
    }
}

/// What the keys in one list are compared with.
struct Siblings<'a> {
    parent: u32,
    node: KeyNode<'a>,
    last: Option<Vec<u16>>,
    total: usize,
}

fn hint_holds(kind: LeafKind, stored: u32, name: &[u16]) -> bool {
    match kind {
        LeafKind::Plain => true,
        LeafKind::Hash => stored == name_hash(name.iter().copied()),
        // A first byte of zero says that the hint is not used.
        LeafKind::Hint => stored & 0xff == 0 || stored == name_hint(name),
    }
}

/// A set of cell offsets: one bit for each eight bytes.
struct BitSet(Vec<u64>);

impl BitSet {
    fn new(bins_size: u32) -> Self {
        Self(vec![0; (bins_size as usize).div_ceil(8 * 64)])
    }

    /// False when it was there already.
    fn insert(&mut self, offset: u32) -> bool {
        let bit = offset as usize / 8;
        let before = self.0[bit / 64];
        self.0[bit / 64] |= 1 << (bit % 64);
        before != self.0[bit / 64]
    }

    fn contains(&self, offset: u32) -> bool {
        let bit = offset as usize / 8;
        self.0[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// The offsets in this set that are not in `other`.
    fn without(&self, other: &Self) -> Vec<u32> {
        let mut offsets = Vec::new();
        for (index, (mine, theirs)) in (0_u32..).zip(self.0.iter().zip(&other.0)) {
            let mut left = mine & !theirs;
            while left != 0 {
                offsets.push((index * 64 + left.trailing_zeros()) * 8);
                left &= left - 1;
            }
        }
        offsets
    }
}
