//! Reading many contents on all threads, each once.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{
    base::{digest::Sha1, ntpath::NtPath},
    format::{
        cbs::manifest::FileHash,
        wim::{Blob, Wim},
    },
    image::{BlobLocation, BlobRef, Image, ImageError, Watch},
};

/// Contents that are given out to the threads at a time; progress and cancellation are looked at between.
const AT_ONCE: usize = 256;

/// Where content lies in a WIM, if it does, and the content.
type Placed = (Option<(Arc<Wim>, Blob)>, BlobRef);

/// The digests of content, and how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Digests {
    pub(in super::super) sha256: [u8; 32],
    pub(in super::super) sha1: [u8; 20],
    /// Its first four bytes.
    pub(in super::super) magic: [u8; 4],
}

impl Digests {
    /// True when it is what a manifest says.
    pub(in super::super) fn is(&self, wanted: &FileHash) -> bool {
        match wanted {
            FileHash::Sha256(digest) => *digest == self.sha256,
            FileHash::Sha1(digest) => *digest == self.sha1,
        }
    }
}

/// SHA-256 of bytes.
pub(in super::super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The digests of content; reading compares it with its SHA-1. The error is a text: damage is a finding, not a failure.
pub(in super::super) fn digests(image: &Image, content: &BlobRef) -> Result<Digests, String> {
    let mut hasher = Sha256::new();
    let mut magic = Vec::new();
    let read = image.stream(content, &NtPath::root(), &mut |part| {
        if magic.len() < 4 {
            magic.extend_from_slice(&part[..part.len().min(4 - magic.len())]);
        }
        hasher.update(part);
        Ok(())
    });
    read.map_err(|error| text(&error))?;
    magic.resize(4, 0);
    let sha1 = if content.sha1.is_zero() { Sha1::of(&[]) } else { content.sha1 };
    let magic = magic.try_into().unwrap_or_default();
    Ok(Digests { sha256: hasher.finalize().into(), sha1: sha1.0, magic })
}

/// Why content cannot be read.
pub(super) fn text(error: &ImageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Does `work` with each content, on all threads, in the order in which it lies in the WIM.
pub(super) fn each<T: Send>(
    image: &Image,
    contents: impl IntoIterator<Item = BlobRef>,
    watch: Watch<'_>,
    work: &(dyn Fn(&BlobRef) -> T + Sync),
) -> Result<BTreeMap<BlobRef, T>, ImageError> {
    let mut placed: Vec<Placed> = contents
        .into_iter()
        .map(|content| match image.location(&content) {
            Some(BlobLocation::Base(wim, blob)) => (Some((wim, blob)), content),
            _ => (None, content),
        })
        .collect();
    placed.sort_by_key(|(location, content)| {
        (location.as_ref().map(|(_, blob)| blob.position()), *content)
    });
    placed.dedup_by_key(|(_, content)| *content);
    let total = placed.iter().map(|(_, content)| content.size).sum();
    let mut done = 0;
    let mut results = BTreeMap::new();
    let mut rest = &placed[..];
    while !rest.is_empty() {
        if (watch.cancelled)() {
            return Err(ImageError::Cancelled);
        }
        let ready = prepare(&rest[..rest.len().min(AT_ONCE)]);
        let (now, later) = rest.split_at(ready);
        results.par_extend(
            now.par_iter().with_max_len(1).map(|(_, content)| (*content, work(content))),
        );
        done += now.iter().map(|(_, content)| content.size).sum::<u64>();
        (watch.progress)(done, total);
        rest = later;
    }
    Ok(results)
}

/// Has what is solid of the first of these decoded once, for all of them; how many are ready, at least one.
fn prepare(contents: &[Placed]) -> usize {
    let Some((Some((wim, _)), _)) = contents.first() else {
        let not_in_wim = contents.iter().take_while(|(location, _)| location.is_none()).count();
        return not_in_wim.max(1);
    };
    let same = contents
        .iter()
        .map_while(|(location, _)| location.as_ref())
        .take_while(|(other, _)| Arc::ptr_eq(other, wim));
    let blobs: Vec<Blob> = same.map(|(_, blob)| *blob).collect();
    wim.prepare(&blobs).max(1)
}
