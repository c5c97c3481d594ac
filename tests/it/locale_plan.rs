//! `[locale]` in a recipe: what a plan says of it, and a language that the same recipe installs.

use transom::{
    cli::demo,
    plan::{Options, dism},
};

use crate::{pipeline_place::Place, support};

const HEAD: &str = "[base]\nwim = \"media/install.wim\"\nedition = \"Professional\"\n[output]\npath = \"out/golden.wim\"\n";
const GERMAN: &str = "[languages.de-DE]\nsource = \"languages/de-DE.cab\"\nunsigned = \"allow\"\n";

fn place(recipe: &str) -> Place {
    let folder = support::temporary_folder();
    demo::write_workspace(folder.path()).unwrap();
    let place = Place { folder };
    place.write("recipe.toml", format!("{HEAD}{recipe}").as_bytes());
    place
}

fn refused(recipe: &str) -> String {
    let place = place(recipe);
    if let Err(findings) = transom::recipe::load(&place.path("recipe.toml"), &[]) {
        return findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    }
    let error = place.plan_with(&place.store(), &Options::default()).unwrap_err();
    let all: Vec<String> = error
        .findings()
        .map(|finding| format!("{finding}; {}", finding.help().unwrap_or_default()))
        .collect();
    if all.is_empty() { error.to_string() } else { all.join("\n") }
}

#[test]
fn a_language_that_the_recipe_installs_can_be_the_default() {
    let settings = "[locale]\ndefaults = \"de-DE\"\ninput = \"de-DE; 0409:00000409\"\n";
    let without = refused(settings);
    assert!(without.contains("does not have this language"), "{without}");
    let place = place(&format!("{settings}{GERMAN}"));
    let plan = place.plan_with(&place.store(), &Options::default()).unwrap();
    let labels: Vec<&str> = plan.steps().map(|step| step.label.as_str()).collect();
    assert_eq!(labels, ["de-DE", "locale"]);
    let locale = &plan.images[0].steps[1];
    assert!(locale.reasons.iter().any(|reason| !reason.is_phase()), "{:?}", locale.reasons);
    assert_eq!(locale.title, "locale: defaults de-DE, input de-DE 0409:00000409");
    let script = dism::script(&plan);
    for call in ["/Set-SKUIntlDefaults:\"de-DE\"", "/Set-InputLocale:\"de-DE;0409:00000409\""] {
        assert!(script.contains(call), "{script}");
    }
}

#[test]
fn a_broken_language_is_blamed_and_not_the_locale_that_needs_it() {
    let recipe =
        format!("[locale]\nui = \"de-DE\"\n{GERMAN}").replace("unsigned = \"allow\"\n", "");
    let said = refused(&recipe);
    assert!(!said.contains("does not have this language"), "{said}");
}

#[test]
fn a_build_sets_the_default_language_in_the_xml() {
    let place = place(&format!(
        "{GERMAN}[locale]\ndefaults = \"de-DE\"\nlayered-driver = 1\ntimezone = \"UTC\"\n"
    ));
    drop(place.build());
    let wim = transom::format::wim::Wim::open_path(
        &place.path("out/golden.wim"),
        &transom::base::limits::Limits::default(),
    )
    .unwrap();
    let image = wim.xml().image(1).unwrap();
    let default = image.text(&["WINDOWS", "LANGUAGES", "DEFAULT"]);
    assert_eq!(default, Some("de-DE"));
}

#[test]
fn what_a_recipe_cannot_say_is_told() {
    for (text, expected) in [
        ("", "nothing is said in [locale]"),
        ("defaults = \"de-DE\"\nall = \"de-DE\"", "exclude each other"),
        ("ui = \"German (Germany)\"", "is not a language tag"),
        ("layered-driver = 7", "out of range"),
        ("input = []", "is empty"),
        ("time-zone = \"UTC\"", "has no key `time-zone`"),
    ] {
        let said = refused(&format!("[locale]\n{text}\n"));
        assert!(said.contains(expected), "{text}: {said}");
    }
}
