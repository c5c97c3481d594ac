//! `transom inspect`: what is inside an image, a driver package, a package or a hive.

mod driver;
mod drivers;
mod hive;
mod image;
mod into;
mod mum;
mod package;
mod packages;
mod settings;

use clap::{Args, Subcommand};

use crate::cli::{app::Context, exit::Failure};

/// Look into an image, a package, a driver package or a registry hive
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    #[command(subcommand)]
    command: InspectCommand,
}

#[derive(Debug, Subcommand)]
enum InspectCommand {
    Driver(driver::InspectDriverArguments),
    Image(image::InspectImageArguments),
    Package(package::InspectPackageArguments),
    Hive(hive::InspectHiveArguments),
}

/// Runs `transom inspect`.
pub(crate) fn run(arguments: &InspectArguments, context: &Context) -> Result<(), Failure> {
    match &arguments.command {
        InspectCommand::Image(arguments) => image::run(arguments, context),
        InspectCommand::Package(arguments) => package::run(arguments, context),
        InspectCommand::Driver(arguments) => driver::run(arguments, context),
        InspectCommand::Hive(arguments) => hive::run(arguments, context),
    }
}
