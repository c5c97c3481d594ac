//! The base image: opened, the right image found in it, what it must be compared with what it is.

use std::{path::Path, sync::Arc};

use super::{error::PlanError, key};
use crate::{
    base::{digest::Blake3, limits::Limits},
    format::wim::{Wim, WimError, WimXml},
    image::{Architecture, Image, ImageError, ImageFacts},
    recipe::{BaseImage, BaseSection, Finding, Findings, ImageSelect, Located, finding::nearest},
    store::{RecordKind, Stamp, Store},
};

/// Opens the base WIM.
///
/// # Errors
/// When it is missing, is no WIM, or is of a kind this version does not read.
pub fn open(base: &BaseSection, limits: &Limits) -> Result<Arc<Wim>, PlanError> {
    let path: &Path = &base.wim.value;
    Wim::open_path(path, limits).map(Arc::new).map_err(|error| {
        let (shown, tried) = (path.display(), super::inputs::absolute(path));
        let damaged = || {
            format!("a build only reads the base; `transom wim verify {shown}` may say more, or get the file again")
        };
        let (label, help) = match &error {
            _ if matches!(path.try_exists(), Ok(false)) => (
                format!("{} is not there", tried.display()),
                super::inputs::missing_help(&base.wim.origin),
            ),
            WimError::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => (
                error.to_string(),
                "this user may not read it: change its permissions, or build as a user who may".to_owned(),
            ),
            error => (error.to_string(), remedy(error).map_or_else(damaged, str::to_owned)),
        };
        let message = "the base image cannot be opened";
        PlanError::Inputs(
            Finding::at(&base.wim.origin, "base::unreadable", message, label, help).into(),
        )
    })
}

/// True when each open file was at its stamp from its opening until now, and its path still names it: then all that was read of it is
/// what was hashed. A WIM that is no file never changes.
#[must_use]
pub fn is_unchanged(wim: &Wim, stamps: &[Stamp]) -> bool {
    wim.volumes().iter().zip(stamps).all(|(volume, stamp)| {
        let Some(file) = volume.source().as_file() else { return true };
        let is_same = |metadata: std::io::Result<std::fs::Metadata>| {
            metadata.is_ok_and(|metadata| Stamp::of(&metadata) == *stamp)
        };
        Stamp::of(file.opened()) == *stamp
            && is_same(file.metadata())
            && is_same(fs_err::metadata(file.path()))
    })
}

/// The files of an open WIM: itself, and the further parts of a split set.
#[must_use]
pub fn files(wim: &Wim) -> Vec<&Path> {
    wim.volumes().iter().filter_map(|volume| Some(volume.source().as_file()?.path())).collect()
}

/// What another tool can do about a WIM of a kind that this version does not read.
#[must_use]
pub fn remedy(error: &WimError) -> Option<&'static str> {
    match error {
        WimError::Volumes { .. } => Some(
            "put all parts of the set into one folder, under the names they had (x.swm, x2.swm, x3.swm ...), and name the first",
        ),
        WimError::Unsupported { what } if what.starts_with("pipable") => Some(
            "`wimlib-imagex export IN.wim all OUT.wim --not-pipable` makes a WIM that can be read",
        ),
        WimError::Unsupported { what } if what.starts_with("encrypted") => Some(
            "an encrypted ESD is what the download service hands out: take the one from the finished installation media",
        ),
        WimError::Unsupported { what } if what.starts_with("the old WIM") => Some(
            "export it with the tool of its time (ImageX of the Windows AIK) into a current WIM",
        ),
        WimError::NotAWim { .. } => Some(
            "give the .wim file itself; in installation media it is sources/install.wim or sources/boot.wim",
        ),
        _ => None,
    }
}

/// The images that the recipe selects, in its order: each by its number, from 1.
///
/// # Errors
/// One finding for each that is not there, is not the only one of that name, or was selected before; what is there is listed.
pub fn select<'a>(
    base: &'a BaseSection,
    wim: &Wim,
) -> Result<Vec<(u32, &'a BaseImage)>, PlanError> {
    let mut selected: Vec<(u32, &BaseImage)> = Vec::new();
    let mut findings = Vec::new();
    for image in &base.images {
        match matching(&image.select, wim) {
            Ok(indexes) => {
                for index in indexes {
                    match selected.iter().find(|(known, _)| *known == index) {
                        None => selected.push((index, image)),
                        Some((_, first)) => findings.push(twice(image, first, index, wim)),
                    }
                }
            }
            Err(finding) => findings.push(finding),
        }
    }
    Findings::check(findings).map_err(PlanError::Refused)?;
    Ok(selected)
}

