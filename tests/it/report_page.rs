//! The report as a page: its outline, and the page itself in a real browser and before two validators.
//!
//! `tests/tools/report_page.mjs` does what a person does: opens a step, filters, zooms the plan, goes from it to a step, copies a digest; with and without a program,
//! in both themes, on a phone and on a wide screen. Its packages are those that `.ci/run` installs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use transom::pipeline::report::{Report, Run, documents};

use crate::support::{Tool, expect_success, oracle, say, temporary_folder, transom};

/// Where `.ci/run` puts the packages of the browser test; `TRANSOM_NODE` says otherwise.
const PACKAGES: &str = "target/ci/node";

/// A text that does harm wherever it is taken for anything but a text.
const HOSTILE: &str = "</title><script>alert(1)</script>]]>--><img src=x onerror=alert(2)>\"' onload='x' &amp; \u{202e}\u{0}";

fn step(number: usize, phase: &str, text: &str) -> Value {
    let reason = json!({"after": [1], "why": format!("order table: {phase} come later{text}")});
    let before = number.saturating_sub(1 + number % 3).max(1);
    let after = json!({"after": [before], "why": format!("both write \\Windows\\{number}{text}")});
    let changes: Vec<Value> = (0..20)
        .map(|at| json!({"kind": "set-value", "place": format!("HKLM\\SOFTWARE\\Contoso\\{at} : Name{text}"), "now": format!("REG_SZ \"{at}{text}\"")}))
        .collect();
    let changed = !number.is_multiple_of(5);
    json!({
        "number": number, "listed": number, "name": format!("{phase}.thing-{number}{text}"),
        "title": format!("{phase}: thing {number}{text}"), "phase": phase, "origin": format!("server.toml:{number}"),
        "reasons": [reason, after], "operation": phase, "parameters": {"text": text, "number": number},
        "inputs": [format!("files/{number}.cab{text}")], "key": "ab".repeat(32),
        "changeset": changed.then(|| "cd".repeat(32)), "deferred": number.is_multiple_of(7),
        "changes": {"counts": {"set-value": if changed { 25 } else { 0 }}, "bytes": 0, "first": if changed { changes } else { Vec::new() }, "more": if changed { 5 } else { 0 }},
        "nested": [],
    })
}

fn inventory(packages: usize, scale: u64, text: &str) -> Value {
    let package = |number: usize| json!({"id": format!("Package_{number}~31bf3856ad364e35~amd64~~10.0.{scale}.1{text}"), "state": "installed"});
    let folder = |path: &str, bytes: u64| json!({"path": path, "files": 9, "bytes": bytes});
    let mut folders =
        vec![folder("\\", 900_000_000 + scale * 1_000_000), folder("\\Windows", 800_000_000)];
    folders.extend((0..60).map(|at| {
        folder(
            &format!("\\Windows\\Folder{at}{text}"),
            1_000_000 * (at + 1) + scale * 9000 * (at % 3),
        )
    }));
    json!({
        "facts": {"architecture": "amd64", "major": 10, "minor": 0, "build": 26100, "revision": 1 + scale, "edition": format!("ServerStandard{text}"), "languages": ["en-US"], "windows-pe": false, "warnings": []},
        "packages": (0..packages).map(package).collect::<Vec<_>>(), "features": [], "capabilities": [],
        "languages": [{"tag": "en-US", "default": true, "registered": true}], "drivers": [],
        "services": [{"name": "RemoteRegistry", "start": if scale == 0 { "manual" } else { "disabled" }, "driver": false}],
        "apps": [], "settings": {"time-zone": format!("UTC{scale}{text}")},
        "pending": [{"place": format!("pending.xml{text}"), "what": "a transaction waits"}], "deferred": ["hello.cmd"],
        "folders": folders, "notes": [format!("drivers: cannot be read{text}")],
    })
}

