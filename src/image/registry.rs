//! Registry paths as people write them: `HKLM\SOFTWARE\...`, `HKCR\...`, `HKCU\...`.

use std::fmt;

use crate::base::name::Name;

use super::hives::HiveId;

/// Longest key name, in UTF-16 units.
const LONGEST_NAME: usize = 255;
/// Deepest key, in levels below the root.
const DEEPEST: usize = 512;

/// A key in one of the image's hives, with the text it was written as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct RegistryPath {
    text: String,
    hive: HiveId,
    /// `HKLM\SYSTEM\CurrentControlSet` stands before `keys`; which set that is, the hive says.
    current_control_set: bool,
    keys: Vec<Name>,
}

/// Why a text is not a registry path of an offline image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a registry path of an offline image: {what}")]
pub struct RegistryPathError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl RegistryPath {
    /// Reads a path as people write it.
    ///
    /// # Errors
    /// For roots that an offline image does not have, and names that are not key names.
    pub fn parse(text: &str) -> Result<Self, RegistryPathError> {
        let fail = |what: &str, help: &str| RegistryPathError {
            text: text.to_owned(),
            what: what.to_owned(),
            help: help.to_owned(),
        };
        let trimmed = text.strip_suffix('\\').unwrap_or(text);
        let trimmed = strip_prefix(trimmed, "Computer\\").unwrap_or(trimmed);
        let parts: Vec<&str> = trimmed.split('\\').collect();
        if let Some(place) = parts.iter().position(|part| part.is_empty()) {
            let what = if place == 0 { "it begins with `\\`" } else { "a key name is empty" };
            return Err(fail(what, "write it as `HKLM\\SOFTWARE\\Vendor\\Key`"));
        }
        let (hive, current_control_set, rest) =
            root_of(&parts).map_err(|(what, help)| fail(&what, help))?;
        if let Some(long) = rest.iter().find(|name| name.encode_utf16().count() > LONGEST_NAME) {
            return Err(fail(&format!("the key name `{long}` is longer than 255 characters"), ""));
        }
        if rest.len() > DEEPEST {
            return Err(fail("it is deeper than the 512 levels that the registry allows", ""));
        }
        let classes = is_root(parts[0], &["HKCR", "HKEY_CLASSES_ROOT"]).then_some("Classes");
        let keys = classes.into_iter().chain(rest.iter().copied()).map(Name::from).collect();
        Ok(Self { text: text.to_owned(), hive, current_control_set, keys })
    }

    /// The key `names` from the root of `hive`.
    #[must_use]
    pub fn from_keys(hive: HiveId, names: Vec<Name>) -> Self {
        let mut text = hive.registry_root().to_owned();
        for name in &names {
            text.push('\\');
            text.push_str(&name.to_string());
        }
        Self { text, hive, current_control_set: false, keys: names }
    }

    /// The key `name` below this one.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut below = self.clone();
        below.text = format!("{}\\{name}", self.text.strip_suffix('\\').unwrap_or(&self.text));
        below.keys.push(name.clone());
        below
    }

    /// The text it was written as.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The hive it lies in.
    #[must_use]
    pub fn hive(&self) -> HiveId {
        self.hive
    }

    /// True when it begins with `HKLM\SYSTEM\CurrentControlSet`.
    #[must_use]
    pub fn in_current_control_set(&self) -> bool {
        self.current_control_set
    }

    /// Names from the hive's root, or from the current control set.
    #[must_use]
    pub fn keys(&self) -> &[Name] {
        &self.keys
    }
}

impl fmt::Display for RegistryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<RegistryPath> for String {
    fn from(path: RegistryPath) -> Self {
        path.text
    }
}

const HELP: &str = "an offline image has HKLM\\SOFTWARE, HKLM\\SYSTEM, HKLM\\DRIVERS, HKLM\\COMPONENTS, HKLM\\SAM, HKLM\\SECURITY, \
                    HKCR, HKCU (the profile that new users get) and HKU\\.DEFAULT";

