//! Names of capabilities: as people and DISM write them, and as packages declare them.
//!
//! `OpenSSH.Server~~~~0.0.1.0` is `name~~~language~version`. Packages declare versions like `1.0` for what is shown as `0.0.1.0` (the real
//! `Microsoft.Windows.PowerShell.ISE`), so versions are compared by their last numbers.

use crate::format::cbs::{Mum, mum::CapabilityIdentity};

/// Reads a name as people write it; the version may be missing.
pub(super) fn parse(text: &str) -> Option<CapabilityIdentity> {
    let parts: Vec<&str> = text.split('~').collect();
    let (name, language, version) = match parts[..] {
        [name] => (name, "", ""),
        [name, _, _, language, version] => (name, language, version),
        _ => return None,
    };
    (!name.is_empty()).then(|| CapabilityIdentity {
        name: name.to_owned(),
        version: version.to_owned(),
        language: language.to_owned(),
    })
}

/// The name as people write it.
pub(super) fn name_of(identity: &CapabilityIdentity) -> String {
    let numbers: Vec<&str> = identity.version.split('.').collect();
    let mut padded = vec!["0"; 4_usize.saturating_sub(numbers.len())];
    padded.extend(numbers);
    let CapabilityIdentity { name, language, .. } = identity;
    format!("{name}~~~{language}~{}", padded.join("."))
}

/// True when a declared capability is the one that is wanted, languages left aside.
pub(super) fn is_same(wanted: &CapabilityIdentity, declared: &CapabilityIdentity) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let numbers = text.split('.').map(|part| part.parse().unwrap_or(0));
        numbers.skip_while(|number| *number == 0).collect()
    };
    wanted.name.eq_ignore_ascii_case(&declared.name)
        && (wanted.version.is_empty() || numbers(&wanted.version) == numbers(&declared.version))
}

/// What a package is to a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is the capability.
    Main,
    /// It adds a language or an architecture to it.
    Satellite,
}

/// What the package is to the capability; `None`: nothing.
pub(super) fn role(wanted: &CapabilityIdentity, mum: &Mum) -> Option<Role> {
    mum.capabilities.iter().find(|declared| is_same(wanted, &declared.identity)).and_then(
        |declared| {
            let same_language = wanted.language.eq_ignore_ascii_case(&declared.identity.language);
            if declared.satellite_of.is_empty() {
                return same_language.then_some(Role::Main);
            }
            let main = same_language && !wanted.language.is_empty();
            Some(if main { Role::Main } else { Role::Satellite })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_written_and_as_declared() {
        let wanted = parse("OpenSSH.Server~~~~0.0.1.0").unwrap();
        assert_eq!(name_of(&wanted), "OpenSSH.Server~~~~0.0.1.0");
        let declared = CapabilityIdentity {
            name: "openssh.server".to_owned(),
            version: "1.0".to_owned(),
            language: String::new(),
        };
        assert!(is_same(&wanted, &declared));
        assert_eq!(name_of(&declared), "openssh.server~~~~0.0.1.0");
        assert_eq!(parse("Language.Basic~~~de-DE~0.0.1.0").unwrap().language, "de-DE");
        assert_eq!(parse("a~b"), None);
        assert!(is_same(&parse("OpenSSH.Server").unwrap(), &declared));
        assert!(!is_same(&parse("OpenSSH.Server~~~~0.0.2.0").unwrap(), &declared));
    }
}
