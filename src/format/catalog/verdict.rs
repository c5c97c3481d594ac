//! What a signature is worth: the signature itself, the chain of its certificate, its time-stamp. Offline, without a clock.
//!
//! Certificates of drivers expire within a year or three and their signatures stay good, because a time-stamp says that they were
//! made while the certificate was valid. So validity is judged at the time of the time-stamp and never at today's date. Without a
//! time-stamp it cannot be judged: such a signature is at best [`Trust::Authenticode`], after a look whether the certificates were
//! valid on the day the catalog itself claims. A time-stamp that does not hold makes it [`Trust::Test`]. Revocation is not looked
//! at: that needs a network; Windows does when it installs and loads the driver. SHA-1 is accepted, as in Windows, where a
//! time-stamp is; MD5 is not.

use crate::base::filetime::FileTime;

use super::{
    asn1::{self, Reader},
    authorities::{self, Authority, Role},
    certificate::{Certificate, Hash, USAGE_CERTIFICATES},
    oid,
    signed_data::{self, Signer},
};

/// Certificates between a leaf and a known authority, both included.
const MAX_CHAIN: usize = 8;
/// Signatures tried while looking for issuers: bounds the work of a hostile file.
const MAX_TRIES: usize = 64;

/// How far a catalog's signature carries.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Microsoft signed it after the tests of its hardware program.
    Whql,
    /// Microsoft signed it as received, without tests.
    Attested,
    /// A maker signed it with a certificate of a commercial authority, or Microsoft as something else than a driver.
    Authenticode,
    /// It is signed, but by nobody known: a test certificate, or one whose chain does not hold.
    Test,
    /// No signature, or a broken one.
    Unsigned,
}

impl Trust {
    /// What Windows stores as `SignerScore` of an installed driver package; lower is better.
    ///
    /// From setupapi's published ranks: WHQL 0x0D000005, unclassified 0x0D000004, Authenticode 0x0F000000, unsigned 0x80000000. That
    /// an attested driver is "unclassified" and a test-signed one counts as unsigned is our guess.
    #[must_use]
    pub fn signer_score(self) -> u32 {
        match self {
            Self::Whql => 0x0d00_0005,
            Self::Attested => 0x0d00_0004,
            Self::Authenticode => 0x0f00_0000,
            Self::Test | Self::Unsigned => 0x8000_0000,
        }
    }

    /// The word for it in recipes and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Whql => "whql",
            Self::Attested => "attested",
            Self::Authenticode => "authenticode",
            Self::Test => "test",
            Self::Unsigned => "unsigned",
        }
    }
}

/// What a catalog's signature is worth, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How far it carries.
    pub trust: Trust,
    /// Its certificate leads to a root of Microsoft's own; whether that makes it a driver's or a package's is in [`Verdict::trust`].
    pub by_microsoft: bool,
    /// Common name of the one who signed; empty when unsigned.
    pub signer: String,
    /// When, according to a time-stamp that holds.
    pub signed_at: Option<FileTime>,
    /// Microsoft's number of the submission, as the catalog says it.
    pub submission_id: Option<String>,
    /// Why it is not worth more; empty for [`Trust::Whql`].
    pub reason: String,
    /// Common names from the signer's certificate to the authority reached, or to where the chain ended.
    pub chain: Vec<String>,
}

/// A signature to be judged.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    pub(super) signers: &'a [Signer],
    pub(super) certificates: &'a [Certificate],
    /// Why a certificate is missing, if one could not be read.
    pub(super) unreadable: Option<String>,
    pub(super) content_type: &'a [u8],
    /// In the first signer's function.
    pub(super) content_digest: &'a [u8],
    /// The day the content claims to be from.
    pub(super) claimed: Option<FileTime>,
    /// Whom to believe.
    pub(super) known: &'a [Authority],
}

