//! `transom build`: from a recipe to an image.

use std::{path::PathBuf, sync::Arc};

use clap::Args;

use super::{
    keys,
    session::{self, Planning, RecipeArguments},
};
use crate::{
    base::{limits::Limits, secret::Secrets},
    cli::{
        app::Context,
        exit::{Exit, Failure},
        failures,
        progress::{BuildView, Meter, View},
        recorder::Recorder,
        settings, text,
    },
    pipeline::{
        self, BuildError, Outcome,
        report::{
            Report, beside,
            collect::{CollectError, Watching, collect},
            current,
            signing::SigningKey,
        },
    },
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
/// even then. What is set is told in the report, so it is no place for what should not be known; of output.path only that it was set.
///
/// A recipe with a [matrix] is built in all its variants, one after the other, or in one with --variant; each has a lock file of its own
/// (NAME.VARIANT.lock). What several have in common is prepared once.
/// With rules under [policy], the finished images are held against them before anything is written; one that breaks a rule is not written, and what was done
/// stays in the cache.
/// Secrets that the recipe names as { env = "NAME" } are taken from the environment and written into the output alone; an output with secrets is written
/// anew each time.
///
/// Beside the output, under its name without the extension, the build is told: NAME.report.html for people, NAME.report.json (what was built, from what and
/// why: the same bytes every time) and NAME.run.json (times, what was cached, the host) for programs, bills of materials and a provenance statement. A build
/// that fails writes none of them. `transom schema report` and `transom schema run` print their schemas.
/// With --sign-key the provenance is also written as a DSSE envelope with an Ed25519 signature, which `transom verify --against` checks. An output with secrets
/// has no provenance, because a digest would let a guess be tried, and cannot be signed.
///
/// Exit codes: 1 a step failed, 3 recipe invalid, 4 lock file, 5 base or input, 6 no valid plan, 7 policy, 9 output.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom build server.toml
  transom build server.toml --variant core
  openssl genpkey -algorithm ed25519 -out sign.key; transom build server.toml --sign-key sign.key
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

    /// Write no report, bill of materials or provenance beside the output
    #[arg(long)]
    pub(crate) no_report: bool,

    /// Sign the provenance with this Ed25519 key, a PEM file, into NAME.provenance.dsse.json [env: TRANSOM_SIGN_KEY]
    #[arg(long, value_name = "FILE", conflicts_with = "no_report")]
    pub(crate) sign_key: Option<PathBuf>,

    /// Print JSON: {output, up-to-date, name, version, size, guid, state, commit, images: [...], steps: [...], documents: [...], ...}; of several
    /// variants {variants: [...]}
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
    let key = keys::signing(arguments, &recipes, context)?;
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
    let (mut plans, mut recorders) = (Vec::new(), Vec::new());
    for recipe in &recipes {
        let recorder = Recorder::start();
        let path = &arguments.recipe.recipe;
        let plan = || session::plan(recipe, path, &store, planning, context);
        plans.push(recorder.stage("plan", plan)?);
        recorder.stop();
        recorders.push(recorder);
    }
    refuse_shared_files(&recipes, &plans)?;
    if !arguments.no_report {
        refuse_documents(&recipes, &plans)?;
    }
    let mut outcomes = Vec::new();
    for ((recipe, plan), recorder) in recipes.iter().zip(&plans).zip(&recorders) {
        if let Some(variant) = &plan.variant {
            context.printer.note(format_args!("variant {variant}"));
        }
        write_lock(plan, locked, arguments, context)?;
        recorder.go_on();
        let (store, key) = (&store, key.as_ref());
        let building = Building { recipe, plan, store, recorder, arguments, key, context };
        let built = building.build()?;
        if arguments.json {
            outcomes.push(built);
        } else {
            context.printer.line(summary(&built.outcome))?;
            let page = built
                .documents
                .iter()
                .find(|path| path.extension().is_some_and(|end| end == "html"));
            if let Some(page) = page.or_else(|| built.documents.first()) {
                context.printer.line(format_args!("report: {}", page.display()))?;
            }
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

/// Refuses an output whose documents would be written over what a build reads or writes.
fn refuse_documents(recipes: &[Recipe], plans: &[Plan]) -> Result<(), Failure> {
    for (place, (recipe, plan)) in recipes.iter().zip(plans).enumerate() {
        let others = plans.iter().enumerate().filter(|(other, _)| *other != place);
        let others: Vec<(&Plan, Vec<PathBuf>)> =
            others.map(|(_, other)| (other, beside::paths_of(&other.output.path))).collect();
        let documents = beside::paths_of(&plan.output.path);
        output::refuse_documents(recipe, plan, &documents, &others).map_err(failures::plan)?;
    }
    Ok(())
}

/// What was built, and the documents about it.
#[derive(serde::Serialize)]
#[serde(rename_all = "kebab-case")]
struct Built {
    #[serde(flatten)]
    outcome: Outcome,
    /// The documents beside the output.
    documents: Vec<PathBuf>,
}

/// A build of one recipe.
struct Building<'a> {
    recipe: &'a Recipe,
    plan: &'a Plan,
    store: &'a Arc<Store>,
    recorder: &'a Recorder,
    arguments: &'a BuildArguments,
    key: Option<&'a SigningKey>,
    context: &'a Context,
}

impl Building<'_> {
    /// Builds, and tells of it beside the output.
    fn build(&self) -> Result<Built, Failure> {
        let output = &self.plan.output.path;
        if !self.arguments.no_report {
            beside::check_places(output).map_err(failures::document_place)?;
        }
        let mut outcome = self.run(self.arguments.no_cache)?;
        let documents = match self.arguments.no_report {
            true => Ok(Vec::new()),
            false => self.documents(&mut outcome),
        };
        self.tell(&outcome);
        let written = documents.as_ref().map_or(&[][..], Vec::as_slice);
        for stale in beside::stale(output, &outcome.commit.to_hex(), written) {
            let stale = stale.display();
            self.context
                .printer
                .warn(format_args!("{stale} tells of an earlier build of this output"));
        }
        Ok(Built { outcome, documents: documents? })
    }

    /// Runs the pipeline.
    fn run(&self, no_cache: bool) -> Result<Outcome, Failure> {
        let secrets = secrets(self.recipe);
        let view = BuildView::new(&self.context.settings);
        let cancelled = || self.context.interrupt.pressed();
        let settings = pipeline::Settings {
            no_cache,
            inventory: !self.arguments.no_report,
            limits: Limits::default(),
            secrets: &secrets,
            cancelled: &cancelled,
            events: &|event| {
                self.recorder.event(&event);
                view.event(&event);
            },
        };
        let outcome = pipeline::build(self.plan, self.store, &settings);
        view.finish();
        outcome.map_err(|error| match error {
            BuildError::Cancelled => session::interrupted(self.plan, self.store),
            error => failures::build(&self.recipe.base.wim.value, error),
        })
    }

    /// Writes the documents about the output, and gives where they are.
    fn documents(&self, outcome: &mut Outcome) -> Result<Vec<PathBuf>, Failure> {
        let failed = |error| failures::report(&self.plan.output.path, error);
        let (recipe, plan, store) = (self.recipe, self.plan, self.store.as_ref());
        let of_store = |error| failures::report(&plan.output.path, CollectError::Store(error));
        if outcome.up_to_date
            && self.key.is_none()
            && let Some(paths) = current::recall(recipe, plan, outcome, store).map_err(of_store)?
        {
            return Ok(paths);
        }
        let report = match self.recorder.stage("report", || self.collect(outcome)) {
            // What the cache has lost is made anew, with the same bytes.
            Err(CollectError::Lost(what)) if !self.arguments.no_cache => {
                self.context
                    .printer
                    .note(format_args!("the cache has lost {what}; building again"));
                *outcome = self.run(true)?;
                self.recorder.stage("report", || self.collect(outcome)).map_err(failed)?
            }
            report => report.map_err(failed)?,
        };
        let run = self.recorder.run(self.plan, outcome);
        let paths = beside::write(&self.plan.output.path, &report, &run, self.key)
            .map_err(|error| failures::document(&self.plan.output.path, error))?;
        current::remember(recipe, plan, outcome, &paths, store).map_err(of_store)?;
        Ok(paths)
    }

    fn collect(&self, outcome: &Outcome) -> Result<Report, CollectError> {
        // For people alone: to a program a build is over with the event that says so.
        let meter = Meter::new(&self.context.settings, "hashing", outcome.size);
        let is_shown = View::of(&self.context.settings) == View::Live;
        let watching = Watching {
            cancelled: &|| self.context.interrupt.pressed(),
            hashed: &|done, total| {
                if is_shown {
                    meter.at_of(done, total);
                }
            },
        };
        let report = collect(self.recipe, self.plan, outcome, self.store, &watching);
        if is_shown {
            meter.finish();
        }
        report
    }

    /// Says what a person should know.
    fn tell(&self, outcome: &Outcome) {
        let context = self.context;
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
    }
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
