//! Finding the files that belong to one WIM: the parts of a split set (`x.swm`, `x2.swm`, `x3.swm` ...) and files that are named for reference.
//!
//! Parts belong together when their headers have the same GUID and the same number of parts. They are looked for under the names that
//! splitting gives them; where one is not there, the other files of the folder are looked through.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

use super::{
    error::WimError, header::Header, split::part_path, volume::VolumeKind, volume::read_header,
};
use crate::base::read_at::{FileSource, ReadAt};

/// Files of a folder that are looked into at most when a part is not where its name should be.
const MAX_LOOKED_INTO: usize = 4096;
/// Missing parts that are named; of more, the number is told.
const MAX_NAMED: usize = 8;

/// A file of a WIM, before its blob table is read.
pub(super) type OpenFile = (Arc<dyn ReadAt>, Header, VolumeKind);

/// Opens the file at `path`, all parts of its set, and the referenced files, in this order.
pub(super) fn open(path: &Path, references: &[PathBuf]) -> Result<Vec<OpenFile>, WimError> {
    let (source, header) = open_file(path)?;
    let mut given = Vec::with_capacity(references.len());
    for reference in references {
        let (source, header) = open_file(reference).map_err(|error| of_file(reference, error))?;
        given.push((source, header));
    }
    let mut files = vec![(source, header.clone(), VolumeKind::Part)];
    if header.is_split() {
        if header.part_number != 1 {
            return Err(not_the_first(path, &header));
        }
        let parts = other_parts(path, &header, &mut given)?;
        files.extend(parts.into_iter().map(|(source, header)| (source, header, VolumeKind::Part)));
        given.retain(|(_, other)| !is_same_set(other, &header));
    }
    let given = given.into_iter();
    files.extend(given.map(|(source, header)| (source, header, VolumeKind::Reference)));
    Ok(files)
}

/// Opens the file at `path`, which has the images of its set.
pub(super) fn open_alone(path: &Path) -> Result<OpenFile, WimError> {
    let (source, header) = open_file(path)?;
    if header.is_split() && header.part_number != 1 {
        return Err(not_the_first(path, &header));
    }
    Ok((source, header, VolumeKind::Part))
}

fn open_file(path: &Path) -> Result<(Arc<dyn ReadAt>, Header), WimError> {
    let source = Arc::new(FileSource::open(path)?);
    let header = read_header(&*source)?;
    Ok((source, header))
}

/// What is wrong with a file other than the one that was to be opened, with its name.
pub(super) fn of_file(path: &Path, error: WimError) -> WimError {
    match error {
        // These name it themselves.
        WimError::Io(_) | WimError::Cancelled => error,
        error => WimError::Volumes { what: format!("{}: {error}", path.display()) },
    }
}

fn is_same_set(one: &Header, other: &Header) -> bool {
    one.guid == other.guid && one.total_parts == other.total_parts
}

/// The name that the first part probably has, if `path` is a later one and is called as such.
fn first_path(path: &Path, part: u16) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    let stem = stem.strip_suffix(&part.to_string()).filter(|stem| !stem.is_empty())?;
    let mut name = std::ffi::OsString::from(stem);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    Some(path.with_file_name(name))
}

fn not_the_first(path: &Path, header: &Header) -> WimError {
    let (part, parts) = (header.part_number, header.total_parts);
    let is_first = |other: &Path| {
        open_file(other)
            .is_ok_and(|(_, other)| is_same_set(&other, header) && other.part_number == 1)
    };
    let named = first_path(path, part);
    let found = named.clone().filter(|other| is_first(other)).or_else(|| {
        let mut others = neighbours(path, header);
        others.remove(&1)
    });
    let advice = match (found, named) {
        (Some(found), _) => format!("open part 1, which is {}", found.display()),
        (None, Some(named)) => format!(
            "open part 1, which is not beside it; its name is probably {}",
            named.file_name().unwrap_or_default().display()
        ),
        (None, None) => "open part 1, which is not beside it".to_owned(),
    };
    let what = format!("{} is part {part} of {parts} of a split WIM: {advice}", path.display());
    WimError::Volumes { what }
}

/// An open file and its header.
type WithHeader = (Arc<dyn ReadAt>, Header);

