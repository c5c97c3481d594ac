//! What is to be written, checked and without repetition, before the first byte: which resources are copied, which are encoded, which
//! blobs share solid resources, and what the blob table says in the end.

use std::{collections::HashMap, sync::Arc};

use super::{
    blob_table::{Blob, check_sum},
    decoded::DecodedResource,
    error::WimError,
    header::{Header, ResourceHeader},
    info::WimXml,
    like,
    reader::Wim,
    solid::SolidResource,
    write::{BlobSource, BlobToWrite, MetadataToWrite, WriteSettings},
    write_items::{Content, Item, ItemSource},
};
use crate::{
    base::{bytes::Writer, digest::Sha1, guid::Guid, read_at::ReadAt},
    codec::Codec,
};

/// Uncompressed size that marks the blob table's entry of a solid resource, as opposed to a blob inside.
const SOLID_RESOURCE: u64 = 0x1_0000_0000;

/// What is to be written.
pub(super) struct Plan {
    /// Blobs of files; [`ItemSource::InSolid`] for those of `solids` and `solid`.
    pub(super) blobs: Vec<Item>,
    reference_counts: Vec<u32>,
    /// One for each image.
    pub(super) metadata: Vec<Item>,
    /// Solid resources that are taken as they are.
    pub(super) solids: Vec<SolidItem>,
    /// The content of the solid resource that is to be made, in its order.
    pub(super) solid: Vec<SolidMember>,
}

/// A solid resource that is taken as it is.
pub(super) struct SolidItem {
    /// The bytes to be copied; `None` when it lies in the output already.
    pub(super) source: Option<Arc<dyn ReadAt>>,
    /// Where it lies, and its uncompressed size.
    pub(super) header: ResourceHeader,
    /// Wanted blobs inside and their offsets in its content.
    blobs: Vec<(usize, u64)>,
}

/// A blob that goes into the new solid resource.
pub(super) struct SolidMember {
    /// Which blob of the plan.
    pub(super) place: usize,
    /// Where its bytes come from.
    pub(super) content: Content,
}

/// Where everything lies in the output.
#[derive(Default)]
pub(super) struct Places {
    /// Of each blob that has a resource of its own.
    pub(super) blobs: Vec<ResourceHeader>,
    /// Of each image's metadata.
    pub(super) metadata: Vec<ResourceHeader>,
    /// The solid resources: those taken as they are, then the new one if there is one. `size` is the uncompressed size.
    pub(super) solids: Vec<ResourceHeader>,
}

/// Which solid resource of which source: the source's number, the file in it, the resource in that.
type SolidKey = (usize, u16, u32);

impl Plan {
    /// `kept` is the WIM that the output is already: what lies in it stays where it is.
    pub(super) fn new(
        settings: &WriteSettings,
        blobs: Vec<BlobToWrite>,
        images: Vec<MetadataToWrite>,
        xml: &WimXml,
        kept: Option<&Arc<Wim>>,
    ) -> Result<Self, WimError> {
        check(settings, images.len(), xml)?;
        let mut plan = Self {
            blobs: Vec::with_capacity(blobs.len()),
            reference_counts: Vec::with_capacity(blobs.len()),
            metadata: Vec::with_capacity(images.len()),
            solids: Vec::new(),
            solid: Vec::new(),
        };
        let mut places: HashMap<Sha1, usize> = HashMap::with_capacity(blobs.len());
        let mut unique = Vec::with_capacity(blobs.len());
        for blob in blobs.into_iter().filter(|blob| blob.size > 0) {
            if let Some(&place) = places.get(&blob.sha1) {
                let first: &BlobToWrite = &unique[place];
                if first.size != blob.size {
                    return refuse(format!("blob {} has two sizes", blob.sha1));
                }
                let count = &mut plan.reference_counts[place];
                *count = count.saturating_add(blob.reference_count);
                continue;
            }
            places.insert(blob.sha1, unique.len());
            plan.reference_counts.push(blob.reference_count);
            unique.push(blob);
        }
        if let Err(what) = check_sum(unique.iter().map(|blob| blob.size)) {
            return refuse(what.to_owned());
        }
        plan.place_blobs(settings, unique, kept)?;
        let mut kept_metadata = Vec::new();
        for image in images {
            let mut item = metadata_item(settings, image)?;
            // Two images that share a resource get one each: see `write_wim`.
            if let (Some(kept), ItemSource::Copy { source, offset, stored_size, compressed }) =
                (kept, &item.source)
                && Arc::ptr_eq(source, kept.source())
                && !kept_metadata.contains(offset)
            {
                kept_metadata.push(*offset);
                item.source = ItemSource::Keep(ResourceHeader {
                    stored_size: *stored_size,
                    flags: if *compressed { ResourceHeader::COMPRESSED } else { 0 },
                    offset: *offset,
                    size: item.size,
                });
            }
            plan.metadata.push(item);
        }
        Ok(plan)
    }

