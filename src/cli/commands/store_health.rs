//! The component store in `transom verify`: what the check says, and a repair from another WIM.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use super::verify::VerifyArguments;
use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        commands::wim::{
            place::{self, Existing, assembly_failure},
            select, verify,
        },
        exit::Failure,
        failures,
        output::Out,
        progress::Meter,
        text,
    },
    format::wim::{Blob, Wim, WriteReport},
    image::{Assembly, BlobLocation, BlobOrder, BlobRef, Image, Watch},
    servicing::cbs::{
        health::{self, Counts, Finding, HealthReport, RepairState, Severity, Verdict},
        repair,
    },
};

/// Findings that a person is shown of one image; JSON has all.
const MOST_SHOWN: usize = 50;

/// The component store of an image. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StoreHealth {
    /// The image's number, from 1.
    index: u32,
    /// Its name.
    name: String,
    /// `healthy`, `repairable`, `not-repairable`.
    verdict: Verdict,
    /// What was looked at.
    counts: Counts,
    /// What is damaged, and what is worth knowing.
    findings: Vec<Finding>,
    /// What else is worth knowing.
    notes: Vec<String>,
}

/// What a repair did. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Repair {
    /// The file that was written, when it is another one.
    pub(crate) output: Option<PathBuf>,
    /// The WIM whose files were used.
    source: PathBuf,
    /// Contents of the WIM that were damaged and came from there.
    blobs: u64,
    /// What was put right.
    repaired: Vec<Repaired>,
    /// What could not be.
    lost: Vec<Repaired>,
}

/// One thing that was, or could not be, put right.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Repaired {
    /// The image's number.
    image: u32,
    /// What was wrong.
    finding: Finding,
}

/// Checks the stores of all images whose trees can be read.
pub(crate) fn check(
    wim: &Arc<Wim>,
    path: &Path,
    context: &Context,
) -> Result<Vec<StoreHealth>, Failure> {
    let mut stores = Vec::new();
    for index in 1..=wim.image_count() {
        // What is wrong with the tree itself has been told.
        let Ok(mut image) = Image::open(Arc::clone(wim), index, &Limits::default()) else {
            continue;
        };
        let meter = Meter::new(&context.settings, "checking the component store", 0);
        let result = health::check(&mut image, watch(&meter, context).as_watch());
        meter.finish();
        let report = result.map_err(|error| failures::image(path, error))?;
        if report.verdict() != Verdict::NoStore {
            stores.push(StoreHealth::of(wim, index, report));
        }
    }
    Ok(stores)
}

/// Progress and cancellation, kept alive for a [`Watch`].
struct Watcher<'a> {
    progress: Box<dyn Fn(u64, u64) + Sync + 'a>,
    cancelled: Box<dyn Fn() -> bool + Sync + 'a>,
}

impl Watcher<'_> {
    fn as_watch(&self) -> Watch<'_> {
        Watch { progress: &*self.progress, cancelled: &*self.cancelled }
    }
}

fn watch<'a>(meter: &'a Meter, context: &'a Context) -> Watcher<'a> {
    Watcher {
        progress: Box::new(|done, total| meter.at_of(done, total)),
        cancelled: Box::new(|| context.interrupt.pressed()),
    }
}

impl StoreHealth {
    fn of(wim: &Wim, index: u32, report: HealthReport) -> Self {
        let name = wim.xml().image_name(index).unwrap_or_default().to_owned();
        let verdict = report.verdict();
        let HealthReport { counts, findings, notes, .. } = report;
        Self { index, name, verdict, counts, findings, notes }
    }

    /// True when nothing is damaged.
    pub(crate) fn is_healthy(&self) -> bool {
        self.verdict == Verdict::Healthy
    }

