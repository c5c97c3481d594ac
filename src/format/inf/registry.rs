//! `AddReg` and `DelReg`: lines of `root, key, name, flags, data...`.
//!
//! The flags carry the type. Lines are taken literally as Windows takes them: a forgotten comma makes `HKR, "Interrupt Management", 0x00000010` a value
//! called `0x00000010`, and real driver databases have it. Source: `facts/inf.md` (inf-addreg).

use super::document::{Line, Section};
use super::error::{InfCause, InfError};
use super::model::{RegistryAction, RegistryLine, RegistryRoot, Unsupported};
use super::strings::{Strings, number, number32};

const DELETE: u32 = 0x4;
const KEY_ONLY: u32 = 0x10;
const KEY_ONLY_COMMON: u32 = 0x2000;
/// The type and the bit that makes data binary.
const TYPE: u32 = 0xffff_0001;
/// `DelReg`: take one string out of a list.
const DELETE_STRING: u32 = 0x0001_8002;

const SZ: u32 = 1;
const EXPAND_SZ: u32 = 2;
const BINARY: u32 = 3;
const DWORD: u32 = 4;
const MULTI_SZ: u32 = 7;
const QWORD: u32 = 11;

/// Adds the lines of an `AddReg` section to `into`.
pub(super) fn add(
    strings: &Strings<'_>,
    section: Section<'_>,
    into: &mut Vec<RegistryLine>,
) -> Result<(), InfError> {
    for line in section.lines() {
        let (root, key, name) = place(strings, &line)?;
        let flags = number32(&strings.expand(line.value(3))).unwrap_or(0);
        let nothing = name.is_empty() && line.count() <= 3;
        let action = if flags & DELETE != 0 {
            delete(&name)
        } else if nothing || flags & (KEY_ONLY | KEY_ONLY_COMMON) != 0 {
            RegistryAction::Key
        } else {
            let (kind, data) = data(strings, &line, flags)?;
            RegistryAction::Set { kind, data, flags }
        };
        into.push(RegistryLine { root, key, name, action, line: line.number() });
    }
    Ok(())
}

/// Adds the lines of a `DelReg` section to `into`.
pub(super) fn remove(
    strings: &Strings<'_>,
    section: Section<'_>,
    into: &mut Vec<RegistryLine>,
    unsupported: &mut Vec<Unsupported>,
) -> Result<(), InfError> {
    for line in section.lines() {
        let (root, key, name) = place(strings, &line)?;
        let flags = number32(&strings.expand(line.value(3))).unwrap_or(0);
        if flags & DELETE_STRING == DELETE_STRING {
            let what = "DelReg of one string of a list".to_owned();
            unsupported.push(Unsupported { what, line: line.number() });
            continue;
        }
        let action = delete(&name);
        into.push(RegistryLine { root, key, name, action, line: line.number() });
    }
    Ok(())
}

fn delete(name: &str) -> RegistryAction {
    if name.is_empty() { RegistryAction::DeleteKey } else { RegistryAction::DeleteValue }
}

fn place(
    strings: &Strings<'_>,
    line: &Line<'_>,
) -> Result<(RegistryRoot, String, String), InfError> {
    let written = strings.expand(line.value(0));
    let root = match written.to_ascii_uppercase().as_str() {
        "HKR" => RegistryRoot::Relative,
        "HKLM" => RegistryRoot::LocalMachine,
        "HKCR" => RegistryRoot::ClassesRoot,
        "HKCU" => RegistryRoot::CurrentUser,
        "HKU" => RegistryRoot::Users,
        _ => return Err(line.error(InfCause::RegistryRoot(written))),
    };
    let key = strings.expand_with(line.value(1), plain_folder);
    let name = strings.expand_with(line.value(2), plain_folder);
    Ok((root, key.trim_matches('\\').to_owned(), name))
}