/// Parts 2 and on, from the files that were given and those beside the first.
fn other_parts(
    first: &Path,
    header: &Header,
    given: &mut Vec<WithHeader>,
) -> Result<Vec<WithHeader>, WimError> {
    let mut parts = Vec::new();
    let mut missing = Vec::new();
    let mut others = None;
    for part in 2..=header.total_parts {
        let is_it = |other: &Header| is_same_set(other, header) && other.part_number == part;
        if let Some(place) = given.iter().position(|(_, other)| is_it(other)) {
            parts.push(given.remove(place));
            continue;
        }
        let path = part_path(first, part);
        let what = match open_file(&path) {
            Ok((source, other)) if is_it(&other) => {
                parts.push((source, other));
                continue;
            }
            Ok((_, other)) if is_same_set(&other, header) => {
                format!("is part {}, not part {part}", other.part_number)
            }
            Ok(_) => format!("belongs to another WIM and is not part {part} of this one"),
            Err(WimError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                "is missing".to_owned()
            }
            Err(WimError::Io(error)) => format!("cannot be opened ({error})"),
            Err(error) => format!("cannot be used ({error})"),
        };
        let others = others.get_or_insert_with(|| neighbours(first, header));
        let other = others.get(&part).map(|path| open_file(path)).transpose();
        match other {
            Ok(Some((source, other))) if is_it(&other) => parts.push((source, other)),
            _ => missing.push((path, what)),
        }
    }
    if missing.is_empty() {
        return Ok(parts);
    }
    let mut texts: Vec<String> = missing
        .iter()
        .take(MAX_NAMED)
        .map(|(path, what)| format!("{} {what}", path.file_name().unwrap_or_default().display()))
        .collect();
    if missing.len() > MAX_NAMED {
        texts.push(format!("and so on, {} parts in all", missing.len()));
    }
    let what = format!(
        "{} is part 1 of {} of a split WIM, and not all the others are beside it: {}",
        first.display(),
        header.total_parts,
        texts.join(", ")
    );
    Err(WimError::Volumes { what })
}

/// Parts of the same set under whatever names, in the folder of `path`.
fn neighbours(path: &Path, header: &Header) -> BTreeMap<u16, PathBuf> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink()))
        .map(|entry| path.with_file_name(entry.file_name()))
        .filter(|other| {
            let extension = other.extension().and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| {
                extension.eq_ignore_ascii_case("swm") || path.extension() == other.extension()
            })
        })
        .collect();
    paths.sort();
    for other in paths.into_iter().take(MAX_LOOKED_INTO).filter(|other| other.is_file()) {
        if let Ok((_, other_header)) = open_file(&other)
            && is_same_set(&other_header, header)
        {
            found.entry(other_header.part_number).or_insert(other);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::guid::Guid, format::wim::ResourceHeader};

    fn part(number: u16, total: u16, guid: u8) -> Vec<u8> {
        let header = Header {
            version: Header::VERSION,
            flags: Header::SPANNED,
            chunk_size: 0,
            guid: Guid([guid; 16]),
            part_number: number,
            total_parts: total,
            image_count: 0,
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        };
        header.encode()
    }

    fn said(result: Result<Vec<OpenFile>, WimError>) -> String {
        result.map(|files| files.len()).unwrap_err().to_string()
    }

    #[test]
    fn parts_are_found_and_missing_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, number) in [("x.swm", 1), ("x2.swm", 2), ("x3.swm", 3)] {
            fs::write(path(name), part(number, 3, 7)).unwrap();
        }
        let numbers = |files: Vec<OpenFile>| -> Vec<u16> {
            files.iter().map(|(_, header, _)| header.part_number).collect()
        };
        assert_eq!(numbers(open(&path("x.swm"), &[]).unwrap()), [1, 2, 3]);

        // Under another name it is found all the same.
        fs::rename(path("x2.swm"), path("second.SWM")).unwrap();
        assert_eq!(numbers(open(&path("x.swm"), &[]).unwrap()), [1, 2, 3]);
        let text = said(open(&path("second.SWM"), &[]));
        assert!(
            text.contains("part 2 of 3") && text.contains("which is") && text.contains("x.swm")
        );

        fs::remove_file(path("second.SWM")).unwrap();
        let text = said(open(&path("x.swm"), &[]));
        assert!(text.ends_with("not all the others are beside it: x2.swm is missing"), "{text}");
        fs::write(path("x2.swm"), part(2, 3, 8)).unwrap();
        let text = said(open(&path("x.swm"), &[]));
        assert!(text.contains("x2.swm belongs to another WIM"), "{text}");
        fs::write(path("x2.swm"), part(3, 3, 7)).unwrap();
        let text = said(open(&path("x.swm"), &[]));
        assert!(text.contains("x2.swm is part 3, not part 2"), "{text}");

        // Elsewhere, but given.
        let elsewhere = tempfile::tempdir().unwrap();
        let second = elsewhere.path().join("y.swm");
        fs::write(&second, part(2, 3, 7)).unwrap();
        let files = open(&path("x.swm"), &[path("x.swm"), second, path("x3.swm")]).unwrap();
        assert_eq!(numbers(files), [1, 2, 3]);

        fs::remove_file(path("x.swm")).unwrap();
        let text = said(open(&path("x3.swm"), &[]));
        assert!(text.ends_with("its name is probably x.swm"), "{text}");
    }

    #[test]
    fn a_header_that_lies_of_its_parts_costs_little() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.swm");
        fs::write(&path, part(1, u16::MAX, 7)).unwrap();
        let text = said(open(&path, &[]));
        assert!(text.contains("x9.swm is missing, and so on, 65534 parts in all"), "{text}");
    }
}