/// A report and a run with so many images, steps and packages, and `text` in every text.
fn made(images: usize, steps: usize, packages: usize, text: &str) -> (Report, Run) {
    let phases = ["packages", "drivers", "services", "registry"];
    let of_image: Vec<Value> = (1..=steps)
        .map(|number| step(number, phases[(number - 1) * phases.len() / steps], text))
        .collect();
    let image = |index: usize| {
        json!({
            "base-index": index, "base-name": "Windows Server", "index": index, "name": format!("server {index}{text}"),
            "state": "12".repeat(32), "before": inventory(packages, 0, text), "inventory": inventory(packages, 7, text), "steps": of_image,
        })
    };
    let file = |name: &str| json!({"name": format!("{name}{text}"), "size": 12_345, "blake3": "0f".repeat(32), "is": [text]});
    let report = json!({
        "format": 1, "tool-version": "1.2.3",
        "recipe": {"name": "server.toml", "files": [file("server.toml")], "set": [text], "version": format!("2026.11{text}"), "lock-sha256": "ef".repeat(32)},
        "order-table": "2025-01.2", "epoch": "2026-11-01T00:00:00Z", "base": file("media/install.wim"), "inputs": [file("files/1.cab"), file("drivers")],
        "output": {"name": "server.wim", "files": [{"name": "server.wim", "size": 1_073_741_824_u64, "sha256": "99".repeat(32)}], "compression": "lzx", "commit": "77".repeat(32)},
        "images": (1..=images).map(image).collect::<Vec<_>>(),
        "policy": [format!("no pending work{text}")], "secrets": [format!("PASSWORD{text}")], "warnings": [format!("nobody vouches for it{text}")],
    });
    let span = |name: &str, start: usize, duration: usize| json!({"name": name, "start": start, "duration": duration});
    let runs: Vec<Value> = (1..=images)
        .flat_map(|image| (1..=steps).map(move |number| (image, number)))
        .map(|(image, number)| {
            let cached = !number.is_multiple_of(3);
            json!({
                "image": image, "number": number, "name": "", "cached": cached, "bytes": 0,
                "why": if cached { vec![] } else { vec![format!("start was \"manual\"{text}")] },
                "prepare": if cached { Value::Null } else { span("prepare", 200_000 + number * 900, 1400) },
                "apply": span("apply", 800_000 + number * 100, 90),
            })
        })
        .collect();
    let run = json!({
        "format": 1, "commit": "77".repeat(32), "started": "2026-11-21T17:30:00Z", "duration": 1_340_000,
        "host": {"system": "linux", "architecture": "x86_64", "threads": 8}, "up-to-date": false,
        "stages": [span("plan", 0, 190_000), span("prepare", 200_000, 500_000), span("apply", 800_000, 90_000), span("write", 900_000, 400_000)],
        "steps": runs, "copied-bytes": 1_000_000, "encoded-bytes": 2_000,
    });
    (serde_json::from_value(report).unwrap(), serde_json::from_value(run).unwrap())
}

fn page(report: &Report, run: &Run) -> String {
    let documents = documents(report, run);
    let page = documents.into_iter().find(|document| document.suffix == ".report.html");
    String::from_utf8(page.expect("there is a page").bytes).unwrap()
}

/// The page without style and program, a line for each element.
fn outline(page: &str) -> String {
    let mut text = page.to_owned();
    for name in ["style", "script"] {
        let (start, end) = (text.find(&format!("<{name}>")), text.find(&format!("</{name}>")));
        text.replace_range(start.unwrap()..end.unwrap(), &format!("<{name}>"));
    }
    let policy = "content=\"default-src";
    let start = text.find(policy).unwrap();
    let end = start + text[start..].find("\">").unwrap();
    text.replace_range(start..end, policy);
    text.replace('\n', " ").replace("><", ">\n<")
}

#[test]
fn the_page_of_a_small_build_is_as_it_was() {
    let (report, run) = made(1, 2, 1, "");
    insta::assert_snapshot!("report_page", outline(&page(&report, &run)));
}

#[test]
fn the_page_of_the_demo_can_be_used() {
    let Some(browser) = Browser::find() else { return };
    let folder = temporary_folder();
    expect_success(transom(folder.path()).args(["demo"]));
    let page = folder.path().join("transom-demo/out/demo-client.report.html");
    browser.check(&page, "demo");
}

#[test]
fn a_page_with_hostile_texts_and_several_images_can_be_used() {
    let Some(browser) = Browser::find() else { return };
    let (report, run) = made(2, 6, 3, HOSTILE);
    browser.check_text(&page(&report, &run), "hostile");
}

#[test]
fn the_page_of_a_big_build_can_be_used() {
    let Some(browser) = Browser::find() else { return };
    let (report, run) = made(1, 400, 3000, "");
    let page = page(&report, &run);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    browser.check_text(&page, "big");
}

/// Node with the packages of the browser test, and a browser.
struct Browser {
    node: Tool,
    chromium: PathBuf,
    packages: PathBuf,
}

impl Browser {
    /// `None` when something is missing, which is said.
    ///
    /// # Panics
    ///
    /// When something is missing and `TRANSOM_ORACLES=required`.
    fn find() -> Option<Self> {
        let (node, chromium) = (oracle("node")?, oracle("chromium")?);
        let packages =
            std::env::var_os("TRANSOM_NODE").map_or_else(|| root().join(PACKAGES), PathBuf::from);
        if packages.join("node_modules/playwright-core").is_dir() {
            return Some(Self { node, chromium: chromium.path, packages });
        }
        let line = format!(
            "oracle missing: packages of the browser test in {} (`.ci/run` installs them)",
            packages.display()
        );
        let required = std::env::var_os("TRANSOM_ORACLES").is_some_and(|value| value == "required");
        assert!(!required, "{line}");
        say(&line);
        None
    }

    fn check_text(&self, page: &str, name: &str) {
        let folder = temporary_folder();
        let file = folder.path().join(format!("{name}.report.html"));
        fs_err::write(&file, page).unwrap();
        self.check(&file, name);
    }

    /// Uses a page; pictures of it lie in `target/report-pages/NAME` then.
    fn check(&self, page: &Path, name: &str) {
        let mut command = self.node.command();
        command.arg(root().join("tests/tools/report_page.mjs")).arg(page);
        command.arg(root().join("target/report-pages").join(name));
        command.env("TRANSOM_NODE", &self.packages).env("TRANSOM_CHROMIUM", &self.chromium);
        let printed = expect_success(&mut command).stdout;
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.trim_end().ends_with(" checks, 0 problems"), "{printed}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
