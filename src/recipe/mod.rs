//! Layer 6: the recipe as written.

mod finding;
mod node;
mod source;
