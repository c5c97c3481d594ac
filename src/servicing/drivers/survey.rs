//! What a driver source is and what it would do to an image, for people and programs; nothing is changed.

use std::collections::BTreeSet;

use crate::{
    format::{
        catalog::Trust,
        inf::{self, Inf, InfArchitecture, Target},
    },
    image::{Image, ImageFacts},
    servicing::{
        error::{Problem, ServicingError},
        inputs::InputId,
        not_native::WhenNotNative,
    },
};

use super::{
    candidate::{self, Candidate, Candidates},
    database::DatabaseHive,
    prepare::PreparedDriver,
    reflect,
};

/// The Windows that a source is shown for when there is no image: 11 24H2, English.
const CURRENT: (u16, u16, u32, u16) = (10, 0, 26100, 0x0409);

/// What a source is.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Survey {
    /// The architecture it was looked at for.
    pub architecture: InfArchitecture,
    /// The packages for the image.
    pub packages: Vec<SurveyedPackage>,
    /// INFs that have nothing for it: where they stand, the architectures they are for.
    pub others: Vec<(String, Vec<InfArchitecture>)>,
    /// What stands against them.
    pub problems: Vec<Problem>,
}

/// One package.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SurveyedPackage {
    /// Where its INF stands.
    pub inf: String,
    /// Who made it.
    pub provider: String,
    /// Its class.
    pub class: String,
    /// The class's GUID.
    pub class_guid: String,
    /// `2024-05-31`.
    pub date: String,
    /// `100.95.104.26200`.
    pub version: String,
    /// Who vouches for it.
    pub trust: Trust,
    /// Who signed its catalog; empty: nobody.
    pub signer: String,
    /// Its folder in the store.
    pub store_folder: String,
    /// The hive it is registered in: SYSTEM (boot critical) or DRIVERS; unknown without an image.
    pub hive: Option<&'static str>,
    /// The hardware and compatible IDs it binds to, as the INF has them, with the description.
    pub ids: Vec<(String, String)>,
    /// Services that are made at once; Windows makes those of packages in DRIVERS when it finds the device.
    pub services: Vec<String>,
    /// Its files: path in the package, size in bytes.
    pub files: Vec<(String, u64)>,
    /// What cannot be done natively: directive, line.
    pub not_native: Vec<(String, u32)>,
}

/// Looks at the source `id` for `image`.
///
/// # Errors
/// When the image is no Windows, or damaged.
pub fn for_image(
    id: &InputId,
    prepared: &PreparedDriver,
    image: &mut Image,
    facts: &ImageFacts,
) -> Result<Survey, ServicingError> {
    let found = candidate::candidates(id, prepared, image, facts)?;
    let lacking = super::lacking(&found, WhenNotNative::Refuse, image)?;
    let architecture = super::target::target(facts).map(|target| target.architecture);
    let mut survey = survey(id, found, architecture.unwrap_or(InfArchitecture::Amd64));
    survey.problems.extend(lacking);
    Ok(survey)
}

/// Looks at the source `id` for each architecture that its INFs name, on a current Windows.
#[must_use]
pub fn alone(id: &InputId, prepared: &PreparedDriver) -> Vec<Survey> {
    let surveyed = |(architecture, found)| survey(id, found, architecture);
    each_architecture(id, prepared).into_iter().map(surveyed).collect()
}

fn each_architecture<'a>(
    id: &InputId,
    prepared: &'a PreparedDriver,
) -> Vec<(InfArchitecture, Candidates<'a>)> {
    let parsed = prepared.infs.iter().filter_map(|inf| Inf::parse(&inf.bytes).ok());
    let architectures: BTreeSet<InfArchitecture> =
        parsed.flat_map(|parsed| inf::architectures(&parsed)).collect();
    let (major, minor, build, language) = CURRENT;
    architectures
        .into_iter()
        .map(|architecture| {
            let version = (major, minor);
            let target = Target { architecture, version, build, product_type: Some(1), language };
            (architecture, candidate::candidates_for(id, prepared, target))
        })
        .collect()
}

/// What is wrong with the packages of a source whatever the image and the recipe: INFs that cannot be followed, and for each architecture what is missing,
/// which is a warning because the image may be for another one.
pub(super) fn defects(id: &InputId, prepared: &PreparedDriver) -> Vec<Problem> {
    let sole = prepared.infs.len() == 1;
    let mut all: Vec<Problem> = Vec::new();
    for (architecture, found) in each_architecture(id, prepared) {
        for problem in found.defects {
            let problem = Problem { warning: !sole, ..problem };
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
        for problem in found.packages.iter().flat_map(Candidate::missing_files) {
            let cause = format!("for {}: {}", architecture.name(), problem.cause);
            all.push(Problem { cause, warning: true, ..problem });
        }
    }
    all
}

fn survey(id: &InputId, found: Candidates<'_>, architecture: InfArchitecture) -> Survey {
    let mut problems = super::problems(&found, id, false, WhenNotNative::Refuse, false);
    // Those that are left out have a list of their own.
    problems.retain(|problem| !found.others.iter().any(|(shown, _)| *shown == problem.item));
    let packages = found.packages.iter().map(package).collect();
    Survey { architecture, packages, others: found.others, problems }
}

fn package(candidate: &Candidate<'_>) -> SurveyedPackage {
    let version = &candidate.model.version;
    let (year, month, day) = version.date;
    let numbers: Vec<String> = version.version.iter().map(u16::to_string).collect();
    let ids = candidate.model.models.iter().flat_map(|model| {
        std::iter::once(&model.hardware_id)
            .chain(&model.compatible_ids)
            .map(|id| (id.clone(), model.description.clone()))
    });
    SurveyedPackage {
        inf: candidate.shown.clone(),
        provider: version.provider.clone(),
        class: version.class.clone(),
        class_guid: version.class_guid.to_string(),
        date: format!("{year:04}-{month:02}-{day:02}"),
        version: numbers.join("."),
        trust: candidate.trust,
        signer: candidate.catalog.map(|catalog| catalog.signer.clone()).unwrap_or_default(),
        store_folder: candidate.package.clone(),
        hive: candidate.hive_known.then(|| match candidate.hive() {
            DatabaseHive::System => "SYSTEM",
            DatabaseHive::Drivers => "DRIVERS",
        }),
        ids: ids.collect(),
        services: if candidate.boot_critical {
            reflect::service_names(&candidate.model).into_iter().collect()
        } else {
            Vec::new()
        },
        files: candidate.files().map(|(path, file)| (path.to_owned(), file.content.size)).collect(),
        not_native: candidate.not_native(),
    }
}
