//! Component manifests as an installed Windows stores them below `WinSxS\Manifests`, and compressed files of its component store.
//!
//! Four bytes tell the form: `DCM\x01` is a delta against the *base manifest*, which lies in the servicing stack's `wcp.dll`; `DCN\x01` one against nothing;
//! `DCS\x01` are LZMS blocks: their number and the whole size (u32 each), then for each block its size in the file (u32, counting the u32 behind
//! it), its plain size (u32) and the data. `DCD`, `DCH` and `DCX` lead to another version of the file or are not known; they are refused by name.
//! What has none of these is a plain file. A delta here has no hash: what comes out is to be checked against the catalog or the store's own hash.
//! Source: `facts/manifests-keyforms-pa30.md`, section 5.

use std::{borrow::Cow, ops::RangeInclusive};

use sha2::Digest as _;

use super::delta::{self, DeltaError};
use crate::{
    base::{bytes::Reader, malformed::Malformed},
    codec::{Codec, decoder},
};

/// Largest plain file that is made here, in bytes. Real manifests reach 4 MB.
pub const LARGEST: u64 = 256 << 20;

const FORMAT: &str = "compressed manifest";
/// The text of a base manifest that finds it.
const BASE_MARK: &[u8] = br#"asm.v3" manifestVersion="1.0" description="Deployment""#;
/// How far before the mark the document starts at most.
const BASE_PROLOG: usize = 1024;
/// Largest base manifest.
const BASE_LARGEST: usize = 1 << 20;
const PROLOG: &[u8] = b"<?xml";
const END: &[u8] = b"</assembly>";
/// Size and SHA-256 of the base manifest that every servicing stack seen so far has, from Windows 8.1 to build 26100.
const KNOWN_SIZE: usize = 9066;
#[rustfmt::skip]
const KNOWN_SHA256: [u8; 32] = [
    0x0A, 0xD8, 0xF1, 0x00, 0xF1, 0xC5, 0x6F, 0x4A, 0x1A, 0xAD, 0x99, 0x0D, 0xEF, 0xAD, 0xE9, 0x19,
    0x1F, 0x7D, 0x5B, 0xE9, 0x29, 0xB9, 0x30, 0xA0, 0x41, 0x60, 0xEB, 0xBF, 0x99, 0xCD, 0x6B, 0x46,
];
/// Largest block of a `DCS` file.
const LARGEST_BLOCK: u32 = 1 << 30;
/// Most blocks of a `DCS` file: each costs the making of its codes, however short it is. So many blocks of 4 KiB are the largest file.
const MOST_BLOCKS: u32 = 1 << 16;

/// How a manifest is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestForm {
    /// As it is.
    Plain,
    /// A delta against the base manifest.
    Base,
    /// A delta against nothing.
    Alone,
    /// LZMS blocks.
    Blocks,
    /// A form that only Windows can read, by its three letters.
    Other([u8; 3]),
}

/// Why a stored manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFormError {
    /// It does not hold what its form demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its delta cannot be applied.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// It is stored against the base manifest, and there is none.
    #[error("it is stored as a delta of the base manifest, which was not found in wcp.dll")]
    NoBase,
    /// Only Windows can read it.
    #[error("a file in the form {0} is not supported")]
    Unsupported(String),
}

/// How `bytes` are stored.
#[must_use]
pub fn form(bytes: &[u8]) -> ManifestForm {
    match bytes.first_chunk() {
        Some(b"DCM\x01") => ManifestForm::Base,
        Some(b"DCN\x01") => ManifestForm::Alone,
        Some(b"DCS\x01") => ManifestForm::Blocks,
        Some(&[b'D', b'C', letter, 1]) => ManifestForm::Other([b'D', b'C', letter]),
        _ => ManifestForm::Plain,
    }
}

