//! Packages and features as operations: titles, inputs, and the way to the rooms that do the work.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    format::{catalog::Trust, cbs::Mum},
    image::{Image, ImageError, ImageFacts},
    servicing::{
        error::{Problem, ServicingError},
        inputs::{BlobSink, InputId, Inputs},
        not_native::WhenNotNative,
    },
};

use super::{
    PreparedPackages, capability, features, first_boot, install, languages, prepare, remove,
    report,
    resolve::Resolver,
    source,
    spec::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject},
    store::PackageState,
    work::{Findings, Transition, Work},
    world::World,
};

/// A step, worked out for an image.
struct Examined<'a> {
    world: World<'a>,
    work: Work,
    transition: Transition,
    findings: Findings,
}

impl Examined<'_> {
    /// Everything that is to be said, by the recipe's choice.
    fn problems(&self, when: WhenNotNative) -> Vec<Problem> {
        let pe = self.world.facts.windows_pe;
        let mut all = self.findings.problems.clone();
        all.extend(
            self.findings.not_native.iter().map(|problem| report::by_choice(problem, when, pe)),
        );
        let mut said = BTreeSet::new();
        all.retain(|problem| said.insert((problem.item.clone(), problem.cause.clone())));
        all
    }

    /// Does it, or has `defer` leave it to the first boot.
    fn apply(
        mut self,
        when: WhenNotNative,
        defer: impl FnOnce(&mut Image) -> Result<(), ImageError>,
    ) -> Result<(), ServicingError> {
        let refused = self.problems(when).into_iter().find(|problem| !problem.warning);
        if let Some(problem) = refused {
            return Err(ServicingError::refused(self.world.operation, problem));
        }
        if !self.findings.not_native.is_empty() {
            return defer(self.world.image).map_err(|error| self.world.failed(error));
        }
        self.work.carry_out(&self.transition, &mut self.world)
    }
}

/// What stands against a step, and what is odd about it.
fn told(examined: Result<Examined<'_>, ServicingError>, when: WhenNotNative) -> Vec<Problem> {
    let all = examined.and_then(|mut examined| {
        let mut all = examined.problems(when);
        let is_done = examined.findings.not_native.is_empty();
        // What is refused, or left to Windows, writes over nothing here.
        if is_done && all.iter().all(|problem| problem.warning) {
            all.extend(examined.transition.written_over(&mut examined.world)?);
        }
        Ok(all)
    });
    all.unwrap_or_else(|error| vec![error.into_problem()])
}

