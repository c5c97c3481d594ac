//! Images for tests: a small one shaped like Windows, a store in memory, and a way to write an image as a WIM.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use fs_err as fs;
use transom::{
    base::{
        digest::{Blake3, Sha1, TeeHasher},
        filetime::FileTime,
        limits::Limits,
        name::Name,
        ntpath::NtPath,
        read_at::ReadAt,
    },
    codec::{Codec, Level},
    format::{
        hive::{Hive, Value},
        security::parse_sddl,
        wim::{
            BlobSource, BlobToWrite, Dentry, ImageMetadata, MetadataToWrite, Reparse, Stream,
            StreamKind, Wim, WimXml, WriteSettings, write_wim,
        },
    },
    image::{BlobLocation, FinishedImage, Image, NewNode, StoredContent, xml},
    servicing::{BlobSink, InputEntry, InputId, InputKind, InputTree, Inputs, ServicingError},
    store::StoredBlob,
};

/// A store in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<Sha1, Arc<[u8]>>>);

impl MemoryStore {
    pub(crate) fn add(&self, bytes: &[u8]) -> StoredBlob {
        let mut hasher = TeeHasher::new();
        hasher.update(bytes);
        let (sha1, blake3, size) = hasher.finish();
        self.0.lock().unwrap().insert(sha1, bytes.into());
        StoredBlob { blake3, sha1, size }
    }

    fn get(&self, sha1: &Sha1) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap().get(sha1).cloned()
    }
}

impl StoredContent for MemoryStore {
    fn read(&self, blob: &StoredBlob) -> io::Result<Vec<u8>> {
        self.get(&blob.sha1)
            .map(|bytes| bytes.to_vec())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl BlobSink for MemoryStore {
    fn put(&self, _: &str, source: &dyn ReadAt, _: &Blake3) -> Result<StoredBlob, ServicingError> {
        let mut bytes = vec![0; usize::try_from(source.size()).unwrap()];
        source.read_exact_at(0, &mut bytes).unwrap();
        Ok(self.add(&bytes))
    }
}

/// Inputs in memory: by name, files below it (`""` for the input itself; a path that ends in `/` is a folder).
#[derive(Debug, Default)]
pub(crate) struct MemoryInputs(pub(crate) BTreeMap<String, Vec<(String, Vec<u8>)>>);

impl MemoryInputs {
    pub(crate) fn file(name: &str, content: impl Into<Vec<u8>>) -> Self {
        Self(BTreeMap::from([(name.to_owned(), vec![(String::new(), content.into())])]))
    }

    pub(crate) fn folder(name: &str, files: &[(&str, &str)]) -> Self {
        let mut entries = vec![("/".to_owned(), Vec::new())];
        entries.extend(
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())),
        );
        entries.sort();
        Self(BTreeMap::from([(name.to_owned(), entries)]))
    }
}

