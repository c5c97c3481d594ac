//! LZX as cabinets hold it (Microsoft's LZX paper of 1997): one stream with a window, cut into frames of 32 KiB.
//!
//! The stream starts with a bit that tells whether calls were translated ([`e8`]) and, if so, 32 bits of the size that the translation
//! assumed, high half first. Blocks have 3 bits of type and 24 bits of size and go on over frame ends; matches do not. Each frame starts at a
//! new 16-bit word and, in a cabinet, is one data block. The translation works per frame, for the first 32,768 of them, and on a copy:
//! matches refer to what was there before.

use super::{
    decode::{Decoder, State, damaged, decode_block},
    e8,
    tables::{BLOCK_ALIGNED, BLOCK_UNCOMPRESSED, BLOCK_VERBATIM, RECENT_OFFSETS},
};
use crate::codec::{DecodeError, bits::BitReader};

/// Bytes that every frame but the last has.
const FRAME: usize = 32 << 10;
/// Frames whose calls are translated.
const TRANSLATED_FRAMES: u32 = 32_768;

/// Decodes the frames of one LZX stream of a cabinet, in order.
#[derive(Debug)]
pub struct LzxStream {
    tables: Decoder,
    window: usize,
    /// Twice the window: the part before `position` is what was decoded; when it is full, the last window is moved to the start.
    history: Vec<u8>,
    position: usize,
    recent: [u32; RECENT_OFFSETS],
    block: Block,
    /// The size that the translation of calls assumed; `None` when there is none. Known from the first frame on.
    translation: Option<i32>,
    frames: u32,
    /// False after a short frame or an error: nothing can follow.
    usable: bool,
}

/// The block that is being decoded.
#[derive(Debug, Clone, Copy)]
struct Block {
    kind: u32,
    /// Bytes it still makes.
    left: usize,
    /// The pad byte behind an uncompressed block of odd size was not read yet.
    pad: bool,
}

impl LzxStream {
    /// A decoder for a window of 2 to the power of `window_bits` bytes; `None` when that is not 15 to 21, the windows of cabinets.
    #[must_use]
    pub fn new(window_bits: u32) -> Option<Self> {
        if !(15..=21).contains(&window_bits) {
            return None;
        }
        Some(Self {
            tables: Decoder::new(1 << window_bits),
            window: 1 << window_bits,
            history: vec![0; 2 << window_bits],
            position: 0,
            recent: [1; RECENT_OFFSETS],
            block: Block { kind: 0, left: 0, pad: false },
            translation: None,
            frames: 0,
            usable: true,
        })
    }

    /// Decodes the next frame into the whole of `output`: 32,768 bytes, or fewer for the last frame.
    ///
    /// # Errors
    /// When the data does not decode to that many bytes, when `output` is longer than a frame, or after a short frame. Nothing can be
    /// decoded after an error.
    pub fn decode_frame(
        &mut self,
        compressed: &[u8],
        output: &mut [u8],
    ) -> Result<(), DecodeError> {
        if !self.usable {
            return Err(damaged("a frame after the end of the stream"));
        }
        self.usable = false;
        if output.len() > FRAME {
            return Err(damaged("a frame of more than 32 KiB"));
        }
        if self.history.len() - self.position < output.len() {
            self.history.copy_within(self.position - self.window..self.position, 0);
            self.position = self.window;
        }
        let mut state = State {
            reader: BitReader::new(compressed),
            position: self.position,
            recent: self.recent,
        };
        if self.frames == 0 && state.reader.read(1) == 1 {
            let high = state.reader.read(16);
            let size = high << 16 | state.reader.read(16);
            self.translation = Some(size.cast_signed());
        }
        let end = self.position + output.len();
        while state.position < end {
            self.decode_part(&mut state, end)?;
        }
        if state.reader.overrun() {
            return Err(damaged("it ends too early"));
        }
        if self.block.pad && self.block.left == 0 && self.block.kind == BLOCK_UNCOMPRESSED {
            self.block.pad = state.reader.take_bytes(1).is_none();
        }
        output.copy_from_slice(&self.history[self.position..end]);
        if let Some(size) = self.translation
            && self.frames < TRANSLATED_FRAMES
        {
            let start = i32::try_from(u64::from(self.frames) * FRAME as u64).unwrap_or(i32::MAX);
            e8::decode_frame(output, start, size);
        }
        self.position = end;
        self.recent = state.recent;
        self.frames = self.frames.saturating_add(1);
        self.usable = output.len() == FRAME;
        Ok(())
    }

    /// Decodes up to the end of the block or to `end`, whichever comes first.
    fn decode_part(&mut self, state: &mut State<'_>, end: usize) -> Result<(), DecodeError> {
        if self.block.left == 0 {
            self.start_block(state)?;
        }
        let start = state.position;
        let end = end.min(start + self.block.left);
        match self.block.kind {
            BLOCK_VERBATIM => {
                decode_block::<false>(&self.tables.codes, state, &mut self.history, end)?;
            }
            BLOCK_ALIGNED => {
                decode_block::<true>(&self.tables.codes, state, &mut self.history, end)?;
            }
            _ => {
                let bytes = state.reader.take_bytes(end - start);
                let bytes = bytes.ok_or_else(|| damaged("it ends within an uncompressed block"))?;
                self.history[start..end].copy_from_slice(bytes);
                state.position = end;
            }
        }
        self.block.left -= end - start;
        Ok(())
    }