impl PackageSpec {
    /// The kind of operation: `package`, `language` or `capability`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.subject {
            PackageSubject::Package(_) => "package",
            PackageSubject::Language(_) => "language",
            PackageSubject::Capability(_) => "capability",
        }
    }

    /// The name in the recipe.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.subject {
            PackageSubject::Package(name)
            | PackageSubject::Language(name)
            | PackageSubject::Capability(name) => name,
        }
    }

    pub(in crate::servicing) fn title(&self) -> String {
        match &self.action {
            PackageAction::Present { source: Some(source), .. } => {
                format!("{} {} from {source}", self.kind(), self.name())
            }
            PackageAction::Present { source: None, .. } => {
                format!("{} {}", self.kind(), self.name())
            }
            PackageAction::Absent { .. } => format!("{} {}: absent", self.kind(), self.name()),
        }
    }

    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        match &self.action {
            PackageAction::Present { source, .. } => source.iter().cloned().collect(),
            PackageAction::Absent { .. } => Vec::new(),
        }
    }

    fn when_not_native(&self) -> WhenNotNative {
        match &self.action {
            PackageAction::Present { when_not_native, .. }
            | PackageAction::Absent { when_not_native, .. } => *when_not_native,
        }
    }

    /// The part that needs the inputs alone; `None` without a source.
    pub(in crate::servicing) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedPackages>, ServicingError> {
        let PackageAction::Present { source: Some(source), .. } = &self.action else {
            return Ok(None);
        };
        // Of what is not wanted: the last one.
        let other = std::cell::RefCell::new(None);
        let wanted = |mums: &[&Mum]| match &self.subject {
            PackageSubject::Capability(name) => capability::parse(name).is_some_and(|wanted| {
                mums.iter().any(|mum| capability::role(&wanted, mum).is_some())
            }),
            PackageSubject::Language(tag) => {
                let Some(root) = mums.first().map(|mum| &mum.identity) else { return false };
                let fits = root.is_neutral() || root.language.eq_ignore_ascii_case(tag);
                if !fits {
                    other.replace(Some((root.package_id(), root.language.clone())));
                }
                fits
            }
            PackageSubject::Package(_) => true,
        };
        let prepared =
            prepared((self.kind(), source, self.when_not_native()), &wanted, inputs, blobs)?;
        if prepared.folders.is_empty() {
            let (cause, help) = match other.take() {
                Some((id, language)) => (
                    format!("{id} is for {language}, not for {}", self.name()),
                    "name the source of this language",
                ),
                None => (
                    format!("nothing in it is the {} {}", self.kind(), self.name()),
                    "names are as in `DISM /Get-Capabilities`: Name~~~language~version",
                ),
            };
            let problem = Problem::error(&source.0, cause, help);
            return Err(ServicingError::refused(self.kind(), problem));
        }
        Ok(Some(prepared))
    }

    pub(in crate::servicing) fn apply(
        &self,
        prepared: Option<&PreparedPackages>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let defer = |image: &mut Image| first_boot::defer_package(self, prepared, image);
        self.examine(prepared, image)?.apply(self.when_not_native(), defer)
    }

    /// What the source tells by itself: what `check` says of it.
    pub(in crate::servicing) fn defects(&self, prepared: &PreparedPackages) -> Vec<Problem> {
        let when = self.when_not_native();
        let listed = prepared.folders.iter().flat_map(|folder| &folder.not_native);
        let mut all: Vec<Problem> =
            listed.map(|problem| report::by_choice(problem, when, false)).collect();
        if let PackageAction::Present { allow_unsigned, .. } = &self.action {
            all.extend(untrusted(prepared, *allow_unsigned));
        }
        all
    }

    /// What stands against it in this image; `prepared` is `None` without a source.
    pub(in crate::servicing) fn check(
        &self,
        prepared: Option<&PreparedPackages>,
        image: &mut Image,
        _facts: &ImageFacts,
    ) -> Vec<Problem> {
        told(self.examine(prepared, image), self.when_not_native())
    }

    fn examine<'a>(
        &'a self,
        prepared: Option<&'a PreparedPackages>,
        image: &'a mut Image,
    ) -> Result<Examined<'a>, ServicingError> {
        let when = self.when_not_native();
        let mut world = World::open(self.kind(), self.name(), prepared, image)?;
        world.late = first_boot::is_late(when, world.image)?;
        let (mut work, mut findings) = (Work::default(), Findings::default());
        findings.problems.extend(world.pending()?);
        match &self.action {
            PackageAction::Absent { identity, .. } => {
                remove::work(
                    &self.subject,
                    identity.as_deref(),
                    &mut world,
                    &mut work,
                    &mut findings,
                )?;
            }
            PackageAction::Present { allow_unsigned, .. } => {
                if let Some(prepared) = prepared {
                    findings.problems.extend(untrusted(prepared, *allow_unsigned));
                    findings.not_native.extend(
                        prepared.folders.iter().flat_map(|folder| folder.not_native.clone()),
                    );
                }
                self.present(prepared.is_some(), &mut world, &mut work, &mut findings)?;
            }
        }
        let transition = work.transition(&mut world, &mut findings)?;
        if when == WhenNotNative::FirstBoot && !findings.not_native.is_empty() {
            findings.problems.extend(first_boot::package_problems(self, prepared));
        }
        Ok(Examined { world, work, transition, findings })
    }

    fn present(
        &self,
        sourced: bool,
        world: &mut World<'_>,
        work: &mut Work,
        findings: &mut Findings,
    ) -> Result<(), ServicingError> {
        if let PackageSubject::Capability(_) = &self.subject {
            world.read_mums()?;
        }
        if let PackageSubject::Language(tag) = &self.subject {
            self.language(tag, world, work, findings);
        }
        let roots =
            if sourced { self.roots(world, findings) } else { self.staged(world, findings) };
        let mut resolver = Resolver::new(world);
        resolver.at_first_boot = self.when_not_native() == WhenNotNative::FirstBoot;
        for root in &roots {
            resolver.root(root)?;
        }
        let (chosen, problems, not_native) = resolver.finish();
        findings.problems.extend(problems);
        findings.not_native.extend(not_native);
        // What Windows will do itself need not be complete here.
        if findings.not_native.is_empty() {
            install::install(&chosen, world, work, findings)?;
        }
        let brings = |mum: &Mum| {
            mum.release_type.eq_ignore_ascii_case("Language Pack") && !mum.identity.is_neutral()
        };
        if chosen.is_empty() {
            work.languages_in.clear();
        } else if let PackageSubject::Package(_) = &self.subject
            && let Some(pack) =
                chosen.iter().find(|package| package.mum.parents.is_empty() && brings(&package.mum))
        {
            let cause = format!("it is a language pack for {}", pack.identity.language);
            let help = format!("list it in [languages], as {}", pack.identity.language);
            findings.problems.push(Problem::warning(&pack.id, cause, help));
        }
        Ok(())
    }

    /// A language pack must be one for the language that the recipe names.
    fn language(&self, tag: &str, world: &mut World<'_>, work: &mut Work, findings: &mut Findings) {
        let packs: Vec<(String, String)> = world
            .folders
            .iter()
            .filter_map(|folder| folder.packages.first())
            .filter(|mum| !mum.identity.is_neutral())
            .map(|mum| (mum.identity.package_id(), mum.identity.language.clone()))
            .collect();
        if !packs.iter().any(|(_, language)| language.eq_ignore_ascii_case(tag)) {
            let cause = match packs.first() {
                Some((id, language)) => format!("{id} is for {language}, not for {tag}"),
                None => "it is no language pack".to_owned(),
            };
            findings.problems.push(Problem::error(tag, cause, "name the source of this language"));
            return;
        }
        if languages::full(tag).is_none() {
            let cause = format!("{tag} is no language that Windows is fully translated to");
            findings.not_native.push(Problem::error(tag, cause, ""));
        }
        world.languages.insert(tag.to_lowercase());
        work.languages_in.push(tag.to_owned());
    }

    /// Ids of the packages of the source that are asked for.
    fn roots(&self, world: &World<'_>, findings: &mut Findings) -> Vec<String> {
        let mut roots = Vec::new();
        let wanted = match &self.subject {
            PackageSubject::Capability(name) => capability::parse(name),
            _ => None,
        };
        for folder in &world.folders {
            let Some(mum) = folder.packages.first() else { continue };
            let id = mum.identity.package_id();
            // A package of an update that another one brings comes with that one.
            let inner = world
                .folders
                .iter()
                .flat_map(|folder| &folder.packages)
                .flat_map(|mum| &mum.updates)
                .flat_map(|update| &update.packages)
                .any(|inner| inner.identity.package_id().eq_ignore_ascii_case(&id));
            if inner {
                continue;
            }
            let language = &mum.identity.language;
            if !mum.identity.is_neutral()
                && world.late
                && !self.name().eq_ignore_ascii_case(language)
                && !world.languages.contains(&language.to_lowercase())
                && first_boot::waits_for_language(language, world.image)
            {
                let cause = format!("the image has the language {language} after its first boot");
                findings.missing(true, Problem::error(id, cause, ""));
                continue;
            }
            if let Some(wanted) = &wanted
                && capability::role(wanted, mum) == Some(capability::Role::Satellite)
                && let Some(other) = not_for_this(mum, world)
            {
                let cause = format!("it is left out: the image has no {other}");
                findings.problems.push(Problem::warning(id, cause, ""));
                continue;
            }
            roots.push(id);
        }
        if let Some(wanted) = &wanted {
            missing_capabilities(wanted, &roots, world, findings);
        }
        // Neutral packages first: those in a language have them as parents.
        roots.sort_by_key(|id| {
            crate::format::cbs::Identity::of_package_id(id)
                .is_some_and(|identity| !identity.is_neutral())
        });
        roots
    }

    /// Ids of the staged packages of the image that are the capability.
    fn staged(&self, world: &World<'_>, findings: &mut Findings) -> Vec<String> {
        let Some(wanted) = capability::parse(self.name()) else { return Vec::new() };
        let declares = |mum: &Mum| {
            capability::role(&wanted, mum).is_some() && not_for_this(mum, world).is_none()
        };
        let found: Vec<(String, PackageState)> = world
            .installed
            .values()
            .filter(|package| {
                package.state.is_staged() && package.mum.as_ref().is_some_and(declares)
            })
            .map(|package| (package.id.clone(), package.state))
            .collect();
        if found.is_empty() {
            let cause = "the image has no payload of it (0x800f0912, 0x800f0954)";
            let help = "give its source: the folder or .cab of the Features on Demand media";
            findings.missing(world.late, Problem::error(self.name(), cause, help));
        }
        found.into_iter().filter(|(_, state)| !state.is_installed()).map(|(id, _)| id).collect()
    }
}

