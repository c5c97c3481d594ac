//! One file per verb: its arguments (which are its help text) and what it does.

pub(crate) mod completions;
pub(crate) mod wim;
