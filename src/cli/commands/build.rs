//! `transom build`: from a recipe to an image.

use std::sync::Arc;

use clap::Args;

use super::session::{self, Planning, RecipeArguments};
use crate::{
    base::{limits::Limits, secret::Secrets},
    cli::{
        app::Context,
        exit::{Exit, Failure},
        failures,
        progress::BuildView,
        settings, text,
    },
    pipeline::{self, Outcome},
    plan::{Plan, output},
    recipe::{Findings, Recipe},
    store::Store,
};

/// Build the image that a recipe describes
///
/// Plans, prepares steps in parallel, applies them in order, and writes the output beside its place; it appears there complete or not at all. The base is
/// only read. Steps that were done before are not done again; when nothing changed, nothing is done at all.
///
/// The lock file is written or refreshed, except with --locked or when CI is set in the environment: then a build refuses unless the lock file says
/// what is there (--no-locked lifts that). With --set the lock file is not written either: it is the recipe's, not that of one build; --locked compares it
/// even then.
///
/// A recipe with a [matrix] is built in all its variants, one after the other, or in one with --variant; each has a lock file of its own
/// (NAME.VARIANT.lock). What several have in common is prepared once.
/// With rules under [policy], the finished images are held against them before anything is written; one that breaks a rule is not written, and what was done
/// stays in the cache.
/// Secrets that the recipe names as { env = "NAME" } are taken from the environment and written into the output alone; an output with secrets is written
/// anew each time.
///
/// Exit codes: 1 a step failed, 3 recipe invalid, 4 lock file, 5 base or input, 6 no valid plan, 7 policy, 9 output.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom build server.toml
  transom build server.toml --variant core
  transom build server.toml --locked --set 'output.path="/mnt/images/server.wim"'"#)]
pub(crate) struct BuildArguments {
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Refuse unless the lock file says the same [default when CI is set]
    #[arg(long)]
    pub(crate) locked: bool,

    /// Write the lock file even when CI is set
    #[arg(long, conflicts_with = "locked")]
    pub(crate) no_locked: bool,

    /// Do every step again
    #[arg(long)]
    pub(crate) no_cache: bool,

    /// Hash base and inputs again, even if they look unchanged
    #[arg(long)]
    pub(crate) rehash: bool,

    /// Print JSON: {output, up-to-date, name, version, size, guid, state, commit, images: [...], steps: [...], ...}; of several variants
    /// {variants: [...]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `transom build`.
pub(crate) fn run(arguments: &BuildArguments, context: &Context) -> Result<(), Failure> {
    let recipes = arguments.recipe.load()?;
    for recipe in &recipes {
        let secrets = secrets(recipe);
        // Before the base is hashed, which takes a while; the pipeline asks again.
        Findings::check(pipeline::missing_secrets(&recipe.secrets, &secrets))
            .map_err(|found| failures::findings(&found, Exit::BadInput))?;
    }
    let store = session::store(context)?;
    let environment = context.settings.continuous_integration && !arguments.no_locked;
    let locked = arguments.locked || environment;
    let planning = Planning {
        locked,
        rehash: arguments.rehash,
        no_cache: arguments.no_cache,
        ..Planning::default()
    };
    // Whatever can be refused is refused before anything is built.
    let mut plans = Vec::new();
    for recipe in &recipes {
        let plan = session::plan(recipe, &arguments.recipe.recipe, &store, planning, context)?;
        plans.push(plan);
    }
    refuse_shared_files(&recipes, &plans)?;
    let mut outcomes = Vec::new();
    for (recipe, plan) in recipes.iter().zip(&plans) {
        if let Some(variant) = &plan.variant {
            context.printer.note(format_args!("variant {variant}"));
        }
        write_lock(plan, locked, arguments, context)?;
        let outcome = build(recipe, plan, &store, arguments, context)?;
        if arguments.json {
            outcomes.push(outcome);
        } else {
            context.printer.line(summary(&outcome))?;
        }
    }
    if arguments.json {
        return session::json(outcomes, context);
    }
    Ok(())
}

/// Refuses a variant whose output is what another one reads or writes.
fn refuse_shared_files(recipes: &[Recipe], plans: &[Plan]) -> Result<(), Failure> {
    for (place, (recipe, plan)) in recipes.iter().zip(plans).enumerate() {
        let others = plans.iter().enumerate().filter(|(other, _)| *other != place);
        for (_, other) in others {
            output::refuse_files_of(recipe, &plan.output, other).map_err(failures::plan)?;
        }
    }
    Ok(())
}

/// The values of the recipe's secrets.
fn secrets(recipe: &Recipe) -> Secrets {
    settings::secrets(recipe.secrets.keys(), &|name| std::env::var_os(name))
}

/// Writes the lock file, where it may be written.
fn write_lock(
    plan: &Plan,
    locked: bool,
    arguments: &BuildArguments,
    context: &Context,
) -> Result<(), Failure> {
    if !locked && !arguments.recipe.set.is_empty() {
        let lock = plan.lock_path.display();
        context.printer.note(format_args!("--set: {lock} is neither written nor compared"));
    } else if !locked {
        let written =
            plan.write_lock().map_err(|error| failures::output(&plan.lock_path, error))?;
        if written {
            context.printer.note(format_args!("wrote {}", plan.lock_path.display()));
        }
    }
    Ok(())
}

fn build(
    recipe: &Recipe,
    plan: &Plan,
    store: &Arc<Store>,
    arguments: &BuildArguments,
    context: &Context,
) -> Result<Outcome, Failure> {
    let secrets = secrets(recipe);
    let view = BuildView::new(&context.settings);
    let cancelled = || context.interrupt.pressed();
    let settings = pipeline::Settings {
        no_cache: arguments.no_cache,
        inventory: true,
        limits: Limits::default(),
        secrets: &secrets,
        cancelled: &cancelled,
        events: &|event| view.event(&event),
    };
    let outcome = pipeline::build(plan, store, &settings);
    view.finish();
    let outcome = outcome.map_err(|error| failures::build(&recipe.base.wim.value, error))?;
    for warning in &outcome.warnings {
        context.printer.warn(warning);
    }
    let deferred = outcome.steps.iter().filter(|step| step.deferred);
    let mut deferred: Vec<&str> = deferred.map(|step| step.name.as_str()).collect();
    let mut said = std::collections::BTreeSet::new();
    deferred.retain(|name| said.insert(*name));
    if !deferred.is_empty() {
        context.printer.note(format_args!(
            "left to the first boot: {}; what came of it is in Windows\\Logs\\transom-first-boot.status then",
            deferred.join(", ")
        ));
    }
    Ok(outcome)
}

fn summary(outcome: &Outcome) -> String {
    let (output, size) = (outcome.output.display(), text::size(outcome.size));
    if outcome.up_to_date {
        return format!("{output}: up to date ({size})");
    }
    let steps = outcome.steps.len() as u64;
    let version =
        outcome.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    let images = match outcome.images.len() {
        0 | 1 => String::new(),
        count => format!(", {count} images"),
    };
    let unchanged = outcome.steps.iter().filter(|step| !step.changed).count();
    let unchanged = match unchanged {
        0 => String::new(),
        count => format!(", {count} without effect"),
    };
    format!(
        "{output}: built ({size}{version}{images}); {}, {} cached{unchanged}; {} copied, {} compressed",
        text::count(steps, "step", "steps"),
        outcome.cached_steps(),
        text::size(outcome.copied_bytes),
        text::size(outcome.encoded_bytes)
    )
}
