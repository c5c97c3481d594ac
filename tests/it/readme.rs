//! What the README promises a new user, held against the program and `.ci/run`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{expect_success, temporary_folder, transom};

/// The two commands a new user is told, in this order.
const COMMANDS: [&str; 2] = ["cargo run --release -- demo", "cargo test"];

fn text_of(path: &str) -> String {
    fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_first_two_commands_are_those_continuous_integration_runs() {
    let readme = text_of("README.md");
    let shown: Vec<_> =
        blocks(&readme, "sh").into_iter().take(2).map(|b| b.trim().to_owned()).collect();
    assert_eq!(shown, COMMANDS);
    let run = text_of(".ci/run");
    for command in COMMANDS {
        let words: Vec<_> = command.split(' ').collect();
        let runs = run
            .lines()
            .filter(|line| !line.starts_with('#'))
            .any(|line| has_in_order(line, &words));
        assert!(runs, ".ci/run does not run `{command}`");
    }
    assert!(!has_in_order("cargo doc --locked", &["cargo", "test"]), "the comparison can fail");
}

#[test]
fn every_command_it_names_exists_and_every_command_is_named() {
    let named = named_commands(&text_of("README.md"));
    assert!(named.len() > 10, "the README has a table of commands: {named:?}");
    let folder = temporary_folder();
    let help = |words: &[&str]| {
        let output = expect_success(transom(folder.path()).args(words).arg("--help"));
        String::from_utf8(output.stdout).unwrap()
    };
    for command in &named {
        let words: Vec<_> = command.split(' ').collect();
        assert!(help(&words).contains("Usage:"), "transom {command} --help");
    }
    let mut existing = BTreeSet::new();
    for verb in subcommands(&help(&[])) {
        let below = subcommands(&help(&[verb.as_str()]));
        existing.extend(below.iter().map(|sub| format!("{verb} {sub}")));
        if below.is_empty() {
            existing.insert(verb);
        }
    }
    assert_eq!(named, existing, "left: the README's commands, right: the program's");
}

#[test]
fn a_new_user_sees_what_one_changed_line_did() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    let readme = text_of("README.md");
    let walk =
        blocks(&readme, "sh").into_iter().find(|block| block.contains("explain transom-demo"));
    let commands: Vec<&str> =
        walk.unwrap().lines().map(|line| line.split(" #").next().unwrap().trim()).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    // The line that the README changes.
    let recipe = home.join("transom-demo/demo.toml");
    let text = fs_err::read_to_string(&recipe).unwrap();
    assert!(
        text.contains("WSearch = \"manual\"")
            && readme.contains("the service `WSearch` from `\"manual\"`")
    );
    fs_err::write(&recipe, text.replace("WSearch = \"manual\"", "WSearch = \"disabled\"")).unwrap();
    let told: Vec<String> = commands
        .iter()
        .map(|command| {
            let words = command.split(' ').skip(1);
            let output = transom(home).args(words).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    assert!(told[0].contains("19 steps, 7 cached"), "{}", told[0]);
    assert!(told[1].contains("ran: start is disabled, was manual"), "{}", told[1]);
    let changes: Vec<&str> = told[2].lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(changes.len(), 1, "{}", told[2]);
    assert!(
        changes[0].contains("WSearch") && changes[0].ends_with("manual -> disabled"),
        "{changes:?}"
    );
    let page =
        fs_err::read_to_string(home.join("transom-demo/out/demo-client.report.html")).unwrap();
    assert!(page.contains("start is disabled, was manual"), "the page says why");
}

#[test]
fn its_exit_codes_are_those_of_the_help() {
    let folder = temporary_folder();
    let help = expect_success(transom(folder.path()).arg("--help")).stdout;
    let help = String::from_utf8(help).unwrap();
    let (_, table) = help.split_once("Exit codes:").expect("the long help has the table");
    let ours: Vec<_> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let readme = text_of("README.md");
    let told: Vec<_> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| exit code"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.replacen(" | ", "  ", 1).replace('`', ""))
        .collect();
    assert_eq!(told, ours);
}

#[test]
fn its_recipe_is_one_this_version_takes() {
    let readme = text_of("README.md");
    let recipes = blocks(&readme, "toml");
    let folder = temporary_folder();
    fs_err::write(folder.path().join("recipe.toml"), recipes[0]).unwrap();
    expect_success(transom(folder.path()).args(["check", "recipe.toml"]));
    // The others are parts, which are laid over the first. Several images cannot have its one name.
    for part in &recipes[1..] {
        let part = format!("extends = [\"recipe.toml\"]\ndrop = [\"image.name\"]\n{part}");
        fs_err::write(folder.path().join("part.toml"), part).unwrap();
        expect_success(transom(folder.path()).args(["check", "part.toml"]));
    }
}

/// The bodies of fenced blocks in this language.
fn blocks<'a>(markdown: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    markdown.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// `wim info`, `build` ...: the lower-case words after `transom` in code, two where the first has commands of its own.
fn named_commands(markdown: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for part in markdown.split("transom ").skip(1) {
        let is_verb = |word: &&str| {
            word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        let code = part.split(['`', '\n']).next().unwrap_or_default();
        let mut words = code.split(' ').take_while(is_verb).filter(|word| !word.starts_with("--"));
        let Some(verb) = words.next() else { continue };
        let below = words.next().filter(|_| ["cache", "inspect", "wim"].contains(&verb));
        named.insert(below.map_or_else(|| verb.to_owned(), |below| format!("{verb} {below}")));
    }
    named
}

/// The names clap lists under "Commands:".
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  ") || line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether the line has these words in this order, others (such as `--locked`) between them.
fn has_in_order(line: &str, words: &[&str]) -> bool {
    let mut have = line.split_whitespace();
    words.iter().all(|word| have.any(|candidate| candidate == *word))
}
