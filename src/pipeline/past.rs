//! The images of a past build, made again in memory: the base opened, and what each step did replayed. Nothing is written.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use super::run::Content;
use crate::{
    base::limits::Limits,
    codec::{Codec, Level},
    format::wim::{Wim, WimError},
    image::{Change, Changeset, Image, ImageError, StoredContent, changeset::FileContent},
    plan::{
        base_image,
        memory::{BuiltFrom, BuiltImage, PastBuild},
    },
    store::{RecordKind, ResourceSettings, Store, StoreError},
};

/// The form in which content of the store is looked for first.
const LIKELY: ResourceSettings =
    ResourceSettings { codec: Codec::Lzx, chunk_size: 32 << 10, level: Level::Default };

/// Why a past build cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The record is of a version that did not keep enough.
    #[error("it was built by a version of transom that did not remember what each step did")]
    NotRemembered,
    /// The base is not there or cannot be read.
    #[error("its base image {} cannot be read", .path.display())]
    Base {
        /// The base.
        path: PathBuf,
        /// Why.
        #[source]
        source: WimError,
    },
    /// The base is another one now.
    #[error("its base image {} is no longer the one it was built from", .0.display())]
    BaseChanged(PathBuf),
    /// What a step did, or a file it put, is no longer in the cache.
    #[error("what the step `{step}` did is no longer in the cache")]
    Gone {
        /// The step.
        step: String,
    },
    /// What a step did does not fit the image.
    #[error("what the step `{step}` did cannot be done again")]
    Replay {
        /// The step.
        step: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// The image of the base cannot be opened.
    #[error("image {index} of its base image cannot be opened")]
    Image {
        /// Its number.
        index: u32,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image of a past build.
#[derive(Debug)]
pub struct PastImage {
    /// Its number in the base.
    pub index: u32,
    /// Its name in the output.
    pub name: Option<String>,
    /// Its description in the output.
    pub description: Option<String>,
    /// The image, with the placeholders of secrets.
    pub image: Image,
}

/// The images of `build`, in the order of its output: those that were built, and those of the base that it has too.
///
/// # Errors
/// When its base or something in the cache is gone or is another one now.
pub fn images(build: &PastBuild, store: &Arc<Store>) -> Result<Vec<PastImage>, PastError> {
    let Some(from) = &build.from else { return Err(PastError::NotRemembered) };
    let path = Path::new(&from.path);
    let unreadable = |source| PastError::Base { path: path.to_owned(), source };
    let wim = Wim::open_path(path, &Limits::default()).map(Arc::new).map_err(unreadable)?;
    let built = build.images.iter().map(|built| image(build, built, from, &wim, store));
    let mut images = built.collect::<Result<Vec<_>, _>>()?;
    if from.all {
        let others = (1..=wim.image_count()).filter(|index| build.image(*index).is_none());
        for index in others {
            let image = Image::open(Arc::clone(&wim), index, &Limits::default())
                .map_err(|source| PastError::Image { index, source })?;
            let xml = wim.xml();
            let name = xml.image_name(index).map(str::to_owned);
            let description = xml.image(index).and_then(|image| image.text(&["DESCRIPTION"]));
            let description = description.map(str::to_owned);
            images.push(PastImage { index, name, description, image });
        }
        images.sort_by_key(|image| image.index);
    }
    Ok(images)
}

fn image(
    build: &PastBuild,
    built: &BuiltImage,
    from: &BuiltFrom,
    wim: &Arc<Wim>,
    store: &Arc<Store>,
) -> Result<PastImage, PastError> {
    let index = built.image;
    // All content of an image is named, by SHA-1, in what its identity is made of.
    if base_image::identity(wim, index).ok() != Some(built.identity) {
        return Err(PastError::BaseChanged((&from.path).into()));
    }
    let mut image = Image::open(Arc::clone(wim), index, &Limits::default())
        .map_err(|source| PastError::Image { index, source })?;
    image.set_epoch(from.epoch);
    let content = Content { store: Arc::clone(store), lost: AtomicBool::new(false) };
    image.set_stored_content(Arc::new(content) as Arc<dyn StoredContent>);
    for step in build.steps_of(index) {
        let Some(digest) = &step.changeset else { continue };
        let gone = || PastError::Gone { step: step.name.clone() };
        let bytes = store.record(RecordKind::Changeset, digest)?.ok_or_else(gone)?;
        let changeset = Changeset::from_bytes(&bytes).ok_or_else(gone)?;
        for change in &changeset.0 {
            if let Change::PutFile { content: FileContent::Stored(blob), .. } = change
                && !store.has_blob(blob, &LIKELY)?
            {
                return Err(gone());
            }
        }
        image
            .replay(&changeset)
            .map_err(|source| PastError::Replay { step: step.name.clone(), source })?;
    }
    let (name, description) = (built.name.clone(), built.description.clone());
    Ok(PastImage { index, name, description, image })
}