impl FeatureSpec {
    pub(in crate::servicing) fn title(&self) -> String {
        let state = match self.state {
            FeatureState::Enabled => "enabled",
            FeatureState::Disabled => "disabled",
            FeatureState::Removed => "removed",
        };
        format!("feature {}: {state}", self.name)
    }

    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        self.source.iter().cloned().collect()
    }

    /// The part that needs the inputs alone; `None` without a source.
    pub(in crate::servicing) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedPackages>, ServicingError> {
        let Some(source) = &self.source else { return Ok(None) };
        prepared(("feature", source, self.when_not_native), &|_| true, inputs, blobs).map(Some)
    }

    pub(in crate::servicing) fn apply(
        &self,
        prepared: Option<&PreparedPackages>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let defer = |image: &mut Image| first_boot::defer_feature(self, prepared, image);
        self.examine(prepared, image)?.apply(self.when_not_native, defer)
    }

    /// What stands against it in this image; `prepared` is `None` without a source.
    pub(in crate::servicing) fn check(
        &self,
        prepared: Option<&PreparedPackages>,
        image: &mut Image,
        _facts: &ImageFacts,
    ) -> Vec<Problem> {
        told(self.examine(prepared, image), self.when_not_native)
    }

    fn examine<'a>(
        &'a self,
        prepared: Option<&'a PreparedPackages>,
        image: &'a mut Image,
    ) -> Result<Examined<'a>, ServicingError> {
        let mut world = World::open("feature", &self.name, prepared, image)?;
        world.late = first_boot::is_late(self.when_not_native, world.image)?;
        let (mut work, mut findings) = (Work::default(), Findings::default());
        findings.problems.extend(world.pending()?);
        if let Some(prepared) = prepared {
            findings.problems.extend(untrusted(prepared, self.allow_unsigned));
        }
        features::work(self, &mut world, &mut work, &mut findings)?;
        let transition = work.transition(&mut world, &mut findings)?;
        if self.when_not_native == WhenNotNative::FirstBoot && !findings.not_native.is_empty() {
            findings.problems.extend(first_boot::feature_problems(self, prepared));
        }
        Ok(Examined { world, work, transition, findings })
    }
}

