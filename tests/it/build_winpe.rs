//! A whole build over the real WinPE image that DISM made (two images share one metadata resource; minimal hives): what changes is what the
//! recipe says, as wimlib sees the file and as NTFS keeps it, and the bytes do not depend on who builds where.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::dump::{Dump, difference, dump_image, dump_through_ntfs};
use crate::support::{expect_success, oracle, shared_data, temporary_folder, transom};

const BASE: &str = "wim/wimbuilder2-boot.wim";

/// Image 2 is the one to boot.
const INDEX: u32 = 2;

const UNATTEND: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="specialize">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <ComputerName>TRANSOM</ComputerName>
    </component>
  </settings>
</unattend>
"#;

/// A recipe of every kind of entry.
fn workspace(folder: &Path, base: &Path, images: &str) -> PathBuf {
    fs_err::create_dir_all(folder.join("files/tools/sub")).unwrap();
    fs_err::write(folder.join("files/tools/a.txt"), "a").unwrap();
    fs_err::write(folder.join("files/tools/sub/b.bin"), vec![7; 100_000]).unwrap();
    fs_err::write(folder.join("key.pub"), "ssh-ed25519 AAAA").unwrap();
    fs_err::write(folder.join("first.cmd"), "@echo first\r\n").unwrap();
    fs_err::write(folder.join("unattend.xml"), UNATTEND).unwrap();
    let recipe = format!(
        r#"
[base]
wim = '{}'
index = {INDEX}

[registry.'HKLM\SOFTWARE\Policies\Transom']
Number = 7
Text = "seven"

[services]
PolicyAgent = "disabled"

[[files]]
from = "files/tools"
to = 'C:\Tools'

[[files]]
from = "key.pub"
to = 'C:\ProgramData\ssh\administrators_authorized_keys'
sddl = "O:BAG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)"

[[files]]
from = "unattend.xml"
to = 'C:\Windows\Panther\unattend.xml'

[winpe]
startnet = "first.cmd"
scratch-mib = 128

[output]
path = "out/built.wim"
images = "{images}"
"#,
        base.display()
    );
    let path = folder.join("recipe.toml");
    fs_err::write(&path, recipe).unwrap();
    path
}

/// Builds in `folder` and returns the output.
fn build(folder: &Path, base: &Path, images: &str, adjust: impl Fn(&mut Command)) -> PathBuf {
    workspace(folder, base, images);
    let mut command = transom(folder);
    adjust(&mut command);
    expect_success(command.args(["build", "recipe.toml"]));
    folder.join("out/built.wim")
}

/// The hives that the recipe changes.
const HIVES: [&str; 2] = ["/Windows/System32/config/SOFTWARE", "/Windows/System32/config/SYSTEM"];

