//! The recovery image inside an image: serviced by the same engine, once for all images that hold the same file.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use transom::{
    base::{filetime::FileTime, limits::Limits, name::Name, ntpath::NtPath},
    cli::demo::{self, BaseSettings},
    codec::{Codec, Level},
    format::wim::{Wim, WriteSettings, write_wim},
    image::{Assembly, BlobOrder, Image, NewNode},
    pipeline::verify_output,
    plan::{
        Cause, Plan,
        state::{self, StepStatus},
        view,
    },
    servicing::winre,
};

use crate::{
    driver_fixture,
    pipeline_place::{Place, content, number, open},
    support::{oracle, transom},
};

const PLACE: &str = r"Windows\System32\Recovery\winre.wim";
/// Another name of the same file.
const IN_STORE: &str = r"Windows\WinSxS\amd64_winre\winre.wim";
const RECIPE: &str = r#"
[base]
wim = "base.wim"
images = "all"
[services]
Spooler = "disabled"
[drivers.network]
source = "drivers"
unsigned = "allow"
[winre]
drivers = true
[winre.services]
RemoteRegistry = "disabled"
[winre.registry.'HKLM\SOFTWARE\Farm']
Recovery = 1
[[winre.files]]
from = "tools"
to = 'C:\tools'
[output]
path = "out/golden.wim"
epoch = 2026-01-01T00:00:00Z
"#;

fn nt(path: &str) -> NtPath {
    NtPath::parse(path).unwrap()
}

fn open_wim(path: &Path) -> Arc<Wim> {
    Arc::new(Wim::open_path(path, &Limits::default()).unwrap())
}

fn write(assembly: Assembly, settings: &WriteSettings, path: &Path) {
    let plan = assembly.plan(BlobOrder::of(settings)).unwrap();
    let settings = WriteSettings { boot_index: plan.boot_index, ..*settings };
    let file = fs_err::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    write_wim(file.file(), &settings, plan.blobs, plan.images, plan.xml, &|_| (), &|| false)
        .unwrap();
}

fn form(codec: Codec) -> WriteSettings {
    WriteSettings {
        codec,
        chunk_size: codec.default_chunk_size(),
        level: Level::Default,
        solid: None,
        integrity: true,
        boot_index: 0,
        rp_fix: false,
    }
}

/// A recovery WIM of one image: the demo's first, with `more` in it.
fn recovery(folder: &Path, codec: Codec, more: &str) -> Vec<u8> {
    let demo = folder.join("demo.wim");
    demo::write_base(&demo, &BaseSettings::default()).unwrap();
    let wim = open_wim(&demo);
    let mut assembly = Assembly::new();
    assembly.push_from(&wim, 1, Some("Recovery"), None).unwrap();
    let mut image = Image::open(Arc::clone(&wim), 1, &Limits::default()).unwrap();
    image.put_bytes(&nt(r"Windows\more.txt"), more.into(), &NewNode::default()).unwrap();
    assembly.replace(1, image.finish().unwrap(), FileTime::from_unix(1_700_000_000, 0)).unwrap();
    assembly.set_boot(1).unwrap();
    let path = folder.join("winre.wim");
    write(assembly, &form(codec), &path);
    fs_err::read(path).unwrap()
}

/// The demo's base with a recovery image in both images, `inner` each; hidden, system, and older than the image.
fn place(inner: [Option<Vec<u8>>; 2], codec: Codec) -> Place {
    let place = Place::new(Codec::None);
    let demo = place.path("demo.wim");
    demo::write_base(&demo, &BaseSettings::default()).unwrap();
    let wim = open_wim(&demo);
    let mut assembly = Assembly::of(&wim);
    for (index, inner) in (1..).zip(inner) {
        let Some(inner) = inner else { continue };
        let mut image = Image::open(Arc::clone(&wim), index, &Limits::default()).unwrap();
        image.set_epoch(FileTime::from_unix(1_600_000_000, 0));
        image.put_bytes(&nt(PLACE), inner, &NewNode::default()).unwrap();
        image.set_attributes(&nt(PLACE), 0x2006, 0).unwrap();
        image.link(&nt(PLACE), &nt(IN_STORE)).unwrap();
        assembly
            .replace(index, image.finish().unwrap(), FileTime::from_unix(1_700_000_000, 0))
            .unwrap();
    }
    write(assembly, &form(codec), &place.path("base.wim"));
    place.write("recipe.toml", RECIPE.as_bytes());
    place.write("tools/a.cmd", b"echo a\r\n");
    place.write("tools/sub/b.bin", &vec![5; 70_000]);
    for (name, text) in driver_fixture::FILES {
        place.write(&format!("drivers/{name}"), text.as_bytes());
    }
    place
}

