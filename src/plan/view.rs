//! A plan as text, as JSON, and as a graph in the languages of Graphviz and Mermaid.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::{
    model::{LockState, Plan, PlannedImage, Step, StepReason},
    order,
    state::{ImageStatus, Status, StepStatus},
};
use crate::servicing::policy::rules;

/// The plan as JSON sees it. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanView<'a> {
    /// The variant of the recipe, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<&'a str>,
    /// Version of the order table.
    pub order_table: &'static str,
    /// The base image.
    pub base: BaseView<'a>,
    /// The output's path.
    pub output: String,
    /// Time of everything new, RFC 3339.
    pub epoch: String,
    /// Where the epoch comes from.
    pub epoch_source: super::EpochSource,
    /// `current`, `missing`, `unreadable` or `out-of-date`.
    pub lock: &'static str,
    /// How the lock differs.
    pub lock_differences: Vec<String>,
    /// The environment variables that a build needs for secrets.
    pub secrets: Vec<&'a str>,
    /// True when nothing would be done.
    pub up_to_date: bool,
    /// The images that are built, in order.
    pub images: Vec<ImageView<'a>>,
    /// The steps in order; of several images one image after the other.
    pub steps: Vec<StepView<'a>>,
    /// The rules that the built images must keep, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// The base. Of several images `image` and `name` are those of the first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BaseView<'a> {
    /// The recipe's text for the file.
    pub path: &'a str,
    /// BLAKE3 of the file.
    pub blake3: String,
    /// Number of the image.
    pub image: u32,
    /// Name of the image.
    pub name: Option<&'a str>,
}

/// An image that is built.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageView<'a> {
    /// Its number in the base.
    pub image: u32,
    /// Its name in the base.
    pub base_name: Option<&'a str>,
    /// Its name in the output.
    pub name: Option<&'a str>,
    /// How many steps it has.
    pub steps: usize,
    /// How many of them are cached.
    pub cached: usize,
}

/// One step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepView<'a> {
    /// Number of its image in the base.
    pub image: u32,
    /// Its number in the order of execution.
    pub number: usize,
    /// Its number in the recipe.
    pub listed: usize,
    /// Its phase.
    pub phase: &'static str,
    /// Its section of the recipe.
    pub section: &'a str,
    /// What it is called there.
    pub label: &'a str,
    /// What it does.
    pub title: &'a str,
    /// Where it stands: `server.toml:12`.
    pub origin: String,
    /// Why it stands where it stands.
    pub reasons: &'a [StepReason],
    /// Whether it will run.
    pub status: &'a StepStatus,
    /// True when it leaves something to the first boot.
    pub deferred: bool,
    /// The inputs it reads.
    pub inputs: Vec<&'a str>,
    /// Number of the earlier image that prepares the same: it is done once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<u32>,
    /// The steps inside the recovery image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<NestedView<'a>>,
}

/// A step inside the recovery image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NestedView<'a> {
    /// Its number in the order of execution there.
    pub number: usize,
    /// Its phase.
    pub phase: &'static str,
    /// What it does.
    pub title: &'a str,
    /// Whether it will run, should the recovery image be serviced.
    pub status: &'a StepStatus,
}

/// The steps inside of `step`.
fn nested<'a>(step: &'a Step, status: &'a [StepStatus]) -> Vec<NestedView<'a>> {
    let steps = step.nested.iter().flat_map(|nested| &nested.steps).zip(status);
    let view = |(step, status): (&'a Step, &'a StepStatus)| NestedView {
        number: step.number,
        phase: step.phase.name(),
        title: &step.title,
        status,
    };
    steps.map(view).collect()
}

