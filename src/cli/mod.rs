//! Layer 9: what talks to people.
//!
//! The only place that prints, reads the environment, looks at the clock, catches Ctrl-C or knows a terminal. Results go to standard
//! output; everything else (notes, warnings, progress, errors) goes to standard error.
//!
//! - `app`: from the command line to the exit code
//! - `arguments`: the command tree and the options every command has
//! - [`exit`]: the exit codes, and [`exit::Failure`]: an exit code with what to tell the user
//! - `settings`: command line and environment, resolved once into plain values
//! - `output`, `progress`, `logging`: standard output and error, live bars, the log
//! - `interrupt`: Ctrl-C
//! - `recorder`: how long everything of a build took
//! - `commands`: one file per verb
//! - [`demo`]: the demo's base WIM and workspace

mod app;
mod arguments;
mod commands;
pub mod demo;
pub mod exit;
mod failures;
mod interrupt;
mod logging;
mod output;
mod progress;
mod recorder;
mod settings;
mod text;

pub use app::main;
