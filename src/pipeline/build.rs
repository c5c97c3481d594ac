//! A build from plan to output.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    commit,
    error::BuildError,
    event::Event,
    output::PartialOutput,
    prepare::{self, PreparedSteps, all_there},
    split,
};
use crate::{
    base::{digest::Blake3, guid::Guid, limits::Limits, secret::Secrets},
    image::{Change, Changeset, Image, ImageError, StoredContent, changeset::FileContent},
    plan::{
        Plan, Step, base_image, key,
        state::{self, BuiltStep, Chain, OutputRecord, StepRecord},
    },
    recipe::{Finding, Findings, Origin},
    store::{RecordKind, Root, Stamp, Store, StoreError, StoredBlob},
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
        Self { no_cache: false, limits, secrets, cancelled, events }
    }
}

/// What a build did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The output.
    pub output: PathBuf,
    /// True when it was there already and nothing was done.
    pub up_to_date: bool,
    /// The image's name in the output.
    pub name: Option<String>,
    /// The version that the recipe gives it.
    pub version: Option<String>,
    /// Size of the output in bytes.
    pub size: u64,
    /// The output's GUID, which comes from its content; `None` when it was up to date, and with secrets, for it would let a guess be tried.
    pub guid: Option<String>,
    /// The state of the built image.
    pub state: Blake3,
    /// The key of the commit: equal keys mean equal bytes, but for secrets.
    pub commit: Blake3,
    /// What became of each step.
    pub steps: Vec<StepOutcome>,
    /// Stored bytes copied as they were.
    pub copied_bytes: u64,
    /// Uncompressed bytes compressed anew.
    pub encoded_bytes: u64,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepOutcome {
    /// `services.RemoteRegistry`.
    pub name: String,
    /// True when its result was remembered.
    pub cached: bool,
    /// True when it changed the image.
    pub changed: bool,
    /// True when it leaves something to the first boot, as the plan says: of packages and features, not of drivers.
    pub deferred: bool,
}

impl Outcome {
    /// How many steps were remembered.
    #[must_use]
    pub fn cached_steps(&self) -> usize {
        self.steps.iter().filter(|step| step.cached).count()
    }
}

