//! The bill of materials as CycloneDX JSON. (Contract stub: helper `bills`.)

use super::Report;

/// The document.
pub(super) fn document(_report: &Report) -> Vec<u8> {
    Vec::new()
}
