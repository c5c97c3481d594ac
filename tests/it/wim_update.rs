//! `transom wim update` beside `wimlib-imagex update`: the same commands on copies of one file give the same tree.
#![cfg(unix)]

use std::{collections::BTreeMap, path::Path};

use fs_err as fs;

use crate::{
    support::{Tool, oracle, shared_data, temporary_folder},
    wim_verbs::{dump, fails, judge, make_trees, make_two, wim},
};

/// What a command does to a tree: path, attributes, contents, short names. Times are each program's own affair: wimlib reads the clock. And where a file that has
/// several names is replaced, wimlib breaks the link and this program does not.
fn tree(wimlib: &Tool, home: &Path, name: &str) -> BTreeMap<String, Vec<String>> {
    let keep = ["Attributes", "Hash", "Uncompressed size", "Short Name", "Reparse", "Security"];
    dump(wimlib, home, name, 1)
        .into_iter()
        .map(|(path, mut fields)| {
            fields.retain(|field| keep.iter().any(|kept| field.contains(kept)));
            (path, fields)
        })
        .collect()
}

/// Commands of all kinds; `@` is the folder with the trees.
const COMMANDS: &str = "\
# a comment
add '@/two' '/added/two'
add \"@/one/numbers.txt\" /Sub/new.txt
add '@/two/small' '/small'
add @/two/Sub /Sub

delete --recursive '/Sub/Empty'
delete --force /not/there
delete /empty
rename '/Sub/own.bin' '/moved to.bin'
rename /added /Renamed
";

#[test]
fn commands_do_what_wimlib_does() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    fs::copy(home.join("a.wim"), home.join("theirs.wim")).unwrap();
    let commands = COMMANDS.replace('@', home.to_str().unwrap());
    fs::write(home.join("commands.txt"), &commands).unwrap();
    let utf16: Vec<u8> = commands.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(home.join("utf16.txt"), [&[0xff, 0xfe][..], &utf16].concat()).unwrap();
    fs::copy(home.join("a.wim"), home.join("b.wim")).unwrap();
    wim(home, &["update", "a.wim", "--index", "1", "--from", "commands.txt"]);
    wim(home, &["update", "b.wim", "--index", "1", "--from", "utf16.txt", "--rebuild"]);
    for name in ["a.wim", "b.wim"] {
        judge(home, name);
    }
    let mut command = wimlib.command();
    command.stdin(fs::File::open(home.join("commands.txt")).unwrap().into_file());
    command.arg("update").arg(home.join("theirs.wim")).arg("1");
    crate::support::expect_success(&mut command);
    let (ours, theirs) = (tree(&wimlib, home, "a.wim"), tree(&wimlib, home, "theirs.wim"));
    for (path, fields) in &theirs {
        assert_eq!(ours.get(path), Some(fields), "{path}");
    }
    assert_eq!(ours.len(), theirs.len());
    assert_eq!(tree(&wimlib, home, "b.wim"), ours);
    // The other image is as it was.
    make_trees(&home.join("fresh"));
    wim(home, &["extract", "a.wim", "--index", "2", "--to", "out"]);
    let small = |path: &str| fs::read(home.join(path)).unwrap();
    assert!(small("out/small") == small("two/small"));
}

#[test]
fn either_all_commands_are_done_or_none() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    let before = fs::read(home.join("a.wim")).unwrap();
    for (code, commands, word) in [
        (5, &["delete /empty", "delete /none"][..], "delete --force"),
        (5, &["delete /Sub"], "--recursive"),
        (5, &["add one/small /Sub"], "is a folder"),
        (5, &["rename /Sub /Sub/Empty"], "cannot be moved into itself"),
        (5, &["rename /Sub /sub/Empty/x"], "cannot be moved into itself"),
        (5, &["add one/Sub /other", "rename /Sub /other"], "give the folder another name"),
        (5, &["add nothing /x"], "nothing cannot be added"),
        (5, &["add --no-replace one/small /small"], "exists already"),
        (2, &["add one"], "wants 2"),
        (2, &["remove /x"], "no command"),
        (2, &["delete 'x"], "not closed"),
    ] {
        let mut arguments = vec!["update", "a.wim", "--index", "1"];
        commands.iter().for_each(|command| arguments.extend(["--command", command]));
        let said = fails(home, code, &arguments);
        assert!(said.contains(word), "{commands:?}: {said}");
        assert!(before == fs::read(home.join("a.wim")).unwrap(), "{commands:?}");
    }
    fs::write(home.join("c.txt"), "# one\ndelete /empty\ndelete\n").unwrap();
    let said = fails(home, 2, &["update", "a.wim", "--index", "1", "--from", "c.txt"]);
    assert!(said.contains("c.txt: line 3"), "{said}");
    fails(home, 2, &["update", "a.wim", "--index", "1"]);
    let said =
        wim(home, &["update", "a.wim", "--index", "1", "--command", "delete --force /none"]).1;
    assert!(said.contains("nothing to change"), "{said}");
    assert!(before == fs::read(home.join("a.wim")).unwrap());
    let left: Vec<_> = fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".transom-") || name.contains("journal"))
        .collect();
    assert_eq!(left, [""; 0], "nothing is left behind");
}

#[test]
fn files_added_to_windows_inherit_security_and_links_stay_whole() {
    let Some(boot) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    fs::copy(&boot, home.join("pe.wim")).unwrap();
    #[expect(clippy::permissions_set_readonly_false, reason = "a copy in a temporary folder")]
    {
        let mut permissions = fs::metadata(home.join("pe.wim")).unwrap().permissions();
        permissions.set_readonly(false);
        fs::set_permissions(home.join("pe.wim"), permissions).unwrap();
    }
    let before = dump(&wimlib, home, "pe.wim", 2);
    wim(
        home,
        &[
            "update",
            "pe.wim",
            "--index",
            "2",
            "--command",
            "add one/numbers.txt /Windows/System32/added.txt",
            "--epoch",
            "2026-11-01T00:00:00Z",
        ],
    );
    judge(home, "pe.wim");
    let after = dump(&wimlib, home, "pe.wim", 2);
    let lines = crate::support::dump::difference(&before, &after);
    let added: Vec<_> = lines.iter().filter(|line| line.starts_with('+')).collect();
    assert_eq!(added, ["+ /Windows/System32/added.txt"], "{lines:#?}");
    assert!(lines.len() <= 2, "but for the folder's time nothing else changed: {lines:#?}");
    let list =
        wim(home, &["list", "pe.wim", "--index", "2", "/Windows/System32/added.txt", "--json"]).0;
    let line: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    assert!(line["security"].as_str().is_some_and(|sddl| sddl.contains("ID;")), "{line}");
    let xml = wim(home, &["info", "pe.wim", "--index", "2", "--json"]).0;
    let xml: serde_json::Value = serde_json::from_str(&xml).unwrap();
    assert_eq!(xml["images"][0]["modified"], "2026-11-01T00:00:00Z");
}
