//! A package of a source as it would be in one image: its sections, its files, its catalog, and what stands against it.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::{
    base::{digest::to_hex, name::Name},
    format::{
        catalog::Trust,
        hive::ValueType,
        inf::{self, DriverInf, Inf, InfArchitecture, InfCause, Install, RegistryAction, Target},
    },
    image::{Image, ImageError, ImageFacts},
    servicing::{
        error::{Problem, ServicingError},
        inputs::InputId,
        not_native::WhenNotNative,
    },
};

use super::{
    NAME,
    database::{self, DatabaseHive},
    place,
    prepare::{PreparedCatalog, PreparedDriver, PreparedFile, PreparedInf},
    reflect,
    target::{self, InboxCache, InboxInfs},
    windows7,
};

/// Directives that Windows itself does not do from the INF alone when it installs the device at the first boot, or that need a program of the vendor.
const NEVER_NATIVE: [&str; 5] =
    ["coinstallers", "addcomponent", "addsoftware", "printer", "logconfig"];

/// Most levels of a key below the root of a hive; half of what a hive can hold, as the database adds its own above.
const MOST_LEVELS: usize = 250;
/// Most device IDs and registry lines of a package whose configurations go into the registry at once: bounds the work for a hostile INF.
const MOST_IDS: usize = 20_000;
const MOST_LINES: usize = 50_000;
/// The first build that asks for Microsoft's signature on kernel drivers: Windows 10 1607.
const FIRST_WITH_SIGNING: u32 = 14393;

/// A package as it would be in one image.
pub(super) struct Candidate<'a> {
    /// The INF's name, lower case: `viostor.inf`.
    pub inf_name: String,
    /// Where the INF stands, for a person: `drivers/viostor/viostor.inf`.
    pub shown: String,
    /// What it says for this image.
    pub model: DriverInf,
    /// For which Windows.
    pub target: Target,
    /// The folder in the store: `viostor.inf_amd64_0123456789abcdef`.
    pub package: String,
    /// True when the package lies in the SYSTEM hive.
    pub boot_critical: bool,
    /// False when there is no image to ask for the hive.
    pub hive_known: bool,
    /// The package's files by their upper-case path, each with the path as it is in the source.
    files: BTreeMap<String, (String, &'a PreparedFile)>,
    /// The INF's name as the source writes it.
    inf_file: String,
    /// Files that the INF names and the source does not have: path, line.
    missing: Vec<(String, u32)>,
    /// The same, where the INF lists no disk for the file and builds on INFs of Windows: it is a file of Windows (`usbser.sys` of mdmcpq.inf).
    pub inbox: Vec<(String, u32)>,
    /// The package's catalog, when it has one.
    pub catalog: Option<&'a PreparedCatalog>,
    /// Who vouches for the whole package.
    pub trust: Trust,
    /// Why it is not trusted more.
    reason: String,
}

/// What the INFs of a source are in an image.
#[derive(Default)]
pub(super) struct Candidates<'a> {
    /// Packages for this image, sorted by path.
    pub packages: Vec<Candidate<'a>>,
    /// INFs without anything for this image: where they stand, the architectures they are for.
    pub others: Vec<(String, Vec<InfArchitecture>)>,
    /// INFs with defects.
    pub defects: Vec<Problem>,
    /// INFs that are no drivers at all: set-up files, `autorun.inf`.
    pub strangers: Vec<Problem>,
}

/// Looks at every INF of `prepared` for `image`.
pub(super) fn candidates<'a>(
    source: &InputId,
    prepared: &'a PreparedDriver,
    image: &mut Image,
    facts: &ImageFacts,
) -> Result<Candidates<'a>, ServicingError> {
    let Some(mut target) = target::target(facts) else {
        let help =
            "drivers are chosen by architecture and build; name an image with a Windows in [base]";
        return Err(ServicingError::refused(
            NAME,
            Problem::error(
                &source.0,
                "the image does not say for which architecture and build of Windows it is",
                help,
            ),
        ));
    };
    let failed = |error: ImageError| ServicingError::image(NAME, &source.0, error);
    target.language = target::language(image).map_err(failed)?;
    let mut found = Candidates::default();
    let here = files_by_path(prepared);
    let cache = InboxCache::default();
    for inf in &prepared.infs {
        let model = found.read(source, inf, &target, &InboxInfs { image, cache: &cache });
        let Some((shown, model)) = model else { continue };
        let class = model.version.class_guid;
        let boot_critical = database::is_boot_critical(image, class).map_err(failed)?;
        found.packages.push(Candidate::new(
            (prepared, &here),
            inf,
            shown,
            model,
            target,
            Some(boot_critical),
        ));
    }
    Ok(found)
}

