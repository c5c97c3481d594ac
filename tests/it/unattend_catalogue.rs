//! The catalogue of settings equals the index of the shared data that it was made from; `TRANSOM_BLESS=1` makes it anew.

use std::collections::{BTreeMap, BTreeSet};

use transom::format::unattend::catalogue;

use crate::support;

const MARK: &str = "# by hand\n";

#[test]
fn the_catalogue_is_what_the_index_says() {
    let Some(index) = support::shared_data("unattend-settings.tsv") else { return };
    let expected = table(&fs_err::read_to_string(index).unwrap());
    let (made, by_hand) = catalogue::TABLE.split_once(MARK).expect("the mark");
    if std::env::var_os("TRANSOM_BLESS").is_some() && made != expected {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/format/unattend/catalogue.tsv");
        fs_err::write(path, format!("{expected}{MARK}{by_hand}")).unwrap();
        return;
    }
    assert!(made == expected, "run it with TRANSOM_BLESS=1");
    // What is added by hand is not in the index.
    let mut current = "";
    for line in by_hand.lines() {
        match line.strip_prefix('\t') {
            None => current = line,
            Some(row) => {
                let path = row.split('\t').next().unwrap();
                let twice = expected.split(&format!("\n{current}\n")).nth(1).and_then(|rest| {
                    rest.lines()
                        .take_while(|line| line.starts_with('\t'))
                        .find(|line| line.split('\t').nth(1) == Some(path))
                });
                assert_eq!(twice, None, "{current} {path}");
            }
        }
    }
}

/// The words of an enumeration: one that is written as a sentence, and one that has grown.
fn repaired(path: &str, words: &str) -> String {
    match path {
        "SanPolicy" => "1|2|3|4".to_owned(),
        _ => words.replace("0 or 1", "0|1"),
    }
}

/// The table of an index: columns component, path, passes, type, enumeration, longest, empty; what follows is not taken over.
fn table(index: &str) -> String {
    let mut components: BTreeMap<&str, BTreeMap<String, [String; 5]>> = BTreeMap::new();
    for line in index.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [component, path, passes, kind, words, longest, empty] = fields[..7] else { continue };
        let rows = components.entry(component).or_default();
        if path.is_empty() {
            continue;
        }
        let letters: String = [
            ("windowsPE", 'W'),
            ("offlineServicing", 'O'),
            ("generalize", 'G'),
            ("specialize", 'S'),
            ("auditSystem", 'A'),
            ("auditUser", 'U'),
            ("oobeSystem", 'E'),
        ]
        .iter()
        .filter(|(name, _)| passes.split(',').any(|pass| pass == *name))
        .map(|(_, letter)| *letter)
        .collect();
        let kind = match kind {
            "string" => "text",
            "container" => "group",
            "enum" => "word",
            "" => "?",
            other => other,
        };
        let words = if kind == "word" { repaired(path, words) } else { String::new() };
        let empty = if empty == "yes" { "empty" } else { "" };
        let row = [letters, kind.to_owned(), longest.to_owned(), empty.to_owned(), words];
        rows.insert(path.replace("\\_", "_"), row);
    }
    let mut text = String::new();
    for (component, mut rows) in components {
        // Whatever holds others is a group, in every pass that one of them has.
        let paths: Vec<String> = rows.keys().cloned().collect();
        for path in &paths {
            let mut rest = path.as_str();
            while let Some((above, _)) = rest.rsplit_once('/') {
                let group = rows.entry(above.to_owned()).or_default();
                group[1] = "group".to_owned();
                group[4].clear();
                rest = above;
            }
        }
        let groups: Vec<String> = rows
            .iter()
            .filter(|(_, row)| row[1] == "group")
            .map(|(path, _)| path.clone())
            .collect();
        for group in groups {
            let below: BTreeSet<char> = rows
                .iter()
                .filter(|(path, _)| {
                    path.strip_prefix(&group)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
                .flat_map(|(_, row)| row[0].chars())
                .collect();
            let letters = "WOGSAUE".chars().filter(|letter| below.contains(letter)).collect();
            rows.get_mut(&group).unwrap()[0] = letters;
        }
        text.push_str(component);
        text.push('\n');
        for (path, row) in rows {
            let line = format!("\t{path}\t{}", row.join("\t"));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
