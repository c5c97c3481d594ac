//! What packages say of one another: what a step brings, what it needs, when in servicing it has its place.
//!
//! This is for ordering steps. Whether a package can be installed is asked of the image, when everything that stands before it is done.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    format::cbs::{Identity, Mum, Version, mum::CapabilityIdentity},
    image::{Image, ImageError},
};

use super::{
    FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject, PreparedPackages,
    capability, store,
};

/// What a step brings and needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Relations {
    /// What is there when it is done.
    pub provides: Vec<Provided>,
    /// What must be there before.
    pub needs: Vec<Need>,
    /// Its place in servicing.
    pub phase: PackagePhase,
}

/// Something that a step brings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provided {
    /// A package; `root`: one that the source is about, not a part of another.
    Package {
        /// Which.
        identity: Identity,
        /// True for what the source is about.
        root: bool,
    },
    /// A feature that can be enabled from then on.
    Feature(String),
    /// A capability: `Name~~~language~version`.
    Capability(String),
    /// A language.
    Language(String),
}

/// Something that must be there before a step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// One of these packages.
    Parent {
        /// The id of the package that needs it.
        of: String,
        /// Any of these does.
        any: Vec<Identity>,
    },
    /// A servicing stack that is at least this old.
    ServicingStack(Version),
    /// A capability: `Name~~~language~version`.
    Capability(String),
    /// A language, for a satellite.
    Language(String),
    /// A feature: it must be known, so that it can be switched.
    Feature(String),
    /// A feature that must be enabled.
    ParentFeature(String),
}

/// Where in servicing a step has its place; the order of the variants is that of servicing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum PackagePhase {
    /// A servicing stack.
    ServicingStack,
    /// A language pack.
    Language,
    /// Fonts, text recognition, speech of a language.
    LanguageFeature,
    /// A feature on demand, or the package of features.
    Capability,
    /// A feature is switched.
    Feature,
    /// An update.
    Update,
    /// The cumulative update.
    CumulativeUpdate,
    /// An enablement package.
    Enablement,
    /// .NET Framework 3.5.
    NetFx3,
    /// An update of .NET.
    DotNetUpdate,
}

/// The name of the cumulative update's package, without version.
pub const CUMULATIVE_UPDATE: &str = "Package_for_RollupFix";

/// The packages of a source: each folder's, the first of a folder being its root.
type Folders = Vec<Vec<Mum>>;

fn folders(prepared: Option<&PreparedPackages>) -> Folders {
    let parse = |folder: &super::prepared::PreparedFolder| {
        // One that cannot be read is refused when the step is checked.
        folder
            .packages
            .iter()
            .filter_map(|package| Mum::parse(package.mum.as_bytes()).ok())
            .collect()
    };
    prepared.map_or_else(Vec::new, |prepared| prepared.folders.iter().map(parse).collect())
}

impl PackageSpec {
    /// What the step brings and needs; `prepared` is `None` without a source.
    pub(in crate::servicing) fn relations(&self, prepared: Option<&PreparedPackages>) -> Relations {
        of_package(self, folders(prepared))
    }
}

impl FeatureSpec {
    /// What the step brings and needs; `prepared` is `None` without a source.
    pub(in crate::servicing) fn relations(&self, prepared: Option<&PreparedPackages>) -> Relations {
        of_feature(self, folders(prepared))
    }
}

fn of_package(spec: &PackageSpec, mut folders: Folders) -> Relations {
    let own = match &spec.subject {
        PackageSubject::Package(_) => None,
        PackageSubject::Language(_) => Some(PackagePhase::Language),
        PackageSubject::Capability(name) => {
            // A source of capabilities is a shelf: what this entry takes from it is what declares its name.
            let wanted = capability::parse(name);
            let is_it = |known: &CapabilityIdentity| {
                let wanted = wanted.as_ref();
                wanted.is_some_and(|wanted| capability::is_same_in_language(wanted, known))
            };
            let declares = |mums: &Vec<Mum>| declared(mums).any(is_it);
            if folders.iter().any(declares) {
                folders.retain(declares);
            }
            Some(capability_phase(name))
        }
    };
    if matches!(spec.action, PackageAction::Absent { .. }) {
        let phase = own.unwrap_or(PackagePhase::Update);
        return Relations { provides: Vec::new(), needs: Vec::new(), phase };
    }
    let phase = folders.iter().filter_map(|mums| mums_phase(mums)).max();
    let phase = own.or(phase).unwrap_or(PackagePhase::Update);
    let (mut provides, needs) = gather(&folders);
    match &spec.subject {
        PackageSubject::Language(tag) => add(&mut provides, Provided::Language(tag.clone())),
        PackageSubject::Capability(name) => add(&mut provides, Provided::Capability(name.clone())),
        PackageSubject::Package(_) => {}
    }
    Relations { provides, needs, phase }
}

