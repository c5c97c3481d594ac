//! What of an answer file is done to the image now: `<servicing>` and the pass `offlineServicing`. Each becomes an operation of its own, so that it is
//! planned, checked, ordered and remembered like what the recipe itself says:
//!
//! - `<package action="install">` with a `<source>`: a package; `action="remove"`: a package that is absent; `action="configure"`: its features, one by one
//! - `DriverPaths` of Microsoft-Windows-PnpCustomizationsNonWinPE: drivers
//! - settings that are values in the registry: keys, by the table [`SETTINGS`]
//!
//! What is neither in the table nor in the image's own manifest of the component ([`super::handlers`]) is refused by name: nobody would look at it later, Setup does not read this pass of a file in the image. Paths in answer files
//! are of another machine; the recipe says which input each stands for.
//!
//! As Windows does, a component for another architecture than the image's is skipped, and so is a pass that is marked as processed.

use crate::{
    base::name::Name,
    format::unattend::{AnswerFile, Component, Element, PassName, Place},
    image::{Architecture, Image, ImageFacts, RegistryPath},
    servicing::{
        cbs::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject},
        drivers::{DriverAction, DriverSpec},
        error::Problem,
        inputs::InputId,
        not_native::WhenNotNative,
        operation::Operation,
        registry::{KeyAction, KeySpec},
    },
};

use super::{
    handlers,
    settings::{self, DRIVERS, Refusal},
};

/// A path of an answer file, and the input that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MappedPath {
    /// The path as answer files write it: `D:\drivers`.
    pub path: String,
    /// The file or folder of this machine.
    pub input: InputId,
    /// The one INF of the folder `input` that is meant, for drivers; `None`: all.
    pub inf: Option<String>,
    /// True: what nobody vouches for is taken too.
    pub allow_unsigned: bool,
    /// What to do when it cannot be installed natively; `None`: what the recipe's policy says.
    pub when_not_native: Option<WhenNotNative>,
}

/// What an answer file asks for of the image as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offline {
    /// What is done, in the order of the file: packages that come, features, packages that go, settings, drivers.
    pub wanted: Vec<Wanted>,
    /// What cannot be done, and what is odd.
    pub problems: Vec<(Place, Problem)>,
    /// True when the image's manifests would have to be looked into and no image was given: settings that no table knows are passed over then.
    pub undecided: bool,
    /// The passes that are left for Setup.
    pub left: Vec<PassName>,
    /// Paths of the recipe that the file does not name.
    pub unused: Vec<String>,
}

/// One thing that an answer file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is, in the words of the file: `Microsoft-Windows-LUA-Settings/EnableLUA`.
    pub what: String,
    /// Where it stands in the file.
    pub place: Place,
    /// What is done.
    pub operation: Operation,
    /// For a package that comes: the id that its source must have.
    pub identity: Option<String>,
}

/// The answer file without what [`offline`] gives; `None` when it has nothing of it.
#[must_use]
pub fn without_offline(file: &AnswerFile) -> Option<AnswerFile> {
    let mut rest = file.clone();
    let servicing = rest.servicing.take();
    let pass = rest.take_pass(PassName::OfflineServicing);
    (servicing.is_some() || pass.is_some()).then_some(rest)
}

/// Reads off `file` what is done to an image that says `facts` of itself. `paths` are the recipe's; `when_not_native` is its policy; `image` is only looked into
/// for settings that the table does not know.
#[must_use]
pub fn offline(
    file: &AnswerFile,
    paths: &[MappedPath],
    when_not_native: WhenNotNative,
    facts: &ImageFacts,
    image: Option<&Image>,
) -> Offline {
    let mut reader = Reader {
        paths,
        used: vec![false; paths.len()],
        when_not_native,
        facts,
        image,
        found: Offline::default(),
    };
    if let Some(servicing) = &file.servicing {
        reader.servicing(servicing);
    }
    if let Some(pass) = file.pass(PassName::OfflineServicing) {
        if pass.was_processed() {
            let cause = "the pass `offlineServicing` is marked as processed: it is skipped";
            let help = "this is a copy that Setup kept; take `wasPassProcessed` out";
            reader.found.problems.push((pass.place, Problem::warning("", cause, help)));
        } else {
            for component in &pass.components {
                match reader.is_for_image(component) {
                    true => reader.component(component),
                    false => reader.skip(component),
                }
            }
        }
    }
    let Reader { used, mut found, .. } = reader;
    found.left = file
        .passes
        .iter()
        .filter(|pass| pass.name != PassName::OfflineServicing && !pass.components.is_empty())
        .map(|pass| pass.name)
        .collect();
    found.left.sort();
    let unused = paths.iter().zip(used).filter(|(_, used)| !used);
    found.unused = unused.map(|(path, _)| path.path.clone()).collect();
    found
}

