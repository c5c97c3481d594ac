//! Reading `.reg` files.

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{HEADER, OLD_HEADER, RegAction, RegEntry, RegValue};
use crate::{base::name::Name, format::hive::ValueType};

/// A `.reg` file that can not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct RegTextError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

/// Reads a `.reg` file.
///
/// # Errors
/// At the first thing that is not understood, with its line and column.
pub fn parse(bytes: &[u8]) -> Result<Vec<RegEntry>, RegTextError> {
    let text = decode(bytes)?;
    let mut parser = Parser { rest: &text, line: 1, column: 1, old: false };
    parser.header()?;
    let mut entries: Vec<RegEntry> = Vec::new();
    loop {
        parser.skip_blank_lines();
        match parser.peek() {
            None => return Ok(entries),
            Some('[') => entries.push(parser.key()?),
            Some(_) => {
                let start = parser.clone();
                let value = parser.value()?;
                match entries.last_mut() {
                    Some(RegEntry { action: RegAction::Values(values), .. }) => values.push(value),
                    Some(_) => return Err(start.error("a value below a key that is deleted")),
                    None => return Err(start.error("a value before the first [key]")),
                }
            }
        }
    }
}

/// The text of a file, by its byte order mark or, without one, by its first line.
fn decode(bytes: &[u8]) -> Result<String, RegTextError> {
    let (encoding, skip) = match bytes {
        [0xff, 0xfe, ..] => (UTF_16LE, 2),
        [0xfe, 0xff, ..] => (UTF_16BE, 2),
        [0xef, 0xbb, 0xbf, ..] => (UTF_8, 3),
        [_, 0, ..] => (UTF_16LE, 0),
        [0, _, ..] => (UTF_16BE, 0),
        _ if bytes.trim_ascii_start().starts_with(OLD_HEADER.as_bytes()) => (WINDOWS_1252, 0),
        _ => (UTF_8, 0),
    };
    let bytes = &bytes[skip..];
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(text.into_owned());
    }
    // Everything up to the first character that does not decode, to say where it is.
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    let good = text.split('\u{fffd}').next().unwrap_or_default();
    let mut parser = Parser { rest: good, line: 1, column: 1, old: false };
    while parser.next().is_some() {}
    Err(parser.error(format!("bytes that are not {}", encoding.name())))
}

/// A position in the text.
#[derive(Clone)]
struct Parser<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
    /// True for `REGEDIT4`.
    old: bool,
}