fn of_feature(spec: &FeatureSpec, mut folders: Folders) -> Relations {
    let is_net = spec.name.to_ascii_lowercase().starts_with("netfx3");
    let phase = if is_net { PackagePhase::NetFx3 } else { PackagePhase::Feature };
    let has = |mums: &Vec<Mum>| mums.iter().any(|mum| mum.update(&spec.name).is_some());
    if folders.iter().any(has) {
        folders.retain(has);
    }
    let (provides, mut needs) = gather(&folders);
    if spec.state == FeatureState::Enabled {
        let own = provides.iter().any(
            |known| matches!(known, Provided::Feature(name) if name.eq_ignore_ascii_case(&spec.name)),
        );
        if !own {
            needs.push(Need::Feature(spec.name.clone()));
        }
        let parents: BTreeSet<String> = folders
            .iter()
            .flatten()
            .filter_map(|mum| mum.update(&spec.name))
            .flat_map(feature_parents)
            .collect();
        needs.extend(parents.into_iter().map(Need::ParentFeature));
    }
    Relations { provides, needs, phase }
}

/// The names of the features that must be on before this one.
fn feature_parents(update: &crate::format::cbs::mum::Update) -> impl Iterator<Item = String> {
    update.applicable.iter().flat_map(|all| &all.updates).map(|update| update.name.clone())
}

fn declared(mums: &[Mum]) -> impl Iterator<Item = &CapabilityIdentity> {
    mums.iter().flat_map(|mum| &mum.capabilities).map(|declared| &declared.identity)
}

/// What the packages bring, and what they need that they do not bring themselves.
fn gather(folders: &Folders) -> (Vec<Provided>, Vec<Need>) {
    let mut provides = Gathered::default();
    let mut needs = Gathered::default();
    for mums in folders {
        for (place, mum) in mums.iter().enumerate() {
            let identity = mum.identity.clone();
            provides.add(Provided::Package { identity, root: place == 0 });
            for feature in mum.features() {
                provides.add(Provided::Feature(feature.name.clone()));
            }
            for capability in &mum.capabilities {
                provides.add(Provided::Capability(capability.identity.to_string()));
            }
            if is_language_pack(mum) {
                provides.add(Provided::Language(mum.identity.language.clone()));
            }
        }
    }
    let all: Vec<&Mum> = folders.iter().flatten().collect();
    let stack =
        all.iter().filter_map(|mum| mum.installer.as_ref()).map(|stack| stack.version).max();
    let stack = stack.filter(|version| *version != Version::default());
    stack.map(Need::ServicingStack).into_iter().for_each(|need| needs.add(need));
    let mut families: BTreeMap<String, Vec<&Identity>> = BTreeMap::new();
    for mum in &all {
        families.entry(mum.identity.name.to_lowercase()).or_default().push(&mum.identity);
    }
    for mum in &all {
        for parent in &mum.parents {
            let wants = ["", "detect", "staged"];
            let brought = parent.identities.iter().any(|wanted| {
                let mut same = families.get(&wanted.name.to_lowercase()).into_iter().flatten();
                same.any(|known| wanted.is_same_family(known))
            });
            if brought || !wants.iter().any(|word| parent.disposition.eq_ignore_ascii_case(word)) {
                continue;
            }
            let any = parent.identities.clone();
            needs.add(Need::Parent { of: mum.identity.package_id(), any });
        }
        for capability in &mum.capabilities {
            for needed in &capability.dependencies {
                needs.add(Need::Capability(needed.to_string()));
            }
            for (kind, value) in &capability.satellite_of {
                if kind.eq_ignore_ascii_case("language") && value != "*" {
                    needs.add(Need::Language(value.clone()));
                    let neutral = CapabilityIdentity {
                        language: String::new(),
                        ..capability.identity.clone()
                    };
                    if neutral != capability.identity {
                        needs.add(Need::Capability(neutral.to_string()));
                    }
                }
            }
        }
        if !mum.identity.is_neutral() && mum.identity.language != "*" && !is_language_pack(mum) {
            needs.add(Need::Language(mum.identity.language.clone()));
        }
    }
    let (provides, mut needs) = (provides.list, needs.list);
    let brings = |need: &Need| match need {
        Need::Capability(name) => provides
            .iter()
            .any(|known| matches!(known, Provided::Capability(known) if is_same_name(known, name))),
        Need::Language(tag) => provides.iter().any(
            |known| matches!(known, Provided::Language(known) if known.eq_ignore_ascii_case(tag)),
        ),
        _ => false,
    };
    needs.retain(|need| !brings(need));
    (provides, needs)
}

