//! Writing `.reg` files.

use std::fmt::Write as _;

use super::{HEADER, RegAction, RegEntry};
use crate::{
    base::name::Name,
    format::hive::{Entry, Hive, HiveError, KeyId, ValueType},
};

/// Column behind which `regedit` continues hexadecimal data on the next line.
const WRAP: usize = 76;
/// Paths may take this many bytes for each byte of the hive: deep keys with long names repeat them.
const MOST: usize = 64;

/// A key or value that has no form in a `.reg` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` can not be written to a .reg file: {why}")]
pub struct NotWritable {
    /// The key or value name.
    pub what: String,
    /// Why.
    pub why: &'static str,
}

/// Writes a `.reg` file of version 5.00: UTF-16 with byte order mark and CRLF, as `regedit` does.
///
/// # Errors
/// For ill-formed UTF-16 in the name of a value, and for keys with line breaks, or that begin with `-` or are empty.
pub fn write(entries: &[RegEntry]) -> Result<Vec<u8>, NotWritable> {
    let text = write_text(entries)?;
    Ok([0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect())
}

/// As [`write()`], before it is encoded.
///
/// # Errors
/// As [`write()`].
pub fn write_text(entries: &[RegEntry]) -> Result<String, NotWritable> {
    let mut text = format!("{HEADER}\r\n");
    for entry in entries {
        let refuse = |why| Err(NotWritable { what: entry.key.clone(), why });
        if entry.key.is_empty() || entry.key.starts_with('-') {
            return refuse("a key has a name and does not begin with `-`");
        }
        if entry.key.contains(['\r', '\n']) {
            return refuse("a key does not contain line breaks");
        }
        match &entry.action {
            RegAction::DeleteKey => push(&mut text, format_args!("\r\n[-{}]\r\n", entry.key)),
            RegAction::Values(values) => {
                push(&mut text, format_args!("\r\n[{}]\r\n", entry.key));
                for (name, data) in values {
                    write_value(&mut text, name, data.as_ref())?;
                }
            }
        }
    }
    Ok(text)
}

/// What `key` and everything below it hold, as entries whose paths begin with `prefix`.
///
/// # Errors
/// When the hive is damaged there, or so deep that its paths would fill the memory.
pub fn entries_of(hive: &Hive, key: KeyId, prefix: &str) -> Result<Vec<RegEntry>, HiveError> {
    let mut entries: Vec<RegEntry> = Vec::new();
    let mut path = prefix.to_owned();
    let mut ends = Vec::new();
    let (mut size, limit) = (0, MOST * hive.byte_size());
    hive.walk(key, |entry| match entry {
        _ if size > limit => {}
        Entry::Key { depth, name, .. } => {
            ends.truncate(depth);
            path.truncate(ends.last().copied().unwrap_or(prefix.len()));
            if depth > 0 {
                push(&mut path, format_args!("\\{}", name.to_name()));
            }
            ends.push(path.len());
            size += path.len();
            let action = RegAction::Values(Vec::new());
            entries.push(RegEntry { key: path.clone(), line: 0, action });
        }
        Entry::Value(value) => {
            if let Some(RegEntry { action: RegAction::Values(values), .. }) = entries.last_mut() {
                values.push((value.name.to_name(), Some((value.kind, value.data.into_owned()))));
            }
        }
    })?;
    if size > limit {
        return Err(HiveError::DataTooLarge { what: "the paths of a hive's keys", size, limit });
    }
    Ok(entries)
}

/// Writing to a string can not fail.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes whatever is written to it");
}

