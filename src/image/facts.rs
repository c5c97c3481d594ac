//! What an image says about itself: from its hives and the headers of its kernel32.dll. What is not there is unknown.

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::{hive::Value, pe},
};

use super::{
    changeset::Change, content::BlobRef, error::ImageError, hives::HiveId, offline::Image,
    registry::RegistryPath,
};

/// A processor architecture, as the WIM's XML numbers it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Architecture {
    /// 32-bit Intel.
    X86,
    /// 32-bit ARM.
    Arm,
    /// Itanium.
    Ia64,
    /// 64-bit Intel and AMD.
    Amd64,
    /// 64-bit ARM.
    Arm64,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageFacts {
    /// Name of the folder that holds `System32\config`: usually `Windows`.
    pub system_root: Option<String>,
    /// Machine type of `System32\kernel32.dll`.
    pub architecture: Option<Architecture>,
    /// Major version: 10.
    pub major: Option<u32>,
    /// Minor version: 0.
    pub minor: Option<u32>,
    /// Build: 26100.
    pub build: Option<u32>,
    /// Update build revision: the last number of `10.0.26100.1742`.
    pub revision: Option<u32>,
    /// Service pack build.
    pub service_pack_build: Option<u32>,
    /// Service pack level.
    pub service_pack_level: Option<u32>,
    /// Branch: `ge_release`.
    pub branch: Option<String>,
    /// Edition: `ServerDatacenter`.
    pub edition: Option<String>,
    /// Installation type: `Client`, `Server`, `Server Core`, `WindowsPE`.
    pub installation_type: Option<String>,
    /// Product name in the registry.
    pub product_name: Option<String>,
    /// `WinNT`, `ServerNT` or `LanmanNT`.
    pub product_type: Option<String>,
    /// First product suite.
    pub product_suite: Option<String>,
    /// The HAL's device id.
    pub hal: Option<String>,
    /// Installed languages, in the hive's order.
    pub languages: Vec<String>,
    /// The default language's tag.
    pub default_language: Option<String>,
    /// State of setup: `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE`.
    pub image_state: Option<String>,
    /// True when the image is a Windows PE.
    pub windows_pe: bool,
    /// What could not be read, and why.
    pub warnings: Vec<String>,
}

/// What the facts were read from: if it is the same, so are they.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactSources {
    files: [Option<BlobRef>; 3],
    /// How often the registry was changed.
    edits: u64,
}

