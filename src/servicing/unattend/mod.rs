//! The answer file: checked, and put where Windows Setup finds it (`Windows\Panther\unattend.xml`).
//!
//! What it looks like and how it is read is [`crate::format::unattend`]'s. Here is what is right and wrong in it ([`lint`]).
//! What belongs to the offline image (`<servicing>`, the `offlineServicing` pass) is done now, by operations of its own that the plan makes of it
//! ([`offline`]); a recipe's own settings are laid over it ([`TypedSettings`]), with the image's architecture; the file is placed without it, so that nothing happens twice, and not at all when nothing is left for Setup.

mod handlers;
mod lint;
mod offline;
mod settings;
mod typed;

use crate::{
    base::{
        digest::Blake3,
        name::Name,
        ntpath::NtPath,
        secret::{Template, is_free_of_placeholders},
    },
    format::unattend::{AnswerFile, PassName, Place},
    image::{Architecture, Image, ImageFacts, NewNode, changeset::hex},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, read_file},
    setup_state::answer_files_before,
};

pub use lint::{Finding, Kind, lint};
pub(crate) use lint::{
    account_name_problem, computer_name_problem, is_language_tag, is_product_key,
};
pub use offline::{MappedPath, Offline, Wanted, offline, without_offline};
pub use typed::TypedSettings;

/// An answer file, settings of the recipe's own, or both.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnattendSpec {
    /// The file.
    pub input: Option<InputId>,
    /// What paths in the file stand for: it was written for another machine.
    pub paths: Vec<MappedPath>,
    /// Settings that are laid over the file, or stand alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<TypedSettings>,
}

/// A checked answer file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedUnattend {
    /// What is left for Setup of a file over which nothing is laid; `None`: nothing, or see `whole`.
    content: Option<StoredBlob>,
    /// The whole file as it was given, which every line and column is of; empty when there is none.
    #[serde(with = "hex")]
    whole: Vec<u8>,
    /// What is odd about it: item, cause, help.
    warnings: Vec<(String, String, String)>,
    /// Components with the architecture each is for, and where they stand.
    components: Vec<(String, String, String)>,
}

const NAME: &str = "unattend";
/// What settings of the recipe are called in messages.
const SECTION: &str = "[unattend]";

impl UnattendSpec {
    pub(super) fn title(&self) -> String {
        match (&self.input, &self.settings) {
            (Some(input), None) => format!("unattend from {input}"),
            (Some(input), Some(_)) => format!("unattend from {input} and the recipe's settings"),
            (None, _) => "unattend from the recipe's settings".to_owned(),
        }
    }

    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<PreparedUnattend, ServicingError> {
        let (file, whole) = self.read(inputs)?;
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
        if !is_free_of_placeholders(&file.to_text()) {
            let cause = "it holds the characters U+FDD0 or U+FDD1, which no text has";
            let problem = Problem::error(self.item(None), cause, "take them out");
            return Err(ServicingError::refused(NAME, problem));
        }
        if self.settings.is_some() {
            return Ok(PreparedUnattend { content: None, whole, warnings, components });
        }
        let rest = without_offline(&file);
        let content = match rest {
            _ if rest.as_ref().unwrap_or(&file).is_empty() => None,
            None => Some(blobs.put(&self.name(), &whole, &Blake3::of(&whole))?),
            Some(rest) => {
                let bytes = rest.to_text().into_bytes();
                Some(blobs.put(&self.name(), &bytes, &Blake3::of(&bytes))?)
            }
        };
        Ok(PreparedUnattend { content, whole, warnings, components })
    }

    /// The file, and its bytes; an empty one when the recipe names none.
    ///
    /// # Errors
    /// When it cannot be read, or is no answer file.
    pub fn read(&self, inputs: &dyn Inputs) -> Result<(AnswerFile, Vec<u8>), ServicingError> {
        let Some(input) = &self.input else { return Ok(Default::default()) };
        let bytes = read_file(NAME, inputs, input)?;
        let file = self.parse(&bytes).map_err(|problem| ServicingError::refused(NAME, problem))?;
        Ok((file, bytes))
    }

    fn parse(&self, bytes: &[u8]) -> Result<AnswerFile, Problem> {
        AnswerFile::parse(bytes)
            .map_err(|error| Problem::error(self.item(error.place), error.cause, error.help))
    }

    /// The file that was prepared, with its places; an empty one when the recipe names none.
    fn prepared_file(&self, prepared: &PreparedUnattend) -> Result<AnswerFile, Problem> {
        match &self.input {
            Some(_) => self.parse(&prepared.whole),
            None => Ok(AnswerFile::default()),
        }
    }

    /// The file with the recipe's settings, for an image of this architecture; with none known, for the most frequent one.
    ///
    /// # Errors
    /// As [`UnattendSpec::read`].
    pub fn whole(
        &self,
        inputs: &dyn Inputs,
        architecture: Option<Architecture>,
    ) -> Result<AnswerFile, ServicingError> {
        let (mut file, _) = self.read(inputs)?;
        if let Some(settings) = &self.settings {
            settings.lay_over(&mut file, architecture.unwrap_or(Architecture::Amd64).name());
        }
        Ok(file)
    }

