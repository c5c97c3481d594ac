//! The steps of each image that is built: ordered, checked, and what is said of them.
//!
//! Every image is planned by itself, because what is in it decides what can be done to it and in which order. What is said of several images in the
//! same words is said once, with their numbers.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;

use super::{
    base_image::{self, LazyImage},
    check,
    error::PlanError,
    graph::{self, Reason, Vertex},
    inputs::ResolvedInputs,
    make::Options,
    model::{PlannedBase, PlannedImage, Step, StepReason},
    nested, order, packages, unattend,
};
use crate::{
    base::filetime::FileTime,
    format::wim::Wim,
    image::Image,
    recipe::{BaseImage, Entry, Finding, Findings, Located, Origin, Recipe},
    servicing::{InputId, Operation},
    store::Store,
};

/// What is planned for one image, and how it is spoken of.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The whole recipe.
    pub(super) recipe: &'a Recipe,
    /// What shall be in this image.
    pub(super) entries: &'a [Entry],
    /// Time of everything new.
    pub(super) epoch: FileTime,
    /// Of a recovery image: where the recipe speaks of it.
    pub(super) nested: Option<&'a Origin>,
    /// The recovery images that were opened.
    pub(super) opened: &'a Arc<nested::Opened>,
}

impl Subject<'_> {
    /// The image cannot be read.
    pub(super) fn damaged(&self, error: &dyn std::error::Error) -> PlanError {
        match self.nested {
            None => damaged_base(self.recipe, error),
            Some(origin) => nested::damaged(origin, error),
        }
    }
}

/// The images of a plan.
pub(super) struct Images {
    /// In the recipe's order.
    pub(super) images: Vec<PlannedImage>,
    /// What is odd and stops nothing.
    pub(super) warnings: Vec<Finding>,
    /// What each input says it is.
    pub(super) identities: BTreeMap<InputId, Vec<String>>,
}

/// What is planned for one image.
#[derive(Default)]
pub(super) struct Planned {
    pub(super) steps: Vec<Step>,
    pub(super) warnings: Vec<Finding>,
    pub(super) identities: BTreeMap<InputId, Vec<String>>,
}

/// Plans every image that is built.
///
/// # Errors
/// What stops any of them, each finding once, with the images that it is about.
pub(super) fn plan_all(
    recipe: &Recipe,
    base: &PlannedBase,
    selected: &[(u32, &BaseImage)],
    inputs: &ResolvedInputs,
    epoch: FileTime,
    store: &Store,
    options: &Options<'_>,
) -> Result<Images, PlanError> {
    let text = |own: &Option<Located<String>>, common: &Option<Located<String>>| {
        own.as_ref().or(common.as_ref()).map(|located| located.value.clone())
    };
    let empty: Vec<PlannedImage> = selected
        .iter()
        .map(|(index, image)| {
            let identity = base_image::identity(&base.wim, *index);
            Ok(PlannedImage {
                index: *index,
                base_name: base.wim.xml().image_name(*index).map(str::to_owned),
                identity: identity.map_err(|error| damaged_base(recipe, &error))?,
                name: text(&image.name, &recipe.image.name),
                description: text(&image.description, &recipe.image.description),
                steps: Vec::new(),
            })
        })
        .collect::<Result<_, PlanError>>()?;
    let opened = Arc::new(nested::Opened::default());
    let entries = &recipe.entries;
    let subject = Subject { recipe, entries, epoch, nested: None, opened: &opened };
    let plan = |image: &PlannedImage| {
        tracing::info!("base {}, identity {}", image.label(), image.identity);
        let fresh = options.no_cache || options.control.rehash;
        let wim = &base.wim;
        let open = || Image::open(Arc::clone(wim), image.index, &options.limits);
        let mut lazy = LazyImage::new(open, image.identity, store, fresh);
        check::expectations(&subject, wim, image.index, &mut lazy)?;
        let expanded = match options.unchecked {
            // DISM reads the answer file itself.
            true => None,
            false => unattend::expand(&subject, inputs, &mut lazy)?,
        };
        let Some(expanded) = expanded else {
            return plan_one(&subject, wim, &mut lazy, inputs, store, options);
        };
        let subject = Subject { entries: &expanded.entries, ..subject };
        let mut planned = plan_one(&subject, wim, &mut lazy, inputs, store, options)?;
        expanded.check_identities(&planned.identities)?;
        planned.warnings.splice(0..0, expanded.warnings.iter().cloned());
        Ok(planned)
    };
    // The first one alone: what it finds out about the inputs is remembered for the others.
    let mut planned: Vec<_> = empty.iter().take(1).map(plan).collect();
    planned.extend(empty.par_iter().skip(1).map(plan).collect::<Vec<_>>());
    let labels: Vec<String> = empty.iter().map(PlannedImage::label).collect();
    let numbers: Vec<u32> = empty.iter().map(|image| image.index).collect();
    let planned = gather(planned, &labels, &numbers)?;
    let mut warnings = Told::default();
    let mut identities = BTreeMap::new();
    let mut images = Vec::new();
    for (place, (image, one)) in empty.into_iter().zip(planned).enumerate() {
        one.warnings.into_iter().for_each(|warning| warnings.add(place, warning));
        identities.extend(one.identities);
        images.push(PlannedImage { steps: one.steps, ..image });
    }
    let warnings = warnings.end(&labels, &numbers, false);
    Ok(Images { images, warnings, identities })
}

