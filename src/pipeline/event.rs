//! What a build tells while it runs: the only channel of progress. Whoever started it decides what to show.

/// One thing that happened. Numbers of steps count from 1, in the order of execution; of several images those of the second begin behind those of the first.
/// `image` is the number of the step's image in the base, where several are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The build begins.
    Started {
        /// Steps of the plan, of all its images.
        steps: usize,
    },
    /// The result of a step is remembered and is applied again.
    StepCached {
        /// Which.
        number: usize,
        /// What it does.
        title: &'a str,
        /// Of which image.
        image: Option<u32>,
    },
    /// A remembered step was applied again.
    StepReplayed {
        /// Which.
        number: usize,
    },
    /// The inputs of a step are being prepared, once for all images. Several may be at once.
    StepPreparing {
        /// Which.
        number: usize,
        /// What it does.
        title: &'a str,
        /// Of which image.
        image: Option<u32>,
    },
    /// Content of a step was taken in.
    StepContent {
        /// Which.
        number: usize,
        /// Bytes since the last event of this kind.
        bytes: u64,
    },
    /// The inputs of a step are ready.
    StepPrepared {
        /// Which.
        number: usize,
    },
    /// A step is being applied to the image.
    StepApplying {
        /// Which.
        number: usize,
        /// What it does.
        title: &'a str,
        /// Of which image.
        image: Option<u32>,
    },
    /// A step was applied.
    StepApplied {
        /// Which.
        number: usize,
        /// How much it changed: 0 when the image was so already.
        changes: usize,
    },
    /// All steps of an image are done; its hives are written back now.
    Finishing {
        /// Of which image.
        image: Option<u32>,
    },
    /// All images are finished.
    Finished,
    /// The output is being written.
    Writing {
        /// Uncompressed bytes in all.
        total: u64,
    },
    /// Progress of writing.
    Written {
        /// Uncompressed bytes so far.
        bytes: u64,
    },
    /// The output is complete and is being flushed to the disk.
    Flushing,
    /// The output was there already, and nothing was done.
    UpToDate,
    /// The output is in its place.
    Done,
}
