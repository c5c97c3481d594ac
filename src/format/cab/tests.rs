//! Cabinets made by hand, and what must be refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A cabinet with one folder of these stored blocks.
pub(super) struct Made {
    pub(super) method: u16,
    pub(super) flags: u16,
    /// Stored bytes, size when decoded.
    pub(super) blocks: Vec<(Vec<u8>, u16)>,
    /// Name, attributes, offset, size.
    pub(super) members: Vec<(Vec<u8>, u16, u32, u32)>,
}

impl Made {
    pub(super) fn stored(members: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        let mut table = Vec::new();
        for (name, bytes) in members {
            let offset = u32::try_from(content.len()).unwrap();
            table.push((
                name.as_bytes().to_vec(),
                0x80,
                offset,
                u32::try_from(bytes.len()).unwrap(),
            ));
            content.extend_from_slice(bytes);
        }
        let blocks =
            content.chunks(1000).map(|part| (part.to_vec(), u16::try_from(part.len()).unwrap()));
        Self { method: 0, flags: 0, blocks: blocks.collect(), members: table }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut files = Vec::new();
        for (name, attributes, offset, size) in &self.members {
            files.extend(size.to_le_bytes());
            files.extend(offset.to_le_bytes());
            files.extend([0, 0, 0x21, 0x50, 0, 0]);
            files.extend(attributes.to_le_bytes());
            files.extend(name);
            files.push(0);
        }
        let data_at = 36 + 8 + files.len();
        let mut data = Vec::new();
        for (stored, size) in &self.blocks {
            let sizes =
                [u16::try_from(stored.len()).unwrap().to_le_bytes(), size.to_le_bytes()].concat();
            let (words, rest) = stored.as_chunks::<4>();
            let mut sum = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
            sum ^= rest.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
            sum ^= u32::from_le_bytes(sizes.clone().try_into().unwrap());
            data.extend(sum.to_le_bytes());
            data.extend(sizes);
            data.extend(stored);
        }
        let mut bytes = b"MSCF\0\0\0\0".to_vec();
        bytes.extend(u32::try_from(data_at + data.len()).unwrap().to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(44u32.to_le_bytes());
        bytes.extend([0, 0, 0, 0, 3, 1, 1, 0]);
        bytes.extend(u16::try_from(self.members.len()).unwrap().to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(u32::try_from(data_at).unwrap().to_le_bytes());
        bytes.extend(u16::try_from(self.blocks.len()).unwrap().to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        bytes.extend(files);
        bytes.extend(data);
        bytes
    }
}

fn extract(bytes: Vec<u8>) -> Result<BTreeMap<String, Vec<u8>>, CabError> {
    let cabinet = Cabinet::open(Arc::new(bytes))?;
    let mut found = BTreeMap::new();
    cabinet.extract(|_| true, &mut |member, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, member.size);
        found.insert(member.name.clone(), bytes);
        Ok(())
    })?;
    Ok(found)
}

fn long(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|index| seed ^ u8::try_from(index * index % 251).unwrap()).collect()
}