    /// What it is called in messages: the file, or the section of the recipe.
    #[must_use]
    pub fn name(&self) -> String {
        self.input.as_ref().map_or_else(|| SECTION.to_owned(), |input| input.0.clone())
    }

    /// The file, and the place in it: `autounattend.xml:12:5`; the section for what the recipe itself says.
    #[must_use]
    pub fn item(&self, place: Option<Place>) -> String {
        match place {
            Some(place) if place == Place::default() => SECTION.to_owned(),
            Some(place) => format!("{}:{place}", self.name()),
            None => self.name(),
        }
    }

    fn problem(&self, finding: Finding) -> Problem {
        let item = self.item(Some(finding.place));
        let Finding { cause, help, warning, .. } = finding;
        Problem { item, cause, help, warning }
    }

    pub(super) fn apply(
        &self,
        prepared: &PreparedUnattend,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let failed = |error| ServicingError::image(NAME, &self.name(), error);
        let path = place(image);
        let Some(settings) = &self.settings else {
            let Some(content) = prepared.content else { return Ok(()) };
            return image.put_file(&path, content, &NewNode::default()).map_err(failed);
        };
        let Some(architecture) = image.facts().architecture else {
            let problem = unknown_architecture();
            return Err(ServicingError::refused(NAME, problem));
        };
        let mut file = self
            .prepared_file(prepared)
            .map_err(|problem| ServicingError::refused(NAME, problem))?;
        settings.lay_over(&mut file, architecture.name());
        let file = without_offline(&file).unwrap_or(file);
        if file.is_empty() {
            return Ok(());
        }
        let text = file.to_text();
        match settings.has_secrets() {
            true => image.put_template(&path, Template::new(text), &NewNode::default()),
            false => image.put_bytes(&path, text.into_bytes(), &NewNode::default()),
        }
        .map_err(failed)
    }

    /// What is odd about it and the image.
    pub(super) fn check(
        &self,
        prepared: &PreparedUnattend,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        let mut problems = prepared.warnings(facts);
        let mut file = match self.prepared_file(prepared) {
            Ok(file) => file,
            Err(problem) => return vec![problem],
        };
        if let Some(settings) = &self.settings {
            let Some(architecture) = facts.architecture else {
                problems.push(unknown_architecture());
                return problems;
            };
            let before = lint(&file);
            let replaced = settings.lay_over(&mut file, architecture.name());
            for what in replaced.iter().filter(|_| self.input.is_some()) {
                let cause = format!("{what} of {} is replaced", self.name());
                problems.push(Problem::warning(SECTION, cause, ""));
            }
            if settings.passes().contains(&PassName::WindowsPe) && !facts.windows_pe {
                let cause = "Setup has read the pass windowsPE before it looks into the image";
                let help = "the file is placed with it all the same; for Setup put it beside the image as autounattend.xml, at the root of the media";
                problems.push(Problem::warning(SECTION, cause, help));
            }
            // What only both together are; of each alone it was said before, and older settings are no fault of a recipe.
            let merged = lint(&file).into_iter();
            let new = merged.filter(|one| one.kind != Kind::OldSetting && !before.contains(one));
            problems.extend(new.map(|finding| self.problem(finding)));
        }
        let with_image = lint::lint_with_image(&file, image, facts).into_iter();
        problems.extend(with_image.map(|finding| self.problem(finding)));
        let rest = without_offline(&file).unwrap_or(file);
        if prepared.content.is_some() || self.settings.is_some() && !rest.is_empty() {
            problems.extend(check(image, facts));
        }
        problems
    }
}

fn unknown_architecture() -> Problem {
    let cause = "the image does not say what architecture it is for";
    let help = "its System32\\kernel32.dll tells; without it, give the settings as `file`";
    Problem::error(SECTION, cause, help)
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

/// What is wrong and odd about the image for a file that is placed.
fn check(image: &mut Image, facts: &ImageFacts) -> Vec<Problem> {
    if facts.windows_pe {
        let cause = "Windows PE does not look for an answer file there";
        let help =
            "put it in place with [[files]] and start `wpeinit -unattend=...` in [winpe] startnet";
        return vec![Problem::error(NAME, cause, help)];
    }
    let path = place(image);
    let mut problems = Vec::new();
    if image.tree().lookup(&path).is_some() {
        let cause = "the image has an answer file already; it is replaced";
        problems.push(Problem::warning(path.to_string(), cause, ""));
    }
    let earlier = match answer_files_before(image, &path) {
        Ok(earlier) => earlier,
        Err(error) => {
            let cause = format!("which answer file the image names cannot be read: {error}");
            problems.push(Problem::warning(NAME, cause, ""));
            return problems;
        }
    };
    for file in earlier {
        let (cause, help) = match file.in_registry {
            true => (
                "HKLM\\SYSTEM\\Setup names this answer file, so Windows Setup would use it and not the recipe's",
                "remove the value `UnattendFile` of that key with [registry]",
            ),
            false => (
                "Windows Setup looks here first, so it would use this answer file and not the recipe's",
                "remove it with `[[files]]` and `absent = true`",
            ),
        };
        problems.push(Problem::warning(file.path, cause, help));
    }
    problems
}

fn place(image: &Image) -> NtPath {
    let names = [image.system_root(), Name::from("Panther"), Name::from("unattend.xml")];
    NtPath::from_names(names.into())
}
