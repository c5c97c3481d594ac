//! Digests as values: SHA-1 names blobs inside a WIM, BLAKE3 names everything of ours.

use std::fmt;

use sha1::Digest as _;

macro_rules! digest_type {
    ($name:ident, $length:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The digest as lower-case hexadecimal text.
            #[must_use]
            pub fn to_hex(&self) -> String {
                to_hex(&self.0)
            }

            /// Reads hexadecimal text of exactly the right length, in either case.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                from_hex(text)?.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({})", stringify!($name), self.to_hex())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.to_hex())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::from_hex(&text).ok_or_else(|| {
                    serde::de::Error::custom(concat!("not a hexadecimal ", stringify!($name)))
                })
            }
        }
    };
}

digest_type!(Sha1, 20, "SHA-1 of a blob's uncompressed bytes: the name of a blob in a WIM.");
digest_type!(Blake3, 32, "BLAKE3 of bytes: the name of inputs, store objects, keys and states.");

impl Sha1 {
    /// SHA-1 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(sha1::Sha1::digest(data).into())
    }

    /// All zero: what a WIM writes where there is no data.
    pub const ZERO: Self = Self([0; 20]);

    /// True for the all-zero value, which in a WIM means "no data".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl Blake3 {
    /// BLAKE3 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(*blake3::hash(data).as_bytes())
    }
}

/// SHA-1 and BLAKE3 of the same bytes in one pass.
#[derive(Debug, Clone, Default)]
pub struct TeeHasher {
    sha1: sha1::Sha1,
    blake3: Box<blake3::Hasher>,
    size: u64,
}

impl TeeHasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Feeds `data` to both.
    pub fn update(&mut self, data: &[u8]) {
        self.sha1.update(data);
        self.blake3.update(data);
        self.size += data.len() as u64;
    }

    /// The digests and the number of bytes seen.
    #[must_use]
    pub fn finish(self) -> (Sha1, Blake3, u64) {
        (Sha1(self.sha1.finalize().into()), Blake3(*self.blake3.finalize().as_bytes()), self.size)
    }
}

/// Lower-case hexadecimal text of `bytes`.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The bytes of hexadecimal text in either case; `None` for an odd count or another character.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tee_equals_the_single_hashes() {
        let mut tee = TeeHasher::new();
        tee.update(b"ab");
        tee.update(b"c");
        assert_eq!(tee.finish(), (Sha1::of(b"abc"), Blake3::of(b"abc"), 3));
        assert_eq!(Sha1::of(b"abc").to_hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn hex_round_trips_and_refuses_nonsense() {
        let digest = Blake3::of(b"x");
        assert_eq!(Blake3::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("é"), None);
    }
}
