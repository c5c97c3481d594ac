//! Report and run side by side: what the parts of the page are made of.

use std::collections::BTreeMap;

use super::{
    format::{count, number, stem},
    markup::Markup,
};
use crate::pipeline::report::{
    Report, Run,
    model::{ImagePart, StepPart},
    run::StepRun,
};

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It was done.
    Ran,
    /// What it did was remembered.
    Cached,
}

impl State {
    /// Its name, of classes too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Cached => "cached",
        }
    }
}

/// A step with its run.
#[derive(Debug)]
pub(super) struct StepView<'a> {
    /// What the report tells.
    pub(super) part: &'a StepPart,
    /// What the run tells; nothing when the output was there already.
    pub(super) run: Option<&'a StepRun>,
    /// How it went.
    pub(super) state: State,
    /// The id of its place on the page.
    pub(super) id: String,
}

impl StepView<'_> {
    /// True when the image was so already.
    pub(super) fn no_effect(&self) -> bool {
        self.part.changeset.is_none()
    }

    /// Classes that its colours come from.
    pub(super) fn classes(&self, first: &str) -> String {
        let effect = if self.no_effect() { " no-effect" } else { "" };
        let deferred = if self.part.deferred { " deferred" } else { "" };
        format!("{first} {}{effect}{deferred}", self.state.name())
    }

    /// How it went, in words.
    pub(super) fn words(&self) -> String {
        let effect = if self.no_effect() { ", no effect" } else { "" };
        let deferred = if self.part.deferred { ", rest at first boot" } else { "" };
        format!("{}{effect}{deferred}", self.state.name())
    }

    /// How long it was prepared and applied, in microseconds.
    pub(super) fn time(&self) -> u64 {
        let run = self.run.into_iter();
        run.flat_map(|run| [&run.prepare, &run.apply]).flatten().map(|span| span.duration).sum()
    }
}

/// An image with its steps.
#[derive(Debug)]
pub(super) struct ImageView<'a> {
    /// What the report tells.
    pub(super) part: &'a ImagePart,
    /// What the ids of its places begin with: empty when it is the only image.
    pub(super) prefix: String,
    /// Its steps.
    pub(super) steps: Vec<StepView<'a>>,
    /// What people call it.
    pub(super) name: &'a str,
}

impl ImageView<'_> {
    /// The id of one of its places.
    pub(super) fn id(&self, place: &str) -> String {
        format!("{}{place}", self.prefix)
    }

    /// A section about it; of several images its name is part of the section's.
    pub(super) fn section(
        &self,
        markup: &mut Markup,
        (id, title): (&str, &str),
        inside: impl FnOnce(&mut Markup),
    ) {
        let id = self.id(id);
        if self.prefix.is_empty() {
            return section(markup, (&id, title), inside);
        }
        let label = format!("{id}-title");
        let both = format!("{}title {label}", self.prefix);
        markup.line();
        markup.element("section", &[("id", &id), ("aria-labelledby", &both)], |markup| {
            heading(markup, 3, &label, title);
            inside(markup);
        });
    }

    /// How many of its steps went this way.
    pub(super) fn count(&self, state: State) -> usize {
        self.steps.iter().filter(|step| step.state == state).count()
    }

    /// Size of all its files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.part.inventory.folders.first().map_or(0, |root| root.bytes)
    }
}

/// Everything that the page is made of.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// What was built.
    pub(super) report: &'a Report,
    /// How the build went.
    pub(super) run: &'a Run,
    /// What the documents are named after.
    pub(super) stem: &'a str,
    /// The images.
    pub(super) images: Vec<ImageView<'a>>,
}

