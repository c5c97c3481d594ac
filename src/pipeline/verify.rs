//! Looking at what was written: every blob against its SHA-1.

use std::path::Path;

use crate::{
    base::limits::Limits,
    format::wim::{VerifyReport, Wim, WimError},
};

/// Opens the WIM at `path` and checks everything in it. `progress` gets the number of uncompressed bytes checked so far.
///
/// # Errors
/// When it cannot be read or is no WIM; damage to its content is in the report.
pub fn verify_output(
    path: &Path,
    limits: &Limits,
    progress: &dyn Fn(u64),
) -> Result<VerifyReport, WimError> {
    Wim::open_path(path, limits)?.verify(progress)
}
