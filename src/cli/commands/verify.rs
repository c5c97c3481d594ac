//! `transom verify`: a WIM and the Windows inside it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        commands::{
            against, policy,
            store_health::{self, StoreHealth},
            wim::{
                select, tree,
                verify::{self, DamageReport, Verification},
            },
        },
        exit::Failure,
    },
    format::{
        hive::Hive,
        wim::{ImageMetadata, StreamKind, Wim},
    },
};

/// Check an image that was built, or any WIM, and repair it
///
/// Does what `transom wim verify` does (every blob against its SHA-1, on all threads), looks into the registry hives of every image (keys, values, lists,
/// security, cells), and checks every image's component store, as `DISM /ScanHealth` does and more: manifests against the hive and the catalogs, files
/// against their manifests, what is projected against the store, packages against their catalogs, and all their keys, also those that are missing though
/// something needs them.
///
/// With --repair-from, what is damaged is put right with files of another WIM that are the wanted ones by their hashes (0x80073712, 0x800f0831 and
/// 0x800f081f are what DISM says in such cases); the file grows at its end, or is written anew when its own content is damaged, and is
/// checked again. Without it nothing is written.
///
/// With --against, one question alone is answered: whether this is the image that NAME.report.json describes, by the size and SHA-256 of every file. If it is another
/// file, images are compared by the SHA-1 of their metadata, which names all their content, and then by packages, drivers and so on. A provenance beside the report must name
/// both; with --key its signature (`transom build --sign-key`) is checked too. Without a key a report proves only as much as the place it comes from.
///
/// With --policy, every image is held against the rules under [policy] of a recipe, or of a file that has nothing else: minimum-build, no-pending,
/// no-deferred, signed-drivers, and what is required or forbidden of packages, features, capabilities, languages, drivers, apps and services.
///
/// Exit code 8 when anything is damaged and was not repaired, or is not what the report describes; 7 when it is sound and an image breaks a rule.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom verify out/golden.wim
  transom verify out/golden.wim --policy company.toml
  transom verify install.wim --repair-from media/install.wim --repair-index 4
  transom verify broken.wim --repair-from good.wim --output repaired.wim
  transom verify out/golden.wim --against out/golden.report.json --key sign.pub"#)]
pub(crate) struct VerifyArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    pub(crate) wim: PathBuf,

    /// Print JSON: {good, blobs, bytes, problems: [{message, files}], images: [{index, verdict, findings, ...}], policy: {kept, rules, images},
    /// ...}; with --against {verdict, signature, files: [...], images: [...], ...}
    #[arg(long)]
    pub(crate) json: bool,

    /// Put right what is damaged with equal files of this WIM
    #[arg(long, value_name = "WIM")]
    pub(crate) repair_from: Option<PathBuf>,

    /// Use this image of it alone [default: all of them]
    #[arg(long, value_name = "N", requires = "repair_from", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repair_index: Option<u32>,

    /// Write the repaired WIM here, and leave the damaged one as it is
    #[arg(long, value_name = "FILE", requires = "repair_from")]
    pub(crate) output: Option<PathBuf>,

    /// Only ask whether this is the image that a build's report describes
    #[arg(long, value_name = "REPORT", conflicts_with_all = ["repair_from", "policy"])]
    pub(crate) against: Option<PathBuf>,

    /// Check the signature of the provenance beside the report with this public key, a PEM file
    #[arg(long, value_name = "FILE", requires = "against")]
    pub(crate) key: Option<PathBuf>,

    /// Accept another file with the same images; with secrets, an image that is alike as far as can be told
    #[arg(long, requires = "against")]
    pub(crate) content: bool,

    #[command(flatten)]
    pub(crate) policy: policy::PolicyArguments,
}

/// Runs `transom verify`.
pub(crate) fn run(arguments: &VerifyArguments, context: &Context) -> Result<(), Failure> {
    if let Some(report) = &arguments.against {
        return against::run(arguments, report, context);
    }
    let path = &arguments.wim;
    // A mistake in the rules is told before anything is read.
    let rules = arguments.policy.load()?;
    let Some(source) = &arguments.repair_from else {
        let wim = select::open(path, context)?;
        let mut verification = check(&wim, path, context)?;
        verification.policy = arguments.policy.check(rules.as_ref(), &wim, path, context)?;
        return verify::show(&verification, path, arguments.json, context);
    };
    let repaired = store_health::repair(arguments, source, context)?;
    let path = &repaired.output.clone().unwrap_or_else(|| path.clone());
    let wim = select::open(path, context)?;
    let mut verification = check(&wim, path, context)?;
    verification.repair = Some(repaired);
    verification.policy = arguments.policy.check(rules.as_ref(), &wim, path, context)?;
    verify::show(&verification, path, arguments.json, context)
}

/// All that is checked.
fn check(wim: &Arc<Wim>, path: &Path, context: &Context) -> Result<Verification, Failure> {
    let mut verification = verify::verify(wim, path, context)?;
    // Hives of damaged files would say the same again in other words.
    if verification.good {
        for index in 1..=wim.image_count() {
            let image = select::metadata(wim, path, index, context)?;
            check_hives(wim, &image, index, &mut verification.problems, &mut verification.warnings);
        }
    }
    verification.images = store_health::check(wim, path, context)?;
    verification.good =
        verification.problems.is_empty() && verification.images.iter().all(StoreHealth::is_healthy);
    Ok(verification)
}

/// Where hives lie, below the image's root and without case.
const HIVES: [&str; 8] = [
    r"\Windows\System32\config\SYSTEM",
    r"\Windows\System32\config\SOFTWARE",
    r"\Windows\System32\config\DEFAULT",
    r"\Windows\System32\config\COMPONENTS",
    r"\Windows\System32\config\DRIVERS",
    r"\Windows\System32\config\SAM",
    r"\Windows\System32\config\SECURITY",
    r"\Users\Default\NTUSER.DAT",
];

fn check_hives(
    wim: &Wim,
    image: &ImageMetadata,
    index: u32,
    problems: &mut Vec<DamageReport>,
    warnings: &mut Vec<String>,
) {
    let limits = Limits::default();
    for entry in tree::entries(image) {
        if !HIVES.iter().any(|hive| hive.eq_ignore_ascii_case(&entry.path)) {
            continue;
        }
        let content = tree::stream_sha1(entry.dentry, StreamKind::Data)
            .and_then(|sha1| wim.blob(&sha1))
            .filter(|blob| blob.size <= limits.hive);
        let Some(blob) = content else { continue };
        let file = format!("{index}:{}", entry.path);
        let problem = |message: String| DamageReport { message, files: vec![file.clone()] };
        let bytes = match wim.read_blob(blob) {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(problem(error.to_string()));
                continue;
            }
        };
        match Hive::parse(bytes, &limits) {
            Ok(hive) => {
                let found = hive.check();
                problems.extend(
                    found.iter().filter(|one| !one.harmless).map(|one| problem(one.to_string())),
                );
            }
            // Windows completes such a hive from its logs at the next start: worth knowing, not damage.
            Err(error @ crate::format::hive::HiveError::Dirty { .. }) => {
                warnings.push(format!("{file}: {error}"));
            }
            Err(error) => problems.push(problem(error.to_string())),
        }
    }
}
