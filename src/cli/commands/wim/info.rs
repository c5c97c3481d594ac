//! `transom wim info`: header, images and their XML.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::select::{self, ImageChoice};
use crate::{
    base::digest::Sha1,
    cli::{app::Context, exit::Failure, text},
    codec::Codec,
    format::wim::{Blob, Header, ResourceHeader, Volume, Wim},
};

/// Show what a WIM and its images are
///
/// Prints every header field and, for each image, what the XML says of it. Only header, blob table and XML are read.
///
/// --blobs adds the blob table, a line for each content: SHA-1, size, stored size, offset, how often it is referred to, and how it is stored (c compressed, s
/// in a solid resource).
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim info install.wim
  transom wim info install.wim --index 2 --json
  transom wim info install.wim --xml > install.xml
  transom wim info install.esd --header --blobs"#)]
pub(crate) struct InfoArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// Print the XML document as UTF-8 instead, as it is in the file
    #[arg(long, conflicts_with_all = ["json", "header", "blobs"])]
    xml: bool,

    /// Print what is told of the file, not of its images
    #[arg(long)]
    header: bool,

    /// Print the blob table too
    #[arg(long)]
    blobs: bool,

    /// Print JSON: {file: {...}, images: [{index, name, ...}], blobs: [{sha1, size, ...}]}
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Fields are only ever added.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    file: FileInfo,
    images: Vec<ImageInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blobs: Option<Vec<BlobInfo>>,
}

/// An entry of the blob table. What lies in a solid resource has no stored size of its own.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct BlobInfo {
    sha1: Sha1,
    size: u64,
    stored_size: Option<u64>,
    offset: u64,
    references: u32,
    part: u16,
    flags: u8,
    compressed: bool,
    volume: u16,
    solid: Option<u32>,
}

impl From<&Blob> for BlobInfo {
    fn from(blob: &Blob) -> Self {
        Self {
            sha1: blob.sha1,
            size: blob.size,
            stored_size: blob.solid.is_none().then_some(blob.resource.stored_size),
            offset: blob.resource.offset,
            references: blob.reference_count,
            part: blob.part,
            flags: blob.resource.flags,
            compressed: blob.solid.is_some() || blob.resource.is_compressed(),
            volume: blob.volume,
            solid: blob.solid,
        }
    }
}

/// The header.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct FileInfo {
    path: String,
    size: u64,
    guid: String,
    version: u32,
    flags: u32,
    flag_names: Vec<&'static str>,
    compression: Codec,
    chunk_size: u32,
    part: u16,
    parts: u16,
    images: u32,
    boot_index: u32,
    blobs: u64,
    blob_bytes: u64,
    integrity_table: bool,
    blob_table: Place,
    xml: Place,
    boot_metadata: Place,
    integrity: Place,
    files: Vec<VolumeInfo>,
    solid_resources: Vec<SolidInfo>,
}

/// One of the files that make up the WIM: the file itself, its parts.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct VolumeInfo {
    path: Option<String>,
    size: u64,
    part: u16,
    compression: Codec,
    chunk_size: u32,
}

/// A solid resource.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct SolidInfo {
    volume: u16,
    offset: u64,
    stored_size: u64,
    size: u64,
    compression: Codec,
    chunk_size: u32,
    blobs: u64,
}

/// Where a resource lies.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Place {
    offset: u64,
    stored_size: u64,
    size: u64,
    flags: u8,
}

impl From<&ResourceHeader> for Place {
    fn from(header: &ResourceHeader) -> Self {
        Self {
            offset: header.offset,
            stored_size: header.stored_size,
            size: header.size,
            flags: header.flags,
        }
    }
}

