//! Packages of a source without an image: everything parsed, every hash checked, the payload in the store.
//!
//! The chain of trust (`facts/package-containers.md`, 3.3): a signature vouches for a catalog, a package's catalog for its mum and for the manifests of its
//! components, a manifest for the files of its component. What is broken in that chain is an error here; what is not signed at all is left to the
//! recipe's `unsigned`.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{
    base::{digest::to_hex, ntpath::check_component},
    format::{
        catalog::{Catalog, FileDigests, Trust},
        cbs::{CbsError, Identity, Manifest, Mum, manifest::FileHash},
        dcm::{self, ManifestForm},
    },
    servicing::{ServicingError, archive, error::Problem, inputs::BlobSink},
};

use super::{
    effects,
    prepared::{PreparedFolder, PreparedManifest, PreparedPackage, PreparedPayload},
    source::{PackageFile, PackageFolder},
};

/// Largest mum, catalog or manifest, in bytes. The largest known (a driver's manifest, the catalog of a cumulative update) have some megabytes.
const LARGEST: u64 = 64 << 20;
/// Most bytes that the mums, catalogs and manifests of a folder have together: they are held in memory. Those of the largest updates have some 400 MB.
const LARGEST_TEXTS: u64 = 1 << 30;

/// Checks a folder and puts its payload into the store. `None`: the folder does not hold what `wanted` looks for in its root package.
pub(super) fn prepare(
    operation: &'static str,
    folder: &PackageFolder,
    wanted: &dyn Fn(&[&Mum]) -> bool,
    blobs: &dyn BlobSink,
) -> Result<Option<PreparedFolder>, ServicingError> {
    let reading = Reading { operation, shown: &folder.shown, files: by_path(&folder.files) };
    reading.check_total()?;
    let found = reading.packages()?;
    let mums: Vec<&Mum> = found.iter().map(|(_, _, mum)| mum).collect();
    if !wanted(&mums) {
        return Ok(None);
    }
    let manifests = reading.manifests()?;
    let mut packages = Vec::new();
    let mut catalogs = Vec::new();
    for (file, text, mum) in &found {
        let (package, catalog) = reading.package(file, text, mum)?;
        packages.push(package);
        catalogs.push(catalog);
    }
    let mut prepared = Vec::new();
    for (key_form, (file, text, _)) in &manifests {
        let digests = digests_of(text.as_bytes());
        let holds = |(at, catalog): (usize, &Option<Catalog>)| {
            catalog.as_ref().is_some_and(|catalog| catalog.contains(&digests)).then_some(at)
        };
        prepared.push(PreparedManifest {
            key_form: key_form.clone(),
            text: text.clone(),
            catalogs: catalogs.iter().enumerate().filter_map(holds).collect(),
            time: file.time,
        });
    }
    let payload = reading.payload(&manifests, blobs)?;
    Ok(Some(PreparedFolder {
        shown: folder.shown.clone(),
        packages,
        manifests: prepared,
        payload,
        not_native: folder.not_native.clone(),
    }))
}

/// Files by their path in lower case, with backslashes.
fn by_path(files: &[PackageFile]) -> BTreeMap<String, &PackageFile> {
    files.iter().map(|file| (file.path.join("\\").to_lowercase(), file)).collect()
}

fn digests_of(bytes: &[u8]) -> FileDigests {
    // Manifests are no programs: their two hashes are all that a catalog can hold.
    FileDigests {
        sha1: crate::base::digest::Sha1::of(bytes).0,
        sha256: Sha256::digest(bytes).into(),
        pe: None,
    }
}

/// A folder that is being read.
struct Reading<'a> {
    operation: &'static str,
    shown: &'a str,
    files: BTreeMap<String, &'a PackageFile>,
}

/// A file of a component: key form, names in the store, the file, what its manifest says that its hash is.
type Wanted<'a> = (&'a String, Vec<String>, &'a PackageFile, &'a Option<FileHash>);

/// By key form: file, text, manifest.
type Manifests<'a> = BTreeMap<String, (&'a PackageFile, String, Manifest)>;

