//! The edits.
