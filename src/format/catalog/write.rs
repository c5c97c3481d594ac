//! Writing a catalog without a signature: what a package has before anybody signed it.

use sha2::Digest as _;

use super::{FileDigests, asn1, oid};

/// Flags of a named value: it is text and takes part in the hash. Every real catalog has exactly these.
const NAME_VALUE_FLAGS: [u8; 4] = 0x1001_0001_u32.to_be_bytes();
/// The date of the list. A catalog without a signature proves nothing about time, and the same files give the same bytes.
const DATE: &[u8] = b"000101000000Z";

/// A file for [`ctl_of`].
#[derive(Debug, Clone)]
pub struct NewMember {
    /// The name as the catalog shows it, without a path.
    pub file: String,
    /// Its digests; of a program, the Authenticode hash is written.
    pub digests: FileDigests,
}

/// A catalog of version 2 (SHA-256) over `members` with catalog-wide `attributes`, without a signature.
///
/// The same members and attributes give the same bytes in whatever order they come. [`super::Catalog::verify`] says
/// [`super::Trust::Unsigned`] of it.
#[must_use]
pub fn ctl_of(members: &[NewMember], attributes: &[(&str, &str)]) -> Vec<u8> {
    signed_data(oid::CERTIFICATE_TRUST_LIST, &trust_list(members, attributes), &[], &[])
}

/// The trust list as its element.
pub(super) fn trust_list(members: &[NewMember], attributes: &[(&str, &str)]) -> Vec<u8> {
    let mut entries: Vec<Vec<u8>> = members.iter().map(member).collect();
    entries.sort_unstable();
    entries.dedup();
    let entries = asn1::element(asn1::SEQUENCE, &[&entries.concat()]);
    let mut texts: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(name, value)| {
            let value = asn1::element(asn1::OCTET_STRING, &[&name_value(name, value)]);
            asn1::element(asn1::SEQUENCE, &[&asn1::identifier(oid::NAME_VALUE), &value])
        })
        .collect();
    texts.sort_unstable();
    let texts = asn1::element(asn1::SEQUENCE, &[&texts.concat()]);
    let identifier = sha2::Sha256::digest(&entries);
    asn1::element(
        asn1::SEQUENCE,
        &[
            &asn1::element(asn1::SEQUENCE, &[&asn1::identifier(oid::CATALOG_LIST)]),
            &asn1::element(asn1::OCTET_STRING, &[&identifier[..16]]),
            &asn1::element(asn1::UTC_TIME, &[DATE]),
            &algorithm(oid::CATALOG_MEMBER_V2),
            &entries,
            &asn1::element(asn1::CONTEXT_0, &[&texts]),
        ],
    )
}

/// ContentInfo of SignedData over `content`, an element.
pub(super) fn signed_data(
    content_type: &[u8],
    content: &[u8],
    certificates: &[Vec<u8>],
    signers: &[Vec<u8>],
) -> Vec<u8> {
    let content = asn1::element(
        asn1::SEQUENCE,
        &[&asn1::identifier(content_type), &asn1::element(asn1::CONTEXT_0, &[content])],
    );
    let certificates = match certificates {
        [] => Vec::new(),
        some => asn1::element(asn1::CONTEXT_0, &[&some.concat()]),
    };
    let data = asn1::element(
        asn1::SEQUENCE,
        &[
            &asn1::element(asn1::INTEGER, &[&[1]]),
            &asn1::element(asn1::SET, &[]),
            &content,
            &certificates,
            &asn1::element(asn1::SET, &[&signers.concat()]),
        ],
    );
    asn1::element(
        asn1::SEQUENCE,
        &[&asn1::identifier(oid::SIGNED_DATA), &asn1::element(asn1::CONTEXT_0, &[&data])],
    )
}

/// An algorithm without parameters but NULL.
pub(super) fn algorithm(oid: &[u8]) -> Vec<u8> {
    asn1::element(asn1::SEQUENCE, &[&asn1::identifier(oid), &asn1::element(asn1::NULL, &[])])
}

/// An attribute with one value.
pub(super) fn attribute(name: &[u8], value: &[u8]) -> Vec<u8> {
    asn1::element(asn1::SEQUENCE, &[&asn1::identifier(name), &asn1::element(asn1::SET, &[value])])
}

/// A SET OF, in the order DER demands.
pub(super) fn set_of(mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort_unstable();
    asn1::element(asn1::SET, &[&elements.concat()])
}

fn member(member: &NewMember) -> Vec<u8> {
    let (kind, digest) = match &member.digests.pe {
        Some(pe) => (oid::PE_IMAGE_DATA, pe.sha256),
        None => (oid::FLAT_LINK, member.digests.sha256),
    };
    // SpcPeImageData { flags, [0] file } and SpcLink [2] file, both naming no file.
    let file = asn1::element(asn1::CONTEXT_2_CONSTRUCTED, &[&asn1::element(0x80, &[])]);
    let link = match &member.digests.pe {
        Some(_) => asn1::element(
            asn1::SEQUENCE,
            &[&asn1::element(asn1::BIT_STRING, &[&[0]]), &asn1::element(asn1::CONTEXT_0, &[&file])],
        ),
        None => file,
    };
    let indirect = asn1::element(
        asn1::SEQUENCE,
        &[
            &asn1::element(asn1::SEQUENCE, &[&asn1::identifier(kind), &link]),
            &asn1::element(
                asn1::SEQUENCE,
                &[&algorithm(oid::SHA256), &asn1::element(asn1::OCTET_STRING, &[&digest])],
            ),
        ],
    );
    let attributes = set_of(vec![
        attribute(oid::INDIRECT_DATA, &indirect),
        attribute(oid::NAME_VALUE, &name_value("File", &member.file)),
    ]);
    asn1::element(asn1::SEQUENCE, &[&asn1::element(asn1::OCTET_STRING, &[&digest]), &attributes])
}

fn name_value(name: &str, value: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let value: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    asn1::element(
        asn1::SEQUENCE,
        &[
            &asn1::element(asn1::BMP_STRING, &[&name]),
            &asn1::element(asn1::INTEGER, &[&NAME_VALUE_FLAGS]),
            &asn1::element(asn1::OCTET_STRING, &[&value]),
        ],
    )
}
