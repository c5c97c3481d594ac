//! What a build tells, shown: steps that run, how many are done, bytes, rate, time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde::Serialize;

use super::{
    JSON_PAUSE, View,
    lines::{Amount, Pace, amount_line, clock, cut, left},
    print_json,
    screen::{Live, Picture},
};
use crate::{
    cli::{output, settings::Settings, text},
    pipeline::Event,
};

/// As many steps that run are named; more are counted.
const NAMED: usize = 4;

/// Shows what a build tells. Events come from several threads.
pub(crate) struct BuildView {
    view: View,
    state: Arc<Mutex<BuildState>>,
    live: Mutex<Option<Live>>,
}

/// How far a build is.
struct BuildState {
    started: Instant,
    steps: usize,
    /// Steps that are done, from the cache or not.
    finished: usize,
    /// Of each step that was begun: how far it is.
    running: BTreeMap<usize, Running>,
    /// Steps whose inputs are ready and that wait for their turn.
    prepared: usize,
    /// Bytes taken in by steps.
    content: u64,
    /// Of the output: written, and all.
    written: Option<(u64, u64)>,
    flushing: bool,
    pace: Pace,
    last_line: Option<Instant>,
    /// What steps are called that are applied now, for plain lines.
    titles: BTreeMap<usize, String>,
}

/// A step that runs.
struct Running {
    doing: &'static str,
    title: String,
    bytes: u64,
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
        let view = View::of(settings);
        let state = Arc::new(Mutex::new(BuildState::new(Instant::now())));
        let live =
            (view == View::Live).then(|| Live::start(Arc::new(BuildPicture(Arc::clone(&state)))));
        Self { view, state, live: Mutex::new(live) }
    }

    /// Shows an event.
    pub(crate) fn event(&self, event: &Event<'_>) {
        if self.view == View::Silent {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match self.view {
            View::Silent => {}
            View::Json => state.json(event),
            View::Plain => state.plain(event),
            View::Live => state.note(event),
        }
    }

    /// Takes everything from the screen.
    pub(crate) fn finish(&self) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The live view of a build.
struct BuildPicture(Arc<Mutex<BuildState>>);

impl Picture for BuildPicture {
    fn lines(&self, width: usize) -> Vec<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.lines(width, Instant::now())
    }
}

impl BuildState {
    fn new(started: Instant) -> Self {
        Self {
            started,
            steps: 0,
            finished: 0,
            running: BTreeMap::new(),
            prepared: 0,
            content: 0,
            written: None,
            flushing: false,
            pace: Pace::default(),
            last_line: None,
            titles: BTreeMap::new(),
        }
    }

