//! X.509 certificates: the fields a chain is judged by (RFC 5280), and RSA signatures (RFC 8017, PKCS#1 version 1.5).

use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::Digest as _;

use crate::base::{filetime::FileTime, malformed::Malformed};

use super::{asn1, asn1::Element, oid};

/// A certificate larger than this is not read: real ones have one to three KiB.
const MAX_SIZE: usize = 1 << 16;
/// A modulus outside of this many bits is no key we check with.
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 1024..=4096;

/// A hash function of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By the identifier of the function.
    pub(super) fn of_digest(oid: &[u8]) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|hash| hash.oid() == oid)
    }

    /// By the identifier of an RSA signature with it.
    pub(super) fn of_signature(oid: &[u8]) -> Option<Self> {
        match oid {
            oid::SHA1_WITH_RSA => Some(Self::Sha1),
            oid::SHA256_WITH_RSA => Some(Self::Sha256),
            oid::SHA384_WITH_RSA => Some(Self::Sha384),
            oid::SHA512_WITH_RSA => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(super) fn oid(self) -> &'static [u8] {
        match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
            Self::Sha384 => oid::SHA384,
            Self::Sha512 => oid::SHA512,
        }
    }

    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1::Sha1::digest(data).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(data).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(data).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(data).to_vec(),
        }
    }

    /// The padding that names the function: DigestInfo without the digest.
    pub(super) fn padding(self) -> Pkcs1v15Sign {
        let length: u8 = match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        };
        let name = asn1::element(
            asn1::SEQUENCE,
            &[&asn1::identifier(self.oid()), &asn1::element(asn1::NULL, &[])],
        );
        let digest = asn1::element(asn1::OCTET_STRING, &[&vec![0; length.into()]]);
        let mut prefix = asn1::element(asn1::SEQUENCE, &[&name, &digest]);
        prefix.truncate(prefix.len() - usize::from(length));
        Pkcs1v15Sign { hash_len: Some(length.into()), prefix: prefix.into() }
    }
}

/// An RSA key whose size and form were checked.
#[derive(Debug, Clone)]
pub(super) struct Key(RsaPublicKey);

impl Key {
    /// From big-endian modulus and exponent; `None` for one nobody should sign with.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
        let number = BigUint::from_bytes_be(modulus);
        if !odd(modulus)
            || !odd(exponent)
            || exponent.len() > 5
            || !MODULUS_BITS.contains(&number.bits())
        {
            return None;
        }
        let key = RsaPublicKey::new_with_max_size(number, BigUint::from_bytes_be(exponent), 4096);
        key.ok().map(Self)
    }

    /// Reads a SubjectPublicKeyInfo; `None` for another kind of key.
    fn read(info: &Element<'_>) -> Result<Option<Self>, Malformed> {
        let mut info = info.inside();
        let algorithm = info.expect(asn1::SEQUENCE, "key algorithm")?;
        let name = algorithm.inside().expect(asn1::OBJECT_IDENTIFIER, "key algorithm")?;
        if name.content != oid::RSA {
            return Ok(None);
        }
        let key = info.expect(asn1::BIT_STRING, "key")?;
        let bits = key.bits("key")?;
        let mut numbers = asn1::Reader::new(bits).expect(asn1::SEQUENCE, "RSA key")?.inside();
        let modulus = numbers.expect(asn1::INTEGER, "modulus")?;
        let exponent = numbers.expect(asn1::INTEGER, "exponent")?;
        Ok(Self::new(modulus.content, exponent.content))
    }

    /// True when `signature` over `data` was made with the private half.
    pub(super) fn verifies(&self, hash: Hash, data: &[u8], signature: &[u8]) -> bool {
        self.0.verify(hash.padding(), &hash.digest(data), signature).is_ok()
    }
}