#[test]
fn stored_members_come_out_whatever_is_wanted() {
    let (a, b) = (long(1, 2500), long(2, 700));
    let bytes = Made::stored(&[("a.inf", &a), ("sub/empty", b""), (r"sub\b.sys", &b)]).bytes();
    let found = extract(bytes.clone()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a.inf", r"sub\b.sys", r"sub\empty"]);
    assert!(found["a.inf"] == a && found[r"sub\b.sys"] == b);
    let cabinet = Cabinet::open(Arc::new(bytes)).unwrap();
    let mut seen = Vec::new();
    let wanted = |member: &Member| member.name.ends_with("sys");
    cabinet.extract(wanted, &mut |_, content| content.read_to_end(&mut seen).map(drop)).unwrap();
    assert!(seen == b);
}

#[test]
fn members_that_share_bytes_come_out_and_unread_ones_do_not_matter() {
    let mut made = Made::stored(&[("a", b"0123456789"), ("b", b"abc")]);
    made.members.push((b"same".to_vec(), 0, 0, 10));
    made.members.push((b"caf\xE9".to_vec(), 0, 9, 3));
    let found = extract(made.bytes()).unwrap();
    assert_eq!(found["same"], b"0123456789");
    assert_eq!(found["café"], b"9ab", "a name without the UTF-8 mark is in code page 1252");
    let cabinet = Cabinet::open(Arc::new(made.bytes())).unwrap();
    let mut last = Vec::new();
    let mut sink = |member: &Member, content: &mut dyn Read| {
        if member.name == "b" { content.read_to_end(&mut last).map(drop) } else { Ok(()) }
    };
    cabinet.extract(|_| true, &mut sink).unwrap();
    assert_eq!(last, b"abc");
    made.members.extend((0..20).map(|index| (vec![b'x', b'a' + index], 0, 0, 10)));
    assert!(matches!(extract(made.bytes()), Err(CabError::Malformed(_))), "no endless passes");
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let mut made = Made::stored(&[("a", b"0123456789")]);
    made.flags = 2;
    assert!(extract(made.bytes()).unwrap_err().to_string().contains("several cabinets"));
    made.flags = 0;
    made.method = 2;
    assert!(extract(made.bytes()).unwrap_err().to_string().contains("Quantum"));
    made.method = 0;
    for name in [r"..\a", r"\a", "C:a", "NUL", ""] {
        made.members[0].0 = name.as_bytes().to_vec();
        assert!(matches!(extract(made.bytes()), Err(CabError::Name { .. })), "{name}");
    }
}

#[test]
fn damage_is_noticed() {
    let made = Made::stored(&[("a", b"0123456789")]);
    let mut bytes = made.bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(extract(bytes).unwrap_err().to_string().contains("checksum"));
    let mut bytes = made.bytes();
    bytes.pop();
    assert!(extract(bytes).unwrap_err().to_string().contains("its header says"));
    let mut bytes = made.bytes();
    bytes.extend(b"a signature");
    assert_eq!(extract(bytes).unwrap()["a"], b"0123456789");
    let mut made = Made::stored(&[("a", b"0123456789")]);
    made.members[0].3 = 11;
    assert!(extract(made.bytes()).unwrap_err().to_string().contains("before its last member"));
    made.members[0].3 = 40_000;
    assert!(extract(made.bytes()).unwrap_err().to_string().contains("longer than its folder"));
}

#[test]
fn a_failing_receiver_ends_it() {
    let cabinet = Cabinet::open(Arc::new(Made::stored(&[("a", b"012")]).bytes())).unwrap();
    let failed = cabinet.extract(|_| true, &mut |_, _| Err(io::ErrorKind::StorageFull.into()));
    assert!(matches!(failed, Err(CabError::Sink { member, .. }) if member == "a"));
}

/// An MSZIP cabinet whose second block refers to the first.
fn mszip() -> (Vec<u8>, Vec<u8>) {
    let content = long(7, 50_000);
    let mut blocks = Vec::new();
    let mut before: &[u8] = &[];
    for part in content.chunks(32 << 10) {
        let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
        if !before.is_empty() {
            deflate.set_dictionary(before).unwrap();
        }
        let mut stored = vec![0; 40_000];
        let status = deflate.compress(part, &mut stored, flate2::FlushCompress::Finish).unwrap();
        assert_eq!(status, flate2::Status::StreamEnd);
        stored.truncate(usize::try_from(deflate.total_out()).unwrap());
        stored.splice(0..0, *b"CK");
        blocks.push((stored, u16::try_from(part.len()).unwrap()));
        before = part;
    }
    let members = vec![(b"a".to_vec(), 0, 0, 20_000), (b"b".to_vec(), 0, 20_000, 30_000)];
    (Made { method: 1, flags: 0, blocks, members }.bytes(), content)
}

#[test]
fn mszip_blocks_refer_to_those_before() {
    let (bytes, content) = mszip();
    let found = extract(bytes).unwrap();
    assert!(found["a"] == content[..20_000] && found["b"] == content[20_000..]);
}

/// An LZX cabinet of one uncompressed block, with a call of the stream's first byte.
pub(super) fn lzx_call() -> Vec<u8> {
    // Bits: 1, the size 12,000,000 (32), type 3 (3), block size 200 (24), four to fill the word.
    let bits = 1u64 << 63 | 12_000_000 << 31 | 3 << 28 | 200 << 4;
    let mut stored: Vec<u8> =
        bits.to_be_bytes().chunks(2).flat_map(|word| [word[1], word[0]]).collect();
    for _ in 0..3 {
        stored.extend(1u32.to_le_bytes());
    }
    let mut content = vec![0x90; 200];
    content[100..105].copy_from_slice(&[0xE8, 0, 0, 0, 0]);
    stored.extend(content);
    let members = vec![(b"call.bin".to_vec(), 0, 0, 200)];
    Made { method: 3 | 15 << 8, flags: 0, blocks: vec![(stored, 200)], members }.bytes()
}

#[test]
fn lzx_calls_are_translated_back() {
    let found = extract(lzx_call()).unwrap();
    assert_eq!(found["call.bin"][100..105], [0xE8, 0x9C, 0xFF, 0xFF, 0xFF]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_bytes_make_it_panic(
        which in 0usize..3,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sums in any::<bool>(),
    ) {
        let mut bytes = match which {
            0 => Made::stored(&[("a", b"0123456789"), ("b/c", &[7; 3000])]).bytes(),
            1 => mszip().0,
            _ => lzx_call(),
        };
        if sums && which == 2 {
            // Without its checksum, damage gets through to the decoder.
            let at = bytes.len() - 200 - 20 - 8;
            bytes[at..at + 4].fill(0);
        }
        for (place, value) in changes {
            let place = place.index(bytes.len().min(300));
            bytes[place] = value;
        }
        let _any = extract(bytes);
    }
}