fn is_root(name: &str, spellings: &[&str]) -> bool {
    spellings.iter().any(|spelling| spelling.eq_ignore_ascii_case(name))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// The hive, whether the current control set is meant, and the names below; or what is wrong, and the help.
fn root_of<'a>(
    parts: &'a [&'a str],
) -> Result<(HiveId, bool, &'a [&'a str]), (String, &'static str)> {
    let (root, rest) = parts.split_first().ok_or_else(|| ("it is empty".to_owned(), HELP))?;
    let second = rest.first().copied();
    if is_root(root, &["HKCR", "HKEY_CLASSES_ROOT"]) {
        return Ok((HiveId::Software, false, rest));
    }
    if is_root(root, &["HKCU", "HKEY_CURRENT_USER"]) {
        return Ok((HiveId::NtUser, false, rest));
    }
    if is_root(root, &["HKU", "HKEY_USERS"]) {
        return match second {
            Some(user) if is_root(user, &[".DEFAULT", "S-1-5-18"]) => {
                Ok((HiveId::Default, false, &rest[1..]))
            }
            _ => Err((
                "of HKU an offline image has only `.DEFAULT`".to_owned(),
                "write `HKU\\.DEFAULT\\...` for the logon screen and services, `HKCU\\...` for the profile that new users get",
            )),
        };
    }
    if is_root(root, &["HKCC", "HKEY_CURRENT_CONFIG"]) {
        let help = r"write `HKLM\SYSTEM\CurrentControlSet\Hardware Profiles\Current\...`";
        return Err(("HKCC is made when Windows starts".to_owned(), help));
    }
    if !is_root(root, &["HKLM", "HKEY_LOCAL_MACHINE"]) {
        return Err((format!("`{root}` is not a root of the registry"), HELP));
    }
    let hives = [
        HiveId::System,
        HiveId::Software,
        HiveId::Components,
        HiveId::Drivers,
        HiveId::Sam,
        HiveId::Security,
    ];
    let named =
        |name: &str| hives.into_iter().find(|hive| hive.to_string().eq_ignore_ascii_case(name));
    let Some(name) = second else {
        return Err(("HKLM itself is no key of a hive".to_owned(), HELP));
    };
    let Some(hive) = named(name) else {
        return Err(if is_root(name, &["HARDWARE"]) {
            (
                "HKLM\\HARDWARE is made when Windows starts".to_owned(),
                "it cannot be set in an image",
            )
        } else {
            (format!("HKLM has no `{name}` in an offline image"), HELP)
        });
    };
    let current = hive == HiveId::System
        && rest.get(1).is_some_and(|set| is_root(set, &["CurrentControlSet"]));
    Ok((hive, current, if current { &rest[2..] } else { &rest[1..] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_known_by_both_names_and_in_any_case() {
        let parsed = |text: &str| {
            let path = RegistryPath::parse(text).unwrap();
            assert_eq!(path.text(), text);
            let keys: Vec<String> = path.keys().iter().map(ToString::to_string).collect();
            (path.hive(), path.in_current_control_set(), keys.join("/"))
        };
        let expect = |hive, current, keys: &str| (hive, current, keys.to_owned());
        assert_eq!(parsed(r"HKLM\SOFTWARE\A\b c"), expect(HiveId::Software, false, "A/b c"));
        assert_eq!(parsed(r"hkey_local_machine\software"), expect(HiveId::Software, false, ""));
        assert_eq!(
            parsed(r"Computer\HKEY_LOCAL_MACHINE\SYSTEM\x\"),
            expect(HiveId::System, false, "x")
        );
        assert_eq!(
            parsed(r"HKLM\SYSTEM\currentcontrolset\Services\x"),
            expect(HiveId::System, true, "Services/x")
        );
        assert_eq!(
            parsed(r"HKLM\SYSTEM\ControlSet002\x"),
            expect(HiveId::System, false, "ControlSet002/x")
        );
        assert_eq!(parsed(r"HKCR\.txt"), expect(HiveId::Software, false, "Classes/.txt"));
        assert_eq!(parsed(r"HKCU\Software"), expect(HiveId::NtUser, false, "Software"));
        assert_eq!(parsed(r"HKU\.DEFAULT\Software"), expect(HiveId::Default, false, "Software"));
        assert_eq!(
            parsed(r"HKLM\DRIVERS\DriverDatabase"),
            expect(HiveId::Drivers, false, "DriverDatabase")
        );
    }

    #[test]
    fn what_an_offline_image_does_not_have_is_refused_with_help() {
        for text in [
            "",
            r"\HKLM\SOFTWARE",
            r"HKLM\\SOFTWARE",
            "HKLM",
            r"HKLM\HARDWARE\x",
            r"HKLM\BCD00000000",
            r"HKU\S-1-5-21-1\x",
            "HKU",
            r"HKCC\x",
            r"HKXX\y",
            "Software",
            r"HKLM\SOFTWARE\\x",
        ] {
            let error = RegistryPath::parse(text).unwrap_err();
            assert!(!error.help.is_empty(), "{error}");
        }
        assert!(RegistryPath::parse(&format!(r"HKLM\SOFTWARE\{}", "x".repeat(256))).is_err());
        assert!(RegistryPath::parse(&format!("HKCU{}", r"\x".repeat(513))).is_err());
    }
}