/// The plan and its status for JSON.
#[must_use]
pub fn view<'a>(plan: &'a Plan, status: &'a Status) -> PlanView<'a> {
    let (lock, lock_differences) = match &plan.lock_state {
        LockState::Current => ("current", Vec::new()),
        LockState::Missing => ("missing", Vec::new()),
        LockState::Unreadable(what) => ("unreadable", vec![what.clone()]),
        LockState::OutOfDate(differences) => {
            ("out-of-date", differences.iter().map(ToString::to_string).collect())
        }
    };
    let of_images = plan.images.iter().zip(&status.images).flat_map(|(image, status)| {
        let rest = status.shared_with.iter().zip(&status.nested);
        image.steps.iter().zip(&status.steps).zip(rest).map(move |steps| (image.index, steps))
    });
    let steps = of_images.map(|(image, ((step, status), (shared, inside)))| StepView {
        image,
        shared_with: *shared,
        nested: nested(step, inside),
        number: step.number,
        listed: step.listed,
        phase: step.phase.name(),
        section: step.section,
        label: &step.label,
        title: &step.title,
        origin: step.origin.to_string(),
        reasons: &step.reasons,
        status,
        deferred: step.deferred,
        inputs: step.parts.inputs.iter().map(|(id, _)| id.0.as_str()).collect(),
    });
    let first = plan.images.first();
    let images = plan.images.iter().zip(&status.images).map(|(image, statuses)| ImageView {
        image: image.index,
        base_name: image.base_name.as_deref(),
        name: image.final_name(),
        steps: image.steps.len(),
        cached: statuses.steps.iter().filter(|status| **status == StepStatus::Cached).count(),
    });
    PlanView {
        variant: plan.variant.as_deref(),
        order_table: order::VERSION,
        base: BaseView {
            path: &plan.lock.base.path,
            blake3: plan.base.blake3.to_hex(),
            image: first.map_or(0, |image| image.index),
            name: first.and_then(|image| image.base_name.as_deref()),
        },
        output: plan.output.path.display().to_string(),
        epoch: plan.epoch.to_string(),
        epoch_source: plan.epoch_source,
        lock,
        lock_differences,
        secrets: plan.secrets.keys().map(String::as_str).collect(),
        up_to_date: status.up_to_date,
        images: images.collect(),
        steps: steps.collect(),
        policy: rules(&plan.policy.spec),
        warnings: plan.warnings.iter().map(ToString::to_string).collect(),
    }
}

/// The plan as text for a person.
///
/// # Errors
/// When `out` cannot be written.
pub fn text(plan: &Plan, status: &Status, out: &mut dyn fmt::Write) -> fmt::Result {
    if let Some(variant) = &plan.variant {
        writeln!(out, "variant  {variant}")?;
    }
    match plan.images.as_slice() {
        [image] => writeln!(out, "base     {}, {}", plan.lock.base.path, image.label())?,
        images => {
            writeln!(out, "base     {}", plan.lock.base.path)?;
            for image in images {
                write!(out, "         {}", image.label())?;
                match &image.name {
                    Some(name) => writeln!(out, ", named \"{name}\" in the output")?,
                    None => writeln!(out)?,
                }
            }
        }
    }
    writeln!(out, "output   {}", plan.output.path.display())?;
    writeln!(out, "epoch    {}", plan.epoch)?;
    writeln!(out, "order    table {}", order::VERSION)?;
    match &plan.lock_state {
        LockState::Current => writeln!(out, "lock     current")?,
        LockState::Missing => writeln!(out, "lock     not written yet")?,
        LockState::Unreadable(what) => writeln!(out, "lock     cannot be read: {what}")?,
        LockState::OutOfDate(differences) => {
            writeln!(out, "lock     out of date:")?;
            for difference in differences {
                writeln!(out, "         {difference}")?;
            }
        }
    }
    if !plan.secrets.is_empty() {
        let names: Vec<&str> = plan.secrets.keys().map(String::as_str).collect();
        writeln!(out, "secrets  {}", names.join(", "))?;
        writeln!(out, "         a build takes them from the environment and is never up to date")?;
    }
    let rules = rules(&plan.policy.spec);
    for (place, rule) in rules.iter().enumerate() {
        writeln!(out, "{:<9}{rule}", if place == 0 { "policy" } else { "" })?;
    }
    if !rules.is_empty() {
        writeln!(out, "         an image that breaks one is not written")?;
    }
    for (image, statuses) in plan.images.iter().zip(&status.images) {
        if let Some(label) = plan.label_of(image) {
            writeln!(out, "\n{label}")?;
        }
        write_steps(&image.steps, statuses, out)?;
        if plan.images.len() > 1 {
            writeln!(out)?;
            write_count(&image.steps, statuses.steps.iter(), out)?;
            writeln!(out)?;
        }
    }
    if plan.images.len() > 1 {
        write!(out, "\n{} images: ", plan.images.len())?;
    } else {
        writeln!(out)?;
    }
    write_count(plan.steps(), status.steps(), out)?;
    if status.up_to_date {
        write!(out, "; the output is up to date")?;
    }
    let deferred = plan.steps().filter(|step| step.deferred).count();
    if deferred > 0 {
        write!(out, "; {deferred} left to the first boot")?;
    }
    writeln!(out)
}

