//! What is known of each element of a component manifest: primitive, emulated, harmless for an offline image, or unknown.
//!
//! About 200 kinds of elements are handed to programs that Windows brings along ("advanced installers"), whose output nobody has described. Only what is
//! in the table below is let through; everything else is named, and the package is refused or left to Windows. Knowledge:
//! `facts/manifests-keyforms-pa30.md`, section 3; `facts/cbs-feasibility.md`, section 4.

use crate::format::cbs::{Manifest, Mum, manifest::Other, xml::Element};

use super::{
    effects::{Effects, UnknownElement, effects},
    macros::Target,
};

/// What an element is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Done here, by rules that are the element's own.
    Primitive,
    /// Done here, in place of the program that Windows has for it.
    Emulated,
    /// Nothing has to be done in an offline image, and why.
    Harmless(&'static str),
    /// Not understood.
    Unknown,
}

const BUILD: Class = Class::Harmless("it says how Microsoft builds the file");
const TEXT: Class = Class::Harmless("it is for people");
const LOADER: Class = Class::Harmless("programs read it from the manifest when they are loaded");
const PROTECTION: Class =
    Class::Harmless("it describes what the security descriptor beside it protects");

/// Elements and attributes by their path; of two that match, the longer. `*` stands for one name, `**` at the end for all below.
const TABLE: &[(&str, Class)] = &[
    ("file", Class::Primitive),
    ("directories", Class::Primitive),
    ("registryKeys", Class::Primitive),
    ("trustInfo", Class::Primitive),
    ("deployment", Class::Primitive),
    ("localization", TEXT),
    ("localization/**", TEXT),
    ("memberships", Class::Emulated),
    ("migration", Class::Harmless("it is read when Windows is upgraded, not when it is installed")),
    ("noInherit", LOADER),
    ("noInheritable", LOADER),
    ("description", TEXT),
    ("@description", TEXT),
    ("@displayName", TEXT),
    ("@supportInformation", TEXT),
    ("file/@buildType", BUILD),
    ("file/signatureInfo", BUILD),
    ("file/signatureInfo/**", BUILD),
    ("file/securityDescriptor/@buildFilter", BUILD),
    ("file/windowClass", LOADER),
    ("file/windowClass/**", LOADER),
    ("file/comClass", LOADER),
    ("file/comClass/**", LOADER),
    ("file/typelib", LOADER),
    ("file/typelib/**", LOADER),
    ("file/comInterfaceProxyStub", LOADER),
    ("file/comInterfaceProxyStub/**", LOADER),
    ("comInterfaceExternalProxyStub", LOADER),
    ("file/systemProtection", PROTECTION),
    ("file/systemProtection/**", PROTECTION),
    ("directories/directory/systemProtection", PROTECTION),
    ("directories/directory/systemProtection/**", PROTECTION),
    ("registryKeys/registryKey/systemProtection", PROTECTION),
    ("registryKeys/registryKey/systemProtection/**", PROTECTION),
    (
        "registryKeys/registryKey/overridable",
        Class::Harmless("it says which values a maker of computers may change"),
    ),
    (
        "registryKeys/registryKey/overridable/**",
        Class::Harmless("it says which values a maker of computers may change"),
    ),
    ("trustInfo/security/requestedPrivileges", LOADER),
    ("trustInfo/security/requestedPrivileges/**", LOADER),
    ("dependency/@optional", Class::Primitive),
    ("languagePack", Class::Emulated),
];

/// What a path (names from below the root, `@` before an attribute) is worth.
#[must_use]
pub fn class_of(path: &str) -> Class {
    let parts: Vec<&str> = path.split('/').collect();
    let matches = |pattern: &str| {
        let names: Vec<&str> = pattern.split('/').collect();
        let same = |(one, other): (&&str, &&str)| *one == "*" || one.eq_ignore_ascii_case(other);
        match names.split_last() {
            Some((&"**", head)) => parts.len() > head.len() && head.iter().zip(&parts).all(same),
            _ => names.len() == parts.len() && names.iter().zip(&parts).all(same),
        }
    };
    TABLE
        .iter()
        .filter(|(pattern, _)| matches(pattern))
        .max_by_key(|(pattern, _)| pattern.len())
        .map_or(Class::Unknown, |(_, class)| *class)
}

