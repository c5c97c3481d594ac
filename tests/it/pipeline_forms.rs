//! Bases and outputs of every form: LZMS, solid (.esd), split sets (.swm), and what each becomes.

use std::path::Path;

use transom::{
    base::limits::Limits,
    codec::Codec,
    format::wim::{Header, Wim, part_path},
    pipeline::{report::beside, verify_output},
};

use crate::{
    pipeline_place::{Place, content, number},
    support::{self, oracle},
};

const TELEMETRY: &str = r"HKLM\SOFTWARE\Policies\Telemetry";

fn opened(path: &Path) -> Wim {
    Wim::open_path(path, &Limits::default()).unwrap()
}

/// The output holds what the recipe says, and every byte of it is what its digest says: by us and, where they are, by the peers.
fn check(place: &Place, output: &str, parts: &[&str]) {
    let path = place.path(output);
    let report = verify_output(&path, &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    let mut image = crate::pipeline_place::open(&path, 1);
    assert_eq!(number(&mut image, TELEMETRY, "AllowTelemetry"), Some(0));
    assert_eq!(content(&image, r"Data\one.txt"), b"one");
    assert_eq!(content(&image, r"Data\tree\sub\b.bin"), vec![7; 100_000]);
    assert_eq!(content(&image, r"Windows\readme.txt"), b"this is Server");
    if let Some(wimlib) = oracle("wimlib-imagex") {
        let mut arguments = vec!["verify".into(), path.clone().into_os_string()];
        for part in parts {
            arguments.push(format!("--ref={}", place.path(part).display()).into());
        }
        wimlib.run(arguments);
    }
    if let Some(sevenzip) = oracle("7z") {
        sevenzip.run(["t".as_ref(), "-bso0".as_ref(), path.as_os_str()]);
    }
}

fn with_output(place: &Place, keys: &str) {
    place.edit("path = \"out/golden.wim\"", &format!("path = \"out/golden.wim\"\n{keys}"));
}

#[test]
fn an_output_can_be_lzms_or_solid_at_every_level() {
    for (keys, solid) in [
        ("compression = \"lzms\"", false),
        ("compression = \"lzms\"\nlevel = \"fast\"\nchunk-kib = 32", false),
        ("compression = \"solid\"", true),
        ("compression = \"solid\"\nlevel = \"high\"\nchunk-kib = 128", true),
        ("compression = \"lzx\"\nlevel = \"max\"", false),
        ("compression = \"xpress\"\nlevel = \"high\"\nchunk-kib = 4", false),
    ] {
        let place = Place::new(Codec::Xpress);
        with_output(&place, keys);
        let (outcome, _) = place.build();
        assert!(!outcome.up_to_date);
        check(&place, "out/golden.wim", &[]);
        let wim = opened(&place.path("out/golden.wim"));
        assert_eq!(!wim.solids(0).is_empty(), solid, "{keys}");
        if keys.contains("lzms") || solid {
            assert_eq!((wim.codec(), wim.header().version), (Codec::Lzms, Header::VERSION_SOLID));
        }
        let first = place.read("out/golden.wim");
        assert!(place.build().0.up_to_date, "{keys}");
        // From a warm and from an empty cache the same bytes come.
        fs_err::remove_file(place.path("out/golden.wim")).unwrap();
        place.build();
        assert_eq!(place.read("out/golden.wim"), first, "{keys}");
        place.forget();
        fs_err::remove_file(place.path("out/golden.wim")).unwrap();
        place.build();
        assert_eq!(place.read("out/golden.wim"), first, "{keys}");
    }
}

#[test]
fn a_solid_base_stays_solid_and_its_content_is_not_compressed_again() {
    let place = Place::new(Codec::Xpress);
    with_output(&place, "compression = \"solid\"\nimages = \"all\"");
    place.build();
    fs_err::rename(place.path("out/golden.wim"), place.path("base.wim")).unwrap();
    place.edit("\ncompression = \"solid\"", "");
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nMore = 1");
    let (outcome, _) = place.build();
    assert!(outcome.copied_bytes > 0, "{outcome:#?}");
    let report = verify_output(&place.path("out/golden.wim"), &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    let wim = opened(&place.path("out/golden.wim"));
    let base = opened(&place.path("base.wim"));
    assert_eq!(wim.solids(0).len(), base.solids(0).len() + 1, "what is new lies behind");
    // And from a solid base to one that Windows' boot loader reads.
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.wim\"\ncompression = \"lzx\"");
    place.build();
    let wim = opened(&place.path("out/golden.wim"));
    assert!(wim.solids(0).is_empty() && wim.codec() == Codec::Lzx);
    assert_eq!(wim.header().version, Header::VERSION);
}

#[test]
fn an_output_can_be_a_split_set_and_a_split_set_a_base() {
    let place = Place::new(Codec::None);
    // Content that fills several parts of one MiB.
    for number in 0..6_u32 {
        let mut state = number + 1;
        let bytes: Vec<u8> = (0..700_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .collect();
        place.write(&format!("files/tree/large{number}.bin"), &bytes);
    }
    place.edit("out/golden.wim", "out/golden.swm");
    place.edit("path = \"out/golden.swm\"", "path = \"out/golden.swm\"\nsplit-mib = 1");
    place.build();
    let first = place.path("out/golden.swm");
    assert_eq!(part_path(&first, 2), place.path("out/golden2.swm"));
    let count = opened(&first).volumes().len();
    assert!(count >= 5, "{count} parts");
    let names = |place: &Place| {
        let mut names: Vec<String> = support::files_below(&place.path("out"))
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&place).len(), count, "{:?}", names(&place));
    let parts: Vec<String> = (2..=count).map(|number| format!("out/golden{number}.swm")).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    check(&place, "out/golden.swm", &parts);
    assert!(place.build().0.up_to_date);
    // One part gone: the output is made again, and is the same.
    let bytes = place.read("out/golden3.swm");
    fs_err::remove_file(place.path("out/golden3.swm")).unwrap();
    assert!(!place.build().0.up_to_date);
    assert_eq!(place.read("out/golden3.swm"), bytes);

    // The set as a base, of an output that is one file.
    let other = Place::new(Codec::None);
    for name in names(&place) {
        let to = name.replace("golden", "base");
        fs_err::copy(place.path("out").join(&name), other.path(&to)).unwrap();
    }
    other.edit("base.wim", "base.swm");
    other.build();
    let report = verify_output(&other.path("out/golden.wim"), &Limits::default(), &|_| ()).unwrap();
    assert!(report.is_good(), "{:#?}", report.problems);
    assert_eq!(opened(&other.path("out/golden.wim")).volumes().len(), 1);
    // A part that changes makes another base of it.
    let key = other.plan().base.blake3;
    let part = other.path("base2.swm");
    let mut changed = fs_err::read(&part).unwrap();
    let end = changed.len() - 1;
    changed[end] ^= 1;
    fs_err::write(&part, changed).unwrap();
    assert_ne!(other.plan().base.blake3, key);
    fs_err::remove_file(&part).unwrap();
    let error = other.plan_error();
    assert!(error.contains("base2.swm"), "{error}");

    // A smaller output leaves none of the parts that the larger one had.
    for number in 0..6 {
        fs_err::remove_file(place.path(&format!("files/tree/large{number}.bin"))).unwrap();
    }
    place.build();
    assert!(names(&place).len() < count, "{:?}", names(&place));
    check(&place, "out/golden.swm", &[]);
}

#[test]
fn a_solid_output_cannot_be_split() {
    let place = Place::new(Codec::Xpress);
    with_output(&place, "compression = \"solid\"");
    place.build();
    fs_err::rename(place.path("out/golden.wim"), place.path("base.wim")).unwrap();
    place.edit("compression = \"solid\"", "split-mib = 100");
    let error = place.plan_error();
    assert!(error.contains("solid image cannot be split"), "{error}");
}

#[test]
fn chunks_that_windows_cannot_read_are_written_with_a_warning() {
    let place = Place::new(Codec::Xpress);
    with_output(&place, "compression = \"lzx\"\nchunk-kib = 256");
    let plan = place.plan();
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("Windows")), "{warnings:?}");
    place.build();
    // As a base, such a file does not make another one unasked.
    fs_err::rename(place.path("out/golden.wim"), place.path("base.wim")).unwrap();
    place.edit("compression = \"lzx\"\nchunk-kib = 256", "");
    place.build();
    assert_eq!(opened(&place.path("out/golden.wim")).chunk_size(), 32 << 10);
}

