//! What can be done of a driver source without the image: unpack it, hash every file, judge every catalog.
//!
//! Files are bytes: their hashes are what catalogs vouch for. Only what an INF of the source mentions goes into the store, because a vendor's folder
//! often holds installers beside its drivers.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::{
    base::{digest::Blake3, read_at::ReadAt},
    format::{
        catalog::{Catalog, FileDigests, Trust},
        inf::{Inf, InfDefect, InfError},
    },
    servicing::{
        error::{Problem, ServicingError},
        inputs::{BlobSink, InputId, Inputs},
    },
    store::StoredBlob,
};

use super::{
    NAME, first_boot,
    source::{self, SourceFile, SourceTree},
};

/// Largest INF, in bytes. The largest known has 4 MB.
const LARGEST_INF: u64 = 16 << 20;
/// Largest catalog, in bytes. The largest known (of cumulative updates) have 4 MB.
const LARGEST_CATALOG: u64 = 64 << 20;

/// A driver source whose files are in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedDriver {
    /// The INFs, sorted by path.
    pub(super) infs: Vec<PreparedInf>,
    /// Every file that an INF mentions, the INFs and catalogs too, sorted by path.
    pub(super) files: Vec<PreparedFile>,
    /// The catalogs, sorted by path.
    pub(super) catalogs: Vec<PreparedCatalog>,
    /// The command file that installs at the first boot what cannot be installed natively.
    pub(super) first_boot: StoredBlob,
}

/// An INF.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PreparedInf {
    /// Names from the root of the source.
    pub path: Vec<String>,
    /// Its bytes.
    #[serde(with = "crate::image::changeset::hex")]
    pub bytes: Vec<u8>,
}

/// A file of a source.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PreparedFile {
    /// Names from the root of the source.
    pub path: Vec<String>,
    /// Its content.
    pub content: StoredBlob,
    /// The catalogs (places in [`PreparedDriver::catalogs`]) that hold its hash.
    pub catalogs: Vec<usize>,
}

/// A catalog and what its signature is worth.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PreparedCatalog {
    /// Names from the root of the source.
    pub path: Vec<String>,
    /// What the signature is worth.
    pub trust: Trust,
    /// Who signed.
    pub signer: String,
    /// Why it is not worth more; empty for the best.
    pub reason: String,
    /// Microsoft's number of the submission.
    pub submission_id: Option<String>,
}

impl PreparedDriver {
    /// What is wrong or odd in the INFs of the source `id` as texts, each with its line.
    pub(in crate::servicing) fn defects(&self, id: &InputId) -> Vec<Problem> {
        let of_inf = |inf: &PreparedInf| {
            let shown = shown(id, &inf.path);
            let alone = self.infs.len() == 1;
            let defects = match Inf::parse(&inf.bytes) {
                Ok(parsed) => parsed.defects(),
                Err(InfError { line, column, cause }) => {
                    vec![InfDefect { line, column, cause, warning: false }]
                }
            };
            defects.into_iter().map(move |defect| Problem {
                item: format!("{shown}:{}", defect.line),
                cause: defect.cause.to_string(),
                help: String::new(),
                // Beside others it may be no driver at all; the plan decides when it knows the image.
                warning: defect.warning || !alone,
            })
        };
        self.infs.iter().flat_map(of_inf).collect()
    }
}

