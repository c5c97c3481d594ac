//! The log: what `-v` shows and `--log FILE` keeps.
//!
//! The library speaks through `tracing`; nothing is shown unless asked for. `-v` shows what is being done, `-vv` details, `-vvv` everything.
//! A log file always gets the details.

use std::{path::Path, sync::Mutex};

use fs_err as fs;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::exit::{Exit, Failure, Problem};

/// Installs the log for the whole process.
///
/// # Errors
/// When the log file cannot be created.
pub(crate) fn install(verbosity: u8, file: Option<&Path>, colour: bool) -> Result<(), Failure> {
    let shown = level(verbosity);
    let screen = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .without_time()
        .with_target(verbosity > 1)
        .with_filter(Targets::new().with_target("transom", shown));
    let file = file.map(|path| open(path, shown.max(LevelFilter::DEBUG))).transpose()?;
    // A second call (tests) keeps the first log.
    Registry::default().with(screen).with(file).try_init().ok();
    Ok(())
}

fn level(verbosity: u8) -> LevelFilter {
    match verbosity {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

fn open<S>(
    path: &Path,
    level: LevelFilter,
) -> Result<impl tracing_subscriber::Layer<S> + use<S>, Failure>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let file = fs::File::create(path).map_err(|error| {
        Problem::new("log", "the log file cannot be written").cause(error).exit(Exit::OutputFailed)
    })?;
    Ok(fmt::layer()
        .with_writer(Mutex::new(file.into_file()))
        .with_ansi(false)
        .with_timer(fmt::time::uptime())
        .with_filter(Targets::new().with_target("transom", level)))
}
