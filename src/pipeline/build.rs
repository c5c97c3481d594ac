//! A build from plan to output.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    commit,
    error::BuildError,
    event::Event,
    inventory,
    output::PartialOutput,
    policy,
    prepare::{self, PreparedSteps},
    run::{self, Compared, Content, Engine, Failure, Placed, Ran, Recalled},
    split,
};
use crate::{
    base::{digest::Blake3, guid::Guid, limits::Limits, secret::Secrets},
    image::{FinishedImage, Image, ImageError, StoredContent},
    plan::{
        Cause, Plan, PlannedImage, base_image,
        cause::Present,
        key,
        memory::{BuiltStep, OutputRecord, PastBuild},
        stale, state,
    },
    recipe::{Finding, Findings, Origin},
    servicing::policy::{Checked, rules},
    store::{Root, Stamp, Store, StoreError},
};

/// How often a build begins again because the store lost something it had promised.
const ATTEMPTS: usize = 3;

/// How a build is run. None of it is in the output's bytes.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Do not use remembered steps and prepared inputs; they are still written.
    pub no_cache: bool,
    /// What untrusted files may cost.
    pub limits: Limits,
    /// Note what each built image is and has ([`super::inventory`]), for a report or a policy.
    pub inventory: bool,
    /// The values of the recipe's secrets. They go into the output and nowhere else.
    pub secrets: &'a Secrets,
    /// Asked now and then, from several threads; true ends the build with [`BuildError::Cancelled`].
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Gets every event, from several threads.
    pub events: &'a (dyn Fn(Event<'_>) + Sync),
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Settings").field("no_cache", &self.no_cache).finish_non_exhaustive()
    }
}

impl Default for Settings<'_> {
    fn default() -> Self {
        let (cancelled, events) = (&|| false, &|_: Event<'_>| ());
        let (limits, secrets) = (Limits::default(), Secrets::none());
        Self { no_cache: false, inventory: false, limits, secrets, cancelled, events }
    }
}

/// What a build did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The variant of the recipe, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The output.
    pub output: PathBuf,
    /// True when it was there already and nothing was done.
    pub up_to_date: bool,
    /// The image's name in the output; of several the first's.
    pub name: Option<String>,
    /// The version that the recipe gives it.
    pub version: Option<String>,
    /// Size of the output in bytes.
    pub size: u64,
    /// The output's GUID, which comes from its content; `None` when it was up to date, and with secrets, for it would let a guess be tried.
    pub guid: Option<String>,
    /// The state of the built image; of several a digest of their states.
    pub state: Blake3,
    /// The key of the commit: equal keys mean equal bytes, but for secrets.
    pub commit: Blake3,
    /// The images that were built.
    pub images: Vec<ImageOutcome>,
    /// What became of each step, one image after the other.
    pub steps: Vec<StepOutcome>,
    /// Stored bytes copied as they were.
    pub copied_bytes: u64,
    /// Uncompressed bytes compressed anew.
    pub encoded_bytes: u64,
    /// The rules of the policy that the images keep, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<String>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageOutcome {
    /// Its number in the base.
    pub image: u32,
    /// Its name in the output.
    pub name: Option<String>,
    /// Its state.
    pub state: Blake3,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepOutcome {
    /// Number of its image in the base, where several were built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<u32>,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// True when its result was remembered.
    pub cached: bool,
    /// True when it changed the image.
    pub changed: bool,
    /// True when it leaves something to the first boot, as the plan says.
    pub deferred: bool,
    /// Why it ran: what is other than in the last build of the output. Empty when its result was remembered.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "crate::plan::cause::as_texts"
    )]
    pub why: Vec<Cause>,
    /// Digest of what it did; `None` when it changed nothing.
    #[serde(skip)]
    pub changeset: Option<Blake3>,
}

