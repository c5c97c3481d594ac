//! `transom explain`: why a step is where it is, and why it ran. (Contract stub: helper `explain`.)

use clap::Args;

use crate::cli::{app::Context, exit::Failure};

/// Explain a step, a path, or an error code
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {}

/// Runs `transom explain`.
pub(crate) fn run(_arguments: &ExplainArguments, _context: &Context) -> Result<(), Failure> {
    Err(Failure::usage("not there yet"))
}
