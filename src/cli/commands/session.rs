//! What the verbs that take a recipe have in common: loading it, opening the store, planning.

use std::{path::Path, path::PathBuf, sync::Arc};

use clap::Args;

use crate::{
    cli::{app::Context, exit::Failure, failures, progress::Tally},
    plan::{self, Control, Plan},
    recipe::{self, Finding, Recipe},
    store::Store,
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
    /// Keep what is odd to itself: another verb tells it.
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
        for warning in &made.warnings {
            warn(warning, context);
        }
    }
    Ok(made)
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
