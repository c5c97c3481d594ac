//! Macros of component manifests: `$(runtime.system32)`, and where they lead in an image.
//!
//! Which there are: `facts/manifests-keyforms-pa30.md`, section 3. A 32-bit component (`x86`, `wow64`) in a 64-bit image has `SysWOW64` for `system32` and
//! `Program Files (x86)` for `programFiles`, as WOW64 redirects a 32-bit program. In a text (registry data) a macro becomes the path that the running
//! Windows will have, `C:\Windows\System32`; in a destination it becomes the place in the image.
//!
//! Windows gives a file its 8.3 name when NTFS makes the entry. An image in a WIM holds none for what is new: NTFS makes them when the image is applied.

use std::{cell::Cell, collections::BTreeMap};

use crate::{
    base::{
        name::Name,
        ntpath::{NtPath, check_component},
    },
    format::{cbs::Manifest, hive::Value},
    image::{Architecture, HiveId, Image, ImageError, ImageFacts, RegistryPath},
};

/// What of an image decides where the parts of a component go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The image's own architecture.
    pub architecture: Architecture,
    /// Name of the folder that holds Windows.
    pub system_root: Name,
    /// What Windows calls its folder when it runs: `C:\Windows`.
    pub running_root: String,
}

/// Largest text with its macros in place; Windows takes registry values up to 1 MiB.
const LARGEST_TEXT: usize = 1 << 20;
/// Most levels of a place: no real one has twenty.
const MOST_LEVELS: usize = 256;
/// Longest path of Windows, in UTF-16 units.
const LONGEST_PATH: usize = 32_767;
/// So much may the texts of one manifest grow together.
const MOST_GROWTH: usize = 64 << 20;

/// Macros as a component of one architecture sees them.
#[derive(Debug)]
pub(super) struct Macros<'a> {
    target: &'a Target,
    /// The component is of 32 bits and the image of 64.
    redirected: bool,
    /// The manifest's own strings by their lower-cased name; `None` with tables in no or several languages.
    strings: Option<BTreeMap<String, &'a str>>,
    /// How much more the manifest's texts may grow.
    growth: Cell<usize>,
}

/// Where a `runtime` macro leads, below the volume's root; `@` is the Windows folder. Second: what a redirected component has.
const RUNTIME: [(&str, &str, &str); 18] = [
    ("windows", "@", "@"),
    ("systemroot", "@", "@"),
    ("system32", r"@\System32", r"@\SysWOW64"),
    ("drivers", r"@\System32\drivers", r"@\SysWOW64\drivers"),
    ("wbem", r"@\System32\wbem", r"@\SysWOW64\wbem"),
    ("inf", r"@\INF", r"@\INF"),
    ("fonts", r"@\Fonts", r"@\Fonts"),
    ("help", r"@\Help", r"@\Help"),
    ("programfiles", "Program Files", "Program Files (x86)"),
    ("programfilesx86", "Program Files (x86)", "Program Files (x86)"),
    ("commonfiles", r"Program Files\Common Files", r"Program Files (x86)\Common Files"),
    ("commonfilesx86", r"Program Files (x86)\Common Files", r"Program Files (x86)\Common Files"),
    ("programdata", "ProgramData", "ProgramData"),
    ("public", r"Users\Public", r"Users\Public"),
    ("userprofile", r"Users\Default", r"Users\Default"),
    (
        "startmenu",
        r"ProgramData\Microsoft\Windows\Start Menu",
        r"ProgramData\Microsoft\Windows\Start Menu",
    ),
    (
        "startup",
        r"ProgramData\Microsoft\Windows\Start Menu\Programs\Startup",
        r"ProgramData\Microsoft\Windows\Start Menu\Programs\Startup",
    ),
    ("systemdrive", "", ""),
];

/// Folders of the servicing itself, as in [`RUNTIME`].
const STORE: [&str; 4] = [r"@\WinSxS", r"@\servicing", r"@\System32\config", r"@\System32\CatRoot"];