/// With the same recovery image in both.
pub(crate) fn place_of_two() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let inner = recovery(folder.path(), Codec::Lzx, "");
    place([Some(inner.clone()), Some(inner)], Codec::Xpress)
}

/// The recovery image of image `index` of the output.
fn nested(place: &Place, index: u32) -> Image {
    let bytes = content(&place.output_image(index), PLACE);
    let path = place.path(&format!("nested{index}.wim"));
    fs_err::write(&path, bytes).unwrap();
    let report = verify_output(&path, &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    if let Some(tool) = oracle("wimlib-imagex") {
        tool.run(["verify", path.to_str().unwrap()]);
    }
    if let Some(tool) = oracle("7z") {
        tool.run(["t", path.to_str().unwrap()]);
    }
    open(&path, 1)
}

fn text(plan: &Plan, place: &Place) -> String {
    let status = state::status(plan, &place.store()).unwrap();
    let mut text = String::new();
    view::text(plan, &status, &mut text).unwrap();
    text
}

fn assert_serviced(image: &mut Image) {
    assert_eq!(number(image, r"HKLM\SOFTWARE\Farm", "Recovery"), Some(1));
    let service = r"HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry";
    assert_eq!(number(image, service, "Start"), Some(4));
    assert_eq!(content(image, r"tools\sub\b.bin"), vec![5; 70_000]);
    let store = nt(r"Windows\System32\DriverStore\FileRepository");
    let folder = image.tree().lookup(&store).unwrap();
    let names: Vec<Name> = image
        .tree()
        .children(folder)
        .iter()
        .map(|id| image.tree().node(*id).name.clone())
        .collect();
    let has = |start: &str| names.iter().any(|name| name.to_string().starts_with(start));
    assert!(has("testnet.inf") && has("teststor.inf"), "{names:?}");
}

#[test]
fn it_is_serviced_once_for_all_images_that_hold_the_same_file() {
    let place = place_of_two();
    let plan = place.plan();
    let shown = text(&plan, &place);
    assert!(shown.contains("winre: 4 steps in the recovery image"), "{shown}");
    assert!(shown.contains("; reuses the recovery image that image 1 services)"), "{shown}");
    let before = place.read("base.wim");
    let (outcome, told) = place.build();
    assert_eq!(place.read("base.wim"), before);
    // Two images of three steps: driver, service, recovery; driver and recovery image are prepared once.
    assert_eq!((outcome.steps.len(), told.prepared.len()), (6, 2), "{told:?}");
    for index in [1, 2] {
        let image = place.output_image(index);
        let node = image.tree().lookup(&nt(PLACE)).unwrap();
        let inode = image.tree().inode(node);
        let stored = content(&image, IN_STORE);
        assert_eq!(stored, content(&open(&place.path("base.wim"), index), IN_STORE));
        assert_eq!(inode.attributes & 0x2006, 0x2006, "attributes stay");
        assert_eq!(inode.last_write_time, FileTime::from_unix(1_600_000_000, 0), "times stay");
        let mut inside = nested(&place, index);
        assert_serviced(&mut inside);
        let spooler = r"HKLM\SYSTEM\CurrentControlSet\Services\Spooler";
        assert_ne!(number(&mut inside, spooler, "Start"), Some(4), "only its own settings");
    }
    let wim = open_wim(&place.path("nested1.wim"));
    assert_eq!((wim.codec(), wim.image_count(), wim.header().boot_index), (Codec::Lzx, 1, 1));
    assert_eq!(wim.xml().image_name(1), Some("Recovery"));
    assert!(wim.header().integrity.size > 0);
    assert_eq!(place.read("nested1.wim"), place.read("nested2.wim"));
    let output = open_wim(&place.path("out/golden.wim"));
    let sha1 = winre::content(&place.output_image(1)).unwrap().sha1;
    assert_eq!(output.blob(&sha1).unwrap().reference_count, 2);
    let (again, _) = place.build();
    assert!(again.up_to_date);
}

#[test]
fn it_is_not_serviced_again_when_the_image_around_it_changes() {
    let place = place_of_two();
    place.build();
    place.edit("Spooler = \"disabled\"", "Spooler = \"manual\"");
    let shown = text(&place.plan(), &place);
    assert!(shown.contains("(prepared; depends on step"), "{shown}");
    let (outcome, told) = place.build();
    assert_eq!(told.prepared, [0; 0], "neither drivers nor the recovery image");
    assert!(
        outcome.steps.iter().filter(|step| step.name == "winre.winre").all(|step| !step.cached)
    );
    assert_serviced(&mut nested(&place, 2));
}

#[test]
fn its_own_steps_are_cached_one_by_one() {
    let place = place_of_two();
    place.build();
    place.edit("[[winre.files]]\nfrom = \"tools\"", "[[winre.files]]\nfrom = \"tools/a.cmd\"");
    place.edit("to = 'C:\\tools'", "to = 'C:\\a.cmd'");
    let plan = place.plan();
    let status = state::status(&plan, &place.store()).unwrap();
    let inside = status.images[0].nested.iter().find(|steps| !steps.is_empty()).unwrap();
    assert_eq!(inside[..3], [StepStatus::Cached, StepStatus::Cached, StepStatus::Cached]);
    assert_eq!(inside[3], StepStatus::Runs(Vec::new()));
    let why = status.images[0].steps.last().unwrap();
    let StepStatus::Runs(why) = why else { panic!("{why:?}") };
    assert!(why.iter().any(|why| matches!(why, Cause::Parameter { .. })), "{why:?}");
    let json = serde_json::to_value(view::view(&plan, &status)).unwrap();
    let step = json["steps"].as_array().unwrap().iter().find(|step| step["section"] == "winre");
    assert_eq!(step.unwrap()["nested"][0]["status"], "cached");
    place.build();
    assert_eq!(content(&nested(&place, 1), "a.cmd"), b"echo a\r\n");
}

#[test]
fn the_bytes_are_the_same_everywhere() {
    let mut outputs = BTreeSet::new();
    for threads in [1, 4] {
        let place = place_of_two();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| place.build());
        outputs.insert(place.read("out/golden.wim"));
    }
    assert_eq!(outputs.len(), 1);
}

