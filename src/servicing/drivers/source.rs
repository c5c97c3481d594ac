//! Where driver packages come from: a folder, a cabinet or ZIP archive, or the folder that a named INF lies in.
//!
//! Archives are known by their first bytes, whatever their name. They are unpacked to memory when they are small, else to a file without a
//! name that is gone when the tree is. Archives that lie in a folder are files like others: they are not opened.
//!
//! A package is its INF and the files beside and below it, so an INF alone is no source: [`split_inf`] tells the recipe to take its folder.

use std::{
    fs::File,
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    base::{
        digest::Blake3,
        name::{Name, compare_ignore_case},
        read_at::ReadAt,
    },
    format::{
        cab::{self, CabError, Cabinet},
        zip::{self, ZipArchive, ZipError},
    },
    servicing::{
        error::{Problem, ServicingError},
        inputs::{InputEntry, InputId, InputKind, InputTree},
    },
};

const OPERATION: &str = "drivers";
/// Archives whose files have no more bytes than this together are unpacked to memory.
const IN_MEMORY: u64 = 64 << 20;
/// Most bytes that the files of an archive may have together.
const LARGEST: u64 = 4 << 30;
/// How much is copied at once.
const PIECE: usize = 256 << 10;

/// The files of a driver source.
#[derive(Debug)]
pub struct SourceTree {
    /// Sorted by path.
    pub files: Vec<SourceFile>,
}

/// A file of a driver source.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Names from the source's root; at least one.
    pub path: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// The content.
    pub content: Arc<dyn ReadAt>,
    /// BLAKE3 of the content.
    pub blake3: Blake3,
}

impl SourceTree {
    /// All INF files, sorted by path.
    #[must_use]
    pub fn infs(&self) -> Vec<&SourceFile> {
        self.files.iter().filter(|file| file.path.last().is_some_and(|name| is_inf(name))).collect()
    }

    /// The INF that the recipe names, at the source's root; letter case does not matter.
    #[must_use]
    pub fn inf(&self, name: &str) -> Option<&SourceFile> {
        let wanted = Name::from(name);
        self.infs().into_iter().find(|file| match file.path.as_slice() {
            [found] => {
                compare_ignore_case(Name::from(found.as_str()).units(), wanted.units()).is_eq()
            }
            _ => false,
        })
    }
}

/// True for names that end in `.inf`.
fn is_inf(name: &str) -> bool {
    let start = name.len().saturating_sub(4);
    name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(".inf"))
}

/// For a source that names an INF: its folder (`.` when the text has none) and its name. `None` for all other sources.
///
/// The folder is what the recipe declares as the input, so that the digest covers all files of the package and two INFs of one folder are one
/// input; the name goes into the operation, which finds it with [`SourceTree::inf`].
#[must_use]
pub fn split_inf(source: &str) -> Option<(&str, &str)> {
    let (folder, name) = match source.rfind(['/', '\\']) {
        Some(0) => (&source[..1], &source[1..]),
        Some(place) => (&source[..place], &source[place + 1..]),
        None => (".", source),
    };
    (is_inf(name) && name.len() > 4).then_some((folder, name))
}

/// The files of the source `id`.
///
/// # Errors
/// When it cannot be read, is an archive that is damaged or not supported, or holds files whose names differ only in case.
pub fn open(id: &InputId, tree: &InputTree) -> Result<SourceTree, ServicingError> {
    let mut files = match tree.entries.as_slice() {
        [InputEntry { path, kind: InputKind::File { size, blake3, content } }]
            if path.is_empty() =>
        {
            open_file(id, *size, blake3, content)?
        }
        entries => entries.iter().filter_map(file_of_folder).collect(),
    };
    files.sort_by(|one, other| one.path.cmp(&other.path));
    check_names(id, &files)?;
    Ok(SourceTree { files })
}

fn file_of_folder(entry: &InputEntry) -> Option<SourceFile> {
    match &entry.kind {
        InputKind::Directory => None,
        InputKind::File { size, blake3, content } => Some(SourceFile {
            path: entry.path.clone(),
            size: *size,
            content: Arc::clone(content),
            blake3: *blake3,
        }),
    }
}