/// An image that is selected again.
fn twice(image: &BaseImage, first: &BaseImage, index: u32, wim: &Wim) -> Finding {
    Finding::at(
        &image.select.origin,
        "base::image-twice",
        "an image of the base is selected twice",
        format!("this is {} again", describe(wim.xml(), index)),
        "take one of them away; two images from one are two variants: see [matrix]",
    )
    .and(&first.select.origin, "it was selected here")
}

/// The numbers of the images that `selected` means: one, or all.
fn matching(selected: &Located<ImageSelect>, wim: &Wim) -> Result<Vec<u32>, Finding> {
    let xml = wim.xml();
    let all = 1..=wim.image_count();
    let matching: Vec<u32> = match &selected.value {
        ImageSelect::All => return Ok(all.collect()),
        ImageSelect::Index(index) => all.clone().filter(|known| known == index).collect(),
        ImageSelect::Edition(edition) => {
            let same = |known: &str| known.eq_ignore_ascii_case(edition);
            all.clone().filter(|known| xml.image_flags_edition(*known).is_some_and(same)).collect()
        }
        ImageSelect::Name(name) => {
            let exact: Vec<u32> =
                all.clone().filter(|known| xml.image_name(*known) == Some(name)).collect();
            let same = |known: &str| known.to_lowercase() == name.to_lowercase();
            match exact.is_empty() {
                true => {
                    all.clone().filter(|known| xml.image_name(*known).is_some_and(same)).collect()
                }
                false => exact,
            }
        }
    };
    let (what, names): (String, Vec<&str>) = match &selected.value {
        ImageSelect::All => ("an image".to_owned(), Vec::new()),
        ImageSelect::Index(index) => (format!("image {index}"), Vec::new()),
        ImageSelect::Edition(edition) => (
            format!("an image of edition `{edition}`"),
            all.clone().filter_map(|index| xml.image_flags_edition(index)).collect(),
        ),
        ImageSelect::Name(name) => (
            format!("an image named `{name}`"),
            all.clone().filter_map(|index| xml.image_name(index)).collect(),
        ),
    };
    let refuse = |code: &'static str, message: String, help: String| {
        let there: Vec<String> = all.clone().map(|index| describe(xml, index)).collect();
        let label = format!("the file has {}", there.join(", "));
        Err(Finding::at(&selected.origin, code, message, label, help))
    };
    match matching.as_slice() {
        [_] => Ok(matching),
        [] => {
            let given = match &selected.value {
                ImageSelect::Edition(text) | ImageSelect::Name(text) => text.as_str(),
                ImageSelect::Index(_) | ImageSelect::All => "",
            };
            let help = nearest(given, names).map(|name| format!("did you mean `{name}`?"));
            refuse(
                "base::no-such-image",
                format!("the base has not {what}"),
                help.unwrap_or_default(),
            )
        }
        several => refuse(
            "base::several-images",
            format!("the base has {} times {what}", several.len()),
            "select it by `index`, which is always one".to_owned(),
        ),
    }
}

/// `2 "Windows 11 Pro" (Professional)`.
fn describe(xml: &WimXml, index: u32) -> String {
    let name = xml.image_name(index).map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let edition =
        xml.image_flags_edition(index).map(|edition| format!(" ({edition})")).unwrap_or_default();
    format!("{index}{name}{edition}")
}

/// The identity of an image: from the SHA-1 of its metadata, which names all its content.
///
/// # Errors
/// When there is no such image.
pub fn identity(wim: &Wim, index: u32) -> Result<Blake3, WimError> {
    let metadata = wim.metadata_blob(index)?.sha1;
    Ok(key::key("transom base image 1", &[&metadata.0]))
}

/// Opens an image.
type Open<'a> = Box<dyn Fn() -> Result<Image, ImageError> + 'a>;

/// An image, opened when the first one asks for it.
pub struct LazyImage<'a> {
    open: Open<'a>,
    store: &'a Store,
    identity: Blake3,
    fresh: bool,
    image: Option<Image>,
    facts: Option<ImageFacts>,
}

