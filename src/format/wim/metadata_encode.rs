//! Writing a metadata resource.

use super::metadata::{DENTRY_SIZE, Dentry, ImageMetadata, STREAM_SIZE, StreamKind};
use crate::base::{bytes::Writer, digest::Sha1, name::Name};

/// Longest name the format holds, in UTF-16 units: its length in bytes, with the NUL, must fit 16 bits.
const MAX_NAME: usize = 0x7ffe;

/// A stream entry, or the hash in the entry itself.
type Unnamed = Vec<Sha1>;

pub(super) fn encode(image: &ImageMetadata) -> Vec<u8> {
    let mut writer = Writer::new();
    security(image, &mut writer);
    let Some(root) = image.dentries.first() else { return writer.data };
    let plan = Plan::new(image, writer.data.len());
    write_dentry(root, plan.lists[0], &mut writer);
    writer.u64(0);
    for &directory in &plan.order {
        debug_assert_eq!(writer.data.len() as u64, plan.lists[directory as usize]);
        for &child in &plan.children[directory as usize] {
            write_dentry(&image.dentries[child as usize], plan.lists[child as usize], &mut writer);
        }
        writer.u64(0);
    }
    writer.data
}

fn security(image: &ImageMetadata, writer: &mut Writer) {
    let content: usize = image.security.iter().map(|descriptor| descriptor.len() + 8).sum();
    let total = (8 + content).next_multiple_of(8);
    writer.u32(u32::try_from(total).unwrap_or(u32::MAX));
    writer.u32(u32::try_from(image.security.len()).unwrap_or(u32::MAX));
    for descriptor in &image.security {
        writer.u64(descriptor.len() as u64);
    }
    for descriptor in &image.security {
        writer.bytes(descriptor);
    }
    writer.align(8);
}

/// Where each directory's list goes.
struct Plan {
    /// Directories that get a list, in the order of the lists.
    order: Vec<u32>,
    /// Offset of each entry's list, 0 for those without.
    lists: Vec<u64>,
    /// Of each directory the entries to write.
    children: Vec<Vec<u32>>,
}

impl Plan {
    fn new(image: &ImageMetadata, root_offset: usize) -> Self {
        let count = image.dentries.len();
        let mut plan =
            Self { order: Vec::new(), lists: vec![0; count], children: vec![Vec::new(); count] };
        let mut is_placed = vec![false; count];
        is_placed[0] = true;
        let mut offset = (root_offset + encoded_size(&image.dentries[0]) + 8) as u64;
        let mut pending = vec![0_u32];
        while let Some(directory) = pending.pop() {
            let dentry = &image.dentries[directory as usize];
            let mut children = Vec::with_capacity(dentry.children.len());
            for &child in &dentry.children {
                match is_placed.get_mut(child as usize) {
                    Some(placed) if !*placed => {
                        *placed = true;
                        children.push(child);
                    }
                    _ => {}
                }
            }
            // As DISM has it: empty directories have an empty list, reparse points none.
            if !children.is_empty() || dentry.is_directory() && dentry.reparse.is_none() {
                plan.order.push(directory);
                plan.lists[directory as usize] = offset;
                let size: usize = children
                    .iter()
                    .map(|&child| encoded_size(&image.dentries[child as usize]))
                    .sum();
                offset += (size + 8) as u64;
            }
            pending.extend(children.iter().rev().filter(|&&child| {
                let child = &image.dentries[child as usize];
                child.is_directory() || !child.children.is_empty()
            }));
            plan.children[directory as usize] = children;
        }
        plan
    }
}

/// Splits the streams of an entry: hashes of the unnamed ones, and the named ones.
fn split_streams(dentry: &Dentry) -> (Unnamed, Vec<(&Name, Sha1)>) {
    let of_kind = |kind| dentry.stream(kind).map_or(Sha1::ZERO, |stream| stream.sha1);
    let unnamed = if dentry.stream(StreamKind::Efs).is_some() {
        vec![of_kind(StreamKind::Efs)]
    } else {
        match (dentry.reparse.is_some(), dentry.is_directory()) {
            (true, true) => vec![of_kind(StreamKind::Reparse)],
            (true, false) => vec![of_kind(StreamKind::Reparse), of_kind(StreamKind::Data)],
            (false, true) => vec![],
            (false, false) => vec![of_kind(StreamKind::Data)],
        }
    };
    let named = dentry.streams.iter().filter(|stream| stream.kind == StreamKind::Named);
    (unnamed, named.map(|stream| (&stream.name, stream.sha1)).collect())
}

/// True when the entry's only stream, if any, is in the entry itself.
fn is_simple(unnamed: &Unnamed, named: &[(&Name, Sha1)]) -> bool {
    named.is_empty() && unnamed.len() <= 1
}

fn cut(name: &Name) -> &[u16] {
    let units = name.units();
    &units[..units.len().min(MAX_NAME)]
}

fn name_size(name: &Name) -> usize {
    if name.is_empty() { 0 } else { 2 * cut(name).len() + 2 }
}

