//! Catalogs, and packages: mum, catalog, state.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{
        digest::{from_hex, to_hex},
        name::Name,
        ntpath::NtPath,
    },
    format::{
        catalog::{Algorithm, Catalog, FileDigests, Trust},
        cbs::Mum,
    },
    image::{BlobRef, Image, ImageError, Watch},
    servicing::cbs::{layout, store::PackageState},
};

use super::{
    content::{self, sha256},
    registry::Registry,
    report::{HealthReport, Mend, What, shown},
};

/// The catalogs of an image.
#[derive(Debug, Default)]
pub(super) struct Catalogs {
    /// Those in `WinSxS\Catalogs` that are sound, by their hash.
    pub(super) store: BTreeSet<[u8; 32]>,
    /// All that could be read, by content.
    read: BTreeMap<BlobRef, Result<ReadCatalog, String>>,
    /// Those beside the mums and in CatRoot, by the name of the package in lower case.
    packages: BTreeMap<String, BlobRef>,
    catroot: BTreeMap<String, BlobRef>,
}

#[derive(Debug)]
struct ReadCatalog {
    sha256: [u8; 32],
    parsed: Result<(Catalog, Trust), String>,
}

impl Catalogs {
    /// True when the catalog of that name is there and sound.
    pub(super) fn has(&self, name: &str) -> bool {
        digest_of(name).is_some_and(|digest| self.store.contains(&digest))
    }
}

impl Catalogs {
    /// The catalog of a package (its id in lower case), where it is one of the store's sound ones.
    pub(super) fn of_package(&self, id: &str) -> Option<[u8; 32]> {
        let read = self.read.get(self.packages.get(id)?)?.as_ref().ok()?;
        self.store.contains(&read.sha256).then_some(read.sha256)
    }
}

impl Catalogs {
    /// Packages in use (ids in lower case) whose catalog belongs into CatRoot. What counts there is what the catalogs hold, not what they are called; and an
    /// image that keeps few of them there has its own ways.
    fn expected_in_catroot<'a>(
        &'a self,
        in_use: &BTreeSet<String>,
        image: &Image,
    ) -> BTreeSet<&'a str> {
        let there: BTreeSet<BlobRef> = self.catroot.values().copied().collect();
        let all = self.packages.iter().filter(|(id, _)| in_use.contains(*id));
        let (kept, missing): (Vec<_>, Vec<_>) = all
            .partition(|(id, content)| self.catroot.contains_key(*id) || there.contains(*content));
        let folder = layout::catroot(image, "").parent();
        let has_folder = folder.is_some_and(|folder| image.tree().lookup(&folder).is_some());
        let usual = if kept.is_empty() { has_folder } else { kept.len() >= missing.len() / 4 };
        if !usual {
            return BTreeSet::new();
        }
        missing.into_iter().map(|(id, _)| id.as_str()).collect()
    }
}

fn digest_of(name: &str) -> Option<[u8; 32]> {
    from_hex(name)?.try_into().ok()
}

