//! The walls of the house: which layer may use which, who may print, how long a file may be, and that no file is forgotten.
//!
//! The source is read as tokens (comments and string bodies dropped), so that a doc link upwards is no violation and `use` groups,
//! `super::` chains and plain paths in expressions all count.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::files_below;

/// Folders of `src/`, lowest first. A file may use its own folder and what stands before it.
const LAYERS: &[&str] = &[
    "base",
    "codec",
    "format",
    "store",
    "image",
    "servicing",
    "recipe",
    "plan",
    "pipeline",
    "cli",
];

/// Longest file a reader can hold in the head.
const MOST_LINES: usize = 700;

/// Macros that write to the terminal, and placeholders that must not stay.
const MACROS: &[(&str, &str)] = &[
    ("print", "only cli may print"),
    ("println", "only cli may print"),
    ("eprint", "only cli may print"),
    ("eprintln", "only cli may print"),
    ("dbg", "only cli may print"),
    ("todo", "nothing unfinished stays in the tree"),
    ("unimplemented", "nothing unfinished stays in the tree"),
];

/// Paths through which terminal, environment and clock come in; the library gets all three from `cli`.
const HOST_STATE: &[(&[&str], &str)] = &[
    (&["io", "stdout"], "only cli may print"),
    (&["io", "stderr"], "only cli may print"),
    (&["process", "exit"], "only main ends the process"),
    (&["env", "var"], "the library reads no environment"),
    (&["env", "var_os"], "the library reads no environment"),
    (&["env", "vars"], "the library reads no environment"),
    (&["SystemTime", "now"], "the library reads no clock"),
    (&["Instant", "now"], "the library reads no clock"),
];

#[test]
fn every_file_keeps_to_its_layer_and_to_the_house_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let sources = rust_files(root, "src");
    for (path, text) in &sources {
        found.extend(violations(path, text));
    }
    for folder in ["tests", "examples"] {
        for (path, text) in rust_files(root, folder) {
            found.extend(shape(&path, &text));
        }
    }
    found.extend(forgotten(&sources, &["src/lib.rs", "src/main.rs"]));
    let tests = rust_files(root, "tests/it");
    found.extend(forgotten(&tests, &["tests/it/main.rs"]));
    assert!(found.is_empty(), "{}\n", found.join("\n"));
}

#[test]
fn modules_of_this_binary_are_sorted() {
    let main =
        fs_err::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/main.rs"));
    let declared = declared_modules(&tokens(&main.unwrap()));
    assert!(declared.is_sorted(), "sort the mod lines of tests/it/main.rs: {declared:?}");
}

