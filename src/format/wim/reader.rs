//! An open WIM: what it says of itself, and its content on demand.
//!
//! Opening reads header, blob table and XML; content is decoded when asked for and checked against its SHA-1.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha1::Digest as _;

use super::{
    blob_table::{Blob, BlobTable},
    error::WimError,
    header::Header,
    info::WimXml,
    metadata::ImageMetadata,
    parts::{self, OpenFile},
    resource::{Resource, to_usize, zeroed},
    solid::{BlockCache, SolidResource},
    verify::{self, VerifyReport},
    volume::{Volume, VolumeKind, VolumeOpener, read_header},
};
use crate::{
    base::{digest::Sha1, limits::Limits, malformed::Malformed, read_at::ReadAt},
    codec::Codec,
};

/// A WIM that is open for reading: one file, or several that belong together. Any number of threads may use it.
#[derive(Debug)]
pub struct Wim {
    /// The first one has the images; there is always one.
    volumes: Vec<Volume>,
    table: BlobTable,
    xml: WimXml,
    warnings: Vec<String>,
    limits: Limits,
    blocks: BlockCache,
}

impl Wim {
    /// Reads header, blob table and XML.
    ///
    /// # Errors
    /// When it is no WIM, is malformed, or is of a kind this version does not read at all: pipable, encrypted, or an old version. A part of a
    /// split set is refused too, because the others cannot be found: see [`Wim::open_path`].
    pub fn open(source: Arc<dyn ReadAt>, limits: &Limits) -> Result<Self, WimError> {
        let header = read_header(&*source)?;
        if header.is_split() {
            let (part, parts) = (header.part_number, header.total_parts);
            let what = format!(
                "this is part {part} of a WIM that is split into {parts} files, and the others are not given"
            );
            return Err(WimError::Volumes { what });
        }
        Self::of_volumes(vec![(source, header, VolumeKind::Part)], limits)
    }

    /// Opens the file at `path`; when it is the first part of a split set, the whole set, whose other parts are looked for beside it.
    ///
    /// # Errors
    /// As [`Wim::open`]; when parts are missing (which, is said), or `path` is another part than the first. Errors of the file system name the path.
    pub fn open_path(path: &Path, limits: &Limits) -> Result<Self, WimError> {
        Self::open_with(path, &[], limits)
    }

    /// Opens the file at `path` as [`Wim::open_path`] does, and takes blobs that it does not have from other files: a delta WIM's base, or parts of the set
    /// that lie elsewhere. Of what several files have, the first file's is used. Images of referenced files are not looked at.
    ///
    /// # Errors
    /// As [`Wim::open_path`]; what is wrong with a referenced file names it.
    pub fn open_with(
        path: &Path,
        references: &[PathBuf],
        limits: &Limits,
    ) -> Result<Self, WimError> {
        tracing::debug!("opening {}", path.display());
        Self::of_volumes(parts::open(path, references)?, limits)
    }

    /// Opens the file at `path` alone, which may be the first part of a split set: for what is told of its images. Content of the other parts is not known.
    ///
    /// # Errors
    /// As [`Wim::open_path`].
    pub fn open_first(path: &Path, limits: &Limits) -> Result<Self, WimError> {
        Self::of_volumes(vec![parts::open_alone(path)?], limits)
    }

    /// Makes a WIM of files, the first of which has the images.
    pub(super) fn of_volumes(files: Vec<OpenFile>, limits: &Limits) -> Result<Self, WimError> {
        let mut opener = VolumeOpener::new(limits);
        let mut volumes: Vec<Volume> = Vec::with_capacity(files.len());
        let mut table = BlobTable::default();
        let mut warnings = Vec::new();
        for (source, header, kind) in files {
            let path = source.as_file().map(|file| file.path().to_owned());
            let opened = opener.open(source, header, kind);
            let (volume, mut of_volume) = opened.map_err(|error| match path {
                Some(path) if !volumes.is_empty() => parts::of_file(&path, error),
                _ => error,
            })?;
            let name = match (kind, volumes.is_empty()) {
                (_, true) => String::new(),
                (VolumeKind::Part, _) => format!("part {}: ", volume.header().part_number),
                (VolumeKind::Reference, _) => format!("referenced file {}: ", volumes.len()),
            };
            let of_volume_warnings = std::mem::take(&mut of_volume.warnings);
            warnings.extend(of_volume_warnings.iter().map(|text| format!("{name}{text}")));
            if volume.header().flags & Header::WRITE_IN_PROGRESS != 0 {
                warnings.push(format!("{name}the writer of this file did not finish"));
            }
            if volumes.is_empty() {
                table = of_volume;
            } else {
                table.merge(of_volume)?;
            }
            volumes.push(volume);
        }
        table.check_sizes()?;
        let Some(first) = volumes.first() else {
            return Err(WimError::Volumes { what: "there is no file".to_owned() });
        };
        let xml = WimXml::parse(&first.read_part(first.header().xml, "WIM XML", limits.xml)?)?;
        check_images(first.header(), &table, &xml)?;
        tracing::info!(
            "WIM: {} files, {} bytes, {}, {} images, {} blobs",
            volumes.len(),
            volumes.iter().map(|volume| volume.source().size()).sum::<u64>(),
            first.codec(),
            first.header().image_count,
            table.blobs.len()
        );
        warnings.iter().for_each(|warning| tracing::debug!("WIM: {warning}"));
        list_solid(&mut volumes, &table);
        let blocks = BlockCache::default();
        Ok(Self { volumes, table, xml, warnings, limits: *limits, blocks })
    }

