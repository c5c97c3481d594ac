//! The steps of an image, one by one.

use serde_json::Value;

use super::{
    format::{counted, duration, number, plural, short, size},
    graph::{PHASE_WIDE, phase_name},
    markup::Markup,
    view::{ImageView, State, StepView, View, copyable, table},
};
use crate::pipeline::report::model::{Changes, ReasonPart, StepPart};

/// As many changes as a page tells one by one, of all steps together.
const MOST_CHANGES: usize = 3000;
/// As many letters of parameters as a page has, of all steps together.
const MOST_LETTERS: usize = 250_000;
/// As deep as parameters are looked into.
const MOST_DEPTH: usize = 40;
/// As many letters as are told of a place, or of what is there.
const MOST_OF_A_PLACE: usize = 240;

/// How much is told of each step, so that all of them together stay readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    changes: usize,
    letters: usize,
}

impl Shares {
    /// The largest shares with which the page stays as small as it should.
    pub(super) fn of(view: &View<'_>) -> Self {
        let steps: Vec<&StepPart> = view
            .steps()
            .flat_map(|step| std::iter::once(step.part).chain(&step.part.nested))
            .collect();
        let changes = [200, 100, 50, 25, 10, 5].into_iter().find(|share| {
            let told = steps.iter().map(|step| step.changes.first.len().min(*share));
            told.sum::<usize>() <= MOST_CHANGES
        });
        let lengths: Vec<usize> =
            steps.iter().map(|step| step.parameters.to_string().len()).collect();
        let letters = [8000, 4000, 2000, 1000, 500].into_iter().find(|share| {
            lengths.iter().map(|length| (*length).min(*share)).sum::<usize>() <= MOST_LETTERS
        });
        Self { changes: changes.unwrap_or(2), letters: letters.unwrap_or(200) }
    }
}

/// The section with the steps of an image.
pub(super) fn steps(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>, shares: Shares) {
    image.section(markup, ("steps", "Steps"), |markup| {
        if image.steps.is_empty() {
            markup.leaf("p", &[], "The recipe has no steps.");
            return;
        }
        let list = image.id("step-list");
        filter(markup, image, &list);
        markup.element("ol", &[("class", "steps"), ("id", &list)], |markup| {
            for step in &image.steps {
                markup.line();
                markup.element("li", &[("class", &step.classes("step"))], |markup| {
                    markup.element("details", &[("id", &step.id)], |markup| {
                        summary(markup, step.part, Some(step));
                        markup.element("div", &[("class", "body")], |markup| {
                            body(markup, view, image, step, shares);
                        });
                    });
                });
            }
        });
        let none = [("class", "none"), ("hidden", "")];
        markup.leaf("p", &none, "No step is like that.");
    });
}

/// What narrows the list, for when there is a program behind it.
fn filter(markup: &mut Markup, image: &ImageView<'_>, list: &str) {
    let attributes = [
        ("class", "filter"),
        ("role", "search"),
        ("aria-label", &format!("Steps of {}", image.name)),
        ("data-list", list),
        ("hidden", ""),
    ];
    markup.element("div", &attributes, |markup| {
        let input = format!("{list}-text");
        markup.leaf("label", &[("for", &input), ("class", "unseen")], "Find in the steps");
        let field = [
            ("id", input.as_str()),
            ("type", "search"),
            ("placeholder", "Find in the steps: a name, a path, a registry key"),
            ("autocomplete", "off"),
            ("spellcheck", "false"),
        ];
        markup.void("input", &field);
        let kinds = [
            ("all", "All", image.steps.len()),
            ("ran", "Ran", image.count(State::Ran)),
            ("cached", "Cached", image.count(State::Cached)),
            ("no-effect", "No effect", image.steps.iter().filter(|step| step.no_effect()).count()),
            ("deferred", "Deferred", image.steps.iter().filter(|step| step.part.deferred).count()),
        ];
        let group = [("class", "kinds"), ("role", "group"), ("aria-label", "Which steps")];
        markup.element("div", &group, |markup| {
            for (kind, text, many) in
                kinds.into_iter().filter(|(kind, _, many)| *kind == "all" || *many > 0)
            {
                let pressed = if kind == "all" { "true" } else { "false" };
                let button = [("type", "button"), ("data-kind", kind), ("aria-pressed", pressed)];
                markup.leaf("button", &button, &format!("{text} {many}"));
            }
        });
        for (what, text) in [("open", "Open all"), ("close", "Close all")] {
            markup.leaf("button", &[("type", "button"), ("data-all", what)], text);
        }
        markup.leaf("output", &[("class", "shown"), ("aria-live", "polite")], "");
    });
}