    /// Notes how far it is.
    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { steps } => *self = Self { steps: *steps, ..Self::new(self.started) },
            Event::StepCached { number, title, image } => {
                self.begin(*number, "replaying", of_image(*image, title));
            }
            Event::StepPreparing { number, title, .. } => {
                self.begin(*number, "preparing", (*title).to_owned());
            }
            Event::StepContent { number, bytes } => {
                self.content += bytes;
                if let Some(step) = self.running.get_mut(number) {
                    step.bytes += bytes;
                }
            }
            Event::StepPrepared { number } => {
                self.prepared += usize::from(self.running.remove(number).is_some());
            }
            Event::StepApplying { number, title, image } => {
                self.begin(*number, "applying", of_image(*image, title));
            }
            Event::StepReplayed { number } | Event::StepApplied { number, .. } => {
                self.running.remove(number);
                self.finished += 1;
            }
            Event::Finishing { image } => {
                let title = of_image(*image, "registry and facts");
                self.begin(usize::MAX, "finishing", title);
            }
            Event::Finished => self.running.clear(),
            Event::Writing { total } => {
                self.running.clear();
                (self.written, self.pace) = (Some((0, *total)), Pace::default());
            }
            Event::Written { bytes } => {
                if let Some((written, _)) = &mut self.written {
                    *written = (*written).max(*bytes);
                }
            }
            Event::Flushing => self.flushing = true,
            _ => {}
        }
    }

    fn begin(&mut self, number: usize, doing: &'static str, title: String) {
        self.running.insert(number, Running { doing, title, bytes: 0 });
    }

    /// The picture at `now`.
    fn lines(&mut self, width: usize, now: Instant) -> Vec<String> {
        let mut lines: Vec<String> = self
            .running
            .values()
            .take(NAMED)
            .map(|step| {
                let bytes = match step.bytes {
                    0 => String::new(),
                    bytes => format!("  {}", text::size(bytes)),
                };
                let room = width.saturating_sub(bytes.len());
                // Where there is little room the title tells more than the bytes.
                match room > 30 {
                    true => cut(&format!("  {} {}", step.doing, step.title), room) + &bytes,
                    false => cut(&format!("  {} {}", step.doing, step.title), width),
                }
            })
            .collect();
        if self.running.len() > NAMED {
            lines.push(cut(&format!("  and {} more", self.running.len() - NAMED), width));
        }
        let elapsed = clock(now.duration_since(self.started).as_secs());
        let line = match self.written {
            Some((written, total)) => {
                let rate = self.pace.at(now, written);
                let amount = format!("{} of {}", text::size(written), text::size(total));
                let time = match self.flushing {
                    true => elapsed,
                    false => left(written, total, rate),
                };
                let what = if self.flushing { "flushing" } else { "writing" };
                Amount { what, part: Some((written, total)), amount, rate, time }
            }
            None => {
                let rate = self.pace.at(now, self.content).filter(|rate| *rate > 0);
                let amount = match self.content {
                    0 => String::new(),
                    bytes => text::size(bytes),
                };
                // Preparing a step and applying it are a half each.
                let waiting = self.prepared.min(self.steps.saturating_sub(self.finished));
                let part = ((2 * self.finished + waiting) as u64, 2 * self.steps as u64);
                let what = format!("{} of {} steps", self.finished, self.steps);
                let told = Amount { what: &what, part: Some(part), amount, rate, time: elapsed };
                lines.push(amount_line(&told, width));
                return lines;
            }
        };
        lines.push(amount_line(&line, width));
        lines
    }

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
                self.written = Some((0, *total));
                (line.event, line.total) = ("writing", Some(*total));
            }
            Event::Written { bytes } => {
                let now = Instant::now();
                if self.last_line.is_some_and(|last| now - last < JSON_PAUSE) {
                    return;
                }
                self.last_line = Some(now);
                let total = self.written.map(|(_, total)| total);
                (line.event, line.bytes, line.total) = ("written", Some(*bytes), total);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_build_shows_what_runs_and_how_far_it_is() {
        let start = Instant::now();
        let mut state = BuildState::new(start);
        state.note(&Event::Started { steps: 7 });
        state.note(&Event::StepCached { number: 1, title: "language de-DE", image: None });
        state.note(&Event::StepReplayed { number: 1 });
        for (number, title) in
            (2..8).zip(["one", "two", "driver virtio from drivers/viostor", "four", "five", "six"])
        {
            state.note(&Event::StepPreparing { number, title, image: None });
        }
        state.note(&Event::StepPrepared { number: 2 });
        state.note(&Event::StepContent { number: 4, bytes: 12 << 20 });
        let later = start + Duration::from_secs(65);
        assert_eq!(
            state.lines(70, later),
            [
                "  preparing two",
                "  preparing driver virtio from drivers/viostor  12.0 MiB",
                "  preparing four",
                "  preparing five",
                "  and 1 more",
                "1 of 7 steps [#####-------------------]   21%  12.0 MiB  1:05"
                    .replace("[#####-------------------]", &state_bar(&state, 70))
                    .as_str(),
            ]
        );
        for width in [1, 20, 39, 79, 200] {
            for line in state.lines(width, later) {
                assert!(super::super::lines::columns(&line) <= width, "{width}: {line}");
            }
        }
        state.note(&Event::Writing { total: 100 << 20 });
        state.note(&Event::Written { bytes: 0 });
        state.lines(39, later);
        state.note(&Event::Written { bytes: 50 << 20 });
        let line = state.lines(60, later + Duration::from_secs(5));
        assert_eq!(line.len(), 1);
        assert!(
            line[0].starts_with("writing [") && line[0].ends_with("10.0 MiB/s  0:05 left"),
            "{line:?}"
        );
        state.note(&Event::Flushing);
        assert!(state.lines(60, later)[0].starts_with("flushing ["));
    }

    /// The bar as it is drawn.
    fn state_bar(_: &BuildState, width: usize) -> String {
        let rest = "1 of 7 steps ".len() + "   21%".len() + "  12.0 MiB".len() + "  1:05".len();
        let inner = (width - rest - 2).min(40);
        let full = 3 * inner / 14;
        format!("[{}{}]", "#".repeat(full), "-".repeat(inner - full))
    }
}
