//! Writes LZX as cabinets hold it: the parser of WIM chunks, its sequences cut at the ends of frames.
//!
//! Two megabytes at a time are looked through for repeats; nothing refers to what lies before them. Each frame is one block, calls are not translated.

use super::{
    block::{BlockSizes, BlockWriter},
    encode::Sequence,
    lazy,
    tables::{MIN_MATCH, OFFSET_ADJUSTMENT, RECENT_OFFSETS, SLOT_BASE, slots},
};
use crate::codec::{
    Level,
    bits::{BitWriter, WRITER_SLACK, low_8, low_16, low_32},
    matches::Window,
};

/// Bytes of a frame.
const FRAME: usize = 32 << 10;
/// Bytes that are looked through at a time: the largest window of cabinets.
const PART: usize = 2 << 20;

/// Encodes one LZX stream of a cabinet with the largest window, 2 MiB.
#[derive(Debug)]
pub struct LzxStreamEncoder {
    parser: lazy::Parser<u32, 0x40_0000, 0x4_0000>,
    window: Window<0x40_0000>,
    blocks: BlockWriter,
    recent: [u32; RECENT_OFFSETS],
    started: bool,
}

impl Default for LzxStreamEncoder {
    fn default() -> Self {
        Self {
            parser: lazy::Parser::new(Level::Default),
            window: Window::new(),
            blocks: BlockWriter::new(BlockSizes::Cabinet, slots(low_32(PART))),
            recent: [1; RECENT_OFFSETS],
            started: false,
        }
    }
}

impl LzxStreamEncoder {
    /// Bits of the window that a decoder needs.
    pub const WINDOW_BITS: u16 = 21;

    /// Encodes the next bytes of the stream; gives each frame with the number of bytes it stands for. All calls but the last must give a multiple of
    /// 32 KiB.
    pub fn encode(&mut self, bytes: &[u8], frame: &mut dyn FnMut(&[u8], usize)) {
        for part in bytes.chunks(PART) {
            self.window.fill(part);
            let mut sequences = Vec::new();
            self.parser.parse(&self.window, &mut sequences);
            for (content, sequences) in part.chunks(FRAME).zip(self.cut(&sequences)) {
                let mut output = vec![0; content.len() + content.len() / 8 + 1024 + WRITER_SLACK];
                let mut writer = BitWriter::new(&mut output);
                if !self.started {
                    writer.write(0, 1);
                    self.started = true;
                }
                self.blocks.write(&mut writer, content, &sequences);
                let size = writer.finish().expect("codes of at most 16 bits and trees fit");
                frame(&output[..size], content.len());
            }
        }
    }

    /// The sequences of each frame. Matches that go over the end of a frame are cut in two, and since that changes which offsets were used last, all
    /// offsets are written anew.
    fn cut(&mut self, sequences: &[Sequence]) -> Vec<Vec<Sequence>> {
        let mut cutter =
            Cutter { frames: vec![Vec::new()], filled: 0, literals: 0, recent: self.recent };
        // The parser begins each part with these.
        let mut parsed = [1; RECENT_OFFSETS];
        for sequence in sequences {
            cutter.literals(sequence.literals as usize);
            if sequence.length > 0 {
                let offset = offset_of(*sequence, &mut parsed);
                cutter.matched(offset, usize::from(sequence.length));
            }
        }
        cutter.end_frame();
        self.recent = cutter.recent;
        cutter.frames
    }
}

/// The offset of a parsed match; brings the recent offsets up to date.
fn offset_of(sequence: Sequence, recent: &mut [u32; RECENT_OFFSETS]) -> u32 {
    let slot = usize::from(sequence.slot);
    if slot < RECENT_OFFSETS {
        recent.swap(0, slot);
    } else {
        let offset = SLOT_BASE[slot] + sequence.extra - OFFSET_ADJUSTMENT;
        *recent = [offset, recent[0], recent[1]];
    }
    recent[0]
}

/// Puts sequences into frames.
struct Cutter {
    frames: Vec<Vec<Sequence>>,
    /// Bytes of the last frame.
    filled: usize,
    /// Literals of the last frame that no sequence holds yet.
    literals: u32,
    recent: [u32; RECENT_OFFSETS],
}

impl Cutter {
    fn literals(&mut self, mut count: usize) {
        while count > 0 {
            self.begin_frame();
            let taken = count.min(FRAME - self.filled);
            self.literals += low_32(taken);
            self.filled += taken;
            count -= taken;
        }
    }

    fn matched(&mut self, offset: u32, mut length: usize) {
        while length > 0 {
            self.begin_frame();
            let taken = length.min(FRAME - self.filled);
            if taken < MIN_MATCH {
                self.literals(taken);
            } else {
                let sequence = self.sequence(offset, taken);
                let frame = self.frames.last_mut().expect("there is always a frame");
                frame.push(sequence);
                self.literals = 0;
                self.filled += taken;
            }
            length -= taken;
        }
    }

    fn sequence(&mut self, offset: u32, length: usize) -> Sequence {
        let (literals, length) = (self.literals, low_16(length));
        if let Some(slot) = self.recent.iter().position(|&known| known == offset) {
            self.recent.swap(0, slot);
            return Sequence { literals, extra: 0, length, slot: low_8(slot) };
        }
        self.recent = [offset, self.recent[0], self.recent[1]];
        let formatted = offset + OFFSET_ADJUSTMENT;
        let slot = lazy::slot_of(formatted);
        Sequence { literals, extra: formatted - SLOT_BASE[slot], length, slot: low_8(slot) }
    }

    /// Makes room for one more byte.
    fn begin_frame(&mut self) {
        if self.filled == FRAME {
            self.end_frame();
            self.frames.push(Vec::new());
            self.filled = 0;
        }
    }

    fn end_frame(&mut self) {
        if self.literals > 0 {
            let rest = Sequence { literals: self.literals, extra: 0, length: 0, slot: 0 };
            self.frames.last_mut().expect("there is always a frame").push(rest);
            self.literals = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::LzxStream;

    /// What our decoder makes of our encoder's frames.
    fn round_trip(content: &[u8]) -> Vec<u8> {
        let mut encoder = LzxStreamEncoder::default();
        let mut decoder = LzxStream::new(21).unwrap();
        let mut decoded = Vec::new();
        encoder.encode(content, &mut |frame, size| {
            let start = decoded.len();
            decoded.resize(start + size, 0);
            decoder.decode_frame(frame, &mut decoded[start..]).unwrap();
        });
        decoded
    }

    #[test]
    fn what_repeats_over_frame_ends_comes_back() {
        let mut state = 1u32;
        let mut content = Vec::new();
        while content.len() < PART + 3 * FRAME + 777 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = 1 + (state >> 20) as usize % 400;
            if state & 0x100 == 0 || content.is_empty() {
                content
                    .extend((0..length).map(|at| (state.wrapping_mul(low_32(at) | 1) >> 24) as u8));
            } else {
                let from = (state >> 3) as usize % content.len();
                let end = (from + length).min(content.len());
                content.extend_from_within(from..end);
            }
        }
        assert!(round_trip(&content) == content);
        let zeros = vec![0; 2 * PART + 5];
        assert!(round_trip(&zeros) == zeros);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn everything_comes_back(
            words in proptest::collection::vec((0usize..40, 1usize..600), 0..400)
        ) {
            let content: Vec<u8> = words
                .iter()
                .flat_map(|&(word, count)| (0..count).map(move |at| low_8(word * (at % 7 + word) % 256)))
                .collect();
            prop_assert!(round_trip(&content) == content);
        }
    }
}
