//! A place to build in: a small base WIM of two images written by our own writer, inputs, a recipe and a store.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use transom::{
    base::{filetime::FileTime, limits::Limits, name::Name, ntpath::NtPath},
    codec::{Codec, Level},
    format::{
        hive::{Hive, Value},
        wim::{
            BlobSource, BlobToWrite, Element, MetadataToWrite, Wim, WimXml, WriteSettings,
            write_wim,
        },
    },
    image::{BlobLocation, Image, NewNode, RegistryPath},
    pipeline::{self, BuildError, Event, Outcome, Settings},
    plan::{self, Options, Plan, PlanError},
    recipe,
    store::Store,
};

/// The recipe that most tests begin with; every section that writes is in it.
pub(crate) const RECIPE: &str = r#"
[image]
name = "golden"
[base]
wim = "base.wim"
edition = "ServerCore"
[services]
RemoteRegistry = "disabled"
[registry.'HKLM\SOFTWARE\Policies\Telemetry']
AllowTelemetry = 0
[[files]]
from = "files/one.txt"
to = 'C:\Data\one.txt'
[[files]]
from = "files/tree"
to = 'C:\Data\tree'
[first-boot]
run = ["files/first.cmd"]
[output]
path = "out/golden.wim"
"#;

/// A folder with everything a build needs.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

/// What a build told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) prepared: Vec<usize>,
    pub(crate) applied: Vec<usize>,
    pub(crate) cached: Vec<usize>,
    pub(crate) up_to_date: bool,
}

impl Place {
    /// With a base compressed by `codec`.
    pub(crate) fn new(codec: Codec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        write_base(&place.path("base.wim"), codec);
        place.write("files/one.txt", b"one");
        place.write("files/tree/a.txt", &b"tree a ".repeat(5000));
        place.write("files/tree/sub/b.bin", &vec![7; 100_000]);
        place.write("files/first.cmd", b"echo first\r\n");
        place.write("recipe.toml", RECIPE.as_bytes());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs_err::read(self.path(name)).unwrap()
    }

