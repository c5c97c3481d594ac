//! What is different between two WIMs, in words: entries of images, contents, the XML, how it is stored.

use std::collections::{BTreeMap, BTreeSet};

use super::MOST_DETAILS;
use crate::{
    base::digest::Sha1,
    format::wim::{Blob, Dentry, Header, ImageMetadata, ResourceHeader, Wim},
};

/// Files named of one content.
const MOST_FILES: usize = 3;
/// Characters shown of the XML.
const SHOWN: usize = 80;

/// The differences, the most telling first.
pub(super) fn details(one: &Wim, other: &Wim) -> Vec<String> {
    let mut told = Vec::new();
    if one.image_count() != other.image_count() {
        told.push(format!("{} images and {}", one.image_count(), other.image_count()));
    }
    for index in 1..=one.image_count().min(other.image_count()) {
        image(one, other, index, &mut told);
    }
    contents(one, other, &mut told);
    xml(one, other, &mut told);
    table(one, other, &mut told);
    header(one.header(), other.header(), &mut told);
    if told.len() > MOST_DETAILS {
        let more = told.len() - MOST_DETAILS;
        told.truncate(MOST_DETAILS);
        told.push(format!("and {more} more"));
    }
    told
}

/// The files of a content: `image 1: \Windows\notepad.exe`; a digest when there are none.
pub(super) fn files_of(wim: &Wim, sha1: &Sha1) -> String {
    let mut found = Vec::new();
    for index in 1..=wim.image_count() {
        let Ok(metadata) = wim.metadata(index) else { continue };
        for (path, dentry) in entries(&metadata) {
            if dentry.streams.iter().any(|stream| stream.sha1 == *sha1) {
                found.push(format!("image {index}: {path}"));
            }
        }
    }
    match found.len() {
        0 => format!("no file (SHA-1 {sha1})"),
        count if count > MOST_FILES => {
            format!("{} and {} more", found[..MOST_FILES].join(", "), count - MOST_FILES)
        }
        _ => found.join(", "),
    }
}

/// All entries by their paths. A path may be there twice in a damaged image: the later one counts.
fn entries(image: &ImageMetadata) -> BTreeMap<String, &Dentry> {
    let mut found = BTreeMap::new();
    let mut open = vec![(0_u32, String::new())];
    let mut left = image.dentries.len();
    while let Some((index, folder)) = open.pop() {
        let Some(dentry) = image.dentries.get(index as usize) else { continue };
        // A parsed image is a tree; this keeps a damaged one from going round.
        let Some(rest) = left.checked_sub(1) else { break };
        left = rest;
        let path = match index {
            0 => String::new(),
            _ => format!("{folder}\\{}", dentry.name),
        };
        open.extend(dentry.children.iter().map(|child| (*child, path.clone())));
        found.insert(if path.is_empty() { "\\".to_owned() } else { path }, dentry);
    }
    found
}

fn image(one: &Wim, other: &Wim, index: u32, told: &mut Vec<String>) {
    let digest = |wim: &Wim| wim.metadata_blob(index).ok().map(|blob| blob.sha1);
    if digest(one) == digest(other) {
        return;
    }
    let (here, there) = match (one.metadata(index), other.metadata(index)) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(error), _) | (_, Err(error)) => {
            told.push(format!("the metadata of image {index} cannot be read: {error}"));
            return;
        }
    };
    let before = told.len();
    let (left, right) = (entries(&here), entries(&there));
    for (path, dentry) in &left {
        match right.get(path) {
            None => told.push(format!("image {index}: {path} is in the first one alone")),
            Some(partner) => {
                let fields = fields(dentry, &here, partner, &there);
                if !fields.is_empty() {
                    told.push(format!("image {index}: {path}: {}", fields.join("; ")));
                }
            }
        }
    }
    for path in right.keys().filter(|path| !left.contains_key(*path)) {
        told.push(format!("image {index}: {path} is in the second one alone"));
    }
    if told.len() == before {
        let text = "the same entries, in another order or stored otherwise";
        told.push(format!("the metadata of image {index}: {text}"));
    }
}

