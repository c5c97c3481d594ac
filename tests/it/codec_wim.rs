//! The codecs against real WIMs: what DISM and wimlib compressed decodes to the right SHA-1, and wimlib accepts what we compress.
//!
//! The container is read and rewritten here by a few lines of its own, so that a mistake in `format` and one in `codec` cannot
//! cancel out.

use crate::codec_samples::{SHAPES, sample};
use crate::support::{Tool, expect_success, oracle, shared_data, temporary_folder};
use sha1::{Digest, Sha1};
use std::path::Path;
use transom::codec::{Codec, Level, decoder, encoder};

const HEADER_SIZE: usize = 208;
const BLOB_ENTRY_SIZE: usize = 50;
const COMPRESSED: u8 = 4;

/// A WIM in memory.
struct Wim {
    bytes: Vec<u8>,
    codec: Codec,
    chunk_size: usize,
}

/// Where a resource lies: a resource header.
#[derive(Clone, Copy)]
struct Resource {
    stored: usize,
    flags: u8,
    offset: usize,
    size: usize,
}

/// The little-endian number of `size` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
}

impl Resource {
    fn read(bytes: &[u8], at: usize) -> Self {
        Self {
            stored: number(bytes, at, 7),
            flags: bytes[at + 7],
            offset: number(bytes, at + 8, 8),
            size: number(bytes, at + 16, 8),
        }
    }

    fn write(self, bytes: &mut [u8], at: usize) {
        bytes[at..at + 7].copy_from_slice(&self.stored.to_le_bytes()[..7]);
        bytes[at + 7] = self.flags;
        bytes[at + 8..at + 16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[at + 16..at + 24].copy_from_slice(&self.size.to_le_bytes());
    }
}

impl Wim {
    fn read(path: &Path) -> Self {
        let bytes = fs_err::read(path).unwrap();
        let codec = match number(&bytes, 16, 4) {
            flags if flags & 0x2_0000 != 0 => Codec::Xpress,
            flags if flags & 0x4_0000 != 0 => Codec::Lzx,
            flags if flags & 0x8_0000 != 0 => Codec::Lzms,
            flags => panic!("{}: flags {flags:#x}", path.display()),
        };
        let chunk_size = number(&bytes, 20, 4);
        Self { bytes, codec, chunk_size }
    }

    /// Positions of the entries of the blob table that are in this part.
    fn entries(&self) -> Vec<usize> {
        let table = Resource::read(&self.bytes, 0x30);
        let part = number(&self.bytes, 0x28, 2);
        let entries = (0..table.size / BLOB_ENTRY_SIZE).map(|i| table.offset + i * BLOB_ENTRY_SIZE);
        entries.filter(|&at| number(&self.bytes, at + 24, 2) == part).collect()
    }

    /// The content of a resource; the error of a chunk that does not decode.
    fn content(&self, resource: Resource) -> Result<Vec<u8>, String> {
        let Resource { stored, flags, offset, size } = resource;
        if flags & COMPRESSED == 0 {
            return Ok(self.bytes[offset..offset + size].to_vec());
        }
        let mut decoder = decoder(self.codec, self.chunk_size.try_into().unwrap()).unwrap();
        let mut content = vec![0; size];
        let chunks = size.div_ceil(self.chunk_size);
        let first = offset + 4 * (chunks - 1);
        let start = |chunk: usize| match chunk {
            0 => first,
            _ if chunk == chunks => offset + stored,
            _ => first + number(&self.bytes, offset + 4 * (chunk - 1), 4),
        };
        for (i, output) in content.chunks_mut(self.chunk_size).enumerate() {
            let chunk = &self.bytes[start(i)..start(i + 1)];
            if chunk.len() == output.len() {
                output.copy_from_slice(chunk);
            } else {
                decoder.decode(chunk, output).map_err(|error| format!("chunk {i}: {error}"))?;
            }
        }
        Ok(content)
    }

