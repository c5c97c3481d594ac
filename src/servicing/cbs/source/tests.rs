//! Containers that are small and hostile, or need what the integration tests cannot see.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::{base::digest::to_hex, servicing::inputs::InputEntry};

fn cabinet(files: &[(&str, &[u8])]) -> Vec<u8> {
    let member = |(name, content): &(&str, &[u8])| cab::NewMember {
        name: (*name).to_owned(),
        date: 0,
        time: 0,
        content: content.to_vec(),
    };
    let mut bytes = Vec::new();
    let folder = files.iter().map(member).collect();
    cab::write(&mut bytes, cab::CabMethod::Stored, &[folder]).unwrap();
    bytes
}

fn tree(files: &[(&str, &[u8])]) -> InputTree {
    let root = InputEntry { path: Vec::new(), kind: InputKind::Directory };
    let entry = |(path, bytes): &(&str, &[u8])| InputEntry {
        path: path.split('/').map(str::to_owned).collect(),
        kind: InputKind::File {
            size: bytes.len() as u64,
            blake3: Blake3::of(bytes),
            content: Arc::new(bytes.to_vec()),
        },
    };
    InputTree { entries: [root].into_iter().chain(files.iter().map(entry)).collect() }
}

fn opened(files: &[(&str, &[u8])]) -> Result<Expanded, ServicingError> {
    open(&InputId("in".to_owned()), &tree(files))
}

fn text(package: &PackageFolder, path: &str) -> String {
    let file = package.file(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size).unwrap()];
    file.content.read_exact_at(0, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn files_that_should_be_packages_and_are_not_are_refused() {
    let package = cabinet(&[("update.mum", b"<mum/>")]);
    for name in ["kb.msu", "kb.CAB", "x/lp.esd"] {
        for content in [&b"<html>404</html>"[..], b""] {
            let error = opened(&[("a.cab", &package), (name, content)]).unwrap_err();
            assert!(error.to_string().contains(&format!("in/{name}: it is neither")), "{error}");
        }
    }
    assert!(opened(&[("a.cab", &package), ("readme.txt", b"")]).is_ok());
}

#[test]
fn each_inner_cabinet_has_an_index_of_its_own() {
    let inner = |name: &str, content: &[u8]| {
        let hash = to_hex(&Sha256::digest(content));
        let index = format!(
            r#"<Container name="x" type="CAB"><Files><File id="1" name="{name}" length="{}"><Hash alg="SHA256" value="{hash}"/><Delta><Source type="RAW" name="0"/></Delta></File></Files></Container>"#,
            content.len()
        );
        cabinet(&[(cix::IN_CABINET, index.as_bytes()), ("0", content)])
    };
    let package = cabinet(&[
        ("update.mum", b"<mum/>"),
        ("_cablist.ini", b""),
        ("Cab_1.cab", &inner("a", b"first")),
        ("Cab_2.cab", &inner("b", b"second")),
    ]);
    let expanded = opened(&[("p.cab", &package)]).unwrap();
    let package = &expanded.packages[0];
    assert_eq!((text(package, "a"), text(package, "b")), ("first".into(), "second".into()));
    assert_eq!(package.files.len(), 3);
}

#[test]
fn streams_that_only_windows_reads_are_left_to_it() {
    let mut streams = [b"PSTREAM\0".as_slice(), &[2, 0, 0, 0], &[0; 0x24], b"PA31...."].concat();
    streams[0x28] = 0x30;
    streams[0x2C] = 8;
    let package = cabinet(&[("update.mum", b"<mum/>")]);
    for (kind, expected) in [(2, "PA31"), (3, "version 3.0")] {
        streams[8] = kind;
        let expanded = opened(&[("p.cab", &package), ("p.psf", &streams)]).unwrap();
        let [problem] = expanded.packages[0].not_native.as_slice() else { panic!("{expanded:?}") };
        assert!(problem.cause.contains(expected), "{}", problem.cause);
        assert_eq!(expanded.packages[0].files.len(), 1);
    }
}

#[test]
fn a_delta_of_the_first_version_counts_only_when_nothing_else_makes_the_file() {
    let made = delta::create(&[], b"a program", FileTime(1));
    let package =
        cabinet(&[("update.mum", b"<mum/>"), (r"c_1\f\a.dll", &made), (r"c_1\n\a.dll", &made)]);
    let expanded = opened(&[("p.cab", &package)]).unwrap();
    assert_eq!(expanded.packages[0].not_native, []);
    assert_eq!(text(&expanded.packages[0], "c_1/a.dll"), "a program");
}

#[test]
fn what_an_index_makes_is_bounded_before_it_is_made() {
    // Small in the file: every one is the same gigabyte.
    let files: String = (0..100)
        .map(|id| format!(r#"<File id="{id}" name="{id}" length="1073741824"><Delta><Source type="RAW" name="0"/></Delta></File>"#))
        .collect();
    let index = format!(r#"<Container name="x" type="CAB"><Files>{files}</Files></Container>"#);
    let package =
        cabinet(&[("update.mum", b"<mum/>"), (cix::IN_CABINET, index.as_bytes()), ("0", b"0")]);
    let error = opened(&[("p.cab", &package)]).unwrap_err().to_string();
    assert!(error.contains("bytes together, more than"), "{error}");
}

#[test]
fn packages_without_what_is_wanted_are_not_unpacked() {
    let mum = |name: &str| {
        format!("<assembly><assemblyIdentity name='{name}'/><package/></assembly>").into_bytes()
    };
    let (one, other) = (mum("One"), mum("Other"));
    let one = cabinet(&[("update.mum", &one), ("x", b"x")]);
    let other = cabinet(&[("update.mum", &other), ("x", b"x")]);
    let all = tree(&[("a.cab", &one), ("b.cab", &other)]);
    let id = InputId("in".to_owned());
    let wanted =
        |name: &'static str| move |mums: &[&Mum]| mums.iter().any(|mum| mum.identity.name == name);
    let shown = |name| {
        let expanded = open_wanted(&id, &all, Some(&wanted(name))).unwrap();
        expanded.packages.into_iter().map(|package| package.shown).collect::<Vec<_>>()
    };
    assert_eq!(shown("One"), ["in/a.cab"]);
    assert_eq!(shown("None"), [""; 0]);
    assert_eq!(open(&id, &all).unwrap().packages.len(), 2);
}
