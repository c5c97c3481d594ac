//! What the verbs that take a recipe have in common: loading it, opening the store, planning.

use std::{path::Path, path::PathBuf, sync::Arc};

use clap::Args;

use crate::{
    cli::{app::Context, exit::Failure, failures, progress::Tally, text},
    plan::{
        self, Control, Plan,
        state::{self, StepStatus},
    },
    recipe::{self, Finding, Recipe},
    store::{RecordKind, Store},
};

/// The recipe, and what lies over it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RecipeArguments {
    /// The recipe
    #[arg(value_name = "RECIPE")]
    pub(crate) recipe: PathBuf,

    /// Set a value over the recipe's, such as output.path=x.wim; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Take this variant of the recipe's [matrix] alone [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Option<String>,
}

impl RecipeArguments {
    /// Loads the recipe: itself, or its variants.
    pub(crate) fn load(&self) -> Result<Vec<Recipe>, Failure> {
        recipe::load_variants(&self.recipe, &self.set, self.variant.as_deref())
            .map_err(|findings| failures::recipe(&findings))
    }
}

/// What a verb found out of a recipe, as JSON: of several variants under `variants`.
#[derive(serde::Serialize)]
struct Variants<T> {
    variants: Vec<T>,
}

/// Prints what a verb found out of a recipe, or of each of its variants.
pub(crate) fn json<T: serde::Serialize>(
    mut found: Vec<T>,
    context: &Context,
) -> Result<(), Failure> {
    match (found.len(), found.pop()) {
        (1, Some(one)) => context.printer.json(&one),
        (_, last) => {
            found.extend(last);
            context.printer.json(&Variants { variants: found })
        }
    }
}

/// How to plan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Planning {
    /// Refuse unless the lock file says the same.
    pub(crate) locked: bool,
    /// Hash base and inputs again, whatever their stamps say.
    pub(crate) rehash: bool,
    /// Do not believe what is remembered of the base image.
    pub(crate) no_cache: bool,
    /// Only order the steps: another tool will do them.
    pub(crate) unchecked: bool,
    /// Keep what is odd to itself: it was told, or another verb tells it.
    pub(crate) silent: bool,
}

/// Opens the store.
pub(crate) fn store(context: &Context) -> Result<Arc<Store>, Failure> {
    let folder = context.settings.cache_directory()?;
    let store = Store::open(&folder).map_err(|error| failures::store(&folder, error))?;
    Ok(Arc::new(store))
}

/// Makes the plan of a recipe. What is odd becomes warnings.
pub(crate) fn plan(
    recipe: &Recipe,
    path: &Path,
    store: &Store,
    planning: Planning,
    context: &Context,
) -> Result<Plan, Failure> {
    context.interrupt.cooperative();
    let tally = Tally::new(&context.settings, "reading");
    let cancelled = || context.interrupt.pressed();
    let options = plan::Options {
        locked: planning.locked,
        no_cache: planning.no_cache,
        unchecked: planning.unchecked,
        source_date_epoch: context.settings.epoch,
        control: Control {
            cancelled: &cancelled,
            hashed: &|bytes| tally.add(bytes),
            rehash: planning.rehash,
        },
        ..plan::Options::default()
    };
    let made = plan::make(recipe, path, store, &options);
    tally.finish();
    let made = made.map_err(failures::plan)?;
    if !planning.silent {
        warn_all(&made.warnings, context);
    }
    Ok(made)
}

/// As many warnings of one kind as are told one by one.
const TOLD: usize = 2;

/// Findings that stop nothing. Where many say the same of different things, that is said once.
fn warn_all(warnings: &[Finding], context: &Context) {
    let mut kinds: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for warning in warnings {
        let message = warning.message();
        let cause = message.split_once(": ").map_or(message, |(_, cause)| cause);
        match kinds.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, alike)) => alike.push(warning),
            None => kinds.push((cause, vec![warning])),
        }
    }
    for (cause, alike) in kinds {
        if alike.len() <= TOLD {
            alike.iter().for_each(|warning| warn(warning, context));
            continue;
        }
        let item = |warning: &&Finding| {
            let name = warning.message().split_once(": ").map_or("", |(item, _)| item).to_owned();
            let place = warning.labels().next().map(|label| label.origin.to_string());
            place.map_or_else(|| name.clone(), |place| format!("{place}: {name}"))
        };
        let items: Vec<String> = alike.iter().map(item).collect();
        let help = alike[0].help().map(|help| format!(" ({help})")).unwrap_or_default();
        let list = items.join("\n  ");
        let count = alike.len();
        context.printer.warn(format_args!("{count} times: {cause}{help}\n  {list}"));
    }
}

/// A build was interrupted: how much of it is kept.
pub(crate) fn interrupted(plan: &Plan, store: &Store) -> Failure {
    let Ok(status) = state::status(plan, store) else { return Failure::interrupted() };
    let (mut kept, mut prepared) = (0, 0);
    for (step, status) in plan.steps().zip(status.steps()) {
        let is_prepared = || {
            let record = store.record(RecordKind::Prepared, &step.parts.prepared_key());
            !step.parts.inputs.is_empty() && record.is_ok_and(|record| record.is_some())
        };
        match status {
            StepStatus::Cached => kept += 1,
            _ if is_prepared() => prepared += 1,
            _ => {}
        }
    }
    let steps = text::count(plan.steps().count() as u64, "step", "steps");
    let is = if kept == 1 { "is" } else { "are" };
    let output = plan.output.path.display();
    let kept = match (kept, prepared) {
        (0, 0) => "nothing of it is kept yet".to_owned(),
        (kept, 0) => format!("{kept} of {steps} {is} kept in the cache"),
        (kept, more) => {
            format!(
                "{kept} of {steps} {is} kept in the cache, and what {more} more need is prepared"
            )
        }
    };
    Failure::interrupted_so(
        &format!("{output} is as it was before; {kept}"),
        "run the same command again to go on",
    )
}

/// A finding that stops nothing.
pub(crate) fn warn(finding: &Finding, context: &Context) {
    let place = finding
        .labels()
        .next()
        .map(|label| format!("{}:{}: ", label.origin.source().name, label.origin.line()))
        .unwrap_or_default();
    let help = finding.help().map(|help| format!(" ({help})")).unwrap_or_default();
    context.printer.warn(format_args!("{place}{}{help}", finding.message()));
}