struct Reader<'a> {
    paths: &'a [MappedPath],
    used: Vec<bool>,
    when_not_native: WhenNotNative,
    facts: &'a ImageFacts,
    image: Option<&'a Image>,
    found: Offline,
}

impl Reader<'_> {
    fn refuse(
        &mut self,
        place: Place,
        item: impl Into<String>,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.problems.push((place, Problem::error(item, cause, help)));
    }

    fn want(&mut self, what: String, place: Place, operation: Operation) {
        self.found.wanted.push(Wanted { what, place, operation, identity: None });
    }

    /// As Setup takes it: by the image's own architecture. A file often has one component for several.
    fn is_for_image(&self, component: &Component) -> bool {
        let Some(architecture) = self.facts.architecture.map(Architecture::name) else {
            return true;
        };
        let of = component.architecture.as_str();
        of == architecture || of == "msil" || of == "wow64" && architecture != "x86"
    }

    /// The input that a path of the file stands for.
    fn mapped(&mut self, place: Place, item: &str, path: &str) -> Option<MappedPath> {
        let wanted = folded(path);
        let found = self.paths.iter().position(|mapped| folded(&mapped.path) == wanted);
        match found {
            Some(position) => {
                self.used[position] = true;
                Some(self.paths[position].clone())
            }
            None => {
                let cause = format!("`{path}` is a path of another machine");
                let key = path.replace('\'', "''");
                let help = format!(
                    "say what it stands for: paths = {{ '{key}' = \"a file or folder beside the recipe\" }} in [unattend]"
                );
                self.refuse(place, item, cause, help);
                None
            }
        }
    }

    /// `<servicing>`: what comes, then features, then what goes, as DISM does it.
    fn servicing(&mut self, servicing: &Element) {
        let packages: Vec<&Element> = servicing.named("package").collect();
        let action = |package: &Element| {
            package.attribute("action").unwrap_or_default().to_ascii_lowercase()
        };
        for wanted in ["install", "configure", "remove"] {
            for package in packages.iter().filter(|package| action(package) == wanted) {
                let Some(id) = self.identity(package) else { continue };
                match wanted {
                    "install" => self.install(package, &id),
                    "configure" => self.configure(package, &id),
                    _ => self.remove(package, &id),
                }
            }
        }
        for package in &packages {
            let (cause, help) = match action(package).as_str() {
                "install" | "configure" | "remove" => continue,
                "stage" => (
                    "a package that is only staged is not supported".to_owned(),
                    "write action=\"install\", or take it out",
                ),
                other => (
                    format!("`{other}` is not an action of a package"),
                    "write install, configure or remove",
                ),
            };
            self.refuse(package.place, "<package>", cause, help);
        }
        for other in servicing.children.iter().filter(|child| !child.is("package")) {
            let item = format!("<{}>", other.name);
            self.refuse(other.place, item, "it is not known in <servicing>", "take it out");
        }
    }

    /// The id of a package: `name~token~architecture~language~version`.
    fn identity(&mut self, package: &Element) -> Option<(String, String)> {
        let Some(identity) = package.child("assemblyIdentity") else {
            let help = "give <assemblyIdentity name=... version=... processorArchitecture=... publicKeyToken=... language=.../>";
            self.refuse(package.place, "<package>", "it has no <assemblyIdentity>", help);
            return None;
        };
        let text = |name: &str| identity.attribute(name).unwrap_or_default().trim();
        let (name, version) = (text("name"), text("version"));
        let is_bad = |c: char| c.is_control() || r#"\/:*?"<>|~"#.contains(c);
        if name.is_empty() || version.is_empty() || name.contains(is_bad) {
            let cause = "its <assemblyIdentity> has no sound `name` and `version`";
            let help = "`transom inspect package` prints the identity of a package";
            self.refuse(identity.place, "<package>", cause, help);
            return None;
        }
        let language = match text("language") {
            neutral if neutral.eq_ignore_ascii_case("neutral") => "",
            other => other,
        };
        let (token, architecture) = (text("publicKeyToken"), text("processorArchitecture"));
        let id = format!("{name}~{token}~{architecture}~{language}~{version}");
        if package
            .attribute("permanence")
            .is_some_and(|text| text.eq_ignore_ascii_case("permanent"))
        {
            let cause = "a package cannot be made permanent";
            self.refuse(package.place, name, cause, "take `permanence` out");
        }
        Some((name.to_owned(), id))
    }

    fn install(&mut self, package: &Element, (name, id): &(String, String)) {
        let Some(source) = package.child("source") else {
            let cause = "the package to install has no <source>";
            self.refuse(package.place, name, cause, "give <source location=\"D:\\package.cab\"/>");
            return;
        };
        if package.child("selection").is_some() {
            let cause = "a package to install has <selection>";
            let help = "switch its features in a <package action=\"configure\"> of its own";
            self.refuse(package.place, name, cause, help);
        }
        let location = source.attribute("location").unwrap_or_default().trim();
        let Some(mapped) = self.mapped(source.place, name, location) else { return };
        let action = PackageAction::Present {
            source: Some(mapped.input),
            allow_unsigned: mapped.allow_unsigned,
            when_not_native: mapped.when_not_native.unwrap_or(self.when_not_native),
        };
        let subject = PackageSubject::Package(name.clone());
        self.found.wanted.push(Wanted {
            what: format!("servicing/{name}"),
            place: package.place,
            operation: Operation::Package(PackageSpec { subject, action }),
            identity: Some(id.clone()),
        });
    }

    fn remove(&mut self, package: &Element, (name, id): &(String, String)) {
        let (identity, when_not_native) = (Some(id.clone()), self.when_not_native);
        let action = PackageAction::Absent { identity, when_not_native };
        let subject = PackageSubject::Package(name.clone());
        let operation = Operation::Package(PackageSpec { subject, action });
        self.want(format!("servicing/{name}"), package.place, operation);
    }

    fn configure(&mut self, package: &Element, (name, _): &(String, String)) {
        let mut selections = package.named("selection").peekable();
        if selections.peek().is_none() {
            let cause = "a package to configure has no <selection>";
            let help = "name a feature: <selection name=\"TelnetClient\" state=\"true\"/>";
            self.refuse(package.place, name, cause, help);
        }
        for selection in selections {
            let feature = selection.attribute("name").unwrap_or_default().trim();
            let state = match selection.attribute("state").and_then(settings::boolean) {
                Some(true) => FeatureState::Enabled,
                Some(false) => FeatureState::Disabled,
                None => {
                    let cause =
                        format!("the state of the feature `{feature}` is neither true nor false");
                    self.refuse(
                        selection.place,
                        name,
                        cause,
                        "write state=\"true\" or state=\"false\"",
                    );
                    continue;
                }
            };
            if feature.is_empty() {
                self.refuse(selection.place, name, "a <selection> has no name", "");
                continue;
            }
            let operation = Operation::Feature(FeatureSpec {
                name: feature.to_owned(),
                state,
                all: false,
                source: None,
                allow_unsigned: false,
                when_not_native: self.when_not_native,
            });
            self.want(format!("servicing/{name}/{feature}"), selection.place, operation);
        }
    }

    fn component(&mut self, component: &Component) {
        for setting in &component.settings {
            self.setting(component, setting, &mut Vec::new());
        }
    }

    /// The paths of a component for another architecture are named by the file all the same.
    fn skip(&mut self, component: &Component) {
        if !component.name.eq_ignore_ascii_case(DRIVERS) {
            return;
        }
        let items = component.setting(&["DriverPaths"]).into_iter();
        for item in items.flat_map(|paths| paths.named("PathAndCredentials")) {
            let wanted = item.child("Path").map(|path| folded(path.value()));
            for (mapped, used) in self.paths.iter().zip(&mut self.used) {
                *used |= wanted.as_ref().is_some_and(|wanted| folded(&mapped.path) == *wanted);
            }
        }
    }

    /// A setting, or those below it. The depth is bounded by the reader's.
    fn setting<'a>(
        &mut self,
        component: &Component,
        element: &'a Element,
        above: &mut Vec<&'a str>,
    ) {
        if is_removed(element) {
            let path = above.iter().copied().chain([element.name.as_str()]);
            let what = format!("{}/{}", component.name, path.collect::<Vec<_>>().join("/"));
            return self.refuse_removal(element.place, what);
        }
        let drivers = component.name.eq_ignore_ascii_case(DRIVERS);
        if drivers && above[..] == ["DriverPaths"] && element.is("PathAndCredentials") {
            return self.driver(element);
        }
        above.push(&element.name);
        if element.children.is_empty() {
            let path = above.join("/");
            if !(drivers && element.is("DriverPaths") && element.text.is_empty()) {
                self.value(component, &path, element);
            }
        } else {
            for child in &element.children {
                self.setting(component, child, above);
            }
        }
        above.pop();
    }

    fn value(&mut self, component: &Component, path: &str, element: &Element) {
        let what = format!("{}/{path}", component.name);
        if component.architecture == "wow64" {
            let help =
                "write the setting for the image's own architecture, or the value as [registry]";
            self.refuse(element.place, what, "settings for wow64 are not known", help);
            return;
        }
        let text = element.value();
        match settings::keys(&component.name, path, text, self.facts) {
            Err(refusal) if refusal.unknown => match self.image {
                Some(image) => self.ask(image, component, (path, element), what, refusal),
                None => self.found.undecided = true,
            },
            Err(refusal) => self.refuse(element.place, what, refusal.cause, refusal.help),
            Ok(keys) => {
                for (number, (key, values)) in keys.into_iter().enumerate() {
                    let Ok(path) = RegistryPath::parse(&key) else { continue };
                    let values =
                        values.into_iter().map(|(name, action)| (Name::from(name), action));
                    let action = KeyAction::Values(values.collect());
                    let operation = Operation::RegistryKey(KeySpec { path, action });
                    let what = match number {
                        0 => what.clone(),
                        more => format!("{what} ({})", more + 1),
                    };
                    self.want(what, element.place, operation);
                }
            }
        }
    }

    /// Asks the image's own manifest of the component for a setting that the table does not know.
    fn ask(
        &mut self,
        image: &Image,
        component: &Component,
        (path, element): (&str, &Element),
        what: String,
        unknown: Refusal,
    ) {
        let Component { name, architecture, public_key_token, .. } = component;
        let of = (name.as_str(), architecture.as_str(), public_key_token.as_str());
        match handlers::find(image, of, path, element.value()) {
            Ok(Some(value)) => {
                let values = vec![(Name::from(value.name.as_str()), value.action)];
                let action = KeyAction::Values(values);
                let operation = Operation::RegistryKey(KeySpec { path: value.key, action });
                self.want(what, element.place, operation);
            }
            Ok(None) => self.refuse(element.place, what, unknown.cause, unknown.help),
            Err(refusal) => self.refuse(element.place, what, refusal.cause, refusal.help),
        }
    }

    /// To write a value, or to install a driver, that shall go would be the opposite of what the file asks for.
    fn refuse_removal(&mut self, place: Place, what: String) {
        let cause = "wcm:action=\"remove\" is not done to an image";
        let help = "take it out; a value is removed with [registry]";
        self.refuse(place, what, cause, help);
    }

    fn driver(&mut self, item: &Element) {
        if let Some(removed) = item.children.iter().find(|child| is_removed(child)) {
            return self.refuse_removal(removed.place, format!("DriverPaths/{}", removed.name));
        }
        let path = item.child("Path").map(Element::value).unwrap_or_default();
        if path.is_empty() {
            let cause = "an item of DriverPaths has no <Path>";
            self.refuse(item.place, DRIVERS, cause, "name the folder");
            return;
        }
        let place = item.child("Path").map_or(item.place, |path| path.place);
        let Some(mapped) = self.mapped(place, DRIVERS, path) else { return };
        let action = DriverAction::Present {
            source: mapped.input,
            inf: mapped.inf,
            allow_unsigned: mapped.allow_unsigned,
            when_not_native: mapped.when_not_native.unwrap_or(self.when_not_native),
        };
        let spec = DriverSpec { name: path.to_owned(), action };
        self.want(format!("DriverPaths/{path}"), place, Operation::Driver(spec));
    }
}

fn is_removed(element: &Element) -> bool {
    element.configuration("action").is_some_and(|action| action.eq_ignore_ascii_case("remove"))
}

/// A path of Windows as it is compared.
fn folded(path: &str) -> String {
    path.trim().replace('/', "\\").trim_end_matches('\\').to_lowercase()
}
