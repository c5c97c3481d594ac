//! The tree as text: one line for each name and stream, sorted as NT sorts; for tests, `inspect` and comparisons.
