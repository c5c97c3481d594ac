//! DER, the encoding of catalogs and certificates: a reader that knows where it is, and its writing twin.
//!
//! Our own and not a crate's, because a signature covers exact bytes and a message needs exact places: every element keeps its
//! bytes as they stand in the file and its offset, nothing is decoded and encoded again, sets keep their order. Definite
//! lengths only; every length is checked against what is there. Nothing here recurses. Known from ITU-T X.690.

use crate::base::{filetime::FileTime, malformed::Malformed};

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const BMP_STRING: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, `[1]`, `[3]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
pub(super) const CONTEXT_3: u8 = 0xa3;
/// `[2]`, constructed.
pub(super) const CONTEXT_2_CONSTRUCTED: u8 = 0xa2;
/// `[2]`, primitive.
pub(super) const CONTEXT_2_PRIMITIVE: u8 = 0x82;

/// One element: its tag, its content and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) raw: &'a [u8],
    /// Of the tag, from the start of the file.
    pub(super) offset: usize,
}

impl<'a> Element<'a> {
    /// A reader of the elements inside.
    pub(super) fn inside(&self) -> Reader<'a> {
        Reader {
            bytes: self.content,
            position: 0,
            base: self.offset + self.raw.len() - self.content.len(),
        }
    }

    /// Bad content of this element.
    pub(super) fn bad(&self, what: impl Into<String>) -> Malformed {
        Malformed::new("catalog", what, self.offset as u64)
    }

    /// The bytes of a BIT STRING of whole bytes.
    pub(super) fn bits(&self, what: &str) -> Result<&'a [u8], Malformed> {
        match self.content.split_first() {
            Some((0, bytes)) if self.tag == BIT_STRING => Ok(bytes),
            _ => Err(self.bad(format!("{what}: not a string of whole bytes"))),
        }
    }

    /// A UTCTime or GeneralizedTime in UTC.
    pub(super) fn time(&self, what: &str) -> Result<FileTime, Malformed> {
        self.read_time().ok_or_else(|| self.bad(format!("{what}: not a time in UTC")))
    }

    fn read_time(&self) -> Option<FileTime> {
        let text = std::str::from_utf8(self.content).ok()?.strip_suffix('Z')?;
        // Fractions of a second appear in time-stamps; whole seconds are enough to judge validity.
        let digits = text.split_once('.').map_or(text, |(whole, _)| whole);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match (self.tag, digits.len()) {
            // RFC 5280 4.1.2.5.1: two digits from 50 on are the twentieth century. Old signers leave the seconds out.
            (UTC_TIME, 10 | 12) => {
                let short: u16 = digits[..2].parse().ok()?;
                (if short >= 50 { 1900 + short } else { 2000 + short }, &digits[2..])
            }
            (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
            _ => return None,
        };
        let seconds = if rest.len() == 10 { &rest[8..] } else { "00" };
        let (month, day, hour, minute) = (&rest[..2], &rest[2..4], &rest[4..6], &rest[6..8]);
        FileTime::parse(&format!("{year:04}-{month}-{day}T{hour}:{minute}:{seconds}Z"))
    }
}

/// Reads elements one after the other.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    base: usize,
}

impl<'a> Reader<'a> {
    /// A reader of a file, or of a part whose offsets count from its own start.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, base: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// The next element, whatever it is.
    pub(super) fn next(&mut self, what: &str) -> Result<Element<'a>, Malformed> {
        let start = self.position;
        let offset = self.base + start;
        let bad =
            |problem: &str| Malformed::new("catalog", format!("{what}: {problem}"), offset as u64);
        let rest = &self.bytes[start..];
        let [tag, first, ..] = *rest else {
            return Err(bad("missing"));
        };
        if tag & 0x1f == 0x1f {
            return Err(bad("a tag of more than one byte"));
        }
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(first)),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let bytes = rest.get(2..2 + count).ok_or_else(|| bad("its length is cut off"))?;
                (2 + count, bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
            }
            _ => return Err(bad("an indefinite or oversized length")),
        };
        let Some(raw) = header.checked_add(length).and_then(|end| rest.get(..end)) else {
            let left = rest.len() - header;
            return Err(bad(&format!("{length} bytes announced where {left} are left")));
        };
        self.position += raw.len();
        Ok(Element { tag, content: &raw[header..], raw, offset })
    }

    /// The next element, which must have `tag`.
    pub(super) fn expect(&mut self, tag: u8, what: &str) -> Result<Element<'a>, Malformed> {
        let element = self.next(what)?;
        if element.tag != tag {
            let found = element.tag;
            return Err(element.bad(format!("{what}: tag {tag:#04x} expected, {found:#04x} found")));
        }
        Ok(element)
    }

    /// The next element if it has `tag`.
    pub(super) fn optional(
        &mut self,
        tag: u8,
        what: &str,
    ) -> Result<Option<Element<'a>>, Malformed> {
        match self.bytes.get(self.position) {
            Some(found) if *found == tag => self.next(what).map(Some),
            _ => Ok(None),
        }
    }
}

/// An element of `tag` with the concatenation of `parts` as its content.
pub(super) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let all = (length as u64).to_be_bytes();
            let significant = &all[all.iter().take_while(|byte| **byte == 0).count()..];
            // At most eight.
            bytes.push(0x80 | significant.len().to_le_bytes()[0]);
            bytes.extend_from_slice(significant);
        }
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// An object identifier's element.
pub(super) fn identifier(oid: &[u8]) -> Vec<u8> {
    element(OBJECT_IDENTIFIER, &[oid])
}

/// Text of a BMPString; ill-formed parts become the replacement character.
pub(super) fn utf16_be(bytes: &[u8]) -> String {
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

/// Text in UTF-16LE without the zeros at its end.
pub(super) fn utf16_le(bytes: &[u8]) -> String {
    let mut units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    while units.last() == Some(&0) {
        units.pop();
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_and_times_are_read_and_bad_ones_refused() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1_0000] {
            let bytes = element(OCTET_STRING, &[&vec![7; length]]);
            let read = Reader::new(&bytes).expect(OCTET_STRING, "data").unwrap();
            assert_eq!((read.content.len(), read.raw.len()), (length, bytes.len()));
            assert!(Reader::new(&bytes[..bytes.len() - 1]).next("data").is_err());
        }
        for bad in [&[0x30, 0x80, 0, 0][..], &[0x1f, 0x81, 1], &[4, 0x85, 0, 0, 0, 0, 0], &[4], &[]]
        {
            assert!(Reader::new(bad).next("x").is_err(), "{bad:?}");
        }
        let time = |tag, text: &str| {
            let bytes = element(tag, &[text.as_bytes()]);
            Reader::new(&bytes).next("t").unwrap().time("t").map(|time| time.to_string()).ok()
        };
        assert_eq!(time(UTC_TIME, "491231235959Z").as_deref(), Some("2049-12-31T23:59:59Z"));
        assert_eq!(time(UTC_TIME, "500101000000Z").as_deref(), Some("1950-01-01T00:00:00Z"));
        assert_eq!(time(GENERALIZED_TIME, "20260229000000Z"), None, "2026 has no such day");
        assert_eq!(
            time(GENERALIZED_TIME, "20260228010203.5Z").as_deref(),
            Some("2026-02-28T01:02:03Z")
        );
        assert_eq!(time(UTC_TIME, "260228010203"), None);
        assert_eq!(time(UTC_TIME, "26\u{e9}8010203Z"), None);
    }

    #[test]
    fn a_message_says_what_and_where() {
        let bytes = element(SEQUENCE, &[&element(INTEGER, &[&[1]]), &[4, 9, 0]]);
        let mut inside = Reader::new(&bytes).next("outer").unwrap().inside();
        inside.expect(INTEGER, "version").unwrap();
        assert_eq!(
            inside.next("serial number").unwrap_err().to_string(),
            "catalog: serial number: 9 bytes announced where 1 are left (at offset 0x5)"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while !reader.is_empty() {
                match reader.next("x") {
                    Ok(element) => drop(element.time("t")),
                    Err(error) => { prop_assert!(error.offset <= bytes.len() as u64); break }
                }
            }
        }
    }
}