fn summary(markup: &mut Markup, part: &StepPart, step: Option<&StepView<'_>>) {
    markup.element("summary", &[], |markup| {
        markup.leaf("span", &[("class", "number")], &part.number.to_string());
        markup.element("span", &[("class", "what")], |markup| {
            markup.leaf("span", &[("class", "title")], &part.title);
            markup.text(" ");
            markup.leaf("code", &[], &part.name);
        });
        markup.element("span", &[("class", "marks")], |markup| {
            if let Some(step) = step {
                markup.leaf(
                    "span",
                    &[("class", &format!("mark {}", step.state.name()))],
                    step.state.name(),
                );
            }
            if part.changeset.is_none() {
                markup.text(" ");
                markup.leaf("span", &[("class", "mark no-effect")], "no effect");
            }
            if part.deferred {
                markup.text(" ");
                markup.leaf("span", &[("class", "mark deferred")], "first boot");
            }
        });
        let all: u64 = part.changes.counts.values().sum();
        let changes = format!("{} {}", number(all), if all == 1 { "change" } else { "changes" });
        let took = step.filter(|step| step.run.is_some()).map(|step| duration(step.time()));
        let text = took.map(|took| format!("{changes}, {took}")).unwrap_or(changes);
        markup.leaf("span", &[("class", "size")], &text);
    });
}

fn body(
    markup: &mut Markup,
    view: &View<'_>,
    image: &ImageView<'_>,
    step: &StepView<'_>,
    shares: Shares,
) {
    let part = step.part;
    markup.element("div", &[("class", "whys")], |markup| {
        markup.element("div", &[], |markup| {
            markup.leaf("p", &[("class", "ask")], "Why it stands here");
            place(markup, image, part);
        });
        markup.element("div", &[], |markup| {
            let ask = if step.state == State::Ran { "Why it ran" } else { "Why it did not run" };
            markup.leaf("p", &[("class", "ask")], ask);
            why(markup, view, step);
        });
    });
    markup.element("dl", &[("class", "facts")], |markup| {
        fact(markup, "Stands in", |markup| markup.leaf("code", &[], &part.origin));
        fact(markup, "Phase", |markup| markup.text(&phase_name(&part.phase)));
        fact(markup, "Operation", |markup| markup.leaf("code", &[], &part.operation));
        if let Some(run) = step.run {
            if let Some(prepare) = &run.prepare {
                fact(markup, "Prepared in", |markup| markup.text(&duration(prepare.duration)));
            }
            if let Some(apply) = &run.apply {
                fact(markup, "Applied in", |markup| markup.text(&duration(apply.duration)));
            }
            if run.bytes > 0 {
                fact(markup, "Taken in", |markup| markup.text(&size(run.bytes)));
            }
        }
        fact(markup, "Key", |markup| {
            copyable(markup, &part.key, &format!("the key of step {}", step.part.number));
        });
        if let Some(changeset) = &part.changeset {
            let what = format!("the digest of what step {} did", step.part.number);
            fact(markup, "What it did", |markup| copyable(markup, changeset, &what));
        }
        if !part.inputs.is_empty() {
            fact(markup, "Inputs", |markup| {
                markup.element("a", &[("href", "#inputs")], |markup| {
                    markup.text(&short(&part.inputs.join(", "), 600));
                });
            });
        }
    });
    let label = format!("{}, step {}", image.name, part.number);
    parameters(markup, view, part, &label, shares.letters);
    changes(markup, view, &part.changes, &label, shares.changes);
    nested(markup, view, part, &label, shares);
}

fn fact(markup: &mut Markup, name: &str, value: impl FnOnce(&mut Markup)) {
    markup.element("div", &[], |markup| {
        markup.leaf("dt", &[], name);
        markup.element("dd", &[], value);
    });
}

fn place(markup: &mut Markup, image: &ImageView<'_>, part: &StepPart) {
    if part.reasons.is_empty() {
        let text = format!(
            "Nothing has to come before it: the recipe names it as number {}.",
            part.listed
        );
        markup.leaf("p", &[], &text);
        return;
    }
    markup.element("ul", &[], |markup| {
        for reason in &part.reasons {
            markup.element("li", &[], |markup| after(markup, image, reason));
        }
    });
}

fn after(markup: &mut Markup, image: &ImageView<'_>, reason: &ReasonPart) {
    let table = reason.why.strip_prefix(PHASE_WIDE);
    if !reason.after.is_empty() {
        markup.text(if reason.after.len() == 1 { "After step " } else { "After steps " });
        for (index, number) in reason.after.iter().enumerate() {
            if index > 0 {
                markup.text(if table.is_some() { " to " } else { ", " });
            }
            let number_text = number.to_string();
            match image.steps.iter().find(|step| step.part.number == *number) {
                Some(step) => markup.leaf("a", &[("href", &format!("#{}", step.id))], &number_text),
                None => markup.text(&number_text),
            }
        }
        markup.text(if table.is_some() { ", by the order table: " } else { ": " });
    }
    markup.text(table.unwrap_or(&reason.why));
}

