//! Several images from one recipe: what each is, what they share, what is said of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use transom::{
    base::{digest::Sha1, limits::Limits},
    codec::Codec,
    format::wim::Wim,
    pipeline::verify_output,
    plan::{
        Plan,
        lock::Lock,
        state::{self, StepStatus},
        view::{self, GraphLanguage},
    },
};

use crate::{
    pipeline_place::{Place, content, number, open},
    support::oracle,
};

const TELEMETRY: &str = r"HKLM\SOFTWARE\Policies\Telemetry";
const SPOOLER: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Spooler";
const BODY: &str = r#"
[services]
Spooler = "disabled"
[registry.'HKLM\SOFTWARE\Policies\Telemetry']
AllowTelemetry = 0
[[files]]
from = "files/one.txt"
to = 'C:\Data\one.txt'
[[files]]
from = "files/tree"
to = 'C:\Data\tree'
[output]
path = "out/golden.wim"
"#;

/// A place whose recipe builds several images, chosen as `base` says.
fn place(base: &str, codec: Codec) -> Place {
    let place = Place::new(codec);
    place.write("recipe.toml", format!("[base]\nwim = \"base.wim\"\n{base}\n{BODY}").as_bytes());
    place
}

fn wim(place: &Place) -> Wim {
    Wim::open_path(&place.path("out/golden.wim"), &Limits::default()).unwrap()
}

fn names(wim: &Wim) -> Vec<&str> {
    (1..=wim.image_count()).map(|index| wim.xml().image_name(index).unwrap()).collect()
}

