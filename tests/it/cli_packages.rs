//! `transom inspect image` on the component store of an image, and `transom inspect package`.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    cbs_store::{GERMAN, PARTS, image},
    image_fixture::save,
    support::{shared_data, temporary_folder, transom},
};

const MSU: &str = "cbs/msu/windows6.1-kb4528069-x64_b00bef3c3a13b8bc65bfaea63426386dbb54c336.msu";

/// Standard output of a run that ends with `code`, and what it wrote to standard error.
fn run(home: &Path, code: i32, arguments: &[&str]) -> (String, String) {
    let output = transom(home).args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn inspect(home: &Path, view: &[&str]) -> String {
    let arguments: Vec<&str> =
        ["inspect", "image", "a.wim", "--index", "1"].iter().chain(view).copied().collect();
    run(home, 0, &arguments).0
}

fn inspect_json(home: &Path, view: &[&str]) -> Value {
    let view: Vec<&str> = view.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&inspect(home, &view)).unwrap()
}

#[test]
fn an_image_tells_its_packages_features_capabilities_and_languages() {
    let home = temporary_folder();
    let home = home.path();
    drop(save(image().finish().unwrap(), None, &home.join("a.wim")));

    let listed = inspect(home, &["--packages"]);
    assert!(listed.contains(PARTS), "{listed}");
    assert!(listed.ends_with("3 packages (4 hidden not shown; --all shows them)\n"), "{listed}");
    let all = inspect_json(home, &["--packages", "--all"]);
    assert_eq!(all["packages"].as_array().unwrap().len(), 7);
    assert_eq!(all["packages"][3]["id"], GERMAN);
    assert_eq!(all["packages"][3]["release-type"], "Language Pack");
    assert_eq!(all["packages"][3]["install-time"], "2024-04-10T17:55:10.9399552Z");
    assert!(all["packages"][0]["problem"].as_str().unwrap().contains("line 2"));
    let one = inspect(home, &["--package", "contoso-features"]);
    assert_eq!(one.matches("Package       ").count(), 2, "two versions: {one}");
    assert!(one.contains("Off: staged (0x40)"), "{one}");
    let one = inspect_json(home, &["--package", PARTS]);
    assert_eq!(one["packages"][0]["manifest"]["identifier"], "X");

    let features = inspect_json(home, &["--features"]);
    assert_eq!(features["features"][0]["name"], "Chosen");
    assert_eq!(features["features"][0]["status"], "enabled");
    let feature = inspect(home, &["--feature", "OFF"]);
    assert!(
        feature.contains("State       disabled\n") && feature.contains("Needs       Chosen\n"),
        "{feature}"
    );
    let (_, stderr) =
        run(home, 5, &["inspect", "image", "a.wim", "--index", "1", "--feature", "Chosn"]);
    assert!(stderr.contains("did you mean Chosen?"), "{stderr}");

    let capabilities = inspect_json(home, &["--capabilities"]);
    assert_eq!(capabilities["capabilities"].as_array().unwrap().len(), 1);
    let capabilities = inspect(home, &["--capabilities", "--all"]);
    assert!(capabilities.ends_with("2 capabilities\n"), "{capabilities}");
    let languages = inspect_json(home, &["--languages"]);
    let expected = json!({"languages": [
        {"tag": "de-DE", "registered": true, "default": false, "lcid": 0x407, "packages": [GERMAN], "state": "installed"},
        {"tag": "en-US", "registered": true, "default": true, "lcid": 0x409, "packages": [], "state": null},
    ]});
    assert_eq!(languages, expected);
    let pending = inspect_json(home, &["--pending"]);
    assert_eq!(pending["pending"].as_array().unwrap().len(), 2);
    assert_eq!(pending["servicing-stack"]["version"], "10.0.1.0");
}

#[test]
fn one_view_at_a_time() {
    let home = temporary_folder();
    for views in [
        &["--packages", "--features"][..],
        &["--drivers", "--languages"],
        &["--package", "a", "--feature", "b"],
        &["--languages", "--all"],
        &["--all"],
    ] {
        let arguments: Vec<&str> =
            ["inspect", "image", "a.wim"].iter().chain(views).copied().collect();
        run(home.path(), 2, &arguments);
    }
    let arguments = ["inspect", "image", "a.wim", "--features", "--all"];
    let (_, told) = run(home.path(), 2, &arguments);
    assert!(told.contains("--all goes with --drivers, --packages or --capabilities"), "{told}");
    assert!(told.contains("--features leaves nothing out"), "{told}");
}

#[test]
fn a_package_tells_what_it_is_and_whether_an_image_takes_it() {
    let home = temporary_folder();
    let home = home.path();
    run(home, 0, &["demo", "d", "--quiet"]);
    let into = ["--into", "d/media/install.wim", "--index", "1"];
    let inspect = |source: &str| -> Value {
        let arguments: Vec<&str> =
            ["inspect", "package", source, "--json"].into_iter().chain(into).collect();
        serde_json::from_str(&run(home, 0, &arguments).0).unwrap()
    };
    let runtime = inspect("d/packages/contoso-runtime.msu");
    assert_eq!((&runtime["native"], &runtime["image"]["applies"]), (&json!(true), &json!(true)));
    let package = &runtime["folders"][0]["packages"][0];
    assert_eq!(package["id"], "Contoso-Runtime-Package~31bf3856ad364e35~amd64~~1.0.0.0");
    assert_eq!(package["manifest"]["release-type"], "Update");
    let tools = inspect("d/packages/contoso-tools.cab");
    assert_eq!((&tools["native"], &tools["image"]["applies"]), (&json!(true), &json!(false)));
    let problems = tools["image"]["problems"].to_string();
    assert!(problems.contains("Contoso-Runtime-Package"), "{problems}");
    let arguments = ["inspect", "package", "d/packages/contoso-tools.cab"];
    let (text, _) = run(home, 0, &arguments.into_iter().chain(into).collect::<Vec<_>>());
    assert!(text.contains("Transom can install it natively\n"), "{text}");
    assert!(text.contains("It cannot be installed in the image\n"), "{text}");
}

#[test]
fn a_real_update_says_what_is_not_understood() {
    let Some(update) = shared_data(MSU) else { return };
    let home = temporary_folder();
    let (text, _) =
        run(home.path(), 0, &["inspect", "package", update.to_str().unwrap(), "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["native"], false);
    assert_eq!(report["folders"][0]["packages"].as_array().unwrap().len(), 5);
    let unknown = report["not-understood"].to_string();
    assert!(unknown.contains("ExtendedSecurityUpdatesAI"), "{unknown}");
    assert!(report["not-native"].to_string().contains("calc.exe"), "{text}");
}
