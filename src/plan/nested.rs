//! The plan of the recovery image inside an image: the same as that of an image, one level down.
//!
//! What comes of it depends on the file, on what is done to it and on the epoch, and on nothing of the image around it: that is its key. So it
//! is serviced once for all images that hold the same file, and again only when one of these changes.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    base_image::{self, LazyImage},
    error::PlanError,
    image::{Planned, Subject, plan_one},
    inputs::{ResolvedEntry, ResolvedInputs},
    key,
    make::Options,
    model::Step,
    state::COMMIT_VERSION,
};
use crate::{
    base::{
        digest::{Blake3, Sha1},
        limits::Limits,
        name::Name,
    },
    codec::Codec,
    format::wim::{Blob, Wim, WimError},
    image::{BlobLocation, Image},
    recipe::{Finding, Findings, Origin},
    servicing::{
        InputId, Operation,
        files::{FilesAction, FilesSpec},
        winre,
    },
    store::{RecordKind, Store},
};

/// The recovery image inside an image, and what is done to it.
#[derive(Debug)]
pub struct Nested {
    /// The WIM whose content it is.
    outer: Arc<Wim>,
    /// SHA-1 of the file.
    pub sha1: Sha1,
    /// Number of the image in it that is serviced, from 1.
    pub index: u32,
    /// Identity of that image.
    pub identity: Blake3,
    /// What is done to it, in order.
    pub steps: Vec<Step>,
    /// The files that were opened.
    opened: Arc<Opened>,
}

/// What is remembered of the recovery image of a base image.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    sha1: Sha1,
    index: u32,
    identity: Blake3,
}

/// The recovery images of one base that were opened: images that hold the same file share one, and what is in a solid base is unpacked once.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<BTreeMap<Sha1, Arc<Wim>>>);

impl Opened {
    /// The WIM that is the content `blob` of `outer`.
    fn open(
        &self,
        outer: &Arc<Wim>,
        blob: &Blob,
        limits: &Limits,
        store: &Store,
    ) -> Result<Arc<Wim>, WimError> {
        // Never held while it is unpacked: that is work of several threads, one of which could ask for it here.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wim) = known().get(&blob.sha1) {
            return Ok(Arc::clone(wim));
        }
        let scratch = || store.scratch().map_err(io::Error::other);
        let wim = Arc::new(winre::open(outer, blob, limits, scratch)?);
        Ok(Arc::clone(known().entry(blob.sha1).or_insert(wim)))
    }
}

impl Nested {
    /// The WIM that it is. What has to be unpacked for it goes into a temporary file of `store`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, limits: &Limits, store: &Store) -> Result<Arc<Wim>, WimError> {
        let blob = self.outer.blob(&self.sha1).ok_or_else(|| WimError::MissingBlob {
            sha1: self.sha1,
            needed_by: "the recovery image".to_owned(),
        })?;
        self.opened.open(&self.outer, blob, limits, store)
    }
}

/// Plans what `step` does to the recovery image of `image`, which is one of `wim`, and makes that part of the step. Nothing is planned where there is none: the
/// step's own check says so.
///
/// # Errors
/// What cannot be done to it.
pub(super) fn plan(
    outer: &Subject<'_>,
    wim: &Arc<Wim>,
    step: &mut Step,
    image: &mut LazyImage<'_>,
    inputs: &ResolvedInputs,
    store: &Store,
    options: &Options<'_>,
) -> Result<Planned, PlanError> {
    let fresh = options.no_cache || options.control.rehash;
    let entries = &outer.recipe.winre;
    let subject = Subject { entries, nested: Some(&step.origin), ..*outer };
    let Some(found) = find(outer, &subject, wim, image, store, options)? else {
        return Ok(Planned::default());
    };
    let nested = Nested {
        outer: Arc::clone(wim),
        sha1: found.sha1,
        index: found.index,
        identity: found.identity,
        steps: Vec::new(),
        opened: Arc::clone(outer.opened),
    };
    let open = || Image::open(nested.open(&options.limits, store)?, found.index, &options.limits);
    let mut lazy = LazyImage::new(open, found.identity, store, fresh);
    // The WIM is that of a recovery image inside; inside of one there is none.
    let planned = plan_one(&subject, wim, &mut lazy, inputs, store, options);
    drop(lazy);
    let mut planned = planned.map_err(about)?;
    let deferred = planned.steps.iter().filter(|step| step.deferred);
    let deferred: Vec<Finding> = deferred.map(no_first_boot).map(named).collect();
    Findings::check(deferred).map_err(PlanError::Refused)?;
    planned.warnings = planned.warnings.into_iter().map(named).collect();
    let steps = std::mem::take(&mut planned.steps);
    let digest = digest(&found.sha1, &steps, outer);
    step.parts.inputs.push((InputId("winre.wim".to_owned()), digest));
    step.nested = Some(Arc::new(Nested { steps, ..nested }));
    Ok(planned)
}

/// What the serviced file depends on beside the parameters and inputs of the step.
fn digest(sha1: &Sha1, steps: &[Step], outer: &Subject<'_>) -> Blake3 {
    let order: Vec<u8> = steps.iter().flat_map(|step| step.parts.prepared_key().0).collect();
    let encoders: Vec<u8> = [Codec::Xpress, Codec::Lzx, Codec::Lzms]
        .iter()
        .flat_map(|codec| codec.encoder_version().to_le_bytes())
        .collect();
    let (version, epoch) = (COMMIT_VERSION.to_le_bytes(), outer.epoch.0.to_le_bytes());
    key::key("transom winre 1", &[&sha1.0, &order, &encoders, &version, &epoch])
}

