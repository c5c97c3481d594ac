//! One of the files that a [`Wim`](super::Wim) consists of: the file itself, a further part of a split set, or a file it takes blobs from.

use std::{collections::HashMap, sync::Arc};

use super::{
    blob_table::BlobTable,
    error::WimError,
    header::{Header, ResourceHeader},
    resource::{Resource, Workers, to_usize, zeroed},
    solid::SolidResource,
};
use crate::{
    base::{limits::Limits, malformed::Malformed, read_at::ReadAt},
    codec::Codec,
};

/// What a volume is to its [`Wim`](super::Wim).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeKind {
    /// The file that was opened, which has the images, or a further part of its split set.
    Part,
    /// Another WIM, which only lends its blobs.
    Reference,
}

/// One file.
#[derive(Debug)]
pub struct Volume {
    source: Arc<dyn ReadAt>,
    header: Header,
    codec: Codec,
    workers: Arc<Workers>,
    pub(super) solids: Vec<SolidResource>,
    kind: VolumeKind,
}

impl Volume {
    /// The bytes of the file.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How its resources are compressed that are not solid.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes in a chunk of them; 0 when the file is not compressed.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        if self.codec == Codec::None { 0 } else { self.header.chunk_size }
    }

    /// Its solid resources, in the order of its blob table.
    #[must_use]
    pub fn solids(&self) -> &[SolidResource] {
        &self.solids
    }

    /// Whether it belongs to the WIM or is only referred to.
    #[must_use]
    pub fn kind(&self) -> VolumeKind {
        self.kind
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// A resource of the file that is not solid, its shape checked.
    pub(super) fn resource(&self, header: &ResourceHeader) -> Result<Resource<'_>, WimError> {
        Resource::new(&*self.source, &self.workers, *header)
    }

    /// Reads the blob table or the XML.
    pub(super) fn read_part(
        &self,
        header: ResourceHeader,
        name: &'static str,
        limit: u64,
    ) -> Result<Vec<u8>, WimError> {
        if header.size > limit {
            let what = format!("{} bytes are over the limit of {limit}", header.size);
            return Err(Malformed::new(name, what, header.offset).into());
        }
        let resource = self.resource(&header).map_err(|error| match error {
            WimError::Malformed(malformed) => {
                WimError::Malformed(Malformed { format: name, ..malformed })
            }
            other => other,
        })?;
        let mut content = zeroed(header.size)?;
        resource.read_parallel(0, &mut content)?;
        Ok(content)
    }
}

/// Reads the header of a file.
pub(super) fn read_header(source: &dyn ReadAt) -> Result<Header, WimError> {
    let mut bytes = vec![0; to_usize(source.size().min(Header::SIZE as u64))?];
    source.read_exact_at(0, &mut bytes)?;
    Header::parse(&bytes)
}

/// Opens the volumes of one WIM, which share what they need for decoding.
pub(super) struct VolumeOpener<'a> {
    limits: &'a Limits,
    workers: HashMap<(Codec, u32), Arc<Workers>>,
    volumes: u16,
    solids: u32,
}

impl<'a> VolumeOpener<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, workers: HashMap::new(), volumes: 0, solids: 0 }
    }

    /// Reads the blob table of a file whose header is `header`.
    pub(super) fn open(
        &mut self,
        source: Arc<dyn ReadAt>,
        header: Header,
        kind: VolumeKind,
    ) -> Result<(Volume, BlobTable), WimError> {
        let codec = header.codec()?;
        if header.chunk_size > self.limits.chunk && codec != Codec::None {
            let what = format!("chunks of {} bytes are over the limit", header.chunk_size);
            return Err(Malformed::new("WIM header", what, 0x14).into());
        }
        let chunk_size = if codec == Codec::None { 0 } else { header.chunk_size };
        let workers = self.workers(codec, chunk_size);
        let mut volume = Volume { source, header, codec, workers, solids: Vec::new(), kind };
        let table = volume.header.blob_table;
        let table = volume.read_part(table, "WIM blob table", self.limits.blob_table)?;
        let mut solids = Vec::new();
        let source = &*volume.source;
        let (limits, number) = (self.limits, self.volumes);
        let mut load = |header: ResourceHeader| {
            let mut workers = |codec, chunk_size| self.workers(codec, chunk_size);
            let solid = SolidResource::open(source, header, limits, &mut workers)?;
            let size = solid.size();
            solids.push(solid);
            Ok(size)
        };
        let table = BlobTable::parse(&table, &volume.header, number, &mut load)?;
        check_apart(&solids)?;
        for solid in &mut solids {
            solid.id = self.solids;
            self.solids = self.solids.saturating_add(1);
        }
        volume.solids = solids;
        self.volumes = self.volumes.checked_add(1).ok_or_else(|| WimError::Volumes {
            what: "more than 65,535 files cannot make up one WIM".to_owned(),
        })?;
        Ok((volume, table))
    }

    fn workers(&mut self, codec: Codec, chunk_size: u32) -> Arc<Workers> {
        let found = self.workers.entry((codec, chunk_size));
        Arc::clone(found.or_insert_with(|| Arc::new(Workers::new(codec, chunk_size))))
    }
}

/// Solid resources that share bytes could make a small file ask for much memory, and no writer makes them.
fn check_apart(solids: &[SolidResource]) -> Result<(), WimError> {
    let mut places: Vec<ResourceHeader> = solids.iter().map(SolidResource::header).collect();
    places.sort_by_key(|header| header.offset);
    for pair in places.windows(2) {
        if pair[0].end().is_none_or(|end| end > pair[1].offset) {
            let what = format!("it overlaps the one at {:#x}", pair[0].offset);
            return Err(Malformed::new("WIM solid resource", what, pair[1].offset).into());
        }
    }
    Ok(())
}
