//! The report as a page: one file that needs no other, readable without a program, in the dark, on a phone and on paper.
//!
//! Drawings are made here, as SVG. `page.js` only adds what a program can: it filters, zooms, copies. A security policy in the page admits its own style and program, by
//! their digests, and nothing else: no request is made by it. What the report says is only ever text ([`markup`]).

mod changed;
mod evidence;
mod format;
mod graph;
mod markup;
mod size;
mod steps;
mod summary;
mod timeline;
mod treemap;
mod view;

use sha2::{Digest as _, Sha256};

use self::{
    markup::Markup,
    view::{ImageView, View, heading},
};
use super::{Report, Run};

const STYLE: &str = include_str!("html/page.css");
const PROGRAM: &str = include_str!("html/page.js");

/// A picture of the program, for the browser's tab.
const ICON: &str = "data:image/svg+xml,%3Csvg%20xmlns=%27http://www.w3.org/2000/svg%27%20viewBox=%270%200%2024%2024%27%20fill=%27none%27%20stroke=%27%234f7df0%27%20stroke-width=%272%27%3E%3Cpath%20d=%27M3%2021V10a9%209%200%200%201%2018%200v11zM3%2012h18M12%201v11M12%2012%205%205M12%2012l7-7%27/%3E%3C/svg%3E";

/// One self-contained page.
pub(super) fn page(report: &Report, run: &Run) -> String {
    let view = View::new(report, run);
    let mut markup = Markup::default();
    markup.own("<!DOCTYPE html>\n");
    markup.element("html", &[("lang", "en")], |markup| {
        head(markup, &view);
        markup.line();
        markup.element("body", &[], |markup| body(markup, &view));
    });
    markup.line();
    markup.finish()
}

fn head(markup: &mut Markup, view: &View<'_>) {
    markup.element("head", &[], |markup| {
        markup.void("meta", &[("charset", "utf-8")]);
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
            digest(STYLE),
            digest(PROGRAM),
        );
        let policy = [("http-equiv", "Content-Security-Policy"), ("content", policy.as_str())];
        markup.void("meta", &policy);
        let metas = [
            ("viewport", "width=device-width, initial-scale=1"),
            ("color-scheme", "light dark"),
            ("referrer", "no-referrer"),
            ("robots", "noindex"),
        ];
        for (name, content) in metas {
            markup.void("meta", &[("name", name), ("content", content)]);
        }
        let generator = format!("transom {}", view.report.tool_version);
        markup.void("meta", &[("name", "generator"), ("content", &generator)]);
        markup.void("link", &[("rel", "icon"), ("href", ICON)]);
        markup.leaf("title", &[], &format!("{} \u{b7} Transom build report", summary::title(view)));
        markup.element("style", &[], |markup| markup.own(STYLE));
    });
}

/// SHA-256 in Base64, as a security policy wants it.
fn digest(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = Sha256::digest(text.as_bytes());
    let mut encoded = String::with_capacity(44);
    for bytes in digest.chunks(3) {
        let mut word = [0; 3];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for place in 0..4 {
            if place <= bytes.len() {
                let letter = (word >> (18 - 6 * place)) & 0x3f;
                encoded.push(char::from(LETTERS[letter as usize]));
            } else {
                encoded.push('=');
            }
        }
    }
    encoded
}

fn body(markup: &mut Markup, view: &View<'_>) {
    markup.leaf("a", &[("class", "skip"), ("href", "#main")], "Skip to the report");
    summary::header(markup, view);
    markup.element("div", &[("class", "page")], |markup| {
        navigation(markup, view);
        markup.element("main", &[("id", "main"), ("tabindex", "-1")], |markup| {
            summary::summary(markup, view);
            let shares = steps::Shares::of(view);
            if view.several() {
                timeline::timeline(markup, view);
            }
            for (place, image) in view.images.iter().enumerate() {
                if !view.several() {
                    parts(markup, view, image, shares);
                    continue;
                }
                let id = format!("image-{}", place + 1);
                let title = format!("Image {}: {}", image.part.index, image.name);
                let label = format!("{id}-title");
                markup.element(
                    "section",
                    &[("class", "image"), ("id", &id), ("aria-labelledby", &label)],
                    |markup| {
                        heading(markup, 2, &label, &title);
                        parts(markup, view, image, shares);
                    },
                );
            }
            evidence::evidence(markup, view);
        });
    });
    footer(markup, view);
    markup.element("script", &[], |markup| markup.own(PROGRAM));
}

fn parts(markup: &mut Markup, view: &View<'_>, image: &ImageView<'_>, shares: steps::Shares) {
    graph::graph(markup, view, image);
    if !view.several() {
        timeline::timeline(markup, view);
    }
    steps::steps(markup, view, image, shares);
    changed::changed(markup, view, image);
    size::sizes(markup, view, image);
}

fn navigation(markup: &mut Markup, view: &View<'_>) {
    markup.element("nav", &[("class", "toc"), ("aria-label", "On this page")], |markup| {
        markup.element("ul", &[], |markup| {
            link(markup, "summary", "Summary");
            if view.several() {
                link(markup, "timeline", "Timeline");
            }
            for (place, image) in view.images.iter().enumerate() {
                if !view.several() {
                    of_image(markup, image, true);
                    continue;
                }
                markup.element("li", &[], |markup| {
                    let target = format!("#image-{}", place + 1);
                    let name =
                        format!("Image {}: {}", image.part.index, format::short(image.name, 40));
                    markup.leaf("a", &[("href", &target)], &name);
                    markup.element("ul", &[], |markup| of_image(markup, image, false));
                });
            }
            link(markup, "output", "Output and proof");
            link(markup, "inputs", "Made from");
            link(markup, "rules", "Rules and secrets");
        });
    });
}

fn of_image(markup: &mut Markup, image: &ImageView<'_>, only: bool) {
    link(markup, &image.id("plan"), "Plan");
    if only {
        link(markup, "timeline", "Timeline");
    }
    link(markup, &image.id("steps"), "Steps");
    link(markup, &image.id("changed"), "What changed");
    if !image.part.inventory.folders.is_empty() {
        link(markup, &image.id("size"), "Size by folder");
    }
}

fn link(markup: &mut Markup, id: &str, text: &str) {
    markup.element("li", &[], |markup| {
        markup.leaf("a", &[("href", &format!("#{id}"))], text);
    });
}

fn footer(markup: &mut Markup, view: &View<'_>) {
    markup.element("footer", &[], |markup| {
        let text = format!(
            "Written by transom {}. This page asks nothing of any network and works without a program.",
            view.report.tool_version
        );
        markup.leaf("p", &[], &text);
        markup.leaf("a", &[("href", "#top")], "Back to the top");
    });
}

#[cfg(test)]
mod tests;