impl Key {
    /// The same for a signature that pads the digest alone, without the name of its function.
    pub(super) fn verifies_bare(&self, hash: Hash, data: &[u8], signature: &[u8]) -> bool {
        let digest = hash.digest(data);
        let padding = Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: Box::default() };
        self.0.verify(padding, &digest, signature).is_ok()
    }
}

/// What a certificate says and what its issuer signed of it.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// The bytes the issuer signed.
    signed: Vec<u8>,
    signature_hash: Option<Hash>,
    signature: Vec<u8>,
    pub(super) serial: Vec<u8>,
    /// Names as they stand, to compare.
    pub(super) issuer: Vec<u8>,
    pub(super) subject: Vec<u8>,
    /// The subject's common name, or the nearest to one it has.
    pub(super) name: String,
    pub(super) issuer_name: String,
    pub(super) not_before: FileTime,
    pub(super) not_after: FileTime,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub(super) key_hash: [u8; 32],
    /// `None` for a kind of key we do not check with.
    pub(super) key: Option<Key>,
    pub(super) authority: bool,
    /// How many authorities may stand between this one and a leaf.
    pub(super) path_length: Option<u32>,
    /// The first two bytes of the key usage, most significant bit first.
    pub(super) key_usage: Option<[u8; 2]>,
    pub(super) purposes: Option<Vec<Vec<u8>>>,
    /// It demands something we do not know to be honoured.
    pub(super) unknown_demand: bool,
}

/// Key usage: digitalSignature, nonRepudiation and keyCertSign in the first byte.
pub(super) const USAGE_SIGNATURE: u8 = 0xc0;
pub(super) const USAGE_CERTIFICATES: u8 = 0x04;

impl Certificate {
    /// Reads a certificate.
    pub(super) fn read(element: &Element<'_>) -> Result<Self, Malformed> {
        if element.raw.len() > MAX_SIZE {
            return Err(element.bad(format!("certificate: more than {MAX_SIZE} bytes")));
        }
        let mut outer = element.inside();
        let signed = outer.expect(asn1::SEQUENCE, "certificate body")?;
        let algorithm = outer.expect(asn1::SEQUENCE, "certificate's signature algorithm")?;
        let algorithm =
            algorithm.inside().expect(asn1::OBJECT_IDENTIFIER, "signature algorithm")?;
        let signature = outer.expect(asn1::BIT_STRING, "certificate's signature")?;
        let mut body = signed.inside();
        body.optional(asn1::CONTEXT_0, "certificate version")?;
        let serial = body.expect(asn1::INTEGER, "serial number")?;
        body.expect(asn1::SEQUENCE, "inner signature algorithm")?;
        let issuer = body.expect(asn1::SEQUENCE, "issuer")?;
        let mut validity = body.expect(asn1::SEQUENCE, "validity")?.inside();
        let subject = body.expect(asn1::SEQUENCE, "subject")?;
        let key = body.expect(asn1::SEQUENCE, "public key")?;
        let mut certificate = Self {
            signed: signed.raw.to_vec(),
            signature_hash: Hash::of_signature(algorithm.content),
            signature: signature.bits("certificate's signature")?.to_vec(),
            serial: serial.content.to_vec(),
            issuer: issuer.raw.to_vec(),
            subject: subject.raw.to_vec(),
            name: common_name(&subject)?,
            issuer_name: common_name(&issuer)?,
            not_before: validity.next("validity start")?.time("validity start")?,
            not_after: validity.next("validity end")?.time("validity end")?,
            key_hash: sha2::Sha256::digest(key.raw).into(),
            key: Key::read(&key)?,
            authority: false,
            path_length: None,
            key_usage: None,
            purposes: None,
            unknown_demand: false,
        };
        while !body.is_empty() {
            let part = body.next("certificate extensions")?;
            if part.tag == asn1::CONTEXT_3 {
                let mut list =
                    part.inside().expect(asn1::SEQUENCE, "certificate extensions")?.inside();
                while !list.is_empty() {
                    certificate
                        .extension(&list.expect(asn1::SEQUENCE, "certificate extension")?)?;
                }
            }
        }
        Ok(certificate)
    }