    /// Changes the recipe's text.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs_err::read_to_string(self.path("recipe.toml")).unwrap();
        assert!(text.contains(from), "{from} is not in the recipe");
        self.write("recipe.toml", text.replace(from, to).as_bytes());
    }

    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.path("store")).unwrap())
    }

    pub(crate) fn plan_with(
        &self,
        store: &Store,
        options: &Options<'_>,
    ) -> Result<Plan, PlanError> {
        let path = self.path("recipe.toml");
        let recipe = recipe::load(&path, &[]).unwrap_or_else(|findings| {
            let messages: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{messages:#?}")
        });
        plan::make(&recipe, &path, store, options)
    }

    pub(crate) fn plan(&self) -> Plan {
        self.plan_with(&self.store(), &Options::default()).unwrap()
    }

    /// What planning says that cannot be.
    pub(crate) fn plan_error(&self) -> String {
        let error = self.plan_with(&self.store(), &Options::default()).unwrap_err();
        format!("{:?}", miette::Report::new(error))
    }

    /// Empties the cache.
    pub(crate) fn forget(&self) {
        fs_err::remove_dir_all(self.path("store")).unwrap();
    }

    /// Plans and builds.
    pub(crate) fn build(&self) -> (Outcome, Told) {
        let (result, told) = self.try_build(&Settings::default(), usize::MAX);
        (result.unwrap(), told)
    }

    /// Plans and builds; asks to stop at the event of that number. Gives how it ended and what it told.
    pub(crate) fn try_build(
        &self,
        settings: &Settings<'_>,
        stop_at: usize,
    ) -> (Result<Outcome, BuildError>, Told) {
        let store = self.store();
        let plan = self.plan_with(&store, &Options::default()).unwrap();
        let told = Mutex::new(Told::default());
        let stop = AtomicBool::new(false);
        let count = AtomicUsize::new(0);
        let events = |event: Event<'_>| {
            let mut told = told.lock().unwrap();
            match event {
                Event::StepPreparing { number, .. } => told.prepared.push(number),
                Event::StepApplying { number, .. } => told.applied.push(number),
                Event::StepCached { number, .. } => told.cached.push(number),
                Event::UpToDate => told.up_to_date = true,
                _ => {}
            }
            if count.fetch_add(1, Ordering::Relaxed) == stop_at {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let cancelled = || stop.load(Ordering::Relaxed);
        let settings = Settings { events: &events, cancelled: &cancelled, ..*settings };
        let result = pipeline::build(&plan, &store, &settings);
        let mut told = told.into_inner().unwrap();
        told.prepared.sort_unstable();
        (result, told)
    }

    /// Opens image `index` of the output.
    pub(crate) fn output_image(&self, index: u32) -> Image {
        open(&self.path("out/golden.wim"), index)
    }
}

pub(crate) fn open(path: &Path, index: u32) -> Image {
    let limits = Limits::default();
    Image::open(Arc::new(Wim::open_path(path, &limits).unwrap()), index, &limits).unwrap()
}

/// The content of a file of an image.
pub(crate) fn content(image: &Image, path: &str) -> Vec<u8> {
    image.read(&NtPath::parse(path).unwrap()).unwrap()
}

/// A number in the registry of an image.
pub(crate) fn number(image: &mut Image, key: &str, value: &str) -> Option<u32> {
    let key = RegistryPath::parse(key).unwrap();
    image.registry_value(&key, &Name::from(value)).unwrap().and_then(|value| value.as_dword())
}

fn write_base(path: &Path, codec: Codec) {
    let epoch = FileTime::parse("2025-01-01T00:00:00Z").unwrap();
    let mut xml = WimXml::new();
    let (mut blobs, mut images) = (Vec::new(), Vec::new());
    for (name, edition) in [("Client", "Professional"), ("Server", "ServerCore")] {
        let mut image = Image::empty(epoch);
        let mut put = |path: &str, content: Vec<u8>| {
            let path = NtPath::parse(path).unwrap();
            image.put_bytes(&path, content, &NewNode::default()).unwrap();
        };
        put(r"Windows\System32\config\SYSTEM", system_hive(epoch, name));
        put(r"Windows\System32\config\SOFTWARE", software_hive(epoch, edition));
        put(r"Windows\readme.txt", format!("this is {name}").into_bytes());
        put(r"Windows\shared.txt", b"both images have this ".repeat(4000));
        for file in 0..20_u8 {
            put(&format!(r"Windows\files\{name}{file}.bin"), vec![file; 3000]);
        }
        let finished = image.finish().unwrap();
        let mut element = Element::new("IMAGE");
        element.set_text(&["NAME"], name);
        transom::image::xml::update(&mut element, &finished, epoch);
        element.set_text(&["WINDOWS", "EDITIONID"], edition);
        let index = xml.push_image(element);
        assert!(xml.set_times(index, Some(epoch), Some(epoch)));
        for blob in finished.blobs {
            let BlobLocation::Memory(bytes) = blob.location else { panic!("all is in memory") };
            let source = BlobSource::Bytes { source: Arc::new(bytes) };
            let reference_count = blob.references;
            blobs.push(BlobToWrite { sha1: blob.sha1, size: blob.size, reference_count, source });
        }
        images.push(MetadataToWrite::Bytes(finished.metadata.encode()));
    }
    let settings = WriteSettings {
        codec,
        chunk_size: codec.default_chunk_size(),
        level: Level::Default,
        solid: None,
        integrity: false,
        boot_index: 2,
        rp_fix: true,
    };
    let file = fs_err::File::create(path).unwrap();
    write_wim(file.file(), &settings, blobs, images, xml, &|_| (), &|| false).unwrap();
}

fn names(path: &str) -> Vec<Name> {
    path.split('\\').map(Name::from).collect()
}

fn system_hive(epoch: FileTime, image: &str) -> Vec<u8> {
    let mut hive = Hive::create(5, epoch, &[]);
    let select = hive.create_path(hive.root(), &names("Select"), epoch).unwrap();
    hive.set_value(select, &Value::dword("Current", 1), epoch).unwrap();
    let own = (image == "Server").then_some("DNS");
    for service in ["RemoteRegistry", "Spooler"].into_iter().chain(own) {
        let path = format!(r"ControlSet001\Services\{service}");
        let key = hive.create_path(hive.root(), &names(&path), epoch).unwrap();
        hive.set_value(key, &Value::dword("Start", 3), epoch).unwrap();
        hive.set_value(key, &Value::dword("Type", 32), epoch).unwrap();
    }
    hive.into_bytes()
}

fn software_hive(epoch: FileTime, edition: &str) -> Vec<u8> {
    let mut hive = Hive::create(5, epoch, &[]);
    let path = r"Microsoft\Windows NT\CurrentVersion";
    let key = hive.create_path(hive.root(), &names(path), epoch).unwrap();
    hive.set_value(key, &Value::sz("EditionID", edition), epoch).unwrap();
    hive.set_value(key, &Value::sz("CurrentBuild", "26100"), epoch).unwrap();
    hive.set_value(key, &Value::dword("CurrentMajorVersionNumber", 10), epoch).unwrap();
    hive.into_bytes()
}
