//! Putting a damaged component store right with files of other images.
//!
//! Nothing is believed because of where it lies: a file is taken when its hash is the wanted one, a manifest when the hive or a catalog of the damaged image
//! names it, a catalog when its hash is its name, a mum when the catalog that belongs to it names it. Files keep their attributes and hard links. Values of
//! COMPONENTS follow from a manifest that is vouched for, or come from a source where the same deployment has them; winners follow from what is installed;
//! keys of packages come from a source with the same package, as far as they are true of this image (`copy.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    base::{digest::Sha1, name::Name, ntpath::NtPath},
    format::{
        catalog::{Catalog, FileDigests, Trust},
        cbs::{Mum, manifest::FileHash},
        hive::Value,
        wim::{Blob, Wim},
    },
    image::{BlobLocation, BlobRef, HiveId, Image, ImageError, NewNode, RegistryPath, Watch},
};

use super::{
    copy,
    health::{self, Finding, HealthReport, Mend, RepairState, Severity, What, digests, sha256},
    layout, marks,
    store::{Manifests, PackageState},
    winners,
};

/// Passes over the store: what is mended lets more be seen. A manifest comes before its files, and these before their projections.
const MOST_PASSES: usize = 8;

/// What a repair did.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// What was put right, each with where it came from.
    pub repaired: Vec<Finding>,
    /// What could not be.
    pub lost: Vec<Finding>,
    /// Content that was damaged in the image's WIM, and where it is whole. The WIM must be written anew with these.
    pub supplied: Vec<(Arc<Wim>, Blob)>,
}

/// Checks and repairs until nothing more can be mended; gives the last check.
///
/// # Errors
/// When the watcher ends it, or the image cannot be edited.
pub fn mend(
    image: &mut Image,
    sources: &mut [Image],
    watch: Watch<'_>,
) -> Result<(RepairReport, HealthReport), ImageError> {
    let mut all = RepairReport::default();
    let mut report = health::check(image, watch)?;
    for _ in 0..MOST_PASSES {
        if report.findings.iter().all(|finding| !is_to_be_mended(finding)) {
            break;
        }
        let pass = repair(image, &report, sources)?;
        let progress = !pass.repaired.is_empty() || !pass.supplied.is_empty();
        all.repaired.extend(pass.repaired);
        all.supplied.extend(pass.supplied);
        if !progress {
            break;
        }
        report = health::check(image, watch)?;
    }
    for finding in &mut report.findings {
        if finding.severity == Severity::Damage {
            finding.state = RepairState::Lost;
            all.lost.push(finding.clone());
        }
    }
    Ok((all, report))
}

/// Puts right what the report says and the sources have: one pass.
///
/// # Errors
/// When the image cannot be edited: a folder or a link is where a file should be.
pub fn repair(
    image: &mut Image,
    report: &HealthReport,
    sources: &mut [Image],
) -> Result<RepairReport, ImageError> {
    let mut done = RepairReport {
        supplied: supply(image, report.unreadable.iter().copied(), sources),
        ..RepairReport::default()
    };
    let supplied: BTreeSet<Sha1> = done.supplied.iter().map(|(_, blob)| blob.sha1).collect();
    let manifests = sources.iter().map(|_| Manifests::default()).collect();
    let mut room = Room { image, report, sources, manifests, catalogs: BTreeMap::new() };
    for finding in report.findings.iter().filter(|finding| is_to_be_mended(finding)) {
        let from = match &finding.mend {
            Mend::Same(content) => supplied.contains(&content.sha1).then(|| "a source".to_owned()),
            mend => room.one(mend)?,
        };
        let mut finding = finding.clone();
        if let Some(from) = from {
            finding.state = RepairState::Repaired(from);
            done.repaired.push(finding);
        } else {
            finding.state = RepairState::Lost;
            done.lost.push(finding);
        }
    }
    let registry = done.repaired.iter().any(|finding| finding.what == What::Registry);
    if registry && image.has_hive(HiveId::Components) {
        marks::drop_index(image)?;
    }
    Ok(done)
}

/// Damage, and values that are missing. A projection with the right content of its own stays: making it a link would gain nothing.
fn is_to_be_mended(finding: &Finding) -> bool {
    let what = &finding.mend;
    finding.severity == Severity::Damage
        || matches!(what, Mend::Copy { .. } | Mend::Set { .. } | Mend::Restore { .. })
}

/// Finds content that cannot be read in the sources, by its SHA-1, and has the image use that.
fn supply(
    image: &mut Image,
    unreadable: impl IntoIterator<Item = BlobRef>,
    sources: &[Image],
) -> Vec<(Arc<Wim>, Blob)> {
    let mut found = Vec::new();
    for content in unreadable {
        if let Some((wim, blob)) = find(&content, sources) {
            image.supply(content.sha1, BlobLocation::Base(Arc::clone(&wim), blob));
            found.push((wim, blob));
        }
    }
    found
}

