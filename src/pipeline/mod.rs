//! Layer 8: runs a plan.

pub mod output;
