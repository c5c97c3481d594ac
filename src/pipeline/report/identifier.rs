//! Names and times for documents that must come out the same every time.

use crate::base::{filetime::FileTime, guid::Guid};

/// `urn:uuid:…` that comes from `content`, in a `domain` of its own: version 8 of RFC 9562.
pub(super) fn urn(domain: &str, content: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    hasher.update(content);
    let guid = Guid::from_digest(hasher.finalize().as_bytes()).to_string();
    format!("urn:uuid:{}", guid.trim_matches(['{', '}']).to_ascii_lowercase())
}

/// A time of RFC 3339 in whole seconds, as SPDX wants it; a text that is no time stays as it is.
pub(super) fn whole_seconds(time: &str) -> String {
    let Some(time) = FileTime::parse(time) else { return time.to_owned() };
    FileTime::from_unix(time.to_unix().0, 0).to_string()
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    crate::base::digest::to_hex(&sha2::Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_domain_and_content() {
        let name = urn("test 1", b"a");
        assert_eq!(name, urn("test 1", b"a"));
        assert_ne!(name, urn("test 1", b"b"));
        assert_ne!(name, urn("test 2", b"a"));
        assert_eq!(name.len(), "urn:uuid:".len() + 36);
        assert!(!name.contains(|c: char| c.is_ascii_uppercase()), "{name}");
    }

    #[test]
    fn times_lose_their_fractions() {
        assert_eq!(whole_seconds("2026-11-01T00:00:00.5Z"), "2026-11-01T00:00:00Z");
        assert_eq!(whole_seconds("2026-11-01T00:00:00Z"), "2026-11-01T00:00:00Z");
        assert_eq!(whole_seconds("whenever"), "whenever");
    }
}
