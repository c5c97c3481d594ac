//! From a recipe to an image: what is in it, what is cached, what a killed build leaves.

use transom::{
    base::{limits::Limits, ntpath::NtPath},
    codec::Codec,
    format::wim::Wim,
    pipeline::{self, BuildError, Event, Settings, verify_output},
    plan::FailureClass,
};

use crate::pipeline_place::{Place, content, number, open};

const TELEMETRY: &str = r"HKLM\SOFTWARE\Policies\Telemetry";
const REMOTE_REGISTRY: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry";

fn assert_good(place: &Place) {
    let report = verify_output(&place.path("out/golden.wim"), &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
}

#[test]
fn the_output_has_what_the_recipe_says_and_the_rest_of_the_base() {
    for codec in [Codec::None, Codec::Xpress, Codec::Lzx] {
        let place = Place::new(codec);
        let base = place.read("base.wim");
        let (outcome, _) = place.build();
        assert!(!outcome.up_to_date && outcome.copied_bytes > 0, "{outcome:#?}");
        assert_good(&place);
        assert_eq!(place.read("base.wim"), base, "the base is only read");
        let mut image = place.output_image(1);
        assert_eq!(number(&mut image, TELEMETRY, "AllowTelemetry"), Some(0));
        assert_eq!(number(&mut image, REMOTE_REGISTRY, "Start"), Some(4));
        assert_eq!(content(&image, r"Data\one.txt"), b"one");
        assert_eq!(content(&image, r"Data\tree\sub\b.bin"), vec![7; 100_000]);
        assert_eq!(content(&image, r"Windows\readme.txt"), b"this is Server");
        let wim = Wim::open_path(&place.path("out/golden.wim"), &Limits::default()).unwrap();
        assert_eq!((wim.codec(), wim.image_count(), wim.header().boot_index), (codec, 1, 1));
        assert_eq!(wim.xml().image_name(1), Some("golden"));
        assert_eq!(wim.xml().image_flags_edition(1), Some("ServerCore"));
    }
}

#[test]
fn all_images_of_the_base_are_kept_when_asked_for() {
    let place = Place::new(Codec::Xpress);
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\nimages = \"all\"");
    place.build();
    assert_good(&place);
    let wim = Wim::open_path(&place.path("out/golden.wim"), &Limits::default()).unwrap();
    assert_eq!((wim.image_count(), wim.header().boot_index), (2, 2));
    let names = [1, 2].map(|index| wim.xml().image_name(index).unwrap().to_owned());
    assert_eq!(names, ["Client", "golden"]);
    let base = Wim::open_path(&place.path("base.wim"), &Limits::default()).unwrap();
    let metadata = |wim: &Wim, index| wim.metadata_blob(index).unwrap().sha1;
    assert_eq!(metadata(&wim, 1), metadata(&base, 1), "the other image is untouched");
    assert_ne!(metadata(&wim, 2), metadata(&base, 2));
    let mut counts = std::collections::BTreeMap::new();
    for index in [1, 2] {
        for dentry in wim.metadata(index).unwrap().dentries {
            for stream in dentry.streams.iter().filter(|stream| !stream.sha1.is_zero()) {
                *counts.entry(stream.sha1).or_insert(0) += 1;
            }
        }
    }
    let table: std::collections::BTreeMap<_, _> =
        wim.blobs().iter().map(|blob| (blob.sha1, blob.reference_count)).collect();
    assert_eq!(table, counts, "counts are true, and nothing is there that nobody names");
    // What was counted is remembered, and gives the same.
    let first = place.read("out/golden.wim");
    place.write("out/golden.wim", b"damaged");
    place.build();
    assert_eq!(place.read("out/golden.wim"), first);
}

