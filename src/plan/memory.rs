//! What is remembered of the last builds of an output: from what they were made, what each step did, and why it ran.
//!
//! It lies in the store with the output's root. Of two builds, the last one and the one before it that gave something else, it holds all that a replay needs:
//! the base image by its digest, the epoch, and the digests of the changesets in order. The changesets themselves and the content they name are objects of the
//! store like any others: `cache gc` keeps what the last build used as long as the output is young enough, and treats what only the build
//! before needed by its own age. Whoever replays that build must be ready for some of it to be gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{cause::Cause, key::KeyParts, lock::LockedInput, model::Plan, stale, state};
use crate::{
    base::{digest::Blake3, filetime::FileTime},
    recipe::OutputImages,
    store::Stamp,
};

/// Most files of a folder that are remembered, so that it can be said which of them changed.
const REMEMBERED_FILES: usize = 1024;

/// What is remembered of an output: from what it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OutputRecord {
    /// The file as it was when it was written.
    pub stamp: Stamp,
    /// The further parts of a split set.
    #[serde(default)]
    pub parts: Vec<Stamp>,
    /// True when a stamp is too coarse to tell a change right after the build: it is then not believed.
    #[serde(default)]
    pub racy: bool,
    /// The build that wrote it.
    #[serde(flatten)]
    pub build: PastBuild,
    /// The last build before it that gave something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PastBuild>,
}

impl OutputRecord {
    /// Size of all parts in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stamp.size + self.parts.iter().map(|part| part.size).sum::<u64>()
    }

    /// What is to be remembered of `build` as the one before `next`: itself, or what is remembered before it when both give the same.
    #[must_use]
    pub fn before(self, next: &Blake3) -> Option<PastBuild> {
        if self.build.commit == *next { self.previous } else { Some(self.build) }
    }
}

/// A past build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PastBuild {
    /// The commit's key.
    pub commit: Blake3,
    /// Its steps in order, one image after the other.
    pub steps: Vec<BuiltStep>,
    /// From what it was built; `None` in records of older versions, which do not know the steps' changesets either.
    #[serde(default)]
    pub from: Option<BuiltFrom>,
    /// The images that were built, in order.
    #[serde(default)]
    pub images: Vec<BuiltImage>,
    /// The inputs by the recipe's text for each. Of folders with very many files these are not remembered one by one.
    #[serde(default)]
    pub inputs: BTreeMap<String, LockedInput>,
    /// Why the output was written, where there was a build before: its file was missing or changed, its content is another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<String>,
}

/// From what a build was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuiltFrom {
    /// The base's file, as an absolute path of the host, where that is Unicode.
    pub path: String,
    /// BLAKE3 of the base's file; of a split set that of its parts' digests.
    pub base: Blake3,
    /// Time of everything new.
    pub epoch: FileTime,
    /// The variant of the recipe.
    #[serde(default)]
    pub variant: Option<String>,
    /// True when the base's images that the recipe does not select are in the output too; false in records of versions that did not say.
    #[serde(default)]
    pub all: bool,
    /// The settings of the output by their names, as they are told; empty in records of versions that did not say.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// An image of a past build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuiltImage {
    /// Its number in the base.
    pub image: u32,
    /// Identity of the image of the base.
    pub identity: Blake3,
    /// Its name in the output.
    pub name: Option<String>,
    /// Its description in the output; `None` in records of versions that did not say, too.
    #[serde(default)]
    pub description: Option<String>,
    /// Its state after the last step.
    pub state: Blake3,
}

/// A step of a past build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuiltStep {
    /// Number of the image in the base; 0 in records of versions that built one only.
    #[serde(default)]
    pub image: u32,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What its key was made of.
    pub parts: KeyParts,
    /// The canonical parameters, unless they are very large. Secrets are in them by name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<serde_json::Value>,
    /// The state of the image before it.
    pub state: Blake3,
    /// Digest of what it did; `None` when it changed nothing, and in records of older versions.
    #[serde(default)]
    pub changeset: Option<Blake3>,
    /// True when its result was remembered in that build.
    #[serde(default)]
    pub cached: bool,
    /// Why it ran in that build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<Cause>,
}

impl PastBuild {
    /// A build of `plan` to these states, one for each image, which was `written` for these reasons.
    #[must_use]
    pub fn of(
        plan: &Plan,
        commit: Blake3,
        states: &[Blake3],
        steps: Vec<BuiltStep>,
        written: Vec<String>,
    ) -> Self {
        let images = plan.images.iter().zip(states).map(|(image, state)| BuiltImage {
            image: image.index,
            identity: image.identity,
            name: image.final_name().map(str::to_owned),
            description: image.final_description(&plan.base.wim),
            state: *state,
        });
        let path = state::real_path(&plan.base.path);
        let from = BuiltFrom {
            path: path.to_string_lossy().into_owned(),
            base: plan.base.blake3,
            epoch: plan.epoch,
            variant: plan.variant.clone(),
            all: plan.output.images == OutputImages::All,
            settings: stale::settings(plan),
        };
        let mut inputs = plan.lock.inputs.clone();
        for input in inputs.values_mut() {
            if input.files.as_ref().is_some_and(|files| files.len() > REMEMBERED_FILES) {
                input.files = None;
            }
        }
        Self { commit, steps, from: Some(from), images: images.collect(), inputs, written }
    }

    /// The steps of image `image` of the base, in order.
    pub fn steps_of(&self, image: u32) -> impl Iterator<Item = &BuiltStep> {
        self.steps.iter().filter(move |step| step.image == image || step.image == 0)
    }

    /// What is remembered of image `image` of the base.
    #[must_use]
    pub fn image(&self, image: u32) -> Option<&BuiltImage> {
        self.images.iter().find(|built| built.image == image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the version before wrote.
    const OLD: &str = r#"{"commit":"aa00000000000000000000000000000000000000000000000000000000000000",
        "stamp":{"size":5,"modified":[1,0],"changed":[1,0],"inode":1,"device":1},
        "parts":[],"racy":false,
        "steps":[{"image":1,"name":"services.X","parts":{"operation":"service","version":1,
            "parameters":"bb00000000000000000000000000000000000000000000000000000000000000","inputs":[]},
            "state":"cc00000000000000000000000000000000000000000000000000000000000000"}]}"#;

    #[test]
    fn a_record_of_the_version_before_is_read() {
        let record: OutputRecord = serde_json::from_str(OLD).unwrap();
        assert_eq!(record.build.commit.0[0], 0xaa);
        assert_eq!((record.build.steps.len(), record.build.steps[0].cached), (1, false));
        assert!(record.build.from.is_none() && record.previous.is_none());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<OutputRecord>(&text).unwrap(), record);
    }

    #[test]
    fn the_build_before_is_the_last_that_gave_something_else() {
        let record = |commit: u8, previous: Option<u8>| {
            let build = |commit: u8| PastBuild {
                commit: Blake3([commit; 32]),
                steps: Vec::new(),
                from: None,
                images: Vec::new(),
                inputs: BTreeMap::new(),
                written: Vec::new(),
            };
            let mut record: OutputRecord = serde_json::from_str(OLD).unwrap();
            record.build = build(commit);
            record.previous = previous.map(build);
            record
        };
        let before = |record: OutputRecord, next: u8| {
            record.before(&Blake3([next; 32])).map(|build| build.commit.0[0])
        };
        assert_eq!(before(record(1, None), 2), Some(1));
        assert_eq!(before(record(2, Some(1)), 2), Some(1));
        assert_eq!(before(record(1, None), 1), None);
        assert_eq!(before(record(2, Some(1)), 1), Some(2));
    }
}
