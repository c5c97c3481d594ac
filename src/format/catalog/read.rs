//! The trust list inside a catalog: members and attributes.
//!
//! ```text
//! { usage { catalog list }, list identifier, this update, { member version 1 | 2 }, members, [0] { attributes } }
//! member { tag, attributes }
//! ```
//! The tag of a version 1 member is its SHA-1 as hexadecimal text in UTF-16LE, that of a version 2 member is the digest itself; a
//! version 2 catalog lists every file twice, by SHA-1 and by SHA-256. SpcIndirectData, where a member has it, holds the digest with
//! its algorithm and says whether it is the Authenticode hash of a program or that of all bytes.

use crate::base::{
    digest::{from_hex, to_hex},
    filetime::FileTime,
    malformed::Malformed,
};

use super::{
    FileDigests, Verdict,
    asn1::{self, Element},
    authorities::{self, Authority},
    certificate::Certificate,
    oid,
    signed_data::{self, Signer},
    verdict::Signature,
};

/// Bytes of the largest catalog read. Those of Windows updates have some 20 MiB, those of drivers some 10 KiB.
const MAX_SIZE: usize = 64 << 20;
/// Members of the largest catalog read.
const MAX_MEMBERS: usize = 1 << 20;

/// Why a catalog cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// It does not hold what a catalog must.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is larger than any real one.
    #[error("catalog: {what}: {found} where at most {limit} are read")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much is read.
        limit: usize,
    },
}

/// The hash function of a member's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// Another; such a member matches no file.
    Other,
}

/// What a member's digest was taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A program: the Authenticode hash, which leaves out the check sum and the signature inside.
    Pe,
    /// Any file: all bytes.
    Flat,
}

/// A file a catalog names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The digest; of a member that has none, its tag.
    pub digest: Vec<u8>,
    /// The function the digest is of.
    pub algorithm: Algorithm,
    /// The name the maker's file had, if the catalog says it. Not proof of anything: files are found by digest.
    pub file: Option<String>,
    /// For which Windows versions, such as `2:6.1,2:10.0`.
    pub os_attr: Option<String>,
    /// What the digest was taken of, where the catalog says it.
    pub kind: Option<MemberKind>,
}

/// A catalog that was read. Its signature is not checked before [`Catalog::verify`].
#[derive(Debug, Clone)]
pub struct Catalog {
    members: Vec<Member>,
    attributes: Vec<(String, String)>,
    /// Digests of the members, sorted.
    sha1: Vec<[u8; 20]>,
    sha256: Vec<[u8; 32]>,
    this_update: FileTime,
    signers: Vec<Signer>,
    certificates: Vec<Certificate>,
    unreadable: Option<String>,
    content_digest: Vec<u8>,
}

