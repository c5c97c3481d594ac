//! Loads a recipe, plans it, and builds it with a progress callback: what `transom build` does, in a few lines.
//!
//! ```text
//! transom demo
//! cargo run --example build_recipe -- transom-demo/demo.toml /tmp/transom-store
//! ```

#![expect(clippy::print_stdout, reason = "a program that tells how far it is prints")]

use std::{env, error::Error, path::Path, sync::Arc};

use transom::{
    pipeline::{self, Event},
    plan, recipe,
    store::Store,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [recipe_path, store_folder] = arguments.as_slice() else {
        return Err("usage: build_recipe RECIPE STORE".into());
    };
    let recipe_path = Path::new(recipe_path);

    // Every mistake in the recipe at once, each with its place: `Findings` are diagnostics of miette.
    let recipe = recipe::load(recipe_path, &[])?;
    // What was prepared and compressed before is here and is not done again; several builds may share it.
    let store = Arc::new(Store::open(Path::new(store_folder))?);
    // Opens the base, hashes the inputs, orders the steps, and refuses what cannot be done. Nothing is changed yet.
    let plan = plan::make(&recipe, recipe_path, &store, &plan::Options::default())?;
    for step in plan.steps() {
        println!("{:>3}  {}", step.number, step.operation.title());
    }
    // The lock file pins base and inputs; `plan::Options::locked` then refuses when they changed.
    plan.write_lock()?;

    // Events come from several threads. They are the only channel of progress: the library prints nothing.
    let progress = |event: Event<'_>| match event {
        Event::StepCached { number, .. } => println!("step {number} is remembered"),
        Event::StepApplied { number, changes } => println!("step {number}: {changes} changes"),
        Event::Writing { total } => println!("writing {total} bytes"),
        _ => {}
    };
    let settings = pipeline::Settings { events: &progress, ..pipeline::Settings::default() };
    let outcome = pipeline::build(&plan, &store, &settings)?;
    println!(
        "{}: {} bytes, {} of {} steps cached",
        outcome.output.display(),
        outcome.size,
        outcome.cached_steps(),
        outcome.steps.len()
    );
    Ok(())
}