/// Reads, checks and stores a source: the packages that are `wanted`, and the source as it came when the first boot may need it.
fn prepared(
    (operation, source, when): (&'static str, &InputId, WhenNotNative),
    wanted: &dyn Fn(&[&Mum]) -> bool,
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<PreparedPackages, ServicingError> {
    let tree = inputs.input(source)?;
    // Everything of other sources is asked for.
    let filter = (operation == "capability").then_some(wanted);
    let expanded = source::open_wanted(source, &tree, filter)?;
    let mut folders = Vec::new();
    for folder in &expanded.packages {
        folders.extend(prepare::prepare(operation, folder, wanted, blobs)?);
    }
    let originals = match when {
        WhenNotNative::FirstBoot => first_boot::originals(source, &folders, inputs, blobs)?,
        WhenNotNative::Refuse | WhenNotNative::Dism => Vec::new(),
    };
    let skipped =
        expanded.skipped.into_iter().map(|(shown, reason)| (shown, reason.to_owned())).collect();
    Ok(PreparedPackages { folders, originals, skipped })
}

/// Packages that nobody vouches for.
fn untrusted(prepared: &PreparedPackages, allowed: bool) -> Vec<Problem> {
    let mut all = Vec::new();
    for folder in &prepared.folders {
        let mut bad: Vec<(&str, String)> = folder
            .packages
            .iter()
            .filter(|package| matches!(package.trust, Trust::Test | Trust::Unsigned))
            .map(|package| {
                (package.id.as_str(), format!("({}): {}", package.trust.name(), package.reason))
            })
            .collect();
        let item = folder.packages.first().map_or(folder.shown.as_str(), |package| &package.id);
        let stray = folder.manifests.iter().find(|manifest| manifest.catalogs.is_empty());
        if let (true, Some(stray)) = (bad.is_empty(), stray) {
            bad.push((
                item,
                format!("completely: no catalog holds the hash of {}.manifest", stray.key_form),
            ));
        }
        // Windows keeps a catalog beside each package, and calls the store damaged without it.
        if let Some(bare) = folder.packages.iter().find(|package| package.catalog.is_none()) {
            let cause =
                format!("{}, and Windows keeps no package without one (0x800f0831)", bare.reason);
            let help = "get the complete package; for one of your own, `makecat` of the Windows SDK makes a catalog";
            all.push(Problem::error(&bare.id, cause, help));
            continue;
        }
        let Some((id, why)) = bad.first() else { continue };
        let more = match bad.len() {
            1 => String::new(),
            count => format!("; and for {} more packages in it", count - 1),
        };
        let cause = format!("nobody vouches for it {why}{more}");
        all.push(if allowed {
            Problem::warning(*id, cause, "it may have been changed by anybody")
        } else {
            let help =
                "get the package from Microsoft again; `unsigned = \"allow\"` takes it as it is";
            Problem::error(*id, cause, help)
        });
    }
    all
}

/// For what a satellite is made that the image does not have.
fn not_for_this(mum: &Mum, world: &World<'_>) -> Option<String> {
    mum.capabilities.iter().flat_map(|declared| &declared.satellite_of).find_map(|(kind, value)| {
        let fits = match kind.to_lowercase().as_str() {
            "language" => world.languages.contains(&value.to_lowercase()),
            "architecture" => world.target.takes(value),
            _ => false,
        };
        (!fits).then(|| format!("{kind} {value}"))
    })
}

/// Capabilities that the wanted one needs and that neither the image nor the source has.
fn missing_capabilities(
    wanted: &crate::format::cbs::mum::CapabilityIdentity,
    roots: &[String],
    world: &World<'_>,
    findings: &mut Findings,
) {
    let chosen = world.folders.iter().filter_map(|folder| folder.packages.first());
    let chosen: Vec<&Arc<Mum>> =
        chosen.filter(|mum| roots.contains(&mum.identity.package_id())).collect();
    let needed = chosen
        .iter()
        .flat_map(|mum| &mum.capabilities)
        .filter(|declared| capability::is_same(wanted, &declared.identity))
        .flat_map(|declared| &declared.dependencies);
    for needed in needed {
        let has = |mum: &Mum| {
            mum.capabilities.iter().any(|declared| capability::is_same(needed, &declared.identity))
        };
        let there = world
            .installed
            .values()
            .any(|package| package.state.is_installed() && package.mum.as_ref().is_some_and(has));
        if !there && !chosen.iter().any(|mum| has(mum)) {
            let cause = format!(
                "it needs the capability {needed}, which the image does not have (0x800f0912)"
            );
            let help = "add that one to [capabilities] too";
            findings.missing(world.late, Problem::error(world.name, cause, help));
        }
    }
}
