//! Packages.

mod expand;
pub mod source;
mod wim;

/// What the room calls itself in messages.
const OPERATION: &str = "packages";