#[test]
fn a_recipe_that_changes_nothing_gives_the_images_own_metadata() {
    let place = Place::new(Codec::Lzx);
    place.write(
        "recipe.toml",
        b"[base]\nwim = \"base.wim\"\nindex = 2\n[services]\nSpooler = \"manual\"\n[output]\npath = \"out/golden.wim\"\n",
    );
    let (outcome, _) = place.build();
    assert_eq!(outcome.encoded_bytes, 0, "nothing was compressed");
    assert!(!outcome.steps[0].changed);
    let [base, built] = [("base.wim", 2), ("out/golden.wim", 1)].map(|(name, index)| {
        let wim = Wim::open_path(&place.path(name), &Limits::default()).unwrap();
        (wim.metadata_blob(index).unwrap().sha1, wim.xml().last_modification(index))
    });
    assert_eq!(base, built);
}

#[test]
fn another_compression_is_used_when_asked_for() {
    let place = Place::new(Codec::Lzx);
    let (first, _) = place.build();
    place.edit(
        "path = \"out/golden.wim\"",
        "path = \"out/golden.wim\"\ncompression = \"xpress\"\nintegrity = true",
    );
    let (second, told) = place.build();
    assert_eq!(told.applied, [0; 0], "the steps do not depend on it");
    assert_eq!(told.prepared, [0; 0]);
    assert_eq!(second.state, first.state);
    assert_ne!(second.commit, first.commit);
    assert_good(&place);
    let wim = Wim::open_path(&place.path("out/golden.wim"), &Limits::default()).unwrap();
    assert_eq!((wim.codec(), wim.chunk_size()), (Codec::Xpress, 32 << 10));
}

#[test]
fn nothing_is_done_when_the_output_is_there() {
    let place = Place::new(Codec::Xpress);
    let (first, _) = place.build();
    let path = place.path("out/golden.wim");
    let modified = || fs_err::metadata(&path).unwrap().modified().unwrap();
    let before = modified();
    let (second, told) = place.build();
    assert!(told.up_to_date && second.up_to_date);
    assert_eq!((second.state, second.commit, second.size), (first.state, first.commit, first.size));
    assert_eq!(modified(), before);
    let names: Vec<_> = fs_err::read_dir(place.path("out")).unwrap().collect();
    assert_eq!(names.len(), 1);
    // A touched, damaged or deleted output is written again, the same.
    let bytes = place.read("out/golden.wim");
    place.write("out/golden.wim", b"damaged");
    assert!(!place.build().0.up_to_date);
    assert_eq!(place.read("out/golden.wim"), bytes);
    fs_err::remove_file(&path).unwrap();
    let (third, told) = place.build();
    assert!(!third.up_to_date);
    assert_eq!(told.applied, [0; 0]);
    assert_eq!(place.read("out/golden.wim"), bytes);
}

#[test]
fn a_change_runs_what_depends_on_it_and_no_more() {
    let place = Place::new(Codec::Xpress);
    // Steps: 1 service, 2 registry, 3 one.txt, 4 tree, 5 first boot.
    let (_, told) = place.build();
    assert_eq!(told.applied, [1, 2, 3, 4, 5]);
    type Case<'a> = (&'a str, &'a dyn Fn(), &'a [usize], &'a [usize]);
    let cases: [Case<'_>; 6] = [
        (
            "a registry value",
            &|| place.edit("AllowTelemetry = 0", "AllowTelemetry = 1"),
            &[],
            &[2, 3, 4, 5],
        ),
        ("and back", &|| place.edit("AllowTelemetry = 1", "AllowTelemetry = 0"), &[], &[]),
        ("a file", &|| place.write("files/one.txt", b"another"), &[3], &[3, 4, 5]),
        ("a file's time", &|| place.write("files/tree/a.txt", &b"tree a ".repeat(5000)), &[], &[]),
        (
            "a new step",
            &|| {
                place.edit(
                    "[first-boot]",
                    "[[files]]\nto = 'C:\\Data\\tree\\a.txt'\nabsent = true\n[first-boot]",
                );
            },
            &[],
            &[5, 6],
        ),
        ("the name", &|| place.edit("\"golden\"", "\"gold\""), &[], &[]),
    ];
    for (what, change, prepared, applied) in cases {
        change();
        let (outcome, told) = place.build();
        assert_eq!(told.prepared, prepared, "prepared after {what}");
        assert_eq!(told.applied, applied, "applied after {what}");
        assert!(!outcome.up_to_date || what == "a file's time");
        assert_good(&place);
        // The cache gives what a build without it gives.
        let cached = place.read("out/golden.wim");
        let settings = Settings { no_cache: true, ..Settings::default() };
        let (result, told) = place.try_build(&settings, usize::MAX);
        result.unwrap();
        assert_eq!(told.cached, [0; 0]);
        assert_eq!(place.read("out/golden.wim"), cached, "after {what}");
    }
}

