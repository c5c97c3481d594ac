//! Why a step runs: what is other than in the last build of the output.
//!
//! A step runs when its key is new: another operation, parameters, inputs, or another state of the image before it; or when what is remembered under
//! its key is gone. Each of these is a [`Cause`], with what it was and what it is.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, Serializer};

use super::{
    key::{self, KeyParts},
    lock::{LockedFile, LockedInput},
    memory::{BuiltStep, PastBuild},
    model::Plan,
    parameters,
};
use crate::base::{digest::Blake3, filetime::FileTime};

/// As many parameters, and as many files of a folder, are named one by one.
const SHOWN: usize = 8;

/// Why a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Cause {
    /// The output was never built with this cache.
    FirstBuild,
    /// What is remembered was not to be used.
    NoCache,
    /// Something that the cache had promised was lost or damaged, so that nothing of it was believed.
    CacheDamaged,
    /// The last build of the output did not have this image.
    NewImage,
    /// The last build did not have this step.
    NewStep,
    /// It was a step of another kind.
    Operation {
        /// The kind it was.
        old: String,
        /// The kind it is.
        new: String,
    },
    /// This program does it differently now.
    Version {
        /// The kind of step.
        operation: String,
        /// The version it was.
        old: u32,
        /// The version it is.
        new: u32,
    },
    /// The recipe says something else of it.
    Parameter {
        /// Which parameter: `values.AllowTelemetry`.
        path: String,
        /// What it was, in short; `None` when there was nothing.
        old: Option<String>,
        /// What it is, in short; `None` when there is nothing.
        new: Option<String>,
    },
    /// Further parameters changed; or some did, and what they were is not known.
    Parameters {
        /// How many; 0 when that is not known.
        more: usize,
    },
    /// An input has other content.
    Input {
        /// The recipe's text for it.
        id: String,
        /// Its digest in the last build.
        old: Blake3,
        /// Its digest now.
        new: Blake3,
        /// Of a folder: the files in it that changed, as far as they are known, the first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<FileChange>,
        /// How many more files changed.
        #[serde(default)]
        more: usize,
    },
    /// It reads an input that it did not read.
    NewInput {
        /// The recipe's text for it.
        id: String,
        /// Its digest.
        new: Blake3,
    },
    /// It no longer reads an input.
    InputGone {
        /// The recipe's text for it.
        id: String,
        /// Its digest in the last build.
        old: Blake3,
    },
    /// The base image is another.
    Base {
        /// The digest of its file in the last build.
        old: Blake3,
        /// The digest of its file now.
        new: Blake3,
    },
    /// The time of everything new is another.
    Epoch {
        /// The last build's.
        old: FileTime,
        /// That of now.
        new: FileTime,
    },
    /// An earlier step left the image otherwise.
    EarlierStep {
        /// The first of those that did.
        step: String,
        /// In what way.
        change: EarlierChange,
        /// How many more did.
        more: usize,
    },
    /// The image before it is another, and the record of the last build is too old to say why.
    StateBefore,
    /// Everything is as it was, and what was remembered of it is gone.
    Forgotten,
}

/// What became of a file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// Its path in the folder.
    pub name: String,
    /// What became of it.
    pub what: FileChanged,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChanged {
    /// It has other content.
    Changed,
    /// It is new.
    New,
    /// It is no longer there.
    Gone,
}