/// Finds the recovery image, as it is remembered or by looking into the image.
fn find(
    outer: &Subject<'_>,
    subject: &Subject<'_>,
    wim: &Arc<Wim>,
    image: &mut LazyImage<'_>,
    store: &Store,
    options: &Options<'_>,
) -> Result<Option<Found>, PlanError> {
    let key = key::key("transom winre place 1", &[&image.identity().0]);
    if !options.no_cache
        && !options.control.rehash
        && let Some(found) = store.json::<Found>(RecordKind::Check, &key)?
        && wim.blob(&found.sha1).is_some()
    {
        return Ok(Some(found));
    }
    let opened = image.image().map_err(|error| outer.damaged(&error))?;
    let Some(content) = winre::content(opened) else { return Ok(None) };
    let Some(BlobLocation::Base(_, blob)) = opened.location(&content) else {
        let missing = WimError::MissingBlob {
            sha1: content.sha1,
            needed_by: winre::path(opened).to_string(),
        };
        return Err(outer.damaged(&missing));
    };
    let damaged = |error: WimError| subject.damaged(&error);
    let inside = outer.opened.open(wim, &blob, &options.limits, store).map_err(damaged)?;
    let index = winre::index(&inside);
    let identity = base_image::identity(&inside, index).map_err(damaged)?;
    let found = Found { sha1: content.sha1, index, identity };
    store.put_json(RecordKind::Check, &key, &found)?;
    Ok(Some(found))
}

/// A recovery image that cannot be read.
pub(super) fn damaged(origin: &Origin, error: &dyn std::error::Error) -> PlanError {
    let message = "the recovery image inside the base image cannot be used";
    let mut label = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        label = format!("{label}: {inner}");
        source = inner.source();
    }
    let help = "`transom wim extract` takes it out of the base; `transom wim verify` says what is wrong with it";
    PlanError::Inputs(Finding::at(origin, "winre::damaged", message, label, help).into())
}

fn no_first_boot(step: &Step) -> Finding {
    Finding::at(
        &step.origin,
        "plan::impossible",
        format!("{}: a recovery image has no first boot that it could be left to", step.title),
        "cannot be done natively",
        "take it out of [winre]",
    )
}

/// A finding of the recovery image.
fn named(finding: Finding) -> Finding {
    finding.about("winre")
}

/// What stops the recovery image, named as such.
fn about(error: PlanError) -> PlanError {
    let all = |findings: Findings, kind: fn(Findings) -> PlanError| {
        let findings: Vec<Finding> = findings.into_iter().map(named).collect();
        Findings::check(findings).map_or_else(kind, |()| PlanError::Cancelled)
    };
    match error {
        PlanError::Inputs(findings) => all(findings, PlanError::Inputs),
        PlanError::Refused(findings) => all(findings, PlanError::Refused),
        other => other,
    }
}

/// Steps of the image itself that put another file where the recovery image is, or take it away.
pub(super) fn contradictions(subject: &Subject<'_>, inputs: &ResolvedInputs) -> Vec<Finding> {
    let Some(winre) =
        subject.entries.iter().find(|entry| matches!(entry.operation, Operation::WinRe(_)))
    else {
        return Vec::new();
    };
    let in_the_way = subject.entries.iter().filter_map(|entry| match &entry.operation {
        Operation::Files(spec) => Some((entry, in_the_way(spec, inputs)?)),
        _ => None,
    });
    in_the_way
        .map(|(entry, label)| {
            Finding::at(
                &entry.origin,
                "plan::contradiction",
                "the recovery image is both serviced and replaced",
                label,
                "take one of them away; a file that is put there can be serviced by a recipe of its own",
            )
            .and(&winre.origin, "serviced here")
        })
        .collect()
}

/// What `spec` does to the file of the recovery image; `None` when it leaves its content alone.
fn in_the_way(spec: &FilesSpec, inputs: &ResolvedInputs) -> Option<&'static str> {
    let same = |(one, other): (&Name, &Name)| one.eq_ignore_case(other);
    let place = ["Windows", "System32", "Recovery", "winre.wim"].map(Name::from);
    // What is left of the place below `to`, when that is the place or above it.
    let to = spec.to.names();
    let is_above = to.len() <= place.len() && to.iter().zip(&place).all(same);
    let below = is_above.then(|| &place[to.len()..])?;
    match &spec.action {
        FilesAction::Adjust => None,
        FilesAction::Absent => Some("would remove it"),
        FilesAction::From { .. } if below.is_empty() => Some("would replace it"),
        FilesAction::From { replace: true, .. } => Some("would remove it with what is there"),
        FilesAction::From { input, replace: false } => {
            let is_it = |entry: &ResolvedEntry| {
                let names: Vec<Name> =
                    entry.path.iter().map(|name| Name::from(name.as_str())).collect();
                names.len() == below.len() && names.iter().zip(below).all(same)
            };
            let found = inputs.get(input)?.entries.iter().any(is_it);
            found.then_some("would replace it: there is such a file in this folder")
        }
    }
}