#[test]
fn a_step_that_changes_nothing_cuts_the_rebuild_off() {
    let place = Place::new(Codec::Xpress);
    let (first, _) = place.build();
    // The base says `manual` already.
    place.edit(
        "RemoteRegistry = \"disabled\"",
        "RemoteRegistry = \"disabled\"\nSpooler = \"manual\"",
    );
    let (second, told) = place.build();
    assert_eq!(told.applied, [2]);
    assert_eq!(told.cached, [1, 3, 4, 5, 6]);
    assert_eq!(second.state, first.state);
    assert!(!second.steps[1].changed);
}

#[test]
fn a_build_stopped_at_any_event_leaves_nothing_and_the_next_gives_the_same() {
    let expected = {
        let place = Place::new(Codec::Xpress);
        place.build();
        place.read("out/golden.wim")
    };
    let place = Place::new(Codec::Xpress);
    let base = place.read("base.wim");
    let mut stopped = 0;
    for stop_at in 0.. {
        let (result, _) = place.try_build(&Settings::default(), stop_at);
        assert_eq!(place.read("base.wim"), base);
        match result {
            Err(error) => {
                assert!(matches!(error, BuildError::Cancelled), "{error:?}");
                assert_eq!(error.class(), FailureClass::Interrupted);
                let left = fs_err::read_dir(place.path("out")).map_or(0, Iterator::count);
                assert_eq!(left, 0, "stopped at event {stop_at}");
                stopped += 1;
            }
            Ok(_) => break,
        }
        // Half the time with what the stopped build had remembered, half the time without.
        if stop_at % 2 == 0 {
            fs_err::remove_dir_all(place.path("store")).unwrap();
        }
    }
    assert!(stopped > 10, "only {stopped} places to stop at");
    assert_eq!(place.read("out/golden.wim"), expected);
}

#[test]
fn whatever_is_torn_in_the_store_the_next_build_gives_the_same() {
    let place = Place::new(Codec::Xpress);
    place.build();
    let expected = place.read("out/golden.wim");
    let objects = |place: &Place| -> Vec<std::path::PathBuf> {
        let files = walkdir::WalkDir::new(place.path("store")).sort_by_file_name().into_iter();
        let files = files.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        let objects = files.map(walkdir::DirEntry::into_path);
        objects
            .filter(|path| path.components().count() > place.path("store/x").components().count())
            .collect()
    };
    let count = objects(&place).len();
    assert!(count > 20, "{count} objects");
    for torn in 0..count {
        let all = objects(&place);
        let Some(path) = all.get(torn) else { continue };
        let bytes = fs_err::read(path).unwrap();
        let damaged = match torn % 3 {
            0 => bytes[..bytes.len() / 2].to_vec(),
            1 => Vec::new(),
            _ => {
                let mut bytes = bytes.clone();
                *bytes.last_mut().unwrap() ^= 1;
                bytes
            }
        };
        fs_err::write(path, damaged).unwrap();
        fs_err::remove_file(place.path("out/golden.wim")).unwrap();
        place.build();
        assert_eq!(place.read("out/golden.wim"), expected, "{}", path.display());
    }
}

