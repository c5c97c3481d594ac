//! Tests of the whole page: nothing breaks out of it, all its parts fit together, its colours can be read, it stays small.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    pipeline::report::model::{
        ChangePart, Changes, FilePart, ImagePart, OutputFile, OutputPart, ReasonPart, RecipePart,
        StepPart,
    },
    pipeline::report::run::{Span, StepRun},
    servicing::inventory::{FolderSize, Inventory, PackageItem, PendingItem},
};

/// Elements that the page may have.
const ELEMENTS: &str = "html head meta link title style body a header p h1 h2 h3 h4 span code div nav ul li main section dl dt dd svg path rect circle text g strong button label input output ol details summary table caption thead tbody tr th td pre footer script";
/// Elements without an end.
const VOID: [&str; 3] = ["meta", "link", "input"];

fn file(name: &str) -> FilePart {
    FilePart {
        name: name.to_owned(),
        size: 12_345,
        blake3: "0f".repeat(32),
        is: vec!["one".to_owned(); 6],
        ..FilePart::default()
    }
}

fn step(number: usize, changes: usize) -> StepPart {
    let after = |number: usize, why: &str| ReasonPart { after: vec![number], why: why.to_owned() };
    let change = |place: usize| ChangePart {
        kind: "put-file".to_owned(),
        place: format!(
            r"\Windows\WinSxS\amd64_thing_31bf3856ad364e35_10.0.26100.{place}_none\file.dll"
        ),
        now: Some(format!("{place} bytes, BLAKE3 {}", "ab".repeat(32))),
    };
    let mut reasons = vec![after(1, "order table: services come later")];
    if number > 2 {
        reasons.push(after(number - 1, "both write it; the recipe names this one later"));
    }
    StepPart {
        number,
        listed: number,
        name: format!("services.Service{number}"),
        title: format!("service Service{number}: disabled"),
        phase: if number < 4 { "packages" } else { "services" }.to_owned(),
        origin: format!("server.toml:{number}"),
        reasons,
        operation: "service".to_owned(),
        parameters: json!({"service": {"start": "disabled", "nothing": null, "many": [1, {"a": "b"}]}}),
        inputs: vec!["packages/a.cab".to_owned()],
        key: "ab".repeat(32),
        changeset: (!number.is_multiple_of(3)).then(|| "cd".repeat(32)),
        deferred: number.is_multiple_of(4),
        changes: Changes {
            counts: BTreeMap::from([("put-file".to_owned(), changes as u64)]),
            bytes: 4096,
            first: (0..changes.min(200)).map(change).collect(),
            more: changes.saturating_sub(200) as u64,
        },
        nested: Vec::new(),
    }
}

