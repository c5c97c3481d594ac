//! What packages, languages, capabilities and features are to one another in a plan: who comes before whom, and who contradicts whom.
//!
//! Their sources are looked into before the steps are ordered, because only they say what they bring and need. What they say is remembered by what was
//! prepared, so that an unchanged recipe opens none of them.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    base_image::LazyImage,
    check,
    error::PlanError,
    graph::Vertex,
    image::Subject,
    inputs::ResolvedInputs,
    key::{self, KeyParts},
    make::Options,
    order::Phase,
    subjects,
};
use crate::{
    base::digest::Blake3,
    format::cbs::Identity,
    recipe::{Entry, Finding, Findings},
    servicing::{
        InputId, Operation, Prepared, ServicingError, WhenNotNative,
        cbs::{
            FeatureState, PackageAction, PackageSubject, Relations,
            relations::{CUMULATIVE_UPDATE, Inventory, Need, PackagePhase, Provided, is_same_name},
            similar_features,
        },
        locale::LocaleSpec,
    },
    store::{RecordKind, Store},
};

/// What is known of the packages of a plan.
#[derive(Debug, Default)]
pub struct Packages {
    /// For each entry of the recipe: what it brings and needs; `None` for what is no package.
    pub relations: Vec<Option<Relations>>,
    /// What was prepared to know that, by the entry's place; not for what was remembered.
    pub prepared: BTreeMap<usize, Prepared>,
    /// What the base image has; empty when the recipe has no packages.
    pub inventory: Inventory,
    /// Sources that say nothing, of a plan that another tool will do: their steps stand where the recipe's section puts them.
    pub unread: Vec<Finding>,
}

/// The parts of an entry's key.
pub(super) fn key_parts(entry: &Entry, inputs: &ResolvedInputs) -> KeyParts {
    let digests = entry.operation.inputs().into_iter().filter_map(|id| {
        let digest = inputs.get(&id)?.digest;
        Some((id, digest))
    });
    KeyParts::new(&entry.operation, digests.collect())
}

/// Looks into the sources of packages, and into the base image when there are any.
///
/// # Errors
/// When sources cannot be used ([`PlanError::Inputs`]), or the base is damaged.
pub(super) fn look(
    subject: &Subject<'_>,
    inputs: &ResolvedInputs,
    image: &mut LazyImage<'_>,
    store: &Store,
    options: &Options<'_>,
) -> Result<Packages, PlanError> {
    let entries = subject.entries;
    let mut packages = Packages { relations: vec![None; entries.len()], ..Packages::default() };
    let places: Vec<usize> =
        (0..entries.len()).filter(|place| entries[*place].operation.is_rehearsed()).collect();
    if places.is_empty() {
        return Ok(packages);
    }
    let fresh = options.no_cache || options.control.rehash;
    let looked: Vec<_> =
        places.par_iter().map(|place| relations(&entries[*place], inputs, store, fresh)).collect();
    let mut unusable = Vec::new();
    for (place, looked) in places.into_iter().zip(looked) {
        match looked? {
            Ok((relations, prepared)) => {
                packages.relations[place] = relations;
                packages.prepared.extend(prepared.map(|prepared| (place, prepared)));
            }
            Err(error) => {
                let entry = &entries[place];
                let title = entry.operation.title();
                unusable.push(check::unusable_input(&entry.origin, title, error));
            }
        }
    }
    if options.unchecked {
        packages.unread = unusable;
    } else {
        Findings::check(unusable).map_err(PlanError::Inputs)?;
    }
    packages.inventory = inventory(subject, image, store, fresh)?;
    Ok(packages)
}

/// What an entry brings and needs, and what was prepared to know it.
type Looked = Result<(Option<Relations>, Option<Prepared>), ServicingError>;

fn relations(
    entry: &Entry,
    inputs: &ResolvedInputs,
    store: &Store,
    fresh: bool,
) -> Result<Looked, PlanError> {
    let parts = key_parts(entry, inputs);
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let key = key::key("transom package relations 2", &[&parts.prepared_key().0, version]);
    if !fresh && let Some(known) = store.json::<Relations>(RecordKind::Check, &key)? {
        return Ok(Ok((Some(known), None)));
    }
    let prepared = match check::prepare(&entry.operation, inputs) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error)),
    };
    let relations = entry.operation.relations(&prepared);
    if let Some(relations) = &relations {
        store.put_json(RecordKind::Check, &key, relations)?;
    }
    Ok(Ok((relations, Some(prepared))))
}

