//! Whether an image's component store is sound: what `DISM /ScanHealth` asks, and whether what is projected is what the store holds.
//!
//! Trust goes one way: a catalog is named by its own hash and names the manifests and mums of its packages; a manifest names the hashes of its files; the
//! file in `WinSxS` is the same file as the one in `System32`. Each link of that chain is looked at, and the keys of COMPONENTS, Winners and Component
//! Based Servicing that say what is there. Then the other way round: what somebody needs and the hives lack (a deployment its components, a component its
//! winner and its registry values). What an image does not have at all (old and stripped stores) is not checked and counted, never damage.
//!
//! - [`check()`]: all of it; reads only what it compares, on all threads, each content once
//! - [`HealthReport`], [`Finding`], [`Verdict`]: what it says
//!
//! [`super::repair`] puts right what can be.

mod absence;
mod check;
mod content;
mod deployments;
mod manifests;
mod owned;
mod package_keys;
mod packages;
mod payload;
mod registry;
mod report;
mod winners;

pub use check::check;
pub use report::{Counts, Finding, HealthReport, Mend, RepairState, Severity, Verdict, What};

pub(super) use content::{digests, sha256};