/// A list without anything twice.
struct Gathered<T> {
    list: Vec<T>,
    known: BTreeSet<T>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { list: Vec::new(), known: BTreeSet::new() }
    }
}

impl<T: Clone + Ord> Gathered<T> {
    fn add(&mut self, item: T) {
        if self.known.insert(item.clone()) {
            self.list.push(item);
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn is_language_pack(mum: &Mum) -> bool {
    mum.release_type.eq_ignore_ascii_case("Language Pack") && !mum.identity.is_neutral()
}

/// The place of a container, by its root and what that brings.
fn mums_phase(mums: &[Mum]) -> Option<PackagePhase> {
    let root = mums.first()?;
    let name = root.identity.name.to_ascii_lowercase();
    let release = |word: &str| root.release_type.eq_ignore_ascii_case(word);
    let any_name =
        |part: &str| mums.iter().any(|mum| mum.identity.name.to_ascii_lowercase().contains(part));
    let is = |start: &str| name.starts_with(&start.to_ascii_lowercase());
    Some(if is(CUMULATIVE_UPDATE) {
        PackagePhase::CumulativeUpdate
    } else if root.self_update || name.contains("servicingstack") {
        PackagePhase::ServicingStack
    } else if is("Package_for_DotNetRollup") {
        PackagePhase::DotNetUpdate
    } else if any_name("enablement-package") {
        // By name alone, as the scripts of image builders know them; nothing in a package says so.
        PackagePhase::Enablement
    } else if is_language_pack(root) {
        PackagePhase::Language
    } else if any_name("netfx3-ondemand") {
        PackagePhase::NetFx3
    } else if let Some(capability) = declared(mums).next() {
        capability_phase(&capability.to_string())
    } else if ["OnDemand Pack", "Feature Pack", "Product", "Foundation"]
        .iter()
        .any(|word| release(word))
    {
        PackagePhase::Capability
    } else {
        PackagePhase::Update
    })
}

fn capability_phase(name: &str) -> PackagePhase {
    let name = name.to_ascii_lowercase();
    match () {
        () if name.starts_with("netfx3~") => PackagePhase::NetFx3,
        () if name.starts_with("language.") => PackagePhase::LanguageFeature,
        () => PackagePhase::Capability,
    }
}

/// True when both name one capability: letter case does not matter, nor does a version that one leaves out.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    match (capability::parse(one), capability::parse(other)) {
        (Some(one), Some(other)) => capability::is_same_in_language(&one, &other),
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// What the base image has, as far as ordering needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inventory {
    /// Installed packages.
    pub installed: Vec<Identity>,
    /// Tags of installed language packs.
    pub languages: Vec<String>,
    /// Features by name (lower case).
    pub features: BTreeMap<String, KnownFeature>,
    /// Installed packages that have parents, each with all that may be one.
    pub parents: Vec<(Identity, Vec<Identity>)>,
}

/// A feature that the image knows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownFeature {
    /// Its name, as the package writes it.
    pub name: String,
    /// The package that has it.
    pub package: Identity,
    /// Features that must be on before it.
    pub parents: Vec<String>,
}

impl Inventory {
    /// What `image` has.
    ///
    /// # Errors
    /// When its component store cannot be read.
    pub fn of(image: &mut Image) -> Result<Self, ImageError> {
        let mut inventory = Self::default();
        for package in store::packages(image)? {
            if let Some(mum) = &package.mum {
                for feature in mum.features() {
                    let known = KnownFeature {
                        name: feature.name.clone(),
                        package: package.identity.clone(),
                        parents: feature_parents(feature).collect(),
                    };
                    inventory.features.insert(feature.name.to_ascii_lowercase(), known);
                }
                if package.state.is_installed() && is_language_pack(mum) {
                    inventory.languages.push(package.identity.language.clone());
                }
            }
            if package.state.is_installed() {
                let parents = package.mum.iter().flat_map(|mum| &mum.parents);
                let parents: Vec<Identity> =
                    parents.flat_map(|parent| &parent.identities).cloned().collect();
                if !parents.is_empty() {
                    inventory.parents.push((package.identity.clone(), parents));
                }
                inventory.installed.push(package.identity);
            }
        }
        Ok(inventory)
    }

