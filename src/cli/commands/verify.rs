//! `transom verify`: a WIM and the Windows inside it.

use std::path::PathBuf;

use clap::Args;

use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        commands::wim::{
            select, tree,
            verify::{self, DamageReport},
        },
        exit::Failure,
    },
    format::{
        hive::Hive,
        wim::{ImageMetadata, StreamKind, Wim},
    },
};

/// Check an image that was built, or any WIM
///
/// Does what `transom wim verify` does (every blob against its SHA-1, on all threads), and then looks into the registry hives of every image: keys, values,
/// lists, security and cells.
///
/// Exit code 8 when anything is damaged.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Example:
  transom verify out/golden.wim"#)]
pub(crate) struct VerifyArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    pub(crate) wim: PathBuf,

    /// Print JSON: {good, blobs, bytes, problems: [{message, files}], ...}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `transom verify`.
pub(crate) fn run(arguments: &VerifyArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let wim = select::open(path, context)?;
    let mut verification = verify::verify(&wim, path, context)?;
    // Hives of damaged files would say the same again in other words.
    if verification.good {
        for index in 1..=wim.image_count() {
            let image = select::metadata(&wim, path, index, context)?;
            check_hives(
                &wim,
                &image,
                index,
                &mut verification.problems,
                &mut verification.warnings,
            );
        }
        verification.good = verification.problems.is_empty();
    }
    verify::show(&verification, path, arguments.json, context)
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