/// What of a component is not understood. Empty: it can be installed natively.
#[must_use]
pub fn unknown_elements(manifest: &Manifest, target: &Target) -> Vec<UnknownElement> {
    understood(manifest, target).1
}

/// What a component does, and what of it is not understood.
pub(super) fn understood(manifest: &Manifest, target: &Target) -> (Effects, Vec<UnknownElement>) {
    let (effects, mut unknown) = effects(manifest, target);
    unknown.extend(manifest.others.iter().filter_map(other));
    for dependency in &manifest.dependencies {
        let kind = dependency.kind.as_str();
        if !["", "install", "prerequisite"].iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            let what = format!("dependencyType=`{kind}`");
            unknown.push(UnknownElement::new("dependency/dependentAssembly", 1, what));
        }
    }
    unknown.sort_by_key(|element| element.line);
    unknown.dedup();
    (effects, unknown)
}

fn other(other: &Other) -> Option<UnknownElement> {
    match class_of(&other.path) {
        Class::Unknown => Some(UnknownElement::new(&other.path, other.line, String::new())),
        Class::Emulated if other.path.eq_ignore_ascii_case("languagePack") => {
            other.element.as_ref().and_then(language_pack)
        }
        _ => None,
    }
}

/// `languagePack` names the languages that fill gaps (`sequence`). A full language has none; bilingual components and partial languages have rules that
/// nobody has described.
fn language_pack(element: &Element) -> Option<UnknownElement> {
    let unknown = |child: &Element, what: &str| {
        let path = format!("languagePack/{}", child.name);
        Some(UnknownElement::new(&path, child.line, what.to_owned()))
    };
    element.children.iter().find_map(|child| match child.name.as_str() {
        "sequence" => {
            let full =
                child.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("full"));
            if full { None } else { unknown(child, "only full languages are done") }
        }
        "bilingualComponents" if child.children.is_empty() => None,
        _ => unknown(child, ""),
    })
}

/// Elements of a package that are not understood.
#[must_use]
pub fn unknown_in_package(mum: &Mum) -> Vec<UnknownElement> {
    const HARMLESS: [&str; 6] = [
        "package/packageextended",
        "package/localizedstrings",
        "package/custominformation",
        "package/selection",
        "localization",
        "localizedstrings",
    ];
    let harmless = |path: &str| {
        let path = path.to_lowercase();
        HARMLESS.iter().any(|known| {
            path == *known || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'))
        })
    };
    let mut unknown: Vec<UnknownElement> = mum
        .unknown
        .iter()
        .filter(|element| !harmless(&element.path))
        .map(|element| UnknownElement::new(&element.path, element.line, String::new()))
        .collect();
    for update in &mum.updates {
        for driver in &update.drivers {
            let what = format!("the driver {}", driver.inf);
            unknown.push(UnknownElement::new("package/update/driver", update.line, what));
        }
        for capability in &update.capabilities {
            let what = format!("the capability {}", capability.name);
            unknown.push(UnknownElement::new("package/update/capability", update.line, what));
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_entry_of_the_table_counts() {
        assert_eq!(class_of("file"), Class::Primitive);
        assert_eq!(class_of("file/@buildType"), BUILD);
        assert_eq!(class_of("dependency"), Class::Unknown, "one without an assembly");
        assert_eq!(class_of("file/signatureInfo/signatureDescriptor/@pageHash"), BUILD);
        assert_eq!(class_of("file/infFile"), Class::Unknown);
        assert_eq!(class_of("taskScheduler"), Class::Unknown);
        assert_eq!(class_of("configuration"), Class::Unknown);
        assert_eq!(class_of("Migration"), class_of("migration"));
        assert!(matches!(class_of("localization/resources/x"), Class::Harmless(_)));
    }

    #[test]
    fn attributes_of_a_package_that_are_not_known_are_named() {
        let mum = r#"<assembly new=""><assemblyIdentity name="a"/><package contained="true" integrate="hidden" newer=""/></assembly>"#;
        let unknown = unknown_in_package(&Mum::parse(mum.as_bytes()).unwrap());
        let paths: Vec<&str> = unknown.iter().map(|element| element.element.as_str()).collect();
        assert_eq!(paths, ["@new", "package/@newer"]);
    }
}
