//! Where the time went, as a drawing.

use super::{
    format::{counted, duration, fitting, plural},
    markup::Markup,
    view::{State, View, scroller, section, table},
};
use crate::pipeline::report::run::Span;

const WIDTH: usize = 1120;
/// Width of the names of the lanes.
const LABELS: usize = 96;
/// Height of the scale.
const SCALE: usize = 26;
const LANE: usize = 24;
const BAR: usize = 18;
/// As many lanes as one kind of work gets; what does not fit goes into the last.
const MOST_LANES: usize = 16;
/// As many steps as the list of the slowest has.
const SLOWEST: usize = 10;

/// A bar: what it tells, and what it is.
struct Bar<'a> {
    span: &'a Span,
    class: String,
    title: String,
    label: String,
}

/// Bars of one kind, in lanes in which none covers another.
struct Lanes<'a> {
    name: &'static str,
    lanes: Vec<Vec<Bar<'a>>>,
}

/// The section with the timeline.
pub(super) fn timeline(markup: &mut Markup, view: &View<'_>) {
    section(markup, ("timeline", "Timeline"), |markup| {
        let run = view.run;
        let cached = view.count(State::Cached);
        let text = if run.up_to_date {
            format!(
                "The output was there already and is what the recipe describes. Seeing that took {}; nothing was written.",
                duration(run.duration)
            )
        } else if cached > 0 {
            format!(
                "{} of {} {} remembered from an earlier build and only applied again.",
                cached,
                counted(view.steps().count(), "step", "steps"),
                plural(cached, "was", "were"),
            )
        } else {
            "Nothing was remembered from an earlier build: every step was prepared and applied."
                .to_owned()
        };
        markup.leaf("p", &[("class", "lead")], &text);
        let groups = groups(view);
        if groups.iter().all(|group| group.lanes.is_empty()) {
            return;
        }
        scroller(markup, "Timeline, drawn", |markup| draw(markup, view, &groups));
        legend(markup, view);
        markup.element("details", &[("class", "more-of")], |markup| {
            markup.leaf("summary", &[], "Times as tables");
            times(markup, view);
        });
    });
}

fn groups<'a>(view: &'a View<'_>) -> [Lanes<'a>; 3] {
    let stages = view.run.stages.iter().map(|span| Bar {
        class: format!("stage {}", stage_class(&span.name)),
        title: format!("{}: {}", span.name, place_in_time(span)),
        label: format!("{} {}", span.name, duration(span.duration)),
        span,
    });
    let of_steps = |prepare: bool| {
        view.steps().filter_map(move |step| {
            let run = step.run?;
            let span = if prepare { run.prepare.as_ref()? } else { run.apply.as_ref()? };
            let (doing, class) = match (prepare, step.state) {
                (true, _) => ("prepare", "step ran"),
                (false, State::Ran) => ("apply", "step ran"),
                (false, State::Cached) => ("apply again", "step cached"),
            };
            let (number, title) = (step.part.number, &step.part.title);
            Some(Bar {
                class: class.to_owned(),
                title: format!("{doing} {number}. {title}: {}", place_in_time(span)),
                label: format!("{number}. {}", step.part.name),
                span,
            })
        })
    };
    [
        Lanes { name: "Stages", lanes: pack(stages.collect()) },
        Lanes { name: "Prepare", lanes: pack(of_steps(true).collect()) },
        Lanes { name: "Apply", lanes: pack(of_steps(false).collect()) },
    ]
}

/// When and how long, in words.
fn place_in_time(span: &Span) -> String {
    format!("{}, from {} on", duration(span.duration), duration(span.start))
}

/// The class of a stage: its name, where the style knows it.
fn stage_class(name: &str) -> &'static str {
    let known = ["plan", "prepare", "apply", "finish", "write", "flush", "report"];
    known.into_iter().find(|known| *known == name).unwrap_or("other")
}

