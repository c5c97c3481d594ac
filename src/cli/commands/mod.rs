//! One file per verb: its arguments (which are its help text) and what it does.

pub(crate) mod against;
pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod lock;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod repro;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod store_health;
pub(crate) mod verify;
pub(crate) mod wim;
