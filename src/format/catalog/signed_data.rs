//! PKCS#7 SignedData: content, certificates, signers. Catalogs and time-stamp tokens are both one.
//!
//! ```text
//! ContentInfo { signedData, [0] SignedData { version, digest algorithms, { content type, [0] content },
//!               [0] certificates, [1] revocation lists, signers } }
//! signer { version, { issuer, serial }, digest algorithm, [0] signed attributes, signature algorithm, signature,
//!          [1] unsigned attributes }
//! ```
//! A signer signs the signed attributes, written as a SET; one of them is the digest of the content's bytes *without* its tag and
//! length (RFC 2315 9.3). Known from RFC 2315 and 5652 and checked on real catalogs.

use crate::base::{filetime::FileTime, malformed::Malformed};

use super::{
    asn1::{self, Element, Reader},
    certificate::{Certificate, Hash, USAGE_SIGNATURE},
    oid,
};

/// More certificates or signers than this are not read; real catalogs have up to six and one.
const MAX_CERTIFICATES: usize = 64;
const MAX_SIGNERS: usize = 8;
/// More unsigned attributes of one kind than this are not looked at.
const MAX_UNSIGNED: usize = 4;

/// What [`read`] found.
#[derive(Debug)]
pub(super) struct SignedData<'a> {
    pub(super) content_type: &'a [u8],
    /// The content's element: a sequence in a catalog, an octet string in a time-stamp token.
    pub(super) content: Element<'a>,
    pub(super) certificates: Vec<Certificate>,
    /// The first certificate that could not be read. Without it a chain is shorter, and that is judged.
    pub(super) unreadable: Option<Malformed>,
    pub(super) signers: Vec<Signer>,
}

/// One signature.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    issuer: Vec<u8>,
    serial: Vec<u8>,
    /// `None` for a function we do not check with.
    pub(super) digest: Option<Hash>,
    /// True when the signature algorithm is RSA with the same hash function.
    rsa: bool,
    /// The signed attributes as a SET, and what they say. Empty when there are none.
    attributes: Vec<u8>,
    content_type: Vec<u8>,
    message_digest: Vec<u8>,
    pub(super) signing_time: Option<FileTime>,
    pub(super) signature: Vec<u8>,
    /// RFC 3161 tokens and PKCS#9 countersignatures, as they stand.
    pub(super) tokens: Vec<Vec<u8>>,
    pub(super) countersignatures: Vec<Vec<u8>>,
}

/// Reads a ContentInfo that holds SignedData.
pub(super) fn read(bytes: &[u8]) -> Result<SignedData<'_>, Malformed> {
    let mut info = Reader::new(bytes).expect(asn1::SEQUENCE, "content info")?.inside();
    let kind = info.expect(asn1::OBJECT_IDENTIFIER, "kind of content")?;
    if kind.content != oid::SIGNED_DATA {
        return Err(kind.bad("kind of content: not PKCS#7 signed data"));
    }
    let wrapped = info.expect(asn1::CONTEXT_0, "signed data")?;
    let mut parts = wrapped.inside().expect(asn1::SEQUENCE, "signed data")?.inside();
    parts.expect(asn1::INTEGER, "version of signed data")?;
    parts.expect(asn1::SET, "digest algorithms")?;
    let mut encapsulated = parts.expect(asn1::SEQUENCE, "signed content")?.inside();
    let content_type =
        encapsulated.expect(asn1::OBJECT_IDENTIFIER, "type of the signed content")?;
    let content =
        encapsulated.expect(asn1::CONTEXT_0, "signed content")?.inside().next("signed content")?;
    let mut certificates = Vec::new();
    let mut unreadable = None;
    if let Some(set) = parts.optional(asn1::CONTEXT_0, "certificates")? {
        let mut list = set.inside();
        while !list.is_empty() {
            let element = list.next("certificate")?;
            // The other choices are attribute certificates, which time-stamp tokens of Microsoft carry and nobody needs.
            if element.tag != asn1::SEQUENCE {
                continue;
            }
            if certificates.len() == MAX_CERTIFICATES {
                return Err(element.bad(format!("more than {MAX_CERTIFICATES} certificates")));
            }
            match Certificate::read(&element) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => drop(unreadable.get_or_insert(error)),
            }
        }
    }
    parts.optional(asn1::CONTEXT_1, "revocation lists")?;
    let mut list = parts.expect(asn1::SET, "signers")?.inside();
    let mut signers = Vec::new();
    while !list.is_empty() {
        let element = list.expect(asn1::SEQUENCE, "signer")?;
        if signers.len() == MAX_SIGNERS {
            return Err(element.bad(format!("more than {MAX_SIGNERS} signers")));
        }
        signers.push(Signer::read(&element)?);
    }
    Ok(SignedData {
        content_type: content_type.content,
        content,
        certificates,
        unreadable,
        signers,
    })
}

