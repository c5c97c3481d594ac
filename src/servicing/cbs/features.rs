//! Features: updates of packages that a person can switch. Enabling one installs what its package has staged, disabling takes that out of force.
//!
//! Whether a feature is on: `Packages\<id>\Updates!<feature>` has the state of an installed package; where that is missing, `Notifications\OptionalFeatures`.
//! What a feature needs are the updates that its `applicable` names; its dependants are the features that name it so.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::name::Name,
    format::cbs::Mum,
    servicing::{ServicingError, error::Problem},
};

use super::{
    flags, install, keys, layout,
    marks::{DeploymentChange, Mark},
    parents::same_but_version,
    remove,
    resolve::{Goal, Resolver},
    spec::{FeatureSpec, FeatureState},
    store::{InstalledPackage, PackageState},
    work::{Findings, Work},
    world::{SourceFolder, World},
};

/// As similar as `strsim` says two names must be to be offered.
const NEAR: f64 = 0.75;

/// Whether an update of a package (in any version that the image has) is in force; `None`: the image does not say.
pub(super) fn is_on(
    mum: &Mum,
    update: &str,
    world: &mut World<'_>,
) -> Result<Option<bool>, ServicingError> {
    let mut known: Vec<(crate::format::cbs::Version, String)> = world
        .installed
        .values()
        .filter(|package| same_but_version(&package.identity, &mum.identity))
        .map(|package| (package.identity.version, package.id.clone()))
        .collect();
    known.sort();
    for (_, id) in known.iter().rev() {
        let key = layout::cbs("Packages").join(&Name::from(id.as_str())).join(&"Updates".into());
        let value = world.image.registry_value(&key, &Name::from(update));
        let value = value.map_err(|error| world.failed(error))?;
        if let Some(number) = value.and_then(|value| value.as_dword()) {
            return Ok(Some(number == flags::update(true)));
        }
    }
    if known.is_empty() {
        return Ok(None);
    }
    let key =
        layout::cbs("Notifications").join(&"OptionalFeatures".into()).join(&Name::from(update));
    let value = world.image.registry_value(&key, &"Selection".into());
    let value = value.map_err(|error| world.failed(error))?;
    Ok(value.and_then(|value| value.as_dword()).map(|number| number == 1))
}

