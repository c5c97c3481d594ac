//! Packages planned and built on an image with a component store: each step is checked on what the steps before it leave, and what cannot be done here waits
//! for the first boot.

use std::collections::BTreeSet;

use transom::{
    cli::demo::{
        self,
        packages::{Component, Package, identity},
    },
    image::Image,
    plan::{
        Options, Plan,
        state::{StepStatus, status},
        view,
    },
};

use crate::{
    pipeline_place::{Place, content, open},
    support,
};

const HEAD: &str = "[base]\nwim = \"media/install.wim\"\nedition = \"Professional\"\n[output]\npath = \"out/golden.wim\"\n";

/// The demo's workspace with a recipe.
fn place(recipe: &str) -> Place {
    let folder = support::temporary_folder();
    demo::write_workspace(folder.path()).unwrap();
    let place = Place { folder };
    say(&place, recipe);
    place
}

fn say(place: &Place, recipe: &str) {
    place.write("recipe.toml", format!("{HEAD}{recipe}").as_bytes());
}

/// What planning refuses: sentence, label and way out of every finding.
fn refused(place: &Place) -> String {
    let error = place.plan_with(&place.store(), &Options::default()).unwrap_err();
    let all: Vec<String> = error
        .findings()
        .map(|finding| {
            let labels: Vec<&str> = finding.labels().map(|label| label.text.as_str()).collect();
            format!("{finding} [{}] {}", labels.join("; "), finding.help().unwrap_or_default())
        })
        .collect();
    all.join("\n")
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.images[0].steps.iter().map(|step| step.label.as_str()).collect()
}

fn text(plan: &Plan, place: &Place) -> String {
    let mut text = String::new();
    view::text(plan, &status(plan, &place.store()).unwrap(), &mut text).unwrap();
    text
}

const PACKAGES: &str = r#"
[services]
ContosoRuntime = "auto"
[packages.tools]
source = "packages/contoso-tools.cab"
unsigned = "allow"
[features]
DemoTelnetServer = "enabled"
DemoTelnet = "enabled"
[packages.runtime]
source = "packages/contoso-runtime.msu"
unsigned = "allow"
[capabilities]
"Contoso.Fonts~~~~1.0" = { source = "fod", unsigned = "allow" }
[languages.de-DE]
source = "languages/de-DE.cab"
unsigned = "allow"
"#;

#[test]
fn what_is_given_in_the_wrong_order_is_planned_and_built_in_the_right_one() {
    let place = place(PACKAGES);
    let plan = place.plan();
    // The tools need the runtime, a feature its parent, and the service that the recipe starts comes with the runtime: checked on the image that these leave.
    let expected = [
        "de-DE",
        "Contoso.Fonts~~~~1.0",
        "DemoTelnet",
        "DemoTelnetServer",
        "runtime",
        "tools",
        "ContosoRuntime",
    ];
    let mut found = labels(&plan);
    found.sort_by_key(|label| expected.iter().position(|known| known == label));
    assert_eq!(found, expected);
    let at = |label: &str| labels(&plan).iter().position(|known| *known == label).unwrap();
    for (first, second) in [
        ("de-DE", "Contoso.Fonts~~~~1.0"),
        ("Contoso.Fonts~~~~1.0", "DemoTelnet"),
        ("DemoTelnet", "DemoTelnetServer"),
        ("runtime", "tools"),
        ("tools", "ContosoRuntime"),
    ] {
        assert!(at(first) < at(second), "{first} before {second}: {:?}", labels(&plan));
    }
    let shown = text(&plan, &place);
    assert!(shown.contains("needs Contoso-Runtime-Package~"), "{shown}");
    assert!(plan.images[0].steps.iter().all(|step| !step.deferred));
    let is = &plan.lock.inputs["packages/contoso-runtime.msu"].is;
    assert_eq!(is.len(), 1);
    assert!(is[0].starts_with("Contoso-Runtime-Package~") && is[0].ends_with("~amd64~~1.0.0.0"));
    assert!(plan.lock.to_text().contains("is = [\"Contoso-Runtime-Package~"));
    let (outcome, _) = place.build();
    assert!(outcome.steps.iter().all(|step| step.changed && !step.deferred), "{outcome:?}");
    let again = status(&place.plan(), &place.store()).unwrap();
    assert!(again.up_to_date && again.steps().all(|step| *step == StepStatus::Cached));
    // A lock without what inputs say of themselves is as good.
    place.plan().write_lock().unwrap();
    let text = String::from_utf8(place.read("recipe.lock")).unwrap();
    let old: Vec<&str> = text.lines().filter(|line| !line.starts_with("is = ")).collect();
    place.write("recipe.lock", old.join("\n").as_bytes());
    place.plan_with(&place.store(), &Options { locked: true, ..Options::default() }).unwrap();
}

