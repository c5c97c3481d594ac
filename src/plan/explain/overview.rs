//! Every step: why it is where it is, what became of it in the last build, and whether it would run now.

use serde::Serialize;

use crate::{
    plan::{
        cause::{Cause, short},
        memory::{BuiltStep, OutputRecord},
        model::{Plan, PlannedImage, Step, StepReason},
        order, stale,
        state::{self, Chain, Status, StepStatus},
    },
    store::{Store, StoreError},
};

/// Why a plan is as it is. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation<'a> {
    /// The variant of the recipe, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'a str>,
    /// The output's path.
    pub output: String,
    /// Version of the order table.
    pub order_table: &'static str,
    /// True when nothing would be done now.
    pub up_to_date: bool,
    /// Why it is not, in words; empty when it is, and when it was never built.
    pub not_up_to_date: Vec<String>,
    /// The last build that wrote the output; `None` when there is no record of one.
    pub last_build: Option<LastBuild>,
    /// The images, in order.
    pub images: Vec<ImageExplained<'a>>,
}

/// The last build that wrote the output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastBuild {
    /// BLAKE3 of the base's file; absent in records of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Time of everything new, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// How many of its steps were cached.
    pub cached: usize,
    /// How many of its steps ran.
    pub ran: usize,
    /// Why it wrote the output, in words; empty of the first build, and in records of older versions.
    pub written: Vec<String>,
    /// What there is now and was not in it, of what is no step's own: base and epoch.
    pub changed: Vec<String>,
}

/// An image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageExplained<'a> {
    /// Its number in the base.
    pub image: u32,
    /// Its name in the output.
    pub name: Option<&'a str>,
    /// What tells it from the others; `None` when there is only one.
    #[serde(skip)]
    pub label: Option<String>,
    /// Its steps, in the order of execution.
    pub steps: Vec<StepExplained<'a>>,
    /// The steps of the last build that the recipe no longer has.
    pub gone: Vec<String>,
}

/// A step.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepExplained<'a> {
    /// Its number in the order of execution of its image, from 1.
    pub number: usize,
    /// Its number in the recipe's order, from 1.
    pub listed: usize,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What it does.
    pub title: &'a str,
    /// Where it stands in the recipe: `server.toml:12`.
    pub origin: String,
    /// Its phase.
    pub phase: &'static str,
    /// Why the phase comes after those before it.
    pub phase_why: &'static str,
    /// Where that is known from.
    pub phase_source: &'static str,
    /// Why it does not stand earlier. Where nothing is said, the recipe's order decides.
    pub reasons: &'a [StepReason],
    /// True when it leaves something to the first boot.
    pub deferred: bool,
    /// What became of it in the last build; `None` when that did not have it.
    pub last_build: Option<LastRun>,
    /// What would become of it now.
    pub now: NowRun,
}

/// What became of a step in the last build.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastRun {
    /// True when its result was remembered; `None` in records of older versions.
    pub cached: Option<bool>,
    /// True when it changed the image; `None` in records of older versions.
    pub changed: Option<bool>,
    /// Why it ran, in words.
    pub why: Vec<String>,
    /// The same as data.
    pub causes: Vec<Cause>,
}

/// What would become of a step now.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NowRun {
    /// `cached`, `runs` or `depends-on`.
    pub status: &'static str,
    /// Number of the earlier step that it depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<usize>,
    /// True when its inputs were prepared before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared: Option<bool>,
    /// Why it runs, or would even if the earlier step did what it did before; in words.
    pub why: Vec<String>,
    /// The same as data.
    pub causes: Vec<Cause>,
}

impl NowRun {
    fn new(status: &'static str, causes: Vec<Cause>) -> Self {
        let why = causes.iter().map(ToString::to_string).collect();
        Self { status, on: None, prepared: None, why, causes }
    }
}

