//! `transom demo`: what its synthetic base holds, in the words of programs we did not write, and that the whole way is gone.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::support::dump::{difference, dump_image};
use crate::support::{Tool, expect_success, oracle, temporary_folder, transom};

const HIVES: [&str; 6] = [
    "/Windows/System32/config/SYSTEM",
    "/Windows/System32/config/SOFTWARE",
    "/Windows/System32/config/DEFAULT",
    "/Windows/System32/config/COMPONENTS",
    "/Windows/System32/config/DRIVERS",
    "/Users/Default/NTUSER.DAT",
];

/// Runs the demo in `folder`; gives what it printed, its base and its output.
fn demo(folder: &Path) -> (String, PathBuf, PathBuf) {
    let printed = expect_success(transom(folder).arg("demo")).stdout;
    let workspace = folder.join("transom-demo");
    let printed = String::from_utf8(printed).unwrap();
    (printed, workspace.join("media/install.wim"), workspace.join("out/demo-client.wim"))
}

fn file(wimlib: &Tool, wim: &Path, index: &str, path: &str) -> Vec<u8> {
    let arguments = ["extract".as_ref(), wim.as_os_str(), index.as_ref(), OsStr::new(path)];
    wimlib.run(arguments.into_iter().chain([OsStr::new("--to-stdout")]))
}

#[test]
fn the_demo_goes_the_whole_way_and_the_second_build_finds_nothing_to_do() {
    let folder = temporary_folder();
    let (printed, _, output) = demo(folder.path());
    for verb in ["check", "lock", "plan", "build", "verify"] {
        assert!(printed.contains(&format!("\n$ transom {verb} ")), "{printed}");
    }
    assert_eq!(printed.matches("$ transom build").count(), 2, "{printed}");
    assert!(printed.contains("demo-client.wim: built ("), "{printed}");
    assert!(printed.contains("demo-client.wim: good ("), "{printed}");
    assert!(printed.contains("component store healthy (7 packages"), "{printed}");
    assert!(printed.contains("demo-client.wim: up to date ("), "{printed}");
    assert!(output.is_file());
    // A person's change survives a second demo.
    let recipe = folder.path().join("transom-demo/demo.toml");
    let text = fs_err::read_to_string(&recipe).unwrap();
    fs_err::write(&recipe, text.replace("AllowTelemetry = 0", "AllowTelemetry = 1")).unwrap();
    let (printed, ..) = demo(folder.path());
    assert!(printed.contains("19 steps, 9 cached"), "{printed}");
    assert!(fs_err::read_to_string(&recipe).unwrap().contains("AllowTelemetry = 1"));
}

#[test]
fn two_demos_are_the_same_bytes() {
    let (one, two) = (temporary_folder(), temporary_folder());
    let (_, base_one, output_one) = demo(one.path());
    let (_, base_two, output_two) = demo(two.path());
    for (left, right) in [(base_one, base_two), (output_one, output_two)] {
        assert!(fs_err::read(left).unwrap() == fs_err::read(right).unwrap());
    }
}

#[test]
fn the_base_is_shaped_like_windows() {
    let (Some(wimlib), Some(seven_zip)) = (oracle("wimlib-imagex"), oracle("7z")) else { return };
    let folder = temporary_folder();
    let (_, base, _) = demo(folder.path());
    wimlib.run(["verify".as_ref(), base.as_os_str()]);
    seven_zip.run(["t".as_ref(), "-bso0".as_ref(), base.as_os_str()]);
    let client = dump_image(&wimlib, &base, 1);
    let server = dump_image(&wimlib, &base, 2);
    let has = |path: &str, text: &str| {
        let lines = client.get(path).unwrap_or_else(|| panic!("{path} is there"));
        assert!(lines.iter().any(|line| line.contains(text)), "{path}: {text} in {lines:#?}");
    };
    has("/Windows/Web/sample.url", "Zone.Identifier");
    has("/Users/All Users", "0xa000000c");
    has("/Documents and Settings", "0xa0000003");
    has("/Program Files", "PROGRA~1");
    has("/Windows/System32/LicensingDiagnosticData.txt", "LICENS~1.TXT");
    has("/Windows/WindowsShell.Manifest", "FILE_ATTRIBUTE_READONLY");
    has("/Windows/WindowsShell.Manifest", "FILE_ATTRIBUTE_HIDDEN");
    has("/Windows/notepad.exe", "Link Count = 3");
    has("/Windows/System32/notepad.exe", "Link Count = 3");
    let descriptors: BTreeSet<_> =
        client.values().flatten().filter(|line| line.starts_with("Security Descriptor")).collect();
    assert!(descriptors.len() >= 4, "{descriptors:#?}");
    assert!(!server.contains_key("/Windows/notepad.exe"), "a server core has no editor");
    for path in HIVES.iter().copied().chain(["/Windows/System32/kernel32.dll"]) {
        assert!(client.contains_key(path) && server.contains_key(path), "{path}");
    }
    let info = String::from_utf8(wimlib.run(["info".as_ref(), base.as_os_str()])).unwrap();
    for expected in
        ["x86_64", "Professional", "ServerDatacenterCor", "26100", "Server Core", "en-US"]
    {
        assert!(info.contains(expected), "{expected} in {info}");
    }
}