/// The plans of all images, or what stops them.
fn gather(
    planned: Vec<Result<Planned, PlanError>>,
    labels: &[String],
    numbers: &[u32],
) -> Result<Vec<Planned>, PlanError> {
    let (mut inputs, mut refused) = (Told::default(), Told::default());
    let mut plans = Vec::new();
    for (place, result) in planned.into_iter().enumerate() {
        match result {
            Ok(planned) => plans.push(planned),
            Err(PlanError::Inputs(findings)) => {
                findings.into_iter().for_each(|finding| inputs.add(place, finding));
            }
            Err(PlanError::Refused(findings)) => {
                findings.into_iter().for_each(|finding| refused.add(place, finding));
            }
            Err(other) => return Err(other),
        }
    }
    let mut refused = refused.end(labels, numbers, true);
    let mut inputs = inputs.end(labels, numbers, false);
    if inputs.is_empty() {
        Findings::check(refused).map_err(PlanError::Refused)?;
    } else {
        inputs.append(&mut refused);
        Findings::check(inputs).map_err(PlanError::Inputs)?;
    }
    Ok(plans)
}

/// What is said of several images: each finding once, with the places of the images that it is about.
#[derive(Default)]
struct Told(Vec<(Finding, Vec<usize>)>);

impl Told {
    fn add(&mut self, place: usize, finding: Finding) {
        match self.0.iter_mut().find(|(known, _)| *known == finding) {
            Some((_, places)) if places.last() == Some(&place) => {}
            Some((_, places)) => places.push(place),
            None => self.0.push((finding, vec![place])),
        }
    }

    /// The findings, each with its images before it; what is said of all needs none, unless `name_all`.
    fn end(self, labels: &[String], numbers: &[u32], name_all: bool) -> Vec<Finding> {
        let about = |(finding, places): (Finding, Vec<usize>)| match places.as_slice() {
            _ if labels.len() < 2 => finding,
            places if places.len() == labels.len() => match name_all {
                true => finding.about("every image"),
                false => finding,
            },
            [place] => finding.about(&labels[*place]),
            places => {
                let numbers: Vec<String> =
                    places.iter().map(|place| numbers[*place].to_string()).collect();
                finding.about(&format!("images {}", numbers.join(", ")))
            }
        };
        self.0.into_iter().map(about).collect()
    }
}

/// Orders the entries for `image`, which is one of `wim`, and asks each whether it suits it.
pub(super) fn plan_one(
    subject: &Subject<'_>,
    wim: &Arc<Wim>,
    image: &mut LazyImage<'_>,
    inputs: &ResolvedInputs,
    store: &Store,
    options: &Options<'_>,
) -> Result<Planned, PlanError> {
    let entries = subject.entries;
    let packages = packages::look(subject, inputs, image, store, options)?;
    let mut contradictions = packages.contradictions(entries);
    contradictions.extend(nested::contradictions(subject, inputs));
    Findings::check(contradictions).map_err(PlanError::Refused)?;
    let mut warnings = packages.warnings(entries);
    let vertices = packages.vertices(entries);
    let mut steps = order_steps(entries, &vertices, inputs)?;
    let mut identities = packages.identities(entries);
    let mut inside = Ok(Planned::default());
    for step in &mut steps {
        if let Operation::WinRe(_) = step.operation {
            inside = nested::plan(subject, wim, step, image, inputs, store, options);
        }
    }
    let checked = check::steps(subject, &mut steps, inputs, packages, image, store, options);
    let (checked, inside) = match (checked, inside) {
        (Ok(checked), Ok(inside)) => (checked, inside),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        (Err(one), Err(other)) => return Err(both(one, other)),
    };
    warnings.extend(checked);
    warnings.extend(inside.warnings);
    for (id, is) in inside.identities {
        identities.entry(id).or_insert(is);
    }
    steps.iter().for_each(|step| {
        tracing::debug!(
            "step {}: {}, prepared key {}",
            step.number,
            step.title,
            step.parts.prepared_key()
        );
    });
    Ok(Planned { steps, warnings, identities })
}

