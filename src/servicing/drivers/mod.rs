//! Driver packages.
//!
//! - [`source`]: the files of a source that a recipe names: a folder, an archive, the folder of an INF

pub mod source;
