//! Globs on image paths.
//!
//! A pattern without a separator (`*.dll`) means any entry of that name; one with a separator (`/Windows`, `Windows/*.exe`) is compared with the whole
//! path from the image's root. Case does not matter, `\` and `/` are alike. `*` and `?` stay within a name, `**` crosses folders, `[ab]` and
//! `{a,b}` choose. What matches a folder means everything below it. (As [`crate::image::patterns`]; these tell which of them matched nothing.)

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::{
    base::upcase::upcase,
    cli::exit::{Exit, Failure, Problem},
};

/// A set of patterns.
#[derive(Debug, Clone)]
pub(crate) struct Patterns {
    globs: GlobSet,
    texts: Vec<String>,
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// A usage failure for a pattern that is none.
    pub(crate) fn parse<S: AsRef<str>>(patterns: &[S]) -> Result<Self, Failure> {
        let mut builder = GlobSetBuilder::new();
        let bad = |text: &str, error: globset::Error| {
            Problem::new("usage::pattern", format!("`{text}` is not a pattern"))
                .cause(error)
                .help("put brackets and braces in pairs; `[[]` is a bracket itself")
                .exit(Exit::Usage)
        };
        for pattern in patterns {
            let text = pattern.as_ref();
            let glob = GlobBuilder::new(&anchored(text))
                .literal_separator(true)
                .backslash_escape(false)
                .build()
                .map_err(|error| bad(text, error))?;
            builder.add(glob);
        }
        let texts = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        let globs = builder.build().map_err(|error| bad("the patterns", error))?;
        Ok(Self { globs, texts })
    }

    /// True when there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The numbers of the patterns that match `path` itself (not a folder above it).
    pub(crate) fn matching(&self, path: &str) -> Vec<usize> {
        self.globs.matches(normal(path))
    }

    /// The pattern of that number as it was written.
    pub(crate) fn text(&self, number: usize) -> &str {
        &self.texts[number]
    }
}

/// A pattern without a separator means any entry of that name.
fn anchored(pattern: &str) -> String {
    let path = normal(pattern);
    if pattern.contains(['\\', '/']) { path } else { format!("**/{path}") }
}

/// Upper case as NT folds it, `/` as separator, no separator at the ends.
fn normal(text: &str) -> String {
    let folded: Vec<u16> = text
        .encode_utf16()
        .map(|unit| if unit == u16::from(b'\\') { u16::from(b'/') } else { upcase(unit) })
        .collect();
    String::from_utf16_lossy(&folded).trim_matches('/').to_owned()
}

/// Which entries are meant: those a pattern matches and those below them. Without patterns, all.
///
/// `parents[n]` is the position of the folder that entry `n` is in, which comes before it.
///
/// # Errors
/// When a pattern matches nothing.
pub(crate) fn chosen(
    patterns: &Patterns,
    paths: &[(&str, Option<usize>)],
) -> Result<Vec<bool>, Failure> {
    if patterns.is_empty() {
        return Ok(vec![true; paths.len()]);
    }
    let mut used = vec![false; patterns.texts.len()];
    let mut chosen: Vec<bool> = Vec::with_capacity(paths.len());
    for (path, parent) in paths {
        let matching = patterns.matching(path);
        for number in &matching {
            used[*number] = true;
        }
        chosen.push(!matching.is_empty() || parent.is_some_and(|parent| chosen[parent]));
    }
    match used.iter().position(|used| !used) {
        None => Ok(chosen),
        Some(number) => Err(Problem::new(
            "wim::no-match",
            format!("nothing in the image matches `{}`", patterns.text(number)),
        )
        .help("a pattern with a separator is compared with the whole path from the image's root, one without means any entry of that name")
        .exit(Exit::BadInput)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        !Patterns::parse(&[pattern]).unwrap().matching(path).is_empty()
    }

    #[test]
    fn patterns_fold_case_and_take_either_slash() {
        assert!(matches(r"\windows\SYSTEM32\*.DLL", r"\Windows\System32\kernel32.dll"));
        assert!(matches("windows/system32/kernel??.dll", r"\Windows\System32\kernel32.dll"));
        assert!(matches("ÉTÉ", r"\été"));
        assert!(matches("/", "\\"));
    }

    #[test]
    fn one_star_stays_in_a_name_and_two_cross_folders() {
        assert!(matches("*.dll", r"\Windows\a.dll"));
        assert!(!matches("/*.dll", r"\Windows\a.dll"));
        assert!(!matches("Windows/*", r"\Windows\a\b"));
        assert!(matches("**/*.dll", r"\Windows\a.dll"));
        assert!(matches("**/*.dll", r"\a.dll"));
        assert!(matches("{a,b}[12]", r"\B2"));
    }

    #[test]
    fn a_folder_means_what_is_below_and_a_vain_pattern_is_an_error() {
        let paths = [("\\", None), ("\\a", Some(0)), ("\\a\\b", Some(1)), ("\\c", Some(0))];
        let choose = |pattern: &[&str]| chosen(&Patterns::parse(pattern).unwrap(), &paths);
        assert_eq!(choose(&["A"]).unwrap(), [false, true, true, false]);
        assert_eq!(choose(&[]).unwrap(), [true; 4]);
        assert_eq!(choose(&["a", "x*"]).unwrap_err().exit, Exit::BadInput);
    }

    #[test]
    fn what_is_no_pattern_is_a_usage_error() {
        assert_eq!(Patterns::parse(&["a[b"]).unwrap_err().exit, Exit::Usage);
    }
}