/// The files of a folder that end so: name without the ending, and content.
fn files(image: &Image, folder: &NtPath, ending: &str) -> Vec<(String, BlobRef)> {
    let node = image.tree().lookup(folder);
    let children = node.map_or(&[][..], |node| image.tree().children(node));
    let named = children.iter().filter_map(|&child| {
        let name = image.tree().node(child).name.to_string();
        let (stem, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
        end.eq_ignore_ascii_case(ending)
            .then(|| (stem.to_owned(), image.tree().inode(child).data()))
    });
    named.collect()
}

/// Reads all catalogs; what the sound ones name goes into the report.
pub(super) fn read_catalogs(
    image: &Image,
    registry: &Registry,
    watch: Watch<'_>,
    report: &mut HealthReport,
) -> Result<Catalogs, ImageError> {
    let folder = |path: NtPath| path.parent().unwrap_or(path);
    let store_folder = folder(layout::catalog(image, ""));
    let store = files(image, &store_folder, ".cat");
    let of_packages = files(image, &layout::packages(image), ".cat");
    let of_catroot = files(image, &folder(layout::catroot(image, "")), ".cat");
    let all = store.iter().chain(&of_packages).chain(&of_catroot).map(|(_, content)| *content);
    let read = content::each(image, all, watch, &|content| read_catalog(image, content))?;
    let lower = |list: Vec<(String, BlobRef)>| {
        list.into_iter().map(|(name, content)| (name.to_lowercase(), content)).collect()
    };
    let mut catalogs = Catalogs {
        store: BTreeSet::new(),
        read,
        packages: lower(of_packages),
        catroot: lower(of_catroot),
    };
    let mut names: BTreeSet<String> = registry.catalogs.clone();
    for (name, content) in &store {
        names.remove(&name.to_lowercase());
        report.counts.catalogs += 1;
        store_catalog(&store_folder, name, *content, &mut catalogs, report);
    }
    let known = store.iter().map(|(name, _)| name.as_str());
    let known = known.chain(registry.catalogs.iter().map(String::as_str)).filter_map(digest_of);
    report.vouched.catalogs = known.collect();
    if store.is_empty() {
        names.iter().for_each(|_| report.skip("catalog key in an image without WinSxS\\Catalogs"));
    } else {
        for name in names {
            let Some(sha256) = digest_of(&name) else { continue };
            let path = layout::catalog(image, &name);
            let mend = Mend::Catalog { sha256 };
            report.damaged(What::Catalog, path, (shown(&sha256), "nothing"), mend);
        }
    }
    vouch(&catalogs, report);
    Ok(catalogs)
}

/// Checks one file of `WinSxS\Catalogs`.
fn store_catalog(
    folder: &NtPath,
    name: &str,
    content: BlobRef,
    catalogs: &mut Catalogs,
    report: &mut HealthReport,
) {
    let path = folder.join(Name::from(format!("{name}.cat").as_str()));
    let Some(wanted) = digest_of(name) else {
        return report.skip("catalog that is not named by its hash");
    };
    let mend = Mend::Catalog { sha256: wanted };
    match &catalogs.read[&content] {
        Err(why) => report.unreadable(What::Catalog, path, content, why, mend),
        Ok(read) if read.sha256 != wanted => {
            report.damaged(What::Catalog, path, (shown(&wanted), shown(&read.sha256)), mend);
        }
        Ok(ReadCatalog { parsed: Err(why), .. }) => {
            report.damaged(What::Catalog, path, ("a catalog", why.as_str()), Mend::Nothing);
        }
        Ok(_) => drop(catalogs.store.insert(wanted)),
    }
}

fn read_catalog(image: &Image, content: &BlobRef) -> Result<ReadCatalog, String> {
    let bytes = image.read_blob(content).map_err(|error| content::text(&error))?;
    let parsed = Catalog::parse(&bytes).map_err(|error| error.to_string()).map(|catalog| {
        let trust = catalog.verify().trust;
        (catalog, trust)
    });
    Ok(ReadCatalog { sha256: sha256(&bytes), parsed })
}

/// Takes down what the sound catalogs name, and what their signatures are worth.
fn vouch(catalogs: &Catalogs, report: &mut HealthReport) {
    let mut worth: BTreeMap<&'static str, u64> = BTreeMap::new();
    for read in catalogs.read.values().flatten() {
        let Ok((catalog, trust)) = &read.parsed else { continue };
        let known = report.vouched.catalogs.contains(&read.sha256);
        if !known && !report.vouched.catalogs.is_empty() {
            continue;
        }
        *worth.entry(trust.name()).or_default() += 1;
        for member in catalog.members() {
            match (member.algorithm, member.digest.as_slice()) {
                (Algorithm::Sha256, digest) => {
                    report.vouched.sha256.extend(<[u8; 32]>::try_from(digest).ok());
                }
                (Algorithm::Sha1, digest) => {
                    report.vouched.sha1.extend(<[u8; 20]>::try_from(digest).ok());
                }
                (Algorithm::Other, _) => {}
            }
        }
    }
    for (trust, count) in worth {
        if [Trust::Unsigned.name(), Trust::Test.name()].contains(&trust) {
            report
                .notes
                .push(format!("{count} catalogs without a signature that is known ({trust})"));
        }
    }
}

/// Checks mums, catalogs and states of packages; gives the sound mums by id in lower case.
pub(super) fn check(
    image: &Image,
    registry: &Registry,
    catalogs: &Catalogs,
    watch: Watch<'_>,
    report: &mut HealthReport,
) -> Result<BTreeMap<String, Mum>, ImageError> {
    let files: BTreeMap<String, (String, BlobRef)> = files(image, &layout::packages(image), ".mum")
        .into_iter()
        .map(|(name, content)| (name.to_lowercase(), (name, content)))
        .collect();
    let contents = files.values().map(|(_, content)| *content);
    let read = content::each(image, contents, watch, &|content| {
        let bytes = image.read_blob(content).map_err(|error| content::text(&error))?;
        let digests = FileDigests { sha256: sha256(&bytes), sha1: content.sha1.0, pe: None };
        Ok::<_, String>((digests, Mum::parse(&bytes).map_err(|error| error.to_string())))
    })?;
    report.counts.packages = registry.packages.len() as u64;
    states(image, registry, catalogs, &files, report);
    let in_use: BTreeSet<String> = registry
        .packages
        .iter()
        .filter(|(_, state)| state.is_some_and(|it| PackageState::of_number(it).is_staged()))
        .map(|(id, _)| id.to_lowercase())
        .collect();
    let expected = catalogs.expected_in_catroot(&in_use, image);
    let mut sound = BTreeMap::new();
    for (lower, (id, content)) in &files {
        let path = layout::mum(image, id);
        let mend = Mend::Package { id: id.clone() };
        let (digests, mum) = match &read[content] {
            Ok(read) => read,
            Err(why) => {
                report.unreadable(What::Package, path, *content, why, mend);
                continue;
            }
        };
        let in_catroot = expected.contains(lower.as_str());
        let judge = Judge { image, catalogs, id, lower, in_catroot };
        if !judge.catalog(&path, digests, &mend, report) {
            continue;
        }
        match mum {
            Err(why) => report.damaged(What::Package, path, ("a package", why.as_str()), mend),
            Ok(mum) if mum.identity.package_id().to_lowercase() != *lower => {
                let found = mum.identity.package_id();
                report.damaged(What::Package, path, (id.as_str(), found), mend);
            }
            Ok(mum) => {
                judge.catroot(digests, report);
                sound.insert(lower.clone(), mum.clone());
            }
        }
    }
    Ok(sound)
}

/// The packages that the hive has: known state, mum there, catalog there.
fn states(
    image: &Image,
    registry: &Registry,
    catalogs: &Catalogs,
    mums: &BTreeMap<String, (String, BlobRef)>,
    report: &mut HealthReport,
) {
    for (id, number) in &registry.packages {
        let key = layout::cbs("Packages").join(&Name::from(id.as_str()));
        let state = number.map(PackageState::of_number);
        if let None | Some(PackageState::Other(_)) = state {
            let found = number.map_or_else(|| "none".to_owned(), |number| format!("{number:#x}"));
            let name = Name::from("CurrentState");
            let mend = Mend::Copy { key: key.clone(), name, like: None };
            let place = format!("{key}: CurrentState");
            report.damaged(What::Registry, place, ("a state that is known", found), mend);
        }
        if !state.is_some_and(PackageState::is_staged) {
            continue;
        }
        let lower = id.to_lowercase();
        let mend = || Mend::Package { id: id.clone() };
        if !mums.contains_key(&lower) {
            let path = layout::mum(image, id);
            report.damaged(What::Package, path, ("the mum of a package in use", "nothing"), mend());
        } else if !catalogs.packages.contains_key(&lower) && !catalogs.packages.is_empty() {
            let path = layout::mum_catalog(image, id);
            let expected = "the catalog of a package in use";
            report.damaged(What::Package, path, (expected, "nothing"), mend());
        }
    }
}

/// A mum and where its catalogs are looked for.
struct Judge<'a> {
    image: &'a Image,
    catalogs: &'a Catalogs,
    id: &'a str,
    lower: &'a str,
    /// Its catalog belongs into CatRoot too.
    in_catroot: bool,
}

