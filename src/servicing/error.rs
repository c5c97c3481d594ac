//! What a person is told when a step cannot be done.

use std::io;

use crate::{format::hive::HiveError, image::ImageError};

/// Why a step cannot be done: found by looking at the image before anything is touched, or when it is prepared or applied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// What it is about, as the recipe names it: a service, a path, `unattend.xml:12:5`.
    pub item: String,
    /// What is wrong; lower case, no full stop.
    pub cause: String,
    /// What to do about it; empty when there is nothing to say.
    pub help: String,
    /// True when the step can be done all the same.
    pub warning: bool,
}

/// A step that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ServicingError {
    /// The step's own reason.
    #[error("{operation} {}: {}", .problem.item, .problem.cause)]
    Refused {
        /// The kind of operation.
        operation: &'static str,
        /// Which item, why, and what to do.
        problem: Problem,
    },
    /// The image cannot be read or edited.
    #[error("{operation} {item}")]
    Image {
        /// The kind of operation.
        operation: &'static str,
        /// What it was about.
        item: String,
        /// What is wrong with the image.
        source: ImageError,
    },
    /// An input cannot be read.
    #[error("cannot read the input {input}")]
    Input {
        /// The input, as the recipe names it, and the file below it.
        input: String,
        /// What the system says.
        source: io::Error,
    },
    /// An input is not what it was when the plan was made.
    #[error("the input {input} changed while the build was reading it; run it again")]
    Changed {
        /// The input, as the recipe names it, and the file below it.
        input: String,
    },
    /// Content cannot be stored.
    #[error("cannot store the content of {item} in the cache")]
    Store {
        /// What was to be stored.
        item: String,
        /// What the store says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Problem {
    /// Something that makes the step fail.
    pub fn error(
        item: impl Into<String>,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { item: item.into(), cause: cause.into(), help: help.into(), warning: false }
    }

    /// Something odd that does not stop the step.
    pub fn warning(
        item: impl Into<String>,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { warning: true, ..Self::error(item, cause, help) }
    }
}

impl ServicingError {
    /// The step's own reason.
    pub(super) fn refused(operation: &'static str, problem: Problem) -> Self {
        Self::Refused { operation, problem }
    }

    /// An error of the image, as the step's own reason where a person can do something about it.
    pub(super) fn image(operation: &'static str, item: &str, source: ImageError) -> Self {
        match image_help(&source) {
            Some(help) => Self::refused(operation, Problem::error(item, source.to_string(), help)),
            None => Self::Image { operation, item: item.to_owned(), source },
        }
    }

    /// That `input` cannot be read, or no longer is what it was.
    pub(crate) fn input(input: &str, source: io::Error) -> Self {
        let input = input.to_owned();
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::StaleNetworkFileHandle => {
                Self::Changed { input }
            }
            _ => Self::Input { input, source },
        }
    }

    /// What to do about it; empty when there is nothing to say.
    #[must_use]
    pub fn help(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => &problem.help,
            Self::Store { .. } => "make room, or give another folder with --cache-dir",
            Self::Image { source: ImageError::Wim(_), .. } => {
                "the base image is damaged: `transom wim verify` says where; get the file again"
            }
            _ => "",
        }
    }

    /// The reason as a [`Problem`].
    #[must_use]
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Refused { problem, .. } => problem,
            Self::Image { item, source, .. } => Problem::error(item, source.to_string(), ""),
            Self::Input { input, source } => Problem::error(input, source.to_string(), ""),
            Self::Changed { input } => {
                Problem::error(input, "it changed while the build was reading it", "run it again")
            }
            Self::Store { item, source } => Problem::error(item, source.to_string(), ""),
        }
    }
}

/// What to do about an error of the image, where something can be done in the recipe.
fn image_help(error: &ImageError) -> Option<String> {
    Some(match error {
        ImageError::NoHive { hive, .. } => format!(
            "keys below {} lie in that file; this image cannot hold them",
            hive.registry_root()
        ),
        ImageError::Hive { source: HiveError::Dirty { .. } | HiveError::LogsDoNotFit { .. }, .. } => {
            "the image was taken from a Windows that was not shut down; start and shut it down cleanly, then capture it again"
                .to_owned()
        }
        ImageError::ThroughLink { .. } => {
            "name the folder that the link leads to; the image's own links are not followed".to_owned()
        }
        ImageError::NotDirectory(_) => {
            "a file is in the way; remove it with `absent = true`, or choose another path".to_owned()
        }
        ImageError::IsDirectory(_) => {
            "a folder is in the way; name the file, folder and all, in `to`".to_owned()
        }
        ImageError::Root => "name something below the root".to_owned(),
        _ => return None,
    })
}
