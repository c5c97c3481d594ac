//! What a recipe says of drivers.

use crate::servicing::{inputs::InputId, not_native::WhenNotNative};

/// `[drivers.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DriverSpec {
    /// What the recipe calls it.
    pub name: String,
    /// What shall be.
    pub action: DriverAction,
}

/// What shall be with driver packages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverAction {
    /// The packages of a source are in the image.
    Present {
        /// A folder, a cabinet or a zip archive.
        source: InputId,
        /// The one INF of the folder `source` that is meant; `None`: all.
        inf: Option<String>,
        /// True: packages that nobody vouches for are taken too.
        allow_unsigned: bool,
        /// What to do with a package that cannot be installed natively.
        when_not_native: WhenNotNative,
    },
    /// A package is not in the image.
    Absent(DriverChoice),
}

/// How an installed package is named.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverChoice {
    /// By the name that its INF has in `Windows\INF`: `oem3.inf`.
    Published(String),
    /// By its maker and the name its INF had: every package of that name, in all its versions.
    Original {
        /// The provider, as the INF says.
        provider: String,
        /// The INF: `viostor.inf`.
        inf: String,
    },
}

impl DriverChoice {
    /// For a person: `oem3.inf`, `viostor.inf of Red Hat, Inc.`.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Published(inf) => inf.clone(),
            Self::Original { provider, inf } => format!("{inf} of {provider}"),
        }
    }
}

impl DriverSpec {
    pub(in crate::servicing) fn title(&self) -> String {
        match &self.action {
            DriverAction::Present { source, inf: None, .. } => {
                format!("driver {} from {source}", self.name)
            }
            DriverAction::Present { source, inf: Some(inf), .. } => {
                format!("driver {} from {source}/{inf}", self.name)
            }
            DriverAction::Absent(choice) => format!("driver {}: absent", choice.text()),
        }
    }

    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        match &self.action {
            DriverAction::Present { source, .. } => vec![source.clone()],
            DriverAction::Absent(_) => Vec::new(),
        }
    }
}
