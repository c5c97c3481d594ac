//! Windows registry hives ("regf", versions 1.3 to 1.6): read, edit, check, and replay of transaction logs.
//!
//! A hive file is a base block of 4 KiB and a run of *bins*, each a multiple of 4 KiB, each tiled by *cells*. A cell begins
//! with its size (negative when allocated); everything in a hive is a cell, and cells point to each other by their offset
//! from the first bin:
//!
//! ```text
//! nk  a key      -> list of subkeys, list of values, security, class name, parent
//! lh  lf  li     sorted leaves of a list of subkeys;  ri  a list of such leaves
//! vk  a value    -> data cell, or up to four bytes of data in place of the offset;  db  data in segments of 16,344 bytes
//! sk  a security descriptor with a reference count; all of a hive form one ring
//! ```
//!
//! [`Hive`] keeps the file as it is in memory and edits it in place, so that whatever is not touched stays as Windows wrote
//! it. Reading needs no index; the first edit scans all cells once to learn which are free.
//!
//! Knowledge: Maxim Suhanov's "Windows registry file format specification" (CC BY 4.0), and our own statistics over real
//! hives.
//!
//! - `layout`: offsets and sizes of the structures, the base block
//! - `cells`, `space`: cells, and which of them are free
//! - `nodes`: keys, values and names as they lie in their cells
//! - `read`, `reading`, `walk`, `dump`: questions to a hive; many of them with one ceiling; everything below a key; canonical text
//! - `subkeys`: the sorted lists of subkeys, read and changed
//! - `keys`, `values`, `security`: edits
//! - `check`: everything a hive must satisfy to be loaded
//! - `log`, `marvin`: transaction logs of dirty hives
//! - `create`: a new hive

mod cells;
mod check;
mod create;
mod data;
mod dump;
mod error;
mod file;
mod keys;
mod layout;
mod log;
mod marvin;
mod nodes;
mod read;
mod reading;
mod security;
mod space;
mod subkeys;
mod value;
mod values;
mod walk;

pub use check::Problem;
pub use error::HiveError;
pub use file::{Hive, KeyId};
pub use nodes::NameRef;
pub use reading::{KeyFacts, Reading};
pub use value::{Value, ValueType};
pub use walk::{Entry, ValueRef};
