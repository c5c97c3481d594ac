//! `transom wim update`: files of an image added, deleted and renamed.

use std::path::{Path, PathBuf};

use clap::Args;
use fs_err as fs;

use super::{
    capture::{parse_time, sources::stdin, warn},
    compression::LevelChoice,
    place::{self, Existing, assembly_failure},
    select::{self, ImageChoice},
};
use crate::{
    base::{filetime::FileTime, limits::Limits},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
        text,
    },
    image::{
        Assembly, BlobOrder, Image, ImageError, Watch,
        assembly::{
            commands::{self, Action, Command},
            update::{self, UpdateError, UpdateOptions},
        },
        patterns::Patterns,
    },
};

/// Add, delete and rename files inside an image
///
/// Commands are wimlib's, one a line; paths with blanks stand in single or double quotes, and `#` begins a comment:
///
///   add [--no-replace] [--unix-data] [--no-acls] SOURCE DESTINATION
///   delete [--force] [--recursive] PATH
///   rename OLD NEW
///
/// A folder is added with all in it and merges into one that is there. A file that is added inherits the security descriptor of its folder; one that is
/// replaced keeps its own, and changes under all its names. Paths of the image are found without case, `\` and `/` alike.
///
/// Either all commands are done or none. The file grows at its end, and is as it was when that is interrupted; --rebuild writes it anew
/// instead, which gives back what changes leave unused. No clock is read: changed folders get the time of the newest file that was added, or --epoch.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim update boot.wim --index 2 --command "add startnet.cmd /Windows/System32/startnet.cmd"
  transom wim update install.wim --image 'Windows 11 Pro' --from changes.txt
  echo "delete --recursive '/Program Files/Old'" | transom wim update install.wim --index 1 --from -"#)]
pub(crate) struct UpdateArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// A command; may be repeated
    #[arg(long = "command", value_name = "COMMAND", required_unless_present = "from")]
    commands: Vec<String>,

    /// A file of commands; `-` is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// Leave out of added folders what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Every added file that is there already is an error
    #[arg(long)]
    no_replace: bool,

    /// Nothing to delete is fine, for all commands
    #[arg(long)]
    force: bool,

    /// Delete folders too, for all commands
    #[arg(long)]
    recursive: bool,

    /// Record owner, group and mode of all that is added
    #[arg(long)]
    unix_data: bool,

    /// Leave out names that Windows cannot hold; otherwise they are an error
    #[arg(long)]
    skip_bad_names: bool,

    /// The time of the change, and the latest of added files [default: SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    epoch: Option<FileTime>,

    /// How much time to spend for how much size
    #[arg(long, value_enum)]
    level: Option<LevelChoice>,

    /// Write an integrity table [default: when there is one]
    #[arg(long)]
    integrity: bool,

    /// Write the whole file anew
    #[arg(long)]
    rebuild: bool,
}

/// Runs `transom wim update`.
pub(crate) fn run(arguments: &UpdateArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let commands = commands(arguments)?;
    context.interrupt.cooperative();
    let existing = Existing::open(path, context)?;
    let index = arguments.choice.one(&existing.wim, path)?;
    let mut image = select::image(&existing.wim, path, index, context)?;
    let epoch = arguments.epoch.or(context.settings.epoch);
    let before = existing.wim.xml().last_modification(index).unwrap_or_default();
    image.set_epoch(epoch.unwrap_or(before));
    run_all(arguments, &commands, &mut image, context)?;
    if !image.is_changed() {
        context.printer.note(format_args!("{}: nothing to change", path.display()));
        return Ok(());
    }
    let modified = image.epoch();
    let finished = image.finish().map_err(|error| failures::image(path, error))?;
    let mut assembly = Assembly::of(&existing.wim);
    assembly.replace(index, finished, modified).map_err(|error| assembly_failure(path, error))?;
    let mut settings = existing.settings();
    if !arguments.rebuild {
        // Few files by themselves are got out again quicker.
        settings.solid = None;
    }
    settings.integrity |= arguments.integrity;
    settings.level = arguments.level.map_or(settings.level, Into::into);
    let plan = assembly.plan(BlobOrder::Stored).map_err(|error| assembly_failure(path, error))?;
    let report = existing.change(&settings, plan, arguments.rebuild, context)?;
    context.printer.note(format_args!(
        "did {} in image {index} of {}",
        text::count(commands.len() as u64, "command", "commands"),
        place::told(path, &report)
    ));
    Ok(())
}

