//! `[unattend]`.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table},
    },
    servicing::{
        Operation, WhenNotNative,
        unattend::{MappedPath, UnattendSpec},
    },
};

use super::{Decoder, text};

impl Decoder<'_> {
    pub(super) fn unattend(&mut self, section: &Entry) {
        let Some(table) = section.node.table() else { return };
        let input = table.get("file").and_then(|file| self.input(file));
        let paths = self.mapped_paths(table);
        let before = self.findings.len();
        let settings = self.typed_settings(table, &section.origin);
        if table.get("file").is_none() && settings.is_none() {
            if self.findings.len() == before {
                self.findings.push(Finding::at(
                    &section.origin,
                    "recipe::empty",
                    "nothing is said of the answer file",
                    "says nothing",
                    "give `file`, or settings such as `computer-name` or `users`",
                ));
            }
            return;
        }
        let label = input.as_ref().map_or_else(|| "settings".to_owned(), ToString::to_string);
        let operation = Operation::Unattend(UnattendSpec { input, paths, settings });
        self.entry("unattend", label, &section.node.origin, operation);
    }

    /// `paths`: what paths of the answer file stand for.
    fn mapped_paths(&mut self, table: &Table) -> Vec<MappedPath> {
        let mut paths: Vec<MappedPath> = Vec::new();
        let mut seen: BTreeMap<Name, &Entry> = BTreeMap::new();
        let entries = table.get("paths").and_then(Node::table).map(Table::entries);
        for entry in entries.unwrap_or_default() {
            let folded = entry.key.replace('/', "\\");
            let folded = Name::from(folded.trim_end_matches('\\')).to_upcase();
            if let Some(first) = seen.insert(folded, entry) {
                let what = format!("the path `{}`", shown(&entry.key));
                self.twice(&entry.origin, &first.origin, &what);
                continue;
            }
            let table = entry.node.table();
            let source = table.map_or(Some(&entry.node), |table| table.get("source"));
            let Some((input, inf)) = source.and_then(|source| self.driver_input(source)) else {
                continue;
            };
            let word = |key| table.and_then(|table| text(table, key));
            paths.push(MappedPath {
                path: entry.key.clone(),
                input,
                inf,
                allow_unsigned: word("unsigned").as_deref() == Some("allow"),
                when_not_native: word("when-not-native")
                    .and_then(|word| WhenNotNative::of_name(&word)),
            });
        }
        paths
    }
}