/// What the XML says of an image; absent where it says nothing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ImageInfo {
    pub(crate) index: u32,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) display_description: Option<String>,
    pub(crate) flags: Option<String>,
    pub(crate) edition: Option<String>,
    pub(crate) architecture: Option<String>,
    pub(crate) installation_type: Option<String>,
    pub(crate) product_name: Option<String>,
    pub(crate) product_type: Option<String>,
    pub(crate) product_suite: Option<String>,
    pub(crate) hal: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) service_pack_build: Option<String>,
    pub(crate) service_pack_level: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) languages: Vec<String>,
    pub(crate) default_language: Option<String>,
    pub(crate) system_root: Option<String>,
    pub(crate) directories: Option<u64>,
    pub(crate) files: Option<u64>,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) hard_link_bytes: Option<u64>,
    pub(crate) created: Option<String>,
    pub(crate) modified: Option<String>,
    pub(crate) wim_boot: Option<bool>,
    pub(crate) bootable: bool,
}

/// Runs `transom wim info`.
pub(crate) fn run(arguments: &InfoArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let wim = select::open(path, context)?;
    let images = arguments.choice.any(&wim, path)?;
    if arguments.xml {
        return context.printer.line(xml_text(&wim));
    }
    let images = if arguments.header { Vec::new() } else { images };
    let info = Info {
        file: file_info(&wim, path.display().to_string()),
        images: images.iter().map(|index| image_info(&wim, *index)).collect(),
        blobs: arguments.blobs.then(|| wim.blobs().iter().map(BlobInfo::from).collect()),
    };
    if arguments.json {
        return context.printer.json(&info);
    }
    let mut out = context.printer.stdout();
    out.text(text::facts(&file_rows(&info.file)))?;
    for image in &info.images {
        out.line("")?;
        out.text(text::facts(&image_rows(image)))?;
    }
    for (place, blob) in info.blobs.iter().flatten().enumerate() {
        if place == 0 {
            out.line("")?;
        }
        let form = match (blob.solid, blob.compressed) {
            (Some(_), _) => 's',
            (None, true) => 'c',
            (None, false) => '-',
        };
        let stored = blob.stored_size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        out.line(format_args!(
            "{} {:>12} {stored:>12} {:#014x} {:>6} {form}",
            blob.sha1, blob.size, blob.offset, blob.references
        ))?;
    }
    out.finish()
}

/// The XML document as UTF-8: the file's own bytes, or, when those are stored compressed, what was read of them.
fn xml_text(wim: &Wim) -> String {
    let place = wim.header().xml;
    let mut bytes = vec![0; usize::try_from(place.size).unwrap_or(0)];
    let is_plain = !place.is_compressed()
        && place.size == place.stored_size
        && wim.source().read_exact_at(place.offset, &mut bytes).is_ok();
    if !is_plain {
        bytes = wim.xml().encode();
    }
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units).trim_start_matches('\u{feff}').to_owned()
}

/// Header flags by name: bit and name.
const FLAGS: [(u32, &str); 10] = [
    (0x2, "compression"),
    (0x4, "read-only"),
    (0x8, "spanned"),
    (0x10, "resource-only"),
    (0x20, "metadata-only"),
    (0x40, "write-in-progress"),
    (0x80, "rp-fix"),
    (0x2_0000, "xpress"),
    (0x4_0000, "lzx"),
    (0x8_0000, "lzms"),
];

fn file_info(wim: &Wim, path: String) -> FileInfo {
    let header: &Header = wim.header();
    FileInfo {
        path,
        size: wim.volumes().iter().map(|volume| volume.source().size()).sum(),
        guid: header.guid.to_string(),
        version: header.version,
        flags: header.flags,
        flag_names: FLAGS
            .iter()
            .filter(|(bit, _)| header.flags & bit != 0)
            .map(|(_, name)| *name)
            .collect(),
        compression: wim.codec(),
        chunk_size: wim.chunk_size(),
        part: header.part_number,
        parts: header.total_parts,
        images: wim.image_count(),
        boot_index: header.boot_index,
        blobs: wim.blobs().len() as u64,
        blob_bytes: wim.blobs().iter().map(|blob| blob.size).sum(),
        integrity_table: header.integrity.size != 0,
        blob_table: Place::from(&header.blob_table),
        xml: Place::from(&header.xml),
        boot_metadata: Place::from(&header.boot_metadata),
        integrity: Place::from(&header.integrity),
        files: wim.volumes().iter().map(volume_info).collect(),
        solid_resources: solid_infos(wim),
    }
}

