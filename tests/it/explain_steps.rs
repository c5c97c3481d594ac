//! Explanations from the library: which step is meant, what a step did, where a file or a value comes from; also after a build that failed or was ended.

use std::sync::Arc;

use transom::{
    codec::Codec,
    pipeline::{BuildError, Settings},
    plan::{
        Plan,
        explain::{
            self, PlaceHistory, Target,
            deeds::Source,
            place::PlaceKind,
            step::{FindError, SHOWN},
            text,
        },
        state,
    },
};

use crate::pipeline_place::Place;

const REGISTRY: &str = r"registry.HKLM\SOFTWARE\Policies\Telemetry";

fn history_of(place: &Place, image: usize, what: &str) -> PlaceHistory {
    let (plan, store) = (place.plan(), place.store());
    let last = state::last_build(&plan, &store).unwrap();
    let target = Target::parse(what).unwrap();
    explain::history(&plan, &plan.images[image], &target, last.as_ref(), &store, SHOWN).unwrap()
}

fn history(place: &Place, what: &str) -> PlaceHistory {
    history_of(place, 0, what)
}

/// The steps of a history by their names.
fn names(history: &PlaceHistory) -> Vec<&str> {
    history.steps.iter().map(|step| step.name.as_str()).collect()
}

fn overview(place: &Place) -> String {
    let (plan, store) = (place.plan(), place.store());
    let status = state::status(&plan, &store).unwrap();
    let last = state::last_build(&plan, &store).unwrap();
    text::overview(&explain::overview(&plan, &status, last.as_ref(), &store).unwrap())
}

fn details(place: &Place, step: &str) -> String {
    let (plan, store) = (place.plan(), place.store());
    let status = state::status(&plan, &store).unwrap();
    let last = state::last_build(&plan, &store).unwrap();
    let explanation = explain::overview(&plan, &status, last.as_ref(), &store).unwrap();
    let places = explain::find(&plan, step).unwrap();
    let detail =
        |at| explain::detail(&plan, &explanation, at, last.as_ref(), &store, 2).unwrap().unwrap();
    places.into_iter().map(|at| text::detail(&detail(at))).collect()
}

