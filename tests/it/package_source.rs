//! Packages out of what they come in: a real update, and containers made here, honest and hostile.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use sha2::{Digest as _, Sha256};
use transom::{
    base::{
        digest::{Blake3, Sha1, to_hex},
        filetime::FileTime,
        name::Name,
    },
    codec::{Codec, Level},
    format::{
        cix, delta,
        wim::{
            BlobSource, BlobToWrite, Dentry, Element, ImageMetadata, MetadataToWrite, Solid,
            Stream, StreamKind, WimXml, WriteSettings, write_wim,
        },
    },
    servicing::{
        InputEntry, InputId, InputKind, InputTree, ServicingError,
        cbs::source::{self, Expanded, PackageFile, PackageFolder},
    },
};

use crate::support::{files_below, shared_data};

const TIME: FileTime = FileTime(132_165_214_885_146_491);

fn entry(path: &str, bytes: &[u8]) -> InputEntry {
    let kind = InputKind::File {
        size: bytes.len() as u64,
        blake3: Blake3::of(bytes),
        content: Arc::new(bytes.to_vec()),
    };
    let names = path.split('/').filter(|name| !name.is_empty());
    InputEntry { path: names.map(str::to_owned).collect(), kind }
}

fn open_entries(id: &str, entries: Vec<InputEntry>) -> Result<Expanded, ServicingError> {
    source::open(&InputId(id.to_owned()), &InputTree { entries })
}

fn open_file(id: &str, bytes: &[u8]) -> Result<Expanded, ServicingError> {
    open_entries(id, vec![entry("", bytes)])
}

fn open_folder(files: &[(&str, &[u8])]) -> Result<Expanded, ServicingError> {
    let root = InputEntry { path: Vec::new(), kind: InputKind::Directory };
    let files = files.iter().map(|(path, bytes)| entry(path, bytes));
    open_entries("in", [root].into_iter().chain(files).collect())
}

/// Why an input is refused.
fn refused(opened: Result<Expanded, ServicingError>) -> String {
    let error = opened.unwrap_err();
    assert!(!error.help().is_empty(), "{error}");
    error.to_string()
}

fn content(file: &PackageFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.size).unwrap()];
    file.content.read_exact_at(0, &mut bytes).unwrap();
    assert_eq!(file.content.size(), file.size);
    assert_eq!(file.blake3, Blake3::of(&bytes), "{:?}", file.path);
    bytes
}

