//! A hive as canonical text: one line for each key and value.

use std::fmt::{self, Write as _};

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    nodes::NameRef,
    value::{Value, ValueType},
    walk::{Entry, ValueRef},
};
use crate::base::digest::{Blake3, to_hex};

/// Data beyond this is shown as a digest.
const SHOWN: usize = 1024;
/// A dump has at most this many bytes for each byte of the hive: deep keys with long names repeat their path in every line.
const MOST: usize = 64;

impl Hive {
    /// Everything below `key` as text, one line for each key (`\path  time security [class]`) and value
    /// (`\path  "name" type data`). Text that round-trips is shown as text, all else in hexadecimal, long data as a BLAKE3 digest.
    /// Two hives with the same content have the same dump, however their cells lie.
    ///
    /// # Errors
    /// When the hive is damaged, or so deep that its paths would fill the memory.
    pub fn dump(&self, key: KeyId) -> Result<String, HiveError> {
        let mut text = String::new();
        let mut path = String::new();
        let mut ends = Vec::new();
        let mut failed = None;
        let limit = MOST * self.byte_size();
        self.walk(key, |entry| match entry {
            _ if text.len() > limit => {
                let size = text.len();
                failed = Some(HiveError::DataTooLarge { what: "the text of a hive", size, limit });
            }
            Entry::Key { key, depth, name, time } => {
                ends.truncate(depth);
                path.truncate(ends.last().copied().unwrap_or(0));
                if depth > 0 {
                    path.push('\\');
                    push(&mut path, &Escaped(name));
                }
                ends.push(path.len());
                let shown = if path.is_empty() { "\\" } else { &path };
                match (self.security(key), self.class(key)) {
                    (Ok(security), Ok(class)) => {
                        let digest = to_hex(&Blake3::of(security).0[..6]);
                        push(&mut text, &format_args!("{shown}  {time} security={digest}"));
                        if let Some(class) = class {
                            push(&mut text, &format_args!(" class={class:?}"));
                        }
                    }
                    (Err(error), _) | (_, Err(error)) => failed = failed.take().or(Some(error)),
                }
                text.push('\n');
            }
            Entry::Value(value) => {
                let shown = if path.is_empty() { "\\" } else { &path };
                push(&mut text, &format_args!("{shown}  {}\n", Line(&value)));
            }
        })?;
        match failed {
            Some(error) => Err(error),
            None => Ok(text),
        }
    }
}

/// Writing to a string can not fail.
fn push(text: &mut String, what: &dyn fmt::Display) {
    text.write_fmt(format_args!("{what}")).expect("a string takes whatever is written to it");
}

/// A name with `\`, `"` and control characters escaped.
struct Escaped<'a>(NameRef<'a>);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in char::decode_utf16(self.0.units()) {
            match unit {
                Ok(character @ ('\\' | '"')) => write!(formatter, "\\{character}")?,
                Ok(character) if !character.is_control() => formatter.write_char(character)?,
                Ok(character) => write!(formatter, "\\u{{{:x}}}", u32::from(character))?,
                Err(lone) => write!(formatter, "\\u{{{:x}}}", lone.unpaired_surrogate())?,
            }
        }
        Ok(())
    }
}

struct Line<'a>(&'a ValueRef<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ValueRef { name, kind, data } = self.0;
        write!(formatter, "\"{}\" {kind} ", Escaped(*name))?;
        if data.len() > SHOWN {
            return write!(formatter, "blake3:{} ({} bytes)", Blake3::of(data), data.len());
        }
        if let ValueType::SZ | ValueType::EXPAND_SZ = *kind {
            let value = self.0.to_value();
            if let Some(text) = value.as_text()
                && Value::sz(value.name, &text).data == value.data
            {
                return write!(formatter, "{text:?}");
            }
        }
        write!(formatter, "hex:{}", to_hex(data))
    }
}
