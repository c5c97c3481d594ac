//! `transom wim verify`: every blob against its SHA-1.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use super::{select, tree};
use crate::{
    base::digest::Sha1,
    cli::{
        app::Context,
        commands::{
            policy::PolicyVerdict,
            store_health::{Repair, StoreHealth},
        },
        exit::{Exit, Failure},
        failures,
        progress::Meter,
        text,
    },
    format::wim::{VerifyReport, Wim, WimError},
};

/// Check every byte of a WIM
///
/// Decodes every blob and every image's metadata on all threads, compares each with its SHA-1, checks the integrity table if there is one, and
/// looks for contents that images refer to and the file does not have. Each damage is named with the files it concerns.
///
/// Exit code 8 when anything is damaged.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Example:
  transom wim verify install.wim"#)]
pub(crate) struct VerifyArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    pub(crate) wim: PathBuf,

    /// Print JSON: {good, blobs, bytes, problems: [{message, files}], ...}
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `--json` prints. Fields are only ever added.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Verification {
    /// True when nothing is damaged or missing.
    pub(crate) good: bool,
    /// File blobs checked.
    pub(crate) blobs: u64,
    /// Metadata resources checked.
    pub(crate) metadata_resources: u64,
    /// Uncompressed bytes checked.
    pub(crate) bytes: u64,
    /// Whether the file has an integrity table.
    pub(crate) integrity_table: bool,
    /// What is damaged or missing.
    pub(crate) problems: Vec<DamageReport>,
    /// Oddities that do no harm.
    pub(crate) warnings: Vec<String>,
    /// What concerns nobody but who writes files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// The component stores of the images that have one; `transom verify` looks at them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) images: Vec<StoreHealth>,
    /// What was repaired before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repair: Option<Repair>,
    /// The images against the rules that were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<PolicyVerdict>,
    /// The content that is damaged or missing.
    #[serde(skip)]
    pub(crate) damaged: Vec<Sha1>,
}

/// One damage.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct DamageReport {
    /// What is wrong.
    pub(crate) message: String,
    /// The files it concerns: `2:\Windows\notepad.exe`, image number first.
    pub(crate) files: Vec<String>,
}

/// Runs `transom wim verify`.
pub(crate) fn run(arguments: &VerifyArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let wim = select::open(path, context)?;
    let verification = verify(&wim, path, context)?;
    show(&verification, path, arguments.json, context)
}

/// Checks a whole WIM.
pub(crate) fn verify(wim: &Wim, path: &Path, context: &Context) -> Result<Verification, Failure> {
    let total = wim.blobs().iter().map(|blob| blob.size).sum();
    let meter = Meter::new(&context.settings, "verifying", total);
    let report = wim.verify(&|done| meter.at(done));
    meter.finish();
    let report = report.map_err(|error| failures::wim_read(path, error))?;
    Ok(describe(wim, report))
}

fn describe(wim: &Wim, report: VerifyReport) -> Verification {
    let places = if report.is_good() { Places::default() } else { Places::of(wim) };
    let problems = report
        .problems
        .iter()
        .map(|problem| DamageReport { message: text::chain(problem), files: places.files(problem) })
        .collect();
    Verification {
        good: report.is_good(),
        blobs: report.blobs,
        metadata_resources: report.metadata_resources,
        bytes: report.bytes,
        integrity_table: report.has_integrity_table,
        problems,
        warnings: report.warnings,
        notes: report.notes,
        images: Vec::new(),
        repair: None,
        policy: None,
        damaged: report.problems.iter().filter_map(sha1_of).collect(),
    }
}

/// The content that a problem is about.
fn sha1_of(problem: &WimError) -> Option<Sha1> {
    match problem {
        WimError::HashMismatch { expected, .. } => Some(*expected),
        WimError::MissingBlob { sha1, .. } | WimError::Damaged { sha1, .. } => Some(*sha1),
        _ => None,
    }
}

/// Prints the result; a damaged WIM is a failure that has been told.
pub(crate) fn show(
    verification: &Verification,
    path: &Path,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    if json {
        context.printer.json(verification)?;
    } else {
        let mut out = context.printer.stdout();
        for problem in &verification.problems {
            out.line(&problem.message)?;
            for file in &problem.files {
                out.line(format_args!("  {file}"))?;
            }
        }
        let checked = format!(
            "{} and {}, {}{}",
            text::count(verification.blobs, "blob", "blobs"),
            text::count(verification.metadata_resources, "metadata resource", "metadata resources"),
            text::size(verification.bytes),
            if verification.integrity_table { ", and the integrity table" } else { "" },
        );
        if verification.problems.is_empty() {
            out.line(format_args!("{}: good ({checked} checked)", path.display()))?;
        } else {
            let problems = text::count(verification.problems.len() as u64, "problem", "problems");
            out.line(format_args!("{}: {problems} ({checked} checked)", path.display()))?;
        }
        if let Some(repair) = &verification.repair {
            repair.show(&mut out)?;
        }
        for store in &verification.images {
            store.show(path, verification.repair.is_some(), &mut out)?;
        }
        if let Some(policy) = &verification.policy {
            policy.show(path, &mut out)?;
        }
        for note in &verification.notes {
            out.line(format_args!("note: {note}"))?;
        }
        out.finish()?;
    }
    for warning in &verification.warnings {
        context.printer.warn(format_args!("{}: {warning}", path.display()));
    }
    if !verification.good {
        return Err(Failure::silent(Exit::VerificationFailed));
    }
    match &verification.policy {
        Some(policy) => policy.end(),
        None => Ok(()),
    }
}

/// Which files have which content.
#[derive(Default)]
struct Places {
    by_sha1: HashMap<Sha1, Vec<String>>,
}

impl Places {
    /// Looks through every image whose metadata can be read.
    fn of(wim: &Wim) -> Self {
        let mut by_sha1: HashMap<Sha1, Vec<String>> = HashMap::new();
        for index in 1..=wim.image_count() {
            let Ok(image) = wim.metadata(index) else { continue };
            for entry in tree::entries(&image) {
                for stream in entry.dentry.streams.iter().filter(|stream| !stream.sha1.is_zero()) {
                    let name = if stream.name.is_empty() {
                        format!("{index}:{}", entry.path)
                    } else {
                        format!("{index}:{}:{}", entry.path, stream.name)
                    };
                    by_sha1.entry(stream.sha1).or_default().push(name);
                }
            }
        }
        Self { by_sha1 }
    }

    /// The files that a problem concerns.
    fn files(&self, problem: &WimError) -> Vec<String> {
        sha1_of(problem).and_then(|sha1| self.by_sha1.get(&sha1).cloned()).unwrap_or_default()
    }
}
