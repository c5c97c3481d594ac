//! Signed statements: DSSE envelopes (version 1) with Ed25519 (RFC 8032).
//!
//! ```json
//! { "payloadType": "application/vnd.in-toto+json", "payload": "BASE64", "signatures": [{ "keyid": "…", "sig": "BASE64" }] }
//! ```
//!
//! What is signed is not the payload but its pre-authentication encoding: `DSSEv1`, the type and the payload, each with its length before it. Keys are files as
//! `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write them: PEM (RFC 7468) of PKCS #8 and of SubjectPublicKeyInfo (RFC 8410), whose bytes
//! around the 32 of the key never differ. The id of a key is the SHA-256 of its SubjectPublicKeyInfo: a hint, which nothing is decided by.

use std::fmt;

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};

use super::{Document, identifier};
use crate::base::base64;

/// What the payload of an envelope is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Ends the name of an envelope, behind the output's name without its extension.
pub const SUFFIX: &str = ".provenance.dsse.json";
/// As many signatures of an envelope as are looked at.
const SIGNATURES: usize = 64;

/// PKCS #8, version 0, of Ed25519 (1.3.101.112), up to the key.
const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The same in version 1, which has the public key behind the private one: `[1]`, 32 bytes and one for the count of unused bits.
const PRIVATE_AND_PUBLIC: [u8; 16] =
    [0x30, 0x51, 2, 1, 1, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PUBLIC_BEHIND: [u8; 3] = [0x81, 0x21, 0];
/// SubjectPublicKeyInfo of Ed25519, up to the key.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// Why a key or an envelope cannot be used. Nothing of a key is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The file is no key of the wanted kind.
    #[error("{0}")]
    Key(&'static str),
    /// The file is no envelope.
    #[error("not a signed statement: {0}")]
    Envelope(String),
    /// No signature is one of the key.
    #[error(
        "none of its signatures is of the key {}: it was signed with another one, or changed since (it says it was signed by {})",
        short(.key),
        list(.signed_by)
    )]
    NotSigned {
        /// The id of the key.
        key: String,
        /// The ids that the envelope names.
        signed_by: Vec<String>,
    },
}

/// A private key. Its debug output does not show it, and it is wiped when it is dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(..)")
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl SigningKey {
    /// The key in a PEM file.
    ///
    /// # Errors
    /// When it is no private Ed25519 key, or is protected by a password.
    pub fn from_pem(text: &str) -> Result<Self, SigningError> {
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(SigningError::Key(
                "the key is protected by a password: `openssl pkey -in KEY -out PLAIN` takes it away",
            ));
        }
        if text.contains("-----BEGIN PUBLIC KEY-----") && !text.contains("PRIVATE KEY-----") {
            return Err(SigningError::Key("this is the public key, which signs nothing"));
        }
        let wrong = SigningError::Key(
            "not an Ed25519 private key in PEM, as `openssl genpkey -algorithm ed25519` writes it",
        );
        let seed = from_pem(text, "PRIVATE KEY").and_then(|bytes| seed(&bytes));
        seed.map(|seed| Self(ed25519_dalek::SigningKey::from_bytes(&seed))).ok_or(wrong)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The envelope of `payload`.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&encoding(PAYLOAD_TYPE, payload));
        super::json(&Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: base64::encode(payload),
            signatures: vec![Signature {
                keyid: self.public().id(),
                sig: base64::encode(&signature.to_bytes()),
            }],
        })
    }
}

