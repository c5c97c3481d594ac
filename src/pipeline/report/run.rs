//! How one build went: times, what was remembered, the host. Never in any digest.

use serde::{Deserialize, Serialize};

/// Version of the format.
pub const FORMAT: u32 = 1;

/// How one build went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// [`FORMAT`].
    pub format: u32,
    /// The key of the commit that it ended with: that of the report it belongs to.
    pub commit: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took, in microseconds.
    pub duration: u64,
    /// The machine.
    pub host: Host,
    /// True when the output was there already and nothing was done.
    pub up_to_date: bool,
    /// What it spent its time with, in order of beginning.
    pub stages: Vec<Span>,
    /// The steps, in the order of the report's images and steps.
    pub steps: Vec<StepRun>,
    /// Stored bytes copied as they were.
    pub copied_bytes: u64,
    /// Uncompressed bytes compressed anew.
    pub encoded_bytes: u64,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Host {
    /// `linux`, `macos`, `windows`.
    pub system: String,
    /// `x86_64` ...
    pub architecture: String,
    /// How many threads worked.
    pub threads: usize,
}

/// A piece of time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Span {
    /// `plan`, `prepare`, `apply`, `finish` (hives are written back), `write`, `flush`, `report`; of a step `prepare` or `apply`.
    pub name: String,
    /// When it began, in microseconds from the build's beginning.
    pub start: u64,
    /// How long it took, in microseconds.
    pub duration: u64,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepRun {
    /// Number of its image in the base.
    pub image: u32,
    /// Its number in the order of execution of its image.
    pub number: usize,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// True when its result was remembered.
    pub cached: bool,
    /// Why it ran: what of its key changed.
    pub why: Vec<String>,
    /// Its preparation, where it was prepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Span>,
    /// Its application or replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<Span>,
    /// Bytes taken in while it was prepared.
    pub bytes: u64,
}
