//! Layer 2: bytes to meaning and back. No policy, no terminal, no host paths.
//!
//! - [`wim`]: Windows Imaging files: reader, writer, verifier

pub mod wim;