/// In what way an earlier step left the image otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlierChange {
    /// What it did to the image.
    Result,
    /// It was not there.
    Added,
    /// It is no longer there.
    Removed,
    /// It stood elsewhere.
    Moved,
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstBuild => out.write_str("this output was not built with this cache yet"),
            Self::NoCache => out.write_str("--no-cache"),
            Self::CacheDamaged => out
                .write_str("something in the cache was lost or damaged, so nothing of it is used"),
            Self::NewImage => out.write_str("this image was not in the output yet"),
            Self::NewStep => out.write_str("it is new in the recipe"),
            Self::Operation { old, new } => write!(out, "it was a step `{old}`, it is one `{new}`"),
            Self::Version { operation, old, new } => write!(
                out,
                "this program does `{operation}` differently now (version {new}, was {old})"
            ),
            Self::Parameter { path, old, new } => match (old, new) {
                (Some(old), Some(new)) => write!(out, "{path} is {new}, was {old}"),
                (None, Some(new)) => write!(out, "{path} is new: {new}"),
                (Some(old), None) => write!(out, "{path} is gone, was {old}"),
                (None, None) => write!(out, "{path} changed"),
            },
            Self::Parameters { more: 0 } => out.write_str("what the recipe says of it"),
            Self::Parameters { more } => write!(out, "{more} more parameters changed"),
            Self::Input { id, old, new, files, more } => {
                write!(out, "input {id} changed ({}, was {})", short(new), short(old))?;
                for (place, file) in files.iter().enumerate() {
                    let what = match file.what {
                        FileChanged::Changed => "changed",
                        FileChanged::New => "is new",
                        FileChanged::Gone => "is gone",
                    };
                    let comma = if place == 0 { ": " } else { ", " };
                    write!(out, "{comma}{} {what}", file.name)?;
                }
                if *more > 0 {
                    write!(out, " and {more} more")?;
                }
                Ok(())
            }
            Self::NewInput { id, new } => write!(out, "input {id} is new ({})", short(new)),
            Self::InputGone { id, old } => write!(out, "input {id} is gone (was {})", short(old)),
            Self::Base { old, new } => {
                write!(out, "the base image is another ({}, was {})", short(new), short(old))
            }
            Self::Epoch { old, new } => write!(out, "the epoch is {new}, was {old}"),
            Self::EarlierStep { step, change, more } => {
                let what = match change {
                    EarlierChange::Result => "has another result",
                    EarlierChange::Added => "is new there",
                    EarlierChange::Removed => "is gone",
                    EarlierChange::Moved => "stood elsewhere",
                };
                write!(out, "the earlier step {step} {what}")?;
                if *more > 0 {
                    write!(out, ", and {more} more of the earlier steps changed")?;
                }
                Ok(())
            }
            Self::StateBefore => {
                out.write_str("the image before it is another (base, epoch or an earlier step)")
            }
            Self::Forgotten => out.write_str("its result is no longer in the cache"),
        }
    }
}

/// The beginning of a digest, enough for a person to tell it from others.
#[must_use]
pub fn short(digest: &Blake3) -> String {
    let mut text = digest.to_hex();
    text.truncate(12);
    text
}

/// Causes as texts, for JSON that people read.
///
/// # Errors
/// Those of the serializer.
pub fn as_texts<S: Serializer>(causes: &[Cause], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(causes.iter().map(ToString::to_string))
}

/// What there is now, to be compared with the last build.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// BLAKE3 of the base's file.
    pub base: Blake3,
    /// Time of everything new.
    pub epoch: FileTime,
    /// The inputs by the recipe's text for each.
    pub inputs: &'a BTreeMap<String, LockedInput>,
}

/// A step of the plan, with all that is known of the state of the image before it.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Number of its image in the base.
    pub image: u32,
    /// Its name.
    pub name: &'a str,
    /// What its key is made of.
    pub parts: &'a KeyParts,
    /// Its parameters.
    pub parameters: &'a [u8],
    /// The steps before it in its image: name and digest of the changeset.
    pub before: &'a [Before],
    /// The state before it; `None` when that is not known, because an earlier step has to run.
    pub state: Option<Blake3>,
    /// The state of its image before the first step.
    pub first: Blake3,
}

/// A step before the one in question: its name, and the digest of what it did.
pub type Before = (String, Option<Blake3>);

impl<'a> Present<'a> {
    /// What there is for `plan`.
    #[must_use]
    pub fn of(plan: &'a Plan) -> Self {
        Self { base: plan.base.blake3, epoch: plan.epoch, inputs: &plan.lock.inputs }
    }

