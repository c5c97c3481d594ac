//! GUIDs: mixed-endian bytes, braced text, derived from content and never random.

use std::fmt;

/// A GUID as its 16 bytes on disk (the first three groups little-endian).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// The GUID of the text `{00112233-4455-6677-8899-aabbccddeeff}`, braces optional, upper or lower case; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let groups: Vec<&str> = inner.split('-').collect();
        if !groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) {
            return None;
        }
        let digits = groups.concat();
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
        }
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        Some(Self(bytes))
    }

    /// A GUID derived from a digest, marked as version 8 (custom) of RFC 9562, so that equal content has equal GUIDs.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        // Byte 7 is the high byte of the little-endian third group, which holds the version.
        bytes[7] = bytes[7] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Guid {
    /// The usual text with braces: `{00112233-4455-6677-8899-aabbccddeeff}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            formatter,
            "{{{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-",
            b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9]
        )?;
        write!(
            formatter,
            "{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}}}",
            b[10], b[11], b[12], b[13], b[14], b[15]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_swaps_the_first_three_groups() {
        let guid =
            Guid([0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 10, 11, 12, 13, 14, 15]);
        assert_eq!(guid.to_string(), "{00112233-4455-6677-8899-0a0b0c0d0e0f}");
        assert_eq!(Guid::parse(&guid.to_string().to_uppercase()), Some(guid));
        assert_eq!(Guid::parse("00112233-4455-6677-8899-0a0b0c0d0e0f"), Some(guid));
        for wrong in [
            "",
            "{}",
            "{00112233445566778899-0a0b0c0d0e0f}",
            "{0011223é-455-6677-8899-0a0b0c0d0e0f}",
        ] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
        assert!(
            Guid::from_digest(&[0xff; 32]).to_string().starts_with("{ffffffff-ffff-8fff-bfff-")
        );
    }
}