/// Explains every step of a plan; `status` is the plan's.
///
/// # Errors
/// When the store cannot be read.
pub fn overview<'a>(
    plan: &'a Plan,
    status: &Status,
    last: Option<&OutputRecord>,
    store: &Store,
) -> Result<Explanation<'a>, StoreError> {
    let (mut images, mut states) = (Vec::new(), Vec::new());
    for (image, statuses) in plan.images.iter().zip(&status.images) {
        let chain = state::follow(image, plan.epoch, store)?;
        states.extend(chain.last);
        images.push(explain_image(plan, image, &statuses.steps, &chain, last));
    }
    Ok(Explanation {
        variant: plan.variant.as_deref(),
        output: plan.output.path.display().to_string(),
        order_table: order::VERSION,
        up_to_date: status.up_to_date,
        not_up_to_date: match status.up_to_date {
            true => Vec::new(),
            false => stale::why(plan, &states, last),
        },
        last_build: last.map(|last| last_build(plan, last)),
        images,
    })
}

fn last_build(plan: &Plan, last: &OutputRecord) -> LastBuild {
    let build = &last.build;
    let cached = build.steps.iter().filter(|step| step.cached).count();
    let mut changed = Vec::new();
    if let Some(from) = &build.from {
        if from.base != plan.base.blake3 {
            let (old, new) = (short(&from.base), short(&plan.base.blake3));
            changed.push(format!("the base's file is another ({new}, was {old})"));
        }
        if from.epoch != plan.epoch {
            let cause = Cause::Epoch { old: from.epoch, new: plan.epoch };
            changed.push(cause.to_string());
        }
    }
    LastBuild {
        base: build.from.as_ref().map(|from| from.base.to_hex()),
        epoch: build.from.as_ref().map(|from| from.epoch.to_string()),
        cached,
        ran: build.steps.len() - cached,
        written: build.written.clone(),
        changed,
    }
}

fn explain_image<'a>(
    plan: &'a Plan,
    image: &'a PlannedImage,
    statuses: &[StepStatus],
    chain: &Chain,
    last: Option<&OutputRecord>,
) -> ImageExplained<'a> {
    let built: Vec<&BuiltStep> =
        last.into_iter().flat_map(|last| last.build.steps_of(image.index)).collect();
    let knows = last.is_some_and(|last| last.build.from.is_some());
    let past = last.map(|last| &last.build);
    let mut found = vec![false; built.len()];
    let steps = image.steps.iter().zip(statuses).enumerate().map(|(place, (step, status))| {
        let name = step.name();
        // Names may come twice: the second is compared with the second.
        let of_last = (0..built.len()).find(|at| !found[*at] && built[*at].name == name);
        if let Some(at) = of_last {
            found[at] = true;
        }
        let now = match status {
            StepStatus::Cached => NowRun::new("cached", Vec::new()),
            StepStatus::Runs(causes) => NowRun::new("runs", causes.clone()),
            StepStatus::DependsOn { step, prepared } => {
                let mut own = state::why(plan, image, place, chain, past);
                // That is so of every step, and the step that it depends on says it.
                own.retain(|cause| !matches!(cause, Cause::FirstBuild | Cause::NewImage));
                let now = NowRun::new("depends-on", own);
                NowRun { on: Some(*step), prepared: Some(*prepared), ..now }
            }
        };
        explain_step(step, name, of_last.map(|at| last_run(built[at], knows)), now)
    });
    let steps = steps.collect();
    let gone = built.iter().zip(&found).filter(|(_, found)| !**found);
    ImageExplained {
        image: image.index,
        name: image.final_name(),
        label: plan.label_of(image),
        steps,
        gone: gone.map(|(step, _)| step.name.clone()).collect(),
    }
}

fn explain_step(
    step: &Step,
    name: String,
    last_build: Option<LastRun>,
    now: NowRun,
) -> StepExplained<'_> {
    let row = step.phase.row();
    StepExplained {
        number: step.number,
        listed: step.listed,
        name,
        title: &step.title,
        origin: step.origin.to_string(),
        phase: row.name,
        phase_why: row.why,
        phase_source: row.source,
        reasons: &step.reasons,
        deferred: step.deferred,
        last_build,
        now,
    }
}

fn last_run(built: &BuiltStep, knows: bool) -> LastRun {
    LastRun {
        cached: knows.then_some(built.cached),
        changed: knows.then_some(built.changeset.is_some()),
        why: built.why.iter().map(Cause::to_string).collect(),
        causes: built.why.clone(),
    }
}