/// Unpacks, hashes and judges the source `id`; `only` the one INF that is meant, `name` what the recipe calls the driver.
pub(super) fn prepare(
    name: &str,
    id: &InputId,
    only: Option<&str>,
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<PreparedDriver, ServicingError> {
    let tree = inputs.input(id)?;
    let source = source::open(id, &tree)?;
    let mut infs = Vec::new();
    let mut mentioned = BTreeSet::new();
    for file in chosen(&source, id, only)? {
        let shown = shown(id, &file.path);
        let bytes = read(&shown, file.content.as_ref(), LARGEST_INF)?;
        // What is wrong with it is said when it is looked at: a folder may hold INFs that are no drivers.
        if let Ok(inf) = Inf::parse(&bytes) {
            mentioned.extend(mentioned_names(&inf));
        }
        infs.push(PreparedInf { path: file.path.clone(), bytes });
    }
    if infs.is_empty() {
        let help = "name the folder that holds the .inf; an installer (.exe, .msi) has to be unpacked first";
        return Err(ServicingError::refused(
            NAME,
            Problem::error(&id.0, "there is no .inf in it", help),
        ));
    }
    let wanted: Vec<_> = source
        .files
        .iter()
        .filter(|file| {
            let name = file.path.last().map(|name| name.to_lowercase()).unwrap_or_default();
            infs.iter().any(|inf| inf.path == file.path) || mentioned.contains(&name)
        })
        .collect();
    let catalogs = wanted
        .iter()
        .filter(|file| {
            file.path.last().is_some_and(|name| has_extension(&name.to_lowercase(), "cat"))
        })
        .map(|file| {
            let shown = shown(id, &file.path);
            let bytes = read(&shown, file.content.as_ref(), LARGEST_CATALOG)?;
            Ok((file.path.clone(), Catalog::parse(&bytes)))
        })
        .collect::<Result<Vec<_>, ServicingError>>()?;
    let files = wanted
        .par_iter()
        .map(|file| {
            let shown = shown(id, &file.path);
            let content = blobs.put(&shown, file.content.as_ref(), &file.blake3)?;
            let digests = FileDigests::of(file.content.as_ref())
                .map_err(|error| ServicingError::input(&shown, error))?;
            let holds = |(at, (_, catalog)): (usize, &(_, Result<Catalog, _>))| {
                catalog.as_ref().is_ok_and(|catalog| catalog.contains(&digests)).then_some(at)
            };
            let catalogs = catalogs.iter().enumerate().filter_map(holds).collect();
            Ok(PreparedFile { path: file.path.clone(), content, catalogs })
        })
        .collect::<Vec<Result<_, ServicingError>>>();
    // In the order of the files, so that the error is the same for any number of threads.
    let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    let script = first_boot::script(name).into_bytes();
    let blake3 = Blake3::of(&script);
    Ok(PreparedDriver {
        infs,
        files,
        catalogs: catalogs.into_iter().map(|(path, catalog)| judged(path, catalog)).collect(),
        first_boot: blobs.put("the script for the first boot", &script, &blake3)?,
    })
}

/// The INFs that are meant: all, or the one that the recipe names.
fn chosen<'a>(
    source: &'a SourceTree,
    id: &InputId,
    only: Option<&str>,
) -> Result<Vec<&'a SourceFile>, ServicingError> {
    let Some(name) = only else { return Ok(source.infs()) };
    match source.inf(name) {
        Some(file) => Ok(vec![file]),
        None => Err(ServicingError::refused(
            NAME,
            Problem::error(
                format!("{id}/{name}"),
                "it does not exist",
                "name an .inf of the folder, or the folder",
            ),
        )),
    }
}

fn judged(
    path: Vec<String>,
    catalog: Result<Catalog, crate::format::catalog::CatalogError>,
) -> PreparedCatalog {
    match catalog {
        Ok(catalog) => {
            let verdict = catalog.verify();
            PreparedCatalog {
                path,
                trust: verdict.trust,
                signer: verdict.signer,
                reason: verdict.reason,
                submission_id: verdict.submission_id,
            }
        }
        Err(error) => PreparedCatalog {
            path,
            trust: Trust::Unsigned,
            signer: String::new(),
            reason: format!("it is not a sound catalog: {error}"),
            submission_id: None,
        },
    }
}

/// Every text of the INF that may name a file, in lower case and without its folder.
fn mentioned_names(inf: &Inf) -> BTreeSet<String> {
    inf.texts()
        .iter()
        .filter_map(|text| text.rsplit(['\\', '/', '@']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The bytes of a file of a source, which may have at most `most`.
fn read(shown: &str, content: &dyn ReadAt, most: u64) -> Result<Vec<u8>, ServicingError> {
    let size = content.size();
    if size > most {
        let cause = format!("it has {size} bytes, more than the {most} that such a file may have");
        return Err(ServicingError::refused(NAME, Problem::error(shown, cause, "")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    content.read_exact_at(0, &mut bytes).map_err(|error| ServicingError::input(shown, error))?;
    Ok(bytes)
}

/// A file of the source, for a person.
fn shown(id: &InputId, path: &[String]) -> String {
    match path {
        [] => id.0.clone(),
        names => format!("{id}/{}", names.join("/")),
    }
}

/// True when the lower-case name `name` ends in `.extension`.
fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}
