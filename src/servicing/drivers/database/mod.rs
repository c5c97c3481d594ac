//! The driver database: `DriverDatabase` in the SYSTEM hive and in the DRIVERS hive of Windows 8 and later.
//!
//! Both have the same shape:
//!
//! - `DriverPackages\<package>`: what one package of the store says ([`PackageRecord`]); the name is that of its store folder,
//!   `<inf>_<architecture>_<16 hex digits>`
//! - `DriverInfFiles\<inf>`: the packages behind a published INF, `oem3.inf` or an inbox name ([`InfFileRecord`])
//! - `DeviceIds\<device ID>`: the published INFs that name an ID ([`DeviceId`]), and below `DeviceIds\<class GUID>` those of a class
//! - `DriverFiles`: an index of files in DRIVERS; Windows rebuilds it, and we write none
//! - the value `OemInfMap` (SYSTEM only): which `oemN.inf` are taken ([`OemInfMap`])
//!
//! A package is in SYSTEM when its class is boot-critical or it is an extension, else in DRIVERS ([`DatabaseHive::of_class`]).
//!
//! [`KeyTree`] is a part of a registry in memory; every record decodes from one and encodes to one without losing a bit, what it does not know included.
//! [`PackageRecord::from_inf`] makes the record of a new package and [`additions`] everything that the database must have for it.
//!
//! Source: `facts/drivers.md`, from three real databases (620 packages).

mod class;
mod configuration;
mod fields;
mod from_inf;
mod index;
mod package;
mod tree;

pub use class::{BOOT_CRITICAL_PROPERTY, DatabaseHive, EXTENSION_CLASS, is_boot_critical};
pub use configuration::{Configuration, Descriptor};
pub(super) use from_inf::midnight;
pub use from_inf::{NewPackage, class_needs_configurations, device_ids};
pub use index::{
    DeviceId, IdKind, InfFileRecord, OemInfMap, additions, class_entry, oem_number, preferred,
};
pub use package::{PackageRecord, PackageVersion, RecordError, SUBMISSION_ID, StatusFlags};
pub use tree::{KeyTree, read, write};
