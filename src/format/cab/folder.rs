//! The data of a folder: blocks of u32 checksum (0: none), u16 stored size, u16 size, reserved bytes, stored bytes.
//!
//! The checksum is the exclusive or of the stored bytes as little-endian 32-bit words (what is left over counts big-endian), then of the word
//! with the two sizes. An MSZIP block is `CK` and a raw deflate stream that may refer to the 32 KiB before it.

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    CabError,
    header::{BLOCK, Folder, Method, malformed},
};
use crate::{base::read_at::ReadAt, codec::LzxStream};

const HEAD: usize = 8;
/// What deflate may refer to.
const DEFLATE_WINDOW: usize = 32 << 10;
/// How much of the source is read at once.
const AHEAD: u64 = 256 << 10;

/// Decodes a folder from front to back.
pub(super) struct FolderReader<'a> {
    source: Ahead<'a>,
    reserve: u64,
    /// Offset of the next block.
    next: u64,
    blocks_left: u16,
    decoder: Decoder,
    /// The decoded block, and how much of it was given out.
    block: Vec<u8>,
    given: usize,
    /// Where in the stream the next byte given out lies.
    position: u64,
}

/// State that lives from block to block.
enum Decoder {
    Stored,
    MsZip {
        inflate: Box<Decompress>,
        /// The last 32 KiB.
        history: Vec<u8>,
    },
    Lzx(Box<LzxStream>),
}

impl<'a> FolderReader<'a> {
    pub(super) fn new(
        source: &'a dyn ReadAt,
        size: u64,
        folder: &Folder,
        reserve: u8,
    ) -> Result<Self, CabError> {
        let decoder = match folder.method {
            Method::Stored => Decoder::Stored,
            Method::MsZip => {
                Decoder::MsZip { inflate: Box::new(Decompress::new(false)), history: Vec::new() }
            }
            Method::Lzx(bits) => {
                let stream = LzxStream::new(bits);
                Decoder::Lzx(Box::new(
                    stream.ok_or_else(|| malformed("an impossible LZX window", 0))?,
                ))
            }
        };
        Ok(Self {
            source: Ahead { source, end: size, start: 0, bytes: Vec::new() },
            reserve: u64::from(reserve),
            next: folder.first,
            blocks_left: folder.blocks,
            decoder,
            block: Vec::new(),
            given: 0,
            position: 0,
        })
    }

    /// Goes forward to `position` in the stream.
    pub(super) fn skip_to(&mut self, position: u64) -> Result<(), CabError> {
        while self.position < position {
            if self.given == self.block.len() {
                self.decode_block()?;
            }
            let wanted = usize::try_from(position - self.position).unwrap_or(usize::MAX);
            let step = wanted.min(self.block.len() - self.given);
            self.advance(step);
        }
        Ok(())
    }

    /// Gives out at least one byte.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, CabError> {
        while self.given == self.block.len() {
            self.decode_block()?;
        }
        let step = buffer.len().min(self.block.len() - self.given);
        buffer[..step].copy_from_slice(&self.block[self.given..self.given + step]);
        self.advance(step);
        Ok(step)
    }

    fn advance(&mut self, count: usize) {
        self.given += count;
        self.position += count as u64;
    }

    /// Reads, checks and decodes the next block.
    fn decode_block(&mut self) -> Result<(), CabError> {
        let at = self.next;
        if self.blocks_left == 0 {
            return Err(malformed("a folder ends before its last member", at));
        }
        self.blocks_left -= 1;
        let head = self.source.get(at, HEAD)?;
        let &[c0, c1, c2, c3, s0, s1, u0, u1] = head else {
            return Err(malformed("a block without a head", at));
        };
        let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
        let sizes = u32::from_le_bytes([s0, s1, u0, u1]);
        let (stored, size) = (u16::from_le_bytes([s0, s1]), u16::from_le_bytes([u0, u1]));
        if size == 0 || u64::from(size) > BLOCK {
            return Err(malformed(format!("a block of {size} bytes"), at));
        }
        let data_at = at + HEAD as u64 + self.reserve;
        self.next = data_at + u64::from(stored);
        let data = self.source.get(data_at, usize::from(stored))?;
        let found = sum(data) ^ sizes;
        if checksum != 0 && found != checksum {
            let what = format!("a block has the checksum {found:08x} instead of {checksum:08x}");
            return Err(malformed(what, at));
        }
        self.block.resize(usize::from(size), 0);
        self.given = self.block.len();
        self.decoder.decode(data, &mut self.block).map_err(|what| malformed(what, data_at))?;
        self.given = 0;
        Ok(())
    }
}

impl Decoder {
    /// Decodes a block into the whole of `output`; says what is wrong.
    fn decode(&mut self, data: &[u8], output: &mut [u8]) -> Result<(), String> {
        match self {
            Self::Stored if data.len() == output.len() => output.copy_from_slice(data),
            Self::Stored => return Err("a stored block has two sizes".to_owned()),
            Self::MsZip { inflate, history } => {
                let Some(data) = data.strip_prefix(b"CK") else {
                    return Err("an MSZIP block that does not start with CK".to_owned());
                };
                let failed = |error| format!("damaged MSZIP data: {error}");
                inflate.reset(false);
                if !history.is_empty() {
                    inflate.set_dictionary(history).map_err(failed)?;
                }
                let status =
                    inflate.decompress(data, output, FlushDecompress::Finish).map_err(failed)?;
                if status != Status::StreamEnd || inflate.total_out() != output.len() as u64 {
                    return Err("an MSZIP block has another size than it says".to_owned());
                }
                let kept = DEFLATE_WINDOW.saturating_sub(output.len()).min(history.len());
                history.drain(..history.len() - kept);
                history.extend_from_slice(output);
            }
            Self::Lzx(stream) => {
                stream.decode_frame(data, output).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// The exclusive or that the checksum is made of.
pub(super) fn sum(data: &[u8]) -> u32 {
    let (words, rest) = data.as_chunks::<4>();
    let whole = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
    whole ^ rest.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

/// Reads the source in larger pieces.
struct Ahead<'a> {
    source: &'a dyn ReadAt,
    /// Where the cabinet ends.
    end: u64,
    /// Where `bytes` starts.
    start: u64,
    bytes: Vec<u8>,
}

impl Ahead<'_> {
    /// `size` bytes (at most 64 KiB) from `offset`.
    fn get(&mut self, offset: u64, size: usize) -> Result<&[u8], CabError> {
        let end = offset + size as u64;
        if end > self.end {
            return Err(malformed("a block behind the end", offset));
        }
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            self.start = offset;
            let length = usize::try_from((self.end - offset).min(AHEAD)).unwrap_or(size);
            self.bytes.resize(length, 0);
            self.source.read_exact_at(offset, &mut self.bytes).map_err(CabError::Io)?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        self.bytes
            .get(from..)
            .and_then(|rest| rest.get(..size))
            .ok_or_else(|| malformed("a block behind the end", offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_takes_what_is_left_over_from_the_top() {
        assert_eq!(sum(&[1, 0, 0, 0, 2, 0, 0, 0]), 3);
        assert_eq!(sum(&[1, 2, 3]), 0x0001_0203);
        assert_eq!(sum(&[0xFF, 0, 0, 0, 1, 2]), 0xFF ^ 0x0102);
    }
}