impl Signature<'_> {
    /// Judges it; the submission is not known here.
    pub(super) fn judge(&self) -> Verdict {
        let mut verdict = Verdict {
            trust: Trust::Unsigned,
            by_microsoft: false,
            signer: String::new(),
            signed_at: None,
            submission_id: None,
            reason: String::new(),
            chain: Vec::new(),
        };
        let (signer, leaf) = match self.signed_by() {
            Ok(found) => found,
            Err(reason) => return Verdict { reason, ..verdict },
        };
        verdict.signer.clone_from(&leaf.name);
        let time = time_stamp(signer, self.certificates, self.known);
        let (mut when, mut doubt) = (self.claimed, None);
        match time {
            Ok(Some(time)) => {
                verdict.signed_at = Some(time);
                when = Some(time);
            }
            Ok(None) => {}
            Err(reason) => doubt = Some(format!("its time-stamp does not hold: {reason}")),
        }
        let mut chain = Chain::build(leaf, self.certificates, Role::Microsoft, self.known);
        if chain.anchor.is_none() {
            chain = Chain::build(leaf, self.certificates, Role::Publisher, self.known);
        }
        verdict.by_microsoft = chain.role == Role::Microsoft && chain.anchor.is_some();
        verdict.chain = chain.names();
        let problem = doubt.or_else(|| chain.problem(oid::CODE_SIGNING, when));
        (verdict.trust, verdict.reason) = match problem {
            Some(reason) => (Trust::Test, reason),
            None => chain.worth(verdict.signed_at.is_some()),
        };
        verdict
    }

    /// The one signer and its certificate, when the signature over the content holds.
    fn signed_by(&self) -> Result<(&Signer, &Certificate), String> {
        let signer = match self.signers {
            [] => return Err("the catalog has no signature".into()),
            [one] => one,
            more => {
                return Err(format!(
                    "the catalog has {} signatures where one is expected",
                    more.len()
                ));
            }
        };
        let Some(leaf) = signer.certificate(self.certificates) else {
            let cause = self.unreadable.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            return Err(format!("the certificate of the signature is not in the catalog{cause}"));
        };
        match signer.check(leaf, self.content_type, self.content_digest) {
            Ok(()) => Ok((signer, leaf)),
            Err(why) => Err(format!("the signature is broken: {why}")),
        }
    }
}

