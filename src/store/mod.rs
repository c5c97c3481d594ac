//! Layer 3: the store, plain files that make the next build fast.
//!
//! Nothing in it is needed: a store that is deleted costs time, never a result. Everything in it is named by what it holds or
//! by the key of what it answers, so that two builds of two recipes may share one store.
//!
//! ```text
//! DIR/
//!   format                       "transom store 1": another number is refused, never guessed
//!   lock                         locked shared while a build uses the store, exclusive while `gc` deletes
//!   tmp/                         what is being written; swept by whoever opens the store alone
//!   blobs/ab/cdef….lzx-32768-fast-1  one blob in one form, named by the BLAKE3 of its contents: header, then a WIM resource
//!                                    that a commit copies as it is (object.rs draws the header)
//!   records/KIND/ab/cdef…        small records by the BLAKE3 of their key (record.rs): changesets, prepared records, steps,
//!                                    checks, stamps of inputs, and outputs, which are the roots of `gc`
//! ```
//!
//! # Crashes
//! Every file is written in `tmp/` and renamed into place. Nothing is flushed to the disk on the way: after a power
//! failure a file may be there with a part of its bytes or none, so no file is believed. Each carries its length and the BLAKE3 of its
//! bytes; header and length are checked whenever an object is looked up, all bytes when they are used. An object that fails counts as absent, is
//! deleted, and is made again by whoever needs it.
//!
//! # Two builds at once
//! Names are contents or keys, so two builds that write the same name write the same bytes; the later rename wins and nobody
//! notices. Only deletion needs order: `gc` takes the lock alone and says so when a build holds it.
//!
//! # Age
//! An object was last used when the newest output that needed it was last built, or when it was written. Times are those of
//! the file system, looked at by [`gc`] only.

mod blob;
mod error;
mod folder;
mod gc;
mod object;
mod record;
mod root;
mod stamp;

pub use blob::{Resource, ResourceSettings, StoredBlob};
pub use error::StoreError;
pub use folder::{FORMAT, Store};
pub use gc::{GcOptions, GcReport, KindSize, Statistics, gc, statistics};
pub use record::RecordKind;
pub use root::Root;
pub use stamp::{Stamp, Stamps};
