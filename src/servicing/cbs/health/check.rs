//! The check as a whole.

use crate::{
    image::{HiveId, Image, ImageError, Watch},
    servicing::cbs::{layout, macros::Target},
};

use super::{
    absence, content, deployments, manifests, owned, packages, payload, registry,
    report::{HealthReport, Mend, What},
    winners,
};

/// Checks the component store of an image. Damage is in the report, content that cannot be read too.
///
/// # Errors
/// When the watcher ends it.
pub fn check(image: &mut Image, watch: Watch<'_>) -> Result<HealthReport, ImageError> {
    let mut report = HealthReport::default();
    let has_manifests = image.tree().lookup(&layout::manifests(image)).is_some();
    if !has_manifests && !image.has_hive(HiveId::Components) {
        return Ok(report);
    }
    report.present = true;
    let registry = registry::read(image, &mut report);
    let target = target(image, &mut report);
    let edited = image;
    let image = &*edited;
    let quiet = Watch { progress: &|_, _| (), cancelled: watch.cancelled };
    let catalogs = packages::read_catalogs(image, &registry, quiet, &mut report)?;
    let manifests = {
        let hives =
            manifests::Hives { registry: &registry, catalogs: &catalogs, target: target.as_ref() };
        manifests::check(image, hives, quiet, &mut report)?
    };
    payload::check(image, &registry, &manifests, watch, &mut report)?;
    let mums = packages::check(image, &registry, &catalogs, quiet, &mut report)?;
    deployments::check(&registry, &catalogs, &manifests, &mums, &mut report);
    let known = absence::Known::new(&registry, &catalogs, &manifests, &mums);
    for look in [absence::check, winners::check, owned::check] {
        match look(edited, &known, &mut report) {
            Ok(()) => {}
            Err(ImageError::Cancelled) => return Err(ImageError::Cancelled),
            Err(error) => report.notes.push(format!(
                "what follows from the store was not looked for in the hives: {}",
                content::text(&error)
            )),
        }
    }
    Ok(report)
}

/// What decides where files are projected to. An image that does not say its architecture has no projections that could be told.
fn target(image: &mut Image, report: &mut HealthReport) -> Option<Target> {
    let facts = image.facts();
    // A damaged hive has been told.
    let target = Target::of(image, &facts).ok().flatten();
    if target.is_none() {
        report.notes.push(
            "what is projected is not checked: the image does not say its architecture".to_owned(),
        );
    }
    target
}

impl HealthReport {
    /// Content that cannot be read: a finding that is mended by the same content, or as `mend` says.
    pub(super) fn unreadable(
        &mut self,
        what: What,
        place: impl ToString,
        content: crate::image::BlobRef,
        why: &str,
        mend: Mend,
    ) {
        self.unreadable.insert(content);
        self.damaged(what, place, ("content that can be read", why), mend);
    }
}