impl Inputs for MemoryInputs {
    fn input(&self, id: &InputId) -> Result<Arc<InputTree>, ServicingError> {
        let found = self.0.get(&id.0).ok_or_else(|| ServicingError::Input {
            input: id.0.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let entry = |(path, bytes): &(String, Vec<u8>)| InputEntry {
            path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            kind: if path.ends_with('/') {
                InputKind::Directory
            } else {
                InputKind::File {
                    size: bytes.len() as u64,
                    blake3: Blake3::of(bytes),
                    content: Arc::new(bytes.clone()),
                }
            },
        };
        Ok(Arc::new(InputTree { entries: found.iter().map(entry).collect() }))
    }
}

pub(crate) fn path(text: &str) -> NtPath {
    NtPath::parse(text).unwrap()
}

pub(crate) fn sddl(text: &str) -> Vec<u8> {
    parse_sddl(text).unwrap().to_bytes()
}

/// The time of everything in the fixture, and that of edits in tests.
pub(crate) const BASE_TIME: FileTime = FileTime(132_000_000_000_000_000);
pub(crate) const EPOCH: FileTime = FileTime(134_000_000_000_000_000);

/// A hive of keys and values; `Key\Below` and values of that key.
pub(crate) fn hive(keys: &[(&str, Vec<Value>)]) -> Vec<u8> {
    let mut hive = Hive::create(5, BASE_TIME, &sddl("O:BAG:SYD:(A;CI;KA;;;BA)"));
    for (key, values) in keys {
        let names: Vec<Name> =
            key.split('\\').filter(|name| !name.is_empty()).map(Name::from).collect();
        let root = hive.root();
        let id = hive.create_path(root, &names, BASE_TIME).unwrap();
        for value in values {
            hive.set_value(id, value, BASE_TIME).unwrap();
        }
    }
    assert!(hive.check().is_empty());
    hive.into_bytes()
}

fn software() -> Vec<u8> {
    hive(&[(
        r"Microsoft\Windows NT\CurrentVersion",
        vec![
            Value::sz("EditionID", "ServerDatacenter"),
            Value::sz("InstallationType", "Server"),
            Value::sz("ProductName", "Windows Server 2025 Datacenter"),
            Value::sz("CurrentBuild", "26100"),
            Value::dword("UBR", 1742),
            Value::dword("CurrentMajorVersionNumber", 10),
            Value::dword("CurrentMinorVersionNumber", 0),
        ],
    )])
}

fn system() -> Vec<u8> {
    let services = r"ControlSet002\Services";
    let service = |name: &str| format!(r"{services}\{name}");
    let program = Value::expand_sz("ImagePath", r"%SystemRoot%\System32\svchost.exe -k local");
    let normal =
        |start| vec![Value::dword("Type", 0x20), Value::dword("Start", start), program.clone()];
    hive(&[
        ("Select", vec![Value::dword("Current", 2), Value::dword("Default", 1)]),
        ("ControlSet001", vec![]),
        (r"ControlSet002\Control\ProductOptions", vec![Value::sz("ProductType", "ServerNT")]),
        (r"ControlSet002\Control\MUI\UILanguages\en-US", vec![Value::dword("LCID", 0x409)]),
        (r"ControlSet002\Control\Nls\Language", vec![Value::sz("InstallLanguage", "0409")]),
        (&service("RemoteRegistry"), normal(3)),
        (&service("Spooler"), [normal(2), vec![Value::dword("DelayedAutostart", 1)]].concat()),
        (&service("disk"), vec![Value::dword("Type", 1), Value::dword("Start", 0)]),
        (&service("Empty"), vec![]),
    ])
}

fn kernel32() -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
    bytes
}

/// A small image shaped like Windows, as a WIM at `place`: hives, hard links, a named stream, a junction, short names, security.
pub(crate) fn windows(place: &Path) -> Arc<Wim> {
    let mut image = Image::empty(BASE_TIME);
    let root = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
    image.set_security(&NtPath::root(), &sddl(root)).unwrap();
    let plain = NewNode::default();
    let config = r"\Windows\System32\config";
    let hives = [
        ("SOFTWARE", software()),
        ("SYSTEM", system()),
        ("DEFAULT", hive(&[("Software", vec![])])),
    ];
    for (name, bytes) in hives {
        image.put_bytes(&path(&format!(r"{config}\{name}")), bytes, &plain).unwrap();
    }
    image.put_bytes(&path(&format!(r"{config}\SYSTEM.LOG1")), b"old log".to_vec(), &plain).unwrap();
    image
        .put_bytes(&path(r"\Users\Default\NTUSER.DAT"), hive(&[("Software", vec![])]), &plain)
        .unwrap();
    image.put_bytes(&path(r"\Windows\System32\kernel32.dll"), kernel32(), &plain).unwrap();
    for (name, text) in [
        (r"\Windows\notepad.exe", "notepad"),
        (r"\Windows\WinSxS\x\notepad.exe", "notepad"),
        (r"\Program Files\readme.txt", "read me"),
        (r"\Windows\hidden.ini", "[x]"),
    ] {
        image.put_bytes(&path(name), text.into(), &plain).unwrap();
    }
    image.set_attributes(&path(r"\Windows\hidden.ini"), 0x3, 0).unwrap();
    image.make_directory(&path(r"\Documents and Settings"), &plain).unwrap();
    image
        .make_directory(
            &path(r"\Windows\Temp"),
            &NewNode {
                attributes: None,
                security: Some(sddl("O:BAG:SYD:(A;OICIIO;GA;;;CO)(A;CI;FA;;;BA)")),
                last_write: None,
            },
        )
        .unwrap();
    let mut finished = image.finish().unwrap();
    decorate(&mut finished);
    save(finished, None, place)
}

/// Adds what edits cannot make: hard links, a named stream, a junction, short names, an object id.
fn decorate(finished: &mut FinishedImage) {
    let metadata = &mut finished.metadata;
    let reparse = junction(r"\??\C:\Users", r"C:\Users");
    let stream = b"[ZoneTransfer]".to_vec();
    for bytes in [&reparse, &stream] {
        finished.blobs.push(transom::image::FinishedBlob {
            sha1: Sha1::of(bytes),
            size: bytes.len() as u64,
            references: 1,
            location: BlobLocation::Memory(bytes.as_slice().into()),
        });
    }
    for dentry in &mut metadata.dentries {
        if dentry.name.is("notepad.exe") {
            dentry.hard_link_group = 0x7000_0000_0001;
            dentry.tagged_items =
                [&1_u32.to_le_bytes()[..], &16_u32.to_le_bytes(), &[7; 16]].concat();
            // Extended attributes, which go when the content goes.
            dentry
                .tagged_items
                .extend([&2_u32.to_le_bytes()[..], &8_u32.to_le_bytes(), &[9; 8]].concat());
        }
        if dentry.name.is("readme.txt") {
            dentry.short_name = "README~1.TXT".into();
            dentry.streams.push(Stream {
                kind: StreamKind::Named,
                name: "Zone.Identifier".into(),
                sha1: Sha1::of(&stream),
            });
        }
        if dentry.name.is("Program Files") {
            dentry.short_name = "PROGRA~1".into();
        }
        if dentry.name.is("Documents and Settings") {
            dentry.attributes |= 0x400;
            dentry.reparse = Some(Reparse { tag: 0xa000_0003, reserved: 0, flags: 0 });
            dentry.streams = vec![Stream {
                kind: StreamKind::Reparse,
                name: Name::default(),
                sha1: Sha1::of(&reparse),
            }];
        }
    }
}

/// Reparse data of a junction.
fn junction(substitute: &str, print: &str) -> Vec<u8> {
    let units = |text: &str| -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    };
    let (substitute, print) = (units(substitute), units(print));
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap();
    let head = [0, length(&substitute) - 2, length(&substitute), length(&print) - 2];
    [head.map(u16::to_le_bytes).concat(), substitute, print].concat()
}