/// Where a source has content, by its SHA-1. It was read whole.
#[must_use]
pub fn find(content: &BlobRef, sources: &[Image]) -> Option<(Arc<Wim>, Blob)> {
    sources.iter().find_map(|source| match source.location(content)? {
        BlobLocation::Base(wim, blob) => digests(source, content).is_ok().then_some((wim, blob)),
        _ => None,
    })
}

/// Whose file it is: the damaged image's or a source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Own,
    Source(usize),
}

impl Whose {
    fn shown(self) -> String {
        match self {
            Self::Own => "the image itself".to_owned(),
            Self::Source(0) => "the source".to_owned(),
            Self::Source(index) => format!("source {}", index + 1),
        }
    }
}

struct Room<'a> {
    image: &'a mut Image,
    report: &'a HealthReport,
    sources: &'a mut [Image],
    /// Reads the manifests of each source.
    manifests: Vec<Manifests>,
    /// The catalogs of an image by hash, made when first asked for.
    catalogs: BTreeMap<Whose, BTreeMap<[u8; 32], NtPath>>,
}

impl Room<'_> {
    /// Mends one thing; says where it came from, or `None` when nothing at hand has it.
    fn one(&mut self, mend: &Mend) -> Result<Option<String>, ImageError> {
        match mend {
            Mend::Nothing | Mend::Same(_) => Ok(None),
            Mend::Manifest { key_form, wanted } => self.manifest(key_form, wanted.as_ref()),
            Mend::Payload { path, wanted, projections } => self.payload(path, wanted, projections),
            Mend::Projection { store, wanted, path } => self.projection(store, wanted, path),
            Mend::Catalog { sha256 } => self.catalog(sha256),
            Mend::Package { id } => self.package(id),
            Mend::CatRoot { id } => self.catroot(id),
            Mend::Set { key, value } => {
                self.image.set_value(key, value)?;
                Ok(Some("the manifest, which a catalog names".to_owned()))
            }
            Mend::Restore { key, same, computed } => self.restore(key, same.as_ref(), computed),
            Mend::State { id } => self.state(id),
            Mend::Winner { identity, versions } => {
                let key_form = identity.winners_key_form();
                let (identity, versions) = (identity.clone(), versions.clone());
                winners::Family { key_form, identity, versions }.write(self.image)?;
                Ok(Some("the deployments that are installed".to_owned()))
            }
            Mend::Directory { path, attributes } => {
                let options = NewNode { attributes: *attributes, ..NewNode::default() };
                self.image.make_directory(path, &options)?;
                Ok(Some("the manifest".to_owned()))
            }
            Mend::Copy { key, name, like } => self.value(key, name, like.as_ref()),
        }
    }

    fn at(&self, whose: Whose) -> &Image {
        match whose {
            Whose::Own => self.image,
            Whose::Source(index) => &self.sources[index],
        }
    }

    fn sources(&self) -> impl Iterator<Item = Whose> + use<> {
        (0..self.sources.len()).map(Whose::Source)
    }

    /// The bytes of a file that is there and can be read.
    fn read(&self, whose: Whose, path: &NtPath) -> Option<Vec<u8>> {
        self.at(whose).read(path).ok()
    }

    /// Puts a file of a source in place. One that is there keeps its attributes and security, a new one gets those of the source.
    fn put(
        &mut self,
        path: &NtPath,
        bytes: Vec<u8>,
        (whose, from): (Whose, &NtPath),
    ) -> Result<(), ImageError> {
        let source = self.at(whose);
        let node = source.tree().lookup(from);
        let mut options = NewNode {
            last_write: node.map(|node| source.tree().inode(node).last_write_time),
            ..NewNode::default()
        };
        if let (None, Some(node)) = (self.image.tree().lookup(path), node) {
            options.attributes = Some(source.tree().inode(node).attributes);
            options.security = source.tree().security_of(node).map(<[u8]>::to_vec);
        }
        self.image.put_bytes(path, bytes, &options)
    }

    fn manifest(
        &mut self,
        key_form: &str,
        wanted: Option<&[u8; 32]>,
    ) -> Result<Option<String>, ImageError> {
        for (index, manifests) in self.manifests.iter().enumerate() {
            let whose = Whose::Source(index);
            let Ok(Some(bytes)) = manifests.read(self.at(whose), key_form) else { continue };
            let hash = sha256(&bytes);
            let vouched = self.report.vouched.names(&hash, &Sha1::of(&bytes).0);
            if vouched || wanted == Some(&hash) {
                let from = layout::manifest(self.at(whose), key_form);
                let path = layout::manifest(self.image, key_form);
                self.put(&path, bytes, (whose, &from))?;
                return Ok(Some(whose.shown()));
            }
        }
        Ok(None)
    }

    /// True when the file is there, plain, and what is wanted.
    fn is(&self, whose: Whose, path: &NtPath, wanted: &FileHash) -> bool {
        let image = self.at(whose);
        let Some(node) = image.tree().lookup(path) else { return false };
        let inode = image.tree().inode(node);
        !inode.is_directory()
            && !inode.is_reparse_point()
            && digests(image, &inode.data()).is_ok_and(|found| found.is(wanted))
    }

    fn payload(
        &mut self,
        path: &NtPath,
        wanted: &FileHash,
        projections: &[NtPath],
    ) -> Result<Option<String>, ImageError> {
        if self.is(Whose::Own, path, wanted) {
            // Unreadable before, and supplied meanwhile.
            return Ok(Some("a source".to_owned()));
        }
        for projection in projections {
            if self.is(Whose::Own, projection, wanted) {
                self.image.link(projection, path)?;
                return Ok(Some(format!("{projection} of the image itself")));
            }
        }
        let places = || std::iter::once(path).chain(projections);
        for whose in self.sources() {
            for from in places() {
                if self.is(whose, from, wanted)
                    && let Some(bytes) = self.read(whose, from)
                {
                    self.put(path, bytes, (whose, from))?;
                    return Ok(Some(whose.shown()));
                }
            }
        }
        Ok(None)
    }

    fn projection(
        &mut self,
        store: &NtPath,
        wanted: &FileHash,
        path: &NtPath,
    ) -> Result<Option<String>, ImageError> {
        if !self.is(Whose::Own, store, wanted) {
            return Ok(None);
        }
        self.image.link(store, path)?;
        Ok(Some("the store of the image itself".to_owned()))
    }

    /// The catalogs of an image by hash.
    fn catalogs_of(&mut self, whose: Whose) -> &BTreeMap<[u8; 32], NtPath> {
        if !self.catalogs.contains_key(&whose) {
            let found = catalogs(self.at(whose));
            self.catalogs.insert(whose, found);
        }
        &self.catalogs[&whose]
    }

    fn catalog(&mut self, wanted: &[u8; 32]) -> Result<Option<String>, ImageError> {
        let path = layout::catalog(self.image, &crate::base::digest::to_hex(wanted));
        for whose in std::iter::once(Whose::Own).chain(self.sources()) {
            let Some(from) = self.catalogs_of(whose).get(wanted).cloned() else { continue };
            let Some(bytes) = self.read(whose, &from).filter(|bytes| sha256(bytes) == *wanted)
            else {
                continue;
            };
            self.put(&path, bytes, (whose, &from))?;
            return Ok(Some(whose.shown()));
        }
        Ok(None)
    }

    /// Finds a mum and a catalog that belong together: as much as can be of the image's own.
    fn package(&mut self, id: &str) -> Result<Option<String>, ImageError> {
        let all: Vec<Whose> = std::iter::once(Whose::Own).chain(self.sources()).collect();
        let mut mums = Vec::new();
        let mut signed = Vec::new();
        for &whose in &all {
            let image = self.at(whose);
            let path = layout::mum(image, id);
            if let Some(bytes) = self.read(whose, &path)
                && Mum::parse(&bytes)
                    .is_ok_and(|mum| mum.identity.package_id().eq_ignore_ascii_case(id))
            {
                mums.push((whose, path, bytes));
            }
            for path in [layout::mum_catalog(image, id), layout::catroot(image, id)] {
                if let Some(bytes) = self.read(whose, &path)
                    && let Ok(catalog) = Catalog::parse(&bytes)
                {
                    signed.push((whose, path, bytes, catalog));
                }
            }
        }
        for (of_catalog, catalog_path, catalog_bytes, catalog) in &signed {
            for (of_mum, mum_path, mum) in &mums {
                let digests = FileDigests { sha256: sha256(mum), sha1: Sha1::of(mum).0, pe: None };
                let known = self.report.vouched.catalogs.contains(&sha256(catalog_bytes))
                    || *of_catalog == Whose::Own
                    || *of_mum == Whose::Own
                    || !matches!(catalog.verify().trust, Trust::Unsigned | Trust::Test);
                if !known || !catalog.contains(&digests) {
                    continue;
                }
                let path = layout::mum(self.image, id);
                self.put(&path, mum.clone(), (*of_mum, mum_path))?;
                let path = layout::mum_catalog(self.image, id);
                self.put(&path, catalog_bytes.clone(), (*of_catalog, catalog_path))?;
                // Its copy in CatRoot goes with it, where the source has one.
                let path = layout::catroot(self.image, id);
                if self.image.tree().lookup(&path).is_none()
                    && self
                        .at(*of_catalog)
                        .tree()
                        .lookup(&layout::catroot(self.at(*of_catalog), id))
                        .is_some()
                {
                    self.put(&path, catalog_bytes.clone(), (*of_catalog, catalog_path))?;
                }
                return Ok(Some((*of_mum).max(*of_catalog).shown()));
            }
        }
        Ok(None)
    }

    /// The catalog beside the mum is right, or there would be no such finding.
    fn catroot(&mut self, id: &str) -> Result<Option<String>, ImageError> {
        let from = layout::mum_catalog(self.image, id);
        let Some(bytes) = self.read(Whose::Own, &from) else { return Ok(None) };
        let path = layout::catroot(self.image, id);
        self.put(&path, bytes, (Whose::Own, &from))?;
        Ok(Some(Whose::Own.shown()))
    }

    fn value(
        &mut self,
        key: &RegistryPath,
        name: &Name,
        like: Option<&Name>,
    ) -> Result<Option<String>, ImageError> {
        let own = match like {
            Some(like) => self.image.registry_value(key, like)?.map(|value| value.data),
            None => None,
        };
        for index in 0..self.sources.len() {
            let source = &mut self.sources[index];
            // A source whose hive is damaged is none.
            let Ok(Some(value)) = source.registry_value(key, name) else { continue };
            if let Some(like) = like {
                let same = source.registry_value(key, like).ok().flatten();
                if own.is_none() || same.map(|value| value.data) != own {
                    continue;
                }
            }
            if self.image.registry_value(key, name)?.is_some_and(|own| own.data == value.data) {
                // It is no better there.
                continue;
            }
            self.image.set_value(key, &value)?;
            return Ok(Some(Whose::Source(index).shown()));
        }
        Ok(None)
    }
}

