//! The files of an app that is to be installed: read for what they are, and kept in the store.

use std::{io::Read as _, sync::Arc};

use crate::{
    base::read_at::ReadAt,
    format::{
        cbs::xml::Element,
        zip::{ZipArchive, ZipError},
    },
    image::{Architecture, ImageFacts},
    servicing::{
        archive,
        error::{Problem, ServicingError},
        inputs::{BlobSink, InputId, Inputs, read_file, single_file},
    },
    store::StoredBlob,
};

use super::{
    NAME,
    inventory::Found,
    manifest::{BUNDLE, Manifest, PACKAGE},
    name::{AppName, FullName, version},
};

/// Ends of file names that Windows' deployment takes.
const ENDINGS: [&str; 4] = ["appx", "msix", "appxbundle", "msixbundle"];
/// Largest manifest, in bytes.
const LARGEST: u64 = 16 << 20;

/// An app that is to be installed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedAppx {
    pub(super) package: PreparedFile,
    pub(super) manifest: Manifest,
    pub(super) dependencies: Vec<(PreparedFile, Manifest)>,
    pub(super) license: Option<PreparedFile>,
}

/// A file that waits for the first boot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PreparedFile {
    /// As the recipe names it.
    pub(super) shown: String,
    pub(super) content: StoredBlob,
}

/// Reads and keeps the files of an app.
pub(super) fn prepare(
    source: &InputId,
    license: Option<&InputId>,
    dependencies: &[InputId],
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<PreparedAppx, ServicingError> {
    let (package, manifest) = read_package(source, inputs, blobs)?;
    let dependencies = dependencies
        .iter()
        .map(|id| read_package(id, inputs, blobs))
        .collect::<Result<Vec<_>, _>>()?;
    let license = license.map(|id| read_license(id, inputs, blobs)).transpose()?;
    Ok(PreparedAppx { package, manifest, dependencies, license })
}

fn read_package(
    id: &InputId,
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<(PreparedFile, Manifest), ServicingError> {
    let refuse = |cause: String, help: &str| {
        ServicingError::refused(NAME, Problem::error(&id.0, cause, help))
    };
    let known = id
        .0
        .rsplit_once('.')
        .is_some_and(|(_, ending)| ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)));
    if !known {
        let cause = "Windows tells app packages by the ends of their names".to_owned();
        return Err(refuse(cause, "give an .appx, .msix, .appxbundle or .msixbundle"));
    }
    let (content, blake3) = single_file(NAME, inputs, id)?;
    let bytes = manifest_of(id, &content)?;
    let manifest = Manifest::parse(&bytes).map_err(|error| {
        refuse(format!("its manifest cannot be read: {error}"), "get the file again")
    })?;
    let content = blobs.put(&id.0, content.as_ref(), &blake3)?;
    Ok((PreparedFile { shown: id.0.clone(), content }, manifest))
}

/// The manifest in a package or bundle.
fn manifest_of(id: &InputId, content: &Arc<dyn ReadAt>) -> Result<Vec<u8>, ServicingError> {
    let refuse = |cause: String| {
        let help = "an app package is a ZIP archive with AppxManifest.xml; encrypted ones (.eappx) cannot be read";
        ServicingError::refused(NAME, Problem::error(&id.0, cause, help))
    };
    let of_zip = |error: ZipError| match error {
        ZipError::Io(source) => ServicingError::input(&id.0, source),
        error => refuse(error.to_string()),
    };
    let magic: [u8; 4] = archive::magic(&id.0, content.as_ref())?;
    if magic != crate::format::zip::MAGIC {
        return Err(refuse("it is no app package".to_owned()));
    }
    let zip = ZipArchive::open(Arc::clone(content)).map_err(of_zip)?;
    let named = |file: &str| {
        zip.members().iter().find(|member| member.name.eq_ignore_ascii_case(file)).cloned()
    };
    let Some(wanted) = named(BUNDLE).or_else(|| named(PACKAGE)) else {
        return Err(refuse("it is no app package: it has no manifest".to_owned()));
    };
    if wanted.size > LARGEST {
        return Err(refuse(format!("its manifest has {} bytes", wanted.size)));
    }
    let mut bytes = Vec::new();
    zip.extract(|member| *member == wanted, &mut |_, content| {
        bytes.clear();
        content.take(LARGEST).read_to_end(&mut bytes).map(drop)
    })
    .map_err(of_zip)?;
    Ok(bytes)
}

