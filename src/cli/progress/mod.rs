//! What a person sees while something takes its time.
//!
//! On a terminal: live lines, after 250 ms, so that quick work stays silent; without colour, and as wide as the terminal. Elsewhere, and on a terminal that
//! cannot move its cursor: nothing but the lines a command prints itself.
//! With `--progress json`: one JSON object a line on standard error, at most ten a second.

mod build;
mod lines;
mod screen;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{arguments::ProgressChoice, output, settings::Settings, text};

pub(crate) use build::BuildView;
use lines::{Amount, Pace};
use screen::{Live, Picture};
pub(crate) use screen::{above, clear};

/// Pause between two JSON lines about the same work.
const JSON_PAUSE: Duration = Duration::from_millis(100);

/// How progress is shown in this run: [`ProgressChoice`] with `Auto` and `-q` decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Lines that change.
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
            ProgressChoice::Auto if output::stderr_is_terminal() && !settings.dumb_terminal => {
                Self::Live
            }
            ProgressChoice::Auto | ProgressChoice::Plain => Self::Plain,
        }
    }
}

/// Progress of one piece of work that is measured in bytes. Several threads may tell it.
pub(crate) struct Meter {
    view: View,
    what: &'static str,
    count: Arc<Count>,
    last_line: Mutex<Option<Instant>>,
    live: Mutex<Option<Live>>,
}

/// How far a piece of work is.
struct Count {
    what: &'static str,
    started: Instant,
    done: AtomicU64,
    /// 0 while it is not known.
    total: AtomicU64,
    pace: Mutex<Pace>,
}

/// A JSON progress line of a [`Meter`].
#[derive(Serialize)]
struct MeterLine<'a> {
    event: &'static str,
    what: &'a str,
    done: u64,
    total: u64,
}

impl Count {
    fn new(what: &'static str, total: u64) -> Arc<Self> {
        let (done, total, pace) = (AtomicU64::new(0), AtomicU64::new(total), Mutex::default());
        Arc::new(Self { what, started: Instant::now(), done, total, pace })
    }
}

impl Picture for Count {
    fn lines(&self, width: usize) -> Vec<String> {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        let now = Instant::now();
        let rate = self.pace.lock().unwrap_or_else(PoisonError::into_inner).at(now, done);
        let told = match total {
            0 => Amount {
                what: self.what,
                part: None,
                amount: if done == 0 { String::new() } else { text::size(done) },
                rate: rate.filter(|rate| *rate > 0),
                time: lines::clock(now.duration_since(self.started).as_secs()),
            },
            total => Amount {
                what: self.what,
                part: Some((done, total)),
                amount: format!("{} of {}", text::size(done), text::size(total)),
                rate,
                time: lines::left(done, total, rate),
            },
        };
        vec![lines::amount_line(&told, width)]
    }
}

impl Meter {
    /// A meter for `total` bytes of `what` (`verifying`); 0 while that is not known.
    pub(crate) fn new(settings: &Settings, what: &'static str, total: u64) -> Self {
        let view = View::of(settings);
        let count = Count::new(what, total);
        let live =
            (view == View::Live).then(|| Live::start(Arc::clone(&count) as Arc<dyn Picture>));
        Self { view, what, count, last_line: Mutex::default(), live: Mutex::new(live) }
    }

    /// Says that `done` bytes are done in all.
    pub(crate) fn at(&self, done: u64) {
        // Threads overtake each other: the most counts.
        self.count.done.fetch_max(done, Ordering::Relaxed);
        self.line();
    }

    /// Says that `done` of `total` bytes are done, where the total was not known before.
    pub(crate) fn at_of(&self, done: u64, total: u64) {
        self.count.total.store(total, Ordering::Relaxed);
        self.at(done);
    }

    /// Prints a JSON line, when it is time for one.
    fn line(&self) {
        if self.view != View::Json {
            return;
        }
        // Whoever finds it taken lets the other print.
        let Ok(mut last) = self.last_line.try_lock() else { return };
        let now = Instant::now();
        if last.is_none_or(|last| now - last >= JSON_PAUSE) {
            *last = Some(now);
            self.print(self.count.done.load(Ordering::Relaxed));
        }
    }

    fn print(&self, done: u64) {
        let total = self.count.total.load(Ordering::Relaxed);
        print_json(&MeterLine { event: "progress", what: self.what, done, total });
    }

    /// Takes it from the screen.
    pub(crate) fn finish(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.view == View::Json {
            self.print(self.count.total.load(Ordering::Relaxed));
        }
    }
}

/// Progress of work whose end is not known, told by several threads: the bytes done.
pub(crate) struct Tally {
    view: View,
    count: Arc<Count>,
    live: Mutex<Option<Live>>,
}

impl Tally {
    /// A tally of bytes of `what` (`reading`).
    pub(crate) fn new(settings: &Settings, what: &'static str) -> Self {
        let view = View::of(settings);
        let count = Count::new(what, 0);
        let live =
            (view == View::Live).then(|| Live::start(Arc::clone(&count) as Arc<dyn Picture>));
        Self { view, count, live: Mutex::new(live) }
    }

    /// Counts `bytes` more.
    pub(crate) fn add(&self, bytes: u64) {
        self.count.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes it from the screen.
    pub(crate) fn finish(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).take();
        let done = self.count.done.load(Ordering::Relaxed);
        if self.view == View::Json && done > 0 {
            print_json(&MeterLine { event: "progress", what: self.count.what, done, total: done });
        }
    }
}

fn print_json(line: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(line) {
        output::say(text);
    }
}