/// How many bytes [`decode`] will make of a stored manifest, by its head.
///
/// # Errors
/// When the head is damaged, or it is in a form that only Windows can read.
pub fn plain_size(bytes: &[u8]) -> Result<u64, ManifestFormError> {
    let body = bytes.get(4..).unwrap_or_default();
    Ok(match form(bytes) {
        ManifestForm::Plain => bytes.len() as u64,
        ManifestForm::Base | ManifestForm::Alone => delta::target_of(body)?.size,
        ManifestForm::Blocks => {
            let mut reader = Reader::with_base(FORMAT, body, 4);
            let (_blocks, total) = (reader.u32()?, reader.u32()?);
            total.into()
        }
        ManifestForm::Other(letters) => return Err(unsupported(letters)),
    })
}

fn unsupported(letters: [u8; 3]) -> ManifestFormError {
    ManifestFormError::Unsupported(String::from_utf8_lossy(&letters).into_owned())
}

/// The plain bytes of a stored manifest, at most `limit` and [`LARGEST`]. `base` is the base manifest ([`base_manifest_of`]).
///
/// # Errors
/// When it is damaged, too large, needs a base manifest that is not given, or is in a form that only Windows can read.
pub fn decode<'a>(
    bytes: &'a [u8],
    base: Option<&[u8]>,
    limit: u64,
) -> Result<Cow<'a, [u8]>, ManifestFormError> {
    let limit = limit.min(LARGEST);
    let body = bytes.get(4..).unwrap_or_default();
    Ok(match form(bytes) {
        ManifestForm::Plain => Cow::Borrowed(bytes),
        ManifestForm::Base => {
            let base = base.ok_or(ManifestFormError::NoBase)?;
            delta::apply(body, base, limit)?.into()
        }
        ManifestForm::Alone => delta::apply(body, &[], limit)?.into(),
        ManifestForm::Blocks => decode_blocks(body, limit)?.into(),
        ManifestForm::Other(letters) => return Err(unsupported(letters)),
    })
}

/// The LZMS blocks of a `DCS` file, without its magic.
fn decode_blocks(body: &[u8], limit: u64) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::with_base(FORMAT, body, 4);
    let (blocks, total) = (reader.u32()?, reader.u32()?);
    if u64::from(total) > limit {
        return Err(reader.malformed(format!("it says it has {total} bytes, more than {limit}")));
    }
    if blocks > MOST_BLOCKS {
        return Err(reader.malformed(format!("{blocks} blocks are more than {MOST_BLOCKS}")));
    }
    let mut plain = Vec::new();
    for _ in 0..blocks {
        let size = reader.u32()?;
        let stored = size.checked_sub(4).ok_or_else(|| reader.malformed("a block without data"))?;
        let wanted = reader.u32()?;
        let left = u64::from(total) - plain.len() as u64;
        if wanted > LARGEST_BLOCK || u64::from(wanted) > left {
            return Err(reader.malformed("its blocks have more bytes together than it says"));
        }
        let data = reader.sub(stored as usize)?;
        decode_block(data, wanted as usize, &mut plain)?;
    }
    if plain.len() as u64 != u64::from(total) {
        let what = format!("its blocks have {} bytes, it says {total}", plain.len());
        return Err(reader.malformed(what));
    }
    Ok(plain)
}

/// Appends the plain bytes of one block. A block that did not get smaller is stored as it is.
fn decode_block(mut data: Reader<'_>, size: usize, plain: &mut Vec<u8>) -> Result<(), Malformed> {
    let at = data.clone();
    let stored = data.bytes(data.remaining())?;
    if stored.len() == size {
        plain.extend_from_slice(stored);
        return Ok(());
    }
    let chunk = u32::try_from(size).unwrap_or(u32::MAX).next_power_of_two().max(32 << 10);
    let mut decoder =
        decoder(Codec::Lzms, chunk).map_err(|error| at.malformed(error.to_string()))?;
    let start = plain.len();
    plain.resize(start + size, 0);
    let done = decoder.decode(stored, &mut plain[start..]);
    done.map_err(|error| at.malformed(error.to_string()))
}

