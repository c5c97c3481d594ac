//! What may be in the repository and what it may depend on. Needs no network; `cargo deny` (`.cargo/deny.toml`) knows advisories besides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use transom::base::digest::Sha1;

use crate::support::{expect_success, files_below, oracle, shared_data};

/// Licences a dependency may have; an expression must be satisfiable with these alone.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that would bring a C library, a code generator or 1 MB of tables to a fresh machine; `*` ends a prefix.
const FORBIDDEN: &[&str] =
    &["aws-lc-sys", "bindgen", "cmake", "icu_*", "openssl-sys", "pkg-config", "ring"];

/// Crates that may be there in two major versions, because those above them have not all moved on. `const-oid` to `signature` are
/// there because of `rsa` 0.9, whose successor is not released.
const TWICE: &[&str] = &[
    "const-oid",
    "crypto-common",
    "digest",
    "getrandom",
    "hashbrown",
    "rand",
    "rand_core",
    "signature",
    "syn",
    "unicode-width",
    "windows-sys",
    "windows-targets",
];

/// What the top level holds; names that start with a dot besides.
const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "examples",
    "recipes",
    "schema",
    "src",
    "tests",
];

/// Hosts of package registries, the middle dot left out so that this file does not hold them itself.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("index.crates", "io"),
    ("static.crates", "io"),
    ("registry.npmjs", "org"),
    ("pypi", "org"),
    ("files.pythonhosted", "org"),
    ("deb.debian", "org"),
    ("security.debian", "org"),
    ("proxy.golang", "org"),
    ("rubygems", "org"),
];

