//! `--into`: the image that what is inspected would go into.

use std::{path::PathBuf, sync::Arc};

use clap::Args;

use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        commands::wim::select::{self, ImageChoice},
        exit::Failure,
        failures,
    },
    image::Image,
};

/// An image, when one is named.
#[derive(Debug, Args)]
pub(super) struct IntoImage {
    /// The WIM with the image that it would go into
    #[arg(long = "into", value_name = "WIM")]
    into: Option<PathBuf>,

    #[command(flatten)]
    choice: ImageChoice,
}

impl IntoImage {
    /// Opens the image; `None` when none is named.
    pub(super) fn open(&self, context: &Context) -> Result<Option<Image>, Failure> {
        let Some(path) = &self.into else { return Ok(None) };
        let wim = select::open(path, context)?;
        let index = self.choice.one(&wim, path)?;
        let image = Image::open(Arc::clone(&wim), index, &Limits::default());
        image.map(Some).map_err(|error| failures::image(path, error))
    }
}
