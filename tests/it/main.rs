//! The one integration test binary: what several layers do together, and what other programs say of it.
//!
//! Keep the list sorted. `layers` fails when a file of this folder is not named here.

mod support;
