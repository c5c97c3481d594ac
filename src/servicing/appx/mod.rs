//! Provisioned apps: those that every new user gets.
//!
//! - [`name`]: names, families, publishers
//! - `provisioning`: the list of provisioned apps; `manifest`: what packages say of themselves
//! - [`inventory`]: what an image has
//! - `remove`: the way out, natively
//! - `package`, `first_boot`: the way in, which is Windows' own: installing needs code of Windows (block maps, licences, the state repository), so the files wait
//!   in the image for the first boot, where `dism.exe` installs them.
//!
//! The state is desired: an app that shall be absent and is not there, or that shall be there and is in the same or a newer version, needs nothing.

mod first_boot;
pub mod inventory;
mod manifest;
pub mod name;
mod package;
mod provisioning;
mod remove;

use crate::image::{Image, ImageFacts};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs},
    not_native::WhenNotNative,
};

pub(crate) use first_boot::options as dism_options;
use inventory::Found;
pub use package::PreparedAppx;

/// What a recipe says of an app.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppxSpec {
    /// The identity's name, the family, or the full name.
    pub name: String,
    /// What it shall be.
    pub action: AppxAction,
}

/// What an app shall be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppxAction {
    /// New users do not get it, and its files are gone.
    Absent {
        /// The other apps that shall be absent: what only they need may go before them.
        with: Vec<String>,
    },
    /// New users get it.
    Present {
        /// The package or bundle.
        source: InputId,
        /// Its licence; without it, it is installed without one.
        license: Option<InputId>,
        /// Frameworks that it needs.
        dependencies: Vec<InputId>,
        /// Regions in which it is pinned: `all`, or `US;GB`.
        region: Option<String>,
        /// What to do, since installing an app cannot be done natively.
        when_not_native: WhenNotNative,
    },
}

const NAME: &str = "appx";
/// The first build of Windows with provisioned apps.
const FIRST_BUILD: u32 = 9200;

impl AppxSpec {
    pub(super) fn title(&self) -> String {
        match &self.action {
            AppxAction::Absent { .. } => format!("app {}: absent", self.name),
            AppxAction::Present { source, .. } => format!("app {} from {source}", self.name),
        }
    }

    /// True when the first boot installs it.
    pub(super) fn waits(&self, prepared: &PreparedAppx, image: &mut Image) -> bool {
        let first_boot = matches!(
            &self.action,
            AppxAction::Present { when_not_native: WhenNotNative::FirstBoot, .. }
        );
        first_boot && Found::read(image).is_ok_and(|found| prepared.there(&found).is_none())
    }

    pub(super) fn inputs(&self) -> Vec<InputId> {
        match &self.action {
            AppxAction::Absent { .. } => Vec::new(),
            AppxAction::Present { source, license, dependencies, .. } => {
                std::iter::once(source).chain(license).chain(dependencies).cloned().collect()
            }
        }
    }

    /// `None` when there is nothing to prepare.
    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedAppx>, ServicingError> {
        match &self.action {
            AppxAction::Absent { .. } => Ok(None),
            AppxAction::Present { source, license, dependencies, .. } => {
                package::prepare(source, license.as_ref(), dependencies, inputs, blobs).map(Some)
            }
        }
    }

    pub(super) fn apply(
        &self,
        prepared: Option<&PreparedAppx>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let facts = image.facts();
        let refused = |problem| ServicingError::refused(NAME, problem);
        if let Some(problem) = self.wrong_image(&facts) {
            return Err(refused(problem));
        }
        match (&self.action, prepared) {
            (AppxAction::Absent { with }, _) => {
                let removal = remove::plan(&self.name, with, image)?.map_err(refused)?;
                removal.apply(image).map_err(|error| remove::failed(&self.name, error))
            }
            (AppxAction::Present { .. }, None) => Ok(()),
            (AppxAction::Present { region, .. }, Some(prepared)) => {
                let found = Found::read(image)?;
                let problems = self.present_problems(prepared, &found, &facts);
                if let Some(problem) = problems.into_iter().find(|problem| !problem.warning) {
                    return Err(refused(problem));
                }
                if prepared.there(&found).is_some() {
                    return Ok(());
                }
                first_boot::defer(&self.name, prepared, region.as_deref(), image)
                    .map_err(|error| remove::failed(&self.name, error))
            }
        }
    }

    /// `prepared` is `None` before the inputs were read, and where there are none.
    pub(super) fn check(
        &self,
        prepared: Option<&PreparedAppx>,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        if let Some(problem) = self.wrong_image(facts) {
            // Said once: before the inputs were read.
            return if prepared.is_none() { vec![problem] } else { Vec::new() };
        }
        match (&self.action, prepared) {
            (AppxAction::Absent { with }, _) => match remove::plan(&self.name, with, image) {
                Ok(Ok(removal)) => removal.warnings,
                Ok(Err(problem)) => vec![problem],
                Err(error) => vec![error.into_problem()],
            },
            (AppxAction::Present { .. }, None) => Vec::new(),
            (AppxAction::Present { .. }, Some(prepared)) => match Found::read(image) {
                Ok(found) => self.present_problems(prepared, &found, facts),
                Err(error) => vec![error.into_problem()],
            },
        }
    }

    /// An image that has no provisioned apps at all.
    fn wrong_image(&self, facts: &ImageFacts) -> Option<Problem> {
        let cause = if facts.windows_pe {
            "Windows PE has no apps"
        } else if facts.build.is_some_and(|build| build < FIRST_BUILD) {
            "Windows before 8 and Server 2012 has no apps"
        } else {
            return None;
        };
        Some(Problem::error(&self.name, cause, "take [appx] out of the recipe for this image"))
    }

    fn present_problems(
        &self,
        prepared: &PreparedAppx,
        found: &Found,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        let AppxAction::Present { source, when_not_native, .. } = &self.action else {
            return Vec::new();
        };
        let mut problems = prepared.problems(&self.name, found, facts);
        if let Some(there) = prepared.there(found) {
            let newer = !there.to_string().eq_ignore_ascii_case(&prepared.manifest.full)
                && prepared.manifest.full_name().is_some_and(|own| own.version != there.version);
            if newer {
                let cause = format!("the image has a newer one, {there}: nothing is installed");
                problems.push(Problem::warning(&source.0, cause, ""));
            }
            return problems;
        }
        let cause =
            "an app cannot be installed into an image here: that needs Windows' own deployment";
        match when_not_native {
            WhenNotNative::FirstBoot => problems.extend(first_boot::problems(prepared)),
            WhenNotNative::Refuse => problems.push(Problem::error(
                &source.0,
                cause,
                "`when-not-native = \"first-boot\"` lets Windows install it before the first logon",
            )),
            WhenNotNative::Dism => problems.push(Problem::error(
                &source.0,
                format!("{cause}; this version does not call DISM"),
                "`transom plan --as dism` prints the command; or use `when-not-native = \"first-boot\"`",
            )),
        }
        problems
    }
}
