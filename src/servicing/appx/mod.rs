//! Provisioned apps.

use crate::image::{Image, ImageFacts};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs},
};

/// What a recipe says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppxSpec {}

/// What `prepare` made of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedAppx {}

impl AppxSpec {
    pub(super) fn title(&self) -> String {
        "appx".to_owned()
    }

    pub(super) fn inputs(&self) -> Vec<InputId> {
        Vec::new()
    }

    /// `None` when there is nothing to prepare.
    pub(super) fn prepare(
        &self,
        _inputs: &dyn Inputs,
        _blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedAppx>, ServicingError> {
        Ok(None)
    }

    pub(super) fn apply(
        &self,
        _prepared: Option<&PreparedAppx>,
        _image: &mut Image,
    ) -> Result<(), ServicingError> {
        Ok(())
    }

    /// `prepared` is `None` before the inputs were read, and where there are none.
    pub(super) fn check(
        &self,
        _prepared: Option<&PreparedAppx>,
        _image: &mut Image,
        _facts: &ImageFacts,
    ) -> Vec<Problem> {
        Vec::new()
    }
}
