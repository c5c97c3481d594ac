//! What the recovery image inside an image is.

use std::sync::Arc;

use crate::{
    base::{digest::Sha1, limits::Limits},
    format::wim::{Blob, Element, Wim},
    image::{BlobLocation, Image},
};

/// What is known of the recovery image of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WinReInventory {
    /// Where it is.
    pub path: String,
    /// Size of the file in bytes.
    pub size: u64,
    /// SHA-1 of the file: images of one WIM with the same share it.
    pub sha1: Sha1,
    /// How many images it holds.
    pub images: u32,
    /// Name of the image that boots.
    pub name: Option<String>,
    /// Its version: `10.0.26100.1742`.
    pub version: Option<String>,
    /// Its architecture.
    pub architecture: Option<&'static str>,
    /// Why nothing is known of what is inside.
    pub problem: Option<String>,
}

/// Looks at the recovery image; `None` when the image has none.
#[must_use]
pub fn inventory(image: &Image) -> Option<WinReInventory> {
    let content = super::content(image)?;
    let mut found = WinReInventory {
        path: super::path(image).to_string(),
        size: content.size,
        sha1: content.sha1,
        images: 0,
        name: None,
        version: None,
        architecture: None,
        problem: None,
    };
    match image.location(&content) {
        Some(BlobLocation::Base(outer, blob)) => look(&outer, &blob, &mut found),
        _ => found.problem = Some("it is not in the WIM that was opened".to_owned()),
    }
    Some(found)
}

fn look(outer: &Arc<Wim>, blob: &Blob, found: &mut WinReInventory) {
    let limits = Limits::default();
    let wim = match super::open(outer, blob, &limits, tempfile::tempfile) {
        Ok(wim) => Arc::new(wim),
        Err(error) => {
            found.problem = Some(error.to_string());
            return;
        }
    };
    let index = super::index(&wim);
    found.images = wim.image_count();
    found.name = wim.xml().image_name(index).map(str::to_owned);
    found.version = wim.xml().image(index).and_then(version);
    match Image::open(Arc::clone(&wim), index, &limits) {
        Ok(mut inner) => {
            let facts = inner.facts();
            found.architecture = facts.architecture.map(|architecture| architecture.name());
            if found.version.is_none()
                && let Some(build) = facts.build
            {
                let revision = facts.revision.map(|revision| format!(".{revision}"));
                found.version = Some(format!("{build}{}", revision.unwrap_or_default()));
            }
        }
        Err(error) => found.problem = Some(error.to_string()),
    }
}

/// The version that the XML of an image says.
fn version(element: &Element) -> Option<String> {
    let parts = ["MAJOR", "MINOR", "BUILD", "SPBUILD"]
        .map(|part| element.text(&["WINDOWS", "VERSION", part]));
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    (parts.len() >= 3).then(|| parts.join("."))
}