/// What two entries of one path differ in.
fn fields(
    one: &Dentry,
    here: &ImageMetadata,
    other: &Dentry,
    there: &ImageMetadata,
) -> Vec<String> {
    let mut told = Vec::new();
    let mut say = |name: &str, left: String, right: String| {
        if left != right {
            told.push(format!("{name} {left} and {right}"));
        }
    };
    let streams = |dentry: &Dentry| {
        let text = |stream: &crate::format::wim::Stream| match stream.name.is_empty() {
            true => stream.sha1.to_string(),
            false => format!("{}={}", stream.name, stream.sha1),
        };
        dentry.streams.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    say("content", streams(one), streams(other));
    say("attributes", format!("{:#x}", one.attributes), format!("{:#x}", other.attributes));
    let times = |dentry: &Dentry| {
        [dentry.creation_time, dentry.last_access_time, dentry.last_write_time]
            .map(|time| format!("{time} ({})", time.0))
    };
    let names = ["creation time", "last access time", "last write time"];
    for (name, (left, right)) in names.into_iter().zip(times(one).into_iter().zip(times(other))) {
        say(name, left, right);
    }
    say("name", one.name.to_string(), other.name.to_string());
    say("short name", one.short_name.to_string(), other.short_name.to_string());
    let links = |dentry: &Dentry| dentry.hard_link_group.to_string();
    say("hard link group", links(one), links(other));
    let security = |dentry: &Dentry, image: &ImageMetadata| {
        dentry.security_id.and_then(|id| image.security.get(id as usize).cloned())
    };
    if security(one, here) != security(other, there) {
        told.push("security descriptor".to_owned());
    } else if one.security_id != other.security_id {
        told.push("number of the security descriptor".to_owned());
    }
    if (one.reparse, one.unknown, &one.tagged_items)
        != (other.reparse, other.unknown, &other.tagged_items)
    {
        told.push("reparse tag or tagged items".to_owned());
    }
    told
}

/// Contents that one has alone, and equal contents whose stored bytes differ.
fn contents(one: &Wim, other: &Wim, told: &mut Vec<String>) {
    let all = |wim: &Wim| wim.blobs().iter().map(|blob| blob.sha1).collect::<BTreeSet<_>>();
    let (left, right) = (all(one), all(other));
    for (wim, alone, name) in
        [(one, left.difference(&right), "first"), (other, right.difference(&left), "second")]
    {
        // What a file of an image says has been told; this is what no file of that name has.
        for sha1 in alone.take(MOST_DETAILS) {
            told.push(format!("the {name} one alone has the content of {}", files_of(wim, sha1)));
        }
    }
    let mut differently = 0;
    for blob in one.blobs().iter().filter(|blob| blob.solid.is_none()) {
        let Some(partner) = other.blob(&blob.sha1).filter(|blob| blob.solid.is_none()) else {
            continue;
        };
        if stored(one, blob) != stored(other, partner) {
            differently += 1;
            if differently == 1 {
                let files = files_of(one, &blob.sha1);
                told.push(format!("the same content is stored in other bytes: {files}"));
            }
        }
    }
    if differently > 1 {
        told.push(format!("{differently} equal contents in all are stored in other bytes"));
    }
    let solids = |wim: &Wim| -> Vec<u64> {
        wim.solids(0).iter().map(|solid| solid.header().stored_size).collect()
    };
    if solids(one) != solids(other) {
        told.push(format!("solid resources of {:?} and {:?} bytes", solids(one), solids(other)));
    }
}

/// The bytes of a blob as they are stored; `None` when they cannot be read.
fn stored(wim: &Wim, blob: &Blob) -> Option<Vec<u8>> {
    read(wim.source_of(blob).as_ref(), &blob.resource)
}

fn read(source: &dyn crate::base::read_at::ReadAt, place: &ResourceHeader) -> Option<Vec<u8>> {
    if place.end()? > source.size() {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(place.stored_size).ok()?];
    source.read_exact_at(place.offset, &mut bytes).ok()?;
    Some(bytes)
}

fn xml(one: &Wim, other: &Wim, told: &mut Vec<String>) {
    let text = |wim: &Wim| {
        let place = wim.header().xml;
        let bytes = read(wim.source().as_ref(), &place).filter(|_| !place.is_compressed())?;
        let units: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        Some(String::from_utf16_lossy(&units))
    };
    let (Some(left), Some(right)) = (text(one), text(other)) else { return };
    let same = left.chars().zip(right.chars()).take_while(|(a, b)| a == b);
    let same: usize = same.map(|(character, _)| character.len_utf8()).sum();
    if same == left.len() && same == right.len() {
        return;
    }
    // From the beginning of the element.
    let start = left[..same].rfind('<').unwrap_or(same);
    let shown = |text: &str| text[start..].chars().take(SHOWN).collect::<String>();
    told.push(format!("the XML: {} and {}", shown(&left), shown(&right)));
}

fn table(one: &Wim, other: &Wim, told: &mut Vec<String>) {
    let rows = |wim: &Wim| {
        let row = |blob: &Blob| (blob.sha1, blob.reference_count);
        wim.blobs().iter().map(row).collect::<Vec<_>>()
    };
    let (left, right) = (rows(one), rows(other));
    let (sorted_left, sorted_right): (BTreeSet<_>, BTreeSet<_>) =
        (left.iter().collect(), right.iter().collect());
    if left != right && sorted_left == sorted_right {
        told.push("the blob table: the same rows in another order".to_owned());
    }
    let counts: BTreeMap<Sha1, u32> = right.iter().copied().collect();
    let other_count =
        |(sha1, count): &&(Sha1, u32)| counts.get(sha1).is_some_and(|found| found != count);
    if let Some((sha1, count)) = left.iter().find(other_count) {
        let files = files_of(one, sha1);
        let found = counts[sha1];
        told.push(format!("the blob table: {count} and {found} names for the content of {files}"));
    }
}

/// Fields that do not follow from the rest.
fn header(one: &Header, other: &Header, told: &mut Vec<String>) {
    let fields = |header: &Header| {
        [
            ("version", header.version),
            ("flags", header.flags),
            ("chunk size", header.chunk_size),
            ("part number", u32::from(header.part_number)),
            ("number of parts", u32::from(header.total_parts)),
            ("boot image", header.boot_index),
        ]
    };
    for ((name, left), (_, right)) in fields(one).into_iter().zip(fields(other)) {
        if left != right {
            told.push(format!("the header: {name} {left:#x} and {right:#x}"));
        }
    }
    if told.is_empty() && one.guid != other.guid {
        told.push(format!("the header: GUID {} and {}, and nothing else", one.guid, other.guid));
    }
}
