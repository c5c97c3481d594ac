//! The one integration test binary: what several layers do together, and what other programs say of it.
//!
//! Keep the list sorted; `layers` fails when a file of this folder is not named here.
#![cfg(test)]

mod layers;
mod policy;
mod support;
mod upcase_oracle;
mod wim_read;
mod wim_tree;
mod wim_write;