fn inventory(packages: usize, scale: u64) -> Inventory {
    let folder = |path: &str, bytes: u64| FolderSize { path: path.to_owned(), files: 7, bytes };
    let package = |number: usize| PackageItem {
        id: format!("Package_for_KB{number}~31bf3856ad364e35~amd64~~10.0.{scale}.{number}"),
        state: "installed".to_owned(),
        release_type: None,
        display_name: Some(format!("Update {number}")),
        support: None,
        manifest_sha1: None,
    };
    Inventory {
        packages: (0..packages).map(package).collect(),
        settings: BTreeMap::from([("time-zone".to_owned(), format!("UTC+{scale}"))]),
        pending: vec![PendingItem { place: "pending.xml".to_owned(), what: "waits".to_owned() }],
        deferred: vec!["hello.cmd".to_owned()],
        folders: vec![
            folder(r"\", 100_000),
            folder(r"\Windows", 90_000),
            folder(r"\Windows\System32", 60_000 + scale * 100),
            folder(r"\Windows\Fonts", 3_000),
        ],
        notes: vec!["drivers: no hive".to_owned()],
        ..Inventory::default()
    }
}

/// A report with `images` of `steps` steps each.
fn report(images: u32, steps: usize, changes: usize, packages: usize) -> Report {
    let image = |index: u32| {
        let mut steps: Vec<StepPart> = (1..=steps).map(|number| step(number, changes)).collect();
        if let Some(first) = steps.first_mut() {
            first.nested = vec![step(1, 2), step(2, 2)];
        }
        ImagePart {
            base_index: index,
            base_name: Some("Windows Server".to_owned()),
            index,
            name: Some(format!("server-{index}")),
            state: "12".repeat(32),
            metadata_sha1: Some("34".repeat(20)),
            before: inventory(packages, 0),
            inventory: inventory(packages, 3),
            steps,
            ..ImagePart::default()
        }
    };
    Report {
        format: 1,
        tool_version: "1.2.3".to_owned(),
        recipe: RecipePart {
            name: "server.toml".to_owned(),
            files: vec![file("server.toml")],
            set: vec!["output.path=\"a\"".to_owned()],
            variant: Some("core".to_owned()),
            version: Some("2026.11".to_owned()),
            lock_sha256: "ef".repeat(32),
        },
        order_table: "2025-01.2".to_owned(),
        epoch: "2026-11-01T00:00:00Z".to_owned(),
        base: file("media/install.wim"),
        inputs: vec![file("packages/a.cab"), file("drivers")],
        output: OutputPart {
            name: "server.wim".to_owned(),
            files: vec![OutputFile {
                name: "server.wim".to_owned(),
                size: 1 << 30,
                sha256: Some("99".repeat(32)),
            }],
            compression: "lzx".to_owned(),
            guid: Some("{1}".to_owned()),
            commit: "77".repeat(32),
            ..OutputPart::default()
        },
        images: (1..=images).map(image).collect(),
        policy: vec!["no pending work".to_owned()],
        secrets: vec!["PASSWORD".to_owned()],
        warnings: vec!["nobody vouches for it".to_owned()],
    }
}

fn run(report: &Report) -> Run {
    let span =
        |name: &str, start: u64, duration: u64| Span { name: name.to_owned(), start, duration };
    let steps = report.images.iter().flat_map(|image| image.steps.iter().map(move |s| (image, s)));
    let steps = steps.map(|(image, step)| {
        let start = step.number as u64 * 1000;
        let ran = step.number.is_multiple_of(2);
        StepRun {
            image: image.base_index,
            number: step.number,
            name: step.name.clone(),
            cached: !ran,
            why: if ran { vec!["its start was manual".to_owned()] } else { Vec::new() },
            prepare: ran.then(|| span("prepare", start, 1500)),
            apply: Some(span("apply", start + 90_000, 700)),
            bytes: 77,
        }
    });
    Run {
        format: 1,
        started: "2026-11-21T17:30:00Z".to_owned(),
        duration: 1_340_000,
        stages: vec![span("plan", 0, 900), span("prepare", 1000, 80_000), span("other", 90_000, 9)],
        steps: steps.collect(),
        copied_bytes: 5,
        encoded_bytes: 6,
        ..Run::default()
    }
}

/// An element's name and attributes.
type Tag = (String, Vec<(String, String)>);

/// The elements of a page, and its texts; fails on what a strict reader would not take.
fn read(page: &str) -> (Vec<Tag>, String) {
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").expect("a document type");
    let (mut tags, mut texts, mut open): (Vec<Tag>, String, Vec<String>) = Default::default();
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        check_text(text);
        texts.push_str(text);
        let end = tag.find('>').expect("a tag ends");
        let inside = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "elements close in order");
            continue;
        }
        let closed = inside.ends_with('/');
        let inside = inside.strip_suffix('/').unwrap_or(inside);
        let name: String = inside.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        assert!(ELEMENTS.split(' ').any(|known| known == name), "an element {name}");
        let attributes = read_attributes(&inside[name.len()..]);
        if name == "style" || name == "script" {
            let end = rest.find(&format!("</{name}>")).expect("it ends");
            rest = &rest[end..];
        }
        if !closed && !VOID.contains(&name.as_str()) {
            open.push(name.clone());
        }
        tags.push((name, attributes));
    }
    check_text(rest);
    assert!(open.is_empty(), "everything is closed");
    (tags, texts)
}

fn check_text(text: &str) {
    assert!(!text.contains(['>', '"', '\'']), "{text:?}");
    for part in text.split('&').skip(1) {
        let entity = part.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "&{entity};");
    }
    let hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c)
    };
    assert!(!text.contains(hidden), "{text:?}");
}