/// The way from a certificate to an authority.
#[derive(Debug)]
struct Chain<'a> {
    path: Vec<&'a Certificate>,
    role: Role,
    anchor: Option<Anchor<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Anchor<'a> {
    /// That of the last certificate of the path.
    Last(&'a Authority),
    /// A root whose certificate is not part of the path.
    Above(&'static str),
}

impl<'a> Chain<'a> {
    /// Follows issuers among `pool`, each link's signature verified.
    fn build(
        leaf: &'a Certificate,
        pool: &'a [Certificate],
        role: Role,
        known: &'a [Authority],
    ) -> Self {
        let mut chain = Self { path: vec![leaf], role, anchor: None };
        let mut tries = 0;
        while chain.path.len() <= MAX_CHAIN {
            let current = chain.path[chain.path.len() - 1];
            if let Some(root) = authorities::root_of(current, role) {
                chain.anchor = Some(Anchor::Above(root.name));
                break;
            }
            if let Some(authority) =
                authorities::authority_of(known, current, role).filter(|_| chain.path.len() > 1)
            {
                chain.anchor = Some(Anchor::Last(authority));
                break;
            }
            let mut issuers: Vec<&Certificate> = pool
                .iter()
                .filter(|one| one.subject == current.issuer)
                .filter(|one| chain.path.iter().all(|used| used.key_hash != one.key_hash))
                .collect();
            issuers.sort_by_key(|one| authorities::authority_of(known, one, role).is_none());
            let issuer = issuers.into_iter().find(|one| {
                tries += 1;
                tries <= MAX_TRIES && one.key.as_ref().is_some_and(|key| current.signed_by(key))
            });
            match issuer {
                Some(issuer) => chain.path.push(issuer),
                None => break,
            }
        }
        chain
    }

    fn names(&self) -> Vec<String> {
        let above = match self.anchor {
            Some(Anchor::Above(name)) => Some(name.to_owned()),
            _ => None,
        };
        self.path.iter().map(|one| one.name.clone()).chain(above).collect()
    }

    /// Why it does not carry `purpose` at `when`; `None` when it does.
    fn problem(&self, purpose: &[u8], when: Option<FileTime>) -> Option<String> {
        let leaf = self.path[0];
        let top = self.path[self.path.len() - 1];
        if !leaf.lists(purpose) {
            return Some(format!("the certificate of \"{}\" is not for this purpose", leaf.name));
        }
        for (index, certificate) in self.path.iter().enumerate() {
            let name = &certificate.name;
            if certificate.unknown_demand {
                return Some(format!(
                    "the certificate of \"{name}\" demands what this program does not know"
                ));
            }
            // A root is a name and a key; the dates of whatever certificate shows it do not matter (RFC 5280 6.1.1).
            let is_root = index + 1 == self.path.len()
                && matches!(self.anchor, Some(Anchor::Last(authority)) if authority.is_root());
            if let Some(when) = when.filter(|_| !is_root)
                && !(certificate.not_before..=certificate.not_after).contains(&when)
            {
                return Some(format!("the certificate of \"{name}\" was not valid on {when}"));
            }
            if index == 0 {
                continue;
            }
            let usage =
                certificate.key_usage.is_none_or(|usage| usage[0] & USAGE_CERTIFICATES != 0);
            let below = u32::try_from(index - 1).unwrap_or(u32::MAX);
            let length = certificate.path_length.is_none_or(|length| below <= length);
            if !certificate.authority || !usage || !length || !certificate.serves(purpose) {
                return Some(format!("\"{name}\" may not issue the certificate below it"));
            }
        }
        if self.anchor.is_none() {
            let (name, issuer) = (&top.name, &top.issuer_name);
            return Some(if top.issuer == top.subject {
                format!("its chain ends at \"{name}\", which is not a known authority")
            } else {
                format!(
                    "its chain ends at \"{name}\"; the issuer \"{issuer}\" is not a known authority or did not sign it"
                )
            });
        }
        None
    }

    /// The class of a chain without problems, and why not a better one.
    fn worth(&self, stamped: bool) -> (Trust, String) {
        let leaf = self.path[0];
        // A purpose counts when every authority above that limits purposes lets it through.
        let lists =
            |purpose| leaf.lists(purpose) && self.path[1..].iter().all(|one| one.serves(purpose));
        if self.role != Role::Microsoft {
            let missing = if stamped {
                ""
            } else {
                ", and without a time-stamp nobody can tell whether its certificate was valid"
            };
            let through = match self.anchor {
                Some(Anchor::Last(authority)) => authority.name,
                Some(Anchor::Above(name)) => name,
                None => "",
            };
            let reason =
                format!("signed by its maker through \"{through}\", not by Microsoft{missing}");
            return (Trust::Authenticode, reason);
        }
        if !stamped {
            let reason = "signed by Microsoft, but without a time-stamp nobody can tell whether the certificate was valid";
            return (Trust::Authenticode, reason.into());
        }
        if lists(oid::ATTESTED) {
            (Trust::Attested, "Microsoft signed it as received (attestation), without tests".into())
        } else if lists(oid::WHQL) {
            (Trust::Whql, String::new())
        } else if lists(oid::EXTENDED_VERIFICATION) {
            (Trust::Attested, "the certificate is not for tested drivers (WHQL)".into())
        } else {
            (
                Trust::Authenticode,
                "signed by Microsoft, but not as a driver of its hardware program".into(),
            )
        }
    }
}

/// The time a signature was made according to its time-stamp; `None` without one.
fn time_stamp(
    signer: &Signer,
    certificates: &[Certificate],
    known: &[Authority],
) -> Result<Option<FileTime>, String> {
    if let Some(token) = signer.tokens.first() {
        return token_time(token, signer, known).map(Some);
    }
    if let Some(countersignature) = signer.countersignatures.first() {
        return countersigned_time(countersignature, signer, certificates, known).map(Some);
    }
    Ok(None)
}

/// RFC 3161: a token is SignedData over TSTInfo { version, policy, { algorithm, digest of the signature }, serial number, time, … }.
fn token_time(token: &[u8], signer: &Signer, known: &[Authority]) -> Result<FileTime, String> {
    let bad = |error: crate::base::malformed::Malformed| format!("in the token, {error}");
    let data = signed_data::read(token).map_err(bad)?;
    let [stamper] = &data.signers[..] else {
        return Err("the token has not one signature".into());
    };
    if data.content_type != oid::TST_INFO || data.content.tag != asn1::OCTET_STRING {
        return Err("the token does not hold a time".into());
    }
    let read = || {
        let mut info = data.content.inside().expect(asn1::SEQUENCE, "time-stamp")?.inside();
        info.expect(asn1::INTEGER, "version of the time-stamp")?;
        info.expect(asn1::OBJECT_IDENTIFIER, "policy of the time-stamp")?;
        let mut imprint = info.expect(asn1::SEQUENCE, "what is stamped")?.inside();
        let algorithm = imprint.expect(asn1::SEQUENCE, "digest algorithm")?;
        let algorithm = algorithm.inside().expect(asn1::OBJECT_IDENTIFIER, "digest algorithm")?;
        let digest = imprint.expect(asn1::OCTET_STRING, "digest of what is stamped")?;
        info.expect(asn1::INTEGER, "serial number of the time-stamp")?;
        let time = info.expect(asn1::GENERALIZED_TIME, "time")?.time("time")?;
        Ok((algorithm.content, digest.content, time))
    };
    let (algorithm, imprint, time) = read().map_err(bad)?;
    let stamped = Hash::of_digest(algorithm).map(|hash| hash.digest(&signer.signature));
    if stamped.as_deref() != Some(imprint) {
        return Err("it is of another signature".into());
    }
    let digest = stamper.digest.map(|hash| hash.digest(data.content.content)).unwrap_or_default();
    check_stamp(stamper, (&data.certificates, known), oid::TST_INFO, &digest, time)
}

/// PKCS#9: a signer over the signature it countersigns, with a signing time; its certificates are among the catalog's.
fn countersigned_time(
    bytes: &[u8],
    signer: &Signer,
    pool: &[Certificate],
    known: &[Authority],
) -> Result<FileTime, String> {
    let read = || Signer::read(&Reader::new(bytes).expect(asn1::SEQUENCE, "countersignature")?);
    let stamper = read().map_err(|error| format!("in the countersignature, {error}"))?;
    let time = stamper.signing_time.ok_or("it says no time")?;
    let digest = stamper.digest.map(|hash| hash.digest(&signer.signature)).unwrap_or_default();
    check_stamp(&stamper, (pool, known), oid::DATA, &digest, time)
}

/// Checks who stamped, and gives the time back.
fn check_stamp(
    stamper: &Signer,
    (pool, known): (&[Certificate], &[Authority]),
    content_type: &[u8],
    digest: &[u8],
    time: FileTime,
) -> Result<FileTime, String> {
    let leaf =
        stamper.certificate(pool).ok_or("the certificate of the one who stamped is missing")?;
    stamper.check(leaf, content_type, digest)?;
    let chain = Chain::build(leaf, pool, Role::Time, known);
    chain.problem(oid::TIME_STAMPING, Some(time)).map_or(Ok(time), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::catalog::{
        Catalog,
        testing::{Holder, NewCatalog, Stamp, known},
    };

    fn judged(catalog: &NewCatalog, role: Role) -> (Trust, String) {
        let verdict = Catalog::parse(&catalog.bytes()).unwrap().judge(&known(role));
        (verdict.trust, verdict.reason)
    }

    #[test]
    fn the_class_is_what_authority_purpose_and_time_stamp_allow() {
        let whql = NewCatalog::new(oid::WHQL);
        let verdict = Catalog::parse(&whql.bytes()).unwrap().judge(&known(Role::Microsoft));
        assert_eq!((verdict.trust, &*verdict.reason), (Trust::Whql, ""));
        assert_eq!(verdict.signer, "Test Leaf");
        assert_eq!(verdict.chain, ["Test Leaf", "Test Authority"]);
        assert_eq!(verdict.submission_id.as_deref(), Some("42_1"));
        assert_eq!(verdict.signed_at, FileTime::parse("2015-06-01T12:00:00Z"));
        let old = NewCatalog { stamp: Stamp::Countersignature("150601120000Z"), ..whql.clone() };
        assert_eq!(judged(&old, Role::Microsoft).0, Trust::Whql);
        assert_eq!(judged(&NewCatalog::new(oid::ATTESTED), Role::Microsoft).0, Trust::Attested);
        let extended = NewCatalog::new(oid::EXTENDED_VERIFICATION);
        assert_eq!(judged(&extended, Role::Microsoft).0, Trust::Attested);
        assert_eq!(
            judged(&NewCatalog::new(oid::KEY_USAGE), Role::Microsoft).0,
            Trust::Authenticode
        );
        assert_eq!(
            judged(&whql, Role::Publisher).0,
            Trust::Authenticode,
            "WHQL is Microsoft's to say"
        );
        let (trust, reason) = judged(&whql, Role::Time);
        assert_eq!(trust, Trust::Test);
        assert!(reason.contains("which is not a known authority"), "{reason}");
        assert_eq!(
            Catalog::parse(&whql.bytes()).unwrap().verify().trust,
            Trust::Test,
            "our keys are nobody's"
        );
    }

    #[test]
    fn without_a_time_stamp_validity_is_not_known_and_the_class_says_so() {
        let mut catalog = NewCatalog { stamp: Stamp::None, ..NewCatalog::new(oid::WHQL) };
        let (trust, reason) = judged(&catalog, Role::Microsoft);
        assert_eq!(trust, Trust::Test, "the list is from 2000, before the certificates");
        assert!(reason.contains("was not valid on 2000-01-01"), "{reason}");
        for certificate in [&mut catalog.leaf, &mut catalog.authority] {
            certificate.not_before = "990101000000Z";
        }
        let (trust, reason) = judged(&catalog, Role::Microsoft);
        assert_eq!(trust, Trust::Authenticode);
        assert!(reason.contains("without a time-stamp"), "{reason}");
        let (trust, reason) = judged(&catalog, Role::Publisher);
        assert_eq!(trust, Trust::Authenticode);
        assert!(reason.contains("without a time-stamp"), "{reason}");
    }

    #[test]
    fn every_rule_of_the_chain_is_kept() {
        type Change = fn(&mut NewCatalog);
        let changes: &[(&str, Change)] = &[
            ("Test Leaf\" was not valid", |it| it.leaf.not_after = "140101000000Z"),
            ("Test Authority\" was not valid", |it| it.authority.not_before = "160101000000Z"),
            ("may not issue", |it| it.authority.authority = false),
            ("may not issue", |it| it.authority.key_usage = Some(0x80)),
            ("may not issue", |it| it.authority.purposes = vec![oid::TIME_STAMPING]),
            ("not for this purpose", |it| it.leaf.purposes = vec![oid::WHQL]),
            ("not for this purpose", |it| it.leaf.purposes.clear()),
            ("does not know", |it| it.leaf.demand = true),
            ("does not know", |it| it.authority.demand = true),
            ("time-stamp does not hold", |it| it.stamper.purposes = vec![oid::CODE_SIGNING]),
            ("time-stamp does not hold", |it| it.stamper.not_after = "140101000000Z"),
            ("time-stamp does not hold", |it| it.time_authority.authority = false),
            ("time-stamp does not hold", |it| {
                it.stamper.issuer = Holder::Leaf;
            }),
            ("time-stamp does not hold", |it| it.stamp = Stamp::Countersignature("050601120000Z")),
        ];
        for (expected, change) in changes {
            let mut catalog = NewCatalog::new(oid::WHQL);
            change(&mut catalog);
            let (trust, reason) = judged(&catalog, Role::Microsoft);
            assert_eq!(trust, Trust::Test, "{expected}: {reason}");
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
        let mut allowed = NewCatalog::new(oid::WHQL);
        allowed.authority.path_length = Some(0);
        assert_eq!(judged(&allowed, Role::Microsoft).0, Trust::Whql);
        allowed.authority.purposes = vec![oid::CODE_SIGNING];
        assert_eq!(
            judged(&allowed, Role::Microsoft).0,
            Trust::Authenticode,
            "WHQL was not granted to it"
        );
        let mut not_signing = NewCatalog::new(oid::WHQL);
        not_signing.leaf.key_usage = Some(0x20);
        assert_eq!(judged(&not_signing, Role::Microsoft).0, Trust::Unsigned);
    }

    #[test]
    fn no_changed_byte_of_what_is_signed_is_still_trusted() {
        let known = known(Role::Microsoft);
        let new = NewCatalog::new(oid::WHQL);
        let bytes = new.bytes();
        let data = signed_data::read(&bytes).unwrap();
        let [signer] = &data.signers[..] else { panic!("one signer") };
        let stamper = signed_data::read(&signer.tokens[0]).unwrap().signers[0].signature.clone();
        let body = |certificate: Vec<u8>| {
            let outer = Reader::new(&certificate).next("certificate").unwrap();
            outer.inside().next("body").unwrap().raw.to_vec()
        };
        let parts = [
            ("member or attribute", data.content.content.to_vec()),
            ("certificate of the signer", body(new.leaf.bytes())),
            ("certificate of the stamper", body(new.stamper.bytes())),
            ("signature", signer.signature.clone()),
            ("signature of the time-stamp", stamper),
        ];
        for (name, part) in parts {
            let start = bytes.windows(part.len()).position(|window| window == part).unwrap();
            for index in (start..start + part.len()).step_by(5) {
                let mut changed = bytes.clone();
                changed[index] ^= 0x01;
                let Ok(catalog) = Catalog::parse(&changed) else { continue };
                let trust = catalog.judge(&known).trust;
                let expected: &[Trust] = match name {
                    "member or attribute" | "signature" => &[Trust::Unsigned],
                    _ => &[Trust::Unsigned, Trust::Test],
                };
                assert!(expected.contains(&trust), "{name}, byte {}: {trust:?}", index - start);
            }
        }
    }
}