#[test]
fn images_with_different_recovery_images_get_each_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|more| recovery(folder.path(), Codec::Xpress, more));
    let place = place([Some(one), Some(other)], Codec::Lzx);
    let (_, told) = place.build();
    assert_eq!(told.prepared.len(), 3, "{told:?}");
    for (index, more) in [(1, "one"), (2, "other")] {
        let mut inside = nested(&place, index);
        assert_serviced(&mut inside);
        assert_eq!(content(&inside, r"Windows\more.txt"), more.as_bytes());
    }
}

#[test]
fn a_recovery_image_in_a_solid_base_is_serviced_too() {
    let folder = tempfile::tempdir().unwrap();
    let inner = recovery(folder.path(), Codec::Lzx, "");
    let place = place([Some(inner.clone()), Some(inner)], Codec::Lzx);
    let wim = open_wim(&place.path("base.wim"));
    let solid = WriteSettings {
        solid: Some(transom::format::wim::Solid { codec: Codec::Lzms, chunk_size: 1 << 17 }),
        ..form(Codec::Lzms)
    };
    write(Assembly::of(&wim), &solid, &place.path("solid.wim"));
    place.edit("base.wim", "solid.wim");
    // Unpacked once, whether its place is remembered or not.
    for _ in 0..2 {
        let plan = place.plan();
        let inside = |image: usize| {
            let nested = plan.images[image].steps.iter().find_map(|step| step.nested.clone());
            nested.unwrap().open(&Limits::default(), &place.store()).unwrap()
        };
        assert!(Arc::ptr_eq(&inside(0), &inside(1)));
    }
    place.build();
    for index in [1, 2] {
        assert_serviced(&mut nested(&place, index));
    }
}

