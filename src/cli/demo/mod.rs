//! The demo's workspace: a base WIM made here, a recipe and its inputs.
//!
//! [`write_base`] makes a small WIM shaped like Windows from nothing but our own code; tests use it as their base too. What it
//! holds is told in `base.rs`; the registry texts lie beside this file, the recipe and its inputs in `recipes/demo`.

mod base;
mod components;
mod hives;
pub mod packages;
mod pe;
mod tree;

use std::{collections::BTreeMap, io, path::Path, sync::Arc};

use fs_err as fs;

use crate::{
    base::{digest::Sha1, filetime::FileTime, limits::Limits, read_at::FileSource},
    codec::{Codec, Level},
    format::{
        hive::HiveError,
        security,
        wim::{
            BlobSource, BlobToWrite, Element, MetadataToWrite, Wim, WimError, WimXml,
            WriteSettings, write_wim,
        },
    },
    image::{self, Image, ImageError, ImageFacts},
    recipe::schema::SCHEMA,
};

/// When everything in the demo's base was made: 2026-11-01T00:00:00Z.
pub const BASE_TIME: FileTime = FileTime(134_379_648_000_000_000);

/// Why the demo's workspace could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file of the workspace could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The base could not be written.
    #[error("the demo's base WIM could not be written")]
    Wim(#[from] WimError),
    /// A hive of the base could not be made.
    #[error("a hive of the demo's base could not be made")]
    Hive(#[from] HiveError),
    /// The base that was written could not be read again.
    #[error("the demo's base WIM could not be read again")]
    Image(#[from] ImageError),
}

/// How the base is compressed.
#[derive(Debug, Clone, Copy)]
pub struct BaseSettings {
    /// Codec of all resources.
    pub codec: Codec,
    /// Bytes in a chunk.
    pub chunk_size: u32,
    /// Number of the bootable image; 0 for none.
    pub boot_index: u32,
    /// Whether to write an integrity table.
    pub integrity: bool,
}

impl Default for BaseSettings {
    fn default() -> Self {
        let codec = Codec::Lzx;
        Self { codec, chunk_size: codec.default_chunk_size(), boot_index: 0, integrity: false }
    }
}

/// Writes the demo's base WIM, two images of a synthetic Windows, to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_base(path: &Path, settings: &BaseSettings) -> Result<(), DemoError> {
    let trees = base::EDITIONS
        .iter()
        .map(|edition| base::tree(edition, BASE_TIME))
        .collect::<Result<Vec<_>, _>>()?;
    let mut blobs = BTreeMap::<Sha1, BlobToWrite>::new();
    let mut images = Vec::new();
    let mut xml = WimXml::new();
    for (tree, edition) in trees.into_iter().zip(&base::EDITIONS) {
        images.push(MetadataToWrite::Bytes(tree.metadata.encode()));
        for sha1 in tree.metadata.dentries.iter().flat_map(|dentry| &dentry.streams).map(|s| s.sha1)
        {
            let Some(content) = tree.blobs.get(&sha1) else { continue };
            let blob = blobs.entry(sha1).or_insert_with(|| BlobToWrite {
                sha1,
                size: content.len() as u64,
                reference_count: 0,
                source: BlobSource::Bytes { source: Arc::new(content.clone()) },
            });
            blob.reference_count += 1;
        }
        xml.push_image(image_element(edition));
    }
    let blobs: Vec<BlobToWrite> = blobs.into_values().collect();
    // The numbers of the XML are those of the images as they read back: a first, uncompressed file is read for them.
    let draft = tempfile::NamedTempFile::new()?;
    let plain = BaseSettings { codec: Codec::None, chunk_size: 0, boot_index: 0, integrity: false };
    write(draft.as_file(), &plain, &blobs, &images, xml.clone())?;
    let source = Arc::new(FileSource::open(draft.path())?);
    let wim = Arc::new(Wim::open(source, &Limits::default())?);
    for index in 1..=wim.image_count() {
        let mut image = Image::open(Arc::clone(&wim), index, &Limits::default())?;
        image.facts();
        let mut finished = image.finish()?;
        // All that is known of it is new to the XML: which Windows it is too.
        finished.base_facts = Some(ImageFacts::default());
        let element = xml.image_mut(index).expect("one element was pushed for each image");
        image::xml::update(element, &finished, BASE_TIME);
    }
    write(fs::File::create(path)?.file(), settings, &blobs, &images, xml)
}

fn write(
    output: &std::fs::File,
    settings: &BaseSettings,
    blobs: &[BlobToWrite],
    images: &[MetadataToWrite],
    xml: WimXml,
) -> Result<(), DemoError> {
    let settings = WriteSettings {
        codec: settings.codec,
        chunk_size: settings.chunk_size,
        level: Level::Default,
        solid: None,
        integrity: settings.integrity,
        boot_index: settings.boot_index,
        rp_fix: true,
    };
    write_wim(output, &settings, blobs.to_vec(), images.to_vec(), xml, &|_| {}, &|| false)?;
    Ok(())
}

/// What the XML says of an image beyond what is computed from its tree and hives.
fn image_element(edition: &hives::Edition) -> Element {
    let mut element = Element::new("IMAGE");
    let (high, low) = (BASE_TIME.0 >> 32, BASE_TIME.0 & 0xffff_ffff);
    element.set_text(&["CREATIONTIME", "HIGHPART"], &format!("0x{high:08X}"));
    element.set_text(&["CREATIONTIME", "LOWPART"], &format!("0x{low:08X}"));
    element.set_text(&["NAME"], edition.product);
    element.set_text(&["DESCRIPTION"], edition.product);
    element.set_text(&["FLAGS"], edition.id);
    element.set_text(&["DISPLAYNAME"], edition.product);
    element.set_text(&["DISPLAYDESCRIPTION"], edition.product);
    element
}

/// The recipe. Its first line names the schema where that lies in the repository.
const RECIPE: &str = include_str!("../../../recipes/demo/demo.toml");
/// That line, and the one that is true in the workspace, where the schema lies beside the recipe.
const SCHEMA_LINES: (&str, &str) =
    ("#:schema ../../schema/recipe.schema.json\n", "#:schema recipe.schema.json\n");

/// The schema, and the recipe's inputs: path in the workspace, bytes.
const WORKSPACE: &[(&str, &[u8])] = &[
    ("recipe.schema.json", SCHEMA.as_bytes()),
    ("unattend.xml", include_bytes!("../../../recipes/demo/unattend.xml")),
    ("scripts/hello.cmd", include_bytes!("../../../recipes/demo/scripts/hello.cmd")),
    ("files/build-farm.pub", include_bytes!("../../../recipes/demo/files/build-farm.pub")),
    ("files/explorer.reg", include_bytes!("../../../recipes/demo/files/explorer.reg")),
    ("files/Contoso/agent.ini", include_bytes!("../../../recipes/demo/files/Contoso/agent.ini")),
    (
        "files/Contoso/docs/readme.txt",
        include_bytes!("../../../recipes/demo/files/Contoso/docs/readme.txt"),
    ),
];

/// Writes the demo's workspace below `directory`: `media/install.wim`, `demo.toml`, its schema and its inputs. Files that are there
/// already are left alone, so that a person's changes to the recipe survive a second `transom demo`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_workspace(directory: &Path) -> Result<(), DemoError> {
    let recipe = RECIPE.replacen(SCHEMA_LINES.0, SCHEMA_LINES.1, 1);
    let packages = packages::workspace(base::VERSION);
    let packages = packages.iter().map(|(path, content)| (path.as_str(), content.as_slice()));
    let files = WORKSPACE.iter().copied().chain([("demo.toml", recipe.as_bytes())]);
    for (path, content) in files.chain(packages) {
        let path = directory.join(path);
        if path.exists() {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
    }
    let base = directory.join("media/install.wim");
    if !base.exists() {
        fs::create_dir_all(directory.join("media"))?;
        // Under another name first: a demo that is stopped here must not leave half a base behind.
        let partial = directory.join("media/install.wim.partial");
        write_base(&partial, &BaseSettings::default())?;
        fs::rename(partial, base)?;
    }
    Ok(())
}

/// The bytes of a security descriptor given as SDDL.
fn descriptor(sddl: &str) -> Vec<u8> {
    security::parse_sddl(sddl).expect("the demo's descriptors are tested").to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_finds_the_schema_beside_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        write_workspace(folder.path()).unwrap();
        let recipe = fs::read_to_string(folder.path().join("demo.toml")).unwrap();
        let named = recipe.lines().next().unwrap().strip_prefix("#:schema ").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(named)).unwrap(), SCHEMA);
        // A second time leaves a person's changes alone.
        fs::write(folder.path().join("demo.toml"), "# mine").unwrap();
        write_workspace(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("demo.toml")).unwrap(), "# mine");
    }
}
