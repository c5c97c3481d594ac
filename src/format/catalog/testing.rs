//! A small world of authorities for tests: keys from fixed primes, certificates, signed catalogs and time-stamps.
//!
//! The keys are public by being written here and are trusted by nothing outside of these tests.

use rsa::{BigUint, RsaPrivateKey, traits::PublicKeyParts as _};

use super::{
    FileDigests, NewMember,
    asn1::{self, element, identifier},
    authorities::{Authority, Role, Source},
    certificate::Hash,
    oid, write,
};
use crate::base::digest::to_hex;

/// Pairs of 512-bit primes.
const PRIMES: [[&str; 2]; 4] = [
    [
        "ddcd3e839568ee3d4aaf0c595357603be621fb79589fccd70888339c757d7e7f4e33333ce732595c567ef72298a89f51e054c32b9700c8f74cba3160b207359f",
        "e617842805c05ce781c4b661d340773fb10c67c34522d32c1dbc1bd4580d4b653bfd2c1900adfc7ced7c49807127d273cfc78559a287fe12e777d8eff8dca677",
    ],
    [
        "c89dafcf6dd1656c42e0439c77b763c27192692fe972fafaca33f6aabe2ec791ba0171118d4a92f1ecd753d1ebb52171991055362fafb0672847ad194b1ec3ad",
        "fb229d5f30b118694e76ce7230d6a99b3ab4e556843fc3ef93057dd8f1eea99346ec7120eb663fb1c5fbad8541491e24face9bbd2050d2e4bb799abca3d39fef",
    ],
    [
        "d9b876626b93afa7dd20aa83860c1d396f8a34dbaa5e29079205ef99fdfcbb791a2415b89899c87f65683d85d13b1ff9c30682984091d0c456381cdf2add7883",
        "c0314b1da94f107611a82ddec4b79997013ccf44debd7ab662c4e91d2cd216bcf24250b611a4fffb95bd54e35769ad17119742f5e1e953a6d8b39be796c5f9a3",
    ],
    [
        "fc8be1dbc1d79df610f2d84bf918ec0e71e3ef3deafed3ae1d1d471e888599a72fb6e36bff4d4c34fda9afea3b8dd63fe6c4ad99a668f0e0153541e054937817",
        "ccb907e4e9d9a1fa7356e39f703f45daee2dcdb9c91905fa9c004385a249a6b64f4764905debbf246504dcbdeebde48115e7d1c2dfe2ce841504b6366c99b4fd",
    ],
];

/// Whose key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Authority = 0,
    Leaf = 1,
    TimeAuthority = 2,
    Stamper = 3,
}

impl Holder {
    fn key(self) -> RsaPrivateKey {
        let [p, q] = PRIMES[self as usize]
            .map(|text| BigUint::from_bytes_be(&crate::base::digest::from_hex(text).unwrap()));
        RsaPrivateKey::from_p_q(p, q, BigUint::from(65_537_u32)).unwrap()
    }

    pub(super) fn sign(self, data: &[u8]) -> Vec<u8> {
        self.key().sign(Hash::Sha256.padding(), &Hash::Sha256.digest(data)).unwrap()
    }

    /// The SubjectPublicKeyInfo.
    fn public(self) -> Vec<u8> {
        let key = self.key();
        let number = |value: &BigUint| {
            let bytes = value.to_bytes_be();
            let zero: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
            element(asn1::INTEGER, &[zero, &bytes])
        };
        let numbers = element(asn1::SEQUENCE, &[&number(key.n()), &number(key.e())]);
        let bits = element(asn1::BIT_STRING, &[&[0], &numbers]);
        element(asn1::SEQUENCE, &[&write::algorithm(oid::RSA), &bits])
    }

    /// Its row in a table of authorities.
    pub(super) fn known(self, roles: &'static [Role]) -> Authority {
        let key = to_hex(&Hash::Sha256.digest(&self.public())).leak();
        Authority { name: "Test Authority", key, roles, source: Source::Embedded }
    }
}

/// A certificate to be made.
#[derive(Debug, Clone)]
pub(super) struct NewCertificate {
    pub(super) holder: Holder,
    pub(super) issuer: Holder,
    pub(super) not_before: &'static str,
    pub(super) not_after: &'static str,
    pub(super) authority: bool,
    pub(super) path_length: Option<u8>,
    pub(super) key_usage: Option<u8>,
    pub(super) purposes: Vec<&'static [u8]>,
    /// A critical extension nobody knows.
    pub(super) demand: bool,
}

