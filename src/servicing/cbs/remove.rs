//! Removing packages: what only they hold leaves the image; older versions that they replaced come back.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    format::cbs::Mum,
    servicing::{ServicingError, error::Problem},
};

use super::{
    capability,
    keys::PackageChange,
    marks::{DeploymentChange, Mark},
    parents::same_but_version,
    report,
    spec::PackageSubject,
    store::{InstalledPackage, PackageState},
    work::{Findings, Work},
    world::World,
};

/// Works a removal out: `identity` as the recipe has it, for packages.
pub(super) fn work(
    subject: &PackageSubject,
    identity: Option<&str>,
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    world.read_mums()?;
    let roots = match subject {
        PackageSubject::Package(name) => by_name(identity.unwrap_or(name), world),
        PackageSubject::Language(tag) => of_language(tag, world, work, findings),
        PackageSubject::Capability(name) => of_capability(name, world),
    };
    if roots.is_empty() {
        if findings.problems.is_empty() && work.languages_out.is_empty() {
            let cause = "the image does not have it; nothing is done";
            findings.problems.push(Problem::warning(world.name, cause, ""));
        }
        return Ok(());
    }
    let gone = with_inner(&roots, world);
    refuse_permanent(&gone, world, findings);
    refuse_held(subject, &gone, world, findings);
    refuse_needed(&gone, world, findings);
    if !findings.problems.is_empty() {
        return Ok(());
    }
    let mums = gone.iter().filter_map(|id| world.installed.get(id));
    findings.not_native.extend(
        mums.filter_map(|known| report::never_removed_natively(known.mum.as_ref()?, &known.id)),
    );
    // What Windows will do itself need not be worked out here.
    if !findings.not_native.is_empty() {
        return Ok(());
    }
    for id in &gone {
        let Some(package) = world.installed.get(id).cloned() else { continue };
        let Some(mum) = package.mum.clone() else {
            let cause = package
                .mum_problem
                .clone()
                .unwrap_or_else(|| "the image has no mum of it".to_owned());
            let help = "the component store is damaged (0x800f0831): `transom verify` says where, and can repair it";
            findings.problems.push(Problem::error(&package.id, cause, help));
            continue;
        };
        let mum = std::sync::Arc::new(mum);
        drop_deployments(&package, &mum, world, work)?;
        let features = mum.updates.iter().filter(|update| update.selectable.is_some());
        work.packages.push(PackageChange {
            id: package.id.clone(),
            features: features.map(|update| (update.name.clone(), false)).collect(),
            mum: std::sync::Arc::clone(&mum),
            state: PackageState::Absent,
            hidden: !package.visible,
            owners: Vec::new(),
            updates: Vec::new(),
            new: false,
        });
        come_back(&package, &gone, world, work);
    }
    // Packages that stay lose the owners that go.
    for package in world.installed.values() {
        if gone.contains(&package.id.to_lowercase()) {
            continue;
        }
        for owner in package.owners.iter().filter(|owner| gone.contains(&owner.to_lowercase())) {
            work.disowned.push((package.id.clone(), owner.clone()));
        }
    }
    leave(world, work)
}

/// Packages with that id, or all of that name.
fn by_name(wanted: &str, world: &World<'_>) -> BTreeSet<String> {
    world
        .installed
        .values()
        .filter(|package| {
            package.id.eq_ignore_ascii_case(wanted)
                || package.identity.name.eq_ignore_ascii_case(wanted)
        })
        .map(|package| package.id.to_lowercase())
        .collect()
}

