//! The plan as a drawing.

mod layout;

pub(super) use self::layout::PHASE_WIDE;

use self::layout::{GAP, Layout, WIDTH, Wire, layout};
use super::{
    format::{capital, counted, fitting, fitting_end},
    markup::Markup,
    view::{ImageView, StepView, View},
};

/// As many lines as are drawn: more of them show nothing.
const MOST_WIRES: usize = 1500;

/// The section with the plan of an image.
pub(super) fn graph(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>) {
    image.section(markup, ("plan", "Plan"), |markup| {
        if image.steps.is_empty() {
            markup.leaf("p", &[], "The recipe has no steps: the image is the base image.");
            return;
        }
        let drawing = layout(&image.part.steps);
        let table = &view.report.order_table;
        let text = format!(
            "{} in {}, from top to bottom and left to right in the order of execution (order table {table}). A line says that a step must come after another; point at it to see why.",
            counted(image.steps.len(), "step", "steps"),
            counted(drawing.bands.len(), "phase", "phases"),
        );
        markup.leaf("p", &[("class", "lead")], &text);
        markup.element("div", &[("class", "bar")], |markup| {
            legend(markup, image);
            tools(markup);
        });
        let label = format!("Plan of {}: each step is a link to its details", image.name);
        let attributes = [
            ("class", "graph"),
            ("tabindex", "0"),
            ("role", "group"),
            ("aria-label", label.as_str()),
        ];
        markup.element("div", &attributes, |markup| draw(markup, image, &drawing));
        let left = drawing.wires.len().saturating_sub(MOST_WIRES);
        if left > 0 {
            let text =
                format!("{left} more lines are not drawn; each step says what it waits for.");
            markup.leaf("p", &[("class", "more")], &text);
        }
        let hint = "Drag to move. Click the plan, then turn the wheel to zoom. With the keyboard: arrows, + and \u{2212}, 0 for all.";
        markup.leaf("p", &[("class", "hint"), ("hidden", "")], hint);
    });
}

