//! Whether a package applies to an image: architecture, parents, servicing stack, versions of components.
//!
//! A parent is any one of the identities that `parent` lists, in the image with the same name, token, architecture and language. Versions are
//! `major.minor.build.revision`; the four `...Compare` attributes say how a field is compared (`EQ`, `GE`), and a field without attribute must be equal to or
//! below what is there. Microsoft does not say which attribute names which field. From names and the real package KB4528069 (6.1.7601.17514 with
//! `buildCompare=EQ serviceCompare=EQ|GE`) it is read thus: `distributionCompare` the minor number, `buildCompare` the build, `serviceCompare` and
//! `revisionCompare` the revision. This is a guess.

use std::collections::BTreeMap;

use crate::{
    format::cbs::{
        Identity, Mum, Version,
        mum::{Parent, UpdateComponent},
    },
    servicing::{ServicingError, error::Problem},
};

use super::{
    store::{InstalledPackage, PackageState},
    world::World,
};

/// The name of servicing stacks as `installerAssembly` has it.
const STACK: &str = "Microsoft-Windows-ServicingStack";

/// Why the package cannot be installed in the image, the parents and the servicing stack left out.
pub(super) fn problems(mum: &Mum, id: &str, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !world.target.takes(&mum.identity.architecture) {
        let (has, is) = (world.target.architecture, &mum.identity.architecture);
        problems.push(Problem::error(
            id,
            format!("it is for {is}, the image is {has} (0x800f081e)"),
            "get the package for the image's architecture",
        ));
    }
    if mum.release_type.eq_ignore_ascii_case("Service Pack") {
        problems.push(Problem::error(
            id,
            "it is a service pack",
            "service packs are installed by a running Windows; use media that has it",
        ));
    }
    problems
}

/// That the image's servicing stack is older than the package needs.
pub(super) fn old_stack(
    mum: &Mum,
    id: &str,
    world: &mut World<'_>,
) -> Result<Option<Problem>, ServicingError> {
    let Some(installer) = &mum.installer else { return Ok(None) };
    if !installer.name.eq_ignore_ascii_case(STACK) {
        return Ok(None);
    }
    let old = world.stack_version()?.filter(|stack| *stack < installer.version);
    Ok(old.map(|stack| {
        Problem::error(
            id,
            format!(
                "it needs the servicing stack {} or newer, the image has {stack} (0x800f0823)",
                installer.version
            ),
            "use newer media, or install the servicing stack with Windows' own tools first",
        )
    }))
}

/// The first parent that the package does not find, for a person; `None` when all are there.
pub(super) fn missing_parent(
    mum: &Mum,
    world: &World<'_>,
    coming: &BTreeMap<String, Vec<Identity>>,
) -> Option<String> {
    mum.parents.iter().find(|parent| !is_there(parent, world, coming)).map(|parent| {
        let names: Vec<String> = parent.identities.iter().map(Identity::package_id).collect();
        names.join(" or ")
    })
}

/// `coming`: packages that this step installs before, by name in lower case.
fn is_there(parent: &Parent, world: &World<'_>, coming: &BTreeMap<String, Vec<Identity>>) -> bool {
    if parent.identities.is_empty() {
        return true;
    }
    let staged_is_enough = parent.disposition.eq_ignore_ascii_case("staged");
    let good = |package: &InstalledPackage| match package.state {
        PackageState::Superseded => true,
        state if staged_is_enough => state.is_staged(),
        state => state.is_installed(),
    };
    let matching = parent.identities.iter().any(|wanted| {
        let fits = |found: &Identity| {
            same_but_version(wanted, found) && compares(parent, wanted.version, found.version)
        };
        world.installed.values().any(|package| good(package) && fits(&package.identity))
            || coming.get(&wanted.name.to_lowercase()).into_iter().flatten().any(&fits)
    });
    if parent.disposition.eq_ignore_ascii_case("absent") { !matching } else { matching }
}

/// True for two versions of one package.
pub(super) fn same_but_version(one: &Identity, other: &Identity) -> bool {
    one.name.eq_ignore_ascii_case(&other.name)
        && one.public_key_token.eq_ignore_ascii_case(&other.public_key_token)
        && one.architecture.eq_ignore_ascii_case(&other.architecture)
        && (one.is_neutral() && other.is_neutral()
            || one.language.eq_ignore_ascii_case(&other.language))
}

fn compares(parent: &Parent, wanted: Version, found: Version) -> bool {
    let rules = [
        None,
        parent.distribution_compare.as_deref(),
        parent.build_compare.as_deref(),
        parent.service_compare.as_deref().or(parent.revision_compare.as_deref()),
    ];
    if rules.iter().all(Option::is_none) {
        return found >= wanted;
    }
    let fields = wanted.0.into_iter().zip(found.0).zip(rules);
    for ((wanted, found), rule) in fields {
        let fits = match rule {
            Some(rule) if rule.eq_ignore_ascii_case("EQ") => found == wanted,
            Some(rule) if rule.eq_ignore_ascii_case("GE") => found >= wanted,
            Some(_) => return false,
            None => found == wanted,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// True when the image has one of the components in an older or the same version. Microsoft does not say what the words of `elevate` (`serviceLevel`,
/// `revision`, `build`, `install`) change about that; the guess is that an update applies when the component is installed and would not go back.
pub(super) fn elevates(
    condition: &UpdateComponent,
    world: &mut World<'_>,
) -> Result<bool, ServicingError> {
    for identity in &condition.identities {
        let family = super::winners::Family::read(identity, world)?;
        if family.winner().is_some_and(|version| version <= identity.version) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent(build: Option<&str>, service: Option<&str>) -> Parent {
        Parent {
            build_compare: build.map(str::to_owned),
            service_compare: service.map(str::to_owned),
            ..Parent::default()
        }
    }

    #[test]
    fn versions_compare_by_field() {
        let wanted = Version([6, 1, 7601, 17514]);
        for (build, service, found, fits) in [
            (Some("EQ"), Some("EQ"), [6, 1, 7601, 17514], true),
            (Some("EQ"), Some("EQ"), [6, 1, 7601, 17515], false),
            (Some("EQ"), Some("GE"), [6, 1, 7601, 24000], true),
            (Some("EQ"), Some("GE"), [6, 1, 7602, 24000], false),
            (Some("GE"), Some("GE"), [6, 1, 7602, 17514], true),
            (Some("EQ"), Some("GE"), [6, 2, 7601, 17514], false),
            (None, None, [6, 2, 9200, 1], true),
            (None, None, [6, 1, 7601, 17513], false),
            (Some("LT"), None, [6, 1, 7601, 17514], false),
        ] {
            assert_eq!(
                compares(&parent(build, service), wanted, Version(found)),
                fits,
                "{found:?}"
            );
        }
    }
}
