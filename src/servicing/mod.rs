//! Layer 5: what a step does to an image, one room per technology.
//!
//! A room holds the plain data of its technology (what a recipe says of a service, a file ...; the recipe parses into it), and its
//! `prepare`, `apply` and `check`. The set of operations is closed: one enum, [`Operation`], with exhaustive matches, so that the compiler
//! lists what a new technology must answer.
//!
//! - [`cbs`]: packages, languages, capabilities and features
//! - [`registry`]: keys, values, `.reg` files
//! - [`services`]: how services start
//! - [`files`]: files and folders put in place, taken away, adjusted
//! - [`unattend`]: the answer file for Windows Setup
//! - [`drivers`]: driver packages
//! - [`locale`]: languages, formats, keyboards and the time zone
//! - [`appx`]: provisioned apps
//! - [`defaults`]: file associations, OEM information
//! - [`winpe`], [`winre`]: Windows PE, and the recovery image inside an image
//! - [`first_boot`]: scripts that Windows runs once, before the first logon
//! - [`setup_state`]: how far an image is with Windows Setup
//! - [`error_codes`]: what the error codes of Windows' servicing mean
//! - [`inventory`]: all that an image has, put together for comparing, reporting and checking
//! - [`policy`]: rules that a finished image must keep, and whether it does
//!
//! An operation sees inputs by name ([`Inputs`]) and gives content to a [`BlobSink`]; it never sees a host path, the output, the clock or the
//! terminal. `prepare` depends on the operation and its inputs alone, may run in parallel and is what is worth caching; `apply` needs the image and
//! takes milliseconds.

pub mod appx;
mod archive;
pub mod cbs;
pub mod defaults;
pub mod drivers;
mod error;
pub mod error_codes;
pub mod files;
pub mod first_boot;
mod inputs;
pub mod inventory;
pub mod locale;
mod not_native;
mod operation;
mod own_file;
pub mod policy;
pub mod registry;
pub mod services;
pub mod setup_state;
pub mod unattend;
pub mod winpe;
pub mod winre;

pub use error::{Problem, ServicingError};
pub use inputs::{BlobSink, InputEntry, InputId, InputKind, InputTree, Inputs};
pub use not_native::WhenNotNative;
pub use operation::{Operation, Prepared};
