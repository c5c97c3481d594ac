//! `transom repro`: builds twice and compares. (Contract stub: helper `policy`.)

use clap::Args;

use crate::cli::{app::Context, exit::Failure};

/// Build twice with separate caches and compare
#[derive(Debug, Args)]
pub(crate) struct ReproArguments {}

/// Runs `transom repro`.
pub(crate) fn run(_arguments: &ReproArguments, _context: &Context) -> Result<(), Failure> {
    Err(Failure::usage("not there yet"))
}