    /// The files it consists of: first the one that has the images.
    #[must_use]
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The bytes of the first file.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        self.volumes[0].source()
    }

    /// The bytes of the file that holds this blob.
    #[must_use]
    pub fn source_of(&self, blob: &Blob) -> &Arc<dyn ReadAt> {
        self.volume_of(blob).source()
    }

    /// How this blob is compressed where it lies, and the chunk size: those of its file, or of its solid resource. What is stored raw has them too.
    #[must_use]
    pub fn codec_of(&self, blob: &Blob) -> (Codec, u32) {
        match self.solid_of(blob) {
            Some(solid) => (solid.codec(), solid.chunk_size()),
            None => (self.volume_of(blob).codec(), self.volume_of(blob).chunk_size()),
        }
    }

    /// The header of the first file.
    #[must_use]
    pub fn header(&self) -> &Header {
        self.volumes[0].header()
    }

    /// How the first file's resources are compressed that are not solid; see [`Wim::codec_of`].
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.volumes[0].codec()
    }

    /// Bytes in a chunk of them; 0 when the file is not compressed.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.volumes[0].chunk_size()
    }

    /// The solid resources of a file, in the order of its blob table.
    #[must_use]
    pub fn solids(&self, volume: u16) -> &[SolidResource] {
        self.volumes.get(usize::from(volume)).map_or(&[], Volume::solids)
    }

    /// The blobs of this WIM that lie in a solid resource, as they lie in it. Content of the resource that is missing here was listed twice, in
    /// this file or in one before it, or not at all.
    pub fn blobs_of_solid(&self, volume: u16, index: u32) -> impl Iterator<Item = &Blob> {
        let solid = self.solids(volume).get(index as usize);
        solid
            .into_iter()
            .flat_map(|solid| solid.blobs.iter())
            .map(|&place| &self.table.blobs[place as usize])
    }

    /// How many images there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        self.header().image_count
    }

    /// The XML document.
    #[must_use]
    pub fn xml(&self) -> &WimXml {
        &self.xml
    }

    /// What was odd and was put right while opening.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The blob of that SHA-1.
    #[must_use]
    pub fn blob(&self, sha1: &Sha1) -> Option<&Blob> {
        self.table.by_sha1.get(sha1).map(|&index| &self.table.blobs[index as usize])
    }

    /// The blobs of files, in the order of the table.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        &self.table.blobs
    }

    /// The metadata resource of an image, counted from 1.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn metadata_blob(&self, index: u32) -> Result<&Blob, WimError> {
        index
            .checked_sub(1)
            .and_then(|place| self.table.metadata.get(place as usize))
            .ok_or_else(|| WimError::NoSuchImage { index, count: self.image_count() })
    }

    /// The tree of an image, counted from 1; its SHA-1 is checked.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged or malformed.
    pub fn metadata(&self, index: u32) -> Result<ImageMetadata, WimError> {
        ImageMetadata::parse(&self.metadata_bytes(index)?, &self.limits)
    }

    /// The uncompressed bytes of an image's metadata resource; their SHA-1 is checked.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged.
    pub fn metadata_bytes(&self, index: u32) -> Result<Vec<u8>, WimError> {
        let blob = self.metadata_blob(index)?;
        if blob.size > self.limits.metadata {
            let what = format!(
                "metadata of image {index} has {} bytes, over the limit of {}",
                blob.size, self.limits.metadata
            );
            return Err(Malformed::new("WIM metadata", what, 0).into());
        }
        self.read_named(blob, || format!("metadata of image {index}"))
    }

    /// The whole content of a blob, SHA-1 checked; large ones are decoded on all threads.
    ///
    /// # Errors
    /// When it cannot be read, does not decode, or has another SHA-1.
    pub fn read_blob(&self, blob: &Blob) -> Result<Vec<u8>, WimError> {
        self.read_named(blob, || format!("blob {}", blob.sha1))
    }

    fn read_named(&self, blob: &Blob, name: impl Fn() -> String) -> Result<Vec<u8>, WimError> {
        let resource = self.resource_of(blob)?;
        let mut content = zeroed(resource.size())?;
        let window = resource.window();
        let mut hasher = sha1::Sha1::new();
        // Each window is hashed while the next one is decoded.
        let mut decoded: &[u8] = &[];
        for (index, part) in content.chunks_mut(to_usize(window)?).enumerate() {
            let start = index as u64 * window;
            let (result, ()) = rayon_join_if(
                !decoded.is_empty(),
                || resource.read_parallel(start, part),
                || hasher.update(decoded),
            );
            result?;
            decoded = part;
        }
        hasher.update(decoded);
        check(&blob.sha1, Sha1(hasher.finalize().into()), name)?;
        Ok(content)
    }

    /// Passes the content of a blob to `sink` in order, in bounded memory, decoding on all threads; the SHA-1 is checked at the end.
    ///
    /// # Errors
    /// As [`Wim::read_blob`], and what `sink` returns.
    pub fn stream_blob(
        &self,
        blob: &Blob,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), WimError> {
        let mut hasher = sha1::Sha1::new();
        self.resource_of(blob)?.stream(|bytes| {
            hasher.update(bytes);
            Ok(sink(bytes)?)
        })?;
        check(&blob.sha1, Sha1(hasher.finalize().into()), || format!("blob {}", blob.sha1))
    }

    /// Checks every blob, every metadata resource and the integrity tables, on all threads and in bounded memory.
    /// `progress` gets the number of uncompressed bytes done so far.
    ///
    /// # Errors
    /// When the file cannot be read or holds what this version cannot decode; damage is in the report.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<VerifyReport, WimError> {
        verify::verify(self, progress)
    }

    /// Decodes what is solid of the first of these blobs, on all threads, and returns how many blobs from the first on can then be read without
    /// decoding anything twice; at least 1, when there is a blob. Blobs that are not solid count, and cost nothing here.
    ///
    /// Who reads many blobs sorts them by [`Blob::position`], and in a loop calls this and then reads so many of them (or fewer, but then the next call
    /// begins with the first that was not read), on as many threads as it likes. What is decoded is bounded: about one chunk for each thread. To be
    /// called between batches, not by the threads that read: reading works without it, but each thread that finds its chunk missing decodes it alone.
    #[must_use = "no more blobs than this are ready"]
    pub fn prepare(&self, blobs: &[Blob]) -> usize {
        let solid_of =
            |blob: &Blob| self.solid_of(blob).map(|solid| (solid, &**self.source_of(blob)));
        self.blocks.prepare(blobs, solid_of).min(blobs.len())
    }

    /// The resource of a blob, its shape checked.
    pub(super) fn resource_of(&self, blob: &Blob) -> Result<Resource<'_>, WimError> {
        let volume = self.volume_of(blob);
        match self.solid_of(blob) {
            Some(solid) => {
                Resource::in_solid(&**volume.source(), solid, &self.blocks, blob.resource)
            }
            None => volume.resource(&blob.resource),
        }
    }

    /// The file that holds a blob of this WIM; of another's, the first.
    pub(super) fn volume_of(&self, blob: &Blob) -> &Volume {
        self.volumes.get(usize::from(blob.volume)).unwrap_or(&self.volumes[0])
    }

    fn solid_of(&self, blob: &Blob) -> Option<&SolidResource> {
        self.volume_of(blob).solids().get(blob.solid? as usize)
    }
}

