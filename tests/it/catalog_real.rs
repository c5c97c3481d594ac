//! Catalogs of real driver packages: what is read of them, which files they name, what their signatures are worth.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use transom::{
    base::read_at::FileSource,
    format::catalog::{Catalog, FileDigests, MemberKind, Trust},
};
use walkdir::WalkDir;

use crate::support;

#[test]
fn dump_everything() {
    let Some(root) = support::shared_data("drivers") else { return };
    for path in catalogs(&root) {
        let catalog = Catalog::parse(&fs_err::read(&path).unwrap()).unwrap();
        let verdict = catalog.verify();
        eprintln!("{} {:?} members {}", path.display(), verdict, catalog.members().len());
    }
}

fn catalogs(root: &Path) -> Vec<PathBuf> {
    let all = WalkDir::new(root).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    let is = |path: &PathBuf| path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("cat"));
    all.filter(is).collect()
}
