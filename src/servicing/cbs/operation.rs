//! Packages and features as operations: titles, inputs, and the way to the rooms that do the work.

use crate::{
    image::{Image, ImageFacts},
    servicing::{
        error::{Problem, ServicingError},
        inputs::{BlobSink, InputId, Inputs},
    },
};

use super::{
    PreparedPackages,
    spec::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject},
};

impl PackageSpec {
    /// The kind of operation: `package`, `language` or `capability`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.subject {
            PackageSubject::Package(_) => "package",
            PackageSubject::Language(_) => "language",
            PackageSubject::Capability(_) => "capability",
        }
    }

    /// The name in the recipe.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.subject {
            PackageSubject::Package(name)
            | PackageSubject::Language(name)
            | PackageSubject::Capability(name) => name,
        }
    }

    pub(in crate::servicing) fn title(&self) -> String {
        match &self.action {
            PackageAction::Present { source: Some(source), .. } => {
                format!("{} {} from {source}", self.kind(), self.name())
            }
            PackageAction::Present { source: None, .. } => {
                format!("{} {}", self.kind(), self.name())
            }
            PackageAction::Absent { .. } => format!("{} {}: absent", self.kind(), self.name()),
        }
    }

    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        match &self.action {
            PackageAction::Present { source, .. } => source.iter().cloned().collect(),
            PackageAction::Absent { .. } => Vec::new(),
        }
    }

    /// The part that needs the inputs alone; `None` without a source.
    pub(in crate::servicing) fn prepare(
        &self,
        _inputs: &dyn Inputs,
        _blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedPackages>, ServicingError> {
        Err(not_yet(self.kind(), self.name()))
    }

    pub(in crate::servicing) fn apply(
        &self,
        _prepared: Option<&PreparedPackages>,
        _image: &mut Image,
    ) -> Result<(), ServicingError> {
        Err(not_yet(self.kind(), self.name()))
    }

    /// What the source tells by itself: what `check` says of it.
    pub(in crate::servicing) fn defects(&self, prepared: &PreparedPackages) -> Vec<Problem> {
        prepared.folders.iter().flat_map(|folder| folder.not_native.clone()).collect()
    }

    /// What stands against it in this image; `prepared` is `None` without a source.
    pub(in crate::servicing) fn check(
        &self,
        _prepared: Option<&PreparedPackages>,
        _image: &mut Image,
        _facts: &ImageFacts,
    ) -> Vec<Problem> {
        vec![not_yet(self.kind(), self.name()).into_problem()]
    }
}

impl FeatureSpec {
    pub(in crate::servicing) fn title(&self) -> String {
        let state = match self.state {
            FeatureState::Enabled => "enabled",
            FeatureState::Disabled => "disabled",
            FeatureState::Removed => "removed",
        };
        format!("feature {}: {state}", self.name)
    }

    pub(in crate::servicing) fn inputs(&self) -> Vec<InputId> {
        self.source.iter().cloned().collect()
    }

    /// The part that needs the inputs alone; `None` without a source.
    pub(in crate::servicing) fn prepare(
        &self,
        _inputs: &dyn Inputs,
        _blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedPackages>, ServicingError> {
        Err(not_yet("feature", &self.name))
    }

    pub(in crate::servicing) fn apply(
        &self,
        _prepared: Option<&PreparedPackages>,
        _image: &mut Image,
    ) -> Result<(), ServicingError> {
        Err(not_yet("feature", &self.name))
    }

    /// What stands against it in this image; `prepared` is `None` without a source.
    pub(in crate::servicing) fn check(
        &self,
        _prepared: Option<&PreparedPackages>,
        _image: &mut Image,
        _facts: &ImageFacts,
    ) -> Vec<Problem> {
        vec![not_yet("feature", &self.name).into_problem()]
    }
}

fn not_yet(kind: &'static str, name: &str) -> ServicingError {
    ServicingError::refused(kind, Problem::error(name, "it cannot be installed yet", ""))
}
