//! To a directory of the host: files of an image as files of the host.
//!
//! - [`extract()`]: what is chosen, as far as the host can hold it; options and report
//! - [`apply()`]: the whole image, and in a sidecar what the host cannot hold, so that a capture gives it back
//! - [`losses`]: what the host's file system could not hold
//! - `plan`: what goes where, decided before anything is written
//! - `ntfs`: what NT knows of files, on a volume that can hold it
//! - `write`: folders, files, links, times, in an order that no link of the image can lead astray
//!
//! Folders, files, hard links, symbolic links (junctions too) and times come out. Nothing is written outside the target: what is no plain name on the host
//! is left out with all below it, folders are never entered through a link, files are made anew and never written through, links are made last
//! and only when they stay inside.

mod apply;
mod extract;
pub mod losses;
mod ntfs;
mod plan;
mod write;

pub use apply::{ApplyOptions, apply};
pub use extract::{ExtractError, ExtractOptions, ExtractReport, extract};
pub use losses::{Loss, Losses};
