//! Metadata that is much like metadata that is there: most of it need not be compressed again.
//!
//! An edit of an image changes a digest here and a time there. The chunks between are what they were, and their compressed form is copied. An
//! entry more or less moves what stands behind it; then the chunks behind are compressed anew.

use std::{borrow::Cow, collections::HashMap};

use rayon::prelude::*;

use super::{
    encode::Encoders, error::WimError, reader::Wim, resource::to_usize, write::WriteSettings,
};
use crate::codec::Codec;

/// `content` as a compressed resource, whose chunks are those of image `index` of `wim` where they are the same; `None` when that image's metadata is
/// stored in another form, or the content would not get smaller.
pub(super) fn encode(
    content: &[u8],
    (wim, index): (&Wim, u32),
    settings: &WriteSettings,
) -> Result<Option<Vec<u8>>, WimError> {
    let blob = wim.metadata_blob(index)?;
    let form = (settings.codec, settings.chunk_size);
    if settings.codec == Codec::None || blob.solid.is_some() || wim.codec_of(blob) != form {
        return Ok(None);
    }
    let before = wim.metadata_bytes(index)?;
    let Some((stored, ends)) = wim.resource_of(blob)?.stored_chunks()? else { return Ok(None) };
    let chunk_size = settings.chunk_size as usize;
    let mut known: HashMap<&[u8], &[u8]> = HashMap::with_capacity(ends.len());
    let mut start = 0;
    for (chunk, end) in before.chunks(chunk_size).zip(ends) {
        let end = to_usize(end)?;
        known.insert(chunk, stored.get(start..end).unwrap_or_default());
        start = end;
    }
    let encoders = Encoders::new((settings.codec, settings.chunk_size, settings.level))?;
    let chunks: Vec<Cow<'_, [u8]>> = content
        .par_chunks(chunk_size)
        .map(|chunk| match known.get(chunk) {
            Some(stored) => Cow::Borrowed(*stored),
            None => encoders.encode(chunk).bytes.map_or(Cow::Borrowed(chunk), Cow::Owned),
        })
        .collect();
    let sizes: Result<Vec<u32>, _> =
        chunks.iter().map(|chunk| u32::try_from(chunk.len())).collect();
    let Ok(sizes) = sizes else { return Ok(None) };
    let Some(mut resource) = encoders.table(content.len() as u64, &sizes) else { return Ok(None) };
    chunks.iter().for_each(|chunk| resource.extend_from_slice(chunk));
    Ok(Some(resource))
}
