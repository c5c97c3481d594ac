//! Rules that a finished image must keep, and whether it does.
//!
//! The rules are held against what the image says of itself ([`Inventory`]) and, for drivers, against the catalogs in it ([`Signatures`]). What could not be
//! told is no pass: the rule is broken, and the finding says what could not be told.
//!
//! Names are compared without case; `*` stands for any text, `?` for one character.

mod pattern;

use std::fmt;

use super::{
    drivers::signatures::Signatures,
    inventory::{Inventory, Topic},
    services::StartMode,
};
use pattern::{matches, near};

/// What an image must keep to: the rules of `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySpec {
    /// The oldest Windows that is accepted.
    pub minimum_build: Option<Build>,
    /// Nothing waits for the next start of Windows.
    pub no_pending: bool,
    /// Nothing is left to the first boot.
    pub no_deferred: bool,
    /// Somebody known vouches for every driver package that did not come with Windows.
    pub signed_drivers: bool,
    /// What must or must not be there, in the recipe's order.
    pub items: Vec<ItemRule>,
}

/// A Windows version, as far as a rule says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// `10.0`, where it is said.
    pub version: Option<(u32, u32)>,
    /// `26100`.
    pub build: u32,
    /// The number behind it; 0 when it is not said.
    pub revision: u32,
}

/// What must or must not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRule {
    /// What kind of thing.
    pub area: Area,
    /// Its name, or a pattern for names.
    pub pattern: String,
    /// What is wanted of it.
    pub wanted: Wanted,
}

/// What kind of thing a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Packages, by identity or by the name alone.
    Packages,
    /// Features, by name.
    Features,
    /// Capabilities, by identity or by the name alone.
    Capabilities,
    /// Display languages, by tag.
    Languages,
    /// Driver packages, by the name of the INF, its own or the published one.
    Drivers,
    /// Provisioned apps, by name or full name.
    Apps,
    /// Services and drivers of the registry, by key name.
    Services,
}

impl Area {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 7] = [
        Self::Packages,
        Self::Features,
        Self::Capabilities,
        Self::Languages,
        Self::Drivers,
        Self::Apps,
        Self::Services,
    ];

    /// The table's name in `[policy]`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Features => "features",
            Self::Capabilities => "capabilities",
            Self::Languages => "languages",
            Self::Drivers => "drivers",
            Self::Apps => "apps",
            Self::Services => "services",
        }
    }

    /// One thing of it.
    fn one(self) -> &'static str {
        match self {
            Self::Packages => "package",
            Self::Features => "feature",
            Self::Capabilities => "capability",
            Self::Languages => "language",
            Self::Drivers => "driver",
            Self::Apps => "app",
            Self::Services => "service",
        }
    }

    /// The part of an inventory that knows.
    fn topic(self) -> Topic {
        match self {
            Self::Packages => Topic::Packages,
            Self::Features => Topic::Features,
            Self::Capabilities => Topic::Capabilities,
            Self::Languages => Topic::Languages,
            Self::Drivers => Topic::Drivers,
            Self::Apps => Topic::Apps,
            Self::Services => Topic::Services,
        }
    }

    /// What is in force, for the words of a rule.
    fn in_force(self) -> &'static str {
        match self {
            Self::Features => "enabled",
            Self::Packages | Self::Capabilities => "installed",
            Self::Apps => "provisioned",
            Self::Languages | Self::Drivers | Self::Services => "there",
        }
    }
}

/// What is wanted of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// At least one that the pattern means is in force: enabled, installed, provisioned, there. One that waits for the next start is not yet.
    Required,
    /// None that the pattern means is in force, or about to be.
    Forbidden,
    /// Every service that the pattern means starts so, and there is one.
    Start(StartMode),
}

impl Wanted {
    /// The word in `[policy]`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Forbidden => "forbidden",
            Self::Start(mode) => mode.name(),
        }
    }
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `minimum-build`.
    MinimumBuild,
    /// `no-pending`.
    NoPending,
    /// `no-deferred`.
    NoDeferred,
    /// `signed-drivers`.
    SignedDrivers,
    /// `features.SMB1Protocol`.
    Item(Area, String),
}