#[test]
fn a_step_is_meant_by_number_name_or_a_part_of_it() {
    let place = Place::new(Codec::Xpress);
    let plan = place.plan();
    let found = |given: &str| explain::find(&plan, given);
    for given in ["1", "services.RemoteRegistry", "remoteregistry", "remote"] {
        assert_eq!(found(given), Ok(vec![(0, 0)]), "{given}");
    }
    assert_eq!(found(r"data\tree"), Ok(vec![(0, 3)]));
    let Err(FindError::Several { names, .. }) = found(r"\Data\") else { panic!("two steps") };
    assert_eq!(names.len(), 2);
    let none = |given: &str| match found(given) {
        Err(FindError::None { near, .. }) => near,
        other => panic!("{given}: {other:?}"),
    };
    assert_eq!(none("services.RemotRegistry").as_deref(), Some("services.RemoteRegistry"));
    assert_eq!(none("RemoteRegitsry").as_deref(), Some("RemoteRegistry"));
    assert_eq!((none("purple"), none("")), (None, None));
}

#[test]
fn a_number_that_is_no_step_is_not_looked_for_in_titles() {
    let place = Place::new(Codec::Xpress);
    place.edit("to = 'C:\\Data\\one.txt'", "to = 'C:\\Data\\40.txt'");
    let plan = place.plan();
    for given in ["40", "0", "99999999999999999999999"] {
        let Err(error) = explain::find(&plan, given) else { panic!("{given} was found") };
        assert_eq!(error, FindError::NoNumber { given: given.to_owned(), last: 5 });
    }
    assert_eq!(explain::find(&plan, "3"), Ok(vec![(0, 2)]));
    assert_eq!(explain::find(&plan, "40.txt"), Ok(vec![(0, 2)]));
}

#[test]
fn before_any_build_the_plan_alone_explains() {
    let place = Place::new(Codec::Xpress);
    let text = overview(&place);
    assert!(
        text.contains("now      step 1: this output was not built with this cache yet"),
        "{text}"
    );
    assert!(text.contains("steps 2 to 5: depends on what step 1 does"), "{text}");
    assert!(text.contains("here  after step 2: the order table"), "{text}");
    assert!(!text.contains("by itself"), "{text}");
    assert!(details(&place, "1").contains("changes are not known"));
    let history = history(&place, r"C:\Data\one.txt");
    assert_eq!((history.kind, history.of), (PlaceKind::Nowhere, Source::Plan));
    assert_eq!(history.unknown.len(), 5);
    let readme = self::history(&place, r"C:\Windows\README.txt");
    assert_eq!((readme.place.as_str(), readme.kind), (r"\Windows\readme.txt", PlaceKind::File));
    assert!(readme.base.is_some() && readme.base == readme.now);
}

#[test]
fn what_a_step_changed_is_listed_and_cut() {
    let place = Place::new(Codec::Xpress);
    place.build();
    let text = details(&place, r"data\tree");
    assert!(text.contains("2 put-file"), "{text}");
    assert!(text.contains("and 2 more (--all shows them)"), "{text}");
    assert!(text.contains("files/tree  2 files, 135000 bytes, BLAKE3 "), "{text}");
    assert!(text.contains("last  ran: this output was not built with this cache yet"), "{text}");
    let registry = details(&place, "2");
    assert!(registry.contains("values.AllowTelemetry = REG_DWORD 0x0 (0)"), "{registry}");
    assert!(registry.contains("Telemetry : AllowTelemetry  REG_DWORD 0x0 (0)"), "{registry}");
    // What it did is told after a change too, as the last build did it.
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 1");
    let registry = details(&place, "2");
    assert!(registry.contains("changes in the last build"), "{registry}");
    assert!(
        registry.contains("now   runs: values.AllowTelemetry is REG_DWORD 0x1 (1), was"),
        "{registry}"
    );
}

#[test]
fn the_last_of_several_steps_wins() {
    let place = Place::new(Codec::Xpress);
    place.write("files/two.txt", b"two");
    place.edit(
        "[first-boot]",
        "[[files]]\nfrom = \"files/two.txt\"\nto = 'C:\\Data\\tree\\a.txt'\n\
         [[files]]\nto = 'C:\\Windows\\readme.txt'\nabsent = true\n[first-boot]",
    );
    place.build();
    let file = history(&place, r"c:\data\TREE\A.TXT");
    assert_eq!((file.place.as_str(), file.kind), (r"\Data\tree\a.txt", PlaceKind::File));
    assert_eq!(names(&file), [r"files.\Data\tree", r"files.\Data\tree\a.txt"]);
    assert_eq!(file.source().unwrap().name, r"files.\Data\tree\a.txt");
    assert!(file.steps[1].before.as_ref().unwrap().starts_with("35000 bytes"));
    assert!(file.now.as_ref().unwrap().starts_with("3 bytes"));
    let gone = history(&place, r"C:\Windows\readme.txt");
    assert!(gone.base.is_some() && gone.now.is_none() && gone.steps.len() == 1, "{gone:#?}");
    assert!(text::history(&gone).contains("took it away"));
    let folder = history(&place, r"C:\Data");
    assert_eq!(folder.kind, PlaceKind::Folder);
    assert_eq!(folder.steps.len(), 3);
    assert!(folder.steps[1].changes.iter().any(|line| line.place.ends_with("b.bin")));
}

#[test]
fn registry_places_are_found_by_key_and_by_value() {
    let place = Place::new(Codec::Xpress);
    place.build();
    let key = r"HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry";
    let expected = history(&place, &format!("{key} : Start"));
    assert!(expected.place.contains("ControlSet00") && expected.kind == PlaceKind::Value);
    assert_eq!(names(&expected), ["services.RemoteRegistry"]);
    assert_eq!(expected.now.as_deref(), Some("REG_DWORD 0x4 (4)"));
    // The value's name behind the key, as the registry editor's users write it.
    let other = history(&place, &format!(r"{key}\start"));
    assert_eq!((other.kind, other.now), (PlaceKind::Value, expected.now));
    let whole = history(&place, r"HKLM\SYSTEM\CurrentControlSet\Services");
    assert_eq!((whole.kind, names(&whole)), (PlaceKind::Key, vec!["services.RemoteRegistry"]));
    assert!(whole.source().is_none(), "the key itself is the base's");
    let nowhere = history(&place, r"HKLM\SOFTWARE\Policies\Telemetri");
    assert_eq!(nowhere.kind, PlaceKind::Nowhere);
    assert_eq!(nowhere.near, [r"HKLM\SOFTWARE\Policies\Telemetry"]);
    let near = history(&place, r"C:\Elsewhere\one.txt");
    assert_eq!(near.near, [r"\Data\one.txt"]);
    let hive = history(&place, r"C:\Windows\System32\config\SYSTEM");
    assert_eq!((hive.kind, names(&hive)), (PlaceKind::Hive, vec!["services.RemoteRegistry"]));
}

#[test]
fn what_steps_that_wait_may_still_change_is_told_as_so_far() {
    let place = Place::new(Codec::Xpress);
    let readme = history(&place, r"C:\Windows\readme.txt");
    assert!(readme.will_write.is_empty() && readme.unknown.len() == 5);
    let text = text::history(&readme);
    assert!(text.contains("      so far  ") && !text.contains("      now "), "{text}");
    assert!(text.contains("no step that has run changed it"), "{text}");
    assert!(text.contains("That is so before the steps below, which have not run."), "{text}");
    let policies = r"HKLM\SOFTWARE\Policies";
    let start = r"HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry : Start";
    for (what, step) in [
        (r"C:\Data\one.txt", Some(r"files.\Data\one.txt")),
        (r"C:\Data\tree\sub\b.bin", Some(r"files.\Data\tree")),
        (&format!(r"{policies}\Telemetry : AllowTelemetry"), Some(REGISTRY)),
        (&format!(r"{policies}\Telemetry : Other"), None),
        (policies, Some(REGISTRY)),
        (start, Some("services.RemoteRegistry")),
        (r"C:\Windows\System32\config\SOFTWARE", Some(REGISTRY)),
    ] {
        let step: Vec<&str> = step.into_iter().collect();
        assert_eq!(history(&place, what).will_write, step, "{what}");
    }
    let told = text::history(&history(&place, start));
    assert!(told.contains("By the recipe these write there: services.RemoteRegistry"), "{told}");
    // Of what has run, the end is known.
    place.build();
    let text = text::history(&history(&place, r"C:\Windows\readme.txt"));
    assert!(text.contains("      now     ") && !text.contains("so far"), "{text}");
}

#[test]
fn a_folder_made_by_one_step_and_changed_below_by_a_later_one_names_both() {
    let place = Place::new(Codec::Xpress);
    let below = r"[registry.'HKLM\SOFTWARE\Policies\Telemetry\Below']";
    place.edit(
        "[[files]]\nfrom = \"files/one.txt\"",
        &format!("{below}\nX = 1\n[[files]]\nfrom = \"files/one.txt\""),
    );
    place.build();
    let told = |what: &str| text::history(&history(&place, what));
    let folder = told(r"C:\Data");
    let last = r"(files.\Data\one.txt) made it; what is in or below it was last changed by step 5 (files.\Data\tree).";
    assert!(folder.contains(last), "{folder}");
    let whole = told(r"C:\Data\tree");
    assert!(whole.contains(r"It is as step 5 (files.\Data\tree) left it."), "{whole}");
    let key = told(r"HKLM\SOFTWARE\Policies\Telemetry");
    assert!(key.contains("Step 2 (") && key.contains("was last changed by step 3 ("), "{key}");
}

#[test]
fn a_folder_with_hives_counts_what_changed_in_them() {
    let place = Place::new(Codec::Xpress);
    place.build();
    for what in [r"C:\Windows\System32\config", r"c:\windows\SYSTEM32"] {
        let folder = history(&place, what);
        assert_eq!(folder.kind, PlaceKind::Folder);
        let names = names(&folder);
        assert!(names.starts_with(&["services.RemoteRegistry", REGISTRY]), "{names:?}");
        assert!(text::history(&folder).contains("what is below it was last changed by"));
    }
    let hive = history(&place, r"C:\Windows\System32\config\SOFTWARE");
    assert_eq!((hive.kind, names(&hive)), (PlaceKind::Hive, vec![REGISTRY]));
    assert!(names(&history(&place, r"C:\Data")).iter().all(|name| name.starts_with("files.")));
}

#[test]
fn a_place_is_told_as_of_the_last_build_while_steps_wait() {
    let place = Place::new(Codec::Xpress);
    place.build();
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 1");
    let value = history(&place, r"HKLM\SOFTWARE\Policies\Telemetry : AllowTelemetry");
    assert_eq!((value.of, value.now.as_deref()), (Source::LastBuild, Some("REG_DWORD 0x0 (0)")));
    assert!(text::history(&value).contains("as in the last build"));
}

#[test]
fn an_output_that_is_not_up_to_date_though_every_step_is_cached_says_why() {
    let place = Place::new(Codec::Xpress);
    let line = |begin: &str| {
        let text = overview(&place);
        text.lines().find(|line| line.starts_with(begin)).unwrap().to_owned()
    };
    assert!(line("output").ends_with("golden.wim"), "never built: the line below says so");
    place.build();
    assert!(line("output").ends_with("golden.wim, up to date"));
    place.write("out/golden.wim", b"something else");
    assert!(line("output").ends_with("not up to date: the file was changed after it was written"));
    fs_err::remove_file(place.path("out/golden.wim")).unwrap();
    assert!(line("output").ends_with("not up to date: the file is missing"));
    place.build();
    let last = line("last");
    let why = "the last build ran 0 of 5 steps and wrote the output: the file is missing";
    assert!(last.ends_with(why), "{last}");
    assert!(line("output").ends_with(", up to date"));
    place.edit("name = \"golden\"", "name = \"other\"\ndescription = \"new\"");
    place.edit("[output]\n", "[output]\ncompression = \"lzx\"\n");
    let output = line("output");
    assert!(output.contains("not up to date: the name is other, was golden; "), "{output}");
    assert!(output.contains("; the description is new, was "), "{output}");
    assert!(output.contains("; the compression is ") && !output.contains("steps"), "{output}");
    place.build();
    assert!(line("last").contains("and wrote the output: the name is other, was golden"));
    assert!(line("output").ends_with(", up to date"));
    place.edit("RemoteRegistry = \"disabled\"", "RemoteRegistry = \"manual\"");
    assert!(line("output").ends_with("not up to date: steps have to run"));
}

#[test]
fn a_build_that_was_ended_or_failed_is_explained_from_the_plan() {
    let place = Place::new(Codec::Xpress);
    let plan: Plan = place.plan();
    let store = place.store();
    let ended = std::sync::atomic::AtomicUsize::new(0);
    // Ends it once two steps were applied.
    let events = |event: transom::pipeline::Event<'_>| {
        if matches!(event, transom::pipeline::Event::StepApplied { .. }) {
            ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let cancelled = || ended.load(std::sync::atomic::Ordering::Relaxed) >= 2;
    let settings = Settings { events: &events, cancelled: &cancelled, ..Settings::default() };
    let result = transom::pipeline::build(&plan, &Arc::clone(&store), &settings);
    assert!(matches!(result, Err(BuildError::Cancelled)), "{result:?}");
    drop(store);
    let text = overview(&place);
    assert!(text.contains("now      step 3: this output was not built"), "{text}");
    let value = history(&place, r"HKLM\SOFTWARE\Policies\Telemetry : AllowTelemetry");
    assert_eq!(value.now.as_deref(), Some("REG_DWORD 0x0 (0)"));
    assert_eq!(value.unknown.len(), 3);
    assert!(text::history(&value).contains("not known before they have run"));
}

#[test]
fn every_image_is_explained_by_itself() {
    let place = Place::new(Codec::Xpress);
    place.edit(
        "edition = \"ServerCore\"",
        "images = [{ edition = \"Professional\" }, { edition = \"ServerCore\" }]",
    );
    place.edit("[image]\nname = \"golden\"\n", "");
    place.build();
    let text = overview(&place);
    assert!(text.contains("image 1 \"Client\"") && text.contains("image 2 \"Server\""), "{text}");
    assert_eq!(text.matches("services.RemoteRegistry, ").count(), 2, "{text}");
    assert_eq!(explain::find(&place.plan(), "RemoteRegistry").unwrap(), [(0, 0), (1, 0)]);
    let readme = [0, 1].map(|image| history_of(&place, image, r"C:\Windows\readme.txt"));
    assert_ne!(readme[0].now, readme[1].now);
    assert!(text::history(&readme[1]).contains(r"in image 2"));
}