impl Outcome {
    /// Of a build to these states, before anything is known of how it went.
    fn new(plan: &Plan, states: &[Blake3]) -> Self {
        let images = plan.images.iter().zip(states).map(|(image, state)| ImageOutcome {
            image: image.index,
            name: image.final_name().map(str::to_owned),
            state: *state,
        });
        let state = match states {
            [state] => *state,
            states => {
                let states: Vec<&[u8]> = states.iter().map(|state| &state.0[..]).collect();
                key::key("transom states 1", &states)
            }
        };
        Self {
            variant: plan.variant.clone(),
            output: plan.output.path.clone(),
            up_to_date: false,
            name: plan.images.first().and_then(|image| image.final_name().map(str::to_owned)),
            version: plan.version.clone(),
            size: 0,
            guid: None,
            state,
            commit: state::commit_key(plan, states),
            images: images.collect(),
            steps: Vec::new(),
            copied_bytes: 0,
            encoded_bytes: 0,
            policy: rules(&plan.policy.spec),
            warnings: Vec::new(),
        }
    }

    /// How many steps were remembered.
    #[must_use]
    pub fn cached_steps(&self) -> usize {
        self.steps.iter().filter(|step| step.cached).count()
    }
}

/// Builds the plan's output, or finds that it is there already.
///
/// # Errors
/// When a secret has no value, a step fails, an image breaks the policy, the base or an input cannot be read, or the output cannot be written. Nothing
/// half-written remains.
pub fn build(
    plan: &Plan,
    store: &Arc<Store>,
    settings: &Settings<'_>,
) -> Result<Outcome, BuildError> {
    Findings::check(missing_secrets(&plan.secrets, settings.secrets))
        .map_err(BuildError::Secret)?;
    (settings.events)(Event::Started { steps: plan.steps().count() });
    if !settings.no_cache
        && let Some(outcome) = already_there(plan, store)?
        && (!settings.inventory || are_noted(&outcome, store)?)
    {
        tracing::info!("{}: up to date, commit {}", outcome.output.display(), outcome.commit);
        (settings.events)(Event::UpToDate);
        return Ok(outcome);
    }
    let asked = *settings;
    let mut settings = asked;
    let mut attempt = 1;
    loop {
        let content = Arc::new(Content { store: Arc::clone(store), lost: AtomicBool::new(false) });
        let damaged = settings.no_cache && !asked.no_cache;
        match attempt_build(plan, store, &content, &settings, damaged) {
            // The object is gone now, so the next attempt makes it anew. Where one was damaged there may be many.
            Err(failure) if attempt < ATTEMPTS && is_lost(&failure, &content) => {
                store.discard_damaged()?;
                settings.no_cache |= attempt + 1 == ATTEMPTS;
            }
            // The record is sound but does not fit: written by a version that saw the image otherwise.
            Err(Failure::Replay(_)) if !settings.no_cache => settings.no_cache = true,
            Err(Failure::Replay(error)) => return Err(BuildError::Base(error)),
            Err(Failure::Build(error)) => return Err(error),
            Ok(outcome) => {
                (settings.events)(Event::Done);
                return Ok(outcome);
            }
        }
        attempt += 1;
    }
}

/// True when an attempt failed because the store lost something it had promised.
fn is_lost(failure: &Failure, content: &Content) -> bool {
    content.lost.load(Ordering::Relaxed)
        || matches!(failure, Failure::Build(BuildError::Store(error)) if error.is_lost())
}

