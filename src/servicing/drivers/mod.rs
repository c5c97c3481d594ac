//! Driver packages in the driver store, as `DISM /Add-Driver` puts them there.
//!
//! - [`source`]: folders, INFs, cabinets and zip archives as one tree of files
//! - `prepare`: hashes of all files, what the catalogs are worth; needs no image
//! - `candidate`: what an INF is in one image, and what stands against it
//! - `install`, `reflect`, `windows7`, `first_boot`: the ways into the image
//! - `remove`: the way out
//! - [`database`]: the registry's model of packages; [`inventory`]: what an image has; [`invariants`]: what must hold in every database
//! - [`signatures`]: what the catalogs of the packages in an image are worth
//!
//! A package of a boot-critical class (the image's own class properties say which those are) lies in SYSTEM and is configured at once: Windows must
//! start from it. Every other one lies in DRIVERS and is imported only; Windows configures it when it finds the device.
//!
//! What Windows names by a hash that nobody knows (the store's folder) is named by the first 16 digits of the INF's SHA-256, and the date of import is
//! the driver's own, as there is no clock here.

mod candidate;
pub mod database;
mod first_boot;
mod image_check;
mod install;
pub mod invariants;
pub mod inventory;
mod oem;
mod place;
mod prepare;
mod reflect;
mod remove;
pub mod signatures;
pub mod source;
mod spec;
pub mod survey;
mod target;
mod windows7;

pub use prepare::PreparedDriver;
pub use spec::{DriverAction, DriverChoice, DriverSpec};

use crate::image::{Image, ImageError, ImageFacts};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs},
    not_native::WhenNotNative,
};

use candidate::Candidates;
use install::Outcome;

const NAME: &str = "driver";

impl DriverSpec {
    /// The part that needs the inputs alone; `None` for a removal.
    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedDriver>, ServicingError> {
        match &self.action {
            DriverAction::Present { source, inf, .. } => {
                prepare::prepare(&self.name, source, inf.as_deref(), inputs, blobs).map(Some)
            }
            DriverAction::Absent(_) => Ok(None),
        }
    }

    pub(super) fn apply(
        &self,
        prepared: Option<&PreparedDriver>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        match (&self.action, prepared) {
            (DriverAction::Absent(choice), _) => remove::remove(choice, image),
            (DriverAction::Present { .. }, None) => Ok(()),
            (
                DriverAction::Present { source, allow_unsigned, when_not_native, .. },
                Some(prepared),
            ) => {
                let facts = image.facts();
                let found = candidate::candidates(source, prepared, image, &facts)?;
                let pe = facts.windows_pe;
                let refused = problems(&found, source, *allow_unsigned, *when_not_native, pe)
                    .into_iter()
                    .chain(lacking(&found, *when_not_native, image)?)
                    .find(|problem| !problem.warning);
                if let Some(problem) = refused {
                    return Err(ServicingError::refused(NAME, problem));
                }
                for candidate in &found.packages {
                    let defer = !candidate.not_native().is_empty()
                        && *when_not_native == WhenNotNative::FirstBoot;
                    let result = if defer {
                        install::defer(&self.name, candidate, prepared, image).map(|()| None)
                    } else {
                        install::install(candidate, image).map(Some)
                    };
                    let outcome = result
                        .map_err(|error| ServicingError::image(NAME, &candidate.shown, error))?;
                    if let Some(Outcome::Other(published, file)) = outcome {
                        let problem = Problem::error(
                            &candidate.shown,
                            format!(
                                "the image has the same INF as {published}, with another `{file}`"
                            ),
                            "Windows tells packages by their INF alone: one of the two is not genuine; take one away",
                        );
                        return Err(ServicingError::refused(NAME, problem));
                    }
                }
                Ok(())
            }
        }
    }