/// Files of the shared data smaller than this may equal one of ours by chance.
const SMALLEST_TELLING_SIZE: u64 = 32;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn licences_of_all_dependencies_are_on_the_list() {
    let mut wrong = Vec::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none stated");
        if !is_allowed(licence) {
            wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(wrong.is_empty(), "licences that are not on the list:\n{}", wrong.join("\n"));
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = ["MIT", "MIT/GPL-3.0", "GPL-2.0-only OR ISC", "(MIT OR GPL-3.0) AND Unicode-3.0"];
    let refused =
        ["GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR LGPL-3.0)", "none stated", ""];
    let with = ["Apache-2.0 WITH LLVM-exception OR GPL-3.0", "GPL-3.0 OR MIT AND ISC"];
    for expression in allowed.iter().chain(&with) {
        assert!(is_allowed(expression), "{expression} can be satisfied");
    }
    for expression in
        refused.iter().chain(&["MIT WITH Some-exception", "GPL-3.0 AND ISC OR LGPL-3.0"])
    {
        assert!(!is_allowed(expression), "{expression} cannot be satisfied");
    }
}

#[test]
fn no_forbidden_crate_and_no_source_but_the_registry_is_locked() {
    let lock = fs_err::read_to_string(root().join("Cargo.lock")).unwrap();
    let lock: toml::Table = toml::from_str(&lock).unwrap();
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for package in lock["package"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let version = package["version"].as_str().unwrap();
        if FORBIDDEN.iter().any(|f| f.strip_suffix('*').map_or(*f == name, |p| name.starts_with(p)))
        {
            wrong.push(format!("{name} is forbidden; `cargo tree -i {name}` says who brings it"));
        }
        match package.get("source").and_then(toml::Value::as_str) {
            None if name == "transom" => {}
            Some("registry+https://github.com/rust-lang/crates.io-index") => {}
            other => {
                wrong.push(format!("{name} comes from {other:?}; only the registry is allowed"));
            }
        }
        versions.entry(name).or_default().insert(major(version));
    }
    for (name, majors) in versions {
        if majors.len() > 1 && !TWICE.contains(&name) {
            wrong.push(format!("{name} is there in the versions {majors:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_top_level_holds_only_what_the_house_allows() {
    let Some(tracked) = tracked_files() else { return };
    let top: BTreeSet<_> = tracked
        .iter()
        .filter_map(|path| path.components().next())
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(top.is_empty(), "not at the top level, please: {top:?}");
}

#[test]
fn no_tracked_file_names_the_host_of_a_package_registry() {
    let Some(tracked) = tracked_files() else { return };
    let hosts: Vec<_> =
        REGISTRY_HOSTS.iter().map(|(front, back)| format!("{front}.{back}").into_bytes()).collect();
    let mut wrong = Vec::new();
    for path in tracked {
        let bytes = fs_err::read(root().join(&path)).unwrap();
        for host in &hosts {
            if bytes.windows(host.len()).any(|window| window == host) {
                wrong.push(format!("{}: {}", path.display(), String::from_utf8_lossy(host)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_of_the_shared_data_is_committed() {
    let Some(shared) = shared_data("README.md").and_then(|p| p.parent().map(Path::to_owned)) else {
        return;
    };
    let Some(tracked) = tracked_files() else { return };
    let mut ours: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for path in tracked {
        let size = fs_err::metadata(root().join(&path)).unwrap().len();
        ours.entry(size).or_default().push(path);
    }
    let sha1 = |path: &Path| Sha1::of(&fs_err::read(path).unwrap());
    let mut wrong = Vec::new();
    for theirs in files_below(&shared) {
        let size = fs_err::metadata(&theirs).unwrap().len();
        let Some(candidates) = ours.get(&size).filter(|_| size >= SMALLEST_TELLING_SIZE) else {
            continue;
        };
        let digest = sha1(&theirs);
        let same = candidates.iter().filter(|path| sha1(&root().join(path)) == digest);
        wrong.extend(same.map(|path| format!("{} is {}", path.display(), theirs.display())));
    }
    assert!(wrong.is_empty(), "not ours to publish:\n{}", wrong.join("\n"));
}

/// Packages that a build on this machine uses, as `cargo metadata` describes them. What only other systems use was never downloaded.
fn packages() -> Vec<Value> {
    let cargo = |program: &str| {
        let mut command = Command::new(
            std::env::var_os(program).unwrap_or_else(|| program.to_lowercase().into()),
        );
        command.stdin(Stdio::null()).current_dir(root());
        command
    };
    let version = expect_success(cargo("RUSTC").arg("-vV")).stdout;
    let version = String::from_utf8(version).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments =
        ["metadata", "--offline", "--locked", "--format-version=1", "--filter-platform", host];
    let printed = expect_success(cargo("CARGO").args(arguments)).stdout;
    let metadata: Value = serde_json::from_slice(&printed).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "cargo metadata lists the dependencies");
    packages.clone()
}

/// Files git tracks or would track, paths from the root; `None` outside a checkout.
fn tracked_files() -> Option<Vec<PathBuf>> {
    if !root().join(".git").exists() {
        return None;
    }
    let git = oracle("git")?;
    let mut command = git.command();
    command.current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let printed = expect_success(&mut command).stdout;
    let paths = String::from_utf8(printed).expect("our file names are UTF-8");
    let paths = paths.split_terminator('\0').map(PathBuf::from);
    Some(paths.filter(|path| root().join(path).is_file()).collect())
}

/// What may break between two versions: the first part that is not zero, with all before it.
fn major(version: &str) -> String {
    let mut parts = version.split(['.', '+', '-']);
    let mut kept = vec![parts.next().unwrap_or_default()];
    while kept.last() == Some(&"0") {
        kept.extend(parts.next());
    }
    kept.join(".")
}

/// Whether a licence expression can be satisfied with the list alone. `/` is the old spelling of `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at) && at == words.len()
}

/// `both { OR both }`
fn either(words: &[&str], at: &mut usize) -> bool {
    let mut satisfied = both(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        satisfied |= both(words, at);
    }
    satisfied
}

/// `one { AND one }`
fn both(words: &[&str], at: &mut usize) -> bool {
    let mut satisfied = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        satisfied &= one(words, at);
    }
    satisfied
}

/// `( either )`, or a licence, or a licence `WITH` an exception
fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let satisfied = either(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return satisfied && closed;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return LICENCES.contains(&format!("{word} WITH {exception}").as_str());
    }
    LICENCES.contains(word)
}