    /// Decides of each blob whether it is kept, copied or encoded, alone or in a solid resource.
    fn place_blobs(
        &mut self,
        settings: &WriteSettings,
        blobs: Vec<BlobToWrite>,
        kept: Option<&Arc<Wim>>,
    ) -> Result<(), WimError> {
        let mut sources: HashMap<*const Wim, usize> = HashMap::new();
        let mut solids: Vec<(SolidKey, Vec<usize>)> = Vec::new();
        let mut known: HashMap<SolidKey, usize> = HashMap::new();
        // Blobs that lie in solid resources of a source wait until it is known how much of these is wanted.
        let mut waiting: Vec<Option<(Arc<Wim>, Blob)>> = Vec::with_capacity(blobs.len());
        let mut members: Vec<(Option<(SolidKey, u64)>, SolidMember)> = Vec::new();
        for (place, mut blob) in blobs.into_iter().enumerate() {
            if let Some(wim) = kept
                && let Some(&base) = wim.blob(&blob.sha1)
                && base.volume == 0
            {
                blob.source = BlobSource::Wim { wim: Arc::clone(wim), blob: base };
            }
            let (sha1, size) = (blob.sha1, blob.size);
            let (source, inside) = blob_source(settings, blob, kept)?;
            let source = match (&inside, source) {
                (Some((wim, blob)), _) => {
                    let number = sources.len();
                    let number = *sources.entry(Arc::as_ptr(wim)).or_insert(number);
                    let key = (number, blob.volume, blob.solid.unwrap_or(u32::MAX));
                    let index = *known.entry(key).or_insert_with(|| {
                        solids.push((key, Vec::new()));
                        solids.len() - 1
                    });
                    solids[index].1.push(place);
                    ItemSource::InSolid
                }
                (None, ItemSource::Encode(content)) if settings.solid.is_some() => {
                    members.push((None, SolidMember { place, content }));
                    ItemSource::InSolid
                }
                (None, source) => source,
            };
            waiting.push(inside);
            self.blobs.push(Item { sha1, size, source });
        }
        solids.sort_unstable_by_key(|(key, _)| *key);
        for (key, places) in solids {
            let Some((wim, blob)) = waiting.get(places[0]).and_then(Option::as_ref) else {
                continue;
            };
            let resource = solid_resource(wim, blob)?;
            let wanted: u64 = places.iter().map(|&place| self.blobs[place].size).sum();
            let in_output = kept.is_some_and(|kept| Arc::ptr_eq(kept, wim)) && blob.volume == 0;
            let is_same = settings.solid.is_some_and(|solid| {
                (solid.codec, solid.chunk_size) == (resource.codec(), resource.chunk_size())
            });
            let taken =
                in_output || is_same && u128::from(wanted) * 3 >= u128::from(resource.size()) * 2;
            if taken {
                self.solids.push(SolidItem {
                    source: (!in_output).then(|| Arc::clone(wim.source_of(blob))),
                    header: ResourceHeader { size: resource.size(), ..resource.header() },
                    blobs: Vec::new(),
                });
            }
            for place in places {
                let Some((wim, blob)) = waiting[place].take() else { continue };
                if taken {
                    let solid = self.solids.last_mut().expect("it was just pushed");
                    solid.blobs.push((place, blob.resource.offset));
                    continue;
                }
                let content = Content::Wim(wim, blob);
                if settings.solid.is_some() {
                    let key = Some((key, blob.resource.offset));
                    members.push((key, SolidMember { place, content }));
                } else {
                    self.blobs[place].source = ItemSource::Encode(content);
                }
            }
        }
        for solid in &mut self.solids {
            solid.blobs.sort_unstable_by_key(|(place, offset)| (*offset, *place));
        }
        // What lies in solid resources comes first, in its order there: each chunk is decoded once.
        members.sort_by_key(|(key, _)| (key.is_none(), *key));
        self.solid = members.into_iter().map(|(_, member)| member).collect();
        Ok(())
    }

