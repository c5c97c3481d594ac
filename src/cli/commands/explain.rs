//! `transom explain`: why a step is where it is and why it ran, where a file or value comes from, what an error code means.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::session::{self, Planning, RecipeArguments};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
    },
    plan::{
        PlannedImage,
        explain::{
            self, PlaceHistory, StepDetail, Target,
            place::{HistoryError, TargetError},
            step::{FindError, SHOWN},
            text,
        },
        state,
    },
    servicing::error_codes::{self, Found},
};

/// Explain a recipe's steps, a path of the image, or an error code
///
/// With a RECIPE: of every step why it stands where it stands, why it ran or was cached in the last build, and whether it would run now and which
/// part of what it depends on changed. With a STEP (its name, its number, or a part of its name): the same in detail, its inputs, its key, and what it changed.
/// With --path: which steps put a file or a registry value into the image, or that it is the base's. Nothing is built; what the steps did is read from the cache.
///
/// With an error code in place of the recipe (0x800f081e, 2148468766, -2146498530, CBS_E_NOT_APPLICABLE) or words of an error text: what it means, what causes
/// it in an image, and what to do. No recipe is needed.
///
/// Exit codes: 2 no such step, or no path of an image, 3 recipe invalid, 5 base or input missing or damaged, 6 no valid plan.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_long_help = r#"Examples:
  transom explain server.toml
  transom explain server.toml services.RemoteRegistry
  transom explain server.toml 12 --all
  transom explain server.toml --path 'C:\Windows\System32\drivers\netkvm.sys'
  transom explain server.toml --path 'HKLM\SYSTEM\CurrentControlSet\Services\RemoteRegistry : Start'
  transom explain 0x800f081e
  transom explain source files could not be found"#
)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    recipe: RecipeArguments,

    /// A step: its name, its number, or a part of its name; or more words of an error text
    #[arg(value_name = "STEP")]
    step: Vec<String>,

    /// A file or folder of the image, a registry key or value (KEY : NAME)
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// Of several images that one alone, by its number in the base
    #[arg(long, value_name = "NUMBER")]
    image: Option<u32>,

    /// Show every change, not only the first
    #[arg(long)]
    all: bool,

    /// Print JSON: {output, last-build, images: [{steps: [...]}], ...}; of a step {details: [...]}, of a path {histories: [...]}, of an error {errors: [...]}
    #[arg(long)]
    json: bool,
}

/// What is printed of one recipe.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<StepDetail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    histories: Vec<PlaceHistory>,
}

/// What is printed of error codes.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Errors {
    errors: Vec<Found>,
}

/// Runs `transom explain`.
pub(crate) fn run(arguments: &ExplainArguments, context: &Context) -> Result<(), Failure> {
    if let Some(errors) = errors(arguments) {
        return print_errors(errors, arguments, context);
    }
    let [step] = &arguments.step[..] else {
        return match arguments.step.is_empty() {
            true => explain_recipe(arguments, None, context),
            false => Err(usage("explain one step at a time", None)),
        };
    };
    explain_recipe(arguments, Some(step), context)
}

/// The error codes that are meant, when it is no recipe that is.
fn errors(arguments: &ExplainArguments) -> Option<Vec<Found>> {
    let first = arguments.recipe.recipe.to_str()?;
    let is_recipe = arguments.recipe.recipe.exists()
        || Path::new(first).extension().is_some_and(|extension| extension == "toml")
        || arguments.path.is_some();
    if is_recipe {
        return None;
    }
    let words: Vec<&str> =
        std::iter::once(first).chain(arguments.step.iter().map(String::as_str)).collect();
    let found = error_codes::find(&words.join(" "));
    (!found.is_empty()).then_some(found)
}

fn print_errors(
    errors: Vec<Found>,
    arguments: &ExplainArguments,
    context: &Context,
) -> Result<(), Failure> {
    if arguments.json {
        return context.printer.json(&Errors { errors });
    }
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    context.printer.text(texts.join("\n"))
}