/// Whether an update of that name is in force in any package that the image has in force.
pub(super) fn is_on_anywhere(update: &str, world: &mut World<'_>) -> Result<bool, ServicingError> {
    let packages: Vec<InstalledPackage> = holders(update, world);
    for package in packages {
        let Some(mum) = package.mum.as_ref().filter(|_| package.state.is_installed()) else {
            continue;
        };
        let selectable = mum
            .updates
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(update) && known.selectable.is_some());
        if is_on(mum, update, world)?.unwrap_or(!selectable) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Packages of the image that have an update of that name, the newest versions last.
fn holders(update: &str, world: &World<'_>) -> Vec<InstalledPackage> {
    let mut found: Vec<InstalledPackage> = world
        .installed
        .values()
        .filter(|package| {
            let named =
                |known: &crate::format::cbs::mum::Update| known.name.eq_ignore_ascii_case(update);
            package.state.is_staged()
                && package.mum.as_ref().is_some_and(|mum| mum.updates.iter().any(named))
        })
        .cloned()
        .collect();
    found.sort_by_key(|package| (package.state.is_installed(), package.identity.version));
    found
}

/// The package of the image whose feature it is.
fn owner(feature: &str, world: &World<'_>) -> Option<InstalledPackage> {
    holders(feature, world).into_iter().rev().find(|package| {
        package.state != PackageState::Superseded
            && package.mum.as_ref().is_some_and(|mum| {
                mum.updates.iter().any(|update| {
                    update.name.eq_ignore_ascii_case(feature) && update.selectable.is_some()
                })
            })
    })
}

/// The name as its package writes it.
fn spelling(feature: &str, mum: &Mum) -> String {
    let found = mum.updates.iter().find(|update| update.name.eq_ignore_ascii_case(feature));
    found.map_or_else(|| feature.to_owned(), |update| update.name.clone())
}

/// All features of the image: name, its package.
fn all(world: &World<'_>) -> BTreeMap<String, String> {
    let staged = world
        .installed
        .values()
        .filter(|package| package.state.is_staged() && package.state != PackageState::Superseded);
    staged
        .filter_map(|package| Some((package, package.mum.as_ref()?)))
        .flat_map(|(package, mum)| {
            mum.updates
                .iter()
                .filter(|update| update.selectable.is_some())
                .map(|update| (update.name.clone(), package.id.clone()))
        })
        .collect()
}

/// Features that a feature needs.
fn needs(feature: &str, mum: &Mum, known: &BTreeMap<String, String>) -> Vec<String> {
    let update = mum.updates.iter().find(|update| update.name.eq_ignore_ascii_case(feature));
    update
        .into_iter()
        .flat_map(|update| &update.applicable)
        .flat_map(|condition| &condition.updates)
        .map(|wanted| wanted.name.clone())
        .filter(|wanted| known.keys().any(|name| name.eq_ignore_ascii_case(wanted)))
        .collect()
}

/// Works a feature out.
pub(super) fn work(
    spec: &FeatureSpec,
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    world.read_mums()?;
    // A source may bring the package of the feature itself.
    let from_source = world.folders.iter().flat_map(|folder| &folder.packages).find(|mum| {
        mum.updates.iter().any(|update| {
            update.name.eq_ignore_ascii_case(&spec.name) && update.selectable.is_some()
        })
    });
    let from_source = from_source.map(|mum| (mum.identity.package_id(), mum.clone()));
    let Some(package) = owner(&spec.name, world) else {
        return match (spec.state, from_source) {
            (FeatureState::Enabled, Some((id, mum))) => {
                switch_on(spec, &id, &mum, world, work, findings)
            }
            (FeatureState::Enabled, None) => {
                findings.missing(world.late, unknown(&spec.name, world));
                Ok(())
            }
            (_, Some(_)) => Ok(()),
            (_, None) => {
                findings.missing(world.late, unknown(&spec.name, world));
                Ok(())
            }
        };
    };
    let Some(mum) = package.mum.clone() else { return Ok(()) };
    match spec.state {
        FeatureState::Enabled => switch_on(spec, &package.id, &mum, world, work, findings),
        FeatureState::Disabled => {
            switch_off(&spec.name, &package, &mum, false, world, work, findings)
        }
        FeatureState::Removed => {
            switch_off(&spec.name, &package, &mum, true, world, work, findings)
        }
    }
}

/// Up to three names of `known` that somebody may have meant by `name`, the likeliest first.
pub fn similar(name: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let mut near: Vec<(f64, String)> = known
        .map(|known| {
            let (one, other) = (known.to_lowercase(), name.to_lowercase());
            let mut likeness = strsim::normalized_damerau_levenshtein(&one, &other)
                .max(strsim::jaro_winkler(&one, &other) - 0.05);
            if other.len() >= 4 && one.contains(&other) {
                likeness = likeness.max(NEAR);
            }
            (likeness, known)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    near.dedup_by(|one, other| one.1 == other.1);
    near.truncate(3);
    near.into_iter().map(|(_, name)| name).collect()
}

fn unknown(name: &str, world: &World<'_>) -> Problem {
    let help = match similar(name, all(world).into_keys()).as_slice() {
        [] => "`transom inspect image --features` lists those that it has".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    Problem::error(name, "the image has no such feature (0x800f080c)", help)
}

fn switch_on(
    spec: &FeatureSpec,
    id: &str,
    mum: &Mum,
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    let staged_only =
        world.installed.get(&id.to_lowercase()).is_none_or(|known| !known.state.is_installed());
    if !staged_only && is_on(mum, &spec.name, world)? == Some(true) {
        return Ok(());
    }
    // Features to switch, each with its package, those needed first.
    let mut order: Vec<(String, String)> = Vec::new();
    let mut queue = vec![(spec.name.clone(), id.to_owned(), mum.clone())];
    let mut off = BTreeSet::new();
    let known = all(world);
    while let Some((feature, package, mum)) = queue.pop() {
        if order.iter().any(|(known, _)| known.eq_ignore_ascii_case(&feature)) {
            continue;
        }
        for needed in needs(&feature, &mum, &known) {
            if is_on_anywhere(&needed, world)? {
                continue;
            }
            off.insert(needed.clone());
            if let Some(package) = owner(&needed, world)
                && let Some(mum) = package.mum
            {
                queue.push((needed, package.id, mum));
            }
        }
        order.push((feature, package));
    }
    if !off.is_empty() && !spec.all {
        let list: Vec<&str> = off.iter().map(String::as_str).collect();
        let cause = format!("it needs features that are off: {}", list.join(", "));
        let help = "enable them too, or write `all = true`";
        findings.missing(world.late, Problem::error(&spec.name, cause, help));
        return Ok(());
    }
    not_native_of_source(&spec.name, world, findings);
    let mut resolver = Resolver::new(world);
    for (feature, _) in &order {
        resolver.switched.insert(feature.to_lowercase(), true);
    }
    let mut packages: Vec<String> = Vec::new();
    for (_, package) in order.into_iter().rev() {
        if !packages.contains(&package) {
            packages.push(package);
        }
    }
    for package in &packages {
        resolver.again(package, Goal::Installed)?;
    }
    let (chosen, problems, not_native) = resolver.finish();
    findings.problems.extend(problems);
    findings.not_native.extend(not_native);
    // What Windows will do itself need not be complete here.
    if !findings.not_native.is_empty() {
        return Ok(());
    }
    install::install(&chosen, world, work, findings)
}

/// What of the source cannot be read here: of the folder that has the feature, or of all where none says so.
fn not_native_of_source(feature: &str, world: &World<'_>, findings: &mut Findings) {
    let has = |folder: &&SourceFolder<'_>| {
        let mut updates = folder.packages.iter().flat_map(|mum| &mum.updates);
        updates.any(|update| update.name.eq_ignore_ascii_case(feature))
    };
    let any = world.folders.iter().any(|folder| has(&folder));
    let concerned = world.folders.iter().filter(|folder| !any || has(folder));
    findings.not_native.extend(concerned.flat_map(|folder| folder.prepared.not_native.clone()));
}

/// The feature, and updates of its package that are no features and are in force only with it.
fn with_hidden(feature: &str, mum: &Mum) -> Vec<String> {
    let mut names: Vec<String> = vec![spelling(feature, mum)];
    loop {
        let before = names.len();
        for update in mum.updates.iter().filter(|update| update.selectable.is_none()) {
            let mut needed = update.applicable.iter().flat_map(|condition| &condition.updates);
            let follows =
                needed.any(|one| names.iter().any(|name| one.name.eq_ignore_ascii_case(name)));
            if follows && !names.contains(&update.name) {
                names.push(update.name.clone());
            }
        }
        if names.len() == before {
            return names;
        }
    }
}

/// Takes a feature out of force: its updates, those that depend on it, and packages that nothing else brings.
fn switch_off(
    name: &str,
    package: &InstalledPackage,
    mum: &Mum,
    payload: bool,
    world: &mut World<'_>,
    work: &mut Work,
    findings: &mut Findings,
) -> Result<(), ServicingError> {
    let dependants = dependants(name, world)?;
    if !dependants.is_empty() {
        let cause = format!("features that are on need it: {}", dependants.join(", "));
        let help = "disable them too; the recipe may list both";
        findings.missing(world.late, Problem::error(name, cause, help));
        return Ok(());
    }
    let on = package.state.is_installed() && is_on(mum, name, world)?.unwrap_or(false);
    if !on && !payload {
        return Ok(());
    }
    let spelled = spelling(name, mum);
    let names = with_hidden(name, mum);
    let mut off: BTreeSet<(String, String)> =
        names.iter().map(|update| (package.id.clone(), update.clone())).collect();
    // Packages that only those updates bring go to staged, with all in them.
    let mut queue: Vec<String> = inner(mum, &names);
    let mut staged: BTreeSet<String> = BTreeSet::new();
    while let Some(id) = queue.pop() {
        let Some(known) = world.installed.get(&id.to_lowercase()) else { continue };
        let others = known.owners.iter().any(|owner| {
            !owner.eq_ignore_ascii_case(&package.id)
                && !owner.eq_ignore_ascii_case(&known.id)
                && !staged.contains(&owner.to_lowercase())
        });
        let still = others || brought_by_others(mum, &names, &id, package, world)?;
        if still || known_permanent(world, &id) || !staged.insert(id.to_lowercase()) {
            continue;
        }
        let Some(known) = world.installed.get(&id.to_lowercase()) else { continue };
        let Some(inside) = &known.mum else { continue };
        let all: Vec<String> = inside.updates.iter().map(|update| update.name.clone()).collect();
        off.extend(all.iter().map(|update| (known.id.clone(), update.clone())));
        queue.extend(inner(inside, &all));
    }
    let mut changes: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    let mut components: BTreeSet<String> = BTreeSet::new();
    for (id, update_name) in &off {
        let Some(mum) = world.installed.get(&id.to_lowercase()).and_then(|known| known.mum.clone())
        else {
            continue;
        };
        changes.entry(id.clone()).or_default().push((update_name.clone(), false));
        for update in mum.updates.iter().filter(|update| update.name == *update_name) {
            for identity in &update.components {
                let Some(form) = world.find(identity) else { continue };
                let Some(manifest) = world.manifest(&form)? else { continue };
                let inside = world.components_of(&form, id)?;
                components.extend(inside.iter().cloned());
                work.deployments.push(DeploymentChange {
                    identity: manifest.identity.clone(),
                    key_form: form,
                    package: id.clone(),
                    update: update.name.clone(),
                    goal: Mark::Staged,
                    components: inside,
                    catalog: None,
                });
            }
        }
    }
    remove::leave(world, work)?;
    for (id, updates) in changes {
        let Some(known) = world.installed.get(&id.to_lowercase()).cloned() else { continue };
        let Some(mum) = known.mum.clone() else { continue };
        let features = updates
            .iter()
            .filter(|(name, _)| {
                mum.updates.iter().any(|update| update.name == *name && update.selectable.is_some())
            })
            .cloned()
            .collect();
        let state =
            if staged.contains(&id.to_lowercase()) { PackageState::Staged } else { known.state };
        work.packages.push(keys::PackageChange {
            id: known.id,
            mum: mum.into(),
            state,
            hidden: !known.visible,
            owners: known.owners,
            updates,
            features,
            new: false,
        });
    }
    if payload {
        // What others have staged or in force keeps its files.
        let mut marks: BTreeSet<String> =
            off.iter().map(|(id, update)| layout::reference(id, update)).collect();
        marks.extend(removed_before(package, mum, world)?);
        for component in components {
            if !world.is_held(&component, &marks)? {
                work.emptied.push(component);
            }
        }
        work.removed_features.push(spelled);
    }
    Ok(())
}

/// How the updates of the package's features whose payload went before hold deployments: they keep their marks, and need no files.
fn removed_before(
    package: &InstalledPackage,
    mum: &Mum,
    world: &mut World<'_>,
) -> Result<Vec<String>, ServicingError> {
    let mut found = Vec::new();
    for feature in mum.features() {
        let key = layout::cbs(r"Notifications\OptionalFeatures");
        let key = key.join(&Name::from(feature.name.as_str()));
        let removed = world.image.registry_value(&key, &"Removed".into());
        let removed = removed.map_err(|error| world.failed(error))?;
        if removed.and_then(|value| value.as_dword()) == Some(1) {
            let names = with_hidden(&feature.name, mum);
            found.extend(names.iter().map(|update| layout::reference(&package.id, update)));
        }
    }
    Ok(found)
}

fn known_permanent(world: &World<'_>, id: &str) -> bool {
    world
        .installed
        .get(&id.to_lowercase())
        .is_some_and(|known| known.state == PackageState::Permanent)
}

/// Ids of the packages that updates bring.
fn inner(mum: &Mum, names: &[String]) -> Vec<String> {
    mum.updates
        .iter()
        .filter(|update| names.contains(&update.name))
        .flat_map(|update| &update.packages)
        .map(|package| package.identity.package_id())
        .collect()
}

/// True when another update of the same package, which stays in force, brings the package `id` too.
fn brought_by_others(
    mum: &Mum,
    names: &[String],
    id: &str,
    package: &InstalledPackage,
    world: &mut World<'_>,
) -> Result<bool, ServicingError> {
    for update in &mum.updates {
        let brings = update
            .packages
            .iter()
            .any(|inner| inner.identity.package_id().eq_ignore_ascii_case(id));
        if names.contains(&update.name) || !brings {
            continue;
        }
        let on = is_on(mum, &update.name, world)?.unwrap_or_else(|| update.selectable.is_none());
        if on && package.state.is_installed() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Features that are on and need this one.
fn dependants(name: &str, world: &mut World<'_>) -> Result<Vec<String>, ServicingError> {
    let known = all(world);
    let mut found = Vec::new();
    for (feature, package) in &known {
        let mum = world.installed.get(&package.to_lowercase()).and_then(|known| known.mum.as_ref());
        let needed = mum.map(|mum| needs(feature, mum, &known)).unwrap_or_default();
        if needed.iter().any(|needed| needed.eq_ignore_ascii_case(name))
            && is_on_anywhere(feature, world)?
        {
            found.push(feature.clone());
        }
    }
    Ok(found)
}
