//! Patterns for paths: what to leave out of a capture, what to list or extract.
//!
//! A pattern without a separator (`*.log`, `pagefile.sys`) means any entry of that name; one with a separator (`\Windows\Temp`, `Users/*/Desktop/**`)
//! is compared with the whole path from the image's root. Case does not matter (as NT folds it), `\` and `/` are alike. `*` and `?` stay within a
//! name, `**` crosses folders, `[ab]` and `{a,b}` choose. What matches a folder means everything below it.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::base::upcase::upcase;

use super::error::ImageError;

/// A set of patterns.
#[derive(Debug, Clone)]
pub struct Patterns {
    globs: GlobSet,
    texts: Vec<String>,
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// When one is not a pattern.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, ImageError> {
        let mut builder = GlobSetBuilder::new();
        let bad = |text: &str, error: &globset::Error| ImageError::Pattern {
            pattern: text.to_owned(),
            what: error.kind().to_string(),
        };
        for pattern in patterns {
            let text = pattern.as_ref();
            let glob = GlobBuilder::new(&anchored(text))
                .literal_separator(true)
                .backslash_escape(false)
                .build()
                .map_err(|error| bad(text, &error))?;
            builder.add(glob);
        }
        let globs =
            builder.build().map_err(|error| bad(error.glob().unwrap_or_default(), &error))?;
        let texts = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        Ok(Self { globs, texts })
    }

    /// True when there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// True when one of them matches the path itself (not a folder above it), its names joined by `/` or `\`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.globs.is_match(normal(path))
    }

    /// Which paths are meant: those that a pattern matches and those below them. Without patterns, all.
    ///
    /// Each path comes with the position of the folder it is in, which stands before it; `None` for the root.
    ///
    /// # Errors
    /// When a pattern matches nothing: it was meant to.
    pub fn choose<'path>(
        &self,
        paths: impl IntoIterator<Item = (&'path str, Option<usize>)>,
    ) -> Result<Vec<bool>, ImageError> {
        let mut used = vec![false; self.texts.len()];
        let mut chosen: Vec<bool> = Vec::new();
        for (path, parent) in paths {
            let matching = self.globs.matches(normal(path));
            for number in &matching {
                used[*number] = true;
            }
            let is_below = parent.and_then(|parent| chosen.get(parent)).is_some_and(|is| *is);
            chosen.push(self.is_empty() || !matching.is_empty() || is_below);
        }
        match used.iter().position(|used| !used) {
            None => Ok(chosen),
            Some(number) => Err(ImageError::NoMatch { pattern: self.texts[number].clone() }),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Patterns::new(&[pattern]).unwrap().matches(path)
    }

    #[test]
    fn names_match_anywhere_and_paths_from_the_root() {
        let patterns =
            Patterns::new(&["*.log", r"\Windows\Temp", "/Users/*/x", r"deep\**"]).unwrap();
        for path in [r"\a\b\C.LOG", "/windows/temp", r"\Users\me\x", r"\Deep\a\b", "top.log"] {
            assert!(patterns.matches(path), "{path}");
        }
        for path in [r"\a\Windows\Temp", r"\Users\a\b\x", r"\Windows\Temp2", r"\log"] {
            assert!(!patterns.matches(path), "{path}");
        }
        assert!(Patterns::new::<&str>(&[]).unwrap().is_empty());
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
        let choose = |patterns: &[&str]| Patterns::new(patterns).unwrap().choose(paths);
        assert_eq!(choose(&["A"]).unwrap(), [false, true, true, false]);
        assert_eq!(choose(&[]).unwrap(), [true; 4]);
        let error = choose(&["a", "x*"]).unwrap_err();
        assert_eq!(error.to_string(), "nothing in the image matches `x*`");
    }

    #[test]
    fn what_is_no_pattern_is_an_error_that_quotes_it() {
        let error = Patterns::new(&["a", "a[b"]).unwrap_err();
        assert!(error.to_string().starts_with("`a[b` is not a pattern"), "{error}");
    }
}
