//! What is wrong with a recipe, said so that it can be put right.
//!
//! A [`Finding`] has a stable code, one sentence, one or more labelled places, and a way out. It is a miette diagnostic: whoever talks
//! to people renders it. Loading collects as many as it can before it gives up ([`Findings`]).

use std::{borrow::Cow, fmt};

use miette::{Diagnostic, LabeledSpan, SourceCode};

use super::source::Origin;

/// After so many findings the rest is neither looked for nor explained.
const ENOUGH: usize = 200;

/// How many findings [`Findings::render`] shows before it only counts the rest.
const SHOWN: usize = 30;

/// A place and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub origin: Origin,
    /// What to say there.
    pub text: String,
}

/// One thing that is wrong with a recipe. Small, so that functions can return it as an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding(Box<Content>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    code: Cow<'static, str>,
    message: String,
    labels: Vec<Label>,
    help: Option<String>,
    /// Labels that stand in other texts than the first; a diagnostic can show one text, so each is a note of its own.
    elsewhere: Vec<Finding>,
    note: bool,
}

impl Finding {
    /// A finding at `origin`: `code` like `recipe::unknown-key`, one sentence without a full stop, what to say at the place, and
    /// the way out (empty for none).
    #[must_use]
    pub fn at(
        origin: &Origin,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let mut finding = Self::nowhere(code, message, help);
        finding.0.labels.push(Label { origin: origin.clone(), text: label.into() });
        finding
    }

    /// A finding that no text can show, such as a recipe that cannot be read.
    #[must_use]
    pub fn nowhere(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let help = help.into();
        Self(Box::new(Content {
            code: code.into(),
            message: message.into(),
            labels: Vec::new(),
            help: (!help.is_empty()).then_some(help),
            elsewhere: Vec::new(),
            note: false,
        }))
    }

    /// The same finding with a second place, in the same text or another.
    #[must_use]
    pub fn and(mut self, origin: &Origin, label: impl Into<String>) -> Self {
        let text = label.into();
        if self.0.labels.iter().all(|first| first.origin.same_source(origin)) {
            self.0.labels.push(Label { origin: origin.clone(), text });
        } else {
            let mut note = Self::at(origin, "", text.clone(), text, "");
            note.0.note = true;
            self.0.elsewhere.push(note);
        }
        self
    }

    /// The same finding with `subject: ` before its sentence.
    #[must_use]
    pub fn about(mut self, subject: &str) -> Self {
        self.0.message = format!("{subject}: {}", self.0.message);
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The way out.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// All labelled places, the one that matters first.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        self.0.labels.iter().chain(self.0.elsewhere.iter().flat_map(|note| &note.0.labels))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.0.code.is_empty()).then(|| Box::new(&self.0.code) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        self.0.note.then_some(miette::Severity::Advice)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.labels.first().map(|label| label.origin.source().as_ref() as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.0.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.0.labels.iter().enumerate().map(|(index, label)| {
            let text = Some(label.text.clone()).filter(|text| !text.is_empty() && !self.0.note);
            match index {
                0 => LabeledSpan::new_primary_with_span(text, visible(&label.origin)),
                _ => LabeledSpan::new_with_span(text, visible(&label.origin)),
            }
        })))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.0.elsewhere.is_empty() {
            return None;
        }
        Some(Box::new(self.0.elsewhere.iter().map(|note| note as &dyn Diagnostic)))
    }
}

/// The span to draw: what is empty at the very end of a text would not be seen, so it becomes the last character.
fn visible(origin: &Origin) -> std::ops::Range<usize> {
    let span = origin.span();
    let text = &origin.source().text;
    match text.char_indices().next_back() {
        Some((last, character)) if span.start == text.len() && character != '\n' => {
            last..text.len()
        }
        _ => span,
    }
}

/// True when there are so many findings that looking for more helps nobody.
pub(crate) fn enough(findings: &[Finding]) -> bool {
    findings.len() >= ENOUGH
}

/// A user's text inside a message: control characters escaped, cut when long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        match character {
            _ if index == LONGEST => {
                shown.push_str("...");
                break;
            }
            character if character.is_control() => shown.extend(character.escape_debug()),
            character => shown.push(character),
        }
    }
    shown
}

/// What loading a recipe found wrong: one finding at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// The findings, in the order in which a reader meets them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.0.iter()
    }

    /// The findings as one text, through the given renderer; after the thirtieth the rest is only counted.
    #[must_use]
    pub fn render(&self, handler: &miette::GraphicalReportHandler) -> String {
        let mut text = String::new();
        for finding in self.0.iter().take(SHOWN) {
            if handler.render_report(&mut text, finding).is_err() {
                text.push_str(finding.message());
                text.push('\n');
            }
        }
        if self.0.len() > SHOWN {
            text.push_str("and ");
            text.push_str(&(self.0.len() - SHOWN).to_string());
            text.push_str(" more findings\n");
        }
        text
    }

    /// `Ok` when `findings` is empty.
    ///
    /// # Errors
    /// The findings themselves, when there are any.
    pub fn check(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() { Ok(()) } else { Err(Self(findings)) }
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [finding] => finding.fmt(formatter),
            findings => write!(formatter, "the recipe has {} mistakes", findings.len()),
        }
    }
}

impl std::error::Error for Findings {}

impl Diagnostic for Findings {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("recipe::invalid"))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|finding| finding as &dyn Diagnostic)))
    }
}

/// The name among `known` that `given` was probably meant to be.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer texts are not compared: the time grows with the square.
    const LONGEST: usize = 64;
    /// More names are not compared.
    const MOST: usize = 1000;
    if given.len() > LONGEST {
        return None;
    }
    let folded = given.to_lowercase().replace('_', "-");
    known
        .into_iter()
        .take(MOST)
        .filter_map(|name| {
            let most = 1 + name.len().min(folded.len()) / 4;
            if name.len() > LONGEST || name.len().abs_diff(folded.len()) > most {
                return None;
            }
            let distance = strsim::damerau_levenshtein(&folded, &name.to_lowercase());
            (distance <= most).then_some((distance, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `a`, `b` and `c`, each in back-quotes.
#[must_use]
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [name] => name.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::recipe::source::Source;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["services", "registry", "registry-files", "output"];
        assert_eq!(nearest("servces", known), Some("services"));
        assert_eq!(nearest("registry_files", known), Some("registry-files"));
        assert_eq!(nearest("Output", known), Some("output"));
        assert_eq!(nearest("gadgets", known), None);
        assert_eq!(nearest(&"s".repeat(10_000), known), None);
    }

    #[test]
    fn texts_of_users_are_shown_on_one_short_line() {
        assert_eq!(shown("HKLM\\X\n"), "HKLM\\X\\n");
        assert_eq!(shown(&"x".repeat(500)).len(), 123);
    }

    #[test]
    fn lists_read_as_a_person_would_say_them() {
        assert_eq!(list(["a"], "or"), "`a`");
        assert_eq!(list(["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }

    #[test]
    fn a_place_in_another_text_becomes_a_note() {
        let one = Origin::start_of(&Arc::new(Source::new("one.toml", "a = 1")));
        let two = Origin::start_of(&Arc::new(Source::new("two.toml", "b = 1")));
        let finding = Finding::at(&one, "recipe::conflict", "they disagree", "this", "choose")
            .and(&two, "and that");
        assert_eq!(Finding::labels(&finding).count(), 2);
        assert_eq!(Diagnostic::labels(&finding).unwrap().count(), 1);
        let handler =
            miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
        let text = Findings::from(finding).render(&handler);
        assert!(text.contains("one.toml") && text.contains("two.toml"), "{text}");
    }
}