#[test]
fn a_changed_step_is_checked_on_what_the_remembered_ones_leave() {
    let place = place(PACKAGES);
    place.plan();
    // Another step behind the packages: what was remembered of them is enough to order them, and they are done again to check it.
    place.edit("ContosoRuntime = \"auto\"", "ContosoRuntime = \"manual\"");
    place.plan();
    place.edit("ContosoRuntime =", "ContosoRuntim =");
    let told = refused(&place);
    assert!(
        told.contains("ContosoRuntim:") && told.contains("did you mean ContosoRuntime?"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_package_whose_parent_is_nowhere_is_refused_with_its_name() {
    let place =
        place("[packages.tools]\nsource = \"packages/contoso-tools.cab\"\nunsigned = \"allow\"\n");
    let told = refused(&place);
    assert!(told.contains("Contoso-Runtime-Package") && told.contains("0x800f081e"), "{told}");
    // What needs a step that cannot be done is not told of as well.
    say(
        &place,
        "[packages.tools]\nsource = \"packages/contoso-tools.cab\"\nunsigned = \"allow\"\n[packages.runtime]\nsource = \"packages/contoso-runtime.msu\"\n",
    );
    let told = refused(&place);
    assert!(told.contains("Contoso-Runtime-Package~"), "{told}");
    assert!(told.lines().all(|one| !one.contains("package tools")), "{told}");
}

#[test]
fn packages_that_need_each_other_are_refused_with_both_lines() {
    let of = |name: &str, parent: &str| Package {
        identity: identity(name, "1.0.0.0", "amd64", "neutral"),
        release_type: "Update".to_owned(),
        parents: vec![identity(parent, "1.0.0.0", "amd64", "neutral")],
        update: name.to_owned(),
        ..Package::default()
    };
    let entry = |name: &str| {
        format!("[packages.{name}]\nsource = \"packages/{name}.cab\"\nunsigned = \"allow\"\n")
    };
    let place = place(&(entry("one") + &entry("two")));
    for (name, parent) in [("one", "two"), ("two", "one")] {
        place.write(
            &format!("packages/{name}.cab"),
            &of(name, parent).cabinet(transom::format::cab::CabMethod::Stored),
        );
    }
    let error = place.plan_with(&place.store(), &Options::default()).unwrap_err();
    let finding = error.findings().next().unwrap();
    assert_eq!(finding.code(), "plan::cycle");
    let mut lines: Vec<usize> = finding.labels().map(|label| label.origin.line()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [6, 9]);
}

/// A package with an element that nobody here understands.
fn strange() -> Package {
    let task = "  <taskScheduler><Task xmlns=\"urn:x\"/></taskScheduler>\r\n";
    let component = Component {
        identity: identity("Contoso-Task", "1.0.0.0", "amd64", "neutral"),
        files: vec![("task.txt".to_owned(), r"$(runtime.system32)\".to_owned(), b"task".to_vec())],
        elements: task.to_owned(),
    };
    Package {
        identity: identity("Contoso-Task-Package", "1.0.0.0", "amd64", "neutral"),
        release_type: "Update".to_owned(),
        update: "Contoso-Task".to_owned(),
        components: vec![component],
        ..Package::default()
    }
}

/// Every file with its size and content.
fn tree(image: &Image) -> BTreeSet<String> {
    let tree = image.tree();
    tree.walk()
        .map(|id| format!("{} {}", tree.path_of(id), tree.inode(id).data().sha1))
        .filter(|line| !line.contains(r"\config\"))
        .collect()
}

#[test]
fn what_is_not_native_is_refused_by_name_or_waits_for_the_first_boot_and_nothing_else_changes() {
    let recipe = |when: &str| {
        format!(
            "[packages.task]\nsource = \"packages/task.cab\"\nunsigned = \"allow\"\nwhen-not-native = \"{when}\"\n"
        )
    };
    let place = place(&recipe("refuse"));
    let source = strange().cabinet(transom::format::cab::CabMethod::MsZip);
    place.write("packages/task.cab", &source);
    for when in ["refuse", "dism"] {
        say(&place, &recipe(when));
        let told = refused(&place);
        assert!(told.contains("taskScheduler") && told.contains("first-boot"), "{told}");
        assert_eq!(told.contains("--as dism"), when == "dism", "{told}");
    }
    say(&place, &recipe("first-boot"));
    let plan = place.plan();
    assert!(plan.images[0].steps[0].deferred);
    let shown = text(&plan, &place);
    assert!(shown.contains("left to the first boot"), "{shown}");
    let said = |plan: &Plan| plan.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let first = said(&plan);
    assert!(first.iter().any(|one| one.contains("taskScheduler")), "{first:?}");
    // Remembered, it is said again.
    let plan = place.plan();
    assert_eq!(said(&plan), first);
    assert!(plan.images[0].steps[0].deferred);
    let (outcome, _) = place.build();
    assert!(outcome.steps[0].deferred);
    let before = tree(&open(&place.path("media/install.wim"), plan.images[0].index));
    let image = place.output_image(1);
    let scripts = r"\Windows\Setup\Scripts";
    let new: Vec<String> = tree(&image)
        .difference(&before)
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let mut expected: Vec<String> = [
        "",
        r"\SetupComplete.cmd",
        r"\transom",
        r"\transom\01-package-task.cmd",
        r"\transom-packages",
        r"\transom-packages\package-task",
        r"\transom-packages\package-task\task.cab",
    ]
    .iter()
    .map(|path| format!("{scripts}{path}"))
    .collect();
    expected.insert(0, r"\Windows\Setup".to_owned());
    expected.retain(|path| !before.iter().any(|line| line.starts_with(&format!("{path} "))));
    let (mut new, mut expected) = (new, expected);
    new.sort();
    expected.sort();
    assert_eq!(new, expected);
    assert!(before.is_subset(&tree(&image)), "nothing of the base is gone or changed");
    let waiting = content(&image, &format!(r"{scripts}\transom-packages\package-task\task.cab"));
    assert_eq!(waiting, source);
    let command = content(&image, &format!(r"{scripts}\transom\01-package-task.cmd"));
    let command = String::from_utf8(command).unwrap();
    assert!(
        command.contains(r#"/Online /Add-Package /PackagePath:"%PAYLOAD%\task.cab""#),
        "{command}"
    );
}

#[test]
fn what_is_remembered_of_a_base_is_never_that_of_a_tried_image() {
    let recipe = |service: &str| {
        format!(
            "[languages.de-DE]\nsource = \"languages/de-DE.cab\"\nunsigned = \"allow\"\n[services]\nWSearch = \"{service}\"\n"
        )
    };
    let place = place(&recipe("manual"));
    place.plan();
    // The records that hold the facts of the base; they are forgotten, those of the steps are not.
    let facts = || {
        let all = walkdir(&place.path("."));
        let holds = |path: &std::path::PathBuf| {
            let bytes = fs_err::read(path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            text.contains("\"system-root\"") && text.contains("\"default-language\"")
        };
        all.into_iter().filter(holds).collect::<Vec<_>>()
    };
    let known = facts();
    assert!(!known.is_empty());
    known.iter().for_each(|path| fs_err::remove_file(path).unwrap());
    say(&place, &recipe("disabled"));
    place.plan();
    let known = facts();
    assert!(!known.is_empty());
    for path in known {
        let text = String::from_utf8_lossy(&fs_err::read(path).unwrap()).into_owned();
        assert!(!text.contains("de-DE"), "{text}");
    }
}

/// All files below a folder.
fn walkdir(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walkdir(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn what_needs_something_that_waits_for_the_first_boot_waits_behind_it() {
    let entry = |name: &str| {
        format!(
            "[packages.{name}]\nsource = \"packages/{name}.cab\"\nunsigned = \"allow\"\nwhen-not-native = \"first-boot\"\n"
        )
    };
    let child = |text: &str| Package {
        identity: identity("Contoso-Child-Package", "1.0.0.0", "amd64", "neutral"),
        release_type: "Update".to_owned(),
        parents: vec![strange().identity],
        update: "Contoso-Child".to_owned(),
        components: vec![Component {
            identity: identity("Contoso-Child", "1.0.0.0", "amd64", "neutral"),
            files: vec![(
                "child.txt".to_owned(),
                r"$(runtime.system32)\".to_owned(),
                text.as_bytes().to_vec(),
            )],
            elements: String::new(),
        }],
        ..Package::default()
    };
    let stored = transom::format::cab::CabMethod::Stored;
    let place = place(&(entry("child") + &entry("task")));
    place.write("packages/task.cab", &strange().cabinet(stored));
    place.write("packages/child.cab", &child("one").cabinet(stored));
    let plan = place.plan();
    assert_eq!(labels(&plan), ["task", "child"]);
    assert!(plan.images[0].steps.iter().all(|step| step.deferred), "{}", text(&plan, &place));
    // The first step is remembered, and the other is checked on what it leaves.
    place.write("packages/child.cab", &child("two").cabinet(stored));
    let plan = place.plan();
    assert!(plan.images[0].steps.iter().all(|step| step.deferred), "{}", text(&plan, &place));
    let (outcome, _) = place.build();
    assert!(outcome.steps.iter().all(|step| step.deferred), "{outcome:?}");
    let scripts = tree(&place.output_image(1));
    for name in ["01-package-task.cmd", "02-package-child.cmd"] {
        assert!(scripts.iter().any(|line| line.contains(name)), "{name}");
    }
    // Without the choice it is refused as before.
    say(&place, &(entry("task") + &entry("child").replace("first-boot", "refuse")));
    let told = refused(&place);
    assert!(told.contains("0x800f081e") && told.contains("Contoso-Task-Package"), "{told}");
    // The recipe's own SetupComplete.cmd runs first, and what waits is not lost.
    let files =
        "[[files]]\nfrom = \"own.cmd\"\nto = 'C:\\Windows\\Setup\\Scripts\\SetupComplete.cmd'\n";
    place.write("own.cmd", b"echo own\r\n");
    say(&place, &(entry("task") + files));
    place.build();
    let image = place.output_image(1);
    let folder = r"\Windows\Setup\Scripts";
    let kept = content(&image, &format!(r"{folder}\SetupComplete-before-transom.cmd"));
    assert_eq!(kept, b"echo own\r\n");
    let command = content(&image, &format!(r"{folder}\SetupComplete.cmd"));
    let command = String::from_utf8(command).unwrap();
    assert!(command.contains("01-package-task.cmd"), "{command}");
    for path in ["SetupComplete.cmd", "transom-packages"] {
        let gone =
            format!("[[files]]\nto = 'C:\\Windows\\Setup\\Scripts\\{path}'\nabsent = true\n");
        say(&place, &(entry("task") + &gone));
        assert!(refused(&place).contains("would be lost"), "{path}");
    }
    // Replaced folders lose what they hold; others may be put into.
    place.write("own/Other.cmd", b"echo other\r\n");
    for (to, lost) in [
        (r"Windows\Setup\Scripts", true),
        (r"windows\setup", true),
        (r"Windows\Setup\Scripts\transom-packages\package-task", true),
        (r"Windows\Setup\Scripts\mine", false),
    ] {
        let replace = format!("[[files]]\nfrom = \"own\"\nto = 'C:\\{to}'\nreplace = true\n");
        say(&place, &(entry("task") + &replace));
        if lost {
            let told = refused(&place);
            assert!(
                told.contains("would be lost") && told.contains("leave `replace` out"),
                "{told}"
            );
        } else {
            place.plan();
        }
    }
}

#[test]
fn a_feature_behind_what_waits_for_the_first_boot_is_one_that_something_planned_has() {
    let task = "[packages.task]\nsource = \"packages/task.cab\"\nunsigned = \"allow\"\nwhen-not-native = \"first-boot\"\n";
    let feature = |name: &str| {
        format!(
            "{task}[features]\n{name} = {{ state = \"enabled\", when-not-native = \"first-boot\" }}\n"
        )
    };
    let place = place(&feature("DemoTelnit"));
    let source = strange().cabinet(transom::format::cab::CabMethod::Stored);
    place.write("packages/task.cab", &source);
    let told = refused(&place);
    assert!(told.contains("0x800f080c") && told.contains("did you mean DemoTelnet"), "{told}");
    say(&place, &feature("Quartz"));
    let told = refused(&place);
    assert!(told.contains("neither the image nor a planned package"), "{told}");
    assert!(told.contains("inspect image --features"), "{told}");
    say(&place, &feature("demotelnet"));
    place.plan();
}

#[test]
fn a_driver_that_waits_for_the_first_boot_is_shown_so() {
    let driver = "[drivers.net]\nsource = \"drivers/net\"\nunsigned = \"allow\"\nwhen-not-native = \"first-boot\"\n";
    let place = place(driver);
    for (path, text) in crate::driver_fixture::FILES {
        if let Some(name) = path.strip_prefix("network/") {
            place.write(&format!("drivers/net/{name}"), text.as_bytes());
        }
    }
    let plan = place.plan();
    assert!(!plan.steps().next().unwrap().deferred, "it is native");
    let coinstaller = "\r\n[Net_Inst.CoInstallers]\r\nAddReg = Co_AddReg\r\n[Co_AddReg]\r\nHKR,,CoInstallers32,0x00010000,\"x.dll,Entry\"\r\n";
    let text_of_inf = format!("{}{coinstaller}", crate::driver_fixture::NETWORK_INF);
    place.write("drivers/net/testnet.inf", text_of_inf.as_bytes());
    // Looked at, and remembered.
    for _ in 0..2 {
        let plan = place.plan();
        assert!(plan.steps().next().unwrap().deferred);
        assert!(text(&plan, &place).contains("left to the first boot"), "{}", text(&plan, &place));
    }
    let (outcome, _) = place.build();
    assert!(outcome.steps[0].deferred);
    let mut printed = support::transom(place.folder.path());
    printed.args(["inspect", "image", "out/golden.wim", "--pending"]);
    let printed = String::from_utf8(support::expect_success(&mut printed).stdout).unwrap();
    assert!(printed.contains("Left to the first boot: 01-driver-net.cmd"), "{printed}");
}
