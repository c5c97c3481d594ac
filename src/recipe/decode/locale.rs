//! `[locale]`.

use crate::{
    recipe::{
        finding::Finding,
        node::{Entry, Node, Value},
    },
    servicing::{Operation, locale::LocaleSpec},
};

use super::{Decoder, text};

impl Decoder<'_> {
    pub(super) fn locale(&mut self, section: &Entry) {
        let Some(table) = section.node.table() else { return };
        let input = match table.get("input") {
            // As DISM and answer files write a list.
            Some(Node { value: Value::Text(text), .. }) => {
                let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            }
            Some(node) => {
                let list = node.list().unwrap_or_default().iter();
                list.filter_map(Node::text).map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        let layered_driver = match table.get("layered-driver") {
            Some(Node { value: Value::Integer(Some(number)), .. }) => u8::try_from(*number).ok(),
            _ => None,
        };
        let spec = LocaleSpec {
            defaults: text(table, "defaults"),
            all: text(table, "all"),
            ui: text(table, "ui"),
            ui_fallback: text(table, "ui-fallback"),
            system: text(table, "system"),
            user: text(table, "user"),
            input,
            timezone: text(table, "timezone"),
            layered_driver,
        };
        if spec.is_empty() {
            self.findings.push(Finding::at(
                &section.origin,
                "recipe::empty",
                "nothing is said in [locale]",
                "says nothing",
                "give `defaults`, or single settings such as `timezone`, or take the section away",
            ));
            return;
        }
        self.entry("locale", "locale", &section.node.origin, Operation::Locale(spec));
    }
}
