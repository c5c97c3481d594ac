//! The live view on a terminal, and Ctrl-C: nothing is left on the screen, nothing half done on the disk.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{expect_success, oracle, temporary_folder, transom};

/// Runs a command in a pseudo terminal of a width and prints what a person would see at the end, and everything that was ever drawn.
///
/// The terminal understood here knows what progress needs: carriage return, line feed, cursor up and down, erasing.
const TERMINAL: &str = r#"
import fcntl, json, os, pty, re, struct, sys, termios
width, command = int(sys.argv[1]), sys.argv[2:]
pid, master = pty.fork()
if pid == 0:
    # Before the program asks for it.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    os.execvp(command[0], command)
data = b""
while True:
    try:
        part = os.read(master, 65536)
    except OSError:
        break
    if not part:
        break
    data += part
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
text = data.decode("utf-8", "replace")
rows, row, column, widest, unknown = [""], 0, 0, 0, []
drawn = []
at = 0
while at < len(text):
    found = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])").match(text, at)
    if found:
        number, what = found.groups()
        count = int(number) if number.isdigit() else 1
        if what == "A": row = max(0, row - count)
        elif what == "B": row += count
        elif what == "G": column = count - 1
        elif what == "K": rows[row] = "" if number == "2" else rows[row][:column]
        elif what == "J": rows[row:] = [rows[row][:column]]
        elif what in "mhl": pass
        else: unknown.append(found.group(0))
        at = found.end()
    else:
        character = text[at]
        at += 1
        if character == "\r":
            drawn.append(rows[row])
            column = 0
        elif character == "\n":
            drawn.append(rows[row])
            row += 1
            # The driver of a terminal returns the carriage itself.
        elif character == "\x1b": unknown.append(text[at:at + 8])
        else:
            if column == width: row, column = row + 1, 0
            while len(rows) <= row: rows.append("")
            line = rows[row].ljust(column)
            rows[row] = line[:column] + character + line[column + 1:]
            column += 1
            if column == width: drawn.append(rows[row])
    while len(rows) <= row: rows.append("")
json.dump({"code": code, "screen": rows, "column": column, "drawn": drawn, "unknown": unknown}, sys.stdout)
"#;

/// What a terminal showed.
#[derive(serde::Deserialize)]
struct Seen {
    code: i32,
    /// The lines at the end.
    screen: Vec<String>,
    column: usize,
    /// Every piece of line that was ever drawn.
    drawn: Vec<String>,
    /// Control sequences that the terminal of the test does not know.
    unknown: Vec<String>,
}

/// Runs the program with `arguments` in a terminal of `width` columns; `None` without Python.
fn in_terminal(home: &Path, width: usize, term: &str, arguments: &[&str]) -> Option<Seen> {
    let python = oracle("python3")?;
    let plain = transom(home);
    let mut command = python.command();
    command.current_dir(home).args(["-c", TERMINAL, &width.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_transom")).args(arguments);
    for (name, value) in plain.get_envs().filter(|(name, _)| *name != "COLUMNS") {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TERM", term);
    Some(serde_json::from_slice(&expect_success(&mut command).stdout).unwrap())
}

/// Bytes that compress, but not at once.
fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state >> 33) % 5000;
        bytes.extend_from_slice(format!("word{word} ").as_bytes());
    }
    bytes
}

/// Bytes of a file that takes much longer to compress than a live view waits, on any machine.
const MUCH: usize = 1_500_000;
/// Bytes of a file that takes a moment.
const LITTLE: usize = 400_000;

/// A recipe of some steps with folders of files of `size` bytes, in an image that is written anew.
fn place(size: usize) -> tempfile::TempDir {
    let folder = temporary_folder();
    let path = |name: &str| folder.path().join(name);
    transom::cli::demo::write_base(&path("base.wim"), &Default::default()).unwrap();
    let mut recipe = "[base]\nwim = \"base.wim\"\nindex = 1\n[output]\npath = \"out/golden.wim\"\ncompression = \"lzx\"\n[services]\nWSearch = \"manual\"\n".to_owned();
    for number in 0..5_u64 {
        let name = format!("files{number}");
        fs_err::create_dir(path(&name)).unwrap();
        for file in 0..4_u64 {
            let bytes = content(number * 10 + file, size);
            fs_err::write(path(&format!("{name}/{file}.txt")), bytes).unwrap();
        }
        recipe += "[[files]]\n";
        recipe += format!("from = \"{name}\"\nto = 'C:\\Data\\{number}'\n").as_str();
    }
    fs_err::write(path("recipe.toml"), recipe).unwrap();
    folder
}