    /// Checks every resource of the blob table against its SHA-1; returns the number of right ones, and what is wrong.
    fn check(&self) -> (usize, Vec<String>) {
        let (mut right, mut wrong) = (0, Vec::new());
        for at in self.entries() {
            match self.content(Resource::read(&self.bytes, at)) {
                Ok(content) if Sha1::digest(&content)[..] == self.bytes[at + 30..at + 50] => {
                    right += 1;
                }
                Ok(_) => wrong.push(format!("{at:#x}: another SHA-1")),
                Err(error) => wrong.push(format!("{at:#x}: {error}")),
            }
        }
        (right, wrong)
    }

    /// The same WIM with every resource compressed by our encoder.
    fn recompressed(&self, level: Level) -> Vec<u8> {
        let table = Resource::read(&self.bytes, 0x30);
        let mut entries = self.bytes[table.offset..table.offset + table.size].to_vec();
        let mut output = self.bytes[..HEADER_SIZE].to_vec();
        for at in self.entries() {
            let content = self.content(Resource::read(&self.bytes, at)).unwrap();
            let stored = self.compress(&content, level);
            let entry = at - table.offset;
            let raw = stored.len() >= content.len();
            let resource = Resource {
                stored: stored.len().min(content.len()),
                flags: entries[entry + 7] & !COMPRESSED | if raw { 0 } else { COMPRESSED },
                offset: output.len(),
                size: content.len(),
            };
            resource.write(&mut entries, entry);
            output.extend_from_slice(if raw { &content } else { &stored });
        }
        let moved = Resource { offset: output.len(), ..table };
        moved.write(&mut output, 0x30);
        output.extend_from_slice(&entries);
        let xml = Resource::read(&self.bytes, 0x48);
        let moved = Resource { offset: output.len(), ..xml };
        moved.write(&mut output, 0x48);
        output.extend_from_slice(&self.bytes[xml.offset..xml.offset + xml.size]);
        output
    }