impl Parser<'_> {
    fn error(&self, what: impl Into<String>) -> RegTextError {
        RegTextError { line: self.line, column: self.column, what: what.into() }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        // A CRLF counts at its LF; a CR alone ends a line too.
        let ends_line = character == '\n' || character == '\r' && !self.rest.starts_with('\n');
        if ends_line {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(character)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    /// Eats `word` in any case.
    fn eat_word(&mut self, word: &str) -> bool {
        let found =
            self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if found {
            self.rest = &self.rest[word.len()..];
            self.column += word.len();
        }
        found
    }

    fn skip_spaces(&mut self) {
        while let Some(' ' | '\t') = self.peek() {
            self.next();
        }
    }

    fn at_line_end(&self) -> bool {
        matches!(self.peek(), None | Some('\r' | '\n'))
    }

    fn skip_line(&mut self) {
        while !self.at_line_end() {
            self.next();
        }
    }

    fn skip_blank_lines(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r' | '\n') => {
                    self.next();
                }
                Some(';') => self.skip_line(),
                // Some editors leave one at the end of the file.
                Some('\0') if self.rest.trim_matches('\0').is_empty() => self.rest = "",
                _ => return,
            }
        }
    }

    /// The rest of a line holds nothing but a comment.
    fn end_line(&mut self) -> Result<(), RegTextError> {
        self.skip_spaces();
        if self.peek() == Some(';') {
            self.skip_line();
        }
        if self.at_line_end() || self.rest.trim_matches('\0').is_empty() {
            return Ok(());
        }
        Err(self.error("more follows where the line should end"))
    }

    fn header(&mut self) -> Result<(), RegTextError> {
        self.skip_blank_lines();
        let start = self.clone();
        self.skip_line();
        let line = &start.rest[..start.rest.len() - self.rest.len()];
        match line.trim_end() {
            HEADER => Ok(()),
            OLD_HEADER => {
                self.old = true;
                Ok(())
            }
            _ => Err(start.error(format!("the first line must be `{HEADER}` or `{OLD_HEADER}`"))),
        }
    }

    fn key(&mut self) -> Result<RegEntry, RegTextError> {
        let start = self.clone();
        self.skip_line();
        let line = &start.rest[1..start.rest.len() - self.rest.len()];
        // Names may hold brackets: the last one ends the key.
        let Some(end) = line.rfind(']') else {
            return Err(start.error("a key without its closing `]`"));
        };
        let after = line[end + 1..].trim_start();
        if !after.is_empty() && !after.starts_with(';') {
            return Err(start.error("more follows behind the `]` of a key"));
        }
        let (key, action) = match line[..end].strip_prefix('-') {
            Some(key) => (key, RegAction::DeleteKey),
            None => (&line[..end], RegAction::Values(Vec::new())),
        };
        if key.is_empty() {
            return Err(start.error("a key without a name"));
        }
        Ok(RegEntry { key: key.to_owned(), line: start.line, action })
    }

    fn value(&mut self) -> Result<RegValue, RegTextError> {
        let name = match self.peek() {
            Some('@') => {
                self.next();
                String::new()
            }
            Some('"') => self.quoted()?,
            _ => {
                return Err(
                    self.error("expected `[key]`, `\"name\"=...`, `@=...` or a `;` comment")
                );
            }
        };
        self.skip_spaces();
        if !self.eat('=') {
            return Err(self.error("expected `=` behind the name of a value"));
        }
        self.skip_spaces();
        let data = if self.eat('-') { None } else { Some(self.data()?) };
        self.end_line()?;
        Ok((Name::from(name.as_str()), data))
    }

    fn data(&mut self) -> Result<(ValueType, Vec<u8>), RegTextError> {
        if self.peek() == Some('"') {
            let text = self.quoted()?;
            return Ok((ValueType::SZ, utf16(&text, true)));
        }
        if self.eat_word("dword:") {
            self.skip_spaces();
            let number = self.hexadecimal(8, "the number of a `dword:`")?;
            return Ok((ValueType::DWORD, number.to_le_bytes().into()));
        }
        if self.eat_word("hex:") {
            return Ok((ValueType::BINARY, self.bytes()?));
        }
        if self.eat_word("hex(") {
            let kind = ValueType(self.hexadecimal(8, "the type of a `hex(...)`")?);
            if !(self.eat(')') && self.eat(':')) {
                return Err(self.error("expected `):` behind the type of a `hex(...)`"));
            }
            let data = self.bytes()?;
            let is_text = kind == ValueType::EXPAND_SZ || kind == ValueType::MULTI_SZ;
            if self.old && is_text {
                return Ok((
                    kind,
                    utf16(&WINDOWS_1252.decode_without_bom_handling(&data).0, false),
                ));
            }
            return Ok((kind, data));
        }
        Err(self.error("expected a value: `\"text\"`, `dword:`, `hex:`, `hex(type):` or `-`"))
    }

    /// Text in quotes.
    fn quoted(&mut self) -> Result<String, RegTextError> {
        let start = self.clone();
        self.next();
        let mut text = String::new();
        loop {
            let here = self.clone();
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some(escaped @ ('\\' | '"')) => text.push(escaped),
                    _ => {
                        return Err(here.error(
                            "a single backslash in quotes: write `\\\\` for a backslash, `\\\"` for a quote",
                        ));
                    }
                },
                Some(character) => text.push(character),
                None => return Err(start.error("text without its closing quote")),
            }
        }
    }

    /// One to `most` hexadecimal digits.
    fn hexadecimal(&mut self, most: usize, what: &str) -> Result<u32, RegTextError> {
        let start = self.clone();
        let mut number = 0;
        let mut digits = 0;
        while let Some(digit) = self.peek().and_then(|character| character.to_digit(16)) {
            if digits == most {
                return Err(start.error(format!("{what} has more than {most} digits")));
            }
            number = number << 4 | digit;
            digits += 1;
            self.next();
        }
        match digits {
            0 => Err(start.error(format!("{what} must be hexadecimal digits"))),
            _ => Ok(number),
        }
    }

    /// Bytes separated by commas, over as many lines as end in `\`.
    fn bytes(&mut self) -> Result<Vec<u8>, RegTextError> {
        let mut bytes = Vec::new();
        loop {
            self.skip_continuations()?;
            // No bytes at all, or a comma behind the last one.
            if self.at_line_end() || self.peek() == Some(';') {
                return Ok(bytes);
            }
            let byte = self.hexadecimal(2, "a byte")?;
            bytes.push(u8::try_from(byte).unwrap_or_default());
            self.skip_continuations()?;
            if !self.eat(',') {
                return Ok(bytes);
            }
        }
    }

    fn skip_continuations(&mut self) -> Result<(), RegTextError> {
        self.skip_spaces();
        while self.peek() == Some('\\') {
            self.next();
            self.skip_spaces();
            if !self.at_line_end() {
                return Err(self.error("a `\\` in data must be the last character of its line"));
            }
            self.eat('\r');
            self.eat('\n');
            self.skip_spaces();
        }
        Ok(())
    }
}