/// Looks at every INF of `prepared` for a Windows that is not there: the class tells nothing of the hive, and nothing can be included.
pub(super) fn candidates_for<'a>(
    source: &InputId,
    prepared: &'a PreparedDriver,
    target: Target,
) -> Candidates<'a> {
    let mut found = Candidates::default();
    let here = files_by_path(prepared);
    for inf in &prepared.infs {
        let Some((shown, model)) = found.read(source, inf, &target, &inf::NoIncludes) else {
            continue;
        };
        found.packages.push(Candidate::new((prepared, &here), inf, shown, model, target, None));
    }
    found
}

impl Candidates<'_> {
    /// What the INF says for the target, and where it stands; `None` when that is nothing, which is noted.
    fn read(
        &mut self,
        source: &InputId,
        prepared_inf: &PreparedInf,
        target: &Target,
        includes: &dyn inf::Includes,
    ) -> Option<(String, DriverInf)> {
        let shown = match prepared_inf.path.as_slice() {
            [] => source.0.clone(),
            names => format!("{source}/{}", names.join("/")),
        };
        let defect = |error: &inf::InfError| {
            let place = match error.line {
                0 => shown.clone(),
                line => format!("{shown}:{line}"),
            };
            let help = "ask the vendor for a sound driver, or leave it out";
            Problem::error(place, error.cause.to_string(), help)
        };
        let parsed = match Inf::parse(&prepared_inf.bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                let stranger = is_stranger(&error);
                let list = if stranger { &mut self.strangers } else { &mut self.defects };
                list.push(defect(&error));
                return None;
            }
        };
        let model = match inf::resolve(&parsed, target, includes) {
            Ok(model) => model,
            Err(error) => {
                let stranger = is_stranger(&error);
                let list = if stranger { &mut self.strangers } else { &mut self.defects };
                list.push(defect(&error));
                return None;
            }
        };
        // What an INF of the image would bring is not missed here.
        if model.missing_includes.is_empty() && !model.missing_sections.is_empty() {
            self.defects.extend(model.missing_sections.iter().map(|(section, line)| {
                Problem::error(
                    format!("{shown}:{line}"),
                    format!("it names the section [{section}], which is not in it"),
                    "ask the vendor for a sound driver, or leave it out",
                )
            }));
            return None;
        }
        if model.models.is_empty() {
            self.others.push((shown, inf::architectures(&parsed)));
            return None;
        }
        Some((shown, model))
    }
}

/// The files of a source by their upper-case path.
type FilesByPath<'a> = BTreeMap<String, &'a PreparedFile>;

fn files_by_path(prepared: &PreparedDriver) -> FilesByPath<'_> {
    prepared.files.iter().map(|file| (upcase(&file.path.join("\\")), file)).collect()
}

/// True when the error says that the file is no driver's INF.
fn is_stranger(error: &inf::InfError) -> bool {
    match &error.cause {
        InfCause::NoSections | InfCause::Signature(_) => true,
        InfCause::MissingSection(section) => section.eq_ignore_ascii_case("Version"),
        _ => false,
    }
}