impl std::fmt::Debug for LazyImage<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LazyImage")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl<'a> LazyImage<'a> {
    /// The image that `open` opens, not opened yet. `fresh`: what is remembered of it is not believed.
    #[must_use]
    pub fn new(
        open: impl Fn() -> Result<Image, ImageError> + 'a,
        identity: Blake3,
        store: &'a Store,
        fresh: bool,
    ) -> Self {
        Self { open: Box::new(open), store, identity, fresh, image: None, facts: None }
    }

    /// The identity of the base image.
    #[must_use]
    pub fn identity(&self) -> Blake3 {
        self.identity
    }

    /// The image.
    ///
    /// # Errors
    /// When its metadata is damaged.
    pub fn image(&mut self) -> Result<&mut Image, ImageError> {
        let image = match self.image.take() {
            Some(image) => image,
            None => (self.open)()?,
        };
        Ok(self.image.insert(image))
    }

    /// What is known of the image: remembered in the store, so that an unchanged base is not looked into again. What could not be read
    /// whole is not remembered: a failed read may succeed next time.
    ///
    /// # Errors
    /// When the image or the store cannot be read.
    pub fn facts(&mut self) -> Result<ImageFacts, FactsError> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let key = key::key("transom image facts 2", &[&self.identity.0, version]);
        let known = match self.fresh {
            true => None,
            false => self.store.json(RecordKind::Check, &key)?,
        };
        let facts = match known {
            Some(facts) => {
                tracing::debug!("facts of image {}: remembered as {key}", self.identity);
                facts
            }
            None => {
                tracing::debug!(
                    "facts of image {}: not remembered, looking into it ({key})",
                    self.identity
                );
                let facts = self.image()?.facts();
                if facts.warnings.is_empty() {
                    self.store.put_json(RecordKind::Check, &key, &facts)?;
                }
                facts
            }
        };
        Ok(self.facts.insert(facts).clone())
    }
}

/// Why facts cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// Compares the image with what the recipe expects of it. What the hives do not say is taken from the WIM's XML.
///
/// # Errors
/// One finding for each expectation that does not hold.
pub fn check_expectations(
    base: &BaseSection,
    facts: &ImageFacts,
    xml: &WimXml,
    index: u32,
) -> Result<(), Findings> {
    let mut findings = Vec::new();
    let element = xml.image(index);
    let text = |path: &[&str]| element.and_then(|element| element.text(path)).map(str::to_owned);
    let mut check = |what: &str, wanted: &Located<String>, found: Option<String>, same: bool| {
        if same {
            return;
        }
        let message = format!("the base image is not of the expected {what}");
        let label = match found {
            Some(found) => format!("it is {found}"),
            None => format!("its {what} is not known"),
        };
        let help = "change `expect`, or take another base image";
        findings.push(Finding::at(&wanted.origin, "base::unexpected", message, label, help));
    };
    if let Some(wanted) = &base.expect.arch {
        let found = facts.architecture.map(architecture_word).map(str::to_owned).or_else(|| {
            let number = text(&["WINDOWS", "ARCH"])?;
            Some(architecture_of_number(&number).map_or(number, str::to_owned))
        });
        let same = found.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(&wanted.value));
        check("architecture", wanted, found, same);
    }
    if let Some(wanted) = &base.expect.build {
        let build = facts.build.map(|build| build.to_string());
        let build = build.or_else(|| text(&["WINDOWS", "VERSION", "BUILD"]));
        let revision = facts.revision.map(|revision| revision.to_string());
        let revision = revision.or_else(|| text(&["WINDOWS", "VERSION", "SPBUILD"]));
        let full = build.map(|build| match revision {
            Some(revision) => format!("{build}.{revision}"),
            None => build,
        });
        let same = full.as_ref().is_some_and(|full| {
            *full == wanted.value
                || full.strip_prefix(&wanted.value).is_some_and(|rest| rest.starts_with('.'))
        });
        check("build", wanted, full, same);
    }
    Findings::check(findings)
}

fn architecture_word(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "x86",
        Architecture::Arm => "arm",
        Architecture::Ia64 => "ia64",
        Architecture::Amd64 => "amd64",
        Architecture::Arm64 => "arm64",
    }
}

/// The numbers of `WINDOWS/ARCH` are those of `PROCESSOR_ARCHITECTURE_*`.
fn architecture_of_number(number: &str) -> Option<&'static str> {
    Some(match number {
        "0" => "x86",
        "5" => "arm",
        "6" => "ia64",
        "9" => "amd64",
        "12" => "arm64",
        _ => return None,
    })
}