impl<'a> Reading<'a> {
    fn refuse(&self, file: &str, cause: impl Into<String>, help: &str) -> ServicingError {
        let item = format!("{}/{}", self.shown, file.replace('\\', "/"));
        ServicingError::refused(self.operation, Problem::error(item, cause, help))
    }

    fn damaged(&self, file: &str, error: &CbsError) -> ServicingError {
        self.refuse(file, error.to_string(), "the package is damaged: get it again")
    }

    fn read(&self, name: &str, file: &PackageFile) -> Result<Vec<u8>, ServicingError> {
        let size = file.content.size();
        if size > LARGEST {
            let cause =
                format!("it has {size} bytes, more than the {LARGEST} that such a file may have");
            return Err(self.refuse(name, cause, ""));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.content
            .read_exact_at(0, &mut bytes)
            .map_err(|error| ServicingError::input(&format!("{}/{name}", self.shown), error))?;
        Ok(bytes)
    }

    fn text(&self, name: &str, file: &PackageFile) -> Result<String, ServicingError> {
        let bytes = self.read(name, file)?;
        String::from_utf8(bytes).map_err(|_| {
            self.refuse(name, "it is not text in UTF-8", "the package is damaged: get it again")
        })
    }

    /// Files at the root of the package with that extension: name in lower case, file.
    fn at_root(&self, extension: &str) -> impl Iterator<Item = (&str, &'a PackageFile)> {
        self.files
            .iter()
            .filter(move |(path, _)| {
                !path.contains('\\')
                    && path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
            })
            .map(|(path, file)| (path.as_str(), *file))
    }

    /// Refuses more text than is held in memory. What is compressed counts as what it becomes.
    fn check_total(&self) -> Result<(), ServicingError> {
        let mut total = 0_u64;
        for (name, file) in ["mum", "cat", "manifest"].into_iter().flat_map(|end| self.at_root(end))
        {
            let magic: [u8; 4] = archive::magic(self.shown, file.content.as_ref())?;
            let compressed = dcm::form(&magic) != ManifestForm::Plain;
            let plain = match compressed {
                // A damaged one is refused when it is read.
                true => dcm::plain_size(&self.read(name, file)?).unwrap_or(0),
                false => 0,
            };
            total = total.saturating_add(plain.max(file.content.size()));
        }
        if total <= LARGEST_TEXTS {
            return Ok(());
        }
        let cause = format!(
            "its packages, catalogs and manifests have {total} bytes together, more than the {LARGEST_TEXTS} that they may have"
        );
        let help = "the package is damaged: get it again";
        Err(ServicingError::refused(self.operation, Problem::error(self.shown, cause, help)))
    }

    /// The packages, the root first: file, text, mum.
    fn packages(&self) -> Result<Vec<(String, String, Mum)>, ServicingError> {
        let mut all = Vec::new();
        for (name, file) in self.at_root("mum") {
            let text = self.text(name, file)?;
            let mum = Mum::parse(text.as_bytes()).map_err(|error| self.damaged(name, &error))?;
            // It becomes the name of files and keys in the image.
            let id = mum.identity.package_id();
            if let Err(error) = check_component(&format!("{id}.mum")) {
                let cause = format!("no file can be called like its package: {error}");
                return Err(self.refuse(name, cause, "the package is damaged: get it again"));
            }
            // All that the image tells later of what is installed is read from these names.
            if Identity::of_package_id(&id).is_none() {
                let cause = format!("its id {id} does not tell its name, with a ~ inside a part");
                return Err(self.refuse(name, cause, "the package is damaged: get it again"));
            }
            all.push((name.to_owned(), text, mum));
        }
        let root = self.root_of(&all)?;
        let root = all.remove(root);
        let id = root.2.identity.package_id().to_lowercase();
        // The root often lies there a second time, under its own name.
        let mut ids = BTreeMap::from([(id, root.0.clone())]);
        let mut packages = vec![root];
        for (name, text, mum) in all {
            let id = mum.identity.package_id();
            let own = name.trim_end_matches(".mum");
            if name != "update.mum" && !own.eq_ignore_ascii_case(&id) {
                let cause = format!("it is the package {id}, which its name does not say");
                return Err(self.refuse(&name, cause, "the package is damaged: get it again"));
            }
            match ids.insert(id.to_lowercase(), name.clone()) {
                None => packages.push((name, text, mum)),
                Some(other)
                    if packages.iter().any(|(known, same, _)| *known == other && *same == text) => {
                }
                Some(other) => {
                    let cause = format!("{other} is another package of the same name and version");
                    return Err(self.refuse(&name, cause, "the package is damaged: get it again"));
                }
            }
        }
        Ok(packages)
    }

    /// Which of the packages is around the others: `update.mum`, else the one that no other brings.
    fn root_of(&self, all: &[(String, String, Mum)]) -> Result<usize, ServicingError> {
        if let Some(at) = all.iter().position(|(name, _, _)| name == "update.mum") {
            return Ok(at);
        }
        let brought: BTreeSet<String> = all
            .iter()
            .flat_map(|(_, _, mum)| &mum.updates)
            .flat_map(|update| &update.packages)
            .map(|package| package.identity.package_id().to_lowercase())
            .collect();
        let mut roots = all.iter().enumerate().filter(|(_, (_, _, mum))| {
            !brought.contains(&mum.identity.package_id().to_lowercase())
        });
        match (roots.next(), roots.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) if !all.is_empty() => {
                let cause =
                    "it has no update.mum, and each of its packages is inside another one of them";
                let help = "the package is damaged: get it again";
                Err(ServicingError::refused(
                    self.operation,
                    Problem::error(self.shown, cause, help),
                ))
            }
            (None, _) => {
                let cause = "it holds no package (.mum)";
                let help = "name the .cab, .msu or the folder that a package was expanded into";
                Err(ServicingError::refused(
                    self.operation,
                    Problem::error(self.shown, cause, help),
                ))
            }
            (Some((_, (one, _, _))), Some((_, (other, _, _)))) => {
                let cause = format!(
                    "it has no update.mum, and neither {one} nor {other} is inside the other"
                );
                let help = "give each package a folder of its own";
                Err(ServicingError::refused(
                    self.operation,
                    Problem::error(self.shown, cause, help),
                ))
            }
        }
    }