impl Catalog {
    /// Reads a catalog.
    ///
    /// # Errors
    /// When `bytes` are not a catalog or exceed the limits; says what and where. That a signature is missing or wrong is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogError> {
        if bytes.len() > MAX_SIZE {
            return Err(too_large("bytes", bytes.len(), MAX_SIZE));
        }
        let data = signed_data::read(bytes)?;
        if data.content_type != oid::CERTIFICATE_TRUST_LIST {
            return Err(data.content.bad("content: not a certificate trust list").into());
        }
        if data.content.tag != asn1::SEQUENCE {
            return Err(data.content.bad("trust list: not a sequence").into());
        }
        // PKCS#7 hashes the content without its tag and length.
        let hash = data.signers.first().and_then(|signer| signer.digest);
        let content_digest = hash.map(|hash| hash.digest(data.content.content)).unwrap_or_default();
        let mut catalog = Self {
            members: Vec::new(),
            attributes: Vec::new(),
            sha1: Vec::new(),
            sha256: Vec::new(),
            this_update: FileTime(0),
            signers: data.signers,
            certificates: data.certificates,
            unreadable: data.unreadable.map(|error| error.to_string()),
            content_digest,
        };
        catalog.read_list(&data.content)?;
        catalog.sha1.sort_unstable();
        catalog.sha256.sort_unstable();
        Ok(catalog)
    }

    /// Every member, in the catalog's order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The catalog-wide attribute `name`, such as `OS` or `Submission ID`; case counts.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Every catalog-wide attribute, in the catalog's order.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// True when the catalog names a file with one of these digests.
    #[must_use]
    pub fn contains(&self, digests: &FileDigests) -> bool {
        let has = |sha1: &[u8; 20], sha256: &[u8; 32]| {
            self.sha256.binary_search(sha256).is_ok() || self.sha1.binary_search(sha1).is_ok()
        };
        has(&digests.sha1, &digests.sha256)
            || digests.pe.as_ref().is_some_and(|pe| has(&pe.sha1, &pe.sha256))
    }

    /// Judges the signature: offline, without a clock, failing closed.
    #[must_use]
    pub fn verify(&self) -> Verdict {
        self.judge(authorities::AUTHORITIES)
    }

    /// The same for whoever is to be believed.
    pub(super) fn judge(&self, known: &[Authority]) -> Verdict {
        let signature = Signature {
            signers: &self.signers,
            certificates: &self.certificates,
            unreadable: self.unreadable.clone(),
            content_type: oid::CERTIFICATE_TRUST_LIST,
            content_digest: &self.content_digest,
            claimed: Some(self.this_update),
            known,
        };
        let submission_id = self.attribute("Submission ID").map(str::to_owned);
        Verdict { submission_id, ..signature.judge() }
    }

    fn read_list(&mut self, list: &Element<'_>) -> Result<(), CatalogError> {
        let mut parts = list.inside();
        let usage = parts.expect(asn1::SEQUENCE, "usage of the list")?;
        let mut purposes = usage.inside();
        if purposes.expect(asn1::OBJECT_IDENTIFIER, "usage of the list")?.content
            != oid::CATALOG_LIST
        {
            return Err(usage.bad("usage of the list: not a catalog").into());
        }
        parts.optional(asn1::OCTET_STRING, "list identifier")?;
        parts.optional(asn1::INTEGER, "sequence number")?;
        self.this_update = parts.next("date of the list")?.time("date of the list")?;
        if let Some(next) = parts.optional(asn1::UTC_TIME, "date of the next list")? {
            next.time("date of the next list")?;
        }
        let version = parts.expect(asn1::SEQUENCE, "kind of the members")?;
        let kind = version.inside().expect(asn1::OBJECT_IDENTIFIER, "kind of the members")?;
        if ![oid::CATALOG_MEMBER_V1, oid::CATALOG_MEMBER_V2].contains(&kind.content) {
            return Err(kind
                .bad("kind of the members: neither version 1 nor 2 of a catalog")
                .into());
        }
        if let Some(members) = parts.optional(asn1::SEQUENCE, "members")? {
            let mut list = members.inside();
            while !list.is_empty() {
                let element = list.expect(asn1::SEQUENCE, "member")?;
                if self.members.len() == MAX_MEMBERS {
                    return Err(too_large("members", MAX_MEMBERS + 1, MAX_MEMBERS));
                }
                self.read_member(&element)?;
            }
        }
        if let Some(wrapped) = parts.optional(asn1::CONTEXT_0, "attributes")? {
            let mut list = wrapped.inside().expect(asn1::SEQUENCE, "attributes")?.inside();
            while !list.is_empty() {
                let mut pair = list.expect(asn1::SEQUENCE, "attribute")?.inside();
                let name = pair.expect(asn1::OBJECT_IDENTIFIER, "attribute name")?;
                pair.optional(asn1::BOOLEAN, "attribute is critical")?;
                let value = pair.expect(asn1::OCTET_STRING, "attribute value")?;
                if name.content == oid::NAME_VALUE {
                    let value = value.inside().expect(asn1::SEQUENCE, "named value")?;
                    self.attributes.push(name_value(&value)?);
                }
            }
        }
        Ok(())
    }

    fn read_member(&mut self, element: &Element<'_>) -> Result<(), Malformed> {
        let mut parts = element.inside();
        let tag = parts.expect(asn1::OCTET_STRING, "member tag")?;
        let mut member = Member {
            digest: Vec::new(),
            algorithm: Algorithm::Other,
            file: None,
            os_attr: None,
            kind: None,
        };
        if let Some(attributes) = parts.optional(asn1::SET, "member attributes")? {
            let mut list = attributes.inside();
            while !list.is_empty() {
                let mut pair = list.expect(asn1::SEQUENCE, "member attribute")?.inside();
                let name = pair.expect(asn1::OBJECT_IDENTIFIER, "name of a member attribute")?;
                let mut values = pair.expect(asn1::SET, "values of a member attribute")?.inside();
                while !values.is_empty() {
                    member.attribute(name.content, &values.next("value of a member attribute")?)?;
                }
            }
        }
        let tag = digest_of_tag(tag.content);
        self.index(&tag);
        if member.digest.is_empty() {
            member.algorithm = match tag.len() {
                20 => Algorithm::Sha1,
                32 => Algorithm::Sha256,
                _ => Algorithm::Other,
            };
            member.digest = tag;
        } else if member.algorithm != Algorithm::Other && member.digest != tag {
            self.index(&member.digest);
        }
        self.members.push(member);
        Ok(())
    }

    fn index(&mut self, digest: &[u8]) {
        if let Ok(sha1) = digest.try_into() {
            self.sha1.push(sha1);
        } else if let Ok(sha256) = digest.try_into() {
            self.sha256.push(sha256);
        }
    }
}

