//! `[winre]`.

use crate::{
    recipe::{
        finding::{Finding, list, nearest, shown},
        model,
        node::{Entry, Node, Table, Value},
    },
    servicing::{
        Operation, WhenNotNative,
        drivers::{DriverAction, DriverSpec},
        winre::WinReSpec,
    },
};

use super::Decoder;

impl Decoder<'_> {
    /// Decodes the section, after all others. Gives what shall be in the recovery image; the recipe's own entries get one step for all of it.
    pub(super) fn winre(&mut self, section: &Entry) -> Vec<model::Entry> {
        let outer = std::mem::take(&mut self.entries);
        let outer_secrets = std::mem::take(&mut self.secrets);
        // A recovery image has no first boot: what is not native is refused unless an entry says otherwise, whatever [policy] says.
        let policy = WhenNotNative::Refuse;
        for inner in section.node.table().map(Table::entries).unwrap_or_default() {
            match inner.key.as_str() {
                "packages" => self.packages(&inner.node, policy),
                "languages" => self.languages(&inner.node, policy),
                "drivers" => self.winre_drivers(inner, &outer, policy),
                "winpe" => self.winpe(inner),
                "services" => self.services(&inner.node),
                "registry" => self.registry(&inner.node),
                "registry-files" => self.registry_files(&inner.node),
                "files" => self.files(&inner.node),
                _ => {}
            }
        }
        let nested = std::mem::replace(&mut self.entries, outer);
        let secrets = std::mem::replace(&mut self.secrets, outer_secrets);
        // The serviced file is kept in the store, where no secret may be.
        for (env, origin) in secrets {
            self.findings.push(Finding::at(
                &origin,
                "recipe::secret",
                format!("the recovery image cannot hold the secret {env}"),
                "inside [winre]",
                "set it in the image itself, or at the first boot",
            ));
        }
        let operations: Vec<Operation> =
            nested.iter().map(|entry| entry.operation.clone()).collect();
        if !operations.is_empty() {
            let operation = Operation::WinRe(WinReSpec { operations });
            self.entry("winre", "winre", &section.origin, operation);
        }
        nested
    }

    fn winre_drivers(&mut self, section: &Entry, outer: &[model::Entry], policy: WhenNotNative) {
        match &section.node.value {
            Value::Boolean(true) => {
                let before = self.entries.len();
                self.entries.extend(outer.iter().filter_map(of_recipe));
                if self.entries.len() == before {
                    self.findings.push(Finding::at(
                        &section.node.origin,
                        "recipe::no-drivers",
                        "the recipe installs no drivers",
                        "means the recipe's drivers",
                        "name some under [drivers], or take `drivers` away",
                    ));
                }
            }
            Value::List(nodes) => nodes.iter().for_each(|node| self.named_driver(node, outer)),
            Value::Table(table) => {
                let mut own = Vec::new();
                for entry in table.entries() {
                    match entry.node.text() {
                        Some(_) => {
                            let name = Node {
                                value: Value::Text(entry.key.clone()),
                                origin: entry.origin.clone(),
                            };
                            self.named_driver(&name, outer);
                        }
                        None => own.push(entry.clone()),
                    }
                }
                let own = Value::Table(Table::from_entries(own));
                self.drivers(&Node { value: own, origin: section.node.origin.clone() }, policy);
            }
            _ => {}
        }
    }

    /// The recipe's driver of the name that is the text of `node`.
    fn named_driver(&mut self, node: &Node, outer: &[model::Entry]) {
        let Some(name) = node.text() else { return };
        let known: Vec<model::Entry> = outer.iter().filter_map(of_recipe).collect();
        if let Some(found) = known.iter().find(|entry| entry.label == name) {
            self.entries.push(found.clone());
            return;
        }
        let names = || known.iter().map(|entry| entry.label.as_str());
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the recipe installs no drivers".to_owned(),
            None => format!("there is {}", list(names(), "and")),
        };
        self.findings.push(Finding::at(
            &node.origin,
            "recipe::no-such-driver",
            format!("the recipe installs no driver `{}`", shown(name)),
            "not under [drivers]",
            help,
        ));
    }
}

/// An entry of `[drivers]` that installs something, as it is for a recovery image.
fn of_recipe(entry: &model::Entry) -> Option<model::Entry> {
    let Operation::Driver(DriverSpec { name, action }) = &entry.operation else { return None };
    let DriverAction::Present { source, inf, allow_unsigned, .. } = action else { return None };
    let action = DriverAction::Present {
        source: source.clone(),
        inf: inf.clone(),
        allow_unsigned: *allow_unsigned,
        when_not_native: WhenNotNative::Refuse,
    };
    let operation = Operation::Driver(DriverSpec { name: name.clone(), action });
    Some(model::Entry { operation, ..entry.clone() })
}