fn read_license(
    id: &InputId,
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<PreparedFile, ServicingError> {
    let bytes = read_file(NAME, inputs, id)?;
    let cause = match Element::parse(&bytes) {
        Ok(root) if root.name == "License" => None,
        Ok(root) => Some(format!("its root element is <{}>, not <License>", root.name)),
        Err(error) => Some(error.to_string()),
    };
    if let Some(cause) = cause {
        let help = "give the licence file that came with the package (..._License1.xml)";
        return Err(ServicingError::refused(NAME, Problem::error(&id.0, cause, help)));
    }
    let (content, blake3) = single_file(NAME, inputs, id)?;
    Ok(PreparedFile { shown: id.0.clone(), content: blobs.put(&id.0, content.as_ref(), &blake3)? })
}

impl PreparedAppx {
    /// The files, the package first.
    pub(super) fn files(&self) -> impl Iterator<Item = &PreparedFile> {
        let dependencies = self.dependencies.iter().map(|(file, _)| file);
        std::iter::once(&self.package).chain(dependencies).chain(&self.license)
    }

    /// The version in the image that makes the package unnecessary.
    pub(super) fn there<'a>(&self, found: &'a Found) -> Option<&'a FullName> {
        let own = self.manifest.full_name()?;
        found
            .provisioned()
            .filter(|full| full.family().eq_ignore_ascii_case(&own.family()))
            .filter(|full| version(&full.version) >= version(&own.version))
            .max_by_key(|full| version(&full.version))
    }

    /// What stands against it whatever is done with it.
    pub(super) fn problems(&self, name: &str, found: &Found, facts: &ImageFacts) -> Vec<Problem> {
        let mut problems = Vec::new();
        let shown = &self.package.shown;
        if let Some(own) = self.manifest.full_name()
            && !AppName::of(name).means(&own)
        {
            problems.push(Problem::error(
                shown,
                format!("it is {own}, and the recipe calls it `{name}`"),
                format!("write [appx] \"{}\" = {{ source = ... }}", own.name),
            ));
        }
        if let Some(image) = facts.architecture {
            problems.extend(self.architecture(image));
        }
        let windows = [facts.major, facts.minor, facts.build, facts.revision];
        let image: Vec<u32> = windows.iter().map_while(|number| *number).collect();
        if let Some(text) = &self.manifest.windows
            && let Some(least) = version(text)
            && image.len() >= 3
            && image.as_slice() < &least[..image.len()]
        {
            let image: Vec<String> = image.iter().map(ToString::to_string).collect();
            problems.push(Problem::error(
                shown,
                format!("it needs Windows {text}, the image is {}", image.join(".")),
                "give an older version of the app, or a newer base",
            ));
        }
        problems.extend(self.missing(found));
        problems
    }

    fn architecture(&self, image: Architecture) -> Option<Problem> {
        let runs: &[&str] = match image {
            Architecture::X86 => &["neutral", "x86"],
            Architecture::Amd64 => &["neutral", "x86", "x64"],
            Architecture::Arm => &["neutral", "arm"],
            Architecture::Arm64 => &["neutral", "x86", "x64", "arm", "arm64", "x86a64"],
            Architecture::Ia64 => &[],
        };
        let fits =
            |architecture: &str| runs.iter().any(|one| one.eq_ignore_ascii_case(architecture));
        let own: Vec<String> = match &self.manifest.members {
            Some(members) => members
                .iter()
                .filter(|member| member.application)
                .map(|member| member.architecture.clone())
                .collect(),
            None => self.manifest.full_name().map(|full| full.architecture).into_iter().collect(),
        };
        let runs_here = own.is_empty() || own.iter().any(|one| fits(one));
        (!runs_here).then(|| {
            let cause = format!("it is for {}, the image is {image}", own.join(", "));
            Problem::error(&self.package.shown, cause, "give the package for this architecture")
        })
    }

    /// Packages that it needs and that neither come with it nor are there. What the packages in a bundle need is not looked at.
    fn missing(&self, found: &Found) -> Vec<Problem> {
        let has = |name: &str, least: &str| {
            let enough = |full: &FullName| {
                full.name.eq_ignore_ascii_case(name) && version(&full.version) >= version(least)
            };
            let brought = self.dependencies.iter().filter_map(|(_, one)| one.full_name());
            brought.into_iter().any(|full| enough(&full))
                || found.folders.iter().any(|(full, _)| enough(full))
        };
        let lacking = self.manifest.needs.iter().filter(|(name, least)| !has(name, least));
        lacking
            .map(|(name, least)| {
                Problem::error(
                    &self.package.shown,
                    format!(
                        "it needs {name} {least}, which neither the image nor `dependencies` has"
                    ),
                    "add the framework's package to `dependencies`",
                )
            })
            .collect()
    }
}
