//! Layer 8: runs a plan.
//!
//! [`build`] finds the steps that are remembered and replays what they did; the others it prepares in parallel (what needs the inputs
//! alone) and applies in order (what needs the image), and remembers both. Then it writes the output beside its place and renames it. When the whole
//! chain of steps is remembered and the output still has the stamp it was written with, nothing is done at all.
//!
//! - [`Event`]: the only channel of progress
//! - [`output`]: the output file: its lock, its rename
//! - [`Outcome`], [`BuildError`]: how it ended
//! - [`policy`]: what is told of an image that breaks the recipe's policy
//! - [`report`]: what is told of a build
//! - [`repro`]: where two outputs differ
//! - [`past`]: the images of a past build, made again in memory
//! - [`verify_output`]: everything in a WIM against its SHA-1

mod build;
mod commit;
mod error;
mod event;
mod flush;
pub mod inventory;
mod nested;
pub mod output;
pub mod past;
pub mod policy;
mod prepare;
pub mod report;
pub mod repro;
mod run;
mod split;
mod verify;

pub use build::{ImageOutcome, Outcome, Settings, StepOutcome, build, missing_secrets};
pub use error::BuildError;
pub use event::Event;
pub use verify::verify_output;
