//! Planning: what is refused, what the lock says, why steps stand where they stand.

use transom::{
    base::filetime::FileTime,
    codec::Codec,
    plan::{
        self, FailureClass, Options, PlanError,
        state::{StepStatus, status},
        view::{self, GraphLanguage},
    },
};

use crate::pipeline_place::Place;

/// Class, and code and text of every finding with what stands at its first place.
fn refused(place: &Place, options: &Options<'_>) -> (FailureClass, Vec<(String, String, String)>) {
    let error = place.plan_with(&place.store(), options).unwrap_err();
    let findings = error.findings().map(|finding| {
        let label = finding.labels().next().unwrap();
        let text = format!("{finding}: {}", label.text);
        (finding.code().to_owned(), text, label.origin.text().to_owned())
    });
    (error.class(), findings.collect())
}

#[test]
fn an_image_that_is_not_there_is_refused_with_what_is() {
    let place = Place::new(Codec::Xpress);
    place.edit("\"ServerCore\"", "\"ServerCor\"");
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!(class, FailureClass::Plan);
    let (code, text, origin) = &findings[0];
    assert_eq!(code, "base::no-such-image");
    assert!(text.contains(r#"1 "Client" (Professional), 2 "Server" (ServerCore)"#), "{text}");
    assert!(origin.contains("ServerCor"), "{origin}");
    place.edit("edition = \"ServerCor\"", "index = 3");
    assert_eq!(refused(&place, &Options::default()).1[0].0, "base::no-such-image");
    place.edit("index = 3", "name = \"server\"");
    assert_eq!(place.plan().images[0].index, 2);
}

#[test]
fn a_base_that_is_not_what_is_expected_is_refused() {
    let place = Place::new(Codec::Xpress);
    place.edit(
        "edition = \"ServerCore\"",
        "edition = \"ServerCore\"\nexpect = { build = \"26100\" }",
    );
    place.plan();
    place.edit("\"26100\"", "\"2610\"");
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!((class, findings[0].0.as_str()), (FailureClass::Plan, "base::unexpected"));
    assert!(findings[0].1.contains("it is 26100"), "{findings:?}");
    place.edit("build = \"2610\"", "arch = \"arm64\"");
    let (_, findings) = refused(&place, &Options::default());
    assert!(findings[0].1.contains("not known"), "{findings:?}");
}

#[test]
fn a_base_that_is_missing_or_damaged_is_an_input_error() {
    let place = Place::new(Codec::Xpress);
    let base = place.read("base.wim");
    place.write("base.wim", &base[..base.len() / 2]);
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!((class, findings[0].0.as_str()), (FailureClass::Input, "base::unreadable"));
    fs_err::remove_file(place.path("base.wim")).unwrap();
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!(class, FailureClass::Input);
    assert!(findings[0].1.contains("is not there"), "{findings:?}");
}

#[test]
fn every_input_that_cannot_be_used_is_named_at_once() {
    let place = Place::new(Codec::Xpress);
    fs_err::remove_file(place.path("files/one.txt")).unwrap();
    fs_err::remove_file(place.path("files/first.cmd")).unwrap();
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!(class, FailureClass::Input);
    let codes: Vec<&str> = findings.iter().map(|finding| finding.0.as_str()).collect();
    assert_eq!(codes, ["input::missing"; 2]);
    assert!(findings.iter().all(|finding| finding.1.contains("does not exist")), "{findings:?}");
}

#[test]
fn what_the_image_does_not_have_is_refused_before_anything_is_done() {
    let place = Place::new(Codec::Xpress);
    place.edit("RemoteRegistry = ", "RemoteRegistri = ");
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!((class, findings[0].0.as_str()), (FailureClass::Plan, "plan::impossible"));
    assert!(findings[0].1.contains("RemoteRegistri"), "{findings:?}");
    place.edit("RemoteRegistri", "Spooler");
    place.edit("HKLM\\SOFTWARE\\Policies", "HKLM\\SAM\\Policies");
    let (_, findings) = refused(&place, &Options::default());
    assert!(findings[0].1.contains("SAM"), "{findings:?}");
}

#[test]
fn the_output_is_never_the_base() {
    let place = Place::new(Codec::Xpress);
    fs_err::create_dir_all(place.path("out")).unwrap();
    fs_err::hard_link(place.path("base.wim"), place.path("out/golden.wim")).unwrap();
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!((class, findings[0].0.as_str()), (FailureClass::Output, "output::is-base"));
    place.edit("out/golden.wim", "out");
    assert_eq!(refused(&place, &Options::default()).1[0].0, "output::folder");
}

#[test]
fn two_images_cannot_have_one_name() {
    let place = Place::new(Codec::Xpress);
    place.edit("\"golden\"", "\"Client\"");
    place.plan();
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\nimages = \"all\"");
    assert_eq!(refused(&place, &Options::default()).1[0].0, "output::same-name");
}

#[test]
fn the_lock_is_the_same_everywhere_and_refuses_what_changed() {
    let place = Place::new(Codec::Xpress);
    let locked = Options { locked: true, ..Options::default() };
    let refuse = |part: &str| {
        let error = place.plan_with(&place.store(), &locked).unwrap_err();
        assert_eq!(error.class(), FailureClass::Lock);
        assert!(matches!(error, PlanError::Lock(_)) && error.to_string().contains(part), "{error}");
    };
    refuse("no lock file");
    assert!(place.plan().write_lock().unwrap());
    assert!(!place.plan().write_lock().unwrap(), "it is not written when it says the same");
    place.plan_with(&place.store(), &locked).unwrap();
    let elsewhere = Place::new(Codec::Xpress);
    elsewhere.plan().write_lock().unwrap();
    assert_eq!(elsewhere.read("recipe.lock"), place.read("recipe.lock"));
    place.write("files/tree/sub/b.bin", b"b");
    refuse("input files/tree: sub/b.bin: locked 100000 bytes");
    place.plan().write_lock().unwrap();
    let epoch = FileTime::parse("2026-01-01T00:00:00Z");
    let other = Options { source_date_epoch: epoch, ..locked };
    let error = place.plan_with(&place.store(), &other).unwrap_err();
    let text = "epoch: locked 2025-01-01T00:00:00Z, found 2026-01-01T00:00:00Z";
    assert!(error.to_string().contains(text), "{error}");
    place.write("recipe.lock", b"nonsense");
    refuse("cannot be read");
}

#[test]
fn the_epoch_is_the_recipes_else_the_environments_else_the_bases() {
    let place = Place::new(Codec::Xpress);
    assert_eq!(place.plan().epoch.to_string(), "2025-01-01T00:00:00Z");
    let source_date_epoch = FileTime::parse("2026-01-01T00:00:00Z");
    let options = Options { source_date_epoch, ..Options::default() };
    let planned =
        |place: &Place| place.plan_with(&place.store(), &options).unwrap().epoch.to_string();
    assert_eq!(planned(&place), "2026-01-01T00:00:00Z");
    place.edit(
        "path = \"out/golden.wim\"",
        "path = \"out/golden.wim\"\nepoch = \"2027-01-01T00:00:00Z\"",
    );
    assert_eq!(planned(&place), "2027-01-01T00:00:00Z");
}

#[test]
fn steps_stand_in_servicing_order_and_say_why() {
    let place = Place::new(Codec::Xpress);
    // Listed last, done first; and two steps that write one folder.
    let text = String::from_utf8(place.read("recipe.toml")).unwrap();
    let services = "[services]\nRemoteRegistry = \"disabled\"\n";
    let text = text.replace(services, "").replace("[output]", &format!("{services}[output]"));
    let text = text.replace("to = 'C:\\Data\\one.txt'", "to = 'C:\\Data\\tree\\one.txt'");
    place.write("recipe.toml", text.as_bytes());
    let plan = place.plan();
    let order: Vec<(usize, &str)> =
        plan.images[0].steps.iter().map(|step| (step.listed, step.section)).collect();
    let sections: Vec<&str> = order.iter().map(|(_, section)| *section).collect();
    assert_eq!(sections, ["services", "registry", "files", "files", "first-boot"]);
    assert_eq!(order[0].0, 5);
    assert!(plan.images[0].steps[0].reasons.is_empty());
    assert_eq!(plan.images[0].steps[1].reasons[0].after, [1]);
    assert!(plan.images[0].steps[1].reasons[0].why.contains("order table"));
    let conflict = &plan.images[0].steps[3].reasons[1];
    assert_eq!(conflict.after, [3]);
    assert!(conflict.why.contains(r"DATA\TREE"), "{}", conflict.why);
    assert_eq!(plan.images[0].steps[4].reasons[0].after, [3, 4]);
}

#[test]
fn the_plan_says_what_is_cached_and_which_part_of_a_key_changed() {
    let place = Place::new(Codec::Xpress);
    let statuses = |place: &Place| status(&place.plan(), &place.store()).unwrap();
    let first = statuses(&place);
    assert!(
        matches!(&first.images[0].steps[0], StepStatus::Runs(why) if why[0].to_string().contains("not built"))
    );
    assert_eq!(
        first.images[0].steps[1..],
        [1; 4].map(|step| StepStatus::DependsOn { step, prepared: false })
    );
    place.build();
    let built = statuses(&place);
    assert!(built.up_to_date && built.steps().all(|step| *step == StepStatus::Cached));
    place.write("files/one.txt", b"another");
    let changed = statuses(&place);
    assert!(!changed.up_to_date);
    assert_eq!(changed.images[0].steps[..2], [StepStatus::Cached, StepStatus::Cached]);
    let why = |status: &StepStatus| -> Vec<String> {
        let StepStatus::Runs(why) = status else { panic!("{status:?}") };
        why.iter().map(ToString::to_string).collect()
    };
    let [input] = &why(&changed.images[0].steps[2])[..] else { panic!("one cause") };
    assert!(input.starts_with("input files/one.txt changed ("), "{input}");
    assert!(matches!(changed.images[0].steps[3], StepStatus::DependsOn { step: 3, .. }));
    place.write("files/one.txt", b"one");
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 3");
    let changed = statuses(&place);
    assert_eq!(
        why(&changed.images[0].steps[1]),
        ["values.AllowTelemetry is REG_DWORD 0x3 (3), was REG_DWORD 0x0 (0)"]
    );
}

#[test]
fn the_views_show_every_step() {
    let place = Place::new(Codec::Xpress);
    let plan = place.plan();
    let status = status(&plan, &place.store()).unwrap();
    let mut text = String::new();
    view::text(&plan, &status, &mut text).unwrap();
    let json = serde_json::to_value(view::view(&plan, &status)).unwrap();
    let dot = view::graph(&plan, GraphLanguage::Dot);
    let mermaid = view::graph(&plan, GraphLanguage::Mermaid);
    for step in &plan.images[0].steps {
        for view in [&text, &dot.replace("\\\\", "\\"), &mermaid] {
            assert!(view.contains(&step.title), "{}: {view}", step.title);
        }
    }
    assert_eq!(json["steps"].as_array().unwrap().len(), 5);
    assert_eq!(json["steps"][1]["phase"], "registry");
    assert_eq!(json["base"]["path"], "base.wim");
    assert_eq!(json["lock"], "missing");
    assert!(text.contains("5 steps, 0 cached, 1 to run, 4 depending on those"), "{text}");
    assert_eq!(dot.matches("cluster_").count(), 4 + 3 * 2, "{dot}");
}

#[test]
fn a_base_replaced_between_opening_and_hashing_is_not_what_was_opened() {
    use transom::{base::limits::Limits, format::wim::Wim, plan::base_image, plan::inputs};
    let place = Place::new(Codec::Xpress);
    let (path, store) = (place.path("base.wim"), place.store());
    let hash = || inputs::digest_of_file(&path, &store, &plan::Control::default()).unwrap().0;
    let wim = Wim::open_path(&path, &Limits::default()).unwrap();
    assert!(base_image::is_unchanged(&wim, &[hash()]));
    // Another file under its name.
    fs_err::copy(&path, place.path("other.wim")).unwrap();
    fs_err::rename(place.path("other.wim"), &path).unwrap();
    assert!(!base_image::is_unchanged(&wim, &[hash()]));
    // The same file, written to after its header was read.
    let wim = Wim::open_path(&path, &Limits::default()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let content = fs_err::read(&path).unwrap();
    fs_err::write(&path, content).unwrap();
    assert!(!base_image::is_unchanged(&wim, &[hash()]));
}

#[test]
fn a_hive_that_could_not_be_read_once_is_read_again_and_damage_is_no_plan_error() {
    let place = Place::new(Codec::None);
    place.edit(
        "edition = \"ServerCore\"",
        "edition = \"ServerCore\"\nexpect = { build = \"26100\" }",
    );
    let good = place.read("base.wim");
    let mut bad = good.clone();
    let hives: Vec<usize> = (0..bad.len() - 4).filter(|at| &bad[*at..*at + 4] == b"regf").collect();
    assert!(!hives.is_empty());
    for at in hives {
        bad[at..at + 4].copy_from_slice(b"gone");
    }
    // The image's identity is its metadata, which both have.
    place.write("base.wim", &bad);
    let (class, findings) = refused(&place, &Options::default());
    assert_eq!((class, findings[0].0.as_str()), (FailureClass::Input, "base::damaged"));
    place.write("base.wim", &good);
    place.plan();
    // Remembered from the good file; asked to look again, it finds the damage.
    place.write("base.wim", &bad);
    let again = Options { no_cache: true, ..Options::default() };
    assert_eq!(refused(&place, &again).0, FailureClass::Input);
}

#[cfg(unix)]
#[test]
fn an_output_that_replaces_what_the_build_reads_is_refused() {
    let cases = [
        // By another name of the folder: the recipe alone does not show these.
        ("alias/files/one.txt", "output::is-input"),
        ("files/tree/golden.wim", "output::in-input"),
        ("files/tree/deep/down/golden.wim", "output::in-input"),
        ("alias/recipe.toml", "output::is-recipe"),
        ("alias/recipe.lock", "output::is-lock"),
    ];
    for (output, expected) in cases {
        let place = Place::new(Codec::Xpress);
        std::os::unix::fs::symlink(".", place.path("alias")).unwrap();
        place.edit("out/golden.wim", output);
        let (class, findings) = refused(&place, &Options::default());
        assert_eq!((class, findings[0].0.as_str()), (FailureClass::Output, expected), "{output}");
    }
}

#[test]
fn a_lock_file_that_is_not_ours_is_not_overwritten() {
    let place = Place::new(Codec::Xpress);
    for foreign in [&b"format = 7\n"[..], &[0xFF, 0xFE]] {
        place.write("recipe.lock", foreign);
        assert_eq!(refused(&place, &Options::default()).1[0].0, "lock::foreign");
    }
    // Ours, but damaged or of another version.
    let text = place_lock_text(&place);
    place.write("recipe.lock", text.replace("format = 1", "format = 9").as_bytes());
    assert!(place.plan().write_lock().unwrap());
    fs_err::rename(place.path("recipe.toml"), place.path("my.lock")).unwrap();
    let path = place.path("my.lock");
    let recipe = transom::recipe::load(&path, &[]).unwrap_or_else(|_| panic!("it is valid"));
    let error = plan::make(&recipe, &path, &place.store(), &Options::default()).unwrap_err();
    assert_eq!(error.findings().next().unwrap().code(), "lock::is-recipe");
}

fn place_lock_text(place: &Place) -> String {
    fs_err::remove_file(place.path("recipe.lock")).unwrap();
    place.plan().lock.to_text()
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_pipe_or_a_device_is_refused() {
    let place = Place::new(Codec::Xpress);
    place.edit("out/golden.wim", "/dev/null");
    assert_eq!(refused(&place, &Options::default()).1[0].0, "output::special");
}

#[test]
fn the_plan_does_not_say_that_a_reg_file_writes_what_it_may_not_write() {
    let place = Place::new(Codec::Xpress);
    place.write("files/a.reg", b"Windows Registry Editor Version 5.00\r\n");
    let key = "[registry.'HKLM\\SOFTWARE\\Policies\\Telemetry']\nAllowTelemetry = 0\n";
    place.edit(key, &format!("{key}[[registry-files]]\nfile = \"files/a.reg\"\n"));
    let plan = place.plan();
    let step = plan.images[0].steps.iter().find(|step| step.title.contains("a.reg")).unwrap();
    let whys: Vec<&str> = step.reasons.iter().map(|reason| reason.why.as_str()).collect();
    assert!(
        whys.contains(&"a .reg file may write any key; the recipe names this one later"),
        "{whys:?}"
    );
    let key = plan.images[0].steps.iter().find(|step| step.title.contains("Telemetry")).unwrap();
    assert!(key.title.ends_with(": 1 value"), "{}", key.title);
}

#[cfg(unix)]
#[test]
fn a_lock_file_that_is_a_link_stays_one() {
    let place = Place::new(Codec::Xpress);
    place.write("locks/real.lock", b"");
    std::os::unix::fs::symlink("locks/real.lock", place.path("recipe.lock")).unwrap();
    let plan = place.plan();
    assert!(plan.write_lock().unwrap());
    assert!(fs_err::symlink_metadata(place.path("recipe.lock")).unwrap().is_symlink());
    assert_eq!(place.read("locks/real.lock"), plan.lock.to_text().as_bytes());
}
