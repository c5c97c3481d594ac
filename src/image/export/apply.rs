//! The function that applies a whole image, so that a capture gives it back.

use std::path::Path;

use super::{
    extract::{ExtractError, ExtractReport},
    ntfs,
    plan::{self, Plan, Rules},
    write::{self, Host, How},
};
use crate::{
    format::wim::Element,
    image::{
        host::{
            SIDECAR_NAME,
            links::Reach,
            ntfs::Volume,
            sidecar::{self, Placed},
        },
        offline::Image,
        patterns::Patterns,
        watch::Watch,
    },
};

/// How to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Replace files and links that are there already, an older sidecar too; otherwise they are an error. Folders that are there are used.
    pub overwrite: bool,
    /// Give files and folders the modes that a capture with Unix data kept.
    pub unix_data: bool,
    /// Write the sidecar. Without it, what the host cannot hold is lost, and told as losses.
    pub sidecar: bool,
    /// The flag of the WIM's header that says absolute links were made relative to the image's root.
    pub rp_fix: bool,
}

/// Writes the whole image into the folder `target`, which is made when it is not there, and beside it what the host cannot hold:
/// [`crate::image::import::capture`] then gives the image back, equal in every entry. `element` is its `<IMAGE>` element.
///
/// With a sidecar, the losses of the report are the entries that are in it alone: names the host refuses, encrypted files, links that cannot be told there.
///
/// On a volume that ntfs-3g has mounted there is no sidecar: attributes, security and all else are set on the files themselves. Encrypted files and named
/// streams of more than 64 KiB, which cannot be written there, are losses.
///
/// The sidecar is there, empty, before anything else, and is written last: a capture of a directory that was not finished says so. The sidecar of an
/// earlier image goes with the first file that may be replaced, whether or not this one gets a sidecar; where it ends before that, it is there again.
///
/// # Errors
/// As [`super::extract()`].
pub fn apply(
    image: &Image,
    element: &Element,
    target: &Path,
    options: ApplyOptions,
    watch: Watch<'_>,
) -> Result<ExtractReport, ExtractError> {
    let everything = Patterns::new::<&str>(&[])?;
    let mut host = write::open(target)?;
    if let Some(volume) = Volume::detect(target) {
        return apply_ntfs(image, &mut host, &volume, (target, options), watch);
    }
    let rules = Rules {
        include: &everything,
        unix_data: options.unix_data,
        reach: Reach::Anywhere { rp_fix: options.rp_fix },
        kept: options.sidecar,
        room: write::room(target),
        folds_case: host.folds_case,
    };
    let mut plan = begin(image, &mut host, rules, options)?;
    let how = How { overwrite: options.overwrite, tells_times: options.sidecar };
    let written = write::write(image, &plan, &host, how, watch)?;
    for (entry, modified) in &written.times {
        let placed: &mut Placed = &mut plan.placed[*entry];
        placed.modified = *modified;
    }
    if let Some(file) = &host.sidecar {
        let rp_fix = options.rp_fix;
        sidecar::write(file, image, element, rp_fix, &plan.placed, &|| (watch.cancelled)())
            .map_err(|error| write::sidecar_failed(&target.join(SIDECAR_NAME), error))?;
        // The last file that came into it moved the time of the folder itself.
        write::finish_root(&plan, &host);
    }
    Ok(written.report(plan))
}

/// Plans, and does all that can be undone: what is in the way or nowhere is noticed while the directory is still that of an earlier image.
fn begin(
    image: &Image,
    host: &mut Host,
    rules: Rules<'_>,
    options: ApplyOptions,
) -> Result<Plan, ExtractError> {
    let plan = plan::plan(image, rules)?;
    host.put_older_aside(options.overwrite)?;
    let plan = begin_folders(image, host, plan, rules, options.sidecar)
        .inspect_err(|_| host.put_older_back())?;
    host.forget_older()?;
    Ok(plan)
}

/// Makes the empty sidecar, if there is to be one, and the folders; plans anew when the sidecar shows that names which differ in case are one.
fn begin_folders(
    image: &Image,
    host: &mut Host,
    mut plan: Plan,
    rules: Rules<'_>,
    sidecar: bool,
) -> Result<Plan, ExtractError> {
    if sidecar {
        host.begin_sidecar()?;
    }
    if host.folds_case != rules.folds_case {
        plan = plan::plan(image, Rules { folds_case: host.folds_case, ..rules })?;
    }
    host.make_folders(&plan)?;
    Ok(plan)
}

/// Applies to a volume that can hold what NT knows of files.
fn apply_ntfs(
    image: &Image,
    host: &mut Host,
    volume: &Volume,
    (target, options): (&Path, ApplyOptions),
    watch: Watch<'_>,
) -> Result<ExtractReport, ExtractError> {
    let everything = Patterns::new::<&str>(&[])?;
    let rules = Rules {
        include: &everything,
        unix_data: false,
        reach: Reach::Real,
        kept: true,
        room: write::room(target),
        folds_case: host.folds_case,
    };
    let options = ApplyOptions { sidecar: false, ..options };
    let mut plan = begin(image, host, rules, options)?;
    let paths = ntfs::paths(&plan);
    let links = std::mem::take(&mut plan.links);
    let how = How { overwrite: options.overwrite, tells_times: false };
    let written = write::write(image, &plan, host, how, watch)?;
    write::make_empty(host, &links, options.overwrite)?;
    ntfs::set_all(image, &paths, volume, &mut plan.losses)?;
    plan.links = links;
    Ok(written.report(plan))
}