impl Member {
    fn attribute(&mut self, name: &[u8], value: &Element<'_>) -> Result<(), Malformed> {
        match name {
            oid::NAME_VALUE => {
                let (name, value) = name_value(value)?;
                match &*name {
                    "File" => self.file = Some(value),
                    "OSAttr" => self.os_attr = Some(value),
                    _ => {}
                }
            }
            oid::INDIRECT_DATA => self.indirect(value)?,
            oid::MEMBER_INFO => {
                let subject = value.inside().expect(asn1::BMP_STRING, "member's kind")?;
                let subject = asn1::utf16_be(subject.content).to_ascii_uppercase();
                self.kind = self.kind.or_else(|| {
                    if subject.starts_with("{C689AAB8-") {
                        Some(MemberKind::Pe)
                    } else {
                        subject.starts_with("{DE351A42-").then_some(MemberKind::Flat)
                    }
                });
            }
            oid::MEMBER_INFO_V2 => {
                // The value is one empty element whose tag says it.
                let kind = match value.raw.first() {
                    Some(0x80 | 0xa0) => Some(MemberKind::Pe),
                    Some(&asn1::CONTEXT_2_PRIMITIVE | 0xa2) => Some(MemberKind::Flat),
                    _ => None,
                };
                self.kind = self.kind.or(kind);
            }
            _ => {}
        }
        Ok(())
    }

    /// SpcIndirectData { { kind, … }, { { algorithm }, digest } }.
    fn indirect(&mut self, value: &Element<'_>) -> Result<(), Malformed> {
        let mut parts = value.inside();
        let kind = parts.expect(asn1::SEQUENCE, "member's kind of data")?;
        match kind.inside().expect(asn1::OBJECT_IDENTIFIER, "member's kind of data")?.content {
            oid::PE_IMAGE_DATA => self.kind = Some(MemberKind::Pe),
            oid::FLAT_LINK => self.kind = Some(MemberKind::Flat),
            _ => {}
        }
        let mut digest = parts.expect(asn1::SEQUENCE, "member's digest")?.inside();
        let algorithm = digest.expect(asn1::SEQUENCE, "member's digest algorithm")?;
        let algorithm =
            algorithm.inside().expect(asn1::OBJECT_IDENTIFIER, "member's digest algorithm")?;
        let value = digest.expect(asn1::OCTET_STRING, "member's digest")?;
        (self.algorithm, self.digest) = match (algorithm.content, value.content.len()) {
            (oid::SHA1, 20) => (Algorithm::Sha1, value.content.to_vec()),
            (oid::SHA256, 32) => (Algorithm::Sha256, value.content.to_vec()),
            (oid::SHA1 | oid::SHA256, length) => {
                return Err(
                    value.bad(format!("member's digest: {length} bytes do not fit its algorithm"))
                );
            }
            _ => (Algorithm::Other, value.content.to_vec()),
        };
        Ok(())
    }
}

/// The digest a tag stands for: itself, or what its text says.
fn digest_of_tag(tag: &[u8]) -> Vec<u8> {
    // Forty hexadecimal digits and a zero in UTF-16LE; a SHA-256 would have sixty-four.
    if [80, 82, 128, 130].contains(&tag.len())
        && let Some(digest) = from_hex(&asn1::utf16_le(tag))
    {
        return digest;
    }
    tag.to_vec()
}