#[test]
fn two_builds_at_once_share_a_store() {
    let expected = {
        let place = Place::new(Codec::Lzx);
        place.build();
        place.read("out/golden.wim")
    };
    let place = Place::new(Codec::Lzx);
    let text = fs_err::read_to_string(place.path("recipe.toml")).unwrap();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (place, text) = (&place, &text);
            scope.spawn(move || {
                let name = format!("recipe{number}.toml");
                let output = format!("out/golden{number}.wim");
                place.write(&name, text.replace("out/golden.wim", &output).as_bytes());
                let store = place.store();
                let path = place.path(&name);
                let recipe = transom::recipe::load(&path, &[]).unwrap();
                let plan =
                    transom::plan::make(&recipe, &path, &store, &transom::plan::Options::default())
                        .unwrap();
                pipeline::build(&plan, &store, &Settings::default()).unwrap();
            });
        }
    });
    for number in 0..3 {
        assert_eq!(place.read(&format!("out/golden{number}.wim")), expected);
    }
}

#[test]
fn the_same_output_cannot_be_built_twice_at_once() {
    let place = Place::new(Codec::Xpress);
    let output = place.path("out/golden.wim");
    let held = pipeline::output::PartialOutput::begin(
        &output,
        &[],
        &transom::plan::inputs::ResolvedInputs::new(),
    )
    .unwrap();
    let (result, _) = place.try_build(&Settings::default(), usize::MAX);
    let error = result.unwrap_err();
    assert_eq!(error.class(), FailureClass::Output);
    assert!(error.to_string().contains("another build"), "{error}");
    drop(held);
    place.build();
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_place() {
    let outputs: Vec<Vec<u8>> = [1, 2, 3]
        .map(|threads| {
            let place = Place::new(Codec::Xpress);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| place.build());
            assert!(!place.path("recipe.lock").exists(), "a build writes no lock by itself");
            place.read("out/golden.wim")
        })
        .into();
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
}

#[test]
fn a_step_that_fails_points_at_its_entry_and_leaves_nothing() {
    let place = Place::new(Codec::Xpress);
    place.edit("to = 'C:\\Data\\one.txt'", "to = 'C:\\Windows\\readme.txt\\one.txt'");
    let plan = place.plan_with(&place.store(), &transom::plan::Options::default());
    let findings: Vec<(String, String)> = match plan {
        Err(error) => {
            assert_eq!(error.class(), FailureClass::Plan);
            error
                .findings()
                .map(|finding| (finding.code().to_owned(), finding.to_string()))
                .collect()
        }
        Ok(_) => {
            let (result, _) = place.try_build(&Settings::default(), usize::MAX);
            let error = result.unwrap_err();
            assert_eq!(error.class(), FailureClass::Step);
            error
                .findings()
                .map(|finding| (finding.code().to_owned(), finding.to_string()))
                .collect()
        }
    };
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].1.contains("readme.txt"), "{findings:?}");
    assert_eq!(fs_err::read_dir(place.path("out")).map_or(0, Iterator::count), 0);
}

#[test]
fn the_image_that_was_not_selected_is_not_changed_by_hive_edits() {
    let place = Place::new(Codec::None);
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\nimages = \"all\"");
    place.build();
    let mut other = open(&place.path("out/golden.wim"), 1);
    assert_eq!(number(&mut other, TELEMETRY, "AllowTelemetry"), None);
    assert!(other.tree().lookup(&NtPath::parse("Data").unwrap()).is_none());
}

#[cfg(unix)]
#[test]
fn a_temporary_that_is_a_hard_link_of_the_base_or_an_input_leaves_it_whole() {
    for name in ["base.wim", "files/tree/a.txt"] {
        let place = Place::new(Codec::Xpress);
        let before = place.read(name);
        fs_err::create_dir_all(place.path("out")).unwrap();
        fs_err::hard_link(place.path(name), place.path("out/.golden.wim.partial")).unwrap();
        let (result, _) = place.try_build(&Settings::default(), usize::MAX);
        assert_eq!(result.unwrap_err().class(), FailureClass::Output);
        assert_eq!(place.read(name), before);
    }
}