fn dentry_size(dentry: &Dentry) -> usize {
    let names = DENTRY_SIZE + name_size(&dentry.name) + name_size(&dentry.short_name);
    names.next_multiple_of(8) + dentry.tagged_items.len().next_multiple_of(8)
}

fn stream_size(name: &Name) -> usize {
    (STREAM_SIZE + name_size(name)).next_multiple_of(8)
}

fn encoded_size(dentry: &Dentry) -> usize {
    let (unnamed, named) = split_streams(dentry);
    let mut size = dentry_size(dentry);
    if !is_simple(&unnamed, &named) {
        let empty = Name::default();
        let names = unnamed.iter().map(|_| &empty).chain(named.iter().map(|(name, _)| *name));
        size += names.take(usize::from(u16::MAX)).map(stream_size).sum::<usize>();
    }
    size
}

fn write_dentry(dentry: &Dentry, list: u64, writer: &mut Writer) {
    let (unnamed, named) = split_streams(dentry);
    let simple = is_simple(&unnamed, &named);
    let main = if simple { unnamed.first().copied().unwrap_or_default() } else { Sha1::ZERO };
    let extra = if simple { 0 } else { (unnamed.len() + named.len()).min(usize::from(u16::MAX)) };
    writer.u64(dentry_size(dentry) as u64).u32(dentry.attributes);
    writer.u32(dentry.security_id.unwrap_or(u32::MAX)).u64(list).bytes(&[0; 16]);
    writer.u64(dentry.creation_time.0).u64(dentry.last_access_time.0);
    writer.u64(dentry.last_write_time.0).bytes(&main.0).u32(dentry.unknown);
    match dentry.reparse {
        Some(reparse) => writer.u32(reparse.tag).u16(reparse.reserved).u16(reparse.flags),
        None => writer.u64(dentry.hard_link_group),
    };
    let units = |name: &Name| u16::try_from(2 * cut(name).len()).unwrap_or(0);
    writer.u16(u16::try_from(extra).unwrap_or(u16::MAX));
    writer.u16(units(&dentry.short_name)).u16(units(&dentry.name));
    write_name(&dentry.name, writer);
    write_name(&dentry.short_name, writer);
    writer.align(8).bytes(&dentry.tagged_items).align(8);
    if !simple {
        let empty = Name::default();
        let unnamed = unnamed.into_iter().map(|sha1| (&empty, sha1));
        for (name, sha1) in unnamed.chain(named).take(extra) {
            writer.u64(stream_size(name) as u64).u64(0).bytes(&sha1.0).u16(units(name));
            write_name(name, writer);
            writer.align(8);
        }
    }
}

