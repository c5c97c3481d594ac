//! Exit codes, and what a failed command says.
//!
//! [`Exit`] is the documented contract with scripts; [`Failure`] is an exit code with the reports to show. Which error of the
//! library means which code is decided once, in `failures.rs`.

use std::{error::Error, fmt, process::ExitCode};

use miette::{Diagnostic, Report};

/// How a command ended, as its exit code says it. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: a step of the build failed.
    StepFailed = 1,
    /// 2: the command line is wrong.
    Usage = 2,
    /// 3: the recipe is invalid.
    RecipeInvalid = 3,
    /// 4: the lock file is missing or out of date, and `--locked` (or `CI`) forbids writing it.
    LockOutOfDate = 4,
    /// 5: an input or the base image is missing, changed or damaged.
    BadInput = 5,
    /// 6: there is no valid plan.
    NoPlan = 6,
    /// 7: the recipe's policy forbids it.
    Policy = 7,
    /// 8: verification failed.
    VerificationFailed = 8,
    /// 9: the output cannot be written (disk full, no permission, locked by another build).
    OutputFailed = 9,
    /// 10: differences were found.
    Differences = 10,
    /// 70: a bug of ours.
    Internal = 70,
    /// 130: interrupted by Ctrl-C.
    Interrupted = 130,
}

/// The table of exit codes as `transom --help` prints it.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  a step failed
    2  wrong command line
    3  the recipe is invalid
    4  the lock file is missing or out of date (--locked)
    5  an input or the base image is missing, changed or damaged
    6  there is no valid plan
    7  the recipe's policy forbids it
    8  verification failed
    9  the output cannot be written (disk full, no permission, locked by another build)
   10  differences were found
   70  a bug in transom
  130  interrupted";

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that did not succeed: its exit code and the reports to show, most important first.
///
/// Without reports nothing is said: the reader of a pipe went away, or the results already told.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to tell the user; may be empty.
    pub reports: Vec<Report>,
}

impl Failure {
    /// A failure that says nothing: its result is already on standard output.
    #[must_use]
    pub fn silent(exit: Exit) -> Self {
        Self { exit, reports: Vec::new() }
    }

    /// A failure with one report.
    #[must_use]
    pub fn new(exit: Exit, diagnostic: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self { exit, reports: vec![Report::new(diagnostic)] }
    }

    /// A wrong command line that clap could not see.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, Problem::new("usage", message))
    }

    /// Interrupted by Ctrl-C, while nothing was being written.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::interrupted_so("nothing was changed", "run the same command again")
    }

    /// Interrupted by Ctrl-C: what is there now, and how to go on.
    #[must_use]
    pub fn interrupted_so(what: &str, help: &str) -> Self {
        let problem = Problem::new("interrupted", format!("interrupted; {what}")).help(help);
        problem.exit(Exit::Interrupted)
    }
}

/// A report made of plain words: what happened, why, and what to do.
#[derive(Debug)]
pub struct Problem {
    code: &'static str,
    message: String,
    help: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem with a stable `code` (`wim::damaged`) and a message.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None, cause: None }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the error that caused it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The failure with this exit code that shows this problem.
    #[must_use]
    pub fn exit(self, exit: Exit) -> Failure {
        Failure::new(exit, self)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_text_lists_every_exit_code() {
        let all = [
            Exit::Done,
            Exit::StepFailed,
            Exit::Usage,
            Exit::RecipeInvalid,
            Exit::LockOutOfDate,
            Exit::BadInput,
            Exit::NoPlan,
            Exit::Policy,
            Exit::VerificationFailed,
            Exit::OutputFailed,
            Exit::Differences,
            Exit::Internal,
            Exit::Interrupted,
        ];
        let listed: Vec<u8> = EXIT_CODES
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(listed, all.map(Exit::code));
    }

    #[test]
    fn a_problem_carries_code_help_and_cause() {
        let problem = Problem::new("test", "it broke")
            .help("mend it")
            .cause(std::io::Error::other("because"));
        assert_eq!(problem.to_string(), "it broke");
        assert_eq!(problem.source().unwrap().to_string(), "because");
        assert_eq!(Diagnostic::help(&problem).unwrap().to_string(), "mend it");
        assert_eq!(problem.exit(Exit::Policy).exit.code(), 7);
    }
}