/// Everything is what its SHA-1 says, and each content is there once, counted as often as it is named.
fn assert_sound(path: &Path) {
    let report = verify_output(path, &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    let wim = Wim::open_path(path, &Limits::default()).unwrap();
    let mut counts: BTreeMap<Sha1, u32> = BTreeMap::new();
    for index in 1..=wim.image_count() {
        for dentry in wim.metadata(index).unwrap().dentries {
            for stream in dentry.streams.iter().filter(|stream| !stream.sha1.is_zero()) {
                *counts.entry(stream.sha1).or_insert(0) += 1;
            }
        }
    }
    let table: Vec<(Sha1, u32)> =
        wim.blobs().iter().map(|blob| (blob.sha1, blob.reference_count)).collect();
    let each: BTreeSet<Sha1> = table.iter().map(|(sha1, _)| *sha1).collect();
    assert_eq!(each.len(), table.len(), "each content is there once");
    assert_eq!(table.into_iter().collect::<BTreeMap<_, _>>(), counts);
    if let Some(tool) = oracle("wimlib-imagex") {
        let path = path.to_str().unwrap();
        tool.run(["verify", path]);
        for index in 1..=wim.image_count() {
            let listed = tool.run(["dir", path, &index.to_string(), "--detailed"]);
            assert!(String::from_utf8_lossy(&listed).contains("Reference Count"));
        }
    }
    if let Some(tool) = oracle("7z") {
        tool.run(["t", path.to_str().unwrap()]);
    }
}

fn text(plan: &Plan, place: &Place) -> String {
    let status = state::status(plan, &place.store()).unwrap();
    let mut text = String::new();
    view::text(plan, &status, &mut text).unwrap();
    text
}

#[test]
fn each_image_is_built_and_what_they_share_is_there_once() {
    for codec in [Codec::None, Codec::Xpress, Codec::Lzx] {
        let place = place("editions = [\"ServerCore\", \"Professional\"]", codec);
        let (outcome, told) = place.build();
        assert_sound(&place.path("out/golden.wim"));
        let wim = wim(&place);
        // In the recipe's order; the base boots its second image.
        assert_eq!(names(&wim), ["Server", "Client"]);
        assert_eq!(wim.header().boot_index, 1);
        assert_eq!(wim.xml().image_flags_edition(1), Some("ServerCore"));
        for (index, name) in [(1, "Server"), (2, "Client")] {
            let mut image = place.output_image(index);
            assert_eq!(number(&mut image, TELEMETRY, "AllowTelemetry"), Some(0));
            assert_eq!(number(&mut image, SPOOLER, "Start"), Some(4));
            assert_eq!(content(&image, r"Data\tree\sub\b.bin"), vec![7; 100_000]);
            assert_eq!(
                content(&image, r"Windows\readme.txt"),
                format!("this is {name}").as_bytes()
            );
        }
        let shared = Sha1::of(&b"both images have this ".repeat(4000));
        assert_eq!(wim.blob(&shared).unwrap().reference_count, 2);
        // Four steps each; the two with inputs are prepared once.
        assert_eq!(outcome.steps.len(), 8);
        assert_eq!(told.prepared.len(), 2, "{told:?}");
        assert_eq!(told.applied.len(), 8);
        let images: Vec<u32> = outcome.images.iter().map(|image| image.image).collect();
        assert_eq!(images, [2, 1]);
        assert_eq!(outcome.steps[0].image, Some(2));
        let (again, told) = place.build();
        assert!(again.up_to_date && told.up_to_date);
        assert_eq!((again.state, again.commit), (outcome.state, outcome.commit));
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let mut outputs = BTreeSet::new();
    for threads in [1, 2, 5] {
        let place = place("indexes = [1, 2]", Codec::Lzx);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| place.build());
        outputs.insert(place.read("out/golden.wim"));
    }
    assert_eq!(outputs.len(), 1);
}

#[test]
fn an_image_is_what_it_would_be_alone() {
    let several = place("indexes = [1, 2]\nexpect = { build = \"26100\" }", Codec::Xpress);
    several.edit("[output]", "[output]\nepoch = 2026-01-01T00:00:00Z");
    several.build();
    for index in [1, 2] {
        let alone = place(&format!("index = {index}"), Codec::Xpress);
        alone.edit("[output]", "[output]\nepoch = 2026-01-01T00:00:00Z");
        alone.build();
        let metadata = |place: &Place, index| wim(place).metadata_blob(index).unwrap().sha1;
        assert_eq!(metadata(&alone, 1), metadata(&several, index));
    }
}

#[test]
fn all_images_can_be_built_and_what_is_not_built_can_be_kept() {
    let all = place("images = \"all\"", Codec::Xpress);
    all.build();
    assert_sound(&all.path("out/golden.wim"));
    assert_eq!(names(&wim(&all)), ["Client", "Server"]);
    assert_eq!(wim(&all).header().boot_index, 2);
    // Two built, in any order, and every image of the base in its place.
    let kept = place("indexes = [2, 1]", Codec::Xpress);
    kept.edit("[output]", "[output]\nimages = \"all\"");
    kept.build();
    assert_sound(&kept.path("out/golden.wim"));
    assert_eq!(names(&wim(&kept)), ["Client", "Server"]);
    let metadata = |place: &Place, index| wim(place).metadata_blob(index).unwrap().sha1;
    for index in [1, 2] {
        assert_eq!(metadata(&kept, index), metadata(&all, index));
    }
}

#[test]
fn names_are_given_one_by_one() {
    let images = "[[base.images]]\nindex = 2\nnew-name = \"Farm server\"\nnew-description = \"for the farm\"\n[[base.images]]\nname = \"client\"";
    let place = place(images, Codec::Xpress);
    place.edit("[base]", "[image]\ndescription = \"common\"\n[base]");
    let (outcome, _) = place.build();
    assert_sound(&place.path("out/golden.wim"));
    let wim = wim(&place);
    assert_eq!(names(&wim), ["Farm server", "Client"]);
    assert_eq!(wim.xml().description(1), Some("for the farm"));
    assert_eq!(wim.xml().description(2), Some("common"));
    assert_eq!(outcome.images[0].name.as_deref(), Some("Farm server"));
    place.edit("new-name = \"Farm server\"", "new-name = \"Client\"");
    let error = place.plan_error();
    assert!(error.contains("two images of the output would have one name"), "{error}");
}

#[test]
fn solid_and_split_outputs_hold_several_images_too() {
    let solid = place("images = \"all\"", Codec::Lzx);
    solid.edit("[output]", "[output]\ncompression = \"solid\"\nchunk-kib = 64");
    solid.build();
    assert_sound(&solid.path("out/golden.wim"));
    let split = place("images = \"all\"", Codec::None);
    split.edit("out/golden.wim\"", "out/golden.swm\"\nsplit-mib = 1");
    split.write(
        "files/tree/large.bin",
        &(0..3_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()[..2_500_000],
    );
    split.write(
        "files/tree/larger.bin",
        &(1..3_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()[..1_500_000],
    );
    split.build();
    let first = split.path("out/golden.swm");
    let report = verify_output(&first, &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    let wim = Wim::open_path(&first, &Limits::default()).unwrap();
    assert!(wim.volumes().len() > 1);
    assert_eq!(names(&wim), ["Client", "Server"]);
    assert_eq!(content(&open(&first, 2), r"Data\one.txt"), b"one");
    if let Some(tool) = oracle("wimlib-imagex") {
        let references = format!("--ref={}", split.path("out/golden*.swm").display());
        tool.run(["verify", first.to_str().unwrap(), &references]);
    }
}

#[test]
fn a_refusal_names_the_image() {
    let place = place("images = \"all\"", Codec::Xpress);
    place.edit("Spooler =", "DNS =");
    let error = place.plan_error();
    assert!(error.contains("image 1 \"Client\": ") && !error.contains("image 2"), "{error}");
    place.edit("DNS =", "NoSuchService =");
    let error = place.plan_error();
    assert!(error.contains("every image: ") && !error.contains("image 2"), "{error}");
    place.edit("images = \"all\"", "index = 2");
    let error = place.plan_error();
    assert!(!error.contains("image 2: ") && !error.contains("every image"), "{error}");
}

#[test]
fn a_choice_that_cannot_be_is_refused() {
    let refused = |base: &str, says: &str| {
        let error = place(base, Codec::None).plan_error();
        assert!(error.contains(says), "{says}: {error}");
    };
    refused("editions = [\"Profesional\", \"ServerCor\"]", "did you mean `ServerCore`?");
    refused("indexes = [1, 2, 3]", "the base has not image 3");
    refused("indexes = [1, 2, 1]", "an image of the base is selected twice");
    refused("images = \"all\"\nexpect = { build = \"1\" }", "every image: the base image is not");
}

#[test]
fn a_step_that_is_cached_in_one_image_is_shown_so() {
    let place = place("index = 1", Codec::Xpress);
    place.edit("[output]", "[output]\nepoch = 2026-01-01T00:00:00Z");
    place.build();
    // What was done to the first image is known when it is built together with another one.
    place.edit("index = 1", "indexes = [1, 2]");
    let plan = place.plan();
    let status = state::status(&plan, &place.store()).unwrap();
    assert!(status.images[0].steps.iter().all(|status| *status == StepStatus::Cached));
    let StepStatus::Runs(why) = &status.images[1].steps[0] else { panic!("{status:#?}") };
    assert_eq!(why, &[transom::plan::Cause::NewImage]);
    let shown = text(&plan, &place);
    for line in [
        "\nimage 1 \"Client\"\n",
        "\nimage 2 \"Server\"\n",
        "\n4 steps, 4 cached, 0 to run\n",
        "\n4 steps, 0 cached, 1 to run, 3 depending on those\n",
        "\n2 images: 8 steps, 4 cached, 1 to run, 3 depending on those\n",
    ] {
        assert!(shown.contains(line), "{line:?}: {shown}");
    }
    let (outcome, told) = place.build();
    assert_eq!(told.prepared, [0; 0]);
    assert_eq!((outcome.cached_steps(), told.applied.len()), (4, 4));
    let status = state::status(&place.plan(), &place.store()).unwrap();
    assert!(status.up_to_date);
    // One image less is another output, of known steps.
    place.edit("indexes = [1, 2]", "indexes = [2, 1]");
    let (outcome, _) = place.build();
    assert_eq!(outcome.cached_steps(), 8);
    assert_eq!(names(&wim(&place)), ["Server", "Client"]);
}

#[test]
fn what_one_image_prepares_is_not_prepared_again_for_the_next() {
    let place = place("indexes = [1, 2]", Codec::Xpress);
    place.edit("[services]\nSpooler = \"disabled\"\n", "");
    place.edit("[registry.'HKLM\\SOFTWARE\\Policies\\Telemetry']\nAllowTelemetry = 0\n", "");
    let shown = text(&place.plan(), &place);
    assert!(shown.contains("; reuses what image 1 prepares)"), "{shown}");
}

#[test]
fn json_and_graphs_tell_the_images_apart() {
    let place = place("indexes = [1, 2]", Codec::Xpress);
    let plan = place.plan();
    let status = state::status(&plan, &place.store()).unwrap();
    let json = serde_json::to_value(view::view(&plan, &status)).unwrap();
    assert_eq!(json["images"][1]["name"], "Server");
    assert_eq!(json["images"][1]["steps"], 4);
    assert_eq!(json["steps"].as_array().unwrap().len(), 8);
    assert_eq!(json["steps"][7]["image"], 2);
    let dot = view::graph(&plan, GraphLanguage::Dot);
    assert!(dot.contains("i1_s1 [label=") && dot.contains("i2_s4 [label="), "{dot}");
    let mermaid = view::graph(&plan, GraphLanguage::Mermaid);
    assert!(
        mermaid.contains("subgraph i2_image[\"image 2 'Server'\"]")
            || mermaid.contains("subgraph i2_image["),
        "{mermaid}"
    );
    assert_eq!(mermaid.matches("subgraph").count(), mermaid.matches("  end").count());
    let script = transom::plan::dism::script(&plan);
    assert_eq!(script.matches("/Export-Image").count(), 2);
    assert!(script.contains("/SourceIndex:2") && script.contains("/Index:2"), "{script}");
}

#[test]
fn the_lock_names_every_image() {
    let place = place("indexes = [2, 1]", Codec::Xpress);
    let plan = place.plan();
    plan.write_lock().unwrap();
    let text = String::from_utf8(place.read("recipe.lock")).unwrap();
    let lock = Lock::parse(&text).unwrap();
    let images: Vec<u32> = lock.base.images.iter().map(|image| image.image).collect();
    assert_eq!(images, [2, 1]);
    place.edit("indexes = [2, 1]", "indexes = [1]");
    let alone = place.plan();
    let differences = lock.differences(&alone.lock);
    assert!(differences.iter().any(|difference| difference.what == "base image"));
    assert!(alone.lock.to_text().contains("\nimage = 1\n"));
}

#[test]
fn a_failure_while_building_is_the_same_for_any_number_of_threads() {
    let place = place("indexes = [1, 2]", Codec::Xpress);
    let stopped = |place: &Place| {
        let (result, _) = place.try_build(&transom::pipeline::Settings::default(), 3);
        format!("{:?}", result.unwrap_err())
    };
    let first = stopped(&place);
    assert_eq!(first, stopped(&place));
    place.build();
    assert_sound(&place.path("out/golden.wim"));
}
