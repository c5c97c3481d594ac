//! Driver packages.
//!
//! - [`database`]: what the registry says of a package, as Windows writes it
//! - [`inventory`]: which packages an image has
//! - [`invariants`]: what holds in every driver database

pub mod database;
pub mod invariants;
pub mod inventory;