#[test]
fn a_path_to_a_higher_layer_is_caught_in_every_spelling() {
    let cases = [
        ("src/codec/lzx.rs", "use crate::format::wim::Wim;", "codec may not use format"),
        ("src/codec/lzx.rs", "use crate::{base::bytes, store};", "codec may not use store"),
        ("src/codec/lzx/tree.rs", "use super::super::super::image;", "codec may not use image"),
        ("src/codec/mod.rs", "use super::{base, image::{Image, Tree}};", "codec may not use image"),
        ("src/base/a.rs", "fn f() { crate::cli::run() }", "base may not use cli"),
        (
            "src/base/a.rs",
            "mod tests { use super::super::super::recipe; }",
            "base may not use recipe",
        ),
        ("src/recipe/mod.rs", "fn f() -> transom::plan::Plan { todo }", "recipe may not use plan"),
        ("src/plan/mod.rs", "fn f() { println!(\"x\") }", "only cli may print"),
        ("src/plan/mod.rs", "fn f() { std::io::stderr().lock() }", "only cli may print"),
        ("src/plan/mod.rs", "fn f() { std::env::var(\"HOME\") }", "reads no environment"),
        ("src/plan/mod.rs", "fn f() { fs::SystemTime::now() }", "reads no clock"),
        ("src/cli/mod.rs", "fn f() { todo!() }", "nothing unfinished"),
        ("src/cli/mod.rs", "#[path = \"x.rs\"] mod x;", "#[path]"),
        ("src/window/mod.rs", "", "window is no layer"),
    ];
    for (path, text, expected) in cases {
        let found = violations(path, &format!("//! About.\n{text}\n"));
        assert!(found.iter().any(|f| f.contains(expected)), "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_left_alone() {
    let cases = [
        ("src/image/tree.rs", "use crate::format::wim::Wim; use super::node; use crate::image::x;"),
        (
            "src/image/tree.rs",
            "/// See [`crate::pipeline`].\n// crate::cli /* crate::cli\nfn f() {}",
        ),
        (
            "src/image/tree.rs",
            "/* crate::cli /* nested */ crate::cli */ const A: &str = \"crate::cli\";",
        ),
        (
            "src/image/tree.rs",
            "const A: &str = r#\"println!(\"crate::cli\")\"#; fn f<'a>(x: &'a str) {}",
        ),
        (
            "src/image/tree.rs",
            "const A: [char; 2] = ['\"', '\\'']; const B: &[u8] = b\"crate::cli\";",
        ),
        ("src/image/tree.rs", "#[cfg(test)] mod tests { fn f() { println!(\"x\"); } }"),
        ("src/image/tree.rs", "mod tests { use super::super::super::format; use super::*; }"),
        ("src/cli/mod.rs", "fn f() { println!(\"x\"); crate::pipeline::build() }"),
        ("src/format/wim/mod.rs", "use super::image; use crate::format::image;"),
    ];
    for (path, text) in cases {
        let found = violations(path, &format!("//! About.\n{text}\n"));
        assert!(found.is_empty(), "{path}: {text}: {found:?}");
    }
}

#[test]
fn long_headless_and_forgotten_files_are_caught() {
    let long = format!("//! About.\n{}", "\n".repeat(MOST_LINES));
    assert!(shape("src/base/a.rs", &long)[0].contains("701 lines"));
    assert!(shape("src/base/a.rs", "use std::io;\n")[0].contains("//!"));
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let sources = [
        file("src/lib.rs", "pub mod base;"),
        file("src/main.rs", "fn main() {}"),
        file("src/base/mod.rs", "mod used; // mod lost;"),
        file("src/base/used.rs", ""),
        file("src/base/lost.rs", ""),
        file("src/cli/mod.rs", ""),
    ];
    let found = forgotten(&sources, &["src/lib.rs", "src/main.rs"]);
    assert_eq!(
        found,
        ["src/base/lost.rs: no mod line reaches it", "src/cli/mod.rs: no mod line reaches it"]
    );
}

/// What is wrong with one file of `src/`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = shape(path, text);
    let module = module_path(path);
    let tokens = tokens(text);
    if tokens.windows(4).any(|w| w[0] == "#" && w[1] == "[" && w[2] == "path" && w[3] == "=") {
        found.push(format!("{path}: #[path] hides where a module lies"));
    }
    let Some(layer) = module.first() else { return found };
    let Some(rank) = LAYERS.iter().position(|known| known == layer) else {
        found.push(format!("{path}: {layer} is no layer; DESIGN section 2 lists them"));
        return found;
    };
    let used = used_from_root(&tokens, module.len());
    for target in used {
        if LAYERS[rank + 1..].contains(&target.as_str()) {
            found.push(format!("{path}: {layer} may not use {target}: it is a higher layer"));
        }
    }
    let spoken = without_tests(&tokens);
    for (name, rule) in MACROS {
        let printing = rule.contains("print");
        let hit = spoken.windows(2).any(|pair| pair[0] == *name && pair[1] == "!");
        if hit && !(printing && layer == "cli") {
            found.push(format!("{path}: {name}!: {rule}"));
        }
    }
    for (segments, rule) in HOST_STATE {
        let hit =
            spoken.windows(3).any(|w| w[0] == segments[0] && w[1] == "::" && w[2] == segments[1]);
        if hit && layer != "cli" {
            found.push(format!("{path}: {}: {rule}", segments.join("::")));
        }
    }
    found
}

/// Rules for every file, tests too: a header, and no more lines than one can hold in the head.
fn shape(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{path}: does not start with //! saying what it is"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!(
            "{path}: {lines} lines; split it along its own seams (at most {MOST_LINES})"
        ));
    }
    found
}