/// What the colours mean.
fn legend(markup: &mut Markup, image: &ImageView<'_>) {
    let has = |test: &dyn Fn(&StepView<'_>) -> bool| image.steps.iter().any(test);
    let meanings = [
        ("ran", "ran", has(&|step| step.state.name() == "ran")),
        ("cached", "cached: its result was remembered", has(&|step| step.state.name() == "cached")),
        ("no-effect", "no effect: the image was so already", has(&|step| step.no_effect())),
        ("deferred", "finishes at the first boot", has(&|step| step.part.deferred)),
    ];
    markup.element("ul", &[("class", "legend")], |markup| {
        for (class, meaning, _) in meanings.into_iter().filter(|(.., there)| *there) {
            markup.element("li", &[], |markup| {
                let class = format!("swatch {class}");
                markup.leaf("span", &[("class", &class), ("aria-hidden", "true")], "");
                markup.text(meaning);
            });
        }
    });
}

/// Buttons, for when there is a program behind them.
fn tools(markup: &mut Markup) {
    markup.element("div", &[("class", "tools"), ("hidden", "")], |markup| {
        let buttons = [
            ("in", "Zoom in", "+"),
            ("out", "Zoom out", "\u{2212}"),
            ("all", "Show all", "All"),
            ("width", "Fit the width", "Width"),
        ];
        for (what, label, text) in buttons {
            let attributes = [("type", "button"), ("data-zoom", what), ("aria-label", label)];
            markup.leaf("button", &attributes, text);
        }
    });
}

fn draw(markup: &mut Markup, image: &ImageView<'_>, drawing: &Layout) {
    let frame = format!("0 0 {WIDTH} {}", drawing.height + 2);
    let (width, height) = (WIDTH.to_string(), (drawing.height + 2).to_string());
    let class = if drawing.compact { "plan compact" } else { "plan" };
    let attributes = [
        ("class", class),
        ("viewBox", frame.as_str()),
        ("width", width.as_str()),
        ("height", height.as_str()),
    ];
    markup.element("svg", &attributes, |markup| {
        frames(markup, drawing);
        for wire in drawing.wires.iter().take(MOST_WIRES) {
            draw_wire(markup, image, wire);
        }
        phases(markup, drawing);
        for (step, place) in image.steps.iter().zip(&drawing.places) {
            node(markup, step, drawing, *place);
        }
    });
}

fn frames(markup: &mut Markup, drawing: &Layout) {
    for band in &drawing.bands {
        let (y, height) = ((band.top + 1).to_string(), band.height.to_string());
        let width = (WIDTH - 2).to_string();
        let frame = [
            ("class", "band"),
            ("x", "1"),
            ("y", y.as_str()),
            ("width", width.as_str()),
            ("height", height.as_str()),
            ("rx", "10"),
        ];
        markup.shape("rect", &frame);
    }
}

/// Names of the phases, and why each comes after the one above it.
fn phases(markup: &mut Markup, drawing: &Layout) {
    for band in &drawing.bands {
        let name = fitting(&phase_name(&band.phase), 128, 15, false);
        text(markup, "phase", (18, band.top + 32), &name);
        text(markup, "phase-steps", (18, band.top + 50), &counted(band.steps, "step", "steps"));
        if band.top == 0 {
            continue;
        }
        markup.element("g", &[("class", "then")], |markup| {
            let why = band.why.as_deref().unwrap_or("the order table has them later");
            let whole = format!("{} come later: {why}", phase_name(&band.phase));
            markup.leaf("title", &[], &whole);
            let (start, end) = (band.top + 3 - GAP, band.top - 4);
            let line = format!("M30 {start}V{end}");
            markup.shape("path", &[("class", "wire"), ("d", &line)]);
            let head = format!("M25 {}L30 {}L35 {}Z", end - 4, end + 4, end - 4);
            markup.shape("path", &[("class", "head"), ("d", &head)]);
            let shown = fitting(why, WIDTH - 70, 13, false);
            text(markup, "why", (46, band.top - 10), &shown);
        });
    }
}

/// The name of a phase, as a person writes it.
pub(super) fn phase_name(phase: &str) -> String {
    capital(&phase.replace('-', " "))
}

fn draw_wire(markup: &mut Markup, image: &ImageView<'_>, wire: &Wire) {
    let (from, to) = (image.steps[wire.from].part.number, image.steps[wire.to].part.number);
    let (from, to) = (from.to_string(), to.to_string());
    let edge = [("class", "edge"), ("data-from", from.as_str()), ("data-to", to.as_str())];
    markup.element("g", &edge, |markup| {
        markup.leaf("title", &[], &format!("{to} comes after {from}: {}", wire.why));
        let path = layout::outline(&wire.corners);
        markup.shape("path", &[("class", "hit"), ("d", &path)]);
        markup.shape("path", &[("class", "wire"), ("d", &path)]);
        if let Some((x, y)) = wire.corners.last() {
            let head = format!("M{} {}L{x} {y}L{} {}Z", x - 6, y - 4, x - 6, y + 4);
            markup.shape("path", &[("class", "head"), ("d", &head)]);
        }
    });
}

fn node(markup: &mut Markup, step: &StepView<'_>, drawing: &Layout, (x, y): (usize, usize)) {
    let (width, height) = drawing.node;
    let (target, number) = (format!("#{}", step.id), step.part.number.to_string());
    let classes = step.classes("node");
    let link =
        [("class", classes.as_str()), ("href", target.as_str()), ("data-step", number.as_str())];
    markup.element("a", &link, |markup| {
        markup.leaf("title", &[], &describe(step));
        let (left, top) = (x.to_string(), y.to_string());
        let (wide, high) = (width.to_string(), height.to_string());
        let shape = [
            ("x", left.as_str()),
            ("y", top.as_str()),
            ("width", wide.as_str()),
            ("height", high.as_str()),
            ("rx", "8"),
        ];
        markup.shape("rect", &shape);
        let (mark, size) = if drawing.compact { (x + 16, "9.5") } else { (x + 21, "12") };
        let middle = y + height / 2;
        let (mark_x, mark_y) = (mark.to_string(), middle.to_string());
        markup.shape("circle", &[("cx", &mark_x), ("cy", &mark_y), ("r", size)]);
        text(markup, "number", (mark, middle + 4), &number);
        let clock = if step.part.deferred { 24 } else { 0 };
        if step.part.deferred {
            draw_clock(markup, x + width - 18, middle);
        }
        let (indent, down) = if drawing.compact { (30, 4) } else { (42, 13) };
        let room = width - indent - 8 - clock;
        if !drawing.compact {
            let title = fitting(&step.part.title, room - 2, 15, false);
            text(markup, "title", (x + indent, middle - 4), &title);
        }
        // The band says the phase already; the end of a path tells more than its beginning.
        let whole = step.part.name.as_str();
        let name = whole.split_once('.').map_or(whole, |(_, name)| name);
        let fits = !drawing.compact && fitting(whole, room, 11, true) == whole;
        let name = if fits { whole.to_owned() } else { fitting_end(name, room, 11, true) };
        text(markup, "name", (x + indent, middle + down), &name);
    });
}

fn describe(step: &StepView<'_>) -> String {
    let part = step.part;
    let inside = match part.nested.len() {
        0 => String::new(),
        steps => format!(", {} inside", counted(steps, "step", "steps")),
    };
    format!("{}. {} ({}): {}{inside}", part.number, part.title, part.name, step.words())
}

/// What waits: a clock.
fn draw_clock(markup: &mut Markup, x: usize, y: usize) {
    let (left, top) = (x.to_string(), y.to_string());
    let dial = [("class", "clock"), ("cx", left.as_str()), ("cy", top.as_str()), ("r", "7")];
    markup.shape("circle", &dial);
    let hands = format!("M{x} {}V{y}H{}", y - 4, x + 3);
    markup.shape("path", &[("class", "clock"), ("d", &hands)]);
}

fn text(markup: &mut Markup, class: &str, (x, y): (usize, usize), text: &str) {
    let (x, y) = (x.to_string(), y.to_string());
    markup.leaf("text", &[("class", class), ("x", &x), ("y", &y)], text);
}
