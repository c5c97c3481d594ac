//! What is right and wrong in an answer file.
//!
//! | level | needs | here |
//! |---|---|---|
//! | 0 | the file alone: passes, attributes | [`structure`] |
//! | 1 | the catalogue of settings: names, passes, types, lengths; what the reference says of single values | [`settings`], [`values`], [`disks`] |
//! | 2 | the image: languages, keyboards, time zones | [`image`] |
//!
//! What Setup cannot use is an error; what it ignores, or what is unknown here and may be known to it, is a warning.

mod disks;
mod image;
mod settings;
mod structure;
mod values;

use crate::format::unattend::{AnswerFile, Element, Place};

pub(super) use image::lint_with_image;
pub(crate) use values::{
    account_name_problem, computer_name_problem, is_language_tag, is_product_key,
};

/// Something wrong or odd in an answer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of which kind.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// What it is; lower case where it does not begin with a name, no full stop.
    pub cause: String,
    /// What to do about it; may be empty.
    pub help: String,
    /// True when Setup can use the file all the same.
    pub warning: bool,
}

impl Finding {
    /// True when the file may well be right and the catalogue not know it: a name that is like none in it, a word that works and is not documented.
    #[must_use]
    pub fn may_be_right(&self) -> bool {
        match self.kind {
            Kind::UnknownComponent | Kind::UnknownSetting => !self.help.starts_with(DID_YOU_MEAN),
            Kind::Undocumented => true,
            _ => false,
        }
    }
}

/// Begins the help for a name that is like a known one.
const DID_YOU_MEAN: &str = "did you mean ";

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
    /// A component that the catalogue does not know.
    UnknownComponent,
    /// A setting that the catalogue does not know.
    UnknownSetting,
    /// A setting of older versions.
    OldSetting,
    /// A setting in a pass that does not take it.
    WrongPass,
    /// A value of another type, or none of the words.
    WrongType,
    /// A word that works, but that the reference does not name.
    Undocumented,
    /// A value that is too long.
    TooLong,
    /// An element without content.
    Empty,
    /// Text beside child elements, or where only child elements can be.
    StrayText,
    /// The same thing twice.
    Twice,
    /// Numbers that order a list and do not.
    Order,
    /// A product key of another form.
    ProductKey,
    /// A computer name that Windows does not take.
    ComputerName,
    /// An account name that Windows does not take.
    AccountName,
    /// A password that everybody can read.
    PlainPassword,
    /// A hidden password that hides nothing.
    HiddenPassword,
    /// A language, locale or keyboard of no known form, or not in the image.
    Locale,
    /// A time zone that the image does not know.
    TimeZone,
    /// Partitions that contradict one another.
    DiskPlan,
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

    fn error(
        &mut self,
        kind: Kind,
        place: Place,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (cause, help) = (cause.into(), help.into());
        self.0.push(Finding { kind, place, cause, help, warning: false });
    }

    /// In the order of the lines.
    fn sorted(self) -> Vec<Finding> {
        let mut findings = self.0;
        findings.sort_by_key(|finding| finding.place);
        findings
    }
}

/// Everything wrong or odd in an answer file that can be said without an image, in the order of its lines.
#[must_use]
pub fn lint(file: &AnswerFile) -> Vec<Finding> {
    let mut findings = Findings::default();
    structure::lint(file, &mut findings);
    settings::lint(file, &mut findings);
    values::lint(file, &mut findings);
    disks::lint(file, &mut findings);
    findings.sorted()
}

/// Calls `visit` with each element and its path (`UserData/ProductKey/Key`). The depth is bounded by the reader's.
fn walk<'a>(elements: &'a [Element], path: &str, visit: &mut dyn FnMut(&'a Element, &str)) {
    for element in elements {
        let path = match path {
            "" => element.name.clone(),
            above => format!("{above}/{}", element.name),
        };
        visit(element, &path);
        walk(&element.children, &path, visit);
    }
}

/// The name most like `given`, when it is like it at all.
fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Longer texts are not compared: the time grows with the square.
    const LONGEST: usize = 80;
    /// As similar as `strsim` says two names must be to be offered.
    const NEAR: f64 = 0.75;
    if given.len() > LONGEST {
        return None;
    }
    let folded = given.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// A text of the file inside a message: control characters escaped, cut when long.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", cut.escape_debug())
}