    fn damage(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Damage)
    }

    /// Prints it: the result first.
    pub(crate) fn show(&self, path: &Path, repaired: bool, out: &mut Out) -> Result<(), Failure> {
        let Self { index, name, counts, .. } = self;
        let damaged = self.damage().count() as u64;
        let result = match self.verdict {
            Verdict::NoStore | Verdict::Healthy => "healthy".to_owned(),
            _ if repaired => format!("{damaged} damaged, which the source cannot mend"),
            Verdict::Repairable => format!("{damaged} damaged: repairable with a source"),
            Verdict::NotRepairable => {
                format!("{damaged} damaged: some of it cannot be repaired")
            }
        };
        let checked = [
            text::count(counts.packages, "package", "packages"),
            text::count(counts.manifests, "manifest", "manifests"),
            text::count(counts.files, "file", "files"),
            text::count(counts.projections, "projection", "projections"),
        ];
        out.line(format_args!(
            "image {index} ({name}): component store {result} ({} checked)",
            checked.join(", ")
        ))?;
        for finding in self.damage().take(MOST_SHOWN) {
            show_finding(finding, out)?;
        }
        if damaged > MOST_SHOWN as u64 {
            out.line(format_args!("  and {} more; --json tells all", damaged - MOST_SHOWN as u64))?;
        }
        if damaged > 0 && !repaired {
            out.line(format_args!(
                "  `transom verify {} --repair-from OTHER.wim` mends it with equal files of another image",
                path.display()
            ))?;
        }
        let noted = self.findings.len() as u64 - damaged;
        let skipped: u64 = counts.not_checked.values().sum();
        if noted + skipped > 0 {
            out.line(format_args!(
                "  {} and {} that were not checked; --json tells which",
                text::count(noted, "oddity", "oddities"),
                text::count(skipped, "thing", "things")
            ))?;
        }
        self.notes.iter().try_for_each(|note| out.line(format_args!("  note: {note}")))
    }
}

fn show_finding(finding: &Finding, out: &mut Out) -> Result<(), Failure> {
    let code = finding.code.map(|code| format!(" ({code})")).unwrap_or_default();
    out.line(format_args!("  {:?}: {}{code}", finding.what, finding.place))?;
    out.line(format_args!("    expected {}, found {}", finding.expected, finding.found))
}

impl Repair {
    /// Prints what was done.
    pub(crate) fn show(&self, out: &mut Out) -> Result<(), Failure> {
        if self.blobs > 0 {
            let blobs = text::count(self.blobs, "damaged blob", "damaged blobs");
            out.line(format_args!("{blobs} replaced from {}", self.source.display()))?;
        }
        for Repaired { image, finding } in self.repaired.iter().take(MOST_SHOWN) {
            let RepairState::Repaired(from) = &finding.state else { continue };
            out.line(format_args!(
                "image {image}: repaired {:?} {} with {from}",
                finding.what, finding.place
            ))?;
        }
        if self.repaired.len() > MOST_SHOWN {
            let more = self.repaired.len() - MOST_SHOWN;
            out.line(format_args!("and {more} more; --json tells all"))?;
        }
        if self.blobs == 0 && self.repaired.is_empty() {
            out.line("nothing was repaired, and nothing written")?;
        } else if !self.lost.is_empty() {
            let left = self.lost.len();
            out.line(format_args!("partly repaired, {left} left"))?;
        }
        for Repaired { image, finding } in self.lost.iter().take(MOST_SHOWN) {
            out.line(format_args!(
                "image {image}: {} does not have what {:?} {} needs (0x800f081f)",
                self.source.display(),
                finding.what,
                finding.place
            ))?;
        }
        Ok(())
    }
}

/// Where the repaired WIM comes from and goes.
enum Target {
    InPlace(Existing),
    New(Arc<Wim>, PathBuf),
}

impl Target {
    fn open(arguments: &VerifyArguments, context: &Context) -> Result<Self, Failure> {
        match &arguments.output {
            None => Ok(Self::InPlace(Existing::open(&arguments.wim, context)?)),
            Some(output) => {
                place::check_free(output, false)?;
                Ok(Self::New(select::open(&arguments.wim, context)?, output.clone()))
            }
        }
    }

    fn wim(&self) -> &Arc<Wim> {
        match self {
            Self::InPlace(existing) => &existing.wim,
            Self::New(wim, _) => wim,
        }
    }
}

