//! What is right and wrong in an answer file, as far as the file itself tells.
//!
//! [`structure`] needs no knowledge of settings.

mod structure;

use crate::format::unattend::{AnswerFile, Place};

/// Something wrong or odd in an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of which kind.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// What it is; lower case, no full stop.
    pub cause: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// True when Setup can use the file all the same.
    pub warning: bool,
}

/// Kinds of findings, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A pass in another letter case.
    PassName,
    /// A pass that Setup skips.
    Processed,
    /// A component of another version scope than Windows has.
    Scope,
    /// An attribute with the prefix `wcm` that says nothing.
    Configuration,
    /// An element without content.
    Empty,
}

/// What gathers findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn warn(
        &mut self,
        kind: Kind,
        place: Place,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (cause, help) = (cause.into(), help.into());
        self.0.push(Finding { kind, place, cause, help, warning: true });
    }
}

/// Everything wrong or odd in an answer file, in the order of its lines.
#[must_use]
pub fn lint(file: &AnswerFile) -> Vec<Finding> {
    let mut findings = Findings::default();
    structure::lint(file, &mut findings);
    let mut findings = findings.0;
    findings.sort_by_key(|finding| finding.place);
    findings
}
