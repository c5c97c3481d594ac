//! `--path`: only what is at, or below, some paths of files and registry keys.

use crate::{
    base::{name::Name, ntpath::NtPath},
    cli::{
        exit::{Exit, Failure, Problem},
        failures,
    },
    image::{
        Image, RegistryPath,
        diff::{Difference, FileChange, RegistryChange},
        patterns::Patterns,
    },
};

/// What of a difference is wanted.
#[derive(Debug)]
pub(super) struct Narrow {
    /// Nothing is left out.
    everything: bool,
    files: Patterns,
    registry: Patterns,
    /// The keys of `registry` as they are written, in small letters.
    reached: Vec<String>,
    /// What was written, and what it names.
    named: Vec<(String, Place)>,
}

/// What a path names.
#[derive(Debug)]
enum Place {
    /// A pattern, which may match nothing, or a root.
    Any,
    /// A file or folder.
    File(NtPath),
    /// A registry key, or the value of that name of the key it is in.
    Key(RegistryPath, Option<(RegistryPath, Name)>),
}

impl Place {
    /// The key at `path`, or the value there.
    fn key(path: &str) -> Self {
        let Ok(key) = RegistryPath::parse(path) else { return Self::Any };
        let value = path.rsplit_once('\\').and_then(|(key, name)| {
            let name = if name == DEFAULT_VALUE { "" } else { name };
            Some((RegistryPath::parse(key).ok()?, Name::from(name)))
        });
        Self::Key(key, value)
    }

    /// True when the image has it. What cannot be read is taken for there: the comparison says so.
    fn is_in(&self, image: &mut Image) -> bool {
        match self {
            Self::Any => true,
            Self::File(path) => image.tree().lookup(path).is_some(),
            Self::Key(key, value) => {
                image.registry_key_exists(key).unwrap_or(true)
                    || value.as_ref().is_some_and(|(key, name)| {
                        image.registry_value(key, name).map_or(true, |value| value.is_some())
                    })
            }
        }
    }
}

/// What a key's own value is called in lists.
const DEFAULT_VALUE: &str = "(default)";

/// Roots as people write them, and as differences have them.
const ROOTS: [(&str, &str); 8] = [
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKLM", "HKLM"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKCU", "HKCU"),
    ("HKEY_CLASSES_ROOT", r"HKLM\SOFTWARE\Classes"),
    ("HKCR", r"HKLM\SOFTWARE\Classes"),
    ("HKEY_USERS", "HKU"),
    ("HKU", "HKU"),
];