/// What the base image has, remembered by its identity.
fn inventory(
    subject: &Subject<'_>,
    image: &mut LazyImage<'_>,
    store: &Store,
    fresh: bool,
) -> Result<Inventory, PlanError> {
    let identity: Blake3 = image.identity();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let key = key::key("transom image packages 3", &[&identity.0, version]);
    if !fresh && let Some(known) = store.json(RecordKind::Check, &key)? {
        return Ok(known);
    }
    let opened = image.image().map_err(|error| subject.damaged(&error))?;
    // A store that cannot be read is said by the steps that need it, each for itself.
    match Inventory::of(opened) {
        Ok(inventory) => {
            store.put_json(RecordKind::Check, &key, &inventory)?;
            Ok(inventory)
        }
        Err(error) => {
            tracing::warn!("the packages of the base image cannot be listed: {error}");
            Ok(Inventory::default())
        }
    }
}

impl Packages {
    /// What each input says it is: the packages that it is about, sorted.
    #[must_use]
    pub fn identities(&self, entries: &[Entry]) -> BTreeMap<InputId, Vec<String>> {
        let mut identities: BTreeMap<InputId, Vec<String>> = BTreeMap::new();
        for (place, identity) in self.roots() {
            for id in entries[place].operation.inputs() {
                identities.entry(id).or_default().push(identity.package_id());
            }
        }
        for ids in identities.values_mut() {
            ids.sort();
            ids.dedup();
        }
        identities
    }

    /// The vertices of all entries: phases and edges as the packages themselves say.
    #[must_use]
    pub fn vertices(&self, entries: &[Entry]) -> Vec<Vertex> {
        let mut vertices: Vec<Vertex> =
            entries.iter().map(|entry| subjects::vertex(&entry.operation)).collect();
        for (place, relations) in self.relations.iter().enumerate() {
            let Some(relations) = relations else { continue };
            vertices[place].phase = subjects::phase(relations.phase);
            vertices[place].requires = self.requires(place, relations, entries);
        }
        pull(&mut vertices);
        for (place, entry) in entries.iter().enumerate() {
            if let Operation::Locale(spec) = &entry.operation {
                vertices[place].requires = self.languages_for(spec);
            }
        }
        vertices
    }

    /// The languages of the plan that a locale speaks of.
    fn languages_for(&self, spec: &LocaleSpec) -> Vec<(usize, String)> {
        let mut requires = Vec::new();
        for (other, provided) in self.provided() {
            let Provided::Language(known) = provided else { continue };
            if spec.languages().any(|tag| tag.eq_ignore_ascii_case(known)) {
                requires.push((other, format!("the language {known}")));
            }
        }
        requires
    }

