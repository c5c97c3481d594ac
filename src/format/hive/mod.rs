//! Stub of the hive layer (branch `hive` brings it); when merging, take that branch's folder.

mod error;
mod value;

pub use error::HiveError;
pub use value::{Value, ValueType};
