//! `[matrix]`: variants of one recipe.

use fs_err as fs;
use transom::recipe::{self, Findings, Recipe};

use crate::{
    cli_frame::ends_with,
    pipeline_place::{Place, number, open},
};
use transom::codec::Codec;

const RECIPE: &str = r#"
[vars]
company = "Farm"
[image]
name = "${company} ${matrix.name}"
[base]
wim = "base.wim"
edition = "ServerCore"
[services]
Spooler = "disabled"
RemoteRegistry = "manual"
[[files]]
from = "files/tree"
to = 'C:\Data\tree'
[output]
path = "out/${matrix.name}.wim"
[matrix.lab.services]
RemoteRegistry = "auto"
[matrix.kiosk]
drop = ["services.RemoteRegistry"]
[matrix.kiosk.vars]
company = "Kiosk"
[matrix.kiosk.base]
edition = "Professional"
[matrix.kiosk.registry.'HKLM\SOFTWARE\Kiosk']
Mode = 1
"#;

fn place() -> Place {
    let place = Place::new(Codec::Xpress);
    place.write("recipe.toml", RECIPE.as_bytes());
    place
}

fn load(place: &Place, sets: &[&str], only: Option<&str>) -> Result<Vec<Recipe>, Findings> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    recipe::load_variants(&place.path("recipe.toml"), &sets, only)
}

fn messages(result: Result<Vec<Recipe>, Findings>) -> Vec<String> {
    result.unwrap_err().iter().map(|finding| format!("{} {finding}", finding.code())).collect()
}

#[test]
fn a_variant_is_laid_over_the_recipe_and_below_the_command_line() {
    let place = place();
    let recipes = load(&place, &["services.Spooler=boot"], None).unwrap();
    let names: Vec<_> = recipes.iter().map(|recipe| recipe.variant.clone().unwrap()).collect();
    assert_eq!(names, ["lab", "kiosk"]);
    let text = |recipe: &Recipe| {
        let entries = recipe.entries.iter().map(|entry| entry.operation.title());
        let name = recipe.image.name.as_ref().unwrap().value.clone();
        let path = recipe.output.path.value.file_name().unwrap().to_str().unwrap().to_owned();
        entries.chain([name, path]).collect::<Vec<_>>().join("|")
    };
    let lab = text(&recipes[0]);
    assert!(lab.contains("Spooler: boot") || lab.contains("Spooler"), "{lab}");
    assert!(lab.contains("RemoteRegistry") && lab.ends_with("|Farm lab|lab.wim"), "{lab}");
    let kiosk = text(&recipes[1]);
    assert!(!kiosk.contains("RemoteRegistry"), "{kiosk}");
    assert!(kiosk.contains("Kiosk") && kiosk.ends_with("|Kiosk kiosk|kiosk.wim"), "{kiosk}");
    // The command line may change a variant too, and one alone may be taken.
    let set = ["matrix.lab.image.name=Mine"];
    let only = load(&place, &set, Some("lab")).unwrap();
    assert_eq!(only.len(), 1);
    assert_eq!(only[0].image.name.as_ref().unwrap().value, "Mine");
}

#[test]
fn mistakes_of_variants_are_named_once() {
    let place = place();
    let codes = |from: &str, to: &str, only: Option<&str>| {
        place.write("recipe.toml", RECIPE.as_bytes());
        place.edit(from, to);
        messages(load(&place, &[], only))
    };
    let both = codes("Spooler = \"disabled\"", "Spooler = \"disabeld\"", None);
    assert_eq!(both.len(), 1, "{both:?}");
    assert!(both[0].starts_with("recipe::wrong-value `disabeld`"), "{both:?}");
    let one = codes("RemoteRegistry = \"auto\"", "RemoteRegistry = \"atuo\"", None);
    assert_eq!(
        one,
        ["recipe::wrong-value variant `lab`: `atuo` is not a value of `RemoteRegistry`"]
    );
    let same = codes("out/${matrix.name}.wim", "out/one.wim", None);
    assert_eq!(same, ["recipe::same-output the variants `lab` and `kiosk` write the same file"]);
    let name = codes("[matrix.lab.services]", "[matrix.'a b'.services]", None);
    assert_eq!(name, ["recipe::variant-name `a b` cannot be the name of a variant"]);
    let case = codes("[matrix.lab.services]", "[matrix.KIOSK.services]", None);
    assert_eq!(case, ["recipe::variant-name two variants are called `kiosk`"]);
    let unknown = codes("[vars]", "[vars]\nx = 'y'", Some("labb"));
    assert_eq!(unknown, ["recipe::no-such-variant there is no variant `labb`"]);
    let inner = codes(
        "[matrix.lab.services]",
        "[matrix.lab]\nextends = ['x.toml']\n[matrix.lab.services]",
        None,
    );
    assert_eq!(inner, ["recipe::not-here a variant has no `extends`"]);
    let drop = codes("drop = [\"services.RemoteRegistry\"]", "drop = [\"services.Remote\"]", None);
    assert!(drop[0].starts_with("recipe::nothing-to-drop variant `kiosk`: "), "{drop:?}");
    // The other variant can be built all the same.
    assert!(load(&place, &[], Some("lab")).is_ok());
    place.write("recipe.toml", RECIPE.as_bytes());
    let alone = recipe::load(&place.path("recipe.toml"), &[]).unwrap_err();
    assert!(alone.iter().any(|finding| finding.code() == "recipe::variants"));
}

