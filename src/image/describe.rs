//! A change in words: its kind, its place, and what is there now. For reports and for people; no key is made of it.

use super::changeset::{Change, FileContent};
use crate::{
    base::{digest::to_hex, name::Name},
    format::hive::{Value, ValueType},
    image::hives::HiveId,
};

/// As many bytes of a value are shown in hexadecimal.
const SHOWN_BYTES: usize = 32;
/// As many characters of a value's text are shown.
const SHOWN_CHARACTERS: usize = 200;

impl Change {
    /// The kind of change: `put-file`, `set-value` ...
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::MakeDirectory { .. } => "make-directory",
            Self::PutFile { .. } => "put-file",
            Self::Link { .. } => "link",
            Self::Separate { .. } => "separate",
            Self::Remove { .. } => "remove",
            Self::Rename { .. } => "rename",
            Self::SetAttributes { .. } => "set-attributes",
            Self::SetSecurity { .. } => "set-security",
            Self::CreateKey { .. } => "create-key",
            Self::SetKeySecurity { .. } => "set-key-security",
            Self::SetKeyTime { .. } => "set-key-time",
            Self::DeleteKey { .. } => "delete-key",
            Self::SetValue { .. } => "set-value",
            Self::SetSecret { .. } => "set-secret",
            Self::DeleteValue { .. } => "delete-value",
        }
    }

    /// The path, with `\` in front; or the registry key and, behind ` : `, the value's name (`(default)` for the one without). Of a rename the new path.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::MakeDirectory { path, .. }
            | Self::PutFile { path, .. }
            | Self::Link { path, .. }
            | Self::Separate { path }
            | Self::Remove { path }
            | Self::Rename { to: path, .. }
            | Self::SetAttributes { path, .. }
            | Self::SetSecurity { path, .. } => path.to_string(),
            Self::CreateKey { hive, key }
            | Self::SetKeySecurity { hive, key, .. }
            | Self::SetKeyTime { hive, key, .. }
            | Self::DeleteKey { hive, key } => key_text(*hive, key),
            Self::SetValue { hive, key, name, .. }
            | Self::SetSecret { hive, key, name, .. }
            | Self::DeleteValue { hive, key, name } => {
                format!("{} : {}", key_text(*hive, key), value_name(name))
            }
        }
    }

    /// What is there now, in short: size and BLAKE3 of a file, type and data of a value. Of a secret only its variable.
    #[must_use]
    pub fn now(&self) -> Option<String> {
        match self {
            Self::PutFile { content, .. } => Some(match content {
                FileContent::Stored(blob) => {
                    format!("{} bytes, BLAKE3 {}", blob.size, blob.blake3)
                }
                FileContent::Inline(bytes) => {
                    let digest = crate::base::digest::Blake3::of(bytes);
                    format!("{} bytes, BLAKE3 {digest}", bytes.len())
                }
                FileContent::Template(_) => "a text with secrets".to_owned(),
            }),
            Self::Link { file, .. } => Some(format!("another name of {file}")),
            Self::Rename { from, .. } => Some(format!("was {from}")),
            Self::MakeDirectory { attributes, .. } | Self::SetAttributes { attributes, .. } => {
                Some(format!("attributes 0x{attributes:x}"))
            }
            Self::SetSecurity { descriptor, .. } | Self::SetKeySecurity { descriptor, .. } => {
                Some(format!("a security descriptor of {} bytes", descriptor.len()))
            }
            Self::SetKeyTime { time, .. } => Some(time.to_string()),
            Self::SetValue { kind, data, .. } => Some(value_text(*kind, data)),
            Self::SetSecret { secret, .. } => {
                Some(format!("the secret of the environment variable {}", secret.env))
            }
            Self::Separate { .. }
            | Self::Remove { .. }
            | Self::CreateKey { .. }
            | Self::DeleteKey { .. }
            | Self::DeleteValue { .. } => None,
        }
    }

    /// Bytes of the file that it puts in place; 0 for every other change.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::PutFile { content: FileContent::Stored(blob), .. } => blob.size,
            Self::PutFile { content: FileContent::Inline(bytes), .. } => bytes.len() as u64,
            _ => 0,
        }
    }
}

