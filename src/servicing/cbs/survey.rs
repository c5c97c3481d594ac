//! What stands against installing a source natively, as far as the source alone tells: for people who ask about a package outside of any recipe.

use crate::{
    format::cbs::{Identity, Manifest, Mum},
    image::Architecture,
    servicing::error::Problem,
};

use super::{
    classify,
    effects::UnknownElement,
    macros::Target,
    prepared::{PreparedFolder, PreparedPackages},
    report,
};

/// What stands against installing a source natively. When both lists are empty nothing does, in an image of the package's own architecture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Deltas that only Windows applies, packages that are never installed natively, manifests that cannot be read.
    pub problems: Vec<Problem>,
    /// Every element, attribute or value that is not understood, with the package (by id) or component (by key form) that has it.
    pub unknown: Vec<(String, UnknownElement)>,
}

impl Survey {
    /// Surveys a source.
    #[must_use]
    pub fn of(prepared: &PreparedPackages) -> Self {
        let mut survey = Self::default();
        for folder in &prepared.folders {
            survey.folder(folder);
        }
        survey
    }

    /// True when nothing stands against it.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.problems.is_empty() && self.unknown.is_empty()
    }

    fn folder(&mut self, folder: &PreparedFolder) {
        self.problems.extend(folder.not_native.iter().cloned());
        for package in &folder.packages {
            match Mum::parse(package.mum.as_bytes()) {
                Ok(mum) => {
                    self.problems.extend(report::never_native(&mum, &package.id));
                    let unknown = classify::unknown_in_package(&mum);
                    self.unknown.extend(unknown.into_iter().map(|e| (package.id.clone(), e)));
                }
                Err(error) => self.unreadable(&package.id, &error.to_string()),
            }
        }
        let target = target_of(folder);
        for stored in &folder.manifests {
            match Manifest::parse(stored.text.as_bytes()) {
                Ok(manifest) => {
                    let unknown = classify::unknown_elements(&manifest, &target);
                    self.unknown.extend(unknown.into_iter().map(|e| (stored.key_form.clone(), e)));
                }
                Err(error) => self.unreadable(&stored.key_form, &error.to_string()),
            }
        }
    }

    fn unreadable(&mut self, what: &str, cause: &str) {
        self.problems.push(Problem::error(what, cause, ""));
    }
}

/// An image of the architecture of the folder's first package.
fn target_of(folder: &PreparedFolder) -> Target {
    let id = folder.packages.first().and_then(|package| Identity::of_package_id(&package.id));
    let name = id.map(|id| id.architecture.to_lowercase()).unwrap_or_default();
    let architecture = [Architecture::X86, Architecture::Arm, Architecture::Arm64]
        .into_iter()
        .find(|architecture| architecture.name() == name)
        .unwrap_or(Architecture::Amd64);
    Target { architecture, system_root: "Windows".into(), running_root: r"C:\Windows".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        format::catalog::Trust,
        servicing::cbs::prepared::{PreparedManifest, PreparedPackage},
    };

    fn folder(mum: &str, manifest: &str) -> PreparedPackages {
        let package = PreparedPackage {
            id: "P~~x86~~1.0.0.0".to_owned(),
            file: "update.mum".to_owned(),
            mum: mum.to_owned(),
            time: None,
            catalog: None,
            trust: Trust::Unsigned,
            reason: String::new(),
        };
        let manifest = PreparedManifest {
            key_form: "x86_c".to_owned(),
            text: manifest.to_owned(),
            catalogs: Vec::new(),
            time: None,
        };
        let folder = PreparedFolder {
            shown: "p.cab".to_owned(),
            packages: vec![package],
            manifests: vec![manifest],
            payload: Vec::new(),
            not_native: Vec::new(),
        };
        PreparedPackages { folders: vec![folder], originals: Vec::new(), skipped: Vec::new() }
    }

    #[test]
    fn what_is_not_understood_is_named_with_who_has_it() {
        let identity = "<assemblyIdentity name='P' processorArchitecture='x86' version='1.0.0.0'/>";
        let mum =
            |inside: &str| format!("<assembly>{identity}<package>{inside}</package></assembly>");
        let component = |inside: &str| format!("<assembly>{identity}{inside}</assembly>");
        assert!(Survey::of(&folder(&mum(""), &component(""))).is_native());
        let survey = Survey::of(&folder(&mum("<foo/>"), &component("<taskScheduler/>")));
        let found: Vec<String> =
            survey.unknown.iter().map(|(holder, element)| format!("{holder}: {element}")).collect();
        assert_eq!(
            found,
            ["P~~x86~~1.0.0.0: <package/foo> (line 1)", "x86_c: <taskScheduler> (line 1)"]
        );
        let survey = Survey::of(&folder("<", &component("")));
        assert_eq!(survey.problems.len(), 1);
        assert!(!survey.is_native());
    }
}