impl Rule {
    /// The rule's own word, for a code: `minimum-build`, `features`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MinimumBuild => "minimum-build",
            Self::NoPending => "no-pending",
            Self::NoDeferred => "no-deferred",
            Self::SignedDrivers => "signed-drivers",
            Self::Item(area, _) => area.name(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        match self {
            Self::Item(area, pattern) if plain(pattern) => {
                write!(formatter, "{}.{pattern}", area.name())
            }
            Self::Item(area, pattern) => write!(formatter, "{}.\"{pattern}\"", area.name()),
            other => formatter.write_str(other.code()),
        }
    }
}

/// A rule that an image does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// What was found, in a sentence without a full stop.
    pub found: String,
    /// What to do about it.
    pub help: String,
}

/// What came of holding an image against rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// The rules that it does not keep, in their order.
    pub broken: Vec<Broken>,
    /// What is kept, but perhaps because a name is misspelt.
    pub doubts: Vec<String>,
}

impl Build {
    /// Reads `26100`, `26100.4061` or `10.0.26100.4061`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = text.split('.').collect();
        if !parts.iter().all(|part| is_number(part)) {
            return None;
        }
        let numbers: Vec<u32> =
            parts.iter().map(|part| part.parse().ok()).collect::<Option<_>>()?;
        match numbers[..] {
            [build] => Some(Self { version: None, build, revision: 0 }),
            [build, revision] => Some(Self { version: None, build, revision }),
            [major, minor, build] => {
                Some(Self { version: Some((major, minor)), build, revision: 0 })
            }
            [major, minor, build, revision] => {
                Some(Self { version: Some((major, minor)), build, revision })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((major, minor)) = self.version {
            write!(formatter, "{major}.{minor}.")?;
        }
        write!(formatter, "{}", self.build)?;
        match self.revision {
            0 => Ok(()),
            revision => write!(formatter, ".{revision}"),
        }
    }
}

impl PolicySpec {
    /// True when there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// True when `pattern` means `name`: without case, `*` for any text, `?` for one character.
#[must_use]
pub fn is_meant(pattern: &str, name: &str) -> bool {
    matches(pattern, name)
}

/// The rules in words, in the order in which they are checked.
#[must_use]
pub fn rules(spec: &PolicySpec) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(build) = &spec.minimum_build {
        words.push(format!("minimum-build: {build} or newer"));
    }
    let flags = [
        (spec.no_pending, "no-pending: nothing waits for the next start of Windows"),
        (spec.no_deferred, "no-deferred: nothing is left to the first boot"),
        (
            spec.signed_drivers,
            "signed-drivers: every driver that did not come with Windows is signed",
        ),
    ];
    words.extend(flags.iter().filter(|(is_on, _)| *is_on).map(|(_, words)| (*words).to_owned()));
    words.extend(spec.items.iter().map(|item| {
        let rule = Rule::Item(item.area, item.pattern.clone());
        format!("{rule}: {}", item.wanted.name())
    }));
    words
}

/// Holds an image against rules. `signatures` is looked at for `signed-drivers` alone.
#[must_use]
pub fn check(spec: &PolicySpec, inventory: &Inventory, signatures: &Signatures) -> Checked {
    let mut checked = Checked::default();
    if let Some(build) = &spec.minimum_build {
        checked.minimum_build(build, inventory);
    }
    if spec.no_pending {
        checked.no_pending(inventory);
    }
    if spec.no_deferred {
        checked.no_deferred(inventory);
    }
    if spec.signed_drivers {
        checked.signed_drivers(inventory, signatures);
    }
    for item in &spec.items {
        checked.item(item, inventory);
    }
    checked
}

/// What [`Checked::doubts`] says of an image: it comes from the inventory alone.
#[must_use]
pub fn doubts(spec: &PolicySpec, inventory: &Inventory) -> Vec<String> {
    let spec = PolicySpec { items: spec.items.clone(), ..PolicySpec::default() };
    check(&spec, inventory, &Signatures::default()).doubts
}

/// What of an inventory a rule about names sees.
struct Thing<'a> {
    /// What it is called first; the rest are other names of it.
    names: Vec<&'a str>,
    state: &'a str,
    presence: Presence,
}

