//! Until the reader knows several volumes and solid resources.

use super::{
    blob_table::Blob, error::WimError, header::ResourceHeader, reader::Wim, resource::Resource,
};
use crate::{base::read_at::ReadAt, codec::Codec};
use std::sync::Arc;

pub(super) struct SolidResource {
    pub(super) header: ResourceHeader,
    pub(super) size: u64,
    pub(super) chunk_size: u32,
    pub(super) codec: Codec,
}

impl Wim {
    pub(super) fn source_of(&self, _: &Blob) -> &Arc<dyn ReadAt> {
        self.source()
    }
    pub(super) fn codec_of(&self, _: &Blob) -> (Codec, u32) {
        (self.codec(), self.chunk_size())
    }
    pub(super) fn resource_of(&self, blob: &Blob) -> Result<Resource<'_>, WimError> {
        self.resource(&blob.resource)
    }
    pub(super) fn solids(&self, _: u16) -> &[SolidResource] {
        &[]
    }
}