    /// What must be done before the entry at `place`.
    fn requires(
        &self,
        place: usize,
        relations: &Relations,
        entries: &[Entry],
    ) -> Vec<(usize, String)> {
        let mut requires = Vec::new();
        let mut push = |other: usize, why: String| {
            if other != place && !requires.contains(&(other, why.clone())) {
                requires.push((other, why));
            }
        };
        for need in &relations.needs {
            match need {
                Need::Parent { of, any } => {
                    if self.inventory.satisfies(any) {
                        continue;
                    }
                    for (other, identity) in self.packages() {
                        if any.iter().any(|wanted| wanted.is_same_family(identity)) {
                            push(
                                other,
                                format!("{}, the parent of {}", identity.package_id(), short(of)),
                            );
                        }
                    }
                }
                // Two stacks do not wait for each other.
                Need::ServicingStack(_) if relations.phase == PackagePhase::ServicingStack => {}
                Need::ServicingStack(version) => {
                    for (other, known) in self.known() {
                        if subjects::phase(known.phase) == Phase::ServicingStack {
                            push(other, format!("a servicing stack of version {version} or newer"));
                        }
                    }
                }
                Need::Capability(name) => {
                    for (other, provided) in self.provided() {
                        if matches!(provided, Provided::Capability(known) if is_same_name(known, name))
                        {
                            push(other, format!("the capability {name}"));
                        }
                    }
                }
                Need::Language(tag) => {
                    for (other, provided) in self.provided() {
                        if matches!(provided, Provided::Language(known) if known.eq_ignore_ascii_case(tag))
                        {
                            push(other, format!("the language {tag}"));
                        }
                    }
                }
                Need::Feature(name) => {
                    for (other, provided) in self.provided() {
                        if matches!(provided, Provided::Feature(known) if known.eq_ignore_ascii_case(name))
                        {
                            push(other, format!("the package that has the feature {name}"));
                        }
                    }
                    let known = self.inventory.features.get(&name.to_ascii_lowercase());
                    for parent in known.map_or(&[][..], |known| &known.parents) {
                        if let Some(other) = switched(entries, parent, true) {
                            push(other, format!("the feature {parent}, its parent"));
                        }
                    }
                }
                Need::ParentFeature(name) => {
                    if let Some(other) = switched(entries, name, true) {
                        push(other, format!("the feature {name}, its parent"));
                    }
                }
            }
        }
        for (other, why) in self.gone_before(place, entries) {
            push(other, why);
        }
        for (other, older, newer) in self.versions() {
            if newer.0 == place {
                let id = older.package_id();
                push(other, format!("the older version {id} to come before it"));
            }
        }
        requires
    }

    /// What goes from the image before the entry at `place` can go: features and packages that need it.
    fn gone_before(&self, place: usize, entries: &[Entry]) -> Vec<(usize, String)> {
        let mut before = Vec::new();
        match &entries[place].operation {
            Operation::Feature(spec) if spec.state != FeatureState::Enabled => {
                for (other, entry) in entries.iter().enumerate() {
                    let Operation::Feature(child) = &entry.operation else { continue };
                    let known = self.inventory.features.get(&child.name.to_ascii_lowercase());
                    let needs = known.is_some_and(|known| {
                        known.parents.iter().any(|one| one.eq_ignore_ascii_case(&spec.name))
                    });
                    if child.state != FeatureState::Enabled && needs {
                        let why = format!("the feature {}, which needs it, to be off", child.name);
                        before.push((other, why));
                    }
                }
            }
            Operation::Package(_) => {
                let Some(wanted) = removed(&entries[place]) else { return before };
                let goes = |identity: &Identity| names(wanted, identity);
                let going: Vec<&Identity> =
                    self.inventory.installed.iter().filter(|identity| goes(identity)).collect();
                for (child, parents) in &self.inventory.parents {
                    let needs = parents
                        .iter()
                        .any(|parent| going.iter().any(|identity| identity.is_same_family(parent)));
                    if !needs || goes(child) {
                        continue;
                    }
                    for (other, entry) in entries.iter().enumerate() {
                        if removed(entry).is_some_and(|wanted| names(wanted, child)) {
                            let id = child.package_id();
                            before.push((other, format!("{id}, which needs it, to be gone")));
                        }
                    }
                }
            }
            _ => {}
        }
        before
    }

    fn known(&self) -> impl Iterator<Item = (usize, &Relations)> {
        self.relations
            .iter()
            .enumerate()
            .filter_map(|(place, known)| Some((place, known.as_ref()?)))
    }

    fn provided(&self) -> impl Iterator<Item = (usize, &Provided)> {
        self.known().flat_map(|(place, known)| known.provides.iter().map(move |one| (place, one)))
    }

    fn packages(&self) -> impl Iterator<Item = (usize, &Identity)> {
        self.provided().filter_map(|(place, provided)| match provided {
            Provided::Package { identity, .. } => Some((place, identity)),
            _ => None,
        })
    }

    fn roots(&self) -> impl Iterator<Item = (usize, &Identity)> {
        self.provided().filter_map(|(place, provided)| match provided {
            Provided::Package { identity, root: true } => Some((place, identity)),
            _ => None,
        })
    }