#[test]
fn peers_read_every_hive_of_the_base_and_of_the_output() {
    let (Some(wimlib), Some(hivexsh), Some(reged)) =
        (oracle("wimlib-imagex"), oracle("hivexsh"), oracle("reged"))
    else {
        return;
    };
    let folder = temporary_folder();
    let (_, base, output) = demo(folder.path());
    let script = folder.path().join("script");
    fs_err::write(&script, "ls\n").unwrap();
    for (wim, index) in [(&base, "1"), (&base, "2"), (&output, "1")] {
        for path in HIVES {
            let hive = folder.path().join("hive");
            fs_err::write(&hive, file(&wimlib, wim, index, path)).unwrap();
            let keys = hivexsh.run(["-f".as_ref(), script.as_os_str(), hive.as_os_str()]);
            assert!(!keys.is_empty(), "{path} of image {index} has keys");
            let text = folder.path().join("exported.reg");
            let mut command = reged.command();
            command.arg("-x").arg(&hive).args(["HKLM\\X", "\\"]).arg(&text);
            // reged ends with 2 after an export without changes; the text it writes is what counts.
            command.output().unwrap();
            let exported = fs_err::read_to_string(&text).unwrap();
            assert!(exported.lines().count() > 5, "{path} of image {index}: {exported}");
            fs_err::remove_file(text).unwrap();
        }
    }
}

/// The component store, of which `verify` says that it is healthy.
const STORE: [&str; 3] =
    ["/Windows/WinSxS/", "/Windows/servicing/Packages/", "/Windows/System32/CatRoot/"];

/// What the demo's recipe adds and changes, and nothing else.
#[test]
fn the_output_differs_from_the_base_by_exactly_the_recipe() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let folder = temporary_folder();
    let (_, base, output) = demo(folder.path());
    let lines = difference(&dump_image(&wimlib, &base, 1), &dump_image(&wimlib, &output, 1));
    let of = |sign: &str| -> Vec<String> {
        let paths = lines.iter().filter_map(|line| line.strip_prefix(sign));
        let paths = paths.map(|path| path.split(": ").next().unwrap_or(path).to_owned());
        paths.filter(|path| !STORE.iter().any(|folder| path.starts_with(folder))).collect()
    };
    assert_eq!(
        of("+ "),
        [
            "/Program Files/Contoso",
            "/Program Files/Contoso/docs",
            "/Program Files/Contoso/docs/readme.txt",
            "/Program Files/Contoso/tool.exe",
            "/ProgramData/Contoso",
            "/ProgramData/Contoso/agent.ini",
            "/ProgramData/Contoso/docs",
            "/ProgramData/Contoso/docs/readme.txt",
            "/ProgramData/ssh/administrators_authorized_keys",
            "/Windows/Fonts/contoso-de.ttf",
            "/Windows/Fonts/contoso.ttf",
            "/Windows/Panther/unattend.xml",
            "/Windows/Setup/Scripts",
            "/Windows/Setup/Scripts/SetupComplete.cmd",
            "/Windows/Setup/Scripts/transom",
            "/Windows/Setup/Scripts/transom/01-hello.cmd",
            "/Windows/SysWOW64/contosort.exe",
            "/Windows/System32/contosort.exe",
            "/Windows/System32/de-DE",
            "/Windows/System32/de-DE/kernel32.dll.mui",
            "/Windows/System32/demotelnet.exe",
            "/Windows/System32/demotelnetserver.exe",
        ]
    );
    assert_eq!(of("- "), ["/Windows/Web/sample.url"]);
    // The base's time is the epoch too, so that the folders that gained something look the same.
    assert_eq!(
        of("~ "),
        [
            "/Users/Default/NTUSER.DAT",
            "/Windows/System32/config/COMPONENTS",
            "/Windows/System32/config/DEFAULT",
            "/Windows/System32/config/SOFTWARE",
            "/Windows/System32/config/SYSTEM",
        ]
    );
}

