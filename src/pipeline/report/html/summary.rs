//! The top of the page: what was built, whether it is fit to be used, and what needs a look.

use super::{
    format::{count, counted, difference, duration, number, plural, size},
    markup::Markup,
    view::{ImageView, State, View, copyable, section},
};

/// As many lines as a notice has.
const MOST_LINES: usize = 12;

/// The head of the page.
pub(super) fn header(markup: &mut Markup, view: &View<'_>) {
    markup.element("header", &[("class", "head"), ("id", "top")], |markup| {
        markup.element("p", &[("class", "brand")], |markup| {
            logo(markup);
            markup.text("Transom build report");
        });
        let report = view.report;
        markup.element("h1", &[], |markup| {
            markup.text(title(view));
            if let Some(version) = &report.recipe.version {
                markup.text(" ");
                markup.leaf("span", &[("class", "version")], version);
            }
        });
        markup.element("p", &[("class", "from")], |markup| {
            markup.text("Recipe ");
            markup.leaf("code", &[], &report.recipe.name);
            if let Some(variant) = &report.recipe.variant {
                markup.text(", variant ");
                markup.leaf("code", &[], variant);
            }
            markup.text(", built ");
            markup.leaf("span", &[("class", "when")], &moment(&view.run.started));
            let host = &view.run.host;
            let threads = counted(host.threads, "thread", "threads");
            markup.text(&format!(" on {} {}, {threads}", host.system, host.architecture));
        });
        verdict(markup, view);
    });
}

/// `2026-11-21 17:42:02 UTC` of what is written as in RFC 3339.
fn moment(time: &str) -> String {
    match time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((day, time)) => format!("{day} {time} UTC"),
        None => time.to_owned(),
    }
}

/// What the page is about: the image, or the output when there are several.
pub(super) fn title<'a>(view: &View<'a>) -> &'a str {
    match view.images.as_slice() {
        [image] if image.part.name.is_some() || image.part.base_name.is_some() => image.name,
        _ => &view.report.output.name,
    }
}

fn logo(markup: &mut Markup) {
    let attributes = [
        ("class", "logo"),
        ("viewBox", "0 0 24 24"),
        ("width", "24"),
        ("height", "24"),
        ("aria-hidden", "true"),
    ];
    markup.element("svg", &attributes, |markup| {
        markup.shape("path", &[("d", "M3 21V10a9 9 0 0 1 18 0v11z")]);
        markup.shape("path", &[("d", "M3 12h18M12 1v11M12 12 5 5M12 12l7-7M12 12v9")]);
    });
}

/// Whether there is something to do before the image is used.
fn verdict(markup: &mut Markup, view: &View<'_>) {
    let inventories = || view.images.iter().map(|image| &image.part.inventory);
    let scripts: usize = inventories().map(|inventory| inventory.deferred.len()).sum();
    let steps = view.steps().filter(|step| step.part.deferred).count();
    let pending: usize = inventories().map(|inventory| inventory.pending.len()).sum();
    let warnings = view.report.warnings.len();
    let mut rest = Vec::new();
    if pending > 0 {
        rest.push(format!(
            "{} for Windows to start",
            counted(pending, "change waits", "changes wait")
        ));
    }
    if steps > 0 {
        rest.push(format!("{} at the first boot", counted(steps, "step ends", "steps end")));
    }
    if scripts > 0 {
        rest.push(format!("{} at the first boot", counted(scripts, "script runs", "scripts run")));
    }
    if warnings > 0 {
        rest.push(counted(warnings, "warning", "warnings"));
    }
    let class = if rest.is_empty() { "verdict good" } else { "verdict look" };
    markup.element("div", &[("class", class)], |markup| {
        let (mark, path) = if rest.is_empty() {
            ("good", "M5 12.5 10 17.5 19 7.5")
        } else {
            ("look", "M12 5.5v8M12 17.2v.6")
        };
        let frame = [("class", mark), ("viewBox", "0 0 24 24"), ("width", "26"), ("height", "26"), ("aria-hidden", "true")];
        markup.element("svg", &frame, |markup| markup.shape("path", &[("d", path)]));
        markup.element("p", &[], |markup| {
            let built = if view.run.up_to_date {
                "Up to date".to_owned()
            } else {
                format!("Built in {}", duration(view.run.duration))
            };
            markup.leaf("strong", &[], &built);
            let text = match (rest.is_empty(), view.run.up_to_date) {
                (true, true) => " \u{b7} The output was there already. Nothing waits, nothing is left to the first boot.".to_owned(),
                (true, false) => " \u{b7} Complete: nothing waits, nothing is left to the first boot.".to_owned(),
                (false, _) => format!(" \u{b7} {}", rest.join(", ")),
            };
            markup.text(&text);
        });
    });
}

