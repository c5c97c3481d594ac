//! What a step does to an image, worked out before anything is touched: packages, deployments, components, winners. `check` stops here; `apply` goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    format::cbs::{Identity, Manifest},
    servicing::{ServicingError, error::Problem},
};

use super::{
    classify,
    effects::UnknownElement,
    keys::{self, PackageChange},
    languages, layout,
    marks::{self, DeploymentChange},
    project::{self, Projected},
    report, stage,
    stage::NewComponent,
    store::PackageState,
    winners::{self, FamilyChange},
    world::World,
    written_over,
};

/// A step, worked out.
#[derive(Default)]
pub(super) struct Work {
    /// Packages whose mum and catalog go into the image: id, folder of the source, place in it.
    pub packages_in: Vec<(String, usize, usize)>,
    /// Components whose manifest or files go into the image.
    pub components_in: Vec<NewComponent>,
    /// Keys of packages.
    pub packages: Vec<PackageChange>,
    /// Packages that keep everything but their state.
    pub states: Vec<(String, PackageState)>,
    /// Packages that lose an owner.
    pub disowned: Vec<(String, String)>,
    /// Marks of deployments.
    pub deployments: Vec<DeploymentChange>,
    /// Components that come into force, by key form, each with the package that brings it.
    pub entering: BTreeMap<String, (Identity, String)>,
    /// Components that leave it.
    pub leaving: BTreeMap<String, (Identity, String)>,
    /// Components whose files go while their manifest stays.
    pub emptied: Vec<String>,
    /// Features whose payload goes.
    pub removed_features: Vec<String>,
    /// Languages that the image gets.
    pub languages_in: Vec<String>,
    /// Languages that it loses.
    pub languages_out: Vec<String>,
}

/// What a step means for components in force.
pub(super) struct Transition {
    families: Vec<FamilyChange>,
    leaving: Vec<Projected>,
    entering: Vec<Projected>,
}

impl Transition {
    /// Warns of what the components that come write over.
    pub(super) fn written_over(
        &self,
        world: &mut World<'_>,
    ) -> Result<Vec<Problem>, ServicingError> {
        written_over::warnings(&self.leaving, &self.entering, world)
    }
}

/// What stands against a step.
#[derive(Default)]
pub(super) struct Findings {
    /// Whatever the recipe says.
    pub problems: Vec<Problem>,
    /// What Windows could do and this program cannot.
    pub not_native: Vec<Problem>,
}

impl Findings {
    /// Something that the image does not have. When Windows installs what earlier steps left to the first boot, it may have it, so this step waits behind them.
    pub(super) fn missing(&mut self, late: bool, problem: Problem) {
        if late { &mut self.not_native } else { &mut self.problems }.push(problem);
    }
}