impl Judge<'_> {
    /// Whether the package's catalog names the mum. Where there is none, nothing is said here.
    fn catalog(
        &self,
        path: &NtPath,
        digests: &FileDigests,
        mend: &Mend,
        report: &mut HealthReport,
    ) -> bool {
        let Some(content) = self.catalogs.packages.get(self.lower) else {
            if self.catalogs.packages.is_empty() {
                report.skip("package in an image without catalogs of packages");
            }
            return true;
        };
        let at = layout::mum_catalog(self.image, self.id);
        let read = match &self.catalogs.read[content] {
            Ok(read) => read,
            Err(why) => {
                report.unreadable(What::Package, at, *content, why, mend.clone());
                return false;
            }
        };
        let texts = match &read.parsed {
            Ok((catalog, _)) if catalog.contains(digests) => return true,
            Err(why) => ("a catalog".to_owned(), why.clone()),
            Ok(_) if report.vouched.names(&digests.sha256, &digests.sha1) => {
                // Another catalog names the mum: it is this one that is wrong.
                ("a catalog that names the package".to_owned(), shown(&read.sha256))
            }
            Ok(_) => {
                let expected = "a package that its catalog names".to_owned();
                report.damaged(
                    What::Package,
                    path,
                    (expected, shown(&digests.sha256)),
                    mend.clone(),
                );
                return false;
            }
        };
        report.damaged(What::Package, at, texts, mend.clone());
        false
    }

    /// The catalog's copy in CatRoot: Windows looks there when it asks whether a file is signed.
    fn catroot(&self, digests: &FileDigests, report: &mut HealthReport) {
        let path = layout::catroot(self.image, self.id);
        let Some(content) = self.catalogs.catroot.get(self.lower) else {
            if !self.in_catroot {
                return report.skip("package without a catalog in CatRoot");
            }
            let mend = Mend::CatRoot { id: self.id.to_owned() };
            let expected = "the catalog of a package in use";
            return report.damaged(What::Catalog, path, (expected, "nothing"), mend);
        };
        let mend = Mend::CatRoot { id: self.id.to_owned() };
        match &self.catalogs.read[content] {
            Err(why) => report.unreadable(What::Catalog, path, *content, why, mend),
            Ok(ReadCatalog { parsed: Err(why), .. }) => {
                report.damaged(What::Catalog, path, ("a catalog", why.as_str()), mend);
            }
            Ok(read) if read.parsed.as_ref().is_ok_and(|(it, _)| !it.contains(digests)) => {
                let expected = "a catalog that names the package";
                report.damaged(What::Catalog, path, (expected, to_hex(&read.sha256)), mend);
            }
            Ok(_) => {}
        }
    }
}
