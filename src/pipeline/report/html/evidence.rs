//! What the build was made of, what came of it, and how to check both.

use super::{
    format::{count, counted, number, short, size},
    markup::Markup,
    view::{View, copyable, heading, section, table},
};
use crate::pipeline::report::model::FilePart;

/// As many rows as a table of files has.
const MOST_FILES: usize = 300;
/// As many lines as a list has.
const MOST_LINES: usize = 100;

/// The sections about files, rules and proof.
pub(super) fn evidence(markup: &mut Markup, view: &View<'_>) {
    output(markup, view);
    inputs(markup, view);
    rules(markup, view);
}

fn output(markup: &mut Markup, view: &View<'_>) {
    let output = &view.report.output;
    section(markup, ("output", "Output and proof"), |markup| {
        let told = output.files.iter().any(|file| file.sha256.is_some());
        table(markup, ("Files of the output", &["File", "Size", "SHA-256"]), |markup| {
            for file in output.files.iter().take(MOST_FILES) {
                markup.element("tr", &[], |markup| {
                    markup.element("th", &[("scope", "row")], |markup| {
                        markup.leaf("code", &[], &file.name);
                    });
                    markup.leaf("td", &[("class", "count")], &size(file.size));
                    markup.element("td", &[], |markup| match &file.sha256 {
                        Some(digest) => copyable(
                            markup,
                            digest,
                            &format!("SHA-256 of {}, in the table", file.name),
                        ),
                        None => markup.text("not told"),
                    });
                });
            }
        });
        view.rest(markup, output.files.len(), MOST_FILES);
        if !told && !view.report.secrets.is_empty() {
            let text = "No digest of the output is told, because there are secrets in it: a digest would let a guess be tried.";
            markup.leaf("p", &[], text);
        }
        markup.element("dl", &[("class", "facts")], |markup| {
            fact(markup, "Key of the output", &output.commit);
            if let Some(guid) = &output.guid {
                fact(markup, "GUID", guid);
            }
            for image in &view.images {
                let part = image.part;
                fact(markup, &format!("State of image {}", part.index), &part.state);
                if let Some(metadata) = &part.metadata_sha1 {
                    fact(markup, &format!("Metadata of image {}", part.index), metadata);
                }
            }
        });
        markup.leaf("p", &[], "Equal keys mean equal bytes. To prove that a file is the one that this report describes:");
        let command = format!(
            "transom verify {} --against {}",
            quoted(&output.name),
            quoted(&view.document())
        );
        markup.element("p", &[("class", "command")], |markup| {
            copyable(markup, &command, "the command that verifies");
        });
        let stem = view.stem;
        let provenance = if told {
            format!(", and {stem}.provenance.json (an in-toto statement of SLSA provenance)")
        } else {
            String::new()
        };
        let text = format!(
            "Beside this page lie {stem}.report.json (all of this for programs, the same for every build of the same recipe), {stem}.run.json (times and what was remembered) and the bills of materials {stem}.cdx.json (CycloneDX) and {stem}.spdx.json (SPDX){provenance}."
        );
        markup.leaf("p", &[], &text);
    });
}

/// A name as a shell takes it as one word.
fn quoted(name: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "._-/+:\\".contains(letter);
    if name.chars().all(plain) { name.to_owned() } else { format!("\"{name}\"") }
}

fn fact(markup: &mut Markup, name: &str, value: &str) {
    markup.element("div", &[], |markup| {
        markup.leaf("dt", &[], name);
        markup.element("dd", &[], |markup| {
            // A digest is copied, a short word is read.
            if value.len() >= 32 {
                copyable(markup, value, name);
            } else {
                markup.text(value);
            }
        });
    });
}

fn inputs(markup: &mut Markup, view: &View<'_>) {
    let report = view.report;
    section(markup, ("inputs", "Made from"), |markup| {
        let text = format!(
            "The base, {} and the recipe; all of them are in the lock file.",
            counted(report.inputs.len(), "input", "inputs")
        );
        markup.leaf("p", &[("class", "lead")], &text);
        heading(markup, 3, "base", "Base");
        files(markup, view, "Base", std::slice::from_ref(&report.base));
        heading(markup, 3, "input-files", "Inputs");
        if report.inputs.is_empty() {
            markup.leaf("p", &[], "The steps read no files of their own.");
        } else {
            files(markup, view, "Inputs of the steps", &report.inputs);
        }
        heading(markup, 3, "recipe", "Recipe");
        files(markup, view, "Files of the recipe", &report.recipe.files);
        if !report.recipe.set.is_empty() {
            markup.leaf("p", &[], "Laid over it by --set:");
            lines(markup, view, &report.recipe.set, true);
        }
        markup.element("dl", &[("class", "facts")], |markup| {
            fact(markup, "SHA-256 of the lock file", &report.recipe.lock_sha256);
            fact(markup, "Time of everything new", &report.epoch);
            fact(markup, "Order table", &report.order_table);
            fact(markup, "Version of Transom", &report.tool_version);
        });
    });
}

fn files(markup: &mut Markup, view: &View<'_>, caption: &str, files: &[FilePart]) {
    table(markup, (caption, &["File", "Size", "BLAKE3"]), |markup| {
        for file in files.iter().take(MOST_FILES) {
            markup.element("tr", &[], |markup| {
                markup.element("th", &[("scope", "row")], |markup| {
                    markup.leaf("code", &[], &file.name);
                    for is in file.is.iter().take(3) {
                        markup.leaf("span", &[("class", "is")], &short(is, 200));
                    }
                    if let Some(more) = file.is.len().checked_sub(4) {
                        let text = format!("and {} more", number(count(more + 1)));
                        markup.leaf("span", &[("class", "is")], &text);
                    }
                });
                markup.leaf("td", &[("class", "count")], &size(file.size));
                markup.element("td", &[], |markup| {
                    copyable(
                        markup,
                        &file.blake3,
                        &format!("BLAKE3 of {}, in the table {caption}", file.name),
                    );
                });
            });
        }
    });
    view.rest(markup, files.len(), MOST_FILES);
}

fn lines(markup: &mut Markup, view: &View<'_>, lines: &[String], code: bool) {
    markup.element("ul", &[], |markup| {
        for line in lines.iter().take(MOST_LINES) {
            markup.element("li", &[], |markup| {
                if code {
                    markup.leaf("code", &[], line);
                } else {
                    markup.text(line);
                }
            });
        }
    });
    view.rest(markup, lines.len(), MOST_LINES);
}

fn rules(markup: &mut Markup, view: &View<'_>) {
    let report = view.report;
    section(markup, ("rules", "Rules and secrets"), |markup| {
        heading(markup, 3, "policy", "Policy");
        if report.policy.is_empty() {
            markup.leaf("p", &[], "The recipe has no [policy]: nothing is demanded of the image.");
        } else {
            markup.leaf("p", &[], "The image was held against these rules, and all of them hold:");
            markup.element("div", &[("class", "holds")], |markup| {
                lines(markup, view, &report.policy, false);
            });
        }
        heading(markup, 3, "secrets", "Secrets");
        if report.secrets.is_empty() {
            markup.leaf("p", &[], "The recipe asks for none.");
        } else {
            markup.leaf("p", &[], "Values came from these environment variables. They are in the output and in no report:");
            lines(markup, view, &report.secrets, true);
        }
    });
}
