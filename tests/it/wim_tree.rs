//! Trees for tests of the WIM format: everything an image can say.

use std::{collections::BTreeMap, sync::Arc};

use transom::{
    base::{digest::Sha1, filetime::FileTime, name::Name},
    format::wim::{Dentry, ImageMetadata, Reparse, Stream, StreamKind},
};

/// A tree under construction.
#[derive(Default)]
pub(crate) struct Tree {
    /// Security and entries.
    pub(crate) image: ImageMetadata,
    /// Contents and how often they are referred to.
    pub(crate) blobs: BTreeMap<Sha1, (Vec<u8>, u32)>,
}

impl Tree {
    /// A root.
    pub(crate) fn new() -> Self {
        let mut tree = Self::default();
        tree.image.security = vec![descriptor(0x04), descriptor(0x14)];
        tree.image.dentries.push(Dentry { attributes: 0x10, security_id: Some(0), ..times(0) });
        tree
    }

    /// Takes in content, and counts it; zero for none.
    pub(crate) fn blob(&mut self, bytes: &[u8]) -> Sha1 {
        if bytes.is_empty() {
            return Sha1::ZERO;
        }
        let sha1 = Sha1::of(bytes);
        self.blobs.entry(sha1).or_insert_with(|| (bytes.to_vec(), 0)).1 += 1;
        sha1
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, directory: u32, name: &str, dentry: Dentry) -> u32 {
        let index = u32::try_from(self.image.dentries.len()).unwrap();
        self.image.dentries.push(Dentry { name: Name::from(name), ..dentry });
        self.image.dentries[directory as usize].children.push(index);
        index
    }

    /// Adds a directory.
    pub(crate) fn directory(&mut self, directory: u32, name: &str) -> u32 {
        let dentry = Dentry { attributes: 0x10, security_id: Some(1), ..times(1) };
        self.add(directory, name, dentry)
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, directory: u32, name: &str, bytes: &[u8]) -> u32 {
        let sha1 = self.blob(bytes);
        let streams = if sha1.is_zero() { vec![] } else { vec![data(StreamKind::Data, sha1)] };
        let dentry = Dentry { attributes: 0x20, security_id: Some(0), streams, ..times(2) };
        self.add(directory, name, dentry)
    }
}

fn descriptor(control: u8) -> Arc<[u8]> {
    // Revision 1, self-relative, without owner, group and lists.
    Arc::from([&[1, 0, control, 0x80][..], &[0; 16]].concat())
}

/// An entry with times.
pub(crate) fn times(second: u64) -> Dentry {
    let time = FileTime(0x01da_01fc_0000_0000 + second * 10_000_000);
    Dentry {
        creation_time: time,
        last_access_time: time,
        last_write_time: FileTime(time.0 + 1),
        ..Dentry::default()
    }
}

/// An unnamed stream.
pub(crate) fn data(kind: StreamKind, sha1: Sha1) -> Stream {
    Stream { kind, name: Name::default(), sha1 }
}

/// Bytes that do not compress.
pub(crate) fn noise(size: usize, mut state: u32) -> Vec<u8> {
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        })
        .collect()
}

/// Bytes that do.
pub(crate) fn text(size: usize) -> Vec<u8> {
    (0..)
        .flat_map(|line| format!("line {line} of a text that compresses\r\n").into_bytes())
        .take(size)
        .collect()
}

/// Everything the format can say.
pub(crate) fn rich_tree() -> Tree {
    let mut tree = Tree::new();
    let windows = tree.directory(0, "Windows");
    let system = tree.directory(windows, "System32");
    tree.directory(windows, "Empty");
    for (name, bytes) in [
        ("empty.txt", vec![]),
        ("one.txt", vec![7]),
        ("page.bin", text(4096)),
        ("page1.bin", text(4097)),
        ("noise.bin", noise(100_000, 1)),
        ("big.txt", text(4_500_000)),
        ("bignoise.bin", noise(1_500_001, 2)),
        ("mixed.bin", [noise(300_000, 3), text(1_500_000)].concat()),
    ] {
        tree.file(system, name, &bytes);
    }
    for number in 0..300 {
        tree.file(system, &format!("small{number}.txt"), &text(number * 37));
    }
    // Two names of one file.
    for (directory, name) in [(system, "linked.dll"), (windows, "link of it.dll")] {
        let index = tree.file(directory, name, b"one file with two names");
        tree.image.dentries[index as usize].hard_link_group = 77;
    }
    let index = tree.file(windows, "Long file name.txt", b"content") as usize;
    tree.image.dentries[index].short_name = Name::from("LONGFI~1.TXT");
    tree.image.dentries[index].attributes = 0x21;
    let index = tree.file(0, "streams.txt", b"main") as usize;
    for (name, bytes) in [("first", &b"first stream"[..]), ("second", b"")] {
        let sha1 = tree.blob(bytes);
        tree.image.dentries[index].streams.push(Stream {
            kind: StreamKind::Named,
            name: Name::from(name),
            sha1,
        });
    }
    // An object id.
    let tagged = [&1_u32.to_le_bytes()[..], &16_u32.to_le_bytes(), &[9; 16]].concat();
    tree.image.dentries[index].tagged_items = tagged;
    // A relative symbolic link to streams.txt, and a junction to \Windows.
    let units = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let link = |target: &str, shown: &str, flags: &[u8]| {
        let (target, shown) = (units(target), units(shown));
        let short = |value: usize| u16::try_from(value).unwrap().to_le_bytes();
        [
            &short(0)[..],
            &short(target.len()),
            &short(target.len() + 2),
            &short(shown.len()),
            flags,
            &target,
            &[0, 0],
            &shown,
            &[0, 0],
        ]
        .concat()
    };
    for (name, attributes, tag, bytes) in [
        ("symlink.txt", 0x420, 0xa000_000c, link("streams.txt", "streams.txt", &[1, 0, 0, 0])),
        ("junction", 0x410, 0xa000_0003, link("\\??\\C:\\Windows", "C:\\Windows", &[])),
    ] {
        let sha1 = tree.blob(&bytes);
        let dentry = Dentry {
            attributes,
            security_id: None,
            streams: vec![data(StreamKind::Reparse, sha1)],
            reparse: Some(Reparse { tag, reserved: 0, flags: 1 }),
            ..times(3)
        };
        tree.add(0, name, dentry);
    }
    tree
}