/// Files that no chain of `mod` lines from the roots reaches: they compile nowhere and their tests run nowhere.
fn forgotten(sources: &[(String, String)], roots: &[&str]) -> Vec<String> {
    let mut open: Vec<PathBuf> = roots.iter().map(PathBuf::from).collect();
    let mut reached: BTreeSet<PathBuf> = open.iter().cloned().collect();
    while let Some(file) = open.pop() {
        let Some((_, text)) = sources.iter().find(|(path, _)| Path::new(path) == file) else {
            continue;
        };
        let stem = file.file_stem().unwrap_or_default();
        let beside = file.parent().unwrap_or_else(|| Path::new(""));
        let is_root = stem == "mod" || roots.iter().any(|root| Path::new(root) == file);
        let folder = if is_root { beside.to_owned() } else { beside.join(stem) };
        for name in declared_modules(&tokens(text)) {
            for candidate in [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")]
            {
                if reached.insert(candidate.clone()) {
                    open.push(candidate);
                }
            }
        }
    }
    sources
        .iter()
        .filter(|(path, _)| !reached.contains(Path::new(path)))
        .map(|(path, _)| format!("{path}: no mod line reaches it"))
        .collect()
}

/// Names in `mod NAME;`.
fn declared_modules(tokens: &[String]) -> Vec<String> {
    tokens.windows(3).filter(|w| w[0] == "mod" && w[2] == ";").map(|w| w[1].clone()).collect()
}

/// The module a file under `src/` is: `src/format/wim/mod.rs` is `[format, wim]`, the crate's roots are empty.
fn module_path(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<_> = inner.split('/').map(ToOwned::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// First path segments below the crate's root that the tokens name: through `crate::`, our own name, or enough `super::`.
fn used_from_root(tokens: &[String], module_depth: usize) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut inline = Vec::new(); // brace depths at which an inline module opened
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => {
                depth += 1;
                if at >= 2 && tokens[at - 2] == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                inline.pop_if(|opened| *opened == depth);
                depth = depth.saturating_sub(1);
            }
            "crate" | "transom" => used.extend(heads(tokens, at + 1)),
            "super" if at == 0 || tokens[at - 1] != "::" || tokens[at - 2] != "super" => {
                let mut levels = 1;
                while tokens.get(at + 2).is_some_and(|next| next == "super") {
                    levels += 1;
                    at += 2;
                }
                if levels == module_depth + inline.len() {
                    used.extend(heads(tokens, at + 1));
                }
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// The segments that follow `::` at `at`: one name, or the first name of each member of a `{...}` group.
fn heads(tokens: &[String], at: usize) -> Vec<String> {
    if tokens.get(at).is_none_or(|token| token != "::") {
        return Vec::new();
    }
    if tokens.get(at + 1).is_none_or(|token| token != "{") {
        return tokens.get(at + 1).cloned().into_iter().collect();
    }
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut expected = false;
    for token in &tokens[at + 1..] {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => {}
            _ if expected && depth == 1 => found.push(token.clone()),
            _ => {}
        }
        expected = depth == 1 && (token == "{" || token == ",");
        if depth == 0 {
            break;
        }
    }
    found
}

/// The tokens before the inline test module, which stands at the end of a file.
fn without_tests(tokens: &[String]) -> &[String] {
    let start = tokens.windows(3).position(|w| w[0] == "mod" && w[1] == "tests" && w[2] == "{");
    &tokens[..start.unwrap_or(tokens.len())]
}

/// Identifiers, `::` and single punctuation of Rust source, without comments, strings, characters and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            length
        } else if first == '\'' {
            quote(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length =
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    found
}

/// Length of the possibly nested comment that `text` starts with.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of the string literal that `text` starts with, of any kind; `None` when it starts with something else.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let after = text.strip_prefix(prefix).unwrap_or_default().trim_start_matches('#');
        text.starts_with(prefix) && after.starts_with('"')
    })?;
    let after = &text[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !prefix.contains('r') {
        if hashes > 0 {
            return None; // `#"` outside a raw string: an attribute's `#` is never followed by a quote, take it as punctuation
        }
        let mut escaped = false;
        let end = after[1..].find(|c| match c {
            '"' if !escaped => true,
            c => {
                escaped = c == '\\' && !escaped;
                false
            }
        });
        return Some(end.map_or(text.len(), |end| prefix.len() + end + 2));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = &after[hashes + 1..];
    Some(body.find(&close).map_or(text.len(), |end| text.len() - body.len() + end + close.len()))
}

/// Length of the character literal or lifetime that `text` starts with.
fn quote(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            text[after..].find('\'').map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Rust files below a folder of the repository: path from the root with `/`, text.
fn rust_files(root: &Path, folder: &str) -> Vec<(String, String)> {
    files_below(&root.join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let relative = path.strip_prefix(root).expect("the walk starts below the root");
            let text = fs_err::read_to_string(&path).unwrap();
            (relative.to_string_lossy().replace('\\', "/"), text)
        })
        .collect()
}