#[test]
fn a_base_that_changes_during_the_build_gives_no_output() {
    use std::io::{Seek as _, Write as _};
    for replaced in [false, true] {
        let place = Place::new(Codec::Xpress);
        let base = place.read("base.wim");
        let plan = place.plan();
        let events = |event: Event<'_>| {
            if !matches!(event, Event::Writing { .. }) {
                return;
            }
            if replaced {
                place.write("new.wim", &base);
                fs_err::rename(place.path("new.wim"), place.path("base.wim")).unwrap();
            } else {
                let path = place.path("base.wim");
                let mut file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
                file.seek(std::io::SeekFrom::Start(300)).unwrap();
                file.write_all(&[0x5A; 64]).unwrap();
            }
        };
        let settings = Settings { events: &events, ..Settings::default() };
        let error = pipeline::build(&plan, &place.store(), &settings).unwrap_err();
        assert_eq!(error.class(), FailureClass::Input);
        assert!(error.to_string().contains("changed while it was being read"), "{error}");
        assert!(!place.path("out/golden.wim").exists());
    }
}

#[test]
fn a_base_cut_short_while_it_is_copied_is_an_input_error_and_no_output_error() {
    let place = Place::new(Codec::Xpress);
    let plan = place.plan();
    let events = |event: Event<'_>| {
        if matches!(event, Event::Writing { .. }) {
            let path = place.path("base.wim");
            let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(500).unwrap();
        }
    };
    let settings = Settings { events: &events, ..Settings::default() };
    let error = pipeline::build(&plan, &place.store(), &settings).unwrap_err();
    assert_eq!(error.class(), FailureClass::Input, "{error}");
}

#[test]
fn content_that_only_another_image_lacks_is_named_before_a_wim_without_it_is_written() {
    use transom::format::wim::{
        BlobSource, BlobToWrite, MetadataToWrite, WriteSettings, write_wim,
    };
    let place = Place::new(Codec::Xpress);
    let base =
        std::sync::Arc::new(Wim::open_path(&place.path("base.wim"), &Limits::default()).unwrap());
    // The base again, without one file of image 1.
    let lost = transom::base::digest::Sha1::of(b"this is Client");
    let blobs = base.blobs().iter().filter(|blob| blob.sha1 != lost).map(|blob| BlobToWrite {
        sha1: blob.sha1,
        size: blob.size,
        reference_count: blob.reference_count,
        source: BlobSource::Wim { wim: std::sync::Arc::clone(&base), blob: *blob },
    });
    let images = [1, 2]
        .map(|index| MetadataToWrite::Copy { wim: std::sync::Arc::clone(&base), index })
        .into();
    let settings = WriteSettings {
        codec: Codec::Xpress,
        chunk_size: base.chunk_size(),
        level: transom::codec::Level::Default,
        solid: None,
        integrity: false,
        boot_index: 2,
        rp_fix: true,
    };
    let file = fs_err::File::create(place.path("delta.wim")).unwrap();
    let xml = base.xml().clone();
    let blobs = blobs.collect();
    write_wim(file.file(), &settings, blobs, images, xml, &|_| (), &|| false).unwrap();
    place.edit("base.wim", "delta.wim");
    place.build();
    place.edit("path = \"out/golden.wim\"", "path = \"out/all.wim\"\nimages = \"all\"");
    let error = place.try_build(&Settings::default(), usize::MAX).0.unwrap_err();
    assert_eq!(error.class(), FailureClass::Input);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&lost.to_string()) && cause.contains("image 1 \"Client\""), "{cause}");
    assert!(!place.path("out/all.wim").exists());
}
