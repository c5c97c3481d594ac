//! What an INF says for one target: the resolved model, in INF order. [`super::resolve`] makes it from the parsed text.
//!
//! Source: `facts/inf.md` (Microsoft's windows-driver-docs, `install/`).

use crate::base::guid::Guid;

/// The Windows that an INF is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The architecture.
    pub architecture: InfArchitecture,
    /// Major and minor version of the system: 10, 0.
    pub version: (u16, u16),
    /// Build number of the system: 26100.
    pub build: u32,
    /// 1 workstation, 2 domain controller, 3 server; `None` when the image does not say.
    pub product_type: Option<u8>,
    /// The language that `[Strings.LANGID]` is chosen by: 0x0409.
    pub language: u16,
}

/// An architecture, as INF decorations name it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum InfArchitecture {
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    Amd64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit ARM.
    Arm64,
}

/// `[Version]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// The class by name, strings expanded.
    pub class: String,
    /// The class.
    pub class_guid: Guid,
    /// Who made it, strings expanded.
    pub provider: String,
    /// `DriverVer`'s date: year, month, day.
    pub date: (u16, u8, u8),
    /// `DriverVer`'s version; missing parts are 0.
    pub version: [u16; 4],
    /// The catalog for the target's architecture: `.ntamd64` before `.nt` before bare.
    pub catalog: Option<String>,
    /// `ExtensionId` of an extension INF.
    pub extension_id: Option<Guid>,
    /// `PnpLockdown = 1`.
    pub pnp_lockdown: bool,
}

/// An INF resolved for a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverInf {
    /// `[Version]`.
    pub version: VersionInfo,
    /// The lines of the chosen models sections; empty when nothing in the INF is for the target.
    pub models: Vec<Model>,
    /// The install sections that the models name, each once, in order of first appearance.
    pub installs: Vec<Install>,
    /// Every file of the package that the chosen sections need, each once, sorted by [`PackageFile::path`].
    pub files: Vec<PackageFile>,
    /// `%token%` (lower case, no percent signs) and its text for every token that the models use, sorted by token.
    pub strings: Vec<(String, String)>,
    /// What this program does not do natively.
    pub unsupported: Vec<Unsupported>,
    /// Every file that `[SourceDisksFiles]` lists for the architecture, sorted by path: Windows keeps those that exist in its driver store.
    pub listed_files: Vec<PackageFile>,
    /// INFs that `Include` names and that the image does not have: the name in lower case, the line.
    pub missing_includes: Vec<(String, u32)>,
    /// Sections that the chosen ones name and that are nowhere: the name, the line.
    pub missing_sections: Vec<(String, u32)>,
    /// `AddReg` and `DelReg` of `[ClassInstall32]`: relative to the key of the class, and absolute roots.
    pub class_registry: Vec<RegistryLine>,
}

impl DriverInf {
    /// The most levels that a registry key or a device ID has.
    #[must_use]
    pub fn deepest_path(&self) -> usize {
        let keys = self.registry_lines().map(|line| line.key.as_str());
        self.ids().chain(keys).map(|path| path.split('\\').count()).max().unwrap_or(0)
    }

    /// How many device IDs and registry lines it has.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.ids().count(), self.registry_lines().count())
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.models.iter().flat_map(|model| {
            std::iter::once(model.hardware_id.as_str())
                .chain(model.compatible_ids.iter().map(String::as_str))
        })
    }

    fn registry_lines(&self) -> impl Iterator<Item = &RegistryLine> {
        let lines = self.installs.iter().flat_map(|install| {
            let services = install.services.iter().flat_map(|service| {
                let log = service.event_log.iter().flat_map(|(_, lines)| lines);
                service.registry.iter().chain(log)
            });
            install
                .driver_registry
                .iter()
                .chain(&install.device_registry)
                .chain(install.interface_registry.iter().flatten())
                .chain(services)
        });
        lines.chain(&self.class_registry)
    }
}

/// One line of a models section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The description as written, lower case when it is a token: `%dev.desc%`.
    pub description_token: String,
    /// The description, strings expanded.
    pub description: String,
    /// The manufacturer as written, lower case when it is a token: `%mfg%`.
    pub manufacturer_token: String,
    /// The manufacturer, strings expanded.
    pub manufacturer: String,
    /// The actual install section, decoration included: `Stornvme_Inst`, `BthEnum.NT`.
    pub install: String,
    /// The hardware ID as written.
    pub hardware_id: String,
    /// The compatible IDs as written, in order.
    pub compatible_ids: Vec<String>,
    /// Line in the INF, from 1.
    pub line: u32,
}

