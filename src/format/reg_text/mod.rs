//! `.reg` files: registry edits as text, as `regedit` exports and imports them.
//!
//! ```text
//! Windows Registry Editor Version 5.00      UTF-16 or UTF-8        REGEDIT4      Windows-1252
//! [HKEY_LOCAL_MACHINE\SOFTWARE\Example]     a key, created when it is not there
//! @="the default value"                     text; \\ and \" are escapes, line breaks may stand in it as they are
//! "Number"=dword:0000001f                   a 32-bit number
//! "Bytes"=hex:01,02,\                       bytes, continued on the next line
//!   03
//! "Any"=hex(7):61,00,00,00,00,00            bytes of any type (hexadecimal)
//! "Gone"=-                                  a value that is deleted
//! [-HKEY_LOCAL_MACHINE\SOFTWARE\Old]        a key that is deleted with everything below it
//! ; a comment
//! ```
//! In a `REGEDIT4` file the bytes of `hex(2)` and `hex(7)` are Windows-1252 text. Where `regedit` skips what it does not
//! understand, this reader says so and stops.
//!
//! Knowledge: Microsoft's "How to add, modify, or delete registry subkeys and values by using a .reg file", and exports.

mod entry;
mod parse;
mod write;

pub use entry::{RegAction, RegEntry, RegValue};
pub use parse::{RegTextError, parse};
pub use write::{NotWritable, entries_of, write, write_text};

/// First line of a file of version 5.00.
const HEADER: &str = "Windows Registry Editor Version 5.00";
/// First line of a file of version 4.
const OLD_HEADER: &str = "REGEDIT4";