    /// Why a step runs whose result is not remembered, or is not to be used. Empty only when the state before it is not known and nothing of its own changed.
    #[must_use]
    pub fn causes(&self, asked: &Question<'_>, last: Option<&PastBuild>) -> Vec<Cause> {
        let Some(last) = last else { return vec![Cause::FirstBuild] };
        let built: Vec<&BuiltStep> = last.steps_of(asked.image).collect();
        if built.is_empty() && !last.steps.is_empty() {
            return vec![Cause::NewImage];
        }
        // Names may come twice: the second is compared with the second.
        let same = |name: &&String| *name == asked.name;
        let nth = asked.before.iter().map(|(name, _)| name).filter(same).count();
        let mut places = (0..built.len()).filter(|place| built[*place].name == asked.name);
        let Some(place) = places.nth(nth) else { return vec![Cause::NewStep] };
        let mut causes = self.own(asked, built[place], last);
        if let Some(state) = asked.state
            && state != built[place].state
        {
            causes.extend(self.of_state(asked, &built[..place], last));
        }
        if causes.is_empty() && asked.state.is_some() {
            causes.push(Cause::Forgotten);
        }
        causes
    }

    /// What changed of the step itself.
    fn own(&self, asked: &Question<'_>, built: &BuiltStep, last: &PastBuild) -> Vec<Cause> {
        let (now, was) = (asked.parts, &built.parts);
        let mut causes = Vec::new();
        if now.operation != was.operation {
            let (old, new) = (was.operation.clone(), now.operation.clone());
            causes.push(Cause::Operation { old, new });
        } else if now.version != was.version {
            let operation = now.operation.clone();
            causes.push(Cause::Version { operation, old: was.version, new: now.version });
        }
        if now.parameters != was.parameters {
            causes.extend(changed_parameters(asked.parameters, built));
        }
        for (id, new) in &now.inputs {
            match was.inputs.iter().find(|(known, _)| known == id) {
                Some((_, old)) if old == new => {}
                Some((_, old)) => {
                    let (files, more) = self.changed_files(&id.0, old, last);
                    let (id, old, new) = (id.0.clone(), *old, *new);
                    causes.push(Cause::Input { id, old, new, files, more });
                }
                None => causes.push(Cause::NewInput { id: id.0.clone(), new: *new }),
            }
        }
        for (id, old) in &was.inputs {
            if now.inputs.iter().all(|(known, _)| known != id) {
                causes.push(Cause::InputGone { id: id.0.clone(), old: *old });
            }
        }
        causes
    }

    /// The files of a folder that changed, where both lists are known.
    fn changed_files(&self, id: &str, old: &Blake3, last: &PastBuild) -> (Vec<FileChange>, usize) {
        fn files_of(input: Option<&LockedInput>) -> Option<&BTreeMap<String, LockedFile>> {
            input?.files.as_ref()
        }
        let was = last.inputs.get(id).filter(|input| input.blake3 == *old);
        let (Some(was), Some(now)) = (files_of(was), files_of(self.inputs.get(id))) else {
            return (Vec::new(), 0);
        };
        let mut changes: Vec<FileChange> = Vec::new();
        let mut note = |name: &String, what| changes.push(FileChange { name: name.clone(), what });
        for (name, file) in now {
            match was.get(name) {
                None => note(name, FileChanged::New),
                Some(known) if known.blake3 != file.blake3 => note(name, FileChanged::Changed),
                Some(_) => {}
            }
        }
        for name in was.keys().filter(|name| !now.contains_key(*name)) {
            note(name, FileChanged::Gone);
        }
        changes.sort_by(|one, other| one.name.cmp(&other.name));
        let more = changes.len().saturating_sub(SHOWN);
        changes.truncate(SHOWN);
        (changes, more)
    }

    /// Why the state before a step is another.
    fn of_state(&self, asked: &Question<'_>, built: &[&BuiltStep], last: &PastBuild) -> Vec<Cause> {
        let Some(from) = &last.from else { return vec![Cause::StateBefore] };
        let mut causes = Vec::new();
        let first_was = last.image(asked.image).map(|image| {
            let epoch = from.epoch;
            key::first_state(&image.identity, epoch)
        });
        if first_was != Some(asked.first) {
            if from.epoch != self.epoch {
                causes.push(Cause::Epoch { old: from.epoch, new: self.epoch });
            }
            if from.base != self.base {
                causes.push(Cause::Base { old: from.base, new: self.base });
            }
        }
        causes.extend(of_earlier_steps(asked.before, built));
        if causes.is_empty() {
            causes.push(Cause::StateBefore);
        }
        causes
    }
}

