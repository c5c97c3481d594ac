//! Standard output and standard error.
//!
//! Standard output is for results only: what a program or a pipe wants. Notes, warnings and errors go to standard error. When the reader of
//! standard output goes away (`transom wim list ... | head`), the command stops quietly and successfully.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal as _, Write},
};

use anstream::AutoStream;
use miette::{MietteHandlerOpts, Report, ReportHandler as _};
use owo_colors::OwoColorize as _;
use serde::Serialize;

use super::{
    arguments::ColourChoice,
    exit::{Exit, Failure, Problem},
    progress,
};

/// Who prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    quiet: bool,
}

impl Printer {
    /// A printer; a quiet one keeps notes to itself.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Decides about colour for the whole process.
    pub(crate) fn choose_colour(choice: ColourChoice) {
        match choice {
            ColourChoice::Always => anstream::ColorChoice::Always,
            ColourChoice::Auto => anstream::ColorChoice::Auto,
            ColourChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// Standard output, buffered; colours are dropped where they do not belong.
    #[expect(clippy::unused_self, reason = "whoever prints needs a printer")]
    pub(crate) fn stdout(&self) -> Out {
        Out(BufWriter::with_capacity(64 << 10, anstream::stdout()))
    }

    /// Writes a result and a line end to standard output.
    pub(crate) fn line(&self, result: impl fmt::Display) -> Result<(), Failure> {
        let mut out = self.stdout();
        out.line(result)?;
        out.finish()
    }

    /// Writes a result that has its own line ends to standard output.
    pub(crate) fn text(&self, result: impl fmt::Display) -> Result<(), Failure> {
        let mut out = self.stdout();
        out.text(result)?;
        out.finish()
    }

    /// Writes a result as indented JSON to standard output.
    pub(crate) fn json(&self, result: &impl Serialize) -> Result<(), Failure> {
        let mut out = self.stdout();
        let text = serde_json::to_string_pretty(result).map_err(json_error)?;
        out.line(text)?;
        out.finish()
    }

    /// Writes bytes as they are to standard output.
    #[expect(clippy::unused_self, reason = "whoever prints needs a printer")]
    pub(crate) fn raw(&self) -> RawOut {
        RawOut(io::stdout())
    }

    /// Tells the user something, unless `-q`.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            say(text);
        }
    }

    /// Warns the user, even with `-q`.
    #[expect(clippy::unused_self, reason = "whoever prints needs a printer")]
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        say(format_args!("{} {text}", "warning:".yellow().bold()));
    }

    /// Shows the reports of a failure.
    #[expect(clippy::unused_self, reason = "whoever prints needs a printer")]
    pub(crate) fn failure(&self, failure: &Failure) {
        for report in &failure.reports {
            say(Shown(report));
        }
    }
}

/// A line on standard error. A reader that went away or a full disk behind it is no reason to stop a build.
pub(crate) fn say(line: impl fmt::Display) {
    progress::above(|| {
        writeln!(anstream::stderr(), "{line}").ok();
    });
}

/// True when standard error is a terminal that shows colours.
pub(crate) fn stderr_has_colour() -> bool {
    AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// True when a person looks at standard error.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A report for standard error: lines are wrapped for a person, left whole (findable) for a log.
struct Shown<'a>(&'a Report);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        MietteHandlerOpts::new()
            .force_graphical(true)
            .color(stderr_has_colour())
            .unicode(true)
            .terminal_links(false)
            .wrap_lines(stderr_is_terminal())
            .break_words(false)
            .build()
            .debug(self.0.as_ref(), formatter)
    }
}

/// Standard output.
pub(crate) struct Out(BufWriter<AutoStream<io::Stdout>>);

impl Out {
    /// Writes text and a line end.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{text}").map_err(stdout_error)
    }

    /// Writes text that has its own line ends.
    pub(crate) fn text(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        write!(self.0, "{text}").map_err(stdout_error)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(json_error)?;
        self.line(text)
    }

    /// Writes what is still buffered.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(stdout_error)
    }
}

/// Standard output for bytes that are not text.
pub(crate) struct RawOut(io::Stdout);

impl RawOut {
    /// Writes `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes what is still buffered.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(stdout_error)
    }
}

/// What a failed write to standard output means: nothing when the reader went away, else a failed output.
pub(crate) fn stdout_error(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::silent(Exit::Done);
    }
    Problem::new("output::stdout", "standard output cannot be written")
        .cause(error)
        .exit(Exit::OutputFailed)
}

fn json_error(error: serde_json::Error) -> Failure {
    Problem::new("bug", "a result cannot be written as JSON").cause(error).exit(Exit::Internal)
}