fn write_name(name: &Name, writer: &mut Writer) {
    if !name.is_empty() {
        writer.utf16(cut(name)).u16(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        base::{filetime::FileTime, limits::Limits},
        format::wim::metadata::{Reparse, Stream, attribute},
    };

    fn sha1() -> impl Strategy<Value = Sha1> {
        proptest::array::uniform20(1_u8..).prop_map(Sha1)
    }

    /// Entries without names and places.
    fn dentry() -> impl Strategy<Value = (Dentry, bool)> {
        let data = proptest::option::of(sha1());
        let named =
            proptest::collection::vec(("[a-z]{1,9}", prop_oneof![Just(Sha1::ZERO), sha1()]), 0..3);
        let reparse =
            proptest::option::weighted(0.2, (any::<u32>(), any::<u16>(), 0_u16..2, sha1()));
        let tagged = proptest::collection::vec(any::<u64>(), 0..3);
        let flags = (any::<bool>(), 0_u8..8, any::<u32>());
        (data, named, reparse, tagged, flags, any::<[u64; 4]>(), "[A-Z]{0,8}").prop_map(
            |(data, named, reparse, tagged, (is_directory, kind, unknown), numbers, short)| {
                let mut dentry = Dentry {
                    short_name: Name::from(short.as_str()),
                    attributes: if is_directory { attribute::DIRECTORY } else { 0x20 },
                    creation_time: FileTime(numbers[0]),
                    last_access_time: FileTime(numbers[1]),
                    last_write_time: FileTime(numbers[2]),
                    unknown,
                    tagged_items: tagged.into_iter().flat_map(u64::to_le_bytes).collect(),
                    ..Dentry::default()
                };
                let unnamed = |kind, sha1| Stream { kind, name: Name::default(), sha1 };
                if let Some((tag, reserved, flags, sha1)) = reparse {
                    dentry.attributes |= attribute::REPARSE_POINT;
                    dentry.reparse = Some(Reparse { tag, reserved, flags });
                    dentry.streams.push(unnamed(StreamKind::Reparse, sha1));
                } else {
                    dentry.hard_link_group = numbers[3];
                }
                if let Some(sha1) = data.filter(|_| !is_directory) {
                    if kind == 0 && dentry.reparse.is_none() {
                        dentry.attributes |= attribute::ENCRYPTED;
                        dentry.streams.push(unnamed(StreamKind::Efs, sha1));
                    } else {
                        dentry.streams.push(unnamed(StreamKind::Data, sha1));
                    }
                }
                for (name, sha1) in named {
                    let name = Name::from(name.as_str());
                    dentry.streams.push(Stream { kind: StreamKind::Named, name, sha1 });
                }
                (dentry, is_directory)
            },
        )
    }

    /// A whole image whose entries stand in the order in which they are read back.
    fn image() -> impl Strategy<Value = ImageMetadata> {
        let security =
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4);
        let entries = proptest::collection::vec(
            (dentry(), any::<prop::sample::Index>(), any::<u32>()),
            0..24,
        );
        (security, entries).prop_map(|(security, entries)| {
            let mut root = Dentry { attributes: attribute::DIRECTORY, ..Dentry::default() };
            root.security_id = security.first().map(|_| 0);
            let mut parents = Vec::new();
            let mut dentries = vec![root];
            for ((mut dentry, is_directory), parent, security_id) in entries {
                let directories: Vec<usize> = (0..dentries.len())
                    .filter(|&index| {
                        Dentry::is_directory(&dentries[index]) && dentries[index].reparse.is_none()
                    })
                    .collect();
                dentry.name =
                    Name::from(format!("entry {}{}", dentries.len(), is_directory).as_str());
                if !security.is_empty() {
                    dentry.security_id = Some(security_id % u32::try_from(security.len()).unwrap());
                }
                parents.push(directories[parent.index(directories.len())]);
                dentries.push(dentry);
            }
            let mut image = ImageMetadata {
                security: security.into_iter().map(Arc::from).collect(),
                ..ImageMetadata::default()
            };
            // Pre-order of lists.
            let mut pending = vec![(0, 0_usize)];
            image.dentries.push(dentries[0].clone());
            while let Some((old, new)) = pending.pop() {
                let mut below = Vec::new();
                for (index, _) in parents.iter().enumerate().filter(|(_, parent)| **parent == old) {
                    let place = image.dentries.len();
                    image.dentries.push(dentries[index + 1].clone());
                    image.dentries[new].children.push(u32::try_from(place).unwrap());
                    if dentries[index + 1].is_directory() {
                        below.push((index + 1, place));
                    }
                }
                pending.extend(below.into_iter().rev());
            }
            image
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_image_round_trips(image in image()) {
            let bytes = image.encode();
            let parsed = ImageMetadata::parse(&bytes, &Limits::default()).unwrap();
            prop_assert_eq!(&parsed, &image);
            prop_assert_eq!(parsed.encode(), bytes);
        }

        #[test]
        fn damage_never_panics(image in image(), place in any::<prop::sample::Index>(), value in any::<u8>()) {
            let mut bytes = image.encode();
            let place = place.index(bytes.len());
            bytes[place] = value;
            if let Ok(parsed) = ImageMetadata::parse(&bytes, &Limits::default()) {
                let _bytes = parsed.encode();
            }
            bytes.truncate(place);
            let _ignored = ImageMetadata::parse(&bytes, &Limits::default());
        }
    }

    /// Directories "a" in "a" in ...
    fn chain(depth: u32) -> ImageMetadata {
        let directory = |name: &str, children| Dentry {
            name: Name::from(name),
            attributes: attribute::DIRECTORY,
            children,
            ..Dentry::default()
        };
        let mut image = ImageMetadata::default();
        image.dentries.push(directory("", vec![1]));
        for index in 1..=depth {
            let children = if index < depth { vec![index + 1] } else { vec![] };
            image.dentries.push(directory("a", children));
        }
        image
    }

    #[test]
    fn depth_is_limited() {
        let limits = Limits { depth: 10, ..Limits::default() };
        assert!(ImageMetadata::parse(&chain(9).encode(), &limits).is_ok());
        let error = ImageMetadata::parse(&chain(10).encode(), &limits).unwrap_err();
        assert!(error.to_string().contains("nests deeper than 10 levels"), "{error}");
        let deep = chain(100_000).encode();
        assert!(ImageMetadata::parse(&deep, &Limits::default()).is_err());
    }

    #[test]
    fn cycles_and_shared_lists_are_refused() {
        let bytes = chain(3).encode();
        // The third "a" gets the root's list.
        let image = ImageMetadata::parse(&bytes, &Limits::default()).unwrap();
        assert_eq!(image, chain(3));
        let root_list = u64::from_le_bytes(bytes[8 + 16..8 + 24].try_into().unwrap());
        let place = bytes.windows(8).rposition(|window| window == 112_u64.to_le_bytes()).unwrap();
        let mut cyclic = bytes;
        cyclic[place + 16..place + 24].copy_from_slice(&root_list.to_le_bytes());
        let error = ImageMetadata::parse(&cyclic, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("has a cycle: \\a\\a\\a contains \\"), "{error}");
    }

    #[test]
    fn children_that_are_no_tree_do_not_loop() {
        let mut image = chain(3);
        image.dentries[3].children = vec![0, 1, 77];
        let parsed = ImageMetadata::parse(&image.encode(), &Limits::default()).unwrap();
        assert_eq!(parsed, chain(3));
    }
}