impl Target {
    /// The target that an image is; `None` when it does not say its architecture.
    ///
    /// # Errors
    /// When its SOFTWARE hive is damaged.
    pub fn of(image: &mut Image, facts: &ImageFacts) -> Result<Option<Self>, ImageError> {
        let Some(architecture) = facts.architecture else { return Ok(None) };
        let key = RegistryPath::from_keys(
            HiveId::Software,
            ["Microsoft", "Windows NT", "CurrentVersion"].map(Name::from).into(),
        );
        let root = match image.registry_value(&key, &"SystemRoot".into()) {
            Ok(value) => value.as_ref().and_then(Value::as_text),
            Err(ImageError::NoHive { .. }) => None,
            Err(error) => return Err(error),
        };
        let system_root = image.system_root();
        let is_path = |text: &String| matches!(text.as_bytes(), [drive, b':', b'\\', _, ..] if drive.is_ascii_alphabetic());
        let drive = if facts.windows_pe { "X:" } else { "C:" };
        let running_root =
            root.filter(is_path).unwrap_or_else(|| format!(r"{drive}\{system_root}"));
        Ok(Some(Self { architecture, system_root, running_root }))
    }

    /// True for an image of 64 bits.
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        matches!(self.architecture, Architecture::Amd64 | Architecture::Arm64 | Architecture::Ia64)
    }

    /// True when components of that architecture run in the image.
    #[must_use]
    pub fn takes(&self, architecture: &str) -> bool {
        let architecture = architecture.to_ascii_lowercase();
        match architecture.as_str() {
            "" | "neutral" | "none" | "msil" => true,
            "wow64" | "x86" if self.is_64_bit() => true,
            other => other == self.architecture.name(),
        }
    }

    /// True when a component of that architecture is a 32-bit one in a 64-bit image.
    #[must_use]
    pub fn redirects(&self, architecture: &str) -> bool {
        self.is_64_bit()
            && ["x86", "wow64"].iter().any(|other| architecture.eq_ignore_ascii_case(other))
    }

    /// Folders that macros name: they stay when they become empty.
    pub(super) fn is_well_known(&self, path: &NtPath) -> bool {
        RUNTIME.iter().flat_map(|(_, own, redirected)| [own, redirected]).any(|folder| {
            let known = self.names(folder);
            known.len() >= path.names().len()
                && path.names().iter().zip(&known).all(|(one, other)| one.eq_ignore_case(other))
        })
    }

    /// True below the folders that Windows keeps its components, hives and catalogs in: what a package lays there by itself would damage them.
    pub(super) fn is_store(&self, path: &NtPath) -> bool {
        STORE.iter().any(|folder| {
            let own = self.names(folder);
            path.names().len() > own.len()
                && path.names().iter().zip(&own).all(|(one, other)| one.eq_ignore_case(other))
        })
    }

    fn names(&self, folder: &str) -> Vec<Name> {
        let name =
            |name: &str| if name == "@" { self.system_root.clone() } else { Name::from(name) };
        folder.split('\\').filter(|name| !name.is_empty()).map(name).collect()
    }
}

impl<'a> Macros<'a> {
    /// The macros of a component.
    pub(super) fn new(target: &'a Target, manifest: &'a Manifest) -> Self {
        let redirected = target.redirects(&manifest.identity.architecture);
        let mut tables = manifest.strings.values();
        let strings = match (tables.next(), tables.next()) {
            (Some(table), None) => {
                let mut strings = BTreeMap::new();
                for (name, text) in table {
                    strings.entry(name.to_ascii_lowercase()).or_insert(text.as_str());
                }
                Some(strings)
            }
            _ => None,
        };
        Self { target, redirected, strings, growth: Cell::new(MOST_GROWTH) }
    }

    /// True when the component's registry and folders are redirected.
    pub(super) fn is_redirected(&self) -> bool {
        self.redirected
    }

