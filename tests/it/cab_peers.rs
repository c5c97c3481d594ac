//! Cabinets of other programs come out of our reader as `cabextract` takes them out.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use transom::{
    base::read_at::FileSource,
    format::cab::{self, CabMethod, Cabinet, NewMember},
};

use crate::support::{files_below, oracle, shared_data};

/// Everything in the cabinet at `path`, by name with `/`.
fn ours(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let cabinet = Cabinet::open(Arc::new(FileSource::open(path).unwrap())).unwrap();
    let mut found = BTreeMap::new();
    cabinet
        .extract(|_| true, &mut |member, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.insert(member.name.replace('\\', "/"), bytes);
            Ok(())
        })
        .unwrap();
    assert_eq!(found.len(), cabinet.members().len());
    found
}

/// What `cabextract` makes of it.
fn theirs(path: &Path, folder: &Path) -> Option<BTreeMap<String, Vec<u8>>> {
    let tool = oracle("cabextract")?;
    tool.run(["-q".as_ref(), "-d".as_ref(), folder.as_os_str(), path.as_os_str()]);
    let name =
        |file: &PathBuf| file.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
    let found = files_below(folder);
    Some(found.iter().map(|file| (name(file), fs::read(file).unwrap())).collect())
}

/// Fails when the two differ; returns what was read.
fn compare(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let ours = ours(path);
    if let Some(theirs) = theirs(path, folder.path()) {
        let names = |found: &BTreeMap<String, Vec<u8>>| found.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{}", path.display());
        for (name, bytes) in &ours {
            assert!(*bytes == theirs[name], "{name} of {} differs", path.display());
        }
    }
    ours
}

#[test]
fn cabinets_of_gcab_come_out() {
    let Some(gcab) = oracle("gcab") else { return };
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("in");
    fs::create_dir_all(source.join("sub")).unwrap();
    let mut state = 1u32;
    let mut noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let random: Vec<u8> = (0..100_000).map(&mut noise).collect();
    let text: Vec<u8> = b"a driver package; ".iter().copied().cycle().take(200_001).collect();
    let files = [("a.inf", &text), ("sub/b.sys", &random), ("täst.bin", &random)];
    for (name, content) in files {
        fs::write(source.join(name), content).unwrap();
    }
    fs::write(source.join("empty"), b"").unwrap();
    for (kind, option) in [("mszip", "-cz"), ("stored", "-c")] {
        let path = folder.path().join(format!("{kind}.cab"));
        let mut command = gcab.command();
        command.current_dir(&source).arg(option).arg(&path);
        command.args(["a.inf", "sub/b.sys", "täst.bin", "empty"]);
        assert!(command.status().unwrap().success());
        let found = compare(&path);
        for (name, content) in files {
            assert!(found[name] == *content, "{name} of the {kind} cabinet");
        }
        assert!(found["empty"].is_empty());
    }
}

#[test]
fn real_updates_come_out_with_their_nested_cabinets() {
    let Some(folder) = shared_data("cbs/msu") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut waiting: Vec<PathBuf> = files_below(&folder)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "msu"))
        .collect();
    assert!(!waiting.is_empty());
    let mut read = 0;
    while let Some(path) = waiting.pop() {
        for (name, bytes) in compare(&path) {
            read += bytes.len();
            if bytes.starts_with(b"MSCF") {
                let nested = scratch.path().join(format!("{read}-{}", name.replace('/', "_")));
                fs::write(&nested, bytes).unwrap();
                waiting.push(nested);
            }
        }
    }
    assert!(read > 1 << 20, "{read} bytes");
}

/// A cabinet of one LZX block of plain bytes that holds a call of the stream's first byte, as the operand 0; made by hand, without a checksum.
fn cabinet_with_a_call_of_the_start() -> Vec<u8> {
    // The translation's bit, its size of 12,000,000 (32 bits), block type 3 (3), block size 200 (24), four bits to fill the word.
    let bits = 1u64 << 63 | 12_000_000 << 31 | 3 << 28 | 200 << 4;
    let mut stored: Vec<u8> =
        bits.to_be_bytes().chunks(2).flat_map(|word| [word[1], word[0]]).collect();
    for _ in 0..3 {
        stored.extend(1u32.to_le_bytes());
    }
    let mut content = vec![0x90; 200];
    content[100..105].copy_from_slice(&[0xE8, 0, 0, 0, 0]);
    stored.extend(content);
    let stored_size = u16::try_from(stored.len()).unwrap();
    let mut bytes = b"MSCF\0\0\0\0".to_vec();
    bytes.extend((36 + 8 + 21 + 8 + u32::from(stored_size)).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(44u32.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(65u32.to_le_bytes());
    bytes.extend([1, 0, 3, 15]);
    bytes.extend([200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x21, 0x50, 0, 0, 0x20, 0]);
    bytes.extend(b"call\0");
    bytes.extend([0; 4]);
    bytes.extend(stored_size.to_le_bytes());
    bytes.extend([200, 0]);
    bytes.extend(stored);
    bytes
}

#[test]
fn a_call_of_the_start_of_the_stream_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.cab");
    fs::write(&path, cabinet_with_a_call_of_the_start()).unwrap();
    assert_eq!(compare(&path)["call"][100..105], [0xE8, 0x9C, 0xFF, 0xFF, 0xFF]);
}

#[test]
fn cabinets_of_ours_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let text: Vec<u8> = b"a package; ".iter().copied().cycle().take(3_000_001).collect();
    let mut state = 7u32;
    let mut noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let random: Vec<u8> = (0..200_000).map(&mut noise).collect();
    let mixed: Vec<u8> =
        text.chunks(1000).zip(random.chunks(100)).flat_map(|(a, b)| [a, b].concat()).collect();
    let member = |name: &str, content: &[u8]| NewMember {
        name: name.to_owned(),
        date: 0x5021,
        time: 0x6000,
        content: content.to_vec(),
    };
    let folders = [
        vec![member("update.mum", &text), member(r"a_b\random.bin", &random)],
        vec![member("empty", b""), member("mixed.dll", &mixed), member("täst", &text)],
    ];
    for method in [CabMethod::Stored, CabMethod::MsZip, CabMethod::Lzx] {
        let path = folder.path().join(format!("{method:?}.cab"));
        let mut bytes = Vec::new();
        cab::write(&mut bytes, method, &folders).unwrap();
        fs::write(&path, &bytes).unwrap();
        let found = compare(&path);
        for member in folders.iter().flatten() {
            assert!(found[&member.name.replace('\\', "/")] == member.content, "{}", member.name);
        }
        // Several folders at once give the same.
        let cabinet = Cabinet::open(Arc::new(bytes)).unwrap();
        let together = std::sync::Mutex::new(BTreeMap::new());
        cabinet
            .extract_parallel(|_| true, &|member, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                together.lock().unwrap().insert(member.name.replace('\\', "/"), bytes);
                Ok(())
            })
            .unwrap();
        assert!(together.into_inner().unwrap() == found);
        if let Some(gcab) = oracle("gcab") {
            let out = folder.path().join(format!("gcab-{method:?}"));
            fs::create_dir(&out).unwrap();
            let status = gcab.command().arg("-x").arg("-C").arg(&out).arg(&path).status().unwrap();
            assert!(status.success(), "{method:?}");
            assert!(fs::read(out.join("mixed.dll")).unwrap() == mixed, "{method:?}");
        }
        if let Some(seven_zip) = oracle("7z") {
            seven_zip.run(["t".as_ref(), path.as_os_str()]);
        }
    }
}
