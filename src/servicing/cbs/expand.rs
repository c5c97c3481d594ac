//! Files that a package does not hold as they are: made of deltas and streams, as its container index says.
//!
//! Each file the index names is made of one source: finished bytes, or a delta of another file of the same index or of nothing. So they are made one after the
//! other, each after the one it starts from; every result is checked against the SHA-256 that the index has. What only Windows can make (deltas
//! of executables) is left out and reported: such a package can still be installed by Windows itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
    sync::Arc,
};

use sha2::Digest as _;

use super::OPERATION;
use crate::{
    base::{
        digest::{Blake3, to_hex},
        read_at::ReadAt,
    },
    format::{
        cix::{ContainerIndex, FileDelta, IndexFile, SourceKind, SourcePlace},
        delta::{self, DeltaError},
        psf::Psf,
    },
    servicing::{
        archive::{self, ArchiveFile, Spool},
        error::{Problem, ServicingError},
    },
};

/// Largest file that is made of a delta, and that a delta starts from, in bytes: these are held in memory.
const LARGEST: u64 = 1 << 30;
/// So many files that cannot be made are named each.
const NAMED: usize = 10;
/// How much is hashed at once.
const PIECE: usize = 256 << 10;

/// What to do about a package that only Windows can unpack.
pub(super) const HELP: &str = "use `when-not-native = \"first-boot\"`, or a full package";

/// Where the sources of a package are.
pub(super) struct Sources<'a> {
    /// The package, for messages.
    pub(super) shown: &'a str,
    /// What its container holds, by the lower-cased path with `\`.
    pub(super) members: &'a BTreeMap<String, ArchiveFile>,
    /// The stream file beside it.
    pub(super) streams: Option<&'a Psf>,
}

/// What became of a package's files.
#[derive(Default)]
pub(super) struct Made {
    /// The files of the index that could be made, in its order.
    pub(super) files: Vec<ArchiveFile>,
    /// Those that could not, and why: the file, and the cause.
    pub(super) left: Vec<(String, String)>,
}

impl Made {
    /// The files that could not be made, as problems: the first each, the rest as a number.
    pub(super) fn problems(&self, shown: &str) -> Vec<Problem> {
        let named = self.left.iter().take(NAMED).map(|(name, cause)| {
            let item = format!("{shown}/{}", name.replace('\\', "/"));
            Problem::error(item, cause, HELP)
        });
        let mut problems: Vec<Problem> = named.collect();
        if let Some(more) = self.left.len().checked_sub(NAMED).filter(|&more| more > 0) {
            let cause = format!("{more} more of its files are deltas that only Windows can apply");
            problems.push(Problem::error(shown, cause, HELP));
        }
        problems
    }
}

/// Makes the files that `index` names.
///
/// # Errors
/// When a source is missing or damaged, a file has another hash than the index says, or files start from each other in a circle.
pub(super) fn make(
    index: &ContainerIndex,
    sources: &Sources<'_>,
    spool: &mut Spool,
) -> Result<Made, ServicingError> {
    let mut made = Made::default();
    // Files without id are nobody's basis.
    let with_id = index.files.iter().zip(0..).filter(|(file, _)| !file.id.is_empty());
    let by_id: HashMap<&str, usize> =
        with_id.map(|(file, place)| (file.id.as_str(), place)).collect();
    spool.check_total(OPERATION, sources.shown, work(index, &by_id))?;
    let basis = |file: &IndexFile| -> Result<Option<usize>, ServicingError> {
        let Some(id) = chosen(file).and_then(|delta| delta.basis.as_deref()) else {
            return Ok(None);
        };
        let place = by_id.get(id).copied();
        let missing = || {
            sources.refused(
                file,
                format!("it starts from the file {id}, which the index does not have"),
            )
        };
        place.map(Some).ok_or_else(missing)
    };
    let mut done: Vec<Option<Outcome>> = Vec::new();
    done.resize_with(index.files.len(), || None);
    // In which chain a file was seen, so that a circle is noticed.
    let mut seen = vec![usize::MAX; index.files.len()];
    for start in 0..index.files.len() {
        let mut chain = Vec::new();
        let mut next = Some(start);
        while let Some(place) = next.filter(|&place| done[place].is_none()) {
            if seen[place] == start {
                let what = "it starts from a file that starts from it".to_owned();
                return Err(sources.refused(&index.files[place], what));
            }
            seen[place] = start;
            chain.push(place);
            next = basis(&index.files[place])?;
        }
        for &place in chain.iter().rev() {
            let file = &index.files[place];
            let reference = basis(file)?.and_then(|place| done[place].as_ref());
            done[place] = Some(make_file(file, reference, sources, spool)?);
        }
    }
    for (file, outcome) in index.files.iter().zip(done) {
        match outcome {
            Some(Outcome::Made(done)) => made.files.push(done),
            Some(Outcome::Left(cause)) => made.left.push((file.name.clone(), cause)),
            None => {}
        }
    }
    Ok(made)
}