#[test]
fn operations_that_change_nothing_leave_the_file_alone() {
    let place = place_of_two();
    place.write(
        "recipe.toml",
        b"[base]\nwim = \"base.wim\"\nindex = 1\n[[winre.files]]\nto = 'C:\\nothing'\nabsent = true\n[output]\npath = \"out/golden.wim\"\n",
    );
    let plan = place.plan_with(&place.store(), &transom::plan::Options::default());
    // Where removing what is not there is refused, there is nothing to see here.
    if plan.is_ok() {
        let (outcome, _) = place.build();
        assert!(outcome.steps.iter().all(|step| !step.changed));
    }
}

#[test]
fn what_cannot_be_done_inside_is_refused_by_name() {
    let refused = |change: (&str, &str), says: &[&str]| {
        let place = place_of_two();
        place.edit(change.0, change.1);
        let error = place.plan_error();
        for says in says {
            assert!(error.contains(says), "{says}: {error}");
        }
    };
    refused(
        ("[winre.services]\nRemoteRegistry", "[winre.services]\nNoSuchService"),
        &["every image: winre: ", "NoSuchService"],
    );
    refused(
        (
            "[output]",
            "[[files]]\nfrom = \"tools/a.cmd\"\nto = 'C:\\Windows\\System32\\Recovery\\WinRE.wim'\n[output]",
        ),
        &["the recovery image is both serviced and replaced"],
    );
    // Only one of two images has one.
    let folder = tempfile::tempdir().unwrap();
    let inner = recovery(folder.path(), Codec::Lzx, "");
    let error = place([Some(inner), None], Codec::None).plan_error();
    assert!(error.contains("image 2 ") && error.contains("no recovery image"), "{error}");
    let error = place([Some(b"no WIM at all".to_vec()), None], Codec::None);
    error.edit("images = \"all\"", "index = 1");
    let error = error.plan_error();
    assert!(error.contains("the recovery image inside the base image cannot be used"), "{error}");
}

#[test]
fn what_would_take_it_away_is_seen_from_above_too() {
    let place = place_of_two();
    place.write("above/System32/Recovery/WINRE.wim", b"another");
    place.write("beside/System32/Recovery/other.wim", b"another");
    let refused = |files: &str| {
        place.write("recipe.toml", RECIPE.as_bytes());
        place.edit("[output]", &format!("[[files]]\n{files}\n[output]"));
        match place.plan_with(&place.store(), &transom::plan::Options::default()) {
            Ok(_) => false,
            Err(error) => {
                let error = format!("{error:?}");
                assert!(error.contains("both serviced and replaced"), "{files}: {error}");
                true
            }
        }
    };
    assert!(refused("from = \"above\"\nto = 'C:\\windows'"));
    assert!(!refused("from = \"beside\"\nto = 'C:\\Windows'"));
    let folder = r"to = 'C:\Windows\System32\Recovery'";
    assert!(refused(&format!("{folder}\nabsent = true")));
    assert!(refused(&format!("from = \"tools\"\nreplace = true\n{folder}")));
    assert!(!refused(&format!("from = \"tools\"\n{folder}")));
    assert!(!refused(&format!("attributes = [\"hidden\"]\nto = 'C:\\{PLACE}'")));
}

#[test]
fn a_driver_may_be_the_recipes_or_its_own() {
    let place = place_of_two();
    place.edit("drivers = true", "drivers = [\"netwrk\"]");
    let loaded = transom::recipe::load(&place.path("recipe.toml"), &[]).unwrap_err();
    let finding = loaded.iter().next().unwrap();
    assert_eq!(finding.help(), Some("did you mean `network`?"));
    place.edit(
        "drivers = [\"netwrk\"]",
        "[winre.drivers]\nnetwork = \"recipe\"\n[winre.drivers.own]\nsource = \"drivers/storage\"\nunsigned = \"allow\"",
    );
    let recipe = transom::recipe::load(&place.path("recipe.toml"), &[]).unwrap();
    let labels: Vec<&str> = recipe.winre.iter().map(|entry| entry.label.as_str()).collect();
    assert_eq!(labels[..2], ["network", "own"]);
}

