//! A plan as text, as JSON, and as a graph in the languages of Graphviz and Mermaid.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::{
    model::{LockState, Plan, Step, StepReason},
    order,
    state::{Status, StepStatus},
};

/// The plan as JSON sees it. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanView<'a> {
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
    /// The steps in order.
    pub steps: Vec<StepView<'a>>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// The base image.
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

/// One step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepView<'a> {
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
    let steps = plan.steps.iter().zip(&status.steps).map(|(step, status)| StepView {
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
    PlanView {
        order_table: order::VERSION,
        base: BaseView {
            path: &plan.lock.base.path,
            blake3: plan.base.blake3.to_hex(),
            image: plan.base.index,
            name: plan.base.name.as_deref(),
        },
        output: plan.output.path.display().to_string(),
        epoch: plan.epoch.to_string(),
        epoch_source: plan.epoch_source,
        lock,
        lock_differences,
        secrets: plan.secrets.keys().map(String::as_str).collect(),
        up_to_date: status.up_to_date,
        steps: steps.collect(),
        warnings: plan.warnings.iter().map(ToString::to_string).collect(),
    }
}

/// The plan as text for a person.
///
/// # Errors
/// When `out` cannot be written.
pub fn text(plan: &Plan, status: &Status, out: &mut dyn fmt::Write) -> fmt::Result {
    let base = &plan.base;
    let name = base.name.as_deref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    writeln!(out, "base     {}, image {}{name}", plan.lock.base.path, base.index)?;
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
    let mut phase = None;
    for (step, status) in plan.steps.iter().zip(&status.steps) {
        if phase != Some(step.phase) {
            phase = Some(step.phase);
            let row = step.phase.row();
            writeln!(out, "\n{}: {} [{}]", row.name, row.why, row.source)?;
        }
        write_step(step, status, out)?;
    }
    let count = |wanted: fn(&StepStatus) -> bool| {
        status.steps.iter().filter(|status| wanted(status)).count()
    };
    let cached = count(|status| matches!(status, StepStatus::Cached));
    let open = count(|status| matches!(status, StepStatus::DependsOn { .. }));
    let total = status.steps.len();
    write!(
        out,
        "\n{total} {}, {cached} cached, {} to run",
        if total == 1 { "step" } else { "steps" },
        total - cached - open
    )?;
    if open > 0 {
        write!(out, ", {open} depending on those")?;
    }
    if status.up_to_date {
        write!(out, "; the output is up to date")?;
    }
    let deferred = plan.steps.iter().filter(|step| step.deferred).count();
    if deferred > 0 {
        write!(out, "; {deferred} left to the first boot")?;
    }
    writeln!(out)
}

fn write_step(step: &Step, status: &StepStatus, out: &mut dyn fmt::Write) -> fmt::Result {
    let word = match status {
        StepStatus::Cached => "cached".to_owned(),
        StepStatus::Runs(why) => format!("runs: {}", why.join("; ")),
        StepStatus::DependsOn { step, prepared: true } => {
            format!("prepared; depends on step {step}")
        }
        StepStatus::DependsOn { step, prepared: false } => format!("depends on step {step}"),
    };
    writeln!(out, "{:>4}  {}  ({word})", step.number, step.title)?;
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
fn phases(plan: &Plan) -> Vec<(order::Phase, Vec<&Step>)> {
    let mut phases: Vec<(order::Phase, Vec<&Step>)> = Vec::new();
    for step in &plan.steps {
        match phases.last_mut() {
            Some((phase, steps)) if *phase == step.phase => steps.push(step),
            _ => phases.push((step.phase, vec![step])),
        }
    }
    phases
}

/// Edges between steps that stand for themselves, not for a whole phase.
fn edges(plan: &Plan) -> impl Iterator<Item = (usize, usize, &str)> {
    let own = |reason: &&StepReason| !reason.is_phase();
    plan.steps.iter().flat_map(move |step| {
        step.reasons.iter().filter(own).flat_map(|reason| {
            reason.after.iter().map(|after| (*after, step.number, reason.why.as_str()))
        })
    })
}

fn write_dot(plan: &Plan, out: &mut String) -> fmt::Result {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    writeln!(out, "digraph plan {{\n  rankdir=LR; compound=true; node [shape=box];")?;
    let phases = phases(plan);
    for (phase, steps) in &phases {
        writeln!(out, "  subgraph {} {{", quoted(&format!("cluster_{}", phase.name())))?;
        writeln!(out, "    label={};", quoted(phase.name()))?;
        for step in steps {
            let label = format!("{}. {}", step.number, step.title);
            writeln!(out, "    s{} [label={}];", step.number, quoted(&label))?;
        }
        writeln!(out, "  }}")?;
    }
    for pair in phases.windows(2) {
        let (Some(from), Some(to)) = (pair[0].1.last(), pair[1].1.first()) else { continue };
        let ends = [&pair[0], &pair[1]].map(|(phase, _)| format!("cluster_{}", phase.name()));
        writeln!(
            out,
            "  s{} -> s{} [ltail={}, lhead={}, label={}];",
            from.number,
            to.number,
            quoted(&ends[0]),
            quoted(&ends[1]),
            quoted(pair[1].0.row().why),
        )?;
    }
    for (from, to, why) in edges(plan) {
        writeln!(out, "  s{from} -> s{to} [style=dashed, label={}];", quoted(why))?;
    }
    writeln!(out, "}}")
}

fn write_mermaid(plan: &Plan, out: &mut String) -> fmt::Result {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "#quot;"));
    writeln!(out, "flowchart LR")?;
    let phases = phases(plan);
    for (phase, steps) in &phases {
        writeln!(out, "  subgraph {}", phase.name())?;
        for step in steps {
            let label = format!("{}. {}", step.number, step.title);
            writeln!(out, "    s{}[{}]", step.number, quoted(&label))?;
        }
        writeln!(out, "  end")?;
    }
    for pair in phases.windows(2) {
        let why = quoted(pair[1].0.row().why);
        writeln!(out, "  {} -->|{why}| {}", pair[0].0.name(), pair[1].0.name())?;
    }
    for (from, to, why) in edges(plan) {
        writeln!(out, "  s{from} -.->|{}| s{to}", quoted(why))?;
    }
    Ok(())
}
