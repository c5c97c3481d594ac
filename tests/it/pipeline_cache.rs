//! Builds with a cache that is damaged or full of surprises.

use std::sync::Arc;

use fs_err as fs;
use transom::{
    codec::Codec,
    pipeline::{self, BuildError, Settings},
    plan::{FailureClass, Options},
};

use crate::pipeline_place::Place;

#[test]
fn a_build_succeeds_when_every_blob_of_the_cache_is_damaged() {
    let place = Place::new(Codec::Xpress);
    place.build();
    let expected = place.read("out/golden.wim");
    let mut damaged = 0;
    for entry in walkdir::WalkDir::new(place.path("store/blobs")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let mut bytes = fs::read(entry.path()).unwrap();
            if let Some(last) = bytes[160..].last_mut() {
                *last ^= 1;
                damaged += 1;
            }
            fs::write(entry.path(), bytes).unwrap();
        }
    }
    assert!(damaged > 3, "{damaged} blobs: no more than a build has attempts");
    fs::remove_file(place.path("out/golden.wim")).unwrap();
    place.build();
    assert!(place.read("out/golden.wim") == expected);
}

/// The failure of a build whose inputs something is done to after the plan was made.
fn failure_after_plan(change: impl FnOnce(&Place)) -> BuildError {
    let place = Place::new(Codec::Xpress);
    let store = place.store();
    let plan = place.plan_with(&store, &Options::default()).unwrap();
    change(&place);
    let error = pipeline::build(&plan, &Arc::clone(&store), &Settings::default()).unwrap_err();
    assert!(!place.path("out/golden.wim").exists());
    error
}

#[test]
fn an_input_that_vanishes_between_plan_and_build_is_a_bad_input() {
    let error =
        failure_after_plan(|place| fs::remove_file(place.path("files/tree/a.txt")).unwrap());
    assert_eq!(error.class(), FailureClass::Input, "{error:?}");
    let text = format!("{error:?}");
    assert!(text.contains("a.txt") && !text.contains("cache"), "{text}");
}

#[test]
fn an_input_that_changes_between_plan_and_build_is_a_bad_input() {
    let error = failure_after_plan(|place| place.write("files/tree/a.txt", b"other content"));
    assert_eq!(error.class(), FailureClass::Input, "{error:?}");
    let text = format!("{error:?}");
    assert!(text.contains("changed while the build was reading it; run it again"), "{text}");
}
