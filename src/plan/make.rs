//! From a recipe to a plan: base, inputs, order, checks, lock.

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use fs_err as fs;
use rayon::prelude::*;

use super::{
    base_image,
    error::PlanError,
    image::{self, Images},
    inputs::{self, Control, InputError, ResolvedInputs},
    key,
    lock::{Lock, LockError, LockedBase, LockedFile, LockedImage, LockedInput},
    model::{EpochSource, LockState, Plan, PlannedBase, PlannedImage},
    order, output, policy,
};
use crate::{
    base::{digest::Blake3, filetime::FileTime, limits::Limits},
    format::wim::Wim,
    recipe::{BaseImage, Finding, Findings, InputDecl, Recipe, lock_path},
    servicing::InputId,
    store::{Stamp, Store},
};

/// How often a base that changes meanwhile is opened again.
const ATTEMPTS: usize = 3;

/// What planning depends on beside the recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// Refuse unless the lock file says the same.
    pub locked: bool,
    /// The time that the environment gives (`SOURCE_DATE_EPOCH`).
    pub source_date_epoch: Option<FileTime>,
    /// Do not believe what is remembered of the base image.
    pub no_cache: bool,
    /// The plan is for another tool: steps are ordered and not asked whether they can be done here.
    pub unchecked: bool,
    /// What untrusted files may cost.
    pub limits: Limits,
    /// Progress and interruption.
    pub control: Control<'a>,
}

/// Makes the plan of `recipe`, which was loaded from `recipe_path`.
///
/// # Errors
/// When the base or inputs cannot be used, the recipe cannot be done to this image, the output cannot be written, or the lock does not hold.
pub fn make(
    recipe: &Recipe,
    recipe_path: &Path,
    store: &Store,
    options: &Options<'_>,
) -> Result<Plan, PlanError> {
    for _ in 0..ATTEMPTS {
        if let Some(plan) = attempt(recipe, recipe_path, store, options)? {
            return Ok(plan);
        }
    }
    Err(changed_base(recipe))
}

/// The plan; `None` when the base was changed or replaced between being opened and being hashed.
fn attempt(
    recipe: &Recipe,
    recipe_path: &Path,
    store: &Store,
    options: &Options<'_>,
) -> Result<Option<Plan>, PlanError> {
    let wim = base_image::open(&recipe.base, &options.limits)
        .map_err(|error| with_missing_inputs(error, recipe))?;
    let selected = base_image::select(&recipe.base, &wim)?;
    let output = output::plan(recipe, &wim, &selected)?;
    let (base, inputs) = rayon::join(
        || hash_base(recipe, &wim, store, &options.control),
        || resolve_inputs(recipe, store, &options.control),
    );
    let (inputs, (stamps, blake3, digests)) = (inputs?, base?);
    if !base_image::is_unchanged(&wim, &stamps) {
        return Ok(None);
    }
    let base = PlannedBase { path: recipe.base.wim.value.clone(), wim, stamps, blake3, digests };
    let lock_path = lock_path(recipe_path, recipe.variant.as_deref());
    refuse_shared_lock(recipe, recipe_path, &lock_path)?;
    output::refuse_own_files(recipe, recipe_path, &lock_path, &inputs)?;
    let (epoch, epoch_source) = epoch(recipe, options.source_date_epoch, &base.wim, &selected);
    let Images { images, mut warnings, identities } =
        image::plan_all(recipe, &base, &selected, &inputs, epoch, store, options)?;
    warnings.extend(output::warnings(recipe, &output));
    if !options.unchecked {
        let steps = images.iter().flat_map(|image| &image.steps);
        let broken = policy::broken_by_steps(&recipe.policy, steps);
        Findings::check(broken).map_err(PlanError::Policy)?;
    }
    let lock = lock(recipe, recipe_path, &base, &images, &inputs, &identities, epoch)?;
    let lock_state = compare_lock(&lock, &lock_path);
    tracing::info!(
        "plan: {} steps, epoch {epoch} ({epoch_source:?}), lock {lock_state:?}",
        images.iter().map(|image| image.steps.len()).sum::<usize>()
    );
    if options.locked {
        refuse_unless_current(&lock_state, &lock_path)?;
    }
    if matches!(lock_state, LockState::Unreadable(_)) && !is_our_lock(&lock_path) {
        let message = "another file has the lock file's name";
        let label = format!("{} was not written by transom", lock_path.display());
        let help = "move it away, or rename the recipe: the lock file of NAME.toml is NAME.lock";
        let origin = &recipe.output.path.origin;
        let finding = Finding::at(origin, "lock::foreign", message, label, help);
        return Err(PlanError::Output(finding.into()));
    }
    Ok(Some(Plan {
        base,
        images,
        variant: recipe.variant.clone(),
        version: recipe.image.version.as_ref().map(|version| version.value.clone()),
        inputs,
        secrets: recipe.secrets.clone(),
        output,
        epoch,
        epoch_source,
        lock,
        lock_path,
        lock_state,
        policy: recipe.policy.clone(),
        warnings,
    }))
}