    /// As [`Packages::roots`], without servicing stacks that come along with an update: the update decides where these stand.
    fn leading(&self) -> impl Iterator<Item = (usize, &Identity)> {
        self.roots().filter(|(place, identity)| {
            let is_stack = identity.name.to_ascii_lowercase().contains("servicingstack");
            let stands = self.relations[*place]
                .as_ref()
                .is_some_and(|known| known.phase == PackagePhase::ServicingStack);
            !is_stack || stands
        })
    }

    /// Entries that bring two versions of one package: the older's place and identity, and the newer's.
    fn versions(&self) -> impl Iterator<Item = (usize, &Identity, (usize, &Identity))> {
        self.leading().flat_map(move |(place, older)| {
            self.leading()
                .filter(move |(other, newer)| {
                    *other != place && older.is_same_family(newer) && older.version < newer.version
                })
                .map(move |newer| (place, older, newer))
        })
    }

    /// What is odd: sources that could not be read, two versions of one package.
    #[must_use]
    pub fn warnings(&self, entries: &[Entry]) -> Vec<Finding> {
        let odd = |(older, id, (newer, newer_id)): (usize, &Identity, (usize, &Identity))| {
            Finding::at(
                &entries[newer].origin,
                "plan::two-versions",
                format!(
                    "two versions of the package {} are planned: {} and {}",
                    id.name, id.version, newer_id.version
                ),
                "the newer one, which is installed last",
                "the older one is superseded at once: take it away unless something needs it",
            )
            .and(&entries[older].origin, "the older one")
        };
        self.unread.iter().cloned().chain(self.versions().map(odd)).collect()
    }

    /// What cannot be: entries that contradict one another, and languages that come too late.
    #[must_use]
    pub fn contradictions(&self, entries: &[Entry]) -> Vec<Finding> {
        let mut findings = self.duplicates(entries);
        for (place, entry) in entries.iter().enumerate() {
            match &entry.operation {
                Operation::Package(spec) => match (&spec.subject, &spec.action) {
                    (PackageSubject::Package(_), PackageAction::Absent { identity, .. }) => {
                        let wanted = identity.as_deref().unwrap_or_default();
                        self.removed_but_needed(place, wanted, entries, &mut findings);
                    }
                    (PackageSubject::Language(tag), PackageAction::Absent { .. }) => {
                        self.language_removed(place, tag, entries, &mut findings);
                    }
                    _ => {}
                },
                Operation::Feature(spec) if spec.state == FeatureState::Enabled => {
                    self.parent_off(place, &spec.name, entries, &mut findings);
                }
                _ => {}
            }
            findings.extend(self.unknown_feature(entry));
        }
        findings.extend(self.late_languages(entries));
        findings
    }

    /// The same packages from two sources. That one source brings what another has among others (a servicing stack by itself and within an update) is right.
    fn duplicates(&self, entries: &[Entry]) -> Vec<Finding> {
        let mut first: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        let mut findings = Vec::new();
        let shelf = |place: usize| {
            // Sources of features and capabilities are shelves: that two hold one package means nothing.
            !matches!(&entries[place].operation, Operation::Package(spec) if !matches!(spec.subject, PackageSubject::Capability(_)))
        };
        let mut brought: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (place, identity) in self.roots().filter(|(place, _)| !shelf(*place)) {
            brought.entry(place).or_default().push(identity.package_id());
        }
        for (place, ids) in brought {
            let id = ids[0].clone();
            let mut ids: Vec<String> = ids.iter().map(|id| id.to_lowercase()).collect();
            ids.sort();
            match first.get(&ids) {
                Some(other) => findings.push(
                    Finding::at(
                        &entries[place].origin,
                        "plan::duplicate",
                        format!("the package {id} comes from two sources"),
                        "here again",
                        "take one of them out of the recipe",
                    )
                    .and(&entries[*other].origin, "it comes from here already"),
                ),
                None => {
                    first.insert(ids, place);
                }
            }
        }
        findings
    }

