//! Registry keys and values of manifests: where a key lies in an offline image, and the data that a value's text stands for.
//!
//! Keys: `HKEY_CLASSES_ROOT` is `HKLM\SOFTWARE\Classes`, `HKEY_CURRENT_USER` the profile that new users get, `CurrentControlSet` the set that the hive calls
//! current. A 32-bit component in a 64-bit image writes below `Wow6432Node`, but for the keys that 32-bit and 64-bit programs share. Which those are is
//! Microsoft's documentation "Registry Keys Affected by WOW64" (Windows 7 and later); that servicing redirects as WOW64 does is our reading of it.
//!
//! Values: `facts/manifests-keyforms-pa30.md`, section 3, and the real manifests: `REG_DWORD` is `0x0000000a`; `REG_QWORD`, `REG_BINARY` and `REG_NONE` are
//! the data's bytes in hexadecimal; a `REG_MULTI_SZ` is `"one","two"`; a type of eight hexadecimal digits is that number, its text the bytes.

use crate::{
    base::digest::from_hex,
    format::{
        cbs::manifest::RegistryValue,
        hive::{Value, ValueType},
    },
    image::RegistryPath,
};

use super::macros::Macros;

/// Keys of `HKLM\SOFTWARE` that both see, with all below them.
const SHARED: [&str; 44] = [
    "clients",
    r"microsoft\com3",
    r"microsoft\cryptography\calais\current",
    r"microsoft\cryptography\calais\readers",
    r"microsoft\cryptography\services",
    r"microsoft\ctf\systemshared",
    r"microsoft\ctf\tip",
    r"microsoft\dfs",
    r"microsoft\driver signing",
    r"microsoft\enterprisecertificates",
    r"microsoft\eventsystem",
    r"microsoft\msmq",
    r"microsoft\non-driver signing",
    r"microsoft\notepad\defaultfonts",
    r"microsoft\ole",
    r"microsoft\ras",
    r"microsoft\rpc",
    r"microsoft\shared tools\msinfo",
    r"microsoft\systemcertificates",
    r"microsoft\termservlicensing",
    r"microsoft\transaction server",
    r"microsoft\windows\currentversion\control panel\cursors\schemes",
    r"microsoft\windows\currentversion\explorer\autoplayhandlers",
    r"microsoft\windows\currentversion\explorer\driveicons",
    r"microsoft\windows\currentversion\explorer\kindmap",
    r"microsoft\windows\currentversion\group policy",
    r"microsoft\windows\currentversion\policies",
    r"microsoft\windows\currentversion\previewhandlers",
    r"microsoft\windows\currentversion\setup",
    r"microsoft\windows\currentversion\telephony\locations",
    r"microsoft\windows nt\currentversion\console",
    r"microsoft\windows nt\currentversion\fontdpi",
    r"microsoft\windows nt\currentversion\fontlink",
    r"microsoft\windows nt\currentversion\fontmapper",
    r"microsoft\windows nt\currentversion\fonts",
    r"microsoft\windows nt\currentversion\fontsubstitutes",
    r"microsoft\windows nt\currentversion\gre_initialize",
    r"microsoft\windows nt\currentversion\image file execution options",
    r"microsoft\windows nt\currentversion\languagepack",
    r"microsoft\windows nt\currentversion\networkcards",
    r"microsoft\windows nt\currentversion\perflib",
    r"microsoft\windows nt\currentversion\ports",
    r"microsoft\windows nt\currentversion\print",
    r"microsoft\windows nt\currentversion\profilelist",
];
/// The rest of [`SHARED`].
const SHARED_TOO: [&str; 3] =
    [r"microsoft\windows nt\currentversion\time zones", "policies", "registeredapplications"];

/// Keys of `Classes` that each side has for itself; all others are shared.
const CLASSES_OF_EACH: [&str; 5] =
    ["clsid", "directshow", "interface", "media type", "mediafoundation"];

/// Where a key of a manifest lies.
pub(super) fn key(name: &str, macros: &Macros<'_>) -> Result<RegistryPath, String> {
    let expanded = macros.text(name)?;
    let text = expanded.trim_end_matches('\\');
    let redirected = if macros.is_redirected() { redirect(text) } else { text.to_owned() };
    RegistryPath::parse(&redirected).map_err(|error| error.to_string())
}

/// The key that a 32-bit component writes in a 64-bit image.
fn redirect(text: &str) -> String {
    let parts: Vec<&str> = text.split('\\').collect();
    let is = |at: usize, names: &[&str]| {
        parts.get(at).is_some_and(|part| names.iter().any(|name| name.eq_ignore_ascii_case(part)))
    };
    // How many names stand before those that the rule looks at, and whether these are classes.
    let (head, classes) = if is(0, &["HKEY_CLASSES_ROOT", "HKCR"]) {
        (1, true)
    } else if is(0, &["HKEY_LOCAL_MACHINE", "HKLM"]) && is(1, &["SOFTWARE"]) {
        if is(2, &["Classes"]) { (3, true) } else { (2, false) }
    } else if is(0, &["HKEY_CURRENT_USER", "HKCU"]) && is(1, &["SOFTWARE"]) && is(2, &["Classes"]) {
        (3, true)
    } else {
        return text.to_owned();
    };
    let rest = &parts[head..];
    let below = rest.join("\\").to_lowercase();
    let shared = rest.is_empty()
        || below == "wow6432node"
        || below.starts_with("wow6432node\\")
        || if classes {
            !rest
                .first()
                .is_some_and(|first| CLASSES_OF_EACH.contains(&first.to_lowercase().as_str()))
        } else {
            SHARED.iter().chain(&SHARED_TOO).any(|shared| {
                below == *shared
                    || below.strip_prefix(shared).is_some_and(|rest| rest.starts_with('\\'))
            })
        };
    if shared {
        return text.to_owned();
    }
    format!("{}\\Wow6432Node\\{}", parts[..head].join("\\"), rest.join("\\"))
}

