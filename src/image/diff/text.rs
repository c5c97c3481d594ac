//! What differs, in words.

use std::fmt::Write as _;

use super::{FileFacts, Text, ValueFacts};
use crate::{
    base::digest::{Sha1, to_hex},
    format::{
        hive::{Value, ValueRef, ValueType},
        security::{SecurityDescriptor, to_sddl},
    },
    image::{content::BlobRef, tree::Inode},
};

/// Data beyond this many bytes is cut short.
const LONGEST: usize = 1024;
/// As many bytes, or characters, of it are then shown.
const BEGINNING: usize = 64;

const ATTRIBUTES: [(u32, &str); 14] = [
    (0x1, "read-only"),
    (0x2, "hidden"),
    (0x4, "system"),
    (0x10, "folder"),
    (0x20, "archive"),
    (0x100, "temporary"),
    (0x200, "sparse"),
    (0x400, "reparse-point"),
    (0x800, "compressed"),
    (0x1000, "offline"),
    (0x2000, "not-indexed"),
    (0x4000, "encrypted"),
    (0x8000, "integrity"),
    (0x2_0000, "no-scrub"),
];

/// The names of attributes; those without a name in hexadecimal.
pub(super) fn attributes(bits: u32) -> Text {
    let mut names: Vec<String> = Vec::new();
    let mut left = bits;
    for (bit, name) in ATTRIBUTES {
        if bits & bit != 0 {
            names.push(name.to_owned());
            left &= !bit;
        }
    }
    if left != 0 {
        names.push(format!("{left:#x}"));
    }
    Text::from(if names.is_empty() { "none".to_owned() } else { names.join(" ") })
}

/// A descriptor in SDDL, unless it is damaged. `exact` tells its SHA-1 too: the other one reads the same.
pub(super) fn security(descriptor: &[u8], exact: bool) -> String {
    let text = match SecurityDescriptor::parse(descriptor) {
        Ok(descriptor) => to_sddl(&descriptor),
        Err(_) => format!("damaged, {} bytes, SHA-1 {}", descriptor.len(), Sha1::of(descriptor)),
    };
    if exact { format!("{text} (in the bytes of SHA-1 {})", Sha1::of(descriptor)) } else { text }
}

/// Two descriptors that are not the same bytes.
pub(super) fn securities(old: Option<&[u8]>, new: Option<&[u8]>) -> (Option<Text>, Option<Text>) {
    let plain = |side: Option<&[u8]>| side.map(|bytes| security(bytes, false));
    let (mut old_text, mut new_text) = (plain(old), plain(new));
    if old_text == new_text {
        let exact = |side: Option<&[u8]>| side.map(|bytes| security(bytes, true));
        (old_text, new_text) = (exact(old), exact(new));
    }
    (old_text.map(Text::from), new_text.map(Text::from))
}

/// Content, by size and digest.
pub(super) fn content(blob: BlobRef) -> Text {
    Text::from(match blob.sha1.is_zero() {
        true => "empty".to_owned(),
        false => format!("{} bytes, SHA-1 {}", blob.size, blob.sha1),
    })
}

/// What a file holds.
pub(super) fn facts(inode: &Inode) -> FileFacts {
    let data = inode.data();
    FileFacts { size: data.size, sha1: (!data.sha1.is_zero()).then_some(data.sha1) }
}

/// The bytes of tagged items.
pub(super) fn extended(bytes: &[u8]) -> Option<Text> {
    (!bytes.is_empty()).then(|| Text::from(hexadecimal(bytes)))
}

/// What a value holds. Different data never has the same text.
pub(super) fn value(value: &ValueRef<'_>) -> ValueFacts {
    ValueFacts {
        kind: value.kind.to_string(),
        size: value.data.len() as u64,
        data: data(value.kind, &value.data),
    }
}

fn data(kind: ValueType, data: &[u8]) -> String {
    let value = Value::new("", kind, data);
    // What reads like something else that we write is not exact.
    let exact = |text: &String| !text.contains(r"\u{") && !text.starts_with("hex:");
    let text = match kind {
        ValueType::SZ | ValueType::EXPAND_SZ => {
            value.as_text().filter(|text| Value::sz("", text).data == data).filter(exact)
        }
        ValueType::MULTI_SZ => value
            .as_multi_text()
            .filter(|texts| Value::multi_sz("", texts).data == data)
            .map(|texts| list(&texts))
            .filter(exact),
        ValueType::DWORD => value.as_dword().map(|number| decimal(number.into())),
        ValueType::QWORD => value.as_qword().map(decimal),
        _ => None,
    };
    text.map_or_else(|| hexadecimal(data), |text| long_text(&text, data))
}

/// A number, in hexadecimal too where that is another text.
fn decimal(number: u64) -> String {
    if number < 10 { number.to_string() } else { format!("{number} ({number:#x})") }
}

/// Texts in quotation marks; within them `"` and `\` have a `\` in front.
fn list(texts: &[String]) -> String {
    let mut list = String::new();
    for text in texts {
        if !list.is_empty() {
            list.push_str(", ");
        }
        let _ = write!(list, "\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    }
    format!("[{list}]")
}

/// A text; the beginning of a long one. Control characters are escaped.
fn long_text(text: &str, data: &[u8]) -> String {
    let is_long = data.len() > LONGEST;
    let mut shown = String::new();
    for character in text.chars().take(if is_long { BEGINNING } else { LONGEST }) {
        if character.is_control() {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    if is_long {
        let _ = write!(shown, "\u{2026} ({} bytes, SHA-1 {})", data.len(), Sha1::of(data));
    }
    shown
}

fn hexadecimal(data: &[u8]) -> String {
    if data.len() <= LONGEST {
        return format!("hex:{}", to_hex(data));
    }
    let beginning = to_hex(&data[..BEGINNING]);
    format!("hex:{beginning}\u{2026} ({} bytes, SHA-1 {})", data.len(), Sha1::of(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them_and_stay_exact() {
        let shown = |value: Value| data(value.kind, &value.data);
        assert_eq!(shown(Value::sz("", r"C:\x")), r"C:\x");
        assert_eq!(shown(Value::dword("", 17)), "17 (0x11)");
        assert_eq!(shown(Value::qword("", 7)), "7");
        assert!(shown(Value::sz("", "hex:6100")).starts_with("hex:6800"));
        assert!(shown(Value::sz("", r"\u{1}")).starts_with("hex:5c00"));
        assert_eq!(shown(Value::sz("", "a\u{1}")), r"a\u{1}");
        assert_eq!(shown(Value::multi_sz("", ["a", "b\""])), r#"["a", "b\""]"#);
        assert_eq!(shown(Value::binary("", [1, 255])), "hex:01ff");
        // No terminating NUL, and something behind it: the text alone would not be exact.
        assert_eq!(shown(Value::new("", ValueType::SZ, *b"a\0")), "hex:6100");
        assert_eq!(shown(Value::new("", ValueType::DWORD, [1])), "hex:01");
        let long = |last: &str| shown(Value::sz("", &format!("{}{last}", "x".repeat(2000))));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() < 200);
    }

    #[test]
    fn attributes_have_names() {
        assert_eq!(attributes(0).as_str(), "none");
        assert_eq!(attributes(0x21).as_str(), "read-only archive");
        assert_eq!(attributes(0x8000_0010).as_str(), "folder 0x80000000");
    }

    #[test]
    fn descriptors_that_read_alike_are_told_apart() {
        let (old, new) = securities(Some(&[1]), Some(&[2]));
        assert_ne!(old, new);
        assert_eq!(securities(None, Some(&[1])).0, None);
    }
}