/// The steps of an image under their phases.
fn write_steps(steps: &[Step], status: &ImageStatus, out: &mut dyn fmt::Write) -> fmt::Result {
    let mut phase = None;
    for (place, (step, of_step)) in steps.iter().zip(&status.steps).enumerate() {
        if phase != Some(step.phase) {
            phase = Some(step.phase);
            let row = step.phase.row();
            writeln!(out, "\n{}: {} [{}]", row.name, row.why, row.source)?;
        }
        let shared = status.shared_with.get(place).copied().flatten();
        let inside = status.nested.get(place).map_or(&[][..], Vec::as_slice);
        write_step(step, of_step, shared, inside, out)?;
    }
    Ok(())
}

/// `3 steps, 1 cached, 2 to run`.
fn write_count<'a>(
    steps: impl IntoIterator<Item = &'a Step>,
    statuses: impl Iterator<Item = &'a StepStatus>,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let total = steps.into_iter().count();
    let (mut cached, mut open) = (0, 0);
    for status in statuses {
        match status {
            StepStatus::Cached => cached += 1,
            StepStatus::DependsOn { .. } => open += 1,
            StepStatus::Runs(_) => {}
        }
    }
    write!(
        out,
        "{total} {}, {cached} cached, {} to run",
        if total == 1 { "step" } else { "steps" },
        total - cached - open
    )?;
    if open > 0 {
        write!(out, ", {open} depending on those")?;
    }
    Ok(())
}

/// What a status is called.
fn word(status: &StepStatus) -> String {
    match status {
        StepStatus::Cached => "cached".to_owned(),
        StepStatus::Runs(why) if why.is_empty() => "runs".to_owned(),
        StepStatus::Runs(why) => {
            let why: Vec<String> = why.iter().map(ToString::to_string).collect();
            format!("runs: {}", why.join("; "))
        }
        StepStatus::DependsOn { step, prepared: true } => {
            format!("prepared; depends on step {step}")
        }
        StepStatus::DependsOn { step, prepared: false } => format!("depends on step {step}"),
    }
}

/// A step; `shared` is the image that it shares what is prepared with, `inside` the status of what is done inside.
fn write_step(
    step: &Step,
    status: &StepStatus,
    shared: Option<u32>,
    inside: &[StepStatus],
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let shared = match shared {
        Some(image) if step.nested.is_some() => {
            format!("; reuses the recovery image that image {image} services")
        }
        Some(image) => format!("; reuses what image {image} prepares"),
        None => String::new(),
    };
    writeln!(out, "{:>4}  {}  ({}{shared})", step.number, step.title, word(status))?;
    // What another image services is shown there.
    let nested = step.nested.iter().filter(|_| shared.is_empty());
    for (step, status) in nested.flat_map(|nested| nested.steps.iter().zip(inside)) {
        writeln!(out, "      {:>4}  {}  ({})", step.number, step.title, word(status))?;
    }
    if step.deferred {
        writeln!(out, "      left to the first boot: Windows installs it when it starts first")?;
    }
    for reason in &step.reasons {
        // The phase's own reason stands above its steps.
        if reason.is_phase() {
            continue;
        }
        writeln!(out, "      after {}: {}", numbers(&reason.after), reason.why)?;
    }
    Ok(())
}

fn numbers(after: &[usize]) -> String {
    match after {
        [first, last] => format!("steps {first} to {last}"),
        [step] => format!("step {step}"),
        _ => "nothing".to_owned(),
    }
}

/// The language of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphLanguage {
    /// Graphviz.
    Dot,
    /// Mermaid, which Markdown viewers show.
    Mermaid,
}

