//! `--path`: only what is at, or below, some paths of files and registry keys.

use crate::{
    base::ntpath::NtPath,
    cli::{
        exit::{Exit, Failure, Problem},
        failures,
    },
    image::{
        diff::{Difference, FileChange, RegistryChange},
        patterns::Patterns,
        tree::Tree,
    },
};

/// What of a difference is wanted.
#[derive(Debug)]
pub(super) struct Narrow {
    /// Nothing is left out.
    everything: bool,
    files: Patterns,
    registry: Patterns,
    /// What was written, and the file or folder it names; `None` for a pattern and for the registry.
    named: Vec<(String, Option<NtPath>)>,
}

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
        for path in paths {
            let text = path.trim_end_matches(['\\', '/']).replace('/', r"\");
            if let Some(key) = registry_pattern(&text) {
                registry.push(key);
                named.push((path.clone(), None));
                continue;
            }
            let pattern = without_drive(&text);
            let is_pattern = pattern.contains(['*', '?', '[', '{']) || !pattern.contains('\\');
            let place = if is_pattern { None } else { NtPath::parse(&pattern).ok() };
            named.push((path.clone(), place));
            files.push(if pattern.is_empty() { r"\**".to_owned() } else { pattern });
        }
        Ok(Self {
            everything: paths.is_empty(),
            files: Patterns::new(&files).map_err(failures::patterns)?,
            registry: Patterns::new(&registry).map_err(failures::patterns)?,
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
        difference.hives.retain(|hive| is_at_or_below(&self.files, without_drive(&hive.path)));
        difference
    }

    /// Notes which of the paths are in a tree.
    pub(super) fn look(&self, tree: &Tree, missing: &mut [bool]) {
        for ((_, path), missing) in self.named.iter().zip(missing) {
            *missing &= path.as_ref().is_some_and(|path| tree.lookup(path).is_none());
        }
    }

    /// Refuses paths that no image has.
    pub(super) fn check(&self, missing: &[bool]) -> Result<(), Failure> {
        let absent =
            self.named.iter().zip(missing).find(|((_, path), missing)| path.is_some() && **missing);
        match absent {
            None => Ok(()),
            Some(((path, _), _)) => {
                Err(Problem::new("diff::no-such-path", format!("neither image has {path}"))
                    .help(r"write a path of the image (C:\Windows\...), a registry key (HKLM\SOFTWARE\...), or a pattern with * and ?")
                    .exit(Exit::BadInput))
            }
        }
    }

    fn has_file(&self, change: &FileChange) -> bool {
        let from = change.from.as_ref();
        std::iter::once(&change.path)
            .chain(from)
            .any(|path| is_at_or_below(&self.files, without_drive(path)))
    }

    fn has_key(&self, change: &RegistryChange) -> bool {
        let value = change.value.iter().filter(|value| !value.is_empty());
        let mut value = value.map(|value| format!("{}\\{value}", change.key));
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

/// The path of a registry key, its root as differences have it; `None` when it is none. The current control set is any: which one it is, each image says.
fn registry_pattern(path: &str) -> Option<String> {
    let (root, rest) = path.split_once('\\').unwrap_or((path, ""));
    let (_, known) = ROOTS.iter().find(|(name, _)| name.eq_ignore_ascii_case(root))?;
    let path = format!("{known}\\{rest}");
    let current = r"HKLM\SYSTEM\CurrentControlSet";
    match path.get(..current.len()) {
        Some(start)
            if start.eq_ignore_ascii_case(current)
                && matches!(path.as_bytes().get(current.len()), None | Some(b'\\')) =>
        {
            Some(format!(r"HKLM\SYSTEM\ControlSet[0-9][0-9][0-9]{}", &path[current.len()..]))
        }
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
