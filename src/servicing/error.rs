//! What a person is told when a step cannot be done.

use std::io;

use crate::image::ImageError;

/// Why a step cannot be done: found by looking at the image before anything is touched, or when it is prepared or applied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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
    /// Content cannot be stored.
    #[error("cannot store the content of {item}")]
    Store {
        /// What was to be stored.
        item: String,
        /// What the store says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ServicingError {
    /// What to do about it; empty when there is nothing to say.
    #[must_use]
    pub fn help(&self) -> &str {
        match self {
            Self::Refused { problem, .. } => &problem.help,
            _ => "",
        }
    }
}
