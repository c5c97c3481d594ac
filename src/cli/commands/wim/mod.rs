//! `transom wim`: WIM files on their own.
//!
//! - `info`, `list`, `cat`, `extract`, `apply`, `capture`, `verify`: the verbs
//! - `select`: opening a WIM, choosing an image
//! - `tree`: an image's entries with their paths, attributes, links

mod apply;
pub(crate) mod capture;
mod cat;
mod extract;
pub(crate) mod info;
mod list;
pub(crate) mod select;
pub(crate) mod tree;
pub(crate) mod verify;

use clap::{Args, Subcommand};

use crate::cli::{app::Context, exit::Failure};

/// Look into, unpack, make and check WIM files
///
/// The WIM comes first (`transom wim list install.wim`), except for `capture`, whose source comes first. An image is chosen by
/// `--index N` or `--image NAME`; a WIM with one image needs neither.
#[derive(Debug, Args)]
pub(crate) struct WimArguments {
    #[command(subcommand)]
    command: WimCommand,
}

#[derive(Debug, Subcommand)]
enum WimCommand {
    Info(info::InfoArguments),
    List(list::ListArguments),
    Cat(cat::CatArguments),
    Extract(extract::ExtractArguments),
    Apply(apply::ApplyArguments),
    Capture(capture::CaptureArguments),
    Verify(verify::VerifyArguments),
}

/// Runs `transom wim`.
pub(crate) fn run(arguments: &WimArguments, context: &Context) -> Result<(), Failure> {
    match &arguments.command {
        WimCommand::Info(arguments) => info::run(arguments, context),
        WimCommand::List(arguments) => list::run(arguments, context),
        WimCommand::Cat(arguments) => cat::run(arguments, context),
        WimCommand::Extract(arguments) => extract::run(arguments, context),
        WimCommand::Apply(arguments) => apply::run(arguments, context),
        WimCommand::Capture(arguments) => capture::run(arguments, context),
        WimCommand::Verify(arguments) => verify::run(arguments, context),
    }
}
