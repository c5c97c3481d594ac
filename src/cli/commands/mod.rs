//! One file per verb: its arguments (which are its help text) and what it does.

pub(crate) mod cache;
pub(crate) mod completions;
pub(crate) mod inspect;
pub(crate) mod verify;
pub(crate) mod wim;
