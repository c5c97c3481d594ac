//! A [`Report`] of what a build did.
//!
//! Whatever it tells comes from the recipe, the plan, and what the store remembers under keys that have nothing of the host. What a build happened to do (run, replay, nothing)
//! is not asked, so that the report of an output is the same however it came about.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    added, changes,
    model::{
        AddedFile, Changes, FORMAT, FilePart, ImagePart, OtherImage, OutputFile, OutputPart,
        PartPart, ReasonPart, RecipePart, Report, StepPart,
    },
    written::{self, Written},
};
use crate::{
    base::{
        digest::{Blake3, to_hex},
        secret,
    },
    format::wim::part_path,
    image::{Changeset, ImageError},
    pipeline::{Outcome, commit, inventory},
    plan::{
        Nested, Plan, PlannedImage, Step, key,
        memory::OutputRecord,
        state::{self, StepRecord},
    },
    recipe::{Finding, Origin, OutputImages, Recipe, Source},
    servicing::{
        inventory::Inventory,
        policy::{doubts, rules},
    },
    store::{RecordKind, Stamp, Store, StoreError},
};

/// Who watches a report being made.
#[derive(Clone, Copy)]
pub struct Watching<'a> {
    /// Asked now and then; true ends it with [`CollectError::Cancelled`].
    pub cancelled: &'a dyn Fn() -> bool,
    /// Gets the bytes of the output that are hashed so far, and all.
    pub hashed: &'a dyn Fn(u64, u64),
}

impl std::fmt::Debug for Watching<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watching").finish_non_exhaustive()
    }
}