/// How many bytes each file of an index will have, is made of and starts from. Ranges may overlap and bases may be shared, so that a small index could
/// otherwise mean any amount of work.
fn work(index: &ContainerIndex, by_id: &HashMap<&str, usize>) -> impl Iterator<Item = u64> {
    index.files.iter().map(|file| {
        let way = chosen(file);
        let basis = way.and_then(|way| by_id.get(way.basis.as_deref()?));
        let basis = basis.and_then(|&place| index.files[place].size).unwrap_or(0);
        let source = match way.map(|way| &way.place) {
            Some(SourcePlace::Range { length, .. }) => *length,
            _ => 0,
        };
        file.size.unwrap_or(0).max(source).saturating_add(basis)
    })
}

/// The members that the files of an index are made of, lower-cased.
pub(super) fn members_of(index: &ContainerIndex) -> BTreeSet<String> {
    let ways = index.files.iter().flat_map(|file| &file.deltas);
    let members = ways.filter_map(|way| match &way.place {
        SourcePlace::Member(name) => Some(name.to_lowercase()),
        SourcePlace::Range { .. } => None,
    });
    members.collect()
}

/// What became of one file.
enum Outcome {
    Made(ArchiveFile),
    /// Only Windows can make it, for this reason.
    Left(String),
}

/// The way a file is made: with finished bytes if it can, else with a delta that is read here.
fn chosen(file: &IndexFile) -> Option<&FileDelta> {
    let of_kind = |kind: &SourceKind| file.deltas.iter().find(|delta| delta.kind == *kind);
    of_kind(&SourceKind::Raw).or_else(|| of_kind(&SourceKind::Pa30)).or_else(|| file.deltas.first())
}

fn make_file(
    file: &IndexFile,
    reference: Option<&Outcome>,
    sources: &Sources<'_>,
    spool: &mut Spool,
) -> Result<Outcome, ServicingError> {
    let Some(way) = chosen(file) else {
        return Ok(Outcome::Left("its index does not say what it is made of".to_owned()));
    };
    let path = archive::split(&file.name);
    let source = sources.find(file, way)?;
    let (content, blake3) = match &way.kind {
        SourceKind::Raw => {
            check_size(file, source.size(), sources)?;
            sources.check_sha256(file, file.sha256.or(way.sha256).as_ref(), source.as_ref())?;
            match sources.member(&way.place) {
                Some(member) => (source, member.blake3),
                None => (Arc::clone(&source), sources.blake3(source.as_ref())?),
            }
        }
        SourceKind::Pa30 => {
            let reference = match reference {
                None => Vec::new(),
                Some(Outcome::Made(reference)) => sources.read(file, reference.content.as_ref())?,
                Some(Outcome::Left(_)) => {
                    return Ok(Outcome::Left(
                        "it is a delta of a file that only Windows can make".to_owned(),
                    ));
                }
            };
            sources.check_sha256(file, way.sha256.as_ref(), source.as_ref())?;
            let delta = sources.read(file, source.as_ref())?;
            let limit = file.size.unwrap_or(LARGEST).min(LARGEST);
            let bytes = match delta::apply(&delta, &reference, limit) {
                Ok(bytes) => bytes,
                Err(DeltaError::Unsupported(what)) => return Ok(Outcome::Left(not_native(&what))),
                Err(error) => return Err(sources.refused(file, error.to_string())),
            };
            drop((delta, reference));
            check_size(file, bytes.len() as u64, sources)?;
            sources.check_sha256(file, file.sha256.as_ref(), &bytes)?;
            let kept = spool.take(bytes.len() as u64, &mut bytes.as_slice());
            kept.map_err(|source| archive::unpacking(OPERATION, sources.shown, source))?
        }
        SourceKind::Other(kind) => {
            return Ok(Outcome::Left(not_native(&format!("a delta of the {kind} kind"))));
        }
    };
    let (size, time) = (content.size(), file.time);
    Ok(Outcome::Made(ArchiveFile { path, size, time, content, blake3 }))
}

