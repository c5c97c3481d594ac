//! Patterns for paths: what to leave out of a capture, what to extract.
//!
//! A pattern without a separator (`*.log`, `pagefile.sys`) matches a name in any folder; one with a separator (`\Windows\Temp`,
//! `/Users/*/Desktop/**`) matches a path from the root. Either slash will do; case does not matter; `*` stops at separators, `**` does not.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::error::ImageError;

/// A set of patterns.
#[derive(Debug, Clone)]
pub struct Patterns(GlobSet);

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// When one is not a pattern.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, ImageError> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let text = pattern.as_ref();
            let fail = |error: globset::Error| ImageError::Pattern {
                pattern: text.to_owned(),
                what: error.kind().to_string(),
            };
            let slashes = text.replace('\\', "/");
            let anchored = match slashes.strip_prefix('/') {
                Some(rest) => rest.to_owned(),
                None if slashes.contains('/') => slashes,
                None => format!("**/{slashes}"),
            };
            let anchored = anchored.trim_end_matches('/');
            let glob = GlobBuilder::new(anchored)
                .case_insensitive(true)
                .literal_separator(true)
                .backslash_escape(false)
                .build()
                .map_err(fail)?;
            set.add(glob);
        }
        let fail = |error: globset::Error| ImageError::Pattern {
            pattern: error.glob().unwrap_or_default().to_owned(),
            what: error.kind().to_string(),
        };
        Ok(Self(set.build().map_err(fail)?))
    }

    /// True when there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when one of them matches the path, its names joined by `/` or `\`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let slashes = path.replace('\\', "/");
        self.0.is_match(slashes.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(Patterns::new(&["[a"]).is_err());
        assert!(Patterns::new::<&str>(&[]).unwrap().is_empty());
    }
}