#[test]
fn no_variant_writes_what_another_reads_or_writes() {
    let place = place();
    let codes = |from: &str, to: &str| {
        place.write("recipe.toml", RECIPE.as_bytes());
        place.edit(from, to);
        messages(load(&place, &[], None))
    };
    let reads = "recipe::same-output the variant `kiosk` writes what the variant `lab` reads";
    // A part of a split set, whichever comes first.
    let split = "[matrix.lab.output]\npath = \"out/s.swm\"\nsplit-mib = 1\n[matrix.lab.services]";
    let other = "[matrix.kiosk.output]\npath = \"out/s2.swm\"\n[matrix.kiosk.vars]";
    place.write("recipe.toml", RECIPE.replace("[matrix.kiosk.vars]", other).as_bytes());
    place.edit("[matrix.lab.services]", split);
    let may = "recipe::same-output the variants `lab` and `kiosk` may write the same file";
    assert_eq!(messages(load(&place, &[], None)), [may]);
    place.edit("split-mib = 1\n", "");
    assert!(load(&place, &[], None).is_ok());
    let output = |path: &str| {
        let kiosk = format!("[matrix.kiosk.output]\npath = \"{path}\"\n[matrix.kiosk.vars]");
        codes("[matrix.kiosk.vars]", &kiosk)
    };
    assert_eq!(output("files/tree/x.wim"), [reads]);
    assert_eq!(
        codes(
            "[matrix.lab.services]",
            "[matrix.lab.base]\nwim = \"out/kiosk.wim\"\n[matrix.lab.services]"
        ),
        [reads]
    );
}

#[cfg(unix)]
#[test]
fn no_variant_writes_through_a_link_what_another_reads() {
    let place = place();
    let home = place.folder.path();
    std::os::unix::fs::symlink("files", place.path("link")).unwrap();
    let kiosk =
        "[matrix.kiosk.output]\npath = \"link/tree/x.wim\"\n[matrix.kiosk]\ndrop = [\"files\"]";
    place.edit("[matrix.kiosk]\ndrop = [\"services.RemoteRegistry\"]", "");
    let text = format!("{}\n{kiosk}\n", String::from_utf8(place.read("recipe.toml")).unwrap());
    place.write("recipe.toml", text.as_bytes());
    let (_, talk) = ends_with(home, 9, &["build", "recipe.toml"]);
    assert!(talk.contains("lies in a folder that the variant `lab` reads"), "{talk}");
    assert!(!place.path("files/tree/x.wim").exists() && !place.path("out/lab.wim").exists());
}

#[test]
fn variants_may_come_from_what_a_recipe_extends() {
    let place = place();
    place.write("common.toml", RECIPE.as_bytes());
    place.write("recipe.toml", b"extends = [\"common.toml\"]\n[matrix.lab.image]\nname = \"over\"\n[matrix.more.output]\npath = \"out/m.wim\"\n");
    let recipes = load(&place, &[], None).unwrap();
    let names: Vec<_> = recipes.iter().map(|recipe| recipe.variant.clone().unwrap()).collect();
    assert_eq!(names, ["lab", "kiosk", "more"]);
    assert_eq!(recipes[0].image.name.as_ref().unwrap().value, "over");
}

#[test]
fn every_variant_is_built_with_a_lock_of_its_own() {
    let place = place();
    let home = place.folder.path();
    let (check, _) = ends_with(home, 0, &["check", "recipe.toml"]);
    assert!(
        check.contains("recipe.toml [lab]: good") && check.contains("[kiosk]: good"),
        "{check}"
    );
    let (plan, _) = ends_with(home, 0, &["plan", "recipe.toml"]);
    assert!(plan.contains("variant  lab") && plan.contains("variant  kiosk"), "{plan}");
    ends_with(home, 2, &["plan", "recipe.toml", "--graph", "dot"]);
    let (dot, _) =
        ends_with(home, 0, &["plan", "recipe.toml", "--graph", "dot", "--variant", "lab"]);
    assert!(dot.starts_with("digraph"), "{dot}");
    let (locks, _) = ends_with(home, 0, &["lock", "recipe.toml"]);
    assert_eq!(locks, "recipe.lab.lock: written\nrecipe.kiosk.lock: written\n");
    let (json, _) = ends_with(home, 0, &["build", "recipe.toml", "--json", "--locked"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["variants"][0]["variant"], "lab");
    assert_eq!(json["variants"][1]["name"], "Kiosk kiosk");
    let start = |file: &str| {
        let service = r"HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry";
        number(&mut open(&place.path(file), 1), service, "Start")
    };
    assert_eq!((start("out/lab.wim"), start("out/kiosk.wim")), (Some(2), Some(3)));
    let (again, _) = ends_with(home, 0, &["build", "recipe.toml"]);
    assert_eq!(again.matches("up to date").count(), 2, "{again}");
    fs::remove_file(place.path("out/kiosk.wim")).unwrap();
    let (one, _) = ends_with(home, 0, &["build", "recipe.toml", "--variant", "kiosk", "--json"]);
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["variant"], &one["up-to-date"]), (&"kiosk".into(), &false.into()));
    // A recipe whose lock file would be a variant's.
    fs::write(place.path("recipe.lab.toml"), "").unwrap();
    let (_, talk) = ends_with(home, 9, &["build", "recipe.toml"]);
    assert!(talk.contains("two recipes have the lock file"), "{talk}");
    // Two recipes given together are compared in all their variants.
    fs::remove_file(place.path("recipe.lab.toml")).unwrap();
    fs::copy(place.path("recipe.toml"), place.path("copy.toml")).unwrap();
    ends_with(home, 3, &["check", "recipe.toml", "copy.toml"]);
}
