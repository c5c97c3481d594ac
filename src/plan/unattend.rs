//! Answer files in a plan: what they say of the offline image becomes entries like those of the recipe.
//!
//! A recipe is decoded without looking into any input, so this is done when the inputs are there and the base image is open: which of a file's
//! components count depends on the image's architecture. The entries stand right before that of the file itself, so that of two that write the same value
//! the recipe's order decides as it does everywhere. They point at the recipe's line; their titles name the line of the answer file.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    base_image::LazyImage,
    check::{Known, facts_error, unusable_input},
    error::PlanError,
    image::Subject,
    inputs::ResolvedInputs,
};
use crate::{
    format::unattend::PassName,
    image::{Architecture, Image, ImageFacts},
    recipe::{Entry, Finding, Findings, Origin, Recipe},
    servicing::{
        InputId, Operation,
        unattend::{UnattendSpec, offline},
    },
};

/// The entries of a recipe with those that its answer file asks for.
#[derive(Debug)]
pub struct Expanded {
    /// The entries.
    pub entries: Vec<Entry>,
    /// What is odd.
    pub warnings: Vec<Finding>,
    /// True when settings were passed over for want of the image.
    pub undecided: bool,
    /// Packages that must be in a source: the source, the package's id, the place in the answer file, and the recipe's line.
    packages: Vec<(InputId, String, String, Origin)>,
}

/// The entries of the recipe with what its answer file asks for; `None` when it has none.
///
/// # Errors
/// When the file is no answer file ([`PlanError::Inputs`]), or asks for what cannot be done ([`PlanError::Refused`]).
pub(super) fn expand(
    subject: &Subject<'_>,
    inputs: &ResolvedInputs,
    image: &mut LazyImage<'_>,
) -> Result<Option<Expanded>, PlanError> {
    let recipe = subject.recipe;
    let is_file = |entry: &Entry| matches!(entry.operation, Operation::Unattend(_));
    if !recipe.entries.iter().any(is_file) {
        return Ok(None);
    }
    let facts = image.facts().map_err(|error| facts_error(subject, error))?;
    let expanded = expand_for(recipe, inputs, &facts, None)?;
    if !expanded.undecided {
        return Ok(Some(expanded));
    }
    let image = image.image().map_err(|error| subject.damaged(&error))?;
    expand_for(recipe, inputs, &facts, Some(image)).map(Some)
}

/// The entries of the recipe with what its answer file asks for, for an image that says `facts` of itself; with no facts every component counts. Without the image, settings that only its manifests may
/// know are passed over.
///
/// # Errors
/// When the file is no answer file ([`PlanError::Inputs`]), or asks for what cannot be done ([`PlanError::Refused`]).
pub fn expand_for(
    recipe: &Recipe,
    inputs: &ResolvedInputs,
    facts: &ImageFacts,
    image: Option<&Image>,
) -> Result<Expanded, PlanError> {
    let mut expanded = Expanded {
        entries: Vec::new(),
        warnings: Vec::new(),
        undecided: false,
        packages: Vec::new(),
    };
    let (mut entries, mut refused) = (Vec::new(), Vec::new());
    for entry in &recipe.entries {
        let mut entry = entry.clone();
        if let Operation::Unattend(spec) = entry.operation.clone() {
            let (mut added, note) = expanded.entries_of(
                recipe,
                (&entry, &spec),
                inputs,
                (facts, image),
                &mut refused,
            )?;
            entries.append(&mut added);
            entry.note = Some(note);
        }
        entries.push(entry);
    }
    refused.extend(contradictions(&entries));
    Findings::check(refused).map_err(PlanError::Refused)?;
    expanded.entries = entries;
    Ok(expanded)
}

/// The architectures that the recipe's answer files name in `offlineServicing`, in a fixed order.
#[must_use]
pub fn architectures(recipe: &Recipe, inputs: &ResolvedInputs) -> Vec<Architecture> {
    let files = recipe.entries.iter().filter_map(|entry| match &entry.operation {
        Operation::Unattend(spec) => spec.read(&Known(inputs)).ok(),
        _ => None,
    });
    let named: BTreeSet<String> = files
        .flat_map(|(mut file, _)| file.take_pass(PassName::OfflineServicing))
        .flat_map(|pass| pass.components)
        .map(|component| component.architecture)
        .collect();
    Architecture::ALL.into_iter().filter(|one| named.contains(one.name())).collect()
}

