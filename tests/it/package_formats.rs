//! Deltas, compressed manifests and container indexes of real Windows updates.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use transom::base::digest::to_hex;
use transom::format::cix::{self, SourceKind, SourcePlace};
use transom::format::dcm::{self, ManifestForm};
use transom::format::delta::{self, DeltaError, FileKind};

use crate::support::{shared_data, unpack_xz};

/// Files of a folder of the shared data, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs_err::read(folder.join(name)).unwrap()
}

#[test]
fn manifests_of_build_26100_decode_to_what_windows_made_them_of() {
    let Some(folder) = shared_data("cbs/dcm") else { return };
    let Some(base) = shared_data("cbs/base") else { return };
    let base = read(&base, "wcp_base_manifest.bin");
    let mut seen = 0;
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".manifest") {
            continue;
        }
        let golden = path.with_extension("manifest.xml");
        let golden = if golden.exists() {
            fs_err::read(golden).unwrap()
        } else {
            let Some(text) = unpack_xz(&folder.join("wow64_euapcommonproxystub.xml.xz")) else {
                return;
            };
            text
        };
        let stored = fs_err::read(&path).unwrap();
        assert_eq!(dcm::form(&stored), ManifestForm::Base, "{name}");
        let plain = dcm::decode(&stored, Some(&base), dcm::LARGEST).unwrap();
        assert!(plain == golden, "{name}: {} bytes, not {}", plain.len(), golden.len());
        seen += 1;
    }
    assert_eq!(seen, 5);
}

#[test]
fn the_known_base_manifest_is_found_without_a_record() {
    let Some(base) = shared_data("cbs/base") else { return };
    let base = read(&base, "wcp_base_manifest.bin");
    let library = [b"any bytes before", &base[..], b"any bytes behind"].concat();
    assert!(dcm::base_manifest_of(&library) == Some(&base[..]));
}

#[test]
fn deltas_made_by_windows_give_the_very_bytes() {
    let Some(folder) = shared_data("cbs/deltas") else { return };
    let reference = read(&folder, "cmd.exe");
    for name in ["where", "notepad"] {
        let target = read(&folder, &format!("{name}.exe"));
        let stored = read(&folder, &format!("cmd__to__{name}__raw.pa30"));
        assert_eq!(delta::target_of(&stored).unwrap().size, target.len() as u64);
        assert!(
            delta::apply(&stored, &reference, target.len() as u64).unwrap() == target,
            "{name}"
        );
        // Any damage is an error or, as these have no hash, other bytes; it is never a panic.
        for place in (0..stored.len()).step_by(997) {
            let mut damaged = stored.clone();
            damaged[place] ^= 0x55;
            let _ignored = delta::apply(&damaged, &reference, 1 << 20);
        }
    }
}

#[test]
fn the_deltas_of_kb4528069() {
    let Some(folder) = shared_data("cbs/msu/unpacked/inner") else { return };
    let manifest = read(
        &folder,
        "amd64_microsoft-windows-calc_31bf3856ad364e35_6.1.7602.20587_none_0a0b815b47d56775.manifest",
    );
    let calculator = delta::apply(&read(&folder, "0"), &manifest, 918_016).unwrap();
    assert_eq!(
        to_hex(&Sha256::digest(&calculator)),
        "7e1a2b97810e4f117bf1556f7e8d08da861e9a1a5388c72d6fa52a2eafd32be6"
    );
    let program = read(&folder, "1");
    let header = delta::target_of(&program).unwrap();
    assert_eq!((header.kind, header.size), (FileKind::Executable(8), 776_192));
    let refused = delta::apply(&program, &calculator, 776_192).unwrap_err();
    assert!(matches!(refused, DeltaError::Unsupported(_)));
    assert_eq!(refused.to_string(), "a delta of PE kind (amd64 executable) is not supported");
}

#[test]
fn the_index_of_kb4528069_names_every_file_and_its_hash() {
    let Some(folder) = shared_data("cbs/msu/unpacked/inner") else { return };
    let index = cix::parse(&read(&folder, cix::IN_CABINET)).unwrap();
    assert_eq!((index.name.as_str(), index.kind.as_str()), ("kb4528069.cab", "CAB"));
    assert_eq!(index.files.len(), 17);
    let mut deltas = 0;
    for file in &index.files {
        let [delta] = file.deltas.as_slice() else { panic!("{file:?}") };
        let SourcePlace::Member(member) = &delta.place else { panic!("{file:?}") };
        let bytes = read(&folder, member);
        assert_eq!(delta.sha256, Some(Sha256::digest(&bytes).into()), "{member}");
        if delta.kind == SourceKind::Raw {
            assert_eq!((file.sha256, file.size), (delta.sha256, Some(bytes.len() as u64)));
        } else {
            let basis = index.files.iter().find(|file| Some(&file.id) == delta.basis.as_ref());
            assert!(basis.is_some(), "{file:?}");
            deltas += 1;
        }
    }
    assert_eq!(deltas, 2);
}
