//! `[appx]`, `[defaults]` and `[first-boot]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::name::Name,
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table, Value},
        sections::apps::seconds,
        source::Origin,
    },
    servicing::{
        Operation, WhenNotNative,
        appx::{AppxAction, AppxSpec},
        defaults::{AssociationsAction, DefaultsSpec, OemInformation},
        first_boot::{FirstBootEntry, FirstBootSpec, Reboot, Run, line_defect},
    },
};

use super::{Decoder, text};

impl Decoder<'_> {
    /// `policy`: what `[policy]` says, for entries that do not say it themselves.
    pub(super) fn appx(&mut self, section: &Entry, policy: WhenNotNative) {
        let mut seen: BTreeMap<Name, &Entry> = BTreeMap::new();
        let entries = section.node.table().map(Table::entries).unwrap_or_default();
        let absents: BTreeSet<String> = entries
            .iter()
            .filter(|entry| is_absent(entry))
            .map(|entry| entry.key.clone())
            .collect();
        for entry in entries {
            let name = &entry.key;
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-~".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                self.findings.push(Finding::at(
                    &entry.origin,
                    "recipe::app-name",
                    format!("`{}` is not the name of an app", shown(name)),
                    "not an app's name",
                    "write the name that `transom inspect image --apps` shows: Microsoft.BingNews",
                ));
                continue;
            }
            if let Some(first) = seen.insert(Name::from(name.as_str()).to_upcase(), entry) {
                self.twice(&entry.origin, &first.origin, &format!("the app `{}`", shown(name)));
                continue;
            }
            let action = match &entry.node.value {
                Value::Text(_) => Some(absent(name, &absents)),
                Value::Table(table) => self.app(entry, table, &absents, policy),
                _ => None,
            };
            if let Some(action) = action {
                let spec = AppxSpec { name: name.clone(), action };
                self.entry("appx", name, &entry.origin, Operation::Appx(spec));
            }
        }
    }

    fn app(
        &mut self,
        entry: &Entry,
        table: &Table,
        absents: &BTreeSet<String>,
        policy: WhenNotNative,
    ) -> Option<AppxAction> {
        if text(table, "state").is_some() {
            let others = ["license", "dependencies", "region", "when-not-native"];
            self.without(table, &others, "of what is absent");
            return Some(absent(&entry.key, absents));
        }
        let Some(source) = table.get("source") else {
            self.findings.push(Finding::at(
                &entry.origin,
                "recipe::missing",
                format!("the app `{}` has no source", shown(&entry.key)),
                "needs `source`",
                "give the package or bundle to install, or write \"absent\"",
            ));
            return None;
        };
        let source = self.input(source)?;
        let license = table.get("license").and_then(|node| self.input(node));
        let dependencies = table.get("dependencies").and_then(Node::list).unwrap_or_default();
        let dependencies = dependencies.iter().filter_map(|node| self.input(node)).collect();
        let when_not_native = text(table, "when-not-native")
            .and_then(|word| WhenNotNative::of_name(&word))
            .unwrap_or(policy);
        let region = text(table, "region");
        Some(AppxAction::Present { source, license, dependencies, region, when_not_native })
    }

    pub(super) fn defaults(&mut self, section: &Entry) {
        let Some(table) = section.node.table() else { return };
        let spec = DefaultsSpec {
            associations: table.get("associations").and_then(|node| self.associations(node)),
            oem: table.get("oem").and_then(|node| self.oem(node)),
            computer_name: text(table, "computer-name"),
            registered_owner: text(table, "registered-owner"),
            registered_organization: text(table, "registered-organization"),
        };
        if table.entries().is_empty() {
            self.says_nothing(&section.origin, "[defaults]", "registered-owner = \"Contoso\"");
        }
        self.entry("defaults", "defaults", &section.node.origin, Operation::Defaults(spec));
    }

    fn associations(&mut self, node: &Node) -> Option<AssociationsAction> {
        let Some(table) = node.table() else {
            return self.input(node).map(AssociationsAction::Merge);
        };
        if table.get("absent").is_some() {
            return Some(AssociationsAction::Absent);
        }
        let input = self.input(table.get("file")?)?;
        let replace = table.get("replace").is_some_and(|node| node.value == Value::Boolean(true));
        Some(match replace {
            true => AssociationsAction::Replace(input),
            false => AssociationsAction::Merge(input),
        })
    }

    fn oem(&mut self, node: &Node) -> Option<OemInformation> {
        let table = node.table()?;
        if table.entries().is_empty() {
            self.says_nothing(&node.origin, "`oem`", "manufacturer = \"Contoso\"");
        }
        Some(OemInformation {
            manufacturer: text(table, "manufacturer"),
            model: text(table, "model"),
            support_url: text(table, "support-url"),
            support_phone: text(table, "support-phone"),
            support_hours: text(table, "support-hours"),
            logo: table.get("logo").and_then(|node| self.input(node)),
        })
    }

    /// A table without a key.
    pub(super) fn says_nothing(&mut self, origin: &Origin, what: &str, example: &str) {
        self.findings.push(Finding::at(
            origin,
            "recipe::empty",
            format!("{what} says nothing"),
            "nothing in here",
            format!("write for example {example}, or take it away"),
        ));
    }

    pub(super) fn first_boot(&mut self, section: &Entry) {
        let list = section.node.table().and_then(|table| table.get("run")).and_then(Node::list);
        let mut run: Vec<FirstBootEntry> = Vec::new();
        let mut seen: BTreeMap<Name, Origin> = BTreeMap::new();
        for node in list.unwrap_or_default() {
            let entry = match node.table() {
                Some(table) => self.first_boot_entry(node, table),
                None => self.input(node).map(FirstBootEntry::script),
            };
            let Some(entry) = entry else { continue };
            if run.contains(&entry) {
                self.findings.push(Finding::at(
                    &node.origin,
                    "recipe::duplicate",
                    "this is run twice",
                    "here again",
                    "take one of the two away, or give them different names",
                ));
            } else if let Some(script) = plain_script(&entry) {
                let folded = Name::from(script.as_str()).to_upcase();
                if let Some(first) = seen.insert(folded, node.origin.clone()) {
                    self.findings.push(
                        Finding::at(
                            &node.origin,
                            "recipe::duplicate",
                            format!("two scripts are called `{}`", shown(&script)),
                            "this one",
                            "all scripts go to one folder of the image; give them different names",
                        )
                        .and(&first, "and this one"),
                    );
                }
            }
            run.push(entry);
        }
        if !run.is_empty() {
            let operation = Operation::FirstBoot(FirstBootSpec { run });
            self.entry("first-boot", "run", &section.node.origin, operation);
        }
    }

    fn first_boot_entry(&mut self, node: &Node, table: &Table) -> Option<FirstBootEntry> {
        for key in ["command", "arguments"] {
            let Some(line) = table.get(key) else { continue };
            if let Some(defect) = line.text().and_then(line_defect) {
                self.findings.push(Finding::at(
                    &line.origin,
                    "recipe::wrong-value",
                    format!("`{key}` cannot stand in a command file"),
                    defect,
                    "put what does not fit into a script (.ps1), and run that",
                ));
                return None;
            }
        }
        let run = if let Some(script) = table.get("script") {
            Run::Script(self.input(script)?, text(table, "arguments"))
        } else {
            if let Some(entry) = table.entry("arguments") {
                self.pointless(&entry.origin, "arguments", "beside `command`");
            }
            Run::Command(text(table, "command")?)
        };
        if matches!(&run, Run::Script(input, Some(_)) if input.0.to_lowercase().ends_with(".reg")) {
            self.pointless(&node.origin, "arguments", "beside a .reg file");
        }
        let reboot = match table.get("reboot").and_then(Node::text) {
            Some("never") => Reboot::Never,
            Some("always") => Reboot::Always,
            _ => Reboot::WhenAsked,
        };
        Some(FirstBootEntry {
            run,
            name: text(table, "name"),
            timeout: table.get("timeout").and_then(Node::text).and_then(seconds),
            ignore_failure: table
                .get("ignore-failure")
                .is_some_and(|node| node.value == Value::Boolean(true)),
            reboot,
        })
    }
}

/// True for an app that shall be absent.
fn is_absent(entry: &Entry) -> bool {
    match &entry.node.value {
        Value::Text(_) => true,
        Value::Table(table) => text(table, "state").is_some(),
        _ => false,
    }
}

/// The app `name` goes, with the others of `all`.
fn absent(name: &str, all: &BTreeSet<String>) -> AppxAction {
    AppxAction::Absent { with: all.iter().filter(|other| *other != name).cloned().collect() }
}

/// The file name of an entry that is a script without options: it keeps that name in the image.
fn plain_script(entry: &FirstBootEntry) -> Option<String> {
    let Run::Script(input, None) = &entry.run else { return None };
    let plain = *entry == FirstBootEntry::script(input.clone());
    plain.then(|| input.0.rsplit('/').next().unwrap_or_default().to_owned())
}
