//! What is told of a build: to people as a page, to machines as a report, bills of materials and a provenance statement.
//!
//! [`Report`] is what was built, from what, and why: the same bytes for every build of the same recipe and inputs, on every machine. [`Run`] is how one build
//! went: times, what was remembered, the host. Everything else is made of these two.
//!
//! | file | what it is | the same every time |
//! |---|---|---|
//! | `NAME.report.json` | the [`Report`] | yes |
//! | `NAME.run.json` | the [`Run`] | no |
//! | `NAME.report.html` | both, as one page | no |
//! | `NAME.cdx.json`, `NAME.spdx.json` | bills of materials | yes |
//! | `NAME.provenance.json` | an in-toto statement; none with secrets | yes |
//! | `NAME.provenance.dsse.json` | the same, signed, when there is a key | yes |

pub mod added;
pub mod beside;
mod changes;
pub mod collect;
pub mod current;
mod cyclonedx;
pub mod described;
mod html;
mod identifier;
mod materials;
pub mod model;
pub mod provenance;
pub mod run;
pub mod schema;
pub mod signing;
mod spdx;
mod written;

pub use model::Report;
pub use run::Run;

/// A file beside the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What follows the output's name without its extension: `.report.json`.
    pub suffix: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// All documents about a build, in the order in which they are written.
#[must_use]
pub fn documents(report: &Report, run: &Run) -> Vec<Document> {
    let mut documents = vec![
        Document { suffix: ".report.json", bytes: json(report) },
        Document { suffix: ".run.json", bytes: json(run) },
        Document { suffix: ".report.html", bytes: html::page(report, run).into_bytes() },
        Document { suffix: ".cdx.json", bytes: cyclonedx::document(report) },
        Document { suffix: ".spdx.json", bytes: spdx::document(report) },
    ];
    let statement = provenance::statement(report, &documents);
    documents.extend(statement.map(|bytes| Document { suffix: ".provenance.json", bytes }));
    documents
}

/// JSON for people and programs: indented, with a line break at its end.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec_pretty(value).expect("texts, numbers and lists always serialise");
    bytes.push(b'\n');
    bytes
}
