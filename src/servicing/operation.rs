//! The closed set of operations.

use crate::image::{Image, ImageFacts};

use super::{
    error::{Problem, ServicingError},
    files, first_boot,
    inputs::{BlobSink, InputId, Inputs},
    registry, services, unattend,
};

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A registry key: its values, or its absence.
    RegistryKey(registry::KeySpec),
    /// A `.reg` file.
    RegistryFile(registry::FileSpec),
    /// How a service starts.
    Service(services::ServiceSpec),
    /// A file or folder.
    Files(files::FilesSpec),
    /// The answer file.
    Unattend(unattend::UnattendSpec),
    /// Scripts for the first boot.
    FirstBoot(first_boot::FirstBootSpec),
}

/// What `prepare` made of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepared {
    /// The operation has no inputs.
    Nothing,
    /// The entries of a `.reg` file.
    RegistryFile(registry::PreparedFile),
    /// Files and folders whose content is in the store.
    Files(files::PreparedFiles),
    /// A checked answer file.
    Unattend(unattend::PreparedUnattend),
    /// Scripts whose content is in the store.
    FirstBoot(first_boot::PreparedFirstBoot),
}

impl Operation {
    /// The kind of operation: `registry`, `service` ...
    #[must_use]
    pub fn name(&self) -> &'static str {
        todo!()
    }

    /// Version of what the kind does to an image; part of every key, raised when the same parameters give another result.
    #[must_use]
    pub fn version(&self) -> u32 {
        1
    }

    /// What it does, for a person: `service RemoteRegistry: disabled`.
    #[must_use]
    pub fn title(&self) -> String {
        todo!()
    }

    /// Its parameters as canonical bytes, for keys.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        todo!()
    }

    /// The inputs it reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<InputId> {
        todo!()
    }

    /// The part that needs the inputs alone.
    ///
    /// # Errors
    /// When an input cannot be read or is not what it should be.
    pub fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Prepared, ServicingError> {
        let _ = (inputs, blobs);
        todo!()
    }

    /// The part that needs the image.
    ///
    /// # Errors
    /// When it cannot be done to this image.
    pub fn apply(&self, prepared: &Prepared, image: &mut Image) -> Result<(), ServicingError> {
        let _ = (prepared, image);
        todo!()
    }

    /// Looks at the image without changing it: what would make the step fail, and what is odd about it.
    pub fn check_image(&self, image: &mut Image, facts: &ImageFacts) -> Vec<Problem> {
        let _ = (image, facts);
        todo!()
    }
}