/// Why a file is left to Windows.
pub(super) fn not_native(what: &str) -> String {
    format!(
        "this package carries it as a delta that only Windows can apply ({what} is not supported)"
    )
}

fn check_size(file: &IndexFile, size: u64, sources: &Sources<'_>) -> Result<(), ServicingError> {
    match file.size {
        Some(expected) if expected != size => {
            let what = format!("it has {size} bytes, its index says {expected}");
            Err(sources.refused(file, what))
        }
        _ => Ok(()),
    }
}

impl Sources<'_> {
    fn refused(&self, file: &IndexFile, cause: String) -> ServicingError {
        let item = format!("{}/{}", self.shown, file.name.replace('\\', "/"));
        let problem = Problem::error(item, cause, "get the package again");
        ServicingError::refused(OPERATION, problem)
    }

    fn member(&self, place: &SourcePlace) -> Option<&ArchiveFile> {
        match place {
            SourcePlace::Member(name) => self.members.get(&name.to_lowercase()),
            SourcePlace::Range { .. } => None,
        }
    }

    fn find(&self, file: &IndexFile, way: &FileDelta) -> Result<Arc<dyn ReadAt>, ServicingError> {
        match &way.place {
            SourcePlace::Member(name) => {
                let member = self.member(&way.place).map(|member| Arc::clone(&member.content));
                let missing = format!("it is made of the member {name}, which is not there");
                member.ok_or_else(|| self.refused(file, missing))
            }
            SourcePlace::Range { offset, length } => {
                let Some(streams) = self.streams else {
                    let cause = "its files lie in a stream file (.psf), which is not there";
                    let help = "put the .psf beside it, and name the folder that holds both";
                    let problem = Problem::error(self.shown, cause, help);
                    return Err(ServicingError::refused(OPERATION, problem));
                };
                let stream = streams.stream(*offset, *length);
                let stream = stream.map_err(|error| self.refused(file, error.to_string()))?;
                Ok(Arc::new(stream))
            }
        }
    }

    /// All bytes of a delta, or of what one starts from.
    fn read(&self, file: &IndexFile, content: &dyn ReadAt) -> Result<Vec<u8>, ServicingError> {
        let size = content.size();
        let Some(size) = usize::try_from(size).ok().filter(|_| size <= LARGEST) else {
            let what =
                format!("it is made of {size} bytes, more than the {LARGEST} that are tried");
            return Err(self.refused(file, what));
        };
        let mut bytes = vec![0; size];
        let read = content.read_exact_at(0, &mut bytes);
        read.map_err(|source| ServicingError::input(self.shown, source))?;
        Ok(bytes)
    }

    fn check_sha256(
        &self,
        file: &IndexFile,
        expected: Option<&[u8; 32]>,
        content: &dyn ReadAt,
    ) -> Result<(), ServicingError> {
        let Some(expected) = expected else { return Ok(()) };
        let mut hasher = sha2::Sha256::new();
        self.each_piece(content, &mut |piece| hasher.update(piece))?;
        let found: [u8; 32] = hasher.finalize().into();
        if found == *expected {
            return Ok(());
        }
        let (found, expected) = (to_hex(&found), to_hex(expected));
        let what = format!("it has the SHA-256 {found}, its index says {expected}");
        Err(self.refused(file, what))
    }

    fn blake3(&self, content: &dyn ReadAt) -> Result<Blake3, ServicingError> {
        let mut hasher = blake3::Hasher::new();
        self.each_piece(content, &mut |piece| {
            hasher.update(piece);
        })?;
        Ok(Blake3(*hasher.finalize().as_bytes()))
    }

    fn each_piece(
        &self,
        content: &dyn ReadAt,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), ServicingError> {
        let mut reader = Pieces { content, offset: 0 };
        let mut buffer = vec![0; usize::try_from(content.size()).unwrap_or(PIECE).min(PIECE)];
        loop {
            let count = reader.read(&mut buffer);
            match count.map_err(|source| ServicingError::input(self.shown, source))? {
                0 => return Ok(()),
                count => sink(&buffer[..count]),
            }
        }
    }
}

/// Content from its start to its end.
pub(super) struct Pieces<'a> {
    pub(super) content: &'a dyn ReadAt,
    pub(super) offset: u64,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.content.size().saturating_sub(self.offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.content.read_exact_at(self.offset, &mut buffer[..count])?;
        self.offset += count as u64;
        Ok(count)
    }
}
