//! How one build went, noted from its events: the only place where a build meets a clock.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    base::filetime::FileTime,
    pipeline::{
        Event, Outcome,
        report::run::{FORMAT, Host, Run, Span, StepRun},
    },
    plan::Plan,
};

/// Notes when what began and ended. Events come from several threads.
pub(crate) struct Recorder {
    started: SystemTime,
    notes: Mutex<Notes>,
}

struct Notes {
    /// When the clock was started, as far as it was not stopped since.
    origin: Instant,
    /// When it was stopped.
    stopped: Option<Instant>,
    /// In order of beginning; the end is `None` until it is known.
    stages: Vec<(&'static str, u64, Option<u64>)>,
    steps: BTreeMap<usize, StepNotes>,
}

/// Times of a step, in microseconds.
#[derive(Default)]
struct StepNotes {
    prepare: Option<(u64, u64)>,
    apply: Option<(u64, u64)>,
    bytes: u64,
}

impl Recorder {
    /// Starts the clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "when a build began is told beside it, and nowhere in it"
    )]
    pub(crate) fn start() -> Self {
        let origin = Instant::now();
        let notes = Notes { origin, stopped: None, stages: Vec::new(), steps: BTreeMap::new() };
        Self { started: SystemTime::now(), notes: Mutex::new(notes) }
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the clock: what happens until [`Recorder::go_on`] is not this build's.
    pub(crate) fn stop(&self) {
        self.notes().stopped.get_or_insert_with(Instant::now);
    }

    /// Lets the clock go on.
    pub(crate) fn go_on(&self) {
        let mut notes = self.notes();
        if let Some(stopped) = notes.stopped.take() {
            notes.origin += stopped.elapsed();
        }
    }

    /// Does `work` as the stage `name`.
    pub(crate) fn stage<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        self.notes().begin(name);
        let result = work();
        self.notes().end(name);
        result
    }

    /// Notes an event of a build.
    pub(crate) fn event(&self, event: &Event<'_>) {
        self.notes().event(event);
    }

    /// The account of a build of `plan` that ended with `outcome`.
    pub(crate) fn run(&self, plan: &Plan, outcome: &Outcome) -> Run {
        let notes = self.notes();
        let images = plan
            .images
            .iter()
            .flat_map(|image| image.steps.iter().map(move |step| (image.index, step)));
        let steps =
            images.zip(&outcome.steps).enumerate().map(|(place, ((image, step), outcome))| {
                let noted = notes.steps.get(&(place + 1));
                StepRun {
                    image,
                    number: step.number,
                    name: step.name(),
                    cached: outcome.cached,
                    why: outcome.why.iter().map(ToString::to_string).collect(),
                    prepare: noted.and_then(|step| span("prepare", step.prepare)),
                    apply: noted.and_then(|step| span("apply", step.apply)),
                    bytes: noted.map_or(0, |step| step.bytes),
                }
            });
        let stages = notes
            .stages
            .iter()
            .filter_map(|(name, start, end)| span(name, end.map(|end| (*start, end))));
        Run {
            format: FORMAT,
            commit: outcome.commit.to_hex(),
            started: rfc3339(self.started),
            duration: notes.now(),
            host: Host {
                system: std::env::consts::OS.to_owned(),
                architecture: std::env::consts::ARCH.to_owned(),
                threads: rayon::current_num_threads(),
            },
            up_to_date: outcome.up_to_date,
            stages: stages.collect(),
            steps: steps.collect(),
            copied_bytes: outcome.copied_bytes,
            encoded_bytes: outcome.encoded_bytes,
        }
    }
}

impl Notes {
    /// Microseconds since the clock was started.
    fn now(&self) -> u64 {
        let until = self.stopped.unwrap_or_else(Instant::now);
        u64::try_from(until.saturating_duration_since(self.origin).as_micros()).unwrap_or(u64::MAX)
    }

    /// Begins a stage unless it has begun.
    fn begin(&mut self, name: &'static str) {
        if self.stages.iter().all(|(known, ..)| *known != name) {
            let now = self.now();
            self.stages.push((name, now, None));
        }
    }

    /// Ends a stage; of several ends the last counts.
    fn end(&mut self, name: &'static str) {
        let now = self.now();
        if let Some((.., end)) = self.stages.iter_mut().find(|(known, ..)| *known == name) {
            *end = Some(now);
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        let now = self.now();
        match event {
            // A build that begins again because the cache lost something: what was noted is no longer so.
            Event::Started { .. } => {
                self.steps.clear();
                self.stages.retain(|(name, ..)| *name == "plan");
            }
            Event::StepPreparing { number, .. } => {
                self.begin("prepare");
                self.step(*number).prepare = Some((now, now));
            }
            Event::StepContent { number, bytes } => self.step(*number).bytes += bytes,
            Event::StepPrepared { number } => {
                if let Some((_, end)) = &mut self.step(*number).prepare {
                    *end = now;
                }
                self.end("prepare");
            }
            Event::StepCached { number, .. } | Event::StepApplying { number, .. } => {
                self.begin("apply");
                self.step(*number).apply = Some((now, now));
            }
            Event::StepReplayed { number } | Event::StepApplied { number, .. } => {
                if let Some((_, end)) = &mut self.step(*number).apply {
                    *end = now;
                }
                self.end("apply");
            }
            Event::Finishing { .. } => self.begin("finish"),
            Event::Finished => self.end("finish"),
            Event::Writing { .. } => self.begin("write"),
            Event::Flushing => {
                self.end("write");
                self.begin("flush");
            }
            Event::Done => self.end("flush"),
            _ => {}
        }
    }

    fn step(&mut self, number: usize) -> &mut StepNotes {
        self.steps.entry(number).or_default()
    }
}

fn span(name: &str, times: Option<(u64, u64)>) -> Option<Span> {
    let (start, end) = times?;
    Some(Span { name: name.to_owned(), start, duration: end.saturating_sub(start) })
}

/// To the second: more is noise.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    FileTime::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX), 0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_and_steps_are_noted_and_a_stopped_clock_stands() {
        let recorder = Recorder::start();
        assert_eq!(recorder.stage("plan", || 3), 3);
        recorder.stop();
        let stood = recorder.notes().now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        recorder.go_on();
        assert!(recorder.notes().now() < stood + 15_000);
        let (title, image) = ("t", None);
        for event in [
            Event::Started { steps: 2 },
            Event::StepPreparing { number: 2, title, image },
            Event::StepContent { number: 2, bytes: 5 },
            Event::StepContent { number: 2, bytes: 6 },
            Event::StepPrepared { number: 2 },
            Event::StepCached { number: 1, title, image },
            Event::StepReplayed { number: 1 },
            Event::StepApplying { number: 2, title, image },
            Event::StepApplied { number: 2, changes: 1 },
            Event::Finishing { image },
            Event::Finished,
            Event::Writing { total: 9 },
            Event::Flushing,
            Event::Done,
        ] {
            recorder.event(&event);
        }
        let notes = recorder.notes();
        let names: Vec<&str> = notes.stages.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, ["plan", "prepare", "apply", "finish", "write", "flush"]);
        assert!(notes.stages.iter().all(|(_, start, end)| end.is_some_and(|end| end >= *start)));
        assert_eq!(notes.steps[&2].bytes, 11);
        assert!(notes.steps[&1].prepare.is_none() && notes.steps[&2].prepare.is_some());
    }

    #[test]
    fn the_time_is_told_as_everywhere() {
        let time = UNIX_EPOCH + std::time::Duration::from_millis(1_500);
        assert_eq!(rfc3339(time), "1970-01-01T00:00:01Z");
    }
}
