//! The order table: which kind of step comes after which, and why. It is data with a version.
//!
//! The order is Microsoft's own for offline servicing ("Update Windows installation media with Dynamic Update", text of January 2025,
//! `facts/servicing-order.md`), extended with the site's own changes, which come last. Microsoft has changed it three times, so the version
//! goes into the lock file and the plan prints it: a build that orders differently than last time says so.

/// The version of [`TABLE`]: the revision of Microsoft's text it follows, and ours of it.
pub const VERSION: &str = "2025-01.2";

/// A phase of servicing. The order of the variants is the order of the phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The base image is chosen.
    Base,
    /// Another edition.
    Edition,
    /// The servicing stack.
    ServicingStack,
    /// Language packs.
    Languages,
    /// Fonts, text recognition, speech of the languages.
    LanguageFeatures,
    /// Features on demand.
    Capabilities,
    /// Optional features.
    Features,
    /// Updates and other packages.
    Packages,
    /// The cumulative update.
    CumulativeUpdate,
    /// Enablement packages.
    Enablement,
    /// Clean-up of the component store.
    Cleanup,
    /// .NET Framework 3.5.
    NetFx3,
    /// The .NET update.
    DotNetUpdate,
    /// Provisioned apps.
    Appx,
    /// Drivers.
    Drivers,
    /// Languages and formats of system and users.
    Locale,
    /// How services start.
    Services,
    /// Registry keys and values.
    Registry,
    /// Files and folders.
    Files,
    /// The answer file and scripts for the first boot.
    Setup,
    /// The result is checked.
    Verify,
    /// The output is written.
    Commit,
}

/// One row of the order table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The phase.
    pub phase: Phase,
    /// Its name in plans.
    pub name: &'static str,
    /// Why it comes after the phases above it.
    pub why: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

const MICROSOFT: &str = "media-dynamic-update.md, January 2025";
const PRACTICE: &str = "common practice of image builders (OSDBuilder, W10UI)";
const OURS: &str = "this program";

const fn row(phase: Phase, name: &'static str, why: &'static str, source: &'static str) -> Row {
    Row { phase, name, why, source }
}

/// The order table, first phase first.
pub const TABLE: [Row; 22] = [
    row(Phase::Base, "base", "everything else changes the base image", OURS),
    row(
        Phase::Edition,
        "edition",
        "an edition brings its own packages, which everything later has to fit",
        PRACTICE,
    ),
    row(
        Phase::ServicingStack,
        "servicing-stack",
        "the servicing stack installs the packages that follow; an old one cannot read new ones (0x800f0823)",
        MICROSOFT,
    ),
    row(
        Phase::Languages,
        "languages",
        "features and updates bring resources only for languages that are there",
        MICROSOFT,
    ),
    row(
        Phase::LanguageFeatures,
        "language-features",
        "fonts, text recognition and speech need their language",
        MICROSOFT,
    ),
    row(
        Phase::Capabilities,
        "capabilities",
        "features on demand come in the languages that are there",
        MICROSOFT,
    ),
    row(
        Phase::Features,
        "features",
        "features are switched on before the update, so that the update finds and renews them",
        MICROSOFT,
    ),
    row(
        Phase::Packages,
        "packages",
        "updates renew the languages, capabilities and features that are there",
        MICROSOFT,
    ),
    row(
        Phase::CumulativeUpdate,
        "cumulative-update",
        "the cumulative update lifts languages, capabilities, features and packages from their first release, so it comes after them",
        MICROSOFT,
    ),
    row(
        Phase::Enablement,
        "enablement",
        "an enablement package needs the cumulative update it switches on",
        PRACTICE,
    ),
    row(
        Phase::Cleanup,
        "cleanup",
        "clean-up removes what the updates superseded, and needs an image without pending work",
        MICROSOFT,
    ),
    row(
        Phase::NetFx3,
        "netfx3",
        ".NET Framework 3.5 leaves pending work, which would stop the clean-up",
        MICROSOFT,
    ),
    row(
        Phase::DotNetUpdate,
        "dotnet-update",
        "the .NET update also renews .NET Framework 3.5",
        MICROSOFT,
    ),
    row(Phase::Appx, "appx", "apps come in the languages that are there", PRACTICE),
    row(
        Phase::Drivers,
        "drivers",
        "drivers are the site's own and may need what updates bring",
        PRACTICE,
    ),
    row(
        Phase::Locale,
        "locale",
        "a language can be made the default only when it is there",
        MICROSOFT,
    ),
    row(
        Phase::Services,
        "services",
        "packages and drivers write their services' start types, so the site's own come after them",
        PRACTICE,
    ),
    row(
        Phase::Registry,
        "registry",
        "a value that the recipe sets has the last word over what packages, drivers and services wrote",
        PRACTICE,
    ),
    row(
        Phase::Files,
        "files",
        "a file that the recipe puts in place has the last word over what packages brought",
        PRACTICE,
    ),
    row(
        Phase::Setup,
        "setup",
        "answer file and first-boot scripts are placed last: they act on the finished image",
        PRACTICE,
    ),
    row(Phase::Verify, "verify", "the finished image is checked", OURS),
    row(Phase::Commit, "commit", "only a checked image is written", OURS),
];

impl Phase {
    /// Its row in [`TABLE`].
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_phase_once_in_order() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.phase as usize, index, "{}", row.name);
            assert_eq!(row.phase.row(), row);
            let name = serde_json::to_string(&row.phase).unwrap().replace("net-fx3", "netfx3");
            assert_eq!(name.replace("dot-net", "dotnet"), format!("\"{}\"", row.name));
            assert!(!row.why.is_empty() && !row.why.ends_with('.'));
        }
        assert_eq!(TABLE.len(), Phase::Commit as usize + 1);
    }
}