/// The steps whose results differ, or that are in one of the two lists alone, or in another place.
fn of_earlier_steps(now: &[Before], built: &[&BuiltStep]) -> Option<Cause> {
    /// Numbers the names: the second of a name is told from the first.
    fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut number = |name| {
            let count = counts.entry(name).or_default();
            *count += 1;
            (name, *count)
        };
        names.map(&mut number).collect()
    }
    let all_now = numbered(now.iter().map(|(name, _)| name.as_str()));
    let all_built = numbered(built.iter().map(|step| step.name.as_str()));
    // A step that changed nothing makes no difference, wherever it stands.
    let (now_names, now): (Vec<_>, Vec<&Before>) =
        all_now.iter().copied().zip(now).filter(|(_, (_, changes))| changes.is_some()).unzip();
    let (built_names, built): (Vec<_>, Vec<&&BuiltStep>) =
        all_built.iter().copied().zip(built).filter(|(_, step)| step.changeset.is_some()).unzip();
    // One that is there and has no effect in one of the two is neither new nor gone.
    let or_result = |change, others: &[(&str, usize)], name: &(&str, usize)| {
        if others.contains(name) { EarlierChange::Result } else { change }
    };
    let mut changes: Vec<(&str, EarlierChange)> = Vec::new();
    // What is in both, in the order of each: where these differ, a step moved.
    let kept = built_names.iter().filter(|name| now_names.contains(name));
    let mut kept = kept.copied().collect::<Vec<_>>().into_iter().peekable();
    let mut moved = Vec::new();
    for (place, name) in now_names.iter().enumerate() {
        let Some(was) = built_names.iter().position(|known| known == name) else {
            changes.push((name.0, or_result(EarlierChange::Added, &all_built, name)));
            continue;
        };
        while kept.peek().is_some_and(|next| moved.contains(next)) {
            kept.next();
        }
        let in_place = kept.peek() == Some(name);
        if in_place {
            kept.next();
        } else {
            moved.push(*name);
        }
        if now[place].1 != built[was].changeset {
            changes.push((name.0, EarlierChange::Result));
        } else if !in_place {
            changes.push((name.0, EarlierChange::Moved));
        }
    }
    let gone = built_names.iter().filter(|name| !now_names.contains(name));
    changes.extend(gone.map(|name| (name.0, or_result(EarlierChange::Removed, &all_now, name))));
    let (step, change) = *changes.first()?;
    Some(Cause::EarlierStep { step: step.to_owned(), change, more: changes.len() - 1 })
}

