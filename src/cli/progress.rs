//! What a person sees while something takes its time.
//!
//! On a terminal: a live bar, after 250 ms, so that quick work stays silent. Elsewhere: nothing but the lines a command prints itself.
//! With `--progress json`: one JSON object a line on standard error, at most ten a second.
#![expect(clippy::print_stderr, reason = "progress is printed here")]

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{arguments::ProgressChoice, output, settings::Settings};

/// How long work may take before something is shown.
const PATIENCE: Duration = Duration::from_millis(250);
/// Pause between two JSON lines about the same work.
const JSON_PAUSE: Duration = Duration::from_millis(100);

/// How progress is shown in this run: [`ProgressChoice`] with `Auto` and `-q` decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Bars.
    Live,
    /// Lines of text.
    Plain,
    /// JSON lines.
    Json,
    /// Nothing.
    Silent,
}

impl View {
    /// Decides.
    pub(crate) fn of(settings: &Settings) -> Self {
        match settings.progress {
            ProgressChoice::None => Self::Silent,
            ProgressChoice::Json => Self::Json,
            ProgressChoice::Auto | ProgressChoice::Plain if settings.quiet => Self::Silent,
            ProgressChoice::Auto if output::stderr_is_terminal() => Self::Live,
            ProgressChoice::Auto | ProgressChoice::Plain => Self::Plain,
        }
    }
}

/// Progress of one piece of work that is measured in bytes.
pub(crate) struct Meter {
    view: View,
    what: &'static str,
    total: u64,
    started: Instant,
    bar: RefCell<Option<ProgressBar>>,
    last_line: Cell<Option<Instant>>,
}

/// A JSON progress line of a [`Meter`].
#[derive(Serialize)]
struct MeterLine<'a> {
    event: &'static str,
    what: &'a str,
    done: u64,
    total: u64,
}

impl Meter {
    /// A meter for `total` bytes of `what` (`verifying`).
    pub(crate) fn new(settings: &Settings, what: &'static str, total: u64) -> Self {
        Self {
            view: View::of(settings),
            what,
            total,
            started: Instant::now(),
            bar: RefCell::new(None),
            last_line: Cell::new(None),
        }
    }

    /// Says that `done` bytes are done in all.
    pub(crate) fn at(&self, done: u64) {
        match self.view {
            View::Live => self.draw(done),
            View::Json => self.json_line(done, false),
            View::Plain | View::Silent => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.view == View::Json {
            self.json_line(self.total, true);
        }
    }

    fn draw(&self, done: u64) {
        let mut bar = self.bar.borrow_mut();
        if bar.is_none() && self.started.elapsed() < PATIENCE {
            return;
        }
        bar.get_or_insert_with(|| byte_bar(self.what, self.total)).set_position(done);
    }

    fn json_line(&self, done: u64, always: bool) {
        let now = Instant::now();
        let too_soon = self.last_line.get().is_some_and(|last| now - last < JSON_PAUSE);
        if too_soon && !always {
            return;
        }
        self.last_line.set(Some(now));
        let line = MeterLine { event: "progress", what: self.what, done, total: self.total };
        if let Ok(text) = serde_json::to_string(&line) {
            anstream::eprintln!("{text}");
        }
    }
}

/// A bar that counts bytes.
fn byte_bar(what: &'static str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:>12} {bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(20))
        .with_style(style)
        .with_message(what)
}