/// How much there is of a thing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It is in force.
    Now,
    /// It will be, or is until Windows has started, or nobody knows.
    Perhaps,
    /// It is not.
    No,
}

impl Checked {
    fn broken(&mut self, rule: Rule, found: impl Into<String>, help: impl Into<String>) {
        self.broken.push(Broken { rule, found: found.into(), help: help.into() });
    }

    /// True, with a broken rule, when something of `topic` could not be told.
    fn unknown(&mut self, rule: &Rule, topic: Topic, inventory: &Inventory) -> bool {
        let notes: Vec<&str> = inventory.unknown(topic).collect();
        if notes.is_empty() {
            return false;
        }
        let found = format!("that cannot be told of this image: {}", shortened(&notes));
        let help = "what cannot be told is no pass; `transom verify WIM` looks for damage";
        self.broken(rule.clone(), found, help);
        true
    }

    fn minimum_build(&mut self, minimum: &Build, inventory: &Inventory) {
        let rule = Rule::MinimumBuild;
        let facts = &inventory.facts;
        let help = "start from a newer base, or have the update in the image before it is a base; \
                    a cumulative update that waits for the first boot raises nothing yet";
        let (Some(build), Some(version)) = (facts.build, inventory.version()) else {
            let why = shortened(&facts.warnings.iter().map(String::as_str).collect::<Vec<_>>());
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            self.broken(rule, format!("the image does not say which build it is{why}"), help);
            return;
        };
        let have = (minimum.version.map(|_| (facts.major, facts.minor)), build);
        let want =
            (minimum.version.map(|(major, minor)| (Some(major), Some(minor))), minimum.build);
        let is_new_enough = match have.cmp(&want) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal if minimum.revision == 0 => true,
            std::cmp::Ordering::Equal => match facts.revision {
                Some(revision) => revision >= minimum.revision,
                None => {
                    let found =
                        format!("the image is build {version}, and its revision cannot be told");
                    self.broken(rule, found, help);
                    return;
                }
            },
        };
        if !is_new_enough {
            self.broken(rule, format!("the image is build {version}, older than {minimum}"), help);
        }
    }

    fn no_pending(&mut self, inventory: &Inventory) {
        let rule = Rule::NoPending;
        if self.unknown(&rule, Topic::Pending, inventory) {
            return;
        }
        let mut waiting: Vec<String> = inventory
            .pending
            .iter()
            .map(|item| format!("{} ({})", item.place, item.what))
            .collect();
        waiting.extend(
            inventory
                .features
                .iter()
                .filter(|feature| feature.state.ends_with("-pending"))
                .map(|feature| format!("feature {} ({})", feature.name, feature.state)),
        );
        if !waiting.is_empty() {
            let found =
                format!("something waits for the next start of Windows: {}", list(&waiting));
            let help = "start from a base without pending work (Windows must have started once after servicing, or \
                        DISM /RevertPendingActions), or take `no-pending` away";
            self.broken(rule, found, help);
        }
    }

    fn no_deferred(&mut self, inventory: &Inventory) {
        let rule = Rule::NoDeferred;
        if self.unknown(&rule, Topic::Deferred, inventory) {
            return;
        }
        let mut waiting = inventory.deferred.clone();
        // A command file that is not ours runs too.
        if waiting.is_empty()
            && let Some(scripts) = inventory.settings.get("setup-scripts")
        {
            let runs = |path: &&str| path.to_lowercase().ends_with("setupcomplete.cmd");
            waiting.extend(scripts.split(", ").filter(runs).map(str::to_owned));
        }
        if !waiting.is_empty() {
            let found = format!("something is left to the first boot: {}", list(&waiting));
            let help = "`transom plan` marks the steps that are left to the first boot; remove what base or recipe leaves there";
            self.broken(rule, found, help);
        }
    }

    fn signed_drivers(&mut self, inventory: &Inventory, signatures: &Signatures) {
        let rule = Rule::SignedDrivers;
        if self.unknown(&rule, Topic::Drivers, inventory) {
            return;
        }
        if let Some(note) = signatures.notes.first() {
            let found = format!("the drivers' signatures cannot be told: {note}");
            self.broken(rule, found, "what cannot be told is no pass");
            return;
        }
        for driver in inventory.drivers.iter().filter(|driver| !driver.came_with_windows()) {
            let judged = signatures.packages.iter().any(|one| one.package == driver.package);
            if !judged {
                let found = format!("the signature of {} was not looked at", driver.package);
                self.broken(rule.clone(), found, "");
            }
        }
        for signature in signatures.packages.iter().filter(|signature| !signature.is_good()) {
            let found = format!("{}: {}", signature.shown(), signature.problem);
            let help = "take another version of the driver, with a catalog that a known authority signed, or remove it";
            self.broken(rule.clone(), found, help);
        }
    }

    fn item(&mut self, item: &ItemRule, inventory: &Inventory) {
        let rule = Rule::Item(item.area, item.pattern.clone());
        if self.unknown(&rule, item.area.topic(), inventory) {
            return;
        }
        let all = things(item.area, inventory);
        let meant: Vec<&Thing<'_>> = all
            .iter()
            .filter(|thing| thing.names.iter().any(|name| matches(&item.pattern, name)))
            .collect();
        let one = item.area.one();
        let shown = |thing: &&Thing<'_>| format!("{} ({})", thing.names[0], thing.state);
        let names: Vec<&str> = all.iter().flat_map(|thing| thing.names.iter().copied()).collect();
        match item.wanted {
            Wanted::Forbidden => {
                let found: Vec<String> = meant
                    .iter()
                    .filter(|thing| thing.presence != Presence::No)
                    .map(shown)
                    .collect();
                if !found.is_empty() {
                    let found = format!("the image has what is forbidden: {one} {}", list(&found));
                    self.broken(rule, found, forbidden_help(item.area));
                } else if meant.is_empty()
                    && let [like, ..] = near(&item.pattern, &names)[..]
                {
                    self.doubts.push(format!(
                        "policy {rule}: the image knows no such {one}; did you mean `{like}`?"
                    ));
                }
            }
            Wanted::Required => {
                if meant.iter().any(|thing| thing.presence == Presence::Now) {
                    return;
                }
                let found = match meant[..] {
                    [] => format!("the image has no {one} `{}`", item.pattern),
                    _ => {
                        let found: Vec<String> = meant.iter().map(shown).collect();
                        format!(
                            "no such {one} is {}: there is {}",
                            item.area.in_force(),
                            list(&found)
                        )
                    }
                };
                self.broken(rule, found, required_help(item, meant.is_empty(), &names));
            }
            Wanted::Start(mode) => {
                let others: Vec<String> =
                    meant.iter().filter(|thing| thing.state != mode.name()).map(shown).collect();
                if meant.is_empty() {
                    let found = format!("the image has no {one} `{}`", item.pattern);
                    self.broken(rule, found, required_help(item, true, &names));
                } else if !others.is_empty() {
                    let found = format!("the {one} starts otherwise: {}", list(&others));
                    let help = format!("[services] sets how it starts: NAME = \"{}\"", mode.name());
                    self.broken(rule, found, help);
                }
            }
        }
    }
}