/// The parameters that changed, one by one as far as they are known.
fn changed_parameters(now: &[u8], built: &BuiltStep) -> Vec<Cause> {
    let unknown = vec![Cause::Parameters { more: 0 }];
    let Some(was) = &built.parameters else { return unknown };
    let Ok(now) = serde_json::from_slice::<serde_json::Value>(now) else { return unknown };
    let mut differences = parameters::differences(was, &now);
    if differences.is_empty() {
        return unknown;
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    let mut causes: Vec<Cause> = differences
        .into_iter()
        .map(|parameters::Difference { path, old, new }| Cause::Parameter { path, old, new })
        .collect();
    if more > 0 {
        causes.push(Cause::Parameters { more });
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::memory::{BuiltFrom, BuiltImage},
        servicing::InputId,
    };

    fn digest(text: &str) -> Blake3 {
        Blake3::of(text.as_bytes())
    }

    fn parts() -> KeyParts {
        KeyParts {
            operation: "files".to_owned(),
            version: 1,
            parameters: Blake3::of(br#"{"files":{"to":"C:\\a"}}"#),
            inputs: vec![(InputId("a".to_owned()), digest("a"))],
        }
    }

    fn input(name: &str, files: &[(&str, &str)]) -> LockedInput {
        let files = files.iter().map(|(name, content)| {
            ((*name).to_owned(), LockedFile { size: 1, blake3: digest(content) })
        });
        LockedInput { size: 1, blake3: digest(name), is: Vec::new(), files: Some(files.collect()) }
    }

    fn built(name: &str, state: Blake3, result: Option<&str>) -> BuiltStep {
        BuiltStep {
            image: 1,
            name: name.to_owned(),
            parts: parts(),
            parameters: serde_json::from_str(r#"{"files":{"to":"C:\\a"}}"#).ok(),
            state,
            changeset: result.map(digest),
            cached: false,
            why: Vec::new(),
        }
    }

    /// A build of steps `a`, `b`, `c`, of which `b` changed nothing, and the present alike.
    fn past() -> (PastBuild, Present<'static>) {
        let (base, epoch) = (digest("base"), FileTime(1));
        let identity = digest("identity");
        let first = key::first_state(&identity, epoch);
        let mut state = first;
        let mut steps = Vec::new();
        for (name, result) in [("a", Some("ra")), ("b", None), ("c", Some("rc")), ("d", Some("rd"))]
        {
            steps.push(built(name, state, result));
            state = key::next_state(state, result.map(digest));
        }
        let inputs: BTreeMap<_, _> =
            [("a".to_owned(), input("a", &[("one", "1"), ("two", "2"), ("three", "3")]))].into();
        let path = "base.wim".to_owned();
        let from = Some(BuiltFrom {
            path,
            base,
            epoch,
            variant: None,
            all: false,
            settings: BTreeMap::new(),
        });
        let images = vec![BuiltImage { image: 1, identity, name: None, description: None, state }];
        let commit = digest("commit");
        let past =
            PastBuild { commit, steps, from, images, inputs: inputs.clone(), written: Vec::new() };
        (past, Present { base, epoch, inputs: Box::leak(Box::new(inputs)) })
    }

    /// The causes for `d` behind `before`, each a step with its result.
    fn causes_behind(before: &[(&str, Option<&str>)]) -> Vec<Cause> {
        let (past, present) = past();
        let before: Vec<Before> =
            before.iter().map(|(name, result)| ((*name).to_owned(), result.map(digest))).collect();
        let first = past.steps[0].state;
        let state = before.iter().fold(first, |state, (_, result)| key::next_state(state, *result));
        let (state, before) = (Some(state), &before[..]);
        let parameters = br#"{"files":{"to":"C:\\a"}}"#;
        let (image, name, parts) = (1, "d", &parts());
        let asked = Question { image, name, parts, parameters, before, state, first };
        present.causes(&asked, Some(&past))
    }

    fn earlier(step: &str, change: EarlierChange, more: usize) -> Vec<Cause> {
        vec![Cause::EarlierStep { step: step.to_owned(), change, more }]
    }

    #[test]
    fn an_earlier_step_is_named_with_what_became_of_it() {
        use EarlierChange::{Added, Moved, Removed, Result};
        let (a, b, c) = (("a", Some("ra")), ("b", None), ("c", Some("rc")));
        assert_eq!(causes_behind(&[a, b, c]), [Cause::Forgotten]);
        // A step without changes may come, go and move.
        assert_eq!(causes_behind(&[a, c]), [Cause::Forgotten]);
        assert_eq!(causes_behind(&[b, a, c]), [Cause::Forgotten]);
        assert_eq!(causes_behind(&[a, b, ("c", Some("x"))]), earlier("c", Result, 0));
        assert_eq!(causes_behind(&[a, ("x", Some("x")), c]), earlier("x", Added, 0));
        assert_eq!(causes_behind(&[c]), earlier("a", Removed, 0));
        assert_eq!(causes_behind(&[c, a]), earlier("c", Moved, 0));
        assert_eq!(causes_behind(&[("a", Some("x"))]), earlier("a", Result, 1));
    }

    #[test]
    fn a_step_that_only_begins_or_ceases_to_have_an_effect_is_neither_new_nor_gone() {
        use EarlierChange::{Added, Removed, Result};
        let (a, c) = (("a", Some("ra")), ("c", Some("rc")));
        assert_eq!(causes_behind(&[a, ("b", Some("x")), c]), earlier("b", Result, 0));
        assert_eq!(causes_behind(&[a, ("b", None), ("c", None)]), earlier("c", Result, 0));
        // The second of a name is told from the first, though that has no effect.
        assert_eq!(causes_behind(&[("a", None), ("a", Some("x")), c]), earlier("a", Added, 1));
        assert_eq!(causes_behind(&[a, ("b", None)]), earlier("c", Removed, 0));
    }

    #[test]
    fn each_part_of_a_key_is_told_with_old_and_new() {
        let (past, present) = past();
        let now_parameters = br#"{"files":{"to":"C:\\b"}}"#;
        let mut now = parts();
        now.parameters = Blake3::of(now_parameters);
        now.version = 2;
        now.inputs = vec![(InputId("b".to_owned()), digest("b"))];
        let first = past.steps[0].state;
        let asked = Question {
            image: 1,
            name: "a",
            parts: &now,
            parameters: now_parameters,
            before: &[],
            state: Some(first),
            first,
        };
        let texts =
            |causes: &[Cause]| -> Vec<String> { causes.iter().map(ToString::to_string).collect() };
        assert_eq!(
            texts(&present.causes(&asked, Some(&past))),
            [
                "this program does `files` differently now (version 2, was 1)".to_owned(),
                r"to is C:\b, was C:\a".to_owned(),
                format!("input b is new ({})", short(&digest("b"))),
                format!("input a is gone (was {})", short(&digest("a"))),
            ]
        );
        assert_eq!(present.causes(&asked, None), [Cause::FirstBuild]);
        let asked = Question { image: 2, ..asked };
        assert_eq!(present.causes(&asked, Some(&past)), [Cause::NewImage]);
        let asked = Question { image: 1, name: "z", ..asked };
        assert_eq!(present.causes(&asked, Some(&past)), [Cause::NewStep]);
    }

    #[test]
    fn the_files_of_a_folder_are_named() {
        let (past, mut present) = past();
        let mut now = parts();
        now.inputs[0].1 = digest("other");
        let files = input("other", &[("one", "1"), ("two", "changed"), ("four", "4")]);
        let inputs = [("a".to_owned(), files)].into();
        present.inputs = &inputs;
        let first = past.steps[0].state;
        let asked = Question {
            image: 1,
            name: "a",
            parts: &now,
            parameters: b"",
            before: &[],
            state: Some(first),
            first,
        };
        let causes = present.causes(&asked, Some(&past));
        let text = causes[0].to_string();
        assert!(text.ends_with("four is new, three is gone, two changed"), "{text}");
    }

    #[test]
    fn base_and_epoch_are_told_apart() {
        let (past, mut present) = past();
        present.epoch = FileTime(2);
        let first = key::first_state(&digest("identity"), FileTime(2));
        let parameters = br#"{"files":{"to":"C:\\a"}}"#;
        let now = parts();
        let mut asked = Question {
            image: 1,
            name: "a",
            parts: &now,
            parameters,
            before: &[],
            state: Some(first),
            first,
        };
        let (old, new) = (FileTime(1), FileTime(2));
        assert_eq!(present.causes(&asked, Some(&past)), [Cause::Epoch { old, new }]);
        present.epoch = FileTime(1);
        let (old, new) = (present.base, digest("new base"));
        present.base = new;
        asked.first = key::first_state(&digest("new identity"), FileTime(1));
        asked.state = Some(asked.first);
        assert_eq!(present.causes(&asked, Some(&past)), [Cause::Base { old, new }]);
        // A state that is not known is no cause: only what is the step's own counts.
        asked.state = None;
        assert!(present.causes(&asked, Some(&past)).is_empty());
    }

    #[test]
    fn causes_come_back_from_json() {
        let causes = [
            Cause::FirstBuild,
            Cause::Epoch { old: FileTime(1), new: FileTime(2) },
            Cause::EarlierStep { step: "a".to_owned(), change: EarlierChange::Moved, more: 2 },
            Cause::Parameter { path: "to".to_owned(), old: None, new: Some("x".to_owned()) },
        ];
        let text = serde_json::to_string(&causes).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Cause>>(&text).unwrap(), causes);
    }
}