impl<'a> Candidate<'a> {
    fn new(
        (prepared, all): (&'a PreparedDriver, &FilesByPath<'a>),
        inf: &'a PreparedInf,
        shown: String,
        mut model: DriverInf,
        target: Target,
        hive: Option<bool>,
    ) -> Self {
        let (inf_file, folder) = match inf.path.split_last() {
            Some((name, folder)) => (name.clone(), folder),
            None => (shown.rsplit('/').next().unwrap_or_default().to_owned(), &[][..]),
        };
        let inf_name = inf_file.to_lowercase();
        let start = upcase(&folder.iter().map(|name| format!("{name}\\")).collect::<String>());
        // With the path below the INF's folder, as the source writes it.
        let here = |path: &str| {
            let file = *all.get(&format!("{start}{}", upcase(path)))?;
            Some((file.path[folder.len()..].join("\\"), file))
        };
        let mut files = BTreeMap::new();
        let (mut missing, mut inbox) = (Vec::new(), Vec::new());
        let includes = model.installs.iter().any(|install| !install.included_infs.is_empty());
        let listed: BTreeSet<String> =
            model.listed_files.iter().map(|file| upcase(&file.path)).collect();
        let catalog_file = model.version.catalog.clone().into_iter().map(|name| (name, 0));
        let own = (inf_file.clone(), 0);
        let named = model.files.iter().map(|file| (file.path.clone(), file.line));
        for (path, line) in named.chain([own]).chain(catalog_file.clone()) {
            match here(&path) {
                Some(found) => {
                    files.insert(upcase(&path), found);
                }
                // A catalog that is not there is a matter of trust.
                None if line == 0 => {}
                None if includes && !listed.contains(&upcase(&path)) => inbox.push((path, line)),
                None => missing.push((path, line)),
            }
        }
        for file in &model.listed_files {
            if let Some(found) = here(&file.path) {
                files.insert(upcase(&file.path), found);
            }
        }
        // In an export the folder of the package has the name that Windows gave it.
        let above = shown.rsplit('/').nth(1).unwrap_or_default().to_lowercase();
        let start = format!("{inf_name}_{}_", architecture_name(target.architecture));
        let package = if is_store_folder(&above, &start) {
            above
        } else {
            format!("{start}{}", to_hex(&Sha256::digest(&inf.bytes)[..8]))
        };
        name_store(&mut model, &package);
        let catalog_at = catalog_file.clone().find_map(|(name, _)| {
            let (_, file) = here(&name)?;
            prepared.catalogs.iter().position(|catalog| catalog.path == file.path)
        });
        let (trust, reason) = judge(prepared, &model, catalog_at, &files);
        let catalog = catalog_at.map(|at| &prepared.catalogs[at]);
        Self {
            inf_name,
            shown,
            model,
            target,
            package,
            boot_critical: hive == Some(true),
            hive_known: hive.is_some(),
            inf_file,
            files,
            missing,
            inbox,
            catalog,
            trust,
            reason,
        }
    }