    /// True when it leaves a package to the first boot of this image.
    pub(super) fn leaves_to_first_boot(
        &self,
        prepared: &PreparedDriver,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> bool {
        let DriverAction::Present { source, when_not_native, .. } = &self.action else {
            return false;
        };
        *when_not_native == WhenNotNative::FirstBoot
            && candidate::candidates(source, prepared, image, facts).is_ok_and(|found| {
                found.packages.iter().any(|candidate| !candidate.not_native().is_empty())
            })
    }

    /// What the INFs of the source tell by themselves.
    pub(super) fn defects(&self, prepared: &PreparedDriver) -> Vec<Problem> {
        let of_source = |source: &InputId| {
            let mut all = survey::defects(source, prepared);
            for problem in prepared.defects(source) {
                if !all.iter().any(|known| known.item == problem.item) {
                    all.push(problem);
                }
            }
            all
        };
        self.inputs().iter().flat_map(of_source).collect()
    }

    /// What the image alone tells.
    pub(super) fn check(&self, image: &mut Image) -> Vec<Problem> {
        let DriverAction::Absent(choice) = &self.action else { return Vec::new() };
        match remove::problems(choice, image) {
            Ok(problems) => problems,
            Err(error) => vec![error.into_problem()],
        }
    }

    /// What the source and the image tell together.
    pub(super) fn check_prepared(
        &self,
        prepared: &PreparedDriver,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        let DriverAction::Present { source, allow_unsigned, when_not_native, .. } = &self.action
        else {
            return Vec::new();
        };
        let found = match candidate::candidates(source, prepared, image, facts) {
            Ok(found) => found,
            Err(error) => return vec![error.into_problem()],
        };
        let pe = facts.windows_pe;
        let mut all = problems(&found, source, *allow_unsigned, *when_not_native, pe);
        match lacking(&found, *when_not_native, image) {
            Ok(more) => all.extend(more),
            Err(error) => all.push(error.into_problem()),
        }
        all
    }
}

/// What stands against the packages, whatever the image's databases.
fn problems(
    found: &Candidates<'_>,
    source: &InputId,
    allow_unsigned: bool,
    when_not_native: WhenNotNative,
    windows_pe: bool,
) -> Vec<Problem> {
    let mut all = found.defects.clone();
    let drivers = !found.packages.is_empty() || !found.others.is_empty();
    all.extend(found.strangers.iter().map(|stranger| Problem {
        warning: drivers,
        help: match drivers {
            true => "it is no driver and is left out".to_owned(),
            false => stranger.help.clone(),
        },
        ..stranger.clone()
    }));
    for candidate in &found.packages {
        all.extend(candidate.problems(allow_unsigned, when_not_native, windows_pe));
    }
    let nothing = found.packages.is_empty() && found.defects.is_empty();
    for (shown, architectures) in &found.others {
        let names: Vec<&str> =
            architectures.iter().map(|known| candidate::architecture_name(*known)).collect();
        let cause = match names.as_slice() {
            [] => "it installs no device".to_owned(),
            names => format!("nothing in it is for this Windows; it is for {}", names.join(", ")),
        };
        all.push(if nothing {
            let help = "get the package for the image's architecture and version of Windows";
            Problem::error(shown, cause, help)
        } else {
            Problem::warning(shown, cause, "it is left out; the other INFs of the source are taken")
        });
    }
    if all.is_empty() && nothing {
        all.push(Problem::error(&source.0, "there is no driver package in it", ""));
    }
    all
}

/// What the image lacks for the packages that are installed natively.
fn lacking(
    found: &Candidates<'_>,
    when_not_native: WhenNotNative,
    image: &mut Image,
) -> Result<Vec<Problem>, ServicingError> {
    let mut all = Vec::new();
    for candidate in &found.packages {
        if when_not_native == WhenNotNative::FirstBoot && !candidate.not_native().is_empty() {
            continue;
        }
        let failed = |error: ImageError| ServicingError::image(NAME, &candidate.shown, error);
        all.extend(image_check::lacking(candidate, image).map_err(failed)?);
    }
    Ok(all)
}