impl Work {
    /// True when nothing is to be done.
    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.states.is_empty()
            && self.disowned.is_empty()
            && self.deployments.is_empty()
            && self.components_in.is_empty()
            && self.emptied.is_empty()
            && self.languages_in.is_empty()
            && self.languages_out.is_empty()
    }

    /// Which components come into force and leave it, and what stands against that.
    pub(super) fn transition(
        &self,
        world: &mut World<'_>,
        findings: &mut Findings,
    ) -> Result<Transition, ServicingError> {
        let identities = |all: &BTreeMap<String, (Identity, String)>| -> Vec<Identity> {
            all.values().map(|(identity, _)| identity.clone()).collect()
        };
        let families =
            winners::changes(&identities(&self.entering), &identities(&self.leaving), world)?;
        let packages: BTreeMap<&str, &str> = self
            .leaving
            .iter()
            .chain(&self.entering)
            .map(|(form, (_, package))| (form.as_str(), package.as_str()))
            .collect();
        let mut unknown: BTreeMap<String, Vec<(String, UnknownElement)>> = BTreeMap::new();
        let mut transition =
            Transition { families: Vec::new(), leaving: Vec::new(), entering: Vec::new() };
        for change in &families {
            let (old, new) = (change.before.winning_identity(), change.after.winning_identity());
            if old == new {
                continue;
            }
            for (identity, list) in
                [(old, &mut transition.leaving), (new, &mut transition.entering)]
            {
                let Some(identity) = identity else { continue };
                let form = identity.key_form();
                let package = packages.get(form.as_str()).copied().unwrap_or(world.name).to_owned();
                let Some(manifest) = world.manifest(&form)? else {
                    let cause = format!(
                        "the image has no manifest of {form}, which is in force (0x800f0831)"
                    );
                    let help = "the component store is damaged: `transom verify` says where, and can repair it";
                    findings.problems.push(Problem::error(package, cause, help));
                    continue;
                };
                let (effects, found) = classify::understood(&manifest, &world.target);
                let found = found.into_iter().map(|element| (form.clone(), element));
                unknown.entry(package.clone()).or_default().extend(found);
                // The oldest version that is there: what came with it is the component's too.
                let versions = change.before.versions.iter().copied();
                let since = versions
                    .map(|version| Identity { version, ..identity.clone() }.key_form())
                    .filter_map(|form| {
                        let place = layout::manifest(world.image, &form);
                        let node = world.image.tree().lookup(&place)?;
                        Some(world.image.tree().inode(node).creation_time)
                    })
                    .min();
                list.push(Projected { key_form: form, package, since, effects });
            }
        }
        for (package, found) in unknown {
            findings.not_native.extend(report::unknown_in_components(&package, &found));
        }
        let entering = &transition.entering;
        for (form, hive) in project::missing_hives(entering, world.image) {
            let item = packages.get(form.as_str()).copied().unwrap_or(world.name);
            let cause = format!(
                "{form} writes to {}, and the image has no {hive} hive",
                hive.registry_root()
            );
            findings.problems.push(Problem::error(item, cause, "it cannot go into this image"));
        }
        for error in project::blocked(entering, world.image).into_iter().take(5) {
            findings.problems.push(world.failed(error).into_problem());
        }
        transition.families = families;
        Ok(transition)
    }

    /// Does it.
    pub(super) fn carry_out(
        &self,
        transition: &Transition,
        world: &mut World<'_>,
    ) -> Result<(), ServicingError> {
        if self.is_empty() {
            return Ok(());
        }
        for (id, folder, place) in &self.packages_in {
            let prepared = &world.folders[*folder].prepared.packages[*place];
            stage::package(id, prepared, world.image).map_err(|error| world.failed(error))?;
        }
        for component in &self.components_in {
            stage::component(component, world)?;
        }
        // What stays in the store while it leaves force is withdrawn while its files are still there.
        project::project(&transition.leaving, &transition.entering, world)?;
        for family in &transition.families {
            family.after.write(world.image).map_err(|error| world.failed(error))?;
        }
        self.write_keys(world).map_err(|error| world.failed(error))
    }

    fn write_keys(&self, world: &mut World<'_>) -> Result<(), crate::image::ImageError> {
        let mut dropped: BTreeSet<&String> = BTreeSet::new();
        for deployment in &self.deployments {
            let catalog = deployment.catalog.and_then(|(folder, place)| {
                world.folders.get(folder)?.prepared.packages.get(place)?.catalog.as_deref()
            });
            if marks::write_deployment(deployment, catalog, world.image)? {
                dropped.extend(deployment.components.iter().chain([&deployment.key_form]));
            }
        }
        for component in dropped {
            marks::drop_component(component, world.image)?;
        }
        for component in &self.emptied {
            let place = layout::component(world.image, component);
            world.image.remove(&place)?;
            marks::remove_files(component, world.image)?;
        }
        for change in &self.packages {
            if change.state == PackageState::Absent {
                keys::remove(change, world.image)?;
                let places = [
                    layout::mum(world.image, &change.id),
                    layout::mum_catalog(world.image, &change.id),
                    layout::catroot(world.image, &change.id),
                ];
                for place in places {
                    world.image.remove(&place)?;
                }
            } else {
                keys::write(change, world.image)?;
            }
        }
        for (id, state) in &self.states {
            keys::set_state(id, *state, world.image)?;
        }
        for (id, owner) in &self.disowned {
            keys::disown(id, owner, world.image)?;
        }
        for feature in &self.removed_features {
            keys::mark_removed(feature, world.image)?;
        }
        for tag in &self.languages_in {
            languages::add(tag, &world.facts, world.image)?;
        }
        for tag in &self.languages_out {
            languages::remove(tag, world.image)?;
        }
        marks::drop_index(world.image)
    }
}

/// A deployment that has content of its own, which is not read.
pub(super) fn unknown_of_deployment(
    manifest: &Arc<Manifest>,
    world: &World<'_>,
) -> Vec<UnknownElement> {
    let mut unknown = classify::unknown_elements(manifest, &world.target);
    let own = !manifest.files.is_empty()
        || !manifest.registry_keys.is_empty()
        || !manifest.directories.is_empty()
        || manifest.memberships.iter().any(|membership| !membership.instances.is_empty());
    if own {
        let what = "files, keys or services of a deployment itself".to_owned();
        unknown.push(UnknownElement::new("deployment", 1, what));
    }
    unknown
}
