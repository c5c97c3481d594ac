//! Payload against manifests, projections against payload.

use std::collections::BTreeSet;

use crate::{
    base::{digest::Sha1, name::Name, ntpath::NtPath},
    format::{cbs::manifest::FileHash, dcm},
    image::{BlobRef, Image, ImageError, NodeId, Watch, tree::ATTRIBUTE_ENCRYPTED},
    servicing::cbs::layout,
};

use super::{
    content::{self, Digests},
    manifests::{Component, Manifests, StoredFile},
    registry::{ComponentKey, Registry},
    report::{HealthReport, Mend, What, shown_hash},
};

/// Beginnings of files that are stored compressed or as deltas.
const COMPRESSED: [&[u8; 4]; 6] =
    [b"DCD\x01", b"DCH\x01", b"DCM\x01", b"DCN\x01", b"DCS\x01", b"DCX\x01"];
/// Folders of a component that hold deltas.
const DELTAS: [&str; 3] = ["f", "r", "n"];

/// Something whose content is to be compared.
struct Job {
    what: What,
    path: NtPath,
    content: BlobRef,
    wanted: FileHash,
    mend: Mend,
    /// Of a projection: the store's file is another one.
    unlinked: bool,
}

/// Checks the files of all sound components.
pub(super) fn check(
    image: &Image,
    registry: &Registry,
    manifests: &Manifests,
    watch: Watch<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let mut survey = Survey {
        image,
        registry,
        report,
        jobs: Vec::new(),
        projections: Vec::new(),
        stored: BTreeSet::new(),
    };
    for (key_form, component) in manifests.sound.iter().filter(|(_, it)| !it.deployment) {
        survey.component(key_form, component);
    }
    survey.projections();
    let Survey { jobs, .. } = survey;
    let contents = jobs.iter().map(|job| job.content);
    let digests = content::each(image, contents, watch, &|it| content::digests(image, it))?;
    for job in jobs {
        judge(image, &digests[&job.content], job, report);
    }
    Ok(())
}

fn judge(image: &Image, found: &Result<Digests, String>, job: Job, report: &mut HealthReport) {
    match job.what {
        What::Projection => report.counts.projections += 1,
        _ => report.counts.files += 1,
    }
    let found = match found {
        Ok(found) => found,
        Err(why) => return report.unreadable(job.what, &job.path, job.content, why, job.mend),
    };
    let is_right = found.is(&job.wanted)
        || (COMPRESSED.contains(&&found.magic) && unpacked_is(image, &job.content, &job.wanted));
    let expected = shown_hash(&job.wanted);
    if is_right && job.unlinked {
        let found = "a file of its own with the same content";
        report.note(job.what, &job.path, ("a hard link to the store", found), job.mend);
    } else if is_right {
    } else if COMPRESSED.contains(&&found.magic) {
        report.skip("file that is stored compressed");
    } else {
        let found = match &job.wanted {
            FileHash::Sha256(_) => shown_hash(&FileHash::Sha256(found.sha256)),
            FileHash::Sha1(_) => shown_hash(&FileHash::Sha1(found.sha1)),
        };
        report.damaged(job.what, &job.path, (expected, found), job.mend);
    }
}

/// True when it is a compressed file of the store whose plain content is the wanted one.
fn unpacked_is(image: &Image, content: &BlobRef, wanted: &FileHash) -> bool {
    let Ok(stored) = image.read_blob(content) else { return false };
    dcm::decode(&stored, None, dcm::LARGEST).is_ok_and(|plain| match wanted {
        FileHash::Sha256(digest) => content::sha256(&plain) == *digest,
        FileHash::Sha1(digest) => Sha1::of(&plain).0 == *digest,
    })
}

/// A projection to look at once all of the store's files are known.
struct Projection {
    store: NtPath,
    path: NtPath,
    wanted: FileHash,
    writeable: bool,
}

struct Survey<'a> {
    image: &'a Image,
    registry: &'a Registry,
    report: &'a mut HealthReport,
    jobs: Vec<Job>,
    projections: Vec<Projection>,
    /// The files in the store, by any of their names.
    stored: BTreeSet<crate::image::tree::InodeId>,
}

/// What the hive says of a component.
#[derive(Clone, Copy, Default)]
struct State {
    known: bool,
    staged: bool,
    installed: bool,
    wins: Option<bool>,
}

