//! Why an output is written though every step is cached: its file is not what the last build wrote, its settings are others, or nobody can know.

use std::{collections::BTreeMap, io, iter::once};

use super::{memory::OutputRecord, model::Plan, state};
use crate::{base::digest::Blake3, format::wim::part_path, recipe::OutputImages, store::Stamp};

/// The settings of the plan's output that its bytes depend on, by their names, as they are told. Those of [`state::commit_key`], but for the images' own.
#[must_use]
pub fn settings(plan: &Plan) -> BTreeMap<String, String> {
    let output = &plan.output;
    let kib = |bytes: u32| format!("{} KiB", bytes / 1024);
    let (codec, chunk_size) = match output.solid {
        Some(solid) => (solid.codec, solid.chunk_size),
        None => (output.resources.codec, output.resources.chunk_size),
    };
    let solid = if output.solid.is_some() { "solid " } else { "" };
    let split = match output.part_limit {
        Some(limit) => format!("parts of {limit} bytes at most"),
        None => "one file".to_owned(),
    };
    let images = match output.images {
        OutputImages::Selected => "selected",
        OutputImages::All => "all",
    };
    let table = if output.integrity { "there" } else { "not there" };
    let settings = [
        ("the compression", format!("{solid}{codec}")),
        ("the size of a compressed chunk", kib(chunk_size)),
        ("the level of compression", output.resources.level.word().to_owned()),
        ("the version of the compressor", codec.encoder_version().to_string()),
        ("what is written", split),
        ("which images are in it", images.to_owned()),
        ("the integrity table", table.to_owned()),
        ("the form of the file", format!("version {}", state::COMMIT_VERSION)),
    ];
    settings.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// What of the output's file is other than the last build left it, or cannot be told: by stamps, nothing is read.
#[must_use]
pub fn of_file(plan: &Plan, last: &OutputRecord) -> Vec<String> {
    let mut why = Vec::new();
    for (number, stamp) in (1..).zip(once(&last.stamp).chain(&last.parts)) {
        let (path, what) = match number {
            1 => (plan.output.path.clone(), "the file".to_owned()),
            _ => (part_path(&plan.output.path, number), format!("part {number}")),
        };
        match fs_err::metadata(&path) {
            Ok(metadata) if Stamp::of(&metadata) == *stamp => {}
            Ok(_) => why.push(format!("{what} was changed after it was written")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                why.push(format!("{what} is missing"));
            }
            Err(error) => why.push(format!("{what} cannot be looked at ({error})")),
        }
    }
    if why.is_empty() && last.racy {
        why.push("a change right after it was written would not show in its time".to_owned());
    }
    if !plan.secrets.is_empty() {
        why.push("it is built with secrets, and their values are not remembered".to_owned());
    }
    why
}

/// What a build to `states`, one for each image, would write otherwise than the last build did; empty when it would write the same.
#[must_use]
pub fn of_content(plan: &Plan, states: &[Blake3], last: &OutputRecord) -> Vec<String> {
    let build = &last.build;
    if build.commit == state::commit_key(plan, states) {
        return Vec::new();
    }
    let mut why = Vec::new();
    let changed = |what: &str, new: &str, old: &str| format!("{what} is {new}, was {old}");
    for (image, state) in plan.images.iter().zip(states) {
        let label = plan.label_of(image).map(|label| format!(" of {label}")).unwrap_or_default();
        let Some(built) = build.image(image.index) else {
            why.push(format!("{} is new in it", image.label()));
            continue;
        };
        if built.state != *state {
            why.push(format!("the steps{label} give another image"));
        }
        let (old, new) = (built.name.as_deref(), image.final_name());
        if old != new {
            let [old, new] = [old, new].map(|name| name.unwrap_or("none"));
            why.push(changed(&format!("the name{label}"), new, old));
        }
        let new = image.final_description(&plan.base.wim);
        let knows = build.from.as_ref().is_some_and(|from| !from.settings.is_empty());
        if knows && built.description != new {
            let [old, new] =
                [&built.description, &new].map(|text| text.as_deref().unwrap_or("none"));
            why.push(changed(&format!("the description{label}"), new, old));
        }
    }
    let planned: Vec<u32> = plan.images.iter().map(|image| image.index).collect();
    let built: Vec<u32> = build.images.iter().map(|image| image.image).collect();
    for gone in built.iter().filter(|index| !planned.contains(index)) {
        why.push(format!("image {gone} of the base is no longer built"));
    }
    if let Some(from) = &build.from {
        if from.base != plan.base.blake3 {
            why.push("the base's file is another".to_owned());
        }
        if from.epoch != plan.epoch {
            why.push(changed("the epoch", &plan.epoch.to_string(), &from.epoch.to_string()));
        }
        for (name, new) in settings(plan) {
            if let Some(old) = from.settings.get(&name).filter(|old| **old != new) {
                why.push(changed(&name, &new, old));
            }
        }
    }
    if why.is_empty() && planned != built {
        why.push("its images are in another order".to_owned());
    }
    if why.is_empty() {
        why.push("its settings are others than in the last build".to_owned());
    }
    why
}

/// Why the plan's output is not up to date; `states` are those of its images as far as all steps of each are cached. Empty when it is up to date, and when it
/// was never built.
#[must_use]
pub fn why(plan: &Plan, states: &[Blake3], last: Option<&OutputRecord>) -> Vec<String> {
    let Some(last) = last else { return Vec::new() };
    let mut why = of_file(plan, last);
    match states.len() == plan.images.len() {
        true => why.extend(of_content(plan, states, last)),
        false => why.push("steps have to run".to_owned()),
    }
    why
}