/// Two failures as one, as far as both are about the recipe.
fn both(one: PlanError, other: PlanError) -> PlanError {
    let join = |one: Findings, other: Findings| {
        let all: Vec<Finding> = one.into_iter().chain(other).collect();
        Findings::check(all).err()
    };
    match (one, other) {
        (PlanError::Refused(one), PlanError::Refused(other)) => {
            join(one, other).map_or(PlanError::Cancelled, PlanError::Refused)
        }
        (
            PlanError::Inputs(one) | PlanError::Refused(one),
            PlanError::Inputs(other) | PlanError::Refused(other),
        ) => join(one, other).map_or(PlanError::Cancelled, PlanError::Inputs),
        (PlanError::Inputs(_) | PlanError::Refused(_), other) => other,
        (one, _) => one,
    }
}

pub(super) fn damaged_base(recipe: &Recipe, error: &dyn std::error::Error) -> PlanError {
    let message = "the base image is damaged";
    let mut label = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !label.contains(&text) {
            label = format!("{label}: {text}");
        }
        source = inner.source();
    }
    let path = recipe.base.wim.value.display();
    let label = format!("{path}: {label}");
    let help = format!("`transom wim verify {path}` says what is damaged; get the file again");
    let finding = Finding::at(&recipe.base.wim.origin, "base::damaged", message, label, help);
    PlanError::Inputs(finding.into())
}

/// The entries of the recipe as steps, in order.
fn order_steps(
    entries: &[Entry],
    vertices: &[Vertex],
    inputs: &ResolvedInputs,
) -> Result<Vec<Step>, PlanError> {
    let ordered = graph::order(vertices).map_err(|cycle| circle(entries, &cycle))?;
    // The place of each entry in the order of execution, from 1.
    let mut numbers = vec![0; entries.len()];
    for (place, entry) in ordered.order.iter().enumerate() {
        numbers[*entry] = place + 1;
    }
    let steps = ordered.order.iter().map(|&listed| {
        let entry = &entries[listed];
        let reasons = ordered.reasons[listed].iter().map(|reason| match reason {
            Reason::SameSubject { after, what } => StepReason {
                after: vec![numbers[*after]],
                why: same_subject(&entries[*after].operation, &entry.operation, what),
            },
            reason => explain_reason(reason, vertices[listed].phase, vertices, &numbers),
        });
        Step {
            number: numbers[listed],
            listed: listed + 1,
            section: entry.section,
            label: entry.label.clone(),
            title: entry.title(),
            origin: entry.origin.clone(),
            parts: packages::key_parts(entry, inputs),
            operation: entry.operation.clone(),
            phase: vertices[listed].phase,
            reasons: reasons.collect(),
            deferred: false,
            nested: None,
        }
    });
    Ok(steps.collect())
}

/// Why two steps that meet keep the recipe's order; `what` is where, folded.
fn same_subject(first: &Operation, second: &Operation, what: &str) -> String {
    let meet = match (first, second) {
        (Operation::RegistryFile(_), _) | (_, Operation::RegistryFile(_)) => {
            "a .reg file may write any key".to_owned()
        }
        // The shorter path of the two is where they meet, as it stands in the recipe.
        (Operation::RegistryKey(one), Operation::RegistryKey(other)) => {
            let shorter = if other.path.keys().len() < one.path.keys().len() { other } else { one };
            format!("both write {}", shorter.path)
        }
        _ => format!("both write {what}"),
    };
    format!("{meet}; the recipe names this one later")
}

fn explain_reason(
    reason: &Reason,
    phase: order::Phase,
    vertices: &[Vertex],
    numbers: &[usize],
) -> StepReason {
    match reason {
        Reason::OrderTable { after } => {
            let of_phase = |(_, vertex): &(&usize, &Vertex)| vertex.phase == *after;
            let all = numbers.iter().zip(vertices).filter(of_phase).map(|(number, _)| *number);
            let (first, last) = (all.clone().min(), all.max());
            let mut after: Vec<usize> = first.into_iter().chain(last).collect();
            after.dedup();
            StepReason { after, why: format!("order table: {}", phase.row().why) }
        }
        Reason::SameSubject { after, what } => StepReason {
            after: vec![numbers[*after]],
            why: format!("both write {what}; the recipe names this one later"),
        },
        Reason::Requires { after, what } => {
            StepReason { after: vec![numbers[*after]], why: format!("needs {what}") }
        }
    }
}

fn circle(entries: &[Entry], cycle: &graph::Cycle) -> PlanError {
    let mut steps = cycle.steps.iter();
    let Some((first, why)) = steps.next() else {
        // A circle has steps; without any there is nothing to point at.
        return PlanError::Cancelled;
    };
    let mut finding = Finding::at(
        &entries[*first].origin,
        "plan::cycle",
        cycle.to_string(),
        why.clone(),
        "take one of them out of the recipe",
    );
    for (step, why) in steps {
        finding = finding.and(&entries[*step].origin, why.clone());
    }
    PlanError::Refused(finding.into())
}