impl Survey<'_> {
    fn component(&mut self, key_form: &str, component: &Component) {
        let key = self.registry.components.get(key_form);
        let state = self.state(key, component);
        let folder = layout::component(self.image, key_form);
        self.deltas(&folder);
        for file in &component.files {
            let Some(names) = &file.names else {
                self.report.skip("file with a strange name");
                continue;
            };
            for _ in 0..file.unknown_places {
                self.report.skip("projection to a place that is not known here");
            }
            let path =
                names.iter().fold(folder.clone(), |path, name| path.join(name.as_str().into()));
            let marks = key.map(|key| {
                let whole = names.join("\\").to_lowercase();
                let last = names.last().map(|name| name.to_lowercase()).unwrap_or_default();
                (key, key.files.contains(&whole) || key.files.contains(&last), whole)
            });
            self.stored_file(&folder, &path, file, marks, state);
            let Some(wanted) = file.hash.clone().filter(|_| !file.projections.is_empty()) else {
                continue;
            };
            match (state.installed, state.wins) {
                (true, Some(true)) => {}
                (true, None) => {
                    self.report.skip("projection of a component without a winner");
                    continue;
                }
                _ => continue,
            }
            self.projections.extend(file.projections.iter().map(|to| Projection {
                store: path.clone(),
                path: to.clone(),
                wanted: wanted.clone(),
                writeable: file.writeable,
            }));
        }
    }

    fn state(&self, key: Option<&ComponentKey>, component: &Component) -> State {
        let deployments = key.into_iter().flat_map(|key| &key.deployments);
        let mut state = State::default();
        for deployment in deployments.filter_map(|name| self.registry.deployments.get(name)) {
            state.known = true;
            state.staged |= !deployment.staged.is_empty();
            state.installed |= !deployment.installed.is_empty();
        }
        let winner = self.registry.winners.get(&component.identity.winners_key_form());
        state.wins = winner.copied().flatten().map(|version| version == component.identity.version);
        state
    }

    fn stored_file(
        &mut self,
        folder: &NtPath,
        path: &NtPath,
        file: &StoredFile,
        marks: Option<(&ComponentKey, bool, String)>,
        state: State,
    ) {
        let name = path.file_name().map(ToString::to_string).unwrap_or_default();
        let marked = marks.as_ref().is_some_and(|(_, marked, _)| *marked);
        let Some(wanted) = file.hash.clone() else {
            return self.report.skip("file without a hash in its manifest");
        };
        let mend = Mend::Payload {
            path: path.clone(),
            wanted: wanted.clone(),
            projections: file.projections.clone(),
        };
        let Some(node) = self.image.tree().lookup(path) else {
            if DELTAS.iter().any(|delta| {
                let below = folder.join(Name::from(*delta)).join(Name::from(name.as_str()));
                self.image.tree().lookup(&below).is_some()
            }) {
                self.report.skip("file that is there as a delta only");
            } else if (marked && (state.staged || !state.known))
                || (state.installed && !self.registry.customs.files)
            {
                self.report.damaged(What::Payload, path, (shown_hash(&wanted), "nothing"), mend);
            } else {
                self.report.skip("file whose payload is not in the image");
            }
            return;
        };
        self.stored.insert(self.image.tree().node(node).inode);
        if let (Some((key, false, name)), true) = (marks, self.registry.customs.files) {
            let path = layout::components().join(&Name::from(key.name.as_str()));
            let value = format!("f!{name}");
            let mend = Mend::Copy {
                key: path.clone(),
                name: Name::from(value.as_str()),
                like: Some("S256H".into()),
            };
            self.report.note(What::Registry, path, (value, "none"), mend);
        }
        match self.plain(node) {
            Some(content) => self.jobs.push(Job {
                what: What::Payload,
                path: path.clone(),
                content,
                wanted,
                mend,
                unlinked: false,
            }),
            None => self.report.skip("file that is a reparse point, encrypted or a folder"),
        }
    }

    /// The content of a plain file.
    fn plain(&self, node: NodeId) -> Option<BlobRef> {
        let inode = self.image.tree().inode(node);
        let odd = inode.is_directory()
            || inode.is_reparse_point()
            || inode.attributes & ATTRIBUTE_ENCRYPTED != 0;
        (!odd).then(|| inode.data())
    }

    /// Counts what is in the folders of deltas: their targets are other versions, of which only the delta itself knows the hash.
    fn deltas(&mut self, folder: &NtPath) {
        for name in DELTAS {
            let Some(node) = self.image.tree().lookup(&folder.join(Name::from(name))) else {
                continue;
            };
            for _ in self.image.tree().children(node) {
                self.report.skip("delta of a file");
            }
        }
    }

    /// Looks at the projections.
    fn projections(&mut self) {
        for Projection { store, path, wanted, writeable } in std::mem::take(&mut self.projections) {
            let tree = self.image.tree();
            let mend = Mend::Projection {
                store: store.clone(),
                wanted: wanted.clone(),
                path: path.clone(),
            };
            let Some(node) = tree.lookup(&path) else {
                if writeable {
                    self.report.skip("projection that may be changed");
                } else {
                    let expected = format!("a hard link to {store}");
                    self.report.damaged(What::Projection, path, (expected, "nothing"), mend);
                }
                continue;
            };
            let stored = tree.lookup(&store);
            let inode = tree.node(node).inode;
            if stored.is_some_and(|stored| tree.node(stored).inode == inode) {
                self.report.counts.projections += 1;
                continue;
            }
            match self.plain(node) {
                _ if writeable => self.report.skip("projection that may be changed"),
                // Two components that project to one place: only one of them can be there.
                _ if self.stored.contains(&inode) => {
                    self.report.skip("projection that another component has taken");
                }
                Some(content) => self.jobs.push(Job {
                    what: What::Projection,
                    path,
                    content,
                    wanted,
                    mend,
                    unlinked: true,
                }),
                None => self.report.skip("file that is a reparse point, encrypted or a folder"),
            }
        }
    }
}