fn of_language(
    tag: &str,
    world: &World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> BTreeSet<String> {
    if !world.languages.contains(&tag.to_lowercase()) {
        return BTreeSet::new();
    }
    let default = world.facts.default_language.as_deref().unwrap_or_default();
    if default.eq_ignore_ascii_case(tag) || world.facts.languages.len() == 1 {
        let cause = "it is the language that the image starts in (0x800f0825)";
        findings.problems.push(Problem::error(
            tag,
            cause,
            "add another language, and make it the default first",
        ));
        return BTreeSet::new();
    }
    work.languages_out.push(tag.to_owned());
    world
        .installed
        .values()
        .filter(|package| package.identity.language.eq_ignore_ascii_case(tag))
        .map(|package| package.id.to_lowercase())
        .collect()
}

fn of_capability(name: &str, world: &World<'_>) -> BTreeSet<String> {
    let Some(wanted) = capability::parse(name) else { return BTreeSet::new() };
    world
        .installed
        .values()
        .filter(|package| {
            package.mum.as_ref().is_some_and(|mum| capability::role(&wanted, mum).is_some())
        })
        .map(|package| package.id.to_lowercase())
        .collect()
}

/// The packages, and those inside them that nobody else owns.
fn with_inner(roots: &BTreeSet<String>, world: &World<'_>) -> BTreeSet<String> {
    let mut gone = roots.clone();
    // Satellites: the same package in a language.
    for package in world.installed.values() {
        let neutral = roots.iter().filter_map(|id| world.installed.get(id)).any(|root| {
            root.identity.is_neutral()
                && !package.identity.is_neutral()
                && root.identity.name.eq_ignore_ascii_case(&package.identity.name)
                && root.identity.version == package.identity.version
        });
        if neutral {
            gone.insert(package.id.to_lowercase());
        }
    }
    loop {
        let before = gone.len();
        for package in world.installed.values() {
            let owned_by_gone =
                package.owners.iter().any(|owner| gone.contains(&owner.to_lowercase()));
            let others = package.owners.iter().any(|owner| {
                !gone.contains(&owner.to_lowercase()) && !owner.eq_ignore_ascii_case(&package.id)
            });
            if owned_by_gone && !others && package.state != PackageState::Permanent {
                gone.insert(package.id.to_lowercase());
            }
        }
        if gone.len() == before {
            return gone;
        }
    }
}

fn refuse_permanent(gone: &BTreeSet<String>, world: &World<'_>, findings: &mut Findings) {
    for package in gone.iter().filter_map(|id| world.installed.get(id)) {
        let says = package.mum.as_ref().and_then(|mum| mum.permanence.as_deref());
        if package.state == PackageState::Permanent
            || says.is_some_and(|word| word.eq_ignore_ascii_case("permanent"))
        {
            let cause = "it is permanent: Windows does not take it out again (0x800f0825)";
            let help = "use media without it";
            findings.problems.push(Problem::error(&package.id, cause, help));
            continue;
        }
        let release = package.mum.as_ref().map_or("", |mum| mum.release_type.as_str());
        let what = match release.to_ascii_lowercase().as_str() {
            "product" => "an edition of Windows",
            "foundation" => "the foundation of Windows",
            _ => continue,
        };
        let cause = format!(
            "it is {what} (release type {release}): Windows does not take it out again (0x800f0825)"
        );
        let help = "use media of another edition";
        findings.problems.push(Problem::error(&package.id, cause, help));
    }
}

/// Packages that belong to one that stays: it says so in their `Owners`, or its own mum brings them.
fn refuse_held(
    subject: &PackageSubject,
    gone: &BTreeSet<String>,
    world: &World<'_>,
    findings: &mut Findings,
) {
    let leaving: Vec<&InstalledPackage> =
        gone.iter().filter_map(|id| world.installed.get(id)).collect();
    for package in &leaving {
        // What is of a language goes with the language, or with the package that it is the language of.
        let satellite = !package.identity.is_neutral()
            && (matches!(subject, PackageSubject::Language(_))
                || leaving.iter().any(|other| {
                    other.identity.is_neutral()
                        && other.identity.name.eq_ignore_ascii_case(&package.identity.name)
                }));
        if satellite {
            continue;
        }
        let holds = |other: &&InstalledPackage| {
            let owner = package.owners.iter().any(|owner| owner.eq_ignore_ascii_case(&other.id));
            let updates = other.mum.iter().flat_map(|mum| &mum.updates);
            owner
                || updates
                    .flat_map(|update| &update.packages)
                    .any(|inner| inner.identity.package_id().eq_ignore_ascii_case(&package.id))
        };
        let stays = |other: &&InstalledPackage| {
            other.state.is_installed() && !gone.contains(&other.id.to_lowercase())
        };
        if let Some(holder) = world.installed.values().filter(stays).find(holds) {
            let cause = format!("it belongs to {}, which stays (0x800f0825)", holder.id);
            let help = "remove that package; this one goes with it";
            findings.missing(world.late, Problem::error(&package.id, cause, help));
        }
    }
}

/// Packages that stay and have one of those that go as their parent.
fn refuse_needed(gone: &BTreeSet<String>, world: &World<'_>, findings: &mut Findings) {
    let stays = |package: &&InstalledPackage| {
        package.state.is_installed() && !gone.contains(&package.id.to_lowercase())
    };
    for package in world.installed.values().filter(stays) {
        let Some(mum) = &package.mum else { continue };
        for parent in &mum.parents {
            let fits = |other: &InstalledPackage| {
                parent.identities.iter().any(|wanted| same_but_version(wanted, &other.identity))
            };
            let going: Vec<&InstalledPackage> = gone
                .iter()
                .filter_map(|id| world.installed.get(id))
                .filter(|other| fits(other))
                .collect();
            let Some(going) = going.first() else { continue };
            let left =
                world.installed.values().filter(|other| other.id != package.id).any(|other| {
                    !gone.contains(&other.id.to_lowercase())
                        && (other.state.is_installed() || other.state == PackageState::Superseded)
                        && fits(other)
                });
            if !left {
                let cause = format!("{} needs it", package.id);
                let help = "remove that package too, before this one";
                findings.missing(world.late, Problem::error(&going.id, cause, help));
            }
        }
    }
}

fn drop_deployments(
    package: &InstalledPackage,
    mum: &Mum,
    world: &mut World<'_>,
    work: &mut Work,
) -> Result<(), ServicingError> {
    for update in &mum.updates {
        for identity in &update.components {
            let Some(form) = world.find(identity) else { continue };
            let Some(manifest) = world.manifest(&form)? else { continue };
            let components = match world.components_of(&form, &package.id) {
                Ok(components) => components,
                // What is not there need not be taken away.
                Err(ServicingError::Refused { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            work.deployments.push(DeploymentChange {
                identity: manifest.identity.clone(),
                key_form: form,
                package: package.id.clone(),
                update: update.name.clone(),
                goal: Mark::Gone,
                components,
                catalog: None,
            });
        }
    }
    Ok(())
}

/// The newest older version of a package that goes is in force again.
fn come_back(
    package: &InstalledPackage,
    gone: &BTreeSet<String>,
    world: &World<'_>,
    work: &mut Work,
) {
    if !package.state.is_installed() {
        return;
    }
    let older = world
        .installed
        .values()
        .filter(|other| {
            other.state == PackageState::Superseded
                && !gone.contains(&other.id.to_lowercase())
                && same_but_version(&other.identity, &package.identity)
        })
        .max_by_key(|other| other.identity.version);
    work.states.extend(older.map(|other| (other.id.clone(), PackageState::Installed)));
}

/// Which components leave force because of the deployments in `work` that lose their mark.
pub(super) fn leave(world: &mut World<'_>, work: &mut Work) -> Result<(), ServicingError> {
    let mut leaving: BTreeMap<String, (crate::format::cbs::Identity, String)> = BTreeMap::new();
    // A deployment that another package holds in force stays.
    let mut shorts = BTreeSet::new();
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for change in work.deployments.iter().filter(|change| change.goal < Mark::Installed) {
        let short = change.identity.short_key_form();
        let mark = format!("i!{}", super::layout::reference(&change.package, &change.update));
        held.entry(short).or_default().insert(mark);
    }
    for (short, marks) in held {
        let key = super::layout::deployments().join(&crate::base::name::Name::from(short.as_str()));
        let values = world.image.registry_values(&key).map_err(|error| world.failed(error))?;
        let others = values.iter().filter_map(|value| value.name.to_text()).any(|name| {
            let name = name.to_lowercase();
            name.starts_with("i!") && !marks.contains(&name)
        });
        if !others {
            shorts.insert(short);
        }
    }
    let changes: Vec<(String, Vec<String>)> = work
        .deployments
        .iter()
        .filter(|change| {
            change.goal < Mark::Installed && shorts.contains(&change.identity.short_key_form())
        })
        .map(|change| (change.package.clone(), change.components.clone()))
        .collect();
    for (package, components) in changes {
        for component in components {
            if leaving.contains_key(&component) {
                continue;
            }
            let in_force = world.component_is_installed(&component, &BTreeSet::new())?;
            if !in_force || world.component_is_installed(&component, &shorts)? {
                continue;
            }
            if let Some(manifest) = world.manifest(&component)? {
                leaving.insert(component, (manifest.identity.clone(), package.clone()));
            }
        }
    }
    work.leaving.extend(leaving);
    Ok(())
}