impl NewCertificate {
    /// Of `holder`, signed by `issuer`, valid from 2010 to 2020.
    pub(super) fn new(holder: Holder, issuer: Holder, purposes: &[&'static [u8]]) -> Self {
        let authority = matches!(holder, Holder::Authority | Holder::TimeAuthority);
        Self {
            holder,
            issuer,
            not_before: "100101000000Z",
            not_after: "200101000000Z",
            authority,
            path_length: None,
            key_usage: Some(if authority { 0x04 } else { 0x80 }),
            purposes: purposes.to_vec(),
            demand: false,
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let time = |text: &str| element(asn1::UTC_TIME, &[text.as_bytes()]);
        let mut extensions = Vec::new();
        let mut add = |name: &[u8], critical: bool, value: &[u8]| {
            let flag = if critical { element(asn1::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
            let value = element(asn1::OCTET_STRING, &[value]);
            extensions.push(element(asn1::SEQUENCE, &[&identifier(name), &flag, &value]));
        };
        if self.authority {
            let length = self.path_length.map(|length| element(asn1::INTEGER, &[&[length]]));
            let flag = element(asn1::BOOLEAN, &[&[0xff]]);
            let value = element(asn1::SEQUENCE, &[&flag, &length.unwrap_or_default()]);
            add(oid::BASIC_CONSTRAINTS, true, &value);
        }
        if let Some(usage) = self.key_usage {
            add(oid::KEY_USAGE, true, &element(asn1::BIT_STRING, &[&[0, usage]]));
        }
        if !self.purposes.is_empty() {
            let list: Vec<u8> =
                self.purposes.iter().flat_map(|purpose| identifier(purpose)).collect();
            add(oid::EXTENDED_KEY_USAGE, false, &element(asn1::SEQUENCE, &[&list]));
        }
        if self.demand {
            add(&[0x2a, 3, 4], true, &[5, 0]);
        }
        let list = element(asn1::SEQUENCE, &[&extensions.concat()]);
        let body = element(
            asn1::SEQUENCE,
            &[
                &element(asn1::CONTEXT_0, &[&element(asn1::INTEGER, &[&[2]])]),
                &element(asn1::INTEGER, &[&[self.holder as u8 + 1]]),
                &write::algorithm(oid::SHA256_WITH_RSA),
                &name(self.issuer),
                &element(asn1::SEQUENCE, &[&time(self.not_before), &time(self.not_after)]),
                &name(self.holder),
                &self.holder.public(),
                &element(asn1::CONTEXT_3, &[&list]),
            ],
        );
        let signature = element(asn1::BIT_STRING, &[&[0], &self.issuer.sign(&body)]);
        element(asn1::SEQUENCE, &[&body, &write::algorithm(oid::SHA256_WITH_RSA), &signature])
    }
}

fn name(holder: Holder) -> Vec<u8> {
    let value = element(0x0c, &[format!("Test {holder:?}").as_bytes()]);
    let pair = element(asn1::SEQUENCE, &[&identifier(oid::COMMON_NAME), &value]);
    element(asn1::SEQUENCE, &[&element(asn1::SET, &[&pair])])
}

/// A SignerInfo of `holder` over `content`, the bytes without tag and length. Returns the signature too.
fn signer(
    holder: Holder,
    issuer: Holder,
    content_type: &[u8],
    content: &[u8],
    time: Option<&str>,
    unsigned: &dyn Fn(&[u8]) -> Vec<u8>,
) -> Vec<u8> {
    let digest = element(asn1::OCTET_STRING, &[&Hash::Sha256.digest(content)]);
    let mut attributes = vec![
        write::attribute(oid::CONTENT_TYPE, &identifier(content_type)),
        write::attribute(oid::MESSAGE_DIGEST, &digest),
    ];
    if let Some(time) = time {
        let time = element(asn1::UTC_TIME, &[time.as_bytes()]);
        attributes.push(write::attribute(oid::SIGNING_TIME, &time));
    }
    let mut attributes = write::set_of(attributes);
    let signature = holder.sign(&attributes);
    attributes[0] = asn1::CONTEXT_0;
    let serial = element(asn1::INTEGER, &[&[holder as u8 + 1]]);
    element(
        asn1::SEQUENCE,
        &[
            &element(asn1::INTEGER, &[&[1]]),
            &element(asn1::SEQUENCE, &[&name(issuer), &serial]),
            &write::algorithm(oid::SHA256),
            &attributes,
            &write::algorithm(oid::RSA),
            &element(asn1::OCTET_STRING, &[&signature]),
            &unsigned(&signature),
        ],
    )
}

/// How a catalog's signature says its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    None,
    /// RFC 3161, at a time written with four digits of the year.
    Token(&'static str),
    /// PKCS#9, at a time written with two digits of the year.
    Countersignature(&'static str),
}

/// A signed catalog to be made.
#[derive(Debug, Clone)]
pub(super) struct NewCatalog {
    pub(super) authority: NewCertificate,
    pub(super) leaf: NewCertificate,
    pub(super) time_authority: NewCertificate,
    pub(super) stamper: NewCertificate,
    pub(super) stamp: Stamp,
}

impl NewCatalog {
    /// Signed in 2015 by a leaf with code signing and `purpose`.
    pub(super) fn new(purpose: &'static [u8]) -> Self {
        use Holder::{Authority, Leaf, Stamper, TimeAuthority};
        Self {
            authority: NewCertificate::new(Authority, Authority, &[]),
            leaf: NewCertificate::new(Leaf, Authority, &[oid::CODE_SIGNING, purpose]),
            time_authority: NewCertificate::new(TimeAuthority, TimeAuthority, &[]),
            stamper: NewCertificate::new(Stamper, TimeAuthority, &[oid::TIME_STAMPING]),
            stamp: Stamp::Token("20150601120000Z"),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let list = write::trust_list(&members(), &[("OS", "10X64"), ("Submission ID", "42_1")]);
        let content = asn1::Reader::new(&list).next("list").unwrap().content;
        let stampers = [self.stamper.bytes(), self.time_authority.bytes()];
        let unsigned = |signature: &[u8]| {
            let (kind, value) = match self.stamp {
                Stamp::None => return Vec::new(),
                Stamp::Token(time) => {
                    (oid::TIME_STAMP_RFC3161, self.token(signature, time, &stampers))
                }
                Stamp::Countersignature(time) => {
                    let (holder, issuer) = (self.stamper.holder, self.stamper.issuer);
                    let none = |_: &[u8]| Vec::new();
                    (
                        oid::COUNTERSIGNATURE,
                        signer(holder, issuer, oid::DATA, signature, Some(time), &none),
                    )
                }
            };
            element(asn1::CONTEXT_1, &[&write::attribute(kind, &value)])
        };
        let kind = oid::CERTIFICATE_TRUST_LIST;
        let signer = signer(self.leaf.holder, self.leaf.issuer, kind, content, None, &unsigned);
        let mut certificates = vec![self.leaf.bytes(), self.authority.bytes()];
        if matches!(self.stamp, Stamp::Countersignature(_)) {
            certificates.extend(stampers.clone());
        }
        write::signed_data(kind, &list, &certificates, &[signer])
    }

    fn token(&self, signature: &[u8], time: &str, stampers: &[Vec<u8>]) -> Vec<u8> {
        let imprint = element(asn1::OCTET_STRING, &[&Hash::Sha256.digest(signature)]);
        let info = element(
            asn1::SEQUENCE,
            &[
                &element(asn1::INTEGER, &[&[1]]),
                &identifier(&[0x2a, 3, 4]),
                &element(asn1::SEQUENCE, &[&write::algorithm(oid::SHA256), &imprint]),
                &element(asn1::INTEGER, &[&[9]]),
                &element(asn1::GENERALIZED_TIME, &[time.as_bytes()]),
            ],
        );
        let (holder, issuer) = (self.stamper.holder, self.stamper.issuer);
        let signer = signer(holder, issuer, oid::TST_INFO, &info, None, &|_| Vec::new());
        let content = element(asn1::OCTET_STRING, &[&info]);
        write::signed_data(oid::TST_INFO, &content, stampers, &[signer])
    }
}

/// Two files: bytes and a program.
pub(super) fn files() -> [(&'static str, Vec<u8>); 2] {
    [
        ("example.inf", b"[Version]\r\n".to_vec()),
        ("example.sys", crate::format::pe::testing::program(b"code")),
    ]
}

pub(super) fn members() -> Vec<NewMember> {
    let member = |(file, bytes): (&str, Vec<u8>)| NewMember {
        file: file.to_owned(),
        digests: FileDigests::of(&bytes).unwrap(),
    };
    files().into_iter().map(member).collect()
}

/// Both test authorities, the one of code in `role`.
pub(super) fn known(role: Role) -> Vec<Authority> {
    let roles: &'static [Role] = match role {
        Role::Microsoft => &[Role::Microsoft],
        Role::Publisher => &[Role::Publisher],
        Role::Time => &[Role::Time],
    };
    vec![Holder::Authority.known(roles), Holder::TimeAuthority.known(&[Role::Time])]
}
