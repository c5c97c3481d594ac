//! What a person sees while something takes its time.
//!
//! On a terminal: a live bar, after 250 ms, so that quick work stays silent. Elsewhere: nothing but the lines a command prints itself.
//! With `--progress json`: one JSON object a line on standard error, at most ten a second.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{arguments::ProgressChoice, output, settings::Settings, text};
use crate::pipeline::Event;

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

/// Progress of one piece of work that is measured in bytes. Several threads may tell it.
pub(crate) struct Meter {
    view: View,
    what: &'static str,
    started: Instant,
    state: Mutex<MeterState>,
}

/// What a [`Meter`] shows.
struct MeterState {
    /// The most that was told: threads overtake each other.
    done: u64,
    total: u64,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
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
        let state = Mutex::new(MeterState { done: 0, total, bar: None, last_line: None });
        Self { view: View::of(settings), what, started: Instant::now(), state }
    }

    /// Says that `done` bytes are done in all.
    pub(crate) fn at(&self, done: u64) {
        self.tell(done, None);
    }

    /// Says that `done` of `total` bytes are done, where the total was not known before.
    pub(crate) fn at_of(&self, done: u64, total: u64) {
        self.tell(done, Some(total));
    }

    fn tell(&self, done: u64, total: Option<u64>) {
        if matches!(self.view, View::Plain | View::Silent) {
            return;
        }
        // Whoever finds it taken lets the other draw.
        let Ok(mut state) = self.state.try_lock() else { return };
        state.done = state.done.max(done);
        state.total = total.unwrap_or(state.total);
        match self.view {
            View::Live => state.draw(self),
            View::Json => state.json_line(self.what),
            View::Plain | View::Silent => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
        if self.view == View::Json {
            (state.done, state.last_line) = (state.total, None);
            state.json_line(self.what);
        }
    }
}

impl MeterState {
    fn draw(&mut self, meter: &Meter) {
        if self.bar.is_none() && meter.started.elapsed() < PATIENCE {
            return;
        }
        let (what, total) = (meter.what, self.total);
        self.bar.get_or_insert_with(|| byte_bar(what, total)).set_position(self.done);
    }

    fn json_line(&mut self, what: &str) {
        let now = Instant::now();
        if self.last_line.is_some_and(|last| now - last < JSON_PAUSE) {
            return;
        }
        self.last_line = Some(now);
        print_json(&MeterLine { event: "progress", what, done: self.done, total: self.total });
    }
}

/// Progress of work whose end is not known, told by several threads: a spinner with the bytes done.
pub(crate) struct Tally {
    view: View,
    what: &'static str,
    started: Instant,
    done: AtomicU64,
    spinner: Mutex<Option<ProgressBar>>,
}

impl Tally {
    /// A tally of bytes of `what` (`reading`).
    pub(crate) fn new(settings: &Settings, what: &'static str) -> Self {
        let (done, spinner) = (AtomicU64::new(0), Mutex::new(None));
        Self { view: View::of(settings), what, started: Instant::now(), done, spinner }
    }

    /// Counts `bytes` more.
    pub(crate) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.view != View::Live || self.started.elapsed() < PATIENCE {
            return;
        }
        // Whoever finds it taken lets the other draw.
        let Ok(mut spinner) = self.spinner.try_lock() else { return };
        spinner.get_or_insert_with(|| spinner_of(self.what)).set_position(done);
    }

    /// Takes the spinner away.
    pub(crate) fn finish(&self) {
        if let Ok(mut spinner) = self.spinner.lock()
            && let Some(spinner) = spinner.take()
        {
            spinner.finish_and_clear();
        }
        let done = self.done.load(Ordering::Relaxed);
        if self.view == View::Json && done > 0 {
            print_json(&MeterLine { event: "progress", what: self.what, done, total: done });
        }
    }
}

/// Shows what a build tells. Events come from several threads.
pub(crate) struct BuildView {
    view: View,
    started: Instant,
    state: Mutex<BuildState>,
}

/// What is on the screen.
#[derive(Default)]
struct BuildState {
    steps: usize,
    finished: usize,
    spinner: Option<ProgressBar>,
    bar: Option<ProgressBar>,
    total: u64,
    titles: std::collections::BTreeMap<usize, String>,
    last_line: Option<Instant>,
}

/// A JSON line about a build. What does not belong to the event is left out.
#[derive(Serialize, Default)]
struct BuildLine<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
}

impl BuildView {
    /// A view of a build that begins now.
    pub(crate) fn new(settings: &Settings) -> Self {
        let state = Mutex::new(BuildState::default());
        Self { view: View::of(settings), started: Instant::now(), state }
    }

