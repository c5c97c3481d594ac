//! Writes cabinets: stored, MSZIP or LZX, one folder or several.
//!
//! Folders are compressed on all threads, each by itself; the bytes are the same for any number of them. MSZIP blocks do not refer to those before.

use std::io::{self, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use rayon::prelude::*;

use super::{
    MAGIC, folder,
    header::{BLOCK, NAME_IS_UTF8},
};
use crate::codec::LzxStreamEncoder;

/// Most bytes that a folder of ours holds: its blocks are counted in 16 bits.
const LARGEST_FOLDER: usize = 0xfff0 * (32 << 10);

/// How a cabinet is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CabMethod {
    /// Not at all.
    Stored,
    /// MSZIP.
    MsZip,
    /// LZX with a window of 2 MiB.
    Lzx,
}

/// A file for a cabinet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    /// The path with `\`.
    pub name: String,
    /// MS-DOS date, as [`super::Member::date`].
    pub date: u16,
    /// MS-DOS time, as [`super::Member::time`].
    pub time: u16,
    /// The content.
    pub content: Vec<u8>,
}

/// A compressed folder.
struct Packed {
    /// Blocks with their heads, one behind the other.
    blocks: Vec<u8>,
    count: u16,
}

/// Writes a cabinet of `folders`, each a list of files that are compressed together.
///
/// # Errors
/// When `output` fails, or there is more than the format can count: 65,532 files and folders, 4 GiB in all, 2 GiB in a folder, 255 bytes of a name.
pub fn write(
    output: &mut dyn Write,
    method: CabMethod,
    folders: &[Vec<NewMember>],
) -> io::Result<()> {
    let packed: Vec<Packed> =
        folders.par_iter().map(|members| pack(method, members)).collect::<io::Result<_>>()?;
    let mut files = Vec::new();
    let mut count = 0usize;
    for (number, members) in folders.iter().enumerate() {
        let mut offset = 0;
        for member in members {
            files.extend(size_32(member.content.len())?.to_le_bytes());
            files.extend(size_32(offset)?.to_le_bytes());
            let ascii = member.name.is_ascii();
            let attributes = if ascii { 0x20 } else { 0x20 | NAME_IS_UTF8 };
            for field in [size_16(number)?, member.date, member.time, attributes] {
                files.extend(field.to_le_bytes());
            }
            if member.name.is_empty() || member.name.len() > 255 || member.name.contains('\0') {
                return Err(too_much("a name that no cabinet can hold"));
            }
            files.extend(member.name.as_bytes());
            files.push(0);
            offset += member.content.len();
            count += 1;
        }
    }
    let files_at = 36 + 8 * folders.len();
    let mut data_at = files_at + files.len();
    let total = data_at + packed.iter().map(|folder| folder.blocks.len()).sum::<usize>();
    let mut head = MAGIC.to_vec();
    for field in [0, size_32(total)?, 0, size_32(files_at)?, 0] {
        head.extend(field.to_le_bytes());
    }
    head.extend([3, 1]);
    for field in [size_16(folders.len())?, size_16(count)?, 0, 0, 0] {
        head.extend(field.to_le_bytes());
    }
    let method = match method {
        CabMethod::Stored => 0,
        CabMethod::MsZip => 1,
        CabMethod::Lzx => 3 | LzxStreamEncoder::WINDOW_BITS << 8,
    };
    for folder in &packed {
        head.extend(size_32(data_at)?.to_le_bytes());
        head.extend(folder.count.to_le_bytes());
        head.extend(method.to_le_bytes());
        data_at += folder.blocks.len();
    }
    output.write_all(&head)?;
    output.write_all(&files)?;
    packed.iter().try_for_each(|folder| output.write_all(&folder.blocks))
}