/// `HKLM\SOFTWARE\Vendor`.
#[must_use]
pub fn key_text(hive: HiveId, key: &[Name]) -> String {
    key.iter().fold(hive.registry_root().to_owned(), |text, name| format!("{text}\\{name}"))
}

/// The name of a registry value; `(default)` for the one without.
#[must_use]
pub fn value_name(name: &Name) -> String {
    if *name == Name::default() { "(default)".to_owned() } else { name.to_string() }
}

/// Type and data of a registry value: `REG_DWORD 0x1 (1)`, `REG_SZ "text"`. What the data do not fit is shown in hexadecimal; what is long is cut.
#[must_use]
pub fn value_text(kind: u32, data: &[u8]) -> String {
    let kind = ValueType(kind);
    let name = kind.name().map_or_else(|| format!("type {}", kind.0), str::to_owned);
    let value = Value::new("", kind, data);
    let quoted = |text: &str| format!("\"{}\"", shortened(text));
    let shown = if let Some(number) = value.as_dword() {
        format!("0x{number:x} ({number})")
    } else if let Some(number) = value.as_qword() {
        format!("0x{number:x} ({number})")
    } else if let Some(texts) = value.as_multi_text() {
        let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
        format!("[{}]", shortened(&texts.join(", ")))
    } else if let Some(text) = value.as_text() {
        quoted(&text)
    } else if data.len() > SHOWN_BYTES {
        format!("{}... ({} bytes)", to_hex(&data[..SHOWN_BYTES]), data.len())
    } else {
        to_hex(data)
    };
    format!("{name} {shown}").trim_end().to_owned()
}

/// A text on one line, cut where it is long.
#[must_use]
pub fn shortened(text: &str) -> String {
    let shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() { format!("{shown}...") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ntpath::NtPath, secret::SecretRef};

    #[test]
    fn values_are_shown_by_what_they_mean() {
        let sz = Value::sz("", "a \"b\"");
        let multi = Value::multi_sz("", ["one", "two"]);
        assert_eq!(value_text(4, &[5, 0, 0, 0]), "REG_DWORD 0x5 (5)");
        assert_eq!(value_text(11, &[0, 0, 0, 0, 1, 0, 0, 0]), "REG_QWORD 0x100000000 (4294967296)");
        assert_eq!(value_text(1, &sz.data), "REG_SZ \"a \"b\"\"");
        assert_eq!(value_text(7, &multi.data), "REG_MULTI_SZ [\"one\", \"two\"]");
        assert_eq!(value_text(3, &[1, 0xab]), "REG_BINARY 01ab");
        assert_eq!(value_text(4, &[1]), "REG_DWORD 01");
        assert_eq!(value_text(0x1234, &[]), "type 4660");
        let long = value_text(3, &[0; 100]);
        assert!(long.ends_with("... (100 bytes)"), "{long}");
        assert!(value_text(1, &Value::sz("", &"x".repeat(500)).data).len() < 300);
    }

    #[test]
    fn a_change_names_its_place_and_never_a_secret() {
        let path = NtPath::parse(r"C:\Data\one.txt").unwrap();
        let content = FileContent::Inline(b"one".to_vec());
        let put =
            Change::PutFile { path, content, attributes: 0, security: None, last_write: None };
        assert_eq!((put.kind(), put.bytes()), ("put-file", 3));
        assert!(put.place().ends_with(r"\Data\one.txt"), "{}", put.place());
        assert!(put.now().unwrap().starts_with("3 bytes, BLAKE3 "));
        let secret = SecretRef::new("PASSWORD").unwrap();
        let (hive, key) = (HiveId::Software, vec![Name::from("Vendor")]);
        let set = Change::SetSecret { hive, key, name: Name::default(), kind: 1, secret };
        assert_eq!(set.place(), r"HKLM\SOFTWARE\Vendor : (default)");
        assert_eq!(set.now().unwrap(), "the secret of the environment variable PASSWORD");
    }
}
