//! Paths of this machine as recipes write them.
//!
//! They are relative to the folder of the file that holds them, with `/` or `\` between names on every host. An input's name
//! ([`input_id`]) is its path from the main recipe's folder, so it is the same wherever the recipe is checked out.

use std::path::{Path, PathBuf};

use crate::servicing::InputId;

use super::source::Source;

/// The path that `text`, written in `source`, names on this machine. `..` takes back the name before it, as text, so that the path and the
/// input's name ([`input_id`]) cannot mean two files where that name is a symbolic link.
pub(crate) fn resolve(source: &Source, text: &str) -> PathBuf {
    source.folder.join(normalize(&text.replace('\\', "/")))
}

/// The name of the input that `text`, written in `source`, names.
pub(crate) fn input_id(source: &Source, text: &str) -> InputId {
    InputId(join(&source.folder_from_recipe, text))
}

/// `text` seen from `folder`, without `.`, `..` and double separators as far as the names allow; both with `/`.
pub(crate) fn join(folder: &str, text: &str) -> String {
    let text = text.replace('\\', "/");
    if is_absolute(&text) || folder.is_empty() {
        return normalize(&text);
    }
    normalize(&format!("{folder}/{text}"))
}

/// The folder part of a path with `/`; empty when there is none.
pub(crate) fn folder(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) => "/",
        Some(position) => &path[..position],
        None => "",
    }
}

/// True when both name the same file, as far as their texts tell.
pub(crate) fn same(left: &Path, right: &Path) -> bool {
    normal(left) == normal(right)
}

/// The path with `/` and without what its text says twice.
pub(crate) fn normal(path: &Path) -> PathBuf {
    PathBuf::from(normalize(&path.to_string_lossy().replace('\\', "/")))
}

fn is_absolute(text: &str) -> bool {
    let drive =
        |bytes: &[u8]| bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    text.starts_with('/') || drive(text.as_bytes())
}

fn normalize(text: &str) -> String {
    let root = if text.starts_with('/') { "/" } else { "" };
    let mut names: Vec<&str> = Vec::new();
    for name in text.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if !root.is_empty() => {}
            name => names.push(name),
        }
    }
    match (root, names.is_empty()) {
        ("", true) => ".".to_owned(),
        _ => format!("{root}{}", names.join("/")),
    }
}

/// Where the lock file of a recipe is: `NAME.lock` beside `NAME.toml`, and `NAME.VARIANT.lock` for a variant.
#[must_use]
pub fn lock(recipe: &Path, variant: Option<&str>) -> PathBuf {
    match variant {
        None => recipe.with_extension("lock"),
        Some(variant) => recipe.with_extension(format!("{variant}.lock")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_inputs_do_not_depend_on_how_they_are_written() {
        let table = [
            ("", "files/a", "files/a"),
            ("", r".\files\\a", "files/a"),
            ("common", "files/a", "common/files/a"),
            ("common", "../files/a", "files/a"),
            ("../shared", "../a", "../a"),
            ("common", "/abs/../x", "/x"),
            ("common", r"D:\media\x.wim", "D:/media/x.wim"),
            ("", "..", ".."),
            ("a", "..", "."),
        ];
        for (folder, text, expected) in table {
            assert_eq!(join(folder, text), expected, "{folder} + {text}");
        }
    }

    #[test]
    fn a_path_and_its_name_agree_where_a_link_is_left_again() {
        let source = Source::new("recipe.toml", "");
        assert_eq!(resolve(&source, "link/../f.txt"), Path::new("f.txt"));
        assert_eq!(input_id(&source, "link/../f.txt"), input_id(&source, "f.txt"));
    }

    #[test]
    fn the_same_file_is_recognised_by_its_text() {
        assert!(same(Path::new("recipes/../out/a.wim"), Path::new("./out/a.wim")));
        assert!(!same(Path::new("out/a.wim"), Path::new("out/b.wim")));
        assert_eq!((folder("a/b"), folder("a"), folder("/a")), ("a", "", "/"));
    }
}