/// Nobody.
impl Default for Watching<'_> {
    fn default() -> Self {
        Self { cancelled: &|| false, hashed: &|_, _| () }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The base image cannot be read.
    #[error("the base image cannot be read")]
    Base(#[source] ImageError),
    /// The output cannot be read.
    #[error("{} cannot be read", .path.display())]
    Output {
        /// Its file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something wrote to the output since it was built.
    #[error("{} was changed since it was written", .0.display())]
    Changed(PathBuf),
    /// The store no longer has what the build left there.
    #[error("the cache has lost {0}")]
    Lost(String),
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl CollectError {
    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Output { path: path.to_owned(), source }
    }
}

/// The report of the output that a build of `plan`, the plan of `recipe`, ended with in `outcome`. The build must have noted inventories
/// ([`crate::pipeline::Settings::inventory`]).
///
/// # Errors
/// When the store or the output cannot be read, or the caller asks to stop.
pub fn collect(
    recipe: &Recipe,
    plan: &Plan,
    outcome: &Outcome,
    store: &Store,
    watching: &Watching<'_>,
) -> Result<Report, CollectError> {
    let last = state::last_build(plan, store)?;
    let last = last.ok_or_else(|| CollectError::Lost("what it knew of the output".to_owned()))?;
    if last.build.commit != outcome.commit {
        return Err(CollectError::Changed(plan.output.path.clone()));
    }
    // A digest of what holds a secret would let a guess be tried.
    let written = match plan.secrets.is_empty() {
        true => Some(written::look(plan, &last, store, watching)?),
        false => None,
    };
    let mut warnings: Vec<String> = plan.warnings.iter().map(finding).collect();
    warnings.extend(plan.base.wim.warnings().iter().cloned());
    let mut images = Vec::new();
    let mut digests = outcome.steps.iter().map(|step| step.changeset);
    for (place, image) in plan.images.iter().enumerate() {
        let changesets: Vec<_> = digests.by_ref().take(image.steps.len()).collect();
        images.push(image_part(
            plan,
            image,
            place,
            &changesets,
            written.as_ref(),
            store,
            &mut warnings,
        )?);
    }
    for (planned, image) in plan.images.iter().zip(&images) {
        let label = plan.label_of(planned).map(|label| format!("{label}: ")).unwrap_or_default();
        let notes = image.inventory.notes.iter().map(|note| format!("{label}{note}"));
        warnings.extend(notes);
        warnings.extend(doubts(&plan.policy.spec, &image.inventory));
    }
    for warning in &mut warnings {
        *warning = secret::readable(warning);
    }
    let mut said = std::collections::BTreeSet::new();
    warnings.retain(|warning| said.insert(warning.clone()));
    Ok(Report {
        format: FORMAT,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: recipe_part(recipe, plan),
        order_table: plan.lock.order.clone(),
        epoch: plan.epoch.to_string(),
        base: FilePart {
            name: plan.lock.base.path.clone(),
            size: plan.lock.base.size,
            blake3: plan.lock.base.blake3.to_hex(),
            parts: base_parts(plan),
            ..FilePart::default()
        },
        inputs: inputs(plan),
        output: output_part(plan, outcome, &last, written),
        images,
        policy: rules(&plan.policy.spec),
        secrets: plan.secrets.keys().cloned().collect(),
        warnings,
    })
}

/// The name of a text of the recipe, as it is called from the recipe's folder.
fn source_name(source: &Source) -> String {
    let name = source.name.rsplit('/').next().unwrap_or_default();
    match source.folder_from_recipe.as_str() {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// True for a `--set`, which is no file.
fn is_set(source: &Source) -> bool {
    source.name.starts_with("--set ")
}

/// `server.toml:12`.
fn origin_text(origin: &Origin) -> String {
    let source = origin.source();
    let name = source_name(source);
    if source.text.contains('\n') { format!("{name}:{}", origin.line()) } else { name }
}

/// A finding in one line.
fn finding(finding: &Finding) -> String {
    let place = finding.labels().next();
    let place = place.map(|label| format!("{}: ", origin_text(&label.origin))).unwrap_or_default();
    let help = finding.help().filter(|help| !help.is_empty());
    let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{place}{}{help}", finding.message())
}

/// A `--set` without the path of the output, which is the host's and not the build's.
fn set_text(text: &str) -> String {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let parts: Vec<&str> =
        key.split('.').map(|part| part.trim_matches([' ', '\t', '"', '\''])).collect();
    let is_path = parts.ends_with(&["output", "path"]);
    let is_table = value.trim_start().starts_with('{')
        && value.contains("path")
        && (parts.contains(&"output") || value.contains("output"));
    match (is_path, is_table) {
        (true, _) => format!("{key}=(a path)"),
        (_, true) => format!("{key}=(a table with a path)"),
        _ => text.to_owned(),
    }
}

fn recipe_part(recipe: &Recipe, plan: &Plan) -> RecipePart {
    use sha2::Digest as _;
    let file = |source: &Source| FilePart {
        name: source_name(source),
        size: source.text.len() as u64,
        blake3: Blake3::of(source.text.as_bytes()).to_hex(),
        ..FilePart::default()
    };
    let files: Vec<FilePart> =
        recipe.sources.iter().filter(|source| !is_set(source)).map(|source| file(source)).collect();
    let set = recipe.sources.iter().filter(|source| is_set(source));
    RecipePart {
        name: files.last().map(|file| file.name.clone()).unwrap_or_default(),
        files,
        set: set.map(|source| set_text(&source.text)).collect(),
        variant: plan.variant.clone(),
        version: plan.version.clone(),
        lock_sha256: to_hex(&sha2::Sha256::digest(plan.lock.to_text())),
    }
}

fn inputs(plan: &Plan) -> Vec<FilePart> {
    let part = |(name, input): (&String, &crate::plan::lock::LockedInput)| FilePart {
        name: name.clone(),
        size: input.size,
        blake3: input.blake3.to_hex(),
        folder: input.files.is_some(),
        is: input.is.clone(),
        parts: Vec::new(),
    };
    plan.lock.inputs.iter().map(part).collect()
}

/// The files of a base that is a split set, in the folder of the recipe's text for it.
fn base_parts(plan: &Plan) -> Vec<PartPart> {
    let base = &plan.base;
    if base.digests.len() < 2 {
        return Vec::new();
    }
    let told = &plan.lock.base.path;
    let folder = told.rfind(['/', '\\']).map_or("", |end| &told[..=end]);
    let files = (1..).zip(base.stamps.iter().zip(&base.digests));
    let part = |(number, (stamp, blake3)): (u16, (&Stamp, &Blake3))| PartPart {
        name: format!("{folder}{}", file_name(&part_path(&base.path, number))),
        size: stamp.size,
        blake3: blake3.to_hex(),
    };
    files.map(part).collect()
}

/// The last name of a path.
fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn output_part(
    plan: &Plan,
    outcome: &Outcome,
    last: &OutputRecord,
    written: Option<Written>,
) -> OutputPart {
    let (guid, digests) = match written {
        Some(written) => (Some(written.guid), written.sha256),
        None => (None, Vec::new()),
    };
    let mut digests = digests.into_iter();
    let files = written::files(plan, last).into_iter();
    let files = files.map(|(path, stamp)| OutputFile {
        name: file_name(&path),
        size: stamp.size,
        sha256: digests.next(),
    });
    OutputPart {
        name: file_name(&plan.output.path),
        files: files.collect(),
        compression: match plan.output.solid {
            Some(_) => "solid".to_owned(),
            None => plan.output.resources.codec.to_string().to_lowercase(),
        },
        guid,
        commit: outcome.commit.to_hex(),
        image_count: Some(match plan.output.images {
            OutputImages::All => plan.base.wim.image_count(),
            OutputImages::Selected => u32::try_from(plan.images.len()).unwrap_or(u32::MAX),
        }),
        boot_index: Some(commit::boot_index(plan)),
        others: others(plan),
    }
}

/// The images of the output that are there as in the base, which have no secret in them.
fn others(plan: &Plan) -> Vec<OtherImage> {
    if plan.output.images == OutputImages::Selected {
        return Vec::new();
    }
    let wim = &plan.base.wim;
    let is_built = |index: &u32| plan.images.iter().any(|image| image.index == *index);
    let other = |index| OtherImage {
        index,
        name: wim.xml().image_name(index).map(str::to_owned),
        metadata_sha1: wim.metadata_blob(index).ok().map(|blob| blob.sha1.to_hex()),
    };
    (1..=wim.image_count()).filter(|index| !is_built(index)).map(other).collect()
}

/// The image that was built as number `place` of the plan; `changesets` are the digests of what its steps did.
fn image_part(
    plan: &Plan,
    image: &PlannedImage,
    place: usize,
    changesets: &[Option<Blake3>],
    written: Option<&Written>,
    store: &Store,
    warnings: &mut Vec<String>,
) -> Result<ImagePart, CollectError> {
    let mut state = key::first_state(&image.identity, plan.epoch);
    let mut steps = Vec::new();
    for (step, changeset) in image.steps.iter().zip(changesets) {
        steps.push(step_part(plan, step, &state, *changeset, store, warnings)?);
        state = key::next_state(state, *changeset);
    }
    let index = match plan.output.images {
        OutputImages::All => image.index,
        OutputImages::Selected => u32::try_from(place + 1).unwrap_or(u32::MAX),
    };
    let metadata =
        written.and_then(|written| written.metadata.get((index as usize).checked_sub(1)?));
    let before = inventory::of_base(plan, image, store)?.map_err(CollectError::Base)?;
    let lost = || CollectError::Lost("what it knew of the built image".to_owned());
    let mut inventory: Inventory = inventory::recall(&state, store)?.ok_or_else(lost)?;
    if !plan.secrets.is_empty() {
        inventory = readable(&inventory);
    }
    Ok(ImagePart {
        base_index: image.index,
        base_name: image.base_name.clone(),
        index,
        name: image.final_name().map(str::to_owned),
        state: state.to_hex(),
        metadata_sha1: metadata.map(|sha1| sha1.to_hex()),
        before,
        inventory,
        steps,
        files: added(plan, image, changesets, store)?,
    })
}

/// `inventory` for a reader: what is a secret as `{secret NAME}`.
fn readable(inventory: &Inventory) -> Inventory {
    let mut value =
        serde_json::to_value(inventory).expect("texts, numbers and lists always serialise");
    let mut open = vec![&mut value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => *text = secret::readable(text),
            Value::Array(values) => open.extend(values),
            Value::Object(values) => open.extend(values.values_mut()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    serde_json::from_value(value).expect("texts have become other texts")
}

/// The files that the steps put in place.
fn added(
    plan: &Plan,
    image: &PlannedImage,
    changesets: &[Option<Blake3>],
    store: &Store,
) -> Result<Vec<AddedFile>, CollectError> {
    let mut did = Vec::new();
    for (step, digest) in image.steps.iter().zip(changesets) {
        if let Some(digest) = digest {
            did.push((step.name(), changeset_of(step, digest, store)?));
        }
    }
    let mut files =
        added::added_files(did.iter().map(|(step, changeset)| (step.as_str(), changeset)));
    let mut inside = Vec::new();
    for step in &image.steps {
        let name = step.name();
        let is_it = |file: &&AddedFile| {
            file.step == name && file.path.to_ascii_lowercase().ends_with(r"\winre.wim")
        };
        // One that another file has taken the place of is not there.
        if let Some(nested) = &step.nested
            && let Some(outer) = files.iter().find(is_it)
        {
            inside.extend(added_inside(plan, nested, &outer.path, store)?);
        }
    }
    files.extend(inside);
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The files that steps put into the recovery image at `path`.
fn added_inside(
    plan: &Plan,
    nested: &Nested,
    path: &str,
    store: &Store,
) -> Result<Vec<AddedFile>, CollectError> {
    let mut did = Vec::new();
    let mut state = key::first_state(&nested.identity, plan.epoch);
    for step in &nested.steps {
        let lost = || CollectError::Lost(format!("what the step {} did", step.name()));
        let record = store.json::<StepRecord>(RecordKind::Step, &step.parts.step_key(&state))?;
        let changeset = record.ok_or_else(lost)?.changeset;
        if let Some(digest) = &changeset {
            did.push((step.name(), changeset_of(step, digest, store)?));
        }
        state = key::next_state(state, changeset);
    }
    let mut files =
        added::added_files(did.iter().map(|(step, changeset)| (step.as_str(), changeset)));
    for file in &mut files {
        file.path.insert_str(0, path);
        if let Some(other) = &mut file.link_to {
            other.insert_str(0, path);
        }
    }
    Ok(files)
}

/// What `step` did, whose changeset has this digest.
fn changeset_of(step: &Step, digest: &Blake3, store: &Store) -> Result<Changeset, CollectError> {
    let bytes = store.record(RecordKind::Changeset, digest)?;
    let changeset = bytes.and_then(|bytes| Changeset::from_bytes(&bytes));
    changeset.ok_or_else(|| CollectError::Lost(format!("what the step {} did", step.name())))
}

/// A step on an image in `state`, with what it did.
fn step_part(
    plan: &Plan,
    step: &Step,
    state: &Blake3,
    changeset: Option<Blake3>,
    store: &Store,
    warnings: &mut Vec<String>,
) -> Result<StepPart, CollectError> {
    let lost = || CollectError::Lost(format!("what the step {} did", step.name()));
    let step_key = step.parts.step_key(state);
    let mut nested = Vec::new();
    if let Some(inside) = &step.nested {
        let mut state = key::first_state(&inside.identity, plan.epoch);
        for step in &inside.steps {
            let record: Option<StepRecord> =
                store.json(RecordKind::Step, &step.parts.step_key(&state))?;
            let changeset = record.ok_or_else(lost)?.changeset;
            nested.push(step_part(plan, step, &state, changeset, store, warnings)?);
            state = key::next_state(state, changeset);
        }
    }
    let record: Option<StepRecord> = store.json(RecordKind::Step, &step_key)?;
    warnings.extend(record.ok_or_else(lost)?.warnings);
    let changes = match &changeset {
        None => Changes::default(),
        Some(digest) => changes::describe(&changeset_of(step, digest, store)?),
    };
    let reason = |reason: &crate::plan::StepReason| ReasonPart {
        after: reason.after.clone(),
        why: reason.why.clone(),
    };
    Ok(StepPart {
        number: step.number,
        listed: step.listed,
        name: step.name(),
        title: step.title.clone(),
        phase: step.phase.name().to_owned(),
        origin: origin_text(&step.origin),
        reasons: step.reasons.iter().map(reason).collect(),
        operation: step.operation.name().to_owned(),
        parameters: parameters(step),
        inputs: step.parts.inputs.iter().map(|(id, _)| id.0.clone()).collect(),
        key: step_key.to_hex(),
        changeset: changeset.map(|digest| digest.to_hex()),
        deferred: step.deferred,
        changes,
        nested,
    })
}

/// The bytes of a list of them.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
    value.as_array()?.iter().map(byte).collect()
}

/// The parameters of a step: secrets by name, the data of registry values in hexadecimal.
fn parameters(step: &Step) -> Value {
    let mut parameters = serde_json::from_slice(&step.operation.parameters()).unwrap_or_default();
    let mut open = vec![&mut parameters];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => *text = secret::readable(text),
            Value::Array(values) => open.extend(values),
            Value::Object(values) => {
                for (name, value) in values {
                    match bytes(value).filter(|_| name == "data") {
                        Some(bytes) => *value = Value::String(to_hex(&bytes)),
                        None => open.push(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_path_of_an_output_that_was_set_is_not_told() {
        for (text, told) in [
            ("output.path=\"/home/me/a.wim\"", "output.path=(a path)"),
            ("\"output\" . 'path' = /home/me/a.wim", "\"output\" . 'path' =(a path)"),
            ("variants.core.output.path=/home/me/a.wim", "variants.core.output.path=(a path)"),
            ("output={ path = \"/home/me/a.wim\" }", "output=(a table with a path)"),
            ("output.compression=lzx", "output.compression=lzx"),
            ("image.name=a=b", "image.name=a=b"),
        ] {
            assert_eq!(set_text(text), told);
        }
    }
}
