//! Capabilities: which packages are one, and which add a language or an architecture to it.

use crate::format::cbs::{Mum, mum::CapabilityIdentity};

/// Reads a name as people write it; the version may be missing.
pub(super) fn parse(text: &str) -> Option<CapabilityIdentity> {
    if !text.is_empty() && !text.contains('~') {
        let (name, version, language) = (text.to_owned(), String::new(), String::new());
        return Some(CapabilityIdentity { name, version, language });
    }
    CapabilityIdentity::parse(text)
}

/// True when a declared capability is the one that is wanted, languages left aside.
pub(super) fn is_same(wanted: &CapabilityIdentity, declared: &CapabilityIdentity) -> bool {
    wanted.name.eq_ignore_ascii_case(&declared.name)
        && (wanted.version.is_empty() || wanted.full_version() == declared.full_version())
}

/// True when both are the same capability in the same language; a version that one leaves out does not matter.
pub(super) fn is_same_in_language(one: &CapabilityIdentity, other: &CapabilityIdentity) -> bool {
    (is_same(one, other) || is_same(other, one))
        && one.full_language().eq_ignore_ascii_case(other.full_language())
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
            let same_language =
                wanted.full_language().eq_ignore_ascii_case(declared.identity.full_language());
            if declared.satellite_of.is_empty() {
                return same_language.then_some(Role::Main);
            }
            let main = same_language && !wanted.full_language().is_empty();
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
        assert_eq!(wanted.to_string(), "OpenSSH.Server~~~~0.0.1.0");
        let declared = CapabilityIdentity {
            name: "openssh.server".to_owned(),
            version: "1.0".to_owned(),
            language: String::new(),
        };
        assert!(is_same(&wanted, &declared));
        assert_eq!(declared.to_string(), "openssh.server~~~~0.0.1.0");
        assert_eq!(parse("Language.Basic~~~de-DE~0.0.1.0").unwrap().language, "de-DE");
        assert_eq!(parse("a~b"), None);
        assert!(is_same(&parse("OpenSSH.Server").unwrap(), &declared));
        assert!(!is_same(&parse("OpenSSH.Server~~~~0.0.2.0").unwrap(), &declared));
    }
}
