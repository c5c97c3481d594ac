//! The one integration test binary: what several layers do together, and what other programs say of it.
//!
//! Keep the list sorted; `layers` fails when a file of this folder is not named here.
#![cfg(test)]

mod cli_frame;
mod cli_recipe;
mod cli_wim;
mod hive_hostile;
mod hive_model;
mod hive_peers;
mod hive_real;
mod image_edit;
mod image_fixture;
mod layers;
mod pipeline_build;
mod pipeline_place;
mod policy;
mod readme;
mod recipe_files;
mod recipe_hostile;
mod recipe_schema;
mod support;
mod upcase_oracle;
mod wim_read;
mod wim_write;