/// The registry type and the data of an `AddReg` line.
fn data(strings: &Strings<'_>, line: &Line<'_>, flags: u32) -> Result<(u32, Vec<u8>), InfError> {
    let values = line.count().saturating_sub(4);
    let kind = match flags & TYPE {
        0 => SZ,
        1 => BINARY,
        0x0001_0000 => MULTI_SZ,
        0x0002_0000 => EXPAND_SZ,
        0x0001_0001 => DWORD,
        0x0002_0001 => 0,
        other => other >> 16,
    };
    let text = |at: usize| {
        let raw = line.value(4 + at);
        if kind == EXPAND_SZ {
            strings.expand_with(raw, open_folder)
        } else {
            strings.expand_with(raw, plain_folder)
        }
    };
    if flags & 1 == 0 {
        return Ok((kind, string_data(kind, (0..values).map(text))));
    }
    let width = match kind {
        DWORD => 4,
        QWORD => 8,
        _ => 0,
    };
    if width != 0 && values <= 1 {
        let written = text(0);
        let value = if written.is_empty() { Some(0) } else { number(&written) };
        let wrong = InfCause::Number { what: "data of the registry", text: written };
        let value = value.ok_or_else(|| line.error(wrong))?;
        return Ok((kind, value.to_le_bytes()[..width].to_vec()));
    }
    if values == 1 && line.value(4).is_empty() {
        return Ok((kind, Vec::new()));
    }
    let bytes = (0..values).map(|at| byte(line, &text(at))).collect::<Result<_, _>>()?;
    Ok((kind, bytes))
}

/// `text` as a byte in hexadecimal, `0x` or not.
pub(super) fn byte(line: &Line<'_>, text: &str) -> Result<u8, InfError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.is_empty() {
        return Ok(0);
    }
    let value = u8::from_str_radix(digits.trim_start_matches('0'), 16);
    match value {
        Ok(value) if !digits.starts_with('+') => Ok(value),
        _ if digits.bytes().all(|digit| digit == b'0') => Ok(0),
        _ => Err(line.error(InfCause::Byte(text.to_owned()))),
    }
}

/// Text as the registry (and a device property) holds it: UTF-16 with a NUL, a list with one more.
pub(super) fn string_data(kind: u32, texts: impl Iterator<Item = String>) -> Vec<u8> {
    if kind == MULTI_SZ {
        list_data(texts)
    } else {
        let mut data = Vec::new();
        push(&mut data, &texts.take(1).next().unwrap_or_default());
        data
    }
}

/// A list of texts: each with a NUL, and one more. Empty ones cannot be in a list.
pub(super) fn list_data(texts: impl Iterator<Item = String>) -> Vec<u8> {
    let mut data = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        push(&mut data, &text);
    }
    data.extend([0, 0]);
    data
}

fn push(data: &mut Vec<u8>, text: &str) {
    data.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    data.extend([0, 0]);
}

/// A folder's number in text that Windows expands when it reads it. 13, the package's own folder, is left to those who know it.
fn open_folder(number: u32) -> Option<&'static str> {
    Some(match number {
        10 => "%SystemRoot%",
        11 => "%SystemRoot%\\System32",
        12 => "%SystemRoot%\\System32\\drivers",
        17 => "%SystemRoot%\\INF",
        18 => "%SystemRoot%\\Help",
        20 => "%SystemRoot%\\Fonts",
        24 | 30 => "%SystemDrive%",
        16422 => "%ProgramFiles%",
        16425 => "%SystemRoot%\\SysWOW64",
        16426 => "%ProgramFiles(x86)%",
        _ => return None,
    })
}