    /// The file at `path` in the package.
    pub(super) fn file(&self, path: &str) -> Option<&'a PreparedFile> {
        self.files.get(&upcase(path)).map(|(_, file)| *file)
    }

    /// The package's files: path with backslashes, content.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &'a PreparedFile)> {
        self.files.values().map(|(path, file)| (path.as_str(), *file))
    }

    /// The INF's own file.
    pub(super) fn inf_file(&self) -> Option<&'a PreparedFile> {
        self.file(&self.inf_file)
    }

    /// The sum of the files' sizes, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.files().map(|(_, file)| file.content.size).sum()
    }

    /// True when its services and files are put in place at once.
    pub(super) fn is_reflected(&self) -> bool {
        self.boot_critical
            || windows7::is_old(self.target.version) && windows7::is_critical(&self.model)
    }

    /// The hive of its database.
    pub(super) fn hive(&self) -> DatabaseHive {
        DatabaseHive::of_class(self.model.version.class_guid, self.boot_critical)
    }

    /// What this program does not do: the directive, the line.
    pub(super) fn not_native(&self) -> Vec<(String, u32)> {
        let mut found: Vec<(String, u32)> = self
            .model
            .unsupported
            .iter()
            // Packages of other classes are imported only; Windows follows these directives itself when it installs the device.
            .filter(|item| {
                let what = item.what.to_ascii_lowercase();
                self.is_reflected() || NEVER_NATIVE.iter().any(|never| what.starts_with(never))
            })
            .map(|item| (item.what.clone(), item.line))
            .collect();
        if self.is_reflected() {
            found.extend(self.model.installs.iter().flat_map(unknown_places));
            found.extend(self.model.missing_includes.iter().map(|(name, line)| {
                (format!("Include={name}, which the image does not have"), *line)
            }));
        }
        found.sort_by_key(|(_, line)| *line);
        found.dedup();
        found
    }

    /// Files that the INF names and the source does not have.
    pub(super) fn missing_files(&self) -> Vec<Problem> {
        self
            .missing
            .iter()
            .map(|(path, line)| {
                Problem::error(
                    format!("{}:{line}", self.shown),
                    format!("it names `{path}`, which the source does not have"),
                    "the package is not complete: get all of its files; archives in it have to be unpacked",
                )
            })
            .collect()
    }

    /// What stands against it, and what is odd.
    pub(super) fn problems(
        &self,
        allow_unsigned: bool,
        not_native: WhenNotNative,
        windows_pe: bool,
    ) -> Vec<Problem> {
        let mut problems = self.missing_files();
        if matches!(self.trust, Trust::Test | Trust::Unsigned) {
            problems.push(if allow_unsigned {
                Problem::warning(
                    &self.shown,
                    format!("nobody vouches for it ({}): {}", self.trust.name(), self.reason),
                    "Windows may refuse to load it, and does with Secure Boot",
                )
            } else {
                Problem::error(
                    &self.shown,
                    format!("nobody vouches for it ({}): {}", self.trust.name(), self.reason),
                    "get the signed package; `unsigned = \"allow\"` takes it as it is, and Windows may refuse to load it",
                )
            });
        }
        let deep = self.model.deepest_path();
        if deep > MOST_LEVELS {
            problems.push(Problem::error(
                &self.shown,
                format!("a key or device ID in it has {deep} levels, more than the {MOST_LEVELS} that the registry allows"),
                "this is no sound driver",
            ));
        }
        let (ids, lines) = self.model.counts();
        if self.is_reflected() && (ids > MOST_IDS || lines > MOST_LINES) {
            problems.push(Problem::error(
                &self.shown,
                format!("it has {ids} device IDs and {lines} registry lines, more than the {MOST_IDS} and {MOST_LINES} that a package of a boot-critical class may have"),
                "the largest known ones have some thousands; this is no sound driver",
            ));
        }
        if self.trust == Trust::Authenticode
            && self.boot_critical
            && self.target.build >= FIRST_WITH_SIGNING
        {
            problems.push(Problem::warning(
                &self.shown,
                "it is signed by its maker only (authenticode)",
                "with Secure Boot Windows 10 and later load kernel drivers that Microsoft signed (whql, attested)",
            ));
        }
        problems.extend(self.not_native_problem(not_native, windows_pe));
        problems
    }

    fn not_native_problem(&self, when: WhenNotNative, windows_pe: bool) -> Option<Problem> {
        let found = self.not_native();
        let (_, line) = found.first()?;
        let listed = |(what, line): &(String, u32)| match line {
            0 => what.clone(),
            line => format!("{what} (line {line})"),
        };
        let list: Vec<String> = found.iter().map(listed).collect();
        let item = match line {
            0 => self.shown.clone(),
            line => format!("{}:{line}", self.shown),
        };
        let cause = format!("it asks for what cannot be done natively: {}", list.join(", "));
        match when {
            WhenNotNative::Refuse => Some(Problem::error(
                item,
                cause,
                "with `when-not-native = \"first-boot\"` Windows installs it when it starts first",
            )),
            WhenNotNative::Dism => Some(Problem::error(
                item,
                cause,
                "steps through DISM are not in this version; `when-not-native = \"first-boot\"` is the way",
            )),
            WhenNotNative::FirstBoot if windows_pe => Some(Problem::error(
                item,
                cause,
                "a Windows PE runs no scripts of a first boot: such a package cannot go into it",
            )),
            WhenNotNative::FirstBoot => Some(Problem::warning(
                item,
                format!("{cause}; it is left to the first boot"),
                "a disk that Windows starts from cannot wait for that",
            )),
        }
    }
}