impl Narrow {
    /// Reads paths as people write them.
    pub(super) fn new(paths: &[String]) -> Result<Self, Failure> {
        let (mut files, mut registry, mut named) = (Vec::new(), Vec::new(), Vec::new());
        let mut reached = Vec::new();
        for path in paths {
            // A value as it is listed: `KEY : NAME`.
            let text = path.trim_end_matches(['\\', '/']).replacen(" : ", r"\", 1);
            let text = text.replace('/', r"\");
            let is_pattern = text.contains(['*', '?']);
            if let Some(key) = registry_pattern(&text) {
                let place = if is_pattern { Place::Any } else { Place::key(&key) };
                named.push((path.clone(), place));
                reached.push(key.to_lowercase());
                registry.push(current_control_set(&literal(&key)));
                continue;
            }
            let pattern = without_drive(&text);
            let place = match is_pattern || !pattern.contains('\\') {
                true => Place::Any,
                false => NtPath::parse(&pattern).map_or(Place::Any, Place::File),
            };
            named.push((path.clone(), place));
            files.push(if pattern.is_empty() { r"\**".to_owned() } else { literal(&pattern) });
        }
        Ok(Self {
            everything: paths.is_empty(),
            files: Patterns::new(&files).map_err(failures::patterns)?,
            registry: Patterns::new(&registry).map_err(failures::patterns)?,
            reached,
            named,
        })
    }

    /// True when nothing is left out.
    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    /// What is wanted of a difference.
    pub(super) fn of(&self, mut difference: Difference) -> Difference {
        if self.everything {
            return difference;
        }
        difference.files.retain(|change| self.has_file(change));
        difference.registry.retain(|change| self.has_key(change));
        difference.unread.retain(|hive| self.reaches(hive.registry_root()));
        difference.hives.retain(|hive| is_at_or_below(&self.files, without_drive(&hive.path)));
        difference
    }

    /// Notes which of the paths are in an image.
    pub(super) fn look(&self, image: &mut Image, missing: &mut [bool]) {
        for ((_, place), missing) in self.named.iter().zip(missing) {
            *missing = *missing && !place.is_in(image);
        }
    }

    /// Refuses paths that no image has.
    pub(super) fn check(&self, missing: &[bool]) -> Result<(), Failure> {
        let absent = self.named.iter().zip(missing).find(|(_, missing)| **missing);
        match absent {
            None => Ok(()),
            Some(((path, _), _)) => {
                Err(Problem::new("diff::no-such-path", format!("neither image has {path}"))
                    .help(r"write a path of the image (C:\Windows\...), a registry key (HKLM\SOFTWARE\...), a value (KEY : NAME), or a pattern with * and ?")
                    .exit(Exit::BadInput))
            }
        }
    }

    /// True when a path leads into the hive whose keys are at `root`, or to what it is in.
    fn reaches(&self, root: &str) -> bool {
        let root = root.to_lowercase();
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
        };
        self.reached.iter().any(|key| {
            let key = key.trim_end_matches('\\');
            within(key, &root) || within(&root, key) || key.contains(['*', '?'])
        })
    }

    fn has_file(&self, change: &FileChange) -> bool {
        let from = change.from.as_ref();
        std::iter::once(&change.path)
            .chain(from)
            .any(|path| is_at_or_below(&self.files, without_drive(path)))
    }

    fn has_key(&self, change: &RegistryChange) -> bool {
        let name = |value: &String| match value.is_empty() {
            true => DEFAULT_VALUE.to_owned(),
            false => value.clone(),
        };
        let mut value = change.value.iter().map(|value| format!("{}\\{}", change.key, name(value)));
        is_at_or_below(&self.registry, change.key.to_string())
            || value.any(|value| self.registry.matches(&value))
    }
}

/// True when a pattern means the path, or a folder that it is in.
fn is_at_or_below(patterns: &Patterns, mut path: String) -> bool {
    if patterns.is_empty() {
        return false;
    }
    loop {
        if patterns.matches(&path) {
            return true;
        }
        match path.rfind('\\') {
            Some(end) if end > 0 => path.truncate(end),
            _ => return false,
        }
    }
}

/// `C:\Windows` as `\Windows`.
fn without_drive(path: &str) -> String {
    match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => path[2..].to_owned(),
        _ => path.to_owned(),
    }
}

/// The path of a registry key, its root as differences have it; `None` when it is none.
fn registry_pattern(path: &str) -> Option<String> {
    let (root, rest) = path.split_once('\\').unwrap_or((path, ""));
    let (_, known) = ROOTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(root))?;
    Some(format!("{known}\\{rest}"))
}

/// A pattern with the current control set as any: which one it is, each image says.
fn current_control_set(pattern: &str) -> String {
    let current = r"HKLM\SYSTEM\CurrentControlSet";
    match pattern.get(..current.len()) {
        Some(start)
            if start.eq_ignore_ascii_case(current)
                && matches!(pattern.as_bytes().get(current.len()), None | Some(b'\\')) =>
        {
            format!(r"HKLM\SYSTEM\ControlSet[0-9][0-9][0-9]{}", &pattern[current.len()..])
        }
        _ => pattern.to_owned(),
    }
}