/// The base manifest inside the `wcp.dll` of a servicing stack (any machine's): a component manifest without content, and some words that manifests
/// often have, one behind the other.
///
/// It is found by its text. How long it is says a resource record of the library: its address (RVA) and size, u32 each.
#[must_use]
pub fn base_manifest_of(wcp_dll: &[u8]) -> Option<&[u8]> {
    let mark = find(wcp_dll, BASE_MARK)?;
    let before = &wcp_dll[mark.saturating_sub(BASE_PROLOG)..mark];
    let start = mark - (before.len() - find_last(before, PROLOG)?);
    let rest = &wcp_dll[start..];
    let least = find(&rest[..rest.len().min(BASE_LARGEST)], END)? + END.len();
    let most = rest.len().min(BASE_LARGEST);
    let address = address_of(wcp_dll, u32::try_from(start).ok()?);
    let recorded = address.and_then(|address| recorded_size(wcp_dll, address, least..=most));
    let known = || (most >= KNOWN_SIZE).then_some(KNOWN_SIZE);
    let known = || known().filter(|&size| sha2::Sha256::digest(&rest[..size])[..] == KNOWN_SHA256);
    recorded.or_else(known).map(|size| &rest[..size])
}

/// The address (RVA) at which a program's byte at `offset` of the file is loaded.
fn address_of(program: &[u8], offset: u32) -> Option<u32> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*program.get(at..)?.first_chunk()?));
    let u16_at = |at: usize| Some(u16::from_le_bytes(*program.get(at..)?.first_chunk()?));
    let header = usize::try_from(u32_at(0x3C)?).ok()?;
    if program.get(header..)?.first_chunk()? != b"PE\0\0" {
        return None;
    }
    let table = header + 24 + usize::from(u16_at(header + 20)?);
    for section in 0..usize::from(u16_at(header + 6)?) {
        let at = table + 40 * section;
        let (address, size, place) = (u32_at(at + 12)?, u32_at(at + 16)?, u32_at(at + 20)?);
        if let Some(inside) = offset.checked_sub(place).filter(|&inside| inside < size) {
            return address.checked_add(inside);
        }
    }
    None
}

/// The size that a record with `address` in front gives, where it is one of `sizes`.
fn recorded_size(program: &[u8], address: u32, sizes: RangeInclusive<usize>) -> Option<usize> {
    let words = program.as_chunks::<4>().0;
    let pairs = words.iter().zip(words.get(1..)?);
    let sizes_found = pairs.filter(|(one, _)| u32::from_le_bytes(**one) == address);
    let mut found = sizes_found.filter_map(|(_, size)| {
        usize::try_from(u32::from_le_bytes(*size)).ok().filter(|size| sizes.contains(size))
    });
    found.next()
}

fn find(data: &[u8], text: &[u8]) -> Option<usize> {
    data.windows(text.len()).position(|window| window == text)
}