/// Builds the plan's output, or finds that it is there already.
///
/// # Errors
/// When a secret has no value, a step fails, the base or an input cannot be read, or the output cannot be written. Nothing half-written remains.
pub fn build(
    plan: &Plan,
    store: &Arc<Store>,
    settings: &Settings<'_>,
) -> Result<Outcome, BuildError> {
    Findings::check(missing_secrets(&plan.secrets, settings.secrets))
        .map_err(BuildError::Secret)?;
    (settings.events)(Event::Started { steps: plan.steps.len() });
    if !settings.no_cache
        && let Some(outcome) = already_there(plan, store)?
    {
        tracing::info!("{}: up to date, commit {}", outcome.output.display(), outcome.commit);
        (settings.events)(Event::UpToDate);
        return Ok(outcome);
    }
    let mut settings = *settings;
    let mut attempt = 1;
    loop {
        let content = Arc::new(Content { store: Arc::clone(store), lost: AtomicBool::new(false) });
        match attempt_build(plan, store, &content, &settings) {
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

/// Why an attempt failed.
enum Failure {
    Build(BuildError),
    /// A remembered changeset cannot be applied.
    Replay(ImageError),
}

impl<E: Into<BuildError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Build(error.into())
    }
}

/// The outcome, when the output is there already: by the chain of remembered steps and the output's stamp.
fn already_there(plan: &Plan, store: &Store) -> Result<Option<Outcome>, StoreError> {
    let key = state::output_key(plan);
    let Some(root) = store.root(&key)? else {
        tracing::info!("{}: never built with this cache", plan.output.path.display());
        return Ok(None);
    };
    let Ok(last) = serde_json::from_str::<OutputRecord>(&root.details) else { return Ok(None) };
    let chain = state::follow(plan, store)?;
    let Some(state) = chain.last else {
        tracing::info!("{}: a step has to run", plan.output.path.display());
        return Ok(None);
    };
    if !state::is_current(plan, &state, &last) {
        tracing::info!(
            "{}: not what the last build wrote, or changed since",
            plan.output.path.display()
        );
        return Ok(None);
    }
    // Written again, it counts as used now.
    store.put_root(&key, &root)?;
    let steps = plan.steps.iter().zip(&chain.records).map(|(step, record)| StepOutcome {
        name: step.name(),
        cached: true,
        changed: record.as_ref().is_some_and(|record| record.changeset.is_some()),
        deferred: step.deferred,
    });
    Ok(Some(Outcome {
        output: plan.output.path.clone(),
        up_to_date: true,
        name: plan.image.name.clone().or_else(|| plan.base.name.clone()),
        version: plan.image.version.clone(),
        size: last.size(),
        guid: None,
        state,
        commit: last.commit,
        steps: steps.collect(),
        copied_bytes: 0,
        encoded_bytes: 0,
        warnings: chain.records.into_iter().flatten().flat_map(|record| record.warnings).collect(),
    }))
}

fn attempt_build(
    plan: &Plan,
    store: &Arc<Store>,
    content: &Arc<Content>,
    settings: &Settings<'_>,
) -> Result<Outcome, Failure> {
    let output = match plan.output.part_limit {
        None => PartialOutput::begin(
            &plan.output.path,
            &base_image::files(&plan.base.wim),
            &plan.inputs,
        )?,
        Some(_) => split::begin_whole(plan)?,
    };
    let remembered = remembered(plan, store, settings)?;
    let missing: Vec<usize> =
        (0..plan.steps.len()).filter(|place| remembered[*place].is_none()).collect();
    tracing::info!(
        "{} of {} steps are remembered",
        plan.steps.len() - missing.len(),
        plan.steps.len()
    );
    let prepared = prepare::prepare(plan, &missing, store, settings)?;
    let mut image = Image::open(Arc::clone(&plan.base.wim), plan.base.index, &settings.limits)
        .map_err(BuildError::Base)?;
    image.set_epoch(plan.epoch);
    image.set_stored_content(Arc::clone(content) as Arc<dyn StoredContent>);
    let mut state = key::first_state(&plan.base.identity, plan.epoch);
    // What was odd about the base and was put right by reading it: the output is without it.
    let mut warnings: Vec<String> =
        plan.base.wim.warnings().iter().chain(image.warnings()).cloned().collect();
    let (mut steps, mut built) = (Vec::new(), Vec::new());
    for (place, step) in plan.steps.iter().enumerate() {
        if (settings.cancelled)() {
            return Err(BuildError::Cancelled.into());
        }
        built.push(BuiltStep { name: step.name(), parts: step.parts.clone(), state });
        let run =
            Run { plan, store, settings, prepared: &prepared, known: remembered[place].as_ref() };
        let (cached, record) = run.step(place, step, &mut image, &state)?;
        if !step.parts.inputs.is_empty() {
            store.keep_record(RecordKind::Prepared, &step.parts.prepared_key());
        }
        let changed = record.changeset.is_some();
        let deferred = step.deferred;
        steps.push(StepOutcome { name: step.name(), cached, changed, deferred });
        state = key::next_state(state, record.changeset);
        warnings.extend(record.warnings);
    }
    let finished =
        image.finish_with(settings.secrets).map_err(|error| finish_error(plan, error))?;
    warnings.extend(finished.facts.warnings.iter().cloned());
    let report = commit::write(plan, store, finished, output.file(), settings);
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
    let last = state::last_build(plan, store)?;
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
    let commit = state::commit_key(plan, &state);
    let details = OutputRecord { commit, stamp, parts, racy, steps: built };
    let details =
        serde_json::to_string(&details).map_err(io::Error::other).map_err(StoreError::Io)?;
    let path = std::path::absolute(&plan.output.path).unwrap_or_else(|_| plan.output.path.clone());
    let root = Root { output: path.display().to_string(), used: store.used(), details };
    store.put_root(&state::output_key(plan), &root)?;
    Ok(Outcome {
        output: plan.output.path.clone(),
        up_to_date: false,
        name: plan.image.name.clone().or_else(|| plan.base.name.clone()),
        version: plan.image.version.clone(),
        size,
        guid: plan.secrets.is_empty().then(|| guid_text(&report.guid)),
        state,
        commit,
        steps,
        copied_bytes: report.copied_bytes,
        encoded_bytes: report.encoded_bytes,
        warnings,
    })
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

/// The changesets of the steps that are remembered with all they need; steps behind one that is not may still be.
fn remembered(
    plan: &Plan,
    store: &Store,
    settings: &Settings<'_>,
) -> Result<Vec<Option<Recalled>>, StoreError> {
    if settings.no_cache {
        return Ok(vec![None; plan.steps.len()]);
    }
    let Chain { records, .. } = state::follow(plan, store)?;
    records
        .into_iter()
        .map(|record| record.map_or(Ok(None), |record| recall(plan, store, record)))
        .collect()
}

/// A remembered step with what it did.
type Recalled = (StepRecord, Changeset);

/// The changeset of a remembered step; `None` when it or content it names is gone.
fn recall(plan: &Plan, store: &Store, record: StepRecord) -> Result<Option<Recalled>, StoreError> {
    let Some(digest) = record.changeset else { return Ok(Some((record, Changeset::default()))) };
    let Some(bytes) = store.record(RecordKind::Changeset, &digest)? else { return Ok(None) };
    let Some(changeset) = Changeset::from_bytes(&bytes) else { return Ok(None) };
    let blobs: Vec<StoredBlob> = changeset
        .0
        .iter()
        .filter_map(|change| match change {
            Change::PutFile { content: FileContent::Stored(blob), .. } => Some(*blob),
            _ => None,
        })
        .collect();
    Ok(all_there(store, &blobs, &plan.output.stored())?.then_some((record, changeset)))
}

/// What running one step needs.
struct Run<'a> {
    plan: &'a Plan,
    store: &'a Store,
    settings: &'a Settings<'a>,
    prepared: &'a PreparedSteps,
    /// What is remembered of it.
    known: Option<&'a Recalled>,
}

impl Run<'_> {
    /// Replays or applies the step on `image`, which is in `state`; gives whether it was remembered, and its record.
    fn step(
        &self,
        place: usize,
        step: &Step,
        image: &mut Image,
        state: &Blake3,
    ) -> Result<(bool, StepRecord), Failure> {
        let (number, title) = (step.number, step.title.as_str());
        // Behind a step that had to run, the state may still be one that is remembered: the step changed nothing, or did what it did before.
        let recalled = match self.known {
            Some(_) => None,
            None if self.settings.no_cache => None,
            None => match self.store.json(RecordKind::Step, &step.parts.step_key(state))? {
                Some(record) => recall(self.plan, self.store, record)?,
                None => None,
            },
        };
        if let Some((record, changeset)) = self.known.or(recalled.as_ref()) {
            tracing::info!(
                "step {number}: cached, state and inputs are those of key {} ({title})",
                step.parts.step_key(state)
            );
            (self.settings.events)(Event::StepCached { number, title });
            image.replay(changeset).map_err(Failure::Replay)?;
            return Ok((true, record.clone()));
        }
        let why = if self.settings.no_cache { "--no-cache" } else { "nothing sound is remembered" };
        tracing::info!(
            "step {number}: applying, {why} for key {} ({title})",
            step.parts.step_key(state)
        );
        (self.settings.events)(Event::StepApplying { number, title });
        let late;
        let prepared = match self.prepared.get(&place) {
            Some(prepared) => prepared,
            None => {
                late = prepare::prepare(self.plan, &[place], self.store, self.settings)?;
                &late[&place]
            }
        };
        image.begin_step();
        let applied = step.operation.apply(prepared, image);
        let changeset = image.end_step();
        applied.map_err(|error| BuildError::of_step(step, &error))?;
        let digest = (!changeset.is_empty()).then(|| changeset.digest());
        if let Some(digest) = &digest {
            self.store.put_record(RecordKind::Changeset, digest, &changeset.to_bytes())?;
        }
        let warnings = step.operation.warnings(prepared);
        let warnings =
            warnings.iter().map(|problem| format!("{}: {}", problem.item, problem.cause));
        let record = StepRecord { changeset: digest, warnings: warnings.collect() };
        self.store.put_json(RecordKind::Step, &step.parts.step_key(state), &record)?;
        tracing::info!(
            "step {number}: applied, {} changes, changeset {digest:?}",
            changeset.0.len()
        );
        (self.settings.events)(Event::StepApplied { number, changes: changeset.0.len() });
        Ok((false, record))
    }
}

/// Content of the store for the image; remembers when something was lost, so that the build begins again.
#[derive(Debug)]
struct Content {
    store: Arc<Store>,
    lost: AtomicBool,
}

impl StoredContent for Content {
    fn read(&self, blob: &StoredBlob) -> io::Result<Vec<u8>> {
        self.store.read(blob).map_err(|error| {
            if error.is_lost() {
                self.lost.store(true, Ordering::Relaxed);
            }
            io::Error::other(error)
        })
    }
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