impl<'a> View<'a> {
    /// Puts report and run together.
    pub(super) fn new(report: &'a Report, run: &'a Run) -> Self {
        let runs: BTreeMap<(u32, usize), &StepRun> =
            run.steps.iter().map(|step| ((step.image, step.number), step)).collect();
        let several = report.images.len() > 1;
        let image = |(place, part): (usize, &'a ImagePart)| {
            let prefix = if several { format!("image-{}-", place + 1) } else { String::new() };
            let step = |part_of: &'a StepPart| {
                let run = runs.get(&(part.base_index, part_of.number)).copied();
                let ran = run.is_some_and(|run| !run.cached);
                StepView {
                    part: part_of,
                    run,
                    state: if ran { State::Ran } else { State::Cached },
                    id: format!("{prefix}step-{}", part_of.number),
                }
            };
            let name = part.name.as_deref().or(part.base_name.as_deref());
            ImageView {
                part,
                steps: part.steps.iter().map(step).collect(),
                name: name.unwrap_or("Unnamed image"),
                prefix,
            }
        };
        let images = report.images.iter().enumerate().map(image).collect();
        Self { report, run, stem: stem(&report.output.name), images }
    }

    /// True when there are several images: each has a section then.
    pub(super) fn several(&self) -> bool {
        self.images.len() > 1
    }

    /// All steps of all images.
    pub(super) fn steps(&self) -> impl Iterator<Item = &StepView<'a>> {
        self.images.iter().flat_map(|image| &image.steps)
    }

    /// How many steps went this way.
    pub(super) fn count(&self, state: State) -> usize {
        self.steps().filter(|step| step.state == state).count()
    }

    /// The name of the document with everything that a page has no room for.
    pub(super) fn document(&self) -> String {
        format!("{}.report.json", self.stem)
    }

    /// The level of a heading within an image.
    pub(super) fn level(&self) -> usize {
        if self.several() { 3 } else { 2 }
    }

    /// Says that a list goes on elsewhere, when it does.
    pub(super) fn more(&self, markup: &mut Markup, left: u64) {
        if left > 0 {
            let text = format!("{} more, see {}", number(left), self.document());
            markup.leaf("p", &[("class", "more")], &text);
        }
    }

    /// Says that a list of `all` goes on when only `shown` of it are shown.
    pub(super) fn rest(&self, markup: &mut Markup, all: usize, shown: usize) {
        self.more(markup, count(all.saturating_sub(shown)));
    }
}

/// A heading of this level, which is between 1 and 6.
pub(super) fn heading(markup: &mut Markup, level: usize, id: &str, text: &str) {
    const NAMES: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];
    let name = NAMES[level.clamp(1, NAMES.len()) - 1];
    if id.is_empty() {
        markup.leaf(name, &[], text);
    } else {
        markup.leaf(name, &[("id", id)], text);
    }
}

/// A section of the page with a heading, which names it.
pub(super) fn section(
    markup: &mut Markup,
    (id, title): (&str, &str),
    inside: impl FnOnce(&mut Markup),
) {
    let label = format!("{id}-title");
    markup.line();
    markup.element("section", &[("id", id), ("aria-labelledby", &label)], |markup| {
        heading(markup, 2, &label, title);
        inside(markup);
    });
}

/// A text with a button that copies it; the button is only there with a program to do so.
pub(super) fn copyable(markup: &mut Markup, text: &str, what: &str) {
    markup.element("span", &[("class", "copyable")], |markup| {
        markup.leaf("code", &[], text);
        let label = format!("Copy {what}");
        let attributes = [
            ("type", "button"),
            ("class", "copy"),
            ("data-copy", text),
            ("aria-label", label.as_str()),
            ("hidden", ""),
        ];
        markup.leaf("button", &attributes, "Copy");
    });
}

/// A box that can be scrolled sideways, for what is wider than a phone.
pub(super) fn scroller(markup: &mut Markup, label: &str, inside: impl FnOnce(&mut Markup)) {
    let attributes =
        [("class", "scroller"), ("tabindex", "0"), ("role", "group"), ("aria-label", label)];
    markup.element("div", &attributes, inside);
}

/// A table with a row of headings.
pub(super) fn table(
    markup: &mut Markup,
    (caption, headings): (&str, &[&str]),
    rows: impl FnOnce(&mut Markup),
) {
    scroller(markup, caption, |markup| {
        markup.element("table", &[], |markup| {
            markup.leaf("caption", &[("class", "unseen")], caption);
            markup.element("thead", &[], |markup| {
                markup.element("tr", &[], |markup| {
                    for heading in headings {
                        markup.leaf("th", &[("scope", "col")], heading);
                    }
                });
            });
            markup.element("tbody", &[], rows);
        });
    });
}