    /// A destination: the place in the image.
    pub(super) fn path(&self, text: &str) -> Result<NtPath, String> {
        let Some((name, rest)) = text.strip_prefix("$(").and_then(|rest| rest.split_once(')'))
        else {
            return Err(format!("the place `{text}` does not begin with a macro"));
        };
        if !rest.is_empty() && !rest.starts_with(['\\', '/']) {
            return Err(format!("the place `{text}` has no `\\` behind its macro"));
        }
        let mut names = self.target.names(self.runtime(name)?);
        for part in rest.split(['\\', '/']).filter(|part| !part.is_empty()) {
            check_component(part).map_err(|error| format!("the place `{text}`: {error}"))?;
            if part.contains("$(") {
                return Err(format!("the place `{text}` has a macro in its middle"));
            }
            names.push(Name::from(part));
        }
        if names.len() > MOST_LEVELS {
            return Err(format!(
                "a place of {} levels, of which {MOST_LEVELS} are the most",
                names.len()
            ));
        }
        let units: usize = names.iter().map(|name| name.units().len() + 1).sum();
        if units > LONGEST_PATH {
            return Err(format!(
                "a place of {units} characters: paths of Windows have {LONGEST_PATH}"
            ));
        }
        if names.is_empty() {
            return Err(format!("the place `{text}` is the volume's root"));
        }
        Ok(NtPath::from_names(names))
    }

    /// A text with its macros in place.
    pub(super) fn text(&self, text: &str) -> Result<String, String> {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("$(") {
            done.push_str(&rest[..start]);
            let Some(length) = rest[start..].find(')') else {
                return Err(format!("`{text}` has a macro without end"));
            };
            let name = &rest[start + 2..start + length];
            done.push_str(&self.in_text(name)?);
            if done.len() > LARGEST_TEXT {
                return Err(format!(
                    "a text that its macros make larger than {LARGEST_TEXT} bytes"
                ));
            }
            rest = &rest[start + length + 1..];
        }
        done.push_str(rest);
        let left = self.growth.get().checked_sub(done.len().saturating_sub(text.len()));
        self.growth.set(left.ok_or("texts that their macros make larger than any manifest's")?);
        Ok(done)
    }

    fn in_text(&self, name: &str) -> Result<String, String> {
        let lower = name.to_ascii_lowercase();
        let string =
            lower.strip_prefix("string.").or_else(|| lower.strip_prefix("resourcestring."));
        if let Some(id) = string {
            return self.string(name, id);
        }
        let folder = self.runtime(name)?;
        let root = &self.target.running_root;
        let drive = root.get(..2).unwrap_or("C:");
        Ok(match folder.strip_prefix('@') {
            Some(below) => format!("{root}{below}"),
            None if folder.is_empty() => drive.to_owned(),
            None => format!(r"{drive}\{folder}"),
        })
    }

    /// A string of the manifest's own table, when it has only one language.
    fn string(&self, name: &str, id: &str) -> Result<String, String> {
        let Some(table) = &self.strings else {
            return Err(format!(
                "the macro `$({name})` and string tables in no or several languages"
            ));
        };
        let found = table.get(id).map(|text| (*text).to_owned());
        found.ok_or_else(|| format!("the macro `$({name})` names no string of the manifest"))
    }