/// The value that a manifest writes.
pub(super) fn value(written: &RegistryValue, macros: &Macros<'_>) -> Result<Value, String> {
    if let Some(hint) = written.operation_hint.as_deref()
        && !hint.eq_ignore_ascii_case("replace")
    {
        return Err(format!("operationHint=`{hint}`"));
    }
    let name = macros.text(&written.name)?;
    let name = name.as_str();
    let text = written.value.as_str();
    let bad = |what: &str| format!("the {} `{text}` {what}", written.value_type);
    let bytes = || from_hex(text).ok_or_else(|| bad("is not bytes in hexadecimal"));
    Ok(match written.value_type.to_ascii_uppercase().as_str() {
        "REG_SZ" => Value::sz(name, &macros.text(text)?),
        "REG_EXPAND_SZ" => Value::expand_sz(name, &macros.text(text)?),
        "REG_MULTI_SZ" => {
            let texts = list(text).ok_or_else(|| bad("is not a list of quoted texts"))?;
            let texts =
                texts.iter().map(|text| macros.text(text)).collect::<Result<Vec<_>, _>>()?;
            Value::multi_sz(name, texts)
        }
        "REG_DWORD" => {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            Value::dword(name, number.ok_or_else(|| bad("is not a number like 0x0000000a"))?)
        }
        "REG_QWORD" => match <[u8; 8]>::try_from(bytes()?) {
            Ok(bytes) => Value::new(name, ValueType::QWORD, bytes),
            Err(_) => return Err(bad("is not eight bytes")),
        },
        "REG_BINARY" => Value::binary(name, bytes()?),
        "REG_NONE" => Value::new(name, ValueType::NONE, bytes()?),
        other if other.len() == 8 && other.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let number = u32::from_str_radix(other, 16).map_err(|error| error.to_string())?;
            Value::new(name, ValueType(number), bytes()?)
        }
        other => return Err(format!("the value type `{other}`")),
    })
}

/// `"one","two"`; a quote in a text is written twice.
fn list(text: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Some(texts);
    }
    loop {
        let mut current = String::new();
        rest = rest.strip_prefix('"')?;
        loop {
            let (before, after) = rest.split_once('"')?;
            current.push_str(before);
            match after.strip_prefix('"') {
                Some(more) => {
                    current.push('"');
                    rest = more;
                }
                None => {
                    rest = after.trim_start();
                    break;
                }
            }
        }
        texts.push(current);
        if rest.is_empty() {
            return Some(texts);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_component_writes_where_its_programs_read() {
        for (key, place) in [
            (
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\X",
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Wow6432Node\Vendor\X",
            ),
            (r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\X", r"HKEY_LOCAL_MACHINE\SOFTWARE\Policies\X"),
            (
                r"HKEY_LOCAL_MACHINE\SOFTWARE\PoliciesX",
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Wow6432Node\PoliciesX",
            ),
            (
                r"HKEY_LOCAL_MACHINE\software\wow6432node\X",
                r"HKEY_LOCAL_MACHINE\software\wow6432node\X",
            ),
            (
                r"HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\X",
                r"HKEY_LOCAL_MACHINE\System\CurrentControlSet\Services\X",
            ),
            (r"HKEY_CLASSES_ROOT\CLSID\{1}", r"HKEY_CLASSES_ROOT\Wow6432Node\CLSID\{1}"),
            (r"HKEY_CLASSES_ROOT\.txt", r"HKEY_CLASSES_ROOT\.txt"),
            (
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Classes\Interface\{1}",
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Classes\Wow6432Node\Interface\{1}",
            ),
            (
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Classes\AppID\{1}",
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Classes\AppID\{1}",
            ),
            (r"HKEY_CURRENT_USER\Software\X", r"HKEY_CURRENT_USER\Software\X"),
            (r"HKEY_LOCAL_MACHINE\SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE"),
        ] {
            assert_eq!(redirect(key), place);
        }
    }

    #[test]
    fn lists_of_texts() {
        let owned =
            |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(list(r#""a","b c""#), owned(&["a", "b c"]));
        assert_eq!(list(r#" "a" , "say ""x""" "#), owned(&["a", r#"say "x""#]));
        assert_eq!(list(""), owned(&[]));
        for text in ["a", r#""a"#, r#""a" "b""#, r#""a","#] {
            assert_eq!(list(text), None, "{text}");
        }
    }
}