/// Writes an image as the only one of a WIM. `base` is the WIM whose XML it keeps.
pub(crate) fn save(finished: FinishedImage, base: Option<(&Wim, u32)>, place: &Path) -> Arc<Wim> {
    save_with(finished, base, &MemoryStore::default(), place)
}

/// As [`save`], with a store for what lies there.
pub(crate) fn save_with(
    finished: FinishedImage,
    base: Option<(&Wim, u32)>,
    store: &MemoryStore,
    place: &Path,
) -> Arc<Wim> {
    let settings = WriteSettings {
        codec: Codec::Xpress,
        chunk_size: 32 << 10,
        level: Level::default(),
        solid: None,
        integrity: false,
        boot_index: 0,
        rp_fix: false,
    };
    let element = match base {
        Some((wim, index)) => {
            let mut element = wim.xml().image(index).unwrap().clone();
            if finished.changed {
                xml::update(&mut element, &finished, EPOCH);
            }
            element
        }
        None => xml::create(&finished, "test", BASE_TIME),
    };
    let mut document = WimXml::new();
    document.push_image(element);
    let blob = |blob: &transom::image::FinishedBlob| BlobToWrite {
        sha1: blob.sha1,
        size: blob.size,
        reference_count: blob.references,
        source: match &blob.location {
            BlobLocation::Base(wim, blob) => BlobSource::Wim { wim: Arc::clone(wim), blob: *blob },
            BlobLocation::Memory(bytes) => {
                BlobSource::Bytes { source: Arc::new(Arc::clone(bytes)) }
            }
            BlobLocation::Host(source) => BlobSource::Bytes { source: Arc::clone(source) },
            BlobLocation::Stored(stored) => {
                BlobSource::Bytes { source: Arc::new(store.get(&stored.sha1).unwrap()) }
            }
            BlobLocation::Secret(bytes) => BlobSource::Bytes { source: Arc::new(bytes.clone()) },
            BlobLocation::Template(_) => panic!("a finished image has no templates"),
        },
    };
    let blobs = finished.blobs.iter().map(blob).collect();
    let metadata = vec![MetadataToWrite::Bytes(finished.metadata.encode())];
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(place)
        .unwrap();
    write_wim(file.file(), &settings, blobs, metadata, document, &|_| (), &|| false).unwrap();
    Arc::new(Wim::open_path(place, &Limits::default()).unwrap())
}

/// The image of a WIM, ready to edit.
pub(crate) fn open(wim: &Arc<Wim>) -> Image {
    let mut image = Image::open(Arc::clone(wim), 1, &Limits::default()).unwrap();
    image.set_epoch(EPOCH);
    image
}

/// The entry of that name in metadata; there must be one only.
pub(crate) fn entry<'a>(metadata: &'a ImageMetadata, name: &str) -> &'a Dentry {
    let mut found = metadata.dentries.iter().filter(|dentry| dentry.name.is(name));
    let first = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "several {name}");
    first
}