/// UTF-16LE of `text`, with a NUL at its end or without.
fn utf16(text: &str, terminated: bool) -> Vec<u8> {
    text.encode_utf16().chain(terminated.then_some(0)).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = concat!(
        "Windows Registry Editor Version 5.00\n\n; a comment\n",
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\A [b]] ; brackets\n",
        "@=\"default\"\n",
        "\"na\\\"me\\\\\"=\"C:\\\\x\"  ; comment\n",
        "  \"n\" = dword:1F\n",
        "\"b\"=hex:01, 2,\\\n  0a,\\\n  ff\n",
        "\"e\"=hex(2):41,00,00,00\n",
        "\"none\"=hex(0):\n",
        "\"lines\"=\"one\r\ntwo\"\n",
        "\"gone\"=-\n\n",
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Old]\n",
    );

    fn sample() -> Vec<RegEntry> {
        let value = |name: &str, kind, data: &[u8]| (Name::from(name), Some((kind, data.to_vec())));
        vec![
            RegEntry {
                key: r"HKEY_LOCAL_MACHINE\SOFTWARE\A [b]".into(),
                line: 4,
                action: RegAction::Values(vec![
                    value("", ValueType::SZ, &utf16("default", true)),
                    value("na\"me\\", ValueType::SZ, &utf16(r"C:\x", true)),
                    value("n", ValueType::DWORD, &[0x1f, 0, 0, 0]),
                    value("b", ValueType::BINARY, &[1, 2, 10, 255]),
                    value("e", ValueType::EXPAND_SZ, &utf16("A", true)),
                    value("none", ValueType::NONE, &[]),
                    value("lines", ValueType::SZ, &utf16("one\r\ntwo", true)),
                    ("gone".into(), None),
                ]),
            },
            RegEntry {
                key: r"HKEY_LOCAL_MACHINE\SOFTWARE\Old".into(),
                line: 17,
                action: RegAction::DeleteKey,
            },
        ]
    }

    #[test]
    fn all_encodings_and_line_ends_say_the_same() {
        let crlf = SAMPLE.replace("\r\n", "\n").replace('\n', "\r\n");
        for text in [SAMPLE, &crlf] {
            let wide: Vec<u16> = text.encode_utf16().collect();
            let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            for bytes in [
                text.as_bytes().to_vec(),
                [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
                little.clone(),
                [vec![0xff, 0xfe], little].concat(),
                big.clone(),
                [vec![0xfe, 0xff], big].concat(),
            ] {
                assert_eq!(parse(&bytes).unwrap(), sample());
            }
        }
    }

    #[test]
    fn regedit4_is_windows_1252_also_inside_its_text_data() {
        let entries = parse(b"REGEDIT4\r\n[k]\r\n\"\xe9\"=\"\x80\"\r\n\"m\"=hex(7):80,00,00\r\n");
        let RegAction::Values(values) = &entries.unwrap()[0].action else { panic!("a key") };
        assert_eq!(values[0].0, Name::from("é"));
        assert_eq!(values[0].1, Some((ValueType::SZ, utf16("€", true))));
        assert_eq!(values[1].1, Some((ValueType::MULTI_SZ, utf16("€\0\0", false))));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_place() {
        for (text, line, column, what) in [
            ("", 0, 1, "the first line"),
            ("\"a\"=-", 1, 1, "before the first"),
            ("[]", 1, 1, "without a name"),
            ("[a", 1, 1, "closing `]`"),
            ("[a] b", 1, 1, "behind the `]`"),
            ("[a]\nx=1", 2, 1, "expected `[key]`"),
            ("[a]\n\"x", 2, 1, "closing quote"),
            ("[a]\n\"x\"", 2, 4, "expected `=`"),
            ("[a]\n\"x\"=1", 2, 5, "expected a value"),
            ("[a]\n\"x\"=\"C:\\temp\"", 2, 8, "single backslash"),
            ("[a]\n\"x\"=dword:", 2, 11, "hexadecimal digits"),
            ("[a]\n\"x\"=dword:123456789", 2, 11, "more than 8"),
            ("[a]\n\"x\"=hex:1,zz", 2, 11, "a byte must be"),
            ("[a]\n\"x\"=hex:123", 2, 9, "more than 2"),
            ("[a]\n\"x\"=hex:1,\\ 2", 2, 13, "last character"),
            ("[a]\n\"x\"=hex(:1", 2, 9, "the type"),
            ("[a]\n\"x\"=- 1", 2, 7, "more follows"),
            ("[-a]\n\"x\"=-", 2, 1, "a key that is deleted"),
        ] {
            let text = if line == 0 { text.into() } else { format!("{HEADER}\n{text}") };
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), (line + 1, column), "{text}: {error}");
            assert!(error.what.contains(what), "{text}: {error}");
        }
        let error = parse(format!("{HEADER}\n[a]\n\"é\u{1}").as_bytes()).unwrap_err();
        assert_eq!(error.line, 3);
        let mut bytes = format!("{HEADER}\n[aé").into_bytes();
        bytes.push(0xff);
        let error = parse(&bytes).unwrap_err();
        assert_eq!((error.line, error.column), (2, 4), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(
            head in prop_oneof![Just(HEADER), Just(OLD_HEADER), Just("")],
            pieces in prop::collection::vec(
                prop_oneof![
                    "[\\[\\]a-f0-9\"\\\\=:,;@\r\n -]{0,12}",
                    Just("\n[a]\n".to_owned()), Just("\"v\"=hex(".to_owned()),
                    Just("dword:".to_owned()), any::<String>(),
                ],
                0..12,
            ),
            cut in any::<u8>(),
        ) {
            let mut bytes = [head, "\n", &pieces.concat()].concat().into_bytes();
            drop(parse(&bytes));
            if !bytes.is_empty() {
                let at = usize::from(cut) % bytes.len();
                bytes[at] = bytes[at].wrapping_add(0x80);
            }
            drop(parse(&bytes));
        }
    }
}
