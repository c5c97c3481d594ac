//! The one integration test binary: what several layers do together, and what other programs say of it.
//!
//! Keep the list sorted; `layers` fails when a file of this folder is not named here.
#![cfg(test)]

mod build_winpe;
mod cab_peers;
mod catalog_real;
mod cli_frame;
mod cli_recipe;
mod cli_wim;
mod codec_lzms;
mod codec_roundtrip;
mod codec_samples;
mod codec_vectors;
mod codec_wim;
mod demo;
mod driver_database_real;
mod driver_fixture;
mod drivers_apply;
mod drivers_defects;
mod drivers_real;
mod hive_hostile;
mod hive_model;
mod hive_peers;
mod hive_real;
mod image_edit;
mod image_fixture;
mod image_host;
mod image_real;
mod inf_corpus;
mod layers;
mod pipeline_build;
mod pipeline_cache;
mod pipeline_forms;
mod pipeline_place;
mod plan_make;
mod policy;
mod readme;
mod recipe_files;
mod recipe_hostile;
mod recipe_schema;
mod servicing_apply;
mod support;
mod upcase_oracle;
mod wim_append;
mod wim_fidelity;
mod wim_matrix;
mod wim_ntfs;
mod wim_read;
mod wim_solid;
mod wim_solid_write;
mod wim_split;
mod wim_split_write;
mod wim_tree;
mod wim_update;
mod wim_verbs;
mod wim_write;