    fn runtime(&self, name: &str) -> Result<&'static str, String> {
        let lower = name.to_ascii_lowercase();
        let known = lower
            .strip_prefix("runtime.")
            .and_then(|name| RUNTIME.iter().find(|(known, _, _)| *known == name));
        match known {
            Some((_, _, redirected)) if self.redirected => Ok(redirected),
            Some((_, own, _)) => Ok(own),
            None => Err(format!("the macro `$({name})`")),
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The usual image.
    pub(in crate::servicing::cbs) fn target() -> Target {
        Target {
            architecture: Architecture::Amd64,
            system_root: "Windows".into(),
            running_root: r"C:\Windows".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::target, *};
    use crate::format::cbs::Identity;

    fn manifest(architecture: &str) -> Manifest {
        Manifest {
            identity: Identity { architecture: architecture.to_owned(), ..Identity::default() },
            deployment: false,
            dependencies: Vec::new(),
            files: Vec::new(),
            directories: Vec::new(),
            registry_keys: Vec::new(),
            security: BTreeMap::default(),
            memberships: Vec::new(),
            strings: [("en-us".to_owned(), [("Name".to_owned(), "The Name".to_owned())].into())]
                .into(),
            others: Vec::new(),
        }
    }

    #[test]
    fn places_depend_on_the_architecture() {
        let target = target();
        for (architecture, text, place) in [
            ("amd64", r"$(runtime.system32)\", r"\Windows\System32"),
            ("wow64", r"$(runtime.System32)\x", r"\Windows\SysWOW64\x"),
            ("x86", r"$(runtime.programFiles)\A B\", r"\Program Files (x86)\A B"),
            ("amd64", r"$(runtime.userProfile)\AppData", r"\Users\Default\AppData"),
            ("msil", r"$(runtime.windows)", r"\Windows"),
        ] {
            let manifest = manifest(architecture);
            let macros = Macros::new(&target, &manifest);
            assert_eq!(macros.path(text).unwrap().to_string(), place);
        }
    }

    #[test]
    fn what_is_not_known_or_leads_out_is_refused() {
        let (target, manifest) = (target(), manifest("amd64"));
        let macros = Macros::new(&target, &manifest);
        for text in [
            r"$(runtime.nowhere)\x",
            r"$(build.nttree)\x",
            r"C:\x",
            "",
            r"$(runtime.windows)\..\x",
            r"$(runtime.windows)\a:b",
            r"$(runtime.windows)foo",
            "$(runtime.systemdrive)",
            r"$(runtime.windows)\$(runtime.windows)",
        ] {
            assert!(macros.path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_too_deep_or_too_long_are_refused() {
        let (target, manifest) = (target(), manifest("amd64"));
        let macros = Macros::new(&target, &manifest);
        let place = |levels: usize, name: &str| {
            macros.path(&format!(r"$(runtime.windows){}", format!(r"\{name}").repeat(levels)))
        };
        assert!(place(255, "d").is_ok());
        assert!(place(256, "d").unwrap_err().contains("257 levels"));
        assert!(place(200, &"d".repeat(200)).unwrap_err().contains("characters"));
    }

    #[test]
    fn the_stores_own_places_are_known() {
        let target = target();
        let own = |text: &str| target.is_store(&NtPath::parse(text).unwrap());
        for place in [
            r"\Windows\WinSxS\x",
            r"\windows\SERVICING\Packages\a.mum",
            r"\Windows\System32\config\SYSTEM",
            r"\Windows\System32\CatRoot\x\y.cat",
        ] {
            assert!(own(place), "{place}");
        }
        for place in [r"\Windows\WinSxS", r"\Windows\System32\configs\x", r"\WinSxS\x"] {
            assert!(!own(place), "{place}");
        }
    }

    #[test]
    fn texts_get_the_running_systems_paths() {
        let (target, manifest) = (target(), manifest("wow64"));
        let macros = Macros::new(&target, &manifest);
        for (text, expanded) in [
            (
                r"$(runtime.system32)\x.dll,$(runtime.windows)",
                r"C:\Windows\SysWOW64\x.dll,C:\Windows",
            ),
            ("plain $ ( )", "plain $ ( )"),
            ("$(string.name)!", "The Name!"),
            (r"$(runtime.programData)\x", r"C:\ProgramData\x"),
        ] {
            assert_eq!(macros.text(text).unwrap(), expanded);
        }
        for text in
            ["$(string.other)", "$(x", "$(@%SystemRoot%\\a.dll,-1)", "$(dependentAssembly.X.path)"]
        {
            assert!(macros.text(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_that_grow_without_bound_are_refused() {
        let (target, mut manifest) = (target(), manifest("amd64"));
        let table = [("a".to_owned(), "x".repeat(1 << 20)), ("b".to_owned(), "y".repeat(1 << 19))];
        manifest.strings = [("en-us".to_owned(), table.into())].into();
        let macros = Macros::new(&target, &manifest);
        assert!(
            macros.text(&"$(string.a)".repeat(400)).unwrap_err().contains("larger than 1048576")
        );
        let texts = (0..200).map(|_| macros.text("$(string.b)"));
        assert_eq!(texts.take_while(Result::is_ok).count(), 128);
    }

    #[test]
    fn well_known_folders_and_those_above_them_stay() {
        let target = target();
        let known = |text: &str| target.is_well_known(&NtPath::parse(text).unwrap());
        assert!(
            known(r"\Windows\SysWOW64") && known(r"\Users") && known(r"\windows\system32\drivers")
        );
        assert!(!known(r"\Windows\System32\spp") && !known(r"\Program Files\X"));
    }
}
