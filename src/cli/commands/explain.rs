//! `transom explain`: why a step is where it is and why it ran, where a file or value comes from, what an error code means.

use std::{path::Path, sync::Arc};

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
        Plan, PlannedImage,
        explain::{
            self, Explanation, PlaceHistory, StepDetail, Target,
            place::{HistoryError, TargetError},
            step::{FindError, SHOWN},
            text,
        },
        state,
    },
    servicing::error_codes::{self, Found},
    store::Store,
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

/// What is asked of a recipe.
enum Asked<'a> {
    Everything,
    Step(&'a str),
    Place(Target),
}

/// What is told of the plans.
#[derive(Default)]
struct Told<'a> {
    texts: Vec<String>,
    overviews: Vec<Explanation<'a>>,
    details: Vec<Details<'a>>,
    /// Of plans that do not have the step: another variant may.
    not_found: Vec<FindError>,
}

fn explain_recipe(
    arguments: &ExplainArguments,
    step: Option<&str>,
    context: &Context,
) -> Result<(), Failure> {
    let target = arguments.path.as_deref().map(Target::parse).transpose().map_err(no_place)?;
    let asked = match (step, target) {
        (Some(_), Some(_)) => return Err(usage("give a step or --path, not both", None)),
        (Some(step), None) => Asked::Step(step),
        (None, Some(target)) => Asked::Place(target),
        (None, None) => Asked::Everything,
    };
    let recipes = arguments.recipe.load()?;
    let store = session::store(context)?;
    let planning = Planning { silent: true, ..Planning::default() };
    let mut plans = Vec::new();
    for recipe in &recipes {
        let recipe_path = &arguments.recipe.recipe;
        plans.push(session::plan(recipe, recipe_path, &store, planning, context)?);
    }
    if let Some(number) = arguments.image
        && !plans.iter().flat_map(|plan| &plan.images).any(|image| image.index == number)
    {
        return Err(usage(&format!("the recipe does not build image {number}"), None));
    }
    let mut told = Told::default();
    for plan in &plans {
        explain_plan(plan, &asked, &store, arguments, &mut told)?;
    }
    let Told { texts, overviews, details, not_found } = told;
    if details.is_empty()
        && let Some(error) = not_found.into_iter().next()
    {
        return Err(no_step(error));
    }
    if !arguments.json {
        context.printer.text(texts.join("\n"))
    } else if overviews.is_empty() {
        session::json(details, context)
    } else {
        session::json(overviews, context)
    }
}

fn explain_plan<'a>(
    plan: &'a Plan,
    asked: &Asked<'_>,
    store: &Arc<Store>,
    arguments: &ExplainArguments,
    told: &mut Told<'a>,
) -> Result<(), Failure> {
    let status = state::status(plan, store).map_err(failures::build_store)?;
    let last = state::last_build(plan, store).map_err(failures::build_store)?;
    let last = last.as_ref();
    let mut explanation =
        explain::overview(plan, &status, last, store).map_err(failures::build_store)?;
    let shown = if arguments.all { usize::MAX } else { SHOWN };
    let is_wanted =
        |image: &PlannedImage| arguments.image.is_none_or(|number| number == image.index);
    let mut found =
        Details { variant: plan.variant.as_deref(), details: Vec::new(), histories: Vec::new() };
    match asked {
        Asked::Everything => {
            let number = arguments.image;
            explanation.images.retain(|image| number.is_none_or(|number| number == image.image));
            told.texts.push(text::overview(&explanation));
            told.overviews.push(explanation);
            return Ok(());
        }
        Asked::Step(step) => {
            let places = match explain::find(plan, step) {
                Ok(places) => places,
                Err(error) => {
                    told.not_found.push(error);
                    return Ok(());
                }
            };
            for place in places.into_iter().filter(|place| is_wanted(&plan.images[place.0])) {
                let detail = explain::detail(plan, &explanation, place, last, store, shown);
                found.details.extend(detail.map_err(failures::build_store)?);
            }
            if found.details.is_empty() {
                let given = (*step).to_owned();
                told.not_found.push(FindError::None { given, near: None });
            }
        }
        Asked::Place(target) => {
            for image in plan.images.iter().filter(|image| is_wanted(image)) {
                let history = explain::history(plan, image, target, last, store, shown);
                found.histories.push(history.map_err(no_history)?);
            }
        }
    }
    // Another variant may have that image, or that step.
    if found.details.is_empty() && found.histories.is_empty() {
        return Ok(());
    }
    told.texts.extend(variant_line(plan));
    told.texts.extend(found.details.iter().map(text::detail));
    told.texts.extend(found.histories.iter().map(text::history));
    told.details.push(found);
    Ok(())
}

/// What stands above the explanation of a variant.
fn variant_line(plan: &Plan) -> Option<String> {
    plan.variant.as_ref().map(|variant| format!("variant {variant}\n"))
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
        FindError::NoNumber { last: 0, .. } => "the recipe has no steps".to_owned(),
        FindError::NoNumber { last: 1, .. } => "the recipe has step 1 alone".to_owned(),
        FindError::NoNumber { last, .. } => format!("the recipe has steps 1 to {last}"),
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