fn write_value(
    text: &mut String,
    name: &Name,
    data: Option<&(ValueType, Vec<u8>)>,
) -> Result<(), NotWritable> {
    let start = text.len();
    if name.is_empty() {
        text.push('@');
    } else if let Some(name) = name.to_text() {
        push_quoted(text, &name);
    } else {
        return Err(NotWritable { what: name.to_string(), why: "its UTF-16 is ill-formed" });
    }
    text.push('=');
    match data {
        None => text.push('-'),
        Some((ValueType::SZ, data)) if plain_text(data).is_some() => {
            push_quoted(text, &plain_text(data).unwrap_or_default());
        }
        Some((ValueType::DWORD, data)) if data.len() == 4 => {
            let number = u32::from_le_bytes([data[0], data[1], data[2], data[3]]);
            push(text, format_args!("dword:{number:08x}"));
        }
        Some((kind, data)) => {
            match *kind {
                ValueType::BINARY => text.push_str("hex:"),
                ValueType(kind) => push(text, format_args!("hex({kind:x}):")),
            }
            let mut column = text[start..].chars().count();
            for (index, byte) in data.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                    if column > WRAP {
                        text.push_str("\\\r\n  ");
                        column = 2;
                    }
                }
                push(text, format_args!("{byte:02x}"));
                column += 3;
            }
        }
    }
    text.push_str("\r\n");
    Ok(())
}

fn push_quoted(text: &mut String, content: &str) {
    text.push('"');
    for character in content.chars() {
        if let '"' | '\\' = character {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}

/// The text of a `REG_SZ` that quotes can hold: one NUL at its end, no control characters.
fn plain_text(data: &[u8]) -> Option<String> {
    let (units, rest) = data.as_chunks();
    let (last, units) = units.split_last()?;
    if *last != [0, 0] || !rest.is_empty() {
        return None;
    }
    let units: Vec<u16> = units.iter().map(|&unit| u16::from_le_bytes(unit)).collect();
    String::from_utf16(&units).ok().filter(|text| !text.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::reg_text::{RegValue, parse};

    #[test]
    fn written_as_regedit_writes() {
        let value = (Name::from("b"), Some((ValueType::BINARY, vec![0xab; 30])));
        let action = RegAction::Values(vec![value, ("".into(), None)]);
        let text = write_text(&[RegEntry { key: "HKLM".into(), line: 1, action }]).unwrap();
        let bytes = ["ab"; 30].join(",");
        let (first, second) = bytes.split_at(23 * 3);
        assert_eq!(
            text,
            format!("{HEADER}\r\n\r\n[HKLM]\r\n\"b\"=hex:{first}\\\r\n  {second}\r\n@=-\r\n")
        );
        for key in ["", "-a", "a\nb"] {
            let entry = RegEntry { key: key.into(), line: 1, action: RegAction::DeleteKey };
            assert!(write_text(&[entry]).is_err(), "{key:?}");
        }
    }

    fn values() -> impl Strategy<Value = RegValue> {
        let name = prop_oneof![any::<String>(), Just(String::new()), "[a-z\"\\\\=\r\n;]{0,9}"];
        let text = any::<String>().prop_map(|text| {
            (ValueType::SZ, text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect())
        });
        let any_data = (0..20_u32, prop::collection::vec(any::<u8>(), 0..90))
            .prop_map(|(kind, data)| (ValueType(kind), data));
        let data = proptest::option::of(prop_oneof![text, any_data]);
        (name, data).prop_map(|(name, data)| (Name::from(name.as_str()), data))
    }

    fn entries() -> impl Strategy<Value = Vec<RegEntry>> {
        let action = prop_oneof![
            1 => Just(RegAction::DeleteKey),
            4 => prop::collection::vec(values(), 0..5).prop_map(RegAction::Values),
        ];
        let entry = ("[A-Z][a-z\\\\é;\\[\\] ]{0,20}", action).prop_map(|(key, action)| RegEntry {
            key,
            line: 0,
            action,
        });
        prop::collection::vec(entry, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_back(entries in entries()) {
            let mut read = parse(&write(&entries).unwrap()).unwrap();
            for entry in &mut read {
                entry.line = 0;
            }
            prop_assert_eq!(&read, &entries);
            prop_assert_eq!(write(&read).unwrap(), write(&entries).unwrap());
        }
    }
}