    fn package(
        &self,
        name: &str,
        text: &str,
        mum: &Mum,
    ) -> Result<(PreparedPackage, Option<Catalog>), ServicingError> {
        let catalog_name = format!("{}.cat", name.trim_end_matches(".mum"));
        let bytes = match self.files.get(&catalog_name) {
            Some(file) => Some(self.read(&catalog_name, file)?),
            None => None,
        };
        let mut catalog = None;
        let (trust, reason) = match &bytes {
            None => (Trust::Unsigned, "it has no catalog (.cat)".to_owned()),
            Some(bytes) => match Catalog::parse(bytes) {
                Err(error) => {
                    (Trust::Unsigned, format!("{catalog_name} is not a sound catalog: {error}"))
                }
                Ok(found) => {
                    let verdict = if found.contains(&digests_of(text.as_bytes())) {
                        judged(&found)
                    } else {
                        let cause = format!("its catalog {catalog_name} does not hold its hash");
                        return Err(self.refuse(
                            name,
                            cause,
                            "the package was changed or is damaged: get it again",
                        ));
                    };
                    catalog = Some(found);
                    verdict
                }
            },
        };
        let package = PreparedPackage {
            id: mum.identity.package_id(),
            file: name.to_owned(),
            mum: text.to_owned(),
            time: self.files.get(name).and_then(|file| file.time),
            // One that cannot be read is none: neither Windows nor `verify` could use it.
            catalog: bytes.filter(|_| catalog.is_some()),
            trust,
            reason,
        };
        Ok((package, catalog))
    }

