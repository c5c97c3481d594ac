//! A file with solid resources around the input: all of it read, alone, in bulk, and by verify.
//!
//! The first two bytes say how long the blob table is; the table follows, then the bytes that begin at 208 in the file.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use transom::{
    base::{digest::Sha1, guid::Guid, limits::Limits},
    codec::Codec,
    format::wim::{Header, ResourceHeader, Wim, WimXml},
};

const MOST: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (table, content) = rest.split_at(length);
    let mut file = vec![0; Header::SIZE];
    file.extend_from_slice(content);
    let mut place = |bytes: &[u8]| {
        let (size, offset) = (bytes.len() as u64, file.len() as u64);
        file.extend_from_slice(bytes);
        ResourceHeader { stored_size: size, flags: 2, offset, size }
    };
    let header = Header {
        version: Header::VERSION_SOLID,
        flags: Header::codec_flags(Codec::Lzx),
        chunk_size: 32768,
        guid: Guid::default(),
        part_number: 1,
        total_parts: 1,
        image_count: 0,
        blob_table: place(table),
        xml: place(&WimXml::new().encode()),
        boot_metadata: ResourceHeader::default(),
        boot_index: 0,
        integrity: ResourceHeader::default(),
    };
    file[..Header::SIZE].copy_from_slice(&header.encode());
    let limits = Limits { chunk: 1 << 17, ..Limits::default() };
    let Ok(wim) = Wim::open(Arc::new(file), &limits) else { return };
    if wim.blobs().iter().map(|blob| blob.size).sum::<u64>() > 16 * MOST {
        return;
    }
    for blob in wim.blobs() {
        if let Ok(content) = wim.read_blob(blob) {
            assert_eq!(Sha1::of(&content), blob.sha1);
        }
    }
    let mut rest = wim.blobs();
    while !rest.is_empty() {
        rest = &rest[wim.prepare(rest)..];
    }
    let _ignored = wim.verify(&|_| ());
});