impl Signer {
    /// Reads a SignerInfo.
    pub(super) fn read(element: &Element<'_>) -> Result<Self, Malformed> {
        let mut parts = element.inside();
        parts.expect(asn1::INTEGER, "version of the signer")?;
        let mut who = parts.expect(asn1::SEQUENCE, "signer's issuer and serial number")?.inside();
        let issuer = who.expect(asn1::SEQUENCE, "signer's issuer")?;
        let serial = who.expect(asn1::INTEGER, "signer's serial number")?;
        let algorithm = |parts: &mut Reader<'_>, what| {
            let sequence = parts.expect(asn1::SEQUENCE, what)?;
            sequence.inside().expect(asn1::OBJECT_IDENTIFIER, what).map(|oid| oid.content.to_vec())
        };
        let digest = Hash::of_digest(&algorithm(&mut parts, "signer's digest algorithm")?);
        let attributes = parts.optional(asn1::CONTEXT_0, "signed attributes")?;
        let method = algorithm(&mut parts, "signature algorithm")?;
        let signature = parts.expect(asn1::OCTET_STRING, "signature")?;
        let mut signer = Self {
            issuer: issuer.raw.to_vec(),
            serial: serial.content.to_vec(),
            digest,
            rsa: method == oid::RSA || (digest.is_some() && Hash::of_signature(&method) == digest),
            attributes: Vec::new(),
            content_type: Vec::new(),
            message_digest: Vec::new(),
            signing_time: None,
            signature: signature.content.to_vec(),
            tokens: Vec::new(),
            countersignatures: Vec::new(),
        };
        if let Some(attributes) = attributes {
            signer.attributes = attributes.raw.to_vec();
            signer.attributes[0] = asn1::SET;
            signer.signed_attributes(&attributes)?;
        }
        if let Some(attributes) = parts.optional(asn1::CONTEXT_1, "unsigned attributes")? {
            signer.unsigned_attributes(&attributes)?;
        }
        Ok(signer)
    }

    fn signed_attributes(&mut self, attributes: &Element<'_>) -> Result<(), Malformed> {
        let mut list = attributes.inside();
        let mut seen = [false; 3];
        while !list.is_empty() {
            let (name, mut values) = attribute(&mut list)?;
            let index = match name.content {
                oid::CONTENT_TYPE => 0,
                oid::MESSAGE_DIGEST => 1,
                oid::SIGNING_TIME => 2,
                _ => continue,
            };
            let value = values.next("value of a signed attribute")?;
            if std::mem::replace(&mut seen[index], true) || !values.is_empty() {
                return Err(name.bad("a signed attribute stands twice"));
            }
            match index {
                0 => self.content_type = value.content.to_vec(),
                1 => self.message_digest = value.content.to_vec(),
                _ => self.signing_time = Some(value.time("signing time")?),
            }
        }
        Ok(())
    }

    fn unsigned_attributes(&mut self, attributes: &Element<'_>) -> Result<(), Malformed> {
        let mut list = attributes.inside();
        while !list.is_empty() {
            let (name, mut values) = attribute(&mut list)?;
            let kept = match name.content {
                oid::TIME_STAMP_RFC3161 => &mut self.tokens,
                oid::COUNTERSIGNATURE => &mut self.countersignatures,
                _ => continue,
            };
            while !values.is_empty() {
                let value = values.next("value of an unsigned attribute")?;
                if kept.len() == MAX_UNSIGNED {
                    return Err(value.bad(format!("more than {MAX_UNSIGNED} time-stamps")));
                }
                kept.push(value.raw.to_vec());
            }
        }
        Ok(())
    }

    /// The certificate the signer names.
    pub(super) fn certificate<'a>(
        &self,
        certificates: &'a [Certificate],
    ) -> Option<&'a Certificate> {
        certificates.iter().find(|one| one.issuer == self.issuer && one.serial == self.serial)
    }

    /// Checks the signature over content of `content_type` with digest `content_digest` (in the signer's own function).
    ///
    /// # Errors
    /// What does not hold, for a person.
    pub(super) fn check(
        &self,
        certificate: &Certificate,
        content_type: &[u8],
        content_digest: &[u8],
    ) -> Result<(), String> {
        let (Some(hash), true) = (self.digest, self.rsa) else {
            return Err("it is made with an algorithm this program does not check".into());
        };
        let Some(key) = &certificate.key else {
            return Err(format!(
                "the key of \"{}\" is of a kind this program does not check",
                certificate.name
            ));
        };
        if certificate.key_usage.is_some_and(|usage| usage[0] & USAGE_SIGNATURE == 0) {
            return Err(format!("the key of \"{}\" is not for signing", certificate.name));
        }
        if self.attributes.is_empty() || self.content_type != content_type {
            return Err("it does not say what it signs".into());
        }
        if self.message_digest != content_digest {
            return Err("what is signed was changed after signing".into());
        }
        // Countersignatures of Symantec's service (2012 to 2020) pad the bare digest. As we remember it, Windows accepts
        // that; it is as hard to forge.
        let bare = || {
            content_type == oid::DATA && key.verifies_bare(hash, &self.attributes, &self.signature)
        };
        if !key.verifies(hash, &self.attributes, &self.signature) && !bare() {
            return Err(format!("it was not made with the key of \"{}\"", certificate.name));
        }
        Ok(())
    }
}

/// An attribute's name and values.
fn attribute<'a>(list: &mut Reader<'a>) -> Result<(Element<'a>, Reader<'a>), Malformed> {
    let mut pair = list.expect(asn1::SEQUENCE, "attribute")?.inside();
    let name = pair.expect(asn1::OBJECT_IDENTIFIER, "attribute name")?;
    Ok((name, pair.expect(asn1::SET, "attribute values")?.inside()))
}