    fn manifests(&self) -> Result<Manifests<'a>, ServicingError> {
        let files: Vec<(&str, &PackageFile)> = self.at_root("manifest").collect();
        let read: Vec<_> = files
            .par_iter()
            .map(|(name, file)| {
                let text = self.manifest_text(name, file)?;
                let manifest =
                    Manifest::parse(text.as_bytes()).map_err(|error| self.damaged(name, &error))?;
                let form = manifest.identity.key_form();
                let own = name.trim_end_matches(".manifest");
                if own != form {
                    let cause =
                        format!("its identity has the key form {form}, its name is another");
                    return Err(self.refuse(name, cause, "the package is damaged: get it again"));
                }
                Ok((form, (*file, text, manifest)))
            })
            .collect();
        // In the order of the names, so that the error is the same for any number of threads.
        read.into_iter().collect()
    }

    fn manifest_text(&self, name: &str, file: &PackageFile) -> Result<String, ServicingError> {
        let mut bytes = self.read(name, file)?;
        if dcm::form(&bytes) != ManifestForm::Plain {
            let plain = dcm::decode(&bytes, None, LARGEST).map_err(|error| {
                let help =
                    "packages hold plain manifests; this one was taken out of a running system";
                self.refuse(name, format!("it is compressed: {error}"), help)
            })?;
            bytes = plain.into_owned();
        }
        String::from_utf8(bytes).map_err(|_| {
            self.refuse(name, "it is not text in UTF-8", "the package is damaged: get it again")
        })
    }

    /// Every file that a manifest names and the package has, checked against its hash.
    fn payload(
        &self,
        manifests: &Manifests<'_>,
        blobs: &dyn BlobSink,
    ) -> Result<Vec<PreparedPayload>, ServicingError> {
        let mut wanted: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
        for (key_form, (_, _, manifest)) in manifests {
            for file in &manifest.files {
                let Ok(names) = effects::stored_names(file) else { continue };
                let path = format!("{key_form}\\{}", names.join("\\")).to_lowercase();
                let Some(found) = self.files.get(&path) else { continue };
                let wanted_here = (key_form, names, *found, &file.hash);
                match wanted.entry(path) {
                    Entry::Vacant(place) => drop(place.insert(wanted_here)),
                    Entry::Occupied(other) if other.get().3 != &file.hash => {
                        let cause = format!(
                            "the manifest of {key_form} gives the file two hashes that differ"
                        );
                        let help = "the package is damaged: get it again";
                        return Err(self.refuse(other.key(), cause, help));
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let prepared: Vec<Result<PreparedPayload, ServicingError>> = wanted
            .par_iter()
            .map(|(path, (key_form, names, file, hash))| {
                let shown = format!("{}/{}", self.shown, path.replace('\\', "/"));
                let digests = FileDigests::of(file.content.as_ref())
                    .map_err(|error| ServicingError::input(&shown, error))?;
                let (fits, is, says) = match hash {
                    Some(FileHash::Sha256(says)) => {
                        (digests.sha256 == *says, to_hex(&digests.sha256), to_hex(says))
                    }
                    Some(FileHash::Sha1(says)) => {
                        (digests.sha1 == *says, to_hex(&digests.sha1), to_hex(says))
                    }
                    // Such a file is not understood, and is not installed: see `effects`.
                    None => (true, String::new(), String::new()),
                };
                if !fits {
                    let name = names.join("\\");
                    let cause = format!(
                        "the file {name} of {key_form} has the hash {is}, its manifest says {says}"
                    );
                    return Err(self.refuse(
                        path,
                        cause,
                        "the package was changed or is damaged: get it again",
                    ));
                }
                let content = blobs.put(&shown, file.content.as_ref(), &file.blake3)?;
                Ok(PreparedPayload {
                    key_form: (*key_form).clone(),
                    path: names.clone(),
                    content,
                    time: file.time,
                })
            })
            .collect();
        let mut prepared = prepared.into_iter().collect::<Result<Vec<_>, _>>()?;
        prepared
            .sort_by(|one, other| (&one.key_form, &one.path).cmp(&(&other.key_form, &other.path)));
        Ok(prepared)
    }
}

/// What a catalog's signature is worth for a package: only Microsoft makes packages.
fn judged(catalog: &Catalog) -> (Trust, String) {
    let verdict = catalog.verify();
    let good = !matches!(verdict.trust, Trust::Unsigned | Trust::Test);
    if good && verdict.by_microsoft && verdict.signed_at.is_some() {
        // What a verdict says against it is about drivers.
        return (verdict.trust, String::new());
    }
    if good && !verdict.by_microsoft {
        let reason =
            format!("{} signed it, and packages of Windows come from Microsoft", verdict.signer);
        return (Trust::Test, reason);
    }
    (verdict.trust, verdict.reason)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        base::{
            digest::{Blake3, Sha1},
            filetime::FileTime,
            read_at::ReadAt,
        },
        format::delta,
        store::StoredBlob,
    };

    /// Keeps nothing.
    struct Nowhere;

    impl BlobSink for Nowhere {
        fn put(
            &self,
            _name: &str,
            source: &dyn ReadAt,
            _blake3: &Blake3,
        ) -> Result<StoredBlob, ServicingError> {
            Ok(StoredBlob { blake3: Blake3::of(b""), sha1: Sha1::ZERO, size: source.size() })
        }
    }

    fn prepared(files: &[(&str, &[u8])]) -> Result<Option<PreparedFolder>, ServicingError> {
        let file = |(path, bytes): &(&str, &[u8])| PackageFile {
            path: path.split('/').map(str::to_owned).collect(),
            size: bytes.len() as u64,
            time: None,
            content: Arc::new(bytes.to_vec()),
            blake3: Blake3::of(bytes),
        };
        let folder = PackageFolder {
            shown: "in".to_owned(),
            files: files.iter().map(file).collect(),
            not_native: Vec::new(),
        };
        prepare("packages", &folder, &|_| true, &Nowhere)
    }

    fn refused(files: &[(&str, &[u8])]) -> String {
        prepared(files).unwrap_err().to_string()
    }

    fn mum(name: &str, more: &str) -> String {
        format!(
            "<assembly><assemblyIdentity name='{name}' version='1.0.0.0' processorArchitecture='amd64' language='neutral' publicKeyToken='31bf3856ad364e35'/><package>{more}</package></assembly>"
        )
    }

    #[test]
    fn a_package_whose_name_no_file_can_have_is_refused() {
        for name in ["../../../evil", "evil:x", "a*", "what?", r"a\b"] {
            let error = refused(&[("update.mum", mum(name, "").as_bytes())]);
            assert!(error.contains("no file can be called like its package"), "{error}");
        }
        assert!(prepared(&[("update.mum", mum("good", "").as_bytes())]).is_ok());
    }

    #[test]
    fn a_package_whose_id_cannot_be_read_back_is_refused() {
        let error = refused(&[("update.mum", mum("good~evil", "").as_bytes())]);
        assert!(error.contains("with a ~ inside a part"), "{error}");
    }

    #[test]
    fn manifests_that_become_too_much_together_are_refused_before_they_are_made() {
        let stored =
            [b"DCN\x01".as_slice(), &delta::create(&[], &vec![b' '; 60 << 20], FileTime(1))];
        let stored = stored.concat();
        let names: Vec<String> = (0..18).map(|number| format!("a_{number}.manifest")).collect();
        let root = mum("good", "");
        let mut files = vec![("update.mum", root.as_bytes())];
        files.extend(names.iter().map(|name| (name.as_str(), stored.as_slice())));
        let error = refused(&files);
        assert!(error.contains("bytes together, more than the 1073741824"), "{error}");
        let error = refused(&files[..2]);
        assert!(!error.contains("together"), "{error}");
    }

    #[test]
    fn packages_inside_each_other_have_no_root() {
        let brings = |name: &str| {
            format!(
                "<update name='u'><package><assemblyIdentity name='{name}' version='1.0.0.0' processorArchitecture='amd64' language='neutral' publicKeyToken='31bf3856ad364e35'/></package></update>"
            )
        };
        let (one, other) = (mum("a", &brings("b")), mum("b", &brings("a")));
        let name = |name: &str| format!("{name}~31bf3856ad364e35~amd64~~1.0.0.0.mum");
        let (first, second) = (name("a"), name("b"));
        let error = refused(&[(&first, one.as_bytes()), (&second, other.as_bytes())]);
        assert!(error.contains("each of its packages is inside another"), "{error}");
    }
}