impl Room<'_> {
    /// The state of a package in force, from a source in which the same package is.
    fn state(&mut self, id: &str) -> Result<Option<String>, ImageError> {
        let (mum, name) = (layout::mum(self.image, id), Name::from("CurrentState"));
        let key = layout::cbs("Packages").join(&Name::from(id));
        let Some(own) = self.read(Whose::Own, &mum) else { return Ok(None) };
        for index in 0..self.sources.len() {
            let whose = Whose::Source(index);
            let place = layout::mum(self.at(whose), id);
            if self.read(whose, &place).is_none_or(|bytes| bytes != own) {
                continue;
            }
            let Ok(Some(value)) = self.sources[index].registry_value(&key, &name) else { continue };
            let state = value.as_dword().map(PackageState::of_number);
            if state.is_some_and(PackageState::is_installed) {
                self.image.set_value(&key, &value)?;
                return Ok(Some(whose.shown()));
            }
        }
        Ok(None)
    }

    /// Copies what is missing from a source with the same file, then sets what is missing still and follows from the store.
    fn restore(
        &mut self,
        key: &RegistryPath,
        same: Option<&NtPath>,
        computed: &[(RegistryPath, Value)],
    ) -> Result<Option<String>, ImageError> {
        let mut from = None;
        let own = same.and_then(|path| self.read(Whose::Own, path));
        if let (Some(path), Some(own)) = (same, own) {
            for index in 0..self.sources.len() {
                let whose = Whose::Source(index);
                if self.read(whose, path).is_some_and(|bytes| bytes == own)
                    && copy::key(self.image, &mut self.sources[index], key, computed)?
                {
                    from = Some(whose.shown());
                    break;
                }
            }
        }
        if layout::is_package_key(key) && !self.image.registry_key_exists(key)? {
            // States without the package they belong to would be a guess.
            return Ok(None);
        }
        for (key, value) in computed {
            if self.image.registry_value(key, &value.name)?.is_none() {
                self.image.set_value(key, value)?;
                from.get_or_insert_with(|| "what the store itself says".to_owned());
            }
        }
        if same.is_none() && !self.image.registry_key_exists(key)? {
            self.image.create_key(key)?;
            from.get_or_insert_with(|| "the manifest".to_owned());
        }
        Ok(from)
    }
}

/// All catalogs of an image that can be read, by their hash.
fn catalogs(image: &Image) -> BTreeMap<[u8; 32], NtPath> {
    let mut found = BTreeMap::new();
    let folder = |path: NtPath| path.parent().unwrap_or(path);
    for folder in [
        folder(layout::catalog(image, "")),
        layout::packages(image),
        folder(layout::catroot(image, "")),
    ] {
        let node = image.tree().lookup(&folder);
        for &child in node.map_or(&[][..], |node| image.tree().children(node)) {
            let name = &image.tree().node(child).name;
            if !name.to_string().to_lowercase().ends_with(".cat") {
                continue;
            }
            if let Ok(digests) = digests(image, &image.tree().inode(child).data()) {
                found.entry(digests.sha256).or_insert_with(|| folder.join(name.clone()));
            }
        }
    }
    found
}
