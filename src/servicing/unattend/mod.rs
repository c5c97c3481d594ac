//! The answer file: checked, and put where Windows Setup finds it (`Windows\Panther\unattend.xml`).
//!
//! What it looks like and how it is read is [`crate::format::unattend`]'s. Here is what is right and wrong in it ([`lint`]).
//! What belongs to the offline image (`<servicing>`, the `offlineServicing` pass) is refused as long as it cannot be applied: Setup does not
//! look at it any more when the image is laid down already.

mod lint;
mod typed;

use crate::{
    base::{digest::Blake3, name::Name, ntpath::NtPath},
    format::unattend::{AnswerFile, PassName, Place},
    image::{Architecture, Image, ImageFacts, NewNode},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, read_file},
};

pub(crate) use lint::{
    account_name_problem, computer_name_problem, is_language_tag, is_product_key,
};
pub use lint::{Finding, Kind, lint};
pub use typed::TypedSettings;

/// An answer file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnattendSpec {
    /// The file.
    pub input: InputId,
}

/// A checked answer file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedUnattend {
    content: StoredBlob,
    /// What is odd about it: item, cause, help.
    warnings: Vec<(String, String, String)>,
    /// Components with the architecture each is for, and where they stand.
    components: Vec<(String, String, String)>,
}

const NAME: &str = "unattend";

impl UnattendSpec {
    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<PreparedUnattend, ServicingError> {
        let bytes = read_file(NAME, inputs, &self.input)?;
        let file = AnswerFile::parse(&bytes).map_err(|error| {
            let item = self.item(error.place);
            ServicingError::refused(NAME, Problem::error(item, error.cause, error.help))
        })?;
        if let Some((place, cause)) = not_yet(&file) {
            let problem = Problem::error(self.item(Some(place)), cause, NOT_YET);
            return Err(ServicingError::refused(NAME, problem));
        }
        let mut warnings = Vec::new();
        for finding in lint(&file) {
            let item = self.item(Some(finding.place));
            if !finding.warning {
                let problem = Problem::error(item, finding.cause, finding.help);
                return Err(ServicingError::refused(NAME, problem));
            }
            warnings.push((item, finding.cause, finding.help));
        }
        let components = file
            .passes
            .iter()
            .flat_map(|pass| &pass.components)
            .map(|component| {
                let place = self.item(Some(component.place));
                (component.name.clone(), component.architecture.clone(), place)
            })
            .collect();
        let content = blobs.put(&self.input.0, &bytes, &Blake3::of(&bytes))?;
        Ok(PreparedUnattend { content, warnings, components })
    }

    /// The file, and the place in it.
    fn item(&self, place: Option<Place>) -> String {
        match place {
            Some(place) => format!("{}:{place}", self.input),
            None => self.input.0.clone(),
        }
    }

    pub(super) fn apply(
        &self,
        prepared: &PreparedUnattend,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let path = place(image);
        image
            .put_file(&path, prepared.content, &NewNode::default())
            .map_err(|error| ServicingError::image(NAME, &self.input.0, error))
    }
}

impl PreparedUnattend {
    /// What is odd about it, also for an image of this architecture. Answer files often hold one component for several architectures, so
    /// only a component that no block serves is worth a word.
    pub(super) fn warnings(&self, facts: &ImageFacts) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .warnings
            .iter()
            .map(|(item, cause, help)| Problem::warning(item, cause, help))
            .collect();
        let Some(architecture) = facts.architecture.map(Architecture::name) else {
            return problems;
        };
        let serves = |other: &str| {
            other == architecture || other == "msil" || other == "wow64" && architecture != "x86"
        };
        for (name, other, place) in &self.components {
            let served =
                self.components.iter().any(|(same, other, _)| same == name && serves(other));
            if !served {
                let cause =
                    format!("{name} is for {other}, the image is {architecture}: Setup skips it");
                let help = format!("write processorArchitecture=\"{architecture}\"");
                problems.push(Problem::warning(place, cause, help));
            }
        }
        problems
    }
}

const NOT_YET: &str = "apply it with DISM /Apply-Unattend to the built image, or write the settings as [registry], [services] or [files]";

/// What belongs to the offline image and cannot be applied to it yet.
fn not_yet(file: &AnswerFile) -> Option<(Place, &'static str)> {
    if let Some(servicing) = file.servicing.as_ref().filter(|element| !element.is_empty()) {
        return Some((servicing.place, "`<servicing>` cannot be applied to the image yet"));
    }
    let component = file.pass(PassName::OfflineServicing)?.components.first()?;
    Some((component.place, "the pass `offlineServicing` cannot be applied to the image yet"))
}

/// What is odd about the image.
pub(super) fn check(image: &Image) -> Vec<Problem> {
    let path = place(image);
    let mut problems = Vec::new();
    if image.tree().lookup(&path).is_some() {
        let cause = "the image has an answer file already; it is replaced";
        problems.push(Problem::warning(path.to_string(), cause, ""));
    }
    let earlier =
        path.parent().map(|panther| panther.join("Unattend".into()).join("unattend.xml".into()));
    if let Some(earlier) = earlier
        && image.tree().lookup(&earlier).is_some()
    {
        problems.push(Problem::warning(
            earlier.to_string(),
            "Windows Setup looks here first, so it would use this answer file and not the recipe's",
            "remove it with `[[files]]` and `absent = true`",
        ));
    }
    problems
}

fn place(image: &Image) -> NtPath {
    let names = [image.system_root(), Name::from("Panther"), Name::from("unattend.xml")];
    NtPath::from_names(names.into())
}