fn pack(method: CabMethod, members: &[NewMember]) -> io::Result<Packed> {
    let content: Vec<u8> = members.iter().flat_map(|member| &member.content).copied().collect();
    if content.len() > LARGEST_FOLDER {
        return Err(too_much("more bytes than a folder can hold"));
    }
    let mut packed = Packed { blocks: Vec::new(), count: 0 };
    let block = usize::try_from(BLOCK).unwrap_or(32 << 10);
    match method {
        CabMethod::Stored => {
            content.chunks(block).for_each(|part| packed.add(part, part.len()));
        }
        CabMethod::MsZip => {
            let mut deflate = Compress::new(Compression::best(), false);
            for part in content.chunks(block) {
                let mut stored = b"CK".to_vec();
                // Deflate stores what does not get smaller: some bytes more.
                stored.resize(2 + part.len() + 64, 0);
                deflate.reset();
                let status = deflate
                    .compress(part, &mut stored[2..], FlushCompress::Finish)
                    .map_err(io::Error::other)?;
                if status != Status::StreamEnd {
                    return Err(io::Error::other("deflate did not finish a block"));
                }
                stored.truncate(2 + usize::try_from(deflate.total_out()).unwrap_or(0));
                packed.add(&stored, part.len());
            }
        }
        CabMethod::Lzx => {
            let mut encoder = LzxStreamEncoder::default();
            encoder.encode(&content, &mut |frame, size| packed.add(frame, size));
        }
    }
    Ok(packed)
}

impl Packed {
    /// Appends a block of at most 32 KiB.
    fn add(&mut self, stored: &[u8], size: usize) {
        let field = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        let ([s0, s1], [u0, u1]) = (field(stored.len()), field(size));
        let sizes = [s0, s1, u0, u1];
        let sum = folder::sum(stored) ^ u32::from_le_bytes(sizes);
        self.blocks.extend(sum.to_le_bytes());
        self.blocks.extend(sizes);
        self.blocks.extend(stored);
        self.count += 1;
    }
}

fn size_32(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| too_much("more than 4 GiB"))
}

fn size_16(number: usize) -> io::Result<u16> {
    u16::try_from(number)
        .ok()
        .filter(|&number| number < 0xfffd)
        .ok_or_else(|| too_much("too many files or folders"))
}

fn too_much(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: a cabinet cannot be made of it"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{super::Cabinet, *};

    fn member(name: &str, content: Vec<u8>) -> NewMember {
        NewMember { name: name.to_owned(), date: 0x5021, time: 0x6000, content }
    }

    fn read(bytes: Vec<u8>) -> Vec<(String, usize, Vec<u8>)> {
        let cabinet = Cabinet::open(Arc::new(bytes)).unwrap();
        let mut found = Vec::new();
        cabinet
            .extract(|_| true, &mut |member, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                found.push((member.name.clone(), member.folder, bytes));
                Ok(())
            })
            .unwrap();
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn what_is_written_is_read(
            sizes in proptest::collection::vec((1usize..100_000, any::<u8>()), 1..6),
            split in 0usize..6,
        ) {
            for method in [CabMethod::Stored, CabMethod::MsZip, CabMethod::Lzx] {
                let members: Vec<NewMember> = sizes
                    .iter()
                    .enumerate()
                    .map(|(number, &(size, seed))| {
                        let byte = |at: usize| ((at * at / (usize::from(seed) + 1)) >> 3).to_le_bytes()[0];
                        member(&format!(r"folder\ä{number}.bin"), (0..size).map(byte).collect())
                    })
                    .collect();
                let (first, second) = members.split_at(split.min(members.len()));
                let folders: Vec<Vec<NewMember>> = [first, second]
                    .iter()
                    .filter(|part| !part.is_empty())
                    .map(|part| part.to_vec())
                    .collect();
                let mut bytes = Vec::new();
                write(&mut bytes, method, &folders).unwrap();
                let found = read(bytes);
                prop_assert_eq!(found.len(), members.len());
                for (member, (name, _, content)) in members.iter().zip(found) {
                    prop_assert_eq!(&member.name, &name);
                    prop_assert!(member.content == content);
                }
            }
        }
    }

    #[test]
    fn what_no_cabinet_can_hold_is_refused() {
        let long = vec![vec![member(&"x".repeat(256), Vec::new())]];
        write(&mut Vec::new(), CabMethod::Stored, &long).unwrap_err();
        let folders = vec![Vec::new(); 0xfffd + 1];
        write(&mut Vec::new(), CabMethod::Stored, &folders).unwrap_err();
    }
}
