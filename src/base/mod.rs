//! Layer 0: the words everybody uses.
//!
//! Nothing here knows a file format or Windows servicing; everything above may use it.
//!
//! - [`base64`]: bytes as text
//! - [`bytes`]: little-endian cursor with positions in its errors, and its writing twin
//! - [`malformed`]: what every reader says of bad bytes: which format, what, at which offset
//! - [`read_at`]: positioned reads on files and memory
//! - [`limits`]: ceilings for what untrusted input may demand
//! - [`digest`]: SHA-1 and BLAKE3 as values
//! - [`filetime`], [`guid`]: NT time and GUID as text and bytes
//! - [`name`], [`upcase`]: NT names (UTF-16, possibly ill-formed) and how NT folds their case
//! - [`ntpath`]: paths inside an image
//! - [`secret`]: what stands for a secret until the output is written, and the values
//! - [`temporary`]: files that appear complete or not at all

pub mod base64;
pub mod bytes;
pub mod digest;
pub mod filetime;
pub mod guid;
pub mod limits;
pub mod malformed;
pub mod name;
pub mod ntpath;
pub mod read_at;
pub mod secret;
pub mod temporary;
pub mod upcase;
