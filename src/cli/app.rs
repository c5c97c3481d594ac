//! From the command line to the exit code.

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use clap::Parser as _;

use super::{
    arguments::{Arguments, Command, GlobalArguments},
    commands,
    exit::{Exit, Failure, Problem},
    interrupt::Interrupt,
    logging,
    output::{self, Printer},
    settings::Settings,
};

/// What a command gets beside its own arguments.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Who prints.
    pub(crate) printer: Printer,
    /// Command line and environment, resolved.
    pub(crate) settings: Settings,
    /// Ctrl-C.
    pub(crate) interrupt: Interrupt,
}

/// Runs the command that the process was started with. This is the whole program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results and go to standard output; clap knows. A reader that went away is no failure.
            error.print().ok();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    Printer::choose_colour(arguments.global.color);
    let printer = Printer::new(arguments.global.quiet);
    match run_guarded(&arguments, printer) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Runs the command; a panic becomes a report that tells how to help us mend it.
fn run_guarded(arguments: &Arguments, printer: Printer) -> Result<(), Failure> {
    let default_hook = panic::take_hook();
    let verbose = arguments.global.verbose > 0;
    panic::set_hook(Box::new(move |details| {
        tracing::error!("{details}");
        if verbose {
            default_hook(details);
        } else {
            remember_panic(details);
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(|| {
        let context = prepare(&arguments.global, printer)?;
        dispatch(&arguments.command, &context)
    }))
    .unwrap_or_else(|_| Err(bug()))
}

/// Where the last panic happened and what it said.
static LAST_PANIC: std::sync::Mutex<Option<String>> = std::sync::Mutex::new(None);

fn remember_panic(details: &panic::PanicHookInfo<'_>) {
    if let Ok(mut last) = LAST_PANIC.lock() {
        last.get_or_insert_with(|| details.to_string());
    }
}

fn bug() -> Failure {
    let said = LAST_PANIC.lock().ok().and_then(|mut last| last.take());
    Problem::new(
        "bug",
        format!("this is a bug in transom {}: {}", env!("CARGO_PKG_VERSION"), said.as_deref().unwrap_or("it panicked")),
    )
    .help(
        "nothing outside the cache was changed. Please report it with the command line, this text, and the file that \
         `--log FILE` writes when the command is run once more with it",
    )
    .exit(Exit::Internal)
}

/// Sets up log, threads, Ctrl-C and settings.
fn prepare(global: &GlobalArguments, printer: Printer) -> Result<Context, Failure> {
    logging::install(global.verbose, global.log.as_deref(), output::stderr_has_colour())?;
    if let Some(jobs) = global.jobs {
        // Refused only when the pool exists already, which then has the right size or is a test's.
        rayon::ThreadPoolBuilder::new().num_threads(usize::from(jobs)).build_global().ok();
    }
    let settings = Settings::resolve(global, &|name| std::env::var_os(name))?;
    Ok(Context { printer, settings, interrupt: Interrupt::install() })
}

fn dispatch(command: &Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Init(arguments) => commands::init::run(arguments, context),
        Command::Check(arguments) => commands::check::run(arguments, context),
        Command::Lock(arguments) => commands::lock::run(arguments, context),
        Command::Plan(arguments) => commands::plan::run(arguments, context),
        Command::Build(arguments) => commands::build::run(arguments, context),
        Command::Explain(arguments) => commands::explain::run(arguments, context),
        Command::Diff(arguments) => commands::diff::run(arguments, context),
        Command::Inspect(arguments) => commands::inspect::run(arguments, context),
        Command::Verify(arguments) => commands::verify::run(arguments, context),
        Command::Repro(arguments) => commands::repro::run(arguments, context),
        Command::Cache(arguments) => commands::cache::run(arguments, context),
        Command::Wim(arguments) => commands::wim::run(arguments, context),
        Command::Demo(arguments) => commands::demo::run(arguments, context),
        Command::Schema(arguments) => commands::schema::run(arguments, context),
        Command::Completions(arguments) => commands::completions::run(arguments, context),
        Command::Man(arguments) => commands::man::run(arguments, context),
    }
}
