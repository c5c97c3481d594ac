//! Command line and environment, resolved once into plain values.
//!
//! This is the only file that reads the environment. What is read: `TRANSOM_CACHE_DIR`, `XDG_CACHE_HOME`, `HOME`, `LOCALAPPDATA` (where the store
//! lies), `SOURCE_DATE_EPOCH` (times of new files), `CI` (`--locked`), `TRANSOM_SIGN_KEY` (`build --sign-key`), and by way of the terminal libraries `NO_COLOR`, `CLICOLOR`,
//! `CLICOLOR_FORCE` and `TERM` (`dumb`: no live lines); for a build the variables that its recipe names as secrets.

use std::{ffi::OsString, path::PathBuf};

use crate::base::{filetime::FileTime, secret::Secrets};

use super::{
    arguments::{GlobalArguments, ProgressChoice},
    exit::Failure,
};

/// What holds for the whole run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the store lies; `None` when neither the command line nor the environment tells.
    cache_directory: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`: the time given to what has none of its own.
    pub(crate) epoch: Option<FileTime>,
    /// `CI` is set and not `false`: builds are `--locked`.
    pub(crate) continuous_integration: bool,
    /// `TRANSOM_SIGN_KEY`: the file of the key that builds sign their provenance with.
    pub(crate) sign_key: Option<PathBuf>,
    /// Say nothing but warnings and errors.
    pub(crate) quiet: bool,
    /// How progress is shown.
    pub(crate) progress: ProgressChoice,
    /// `TERM` is `dumb`: the terminal cannot move its cursor.
    pub(crate) dumb_terminal: bool,
}

impl Settings {
    /// Resolves the options and `environment` (a look-up by name).
    pub(crate) fn resolve(
        arguments: &GlobalArguments,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let epoch = match environment("SOURCE_DATE_EPOCH") {
            None => None,
            Some(value) if value.is_empty() => None,
            Some(value) => Some(source_date_epoch(&value.to_string_lossy())?),
        };
        let continuous_integration = environment("CI").is_some_and(|value| {
            !["", "0", "false", "no"].contains(&value.to_string_lossy().to_lowercase().as_str())
        });
        Ok(Self {
            cache_directory: arguments
                .cache_dir
                .clone()
                .or_else(|| file(environment, "TRANSOM_CACHE_DIR"))
                .or_else(|| platform_cache(std::env::consts::OS, environment)),
            epoch,
            continuous_integration,
            sign_key: file(environment, "TRANSOM_SIGN_KEY"),
            quiet: arguments.quiet,
            progress: arguments.progress,
            dumb_terminal: environment("TERM").is_some_and(|term| term == "dumb"),
        })
    }

    /// The folder of the store.
    ///
    /// # Errors
    /// When nothing tells where it could be (no home directory).
    pub(crate) fn cache_directory(&self) -> Result<PathBuf, Failure> {
        self.cache_directory.clone().ok_or_else(|| {
            Failure::usage(
                "no place for the cache: give --cache-dir or set TRANSOM_CACHE_DIR or HOME",
            )
        })
    }
}

/// The values of the variables `names`, as far as the environment has them as Unicode text.
pub(crate) fn secrets<'a>(
    names: impl IntoIterator<Item = &'a String>,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Secrets {
    let mut secrets = Secrets::default();
    for name in names {
        if let Some(value) = environment(name).and_then(|value| value.into_string().ok()) {
            secrets.insert(name, value);
        }
    }
    secrets
}

/// The file or folder that the variable `name` names.
fn file(environment: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    environment(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The platform's folder for caches.
fn platform_cache(system: &str, environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder =
        |name: &str| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match system {
        "windows" => folder("LOCALAPPDATA").map(|path| path.join("transom").join("cache")),
        "macos" => folder("HOME").map(|path| path.join("Library/Caches/transom")),
        _ => folder("XDG_CACHE_HOME")
            .or_else(|| folder("HOME").map(|path| path.join(".cache")))
            .map(|path| path.join("transom")),
    }
}

/// Reads `SOURCE_DATE_EPOCH`: whole seconds since 1970-01-01 UTC.
fn source_date_epoch(text: &str) -> Result<FileTime, Failure> {
    text.parse::<i64>().map(|seconds| FileTime::from_unix(seconds, 0)).map_err(|_| {
        Failure::usage(format!(
            "SOURCE_DATE_EPOCH is `{text}`, but must be whole seconds since 1970-01-01 UTC"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        }
    }

    #[test]
    fn the_cache_lies_where_the_platform_keeps_caches() {
        let home = environment(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "relative")]);
        assert_eq!(platform_cache("linux", &home), Some(PathBuf::from("/home/u/.cache/transom")));
        assert_eq!(
            platform_cache("macos", &home),
            Some(PathBuf::from("/home/u/Library/Caches/transom"))
        );
        let xdg = environment(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")]);
        assert_eq!(platform_cache("linux", &xdg), Some(PathBuf::from("/c/transom")));
        assert_eq!(platform_cache("linux", &environment(&[])), None);
    }

    #[test]
    fn the_command_line_goes_before_the_environment() {
        let arguments =
            GlobalArguments { cache_dir: Some("here".into()), ..GlobalArguments::default() };
        let settings = Settings::resolve(&arguments, &environment(&[("HOME", "/home/u")])).unwrap();
        assert_eq!(settings.cache_directory().unwrap(), PathBuf::from("here"));
    }

    #[test]
    fn epoch_and_ci_come_from_the_environment() {
        let read = |pairs| Settings::resolve(&GlobalArguments::default(), &environment(pairs));
        let settings = read(&[("SOURCE_DATE_EPOCH", "1793491200"), ("CI", "true")]).unwrap();
        assert_eq!(settings.epoch, FileTime::parse("2026-11-01T00:00:00Z"));
        assert!(settings.continuous_integration);
        assert!(!read(&[("CI", "false")]).unwrap().continuous_integration);
        assert!(read(&[("SOURCE_DATE_EPOCH", "yesterday")]).is_err());
    }
}
