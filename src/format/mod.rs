//! Layer 2: bytes and their meaning, without policy.
//!
//! - [`cab`]: cabinets: reader and writer
//! - [`catalog`]: catalogs of driver packages: which files they name, what their signature is worth
//! - [`cbs`]: packages and component manifests of Component Based Servicing
//! - [`cix`]: container indexes: what the files of updates are made of
//! - [`dcm`]: component manifests as an installed Windows stores them
//! - [`delta`]: deltas of updates (PA30): applied and made, for plain bytes
//! - [`hive`]: Windows registry hives (regf): read, edit, check, replay of transaction logs
//! - [`inf`]: driver packages' INF files: text, model for a target
//! - [`msu`]: what an update file says is to be installed
//! - [`pe`]: which machine a program is for, and what its Authenticode hash covers
//! - [`psf`]: streams of updates in one file (PSFX)
//! - [`reg_text`]: `.reg` files
//! - [`security`]: security descriptors: bytes, text, inheritance
//! - [`unattend`]: answer files for Windows Setup
//! - [`wim`]: Windows Imaging files: reader, writer, verifier
//! - [`zip`]: ZIP archives: reader

pub mod cab;
pub mod catalog;
pub mod cbs;
pub mod cix;
pub mod dcm;
pub mod delta;
pub mod hive;
pub mod inf;
mod member_name;
pub mod msu;
pub mod pe;
pub mod psf;
pub mod reg_text;
pub mod security;
pub mod unattend;
pub mod wim;
pub mod zip;