    /// Chunk table and chunks.
    fn compress(&self, content: &[u8], level: Level) -> Vec<u8> {
        let chunk_size = self.chunk_size.try_into().unwrap();
        let mut encoder = encoder(self.codec, chunk_size, level).unwrap();
        let table_size = 4 * (content.len().div_ceil(self.chunk_size) - 1);
        let mut stored = vec![0; table_size];
        for (i, chunk) in content.chunks(self.chunk_size).enumerate() {
            if i > 0 {
                let offset = u32::try_from(stored.len() - table_size).unwrap();
                stored[4 * i - 4..4 * i].copy_from_slice(&offset.to_le_bytes());
            }
            if encoder.encode(chunk, &mut stored).is_none() {
                stored.extend_from_slice(chunk);
            }
        }
        stored
    }
}

/// Files of all shapes, and real code: this test program.
fn write_files(folder: &Path) {
    for (shape, i) in SHAPES.iter().zip(0..) {
        let size = [1, 70_000, 32_768, 200_001][i % 4];
        fs_err::write(folder.join(shape), sample(shape, size, 3)).unwrap();
    }
    let program = fs_err::read(std::env::current_exe().unwrap()).unwrap();
    let middle = program.len() / 3;
    fs_err::write(folder.join("program"), &program[middle..program.len().min(middle + 700_000)])
        .unwrap();
    fs_err::write(folder.join("empty"), []).unwrap();
    // Sound: what delta matches are for.
    let wave = |i: i32| i * i / 97 % 20_000 - 10_000 + i % 7 * 300;
    let sound: Vec<u8> = (0..40_000).flat_map(|i| wave(i).to_le_bytes()[..2].to_vec()).collect();
    fs_err::write(folder.join("sound"), sound).unwrap();
}

/// Captures a folder with wimlib.
fn capture(wimlib: &Tool, folder: &Path, wim: &Path, compression: &str, chunk_size: usize) {
    let mut command = wimlib.command();
    command.arg("capture").arg(folder).arg(wim).arg("--threads=1");
    command.args([format!("--compress={compression}"), format!("--chunk-size={chunk_size}")]);
    expect_success(&mut command);
}

#[test]
fn real_wims_decode() {
    let files = [
        ("dissect/basic4k.wim", 6),
        ("dissect/basic8k.wim", 6),
        ("dissect/basic16k.wim", 6),
        ("dissect/basic32k.wim", 6),
        ("managedwimlib/BootLZX.wim", 7),
        ("managedwimlib/BootXPRESS.wim", 7),
        ("managedwimlib/LZX.wim", 7),
        ("managedwimlib/XPRESS.wim", 7),
        ("managedwimlib/MultiImage.wim", 5),
        ("managedwimlib/Split.swm", 2),
        ("managedwimlib/Split2.swm", 1),
        ("managedwimlib/VerifySuccess.wim", 7),
        ("wimbuilder2-boot.wim", 26),
    ];
    let Some(folder) = shared_data("wim") else { return };
    for (name, blobs) in files {
        assert_eq!(Wim::read(&folder.join(name)).check(), (blobs, vec![]), "{name}");
    }
}

#[test]
fn a_damaged_lzx_chunk_is_named() {
    let Some(path) = shared_data("wim/managedwimlib/VerifyFail.wim") else { return };
    let (right, wrong) = Wim::read(&path).check();
    assert_eq!(right, 6);
    assert!(
        matches!(wrong.as_slice(), [only] if only.contains("LZX data is damaged")),
        "{wrong:?}"
    );
}

#[test]
fn what_wimlib_compresses_decodes_and_what_we_compress_wimlib_verifies() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let folder = temporary_folder();
    let files = folder.path().join("files");
    fs_err::create_dir(&files).unwrap();
    write_files(&files);
    let (theirs, ours) = (folder.path().join("theirs.wim"), folder.path().join("ours.wim"));
    let xpress = (12..=16).map(|order| ("XPRESS", 1 << order));
    let lzx = (15..=21).map(|order| ("LZX:20", 1 << order));
    let slow =
        [("LZX:50", 1 << 15), ("LZX:100", 1 << 15), ("LZX:50", 1 << 21), ("XPRESS:80", 1 << 15)];
    for (compression, chunk_size) in xpress.chain(lzx).chain(slow) {
        capture(&wimlib, &files, &theirs, compression, chunk_size);
        let wim = Wim::read(&theirs);
        assert_eq!(wim.chunk_size, chunk_size);
        let (right, wrong) = wim.check();
        assert!(right >= 10 && wrong.is_empty(), "{compression} {chunk_size}: {right} {wrong:?}");
        let recompressed = wim.recompressed(Level::Fast);
        // The fast level beside their slow ones, on a program that every change makes another.
        let (limit, size) = (wim.bytes.len() / 100 * 115, recompressed.len());
        assert!(size <= limit, "{compression} {chunk_size}: {size} bytes, more than {limit}");
        fs_err::write(&ours, recompressed).unwrap();
        wimlib.run(["verify".as_ref(), ours.as_os_str()]);
    }
}

#[test]
fn lzms_decodes_from_wimlib_and_wimlib_verifies_ours() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let folder = temporary_folder();
    let files = folder.path().join("files");
    fs_err::create_dir(&files).unwrap();
    write_files(&files);
    let (theirs, ours) = (folder.path().join("theirs.wim"), folder.path().join("ours.wim"));
    let settings = [
        ("LZMS:20", 1 << 15, Level::Fast, 125),
        ("LZMS:50", 1 << 15, Level::High, 103),
        ("LZMS:100", 1 << 16, Level::Max, 103),
        ("LZMS:50", 1 << 17, Level::Default, 110),
        ("LZMS:50", 1 << 20, Level::High, 103),
        ("LZMS:20", 1 << 26, Level::Default, 110),
    ];
    for (compression, chunk_size, level, per_cent) in settings {
        capture(&wimlib, &files, &theirs, compression, chunk_size);
        let wim = Wim::read(&theirs);
        assert_eq!((wim.codec, wim.chunk_size), (Codec::Lzms, chunk_size));
        let (right, wrong) = wim.check();
        assert!(right >= 10 && wrong.is_empty(), "{compression} {chunk_size}: {right} {wrong:?}");
        let recompressed = wim.recompressed(level);
        let (limit, size) = (wim.bytes.len() / 100 * per_cent, recompressed.len());
        assert!(size <= limit, "{compression} {chunk_size}: {size} bytes, more than {limit}");
        fs_err::write(&ours, recompressed).unwrap();
        wimlib.run(["verify".as_ref(), ours.as_os_str()]);
    }
}
