//! INF files: what a driver package says of itself, as written and for one target.
//!
//! An INF is text in sections. `[Version]` tells the class and the age, `[Manufacturer]` leads to models sections (one for each
//! architecture and age of Windows), whose lines give a device's IDs an install section; that one and its relatives (`.Services`, `.HW` ...) name the files,
//! services and registry values. [`Inf::parse`] splits the text, [`resolve`] follows it for one Windows. Knowledge: `facts/inf.md`
//! (Microsoft's windows-driver-docs, and what 822 real files hold).

mod defects;
mod document;
mod error;
mod files;
mod install;
mod lex;
mod model;
mod models;
mod registry;
mod resolve;
mod services;
mod strings;
mod text;
mod version;

pub use document::{Inf, LARGEST, Line, Section};
pub use error::{InfCause, InfDefect, InfError};
pub use model::*;
pub use models::architectures;
pub use resolve::{Includes, NoIncludes, resolve};
pub use version::version;