    /// A package goes that others bring, need, or have features in.
    fn removed_but_needed(
        &self,
        place: usize,
        wanted: &str,
        entries: &[Entry],
        findings: &mut Vec<Finding>,
    ) {
        let is_it = |identity: &Identity| names(wanted, identity);
        let mut conflict = |other: usize, message: String, label: String| {
            let help = "take one of the two out of the recipe";
            findings.push(
                Finding::at(&entries[other].origin, "plan::contradiction", message, label, help)
                    .and(&entries[place].origin, "the package goes here"),
            );
        };
        for (other, relations) in self.known() {
            for provided in &relations.provides {
                if let Provided::Package { identity, root: true } = provided
                    && is_it(identity)
                {
                    let message = format!(
                        "the package {} shall be both there and absent",
                        identity.package_id()
                    );
                    conflict(other, message, "installed here".to_owned());
                }
            }
            for need in &relations.needs {
                if let Need::Parent { of, any } = need
                    && any.iter().any(|identity| is_it(&Identity { ..identity.clone() }))
                    && any.iter().all(|identity| is_it(identity) || !self.is_there(identity))
                {
                    let message =
                        format!("the package {} goes, which {} needs", short(wanted), short(of));
                    conflict(other, message, "needs it as its parent".to_owned());
                }
            }
        }
        for (other, entry) in entries.iter().enumerate() {
            let Operation::Feature(spec) = &entry.operation else { continue };
            let known = self.inventory.features.get(&spec.name.to_ascii_lowercase());
            if spec.state == FeatureState::Enabled
                && known.is_some_and(|known| is_it(&known.package))
            {
                let message = format!("the feature {} is enabled and its package goes", spec.name);
                conflict(other, message, "enabled here".to_owned());
            }
        }
    }

    /// True when the base has a version of it, or an entry brings one.
    fn is_there(&self, identity: &Identity) -> bool {
        self.inventory.installed.iter().any(|known| known.is_same_family(identity))
            || self.packages().any(|(_, known)| known.is_same_family(identity))
    }

    /// A language goes that a planned satellite needs.
    fn language_removed(
        &self,
        place: usize,
        tag: &str,
        entries: &[Entry],
        findings: &mut Vec<Finding>,
    ) {
        for (other, relations) in self.known() {
            let needs = relations.needs.iter().any(
                |need| matches!(need, Need::Language(known) if known.eq_ignore_ascii_case(tag)),
            );
            if needs {
                findings.push(
                    Finding::at(
                        &entries[other].origin,
                        "plan::contradiction",
                        format!(
                            "the language {tag} goes, which {} needs",
                            entries[other].operation.title()
                        ),
                        "needs it",
                        "take one of the two out of the recipe",
                    )
                    .and(&entries[place].origin, "the language goes here"),
                );
            }
        }
    }

    /// A feature that may wait for the first boot, and that neither the base nor anything planned has: Windows would not find it either. Any other is
    /// looked for in the image, as the steps before it leave that.
    fn unknown_feature(&self, entry: &Entry) -> Option<Finding> {
        let Operation::Feature(spec) = &entry.operation else { return None };
        let brought = self.provided().filter_map(|(_, provided)| match provided {
            Provided::Feature(name) => Some(name),
            _ => None,
        });
        let of_base = self.inventory.features.values().map(|known| &known.name);
        let known: Vec<&String> = brought.chain(of_base).collect();
        if spec.when_not_native != WhenNotNative::FirstBoot
            || !self.unread.is_empty()
            || self.inventory.installed.is_empty()
            || known.iter().any(|known| known.eq_ignore_ascii_case(&spec.name))
        {
            return None;
        }
        let names = similar_features(&spec.name, known.into_iter().cloned());
        let help = match names.as_slice() {
            [] => "`transom inspect image --features` lists those of the image, `transom inspect package` those of a package".to_owned(),
            names => format!("did you mean {}?", names.join(", ")),
        };
        let message = format!(
            "{}: neither the image nor a planned package has such a feature (0x800f080c)",
            spec.name
        );
        Some(Finding::at(&entry.origin, "plan::impossible", message, "named here", help))
    }

