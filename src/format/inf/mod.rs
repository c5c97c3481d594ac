//! INF files: what a driver package says of itself. See `facts/inf.md`.

mod model;

pub use model::*;