    /// Reads the head of the next block.
    fn start_block(&mut self, state: &mut State<'_>) -> Result<(), DecodeError> {
        let reader = &mut state.reader;
        if std::mem::take(&mut self.block.pad) {
            let _pad = reader.take_bytes(1);
        }
        let kind = reader.read(3);
        let left = reader.read(24) as usize;
        if left == 0 {
            return Err(damaged("a block with an impossible size"));
        }
        match kind {
            BLOCK_VERBATIM => self.tables.read_codes(reader, false)?,
            BLOCK_ALIGNED => self.tables.read_codes(reader, true)?,
            BLOCK_UNCOMPRESSED => {
                reader.align_to_bytes();
                let header = reader.take_bytes(4 * RECENT_OFFSETS);
                let header =
                    header.ok_or_else(|| damaged("it ends within an uncompressed block"))?;
                for (recent, bytes) in state.recent.iter_mut().zip(header.chunks_exact(4)) {
                    *recent = bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
                    if *recent == 0 || *recent as usize > self.window {
                        return Err(damaged("an uncompressed block with an impossible offset"));
                    }
                }
            }
            _ => return Err(damaged("a block of unknown type")),
        }
        self.block = Block { kind, left, pad: kind == BLOCK_UNCOMPRESSED && left % 2 == 1 };
        if reader.overrun() {
            return Err(damaged("it ends too early"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::bits::BitWriter;

    /// A frame that is one uncompressed block; the first one carries the translation's size.
    fn frame(content: &[u8], first: Option<Option<u32>>) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        let mut writer = BitWriter::new(&mut bytes);
        if let Some(translation) = first {
            writer.write(u32::from(translation.is_some()), 1);
            if let Some(size) = translation {
                writer.write(size >> 16, 16);
                writer.write(size & 0xFFFF, 16);
            }
        }
        writer.write(BLOCK_UNCOMPRESSED, 3);
        let size = u32::try_from(content.len()).unwrap();
        writer.write(size >> 16, 8);
        writer.write(size & 0xFFFF, 16);
        let written = writer.finish().unwrap();
        bytes.truncate(written);
        for _ in 0..3 {
            bytes.extend_from_slice(&1u32.to_le_bytes());
        }
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(0);
        }
        bytes
    }

    #[test]
    fn a_call_of_the_stream_s_first_byte_is_translated() {
        // The absolute operand 0 is a call of position 0; `lzxd` 0.2.7 takes it for a negative one.
        let mut content = vec![0x90; 200];
        content[100..105].copy_from_slice(&[0xE8, 0, 0, 0, 0]);
        let mut stream = LzxStream::new(15).unwrap();
        let mut output = vec![0; 200];
        stream.decode_frame(&frame(&content, Some(Some(12_000_000))), &mut output).unwrap();
        assert_eq!(output[100..105], [0xE8, 0x9C, 0xFF, 0xFF, 0xFF]);
    }

    #[test]
    fn frames_follow_one_another_until_a_short_one() {
        let content: Vec<u8> = (0..=255u8).cycle().take(5 * FRAME + 7).collect();
        let mut stream = LzxStream::new(15).unwrap();
        let mut decoded = Vec::new();
        for (index, part) in content.chunks(FRAME).enumerate() {
            let mut output = vec![0; part.len()];
            let first = (index == 0).then_some(None);
            stream.decode_frame(&frame(part, first), &mut output).unwrap();
            decoded.extend(output);
        }
        assert!(decoded == content);
        let more = stream.decode_frame(&frame(b"abc", None), &mut [0; 3]).unwrap_err();
        assert_eq!(more.what, "a frame after the end of the stream");
    }

    #[test]
    fn impossible_offsets_and_windows_are_refused() {
        assert!(LzxStream::new(14).is_none() && LzxStream::new(22).is_none());
        for offset in [0u32, 32_769, u32::MAX] {
            let mut bytes = frame(b"abcd", Some(None));
            let place = bytes.len() - 16;
            bytes[place..place + 4].copy_from_slice(&offset.to_le_bytes());
            let mut stream = LzxStream::new(15).unwrap();
            let error = stream.decode_frame(&bytes, &mut [0; 4]).unwrap_err();
            assert_eq!(error.what, "an uncompressed block with an impossible offset");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_bytes_make_it_panic(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..4),
            size in 0usize..=FRAME,
        ) {
            let mut stream = LzxStream::new(15).unwrap();
            let mut output = vec![0; FRAME];
            for (index, bytes) in frames.iter().enumerate() {
                let end = if index + 1 == frames.len() { size } else { FRAME };
                let _any = stream.decode_frame(bytes, &mut output[..end]);
            }
        }
    }
}
