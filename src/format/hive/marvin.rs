//! Marvin32, the hash with which Windows guards the entries of its transaction logs.

/// The seed that Windows uses for hive logs.
const SEED: u64 = 0x82ef_4d88_7a4e_55c5;

/// The hash of `data`.
pub(super) fn marvin32(data: &[u8]) -> u64 {
    let bytes = SEED.to_le_bytes();
    let mut state = State {
        low: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        high: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    let (words, rest) = data.as_chunks::<4>();
    for &word in words {
        state.feed(u32::from_le_bytes(word));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    state.feed(u32::from_le_bytes(last));
    state.mix();
    u64::from(state.high) << 32 | u64::from(state.low)
}

struct State {
    low: u32,
    high: u32,
}

impl State {
    fn feed(&mut self, word: u32) {
        self.low = self.low.wrapping_add(word);
        self.mix();
    }

    fn mix(&mut self) {
        self.high ^= self.low;
        self.low = self.low.rotate_left(20).wrapping_add(self.high);
        self.high = self.high.rotate_left(9) ^ self.low;
        self.low = self.low.rotate_left(27).wrapping_add(self.high);
        self.high = self.high.rotate_left(19);
    }
}
