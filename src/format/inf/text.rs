//! The text of an INF: which encoding its bytes are in.
//!
//! A byte order mark decides; without one, text whose every second byte is zero is UTF-16LE, valid UTF-8 is UTF-8, anything else is
//! windows-1252. Ctrl-Z ends a file. Source: `facts/inf.md` (822 real files: 758 ASCII, 52 UTF-8, 6 UTF-16LE, 4 ANSI).

use std::borrow::Cow;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How many bytes are looked at to tell UTF-16 without a mark.
const SAMPLE: usize = 4096;

/// The text of `bytes`, its lines ended by `\n`, up to a Ctrl-Z.
pub(super) fn decode(bytes: &[u8]) -> String {
    let text = decoded(bytes);
    let text = text.split('\u{1a}').next().unwrap_or_default();
    if text.contains('\n') { text.replace("\r\n", "\n") } else { text.replace('\r', "\n") }
}

fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    if let Some(rest) = bytes.strip_prefix(&[0xff, 0xfe]) {
        return UTF_16LE.decode_without_bom_handling(rest).0;
    }
    if let Some(rest) = bytes.strip_prefix(&[0xfe, 0xff]) {
        return UTF_16BE.decode_without_bom_handling(rest).0;
    }
    if let Some(rest) = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        return UTF_8.decode_without_bom_handling(rest).0;
    }
    let (pairs, _) = bytes[..bytes.len().min(SAMPLE)].as_chunks::<2>();
    let wide = pairs.iter().filter(|[low, high]| *low != 0 && *high == 0).count();
    if !pairs.is_empty() && wide == pairs.len() {
        return UTF_16LE.decode_without_bom_handling(bytes).0;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "[Version]\nx=\"é\"\n";
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(text.as_bytes()), text);
        assert_eq!(decode(&[&[0xef, 0xbb, 0xbf], text.as_bytes()].concat()), text);
        assert_eq!(decode(&[&[0xff, 0xfe], wide.as_slice()].concat()), text);
        assert_eq!(decode(&[&[0xfe, 0xff], big.as_slice()].concat()), text);
        assert_eq!(decode(&wide), text);
        assert_eq!(decode(b"[Version]\r\nx=\"\xe9\"\r\n"), text);
    }

    #[test]
    fn control_z_ends_and_old_line_ends_count() {
        assert_eq!(decode(b"[a]\rb\x1a[c]"), "[a]\nb");
        assert_eq!(decode(b""), "");
    }
}