/// Repairs what can be, and writes the WIM when something was.
pub(crate) fn repair(
    arguments: &VerifyArguments,
    source: &Path,
    context: &Context,
) -> Result<Repair, Failure> {
    let path = &arguments.wim;
    check_other(path, source)?;
    context.interrupt.cooperative();
    let target = Target::open(arguments, context)?;
    let wim = Arc::clone(target.wim());
    let mut sources = open_sources(source, arguments.repair_index, context)?;
    let damaged = verify::verify(&wim, path, context)?.damaged;
    let mut supplied: Vec<(Arc<Wim>, Blob)> = damaged
        .iter()
        .filter_map(|&sha1| repair::find(&BlobRef { sha1, size: 0 }, &sources))
        .collect();
    let mut result = Repair {
        output: arguments.output.clone(),
        source: source.to_owned(),
        blobs: 0,
        repaired: Vec::new(),
        lost: Vec::new(),
    };
    let mut assembly = Assembly::of(&wim);
    let mut changed = false;
    for index in 1..=wim.image_count() {
        // A tree that cannot be read is told when the file is checked again.
        let Ok(mut image) = Image::open(Arc::clone(&wim), index, &Limits::default()) else {
            continue;
        };
        let before = wim.xml().last_modification(index).unwrap_or_default();
        image.set_epoch(context.settings.epoch.unwrap_or(before));
        for (wim, blob) in &supplied {
            image.supply(blob.sha1, BlobLocation::Base(Arc::clone(wim), *blob));
        }
        let meter = Meter::new(&context.settings, "checking the component store", 0);
        let mended = repair::mend(&mut image, &mut sources, watch(&meter, context).as_watch());
        meter.finish();
        let (mended, _) = mended.map_err(|error| failures::image(path, error))?;
        let of_image = |finding| Repaired { image: index, finding };
        result.repaired.extend(mended.repaired.into_iter().map(of_image));
        result.lost.extend(mended.lost.into_iter().map(of_image));
        supplied.extend(mended.supplied);
        if image.is_changed() {
            changed = true;
            let modified = image.epoch();
            let finished = image.finish().map_err(|error| failures::image(path, error))?;
            assembly
                .replace(index, finished, modified)
                .map_err(|error| assembly_failure(path, error))?;
        }
    }
    supplied.sort_by_key(|(_, blob)| blob.sha1);
    supplied.dedup_by_key(|(_, blob)| blob.sha1);
    result.blobs = supplied.len() as u64;
    for (wim, blob) in &supplied {
        assembly.supply(wim, *blob);
    }
    if changed || !supplied.is_empty() {
        let report = write(target, assembly, !supplied.is_empty(), path, context)?;
        let done = if result.lost.is_empty() { "repaired" } else { "partly repaired" };
        let written = arguments.output.as_deref().unwrap_or(path);
        context.printer.note(format_args!("{done} {}", place::told(written, &report)));
    } else {
        result.output = None;
    }
    Ok(result)
}

/// A file cannot mend itself: what is damaged in it is damaged in its copy too, and it is written while it would be read.
fn check_other(path: &Path, source: &Path) -> Result<(), Failure> {
    if crate::plan::output::is_same_file(path, source) {
        return Err(Failure::usage(format!(
            "--repair-from names {} itself: give another WIM that has the same files",
            path.display()
        )));
    }
    Ok(())
}

/// The images whose files may be used.
fn open_sources(path: &Path, index: Option<u32>, context: &Context) -> Result<Vec<Image>, Failure> {
    let wim = select::open(path, context)?;
    let chosen = select::ImageChoice { index, image: None }.any(&wim, path)?;
    chosen.into_iter().map(|index| select::image(&wim, path, index, context)).collect()
}

fn write(
    target: Target,
    assembly: Assembly,
    anew: bool,
    path: &Path,
    context: &Context,
) -> Result<WriteReport, Failure> {
    let failed = |error| assembly_failure(path, error);
    match target {
        Target::InPlace(existing) => {
            let mut settings = existing.settings();
            if !anew {
                // Few files by themselves are got out again quicker.
                settings.solid = None;
            }
            let order = if anew { BlobOrder::of(&settings) } else { BlobOrder::Stored };
            let plan = assembly.plan(order).map_err(failed)?;
            existing.change(&settings, plan, anew, context)
        }
        Target::New(wim, output) => {
            let settings = place::settings_like(&wim);
            let plan = assembly.plan(BlobOrder::of(&settings)).map_err(failed)?;
            place::write(&output, &settings, plan, context)
        }
    }
}