    pub(super) fn header(&self, settings: &WriteSettings) -> Header {
        let is_compressed = settings.codec != Codec::None;
        let rp_fix = if settings.rp_fix { Header::RP_FIX } else { 0 };
        let is_solid =
            settings.solid.is_some() || !self.solids.is_empty() || settings.codec == Codec::Lzms;
        Header {
            version: if is_solid { Header::VERSION_SOLID } else { Header::VERSION },
            flags: Header::codec_flags(settings.codec) | rp_fix,
            chunk_size: if is_compressed { settings.chunk_size } else { 0 },
            guid: Guid::default(),
            part_number: 1,
            total_parts: 1,
            image_count: u32::try_from(self.metadata.len()).unwrap_or(u32::MAX),
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: settings.boot_index,
            integrity: ResourceHeader::default(),
        }
    }

    /// Metadata in image order, then blobs by their place in the file, then the run of solid resources.
    pub(super) fn blob_table(&self, places: &Places) -> Vec<u8> {
        let mut writer = Writer::new();
        for (resource, item) in places.metadata.iter().zip(&self.metadata) {
            let flags = resource.flags | ResourceHeader::METADATA;
            encode_entry(&mut writer, &ResourceHeader { flags, ..*resource }, 1, (1, &item.sha1));
        }
        let mut order: Vec<usize> = (0..places.blobs.len()).collect();
        order.retain(|&place| !matches!(self.blobs[place].source, ItemSource::InSolid));
        order.sort_by_key(|&place| places.blobs[place].offset);
        for place in order {
            let named = (self.reference_counts[place], &self.blobs[place].sha1);
            encode_entry(&mut writer, &places.blobs[place], 1, named);
        }
        let mut offset = 0;
        let new = (!self.solid.is_empty()).then(|| self.new_solid_blobs());
        let blobs = self.solids.iter().map(|solid| &solid.blobs).chain(&new);
        for (resource, blobs) in places.solids.iter().zip(blobs) {
            let flags = ResourceHeader::SOLID;
            let entry = ResourceHeader { flags, size: SOLID_RESOURCE, ..*resource };
            encode_entry(&mut writer, &entry, 1, (1, &Sha1::ZERO));
            for &(place, inside) in blobs {
                let item = &self.blobs[place];
                let entry = ResourceHeader {
                    stored_size: item.size,
                    flags,
                    offset: offset + inside,
                    size: 0,
                };
                let named = (self.reference_counts[place], &item.sha1);
                encode_entry(&mut writer, &entry, 1, named);
            }
            offset += resource.size;
        }
        writer.data
    }

    /// Blobs of the new solid resource and their offsets.
    fn new_solid_blobs(&self) -> Vec<(usize, u64)> {
        let mut offset = 0;
        let place = |member: &SolidMember| {
            let start = offset;
            offset += self.blobs[member.place].size;
            (member.place, start)
        };
        self.solid.iter().map(place).collect()
    }
}

/// Appends an entry of the blob table: where the blob lies, in which part, and how often it is referred to.
pub(super) fn encode_entry(
    writer: &mut Writer,
    resource: &ResourceHeader,
    part: u16,
    (reference_count, sha1): (u32, &Sha1),
) {
    resource.encode(writer);
    writer.u16(part).u32(reference_count).bytes(&sha1.0);
}

fn refuse<T>(what: String) -> Result<T, WimError> {
    Err(WimError::Plan { what })
}

fn check(settings: &WriteSettings, images: usize, xml: &WimXml) -> Result<(), WimError> {
    let count = u32::try_from(images).unwrap_or(u32::MAX);
    if count > 0xffff {
        return refuse(format!("{count} images"));
    }
    if settings.boot_index > count {
        return refuse(format!("boot image {} of {count}", settings.boot_index));
    }
    if !xml.is_numbered(count) {
        return refuse(format!("the XML has not just the images 1 to {count}"));
    }
    if settings.solid.is_some_and(|solid| solid.codec == Codec::None) {
        return refuse("solid resources that are not compressed".to_owned());
    }
    Ok(())
}

/// Where a blob's bytes come from; beside it the blob when it lies in a solid resource.
type Found = (ItemSource, Option<(Arc<Wim>, Blob)>);