/// Writes into each solid resource which blobs are in it.
fn list_solid(volumes: &mut [Volume], table: &BlobTable) {
    for (place, blob) in (0..).zip(&table.blobs) {
        if let Some(solid) = blob.solid
            && let Some(volume) = volumes.get_mut(usize::from(blob.volume))
            && let Some(solid) = volume.solids.get_mut(solid as usize)
        {
            solid.blobs.push(place);
        }
    }
    for solid in volumes.iter_mut().flat_map(|volume| &mut volume.solids) {
        solid.blobs.sort_by_key(|&place| {
            let blob = &table.blobs[place as usize];
            (blob.resource.offset, blob.size)
        });
    }
}

/// Runs both, in parallel when that is worth it.
fn rayon_join_if<A: Send, B: Send>(
    both: bool,
    left: impl FnOnce() -> A + Send,
    right: impl FnOnce() -> B + Send,
) -> (A, B) {
    if both { rayon::join(left, right) } else { (left(), right()) }
}

/// Compares what was read with what it is called.
pub(super) fn check(
    expected: &Sha1,
    actual: Sha1,
    name: impl FnOnce() -> String,
) -> Result<(), WimError> {
    if *expected == actual {
        Ok(())
    } else {
        Err(WimError::HashMismatch { what: name(), expected: *expected, actual })
    }
}

fn check_images(header: &Header, table: &BlobTable, xml: &WimXml) -> Result<(), WimError> {
    if xml.is_encrypted() {
        return Err(WimError::unsupported("encrypted images (ESD) are"));
    }
    let count = header.image_count;
    if table.metadata.len() != count as usize {
        let what = format!("{} metadata resources for {count} images", table.metadata.len());
        return Err(Malformed::new("WIM blob table", what, header.blob_table.offset).into());
    }
    if !xml.is_numbered(count) {
        let what =
            format!("{} IMAGE elements, which are not numbered 1 to {count}", xml.image_count());
        return Err(Malformed::new("WIM XML", what, header.xml.offset).into());
    }
    Ok(())
}