/// A folder's number in other text: Windows is on C: once it runs.
fn plain_folder(number: u32) -> Option<&'static str> {
    Some(match number {
        10 => "C:\\Windows",
        11 => "C:\\Windows\\System32",
        12 => "C:\\Windows\\System32\\drivers",
        17 => "C:\\Windows\\INF",
        18 => "C:\\Windows\\Help",
        20 => "C:\\Windows\\Fonts",
        24 | 30 => "C:",
        16422 => "C:\\Program Files",
        16425 => "C:\\Windows\\SysWOW64",
        16426 => "C:\\Program Files (x86)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::inf::Inf;

    fn read(line: &str) -> Result<RegistryLine, InfError> {
        let text = format!("[s]\n{line}\n[strings]\nT=\"text\"\nDW=0x10001\n");
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let mut lines = Vec::new();
        add(&Strings::new(&inf, 0x409), inf.section("s").unwrap(), &mut lines)?;
        Ok(lines.remove(0))
    }

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn types_and_data() {
        for (line, kind, data) in [
            ("HKR,k,n,,%T%", 1, wide("text\0")),
            ("HKR,k,n", 1, wide("\0")),
            ("HKR,k,n,0,a,b", 1, wide("a\0")),
            (
                "HKR,k,n,0x20000,\"%%x%%;%12%\\a;%13%\\b\"",
                2,
                wide("%x%;%SystemRoot%\\System32\\drivers\\a;%13%\\b\0"),
            ),
            ("HKR,k,n,,%11%\\a", 1, wide("C:\\Windows\\System32\\a\0")),
            ("HKR,k,n,0x10000,a,,\"b c\"", 7, wide("a\0b c\0\0")),
            ("HKR,k,n,0x10008,", 7, wide("\0")),
            ("HKR,k,n,%DW%,0x12", 4, vec![0x12, 0, 0, 0]),
            ("HKR,k,n,0x10003,-1", 4, vec![0xff; 4]),
            ("HKR,k,n,0x10001,01,02,03,04", 4, vec![1, 2, 3, 4]),
            ("HKR,k,n,1,00,fF,0x1a", 3, vec![0, 255, 26]),
            ("HKR,k,n,1", 3, vec![]),
            ("HKR,k,n,0x20001", 0, vec![]),
            ("HKR,k,n,0xB0001,1,0,0,0,0,0,0,80", 11, vec![1, 0, 0, 0, 0, 0, 0, 128]),
            ("HKR,k,n,0xB0001,0x100", 11, vec![0, 1, 0, 0, 0, 0, 0, 0]),
            ("HKR,k,n,0xA0001,7", 10, vec![7]),
            ("HKR,k,,0x30000,x", 3, wide("x\0")),
        ] {
            let RegistryAction::Set { kind: found, data: bytes, .. } = read(line).unwrap().action
            else {
                panic!("{line}")
            };
            assert_eq!((found, bytes), (kind, data), "{line}");
        }
        for line in
            ["HKR,k,n,1,100", "HKR,k,n,1,+1", "HKR,k,n,1,zz", "HKR,k,n,0x10001,x", "HKX,k,n", "k=v"]
        {
            assert_eq!(read(line).unwrap_err().line, 2, "{line}");
        }
    }

    #[test]
    fn a_forgotten_comma_names_the_value() {
        let slip = read("HKR, \"Interrupt Management\", 0x00000010").unwrap();
        assert_eq!((slip.key.as_str(), slip.name.as_str()), ("Interrupt Management", "0x00000010"));
        assert_eq!(slip.action, RegistryAction::Set { kind: 1, data: vec![0, 0], flags: 0 });
        assert_eq!(
            read("HKR, \"Interrupt Management\",, 0x00000010").unwrap().action,
            RegistryAction::Key
        );
    }

    #[test]
    fn keys_and_deletions() {
        assert_eq!(read("HKLM,\"\\a\\b\\\"").unwrap().key, "a\\b");
        assert_eq!(read("HKCR,a").unwrap().action, RegistryAction::Key);
        assert_eq!(read("HKCU,a,n,4").unwrap().action, RegistryAction::DeleteValue);
        assert_eq!(read("HKU,a,,4").unwrap().action, RegistryAction::DeleteKey);
        let inf = Inf::parse(b"[s]\nHKR,,a\nHKR,b\nHKR,,l,0x18002,x\n").unwrap();
        let (mut lines, mut unsupported) = (Vec::new(), Vec::new());
        let strings = Strings::new(&inf, 0x409);
        remove(&strings, inf.section("s").unwrap(), &mut lines, &mut unsupported).unwrap();
        let actions: Vec<_> = lines.into_iter().map(|line| line.action).collect();
        assert_eq!(actions, [RegistryAction::DeleteValue, RegistryAction::DeleteKey]);
        assert_eq!(unsupported[0].line, 4);
    }
}