fn why(markup: &mut Markup, view: &View<'_>, step: &StepView<'_>) {
    let told = step.run.map_or(&[] as &[String], |run| &run.why);
    if !told.is_empty() {
        markup.element("ul", &[], |markup| {
            for why in told {
                markup.leaf("li", &[], why);
            }
        });
        return;
    }
    let text = match step.state {
        State::Ran => "No result of it was remembered.",
        State::Cached if view.run.up_to_date => {
            "The output was there already and is what the recipe describes."
        }
        State::Cached => {
            "Nothing that it depends on has changed, so what it did was remembered and applied again."
        }
    };
    markup.leaf("p", &[], text);
}

fn parameters(markup: &mut Markup, view: &View<'_>, part: &StepPart, label: &str, most: usize) {
    let told = told(&part.parameters, &part.operation);
    if told.is_null() {
        return;
    }
    // Texts, numbers and lists always serialise.
    let text = serde_json::to_string_pretty(&told).unwrap_or_default();
    markup.leaf("p", &[("class", "ask")], "Parameters");
    let name = format!("Parameters, {label}");
    let attributes = [("tabindex", "0"), ("role", "group"), ("aria-label", name.as_str())];
    markup.leaf("pre", &attributes, &short(&text, most));
    if text.chars().count() > most {
        let text = format!("Cut off; all of it is in {}", view.document());
        markup.leaf("p", &[("class", "more")], &text);
    }
}

/// What is said of an operation: not its name again, and nothing of what is not said.
fn told(parameters: &Value, operation: &str) -> Value {
    let inside = match parameters {
        Value::Object(fields) if fields.len() == 1 => fields.get(operation),
        _ => None,
    };
    without_nothing(inside.unwrap_or(parameters), MOST_DEPTH)
}

fn without_nothing(value: &Value, depth: usize) -> Value {
    match value {
        Value::Object(fields) if depth > 0 => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nothing(value, depth - 1)))
            .collect(),
        Value::Array(values) if depth > 0 => {
            values.iter().map(|value| without_nothing(value, depth - 1)).collect()
        }
        other => other.clone(),
    }
}

fn changes(markup: &mut Markup, view: &View<'_>, changes: &Changes, label: &str, most: usize) {
    markup.leaf("p", &[("class", "ask")], "What it changed");
    if changes.counts.is_empty() {
        markup.leaf("p", &[], "Nothing: the image was so already.");
        return;
    }
    markup.element("ul", &[("class", "chips")], |markup| {
        for (kind, many) in &changes.counts {
            markup.leaf("li", &[], &format!("{} {}", number(*many), kind.replace('-', " ")));
        }
        if changes.bytes > 0 {
            markup.leaf("li", &[], &format!("{} put in place", size(changes.bytes)));
        }
    });
    if changes.first.is_empty() {
        view.more(markup, changes.more);
        return;
    }
    let caption = format!("Changes, {label}");
    table(markup, (&caption, &["Change", "Where", "What is there now"]), |markup| {
        for change in changes.first.iter().take(most) {
            markup.element("tr", &[], |markup| {
                markup.leaf("td", &[("class", "kind")], &change.kind.replace('-', " "));
                markup.element("td", &[], |markup| {
                    markup.leaf("code", &[], &short(&change.place, MOST_OF_A_PLACE));
                });
                markup.element("td", &[], |markup| {
                    if let Some(now) = &change.now {
                        markup.leaf("code", &[], &short(now, MOST_OF_A_PLACE));
                    }
                });
            });
        }
    });
    let cut = super::format::count(changes.first.len().saturating_sub(most));
    view.more(markup, changes.more.saturating_add(cut));
}

/// The steps inside a recovery image.
fn nested(markup: &mut Markup, view: &View<'_>, part: &StepPart, label: &str, shares: Shares) {
    if part.nested.is_empty() {
        return;
    }
    let text = format!("{} inside the recovery image", counted(part.nested.len(), "step", "steps"));
    markup.leaf("p", &[("class", "ask")], &text);
    markup.element("ol", &[("class", "steps inner")], |markup| {
        for inner in &part.nested {
            let class = if inner.changeset.is_none() { "step no-effect" } else { "step" };
            markup.element("li", &[("class", class)], |markup| {
                markup.element("details", &[], |markup| {
                    summary(markup, inner, None);
                    markup.element("div", &[("class", "body")], |markup| {
                        let label = format!("{label}, inside {}", inner.number);
                        if !inner.reasons.is_empty() {
                            markup.leaf("p", &[("class", "ask")], "Why it stands here");
                            markup.element("ul", &[], |markup| {
                                for reason in &inner.reasons {
                                    markup.leaf("li", &[], &inner_reason(reason));
                                }
                            });
                        }
                        parameters(markup, view, inner, &label, shares.letters);
                        changes(markup, view, &inner.changes, &label, shares.changes);
                    });
                });
            });
        }
    });
}

fn inner_reason(reason: &ReasonPart) -> String {
    let after: Vec<String> = reason.after.iter().map(ToString::to_string).collect();
    if after.is_empty() {
        return reason.why.clone();
    }
    let steps = plural(after.len(), "step", "steps");
    let why = reason.why.strip_prefix(PHASE_WIDE).unwrap_or(&reason.why);
    format!("After {steps} {}: {why}", after.join(", "))
}
