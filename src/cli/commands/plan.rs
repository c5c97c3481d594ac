//! `transom plan`: what a build would do, and why.

use clap::{Args, ValueEnum};

use super::session::{self, Planning, RecipeArguments};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
    },
    plan::{
        dism, state,
        view::{self, GraphLanguage},
    },
};

/// Show what a build would do, in which order, and why
///
/// Prints the steps in order; for each why it stands where it stands, whether its result is cached, and if not, which part of what it depends on changed. Nothing is
/// built and nothing is written but what the cache remembers.
///
/// Exit codes: 3 recipe invalid, 5 base or input missing or damaged, 6 no valid plan, 7 the recipe breaks its own
/// [policy].
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom plan server.toml
  transom plan server.toml --set 'output.path="test.wim"'
  transom plan server.toml --variant core
  transom plan server.toml --graph dot | dot -Tsvg > plan.svg
  transom plan server.toml --as dism > server.cmd"#)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Print JSON: {order-table, base, output, lock, up-to-date, images: [...], steps: [...], ...}; of several variants {variants: [...]}
    #[arg(long, conflicts_with = "graph")]
    pub(crate) json: bool,

    /// Print a graph instead
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) graph: Option<GraphChoice>,

    /// Print what another tool would be told, as a command file for Windows, instead
    ///
    /// Packages, languages, capabilities, features, drivers and the answer file become DISM's commands, in the plan's order; everything else stands there as a remark.
    /// The steps are not asked whether they can be done natively: this is the way for those that cannot.
    #[arg(long = "as", value_enum, value_name = "TOOL", conflicts_with_all = ["json", "graph"])]
    pub(crate) tool: Option<Tool>,

    /// Refuse unless the lock file says the same
    #[arg(long)]
    pub(crate) locked: bool,

    /// Hash base and inputs again, even if they look unchanged
    #[arg(long)]
    pub(crate) rehash: bool,
}

/// The language of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphChoice {
    /// Graphviz
    Dot,
    /// Mermaid, which Markdown viewers show
    Mermaid,
}

/// A tool that can do a plan, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    /// Windows' own DISM
    Dism,
}

/// Runs `transom plan`.
pub(crate) fn run(arguments: &PlanArguments, context: &Context) -> Result<(), Failure> {
    let recipes = arguments.recipe.load()?;
    if recipes.len() > 1 && (arguments.graph.is_some() || arguments.tool.is_some()) {
        let message = "the recipe has several variants, and only one can be drawn or handed over";
        return Err(Problem::new("usage", message)
            .help("choose it with --variant NAME")
            .exit(Exit::Usage));
    }
    let store = session::store(context)?;
    let planning = Planning {
        locked: arguments.locked,
        rehash: arguments.rehash,
        unchecked: arguments.tool.is_some(),
        ..Planning::default()
    };
    let mut plans = Vec::new();
    for recipe in &recipes {
        let plan = session::plan(recipe, &arguments.recipe.recipe, &store, planning, context)?;
        let status = state::status(&plan, &store).map_err(failures::build_store)?;
        plans.push((plan, status));
    }
    if arguments.json {
        let views = plans.iter().map(|(plan, status)| view::view(plan, status)).collect();
        return session::json(views, context);
    }
    for (place, (plan, status)) in plans.iter().enumerate() {
        if let Some(Tool::Dism) = arguments.tool {
            return context.printer.text(dism::script(plan));
        }
        if let Some(graph) = arguments.graph {
            let language = match graph {
                GraphChoice::Dot => GraphLanguage::Dot,
                GraphChoice::Mermaid => GraphLanguage::Mermaid,
            };
            return context.printer.text(view::graph(plan, language));
        }
        let mut text = String::from(if place > 0 { "\n" } else { "" });
        // Writing to a string cannot fail.
        view::text(plan, status, &mut text).ok();
        context.printer.text(text)?;
    }
    Ok(())
}