impl PublicKey {
    /// The key in a PEM file.
    ///
    /// # Errors
    /// When it is no public Ed25519 key.
    pub fn from_pem(text: &str) -> Result<Self, SigningError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(SigningError::Key(
                "this is a private key: `openssl pkey -in KEY -pubout` writes the public one",
            ));
        }
        let key = from_pem(text, "PUBLIC KEY").and_then(|bytes| {
            let key: [u8; 32] = bytes.strip_prefix(&PUBLIC)?.try_into().ok()?;
            ed25519_dalek::VerifyingKey::from_bytes(&key).ok()
        });
        key.map(Self).ok_or(SigningError::Key(
            "not an Ed25519 public key in PEM, as `openssl pkey -pubout` writes it",
        ))
    }

    /// SHA-256 of its SubjectPublicKeyInfo in hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        identifier::sha256(&[&PUBLIC[..], self.0.as_bytes()].concat())
    }

    /// The payload of an envelope that this key has signed.
    ///
    /// # Errors
    /// When it is no envelope, or none of its signatures is of this key.
    pub fn open(&self, envelope: &[u8]) -> Result<Vec<u8>, SigningError> {
        let (envelope, payload) = read(envelope)?;
        let signed = encoding(&envelope.payload_type, &payload);
        let is_ours = |signature: &Signature| {
            let bytes: Option<[u8; 64]> =
                decode(&signature.sig).and_then(|bytes| bytes.try_into().ok());
            bytes.is_some_and(|bytes| {
                let signature = ed25519_dalek::Signature::from_bytes(&bytes);
                self.0.verify_strict(&signed, &signature).is_ok()
            })
        };
        if envelope.signatures.iter().take(SIGNATURES).any(is_ours) {
            return Ok(payload);
        }
        let signed_by = envelope.signatures.into_iter().take(SIGNATURES);
        Err(SigningError::NotSigned {
            key: self.id(),
            signed_by: signed_by.map(|signature| signature.keyid).collect(),
        })
    }
}

/// The payload of an envelope, whoever signed it.
///
/// # Errors
/// When it is no envelope of an in-toto statement.
pub fn unverified_payload(envelope: &[u8]) -> Result<Vec<u8>, SigningError> {
    read(envelope).map(|(_, payload)| payload)
}

/// The envelope of the provenance among `documents`, if there is one.
#[must_use]
pub fn signed(documents: &[Document], key: &SigningKey) -> Option<Document> {
    let statement = documents.iter().find(|document| document.suffix == ".provenance.json")?;
    Some(Document { suffix: SUFFIX, bytes: key.sign(&statement.bytes) })
}

fn read(bytes: &[u8]) -> Result<(Envelope, Vec<u8>), SigningError> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|error| SigningError::Envelope(error.to_string()))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        let kind: String = envelope.payload_type.chars().take(80).collect();
        return Err(SigningError::Envelope(format!("its payload is {kind}")));
    }
    let payload = decode(&envelope.payload)
        .ok_or_else(|| SigningError::Envelope("its payload is no base64".to_owned()))?;
    Ok((envelope, payload))
}

/// Both alphabets are allowed in an envelope.
fn decode(text: &str) -> Option<Vec<u8>> {
    base64::decode(&text.replace('-', "+").replace('_', "/"))
}

/// The pre-authentication encoding.
fn encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The bytes between `-----BEGIN label-----` and its end.
fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inside, _) = rest.split_once(&format!("-----END {label}-----"))?;
    base64::decode(&inside.split_ascii_whitespace().collect::<String>())
}

/// The private key in PKCS #8.
fn seed(bytes: &[u8]) -> Option<[u8; 32]> {
    if let Some(seed) = bytes.strip_prefix(&PRIVATE) {
        return seed.try_into().ok();
    }
    let (seed, rest) = bytes.strip_prefix(&PRIVATE_AND_PUBLIC)?.split_first_chunk::<32>()?;
    let public = rest.strip_prefix(&PUBLIC_BEHIND)?;
    // A public key of another private one would give the private one away with the first signature.
    let own = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
    (own.as_bytes()[..] == *public).then_some(*seed)
}

fn short(id: &str) -> &str {
    id.get(..16).unwrap_or(id)
}

