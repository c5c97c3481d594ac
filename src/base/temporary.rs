//! A file that is written under another name beside its place and renamed when it is complete: whoever looks finds the old one or the new one, never a part.

use std::{io, path::Path};

use tempfile::{Builder, NamedTempFile};

/// An empty temporary file in the folder of `path`, whose name begins with `prefix`. It has the rights of the file that is at `path`, else those of a new file, which the umask
/// cuts. `NamedTempFile::persist` puts it in place; dropped before, it leaves nothing behind.
///
/// # Errors
/// When it cannot be made.
pub fn beside(path: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = Builder::new();
    builder.prefix(prefix);
    match fs_err::metadata(path) {
        Ok(metadata) => {
            builder.permissions(metadata.permissions());
        }
        Err(_) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                builder.permissions(std::fs::Permissions::from_mode(0o666));
            }
        }
    }
    builder.tempfile_in(folder.unwrap_or_else(|| Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_ordinary_rights_and_an_old_one_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let file = beside(&path, ".x-").unwrap();
        file.persist(&path).unwrap();
        let ordinary = folder.path().join("b");
        fs_err::write(&ordinary, b"").unwrap();
        let rights = |path: &Path| fs_err::metadata(path).unwrap().permissions();
        assert_eq!(rights(&path), rights(&ordinary));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            beside(&path, ".x-").unwrap().persist(&path).unwrap();
            assert_eq!(rights(&path).mode() & 0o777, 0o640);
        }
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 2);
    }
}
