//! Key paths as text: `services.RemoteRegistry`, `registry.'HKLM\SOFTWARE\Policies'.AllowTelemetry`.
//!
//! They stand in `drop` and before the `=` of `--set`. Each part is written as a TOML key: bare, or in quotes.

use std::ops::Range;

/// Most parts that a path may have.
const PARTS: usize = 16;

/// A key path that was read from the start of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPath {
    /// The keys, each with the bytes it was written in.
    pub(crate) parts: Vec<(String, Range<usize>)>,
    /// Where in the text the path ends.
    pub(crate) end: usize,
}

/// Where and why a text is not a key path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPathError {
    pub(crate) span: Range<usize>,
    pub(crate) what: &'static str,
}

impl KeyPath {
    /// Reads a key path from the start of `text`; blanks around parts are allowed.
    pub(crate) fn read(text: &str) -> Result<Self, KeyPathError> {
        let mut parts = Vec::new();
        let mut at = 0;
        loop {
            at += blanks(&text[at..]);
            let (key, length) =
                part(&text[at..]).map_err(|what| KeyPathError { span: at..text.len(), what })?;
            if parts.len() == PARTS {
                return Err(KeyPathError { span: at..text.len(), what: "too many parts" });
            }
            parts.push((key, at..at + length));
            at += length;
            let next = at + blanks(&text[at..]);
            if !text[next..].starts_with('.') {
                return Ok(Self { parts, end: next });
            }
            at = next + 1;
        }
    }
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// One key at the start of `text`, and its length in bytes.
fn part(text: &str) -> Result<(String, usize), &'static str> {
    if let Some(rest) = text.strip_prefix('\'') {
        let length = rest.find('\'').ok_or("the single quote is not closed")?;
        return Ok((rest[..length].to_owned(), length + 2));
    }
    if text.starts_with('"') {
        let length = quoted_length(text).ok_or("the double quote is not closed")?;
        let parsed = toml::de::DeValue::parse(&text[..length])
            .map_err(|_| "this is not a quoted key of TOML")?;
        let key = parsed.get_ref().as_str().ok_or("this is not a quoted key of TOML")?;
        return Ok((key.to_owned(), length));
    }
    let bare = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    let length = text.find(|character| !bare(character)).unwrap_or(text.len());
    if length == 0 {
        return Err(
            "a key is missing; one with other characters than letters, digits, `-` and `_` needs quotes",
        );
    }
    Ok((text[..length].to_owned(), length))
}

/// Length of the double-quoted text that `text` begins with.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (position, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(position + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<String>, &'static str> {
        let path = KeyPath::read(text).map_err(|error| error.what)?;
        Ok(path.parts.into_iter().map(|(key, _)| key).collect())
    }

    #[test]
    fn bare_and_quoted_parts() {
        assert_eq!(keys("services.RemoteRegistry").unwrap(), ["services", "RemoteRegistry"]);
        assert_eq!(
            keys(r"registry.'HKLM\SOFTWARE\A.B'.x=1").unwrap(),
            ["registry", r"HKLM\SOFTWARE\A.B", "x"]
        );
        assert_eq!(keys(r#" a . "b\"c\u00e9" "#).unwrap(), ["a", "b\"cé"]);
        assert_eq!(KeyPath::read("a.b = 3").unwrap().end, 4);
        assert_eq!(KeyPath::read("a.'b'").unwrap().parts[1].1, 2..5);
    }

    #[test]
    fn what_is_not_a_key_path() {
        for text in ["", ".", "a.", "a..b", "'a", "\"a", "é", "\"\"\"a\"\"\"", &"a.".repeat(99)] {
            assert!(keys(text).is_err() || text.starts_with("\"\"\""), "{text}");
        }
    }
}