/// The members of an archive, or the file itself.
fn open_file(
    id: &InputId,
    size: u64,
    blake3: &Blake3,
    content: &Arc<dyn ReadAt>,
) -> Result<Vec<SourceFile>, ServicingError> {
    let mut magic = [0; 4];
    if size >= 4 {
        content
            .read_exact_at(0, &mut magic)
            .map_err(|source| ServicingError::input(&id.0, source))?;
    }
    match magic {
        cab::MAGIC => {
            let cabinet = Cabinet::open(Arc::clone(content)).map_err(|error| of_cab(id, error))?;
            let total = cabinet.members().iter().map(|member| member.size).sum();
            let mut unpacked = Unpacked::new(id, total)?;
            cabinet
                .extract(|_| true, &mut |member, content| {
                    unpacked.add(&member.name, member.size, content)
                })
                .map_err(|error| of_cab(id, error))?;
            Ok(unpacked.finish())
        }
        zip::MAGIC | zip::MAGIC_EMPTY => {
            let archive =
                ZipArchive::open(Arc::clone(content)).map_err(|error| of_zip(id, error))?;
            let total = archive.members().iter().map(|member| member.size).sum();
            let mut unpacked = Unpacked::new(id, total)?;
            archive
                .extract(|_| true, &mut |member, content| {
                    unpacked.add(&member.name, member.size, content)
                })
                .map_err(|error| of_zip(id, error))?;
            Ok(unpacked.finish())
        }
        _ => {
            let name = id.0.rsplit(['/', '\\']).next().unwrap_or(&id.0).to_owned();
            let content = Arc::clone(content);
            Ok(vec![SourceFile { path: vec![name], size, content, blake3: *blake3 }])
        }
    }
}

/// Files taken out of an archive.
struct Unpacked {
    files: Vec<SourceFile>,
    /// Where they go; `None` for memory.
    spool: Option<Arc<Spool>>,
    /// End of what was written to the spool.
    end: u64,
}

/// A file without a name that holds unpacked files one behind the other.
#[derive(Debug)]
struct Spool(Mutex<File>);

/// One of them.
#[derive(Debug)]
struct SpooledFile {
    spool: Arc<Spool>,
    offset: u64,
    size: u64,
}

impl Unpacked {
    fn new(id: &InputId, total: u64) -> Result<Self, ServicingError> {
        if total > LARGEST {
            let cause = format!(
                "its files have {total} bytes together, more than the {LARGEST} that an archive may have"
            );
            let help = "unpack it and name the folder";
            return Err(ServicingError::refused(OPERATION, Problem::error(&id.0, cause, help)));
        }
        let spool = if total > IN_MEMORY {
            let file = tempfile::tempfile().map_err(|source| unpacking(id, source))?;
            Some(Arc::new(Spool(Mutex::new(file))))
        } else {
            None
        };
        Ok(Self { files: Vec::new(), spool, end: 0 })
    }

    fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let mut hasher = blake3::Hasher::new();
        let path = name.split('\\').map(str::to_owned).collect();
        let content: Arc<dyn ReadAt> = if let Some(spool) = &self.spool {
            let mut buffer = vec![0; PIECE];
            let mut file = spool.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut written = 0;
            loop {
                let count = content.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count])?;
                written += count as u64;
            }
            let offset = self.end;
            self.end += written;
            Arc::new(SpooledFile { spool: Arc::clone(spool), offset, size: written })
        } else {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            hasher.update(&bytes);
            Arc::new(bytes)
        };
        if content.size() != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let blake3 = Blake3(*hasher.finalize().as_bytes());
        self.files.push(SourceFile { path, size, content, blake3 });
        Ok(())
    }

    fn finish(self) -> Vec<SourceFile> {
        self.files
    }
}

impl ReadAt for SpooledFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        use std::io::{Seek as _, SeekFrom};
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut file = self.spool.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.offset + offset))?;
        file.read_exact(buffer)
    }
}

/// Refuses files that would be one file, or a file and a folder of one name, on Windows.
fn check_names(id: &InputId, files: &[SourceFile]) -> Result<(), ServicingError> {
    let mut paths: Vec<(Vec<Name>, &SourceFile)> = files
        .iter()
        .map(|file| (file.path.iter().map(|name| Name::from(name.as_str())).collect(), file))
        .collect();
    let compare = |one: &[Name], other: &[Name]| {
        let pairs = one.iter().zip(other);
        let different = pairs.map(|(one, other)| compare_ignore_case(one.units(), other.units()));
        different
            .into_iter()
            .find(|order| order.is_ne())
            .unwrap_or_else(|| one.len().cmp(&other.len()))
    };
    paths.sort_by(|one, other| compare(&one.0, &other.0));
    let clash = paths.windows(2).find(|pair| {
        let (one, other) = (&pair[0].0, &pair[1].0);
        other.len() >= one.len() && compare(one, &other[..one.len()]).is_eq()
    });
    let Some(pair) = clash else { return Ok(()) };
    let (one, other) = (pair[0].1.path.join("/"), pair[1].1.path.join("/"));
    let cause =
        format!("{one} and {other} cannot both be there on Windows: their names are one name");
    Err(ServicingError::refused(OPERATION, Problem::error(&id.0, cause, "rename one of them")))
}

fn damaged(id: &InputId, error: &dyn std::error::Error) -> ServicingError {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        cause = format!("{cause}: {error}");
        source = error.source();
    }
    let help = "get the archive again, or unpack it and name the folder";
    ServicingError::refused(OPERATION, Problem::error(&id.0, cause, help))
}

/// That the files of an archive cannot be kept anywhere.
fn unpacking(id: &InputId, source: io::Error) -> ServicingError {
    ServicingError::Store { item: id.0.clone(), source: Box::new(source) }
}

