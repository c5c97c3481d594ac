//! The check as a whole.

use crate::{
    image::{HiveId, Image, ImageError, Watch},
    servicing::cbs::layout,
};

use super::{
    deployments, manifests, packages, payload, registry,
    report::{HealthReport, Mend, What},
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
    let image = &*image;
    let quiet = Watch { progress: &|_, _| (), cancelled: watch.cancelled };
    let catalogs = packages::read_catalogs(image, &registry, quiet, &mut report)?;
    let manifests = manifests::check(image, &registry, &catalogs, quiet, &mut report)?;
    payload::check(image, &registry, &manifests, watch, &mut report)?;
    let mums = packages::check(image, &registry, &catalogs, quiet, &mut report)?;
    deployments::check(&registry, &catalogs, &manifests, &mums, &mut report);
    Ok(report)
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
