//! `transom diff`: how two images differ. (Contract stub: helper `diff`.)

use clap::Args;

use crate::cli::{app::Context, exit::Failure};

/// Show how two images differ
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {}

/// Runs `transom diff`.
pub(crate) fn run(_arguments: &DiffArguments, _context: &Context) -> Result<(), Failure> {
    Err(Failure::usage("not there yet"))
}
