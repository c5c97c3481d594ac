//! Layer 2: bytes and their meaning, without policy.
//!
//! - [`hive`]: Windows registry hives (regf): read, edit, check, replay of transaction logs
//! - [`reg_text`]: `.reg` files

pub mod hive;
pub mod reg_text;