/// The files of a package by name, as text.
fn listed(package: &PackageFolder) -> Vec<(String, String)> {
    let text = |file: &PackageFile| {
        (file.path.join("/"), String::from_utf8_lossy(&content(file)).into_owned())
    };
    package.files.iter().map(text).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

/// A cabinet with one stored folder.
fn cab(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut content, mut table) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        table.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        table.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
        // 1 March 2021, 10:00:00.
        table.extend([0, 0, 0x61, 0x52, 0, 0x50, 0x80, 0]);
        table.extend(name.as_bytes());
        table.push(0);
        content.extend_from_slice(bytes);
    }
    let mut data = Vec::new();
    for block in content.chunks(0x8000) {
        let size = u16::try_from(block.len()).unwrap().to_le_bytes();
        // No checksum.
        data.extend([[0; 4].as_slice(), &size, &size, block].concat());
    }
    let data_at = 44 + table.len();
    let size = |size: usize| u32::try_from(size).unwrap().to_le_bytes();
    let mut bytes = b"MSCF\0\0\0\0".to_vec();
    bytes.extend(size(data_at + data.len()));
    bytes.extend([0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 0]);
    bytes.extend(u16::try_from(files.len()).unwrap().to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(size(data_at));
    bytes.extend(u16::try_from(content.len().div_ceil(0x8000)).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    [bytes, table, data].concat()
}

/// A WIM with one image that holds these files.
fn wim(files: &[(&str, &[u8])], solid: bool) -> Vec<u8> {
    let folder = |name: &str| Dentry {
        name: Name::from(name),
        attributes: 0x10,
        last_write_time: TIME,
        ..Dentry::default()
    };
    let mut dentries = vec![folder("")];
    let mut folders: BTreeMap<String, u32> = BTreeMap::from([(String::new(), 0)]);
    let mut blobs: BTreeMap<Sha1, BlobToWrite> = BTreeMap::new();
    for (path, bytes) in files {
        let mut parent = 0;
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(&known) = folders.get(above) {
            parent = known;
        } else {
            let place = u32::try_from(dentries.len()).unwrap();
            dentries.push(folder(above));
            dentries[0].children.push(place);
            folders.insert(above.to_owned(), place);
            parent = parent.max(place);
        }
        let (sha1, size) = (Sha1::of(bytes), bytes.len() as u64);
        let place = u32::try_from(dentries.len()).unwrap();
        dentries[parent as usize].children.push(place);
        let stream = Stream { kind: StreamKind::Data, name: Name::from(""), sha1 };
        dentries.push(Dentry { attributes: 0x20, streams: vec![stream], ..folder(name) });
        let source = BlobSource::Bytes { source: Arc::new(bytes.to_vec()) };
        let blob = BlobToWrite { sha1, size, reference_count: 0, source };
        blobs.entry(sha1).or_insert(blob).reference_count += 1;
    }
    let metadata = ImageMetadata { dentries, ..ImageMetadata::default() };
    let settings = WriteSettings {
        codec: Codec::Lzx,
        chunk_size: 32 << 10,
        level: Level::Fast,
        solid: solid.then_some(Solid { codec: Codec::Lzms, chunk_size: 1 << 20 }),
        integrity: false,
        boot_index: 0,
        rp_fix: false,
    };
    let mut xml = WimXml::new();
    let mut image = Element::new("IMAGE");
    image.set_attribute("INDEX", "1");
    xml.push_image(image);
    let file = tempfile::NamedTempFile::new().unwrap();
    let images = vec![MetadataToWrite::Bytes(metadata.encode())];
    let blobs = blobs.into_values().collect();
    write_wim(file.as_file(), &settings, blobs, images, xml, &|_| (), &|| false).unwrap();
    fs_err::read(file.path()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// An index of files: name, content, the delta's element.
fn index(kind: &str, files: &[(&str, &[u8], String)]) -> Vec<u8> {
    let mut text =
        format!(r#"<Container name="x" type="{kind}" xmlns="urn:ContainerIndex"><Files>"#);
    for (id, (name, bytes, delta)) in files.iter().enumerate() {
        let (size, hash) = (bytes.len(), sha256(bytes));
        write!(
            text,
            r#"<File id="{id}" name="{name}" length="{size}" time="{}"><Hash alg="SHA256" value="{hash}"/><Delta>{delta}</Delta></File>"#,
            TIME.0
        )
        .unwrap();
    }
    text.push_str("</Files></Container>");
    text.into_bytes()
}

fn member(kind: &str, name: &str, basis: Option<u32>) -> String {
    let basis = basis.map_or(String::new(), |id| format!(r#"<Basis file="{id}"/>"#));
    format!(r#"<Source type="{kind}" name="{name}"/>{basis}"#)
}

fn range(kind: &str, offset: usize, length: usize) -> String {
    format!(r#"<Source type="{kind}" offset="{offset}" length="{length}"/>"#)
}

#[test]
fn the_update_kb4528069_unpacks_but_for_the_delta_of_an_executable() {
    let name = "windows6.1-kb4528069-x64_b00bef3c3a13b8bc65bfaea63426386dbb54c336.msu";
    let Some(folder) = shared_data("cbs/msu") else { return };
    let expanded = open_file("kb.msu", &fs_err::read(folder.join(name)).unwrap()).unwrap();
    let skipped: Vec<&str> = expanded.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        skipped,
        [
            "kb.msu/WSUSSCAN.cab",
            "kb.msu/Windows6.1-KB4528069-x64-pkgProperties.txt",
            "kb.msu/Windows6.1-KB4528069-x64.xml"
        ]
    );
    let [package] = expanded.packages.as_slice() else { panic!("{expanded:?}") };
    assert_eq!(package.shown, "kb.msu/Windows6.1-KB4528069-x64.cab");
    let inner = folder.join("unpacked/inner");
    let index = cix::parse(&fs_err::read(inner.join(cix::IN_CABINET)).unwrap()).unwrap();
    assert_eq!((index.files.len(), package.files.len()), (17, 16));
    let left = r"x86_microsoft-windows-calc_31bf3856ad364e35_6.1.7602.20587_none_adece5d78f77f63f\calc.exe";
    for file in &index.files {
        let Some(found) = package.file(&file.name) else {
            assert_eq!(file.name, left);
            continue;
        };
        assert_eq!(Some(<[u8; 32]>::from(Sha256::digest(content(found)))), file.sha256);
        assert_eq!((found.time, Some(found.size)), (file.time, file.size), "{}", file.name);
    }
    let [problem] = package.not_native.as_slice() else { panic!("{:?}", package.not_native) };
    assert_eq!(problem.item, format!("{}/{}", package.shown, left.replace('\\', "/")));
    assert!(
        problem.cause.contains("only Windows can apply (a delta of PE kind (amd64 executable)")
    );
    assert!(problem.help.contains("first-boot"), "{}", problem.help);

    // The same package, when somebody unpacked the cabinet into a folder (and put the finished programs beside).
    let files = files_below(&inner);
    let entries = files.iter().map(|path| {
        let name = path.strip_prefix(&inner).unwrap().to_str().unwrap();
        entry(name, &fs_err::read(path).unwrap())
    });
    let by_hand = open_entries("inner", entries.collect()).unwrap();
    let [again] = by_hand.packages.as_slice() else { panic!("{by_hand:?}") };
    assert_eq!((again.files.len(), again.not_native.len()), (18, 1));
    assert!(package.files.iter().all(|file| {
        let path = file.path.join("/").to_uppercase();
        again.file(&path).is_some_and(|other| other.blake3 == file.blake3)
    }));
}

/// A stream file of version 2 with these streams, its index (a delta of nothing) behind them, and their offsets.
fn psf(streams: &[&[u8]], index: impl Fn(&[usize]) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = [b"PSTREAM\0".as_slice(), &[2, 0, 0, 0], &[0; 0x24]].concat();
    let mut offsets = Vec::new();
    for stream in streams {
        offsets.push(bytes.len());
        bytes.extend_from_slice(stream);
    }
    let index = delta::create(&[], &index(&offsets), TIME);
    let (at, size) = (u32::try_from(bytes.len()).unwrap(), u32::try_from(index.len()).unwrap());
    bytes[0x28..0x2C].copy_from_slice(&at.to_le_bytes());
    bytes[0x2C..0x30].copy_from_slice(&size.to_le_bytes());
    [bytes, index].concat()
}

#[test]
fn an_update_in_wim_form_with_a_stream_file() {
    let (plain, text) = (b"as it is".as_slice(), b"the same, the same, the same".as_slice());
    let made = delta::create(&[], text, TIME);
    let of_streams = |offsets: &[usize]| {
        index(
            "PSF",
            &[
                ("c_1/a.dll", plain, range("RAW", offsets[0], plain.len())),
                ("c_1/b.dll", text, range("PA30", offsets[1], made.len())),
            ],
        )
    };
    let streams = psf(&[plain, &made], of_streams);
    let beside = of_streams(&[48, 48 + plain.len()]);
    let expected = pairs(&[
        ("c_1/a.dll", "as it is"),
        ("c_1/b.dll", "the same, the same, the same"),
        ("update.mum", "<mum/>"),
    ]);
    let unattend = br#"<unattend><servicing><package action="install"><assemblyIdentity name="P" version="1" language="neutral" processorArchitecture="amd64" publicKeyToken="t"/><source location="%configsetroot%\B.wim"/></package></servicing></unattend>"#;
    for clear in [true, false] {
        let mut package: Vec<(&str, &[u8])> = vec![("update.mum", b"<mum/>")];
        if clear {
            package.push((cix::BESIDE_STREAMS, &beside));
        }
        let update = wim(
            &[
                ("A.cab", &cab(&[("other.mum", b"<other/>")])),
                ("B.wim", &wim(&package, false)),
                ("B.psf", &streams),
                ("b.xml", unattend),
                ("DesktopDeployment.cab", &cab(&[("x.dll", b"x")])),
                ("SSU-1.cab", &cab(&[("update.mum", b"<stack/>")])),
                ("WSUSSCAN.cab", b"whatever"),
                ("express.cab", &cab(&[("express.psf.cix.xml", &beside)])),
            ],
            false,
        );
        let expanded = open_file("kb.msu", &update).unwrap();
        let shown: Vec<&str> = expanded.packages.iter().map(|one| one.shown.as_str()).collect();
        assert_eq!(shown, ["kb.msu/SSU-1.cab", "kb.msu/B.wim", "kb.msu/A.cab"]);
        assert_eq!(listed(&expanded.packages[1]), expected);
        assert_eq!(expanded.packages[1].not_native, []);
        let file = &expanded.packages[1].file(r"C_1\B.DLL").unwrap();
        assert_eq!(file.time, Some(TIME));
        let time = expanded.packages[0].file("update.mum").unwrap().time;
        assert_eq!(time, FileTime::parse("2021-03-01T10:00:00Z"));
        let mut skipped: Vec<&str> =
            expanded.skipped.iter().map(|(name, _)| &name["kb.msu/".len()..]).collect();
        skipped.sort_unstable();
        let left = ["B.psf", "DesktopDeployment.cab", "WSUSSCAN.cab", "b.xml", "express.cab"];
        assert_eq!(skipped, left);
    }
    // The stream file beside a cabinet on the host, and a cabinet whose stream file was forgotten.
    let package = cab(&[("update.mum", b"<mum/>"), (cix::BESIDE_STREAMS, &beside)]);
    let expanded = open_folder(&[("x/b.CAB", &package), ("x/B.psf", &streams)]).unwrap();
    assert_eq!(listed(&expanded.packages[0]), expected);
    assert_eq!(expanded.packages[0].shown, "in/x/b.CAB");
    let missing = refused(open_file("b.cab", &package));
    assert!(missing.contains("stream file (.psf), which is not there"), "{missing}");
    let lying = index("PSF", &[("a", plain, range("RAW", 1 << 40, 8))]);
    let package = cab(&[("update.mum", b"<mum/>"), (cix::BESIDE_STREAMS, &lying)]);
    let behind = refused(open_folder(&[("b.cab", &package), ("b.psf", &streams)]));
    assert!(behind.contains("in/b.cab/a: ") && behind.contains("behind its end"), "{behind}");
}

#[test]
fn a_language_pack_is_a_solid_wim() {
    let large = vec![b'x'; 3 << 20];
    let files: [(&str, &[u8]); 4] =
        [("update.mum", b"<mum/>"), ("c_de/a.mui", &large), ("c_fr/a.mui", &large), ("empty", b"")];
    let expanded = open_file("lp.esd", &wim(&files, true)).unwrap();
    let [package] = expanded.packages.as_slice() else { panic!("{expanded:?}") };
    let names: Vec<String> = package.files.iter().map(|file| file.path.join("/")).collect();
    assert_eq!(names, ["c_de/a.mui", "c_fr/a.mui", "empty", "update.mum"]);
    assert!(content(&package.files[0]) == large && content(&package.files[2]).is_empty());
    assert!(Arc::ptr_eq(&package.files[0].content, &package.files[1].content), "kept once");
    assert_eq!(package.files[0].time, Some(TIME));
    let installed = wim(&[("Windows/x.mum", b"x"), ("y.txt", b"y")], false);
    assert!(refused(open_file("install.wim", &installed)).contains("there is no package in it"));
}

#[test]
fn a_folder_of_packages_and_containers() {
    let package = cab(&[("update.mum", b"1"), (r"c_1\n\x", b"no delta")]);
    let outer = cab(&[("one.cab", &package), ("readme.txt", b"")]);
    let expanded = open_folder(&[
        ("a.cab", &package),
        ("b/expanded/update.mum", b"2"),
        ("b/expanded/c_1/inner.mum", b"payload"),
        ("b/expanded/c_1/inner.cab", &package),
        ("b/notes.txt", b"hello"),
        ("c.msu", &outer),
        ("empty.cab", &cab(&[("x", b"x")])),
    ])
    .unwrap();
    let found: Vec<_> =
        expanded.packages.iter().map(|one| (one.shown.as_str(), one.files.len())).collect();
    assert_eq!(found, [("in/a.cab", 2), ("in/c.msu/one.cab", 2), ("in/b/expanded", 3)]);
    let skipped: Vec<&str> = expanded.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        skipped,
        ["in/c.msu/readme.txt", "in/empty.cab/x", "in/empty.cab", "in/b/notes.txt"]
    );
    let alone = refused(open_file("x.txt", b"no container"));
    assert!(alone.contains("neither a cabinet nor a Windows Imaging file"), "{alone}");
    assert!(refused(open_folder(&[("x.txt", b"x")])).contains("there is no package in it"));
    assert!(refused(open_file("x.cab", b"MSCF and nothing")).contains("shorter than its header"));
}

#[test]
fn cabinets_in_a_package_are_put_into_it() {
    let files: [(&str, &[u8]); 4] = [
        ("update.mum", b"<mum/>"),
        ("_cablist.ini", b"whatever"),
        ("Cab_1.cab", &cab(&[(r"c_1\a", b"a"), ("both", b"same")])),
        ("Cab_2.cab", &cab(&[(r"c_2\b", b"b"), ("both", b"same")])),
    ];
    let expanded = open_file("p.cab", &cab(&files)).unwrap();
    let expected =
        pairs(&[("both", "same"), ("c_1/a", "a"), ("c_2/b", "b"), ("update.mum", "<mum/>")]);
    assert_eq!(listed(&expanded.packages[0]), expected);
    let mut clash = files;
    let other = cab(&[("BOTH", b"other")]);
    clash[3].1 = &other;
    assert!(refused(open_file("p.cab", &cab(&clash))).contains("their names are one name"));
}

#[test]
fn deltas_below_components_are_applied_or_named() {
    let text = b"a program of a kind, a program of a kind";
    let made = delta::create(&[], text, TIME);
    let with_sum = [&[1, 2, 3, 4], &made[..]].concat();
    let package = cab(&[
        ("update.mum", b"<mum/>"),
        (r"c_1\n\a.dll", &made),
        (r"c_1\n\sub\b.dll", &with_sum),
        (r"c_1\n\c.dll", b"PA31, a newer kind"),
        (r"c_1\f\d.dll", &made),
        (r"c_1\f\e.dll", &made),
        (r"c_1\r\d.dll", &made),
        (r"c_2\n\f.dll", &made),
        (r"c_2\f.dll", b"full"),
    ]);
    let expanded = open_file("p.cab", &package).unwrap();
    let package = &expanded.packages[0];
    for name in ["c_1/a.dll", "c_1/sub/b.dll"] {
        assert_eq!(content(package.file(name).unwrap()), text, "{name}");
    }
    assert!(package.file("c_1/n/a.dll").is_none() && package.file("c_1/c.dll").is_none());
    assert_eq!(content(package.file("c_2/f.dll").unwrap()), b"full");
    let [newer, forward] = package.not_native.as_slice() else { panic!("{package:?}") };
    assert_eq!(newer.item, "p.cab/c_1/c.dll");
    assert!(newer.cause.contains("a delta of the PA31 kind"), "{}", newer.cause);
    assert!(forward.cause.starts_with("2 of its files are deltas of the version"));
    let damaged = cab(&[("update.mum", b"<mum/>"), (r"c_1\n\a.dll", &made[..40])]);
    assert!(refused(open_file("p.cab", &damaged)).starts_with("packages p.cab/c_1/n/a.dll: PA30"));
}

/// A package whose files are made of its members as `files` says; `members` are put beside.
fn ipd(
    files: &[(&str, &[u8], String)],
    members: &[(&str, &[u8])],
) -> Result<Expanded, ServicingError> {
    let index = index("CAB", files);
    let mut all: Vec<(&str, &[u8])> = vec![(cix::IN_CABINET, &index), ("update.mum", b"<mum/>")];
    all.extend_from_slice(members);
    open_file("p.cab", &cab(&all))
}

#[test]
fn deltas_of_deltas_are_made_in_the_right_order() {
    let (one, two, three) = (
        b"one one one".as_slice(),
        b"one two one two".as_slice(),
        b"three, one two one".as_slice(),
    );
    let (first, second) = (delta::create(two, three, TIME), delta::create(one, two, TIME));
    let files = [
        (r"c\3", three, member("PA30", "0", Some(1))),
        (r"c\2", two, member("PA30", "1", Some(2))),
        ("one", one, member("RAW", "one", None)),
    ];
    let members: [(&str, &[u8]); 3] = [("0", &first), ("1", &second), ("one", one)];
    let expanded = ipd(&files, &members).unwrap();
    let expected = pairs(&[
        ("c/2", "one two one two"),
        ("c/3", "three, one two one"),
        ("one", "one one one"),
        ("update.mum", "<mum/>"),
    ]);
    assert_eq!(listed(&expanded.packages[0]), expected);

    // What only Windows can make, and what starts from it.
    let mut left = files.clone();
    left[1].2 = member("PA19", "1", Some(2));
    let expanded = ipd(&left, &members).unwrap();
    let items: Vec<&str> =
        expanded.packages[0].not_native.iter().map(|problem| problem.item.as_str()).collect();
    assert_eq!(items, ["p.cab/c/3", "p.cab/c/2"]);
    assert_eq!(expanded.packages[0].files.len(), 2);
}

#[test]
fn hostile_indexes_are_refused() {
    let one = b"one one one".as_slice();
    let made = delta::create(&[], one, TIME);
    let members: [(&str, &[u8]); 2] = [("0", &made), ("raw", one)];
    let cases = [
        (vec![("a", one, member("PA30", "0", Some(0)))], "a file that starts from it"),
        (
            vec![
                ("a", one, member("PA30", "0", Some(1))),
                ("b", one, member("PA30", "0", Some(0))),
            ],
            "a file that starts from it",
        ),
        (vec![("a", one, member("PA30", "0", Some(7)))], "which the index does not have"),
        (vec![("a", one, member("RAW", "missing", None))], "which is not there"),
        (vec![("a", b"two two two".as_slice(), member("RAW", "raw", None))], "SHA-256"),
        (vec![("a", b"two two two".as_slice(), member("PA30", "0", None))], "SHA-256"),
        (vec![("a", b"shorter".as_slice(), member("RAW", "raw", None))], "its index says 7"),
        (vec![("a", b"shorter".as_slice(), member("PA30", "0", None))], "more than the 7 expected"),
        (
            vec![("a", b"much longer than that".as_slice(), member("PA30", "0", None))],
            "its index says 21",
        ),
        (vec![("a", one, member("PA30", "raw", None))], "does not start with PA30"),
        (vec![(r"..\a", one, member("RAW", "raw", None))], "cannot be used"),
        (vec![("c:/a", one, member("RAW", "raw", None))], "cannot be used"),
        (vec![("a", one, member("RAW", "../raw", None))], "cannot be used"),
        (vec![("update.mum/x", one, member("RAW", "raw", None))], "their names are one name"),
    ];
    for (files, expected) in cases {
        let error = refused(ipd(&files, &members));
        assert!(error.contains(expected), "{error} ({expected})");
        assert!(error.starts_with("packages p.cab"), "{error}");
    }
}

#[test]
fn names_and_nesting_cannot_get_out_of_hand() {
    let bad = wim(&[("update.mum", b"<mum/>"), ("a:b", b"x")], false);
    assert!(refused(open_file("p.esd", &bad)).contains("a file a:b that cannot be used"));
    let bad = cab(&[("update.mum", b"<mum/>"), (r"..\x", b"x")]);
    assert!(refused(open_file("p.cab", &bad)).contains("a name that cannot be used"));
    let clash = cab(&[("update.mum", b"<mum/>"), ("UPDATE.MUM", b"x")]);
    assert!(refused(open_file("p.cab", &clash)).contains("their names are one name"));
    let mut nested = cab(&[("update.mum", b"<mum/>")]);
    for _ in 0..4 {
        nested = cab(&[("inner.cab", &nested)]);
    }
    assert_eq!(open_file("p.cab", &nested).unwrap().packages.len(), 1);
    let deep = cab(&[("inner.cab", &nested)]);
    assert!(refused(open_file("p.cab", &deep)).contains("more than 4 containers"));
}
