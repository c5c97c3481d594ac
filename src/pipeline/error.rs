//! Why a build failed.

use std::{error::Error, path::PathBuf};

use super::output::OutputError;
use crate::{
    format::wim::WimError,
    image::ImageError,
    plan::{FailureClass, Step},
    recipe::{Finding, Findings},
    servicing::ServicingError,
    store::StoreError,
};

/// Why a build failed. Whatever it is, the output is as it was before, and the base was only read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BuildError {
    /// A secret has no value, or one that cannot be written where it belongs; the finding points at it in the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Secret(Findings),
    /// A step cannot be prepared or applied; the finding points at it in the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Step(Findings),
    /// An image breaks rules of the recipe's policy, and is not written; each finding points at a rule in the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Policy(Findings),
    /// A file that a step reads cannot be read; the finding points at the step in the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Input(Findings),
    /// Content that a step needs cannot be put into the store; the finding points at the step in the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cache(Findings),
    /// The base image cannot be read.
    #[error("the base image cannot be used")]
    #[diagnostic(
        code("base::damaged"),
        help("`transom wim verify` says what is damaged; get the file again")
    )]
    Base(#[source] ImageError),
    /// The base image is no longer what was planned with.
    #[error("{} changed while it was being read", .0.display())]
    #[diagnostic(
        code("base::changed"),
        help("run the command again when nothing writes to the base image")
    )]
    BaseChanged(PathBuf),
    /// The output cannot be written.
    #[error(transparent)]
    #[diagnostic(code("output::failed"))]
    Output(#[from] OutputError),
    /// The store cannot be used.
    #[error(transparent)]
    #[diagnostic(code("cache::unusable"))]
    Store(#[from] StoreError),
    /// The WIM writer refuses the plan that the pipeline made.
    #[error("the output cannot be put together")]
    #[diagnostic(code("transom::bug"), help("this is a mistake in transom; please report it"))]
    Internal(#[source] WimError),
    /// The caller asked to stop.
    #[error("interrupted; the output is as it was before")]
    #[diagnostic(code("build::interrupted"))]
    Cancelled,
}

impl BuildError {
    /// Which kind of failure it is.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Step(_) => FailureClass::Step,
            Self::Policy(_) => FailureClass::Policy,
            Self::Secret(_) | Self::Input(_) | Self::Base(_) | Self::BaseChanged(_) => {
                FailureClass::Input
            }
            Self::Store(StoreError::Source(_) | StoreError::Changed) => FailureClass::Input,
            Self::Output(_) | Self::Store(_) | Self::Cache(_) => FailureClass::Output,
            Self::Internal(_) => FailureClass::Internal,
            Self::Cancelled => FailureClass::Interrupted,
        }
    }

    /// The findings, when it has places in the recipe.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        match self {
            Self::Step(findings)
            | Self::Policy(findings)
            | Self::Secret(findings)
            | Self::Input(findings)
            | Self::Cache(findings) => Some(findings),
            _ => None,
        }
        .into_iter()
        .flat_map(Findings::iter)
    }

    /// The failure of `step`; `image` is its image, where there are several.
    pub(super) fn of_step(step: &Step, image: Option<&str>, error: &ServicingError) -> Self {
        let image = image.map(|image| format!("{image}: ")).unwrap_or_default();
        let message = format!("{image}step {} failed: {}", step.number, chain(error));
        let (code, class): (_, fn(Findings) -> Self) = match error {
            ServicingError::Input { .. } => ("input::unreadable", Self::Input),
            ServicingError::Changed { .. } => ("input::changed", Self::Input),
            ServicingError::Store { .. } => ("cache::unusable", Self::Cache),
            // Content of the base that the step had to read.
            ServicingError::Image { source: ImageError::Wim(_), .. } => {
                ("base::damaged", Self::Input)
            }
            ServicingError::Refused { .. } | ServicingError::Image { .. } => {
                ("step::failed", Self::Step)
            }
        };
        let label = step.title.clone();
        let finding = Finding::at(&step.origin, code, message, label, error.help().to_owned());
        class(finding.into())
    }
}

/// The texts of an error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
