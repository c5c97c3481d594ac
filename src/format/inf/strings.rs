//! `%token%`: the texts of `[Strings]`, and numbers that stand for folders.
//!
//! `[Strings.0409]` (the exact language) comes before `[Strings.0009]` (its primary language) before `[Strings]`; `%%` is `%`; a token that nobody defines stays
//! as it is. Texts are not expanded again. Source: `facts/inf.md`.

use std::cell::Cell;
use std::collections::HashMap;

use super::document::{Inf, fold};

/// Bytes that the expansions of one INF may make.
const MOST_TEXT: u64 = 128 << 20;
/// The primary language in a LANGID.
const PRIMARY: u16 = 0x3ff;

/// The texts of an INF in one language.
#[derive(Debug)]
pub(super) struct Strings<'a> {
    texts: HashMap<String, &'a str>,
    made: Cell<u64>,
}

impl Inf {
    /// Every field and key of the INF with its tokens replaced: whatever names a file is among them. File names do not depend on the language.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let strings = Strings::new(self, 0x0409);
        let lines = self.sections().flat_map(|section| section.lines());
        lines
            .flat_map(|line| line.key().into_iter().chain(line.values()))
            .map(|text| strings.expand(text))
            .collect()
    }
}

impl<'a> Strings<'a> {
    pub(super) fn new(inf: &'a Inf, language: u16) -> Self {
        let mut ranked: Vec<(u8, _)> = inf
            .sections()
            .filter_map(|section| rank(section.name(), language).map(|rank| (rank, section)))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut texts = HashMap::new();
        for (_, section) in ranked {
            for line in section.lines() {
                if let Some(key) = line.key() {
                    texts.entry(fold(key)).or_insert_with(|| line.value(0));
                }
            }
        }
        Self { texts, made: Cell::new(0) }
    }

    /// The text of a token, without its percent signs.
    pub(super) fn get(&self, token: &str) -> Option<&'a str> {
        self.texts.get(&fold(token)).copied()
    }

    /// `text` with its tokens replaced, folder numbers left as they are.
    pub(super) fn expand(&self, text: &str) -> String {
        self.expand_with(text, |_| None)
    }

    /// `text` with its tokens replaced; `folder` says what a folder number becomes, `None` leaves it.
    pub(super) fn expand_with(
        &self,
        text: &str,
        folder: impl Fn(u32) -> Option<&'static str>,
    ) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some(length) = rest[1..].find('%') else { break };
            let (written, token) = (&rest[..length + 2], &rest[1..=length]);
            rest = &rest[length + 2..];
            let found = match token {
                "" => Some("%"),
                _ if self.exhausted(out.len()) => None,
                _ => match number_of(token) {
                    Some(number) => self.get(token).or_else(|| folder(number)),
                    None => self.get(token),
                },
            };
            out.push_str(found.unwrap_or(written));
        }
        out.push_str(rest);
        self.made.set(self.made.get().saturating_add(out.len() as u64));
        out
    }

    /// True once more text was made than any real INF asks for; tokens are then left as they are.
    pub(super) fn exhausted(&self, more: usize) -> bool {
        self.made.get().saturating_add(more as u64) > MOST_TEXT
    }

    /// The tokens in `text`, lower case, that have a text.
    pub(super) fn tokens(&self, text: &str) -> Vec<(String, String)> {
        tokens(text)
            .filter_map(|token| Some((token.to_lowercase(), self.get(token)?.to_owned())))
            .collect()
    }
}

/// 0 for the exact language, 1 for its primary language, 2 for the sections without one.
fn rank(section: &str, language: u16) -> Option<u8> {
    let head = section.get(..7)?;
    if !head.eq_ignore_ascii_case("Strings") {
        return None;
    }
    let rest = &section[7..];
    if rest.is_empty() {
        return Some(2);
    }
    let found = u16::from_str_radix(rest.strip_prefix('.')?, 16).ok()?;
    if found == language {
        Some(0)
    } else if found == language & PRIMARY {
        Some(1)
    } else {
        None
    }
}

/// The tokens in `text`, without their percent signs; `%%` is none.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split('%')
        .skip(1)
        .step_by(2)
        .scan(text.matches('%').count(), |left, token| {
            *left = left.checked_sub(2)?;
            Some(token)
        })
        .filter(|token| !token.is_empty())
}

/// The number that a token of digits is.
pub(super) fn number_of(token: &str) -> Option<u32> {
    token.bytes().all(|byte| byte.is_ascii_digit()).then(|| token.parse().ok()).flatten()
}

/// A number as INF files write it: decimal or `0x`, possibly negative.
pub(super) fn number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = match hexadecimal {
        Some(digits) if digits.starts_with('+') => return None,
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

/// [`number`] as 32 bits, a negative one by its two's complement.
pub(super) fn number32(text: &str) -> Option<u32> {
    let value = number(text)?;
    if let Ok(small) = u32::try_from(value) {
        return Some(small);
    }
    i32::try_from(value.cast_signed()).ok().map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_language_wins() {
        let text = "[Strings]\na=plain\nb=plain\nc=plain\n[Strings.0009]\nb=english\na=english\n[strings.0409]\na=us\n[Strings.0407]\nc=de";
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let strings = Strings::new(&inf, 0x409);
        assert_eq!(
            strings.expand("%A%-%b%-%c%-%d%-%%-%12%-50%"),
            "us-english-plain-%d%-%-%12%-50%"
        );
        let german = Strings::new(&inf, 0x407);
        assert_eq!(german.expand("%a%%c%"), "plainde");
        assert_eq!(strings.expand_with("%12%\\x", |n| (n == 12).then_some("D")), "D\\x");
        assert_eq!(tokens("%a%x%%y%b%c%").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_text_bomb_is_defused() {
        let text = format!("[Strings]\na=\"{}\"\n", "x".repeat(1 << 20));
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let strings = Strings::new(&inf, 0x409);
        assert!(strings.expand(&"%a%".repeat(1 << 14)).len() < 130 << 20);
        assert!(strings.exhausted(0));
    }

    #[test]
    fn numbers() {
        assert_eq!(number32("0x10"), Some(16));
        assert_eq!(number32("-1"), Some(u32::MAX));
        assert_eq!(number32("010"), Some(10));
        for wrong in ["", "x", "0x", "1.5", "0x1ffffffff", "--1", "+-1"] {
            assert_eq!(number32(wrong), None, "{wrong}");
        }
    }
}
