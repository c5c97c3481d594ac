//! What an image says about itself: from its hives and the headers of its kernel32.dll. What is not there is unknown.

/// A processor architecture, as the WIM's XML numbers it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
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
