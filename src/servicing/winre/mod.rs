//! The recovery image inside the image: `Windows\\System32\\Recovery\\winre.wim`, a WIM in a WIM.
//!
//! What shall be in it is a list of operations like those of the image itself. They are done to it by the same engine; that is the pipeline's work, because
//! it needs the store and writes a WIM. What is left for here is the file: finding it, opening it, and putting the serviced one in its place. It keeps
//! its attributes, its security and its times; only the content is another.
//!
//! A recovery image never boots Windows itself, so nothing in it can be left to a first boot.

mod inventory;

use std::{
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

use crate::{
    base::{
        digest::Sha1,
        limits::Limits,
        name::Name,
        ntpath::NtPath,
        read_at::{FileSource, ReadAt},
    },
    format::wim::{Blob, BlobContent, Wim, WimError},
    image::{BlobRef, Image, NewNode},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::InputId,
    operation::Operation,
    own_file,
};

pub use inventory::{WinReInventory, inventory};

const OPERATION: &str = "winre";
/// Where the file is, below the folder of Windows.
const PLACE: [&str; 3] = ["System32", "Recovery", "winre.wim"];

/// What shall be in the recovery image.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WinReSpec {
    /// What is done to it, in the recipe's order.
    pub operations: Vec<Operation>,
}

/// The serviced recovery image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PreparedWinRe {
    /// SHA-1 of the file that it was made from.
    pub from: Sha1,
    /// The new content; `None` when the operations changed nothing.
    pub wim: Option<StoredBlob>,
    /// What was odd.
    pub warnings: Vec<String>,
}

/// Where the recovery image of an image is.
#[must_use]
pub fn path(image: &Image) -> NtPath {
    let mut names = vec![image.system_root()];
    names.extend(PLACE.map(Name::from));
    NtPath::from_names(names)
}

/// The content of the recovery image of an image; `None` when it has none.
#[must_use]
pub fn content(image: &Image) -> Option<BlobRef> {
    let inode = image.tree().inode(image.tree().lookup(&path(image))?);
    let content = inode.data();
    let is_file = !inode.is_directory() && !inode.is_reparse_point();
    (is_file && !content.sha1.is_zero()).then_some(content)
}

/// Opens the WIM that is the content `blob` of `outer`. What is compressed together with other content is decoded into a temporary file, which `scratch` makes, first:
/// reading it here and there would decode it again and again.
///
/// # Errors
/// When it cannot be read, or is no WIM.
pub fn open(
    outer: &Arc<Wim>,
    blob: &Blob,
    limits: &Limits,
    scratch: impl FnOnce() -> io::Result<File>,
) -> Result<Wim, WimError> {
    let source: Arc<dyn ReadAt> = match blob.solid {
        None => Arc::new(BlobContent::new(Arc::clone(outer), *blob)?),
        Some(_) => {
            let mut file = scratch()?;
            outer.stream_blob(blob, &mut |part| file.write_all(part))?;
            Arc::new(FileSource::of(file, "winre.wim")?)
        }
    };
    Wim::open(source, limits)
}

/// The image of a recovery WIM that is serviced: the one that boots, else the first.
#[must_use]
pub fn index(wim: &Wim) -> u32 {
    wim.header().boot_index.max(1)
}

impl WinReSpec {
    pub(super) fn title(&self) -> String {
        match self.operations.len() {
            1 => "winre: 1 step in the recovery image".to_owned(),
            count => format!("winre: {count} steps in the recovery image"),
        }
    }

    pub(super) fn inputs(&self) -> Vec<InputId> {
        let mut inputs = Vec::new();
        for id in self.operations.iter().flat_map(Operation::inputs) {
            if !inputs.contains(&id) {
                inputs.push(id);
            }
        }
        inputs
    }

    /// Puts the serviced recovery image in its place.
    pub(super) fn apply(
        &self,
        prepared: &PreparedWinRe,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let path = path(image);
        let refused = |cause: &str, help: &str| {
            let problem = Problem::error(path.to_string(), cause, help);
            ServicingError::refused(OPERATION, problem)
        };
        let found = content(image).filter(|found| found.sha1 == prepared.from);
        let Some(node) = image.tree().lookup(&path).filter(|_| found.is_some()) else {
            return Err(refused(
                "an earlier step replaced or removed it",
                "service the file that is put there by itself, or let the image keep its own",
            ));
        };
        let Some(wim) = prepared.wim else { return Ok(()) };
        let last_write = Some(image.tree().inode(node).last_write_time);
        let options = NewNode { last_write, ..NewNode::default() };
        own_file::put_file(image, &path, wim, &options)
            .map_err(|error| ServicingError::image(OPERATION, &path.to_string(), error))
    }

    /// What would make the step fail that is not about what is inside.
    pub(super) fn check(&self, image: &Image) -> Vec<Problem> {
        if content(image).is_some() {
            return Vec::new();
        }
        let cause = "the image has no recovery image there";
        let help = "take [winre] away, or build on an image that has one";
        vec![Problem::error(path(image).to_string(), cause, help)]
    }
}

impl PreparedWinRe {
    pub(super) fn warnings(&self) -> Vec<Problem> {
        let warning = |text: &String| Problem::warning(OPERATION, text.clone(), "");
        self.warnings.iter().map(warning).collect()
    }
}
