//! Makes raw deltas: literals and plain copies in the flat codes. Small and simple; Windows' own are a fraction of the size.

use std::collections::HashMap;

use sha2::Digest as _;

use super::{
    MAGIC,
    huffman::flat_shape,
    stream::{ALIGNED, LENGTHS, MAIN},
};
use crate::base::filetime::FileTime;

/// Bytes that have to be equal for a copy to be looked for.
const SEED: usize = 4;

/// A delta that makes `target` out of `reference` and has its SHA-256.
#[must_use]
pub fn create(reference: &[u8], target: &[u8], time: FileTime) -> Vec<u8> {
    let hash = sha2::Sha256::digest(target);
    // Made for raw files, a raw file, without a size limit; with a SHA-256.
    let numbers = [1, 1, 0x2_0000, target.len() as u64, 0x800C];
    assemble(time, numbers, [&hash, &[], &patch(reference, target)])
}

/// A delta of its parts: kinds, kind, flags, size, kind of hash; hash, preparation, patch stream.
pub(super) fn assemble(time: FileTime, numbers: [u64; 5], buffers: [&[u8]; 3]) -> Vec<u8> {
    let mut bits = Writer::new();
    for number in numbers {
        bits.number(number);
    }
    for buffer in buffers {
        bits.buffer(buffer);
    }
    [&MAGIC[..], &time.0.to_le_bytes(), &bits.finish()].concat()
}

/// The patch stream: greedy copies from the last place with the same four bytes.
fn patch(reference: &[u8], target: &[u8]) -> Vec<u8> {
    let window = [reference, target].concat();
    let seed = |at: usize| window.get(at..)?.first_chunk::<SEED>();
    let mut places: HashMap<[u8; SEED], usize> = HashMap::new();
    for at in 0..reference.len() {
        if let Some(seed) = seed(at) {
            places.insert(*seed, at);
        }
    }
    let mut bits = Writer::new();
    bits.put(0, 1); // no rift table
    bits.put(1, 1); // flat codes
    let mut at = reference.len();
    while at < window.len() {
        let from = seed(at).and_then(|seed| places.get(seed)).copied();
        let length = from.map_or(0, |from| {
            window[from..].iter().zip(&window[at..]).take_while(|(one, other)| one == other).count()
        });
        let end = at + length.max(1);
        match from {
            Some(from) if length >= SEED => bits.copy((at - from) as u64, length as u64),
            _ => bits.symbol(usize::from(window[at]), MAIN),
        }
        for at in at..end {
            if let Some(seed) = seed(at) {
                places.insert(*seed, at);
            }
        }
        at = end;
    }
    bits.finish()
}

/// Writes the bit layer.
pub(super) struct Writer {
    data: Vec<u8>,
    /// Bits that are used in the last byte, 8 when it is full.
    used: u32,
}

impl Writer {
    /// With room for the three bits that [`Self::finish`] writes.
    pub(super) fn new() -> Self {
        Self { data: vec![0], used: 3 }
    }

    /// The low `count` bits of `value`, lowest first.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        for bit in 0..count {
            if self.used == 8 {
                self.data.push(0);
                self.used = 0;
            }
            if let Some(last) = self.data.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << self.used;
            }
            self.used += 1;
        }
    }

    pub(super) fn number(&mut self, value: u64) {
        let zeros = (u64::BITS - value.leading_zeros()).max(1).div_ceil(4) - 1;
        self.put(1 << zeros, zeros + 1);
        self.put(value, 4 * (zeros + 1));
    }

    fn buffer(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.used = 8;
        self.data.extend_from_slice(bytes);
    }

    /// A symbol of the flat code over `count`.
    pub(super) fn symbol(&mut self, symbol: usize, count: usize) {
        let (longest, short) = flat_shape(count);
        // The longer codes come first in value; the shorter ones follow behind their prefixes.
        let (code, bits) = if symbol < short {
            ((count - short) / 2 + symbol, u32::from(longest) - 1)
        } else {
            (symbol - short, u32::from(longest))
        };
        self.put((code as u64).reverse_bits() >> (64 - bits), bits);
    }

    fn copy(&mut self, distance: u64, length: u64) {
        let (slot, extra) = if distance < 4 {
            (distance, None)
        } else {
            let width = distance.ilog2() - 1;
            (u64::from(2 * (width + 1)) + (distance >> width & 1), Some(width))
        };
        let (main_slot, escape) = if slot < 36 { (slot + 7, None) } else { (7, Some(slot)) };
        let short = if length <= 8 { length - 1 } else { 0 };
        self.symbol(256 + usize::try_from(main_slot << 3 | short).unwrap_or(0), MAIN);
        match escape {
            None => {}
            Some(slot @ ..40) => self.put((slot - 36) << 1, 3),
            Some(slot @ ..48) => self.put((slot - 40) << 2 | 1, 5),
            Some(slot) => self.put((slot - 48) << 2 | 3, 6),
        }
        if let Some(width) = extra {
            let low = distance & ((1 << width) - 1);
            if width < 4 {
                self.put(low, width);
            } else {
                self.put(low >> 4, width - 4);
                self.symbol(usize::try_from(low & 15).unwrap_or(0), ALIGNED);
            }
        }
        match length {
            ..=8 => {}
            9..=263 => self.symbol(usize::try_from(length - 8).unwrap_or(0), LENGTHS),
            _ => {
                self.symbol(0, LENGTHS);
                let rest = length - 8;
                let width = rest.ilog2();
                self.put(1 << (width - 8), width - 7);
                self.put(rest, width);
            }
        }
    }

    /// The bytes, with the number of unused bits at the end written in front.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let padding = u8::try_from(8 - self.used).unwrap_or(0);
        if let Some(first) = self.data.first_mut() {
            *first |= padding & 7;
        }
        self.data
    }
}
