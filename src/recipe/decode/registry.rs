//! `[registry]`: keys with their values.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    image::{HiveId, RegistryPath},
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table, Value},
        source::Origin,
    },
    servicing::{
        Operation,
        registry::{KeyAction, KeySpec, ValueAction},
    },
};

use super::Decoder;

/// Longest name of a value, in UTF-16 code units.
const VALUE_NAME: usize = 16_383;

const REG_NONE: u32 = 0;
const REG_SZ: u32 = 1;
const REG_EXPAND_SZ: u32 = 2;
const REG_BINARY: u32 = 3;
const REG_DWORD: u32 = 4;
const REG_MULTI_SZ: u32 = 7;
const REG_QWORD: u32 = 11;

/// A key whichever way its path was written.
type Identity = (HiveId, bool, Vec<Name>);

fn identity(path: &RegistryPath) -> Identity {
    let keys = path.keys().iter().map(Name::to_upcase).collect();
    (path.hive(), path.in_current_control_set(), keys)
}

impl Decoder<'_> {
    pub(super) fn registry(&mut self, node: &Node) {
        let Some(table) = node.table() else { return };
        let mut seen: BTreeMap<Identity, (&Entry, bool)> = BTreeMap::new();
        for entry in table.entries() {
            let path = match RegistryPath::parse(&entry.key) {
                Ok(path) => path,
                Err(error) => {
                    let slashes = entry.key.replace('/', "\\");
                    let help = match entry.key.contains('\\') {
                        true => error.help,
                        false if entry.key.contains('/') => {
                            format!("keys are separated by backslashes: '{}'", shown(&slashes))
                        }
                        false => "quote the whole path in single quotes: [registry.'HKLM\\SOFTWARE\\Policies']".to_owned(),
                    };
                    self.findings.push(Finding::at(
                        &entry.origin,
                        "recipe::registry-path",
                        format!("`{}` is not a registry path", shown(&entry.key)),
                        error.what,
                        help,
                    ));
                    continue;
                }
            };
            let absent = entry.node.text().is_some();
            if let Some((first, _)) = seen.insert(identity(&path), (entry, absent)) {
                self.twice(
                    &entry.origin,
                    &first.origin,
                    &format!("the key `{}`", shown(path.text())),
                );
                continue;
            }
            let action = match &entry.node.value {
                Value::Text(_) => KeyAction::Absent,
                Value::Table(values) => KeyAction::Values(self.values(values)),
                _ => continue,
            };
            let operation = Operation::RegistryKey(KeySpec { path, action });
            self.entry("registry", &entry.key, &entry.origin, operation);
        }
        self.keys_below_absent(&seen);
    }

    /// A key below one that shall be absent contradicts it.
    fn keys_below_absent(&mut self, seen: &BTreeMap<Identity, (&Entry, bool)>) {
        if !seen.values().any(|(_, absent)| *absent) {
            return;
        }
        for ((hive, current, keys), (entry, absent)) in seen {
            let above = (0..keys.len()).find_map(|length| {
                let above = (*hive, *current, keys[..length].to_vec());
                seen.get(&above).filter(|(_, above_absent)| *above_absent)
            });
            if let (Some((above, _)), false) = (above, *absent) {
                self.findings.push(
                    Finding::at(
                        &entry.origin,
                        "recipe::conflict",
                        format!("`{}` cannot be both there and absent", shown(&entry.key)),
                        "given here",
                        "take one of the two away",
                    )
                    .and(&above.origin, "absent, with all below it"),
                );
            }
        }
    }

    fn values(&mut self, table: &Table) -> Vec<(Name, ValueAction)> {
        let mut values = Vec::new();
        let mut seen: BTreeMap<Name, &Entry> = BTreeMap::new();
        for entry in table.entries() {
            let name = Name::from(entry.key.as_str());
            if entry.key.contains('\0') || name.units().len() > VALUE_NAME {
                self.findings.push(Finding::at(
                    &entry.origin,
                    "recipe::value-name",
                    "this is not a name of a registry value",
                    "holds a NUL, or is longer than 16383 characters",
                    "",
                ));
                continue;
            }
            if let Some(first) = seen.insert(name.to_upcase(), entry) {
                self.twice(
                    &entry.origin,
                    &first.origin,
                    &format!("the value `{}`", shown(&entry.key)),
                );
                continue;
            }
            if let Some(action) = self.value(&entry.node) {
                values.push((name, action));
            }
        }
        values
    }

    fn value(&mut self, node: &Node) -> Option<ValueAction> {
        let (kind, data) = match &node.value {
            Value::Integer(Some(number)) => {
                (REG_DWORD, u32::try_from(*number).ok()?.to_le_bytes().to_vec())
            }
            Value::Text(text) => (REG_SZ, self.string(text, &node.origin)?),
            Value::List(_) => (REG_MULTI_SZ, self.strings(node)?),
            Value::Table(table) if table.get("absent").is_some() => {
                return Some(ValueAction::Absent);
            }
            Value::Table(table) if table.get("env").is_some() => {
                return self.secret(table).map(ValueAction::Secret);
            }
            Value::Table(table) => self.typed(table, &node.origin)?,
            _ => return None,
        };
        Some(ValueAction::Set { kind, data })
    }

    /// `{ type = ..., value = ... }`.
    fn typed(&mut self, table: &Table, origin: &Origin) -> Option<(u32, Vec<u8>)> {
        let name = table.get("type")?.text()?;
        let kind = match name {
            "none" => REG_NONE,
            "sz" => REG_SZ,
            "expand-sz" => REG_EXPAND_SZ,
            "binary" => REG_BINARY,
            "dword" => REG_DWORD,
            "multi-sz" => REG_MULTI_SZ,
            "qword" => REG_QWORD,
            number => u32::from_str_radix(number.get(2..)?, 16).ok()?,
        };
        let Some(value) = table.get("value") else {
            if matches!(name, "none") {
                return Some((kind, Vec::new()));
            }
            self.findings.push(Finding::at(
                origin,
                "recipe::missing-key",
                format!("a registry value of type {name} needs `value`"),
                "`value` is missing",
                "to remove a value write { absent = true }",
            ));
            return None;
        };
        let data = match (name, &value.value) {
            (_, Value::Broken) => return None,
            ("sz" | "expand-sz", Value::Text(text)) => self.string(text, &value.origin)?,
            ("multi-sz", Value::List(_)) => self.strings(value)?,
            ("dword", Value::Integer(Some(number))) => match u32::try_from(*number) {
                Ok(number) => number.to_le_bytes().to_vec(),
                Err(_) => {
                    self.findings.push(Finding::at(
                        &value.origin,
                        "recipe::out-of-range",
                        "the number is too large for a dword",
                        "not between 0 and 4294967295",
                        "use `type = \"qword\"` for a number of 64 bits",
                    ));
                    return None;
                }
            },
            ("qword", Value::Integer(Some(number))) => {
                u64::try_from(*number).ok()?.to_le_bytes().to_vec()
            }
            ("sz" | "expand-sz" | "multi-sz" | "dword" | "qword", found) => {
                let expected = match name {
                    "multi-sz" => "a list of texts",
                    "dword" | "qword" => "a whole number",
                    _ => "text",
                };
                self.wrong_data(name, expected, found, &value.origin);
                return None;
            }
            (_, Value::Text(text)) => self.bytes(text, &value.origin)?,
            (_, found) => {
                self.wrong_data(name, "text of hexadecimal bytes", found, &value.origin);
                return None;
            }
        };
        Some((kind, data))
    }

    fn wrong_data(&mut self, kind: &str, expected: &str, found: &Value, origin: &Origin) {
        self.findings.push(Finding::at(
            origin,
            "recipe::wrong-type",
            format!("a registry value of type {kind} cannot be {}", found.kind()),
            format!("expected {expected}, found {}", found.kind()),
            "",
        ));
    }

    /// Text as the registry stores it: UTF-16 with a NUL at the end.
    fn string(&mut self, text: &str, origin: &Origin) -> Option<Vec<u8>> {
        if text.contains('\0') {
            self.findings.push(Finding::at(
                origin,
                "recipe::wrong-value",
                "text in the registry ends at its first NUL",
                "holds a NUL",
                "for bytes that are no text use { type = \"binary\", value = \"...\" }",
            ));
            return None;
        }
        Some(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect())
    }

    /// Texts one after the other, and an empty one at the end.
    fn strings(&mut self, node: &Node) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        for node in node.list()? {
            let text = node.text()?;
            if text.is_empty() {
                self.findings.push(Finding::at(
                    &node.origin,
                    "recipe::wrong-value",
                    "an empty text ends a REG_MULTI_SZ",
                    "what follows would be lost",
                    "take the empty text away",
                ));
                return None;
            }
            data.extend(self.string(text, &node.origin)?);
        }
        data.extend([0, 0]);
        Some(data)
    }

    /// Hexadecimal bytes, with blanks and commas between them as people and `.reg` files write them.
    fn bytes(&mut self, text: &str, origin: &Origin) -> Option<Vec<u8>> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|character| !character.is_whitespace() && *character != ',')
            .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let bytes = digits.filter(|digits| digits.len().is_multiple_of(2)).map(|digits| {
            digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect::<Vec<u8>>()
        });
        if bytes.is_none() {
            self.findings.push(Finding::at(
                origin,
                "recipe::wrong-value",
                "these are not hexadecimal bytes",
                "expected two digits for each byte",
                "for example value = \"00 1f a0\"",
            ));
        }
        bytes
    }
}