/// Insists that `after` is `before` with what the recipe adds and changes, and nothing else.
fn assert_only_the_recipe(before: &Dump, after: &Dump) {
    let lines = difference(before, after);
    let added: BTreeSet<_> = lines.iter().filter_map(|line| line.strip_prefix("+ ")).collect();
    for expected in [
        "/Tools",
        "/Tools/a.txt",
        "/Tools/sub",
        "/Tools/sub/b.bin",
        "/ProgramData/ssh/administrators_authorized_keys",
        "/Windows/Panther/unattend.xml",
        "/Windows/System32/startnet.cmd",
    ] {
        assert!(after.contains_key(expected), "{expected} is there: {lines:#?}");
    }
    for path in &added {
        let below =
            ["/Tools", "/ProgramData", "/Windows/Panther", "/Windows/System32/startnet.cmd"];
        assert!(below.iter().any(|folder| path.starts_with(folder)), "{path} was not asked for");
    }
    assert_eq!(lines.iter().find(|line| line.starts_with("- ")), None, "nothing was removed");
    for line in lines.iter().filter(|line| line.starts_with("~ ")) {
        let (path, change) = line[2..].split_once(": ").unwrap();
        if HIVES.contains(&path) {
            for untouched in ["Attributes", "Security", "Short Name", "Creation Time", "Link"] {
                assert!(!change.contains(untouched), "the hive's {untouched} stays: {line}");
            }
            continue;
        }
        // A folder that got a new member was written then, as on Windows; nothing else of it changed.
        let (old, new) = change.split_once(" -> ").unwrap();
        let written = [old, new]
            .iter()
            .all(|side| side.starts_with("Last Write Time") && !side.contains(';'));
        let gained = added.iter().any(|child| Path::new(child).parent() == Some(Path::new(path)));
        assert!(written && gained, "nothing asked for this change: {line}");
    }
    for hive in HIVES {
        let start = format!("~ {hive}: ");
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{hive} changed: {lines:#?}");
    }
}

#[test]
fn the_image_differs_by_exactly_the_recipe() {
    let Some(base) = shared_data(BASE) else { return };
    let (Some(wimlib), Some(seven_zip), Some(mkntfs)) =
        (oracle("wimlib-imagex"), oracle("7z"), oracle("mkntfs"))
    else {
        return;
    };
    let folder = temporary_folder();
    let output = build(folder.path(), &base, "all", |_| {});
    wimlib.run(["verify".as_ref(), output.as_os_str()]);
    seven_zip.run(["t".as_ref(), "-bso0".as_ref(), output.as_os_str()]);
    assert_only_the_recipe(
        &dump_image(&wimlib, &base, INDEX),
        &dump_image(&wimlib, &output, INDEX),
    );
    assert_eq!(
        dump_image(&wimlib, &base, 1),
        dump_image(&wimlib, &output, 1),
        "the other image stays"
    );
    let tools = (&wimlib, &mkntfs);
    let on_ntfs = |wim: &Path| dump_through_ntfs(tools, wim, INDEX, 32);
    assert_only_the_recipe(&on_ntfs(&base), &on_ntfs(&output));
}

#[test]
fn peers_read_the_changed_hive() {
    let Some(base) = shared_data(BASE) else { return };
    let (Some(wimlib), Some(hivexregedit), Some(reged), Some(hivexsh)) =
        (oracle("wimlib-imagex"), oracle("hivexregedit"), oracle("reged"), oracle("hivexsh"))
    else {
        return;
    };
    let folder = temporary_folder();
    let output = build(folder.path(), &base, "selected", |_| {});
    let extract = |name: &str| {
        let path = format!("/Windows/System32/config/{name}");
        let image = OsStr::new("1");
        let arguments = [OsStr::new("extract"), output.as_os_str(), image, path.as_ref()];
        let content = wimlib.run(arguments.iter().copied().chain([OsStr::new("--to-stdout")]));
        let hive = folder.path().join(name);
        fs_err::write(&hive, content).unwrap();
        hive
    };
    let system = extract("SYSTEM");
    let script = folder.path().join("script");
    fs_err::write(&script, "cd ControlSet001\\Services\\PolicyAgent\nlsval Start\n").unwrap();
    let start = hivexsh.run(["-f".as_ref(), script.as_os_str(), system.as_os_str()]);
    assert_eq!(String::from_utf8_lossy(&start).trim(), "4", "disabled");
    let hive = extract("SOFTWARE");
    let exported = hivexregedit.run([
        "--export".as_ref(),
        "--unsafe-printable-strings".as_ref(),
        hive.as_os_str(),
        r"\Policies\Transom".as_ref(),
    ]);
    let exported = String::from_utf8(exported).unwrap();
    assert!(exported.contains("\"Number\"=dword:00000007"), "{exported}");
    // reged ends with 2 after an export without changes; the text it writes is what counts.
    let text = folder.path().join("exported.reg");
    let mut command = reged.command();
    command.arg("-x").arg(&hive).args(["HKLM\\SOFTWARE", "Policies\\Transom"]).arg(&text);
    let printed = command.output().unwrap();
    let exported = fs_err::read_to_string(&text).unwrap_or_else(|_| panic!("{printed:?}"));
    assert!(exported.contains("\"Number\"=dword:00000007"), "{exported}");
}

/// Folder, threads, home, user, umask, language and time zone differ; the file does not.
#[test]
fn two_builds_under_different_circumstances_are_the_same_file() {
    let Some(base) = shared_data(BASE) else { return };
    let folder = temporary_folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two/deeper"));
    fs_err::create_dir_all(&one).unwrap();
    fs_err::create_dir_all(&two).unwrap();
    let first = build(&one, &base, "selected", |command| {
        command.env("TZ", "UTC").env("LC_ALL", "C").args(["--jobs", "1"]);
    });
    workspace(&two, &base, "selected");
    // The shell is there for the umask, which a command cannot be given otherwise.
    let mut shell = Command::new("sh");
    shell
        .current_dir(&two)
        .args([
            "-c",
            "umask 077; exec \"$0\" --jobs 2 build recipe.toml",
            env!("CARGO_BIN_EXE_transom"),
        ])
        .env("HOME", &two)
        .env("USER", "somebody")
        .env("TRANSOM_CACHE_DIR", two.join("cache"))
        .env("TZ", "Asia/Kolkata")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env_remove("CI")
        .env_remove("SOURCE_DATE_EPOCH");
    expect_success(&mut shell);
    let second = two.join("out/built.wim");
    assert!(
        fs_err::read(first).unwrap() == fs_err::read(second).unwrap(),
        "the outputs are the same"
    );
}