/// A pattern in which only `*` and `?` mean more than themselves: braces and brackets are in the names of many folders and keys.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        match character {
            '[' | ']' | '{' | '}' => pattern.extend(['[', character, ']']),
            _ => pattern.push(character),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::diff::Kind;

    fn narrow(path: &str) -> Narrow {
        Narrow::new(&[path.to_owned()]).unwrap()
    }

    #[test]
    fn a_path_means_itself_and_what_is_below_it() {
        let inside =
            |pattern: &str, path: &str| is_at_or_below(&narrow(pattern).files, without_drive(path));
        assert!(inside(r"C:\Windows\System32", r"C:\windows\system32\drivers\x.sys"));
        assert!(inside("/Windows/System32/", r"C:\Windows\System32"));
        assert!(!inside(r"C:\Windows\System32", r"C:\Windows\System32x"));
        assert!(inside(r"C:\", r"C:\a") && inside("*.sys", r"C:\a\b.SYS"));
        assert!(inside(r"C:\Windows\*\drivers", r"C:\Windows\System32\drivers\x"));
        assert!(!inside(r"HKLM\SOFTWARE", r"C:\Windows"));
    }

    #[test]
    fn braces_and_brackets_are_themselves() {
        let path = r"C:\Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
        let below = format!(r"{path}\a[1].cat");
        assert!(is_at_or_below(&narrow(path).files, without_drive(&below)));
        assert!(is_at_or_below(&narrow(&below).files, without_drive(&below)));
        let key = r"HKLM\SOFTWARE\Classes\CLSID\{00000000-0000-0000-C000-000000000046}";
        assert!(is_at_or_below(&narrow(key).registry, key.to_owned()));
    }

    #[test]
    fn a_value_is_written_as_it_is_listed() {
        let change = |key: &str, value: &str| RegistryChange {
            key: key.to_owned().into(),
            value: Some(value.to_owned()),
            kind: Kind::Changed,
            old: None,
            new: None,
            details: Vec::new(),
        };
        let wanted = narrow(r"HKLM\SYSTEM\CurrentControlSet\Services\A : Start");
        assert!(wanted.has_key(&change(r"HKLM\SYSTEM\ControlSet001\Services\A", "Start")));
        assert!(!wanted.has_key(&change(r"HKLM\SYSTEM\ControlSet001\Services\A", "Type")));
        let default = narrow(r"HKLM\SOFTWARE\A : (default)");
        assert!(default.has_key(&change(r"HKLM\SOFTWARE\A", "")));
    }

    #[test]
    fn a_hive_is_reached_by_what_is_in_it_and_by_its_root() {
        let reaches = |path: &str, root: &str| narrow(path).reaches(root);
        assert!(reaches(r"HKLM\Software\X", r"HKLM\SOFTWARE") && reaches("HKLM", r"HKLM\SOFTWARE"));
        assert!(!reaches(r"HKLM\SYSTEM", r"HKLM\SOFTWARE") && !reaches(r"C:\a", r"HKLM\SOFTWARE"));
    }

    #[test]
    fn registry_roots_have_many_spellings() {
        let inside =
            |pattern: &str, key: &str| is_at_or_below(&narrow(pattern).registry, key.to_owned());
        assert!(inside(r"HKEY_LOCAL_MACHINE\Software\X", r"HKLM\SOFTWARE\x\y"));
        assert!(inside(r"HKCR\.txt", r"HKLM\SOFTWARE\Classes\.txt"));
        assert!(inside("hklm", r"HKLM\SAM\x") && inside(r"HKCU", r"HKCU\Console"));
        assert!(inside(
            r"HKLM\SYSTEM\CurrentControlSet\Services\*",
            r"HKLM\SYSTEM\ControlSet001\Services\a\b"
        ));
        assert!(!inside(r"HKLM\SYSTEM\CurrentControlSet", r"HKLM\SYSTEM\Select"));
    }
}
