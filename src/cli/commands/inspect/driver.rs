//! `transom inspect driver`: what a driver package is, and what it would do to an image.

use std::path::PathBuf;

use clap::Args;

use super::into::IntoImage;
use crate::{
    cli::{app::Context, commands::session, exit::Failure, failures, text},
    plan::{self, Control},
    servicing::{
        InputId, Operation, Prepared, WhenNotNative,
        drivers::{
            DriverAction, DriverSpec,
            source::split_inf,
            survey::{self, Survey, SurveyedPackage},
        },
    },
};

/// Show what driver packages are and what they would do to an image
///
/// The source is a folder (every .inf below it), one .inf, a .cab or a .zip. Every file is hashed and every catalog's signature is checked, offline. With
/// --into the sections for that image are chosen; without it those for each architecture on a current Windows.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom inspect driver drivers/viostor
  transom inspect driver netkvm.cab --into install.wim --index 2
  transom inspect driver drivers --json"#)]
pub(crate) struct InspectDriverArguments {
    /// The folder, INF, cabinet or zip archive
    #[arg(value_name = "SOURCE")]
    source: PathBuf,

    #[command(flatten)]
    into: IntoImage,

    /// Print JSON: [{architecture, packages: [...], others: [...], problems: [...]}]
    #[arg(long)]
    json: bool,
}

/// Runs `transom inspect driver`.
pub(crate) fn run(arguments: &InspectDriverArguments, context: &Context) -> Result<(), Failure> {
    let text = arguments.source.display().to_string();
    let (path, inf) = match split_inf(&text) {
        Some((folder, inf)) => (PathBuf::from(folder), Some(inf.to_owned())),
        None => (arguments.source.clone(), None),
    };
    let id = InputId(path.display().to_string());
    let store = session::store(context)?;
    let cancelled = || context.interrupt.pressed();
    let control = Control { cancelled: &cancelled, hashed: &|_| {}, rehash: false };
    let operation = Operation::Driver(DriverSpec {
        name: "driver".to_owned(),
        action: DriverAction::Present {
            source: id.clone(),
            inf,
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        },
    });
    let prepared = plan::check::prepare_alone(&operation, &path, &store, &control)
        .map_err(|error| failures::alone(&error))?;
    let Prepared::Driver(prepared) = prepared else { return Ok(()) };
    let surveys = match arguments.into.open(context)? {
        None => survey::alone(&id, &prepared),
        Some(mut image) => {
            let facts = image.facts();
            let surveyed = survey::for_image(&id, &prepared, &mut image, &facts);
            vec![surveyed.map_err(|error| failures::servicing(&error))?]
        }
    };
    if arguments.json { context.printer.json(&surveys) } else { print(&surveys, context) }
}

fn print(surveys: &[Survey], context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    for (at, survey) in surveys.iter().enumerate() {
        if at > 0 {
            out.line("")?;
        }
        out.line(format_args!("For {}", survey.architecture.name()))?;
        for package in &survey.packages {
            out.line(format_args!("\n{}", package.inf))?;
            out.text(text::facts(&rows(package)))?;
        }
        if !survey.others.is_empty() {
            out.line("\nNothing for this Windows")?;
        }
        for (inf, architectures) in &survey.others {
            let names: Vec<&str> = architectures.iter().map(|known| known.name()).collect();
            out.line(format_args!("  {inf} ({})", names.join(", ")))?;
        }
        for problem in &survey.problems {
            let kind = if problem.warning { "warning" } else { "problem" };
            out.line(format_args!("\n{kind}: {}: {}", problem.item, problem.cause))?;
            if !problem.help.is_empty() {
                out.line(format_args!("  {}", problem.help))?;
            }
        }
    }
    out.finish()
}

fn rows(package: &SurveyedPackage) -> Vec<(&'static str, String)> {
    let signer = if package.signer.is_empty() { "nobody" } else { &package.signer };
    let bytes = package.files.iter().map(|(_, size)| size).sum();
    let mut rows = vec![
        ("Provider", package.provider.clone()),
        ("Class", format!("{} {}", package.class, package.class_guid)),
        ("Version", format!("{} of {}", package.version, package.date)),
        ("Signed", format!("{} ({signer})", package.trust.name())),
        ("Store folder", package.store_folder.clone()),
        ("Files", format!("{} ({})", package.files.len(), text::size(bytes))),
    ];
    if let Some(hive) = package.hive {
        rows.push(("Registered in", hive.to_owned()));
    }
    if !package.services.is_empty() {
        rows.push(("Services", package.services.join(", ")));
    }
    for (id, description) in &package.ids {
        rows.push(("Device", format!("{id}  {description}")));
    }
    for (what, line) in &package.not_native {
        rows.push(("Not native", format!("{what} (line {line})")));
    }
    rows
}
