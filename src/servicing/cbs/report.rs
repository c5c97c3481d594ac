//! What a person is told of packages that cannot be installed natively.

use crate::{
    format::cbs::Mum,
    servicing::{error::Problem, not_native::WhenNotNative},
};

use super::effects::UnknownElement;

/// How many elements are named.
const NAMED: usize = 5;

/// Elements of a package that are not understood; `None` when there is none.
pub(super) fn unknown_in_package(id: &str, unknown: &[UnknownElement]) -> Option<Problem> {
    let listed: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    native(id, listed)
}

/// Elements of the components of a package that are not understood.
pub(super) fn unknown_in_components(
    id: &str,
    unknown: &[(String, UnknownElement)],
) -> Option<Problem> {
    let listed =
        unknown.iter().map(|(component, element)| format!("{component}: {element}")).collect();
    native(id, listed)
}

fn native(id: &str, mut listed: Vec<String>) -> Option<Problem> {
    let more = listed.len().saturating_sub(NAMED);
    listed.truncate(NAMED);
    if listed.is_empty() {
        return None;
    }
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let cause = format!("it cannot be installed natively: {}{more}", listed.join("; "));
    Some(Problem::error(id, cause, ""))
}

/// A cumulative update, by its name.
pub(super) fn is_cumulative(mum: &Mum) -> bool {
    mum.identity.name.to_lowercase().starts_with("package_for_rollupfix")
}

/// Packages that are never installed natively, whatever they hold.
pub(super) fn never_native(mum: &Mum, id: &str) -> Option<Problem> {
    let what = never(mum)?;
    Some(Problem::error(id, format!("it cannot be installed natively: {what}"), ""))
}

/// Packages that are never removed natively either.
pub(super) fn never_removed_natively(mum: &Mum, id: &str) -> Option<Problem> {
    let what = never(mum)?;
    Some(Problem::error(id, format!("it cannot be removed natively: {what}"), ""))
}

/// What a package is that is never dealt with natively.
fn never(mum: &Mum) -> Option<&'static str> {
    let name = mum.identity.name.to_lowercase();
    Some(if mum.self_update || name.starts_with("package_for_servicingstack") {
        "it is a servicing stack, and a wrong one would end all servicing of the image"
    } else if is_cumulative(mum) {
        "it is a cumulative update, which chooses among ten thousand components by rules that nobody has described"
    } else if mum.release_type.eq_ignore_ascii_case("Product") {
        "it is an edition of Windows"
    } else {
        return None;
    })
}

/// What a problem of that kind means for the recipe's choice.
pub(super) fn by_choice(problem: &Problem, when: WhenNotNative, windows_pe: bool) -> Problem {
    let with = |warning: bool, cause: String, help: &str| Problem {
        item: problem.item.clone(),
        cause,
        help: help.to_owned(),
        warning,
    };
    let cause = problem.cause.clone();
    match when {
        WhenNotNative::Refuse => with(
            false,
            cause,
            "with `when-not-native = \"first-boot\"` Windows does it when it starts first",
        ),
        WhenNotNative::Dism => with(
            false,
            cause,
            "steps through DISM are not in this version; `when-not-native = \"first-boot\"` is the way, `transom plan --as dism` prints the commands",
        ),
        WhenNotNative::FirstBoot if windows_pe => with(
            false,
            cause,
            "a Windows PE runs no scripts of a first boot: such a package cannot go into it",
        ),
        WhenNotNative::FirstBoot => with(
            true,
            format!("{cause}; it is left to the first boot"),
            "the first boot takes longer, and the image is not complete before it",
        ),
    }
}