/// The commands, each with where it stands.
fn commands(arguments: &UpdateArguments) -> Result<Vec<(String, Command)>, Failure> {
    let mut all = Vec::new();
    let mut add =
        |place: &str, is_file: bool, parsed: Result<Vec<Command>, commands::CommandError>| {
            let at = |line: usize| {
                if is_file { format!("{place}: line {line}") } else { place.to_owned() }
            };
            let parsed = parsed.map_err(|error| {
                Problem::new("usage::command", format!("{}: {}", at(error.line), error.what))
                    .help("`transom wim update --help` tells the commands")
                    .exit(Exit::Usage)
            })?;
            all.extend(parsed.into_iter().map(|command| (at(command.line), command)));
            Ok::<(), Failure>(())
        };
    for text in &arguments.commands {
        add("--command", false, commands::parse(text))?;
    }
    if let Some(file) = &arguments.from {
        let bytes = match file.to_str() {
            Some("-") => stdin()?,
            _ => fs::read(file).map_err(|error| failures::input("the file of commands", error))?,
        };
        add(&file.display().to_string(), true, commands::parse_bytes(&bytes))?;
    }
    for (_, command) in &mut all {
        match &mut command.action {
            Action::Add { options, .. } => {
                options.no_replace |= arguments.no_replace;
                options.unix_data |= arguments.unix_data;
            }
            Action::Delete { options, .. } => {
                options.force |= arguments.force;
                options.recursive |= arguments.recursive;
            }
            Action::Rename { .. } => {}
        }
    }
    Ok(all)
}

fn run_all(
    arguments: &UpdateArguments,
    commands: &[(String, Command)],
    image: &mut Image,
    context: &Context,
) -> Result<(), Failure> {
    let options = UpdateOptions {
        exclude: Patterns::new(&arguments.exclude).map_err(failures::patterns)?,
        skip_bad_names: arguments.skip_bad_names,
        depth: Limits::default().depth,
        epoch: arguments.epoch.or(context.settings.epoch),
    };
    for (place, command) in commands {
        let meter = Meter::new(&context.settings, "hashing", 0);
        let watch = Watch {
            progress: &|done, total| meter.at_of(done, total),
            cancelled: &|| context.interrupt.pressed(),
        };
        let result = update::run(image, command, &options, watch);
        meter.finish();
        let warnings = result.map_err(|error| command_failure(&arguments.wim, place, error))?;
        warn(&warnings, context);
    }
    Ok(())
}

fn command_failure(path: &Path, place: &str, error: UpdateError) -> Failure {
    let message = format!("{place}: {error}");
    let help = match &error {
        UpdateError::Image(ImageError::Cancelled) => return Failure::interrupted(),
        UpdateError::Source { error: ImageError::HostNames { names }, .. } => {
            format!("rename them, or leave them out with --skip-bad-names:\n{}", names.join("\n"))
        }
        UpdateError::Image(ImageError::NotFound(_)) => format!(
            "`transom wim list {}` tells what there is; `delete --force` does not mind",
            path.display()
        ),
        UpdateError::Image(ImageError::Exists(_)) => {
            "delete it first, or add without --no-replace".to_owned()
        }
        UpdateError::Image(ImageError::IsDirectory(_) | ImageError::NotDirectory(_)) => {
            "a folder goes over a folder, a file over a file: delete what is in the way first"
                .to_owned()
        }
        UpdateError::NotEmpty(_) => {
            "delete it first, with --recursive, or give the folder another name".to_owned()
        }
        _ => "nothing was changed".to_owned(),
    };
    Problem::new("wim::update", message).help(help).exit(Exit::BadInput)
}