/// Bytes that cannot be compressed.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..size).map(next).collect()
}

#[test]
fn a_part_that_is_larger_than_asked_for_is_told() {
    let place = Place::new(Codec::None);
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.swm\"\nsplit-mib = 1");
    let (outcome, _) = place.build();
    assert_eq!(outcome.warnings, [""; 0]);
    place.write("files/tree/large.bin", &noise(3_000_000));
    let (outcome, _) = place.build();
    let [warning] = &outcome.warnings[..] else { panic!("{:#?}", outcome.warnings) };
    assert!(warning.contains("larger than `split-mib` says"), "{warning}");
    assert!(warning.contains("golden") && warning.ends_with(".swm"), "{warning}");
}

#[test]
fn a_stale_part_of_a_set_that_the_cache_does_not_know_is_told() {
    let place = Place::new(Codec::None);
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.swm\"\nsplit-mib = 1");
    place.write("out/golden2.swm", b"of another set");
    let (outcome, _) = place.build();
    let [warning] = &outcome.warnings[..] else { panic!("{:#?}", outcome.warnings) };
    assert!(warning.contains("golden2.swm is not of this set"), "{warning}");
    assert_eq!(place.read("out/golden2.swm"), b"of another set");
}

#[test]
fn a_set_may_have_more_parts_than_a_process_may_have_open() {
    let place = Place::new(Codec::None);
    let bytes = noise(600_000);
    for number in 0..40_u8 {
        place.write(&format!("files/tree/{number}.bin"), &[&[number][..], &bytes].concat());
    }
    place.edit("path = \"out/golden.wim\"", "path = \"out/golden.swm\"\nsplit-mib = 1");
    place.build();
    let home = place.folder.path();
    let first = place.read("out/golden2.swm");
    fs_err::remove_dir_all(place.path("out")).unwrap();
    if cfg!(unix) {
        // The program itself, with fewer files than parts.
        let program = support::transom(home).get_program().to_owned();
        let script = "ulimit -n 40 && exec \"$0\" build recipe.toml --jobs 1";
        let mut command = std::process::Command::new("sh");
        command.current_dir(home).env("TRANSOM_CACHE_DIR", place.path("transom-cache"));
        // Where it is set, a build asks for a lock file.
        command.env_remove("CI");
        command.arg("-c").arg(script).arg(program);
        support::expect_success(&mut command);
        assert_eq!(place.read("out/golden2.swm"), first);
        assert!(place.path("out/golden40.swm").exists());
    }
    let mut left = support::files_below(&place.path("out"));
    let documents = beside::paths_of(&place.path("out/golden.swm"));
    left.retain(|path| !documents.contains(path));
    assert!(left.iter().all(|path| path.extension().is_some_and(|it| it == "swm")), "{left:?}");
}