const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
const HAL_CLASS: &str = r"Control\Class\{4D36E966-E325-11CE-BFC1-08002BE10318}\0000";

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86, Self::Arm, Self::Ia64, Self::Amd64, Self::Arm64];

    /// The number in the WIM's XML.
    #[must_use]
    pub fn wim_number(self) -> u32 {
        match self {
            Self::X86 => 0,
            Self::Arm => 5,
            Self::Ia64 => 6,
            Self::Amd64 => 9,
            Self::Arm64 => 12,
        }
    }

    /// The architecture of a program for this machine type.
    #[must_use]
    pub fn of_machine(machine: u16) -> Option<Self> {
        [
            (pe::MACHINE_X86, Self::X86),
            (pe::MACHINE_ARM, Self::Arm),
            (pe::MACHINE_IA64, Self::Ia64),
            (pe::MACHINE_AMD64, Self::Amd64),
            (pe::MACHINE_ARM64, Self::Arm64),
        ]
        .into_iter()
        .find_map(|(number, found)| (number.0 == machine).then_some(found))
    }

    /// The name that recipes and manifests use: `amd64`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Arm => "arm",
            Self::Ia64 => "ia64",
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Image {
    /// What is known of the image. What its hives and programs do not say, or cannot say because they are damaged, is unknown;
    /// [`ImageFacts::warnings`] tells of the damage.
    pub fn facts(&mut self) -> ImageFacts {
        let sources = self.fact_sources();
        if let Some((known, facts)) = &self.known_facts
            && *known == sources
        {
            return facts.clone();
        }
        let facts = Reading { image: self, facts: ImageFacts::default() }.read();
        self.known_facts = Some((sources, facts.clone()));
        facts
    }

    /// Keeps what the image said of itself before a change that could alter it.
    pub(super) fn remember_facts_before(&mut self, change: &Change) {
        let paths = match change {
            Change::CreateKey { hive, .. }
            | Change::DeleteKey { hive, .. }
            | Change::SetValue { hive, .. }
            | Change::SetSecret { hive, .. }
            | Change::SetKeySecurity { hive, .. }
            | Change::DeleteValue { hive, .. } => {
                if !matches!(hive, HiveId::System | HiveId::Software) {
                    return;
                }
                Vec::new()
            }
            Change::PutFile { path, .. } | Change::Link { path, .. } | Change::Remove { path } => {
                vec![path]
            }
            Change::Rename { from, to } => vec![from, to],
            Change::MakeDirectory { .. }
            | Change::SetAttributes { .. }
            | Change::SetSecurity { .. }
            | Change::SetKeyTime { .. }
            | Change::Separate { .. } => return,
        };
        let holds_source = |path: &NtPath| {
            self.fact_paths().iter().any(|source| {
                let mut names = source.names().iter().zip(path.names());
                path.names().len() <= source.names().len()
                    && names.all(|(left, right)| left.eq_ignore_case(right))
            })
        };
        let concerned = paths.is_empty() || paths.into_iter().any(holds_source);
        if concerned && self.base_facts.is_none() {
            self.base_facts = Some(self.facts());
        }
        if concerned {
            self.registry_edits += 1;
        }
    }

    fn fact_paths(&self) -> [NtPath; 3] {
        let root = self.system_root();
        let kernel = vec![root.clone(), "System32".into(), "kernel32.dll".into()];
        [HiveId::System.path(&root), HiveId::Software.path(&root), NtPath::from_names(kernel)]
    }

    fn fact_sources(&self) -> FactSources {
        let content = |path: NtPath| Some(self.tree.inode(self.tree.lookup(&path)?).data());
        FactSources { files: self.fact_paths().map(content), edits: self.registry_edits }
    }
}

/// Facts being read.
struct Reading<'a> {
    image: &'a mut Image,
    facts: ImageFacts,
}