fn find_last(data: &[u8], text: &[u8]) -> Option<usize> {
    data.windows(text.len()).rposition(|window| window == text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        base::filetime::FileTime,
        codec::{Level, encoder},
    };

    fn with_magic(letters: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [letters, body].concat()
    }

    #[test]
    fn every_form_gives_the_plain_bytes() {
        let plain = br#"<?xml version="1.0"?><assembly>of this component</assembly>"#;
        let base = b"<assembly>a base</assembly>componentversion";
        assert!(
            matches!(decode(plain, None, LARGEST).unwrap(), Cow::Borrowed(bytes) if bytes == plain)
        );
        let against = |base: &[u8]| delta::create(base, plain, FileTime(7));
        let stored = with_magic(b"DCM\x01", &against(base));
        assert_eq!(&decode(&stored, Some(base), LARGEST).unwrap()[..], plain);
        assert_eq!(decode(&stored, None, LARGEST).unwrap_err(), ManifestFormError::NoBase);
        assert!(decode(&stored, Some(b"another base, too short to be right"), LARGEST).is_err());
        let stored = with_magic(b"DCN\x01", &against(b""));
        assert_eq!(&decode(&stored, Some(base), LARGEST).unwrap()[..], plain);
        for (letters, name) in [(b"DCD\x01", "DCD"), (b"DCH\x01", "DCH"), (b"DCX\x01", "DCX")] {
            let error = decode(letters, Some(base), LARGEST).unwrap_err();
            assert_eq!(error.to_string(), format!("a file in the form {name} is not supported"));
        }
    }

    /// A file of blocks; a block that does not get smaller is stored.
    fn blocks(parts: &[&[u8]]) -> Vec<u8> {
        let mut encoder = encoder(Codec::Lzms, 32 << 10, Level::Fast).unwrap();
        let mut body = crate::base::bytes::Writer::new();
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        body.bytes(b"DCS\x01").u32(u32::try_from(parts.len()).unwrap()).u32(size(&parts.concat()));
        for part in parts {
            let mut data = Vec::new();
            if encoder.encode(part, &mut data).is_none() {
                data = part.to_vec();
            }
            body.u32(size(&data) + 4).u32(size(part)).bytes(&data);
        }
        body.data
    }

    #[test]
    fn blocks_are_put_together_and_lying_sizes_refused() {
        let (one, two) = (vec![b'a'; 20_000], b"not to be made smaller");
        let stored = blocks(&[&one, two]);
        assert_eq!(decode(&stored, None, LARGEST).unwrap(), [&one[..], two].concat());
        for (place, what) in [(8, "more bytes together"), (9, "it says"), (12, "without data")] {
            let mut lying = stored.clone();
            lying[place..place + 3].fill(u8::from(place == 9));
            let error = decode(&lying, None, LARGEST).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        for length in 4..stored.len() {
            assert!(decode(&stored[..length], None, LARGEST).is_err());
        }
    }

    #[test]
    fn millions_of_empty_blocks_are_refused_before_they_are_read() {
        let count = MOST_BLOCKS + 1;
        let mut stored = [b"DCS\x01".as_slice(), &count.to_le_bytes(), &[0; 4]].concat();
        for _ in 0..count {
            stored.extend_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0]);
        }
        let error = decode(&stored, None, LARGEST).unwrap_err().to_string();
        assert!(error.contains("65537 blocks are more than"), "{error}");
    }

    /// A library with one section at 0x200 of the file and 0x1000 in memory; in it the document, its words, and the record.
    fn library(document: &[u8], record: Option<u32>) -> Vec<u8> {
        let mut file = vec![0; 0x200];
        file[0x3C] = 0x40;
        file[0x40..0x44].copy_from_slice(b"PE\0\0");
        (file[0x46], file[0x54]) = (1, 0x10);
        let section = 0x40 + 24 + 0x10;
        file[section + 13] = 0x10;
        file[section + 18] = 1;
        file[section + 21] = 2;
        file.extend_from_slice(b"what stands before it");
        let at = file.len();
        file.extend_from_slice(document);
        file.resize(file.len().next_multiple_of(4), 0);
        if let Some(size) = record {
            let address = u32::try_from(at - 0x200 + 0x1000).unwrap();
            file.extend_from_slice(&address.to_le_bytes());
            file.extend_from_slice(&size.to_le_bytes());
        }
        file
    }

    #[test]
    fn the_base_manifest_is_found_with_the_words_behind_it() {
        let document = br#"<?xml version="1.0"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" description="Deployment"></assembly>
amd64REG_SZ"#;
        let size = u32::try_from(document.len()).unwrap();
        let found = library(document, Some(size));
        assert_eq!(base_manifest_of(&found), Some(&document[..]));
        assert_eq!(base_manifest_of(&library(document, Some(20))), None, "shorter than its text");
        assert_eq!(
            base_manifest_of(&library(document, Some(1 << 20))),
            None,
            "longer than the file"
        );
        assert_eq!(base_manifest_of(&library(document, None)), None);
        assert_eq!(base_manifest_of(b"no library at all"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_panic(letter in "[MNSDHX]", data in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..900usize) {
            let stored = [b"DC", letter.as_bytes(), b"\x01", &data].concat();
            let _ignored = decode(&stored, Some(b"base"), LARGEST);
            let library = library(&[b"<?xml", BASE_MARK, END, &data].concat(), Some(90));
            let _ignored = base_manifest_of(&library[cut.min(library.len())..]);
        }
    }
}
