//! What a package manifest says, for people and as JSON: shared by `inspect image --package` and `inspect package`.

use serde::Serialize;

use crate::{
    cli::text,
    format::cbs::{
        Identity, Mum,
        mum::{CapabilityIdentity, Parent},
    },
};

/// A package manifest. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MumReport {
    identifier: String,
    display_name: Option<String>,
    description: Option<String>,
    support: Option<String>,
    release_type: String,
    restart: Option<String>,
    permanence: Option<String>,
    /// It replaces the servicing stack itself.
    self_update: bool,
    /// The file that its payload lies in.
    psf: Option<String>,
    /// Each must be there.
    parents: Vec<ParentReport>,
    /// The oldest servicing stack that installs it.
    servicing_stack: Option<String>,
    language_pack: bool,
    features: Vec<FeatureReport>,
    capabilities: Vec<String>,
    /// Capabilities that its own need.
    capability_needs: Vec<String>,
    /// For what it is a satellite: `language de-DE`.
    satellite_of: Vec<String>,
    /// Ids of packages that it brings.
    packages: Vec<String>,
    /// Key forms of deployments that it brings.
    deployments: Vec<String>,
    /// INFs that it brings.
    drivers: Vec<String>,
    /// Elements and attributes that Transom does not know.
    unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ParentReport {
    /// Ids of packages, one of which must be there.
    any_of: Vec<String>,
    /// `detect`: installed; `staged`: at least staged.
    disposition: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FeatureReport {
    name: String,
    display_name: Option<String>,
    /// On when nobody chose.
    default: bool,
    /// Features that it needs.
    parents: Vec<String>,
}

impl MumReport {
    pub(super) fn new(mum: &Mum) -> Self {
        let parent = |parent: &Parent| ParentReport {
            any_of: parent.identities.iter().map(Identity::package_id).collect(),
            disposition: match parent.disposition.as_str() {
                "" => "detect".to_owned(),
                written => written.to_owned(),
            },
        };
        let features = mum.features().map(|feature| FeatureReport {
            name: feature.name.clone(),
            display_name: feature.display_name.clone(),
            default: feature.selectable.as_ref().and_then(|s| s.default).unwrap_or(false),
            parents: feature
                .applicable
                .iter()
                .flat_map(|applicable| &applicable.updates)
                .map(|update| update.name.clone())
                .collect(),
        });
        let brought = || mum.updates.iter().flat_map(|update| &update.capabilities);
        let declared = || mum.capabilities.iter();
        let shown = CapabilityIdentity::to_string;
        let satellites = declared().flat_map(|capability| &capability.satellite_of);
        Self {
            identifier: mum.identifier.clone(),
            display_name: mum.display_name.clone(),
            description: mum.description.clone(),
            support: mum.support.clone(),
            release_type: mum.release_type.clone(),
            restart: mum.restart.clone(),
            permanence: mum.permanence.clone(),
            self_update: mum.self_update,
            psf: mum.psf_name.clone(),
            parents: mum.parents.iter().map(parent).collect(),
            servicing_stack: mum.installer.as_ref().map(|stack| stack.version.to_string()),
            language_pack: mum.is_language_pack(),
            features: features.collect(),
            capabilities: declared()
                .map(|capability| shown(&capability.identity))
                .chain(brought().map(shown))
                .collect(),
            capability_needs: declared().flat_map(|c| &c.dependencies).map(shown).collect(),
            satellite_of: satellites.map(|(kind, value)| format!("{kind} {value}")).collect(),
            packages: mum
                .updates
                .iter()
                .flat_map(|update| &update.packages)
                .map(|package| package.identity.package_id())
                .collect(),
            deployments: mum
                .updates
                .iter()
                .flat_map(|update| &update.components)
                .map(Identity::key_form)
                .collect(),
            drivers: mum
                .updates
                .iter()
                .flat_map(|update| &update.drivers)
                .map(|driver| driver.inf.clone())
                .collect(),
            unknown: mum
                .unknown
                .iter()
                .map(|unknown| format!("{} (line {})", unknown.path, unknown.line))
                .collect(),
        }
    }

    /// What there is to say, in rows; nothing of what is not given.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        let release = if self.language_pack && self.release_type != "Language Pack" {
            format!("{} (a language pack)", self.release_type)
        } else {
            self.release_type.clone()
        };
        let mut rows = vec![
            ("Name", given(&self.display_name)),
            ("Description", given(&self.description)),
            ("Support", given(&self.support)),
            ("Release type", release),
            ("Restart", given(&self.restart)),
            ("Permanence", given(&self.permanence)),
            ("Servicing stack", if self.self_update { "it is one".into() } else { String::new() }),
            ("PSF", given(&self.psf)),
        ];
        for parent in &self.parents {
            let staged = if parent.disposition == "detect" {
                String::new()
            } else {
                format!(" ({})", parent.disposition)
            };
            rows.push(("Needs", format!("{}{staged}", parent.any_of.join(" or "))));
        }
        if let Some(version) = &self.servicing_stack {
            rows.push(("Needs", format!("servicing stack {version}")));
        }
        rows.extend(self.features.iter().map(|feature| {
            let state = if feature.default { "on by default" } else { "off by default" };
            ("Feature", format!("{} ({state})", feature.name))
        }));
        rows.extend(self.capabilities.iter().map(|id| ("Capability", id.clone())));
        rows.extend(self.capability_needs.iter().map(|id| ("Needs", format!("capability {id}"))));
        rows.extend(self.satellite_of.iter().map(|of| ("Satellite of", of.clone())));
        rows.push(("Packages", listed(&self.packages, "package", "packages")));
        rows.push(("Deployments", listed(&self.deployments, "deployment", "deployments")));
        rows.push(("Drivers", self.drivers.join(", ")));
        rows.extend(self.unknown.iter().map(|path| ("Not known", path.clone())));
        rows.retain(|(_, value)| !value.is_empty());
        rows
    }
}

/// One by name, several by number.
fn listed(items: &[String], one: &str, many: &str) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        _ => text::count(items.len() as u64, one, many),
    }
}