/// Gives the file's one solid resource the form that only old test versions of writers make: not compressed.
fn make_solid_uncompressed(path: &Path) {
    let wim = opened(path);
    let mut content = Vec::new();
    for blob in wim.blobs_of_solid(0, 0) {
        assert_eq!(blob.resource.offset, content.len() as u64);
        content.extend(wim.read_blob(blob).unwrap());
    }
    let table = wim.header().blob_table;
    let mut bytes = fs_err::read(path).unwrap();
    let chunk_size = 1_usize << 20;
    let (offset, size) = (bytes.len() as u64, content.len() as u64);
    bytes.extend(size.to_le_bytes());
    bytes.extend((1_u32 << 20).to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    for chunk in content.chunks(chunk_size) {
        bytes.extend(u32::try_from(chunk.len()).unwrap().to_le_bytes());
    }
    bytes.extend(content);
    let stored = bytes.len() as u64 - offset;
    let start = usize::try_from(table.offset).unwrap();
    let end = start + usize::try_from(table.stored_size).unwrap();
    let mut entries = bytes[start..end].chunks_exact_mut(50);
    let solid = 0x1_0000_0000_u64.to_le_bytes();
    let entry = entries.find(|entry| entry[7] & 0x10 != 0 && entry[16..24] == solid).unwrap();
    entry[..7].copy_from_slice(&stored.to_le_bytes()[..7]);
    entry[8..16].copy_from_slice(&offset.to_le_bytes());
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn a_base_with_an_uncompressed_solid_resource_can_be_built_from() {
    let place = Place::new(Codec::Xpress);
    with_output(&place, "compression = \"solid\"");
    place.build();
    fs_err::rename(place.path("out/golden.wim"), place.path("base.wim")).unwrap();
    make_solid_uncompressed(&place.path("base.wim"));
    assert_eq!(opened(&place.path("base.wim")).solids(0)[0].codec(), Codec::None);
    place.edit("\ncompression = \"solid\"", "");
    place.edit("AllowTelemetry = 0", "AllowTelemetry = 0\nMore = 1");
    place.build();
    check(&place, "out/golden.wim", &[]);
    let wim = opened(&place.path("out/golden.wim"));
    assert!(wim.solids(0).is_empty() && wim.codec() == Codec::Lzms);
}