fn list(ids: &[String]) -> String {
    let shown: Vec<String> = ids
        .iter()
        .take(3)
        .map(|id| id.chars().filter(char::is_ascii_hexdigit).take(16).collect())
        .collect();
    if shown.is_empty() { "nobody".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 8410, section 10.3: the private key, and the public one that belongs to it.
    const PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
    const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

    fn keys() -> (SigningKey, PublicKey) {
        (SigningKey::from_pem(PRIVATE_PEM).unwrap(), PublicKey::from_pem(PUBLIC_PEM).unwrap())
    }

    #[test]
    fn the_pair_of_the_standard_is_one() {
        let (private, public) = keys();
        assert_eq!(private.public(), public);
        assert_eq!(format!("{private:?}"), "SigningKey(..)");
        let envelope = private.sign(b"{}");
        assert_eq!(public.open(&envelope).unwrap(), b"{}");
        assert_eq!(unverified_payload(&envelope).unwrap(), b"{}");
    }

    #[test]
    fn the_encoding_is_that_of_the_protocols_own_example() {
        let encoded = encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_changed_payload_type_or_signature_is_not_signed() {
        let (private, public) = keys();
        let envelope = String::from_utf8(private.sign(b"{\"a\":1}")).unwrap();
        let other = base64::encode(b"{\"a\":2}");
        let changed = envelope.replace(&base64::encode(b"{\"a\":1}"), &other);
        assert!(matches!(public.open(changed.as_bytes()), Err(SigningError::NotSigned { .. })));
        let typed = envelope.replace("vnd.in-toto+json", "json");
        let error = public.open(typed.as_bytes()).unwrap_err().to_string();
        assert!(error.ends_with("its payload is application/json"), "{error}");
        let none =
            br#"{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}"#;
        let error = public.open(none).unwrap_err().to_string();
        assert!(error.contains("signed by nobody"), "{error}");
        let stranger = PublicKey(ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key());
        assert!(matches!(stranger.open(envelope.as_bytes()), Err(SigningError::NotSigned { .. })));
    }

    #[test]
    fn the_other_alphabet_and_several_signatures_are_read() {
        let (private, public) = keys();
        let payload = [0xfb, 0xff, 0xfe];
        let envelope = String::from_utf8(private.sign(&payload)).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&envelope).unwrap();
        value["payload"] = "-__-".into();
        let own = value["signatures"][0].clone();
        value["signatures"] = serde_json::json!([{ "sig": "AAAA" }, { "sig": "?" }, own]);
        assert_eq!(public.open(value.to_string().as_bytes()).unwrap(), payload);
    }

    #[test]
    fn keys_of_other_kinds_are_named() {
        let said = |text: &str| SigningKey::from_pem(text).unwrap_err().to_string();
        assert!(said(PUBLIC_PEM).contains("public key"));
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        assert!(said(locked).contains("password"));
        for wrong in
            ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "nonsense"]
        {
            assert!(said(wrong).contains("genpkey"), "{wrong}");
        }
        assert!(PublicKey::from_pem(PRIVATE_PEM).unwrap_err().to_string().contains("-pubout"));
        assert!(PublicKey::from_pem("").is_err());
    }

    #[test]
    fn a_key_with_its_public_one_behind_it_is_read_when_they_belong_together() {
        let (private, public) = keys();
        let pem = |public: &[u8]| {
            let bytes =
                [&PRIVATE_AND_PUBLIC[..], private.0.as_bytes(), &PUBLIC_BEHIND, public].concat();
            format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
                base64::encode(&bytes)
            )
        };
        assert_eq!(SigningKey::from_pem(&pem(public.0.as_bytes())).unwrap().public(), public);
        assert!(SigningKey::from_pem(&pem(&[9; 32])).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let (_, public) = keys();
            drop(public.open(text.as_bytes()));
            let armoured = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", base64::encode(&bytes));
            drop(SigningKey::from_pem(&armoured));
            drop(PublicKey::from_pem(&armoured.replace("PRIVATE", "PUBLIC")));
            drop(SigningKey::from_pem(&text));
        }
    }
}