fn read_attributes(mut rest: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix(' ').expect("a space before an attribute");
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        assert!(!name.is_empty() && !name.starts_with("on") && name != "style", "{name}");
        rest = &rest[name.len()..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix("=\"") {
            let (inside, next) = after.split_once('"').expect("a value ends");
            check_text(&inside.replace("&#39;", ""));
            value = inside.to_owned();
            rest = next;
        }
        attributes.push((name, value));
    }
    attributes
}

/// What must hold of every page.
fn check(page: &str) {
    let (tags, _) = read(page);
    let of = |wanted: &'static str| {
        tags.iter().flat_map(move |(_, attributes)| {
            attributes
                .iter()
                .filter(move |(name, _)| name == wanted)
                .map(|(_, value)| value.as_str())
        })
    };
    let ids: Vec<&str> = of("id").collect();
    let known: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), known.len(), "ids stand once");
    for target in of("href").filter(|target| !target.starts_with("data:image/svg+xml,")) {
        let target = target.strip_prefix('#').expect("links stay on the page");
        assert!(known.contains(target), "{target}");
    }
    let labels = of("aria-labelledby").flat_map(|ids| ids.split(' '));
    for label in labels.chain(of("for")).chain(of("data-list")) {
        assert!(known.contains(label), "{label}");
    }
    assert_eq!(tags.iter().filter(|(name, _)| name == "script").count(), 1);
    assert_eq!(of("src").count() + of("action").count() + of("srcset").count(), 0);
    let mut before = 0;
    for (name, _) in &tags {
        if let Some(level) = name.strip_prefix('h').and_then(|level| level.parse::<usize>().ok()) {
            assert!(level <= before + 1, "h{before}, then h{level}");
            before = level;
        }
    }
}

#[test]
fn pages_of_all_kinds_fit_together() {
    for (images, steps) in [(0, 0), (1, 0), (1, 1), (1, 9), (2, 9), (1, 60), (1, 160)] {
        let report = report(images, steps, 3, 4);
        let told = run(&report);
        check(&page(&report, &told));
        check(&page(&report, &Run { up_to_date: true, duration: u64::MAX, ..Run::default() }));
        assert_eq!(page(&report, &told), page(&report, &told));
    }
    check(&page(&Report::default(), &Run::default()));
}

#[test]
fn the_page_says_what_matters() {
    let report = report(1, 9, 3, 4);
    let (_, texts) = read(&page(&report, &run(&report)));
    let told = [
        "server-1",
        "2026.11",
        "server.toml",
        "Built in 1.3 s",
        "no pending work",
        "PASSWORD",
        "nobody vouches for it",
        "transom verify server.wim --against server.report.json",
        "pending.xml: waits",
        "hello.cmd",
        "its start was manual",
        &"99".repeat(32),
        "both write it; the recipe names this one later",
        "services come later",
        "UTC+3",
        "+300 B",
        "2 steps inside the recovery image",
        "drivers: no hive",
        "Settings of server-1: 1 change",
    ];
    for told in told {
        assert!(texts.contains(told), "{told}");
    }
    assert!(!texts.contains("null"), "no parameter without a value");
}

#[test]
fn a_big_build_has_a_page_that_opens() {
    let big = report(1, 400, 300, 3000);
    let page = page(&big, &run(&big));
    assert!(page.len() < 3_000_000, "{}", page.len());
    assert!(page.contains(" more, see server.report.json"));
    check(&page);
}