    /// A feature is enabled whose parent is switched off.
    fn parent_off(&self, place: usize, name: &str, entries: &[Entry], findings: &mut Vec<Finding>) {
        let known = self.inventory.features.get(&name.to_ascii_lowercase());
        let of_base = known.map_or(&[][..], |known| &known.parents).iter();
        let needs = self.relations[place].as_ref().map_or(&[][..], |known| &known.needs);
        let of_source = needs.iter().filter_map(|need| match need {
            Need::ParentFeature(parent) => Some(parent),
            _ => None,
        });
        for parent in of_base.chain(of_source) {
            if let Some(other) = switched(entries, parent, false) {
                findings.push(
                    Finding::at(
                        &entries[place].origin,
                        "plan::contradiction",
                        format!("the feature {name} is enabled and its parent {parent} is not"),
                        "enabled here",
                        "a feature is on only when its parents are: take one of the two out of the recipe",
                    )
                    .and(&entries[other].origin, "its parent is switched off here"),
                );
            }
        }
    }

    /// Languages on top of an update: their files would stay at the first release.
    fn late_languages(&self, entries: &[Entry]) -> Vec<Finding> {
        let Some(update) = self.inventory.cumulative_update() else { return Vec::new() };
        // Windows does not go back to an older one.
        let renewed = self.packages().any(|(_, known)| {
            known.name.eq_ignore_ascii_case(CUMULATIVE_UPDATE) && known.version >= update.version
        });
        if renewed {
            return Vec::new();
        }
        let late = self.known().filter_map(|(place, relations)| {
            let tag = relations.provides.iter().find_map(|provided| match provided {
                Provided::Language(tag) => Some(tag),
                _ => None,
            })?;
            if self.inventory.languages.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
                return None;
            }
            Some(Finding::at(
                &entries[place].origin,
                "plan::language-after-update",
                format!(
                    "the language {tag} would come after the cumulative update {} that the base image has",
                    update.package_id()
                ),
                "its files would stay at their first release, behind everything else",
                "plan the cumulative update too, so that it is applied again after the language: [packages.NAME] with its .msu and `when-not-native = \"first-boot\"`; or begin with a base image without updates",
            ))
        });
        late.collect()
    }
}

/// What an entry takes out: an id, or the name of all its versions.
fn removed(entry: &Entry) -> Option<&str> {
    match &entry.operation {
        Operation::Package(spec) => match (&spec.subject, &spec.action) {
            (PackageSubject::Package(name), PackageAction::Absent { identity, .. }) => {
                Some(identity.as_deref().unwrap_or(name))
            }
            _ => None,
        },
        _ => None,
    }
}

/// True when `wanted`, an id or a name, means the package.
fn names(wanted: &str, identity: &Identity) -> bool {
    match wanted.contains('~') {
        true => identity.package_id().eq_ignore_ascii_case(wanted),
        false => identity.name.eq_ignore_ascii_case(wanted),
    }
}

/// The name of a package id, for sentences.
fn short(id: &str) -> &str {
    id.split('~').next().unwrap_or(id)
}

/// The entry that switches the feature on, or off.
fn switched(entries: &[Entry], name: &str, on: bool) -> Option<usize> {
    entries.iter().position(|entry| {
        matches!(&entry.operation, Operation::Feature(spec)
            if spec.name.eq_ignore_ascii_case(name) && (spec.state == FeatureState::Enabled) == on)
    })
}

/// A step that an earlier phase needs moves into that phase: the order table says where things stand as a rule, what a package needs is no rule. The
/// cumulative update stays: what needs it before its time is a circle.
fn pull(vertices: &mut [Vertex]) {
    let moves = |phase: Phase| {
        matches!(
            phase,
            Phase::Languages
                | Phase::LanguageFeatures
                | Phase::Capabilities
                | Phase::Features
                | Phase::Packages
                | Phase::NetFx3
        )
    };
    loop {
        let mut moved = false;
        for place in 0..vertices.len() {
            let phase = vertices[place].phase;
            for index in 0..vertices[place].requires.len() {
                let other = vertices[place].requires[index].0;
                if vertices[other].phase > phase && moves(vertices[other].phase) {
                    vertices[other].phase = phase;
                    moved = true;
                }
            }
        }
        if !moved {
            return;
        }
    }
}