/// The plan as a graph: phases as boxes, steps in them, edges with their reasons.
#[must_use]
pub fn graph(plan: &Plan, language: GraphLanguage) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match language {
        GraphLanguage::Dot => write_dot(plan, &mut text),
        GraphLanguage::Mermaid => write_mermaid(plan, &mut text),
    };
    text
}

/// The steps of each phase in use, in order.
fn phases(image: &PlannedImage) -> Vec<(order::Phase, Vec<&Step>)> {
    let mut phases: Vec<(order::Phase, Vec<&Step>)> = Vec::new();
    for step in &image.steps {
        match phases.last_mut() {
            Some((phase, steps)) if *phase == step.phase => steps.push(step),
            _ => phases.push((step.phase, vec![step])),
        }
    }
    phases
}

/// Edges between steps that stand for themselves, not for a whole phase.
fn edges(image: &PlannedImage) -> impl Iterator<Item = (usize, usize, &str)> {
    let own = |reason: &&StepReason| !reason.is_phase();
    image.steps.iter().flat_map(move |step| {
        step.reasons.iter().filter(own).flat_map(|reason| {
            reason.after.iter().map(|after| (*after, step.number, reason.why.as_str()))
        })
    })
}

/// What stands before the names of an image's nodes: nothing when there is only one image.
fn prefix(plan: &Plan, image: &PlannedImage) -> String {
    if plan.images.len() > 1 { format!("i{}_", image.index) } else { String::new() }
}

fn write_dot(plan: &Plan, out: &mut String) -> fmt::Result {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    writeln!(out, "digraph plan {{\n  rankdir=LR; compound=true; node [shape=box];")?;
    for image in &plan.images {
        let id = prefix(plan, image);
        if let Some(label) = plan.label_of(image) {
            writeln!(out, "  subgraph {} {{", quoted(&format!("cluster_{id}image")))?;
            writeln!(out, "    label={};", quoted(&label))?;
        }
        let cluster = |phase: order::Phase| quoted(&format!("cluster_{id}{}", phase.name()));
        let phases = phases(image);
        for (phase, steps) in &phases {
            writeln!(out, "  subgraph {} {{", cluster(*phase))?;
            writeln!(out, "    label={};", quoted(phase.name()))?;
            for step in steps {
                let label = format!("{}. {}", step.number, step.title);
                writeln!(out, "    {id}s{} [label={}];", step.number, quoted(&label))?;
            }
            writeln!(out, "  }}")?;
        }
        if plan.images.len() > 1 {
            writeln!(out, "  }}")?;
        }
        for pair in phases.windows(2) {
            let (Some(from), Some(to)) = (pair[0].1.last(), pair[1].1.first()) else { continue };
            writeln!(
                out,
                "  {id}s{} -> {id}s{} [ltail={}, lhead={}, label={}];",
                from.number,
                to.number,
                cluster(pair[0].0),
                cluster(pair[1].0),
                quoted(pair[1].0.row().why),
            )?;
        }
        for (from, to, why) in edges(image) {
            writeln!(out, "  {id}s{from} -> {id}s{to} [style=dashed, label={}];", quoted(why))?;
        }
    }
    writeln!(out, "}}")
}

fn write_mermaid(plan: &Plan, out: &mut String) -> fmt::Result {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "#quot;"));
    writeln!(out, "flowchart LR")?;
    for image in &plan.images {
        let id = prefix(plan, image);
        if let Some(label) = plan.label_of(image) {
            writeln!(out, "  subgraph {id}image[{}]", quoted(&label))?;
        }
        let phases = phases(image);
        for (phase, steps) in &phases {
            writeln!(out, "  subgraph {id}{}", phase.name())?;
            for step in steps {
                let label = format!("{}. {}", step.number, step.title);
                writeln!(out, "    {id}s{}[{}]", step.number, quoted(&label))?;
            }
            writeln!(out, "  end")?;
        }
        if plan.images.len() > 1 {
            writeln!(out, "  end")?;
        }
        for pair in phases.windows(2) {
            let why = quoted(pair[1].0.row().why);
            writeln!(out, "  {id}{} -->|{why}| {id}{}", pair[0].0.name(), pair[1].0.name())?;
        }
        for (from, to, why) in edges(image) {
            writeln!(out, "  {id}s{from} -.->|{}| {id}s{to}", quoted(why))?;
        }
    }
    Ok(())
}
