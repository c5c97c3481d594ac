//! Why there is no plan, and which kind of failure that is.

use crate::{
    plan::lock::LockError,
    recipe::{Finding, Findings},
    store::StoreError,
};

/// Kinds of failure of planning and building; the command line has an exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// A step failed.
    Step,
    /// The lock file is missing or out of date and may not be written.
    Lock,
    /// An input or the base is missing, changed or damaged.
    Input,
    /// There is no valid plan.
    Plan,
    /// The recipe's policy forbids it.
    Policy,
    /// The output, or the cache, cannot be written.
    Output,
    /// What was written is not what it should be.
    Verification,
    /// The caller asked to stop.
    Interrupted,
    /// A bug of ours.
    Internal,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PlanError {
    /// The base or inputs cannot be used; each finding points into the recipe.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Inputs(Findings),
    /// What the recipe asks for cannot be done to this image.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(Findings),
    /// What the recipe asks for breaks a rule of its own policy.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Policy(Findings),
    /// The output cannot be where the recipe puts it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(Findings),
    /// The lock file does not hold.
    #[error(transparent)]
    #[diagnostic(
        code("lock::out-of-date"),
        help(
            "`transom lock` writes the lock file anew; look at the difference before you check it in"
        )
    )]
    Lock(#[from] LockError),
    /// The store cannot be used.
    #[error(transparent)]
    #[diagnostic(code("cache::unusable"))]
    Store(#[from] StoreError),
    /// The caller asked to stop.
    #[error("interrupted")]
    #[diagnostic(code("plan::interrupted"))]
    Cancelled,
}

impl PlanError {
    /// Which kind of failure it is.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Inputs(_) => FailureClass::Input,
            Self::Refused(_) => FailureClass::Plan,
            Self::Policy(_) => FailureClass::Policy,
            Self::Output(_) | Self::Store(_) => FailureClass::Output,
            Self::Lock(_) => FailureClass::Lock,
            Self::Cancelled => FailureClass::Interrupted,
        }
    }

    /// The findings, when it has places in the recipe.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        match self {
            Self::Inputs(findings)
            | Self::Refused(findings)
            | Self::Policy(findings)
            | Self::Output(findings) => Some(findings),
            _ => None,
        }
        .into_iter()
        .flat_map(Findings::iter)
    }
}