impl Expanded {
    /// The entries that the file of `entry` asks for, and what is left for Setup.
    fn entries_of(
        &mut self,
        recipe: &Recipe,
        (entry, spec): (&Entry, &UnattendSpec),
        inputs: &ResolvedInputs,
        (facts, image): (&ImageFacts, Option<&Image>),
        refused: &mut Vec<Finding>,
    ) -> Result<(Vec<Entry>, String), PlanError> {
        let file = spec.whole(&Known(inputs), facts.architecture).map_err(|error| {
            let finding = unusable_input(&entry.origin, entry.operation.title(), error);
            PlanError::Inputs(finding.into())
        })?;
        let found = offline(&file, &spec.paths, recipe.policy.when_not_native, facts, image);
        self.undecided |= found.undecided;
        for (place, problem) in found.problems {
            let item = match problem.item.as_str() {
                "" => String::new(),
                item => format!("{item}: "),
            };
            let message = format!("{}: {item}{}", spec.item(Some(place)), problem.cause);
            let code = if problem.warning { "plan::odd" } else { "plan::impossible" };
            let label = "asked for by this answer file";
            let finding = Finding::at(&entry.origin, code, message, label, problem.help);
            if problem.warning { &mut self.warnings } else { &mut *refused }.push(finding);
        }
        for path in found.unused {
            let message = format!("{} names no path `{path}`", spec.name());
            let help = "take it out of `paths`, or write it as the answer file does";
            let finding = Finding::at(&entry.origin, "plan::odd", message, "of no use", help);
            self.warnings.push(finding);
        }
        let mut entries = Vec::new();
        for wanted in found.wanted {
            let place = spec.item(Some(wanted.place));
            if let (Some(id), [input]) = (wanted.identity, &wanted.operation.inputs()[..]) {
                self.packages.push((input.clone(), id, place.clone(), entry.origin.clone()));
            }
            entries.push(Entry {
                section: entry.section,
                label: wanted.what,
                origin: entry.origin.clone(),
                operation: wanted.operation,
                note: Some(format!("asked for at {place}")),
            });
        }
        number_labels(&mut entries);
        let left: Vec<&str> = found.left.into_iter().map(|pass| pass.name()).collect();
        let note = match left.is_empty() {
            true => "nothing is left for Setup, no file is placed".to_owned(),
            false => format!("left for Setup: {}", left.join(", ")),
        };
        Ok((entries, note))
    }

    /// Refuses a source that does not have the package that the answer file says it has; `identities` are those of all sources.
    ///
    /// # Errors
    /// [`PlanError::Refused`].
    pub(super) fn check_identities(
        &self,
        identities: &BTreeMap<InputId, Vec<String>>,
    ) -> Result<(), PlanError> {
        let mut findings = Vec::new();
        for (input, id, place, origin) in &self.packages {
            let found = identities.get(input).map(Vec::as_slice).unwrap_or_default();
            if found.iter().any(|known| known.eq_ignore_ascii_case(id)) {
                continue;
            }
            let message = format!("{place}: the package {id} is not what {input} holds");
            let label = match found {
                [] => "it holds no package".to_owned(),
                found => format!("it holds {}", found.join(", ")),
            };
            let help = "give the right source in `paths`, or correct <assemblyIdentity>";
            findings.push(Finding::at(origin, "plan::impossible", message, label, help));
        }
        Findings::check(findings).map_err(PlanError::Refused)
    }
}

/// Features that the answer file wants in another state than the recipe, or than itself at another place.
fn contradictions(entries: &[Entry]) -> Vec<Finding> {
    let mut seen: BTreeMap<String, &Entry> = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in entries {
        let Operation::Feature(spec) = &entry.operation else { continue };
        let first = seen.entry(spec.name.to_lowercase()).or_insert(entry);
        let Operation::Feature(other) = &first.operation else { continue };
        if other.state != spec.state {
            let message = format!("the feature {} shall have two states", spec.name);
            let help = "take one of the two away";
            findings.push(
                Finding::at(&entry.origin, "plan::contradiction", message, entry.title(), help)
                    .and(&first.origin, first.title()),
            );
        }
    }
    findings
}

/// Steps are told apart by their labels: of several of one label (a file may say a thing twice) the later ones get a number.
fn number_labels(entries: &mut [Entry]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let count = seen.entry(entry.label.clone()).or_default();
        *count += 1;
        if *count > 1 {
            entry.label = format!("{} #{count}", entry.label);
        }
    }
}
