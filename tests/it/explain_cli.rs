//! `transom explain` on the demo: one line of the recipe changes, and what ran and why is told; a file, a value, a driver, a folder; error codes.

use std::path::Path;

use serde_json::Value;

use crate::support::{expect_success, temporary_folder, transom};

fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = expect_success(transom(folder).args(arguments));
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let text = run(folder, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const RECIPE: &str = "transom-demo/demo.toml";

#[test]
fn one_changed_line_of_the_demo_is_explained() {
    let folder = temporary_folder();
    let folder = folder.path();
    run(folder, &["demo"]);
    let recipe = folder.join(RECIPE);
    let text = fs_err::read_to_string(&recipe).unwrap();
    fs_err::write(&recipe, text.replace("AllowTelemetry = 0", "AllowTelemetry = 1")).unwrap();
    let change = "values.AllowTelemetry is REG_DWORD 0x1 (1), was REG_DWORD 0x0 (0)";
    let before = run(folder, &["explain", RECIPE]);
    assert!(before.contains(&format!("now      step 10: {change}")), "{before}");
    assert!(before.contains("steps 11 to 19: depends on what step 10 does"), "{before}");
    assert!(run(folder, &["plan", RECIPE]).contains(&format!("(runs: {change})")));
    let built = json(folder, &["build", RECIPE]);
    assert_eq!(built["steps"][9]["why"][0], change);
    let after = run(folder, &["explain", RECIPE]);
    let key = r"registry.HKLM\SOFTWARE\Policies\Microsoft\Windows\DataCollection";
    assert!(after.contains("last     the last build ran 10 of 19 steps"), "{after}");
    assert!(after.contains(&format!("ran      step 10: {change}")), "{after}");
    let behind = format!("steps 11 to 19: the earlier step {key} has another result");
    assert!(after.contains(&behind), "{after}");
    assert!(after.contains("now      every step is cached"), "{after}");
    let json = json(folder, &["explain", RECIPE]);
    let steps = json["images"][0]["steps"].as_array().unwrap();
    let ran: Vec<u64> = steps
        .iter()
        .filter(|step| step["last-build"]["cached"] == false)
        .map(|step| step["number"].as_u64().unwrap())
        .collect();
    assert_eq!(ran, (10..=19).collect::<Vec<_>>());
    assert_eq!(steps[9]["last-build"]["causes"][0]["parameter"]["path"], "values.AllowTelemetry");
    assert_eq!(steps[0]["now"]["status"], "cached");
    // A second build finds nothing to do, and what the last one did is still told.
    run(folder, &["build", RECIPE]);
    assert_eq!(run(folder, &["explain", RECIPE]), after);
}

#[test]
fn places_of_the_demo_are_explained() {
    let folder = temporary_folder();
    let folder = folder.path();
    run(folder, &["demo"]);
    let place = |what: &str| run(folder, &["explain", RECIPE, "--path", what]);
    // Hard-linked from the component store.
    let file = place(r"C:\Windows\System32\contosort.exe");
    assert!(file.contains("It is as step 4 (packages.contoso-runtime) left it."), "{file}");
    let text = place(r"\Windows\Fonts\contoso.ttf");
    assert!(text.contains("(capabilities.Contoso.Fonts~~~~1.0) left it."), "{text}");
    let value = json(
        folder,
        &["explain", RECIPE, "--path", r"HKLM\SYSTEM\CurrentControlSet\Services\WSearch\Start"],
    );
    let value = &value["histories"][0];
    assert_eq!((&value["kind"], &value["of"]), (&"value".into(), &"plan".into()));
    assert_eq!(value["steps"][0]["name"], "services.WSearch");
    assert_eq!(value["place"], r"HKLM\SYSTEM\ControlSet001\Services\WSearch : Start");
    let listed = place(r"C:\ProgramData\Contoso");
    assert!(
        listed.contains(r"put-file  \ProgramData\Contoso\docs\readme.txt  52 bytes"),
        "{listed}"
    );
    // By a junction of the base.
    let linked = place(r"C:\Users\All Users\Contoso\agent.ini");
    assert!(linked.starts_with("\\ProgramData\\Contoso\\agent.ini\n"), "{linked}");
    let base = place(r"C:\Windows\notepad.exe");
    assert!(base.contains("It is the base image's own: no step changed it."), "{base}");
    let nowhere = place(r"C:\Windows\System32\notpad.exe");
    assert!(nowhere.contains(r"there is \Windows\System32\notepad.exe"), "{nowhere}");
    let detail = run(folder, &["explain", RECIPE, "contoso-tools"]);
    assert!(detail.contains("the parent of Contoso-Tools-Package"), "{detail}");
    assert!(detail.contains("more (--all shows them)"), "{detail}");
    let all = run(folder, &["explain", RECIPE, "contoso-tools", "--all"]);
    assert!(!all.contains("--all") && all.len() > detail.len(), "{all}");
}

#[test]
fn the_files_and_settings_of_a_driver_lead_to_its_step() {
    let folder = temporary_folder();
    let folder = folder.path();
    run(folder, &["demo"]);
    for (path, text) in crate::driver_fixture::FILES {
        let path = folder.join("transom-demo/drivers").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let recipe = folder.join(RECIPE);
    let text = fs_err::read_to_string(&recipe).unwrap();
    let drivers = "\n[drivers.net]\nsource = \"drivers/network\"\nunsigned = \"allow\"\n";
    fs_err::write(&recipe, format!("{text}{drivers}")).unwrap();
    let built = json(folder, &["build", RECIPE]);
    let step = built["steps"].as_array().unwrap().iter().find(|step| step["name"] == "drivers.net");
    assert_eq!(step.unwrap()["why"][0], "it is new in the recipe");
    let history = |place: &str| {
        let mut found = json(folder, &["explain", RECIPE, "--path", place]);
        found["histories"][0].take()
    };
    // Where a running Windows has it; an image has it in the driver store alone.
    let nowhere = history(r"C:\Windows\System32\drivers\testnet.sys");
    assert_eq!(nowhere["kind"], "nowhere");
    let file = nowhere["near"][0].as_str().unwrap();
    assert!(file.contains(r"\DriverStore\FileRepository\testnet.inf_amd64_"), "{file}");
    for place in [file, r"C:\Windows\INF\oem0.inf", r"C:\Windows\System32\DriverStore"] {
        let history = history(place);
        assert_eq!(history["steps"][0]["name"], "drivers.net", "{place}: {history:#}");
    }
    // Taken out of the recipe, it is told what was there.
    fs_err::write(&recipe, text).unwrap();
    let gone = run(folder, &["explain", RECIPE]);
    assert!(gone.contains("drivers.net\n      was in the last build"), "{gone}");
}

#[test]
fn of_variants_those_that_have_a_step_are_explained() {
    let folder = temporary_folder();
    let folder = folder.path();
    run(folder, &["demo"]);
    let recipe = folder.join(RECIPE);
    let text = fs_err::read_to_string(&recipe).unwrap();
    let text = text.replace("out/demo-client.wim", "out/${matrix.name}.wim");
    let matrix = "\n[matrix.one]\n[matrix.two.services]\nSpooler = \"disabled\"\n";
    fs_err::write(&recipe, format!("{text}{matrix}")).unwrap();
    let both = run(folder, &["explain", RECIPE]);
    assert!(both.contains("variant  one") && both.contains("variant  two"), "{both}");
    let step = run(folder, &["explain", RECIPE, "Spooler"]);
    assert!(step.starts_with("variant two\n\nstep 10: service Spooler: disabled"), "{step}");
    let path = run(folder, &["explain", RECIPE, "--path", r"C:\Windows\notepad.exe"]);
    assert!(path.starts_with("variant one\n\n") && path.contains("\nvariant two\n\n"), "{path}");
    let all = json(folder, &["explain", RECIPE, "RemoteRegistry"]);
    assert_eq!(all["variants"].as_array().unwrap().len(), 2);
    let one =
        transom(folder).args(["explain", RECIPE, "Spooler", "--variant", "one"]).output().unwrap();
    assert_eq!(one.status.code(), Some(2));
}

#[test]
fn what_is_no_step_and_no_place_ends_with_help() {
    let folder = temporary_folder();
    let folder = folder.path();
    run(folder, &["demo"]);
    let fails = |arguments: &[&str]| {
        let output = transom(folder).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = fails(&["explain", RECIPE, "services.WSaerch"]);
    assert!(code == 2 && error.contains("did you mean `services.WSearch`?"), "{code} {error}");
    let (code, error) = fails(&["explain", RECIPE, "40"]);
    assert!(code == 2 && error.contains("the recipe has steps 1 to 19"), "{code} {error}");
    let (code, error) = fails(&["explain", RECIPE, "contoso"]);
    assert!(code == 2 && error.contains("in the names of several steps"), "{code} {error}");
    let (code, error) = fails(&["explain", RECIPE, "--path", r"HKLM\HARDWARE\x"]);
    assert!(code == 2 && error.contains("made when Windows starts"), "{code} {error}");
    let (code, _) = fails(&["explain", RECIPE, "1", "--path", "x"]);
    assert_eq!(code, 2);
    let (code, _) = fails(&["explain", RECIPE, "--image", "9"]);
    assert_eq!(code, 2);
    let (code, error) = fails(&["explain", "nosuch.toml"]);
    assert!(code == 3 && error.contains("no such file"), "{code} {error}");
}

#[test]
fn error_codes_are_explained_without_a_recipe() {
    let folder = temporary_folder();
    let folder = folder.path();
    let expected = run(folder, &["explain", "0x800f081e"]);
    assert!(expected.contains("CBS_E_NOT_APPLICABLE") && expected.contains("-2146498530"));
    assert!(expected.contains("transom"), "{expected}");
    for code in ["-2146498530", "2148468766", "cbs_e_not_applicable", "800F081E"] {
        assert_eq!(run(folder, &["explain", code]), expected, "{code}");
    }
    let words = json(folder, &["explain", "source", "files", "could", "not", "be", "found"]);
    assert_eq!(words["errors"][0]["code"], "0x800f081f");
    let unknown = json(folder, &["explain", "0x80070718"]);
    assert_eq!(unknown["errors"][0]["parts"]["facility"], 7);
    assert_eq!(unknown["errors"][0]["documented"], false);
}
