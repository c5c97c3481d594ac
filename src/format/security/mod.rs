//! Security descriptors of NT: who owns a file, who may do what with it.
//!
//! ```text
//! descriptor   u8 revision 1 | u8 | u16 control | u32 owner | u32 group | u32 SACL | u32 DACL      (offsets from its start, 0: none)
//! ACL          u8 revision 2 or 4 | u8 | u16 size | u16 count | u16 | ACEs
//! ACE          u8 type | u8 flags | u16 size | body (for most types: u32 rights, SID)
//! SID          u8 revision 1 | u8 count | 6 bytes authority, big-endian | count x u32
//! ```
//!
//! Knowledge: Microsoft's open specification MS-DTYP, sections 2.4 (structures), 2.5.1 (text form), 2.5.3.4 (inheritance).
//!
//! - [`descriptor`]: bytes to values and back
//! - [`sddl`]: the text form, `O:BAG:SYD:PAI(A;;FA;;;SY)`
//! - [`mod@inherit`]: what a new file or folder gets from its parent

pub mod descriptor;
pub mod inherit;
pub mod sddl;
mod sddl_names;

pub use descriptor::{Ace, Acl, SecurityDescriptor, Sid};
pub use inherit::inherit;
pub use sddl::{SddlError, parse_sddl, to_sddl};
