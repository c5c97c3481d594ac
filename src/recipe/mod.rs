//! Layer 6: the recipe as written.

mod finding;
mod key_path;
mod merge;
mod node;
mod sections;
mod shape;
mod source;
mod vars;
pub mod model;
pub use finding::{Finding, Findings, Label, nearest};
pub use model::*;
pub use source::{Located, Origin, Source, Sources};
