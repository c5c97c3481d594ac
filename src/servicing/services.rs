//! How services start.

/// What a recipe says of a service. What it does not say stays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceSpec {
    /// The service's key name: `RemoteRegistry`.
    pub name: String,
    /// When it starts.
    pub start: Option<StartMode>,
    /// The account it runs as: `LocalSystem`, `NT AUTHORITY\LocalService`.
    pub account: Option<String>,
    /// What follows the program on its command line.
    pub arguments: Option<String>,
}

/// When a service starts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StartMode {
    /// By the boot loader (drivers).
    Boot,
    /// While the kernel starts (drivers).
    System,
    /// At boot.
    Auto,
    /// Some minutes after boot.
    Delayed,
    /// When something asks for it.
    Manual,
    /// Never.
    Disabled,
}