fn of_cab(id: &InputId, error: CabError) -> ServicingError {
    match error {
        CabError::Io(source) => ServicingError::input(&id.0, source),
        CabError::Sink { source, .. } => unpacking(id, source),
        error => damaged(id, &error),
    }
}

fn of_zip(id: &InputId, error: ZipError) -> ServicingError {
    match error {
        ZipError::Io(source) => ServicingError::input(&id.0, source),
        ZipError::Sink { source, .. } => unpacking(id, source),
        error => damaged(id, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &[&str], content: &[u8]) -> InputEntry {
        let kind = InputKind::File {
            size: content.len() as u64,
            blake3: Blake3::of(content),
            content: Arc::new(content.to_vec()),
        };
        InputEntry { path: path.iter().map(|name| (*name).to_owned()).collect(), kind }
    }

    fn opened(
        id: &str,
        entries: Vec<InputEntry>,
    ) -> Result<Vec<(String, Vec<u8>)>, ServicingError> {
        let tree = open(&InputId(id.to_owned()), &InputTree { entries })?;
        let read = |file: &SourceFile| {
            let mut bytes = vec![0; usize::try_from(file.size).unwrap()];
            file.content.read_exact_at(0, &mut bytes).unwrap();
            assert_eq!(file.blake3, Blake3::of(&bytes));
            (file.path.join("/"), bytes)
        };
        Ok(tree.files.iter().map(read).collect())
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, content) in files {
            let (mut entry, config) = archive.new_file(*name).start().unwrap();
            let mut writer = config.wrap(&mut entry);
            writer.write_all(content).unwrap();
            let descriptor = writer.finish().unwrap().1;
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    #[test]
    fn a_folder_is_its_files_and_archives_in_it_stay_closed() {
        let root = InputEntry { path: Vec::new(), kind: InputKind::Directory };
        let archive = zip(&[("x.inf", b"x")]);
        let entries = vec![
            root,
            file(&["b.INF"], b"b"),
            file(&["a.zip"], &archive),
            file(&["a", "a.inf"], b"a"),
        ];
        let tree = open(&InputId("d".to_owned()), &InputTree { entries }).unwrap();
        let names = |files: Vec<&SourceFile>| {
            files.iter().map(|file| file.path.join("/")).collect::<Vec<_>>()
        };
        assert_eq!(names(tree.files.iter().collect()), ["a/a.inf", "a.zip", "b.INF"]);
        assert_eq!(names(tree.infs()), ["a/a.inf", "b.INF"]);
        assert_eq!(tree.inf("B.inf").unwrap().path, ["b.INF"]);
        assert!(tree.inf("a.inf").is_none(), "it lies deeper");
    }

    #[test]
    fn archives_are_known_by_their_bytes() {
        let archive = zip(&[("net/x.inf", b"x"), ("net/x.sys", b"yy")]);
        let expected =
            vec![("net/x.inf".to_owned(), b"x".to_vec()), ("net/x.sys".to_owned(), b"yy".to_vec())];
        assert_eq!(opened("drivers/net.bin", vec![file(&[], &archive)]).unwrap(), expected);
        let alone = vec![("net.zip".to_owned(), b"no".to_vec())];
        assert_eq!(opened("drivers/net.zip", vec![file(&[], b"no")]).unwrap(), alone);
        let broken = opened("net.cab", vec![file(&[], b"MSCF, but not really")]).unwrap_err();
        assert!(broken.to_string().contains("cabinet: shorter than its header"), "{broken}");
        assert!(!broken.help().is_empty());
    }

    #[test]
    fn names_that_windows_cannot_keep_apart_are_refused() {
        for files in [["a/x.inf", "A/X.INF"], ["a", "A/b"]] {
            let archive = zip(&files.map(|name| (name, b"x".as_slice())));
            let error = opened("d.zip", vec![file(&[], &archive)]).unwrap_err();
            assert!(error.to_string().contains("one name"), "{error}");
        }
    }

    #[test]
    fn what_is_large_goes_to_a_file() {
        let large = vec![7; 40 << 20];
        let archive = zip(&[("a", &large), ("b", &large), ("c", b"end")]);
        let found = opened("d.zip", vec![file(&[], &archive)]).unwrap();
        assert!(found[0].1 == large && found[1].1 == large && found[2].1 == b"end");
    }

    #[test]
    fn an_inf_is_taken_with_its_folder() {
        assert_eq!(split_inf("net/e1.INF"), Some(("net", "e1.INF")));
        assert_eq!(split_inf(r"..\net\e1.inf"), Some((r"..\net", "e1.inf")));
        assert_eq!(split_inf("e1.inf"), Some((".", "e1.inf")));
        assert_eq!(split_inf("/e1.inf"), Some(("/", "e1.inf")));
        for text in ["net", "net/e1.cab", "net/.inf", "e1.inf/", "é"] {
            assert_eq!(split_inf(text), None, "{text}");
        }
    }
}