/// The section with the most important numbers.
pub(super) fn summary(markup: &mut Markup, view: &View<'_>) {
    section(markup, ("summary", "Summary"), |markup| {
        flow(markup, view);
        tiles(markup, view);
        notices(markup, view);
    });
}

/// From the base to the output.
fn flow(markup: &mut Markup, view: &View<'_>) {
    let (base, output) = (&view.report.base, &view.report.output);
    let before: Vec<String> = view
        .images
        .iter()
        .map(|image| {
            let name = image.part.base_name.as_deref().unwrap_or("unnamed");
            let version = image.part.before.version().unwrap_or_default();
            format!("Image {}: {name} {version}", image.part.base_index)
        })
        .collect();
    let after: Vec<String> = view
        .images
        .iter()
        .map(|image| {
            let version = image.part.inventory.version().unwrap_or_default();
            format!("Image {}: {} {version}", image.part.index, image.name)
        })
        .collect();
    markup.element("div", &[("class", "flow")], |markup| {
        let digest = Some((base.blake3.as_str(), "BLAKE3"));
        end(markup, "Base", &base.name, base.size, &before, digest);
        let arrow = [
            ("class", "arrow"),
            ("viewBox", "0 0 48 24"),
            ("width", "48"),
            ("height", "24"),
            ("aria-hidden", "true"),
        ];
        markup.element("svg", &arrow, |markup| {
            markup.shape("path", &[("d", "M2 12H44M35 4l9 8-9 8")]);
        });
        let bytes = output.files.iter().map(|file| file.size).sum();
        let digest = match output.files.as_slice() {
            [file] => file.sha256.as_deref().map(|digest| (digest, "SHA-256")),
            _ => None,
        };
        end(markup, "Output", &output.name, bytes, &after, digest);
    });
}

fn end(
    markup: &mut Markup,
    what: &str,
    name: &str,
    bytes: u64,
    images: &[String],
    digest: Option<(&str, &str)>,
) {
    markup.element("div", &[("class", "end")], |markup| {
        markup.leaf("p", &[("class", "ask")], what);
        markup.element("p", &[("class", "file")], |markup| {
            markup.leaf("code", &[], name);
            markup.text(" ");
            markup.leaf("span", &[("class", "bytes")], &size(bytes));
        });
        for image in images.iter().take(MOST_LINES) {
            markup.leaf("p", &[("class", "image")], image);
        }
        if let Some((digest, kind)) = digest {
            markup.element("p", &[("class", "digest")], |markup| {
                markup.leaf("span", &[("class", "kind")], kind);
                markup.text(" ");
                copyable(markup, digest, &format!("{kind} of {name}"));
            });
        }
    });
}

fn tiles(markup: &mut Markup, view: &View<'_>) {
    markup.element("dl", &[("class", "tiles")], |markup| {
        windows(markup, view);
        let bytes: u64 = view.report.output.files.iter().map(|file| file.size).sum();
        let change = difference(view.report.base.size, bytes);
        let against = match change {
            Some(change) => {
                format!("{change} against the base's file, {}", view.report.output.compression)
            }
            None => view.report.output.compression.clone(),
        };
        tile(markup, "Output", &size(bytes), &against, |_| {});
        let (ran, cached) = (view.count(State::Ran), view.count(State::Cached));
        let idle = view.steps().filter(|step| step.no_effect()).count();
        let how = if view.run.up_to_date {
            "none had to run".to_owned()
        } else if idle > 0 {
            format!("{ran} ran, {cached} cached; {idle} had no effect")
        } else {
            format!("{ran} ran, {cached} cached")
        };
        tile(markup, "Steps", &number(count(ran + cached)), &how, |markup| {
            ratio(markup, ran, cached);
        });
        let bytes = match (view.run.copied_bytes, view.run.encoded_bytes) {
            (0, 0) => "nothing was written".to_owned(),
            (copied, encoded) => {
                format!("{} copied as it was, {} compressed anew", size(copied), size(encoded))
            }
        };
        tile(markup, "Time", &duration(view.run.duration), &bytes, |_| {});
    });
}