    /// Shows an event.
    pub(crate) fn event(&self, event: &Event<'_>) {
        let Ok(mut state) = self.state.lock() else { return };
        match self.view {
            View::Silent => {}
            View::Json => state.json(event),
            View::Plain => state.plain(event),
            View::Live => state.live(event, self.started.elapsed() >= PATIENCE),
        }
    }

    /// Takes everything from the screen.
    pub(crate) fn finish(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        for bar in [state.spinner.take(), state.bar.take()].into_iter().flatten() {
            bar.finish_and_clear();
        }
    }
}

impl BuildState {
    /// A line for each step when it is done, and one when writing begins.
    fn plain(&mut self, event: &Event<'_>) {
        match event {
            Event::StepCached { number, title, image } => {
                output::say(format_args!("step {number}: {} (cached)", of_image(*image, title)));
            }
            Event::StepApplying { number, title, image } => {
                self.titles.insert(*number, of_image(*image, title));
            }
            Event::StepApplied { number, changes } => {
                let title = self.titles.remove(number).unwrap_or_default();
                let effect = match changes {
                    0 => "no change".to_owned(),
                    changes => text::count(*changes as u64, "change", "changes"),
                };
                output::say(format_args!("step {number}: {title} ({effect})"));
            }
            Event::Writing { total } => output::say(format_args!("writing {}", text::size(*total))),
            _ => {}
        }
    }

    fn live(&mut self, event: &Event<'_>, is_time: bool) {
        match event {
            Event::Started { steps } => self.steps = *steps,
            Event::StepCached { title, image, .. } => {
                self.finished += 1;
                self.spin(&of_image(*image, title), is_time);
            }
            Event::StepPreparing { title, .. } => self.spin(title, is_time),
            Event::StepApplying { title, image, .. } => {
                self.spin(&of_image(*image, title), is_time);
            }
            Event::StepApplied { .. } => self.finished += 1,
            Event::Writing { total } => {
                self.total = *total;
                if let Some(spinner) = self.spinner.take() {
                    spinner.finish_and_clear();
                }
            }
            Event::Written { bytes } if is_time => {
                let total = self.total;
                self.bar.get_or_insert_with(|| byte_bar("writing", total)).set_position(*bytes);
            }
            Event::Flushing => {
                if let Some(bar) = &self.bar {
                    bar.set_message("flushing");
                }
            }
            _ => {}
        }
    }

    fn spin(&mut self, title: &str, is_time: bool) {
        if is_time || self.spinner.is_some() {
            let text =
                format!("step {} of {}: {title}", (self.finished + 1).min(self.steps), self.steps);
            let spinner = self.spinner.get_or_insert_with(|| {
                ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20))
            });
            spinner.set_message(text);
            spinner.tick();
        }
    }

    fn json(&mut self, event: &Event<'_>) {
        let mut line = BuildLine::default();
        match event {
            Event::Started { steps } => (line.event, line.steps) = ("started", Some(*steps)),
            Event::StepCached { number, title, image } => {
                (line.event, line.number, line.title, line.image) =
                    ("step-cached", Some(*number), Some(*title), *image);
            }
            Event::StepPreparing { number, title, image } => {
                (line.event, line.number, line.title, line.image) =
                    ("step-preparing", Some(*number), Some(*title), *image);
            }
            Event::StepPrepared { number } => {
                (line.event, line.number) = ("step-prepared", Some(*number));
            }
            Event::StepApplying { number, title, image } => {
                (line.event, line.number, line.title, line.image) =
                    ("step-applying", Some(*number), Some(*title), *image);
            }
            Event::StepApplied { number, changes } => {
                (line.event, line.number, line.changes) =
                    ("step-applied", Some(*number), Some(*changes));
            }
            Event::Writing { total } => {
                self.total = *total;
                (line.event, line.total) = ("writing", Some(*total));
            }
            Event::Written { bytes } => {
                let now = Instant::now();
                if self.last_line.is_some_and(|last| now - last < JSON_PAUSE) {
                    return;
                }
                self.last_line = Some(now);
                (line.event, line.bytes, line.total) = ("written", Some(*bytes), Some(self.total));
            }
            Event::Flushing => line.event = "flushing",
            Event::UpToDate => line.event = "up-to-date",
            Event::Done => line.event = "done",
            // Content comes in many small pieces, and new events are for those who know them.
            _ => return,
        }
        print_json(&line);
    }
}

/// A step's title, with its image where there are several.
fn of_image(image: Option<u32>, title: &str) -> String {
    image.map_or_else(|| title.to_owned(), |image| format!("image {image}: {title}"))
}

fn print_json(line: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(line) {
        output::say(text);
    }
}

/// A spinner that counts bytes.
fn spinner_of(what: &'static str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:>12} {spinner} {binary_bytes} {binary_bytes_per_sec}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20))
        .with_style(style)
        .with_message(what)
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