/// The store's content is decoded and compressed anew on all threads at once; each of these waited for another.
#[test]
fn a_build_that_changes_the_compression_ends_with_any_number_of_jobs() {
    let folder = temporary_folder();
    let (_, base, _) = demo(folder.path());
    let workspace = folder.path().join("transom-demo");
    assert!(base.exists());
    for number in 0..3 {
        let text = format!("line {number} of a long text\r\n").repeat(60_000);
        fs_err::write(workspace.join(format!("files/Contoso/long{number}.txt")), text).unwrap();
    }
    let recipe = fs_err::read_dir(&workspace)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .unwrap();
    let text = fs_err::read_to_string(&recipe).unwrap();
    for (jobs, codec) in [("2", "lzx"), ("1", "xpress"), ("2", "none"), ("1", "lzms")] {
        let start = text.find("[output]").unwrap();
        let output: String = text[start..]
            .lines()
            .filter(|line| !line.starts_with("compression"))
            .map(|line| format!("{line}\n"))
            .collect();
        let output = output.replace("[output]", &format!("[output]\ncompression = \"{codec}\""));
        fs_err::write(&recipe, format!("{}{output}", &text[..start])).unwrap();
        let mut child = transom(folder.path())
            .args(["build", "--jobs", jobs])
            .arg(&recipe)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ended = (0..1200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            child.try_wait().unwrap()
        });
        if ended.is_none() {
            child.kill().unwrap();
        }
        assert!(
            ended.is_some_and(|status| status.success()),
            "{codec} with {jobs} jobs: {ended:?}"
        );
    }
}

/// The sections of the demo's recipe that bring packages.
const PACKAGE_SECTIONS: [&str; 5] = [
    "[packages.contoso-tools]",
    "[packages.contoso-runtime]",
    "[languages.de-DE]",
    "[features]",
    "[capabilities]",
];

/// Everything that came with a package goes again; what stays is which features somebody chose.
#[test]
fn packages_that_are_removed_leave_the_image_as_it_was_but_for_history() {
    let (Some(wimlib), Some(hivexregedit)) = (oracle("wimlib-imagex"), oracle("hivexregedit"))
    else {
        return;
    };
    let folder = temporary_folder();
    let (_, _, output) = demo(folder.path());
    let workspace = folder.path().join("transom-demo");
    let recipe = fs_err::read_to_string(workspace.join("demo.toml")).unwrap();
    // A language that Windows starts in does not go: this is about packages alone.
    let sections = recipe.split_inclusive("\n\n").filter(|section| !section.contains("[locale]"));
    let installed: String = sections.clone().collect();
    let installed = installed.replace("demo-client.wim", "installed.wim");
    fs_err::write(workspace.join("installed.toml"), installed).unwrap();
    let plain: Vec<&str> = sections
        .filter(|section| !PACKAGE_SECTIONS.iter().any(|head| section.contains(head)))
        .collect();
    let plain = plain.concat().replace("demo-client.wim", "plain.wim");
    fs_err::write(workspace.join("plain.toml"), plain).unwrap();
    fs_err::write(
        workspace.join("removed.toml"),
        r#"
[base]
wim = "out/installed.wim"
index = 1
[packages]
tools = { state = "absent", identity = "Contoso-Tools-Package" }
runtime = { state = "absent", identity = "Contoso-Runtime-Package" }
[languages]
de-DE = "absent"
[features]
DemoTelnetServer = "disabled"
DemoTelnet = "disabled"
[capabilities]
"Contoso.Fonts~~~~1.0" = "absent"
[output]
path = "out/removed.wim"
"#,
    )
    .unwrap();
    for name in ["plain", "installed", "removed"] {
        let path = workspace.join(format!("{name}.toml"));
        expect_success(transom(folder.path()).arg("build").arg(path));
    }
    let image = |name: &str| output.with_file_name(format!("{name}.wim"));
    let (plain, removed) = (image("plain"), image("removed"));
    // A file that has one name again keeps the number of the group that its names were.
    let alone = |line: &str, path: &str| line.ends_with(&format!("-> linked with {path}"));
    let differing: Vec<String> =
        difference(&dump_image(&wimlib, &plain, 1), &dump_image(&wimlib, &removed, 1))
            .iter()
            .map(|line| (line, line.split(": ").next().unwrap_or(line)))
            .filter(|(line, path)| !alone(line, path.trim_start_matches("~ ")))
            .map(|(_, path)| path.to_owned())
            .collect();
    // Hives keep the room of what was in them, so only their content is the same.
    let hive = |line: &String| HIVES.iter().any(|hive| *line == format!("~ {hive}"));
    assert!(differing.iter().all(hive), "{differing:#?}");
    for path in HIVES {
        let export = |wim: &Path| {
            let hive = folder.path().join("hive");
            fs_err::write(&hive, file(&wimlib, wim, "1", path)).unwrap();
            let arguments = ["--export".as_ref(), hive.as_os_str(), "\\".as_ref()];
            String::from_utf8(hivexregedit.run(arguments)).unwrap()
        };
        let keys = |text: &str| -> BTreeSet<String> {
            let history = |key: &&str| !key.contains("\\Component Based Servicing\\Notifications");
            text.split("\n\n").filter(history).map(|key| key.trim().to_owned()).collect()
        };
        let (before, after) = (keys(&export(&plain)), keys(&export(&removed)));
        let more: Vec<&String> = before.symmetric_difference(&after).collect();
        assert!(more.is_empty(), "{path}: {more:#?}");
    }
    expect_success(transom(folder.path()).arg("verify").arg(&removed));
}
