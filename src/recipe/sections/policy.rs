//! `[policy]`: choices, and rules that the finished image must keep.

use super::{BOOLEAN, START_WORDS, WHEN_NOT_NATIVE, key, table, word};
use crate::{
    recipe::shape::{MapShape, Pattern, Shape, Word},
    servicing::policy::Build,
};

pub(in crate::recipe) static POLICY: Shape = Shape::Table(&table(
    "the section [policy]",
    "What to do where there is a choice, and what the finished image must keep: an image that breaks a rule is not written.",
    &[
        key(
            "when-not-native",
            &WHEN_NOT_NATIVE,
            "what to do with an entry that cannot be applied here",
        ),
        key(
            "minimum-build",
            &BUILD,
            "the oldest Windows that is accepted: 26100.4061, or 10.0.26100.4061",
        ),
        key("no-pending", &BOOLEAN, "true: nothing may wait for the next start of Windows"),
        key("no-deferred", &BOOLEAN, "true: nothing may be left to the first boot"),
        key(
            "signed-drivers",
            &BOOLEAN,
            "true: every driver package that did not come with Windows must have a catalog that a known authority signed and that holds the hashes of its files",
        ),
        key("packages", &PACKAGES, "packages that must, or must not, be installed"),
        key("features", &FEATURES, "features that must, or must not, be enabled"),
        key("capabilities", &CAPABILITIES, "capabilities that must, or must not, be installed"),
        key("languages", &LANGUAGES, "display languages that must, or must not, be there"),
        key("drivers", &DRIVERS, "driver packages that must, or must not, be there"),
        key("apps", &APPS, "provisioned apps that must, or must not, be there"),
        key("services", &SERVICES, "services that must, or must not, be there, or how they start"),
    ],
));

static BUILD: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[0-9]+(\.[0-9]+){0,3}$",
    matches: |text| Build::parse(text).is_some(),
    what: "a build such as 26100.4061 or 10.0.26100.4061",
}));

/// The rules of an area: what they are about, and where their names come from.
const fn rules(about: &'static str, value: &'static Shape) -> MapShape {
    MapShape { valid: |_| true, about, value }
}

static PACKAGES: Shape = Shape::Map(&rules(
    "Packages by identity, or by the name alone; `*` is any text, `?` one character: \"Package_for_KB5066835~*\".",
    &VERDICT,
));
static FEATURES: Shape =
    Shape::Map(&rules("Features by name; `*` is any text, `?` one character.", &VERDICT));
static CAPABILITIES: Shape = Shape::Map(&rules(
    "Capabilities by identity, or by the name alone: \"OpenSSH.Server\"; `*` is any text, `?` one character.",
    &VERDICT,
));
static LANGUAGES: Shape =
    Shape::Map(&rules("Display languages by tag; `*` is any text, `?` one character.", &VERDICT));
static DRIVERS: Shape = Shape::Map(&rules(
    "Driver packages by the name of their INF, its own or the published one; `*` is any text, `?` one character: \"viostor.inf\".",
    &VERDICT,
));
static APPS: Shape = Shape::Map(&rules(
    "Provisioned apps by name or full name; `*` is any text, `?` one character: \"Microsoft.Xbox*\".",
    &VERDICT,
));
static SERVICES: Shape = Shape::Map(&rules(
    "Services by their key names; `*` is any text, `?` one character.",
    &Shape::Choice { words: &SERVICE_WORDS, other: None },
));

static VERDICT: Shape = Shape::Choice { words: &VERDICT_WORDS, other: None };
const VERDICT_WORDS: [Word; 2] = [REQUIRED, FORBIDDEN];
const REQUIRED: Word = word(
    "required",
    "one at least is in force; what waits for the next start is not yet",
)
.also(None, &["require", "needed", "must", "present", "enabled", "installed", "mandatory", "yes"]);
const FORBIDDEN: Word = word("forbidden", "none is in force, or about to be").also(
    None,
    &[
        "forbid",
        "absent",
        "disabled",
        "removed",
        "banned",
        "denied",
        "must-not",
        "prohibited",
        "no",
    ],
);
const SERVICE_WORDS: [Word; 8] = {
    let [boot, system, auto, delayed, manual, disabled] = START_WORDS;
    [
        word("required", "one at least is there, however it starts")
            .also(None, &["require", "needed", "must", "present"]),
        word("forbidden", "none is there")
            .also(None, &["forbid", "absent", "removed", "banned", "denied", "must-not"]),
        boot,
        system,
        auto,
        delayed,
        manual,
        disabled,
    ]
};