fn blob_source(
    settings: &WriteSettings,
    blob: BlobToWrite,
    kept: Option<&Arc<Wim>>,
) -> Result<Found, WimError> {
    let refuse = |what: &str| refuse(format!("{what} (blob {})", blob.sha1));
    match blob.source {
        BlobSource::Wim { wim, blob: base } => {
            if base.sha1 != blob.sha1 || base.size != blob.size {
                return refuse("the base's blob is another one");
            }
            if base.solid.is_some() {
                let source = ItemSource::Encode(Content::Wim(Arc::clone(&wim), base));
                return Ok((source, Some((wim, base))));
            }
            let in_output = kept.is_some_and(|kept| Arc::ptr_eq(kept, &wim)) && base.volume == 0;
            if in_output {
                wim.resource_of(&base)?;
                let flags = base.resource.flags & ResourceHeader::COMPRESSED;
                let kept = ResourceHeader { flags, ..base.resource };
                return Ok((ItemSource::Keep(kept), None));
            }
            Ok((wim_source(settings, wim, base, settings.solid.is_some())?, None))
        }
        BlobSource::Resource { source, offset, stored_size, compressed } => {
            if offset.checked_add(stored_size).is_none_or(|end| end > source.size()) {
                return refuse("the resource reaches beyond its source");
            }
            if compressed && settings.codec == Codec::None {
                return refuse("the resource is compressed, the output is not");
            }
            if !compressed && stored_size != blob.size || stored_size == 0 {
                return refuse("the resource has another size");
            }
            if settings.solid.is_none() {
                let source = ItemSource::Copy { source, offset, stored_size, compressed };
                return Ok((source, None));
            }
            let flags = if compressed { ResourceHeader::COMPRESSED } else { 0 };
            let header = ResourceHeader { stored_size, flags, offset, size: blob.size };
            let content =
                DecodedResource::new(source, header, settings.codec, settings.chunk_size)?;
            Ok((ItemSource::Encode(Content::Bytes(Arc::new(content))), None))
        }
        BlobSource::Bytes { source } => {
            if source.size() != blob.size {
                return refuse("the source has another size");
            }
            Ok((ItemSource::Encode(Content::Bytes(source)), None))
        }
    }
}

/// Stored bytes are copied when they are what the output would hold: compressed in its codec and chunk size, or raw where the output is not
/// compressed or compression with these settings was tried in vain.
fn wim_source(
    settings: &WriteSettings,
    wim: Arc<Wim>,
    blob: Blob,
    encode: bool,
) -> Result<ItemSource, WimError> {
    // Its shape is checked now, so that nothing is copied that no reader could read.
    wim.resource_of(&blob)?;
    let (codec, chunk_size) = wim.codec_of(&blob);
    let is_same = codec == settings.codec
        && (settings.codec == Codec::None || chunk_size == settings.chunk_size);
    let compressed = blob.resource.is_compressed();
    let is_raw_in_raw = !compressed && settings.codec == Codec::None;
    if (is_same || is_raw_in_raw) && !encode && blob.solid.is_none() {
        Ok(ItemSource::Copy {
            source: Arc::clone(wim.source_of(&blob)),
            offset: blob.resource.offset,
            stored_size: blob.resource.stored_size,
            compressed,
        })
    } else {
        Ok(ItemSource::Encode(Content::Wim(wim, blob)))
    }
}

fn metadata_item(settings: &WriteSettings, image: MetadataToWrite) -> Result<Item, WimError> {
    match image {
        MetadataToWrite::Copy { wim, index } => {
            let blob = *wim.metadata_blob(index)?;
            let source = wim_source(settings, wim, blob, false)?;
            Ok(Item { sha1: blob.sha1, size: blob.size, source })
        }
        MetadataToWrite::Like { bytes, wim, index } => {
            let (sha1, size) = (Sha1::of(&bytes), bytes.len() as u64);
            let source = match like::encode(&bytes, (&wim, index), settings)? {
                Some(stored) => ItemSource::Copy {
                    offset: 0,
                    stored_size: stored.len() as u64,
                    compressed: true,
                    source: Arc::new(stored),
                },
                None => ItemSource::Encode(Content::Bytes(Arc::new(bytes))),
            };
            Ok(Item { sha1, size, source })
        }
        MetadataToWrite::Bytes(bytes) => {
            let (sha1, size) = (Sha1::of(&bytes), bytes.len() as u64);
            let source = ItemSource::Encode(Content::Bytes(Arc::new(bytes)));
            Ok(Item { sha1, size, source })
        }
    }
}

/// The solid resource that a blob lies in.
fn solid_resource<'a>(wim: &'a Wim, blob: &Blob) -> Result<&'a SolidResource, WimError> {
    let index = blob.solid.unwrap_or(u32::MAX) as usize;
    let Some(resource) = wim.solids(blob.volume).get(index) else {
        return refuse(format!("blob {} lies in no solid resource", blob.sha1));
    };
    Ok(resource)
}