/// An install section and what hangs on it, `Needs` included (the sections of the image's own INFs too).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Install {
    /// The actual section.
    pub section: String,
    /// `FeatureScore`; 0xFF when not given.
    pub feature_score: u8,
    /// Services, in order. A null service (`AddService = ,2`) has an empty name.
    pub services: Vec<Service>,
    /// `AddReg` and `DelReg` of the section: the device's software (driver) key, and absolute roots.
    pub driver_registry: Vec<RegistryLine>,
    /// `AddReg` and `DelReg` of `.HW`: the device's hardware key, and absolute roots.
    pub device_registry: Vec<RegistryLine>,
    /// Filters by `AddFilter`, or none.
    pub filters: Vec<Filter>,
    /// Copies, `CopyFiles` in order.
    pub copies: Vec<FileCopy>,
    /// INFs of the image that `Include` names, lower case, in order.
    pub included_infs: Vec<String>,
    /// `Reboot` stands in the section.
    pub reboot: bool,
    /// Device properties of `AddProperty`.
    pub properties: Vec<Property>,
    /// Interfaces of `AddInterface`: the class, the reference string.
    pub interfaces: Vec<(Guid, String)>,
    /// `AddReg` and `DelReg` of the interfaces' sections, in the order of [`Install::interfaces`].
    pub interface_registry: Vec<Vec<RegistryLine>>,
    /// Copies of files that are Windows' own: the INF of the image whose section asks for them, or `LayoutFile`, in lower case; the copy. The
    /// package does not have these files.
    pub included_copies: Vec<(String, FileCopy)>,
}

/// `AddService` and its section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its name; empty for the null service.
    pub name: String,
    /// The INF of the image whose section it comes from (by `Needs`), lower case; `None`: the package's own.
    pub inf: Option<String>,
    /// Flags of `AddService`: 2 is the function driver.
    pub flags: u32,
    /// `DisplayName` as written (a token stays a token).
    pub display_name: Option<String>,
    /// `DisplayName` expanded.
    pub display_text: Option<String>,
    /// `Description` as written.
    pub description: Option<String>,
    /// `Description` expanded.
    pub description_text: Option<String>,
    /// `ServiceType`; 0 when `AddService` names no section: the service is one that Windows has.
    pub service_type: u32,
    /// `StartType`: 0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled.
    pub start_type: u32,
    /// `ErrorControl`.
    pub error_control: u32,
    /// `ServiceBinary`.
    pub binary: Option<Destination>,
    /// `LoadOrderGroup`.
    pub group: Option<String>,
    /// `Dependencies`, split.
    pub dependencies: Vec<String>,
    /// `Security`, SDDL.
    pub security: Option<String>,
    /// `BootFlags`.
    pub boot_flags: Option<u32>,
    /// `AddReg` and `DelReg`: relative to the service's key, and absolute roots.
    pub registry: Vec<RegistryLine>,
    /// The event log section: name of the source, its registry lines.
    pub event_log: Option<(String, Vec<RegistryLine>)>,
}

/// A place in Windows: `%12%\x.sys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The folder's number: 10 Windows, 11 System32, 12 drivers, 13 the driver's own folder in the store ...
    pub dirid: u32,
    /// What follows it, with backslashes, without a leading one.
    pub path: String,
}

/// One `CopyFiles` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileCopy {
    /// Where the file goes.
    pub to: Destination,
    /// Path in the package, with backslashes: `amd64\x.sys`.
    pub from: String,
    /// Copy flags.
    pub flags: u32,
}

/// A file that the package must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Path in the package, with backslashes.
    pub path: String,
    /// Line of the INF that names it.
    pub line: u32,
}

/// A line of an `AddReg` or `DelReg` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryLine {
    /// `HKR`, `HKLM`, `HKCR`, `HKCU`, `HKU`.
    pub root: RegistryRoot,
    /// The key below the root; may be empty.
    pub key: String,
    /// The value; empty for the default value.
    pub name: String,
    /// What happens.
    pub action: RegistryAction,
    /// Line in the INF.
    pub line: u32,
}

/// A registry root of an INF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryRoot {
    /// Relative to the key the section is for.
    Relative,
    /// `HKEY_LOCAL_MACHINE`.
    LocalMachine,
    /// `HKEY_CLASSES_ROOT`.
    ClassesRoot,
    /// `HKEY_CURRENT_USER`.
    CurrentUser,
    /// `HKEY_USERS`.
    Users,
}

/// What a registry line does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAction {
    /// The key is made; no value.
    Key,
    /// A value is set.
    Set {
        /// Its registry type.
        kind: u32,
        /// Its data as the registry holds it (text in UTF-16 with its NUL). Folder numbers are replaced, except `%13%`: only the caller
        /// knows the package's folder.
        data: Vec<u8>,
        /// Flags as written (2 not over an existing one, 8 append to a list, 0x20 only over an existing one ...).
        flags: u32,
    },
    /// The value is deleted.
    DeleteValue,
    /// The key is deleted.
    DeleteKey,
}

/// `AddFilter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The filter driver's service.
    pub service: String,
    /// True: an upper filter.
    pub upper: bool,
}

/// A line of an `AddProperty` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The property's category.
    pub guid: Guid,
    /// Its number there.
    pub id: u32,
    /// Its DEVPROP type.
    pub kind: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// Something that the chosen sections ask for and this program does not do natively.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The directive or section: `CoInstallers`, `AddComponent`.
    pub what: String,
    /// Line in the INF.
    pub line: u32,
}
