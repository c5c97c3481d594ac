//! Layer 6: the recipe as written.
//!
//! [`load`] reads a TOML file, what it extends and what the command line sets, and gives a [`Recipe`] or [`Findings`]: every mistake it could make
//! out, each with its place in the text and a way out. The plain data of each entry ([`Entry::operation`]) is declared in
//! [`crate::servicing`]; everything else a recipe says is in [`model`].
//!
//! The way of a recipe: [`source`] texts -> `node` spanned tree -> `merge` layers into one -> `vars` replaced -> `shape` checked
//! against `sections` (the keys of every section, declared once) -> `decode` into the model. `schema` makes the JSON Schema of the
//! same `sections`.
//!
//! A new section is: its keys in `sections`, its decoding in `decode`, samples in `tests/data/recipes`.

mod decode;
pub mod finding;
mod key_path;
mod load;
mod merge;
pub mod model;
mod node;
mod paths;
pub mod schema;
mod sections;
mod shape;
pub mod source;
mod variants;
mod vars;

pub use finding::{Finding, Findings};
pub use load::{Files, HostFiles, load, load_from, load_policy, load_variants};
pub use model::{
    BaseImage, BaseSection, Compression, Entry, Expect, ImageSection, ImageSelect, InputDecl,
    OutputImages, OutputSection, PolicySection, Recipe,
};
pub use paths::lock as lock_path;
pub(crate) use paths::same as same_path;
pub use source::{Located, Origin, Source, Sources};
