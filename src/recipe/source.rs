//! Where in a recipe something stands: texts, and spans in them.
//!
//! Every value of a recipe carries an [`Origin`]: the text it was read from (a file, or a `--set` of the command line) and the bytes of
//! it. An origin keeps its text alive, so a diagnostic can be made from it anywhere, long after loading.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

/// One text that a recipe was read from.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// The name that diagnostics show: the path as the user or the extending file wrote it, or `--set 1`. Always with `/`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The folder of the file on this machine, which its paths are relative to; empty for the current folder.
    pub folder: PathBuf,
    /// The same folder seen from the folder of the main recipe, with `/`; empty when it is that folder.
    pub folder_from_recipe: String,
}

impl Source {
    /// A text without a place on disk, whose paths are relative to the current folder.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            folder: PathBuf::new(),
            folder_from_recipe: String::new(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines_before: usize,
        context_lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner =
            self.text.as_str().read_span(span, context_lines_before, context_lines_after)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// A place in a recipe: bytes of one of its texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    source: Arc<Source>,
    start: usize,
    end: usize,
}

impl Origin {
    /// The bytes `span` of `source`, cut to what the text has and to whole characters.
    #[must_use]
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        Self { source: Arc::clone(source), start, end }
    }

    /// The start of `source`: for what is missing from all of it.
    #[must_use]
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self::new(source, 0..0)
    }

    /// The text it stands in.
    #[must_use]
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The bytes in that text.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// What is written there.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.source.text[self.start..self.end]
    }

    /// The line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        1 + self.source.text.as_bytes()[..self.start].iter().filter(|byte| **byte == b'\n').count()
    }

    /// The part `span` of this place, counted from its start.
    #[must_use]
    pub fn part(&self, span: Range<usize>) -> Self {
        let within = |offset: usize| self.start.saturating_add(offset).min(self.end);
        Self::new(&self.source, within(span.start)..within(span.end))
    }

    /// What the recipe remarks on it: the comment lines right above it, or above the header of its table when it is the first thing there. `None` without any.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let before = &self.source.text[..self.start];
        let mut lines = before[..before.rfind('\n')?].lines().rev().peekable();
        lines.next_if(|line| line.trim_start().starts_with('['));
        let remarks = lines.map_while(|line| line.trim().strip_prefix('#'));
        let mut remarks: Vec<&str> =
            remarks.map(str::trim).filter(|line| !line.starts_with(':')).collect();
        remarks.reverse();
        let text = remarks.join(" ").trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// True when both stand in the same text.
    #[must_use]
    pub fn same_source(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

impl fmt::Display for Origin {
    /// `recipes/server.toml:12`, or the name alone for what is not a file of several lines.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.text.contains('\n') {
            true => write!(formatter, "{}:{}", self.source.name, self.line()),
            false => formatter.write_str(&self.source.name),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}..{}", self.source.name, self.start, self.end)
    }
}

/// A value together with the place it was written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub origin: Origin,
}

/// All texts of a recipe, in the order in which they were merged: what is extended first, then the recipe, then `--set`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Adds a text.
    pub fn push(&mut self, source: Arc<Source>) {
        self.0.push(source);
    }

    /// The texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_the_comment_above_a_place_or_its_table() {
        let text = "#:schema x\n# The whole.\n\n# The medium,\n# from the vendor.\n[base]\nwim = \"a\"\nindex = 1\n# Two.\nx = 2";
        let source = Arc::new(Source::new("recipe.toml", text));
        let remark = |what: &str| {
            let start = text.find(what).unwrap();
            Origin::new(&source, start..start + what.len()).remark()
        };
        assert_eq!(remark("\"a\"").as_deref(), Some("The medium, from the vendor."));
        assert_eq!(remark("[base]").as_deref(), Some("The medium, from the vendor."));
        assert_eq!(remark("index").as_deref(), None);
        assert_eq!(remark("x = 2").as_deref(), Some("Two."));
        assert_eq!(remark("#:schema").as_deref(), None);
    }

    #[test]
    fn spans_are_cut_to_the_text_and_to_characters() {
        let source = Arc::new(Source::new("a.toml", "x = \"é\"\ny = 1\n"));
        assert_eq!(Origin::new(&source, 6..7).text(), "é");
        assert_eq!(Origin::new(&source, 400..900).text(), "");
        let second = Origin::new(&source, 9..14);
        assert_eq!((second.text(), second.line()), ("y = 1", 2));
        assert_eq!(second.part(4..99).text(), "1");
        assert_eq!(second.to_string(), "a.toml:2");
    }

    #[test]
    fn a_reversed_span_is_empty() {
        let source = Arc::new(Source::new("a.toml", "abcdef"));
        #[expect(clippy::reversed_empty_ranges, reason = "what a confused caller may pass")]
        let origin = Origin::new(&source, 4..2);
        assert_eq!(origin.span(), 4..4);
        assert_eq!(origin.to_string(), "a.toml");
    }
}
