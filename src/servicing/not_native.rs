//! What happens to an entry that cannot be applied natively.

/// What to do with an entry that cannot be applied natively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNotNative {
    /// Refuse the build.
    #[default]
    Refuse,
    /// Let Windows install it at the first boot.
    FirstBoot,
    /// Let DISM install it, on a Windows host.
    Dism,
}

impl WhenNotNative {
    /// The word of the recipe.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::FirstBoot => "first-boot",
            Self::Dism => "dism",
        }
    }

    /// What the word of the recipe means; `None` for any other.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Refuse, Self::FirstBoot, Self::Dism].into_iter().find(|known| known.name() == name)
    }
}
