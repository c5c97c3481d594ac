//! The digests a catalog may name a file by, in one pass over its bytes.

use std::io;

use sha2::Digest as _;

use crate::{base::read_at::ReadAt, format::pe};

/// Bytes read at once.
const BUFFER: u64 = 1 << 20;

/// Digests of a file: of all bytes, and of a program also its Authenticode hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigests {
    /// SHA-1 of all bytes.
    pub sha1: [u8; 20],
    /// SHA-256 of all bytes.
    pub sha256: [u8; 32],
    /// Only of a well-formed program.
    pub pe: Option<PeDigests>,
}

/// Authenticode hashes of a program: all bytes but the check sum, the place of the signature and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeDigests {
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}

#[derive(Debug, Default)]
struct Pair {
    sha1: sha1::Sha1,
    sha256: sha2::Sha256,
}

impl Pair {
    fn update(&mut self, data: &[u8]) {
        self.sha1.update(data);
        self.sha256.update(data);
    }

    fn finish(self) -> ([u8; 20], [u8; 32]) {
        (self.sha1.finalize().into(), self.sha256.finalize().into())
    }
}

impl FileDigests {
    /// Reads `content` once, in steps of 1 MiB.
    ///
    /// # Errors
    /// What reading says.
    pub fn of(content: &dyn ReadAt) -> io::Result<Self> {
        let layout = pe::AuthenticodeLayout::read(content)?;
        let mut flat = Pair::default();
        let mut program = layout.as_ref().map(|_| Pair::default());
        let size = content.size();
        let mut buffer = vec![0; usize::try_from(size.min(BUFFER)).unwrap_or(0)];
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from((size - offset).min(BUFFER)).unwrap_or(0);
            let part = &mut buffer[..length];
            content.read_exact_at(offset, part)?;
            flat.update(part);
            if let (Some(layout), Some(program)) = (&layout, &mut program) {
                layout.covered(offset, part, |covered| program.update(covered));
            }
            offset += length as u64;
        }
        if let (Some(layout), Some(program)) = (&layout, &mut program) {
            program.update(&[0; 8][..layout.padding()]);
        }
        let (sha1, sha256) = flat.finish();
        let pe = program.map(Pair::finish).map(|(sha1, sha256)| PeDigests { sha1, sha256 });
        Ok(Self { sha1, sha256, pe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::{Sha1, to_hex};

    #[test]
    fn all_bytes_are_hashed_across_steps_and_only_programs_have_more() {
        let mut bytes = vec![0x5a; (1 << 20) + 77];
        let digests = FileDigests::of(&bytes).unwrap();
        assert_eq!(digests.sha1, Sha1::of(&bytes).0);
        assert_eq!(digests.pe, None);
        let abc = FileDigests::of(&b"abc".to_vec()).unwrap();
        assert_eq!(
            to_hex(&abc.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // A program larger than a step hashes as its bytes without the three gaps.
        let head = pe::testing::program(&[0; 64]);
        bytes.truncate((1 << 20) + 72);
        bytes[..head.len()].copy_from_slice(&head);
        let gaps = pe::testing::GAPS;
        let mut covered = bytes.clone();
        covered.drain(gaps[1].clone());
        covered.drain(gaps[0].clone());
        let digests = FileDigests::of(&bytes).unwrap();
        assert_eq!(digests.pe.unwrap().sha1, Sha1::of(&covered).0);
        assert_eq!(digests.sha1, Sha1::of(&bytes).0);
    }
}
