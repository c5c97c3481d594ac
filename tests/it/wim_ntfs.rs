//! Apply to, and capture from, a real NTFS volume that ntfs-3g has mounted; wimlib, which reads volumes by itself, judges both.
//!
//! Mounting takes root and /dev/fuse. Where it is impossible these tests say so and return; what is set and read is tested on a fake volume in any case.

#![cfg(target_os = "linux")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;
use transom::{
    format::wim::Header,
    image::{
        Watch,
        export::{ApplyOptions, apply},
        import::{self, CaptureOptions},
        patterns::Patterns,
    },
};

use crate::{
    image_fixture::{open, save, windows},
    support::{
        self,
        dump::{difference, dump_image, dump_through_ntfs},
    },
};

/// A mounted volume; unmounted when it goes out of scope.
struct Mounted(PathBuf);

impl Mounted {
    fn new(volume: &Path, place: &Path) -> Option<Self> {
        let status = Command::new("ntfs-3g").args([volume, place]).output();
        let mounted = status.is_ok_and(|output| output.status.success());
        if !mounted {
            println!("no NTFS volume can be mounted here");
        }
        mounted.then(|| Self(place.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

#[test]
fn an_ntfs_volume_gets_everything_and_gives_it_back() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let Some(mkntfs) = support::oracle("mkntfs") else { return };
    let folder = support::temporary_folder();
    let [volume, mount, base, theirs, ours] =
        ["volume", "mount", "base.wim", "theirs.wim", "ours.wim"]
            .map(|name| folder.path().join(name));
    let wim = windows(&base);
    fs::create_dir(&mount).unwrap();
    fs::File::create(&volume).unwrap().set_len(64 << 20).unwrap();
    mkntfs.run(["--force", "--quiet", "--fast", volume.to_str().unwrap()]);
    {
        let Some(_mounted) = Mounted::new(&volume, &mount) else { return };
        let rp_fix = wim.header().flags & Header::RP_FIX != 0;
        let options = ApplyOptions { overwrite: false, unix_data: false, sidecar: true, rp_fix };
        let element = wim.xml().image(1).unwrap();
        let report = apply(&open(&wim), element, &mount, options, Watch::default()).unwrap();
        assert!(report.losses.is_empty(), "{:?}", report.losses);
    }
    wimlib.run(["capture", volume.to_str().unwrap(), theirs.to_str().unwrap(), "--compress=none"]);
    let applied = dump_image(&wimlib, &theirs, 1);
    let by_wimlib = dump_through_ntfs((&wimlib, &mkntfs), &base, 1, 64);
    assert_eq!(difference(&by_wimlib, &applied), Vec::<String>::new(), "apply");
    {
        let Some(_mounted) = Mounted::new(&volume, &mount) else { return };
        let exclude = Patterns::new(&["System Volume Information"]).unwrap();
        let options =
            CaptureOptions { exclude, unix_data: false, skip_bad_names: false, depth: 100 };
        let (image, report) = import::capture(&mount, &options, Watch::default()).unwrap();
        assert_eq!(report.warnings, Vec::<String>::new());
        save(image.finish().unwrap(), None, &ours);
    }
    let captured = dump_image(&wimlib, &ours, 1);
    assert_eq!(difference(&applied, &captured), Vec::<String>::new(), "capture");
}
