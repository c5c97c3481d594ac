//! `transom wim`: WIM files on their own.
//!
//! - `info`, `list`, `cat`, `extract`, `apply`, `verify`: verbs that read
//! - `capture`, `append`, `export`, `delete`, `optimize`, `update`, `set`, `split` (with `join`): verbs that write
//! - `compression`: how they compress; `place`: where they write
//! - `select`: opening a WIM, choosing an image
//! - `tree`: an image's entries with their paths, attributes, links

mod append;
mod apply;
pub(crate) mod capture;
mod cat;
mod compression;
mod delete;
mod export;
mod extract;
pub(crate) mod info;
mod list;
mod optimize;
pub(crate) mod place;
pub(crate) mod select;
mod set;
mod split;
pub(crate) mod tree;
mod update;
pub(crate) mod verify;

use clap::{Args, Subcommand};

use crate::cli::{app::Context, exit::Failure};

/// Look into, unpack, make, change and check WIM files
///
/// The WIM comes first (`transom wim list install.wim`), except for `capture` and `append`, whose sources come first. An image is chosen by
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
    Append(append::AppendArguments),
    Export(export::ExportArguments),
    Delete(delete::DeleteArguments),
    Optimize(optimize::OptimizeArguments),
    Update(update::UpdateArguments),
    Set(set::SetArguments),
    Split(split::SplitArguments),
    Join(split::JoinArguments),
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
        WimCommand::Append(arguments) => append::run(arguments, context),
        WimCommand::Export(arguments) => export::run(arguments, context),
        WimCommand::Delete(arguments) => delete::run(arguments, context),
        WimCommand::Optimize(arguments) => optimize::run(arguments, context),
        WimCommand::Update(arguments) => update::run(arguments, context),
        WimCommand::Set(arguments) => set::run(arguments, context),
        WimCommand::Split(arguments) => split::run_split(arguments, context),
        WimCommand::Join(arguments) => split::run_join(arguments, context),
        WimCommand::Verify(arguments) => verify::run(arguments, context),
    }
}
