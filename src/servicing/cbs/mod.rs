//! Packages, languages, capabilities and features: Component Based Servicing, as `DISM /Add-Package` and its sisters do it.
//!
//! A package is first *staged* (its mums, catalogs, manifests and payload go into the image, with the keys of COMPONENTS), then *installed* (files are
//! projected by hard links, registry values written, services made, winners chosen). Installing reads the image's own store alone, so a feature that is
//! staged and a package that has just come go one way.
//!
//! - [`spec`]: what a recipe says
//! - [`source`]: containers opened: folders, cabinets, `.msu`, `.esd`, stream files
//! - [`prepared`]: what becomes of a source without the image
//! - `prepare`: the chain of hashes from catalog to payload, and the payload put into the store of the program
//! - [`layout`]: where things lie in an image and its hives; [`flags`]: numbers whose meaning nobody published
//! - [`classify`]: what is known of each element; `effects`: what a component does, by [`macros`], `registry`, `services`, `security`
//! - `world`: an image and a source while a step looks at them; `resolve`, `parents`, `capability`: which packages and updates come into force
//! - `install`, `remove`, `features`, `languages`: what has to be done, as `work`, before anything is touched
//! - `stage`, `marks`, `keys`, `winners`, `project`: doing it (`written_over`: what that takes from others): the store, COMPONENTS, Component Based Servicing, winners, links and values
//! - [`store`]: what an image's component store holds: packages, manifests; [`records`]: what its hives say of components, deployments and winners
//! - [`inventory`]: what follows from that: features, capabilities, languages, pending work, the servicing stack
//! - [`health`]: whether that is sound; [`repair`]: putting it right
//! - [`relations`]: what packages say of one another, for their order
//! - [`survey`]: what stands against a source by itself
//! - [`dism`]: what DISM would be told; `first_boot`, `command_file`: what waits for the first boot
//!
//! What cannot be done natively is known by [`prepared::PreparedPackages`]' manifests: every element is primitive, emulated, harmless or unknown.

mod capability;
pub mod classify;
mod command_file;
mod copy;
pub mod dism;
mod effects;
mod expand;
mod features;
mod first_boot;
pub mod flags;
pub mod health;
mod install;
pub mod inventory;
mod keys;
mod languages;
pub mod layout;
pub mod macros;
mod marks;
mod operation;
mod parents;
mod prepare;
pub mod prepared;
mod project;
pub mod records;
mod registry;
pub mod relations;
mod remove;
pub mod repair;
mod report;
mod resolve;
mod security;
mod services;
pub mod source;
pub mod spec;
mod stage;
pub mod store;
pub mod survey;
mod wim;
mod winners;
mod work;
mod world;
mod written_over;

pub use effects::UnknownElement;
pub use features::similar as similar_features;
pub use prepared::PreparedPackages;
pub use relations::Relations;
pub use spec::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject};

/// What the room calls itself in messages.
const OPERATION: &str = "packages";
