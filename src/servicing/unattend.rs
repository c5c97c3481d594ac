//! The answer file: checked, and put where Windows Setup finds it (`Windows\Panther\unattend.xml`).
//!
//! ```xml
//! <unattend xmlns="urn:schemas-microsoft-com:unattend">
//!   <settings pass="specialize">
//!     <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64"
//!                publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"> ... </component>
//!   </settings>
//! </unattend>
//! ```
//!
//! Checked without any catalogue: well-formed; root and namespace; passes known and unique; components with a whole identity, each once in a pass.
//! What belongs to the offline image (`<servicing>`, the `offlineServicing` pass) is refused as long as it cannot be applied: Setup does not
//! look at it any more when the image is laid down already.

use crate::{
    base::{digest::Blake3, name::Name, ntpath::NtPath},
    image::{Architecture, Image, ImageFacts, NewNode},
    store::StoredBlob,
};

use super::{
    answer_file::{Finding, check_answer_file},
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, read_file},
};

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
        let item = |finding: &Finding| match finding.place {
            Some((line, column)) => format!("{}:{line}:{column}", self.input),
            None => self.input.0.clone(),
        };
        let checked = check_answer_file(&bytes).map_err(|finding| {
            let item = item(&finding);
            ServicingError::refused(NAME, Problem::error(item, finding.cause, finding.help))
        })?;
        let warnings = checked
            .warnings
            .into_iter()
            .map(|finding| (item(&finding), finding.cause, finding.help))
            .collect();
        let components = checked
            .components
            .into_iter()
            .map(|component| {
                let (line, column) = component.place;
                let place = format!("{}:{line}:{column}", self.input);
                (component.name, component.architecture, place)
            })
            .collect();
        let content = blobs.put(&self.input.0, &bytes, &Blake3::of(&bytes))?;
        Ok(PreparedUnattend { content, warnings, components })
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