/// Refuses a variant whose lock file is that of another recipe.
fn refuse_shared_lock(
    recipe: &Recipe,
    recipe_path: &Path,
    lock_path: &Path,
) -> Result<(), PlanError> {
    let Some(variant) = &recipe.variant else { return Ok(()) };
    let other = recipe_path.with_extension(format!("{variant}.toml"));
    if !other.is_file() {
        return Ok(());
    }
    let message = format!("two recipes have the lock file {}", lock_path.display());
    let label = format!("{} has it too", other.display());
    let help = "rename the variant, or that recipe";
    let origin = &recipe.output.path.origin;
    Err(PlanError::Output(Finding::at(origin, "lock::shared", message, label, help).into()))
}

/// Hashes the files of the base; a split set's digest is that of its parts' digests.
fn hash_base(
    recipe: &Recipe,
    wim: &Wim,
    store: &Store,
    control: &Control<'_>,
) -> Result<(Vec<Stamp>, Blake3, Vec<Blake3>), PlanError> {
    let origin = &recipe.base.wim.origin;
    let hash = |path: &Path| {
        inputs::digest_of_file(path, store, control).map_err(|error| match error {
            InputError::Store(error) => PlanError::Store(error),
            InputError::Cancelled => PlanError::Cancelled,
            error => {
                let message = "the base image cannot be read";
                let label = error.to_string();
                let help = explain_input(&error).1;
                let finding = Finding::at(origin, "base::unreadable", message, label, help);
                PlanError::Inputs(finding.into())
            }
        })
    };
    let files = base_image::files(wim).into_iter().map(hash).collect::<Result<Vec<_>, _>>()?;
    let digest = match &files[..] {
        [(_, digest)] => *digest,
        parts => {
            let digests: Vec<&[u8]> = parts.iter().map(|(_, digest)| &digest.0[..]).collect();
            key::key("transom split base 1", &digests)
        }
    };
    let (stamps, digests) = files.into_iter().unzip();
    Ok((stamps, digest, digests))
}

fn changed_base(recipe: &Recipe) -> PlanError {
    let wim = &recipe.base.wim;
    let message = "the base image changed while it was being read";
    let label = format!("{} is not what it was a moment ago", wim.value.display());
    let help = "run the command again when nothing writes to it";
    PlanError::Inputs(Finding::at(&wim.origin, "base::changed", message, label, help).into())
}

/// What is said of a base that cannot be opened, and with it of the inputs that are not there: whoever has to fetch media wants to know all of them.
fn with_missing_inputs(error: PlanError, recipe: &Recipe) -> PlanError {
    let PlanError::Inputs(base) = error else { return error };
    let missing = recipe.inputs.iter().filter(|(_, declared)| {
        matches!(fs_err::metadata(&declared.path), Err(error) if error.kind() == io::ErrorKind::NotFound)
    });
    let missing = missing
        .map(|(id, declared)| unusable(id, declared, &InputError::Missing(declared.path.clone())));
    match Findings::check(base.into_iter().chain(missing).collect()) {
        Err(findings) => PlanError::Inputs(findings),
        Ok(()) => unreachable!("there is at least what is said of the base"),
    }
}

/// What is said of an input that cannot be used.
fn unusable(id: &InputId, declared: &InputDecl, error: &InputError) -> Finding {
    let (code, help) = explain_input(error);
    let message = format!("the input {id} cannot be used");
    let help = match error {
        InputError::Missing(_) => inputs::missing_help(&declared.origin),
        _ => help.to_owned(),
    };
    Finding::at(&declared.origin, code, message, error.to_string(), help)
}

/// Finds and hashes every input; all that cannot be used are reported together.
fn resolve_inputs(
    recipe: &Recipe,
    store: &Store,
    control: &Control<'_>,
) -> Result<ResolvedInputs, PlanError> {
    let results: Vec<_> = recipe
        .inputs
        .par_iter()
        .map(|(id, declared)| (id, declared, inputs::resolve(id, &declared.path, store, control)))
        .collect();
    let mut resolved = BTreeMap::new();
    let mut findings = Vec::new();
    for (id, declared, result) in results {
        match result {
            Ok(input) => {
                resolved.insert(id.clone(), Arc::new(input));
            }
            Err(InputError::Store(error)) => return Err(error.into()),
            Err(InputError::Cancelled) => return Err(PlanError::Cancelled),
            Err(error) => findings.push(unusable(id, declared, &error)),
        }
    }
    Findings::check(findings).map_err(PlanError::Inputs)?;
    Ok(resolved)
}