/// True when it is noted what each of the images is and has. It may not be: nobody asked, or an earlier version noted less. Then a replay notes it.
fn are_noted(outcome: &Outcome, store: &Store) -> Result<bool, StoreError> {
    for image in &outcome.images {
        if inventory::recall(&image.state, store)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The outcome, when the output is there already: by the chains of remembered steps and the output's stamp.
fn already_there(plan: &Plan, store: &Store) -> Result<Option<Outcome>, BuildError> {
    let key = state::output_key(plan);
    let Some(root) = store.root(&key)? else {
        tracing::info!("{}: never built with this cache", plan.output.path.display());
        return Ok(None);
    };
    let Ok(last) = serde_json::from_str::<OutputRecord>(&root.details) else { return Ok(None) };
    let (mut states, mut steps, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for image in &plan.images {
        let chain = state::follow(image, plan.epoch, store)?;
        let Some(state) = chain.last else {
            tracing::info!("{}: a step has to run", plan.output.path.display());
            return Ok(None);
        };
        states.push(state);
        steps.extend(image.steps.iter().zip(&chain.records).map(|(step, record)| StepOutcome {
            image: (plan.images.len() > 1).then_some(image.index),
            name: step.name(),
            cached: true,
            changed: record.as_ref().is_some_and(|record| record.changeset.is_some()),
            deferred: step.deferred,
            why: Vec::new(),
            changeset: record.as_ref().and_then(|record| record.changeset),
        }));
        warnings.extend(chain.records.into_iter().flatten().flat_map(|record| record.warnings));
    }
    if !state::is_current(plan, &states, &last) {
        tracing::info!(
            "{}: not what the last build wrote, or changed since",
            plan.output.path.display()
        );
        return Ok(None);
    }
    if !plan.policy.spec.is_empty() {
        let mut checked = Vec::new();
        for (place, (image, state)) in plan.images.iter().zip(&states).enumerate() {
            let Some(one) = policy::check_output(plan, image, place, state, store)? else {
                tracing::info!("{}: cannot be looked into", plan.output.path.display());
                return Ok(None);
            };
            checked.push(one);
        }
        warnings.extend(keep_policy(plan, checked, "the output that is there breaks this rule")?);
    }
    // Written again, it counts as used now.
    store.put_root(&key, &root)?;
    once_each(&mut warnings);
    Ok(Some(Outcome {
        up_to_date: true,
        size: last.size(),
        commit: last.build.commit,
        steps,
        warnings,
        ..Outcome::new(plan, &states)
    }))
}

/// Refuses images that break the policy, each with all that it breaks; gives what is doubtful.
fn keep_policy(
    plan: &Plan,
    checked: Vec<Checked>,
    consequence: &str,
) -> Result<Vec<String>, BuildError> {
    let (mut findings, mut doubts) = (Vec::new(), Vec::new());
    for (image, checked) in plan.images.iter().zip(checked) {
        let label = plan.label_of(image);
        let (label, broken) = (label.as_deref(), &checked.broken);
        findings.extend(policy::findings(&plan.policy, label, broken, consequence));
        doubts.extend(checked.doubts);
    }
    Findings::check(findings).map_err(BuildError::Policy)?;
    Ok(doubts)
}

/// Takes out what was said before: several images may have the same to say.
fn once_each(warnings: &mut Vec<String>) {
    let mut said = BTreeSet::new();
    warnings.retain(|warning| said.insert(warning.clone()));
}

fn attempt_build(
    plan: &Plan,
    store: &Arc<Store>,
    content: &Arc<Content>,
    settings: &Settings<'_>,
    damaged: bool,
) -> Result<Outcome, Failure> {
    let output = match plan.output.part_limit {
        None => PartialOutput::begin(
            &plan.output.path,
            &base_image::files(&plan.base.wim),
            &plan.inputs,
        )?,
        Some(_) => split::begin_whole(plan)?,
    };
    let stored = plan.output.stored();
    let (inputs, epoch) = (&plan.inputs, plan.epoch);
    let last = state::last_build(plan, store)?;
    let mut written = last.as_ref().map(|last| stale::of_file(plan, last)).unwrap_or_default();
    if settings.no_cache {
        written.insert(0, Cause::NoCache.to_string());
    }
    let compared = Compared {
        last: last.as_ref().map(|last| &last.build),
        present: Present::of(plan),
        damaged,
    };
    let compared = Some(compared);
    let engine = Engine { store, content, settings, inputs, stored, epoch, compared };
    let Built { images, steps, built, warnings, states } = build_images(plan, &engine)?;
    (settings.events)(Event::Finished);
    // What was odd about the base and was put right by reading it: the output is without it.
    let mut warnings: Vec<String> =
        plan.base.wim.warnings().iter().cloned().chain(warnings).collect();
    once_each(&mut warnings);
    let report = commit::write(plan, store, images, output.file(), settings);
    // Whatever came of it: of a base that changed, nothing can be believed, no error either.
    if !base_image::is_unchanged(&plan.base.wim, &plan.base.stamps) {
        return Err(BuildError::BaseChanged(plan.base.path.clone()).into());
    }
    let report = report?;
    (settings.events)(Event::Flushing);
    let mut stamps = match plan.output.part_limit {
        None => vec![output.complete()?],
        Some(limit) => split::write_parts(plan, &output, limit, settings, &mut warnings)?,
    };
    let size = stamps.iter().map(|stamp| stamp.size).sum();
    let now = store.file_system_time()?;
    let racy = stamps.iter().any(|stamp| is_racy(stamp, now));
    let stale = split::remove_old_parts(&plan.output.path, last.as_ref(), stamps.len());
    if plan.output.part_limit.is_some() {
        warnings.extend(stale.map(|path| {
            format!("{} is not of this set: delete it if nothing needs it", path.display())
        }));
    }
    let parts = stamps.split_off(1);
    let [stamp] = stamps[..] else { unreachable!("an output has a first part") };
    tracing::info!(
        "commit: {} bytes in all, {} raw bytes copied, {} bytes encoded",
        size,
        report.copied_bytes,
        report.encoded_bytes
    );
    let commit = state::commit_key(plan, &states);
    written.extend(last.iter().flat_map(|last| stale::of_content(plan, &states, last)));
    let previous = last.and_then(|last| last.before(&commit));
    let build = PastBuild::of(plan, commit, &states, built, written);
    let details = OutputRecord { stamp, parts, racy, build, previous };
    let details =
        serde_json::to_string(&details).map_err(io::Error::other).map_err(StoreError::Io)?;
    let path = state::real_path(&plan.output.path);
    let root = Root { output: path.display().to_string(), used: store.used(), details };
    store.put_root(&state::output_key(plan), &root)?;
    Ok(Outcome {
        size,
        guid: plan.secrets.is_empty().then(|| guid_text(&report.guid)),
        steps,
        copied_bytes: report.copied_bytes,
        encoded_bytes: report.encoded_bytes,
        warnings,
        ..Outcome::new(plan, &states)
    })
}

/// The images of a build, and what became of their steps.
struct Built {
    images: Vec<FinishedImage>,
    steps: Vec<StepOutcome>,
    built: Vec<BuiltStep>,
    warnings: Vec<String>,
    states: Vec<Blake3>,
}

/// Prepares what has to be prepared, once for all images, and builds the images beside each other.
fn build_images(plan: &Plan, engine: &Engine<'_>) -> Result<Built, Failure> {
    let labels: Vec<Option<String>> =
        plan.images.iter().map(|image| plan.label_of(image)).collect();
    let mut number = 0;
    let placed: Vec<Vec<Placed<'_>>> = plan
        .images
        .iter()
        .zip(&labels)
        .map(|(image, label)| {
            let place = |step| {
                number += 1;
                Placed { step, number, image: image.index, label: label.as_deref() }
            };
            image.steps.iter().map(place).collect()
        })
        .collect();
    let (mut remembered, mut missing) = (Vec::new(), Vec::new());
    for (image, steps) in plan.images.iter().zip(&placed) {
        let first = key::first_state(&image.identity, plan.epoch);
        let known = run::remembered(engine, steps, first)?;
        missing.extend(
            steps.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(step, _)| *step),
        );
        remembered.push(known);
    }
    tracing::info!("{} of {number} steps are remembered", number - missing.len());
    let prepared = prepare::prepare(engine, &missing)?;
    let results: Vec<Result<(FinishedImage, Ran, Checked), Failure>> = plan
        .images
        .par_iter()
        .zip(&placed)
        .zip(&remembered)
        .map(|((image, steps), known)| build_image(plan, engine, image, steps, known, &prepared))
        .collect();
    let mut built = Built {
        images: Vec::new(),
        steps: Vec::new(),
        built: Vec::new(),
        warnings: Vec::new(),
        states: Vec::new(),
    };
    let mut checked = Vec::new();
    // In the order of the plan, so that the error is the same for any number of threads.
    for result in results {
        let (image, ran, against_policy) = result?;
        checked.push(against_policy);
        built.images.push(image);
        built.steps.extend(ran.steps);
        built.built.extend(ran.built);
        built.warnings.extend(ran.warnings);
        built.states.push(ran.state);
    }
    built.warnings.extend(keep_policy(plan, checked, "broken, so nothing is written")?);
    Ok(built)
}

/// Builds one image. What was odd about it comes first among its warnings, and what is odd about the result last.
fn build_image(
    plan: &Plan,
    engine: &Engine<'_>,
    planned: &PlannedImage,
    steps: &[Placed<'_>],
    remembered: &[Option<Recalled>],
    prepared: &PreparedSteps,
) -> Result<(FinishedImage, Ran, Checked), Failure> {
    let limits = &engine.settings.limits;
    let mut image =
        Image::open(Arc::clone(&plan.base.wim), planned.index, limits).map_err(BuildError::Base)?;
    image.set_epoch(plan.epoch);
    image.set_stored_content(Arc::clone(engine.content) as Arc<dyn StoredContent>);
    let mut warnings = image.warnings().to_vec();
    let first = key::first_state(&planned.identity, plan.epoch);
    let mut ran = run::run(engine, steps, remembered, prepared, &mut image, first)?;
    let index = (plan.images.len() > 1).then_some(planned.index);
    (engine.settings.events)(Event::Finishing { image: index });
    if engine.settings.inventory {
        inventory::take(&mut image, &ran.state, engine.store)?;
    }
    let checked = match plan.policy.spec.is_empty() {
        true => Checked::default(),
        false => policy::check(&plan.policy, &mut image, &ran.state, engine.store)?,
    };
    let finished =
        image.finish_with(engine.settings.secrets).map_err(|error| finish_error(plan, error))?;
    warnings.append(&mut ran.warnings);
    warnings.extend(finished.facts.warnings.iter().cloned());
    ran.warnings = warnings;
    Ok((finished, ran, checked))
}

/// The findings for the secrets that `given` has no value of: `secrets` are their variables, and where the recipe names each.
#[must_use]
pub fn missing_secrets(secrets: &BTreeMap<String, Origin>, given: &Secrets) -> Vec<Finding> {
    let missing = secrets.iter().filter(|(env, _)| !given.has(env));
    let finding = |(env, origin): (&String, &Origin)| {
        let message = format!("the environment variable {env} has no value");
        let label = "not set, empty, or no Unicode text";
        let help = format!("set {env} for the build; `plan`, `check` and `lock` work without it");
        Finding::at(origin, "secret::missing", message, label, help)
    };
    missing.map(finding).collect()
}

fn finish_error(plan: &Plan, error: ImageError) -> BuildError {
    match error {
        ImageError::Secret(error) => {
            let message = error.to_string();
            let finding = match plan.secrets.get(&error.env) {
                Some(origin) => Finding::at(origin, "secret::value", message, error.what, ""),
                None => Finding::nowhere("secret::value", message, ""),
            };
            BuildError::Secret(finding.into())
        }
        error => BuildError::Base(error),
    }
}

/// True when the file may change after `now` and keep its stamp: on a file system that counts whole seconds, as FAT and old ones do.
fn is_racy(stamp: &Stamp, now: std::time::SystemTime) -> bool {
    stamp.changed.1 == 0 && !stamp.is_at_rest(now)
}

fn guid_text(guid: &Guid) -> String {
    guid.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_stamp_of_whole_seconds_is_not_believed_right_after_the_build() {
        let stamp = |changed| Stamp { size: 1, modified: (1, 0), changed, inode: 1, device: 1 };
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        assert!(is_racy(&stamp((1000, 0)), now));
        assert!(is_racy(&stamp((998, 0)), now));
        assert!(!is_racy(&stamp((997, 0)), now));
        assert!(!is_racy(&stamp((1000, 5)), now));
    }
}
