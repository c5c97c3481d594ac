//! What a step did, for a reader: counts, bytes, and the first changes in words.

use super::model::{ChangePart, Changes, SHOWN};
use crate::image::{Change, Changeset};

/// What `changeset` did.
#[must_use]
pub(super) fn describe(changeset: &Changeset) -> Changes {
    let mut changes = Changes::default();
    for change in &changeset.0 {
        *changes.counts.entry(change.kind().to_owned()).or_default() += 1;
        changes.bytes = changes.bytes.saturating_add(change.bytes());
    }
    let part = |change: &Change| ChangePart {
        kind: change.kind().to_owned(),
        place: change.place(),
        now: change.now(),
    };
    changes.first = changeset.0.iter().take(SHOWN).map(part).collect();
    changes.more = changeset.0.len().saturating_sub(SHOWN) as u64;
    changes
}

<<<<<<< HEAD
=======
/// The word for a change: that of its canonical form.
fn kind(change: &Change) -> &'static str {
    match change {
        Change::MakeDirectory { .. } => "make-directory",
        Change::PutFile { .. } => "put-file",
        Change::Link { .. } => "link",
        Change::Separate { .. } => "separate",
        Change::Remove { .. } => "remove",
        Change::Rename { .. } => "rename",
        Change::SetAttributes { .. } => "set-attributes",
        Change::SetSecurity { .. } => "set-security",
        Change::CreateKey { .. } => "create-key",
        Change::SetKeySecurity { .. } => "set-key-security",
        Change::SetKeyTime { .. } => "set-key-time",
        Change::DeleteKey { .. } => "delete-key",
        Change::SetValue { .. } => "set-value",
        Change::SetSecret { .. } => "set-secret",
        Change::DeleteValue { .. } => "delete-value",
    }
}

/// A change in words. Of a secret only the name is told.
fn part(change: &Change) -> ChangePart {
    let (place, now) = match change {
        Change::MakeDirectory { path, .. }
        | Change::Separate { path }
        | Change::Remove { path } => (path.to_string(), None),
        Change::PutFile { path, content, .. } => (path.to_string(), Some(file(content))),
        Change::Link { file, path } => (path.to_string(), Some(format!("the file {file}"))),
        Change::Rename { from, to } => (to.to_string(), Some(format!("what was {from}"))),
        Change::SetAttributes { path, attributes } => {
            (path.to_string(), Some(format!("{attributes:#x}")))
        }
        Change::SetSecurity { path, descriptor } => (path.to_string(), Some(security(descriptor))),
        Change::CreateKey { hive, key } | Change::DeleteKey { hive, key } => {
            (key_text(*hive, key), None)
        }
        Change::SetKeySecurity { hive, key, descriptor } => {
            (key_text(*hive, key), Some(security(descriptor)))
        }
        Change::SetKeyTime { hive, key, time } => (key_text(*hive, key), Some(time.to_string())),
        Change::SetValue { hive, key, name, kind, data } => {
            let value = Value::new(name.clone(), ValueType(*kind), data.clone());
            (value_place(*hive, key, name), Some(value_text(&value)))
        }
        Change::SetSecret { hive, key, name, kind, secret } => {
            let now = format!("{} {{secret {}}}", ValueType(*kind), secret.env);
            (value_place(*hive, key, name), Some(now))
        }
        Change::DeleteValue { hive, key, name } => (value_place(*hive, key, name), None),
    };
    ChangePart { kind: kind(change).to_owned(), place, now }
}

fn size(content: &FileContent) -> u64 {
    match content {
        FileContent::Stored(blob) => blob.size,
        FileContent::Inline(bytes) => bytes.len() as u64,
        // Of the text with the names: that of the values would be told otherwise.
        FileContent::Template(template) => template.text().len() as u64,
    }
}

/// `12 bytes, blake3 ...`
fn file(content: &FileContent) -> String {
    let told = |size: u64, blake3: Blake3| format!("{size} bytes, blake3 {blake3}");
    match content {
        FileContent::Stored(blob) => told(blob.size, blob.blake3),
        FileContent::Inline(bytes) => told(bytes.len() as u64, Blake3::of(bytes)),
        FileContent::Template(template) => {
            let mut names: Vec<String> = template.secrets().map(|secret| secret.env).collect();
            names.sort();
            names.dedup();
            format!("text with secrets: {}", names.join(", "))
        }
    }
}

fn security(descriptor: &[u8]) -> String {
    match SecurityDescriptor::parse(descriptor) {
        Ok(descriptor) => to_sddl(&descriptor),
        Err(_) => data_text(descriptor),
    }
}

