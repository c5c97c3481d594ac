//! Where driver packages come from: a folder, a cabinet or ZIP archive, or the folder that a named INF lies in.
//!
//! Archives are known by their first bytes, whatever their name. They are unpacked to memory when they are small, else to a file without a
//! name that is gone when the tree is. Archives that lie in a folder are files like others: they are not opened.
//!
//! A package is its INF and the files beside and below it, so an INF alone is no source: [`split_inf`] tells the recipe to take its folder.

use std::sync::Arc;

use crate::{
    base::{
        digest::Blake3,
        name::{Name, compare_ignore_case},
        read_at::ReadAt,
    },
    format::{cab, zip},
    servicing::{
        archive::{self, ArchiveFile, Spool, check_names},
        error::ServicingError,
        inputs::{InputEntry, InputId, InputKind, InputTree},
    },
};

const OPERATION: &str = "drivers";
/// Most bytes that the files of an archive may have together.
const LARGEST: u64 = 4 << 30;

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
    check_names(OPERATION, &id.0, files.iter().map(|file| file.path.as_slice()))?;
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
    let mut spool = Spool::new(LARGEST);
    let files = match archive::magic(&id.0, content.as_ref())? {
        cab::MAGIC => archive::open_cabinet(OPERATION, &id.0, content, &mut spool)?,
        zip::MAGIC | zip::MAGIC_EMPTY => archive::open_zip(OPERATION, &id.0, content, &mut spool)?,
        _ => {
            let name = id.0.rsplit(['/', '\\']).next().unwrap_or(&id.0).to_owned();
            let content = Arc::clone(content);
            return Ok(vec![SourceFile { path: vec![name], size, content, blake3: *blake3 }]);
        }
    };
    let file = |ArchiveFile { path, size, content, blake3, .. }| SourceFile {
        path,
        size,
        content,
        blake3,
    };
    Ok(files.into_iter().map(file).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