fn forbidden_help(area: Area) -> String {
    match area {
        Area::Packages => "remove it under [packages] with `state = \"absent\"`, if Windows lets it go",
        Area::Features => "switch it off under [features]: NAME = \"disabled\", or \"removed\"",
        Area::Capabilities => "take it away under [capabilities]: NAME = \"absent\"",
        Area::Languages => "take it away under [languages]: TAG = \"absent\"",
        Area::Drivers => "remove it under [drivers] with `state = \"absent\"`",
        Area::Apps => "take it away under [appx]: NAME = \"absent\"",
        Area::Services => "a service goes with the package, feature or driver that brought it; to have it there and never start write \"disabled\"",
    }
    .to_owned()
}

fn required_help(item: &ItemRule, is_missing: bool, names: &[&str]) -> String {
    let way = match item.area {
        Area::Packages => {
            "install it under [packages]; what waits for the first boot is not installed yet"
        }
        Area::Features => "switch it on under [features]: NAME = \"enabled\"",
        Area::Capabilities => "add it under [capabilities], with its `source`",
        Area::Languages => "add its language pack under [languages]",
        Area::Drivers => "install it under [drivers]",
        Area::Apps => "start from a base that has it",
        Area::Services => "it comes with a package, feature or driver",
    };
    let near = if is_missing { near(&item.pattern, names) } else { Vec::new() };
    match near[..] {
        [] => way.to_owned(),
        [like] => format!("did you mean `{like}`? Else {way}"),
        _ => format!("the image has {}; {way}", near.join(", ")),
    }
}

