//! Keys: what the result of a step depends on, and nothing else.
//!
//! | key | made of |
//! |---|---|
//! | of what a step prepares | operation, its version, parameters, digests of its inputs |
//! | of a step | the same and the state of the image before it |
//! | state before the first step | the base image's identity and the epoch |
//! | state after a step | the state before and the digest of its changeset; a changeset without changes leaves the state as it is |
//! | of a commit | the final state and everything of the output's settings |
//!
//! Host paths, user, thread count and the place of the store are in none of them. Every key has its own domain, so that no key of one kind is ever
//! one of another.

use serde::{Deserialize, Serialize};

use crate::{
    base::{digest::Blake3, filetime::FileTime},
    servicing::{InputId, Operation},
};

/// What a step's key is made of, part by part, so that it can be said which part changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyParts {
    /// Kind of operation.
    pub operation: String,
    /// Version of what the kind does.
    pub version: u32,
    /// BLAKE3 of the canonical parameters.
    pub parameters: Blake3,
    /// Digests of the inputs, in the operation's order.
    pub inputs: Vec<(InputId, Blake3)>,
}

impl KeyParts {
    /// The parts of `operation`, whose inputs have these digests.
    #[must_use]
    pub fn new(operation: &Operation, inputs: Vec<(InputId, Blake3)>) -> Self {
        Self {
            operation: operation.name().to_owned(),
            version: operation.version(),
            parameters: Blake3::of(&operation.parameters()),
            inputs,
        }
    }

    /// The key of what is prepared.
    #[must_use]
    pub fn prepared_key(&self) -> Blake3 {
        self.hashed("transom prepared 1", &[])
    }

    /// The key of the step on an image in `state`.
    #[must_use]
    pub fn step_key(&self, state: &Blake3) -> Blake3 {
        self.hashed("transom step 1", &state.0)
    }

    fn hashed(&self, domain: &str, state: &[u8]) -> Blake3 {
        let mut hasher = blake3::Hasher::new_derive_key(domain);
        part(&mut hasher, self.operation.as_bytes());
        part(&mut hasher, &self.version.to_le_bytes());
        part(&mut hasher, &self.parameters.0);
        part(&mut hasher, &(self.inputs.len() as u64).to_le_bytes());
        for (_, digest) in &self.inputs {
            part(&mut hasher, &digest.0);
        }
        part(&mut hasher, state);
        Blake3(*hasher.finalize().as_bytes())
    }
}

/// The state of the image before the first step.
#[must_use]
pub fn first_state(base: &Blake3, epoch: FileTime) -> Blake3 {
    let mut hasher = blake3::Hasher::new_derive_key("transom first state 1");
    part(&mut hasher, &base.0);
    part(&mut hasher, &epoch.0.to_le_bytes());
    Blake3(*hasher.finalize().as_bytes())
}

/// The state after a step with this changeset; `None` for one without changes.
#[must_use]
pub fn next_state(before: Blake3, changeset: Option<Blake3>) -> Blake3 {
    let Some(changeset) = changeset else { return before };
    let mut hasher = blake3::Hasher::new_derive_key("transom state 1");
    part(&mut hasher, &before.0);
    part(&mut hasher, &changeset.0);
    Blake3(*hasher.finalize().as_bytes())
}

/// A key of `domain` over parts, each with its length.
#[must_use]
pub fn key(domain: &str, parts: &[&[u8]]) -> Blake3 {
    let mut hasher = blake3::Hasher::new_derive_key(domain);
    for bytes in parts {
        part(&mut hasher, bytes);
    }
    Blake3(*hasher.finalize().as_bytes())
}

fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> KeyParts {
        KeyParts {
            operation: "files".to_owned(),
            version: 1,
            parameters: Blake3::of(b"parameters"),
            inputs: vec![(InputId("a".to_owned()), Blake3::of(b"a"))],
        }
    }

    #[test]
    fn every_part_changes_the_key() {
        let base = parts();
        let changed: [fn(&mut KeyParts); 6] = [
            |parts| parts.operation.push('x'),
            |parts| parts.version = 2,
            |parts| parts.parameters = Blake3::of(b"other"),
            |parts| parts.inputs[0].1 = Blake3::of(b"b"),
            |parts| parts.inputs.clear(),
            |parts| parts.inputs.push((InputId("b".to_owned()), Blake3::of(b"a"))),
        ];
        let state = Blake3::of(b"state");
        let mut keys = vec![base.prepared_key(), base.step_key(&state)];
        for change in changed {
            let mut other = base.clone();
            change(&mut other);
            keys.extend([other.prepared_key(), other.step_key(&state)]);
        }
        keys.push(base.step_key(&Blake3::of(b"other state")));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn the_recipes_text_for_an_input_is_in_no_key() {
        let mut other = parts();
        other.inputs[0].0 = InputId("elsewhere/a".to_owned());
        assert_eq!(other.prepared_key(), parts().prepared_key());
    }

    #[test]
    fn a_step_without_changes_leaves_the_state() {
        let state = first_state(&Blake3::of(b"base"), FileTime(1));
        assert_ne!(state, first_state(&Blake3::of(b"base"), FileTime(2)));
        assert_eq!(next_state(state, None), state);
        assert_ne!(next_state(state, Some(Blake3::of(b""))), state);
    }
}
