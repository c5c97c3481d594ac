//! Manual pages, as a program that shows them sees them.

use crate::support::{self, expect_success, temporary_folder, transom};

#[test]
fn pages_are_written_without_faults_and_the_same_twice() {
    let folder = temporary_folder();
    for name in ["one", "two"] {
        expect_success(transom(folder.path()).args(["man", "--to", name]));
    }
    let names = |name: &str| {
        let mut pages: Vec<_> = fs_err::read_dir(folder.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        pages.sort();
        pages
    };
    let (one, two) = (names("one"), names("two"));
    assert!(one.len() > 30, "{one:?}");
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(fs_err::read(one).unwrap(), fs_err::read(two).unwrap(), "{}", one.display());
    }
    let printed = expect_success(transom(folder.path()).args(["man", "wim", "apply"])).stdout;
    let page = folder.path().join("one/transom-wim-apply.1");
    assert_eq!(printed, fs_err::read(page).unwrap());

    let Some(mandoc) = support::oracle("mandoc") else { return };
    let output = mandoc.command().args(["-T", "lint", "-W", "error"]).args(&one).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
