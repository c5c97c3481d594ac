//! Opening a WIM and choosing images in it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use fs_err as fs;

use crate::{
    base::limits::Limits,
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures, text,
    },
    format::wim::{ImageMetadata, Wim, WimError},
    image::Image,
};

/// Which image of a WIM.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ImageChoice {
    /// The image's number, from 1
    #[arg(long, value_name = "N", conflicts_with = "image", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) index: Option<u32>,

    /// The image's name
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<String>,
}

/// Which images of a WIM.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ImageChoices {
    /// An image's number, from 1; may be repeated
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) index: Vec<u32>,

    /// An image's name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Vec<String>,
}

impl ImageChoices {
    /// The chosen images, in the order they were named: by number, then by name. Without a choice, the only one.
    pub(crate) fn some(&self, wim: &Wim, path: &Path) -> Result<Vec<u32>, Failure> {
        if self.index.is_empty() && self.image.is_empty() {
            return ImageChoice::default().one(wim, path).map(|index| vec![index]);
        }
        self.named(wim, path)
    }

    /// The chosen images. Without a choice it is a usage error.
    pub(crate) fn named(&self, wim: &Wim, path: &Path) -> Result<Vec<u32>, Failure> {
        let by_number = self.index.iter().map(|&index| (Some(index), None));
        let by_name = self.image.iter().map(|name| (None, Some(name.clone())));
        let chosen = by_number
            .chain(by_name)
            .map(|(index, image)| ImageChoice { index, image }.one(wim, path))
            .collect::<Result<Vec<u32>, Failure>>()?;
        if chosen.is_empty() {
            return Err(Problem::new(
                "wim::which-image",
                format!("name images of {} with --index or --image", path.display()),
            )
            .help(image_list(wim))
            .exit(Exit::Usage));
        }
        Ok(chosen)
    }
}

/// Opens a WIM with others that have content of it; what is odd about it becomes warnings.
pub(crate) fn open_with(
    path: &Path,
    references: &[String],
    context: &Context,
) -> Result<Arc<Wim>, Failure> {
    open_parts(path, &files(references)?, context)
}

/// Opens a WIM with parts or other files that have content of it; what is odd about it becomes warnings.
pub(crate) fn open_parts(
    path: &Path,
    others: &[PathBuf],
    context: &Context,
) -> Result<Arc<Wim>, Failure> {
    told(Wim::open_with(path, others, &Limits::default()), path, context)
}

/// The files that patterns mean. `*`, `?` and `[...]` stand for parts of a file's name, not of its folder's.
fn files(patterns: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for pattern in patterns {
        let path = Path::new(pattern);
        if fs::symlink_metadata(path).is_ok() {
            found.push(path.to_owned());
            continue;
        }
        let none = || Failure::usage(format!("no file is named, or matches, `{pattern}`"));
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(none)?;
        let matcher = globset::Glob::new(name).map_err(|_| none())?.compile_matcher();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let before = found.len();
        for entry in fs::read_dir(folder).map_err(|_| none())?.flatten() {
            if matcher.is_match(Path::new(&entry.file_name())) {
                found.push(entry.path());
            }
        }
        if found.len() == before {
            return Err(none());
        }
        found[before..].sort();
    }
    Ok(found)
}

/// Opens a WIM; what is odd about it becomes warnings.
pub(crate) fn open(path: &Path, context: &Context) -> Result<Arc<Wim>, Failure> {
    told(Wim::open_path(path, &Limits::default()), path, context)
}

fn told(
    opened: Result<Wim, WimError>,
    path: &Path,
    context: &Context,
) -> Result<Arc<Wim>, Failure> {
    let wim = opened.map_err(|error| failures::wim_read(path, error))?;
    for warning in wim.warnings() {
        context.printer.warn(format_args!("{}: {warning}", path.display()));
    }
    Ok(Arc::new(wim))
}

/// The tree of an image; what is odd about it becomes warnings.
pub(crate) fn metadata(
    wim: &Wim,
    path: &Path,
    index: u32,
    context: &Context,
) -> Result<ImageMetadata, Failure> {
    let metadata = wim.metadata(index).map_err(|error| failures::wim_read(path, error))?;
    for warning in &metadata.warnings {
        context.printer.warn(format_args!("{}: image {index}: {warning}", path.display()));
    }
    Ok(metadata)
}

/// An image; what is odd about its tree becomes warnings.
pub(crate) fn image(
    wim: &Arc<Wim>,
    path: &Path,
    index: u32,
    context: &Context,
) -> Result<Image, Failure> {
    let image = Image::open(Arc::clone(wim), index, &Limits::default())
        .map_err(|error| failures::image(path, error))?;
    for warning in image.warnings() {
        context.printer.warn(format_args!("{}: image {index}: {warning}", path.display()));
    }
    Ok(image)
}

impl ImageChoice {
    /// The chosen image. Without a choice, the only one.
    pub(crate) fn one(&self, wim: &Wim, path: &Path) -> Result<u32, Failure> {
        match self.any(wim, path)?.as_slice() {
            [only] => Ok(*only),
            [] => Err(no_image(path, "has no images", wim)),
            several => Err(Problem::new(
                "wim::which-image",
                format!(
                    "{} has {} images: choose one with --index or --image",
                    path.display(),
                    several.len()
                ),
            )
            .help(image_list(wim))
            .exit(Exit::Usage)),
        }
    }

    /// The chosen image; without a choice, all of them.
    pub(crate) fn any(&self, wim: &Wim, path: &Path) -> Result<Vec<u32>, Failure> {
        if let Some(index) = self.index {
            if index > wim.image_count() {
                return Err(no_image(path, &format!("has no image {index}"), wim));
            }
            return Ok(vec![index]);
        }
        let all = 1..=wim.image_count();
        let Some(name) = &self.image else { return Ok(all.collect()) };
        let named = |exact: bool| {
            all.clone().find(|index| {
                wim.xml().image_name(*index).is_some_and(|found| {
                    if exact { found == name } else { found.to_lowercase() == name.to_lowercase() }
                })
            })
        };
        named(true).or_else(|| named(false)).map(|index| vec![index]).ok_or_else(|| {
            let near =
                text::nearest(name, all.clone().filter_map(|index| wim.xml().image_name(index)));
            let hint = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
            no_image(path, &format!("has no image named `{name}`{hint}"), wim)
        })
    }
}

fn no_image(path: &Path, what: &str, wim: &Wim) -> Failure {
    Problem::new("wim::no-such-image", format!("{} {what}", path.display()))
        .help(image_list(wim))
        .exit(Exit::BadInput)
}

/// The images by number and name, for help texts.
pub(crate) fn image_list(wim: &Wim) -> String {
    (1..=wim.image_count()).fold(String::from("its images are:"), |mut list, index| {
        let _ = write!(list, "\n  {index}  {}", wim.xml().image_name(index).unwrap_or("(no name)"));
        list
    })
}