    fn extension(&mut self, extension: &Element<'_>) -> Result<(), Malformed> {
        let mut parts = extension.inside();
        let name = parts.expect(asn1::OBJECT_IDENTIFIER, "extension name")?;
        let critical = parts.optional(asn1::BOOLEAN, "extension is critical")?;
        let value = parts.expect(asn1::OCTET_STRING, "extension value")?;
        let mut inside = value.inside();
        match name.content {
            oid::BASIC_CONSTRAINTS => {
                let mut fields = inside.expect(asn1::SEQUENCE, "basic constraints")?.inside();
                let authority = fields.optional(asn1::BOOLEAN, "basic constraints")?;
                self.authority = authority.is_some_and(|flag| flag.content != [0]);
                if let Some(length) = fields.optional(asn1::INTEGER, "path length")? {
                    let [small] = *length.content else {
                        return Err(length.bad("path length: not a small number"));
                    };
                    self.path_length = Some(small.into());
                }
            }
            oid::KEY_USAGE => {
                let bits = inside.expect(asn1::BIT_STRING, "key usage")?;
                let byte = |index| bits.content.get(index).copied().unwrap_or(0);
                self.key_usage = Some([byte(1), byte(2)]);
            }
            oid::EXTENDED_KEY_USAGE => {
                let mut list = inside.expect(asn1::SEQUENCE, "extended key usage")?.inside();
                let mut purposes = Vec::new();
                while !list.is_empty() {
                    let purpose = list.expect(asn1::OBJECT_IDENTIFIER, "extended key usage")?;
                    purposes.push(purpose.content.to_vec());
                }
                self.purposes = Some(purposes);
            }
            // Policies restrict nothing unless the one who judges asks for one.
            oid::CERTIFICATE_POLICIES => {}
            _ => self.unknown_demand |= critical.is_some_and(|flag| flag.content != [0]),
        }
        Ok(())
    }

    /// True when the holder of `key` signed this certificate.
    pub(super) fn signed_by(&self, key: &Key) -> bool {
        self.signature_hash.is_some_and(|hash| key.verifies(hash, &self.signed, &self.signature))
    }

    /// True when it lists no purposes or this one.
    pub(super) fn serves(&self, purpose: &[u8]) -> bool {
        self.purposes.as_ref().is_none_or(|purposes| {
            purposes.iter().any(|listed| listed == purpose || listed == oid::ANY_PURPOSE)
        })
    }

    /// True when it lists exactly this purpose among others.
    pub(super) fn lists(&self, purpose: &[u8]) -> bool {
        self.purposes
            .as_ref()
            .is_some_and(|purposes| purposes.iter().any(|listed| listed == purpose))
    }
}

/// The common name of a distinguished name, else its organizational unit, else its organization.
fn common_name(name: &Element<'_>) -> Result<String, Malformed> {
    let mut found: [Option<String>; 3] = [None, None, None];
    let mut parts = name.inside();
    while !parts.is_empty() {
        let mut set = parts.expect(asn1::SET, "part of a name")?.inside();
        while !set.is_empty() {
            let mut pair = set.expect(asn1::SEQUENCE, "part of a name")?.inside();
            let kind = pair.expect(asn1::OBJECT_IDENTIFIER, "part of a name")?;
            let value = pair.next("part of a name")?;
            let rank = match kind.content {
                oid::COMMON_NAME => 0,
                oid::ORGANIZATIONAL_UNIT => 1,
                oid::ORGANIZATION => 2,
                _ => continue,
            };
            found[rank].get_or_insert_with(|| match value.tag {
                asn1::BMP_STRING => asn1::utf16_be(value.content),
                _ => String::from_utf8_lossy(value.content).into_owned(),
            });
        }
    }
    Ok(found.into_iter().flatten().next().unwrap_or_default())
}