fn key_text(hive: HiveId, key: &[Name]) -> String {
    RegistryPath::from_keys(hive, key.to_vec()).text().to_owned()
}

fn value_place(hive: HiveId, key: &[Name], name: &Name) -> String {
    let name = if name.is_empty() { "(default)".to_owned() } else { name.to_string() };
    format!("{} : {name}", key_text(hive, key))
}

/// `REG_DWORD 4`, `REG_SZ "text"`.
fn value_text(value: &Value) -> String {
    let kind = value.kind;
    if let Some(text) = value.as_text() {
        return format!("{kind} {}", quoted(&text));
    }
    if let Some(texts) = value.as_multi_text() {
        let all: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        return format!("{kind} {}", cut(&format!("[{}]", all.join(", "))));
    }
    if let Some(number) = value.as_dword() {
        return format!("{kind} {number}");
    }
    if let Some(number) = value.as_qword() {
        return format!("{kind} {number}");
    }
    format!("{kind} {}", data_text(&value.data))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(text))
}

/// `text`, or its beginning and how long it is.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
    }
}

/// Bytes in hexadecimal, or the first and how many there are.
fn data_text(data: &[u8]) -> String {
    match data.get(..LONGEST_DATA) {
        Some(first) if data.len() > LONGEST_DATA => {
            format!("{}... ({} bytes)", to_hex(first), data.len())
        }
        _ if data.is_empty() => "(empty)".to_owned(),
        _ => to_hex(data),
    }
}

>>>>>>> secrets
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{name::Name, ntpath::NtPath},
        image::{HiveId, changeset::FileContent},
    };

<<<<<<< HEAD
=======
    fn set(value: Value) -> Change {
        let (hive, key) = (HiveId::Software, vec![Name::from("Contoso")]);
        Change::SetValue { hive, key, name: value.name, kind: value.kind.0, data: value.data }
    }

    fn now(value: Value) -> String {
        part(&set(value)).now.unwrap()
    }

    #[test]
    fn values_are_told_by_their_type() {
        assert_eq!(part(&set(Value::dword("A", 4))).place, r"HKLM\SOFTWARE\Contoso : A");
        assert_eq!(part(&set(Value::dword("", 4))).place, r"HKLM\SOFTWARE\Contoso : (default)");
        assert_eq!(now(Value::dword("A", 4)), "REG_DWORD 4");
        assert_eq!(now(Value::sz("A", "x y")), "REG_SZ \"x y\"");
        assert_eq!(now(Value::multi_sz("A", ["x", "y"])), "REG_MULTI_SZ [\"x\", \"y\"]");
        assert_eq!(now(Value::binary("A", [1, 0xff])), "REG_BINARY 01ff");
        assert_eq!(now(Value::binary("A", [])), "REG_BINARY (empty)");
        assert!(now(Value::sz("A", &"é".repeat(500))).ends_with("... (500 characters)\""));
        assert!(now(Value::binary("A", [0; 65])).ends_with("... (65 bytes)"));
    }

    #[test]
    fn of_secrets_only_names_are_told() {
        let secret = SecretRef::new("PW").unwrap();
        let text = format!("a{}", secret.placeholder(&SecretForm::Text));
        let content = FileContent::Template(Template::new(text));
        let path = NtPath::parse("a.txt").unwrap();
        let put =
            Change::PutFile { path, content, attributes: 0, security: None, last_write: None };
        assert_eq!(part(&put).now.unwrap(), "text with secrets: PW");
        let (hive, name) = (HiveId::Software, Name::from("Token"));
        let set = Change::SetSecret { hive, key: Vec::new(), name, kind: 1, secret };
        assert_eq!(part(&set).now.unwrap(), "REG_SZ {secret PW}");
    }

>>>>>>> secrets
    #[test]
    fn many_changes_are_counted_and_the_first_shown() {
        let (hive, key) = (HiveId::Software, vec![Name::from("Contoso")]);
        let path = NtPath::parse("a.txt").unwrap();
        let put = Change::PutFile {
            path,
            content: FileContent::Inline(vec![0; 5]),
            attributes: 0x20,
            security: None,
            last_write: None,
        };
        let create = Change::CreateKey { hive, key };
        let mut all = vec![put];
        all.extend(std::iter::repeat_n(create, SHOWN + 2));
        let changes = describe(&Changeset(all));
        assert_eq!((changes.first.len(), changes.more, changes.bytes), (SHOWN, 3, 5));
        assert_eq!(changes.counts["create-key"], SHOWN as u64 + 2);
        assert_eq!(changes.first[0].place, r"\a.txt");
        assert_eq!(changes.first[1].place, r"HKLM\SOFTWARE\Contoso");
    }
}