#[test]
fn the_security_policy_admits_what_the_page_has_and_nothing_else() {
    assert_eq!(digest(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert!(!STYLE.contains("</") && !PROGRAM.contains("</"), "neither ends its element");
    for forbidden in ["url(", "@import", "@font-face", "//"] {
        assert!(!STYLE.contains(forbidden), "the style has {forbidden}");
    }
    for forbidden in
        ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "fetch(", "import("]
    {
        assert!(!PROGRAM.contains(forbidden), "the program has {forbidden}");
    }
}

/// Every text of a report or run, and every name of a map, with `text` in it.
fn poisoned(value: &mut Value, text: &str) {
    match value {
        Value::String(held) => *held = format!("{text}{held}{text}"),
        Value::Array(values) => values.iter_mut().for_each(|value| poisoned(value, text)),
        Value::Object(fields) => {
            if let Some(value) = fields.remove("time-zone") {
                fields.insert(format!("{text}zone"), value);
            }
            if let Some(value) = fields.remove("put-file") {
                fields.insert(format!("{text}put"), value);
            }
            fields.values_mut().for_each(|value| poisoned(value, text));
        }
        _ => {}
    }
}

fn poisoned_page(text: &str) -> String {
    let report = report(2, 6, 2, 2);
    let (mut one, mut other) =
        (serde_json::to_value(&report).unwrap(), serde_json::to_value(run(&report)).unwrap());
    poisoned(&mut one, text);
    poisoned(&mut other, text);
    page(&serde_json::from_value(one).unwrap(), &serde_json::from_value(other).unwrap())
}

#[test]
fn a_hostile_text_stays_a_text() {
    let texts = [
        "<script>alert(1)</script>",
        "</title><script>x</script>",
        "]]>",
        "<!--",
        "-->",
        "\" onload=\"x",
        "' onload='x",
        "&lt;b&gt;",
        "\u{202e}gnp.exe",
        "\0\u{1b}[31m\r\n",
        "{{7*7}}`${x}`",
        "</style></script>",
        "javascript:alert(1)",
    ];
    for text in texts {
        check(&poisoned_page(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_text_opens_a_tag_or_an_attribute(parts in prop::collection::vec(
        prop_oneof![
            prop::sample::select(vec!["<", ">", "\"", "'", "&", "/", "=", " ", "<a ", "</", "<!--", "]]>", "on", "\\", "\u{202e}", "\0", "`", "%", "#"]).prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ], 1..12)) {
        check(&poisoned_page(&parts.concat()));
    }
}

/// The colours of a theme: those of the light one, and over them those of `theme`.
fn colours(dark: bool) -> BTreeMap<&'static str, [f64; 3]> {
    let parts: Vec<&str> =
        STYLE.split("\n@media screen and (prefers-color-scheme: dark) {").collect();
    let mut text = vec![parts[0]];
    if dark {
        text.push(parts[1].split("\n}\n").next().unwrap());
    }
    let mut colours = BTreeMap::new();
    for line in text.iter().flat_map(|text| text.lines()) {
        let Some((name, value)) = line.trim().strip_prefix("--").and_then(|l| l.split_once(": #"))
        else {
            continue;
        };
        let part =
            |at: usize| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
        colours.insert(name, [part(0), part(2), part(4)]);
    }
    colours
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let light = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(|part| {
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn all_texts_can_be_read_in_both_themes() {
    let grounds = ["ground", "surface", "sunken", "cached-soft", "accent-soft"];
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for text in ["ink", "muted"] {
        pairs.extend(grounds.map(|ground| (text, ground)));
    }
    pairs.extend(["ground", "surface", "accent-soft", "sunken"].map(|ground| ("accent", ground)));
    pairs.extend(
        ["plan", "prepare", "apply", "finish", "write", "flush"].map(|bar| ("on-stage", bar)),
    );
    pairs.extend(["same", "grown-1", "grown-2", "grown-3", "shrunk"].map(|tile| ("on-tile", tile)));
    pairs.extend([
        ("on-accent", "accent"),
        ("good", "good-soft"),
        ("good", "surface"),
        ("look", "look-soft"),
        ("look", "surface"),
        ("bad", "bad-soft"),
    ]);
    for dark in [false, true] {
        let colours = colours(dark);
        for (text, ground) in &pairs {
            let ratio = contrast(colours[text], colours[ground]);
            assert!(ratio >= 4.5, "{text} on {ground}, dark: {dark}: {ratio:.2}");
        }
        for ground in ["surface", "ground", "cached-soft"] {
            let ratio = contrast(colours["strong-line"], colours[ground]);
            assert!(ratio >= 2.7, "lines on {ground}, dark: {dark}: {ratio:.2}");
        }
    }
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    assert_ne!(colours(false)["ink"], colours(true)["ink"]);
}
