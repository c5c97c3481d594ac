//! Who vouches for the driver packages of an image: asked of the catalogs that lie in it, not of what the database says.
//!
//! Looked at is every package that did not come with Windows (those are the component store's, which `verify` checks), and every one that waits for the first
//! boot. A package is vouched for when each file of its folder, but catalogs and what Windows compiles from INFs (`.pnf`), has its hash in a catalog
//! of that folder whose signature leads to a known authority ([`Trust::Whql`], [`Trust::Attested`], [`Trust::Authenticode`]). Revocation and Windows'
//! own rules for kernel drivers are not looked at: Windows does when it loads them. What Windows has copied from the folder to other places is not compared.

use serde::{Deserialize, Serialize};

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::catalog::{Catalog, FileDigests, Trust},
    image::{Image, ImageError, NodeId},
};

use super::{first_boot, inventory, place};

/// Raised when the same packages are judged otherwise; when other authorities are known, too.
pub const VERSION: u32 = 1;

/// Catalogs of one package; real ones have one.
const MOST_CATALOGS: usize = 64;

/// Who vouches for the driver packages of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signatures {
    /// Of each package that did not come with Windows.
    pub packages: Vec<Signature>,
    /// Why some cannot be told of.
    pub notes: Vec<String>,
}

/// Who vouches for a driver package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// Its folder in the driver store.
    pub package: String,
    /// `oem3.inf`; empty while it waits for the first boot.
    pub published: String,
    /// The INF's own name.
    pub original: String,
    /// What the worst of its files is vouched for by.
    pub trust: Trust,
    /// Who signed; empty when nobody did.
    pub signer: String,
    /// What is wrong; empty when it is vouched for.
    pub problem: String,
}

impl Signature {
    /// True when somebody known vouches for all of it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problem.is_empty()
    }

    /// `oem3.inf (viostor.inf)`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.published.is_empty() {
            true => format!("{} (for the first boot)", self.original),
            false => format!("{} ({})", self.published, self.original),
        }
    }
}

/// Looks at every package that did not come with Windows. Reads all their files.
#[must_use]
pub fn read(image: &mut Image) -> Signatures {
    let mut signatures = Signatures::default();
    match inventory::read(image) {
        Ok(found) => {
            signatures.notes = found.notes;
            let added = found.drivers.iter().filter(|driver| {
                !driver.inbox || super::database::oem_number(&driver.published).is_some()
            });
            for driver in added {
                let folder = place::store(image, &driver.package);
                let judged = judge(image, &folder);
                signatures.packages.push(Signature {
                    package: driver.package.clone(),
                    published: driver.published.clone(),
                    original: driver.original.clone(),
                    ..judged
                });
            }
        }
        Err(error) => signatures.notes.push(error.to_string()),
    }
    for folder in first_boot::waiting(image) {
        let package = folder.file_name().map(ToString::to_string).unwrap_or_default();
        let original = package.split_once(".inf_").map(|(name, _)| format!("{name}.inf"));
        let original = original.unwrap_or_else(|| package.clone());
        let judged = judge(image, &folder);
        signatures.packages.push(Signature { package, original, ..judged });
    }
    signatures
}

/// What the catalogs in `folder` say of its files.
fn judge(image: &Image, folder: &NtPath) -> Signature {
    let mut signature = Signature {
        package: String::new(),
        published: String::new(),
        original: String::new(),
        trust: Trust::Unsigned,
        signer: String::new(),
        problem: String::new(),
    };
    let Some(node) = image.tree().lookup(folder) else {
        signature.problem = format!("{folder} is not there");
        return signature;
    };
    let files = files_below(image, node);
    let is_catalog = |path: &NtPath| has_extension(path, "cat");
    let catalogs: Vec<Judged> = files
        .iter()
        .filter(|path| is_catalog(path))
        .take(MOST_CATALOGS)
        .map(|path| Judged::of(image, path))
        .collect();
    if let [Judged { problem: Some(problem), .. }] = &catalogs[..] {
        signature.problem.clone_from(problem);
        return signature;
    }
    if catalogs.is_empty() {
        "it has no catalog".clone_into(&mut signature.problem);
        return signature;
    }
    let content = files.iter().filter(|path| !is_catalog(path) && !has_extension(path, "pnf"));
    let mut worst: Option<&Judged> = None;
    let mut loose: Vec<String> = Vec::new();
    for path in content {
        let digests = match digests(image, path) {
            Ok(digests) => digests,
            Err(error) => {
                signature.problem = format!("{path} cannot be read: {error}");
                return signature;
            }
        };
        let vouching = catalogs
            .iter()
            .filter(|one| one.catalog.as_ref().is_some_and(|catalog| catalog.contains(&digests)))
            .min_by_key(|one| one.trust);
        match vouching {
            Some(catalog) if worst.is_none_or(|worst| worst.trust < catalog.trust) => {
                worst = Some(catalog);
            }
            Some(_) => {}
            None => loose.push(path.file_name().map(ToString::to_string).unwrap_or_default()),
        }
    }
    if let Some(worst) = worst {
        signature.trust = worst.trust;
        signature.signer.clone_from(&worst.signer);
        signature.problem = worst.problem.clone().unwrap_or_default();
    }
    if let [first, more @ ..] = &loose[..] {
        let more = match more.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        signature.trust = Trust::Unsigned;
        signature.problem = format!("its catalog does not hold the hash of {first}{more}");
    } else if worst.is_none() {
        "it has no files".clone_into(&mut signature.problem);
    }
    signature
}

/// A catalog and what it is worth.
struct Judged {
    catalog: Option<Catalog>,
    trust: Trust,
    signer: String,
    /// Why it vouches for nothing.
    problem: Option<String>,
}

impl Judged {
    fn of(image: &Image, path: &NtPath) -> Self {
        let nothing = |problem: String| Self {
            catalog: None,
            trust: Trust::Unsigned,
            signer: String::new(),
            problem: Some(problem),
        };
        let name = path.file_name().map(ToString::to_string).unwrap_or_default();
        let bytes = match image.read(path) {
            Ok(bytes) => bytes,
            Err(error) => return nothing(format!("{name} cannot be read: {error}")),
        };
        match Catalog::parse(&bytes) {
            Ok(catalog) => {
                let verdict = catalog.verify();
                let problem = match verdict.trust {
                    Trust::Whql | Trust::Attested | Trust::Authenticode => None,
                    Trust::Test | Trust::Unsigned => Some(format!(
                        "nobody vouches for {name} ({}): {}",
                        verdict.trust.name(),
                        verdict.reason
                    )),
                };
                Self {
                    catalog: Some(catalog),
                    trust: verdict.trust,
                    signer: verdict.signer,
                    problem,
                }
            }
            Err(error) => nothing(format!("{name} is not a sound catalog: {error}")),
        }
    }
}

fn digests(image: &Image, path: &NtPath) -> Result<FileDigests, ImageError> {
    let bytes = image.read(path)?;
    FileDigests::of(&bytes).map_err(|source| ImageError::Content { what: path.to_string(), source })
}

/// The files in and below `folder`, sorted as the tree is.
fn files_below(image: &Image, folder: NodeId) -> Vec<NtPath> {
    let tree = image.tree();
    tree.walk_from(folder)
        .filter(|node| !tree.inode(*node).is_directory())
        .map(|node| tree.path_of(node))
        .collect()
}

fn has_extension(path: &NtPath, extension: &str) -> bool {
    let name = path.file_name().and_then(Name::to_text).unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}