#[test]
fn the_inventory_tells_what_it_is() {
    let place = place_of_two();
    let image = open(&place.path("base.wim"), 1);
    let found = winre::inventory(&image).unwrap();
    assert_eq!((found.images, found.name.as_deref(), found.problem), (1, Some("Recovery"), None));
    assert!(found.version.is_some() && found.architecture == Some("amd64"), "{:?}", found.version);
    assert!(winre::inventory(&open(&place.path("demo.wim"), 1)).is_none());
    let folder = place.path("base.wim").parent().unwrap().to_owned();
    let inspect = |wim: &str, more: &[&str]| {
        let output = transom(&folder)
            .args(["inspect", "image", wim, "--index", "1"])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = inspect("base.wim", &[]);
    assert!(text.contains("\nRecovery image\nFile ") && text.contains("Recovery\n"), "{text}");
    assert!(!inspect("demo.wim", &[]).contains("Recovery image"));
    let json: serde_json::Value = serde_json::from_str(&inspect("base.wim", &["--json"])).unwrap();
    assert_eq!(json["winre"]["sha1"], found.sha1.to_string());
    assert_eq!(json["winre"]["architecture"], "amd64");
}

/// As large as a real one: about 400 MB of content that hardly compresses. `cargo test --release -- --ignored real_size --nocapture`
#[test]
#[ignore = "takes a minute and two gigabytes"]
fn a_recovery_image_of_real_size() {
    let folder = tempfile::tempdir().unwrap();
    recovery(folder.path(), Codec::Lzx, "");
    let small = open_wim(&folder.path().join("winre.wim"));
    let mut image = Image::open(Arc::clone(&small), 1, &Limits::default()).unwrap();
    let mut seed = 1_u64;
    for file in 0..400 {
        let mut bytes = Vec::with_capacity(1 << 20);
        while bytes.len() < 1 << 20 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&(seed >> 16).to_le_bytes()[..4]);
            // A quarter of it is easy.
            if seed >> 62 == 0 {
                bytes.extend_from_slice(b"MZ\x90\0\x03\0\0\0");
            }
        }
        image
            .put_bytes(
                &nt(&format!(r"Windows\System32\large{file}.dll")),
                bytes,
                &NewNode::default(),
            )
            .unwrap();
    }
    let mut assembly = Assembly::of(&small);
    assembly.replace(1, image.finish().unwrap(), FileTime::from_unix(1_700_000_000, 0)).unwrap();
    let path = folder.path().join("large.wim");
    write(assembly, &form(Codec::Lzx), &path);
    let inner = fs_err::read(&path).unwrap();
    println!("winre.wim: {} MB", inner.len() / 1_000_000);
    let place = place([Some(inner.clone()), Some(inner)], Codec::Lzx);
    let timed = |what: &str, work: &dyn Fn()| {
        let start = std::time::Instant::now();
        work();
        println!("{what}: {:.2} s", start.elapsed().as_secs_f64());
    };
    timed("plan", &|| drop(place.plan()));
    timed("build", &|| drop(place.build()));
    timed("build, nothing to do", &|| assert!(place.build().0.up_to_date));
    place.edit("Spooler = \"disabled\"", "Spooler = \"manual\"");
    timed("build, another service of the images", &|| assert_eq!(place.build().1.prepared, [0; 0]));
    place.edit("Recovery = 1", "Recovery = 2");
    timed("build, another value in the recovery image", &|| drop(place.build()));
    let bytes = content(&place.output_image(1), PLACE);
    fs_err::write(&path, bytes).unwrap();
    if let Some(tool) = oracle("wimlib-imagex") {
        tool.run(["verify", path.to_str().unwrap()]);
    }
}
