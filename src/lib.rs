//! Transom turns a checked-in recipe into a serviced Windows image.
//!
//! It reads a base WIM, works out what has to be done and in which order, does it in a cached pipeline, and commits a new
//! WIM: on Linux, macOS or Windows, as an ordinary user, without DISM, without mounting, without unpacking the base image. The
//! same recipe and the same inputs give the same bytes on every machine.
//!
//! This page is the architecture: the map, the flow, the promises and where each is kept, and where to add what.
//!
//! # The map
//!
//! One package, library and binary, in layers. A file uses its own folder and lower layers, nothing else; `tests/it/layers.rs` keeps it so.
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | 9 | [`cli`] | one file per verb; the only place that prints, reads the environment, or knows a terminal |
//! | 8 | [`pipeline`] | runs a plan: prepare in parallel, apply in order, record changesets, commit; tells what was built ([`pipeline::report`]) |
//! | 7 | [`plan`] | recipe + inputs + base image become ordered steps with reasons; lock file; order table; keys |
//! | 6 | [`recipe`] | the recipe as written: loading with spans, `extends`, variables, findings, JSON Schema |
//! | 5 | [`servicing`] | what a step does to an image, one room per technology |
//! | 4 | [`image`] | the offline image: tree, streams, security, hives, facts; every edit is recorded |
//! | 3 | [`store`] | the content-addressed store on disk: blobs as ready-to-copy WIM resources, and small records |
//! | 2 | [`mod@format`] | bytes and their meaning, no policy: WIM, registry hives, `.reg`, security descriptors, PE, INF, catalogs, cabinets, ZIP, packages and their manifests, deltas |
//! | 1 | [`codec`] | XPRESS, LZX and LZMS at four levels: one chunk in, one chunk out, LZX of cabinets as a stream; no I/O |
//! | 0 | [`base`] | words everybody uses: checked reading, digests, names, times, paths, limits |
//!
//! `format` and `codec` know nothing of recipes. `servicing` edits an [`image::Image`] and nothing else: it never sees host paths, the
//! output, the clock or the terminal. The plain data of each technology (what the recipe says of a service, a file ...) is declared in its
//! room in `servicing`; `recipe` parses into it, so a kind of step is declared once.
//!
//! # The flow
//!
//! ```text
//! recipe.toml --recipe::load--> Recipe --plan: resolve--> inputs (path, size, BLAKE3) --lock--> recipe.lock
//! Recipe + inputs + ImageFacts --plan--> Plan { steps in order, edges with reasons }
//! for each step:  prepare(inputs) -> Prepared           pure, parallel, keyed by the inputs alone
//!                 apply(Prepared, &mut Image) -> Changeset    in plan order, milliseconds
//! Image --pipeline: commit--> output.wim
//! ```
//!
//! - **Image**: dentries and inodes (hard links are several dentries on one inode), security descriptors, streams. A stream's content is named by its
//!   SHA-1, as in the WIM; where it lies (in the base WIM, in the store, in memory) is the image's blob map. Nothing of the base
//!   is decoded that the recipe does not need. Hives open on first use, stay open across steps and are written back once.
//! - **Changeset**: what a step did, as data, recorded by `Image` itself so that an operation cannot forget to report. Replaying it needs no inputs.
//! - **Keys**: step key = BLAKE3(domain, operation, operation version, canonical parameters, input digests, state digest before). State after =
//!   BLAKE3(state before, changeset digest); an empty changeset leaves it unchanged, so a step that changed nothing cuts the rebuild off.
//!   Paths, host, user, thread count, cache place and log settings are in no key.
//! - **Commit** copies the stored bytes of unchanged blobs as they are, compresses what is new once (the compressed form is cached), and renames a
//!   finished file into place. The temporary beside the output is also the lock against a second build of the same output.
//!
//! - **Several images** of one base are planned each by itself, share what is prepared (its key has nothing of the image), are applied beside each other,
//!   and become one WIM in which each content lies once. Variants (`[matrix]`) are recipes of their own from loading on.
//! - **A WIM in a WIM**: the step of the recovery image holds a plan of its own ([`plan::Nested`]), which the same engine runs. What it makes is *prepared*, not
//!   applied: its key is made of the file's SHA-1, the operations, their inputs and the epoch, and has nothing of the image around it.
//!
//! - **What was built** is told from data, never from a build's own talk: [`servicing::inventory::Inventory`] is what an image is and has, and is kept in the store by
//!   the image's state; [`pipeline::report::Report`] is made of the plan, the steps' changesets and two inventories, so that a build that ran, one that replayed and
//!   one that found everything there report the same bytes. Bills, provenance and the page are made of the report. What only one build knows (times, what was
//!   cached) is in [`pipeline::report::Run`], which the layer above fills from [`pipeline::Event`]s.
//! - **Why** a step ran is a [`plan::Cause`], found against what the store remembers of the last build of the output ([`plan::memory`]). It remembers the one before
//!   too, which is what `diff` replays.
//! - **Policy** is asked of the inventory before anything is written. It is in no key: an output that is there is asked again.
//!
//! As a library it is used like that from outside too: `examples/` walks an image, edits a hive, compares two images, and builds a recipe with a progress callback.
//!
//! # The promises, and where they are kept
//!
//! | promise | kept by |
//! |---|---|
//! | no input makes it panic, hang, or use memory the file does not justify | [`base::bytes::Reader`], [`base::limits::Limits`], the fuzz targets in `tests/fuzz` |
//! | what is read is verified | SHA-1 of blobs on use ([`format::wim`]), BLAKE3 of store objects ([`store`]), catalogs of drivers and packages ([`format::catalog`]), manifests' hashes of payload ([`servicing::cbs`]) |
//! | the output appears complete or not at all; the base is never written | [`pipeline`]'s commit |
//! | the same bytes every time | no clock or random number below `cli`; ordered maps wherever order reaches bytes; GUIDs from content |
//! | the right order, always | the order table in [`plan`], data with a version |
//! | secrets are in the output and nowhere else | placeholders ([`base::secret`]) until [`image::Image::finish_with`]; what has a secret in it goes past the store |
//! | what is told of a build is the same every time | [`pipeline::report`]: made of the plan and of what the store keeps under keys that know no host; times and the host are in a file of their own |
//! | honest | what cannot be done natively is refused by name, before anything is touched |
//!
//! # Where the code departs from the design, and why
//!
//! - **Packages, staged then installed**: a package first goes into the image's component store; installing reads that store alone. So a feature that is
//!   staged, a package that has just come and a component that goes back to an older version are one code path ([`servicing::cbs`]).
//! - **Packages, rehearsal**: whether a package applies depends on those before it. The plan therefore applies package steps to an image of its own, which
//!   it throws away, and asks each step against what the ones before leave: what the plan accepts and what the build does cannot differ.
//! - **Packages, times**: a file's last write time is the one its container tells; all other times are the epoch.
//! - **Packages, unknown flags**: numbers whose meaning nobody has published are chosen in `servicing/cbs/flags.rs`.
//! - **Packages, `dism`**: the commands are printed (`plan --as dism`), not run: there was no Windows host to prove it on.
//! - **Packages, 8.3 names** of what is projected are not made: they are the volume's, which makes them when the image is applied, or does not.
//! - **User formats of a locale** are taken away, not written: Windows then uses those of the locale that it knows itself, which is never an old table of ours.
//! - **Drivers, the folder in the store** ends in a digest of the INF of our own: nobody outside Microsoft knows theirs.
//! - **Drivers, times**: the date of import is the driver's own date. An operation has no clock, and the recipe's epoch is the commit's.
//! - **Secrets** are no text in a changeset but changes of their own, so that nothing a file or a recipe holds can be taken for one.
//! - **Answer files**: what they say of the offline image becomes entries of the recipe when the inputs are there ([`plan::unattend`]), because decoding a
//!   recipe looks into no file.
//! - **Reports and secrets**: with a secret in the recipe nothing tells a digest of the output, and there is no provenance: who knows the base and the recipe could
//!   try guesses against it.
//! - **Reports and the design's `report` of a step**: what a step did is read from its changeset when it is asked for, and not kept beside it.
//! - **Provenance** has no times: the statement is the same for every build, and when it was built is in the run.
//! - **Fidelity**: what an ordinary file system cannot hold of an applied image lies in one sidecar, itself a small WIM, and not in extended
//!   attributes: these have limits (4 KiB on ext4), and copies lose them. On an ntfs-3g mount the real attributes are set ([`image`]'s host room).
//! - **Split outputs** are cut from a whole image by copying, so that one writer is enough; the parts appear when all are complete, the first last.
//! - **Solid outputs** compress new content with its neighbours at the commit: there is no compressed form of one blob that the store could keep.
//! - **Metadata** of which little changed is copied chunk by chunk; this is most of what a commit compresses.
//! - **LZX of cabinets** is our own decoder with a second framing; `lzxd` panics on a hostile window and mistakes a call to address 0. It stays the
//!   oracle of the tests.
//! - **Catalogs** are parsed by a small DER reader of our own over `rsa` and `sha2`: the signed bytes must be the very bytes of the file, and errors tell offsets.
//!
//! # Where to add what
//!
//! - **A technology** (drivers, packages ...): a room in [`servicing`] with its spec type, `prepare` and `apply`; a variant in
//!   [`servicing::Operation`] (the compiler then lists every place that must know it); a section in [`recipe`]; a row in the order table.
//! - **A format**: a folder in [`mod@format`] with reader, writer, dump; a round-trip property test, an oracle test and a fuzz target.
//! - **A verb**: a file in [`cli`].
//! - **A bug fix**: a test named after the symptom first.

#![deny(unsafe_code)]

pub mod base;
pub mod cli;
pub mod codec;
pub mod format;
pub mod image;
pub mod pipeline;
pub mod plan;
pub mod recipe;
pub mod servicing;
pub mod store;
