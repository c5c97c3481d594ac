//! Layer 7: what must happen, in which order, and why.
//!
//! [`make`] turns a recipe into a [`Plan`]: it opens the base image, finds and hashes the inputs, orders the steps, asks each whether it suits the
//! image, and compares all that with the lock file. Nothing is changed by planning but what the store remembers.
//!
//! - [`order`]: the order table, data with a version
//! - [`graph`]: steps to an order, each edge with its reason; [`subjects`]: what an operation is to the graph
//! - [`packages`]: what packages say of their order
//! - [`unattend`]: steps of what an answer file says of the offline image
//! - [`base_image`]: the base opened and the image selected
//! - [`check`]: what can be known to fail before anything is done
//! - [`inputs`]: the host's files, found, walked, hashed
//! - [`output`]: the output's settings
//! - [`lock`]: the lock file
//! - [`key`]: what the result of a step depends on
//! - [`state`]: which steps are cached, and why others are not; [`cause`]: what of a key changed, [`parameters`] leaf by leaf
//! - [`memory`]: what is remembered of the last builds of an output
//! - [`stale`]: why an output is not up to date
//! - [`explain`]: why things are as they are
//! - [`policy`]: rules that the recipe itself breaks
//! - [`view`]: the plan as text, JSON and graph
//! - [`dism`]: the plan as DISM's commands
//! - [`error`]: why there is no plan

pub mod base_image;
pub mod cause;
pub mod check;
pub mod dism;
pub mod error;
pub mod explain;
pub mod graph;
mod image;
pub mod inputs;
pub mod key;
pub mod lock;
mod make;
pub mod memory;
mod model;
mod nested;
pub mod order;
pub mod output;
pub mod packages;
pub mod parameters;
pub mod policy;
pub mod stale;
pub mod state;
pub mod subjects;
pub mod unattend;
pub mod view;

pub use cause::Cause;
pub use error::{FailureClass, PlanError};
pub use inputs::Control;
pub use make::{Options, explain_input, make};
pub use model::{
    EpochSource, LockState, Plan, PlannedBase, PlannedImage, PlannedOutput, Step, StepReason,
};
pub use nested::Nested;