/// Puts each bar into the first lane in which nothing is in its way.
fn pack(mut bars: Vec<Bar<'_>>) -> Vec<Vec<Bar<'_>>> {
    bars.sort_by_key(|bar| bar.span.start);
    let mut lanes: Vec<(u64, Vec<Bar<'_>>)> = Vec::new();
    for bar in bars {
        let end = bar.span.start.saturating_add(bar.span.duration);
        let free = lanes.iter().position(|(until, _)| *until <= bar.span.start);
        match free {
            None if lanes.len() < MOST_LANES => lanes.push((end, vec![bar])),
            free => {
                let place = free.unwrap_or(lanes.len() - 1);
                lanes[place].0 = end.max(lanes[place].0);
                lanes[place].1.push(bar);
            }
        }
    }
    lanes.into_iter().map(|(_, bars)| bars).collect()
}

/// Turns times into places on the drawing.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// What the right edge stands for, in microseconds.
    end: u64,
}

impl Scale {
    /// The place of a time, in tenths of a pixel.
    fn tenths(self, time: u64) -> u64 {
        let room = u128::try_from((WIDTH - LABELS - 8) * 10).unwrap_or(0);
        let place = u128::from(time.min(self.end)) * room / u128::from(self.end);
        u64::try_from(place).unwrap_or(0)
    }

    /// The time between two marks: 1, 2 or 5 and noughts, so that there are at most ten.
    fn step(self) -> u64 {
        let mut step: u64 = 1;
        while self.end / step > 10 {
            let first = step / 10_u64.pow(step.ilog10());
            step = if first == 2 { step / 2 * 5 } else { step * 2 };
        }
        step
    }
}

fn draw(markup: &mut Markup, view: &View<'_>, groups: &[Lanes<'_>; 3]) {
    let all = || groups.iter().flat_map(|group| group.lanes.iter().flatten());
    let last = all().map(|bar| bar.span.start.saturating_add(bar.span.duration)).max();
    let scale = Scale { end: last.unwrap_or(0).max(view.run.duration).max(1) };
    let lanes: usize = groups.iter().map(|group| group.lanes.len()).sum();
    let used = groups.iter().filter(|group| !group.lanes.is_empty()).count();
    let height = SCALE + lanes * LANE + used * 10;
    let frame = format!("0 0 {WIDTH} {height}");
    let (wide, high) = (WIDTH.to_string(), height.to_string());
    let attributes = [
        ("class", "timeline"),
        ("viewBox", frame.as_str()),
        ("width", wide.as_str()),
        ("height", high.as_str()),
        ("role", "img"),
        ("aria-labelledby", "timeline-drawn"),
    ];
    markup.element("svg", &attributes, |markup| {
        let title = format!("What the build did in its {}", duration(view.run.duration));
        markup.leaf("title", &[("id", "timeline-drawn")], &title);
        marks(markup, scale, height);
        let mut y = SCALE;
        for group in groups.iter().filter(|group| !group.lanes.is_empty()) {
            let at = (y + BAR / 2 + 5).to_string();
            markup.leaf("text", &[("class", "lane"), ("x", "0"), ("y", &at)], group.name);
            for lane in &group.lanes {
                for bar in lane {
                    draw_bar(markup, scale, bar, y);
                }
                y += LANE;
            }
            y += 10;
        }
    });
}

/// The marks of the scale.
fn marks(markup: &mut Markup, scale: Scale, height: usize) {
    let step = scale.step();
    let mut next = Some(0);
    while let Some(time) = next.filter(|time| *time <= scale.end) {
        let x = pixels(scale.tenths(time));
        let line = format!("M{x} {}V{height}", SCALE - 8);
        markup.shape("path", &[("class", "mark"), ("d", &line)]);
        let end = time.saturating_add(step) > scale.end && time > 0;
        let anchor = if end { "end" } else { "start" };
        let shift = if end { "-4" } else { "0" };
        let text = [
            ("class", "time"),
            ("x", x.as_str()),
            ("dx", shift),
            ("y", "13"),
            ("text-anchor", anchor),
        ];
        markup.leaf("text", &text, &if time == 0 { "0".to_owned() } else { duration(time) });
        next = time.checked_add(step);
    }
}

