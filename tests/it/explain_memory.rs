//! What is remembered of a build, and what it says of the next one: why each step ran.

use fs_err as fs;
use transom::{
    codec::Codec,
    pipeline::{Outcome, Settings, StepOutcome},
    plan::{
        Cause,
        cause::{EarlierChange, FileChanged},
        key,
        memory::OutputRecord,
        state,
    },
    store::RecordKind,
};

use crate::{
    pipeline_place::Place,
    support::{expect_success, transom},
};

const SERVICE: &str = "services.RemoteRegistry";
const REGISTRY: &str = r"registry.HKLM\SOFTWARE\Policies\Telemetry";

/// A place that was built once.
fn built() -> Place {
    let place = Place::new(Codec::Xpress);
    let (outcome, _) = place.build();
    assert!(outcome.steps.iter().all(|step| step.why == [Cause::FirstBuild]), "{outcome:#?}");
    place
}

fn record(place: &Place) -> OutputRecord {
    state::last_build(&place.plan(), &place.store()).unwrap().unwrap()
}

/// The steps that ran, with their causes.
fn ran(outcome: &Outcome) -> Vec<(&str, &[Cause])> {
    let ran = outcome.steps.iter().filter(|step| !step.cached);
    ran.map(|step: &StepOutcome| (step.name.as_str(), &step.why[..])).collect()
}

fn earlier(step: &str, change: EarlierChange) -> Cause {
    Cause::EarlierStep { step: step.to_owned(), change, more: 0 }
}

#[test]
fn the_record_holds_what_a_replay_needs() {
    let place = built();
    let record = record(&place);
    let plan = place.plan();
    let (build, image) = (&record.build, &plan.images[0]);
    let from = build.from.as_ref().unwrap();
    assert_eq!((from.base, from.epoch), (plan.base.blake3, plan.epoch));
    assert!(from.path.ends_with("base.wim") && std::path::Path::new(&from.path).is_absolute());
    assert_eq!(build.images[0].identity, image.identity);
    assert!(record.previous.is_none());
    let mut last = key::first_state(&image.identity, plan.epoch);
    let store = place.store();
    assert_eq!(build.steps.len(), image.steps.len());
    for (built, step) in build.steps.iter().zip(&image.steps) {
        assert_eq!((built.state, &built.name), (last, &step.name()));
        assert!(!built.cached && built.why == [Cause::FirstBuild]);
        let digest = built.changeset.expect("each of these steps changes something");
        assert!(store.record(RecordKind::Changeset, &digest).unwrap().is_some());
        last = key::next_state(last, Some(digest));
    }
    assert_eq!(build.images[0].state, last);
    let files = build.inputs["files/tree"].files.as_ref().unwrap();
    assert!(files.contains_key("sub/b.bin"), "{files:?}");
}

#[test]
fn the_record_says_the_description_and_which_images_are_in_the_output() {
    let place = Place::new(Codec::Xpress);
    place.edit("[image]\n", "[image]\ndescription = \"of the test\"\n");
    place.edit("[output]\n", "[output]\nimages = \"all\"\n");
    place.build();
    let build = record(&place).build;
    assert!(build.from.as_ref().unwrap().all);
    assert_eq!(build.images[0].description.as_deref(), Some("of the test"));
    place.edit("images = \"all\"\n", "");
    place.build();
    assert!(!record(&place).build.from.unwrap().all);
}

#[test]
fn an_output_that_is_up_to_date_leaves_the_record_alone() {
    let place = built();
    let before = record(&place);
    let (outcome, _) = place.build();
    assert!(outcome.up_to_date && ran(&outcome).is_empty());
    assert_eq!(record(&place), before);
    // Written again though nothing changed: the build before is still the last that gave something else.
    fs::remove_file(place.path("out/golden.wim")).unwrap();
    let (outcome, _) = place.build();
    assert!(!outcome.up_to_date && ran(&outcome).is_empty());
    let after = record(&place);
    assert!(after.previous.is_none());
    assert!(after.build.steps.iter().all(|step| step.cached && step.why.is_empty()));
}

#[test]
fn a_changed_parameter_is_told_with_old_and_new_and_so_are_the_steps_behind_it() {
    let place = built();
    let first = record(&place);
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 1");
    let (outcome, _) = place.build();
    let ran = ran(&outcome);
    let parameter = Cause::Parameter {
        path: "values.AllowTelemetry".to_owned(),
        old: Some("REG_DWORD 0x0 (0)".to_owned()),
        new: Some("REG_DWORD 0x1 (1)".to_owned()),
    };
    assert_eq!(ran[0], (REGISTRY, &[parameter][..]));
    assert_eq!(ran.len(), 4);
    for (name, why) in &ran[1..] {
        assert_eq!(*why, [earlier(REGISTRY, EarlierChange::Result)], "{name}");
    }
    let json = serde_json::to_value(&outcome).unwrap();
    assert!(json["steps"][0].get("why").is_none());
    assert_eq!(
        json["steps"][1]["why"][0],
        "values.AllowTelemetry is REG_DWORD 0x1 (1), was REG_DWORD 0x0 (0)"
    );
    let second = record(&place);
    assert_eq!(second.previous.as_ref(), Some(&first.build));
    assert_eq!(second.build.steps[1].why.len(), 1);
    // One level deep: the third build remembers the second, and that one nothing.
    place.edit("AllowTelemetry = 1", "AllowTelemetry = 2");
    place.build();
    assert_eq!(record(&place).previous, Some(second.build));
}