#[test]
fn a_terminal_shows_what_runs_and_is_clean_at_the_end() {
    let folder = place(MUCH);
    for width in [40, 100] {
        let out = format!("output.path=\"out/{width}.wim\"");
        let cache = format!("cache{width}");
        let build = ["--cache-dir", &cache, "build", "recipe.toml", "--no-report", "--set", &out];
        let Some(seen) = in_terminal(folder.path(), width, "xterm-256color", &build) else {
            return;
        };
        let screen = seen.screen.join("\n");
        assert_eq!(seen.code, 0, "{screen}");
        assert_eq!(seen.unknown, [""; 0], "{screen}");
        let shown = |text: &str| seen.drawn.iter().any(|line| line.contains(text));
        assert!(shown("preparing files") && shown(" of 6 steps"), "{:#?}", seen.drawn);
        // Nothing of it stays, and no line of it was as wide as the terminal.
        assert!(
            !screen.contains("[#") && !screen.contains("steps  ") && !screen.contains("preparing"),
            "{screen}"
        );
        assert_eq!(seen.column, 0, "{screen}");
        let live = |line: &&String| {
            line.contains("[#") || line.contains("[-") || line.starts_with("  prep")
        };
        for line in seen.drawn.iter().filter(live) {
            assert!(line.trim_end().chars().count() < width, "{line:?}");
        }
        assert!(screen.replace('\n', "").contains("built ("), "{screen}");
    }
    // A terminal that cannot move its cursor gets plain lines.
    let dumb = ["--cache-dir", "cache-dumb", "build", "recipe.toml", "--no-report"];
    let seen = in_terminal(folder.path(), 100, "dumb", &dumb).unwrap();
    let screen = seen.screen.join("\n");
    assert!(screen.contains("step 1: ") && !screen.contains('\u{1b}'), "{screen}");
    assert!(!seen.drawn.iter().any(|line| line.contains("[#")), "{screen}");
    let verify = ["--cache-dir", "cache40", "verify", "out/40.wim"];
    let seen = in_terminal(folder.path(), 40, "xterm", &verify).unwrap();
    let screen = seen.screen.join("\n");
    assert!(seen.code == 0 && !screen.contains("[#"), "{screen}");
}

/// What Ctrl-C sends.
fn interrupt(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-INT", &child.id().to_string()]);
    kill.status().unwrap();
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Runs it, interrupts it `times` times when it tells of an event that contains `moment`, and gives its exit code and what it said. No clock: how fast the machine
/// is does not matter.
fn interrupted(home: &Path, arguments: &[&str], moment: &str, times: usize) -> (i32, String) {
    let mut command = transom(home);
    command.args(["--progress", "json"]).args(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut left = times;
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if left > 0 && line.contains(moment) {
            while left > 0 {
                interrupt(&child);
                left -= 1;
            }
        }
        said += &line;
        said.push('\n');
    }
    (child.wait().unwrap().code().unwrap(), said)
}

#[cfg(unix)]
#[test]
fn a_build_that_is_interrupted_leaves_nothing_half_done_and_goes_on_later() {
    let folder = place(LITTLE);
    let home = folder.path();
    let build = ["build", "recipe.toml", "--no-report"];
    expect_success(transom(home).args(build));
    let expected = fs_err::read(home.join("out/golden.wim")).unwrap();
    let (mut stopped, mut kept) = (0, false);
    let moments = [
        "\"started\"",
        "\"step-preparing\"",
        "\"step-prepared\"",
        "\"step-applying\",\"number\":2",
        "\"step-applied\",\"number\":3",
        "\"step-applied\",\"number\":6",
        "\"writing\"",
    ];
    for (part, moment) in moments.iter().enumerate() {
        // All but the last begin with an empty cache.
        if part < moments.len() - 1 {
            fs_err::remove_dir_all(home.join("transom-cache")).unwrap();
        }
        fs_err::remove_dir_all(home.join("out")).ok();
        let (code, said) = interrupted(home, &build, moment, 1);
        match code {
            130 => {
                stopped += 1;
                assert_eq!(names(&home.join("out")), [""; 0], "{said}");
                assert!(
                    said.contains("interrupted; ") && said.contains("run the same command again"),
                    "{said}"
                );
                kept |= said.contains("of 6 steps are kept in the cache");
            }
            code => assert_eq!(code, 0, "{said}"),
        }
        expect_success(transom(home).args(build));
        assert_eq!(fs_err::read(home.join("out/golden.wim")).unwrap(), expected);
        assert_eq!(names(&home.join("out")), ["golden.wim"]);
    }
    assert!(stopped >= 3 && kept, "{stopped} of 7 were stopped");
    // Who cannot wait presses it again.
    fs_err::remove_dir_all(home.join("transom-cache")).unwrap();
    fs_err::remove_dir_all(home.join("out")).unwrap();
    let (code, said) = interrupted(home, &build, "\"step-preparing\"", 3);
    assert_eq!(code, 130, "{said}");
    expect_success(transom(home).args(build));
    assert_eq!(fs_err::read(home.join("out/golden.wim")).unwrap(), expected);
}

#[cfg(unix)]
#[test]
fn other_long_verbs_say_how_to_go_on_too() {
    let folder = place(LITTLE);
    let home = folder.path();
    expect_success(transom(home).args(["build", "recipe.toml", "--no-report"]));
    for (arguments, left, words) in [
        (&["repro", "recipe.toml", "--work", "scratch"][..], "scratch", "is removed"),
        (
            &["wim", "export", "out/golden.wim", "there/other.wim", "--compression", "xpress"],
            "there",
            "as it was before",
        ),
        (&["verify", "out/golden.wim"], "none", "begins anew"),
    ] {
        fs_err::create_dir_all(home.join(left)).unwrap();
        let mut told = Vec::new();
        // The first thing that it tells; it may be done before the signal comes.
        for _ in 0..5 {
            fs_err::remove_dir_all(home.join(left)).unwrap();
            fs_err::create_dir_all(home.join(left)).unwrap();
            let (code, said) = interrupted(home, arguments, "{", 1);
            if code == 130 {
                assert_eq!(names(&home.join(left)), [""; 0], "{arguments:?}: {said}");
                told.push(said);
            }
        }
        assert!(told.iter().any(|said| said.contains(words)), "{arguments:?}: {told:?}");
    }
    let left: Vec<PathBuf> = crate::support::files_below(&home.join("out"));
    assert_eq!(left, [home.join("out/golden.wim")]);
}
