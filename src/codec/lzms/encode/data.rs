//! The chunk that is encoded, as match finders read it.

/// Bytes behind the end of the chunk that may be read: they are zero and mean nothing.
const SLACK: usize = 16;

/// A chunk with some room behind its end.
#[derive(Debug, Default)]
pub(super) struct Data {
    bytes: Vec<u8>,
    length: usize,
}

impl Data {
    /// Takes a copy of `chunk` and returns it for changing.
    pub(super) fn fill(&mut self, chunk: &[u8]) -> &mut [u8] {
        self.length = chunk.len();
        self.bytes.clear();
        self.bytes.reserve_exact(chunk.len() + SLACK);
        self.bytes.extend_from_slice(chunk);
        self.bytes.resize(chunk.len() + SLACK, 0);
        &mut self.bytes[..self.length]
    }

    /// Bytes in the chunk.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The byte at a position.
    #[inline(always)]
    pub(super) fn byte(&self, position: usize) -> u8 {
        self.bytes[position]
    }

    /// The four bytes at a position, little-endian.
    #[inline(always)]
    pub(super) fn load_four(&self, position: usize) -> u32 {
        let bytes = self.bytes.get(position..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The eight bytes at a position, little-endian.
    #[inline(always)]
    pub(super) fn load_eight(&self, position: usize) -> u64 {
        let bytes = self.bytes.get(position..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// How many bytes at two positions are equal, at most `most`; the first `known` are.
    #[inline(always)]
    pub(super) fn common_length(&self, a: usize, b: usize, known: usize, most: usize) -> usize {
        let mut length = known;
        while length < most {
            let left = self.load_eight(a.wrapping_add(length));
            let different = left ^ self.load_eight(b.wrapping_add(length));
            if different != 0 {
                let equal = (different.trailing_zeros() >> 3) as usize;
                return length.wrapping_add(equal).min(most);
            }
            length = length.wrapping_add(8);
        }
        most
    }

    /// The differences of the four bytes at a position to those a span before.
    #[inline(always)]
    pub(super) fn differences(&self, position: usize, span: usize) -> u32 {
        const HIGH: u32 = 0x8080_8080;
        let here = self.load_four(position);
        let before = self.load_four(position.wrapping_sub(span));
        ((here | HIGH).wrapping_sub(before & !HIGH)) ^ ((here ^ !before) & HIGH)
    }

    /// How long the delta match at a position is, at most `most`. `offset + span` is at most `position`.
    #[inline(always)]
    pub(super) fn delta_length(
        &self,
        position: usize,
        span: usize,
        offset: usize,
        most: usize,
    ) -> usize {
        let mut length = 0usize;
        while length < most {
            let at = position.wrapping_add(length);
            let different =
                self.differences(at, span) ^ self.differences(at.wrapping_sub(offset), span);
            if different != 0 {
                let equal = (different.trailing_zeros() >> 3) as usize;
                return length.wrapping_add(equal).min(most);
            }
            length = length.wrapping_add(4);
        }
        most
    }
}

/// An earlier occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Match {
    pub(super) length: u32,
    pub(super) offset: u32,
}

/// Hash of four bytes (the lowest of `bytes << 8` drops out: three bytes) for a table of `size` entries, a power of two.
#[inline(always)]
pub(super) fn hash(bytes: u32, size: usize) -> usize {
    let bits = size.trailing_zeros();
    let product = bytes.wrapping_mul(0x9E37_79B1);
    product.wrapping_shr(32u32.wrapping_sub(bits)) as usize & size.wrapping_sub(1)
}