/// A place as SVG writes it, the names of the lanes added.
fn pixels(tenths: u64) -> String {
    let tenths = tenths + u64::try_from(LABELS * 10).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn draw_bar(markup: &mut Markup, scale: Scale, bar: &Bar<'_>, y: usize) {
    let start = scale.tenths(bar.span.start);
    let end = scale.tenths(bar.span.start.saturating_add(bar.span.duration));
    let wide = (end - start).max(20);
    markup.element("g", &[("class", &bar.class)], |markup| {
        markup.leaf("title", &[], &bar.title);
        let (x, top) = (pixels(start), y.to_string());
        let (width, height) = (format!("{}.{}", wide / 10, wide % 10), BAR.to_string());
        let shape = [
            ("x", x.as_str()),
            ("y", top.as_str()),
            ("width", width.as_str()),
            ("height", height.as_str()),
            ("rx", "3"),
        ];
        markup.shape("rect", &shape);
        let room = usize::try_from(wide / 10).unwrap_or(0).saturating_sub(12);
        let label = fitting(&bar.label, room, 12, false);
        if label.chars().count() > 3 {
            let (x, base) = (pixels(start + 60), (y + 13).to_string());
            markup.leaf("text", &[("x", &x), ("y", &base)], &label);
        }
    });
}

/// The stages in numbers, and what the colours of steps mean.
fn legend(markup: &mut Markup, view: &View<'_>) {
    let stages = view.run.stages.iter().take(MOST_LANES).map(|span| {
        (
            format!("stage {}", stage_class(&span.name)),
            format!("{} {}", span.name, duration(span.duration)),
        )
    });
    let kinds = [(State::Ran, "a step that ran"), (State::Cached, "a step that was cached")];
    let steps = kinds
        .into_iter()
        .filter(|(state, _)| view.steps().any(|step| step.run.is_some() && step.state == *state))
        .map(|(state, text)| (state.name().to_owned(), text.to_owned()));
    markup.element("ul", &[("class", "legend")], |markup| {
        for (class, text) in stages.chain(steps) {
            markup.element("li", &[], |markup| {
                let class = format!("swatch {class}");
                markup.leaf("span", &[("class", &class), ("aria-hidden", "true")], "");
                markup.text(&text);
            });
        }
    });
}

/// The same as tables: stages, and the slowest steps.
fn times(markup: &mut Markup, view: &View<'_>) {
    table(markup, ("Stages", &["Stage", "Began at", "Took"]), |markup| {
        for span in &view.run.stages {
            row(markup, &span.name, &duration(span.start), &duration(span.duration));
        }
    });
    let mut steps: Vec<_> = view.steps().filter(|step| step.time() > 0).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.time()));
    steps.truncate(SLOWEST);
    if steps.is_empty() {
        return;
    }
    table(markup, ("The slowest steps", &["Step", "How", "Took"]), |markup| {
        for step in steps {
            let name = format!("{}. {}", step.part.number, step.part.title);
            row(markup, &name, step.state.name(), &duration(step.time()));
        }
    });
}

fn row(markup: &mut Markup, name: &str, middle: &str, last: &str) {
    markup.element("tr", &[], |markup| {
        markup.leaf("th", &[("scope", "row")], name);
        markup.leaf("td", &[("class", "count")], middle);
        markup.leaf("td", &[("class", "count")], last);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, duration: u64) -> Span {
        Span { name: "plan".to_owned(), start, duration }
    }

    fn bar(span: &Span) -> Bar<'_> {
        Bar { span, class: String::new(), title: String::new(), label: String::new() }
    }

    #[test]
    fn bars_in_a_lane_do_not_cover_each_other() {
        let spans: Vec<Span> = (0..60).map(|n| span(n * 7 % 50, 1 + n % 9)).collect();
        let lanes = pack(spans.iter().map(bar).collect());
        assert!(lanes.len() > 1 && lanes.len() < MOST_LANES);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), spans.len());
        for bars in lanes.iter().flat_map(|lane| lane.windows(2)) {
            assert!(bars[0].span.start + bars[0].span.duration <= bars[1].span.start);
        }
    }

    #[test]
    fn too_many_at_once_share_the_last_lane() {
        let spans: Vec<Span> = (0..40).map(|n| span(n, 1000)).collect();
        let lanes = pack(spans.iter().map(bar).collect());
        assert_eq!(lanes.len(), MOST_LANES);
        assert_eq!(lanes.iter().map(Vec::len).sum::<usize>(), spans.len());
    }

    #[test]
    fn the_scale_has_few_round_marks_and_an_end() {
        for (end, step) in [(1, 1), (10, 1), (11, 2), (1_340_000, 200_000), (7_000_000, 1_000_000)]
        {
            assert_eq!(Scale { end }.step(), step, "{end}");
        }
        let scale = Scale { end: 100 };
        assert_eq!(scale.tenths(0), 0);
        assert_eq!(scale.tenths(100), scale.tenths(u64::MAX));
        assert!(Scale { end: u64::MAX }.step() > u64::MAX / 11);
    }
}