/// Code and help for an input that cannot be used.
#[must_use]
pub fn explain_input(error: &InputError) -> (&'static str, &'static str) {
    match error {
        InputError::Missing(_) => {
            ("input::missing", "paths are relative to the file that holds them")
        }
        InputError::LeadsOut { .. } => (
            "input::link",
            "symbolic links are followed only inside the source; copy the file there or name it by itself",
        ),
        InputError::SameName(..) => ("input::same-name", "rename one of them"),
        InputError::NotUnicode(_) | InputError::Name { .. } => {
            ("input::name", "rename it: Windows could not open it")
        }
        InputError::Changed(_) => ("input::changed", "build again when nothing writes to it"),
        InputError::Endless(_) => ("input::endless", "remove the link that leads back"),
        InputError::Special(_) => ("input::special", "only files and folders can go into an image"),
        InputError::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => (
            "input::unreadable",
            "this user may not read it: change its permissions, or build as a user who may",
        ),
        InputError::Unreadable(_) | InputError::Store(_) | InputError::Cancelled => {
            ("input::unreadable", "")
        }
    }
}

/// The time of everything new; of several base images the latest of their own.
fn epoch(
    recipe: &Recipe,
    source_date_epoch: Option<FileTime>,
    wim: &Wim,
    selected: &[(u32, &BaseImage)],
) -> (FileTime, EpochSource) {
    if let Some(epoch) = recipe.output.epoch {
        return (epoch, EpochSource::Recipe);
    }
    if let Some(epoch) = source_date_epoch {
        return (epoch, EpochSource::SourceDateEpoch);
    }
    match selected.iter().filter_map(|(index, _)| wim.xml().last_modification(*index)).max() {
        Some(epoch) => (epoch, EpochSource::BaseImage),
        None => (FileTime(0), EpochSource::Unknown),
    }
}

fn lock(
    recipe: &Recipe,
    recipe_path: &Path,
    base: &PlannedBase,
    images: &[PlannedImage],
    inputs: &ResolvedInputs,
    identities: &BTreeMap<InputId, Vec<String>>,
    epoch: FileTime,
) -> Result<Lock, PlanError> {
    let folder = recipe_path.parent().unwrap_or_else(|| Path::new(""));
    let path = recipe.base.wim.value.strip_prefix(folder).unwrap_or(&recipe.base.wim.value);
    let locked = |image: &PlannedImage| {
        let metadata = base.wim.metadata_blob(image.index);
        let metadata = metadata.map_err(|error| image::damaged_base(recipe, &error))?.sha1;
        Ok(LockedImage { image: image.index, metadata })
    };
    let inputs = inputs.iter().map(|(id, input)| {
        let files = input.is_folder.then(|| {
            input.files().map(|(name, size, blake3)| (name, LockedFile { size, blake3 })).collect()
        });
        let is = identities.get(id).cloned().unwrap_or_default();
        (id.0.clone(), LockedInput { size: input.size, blake3: input.digest, is, files })
    });
    Ok(Lock {
        order: order::VERSION.to_owned(),
        epoch,
        base: LockedBase {
            path: path.to_string_lossy().replace('\\', "/"),
            size: base.stamps.iter().map(|stamp| stamp.size).sum(),
            blake3: base.blake3,
            images: images.iter().map(locked).collect::<Result<_, PlanError>>()?,
        },
        inputs: inputs.collect(),
    })
}

fn compare_lock(lock: &Lock, path: &Path) -> LockState {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return LockState::Missing,
        Err(error) => return LockState::Unreadable(error.to_string()),
    };
    match Lock::parse(&text) {
        Ok(locked) => match locked.differences(lock) {
            differences if differences.is_empty() => LockState::Current,
            differences => LockState::OutOfDate(differences),
        },
        Err(what) => LockState::Unreadable(what),
    }
}

/// True when the file begins as every lock file does, of whatever version and with whatever damage behind that.
fn is_our_lock(path: &Path) -> bool {
    fs::read(path)
        .is_ok_and(|bytes| bytes.is_empty() || bytes.starts_with(Lock::FIRST_LINE.as_bytes()))
}

fn refuse_unless_current(state: &LockState, path: &Path) -> Result<(), LockError> {
    let path = path.display().to_string();
    match state {
        LockState::Current => Ok(()),
        LockState::Missing => Err(LockError::Missing(path)),
        LockState::Unreadable(what) => Err(LockError::Unreadable { path, what: what.clone() }),
        LockState::OutOfDate(differences) => {
            Err(LockError::OutOfDate { path, differences: differences.clone() })
        }
    }
}
