//! The settings that are known: which component takes which setting in which pass, of which type.
//!
//! `catalogue.tsv` beside this file holds facts alone, one setting a line below the name of its component: path, passes (a letter each: `W`indowsPE,
//! `O`fflineServicing, `G`eneralize, `S`pecialize, `A`uditSystem, audit`U`ser, oob`E`System), type, longest value, whether it may be empty, and
//! the words of an enumeration. It was made from the index of Microsoft's public reference of December 2018, as the project keeps it, by
//! `TRANSOM_BLESS=1 cargo test --test it -- unattend_catalogue`, which repairs what is broken there (escaped underscores, `0 or 1`, containers that
//! are listed as something else); what stands behind the line `# by hand` is newer, or older than the reference and marked `old`.
//!
//! What is not here may still be a setting: manifests of one Windows know all of its own.

use std::{collections::BTreeMap, sync::LazyLock};

use super::model::PassName;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// One of some words.
    Word,
    /// Other settings.
    Group,
    /// The reference does not say.
    Unknown,
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    passes: u8,
    /// What its value is.
    pub kind: ValueKind,
    /// Most characters of the value.
    pub longest: Option<u16>,
    /// True when the reference says that it may be empty.
    pub empty_allowed: bool,
    /// True for a setting of older versions that the reference no longer has.
    pub old: bool,
    words: &'static str,
}

/// The settings of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentSettings {
    /// Its name.
    pub name: &'static str,
    settings: BTreeMap<&'static str, Setting>,
}

/// The table.
pub const TABLE: &str = include_str!("catalogue.tsv");

static CATALOGUE: LazyLock<BTreeMap<String, ComponentSettings>> = LazyLock::new(read);

/// What is known of a component; names are told apart without letter case.
#[must_use]
pub fn component(name: &str) -> Option<&'static ComponentSettings> {
    CATALOGUE.get(&name.to_lowercase())
}

/// The names of all components, sorted.
pub fn components() -> impl Iterator<Item = &'static str> {
    CATALOGUE.values().map(|component| component.name)
}

impl ComponentSettings {
    /// The setting at a path with `/` between the names.
    #[must_use]
    pub fn setting(&self, path: &str) -> Option<&Setting> {
        self.settings.get(path)
    }

    /// All paths and their settings, sorted by path.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.settings.iter().map(|(path, setting)| (*path, setting))
    }

    /// The names directly below a path; below the component itself for the empty path.
    pub fn names_below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        self.settings.keys().filter_map(move |other| {
            let rest = match path {
                "" => other,
                _ => other.strip_prefix(path)?.strip_prefix('/')?,
            };
            (!rest.contains('/')).then_some(rest)
        })
    }
}

impl Setting {
    /// True when the pass takes it; where the reference names no pass, every one may.
    #[must_use]
    pub fn is_in(&self, pass: PassName) -> bool {
        self.passes == 0 || self.passes & bit(pass) != 0
    }

    /// The passes that take it.
    pub fn passes(&self) -> impl Iterator<Item = PassName> + '_ {
        PassName::ALL.into_iter().filter(|pass| self.is_in(*pass))
    }

    /// The words that the value can be.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.words.split('|').filter(|word| !word.is_empty())
    }

    /// True when the value is one of the words, whatever its letter case, or lies in one of the ranges (`1-100`) among them.
    #[must_use]
    pub fn has_word(&self, value: &str) -> bool {
        let within = |word: &str| {
            let Some((least, most)) = word.split_once('-') else { return false };
            match (least.parse::<u32>(), most.parse::<u32>(), value.parse::<u32>()) {
                (Ok(least), Ok(most), Ok(value)) => (least..=most).contains(&value),
                _ => false,
            }
        };
        self.words().any(|word| word.eq_ignore_ascii_case(value) || within(word))
    }
}

fn bit(pass: PassName) -> u8 {
    1 << (pass as u8)
}

fn read() -> BTreeMap<String, ComponentSettings> {
    let mut all: BTreeMap<String, ComponentSettings> = BTreeMap::new();
    let mut current = String::new();
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(row) = line.strip_prefix('\t') else {
            current = line.to_lowercase();
            all.entry(current.clone())
                .or_insert_with(|| ComponentSettings { name: line, settings: BTreeMap::new() });
            continue;
        };
        let mut fields = row.split('\t');
        let mut next = || fields.next().unwrap_or("");
        let (path, passes, kind) = (next(), next(), next());
        let (longest, empty, words) = (next(), next(), next());
        let setting = Setting {
            passes: passes.chars().fold(0, |set, letter| set | letter_bit(letter)),
            kind: match kind.trim_end_matches('!') {
                "text" => ValueKind::Text,
                "bool" => ValueKind::Boolean,
                "int" => ValueKind::Integer,
                "word" => ValueKind::Word,
                "group" => ValueKind::Group,
                _ => ValueKind::Unknown,
            },
            longest: longest.parse().ok(),
            empty_allowed: empty == "empty",
            old: kind.ends_with('!'),
            words,
        };
        if let Some(component) = all.get_mut(&current) {
            component.settings.insert(path, setting);
        }
    }
    all
}

fn letter_bit(letter: char) -> u8 {
    PassName::ALL
        .into_iter()
        .zip("WOGSAUE".chars())
        .find(|(_, known)| *known == letter)
        .map_or(0, |(pass, _)| bit(pass))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let lines = TABLE.lines().filter(|line| line.starts_with('\t')).count();
        let known: usize = CATALOGUE.values().map(|component| component.settings.len()).sum();
        assert_eq!(lines, known, "no setting twice");
        assert!(known > 1000 && CATALOGUE.len() > 80, "{known} {}", CATALOGUE.len());
        for component in CATALOGUE.values() {
            for (path, setting) in component.settings() {
                let above = path.rsplit_once('/').map(|(above, _)| above);
                let group = above.is_none_or(|above| {
                    component.setting(above).is_some_and(|one| one.kind == ValueKind::Group)
                });
                assert!(group, "{} {path}", component.name);
                assert_eq!(
                    setting.kind == ValueKind::Word,
                    setting.words().next().is_some(),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn known_settings_are_as_the_reference_has_them() {
        let shell = component("microsoft-windows-shell-setup").unwrap();
        let name = shell.setting("ComputerName").unwrap();
        let passes: Vec<&str> = name.passes().map(PassName::name).collect();
        assert_eq!(passes, ["offlineServicing", "specialize"]);
        assert_eq!((name.kind, name.longest), (ValueKind::Text, Some(15)));
        let protect = shell.setting("OOBE/ProtectYourPC").unwrap();
        assert!(protect.has_word("3") && !protect.has_word("4"));
        assert!(shell.setting("OOBE/SkipMachineOOBE").unwrap().old);
        assert!(shell.names_below("OOBE").any(|name| name == "HideEULAPage"));
        let camera = component("Microsoft-Windows-CoreMmRes").unwrap();
        let level = camera.setting("CameraSoundLevel").unwrap();
        assert!(level.has_word("42") && !level.has_word("101"));
        assert!(component("Microsoft-Windows-Foo").is_none());
    }
}