fn volume_info(volume: &Volume) -> VolumeInfo {
    let path = volume.source().as_file().map(|file| file.path().display().to_string());
    VolumeInfo {
        path,
        size: volume.source().size(),
        part: volume.header().part_number,
        compression: volume.codec(),
        chunk_size: volume.chunk_size(),
    }
}

fn solid_infos(wim: &Wim) -> Vec<SolidInfo> {
    let mut infos = Vec::new();
    for (number, volume) in (0..).zip(wim.volumes()) {
        for (index, solid) in (0..).zip(volume.solids()) {
            infos.push(SolidInfo {
                volume: number,
                offset: solid.header().offset,
                stored_size: solid.header().stored_size,
                size: solid.size(),
                compression: solid.codec(),
                chunk_size: solid.chunk_size(),
                blobs: wim.blobs_of_solid(number, index).count() as u64,
            });
        }
    }
    infos
}

/// What the XML says of an image.
pub(crate) fn image_info(wim: &Wim, index: u32) -> ImageInfo {
    let xml = wim.xml();
    let element = xml.image(index);
    let text = |path: &[&str]| element.and_then(|element| element.text(path)).map(str::to_owned);
    let number = |name: &str| text(&[name]).and_then(|text| text.trim().parse::<u64>().ok());
    let version = ["MAJOR", "MINOR", "BUILD"].map(|part| text(&["WINDOWS", "VERSION", part]));
    let languages = element
        .and_then(|element| element.child("WINDOWS")?.child("LANGUAGES"))
        .map(|languages| {
            languages
                .children()
                .filter(|child| child.name() == "LANGUAGE")
                .filter_map(|child| child.text(&[]).map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    ImageInfo {
        index,
        name: xml.image_name(index).map(str::to_owned),
        description: xml.description(index).map(str::to_owned),
        display_name: xml.display_name(index).map(str::to_owned),
        display_description: xml.display_description(index).map(str::to_owned),
        flags: text(&["FLAGS"]),
        edition: xml.image_flags_edition(index).map(str::to_owned),
        architecture: text(&["WINDOWS", "ARCH"]).map(|arch| architecture_name(&arch)),
        installation_type: text(&["WINDOWS", "INSTALLATIONTYPE"]),
        product_name: text(&["WINDOWS", "PRODUCTNAME"]),
        product_type: text(&["WINDOWS", "PRODUCTTYPE"]),
        product_suite: text(&["WINDOWS", "PRODUCTSUITE"]),
        hal: text(&["WINDOWS", "HAL"]),
        version: version
            .iter()
            .all(Option::is_some)
            .then(|| version.iter().flatten().cloned().collect::<Vec<_>>().join(".")),
        service_pack_build: text(&["WINDOWS", "VERSION", "SPBUILD"]),
        service_pack_level: text(&["WINDOWS", "VERSION", "SPLEVEL"]),
        branch: text(&["WINDOWS", "VERSION", "BRANCH"]),
        languages,
        default_language: text(&["WINDOWS", "LANGUAGES", "DEFAULT"]),
        system_root: text(&["WINDOWS", "SYSTEMROOT"]),
        directories: number("DIRCOUNT"),
        files: number("FILECOUNT"),
        total_bytes: number("TOTALBYTES"),
        hard_link_bytes: number("HARDLINKBYTES"),
        created: xml.creation(index).map(|time| time.to_string()),
        modified: xml.last_modification(index).map(|time| time.to_string()),
        wim_boot: text(&["WIMBOOT"]).map(|text| text.trim() == "1"),
        bootable: wim.header().boot_index == index,
    }
}

/// The processor that `ARCH` means, as Windows people call it.
fn architecture_name(number: &str) -> String {
    match number.trim() {
        "0" => "x86",
        "5" => "arm",
        "6" => "ia64",
        "9" => "amd64",
        "12" => "arm64",
        other => other,
    }
    .to_owned()
}

fn file_rows(file: &FileInfo) -> Vec<(&'static str, String)> {
    let place = |place: &Place| {
        if place.size == 0 && place.stored_size == 0 {
            return "none".to_owned();
        }
        format!(
            "{} bytes at offset {:#x}, flags {:#x}",
            place.stored_size, place.offset, place.flags
        )
    };
    let compression = match file.chunk_size {
        0 => file.compression.to_string(),
        chunk => format!("{}, chunks of {}", file.compression, text::size(u64::from(chunk))),
    };
    let mut rows = vec![
        ("File", file.path.clone()),
        ("Size", format!("{} ({} bytes)", text::size(file.size), file.size)),
        ("GUID", file.guid.clone()),
        ("Version", format!("{:#x}", file.version)),
        ("Flags", format!("{:#x} ({})", file.flags, file.flag_names.join(", "))),
        ("Compression", compression),
        ("Part", format!("{} of {}", file.part, file.parts)),
        ("Images", file.images.to_string()),
        (
            "Boot image",
            if file.boot_index == 0 { "none".to_owned() } else { file.boot_index.to_string() },
        ),
        ("Blobs", format!("{} ({} uncompressed)", file.blobs, text::size(file.blob_bytes))),
        ("Blob table", place(&file.blob_table)),
        ("XML", place(&file.xml)),
        ("Boot metadata", place(&file.boot_metadata)),
        ("Integrity table", place(&file.integrity)),
    ];
    for part in file.files.iter().skip(1) {
        let path = part.path.as_deref().unwrap_or("unnamed");
        rows.push(("Part file", format!("{}: {path}, {}", part.part, text::size(part.size))));
    }
    for solid in &file.solid_resources {
        let form = format!(
            "{}, chunks of {}, {} in {} bytes at offset {:#x}, {}",
            solid.compression,
            text::size(u64::from(solid.chunk_size)),
            text::size(solid.size),
            solid.stored_size,
            solid.offset,
            text::count(solid.blobs, "blob", "blobs")
        );
        rows.push(("Solid resource", form));
    }
    rows
}

/// The facts of an image in the order people look for them; what is unknown is left out.
pub(crate) fn image_rows(image: &ImageInfo) -> Vec<(&'static str, String)> {
    let bytes =
        |bytes: Option<u64>| bytes.map(|bytes| format!("{} ({bytes} bytes)", text::size(bytes)));
    let yes = |flag: bool| flag.then(|| "yes".to_owned());
    let service_pack = match (&image.service_pack_build, &image.service_pack_level) {
        (None, None) => None,
        (build, level) => Some(format!(
            "build {}, level {}",
            build.as_deref().unwrap_or("unknown"),
            level.as_deref().unwrap_or("unknown")
        )),
    };
    let rows = [
        ("Image", Some(image.index.to_string())),
        ("Name", image.name.clone()),
        ("Description", image.description.clone()),
        ("Display name", image.display_name.clone()),
        ("Display description", image.display_description.clone()),
        ("Edition", image.edition.clone()),
        ("Flags", image.flags.clone()),
        ("Architecture", image.architecture.clone()),
        ("Version", image.version.clone()),
        ("Service pack", service_pack),
        ("Branch", image.branch.clone()),
        ("Installation type", image.installation_type.clone()),
        ("Product name", image.product_name.clone()),
        ("Product type", image.product_type.clone()),
        ("Product suite", image.product_suite.clone()),
        ("HAL", image.hal.clone()),
        ("Languages", (!image.languages.is_empty()).then(|| image.languages.join(", "))),
        ("Default language", image.default_language.clone()),
        ("System root", image.system_root.clone()),
        ("Directories", image.directories.map(|count| count.to_string())),
        ("Files", image.files.map(|count| count.to_string())),
        ("Total size", bytes(image.total_bytes)),
        ("Hard link size", bytes(image.hard_link_bytes)),
        ("Created", image.created.clone()),
        ("Modified", image.modified.clone()),
        ("WIMBoot", image.wim_boot.and_then(yes)),
        ("Bootable", yes(image.bootable)),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| {
            value.filter(|value| !value.is_empty()).map(|value| (name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_have_the_names_people_use() {
        assert_eq!(architecture_name("9"), "amd64");
        assert_eq!(architecture_name("77"), "77");
    }
}
