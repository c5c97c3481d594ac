//! `transom check`: is a recipe sound?

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use crate::{
    cli::{
        app::Context,
        commands::session,
        exit::{Exit, Failure},
        failures, text,
    },
    image::ImageFacts,
    plan::{
        self, Control, PlanError,
        inputs::{self, ResolvedInputs},
        unattend::Expanded,
    },
    recipe::{self, Finding, Findings, Origin, Recipe},
    servicing::{Operation, ServicingError},
    store::Store,
};

/// Check recipes without their base image
///
/// Needs the recipe alone. Every mistake that can be made out is shown, with its place and a way out. Inputs (files, answer file, scripts ...) that are
/// present are looked into; those that are not are named and are no mistake. `transom plan` checks against the base image too.
///
/// Exit code 3 when a recipe is invalid or two of them write the same output, 5 when an input is, 7 when one breaks its own [policy].
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Example:
  transom check recipes/*.toml"#)]
pub(crate) struct CheckArguments {
    /// The recipes
    #[arg(value_name = "RECIPE", required = true)]
    pub(crate) recipes: Vec<PathBuf>,

    /// Set a value over the recipes', such as output.path=x.wim; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Look at this variant of their [matrix] alone [default: all of them]
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Option<String>,
}

/// Runs `transom check`.
pub(crate) fn run(arguments: &CheckArguments, context: &Context) -> Result<(), Failure> {
    let mut failure: Option<Failure> = None;
    let mut outputs: Vec<(PathBuf, PathBuf, Origin)> = Vec::new();
    for path in &arguments.recipes {
        let checked = check(path, arguments, context).and_then(|recipes| {
            recipes.iter().try_for_each(|recipe| other_output(path, recipe, &mut outputs))
        });
        match checked {
            Ok(()) => {}
            Err(other) => match &mut failure {
                None => failure = Some(other),
                Some(first) => first.reports.extend(other.reports),
            },
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Refuses a recipe that writes what another of the given ones writes; `outputs` are recipe, output and place of those before it.
fn other_output(
    path: &Path,
    recipe: &Recipe,
    outputs: &mut Vec<(PathBuf, PathBuf, Origin)>,
) -> Result<(), Failure> {
    let (output, origin) = (&recipe.output.path.value, &recipe.output.path.origin);
    let one = |left: &Path, right: &Path| {
        recipe::same_path(left, right) || plan::output::is_same_file(left, right)
    };
    // A recipe that is given twice is no mistake.
    let other =
        outputs.iter().find(|(other, written, _)| !one(other, path) && one(written, output));
    let result = match other {
        None => Ok(()),
        Some((_, _, first)) => {
            let message = format!("two recipes write {}", output.display());
            let help =
                "give one of them another `output.path`: the second build would replace the first";
            let finding = Finding::at(origin, "recipe::same-output", message, "this one", help)
                .and(first, "and this one writes the same file");
            Err(failures::recipe(&finding.into()))
        }
    };
    outputs.push((path.to_owned(), output.clone(), origin.clone()));
    result
}

fn check(
    path: &Path,
    arguments: &CheckArguments,
    context: &Context,
) -> Result<Vec<Recipe>, Failure> {
    let recipes = recipe::load_variants(path, &arguments.set, arguments.variant.as_deref())
        .map_err(|findings| failures::recipe(&findings))?;
    let mut told = BTreeSet::new();
    for recipe in &recipes {
        let broken = |entry: &recipe::Entry| {
            plan::policy::broken_by(&recipe.policy, &entry.operation, &entry.origin, false)
        };
        Findings::check(recipe.entries.iter().flat_map(broken).collect())
            .map_err(|found| failures::findings(&found, Exit::Policy))?;
        for input in look_into_inputs(recipe, context)? {
            if told.insert(input.clone()) {
                context.printer.note(format_args!("{}: not there yet: {input}", path.display()));
            }
        }
        let variant = recipe.variant.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
        context.printer.line(format_args!(
            "{}{variant}: good ({}, {})",
            path.display(),
            text::count(recipe.entries.len() as u64, "entry", "entries"),
            text::count(recipe.inputs.len() as u64, "input", "inputs"),
        ))?;
    }
    Ok(recipes)
}

/// What an answer file that is present asks for of the image and cannot be done, whatever image it is.
fn look_into_answer_file(
    recipe: &Recipe,
    present: &ResolvedInputs,
    context: &Context,
) -> Vec<Finding> {
    let is_present = |entry: &recipe::Entry| {
        matches!(entry.operation, Operation::Unattend(_))
            && entry.operation.inputs().iter().all(|id| present.contains_key(id))
    };
    if !recipe.entries.iter().any(is_present) {
        return Vec::new();
    }
    match for_any_architecture(recipe, present) {
        Ok(expanded) => {
            expanded.warnings.iter().for_each(|warning| session::warn(warning, context));
            Vec::new()
        }
        // That the file cannot be read was said by its own step.
        Err(PlanError::Refused(findings)) => findings.iter().cloned().collect(),
        Err(_) => Vec::new(),
    }
}

/// What the answer file asks for. An image takes of it what is for its own architecture, so a file is good when one of those that it names can take it.
fn for_any_architecture(recipe: &Recipe, present: &ResolvedInputs) -> Result<Expanded, PlanError> {
    let expand = |architecture| {
        let facts = ImageFacts { architecture, ..ImageFacts::default() };
        plan::unattend::expand_for(recipe, present, &facts, None)
    };
    let count = |result: &Result<Expanded, PlanError>| match result {
        Err(PlanError::Refused(findings)) => findings.iter().count(),
        _ => 0,
    };
    // Every component together: when none is refused there is nothing to tell apart.
    let all = expand(None);
    if count(&all) == 0 {
        return all;
    }
    let architectures = plan::unattend::architectures(recipe, present);
    let each = architectures.into_iter().map(|architecture| expand(Some(architecture)));
    each.min_by_key(count).unwrap_or(all)
}

/// Prepares every entry whose inputs are present, and throws the result away. Returns the inputs that are not.
fn look_into_inputs(recipe: &Recipe, context: &Context) -> Result<Vec<String>, Failure> {
    let folder =
        tempfile::tempdir().map_err(|error| failures::output(&std::env::temp_dir(), error))?;
    let store =
        Store::open(folder.path()).map_err(|error| failures::store(folder.path(), error))?;
    let mut present = BTreeMap::new();
    let mut missing = Vec::new();
    let mut findings = Vec::new();
    for (id, declared) in &recipe.inputs {
        match inputs::resolve(id, &declared.path, &store, &Control::default()) {
            Ok(input) => {
                present.insert(id.clone(), Arc::new(input));
            }
            Err(inputs::InputError::Missing(path)) => missing.push(path.display().to_string()),
            Err(error) => {
                let message = format!("the input {id} cannot be used");
                let label = error.to_string();
                let (code, help) = plan::explain_input(&error);
                findings.push(Finding::at(&declared.origin, code, message, label, help));
            }
        }
    }
    for entry in recipe.entries.iter().chain(&recipe.winre) {
        let inputs = entry.operation.inputs();
        if inputs.is_empty() || !inputs.iter().all(|id| present.contains_key(id)) {
            continue;
        }
        match plan::check::prepare(&entry.operation, &present) {
            Ok(prepared) => {
                for problem in entry.operation.defects(&prepared) {
                    let message = format!("{}: {}", problem.item, problem.cause);
                    let code = if problem.warning { "input::odd" } else { "input::invalid" };
                    let label = entry.operation.title();
                    let finding = Finding::at(&entry.origin, code, message, label, problem.help);
                    if problem.warning {
                        session::warn(&finding, context);
                    } else {
                        findings.push(finding);
                    }
                }
            }
            Err(error) => {
                let label = entry.operation.title();
                let help = error.help().to_owned();
                let message = text::chain(&error);
                // As a build says it of this step.
                let code = match &error {
                    ServicingError::Input { .. } => "input::unreadable",
                    _ => "step::failed",
                };
                findings.push(Finding::at(&entry.origin, code, message, label, help));
            }
        }
    }
    findings.extend(look_into_answer_file(recipe, &present, context));
    Findings::check(findings).map_err(|findings| failures::findings(&findings, Exit::BadInput))?;
    Ok(missing)
}