/// NameValue { BMPString name, INTEGER flags, OCTET STRING value in UTF-16LE }.
fn name_value(element: &Element<'_>) -> Result<(String, String), Malformed> {
    let mut parts = element.inside();
    let name = parts.expect(asn1::BMP_STRING, "name of a value")?;
    parts.expect(asn1::INTEGER, "flags of a value")?;
    let value = parts.expect(asn1::OCTET_STRING, "named value")?;
    Ok((asn1::utf16_be(name.content), asn1::utf16_le(value.content)))
}

fn too_large(what: &'static str, found: usize, limit: usize) -> CatalogError {
    CatalogError::TooLarge { what, found, limit }
}

impl std::fmt::Display for Member {
    /// Digest and name, for messages.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", to_hex(&self.digest), self.file.as_deref().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::catalog::{NewMember, Trust, ctl_of, testing};

    #[test]
    fn an_unsigned_catalog_names_its_files_and_no_others() {
        let bytes = ctl_of(&testing::members(), &[("OS", "10X64"), ("Submission ID", "1")]);
        let catalog = Catalog::parse(&bytes).unwrap();
        assert_eq!((catalog.attribute("OS"), catalog.attribute("os")), (Some("10X64"), None));
        for (name, content) in testing::files() {
            let digests = FileDigests::of(&content).unwrap();
            assert!(catalog.contains(&digests), "{name}");
            let member =
                catalog.members().iter().find(|member| member.file.as_deref() == Some(name));
            let member = member.unwrap();
            assert_eq!(member.algorithm, Algorithm::Sha256);
            let pe = digests.pe.is_some();
            assert_eq!(member.kind, Some(if pe { MemberKind::Pe } else { MemberKind::Flat }));
            let mut changed = content.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(!catalog.contains(&FileDigests::of(&changed).unwrap()), "{name}");
        }
        let verdict = catalog.verify();
        assert_eq!(
            (verdict.trust, &*verdict.reason),
            (Trust::Unsigned, "the catalog has no signature")
        );
        assert_eq!(verdict.submission_id.as_deref(), Some("1"));
        let mut reversed = testing::members();
        reversed.reverse();
        assert_eq!(ctl_of(&reversed, &[("Submission ID", "1"), ("OS", "10X64")]), bytes);
    }

    #[test]
    fn a_member_of_version_one_is_known_by_its_text() {
        let digest = crate::base::digest::Sha1::of(b"x");
        let text: Vec<u8> = digest
            .to_hex()
            .to_uppercase()
            .encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(digest_of_tag(&text), digest.0);
        assert_eq!(digest_of_tag(b"label"), b"label");
    }

    #[test]
    fn what_is_no_catalog_is_refused_with_its_place() {
        let refused = |bytes: &[u8]| Catalog::parse(bytes).unwrap_err().to_string();
        assert_eq!(refused(b""), "catalog: content info: missing (at offset 0x0)");
        assert!(refused(b"M\0").contains("tag 0x30 expected, 0x4d found"));
        let bytes = ctl_of(&testing::members(), &[]);
        for cut in 0..bytes.len() {
            assert!(Catalog::parse(&bytes[..cut]).is_err());
        }
        let other =
            super::super::write::signed_data(oid::TST_INFO, &asn1::element(4, &[]), &[], &[]);
        assert!(refused(&other).contains("not a certificate trust list"));
    }

    #[test]
    fn a_catalog_of_many_members_is_searched_quickly() {
        let member = |index: u32| NewMember {
            file: format!("{index}.bin"),
            digests: FileDigests::of(&index.to_le_bytes().to_vec()).unwrap(),
        };
        let members: Vec<NewMember> = (0..2000).map(member).collect();
        let catalog = Catalog::parse(&ctl_of(&members, &[])).unwrap();
        assert_eq!(catalog.members().len(), 2000);
        assert!(members.iter().all(|member| catalog.contains(&member.digests)));
        assert!(!catalog.contains(&member(2000).digests));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(catalog) = Catalog::parse(&bytes) {
                prop_assert_eq!(catalog.verify().trust, Trust::Unsigned);
            }
        }

        #[test]
        fn a_mutated_catalog_is_read_or_refused_and_judged_without_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        ) {
            use std::sync::LazyLock;
            static GOOD: LazyLock<Vec<u8>> =
                LazyLock::new(|| testing::NewCatalog::new(oid::WHQL).bytes());
            let mut bytes = GOOD.clone();
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            if let Ok(catalog) = Catalog::parse(&bytes) {
                drop(catalog.verify());
            }
        }
    }
}
