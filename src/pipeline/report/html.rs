//! The report as a page. (Contract stub: helper `page`.)

use super::{Report, Run};

/// One self-contained page.
pub(super) fn page(_report: &Report, _run: &Run) -> String {
    String::new()
}