#[test]
fn a_changed_file_of_a_folder_is_named() {
    let place = built();
    place.write("files/tree/a.txt", b"another a");
    place.write("files/tree/new.txt", b"new");
    fs::remove_file(place.path("files/tree/sub/b.bin")).unwrap();
    let (outcome, _) = place.build();
    let ran = ran(&outcome);
    let [Cause::Input { id, files, more: 0, .. }] = ran[0].1 else { panic!("{ran:#?}") };
    let files: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.what)).collect();
    assert_eq!(id, "files/tree");
    assert_eq!(
        files,
        [
            ("a.txt", FileChanged::Changed),
            ("new.txt", FileChanged::New),
            ("sub/b.bin", FileChanged::Gone)
        ]
    );
    assert_eq!(ran.len(), 2);
}

#[test]
fn base_and_epoch_are_told_apart() {
    let place = built();
    let old = place.plan().epoch;
    place.edit("[output]", "[output]\nepoch = \"2026-02-03T00:00:00Z\"");
    let (outcome, _) = place.build();
    let new = place.plan().epoch;
    let ran_all = ran(&outcome);
    assert_eq!(ran_all.len(), 5);
    assert!(ran_all.iter().all(|(_, why)| *why == [Cause::Epoch { old, new }]), "{ran_all:#?}");
    let old = place.plan().base.blake3;
    let mut command = transom(place.folder.path());
    command.args([
        "wim",
        "update",
        "base.wim",
        "--index",
        "2",
        "--command",
        "add files/one.txt /added.txt",
    ]);
    expect_success(&mut command);
    let (outcome, _) = place.build();
    let new = place.plan().base.blake3;
    let ran = ran(&outcome);
    assert_eq!(ran.len(), 5);
    assert!(ran.iter().all(|(_, why)| *why == [Cause::Base { old, new }]), "{ran:#?}");
}

#[test]
fn steps_that_come_go_and_move_are_named() {
    let place = built();
    place.edit("RemoteRegistry =", "Spooler = \"disabled\"\nRemoteRegistry =");
    let (outcome, _) = place.build();
    let added = ran(&outcome);
    assert_eq!(added[0], ("services.Spooler", &[Cause::NewStep][..]));
    assert_eq!(added[1], (SERVICE, &[earlier("services.Spooler", EarlierChange::Added)][..]));
    assert_eq!(added.len(), 6);
    place.edit(
        "Spooler = \"disabled\"\nRemoteRegistry = \"disabled\"",
        "RemoteRegistry = \"disabled\"\nSpooler = \"disabled\"",
    );
    let (outcome, _) = place.build();
    let moved = ran(&outcome);
    // What stands first now was done on this state before the other came.
    assert_eq!(moved[0].0, "services.Spooler");
    assert_eq!(moved[0].1, [earlier(SERVICE, EarlierChange::Added)]);
    assert_eq!(moved[1].1, [earlier(SERVICE, EarlierChange::Moved)], "{moved:#?}");
    place.edit("RemoteRegistry = \"disabled\"\n", "");
    let (outcome, _) = place.build();
    let removed = ran(&outcome);
    assert_eq!(removed[0].0, REGISTRY);
    assert_eq!(removed[0].1, [earlier(SERVICE, EarlierChange::Removed)]);
}

#[test]
fn a_step_with_the_same_result_cuts_the_rebuild_off() {
    let place = built();
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nNotThere = { absent = true }");
    let (outcome, _) = place.build();
    let parameter = Cause::Parameter {
        path: "values.NotThere".to_owned(),
        old: None,
        new: Some("absent".to_owned()),
    };
    assert_eq!(ran(&outcome), [(REGISTRY, &[parameter][..])]);
}

#[test]
fn without_the_cache_and_with_an_emptied_one_steps_say_so() {
    let place = built();
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 1");
    let settings = Settings { no_cache: true, ..Settings::default() };
    let outcome = place.try_build(&settings, usize::MAX).0.unwrap();
    let forced = ran(&outcome);
    assert_eq!(forced.len(), 5);
    assert_eq!(forced[0], (SERVICE, &[Cause::NoCache][..]));
    assert!(matches!(forced[1].1, [Cause::NoCache, Cause::Parameter { .. }]), "{forced:#?}");
    fs::remove_dir_all(place.path("store/records/step")).unwrap();
    fs::create_dir(place.path("store/records/step")).unwrap();
    fs::remove_file(place.path("out/golden.wim")).unwrap();
    let (outcome, _) = place.build();
    assert!(ran(&outcome).iter().all(|(_, why)| *why == [Cause::Forgotten]), "{outcome:#?}");
    assert_eq!(ran(&outcome).len(), 5);
}

#[test]
fn an_image_that_is_new_in_the_output_says_so() {
    let place = built();
    place.edit("edition = \"ServerCore\"", "edition = \"Professional\"");
    let (outcome, _) = place.build();
    assert!(ran(&outcome).iter().all(|(_, why)| *why == [Cause::NewImage]), "{outcome:#?}");
}