fn tile(
    markup: &mut Markup,
    name: &str,
    value: &str,
    more: &str,
    drawing: impl FnOnce(&mut Markup),
) {
    markup.element("div", &[("class", "tile")], |markup| {
        markup.leaf("dt", &[], name);
        markup.element("dd", &[], |markup| {
            markup.leaf("span", &[("class", "value")], value);
            drawing(markup);
            markup.text(" ");
            markup.leaf("span", &[("class", "more")], more);
        });
    });
}

fn windows(markup: &mut Markup, view: &View<'_>) {
    let Some(image) = view.images.first() else { return };
    let inventory = &image.part.inventory;
    let facts = &inventory.facts;
    let version = inventory.version().unwrap_or_else(|| "unknown".to_owned());
    let mut more: Vec<String> = Vec::new();
    more.extend(facts.edition.clone());
    more.extend(facts.architecture.map(|architecture| architecture.name().to_owned()));
    more.extend(facts.default_language.clone());
    let mut text = more.join(", ");
    if view.images.len() > 1 {
        text = format!("{text}; {} more", counted(view.images.len() - 1, "image", "images"));
    }
    let was = image.part.before.version().filter(|was| *was != version);
    if let Some(was) = was {
        text = format!("{text}; was {was}");
    }
    tile(markup, "Windows", &version, &text, |_| {});
}

/// How many steps ran, as a bar.
fn ratio(markup: &mut Markup, ran: usize, cached: usize) {
    let all = ran + cached;
    if all == 0 {
        return;
    }
    let wide = (ran * 200 / all).to_string();
    let rest = (200 - ran * 200 / all).to_string();
    let frame = [
        ("class", "ratio"),
        ("viewBox", "0 0 200 8"),
        ("preserveAspectRatio", "none"),
        ("aria-hidden", "true"),
    ];
    markup.element("svg", &frame, |markup| {
        markup.shape("rect", &[("class", "ran"), ("width", &wide), ("height", "8")]);
        markup
            .shape("rect", &[("class", "cached"), ("x", &wide), ("width", &rest), ("height", "8")]);
    });
}

/// What needs a look.
fn notices(markup: &mut Markup, view: &View<'_>) {
    let warnings: Vec<&str> = view.report.warnings.iter().map(String::as_str).collect();
    notice(markup, view, plural(warnings.len(), "Warning", "Warnings"), &warnings);
    for image in &view.images {
        let of = if view.several() { format!(": {}", image.name) } else { String::new() };
        let pending: Vec<String> = image
            .part
            .inventory
            .pending
            .iter()
            .map(|item| format!("{}: {}", item.place, item.what))
            .collect();
        let lines: Vec<&str> = pending.iter().map(String::as_str).collect();
        notice(markup, view, &format!("Waits for Windows to start{of}"), &lines);
        let (steps, lines) = deferred(image);
        let lines: Vec<&str> = steps.iter().chain(&lines).map(String::as_str).collect();
        notice(markup, view, &format!("Left to the first boot{of}"), &lines);
        let notes: Vec<&str> = image.part.inventory.notes.iter().map(String::as_str).collect();
        notice(markup, view, &format!("Could not be told{of}"), &notes);
    }
}

/// The steps that leave something to the first boot, and the scripts that run there.
fn deferred(image: &ImageView<'_>) -> (Vec<String>, Vec<String>) {
    let steps = image.steps.iter().filter(|step| step.part.deferred);
    let steps = steps.map(|step| format!("Step {}: {}", step.part.number, step.part.title));
    let scripts = &image.part.inventory.deferred;
    (steps.collect(), scripts.iter().map(|script| format!("Runs {script}")).collect())
}

fn notice(markup: &mut Markup, view: &View<'_>, title: &str, lines: &[&str]) {
    if lines.is_empty() {
        return;
    }
    markup.element("div", &[("class", "notice")], |markup| {
        markup.element("p", &[("class", "notice-title")], |markup| {
            markup.leaf("strong", &[], title);
            markup.text(" ");
            markup.leaf("span", &[("class", "many")], &number(count(lines.len())));
        });
        markup.element("ul", &[], |markup| {
            for line in lines.iter().take(MOST_LINES) {
                markup.leaf("li", &[], line);
            }
        });
        view.rest(markup, lines.len(), MOST_LINES);
    });
}