impl Reading<'_> {
    fn read(mut self) -> ImageFacts {
        let root = self.image.system_root();
        if self.image.tree.child(self.image.tree.root(), &root).is_some() {
            self.facts.system_root = root.to_text();
        }
        self.architecture(&root);
        if self.usable(HiveId::Software) {
            self.software();
        }
        if self.usable(HiveId::System) {
            self.system();
        }
        self.facts.windows_pe |= self.image.is_windows_pe;
        self.facts
    }

    fn architecture(&mut self, root: &Name) {
        let path = NtPath::from_names(vec![root.clone(), "System32".into(), "kernel32.dll".into()]);
        // A plan tries steps with content that it cannot read: what the image was for before, it still is.
        let before = self.image.base_facts.as_ref().and_then(|facts| facts.architecture);
        match self.image.read(&path) {
            Ok(bytes) => {
                let machine = pe::machine(&bytes).and_then(Architecture::of_machine);
                self.facts.architecture = machine.or(before);
            }
            Err(ImageError::NotFound(_) | ImageError::IsDirectory(_)) => {}
            Err(_) if before.is_some() => self.facts.architecture = before,
            Err(error) => self.facts.warnings.push(format!("{path}: {error}")),
        }
    }

    /// Opens a hive; a damaged one is a warning, a missing one is none.
    fn usable(&mut self, id: HiveId) -> bool {
        match self.image.with_hive(id, |_| Ok(())) {
            Ok(()) => true,
            Err(ImageError::NoHive { .. }) => false,
            Err(error) => {
                self.facts.warnings.push(error.to_string());
                false
            }
        }
    }

    fn software(&mut self) {
        let text = |this: &mut Self, name: &str| {
            this.value(HiveId::Software, VERSION, name)?.as_text().filter(|text| !text.is_empty())
        };
        self.facts.edition = text(self, "EditionID");
        self.facts.installation_type = text(self, "InstallationType");
        self.facts.product_name = text(self, "ProductName");
        let build = text(self, "CurrentBuild").or_else(|| text(self, "CurrentBuildNumber"));
        self.facts.build = build.and_then(|build| build.parse().ok());
        // BuildLab is `26100.ge_release.240331-1435`; BuildBranch is newer.
        let branch = |lab: String| lab.split('.').nth(1).map(str::to_owned);
        self.facts.branch =
            text(self, "BuildBranch").or_else(|| text(self, "BuildLab").and_then(branch));
        let number =
            |this: &mut Self, name: &str| this.value(HiveId::Software, VERSION, name)?.as_dword();
        self.facts.revision = number(self, "UBR");
        self.facts.major = number(self, "CurrentMajorVersionNumber");
        self.facts.minor = number(self, "CurrentMinorVersionNumber");
        if self.facts.major.is_none()
            && let Some(version) = text(self, "CurrentVersion")
            && let Some((major, minor)) = version.split_once('.')
        {
            (self.facts.major, self.facts.minor) = (major.parse().ok(), minor.parse().ok());
        }
        let key = RegistryPath::from_keys(HiveId::Software, keys(VERSION)).join(&"WinPE".into());
        self.facts.windows_pe = self.image.registry_key_exists(&key).unwrap_or(false)
            || self.facts.installation_type.as_deref() == Some("WindowsPE");
        let state = r"Microsoft\Windows\CurrentVersion\Setup\State";
        self.facts.image_state = self
            .value(HiveId::Software, state, "ImageState")
            .and_then(|value| value.as_text())
            .filter(|text| !text.is_empty());
    }

    fn system(&mut self) {
        let options = r"Control\ProductOptions";
        self.facts.product_type =
            self.control_set_value(options, "ProductType").and_then(|value| value.as_text());
        self.facts.product_suite = self
            .control_set_value(options, "ProductSuite")
            .and_then(|value| value.as_multi_text()?.into_iter().next());
        self.facts.hal =
            self.control_set_value(HAL_CLASS, "MatchingDeviceId").and_then(|value| value.as_text());
        let windows = r"Control\Windows";
        self.facts.service_pack_build =
            self.control_set_value(windows, "CSDBuildNumber").and_then(|value| value.as_dword());
        self.facts.service_pack_level = self
            .control_set_value(windows, "CSDVersion")
            .and_then(|value| value.as_dword())
            .map(|version| version >> 8);
        let languages = control_set(r"Control\MUI\UILanguages");
        let names = self.image.registry_subkeys(&languages).unwrap_or_default();
        self.facts.languages = names.iter().filter_map(Name::to_text).collect();
        let language = self.control_set_value(r"Control\Nls\Language", "InstallLanguage");
        let identifier = language
            .and_then(|value| value.as_text())
            .and_then(|text| u32::from_str_radix(text.trim(), 16).ok());
        self.facts.default_language = identifier.and_then(|identifier| self.tag_of(identifier));
    }

    /// The tag of a language: the installed one that says it has this identifier.
    fn tag_of(&mut self, identifier: u32) -> Option<String> {
        for tag in self.facts.languages.clone() {
            let key = format!(r"Control\MUI\UILanguages\{tag}");
            let number = self.control_set_value(&key, "LCID").and_then(|value| value.as_dword());
            if number == Some(identifier) {
                return Some(tag);
            }
        }
        // A language without LCID is still the default when it is the only one.
        match self.facts.languages.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    fn value(&mut self, hive: HiveId, key: &str, name: &str) -> Option<Value> {
        let path = RegistryPath::from_keys(hive, keys(key));
        self.image.registry_value(&path, &name.into()).ok().flatten()
    }

    fn control_set_value(&mut self, key: &str, name: &str) -> Option<Value> {
        self.image.registry_value(&control_set(key), &name.into()).ok().flatten()
    }
}

fn keys(path: &str) -> Vec<Name> {
    path.split('\\').map(Name::from).collect()
}

fn control_set(key: &str) -> RegistryPath {
    RegistryPath::parse(&format!(r"HKLM\SYSTEM\CurrentControlSet\{key}"))
        .expect("a constant path, or the name of a key that was read")
}
