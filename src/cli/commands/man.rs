//! `transom man`: manual pages. (Contract stub: lead.)

use clap::Args;

use crate::cli::{app::Context, exit::Failure};

/// Print or write manual pages
#[derive(Debug, Args)]
pub(crate) struct ManArguments {}

/// Runs `transom man`.
pub(crate) fn run(_arguments: &ManArguments, _context: &Context) -> Result<(), Failure> {
    Err(Failure::usage("not there yet"))
}
