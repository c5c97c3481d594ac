//! `base::upcase` against the `$UpCase` file that ntfs-3g's `mkntfs` writes into a new NTFS volume, which is Windows 7's.

use std::ffi::OsStr;

use transom::base::upcase::upcase;

use crate::support::{oracle, temporary_folder};

/// Inode number of `$UpCase` on every NTFS volume.
const UPCASE_INODE: &str = "10";

#[test]
fn every_unit_folds_as_in_a_new_ntfs_volume() {
    let (Some(mkntfs), Some(ntfscat)) = (oracle("mkntfs"), oracle("ntfscat")) else { return };
    let folder = temporary_folder();
    let volume = folder.path().join("volume.ntfs");
    fs_err::File::create(&volume).unwrap().set_len(8 << 20).unwrap();
    mkntfs.run(
        ["--force", "--quiet", "--fast"].map(OsStr::new).into_iter().chain([volume.as_os_str()]),
    );
    let table = ntfscat
        .run(["-f", "-i", UPCASE_INODE].map(OsStr::new).into_iter().chain([volume.as_os_str()]));
    assert_eq!(table.len(), 2 * 0x1_0000, "the table has one unit for each unit");
    let wrong: Vec<_> = (0..=u16::MAX)
        .zip(table.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])))
        .filter(|(unit, expected)| upcase(*unit) != *expected)
        .collect();
    assert_eq!(wrong, [], "(unit, what NTFS folds it to)");
}
