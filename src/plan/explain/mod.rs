//! Why things are as they are: why a step stands where it stands, why it ran and whether it would run now, what it did, and where a file or a value of
//! the image comes from.
//!
//! Everything is told from the plan, the record of the last build ([`super::memory`]) and the changesets in the store; nothing is built. What is not known, because
//! it never ran or its record is gone, is said to be unknown.
//!
//! - [`mod@overview`]: every step; [`step`]: one of them in detail
//! - [`deeds`]: what the steps did, from the store
//! - [`place`]: the history of a path or a registry value
//! - [`text`]: all that for a person

pub mod deeds;
mod intent;
mod near;
pub mod overview;
pub mod place;
pub mod step;
pub mod text;

pub use overview::{Explanation, StepExplained, overview};
pub use place::{PlaceHistory, Target, history};
pub use step::{StepDetail, detail, find};