/// What of an area an image has.
fn things(area: Area, inventory: &Inventory) -> Vec<Thing<'_>> {
    fn identity<'a>(id: &'a str, state: &'a str, presence: Presence) -> Thing<'a> {
        let mut names = vec![id];
        names.extend(id.split_once('~').map(|(name, _)| name));
        Thing { names, state, presence }
    }
    match area {
        Area::Packages => inventory
            .packages
            .iter()
            .map(|package| identity(&package.id, &package.state, presence(&package.state)))
            .collect(),
        Area::Capabilities => inventory
            .capabilities
            .iter()
            .map(|one| identity(&one.id, &one.state, presence(&one.state)))
            .collect(),
        Area::Features => inventory
            .features
            .iter()
            .map(|feature| Thing {
                names: vec![&feature.name],
                state: &feature.state,
                presence: presence(&feature.state),
            })
            .collect(),
        Area::Languages => inventory
            .languages
            .iter()
            .map(|language| {
                let (state, presence) = match language.registered || language.default {
                    true => ("registered", Presence::Now),
                    false => ("a language pack that Windows does not offer", Presence::Perhaps),
                };
                Thing { names: vec![&language.tag], state, presence }
            })
            .collect(),
        Area::Drivers => inventory
            .drivers
            .iter()
            .map(|driver| {
                let names = vec![&driver.original[..], &driver.published, &driver.package];
                Thing { names, state: &driver.version, presence: Presence::Now }
            })
            .collect(),
        Area::Apps => inventory
            .apps
            .iter()
            .map(|app| {
                let names = vec![&app.name[..], &app.full_name];
                Thing { names, state: &app.version, presence: Presence::Now }
            })
            .collect(),
        Area::Services => inventory
            .services
            .iter()
            .map(|service| Thing {
                names: vec![&service.name],
                state: &service.start,
                presence: Presence::Now,
            })
            .collect(),
    }
}

/// What the state of a package, capability or feature says. A state that nobody knows is one of perhaps.
fn presence(state: &str) -> Presence {
    match state {
        "installed" | "permanent" | "enabled" => Presence::Now,
        "absent" | "not-present" | "resolving" | "resolved" | "staging" | "staged"
        | "superseded" | "disabled" | "removed" => Presence::No,
        _ => Presence::Perhaps,
    }
}

/// As many names as a person reads; of more, the number.
const MOST_NAMED: usize = 8;

fn list(names: &[String]) -> String {
    let shown = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn shortened(notes: &[&str]) -> String {
    let notes: Vec<String> = notes.iter().map(|note| (*note).to_owned()).collect();
    list(&notes)
}

#[cfg(test)]
mod tests;