    /// True when one of `any` is installed, in that version or a newer one.
    #[must_use]
    pub fn satisfies(&self, any: &[Identity]) -> bool {
        any.iter().any(|wanted| {
            self.installed
                .iter()
                .any(|known| known.is_same_family(wanted) && known.version >= wanted.version)
        })
    }

    /// The installed cumulative update, the newest of them.
    #[must_use]
    pub fn cumulative_update(&self) -> Option<&Identity> {
        let is_one = |known: &&Identity| known.name.eq_ignore_ascii_case(CUMULATIVE_UPDATE);
        self.installed.iter().filter(is_one).max_by_key(|known| known.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servicing::{InputId, WhenNotNative};

    /// A package's mum: id, release type, and what stands in `package`.
    fn mum(id: &str, release: &str, inner: &str) -> Mum {
        let identity = Identity::of_package_id(id).unwrap();
        let text = format!(
            r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0"><assemblyIdentity name="{}" version="{}" language="{}" processorArchitecture="{}" publicKeyToken="{}"/><package identifier="x" releaseType="{release}">{inner}</package></assembly>"#,
            identity.name,
            identity.version,
            identity.language,
            identity.architecture,
            identity.public_key_token
        );
        Mum::parse(text.as_bytes()).unwrap()
    }

    fn spec(subject: PackageSubject) -> PackageSpec {
        let action = PackageAction::Present {
            source: Some(InputId("x".to_owned())),
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        };
        PackageSpec { subject, action }
    }

    fn package(mums: Vec<Vec<Mum>>) -> Relations {
        of_package(&spec(PackageSubject::Package("x".to_owned())), mums)
    }

    const TOKEN: &str = "31bf3856ad364e35";

    fn id(name: &str, version: &str) -> String {
        format!("{name}~{TOKEN}~amd64~~{version}")
    }

    fn parent(name: &str, version: &str) -> String {
        format!(
            r#"<parent disposition="detect"><assemblyIdentity name="{name}" version="{version}" language="neutral" processorArchitecture="amd64" publicKeyToken="{TOKEN}"/></parent>"#
        )
    }

    #[test]
    fn a_package_needs_its_parents_but_not_those_it_brings() {
        let root = mum(&id("Root", "1.0.0.0"), "Feature Pack", &parent("Base", "2.0.0.0"));
        let inner = mum(&id("Inner", "1.0.0.0"), "Feature Pack", &parent("Root", "1.0.0.0"));
        let relations = package(vec![vec![root, inner]]);
        assert_eq!(relations.phase, PackagePhase::Capability);
        let [Need::Parent { of, any }] = &relations.needs[..] else { panic!("{relations:?}") };
        assert_eq!((of.as_str(), any[0].name.as_str()), (id("Root", "1.0.0.0").as_str(), "Base"));
        let roots: Vec<(&str, bool)> = relations
            .provides
            .iter()
            .filter_map(|provided| match provided {
                Provided::Package { identity, root } => Some((identity.name.as_str(), *root)),
                _ => None,
            })
            .collect();
        assert_eq!(roots, [("Root", true), ("Inner", false)]);
    }

    #[test]
    fn the_place_comes_from_what_a_package_is() {
        let place = |name: &str, release: &str, inner: &str| {
            package(vec![vec![mum(&id(name, "1.0.0.0"), release, inner)]]).phase
        };
        assert_eq!(place("Package_for_KB1", "Update", ""), PackagePhase::Update);
        assert_eq!(
            place("Package_for_RollupFix", "Security Update", ""),
            PackagePhase::CumulativeUpdate
        );
        assert_eq!(place("Package_for_DotNetRollup_481", "Update", ""), PackagePhase::DotNetUpdate);
        assert_eq!(
            place("Package_for_ServicingStack_1", "Update", ""),
            PackagePhase::ServicingStack
        );
        assert_eq!(place("Some-Feature-Package", "OnDemand Pack", ""), PackagePhase::Capability);
        assert_eq!(place("X-22H2Enablement-Package", "Update", ""), PackagePhase::Enablement);
        let declares = |name: &str| {
            format!(
                r#"<declareCapability><capability><capabilityIdentity name="{name}" version="1.0" language="de-DE"/></capability></declareCapability>"#
            )
        };
        assert_eq!(
            place("A", "OnDemand Pack", &declares("Language.OCR")),
            PackagePhase::LanguageFeature
        );
        assert_eq!(place("A", "OnDemand Pack", &declares("Other")), PackagePhase::Capability);
        let pack = format!("Client-LanguagePack-Package~{TOKEN}~amd64~de-DE~1.0.0.0");
        let relations = package(vec![vec![mum(&pack, "Language Pack", "")]]);
        assert_eq!(relations.phase, PackagePhase::Language);
        assert!(relations.provides.contains(&Provided::Language("de-DE".to_owned())));
        assert!(relations.needs.is_empty());
        // What comes together stands where the last of it has to.
        let update = mum(&id("Package_for_RollupFix", "1.0.0.0"), "Update", "");
        let stack = mum(&id("Package_for_ServicingStack_1", "1.0.0.0"), "Update", "");
        assert_eq!(package(vec![vec![update], vec![stack]]).phase, PackagePhase::CumulativeUpdate);
    }

    #[test]
    fn a_shelf_of_capabilities_gives_the_one_that_is_named() {
        let declares = |name: &str, more: &str| {
            format!(
                r#"<declareCapability><capability><capabilityIdentity name="{name}" version="1.0"/></capability>{more}</declareCapability>"#
            )
        };
        let needed = r#"<dependency><capabilityIdentity name="Three" version="1.0" language=""/></dependency>"#;
        let one = vec![mum(&id("P1", "1.0.0.0"), "OnDemand Pack", &declares("One", needed))];
        let two = vec![mum(&id("P2", "1.0.0.0"), "OnDemand Pack", &declares("Two", ""))];
        let wanted = spec(PackageSubject::Capability("one~~~~".to_owned()));
        let relations = of_package(&wanted, vec![one, two]);
        let packages = relations
            .provides
            .iter()
            .filter(|provided| matches!(provided, Provided::Package { .. }))
            .count();
        assert_eq!(packages, 1, "{relations:?}");
        assert_eq!(relations.needs, [Need::Capability("Three~~~~0.0.1.0".to_owned())]);
    }

    #[test]
    fn a_feature_needs_its_parents_and_its_package() {
        let inner = r#"<update name="Child"><selectable disposition="staged"><detectNone default="false"/></selectable><applicable disposition="staged"><detectUpdate><update name="Parent"/></detectUpdate></applicable></update>"#;
        let folders = vec![vec![mum(&id("P", "1.0.0.0"), "Feature Pack", inner)]];
        let mut spec = FeatureSpec {
            name: "child".to_owned(),
            state: FeatureState::Enabled,
            all: false,
            source: None,
            allow_unsigned: false,
            when_not_native: WhenNotNative::Refuse,
        };
        let relations = of_feature(&spec, folders);
        assert_eq!(relations.needs, [Need::ParentFeature("Parent".to_owned())], "{relations:?}");
        let relations = of_feature(&spec, Vec::new());
        assert_eq!(relations.needs, [Need::Feature("child".to_owned())]);
        spec.name = "NetFx3".to_owned();
        assert_eq!(of_feature(&spec, Vec::new()).phase, PackagePhase::NetFx3);
        spec.state = FeatureState::Disabled;
        assert!(of_feature(&spec, Vec::new()).needs.is_empty());
    }

    #[test]
    fn an_installed_parent_may_be_newer() {
        let known = |version: &str| Inventory {
            installed: vec![Identity::of_package_id(&id("Base", version)).unwrap()],
            ..Inventory::default()
        };
        let wanted = [Identity::of_package_id(&id("base", "1.5.0.0")).unwrap()];
        assert!(known("1.5.0.0").satisfies(&wanted) && known("2.0.0.0").satisfies(&wanted));
        assert!(!known("1.0.0.0").satisfies(&wanted) && !Inventory::default().satisfies(&wanted));
    }
}