/// True for the name of a package's folder as Windows makes it: `start` and 16 digits.
fn is_store_folder(name: &str, start: &str) -> bool {
    name.strip_prefix(start)
        .is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Puts the package's folder in place of `%13%` in the texts that go to the registry.
fn name_store(model: &mut DriverInf, package: &str) {
    let below = format!(r"System32\DriverStore\FileRepository\{package}");
    let installs = model.installs.iter_mut().flat_map(|install| {
        let services = install.services.iter_mut().flat_map(|service| {
            let log = service.event_log.iter_mut().flat_map(|(_, lines)| lines);
            service.registry.iter_mut().chain(log)
        });
        install
            .driver_registry
            .iter_mut()
            .chain(&mut install.device_registry)
            .chain(install.interface_registry.iter_mut().flatten())
            .chain(services)
    });
    for line in installs.chain(&mut model.class_registry) {
        let RegistryAction::Set { kind, data, .. } = &mut line.action else { continue };
        let folder = match ValueType(*kind) {
            ValueType::EXPAND_SZ => format!(r"%SystemRoot%\{below}"),
            ValueType::SZ | ValueType::MULTI_SZ => format!(r"C:\Windows\{below}"),
            _ => continue,
        };
        let units: Vec<u16> =
            data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let mark: Vec<u16> = "%13%".encode_utf16().collect();
        if !units.windows(mark.len()).any(|window| window == mark) {
            continue;
        }
        let mut new = Vec::with_capacity(data.len() + 2 * folder.len());
        let mut at = 0;
        while at < units.len() {
            if units[at..].starts_with(&mark) {
                new.extend(folder.encode_utf16().flat_map(u16::to_le_bytes));
                at += mark.len();
            } else {
                new.extend(units[at].to_le_bytes());
                at += 1;
            }
        }
        *data = new;
    }
}

/// Who vouches for the package, and why not more.
fn judge(
    prepared: &PreparedDriver,
    model: &DriverInf,
    catalog: Option<usize>,
    files: &BTreeMap<String, (String, &PreparedFile)>,
) -> (Trust, String) {
    let Some(named) = &model.version.catalog else {
        return (Trust::Unsigned, "the INF names no catalog".to_owned());
    };
    let Some(at) = catalog else {
        return (Trust::Unsigned, format!("its catalog `{named}` is not in the source"));
    };
    let verdict = &prepared.catalogs[at];
    let foreign: Vec<&str> = files
        .values()
        .filter(|(_, file)| file.path != verdict.path && !file.catalogs.contains(&at))
        .map(|(path, _)| path.as_str())
        .collect();
    match foreign.as_slice() {
        [] => (verdict.trust, verdict.reason.clone()),
        [first, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let cause = format!("the catalog `{named}` does not hold the hash of `{first}`{more}");
            (Trust::Unsigned, cause)
        }
    }
}

fn unknown_places(install: &Install) -> Vec<(String, u32)> {
    let copies = install.copies.iter().map(|copy| &copy.to);
    let binaries = install.services.iter().filter_map(|service| service.binary.as_ref());
    let mut found: Vec<(String, u32)> =
        copies.chain(binaries).filter_map(|to| Some((place::refused(to)?, 0))).collect();
    let lines = install.driver_registry.iter().chain(&install.device_registry);
    let interfaces = install.interface_registry.iter().flatten();
    let services = install.services.iter().flat_map(|service| {
        service.registry.iter().chain(service.event_log.iter().flat_map(|(_, lines)| lines))
    });
    let all = lines.chain(interfaces).chain(services).filter(|line| !reflect::can_do(line));
    found.extend(all.map(|line| {
        (format!("a registry line that an image cannot take: {}", line.key), line.line)
    }));
    let names = install.services.iter().filter(|service| service.name.contains(['\\', '/']));
    found.extend(names.map(|service| (format!("a service called {}", service.name), 0)));
    found
}

/// The name of an architecture in folders of the store.
pub(super) fn architecture_name(architecture: InfArchitecture) -> &'static str {
    match architecture {
        InfArchitecture::X86 => "x86",
        InfArchitecture::Amd64 => "amd64",
        InfArchitecture::Arm => "arm",
        InfArchitecture::Arm64 => "arm64",
    }
}

/// A path as it is compared.
fn upcase(path: &str) -> String {
    Name::from(path.replace('/', "\\").as_str()).to_upcase().to_string()
}
