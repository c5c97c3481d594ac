//! Installing: from what was chosen to the work that has to be done.

use std::collections::{BTreeMap, BTreeSet};

use crate::servicing::{ServicingError, error::Problem};

use super::{
    effects::UnknownElement,
    keys::PackageChange,
    marks::{DeploymentChange, Mark},
    parents::same_but_version,
    report,
    resolve::{Chosen, Goal},
    stage::{self, NewComponent},
    store::PackageState,
    work::{self, Findings, Work},
    world::World,
};

/// Adds to `work` what brings the chosen packages to their goals.
pub(super) fn install(
    chosen: &[Chosen],
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    // How far the components went that were taken in.
    let mut seen: BTreeMap<String, Goal> = BTreeMap::new();
    for package in chosen {
        let mut unknown: Vec<(String, UnknownElement)> = Vec::new();
        if let Some((folder, place)) = package.origin
            && !world
                .installed
                .get(&package.id.to_lowercase())
                .is_some_and(|known| known.state.is_staged())
        {
            work.packages_in.push((package.id.clone(), folder, place));
        }
        for update in &package.updates {
            for identity in &update.deployments {
                let Some(form) = world.find(identity) else {
                    let cause = format!(
                        "the deployment {} {} of its update {} is neither in the source nor in the image (0x800f0831)",
                        identity.name, identity.version, update.name
                    );
                    findings.problems.push(Problem::error(
                        &package.id,
                        cause,
                        "get the complete package",
                    ));
                    continue;
                };
                let Some(manifest) = world.manifest(&form)? else { continue };
                let components = match world.components_of(&form, &package.id) {
                    Ok(components) => components,
                    Err(ServicingError::Refused { problem, .. }) => {
                        findings.problems.push(problem);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for component in components.iter().chain([&form]) {
                    let known = seen.get(component).copied();
                    if known < Some(update.goal) {
                        let first = known.is_none();
                        take_in((component, first), package, update.goal, world, work, findings)?;
                        seen.insert(component.clone(), update.goal);
                    }
                }
                if update.goal == Goal::Installed {
                    let found = work::unknown_of_deployment(&manifest, world);
                    unknown.extend(found.into_iter().map(|element| (form.clone(), element)));
                    enter(&components, package, world, work)?;
                }
                work.deployments.push(DeploymentChange {
                    identity: manifest.identity.clone(),
                    catalog: catalog_of(&form, package, world),
                    key_form: form,
                    package: package.id.clone(),
                    update: update.name.clone(),
                    goal: if update.goal == Goal::Installed {
                        Mark::Installed
                    } else {
                        Mark::Staged
                    },
                    components,
                });
            }
        }
        findings.not_native.extend(report::unknown_in_components(&package.id, &unknown));
        supersede(package, world, work);
        work.packages.push(change_of(package, world));
    }
    Ok(())
}

/// Components that are not in force yet come into it.
fn enter(
    components: &[String],
    package: &Chosen,
    world: &mut World<'_>,
    work: &mut Work,
) -> Result<(), ServicingError> {
    for component in components {
        if work.entering.contains_key(component)
            || world.component_is_installed(component, &BTreeSet::new())?
        {
            continue;
        }
        if let Some(manifest) = world.manifest(component)? {
            let value = (manifest.identity.clone(), package.id.clone());
            work.entering.insert(component.clone(), value);
        }
    }
    Ok(())
}

/// What of a component has to go into the image's store; `first`: it was not taken in for a lower goal.
fn take_in(
    (form, first): (&str, bool),
    package: &Chosen,
    goal: Goal,
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    let folder = world.folders.iter().position(|folder| folder.manifests.contains_key(form));
    let there = world.image_has(form);
    let Some(manifest) = world.manifest(form)? else { return Ok(()) };
    if there
        && folder.is_some()
        && world.image_manifest(form)?.is_some_and(|other| other != manifest)
    {
        let cause = format!(
            "the image has another manifest of {form}: one of the two is not genuine (0x80073712)"
        );
        let help = "`transom verify` says whether it is the image's";
        findings.problems.push(Problem::error(&package.id, cause, help));
    }
    let source = folder.map(|at| &world.folders[at]);
    let missing = stage::missing_files(form, &manifest, source, world.image);
    // A feature may be staged without its payload; it is missed when it is switched on.
    if (goal == Goal::Installed || !there)
        && let Some(first) = missing.first()
    {
        let more = match missing.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let cause = format!(
            "the file {first}{more} of {form} is neither in the source nor in the image (0x800f081f)"
        );
        let help = if there {
            "its payload was removed from the image: give the source of the feature or package in the recipe"
        } else {
            "get the complete package; a package that brings changes only (express, PSF without its file) cannot be read"
        };
        findings.problems.push(Problem::error(&package.id, cause, help));
    }
    let Some(folder) = folder.filter(|_| first) else { return Ok(()) };
    let lacking = stage::missing_files(form, &manifest, None, world.image);
    if !there || !lacking.is_empty() {
        let key_form = form.to_owned();
        work.components_in.push(NewComponent { key_form, folder, files_only: there });
    }
    Ok(())
}

/// The package whose catalog vouches for a deployment: the deployment's own package where it does, else the first that does.
fn catalog_of(form: &str, package: &Chosen, world: &World<'_>) -> Option<(usize, usize)> {
    let at = world.folders.iter().position(|folder| folder.manifests.contains_key(form))?;
    let folder = &world.folders[at];
    let (place, _) = folder.manifests.get(form)?;
    let vouching = &folder.prepared.manifests[*place].catalogs;
    let own = package.origin.filter(|(folder, _)| *folder == at).map(|(_, place)| place);
    let own_vouches = own.filter(|place| vouching.contains(place));
    let found = own_vouches.or_else(|| vouching.first().copied()).or(own)?;
    folder.prepared.packages.get(found)?.catalog.as_ref().map(|_| (at, found))
}

/// Older versions of a package that comes into force are superseded: staged, and ready to come back.
fn supersede(package: &Chosen, world: &World<'_>, work: &mut Work) {
    if package.goal != Goal::Installed {
        return;
    }
    let older = world.installed.values().filter(|known| {
        known.state == PackageState::Installed
            && same_but_version(&known.identity, &package.identity)
            && known.identity.version < package.identity.version
    });
    work.states.extend(older.map(|known| (known.id.clone(), PackageState::Superseded)));
}

fn change_of(package: &Chosen, world: &World<'_>) -> PackageChange {
    let known = world.installed.get(&package.id.to_lowercase());
    let state = match known.map(|known| known.state) {
        // What is in force already stays so, permanent packages too.
        Some(state) if state.is_installed() => state,
        _ => package.goal.state(),
    };
    let installed = |update: &super::resolve::ChosenUpdate| update.goal == Goal::Installed;
    let mut owners = package.owners.clone();
    owners.sort();
    owners.dedup();
    if owners.is_empty()
        && let Some(known) = known
    {
        owners.clone_from(&known.owners);
    }
    PackageChange {
        id: package.id.clone(),
        mum: package.mum.clone(),
        state,
        hidden: package.hidden,
        owners,
        updates: package
            .updates
            .iter()
            .map(|update| (update.name.clone(), installed(update)))
            .collect(),
        features: package
            .updates
            .iter()
            .filter(|update| update.is_feature)
            .map(|update| (update.name.clone(), installed(update)))
            .collect(),
        new: known.is_none(),
    }
}