fn explain_recipe(
    arguments: &ExplainArguments,
    step: Option<&str>,
    context: &Context,
) -> Result<(), Failure> {
    let target = arguments.path.as_deref().map(Target::parse).transpose().map_err(no_place)?;
    if target.is_some() && step.is_some() {
        return Err(usage("give a step or --path, not both", None));
    }
    let recipes = arguments.recipe.load()?;
    let store = session::store(context)?;
    let planning = Planning { silent: true, ..Planning::default() };
    let mut plans = Vec::new();
    for recipe in &recipes {
        let recipe_path = &arguments.recipe.recipe;
        plans.push(session::plan(recipe, recipe_path, &store, planning, context)?);
    }
    if let Some(number) = arguments.image {
        if !plans.iter().flat_map(|plan| &plan.images).any(|image| image.index == number) {
            return Err(usage(&format!("the recipe does not build image {number}"), None));
        }
    }
    let (mut texts, mut overviews, mut details) = (Vec::new(), Vec::new(), Vec::new());
    for plan in &plans {
        let status = state::status(plan, &store).map_err(failures::build_store)?;
        let last = state::last_build(plan, &store).map_err(failures::build_store)?;
        let mut explanation = explain::overview(plan, &status, last.as_ref(), &store)
            .map_err(failures::build_store)?;
        let shown = if arguments.all { usize::MAX } else { SHOWN };
        let mut found = Details {
            variant: plan.variant.as_deref(),
            details: Vec::new(),
            histories: Vec::new(),
        };
        if let Some(step) = step {
            let places = explain::find(plan, step).map_err(no_step)?;
            for place in places.into_iter().filter(|place| wanted(arguments, &plan.images[place.0]))
            {
                let detail =
                    explain::detail(plan, &explanation, place, last.as_ref(), &store, shown);
                found.details.extend(detail.map_err(failures::build_store)?);
            }
            texts.extend(found.details.iter().map(text::detail));
        } else if let Some(target) = &target {
            for image in plan.images.iter().filter(|image| wanted(arguments, image)) {
                let history = explain::history(plan, image, target, last.as_ref(), &store, shown);
                found.histories.push(history.map_err(no_history)?);
            }
            texts.extend(found.histories.iter().map(text::history));
        } else {
            explanation
                .images
                .retain(|image| arguments.image.is_none_or(|number| number == image.image));
            texts.push(text::overview(&explanation));
            overviews.push(explanation);
            continue;
        }
        details.push(found);
    }
    if !arguments.json {
        return context.printer.text(texts.join("\n"));
    }
    if overviews.is_empty() {
        session::json(details, context)
    } else {
        session::json(overviews, context)
    }
}

fn wanted(arguments: &ExplainArguments, image: &PlannedImage) -> bool {
    arguments.image.is_none_or(|number| number == image.index)
}

fn usage(message: &str, help: Option<String>) -> Failure {
    let problem = Problem::new("usage", message);
    match help {
        Some(help) => problem.help(help).exit(Exit::Usage),
        None => problem.exit(Exit::Usage),
    }
}

fn no_place(error: TargetError) -> Failure {
    let help = match &error {
        TargetError::Registry(error) => error.help.clone(),
        TargetError::Path(_) => {
            r"write it as `C:\Windows\...`, or `HKLM\SOFTWARE\...` for the registry".to_owned()
        }
    };
    usage(&error.to_string(), Some(help).filter(|help| !help.is_empty()))
}

fn no_step(error: FindError) -> Failure {
    let help = match &error {
        FindError::None { near: Some(near), .. } => format!("did you mean `{near}`?"),
        FindError::None { near: None, .. } => {
            "`transom explain RECIPE` lists the steps with their names".to_owned()
        }
        FindError::Several { names, .. } => {
            format!("write one of them: {}", crate::cli::text::few(names, 10))
        }
    };
    usage(&error.to_string(), Some(help))
}

fn no_history(error: HistoryError) -> Failure {
    match error {
        HistoryError::Store(error) => failures::build_store(error),
        HistoryError::Image(error) => {
            Problem::new("explain::image", "what the steps did cannot be done to the base image")
                .cause(error)
                .help("build with --no-cache, and ask again")
                .exit(Exit::BadInput)
        }
    }
}
