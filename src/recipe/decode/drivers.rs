//! `[drivers.NAME]`.

use crate::{
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table},
    },
    servicing::{
        Operation, WhenNotNative,
        drivers::{DriverAction, DriverChoice, DriverSpec},
    },
};

use super::{Decoder, text};

impl Decoder<'_> {
    /// `policy`: what `[policy]` says, for entries that do not say it themselves.
    pub(super) fn drivers(&mut self, node: &Node, policy: WhenNotNative) {
        for entry in node.table().map(Table::entries).unwrap_or_default() {
            let Some(table) = entry.node.table() else { continue };
            let absent = text(table, "state").as_deref() == Some("absent");
            let action = if absent {
                self.absent_driver(entry, table)
            } else {
                self.present_driver(entry, table, policy)
            };
            if let Some(action) = action {
                let spec = DriverSpec { name: entry.key.clone(), action };
                self.entry("drivers", &entry.key, &entry.origin, Operation::Driver(spec));
            }
        }
    }

    fn present_driver(
        &mut self,
        entry: &Entry,
        table: &Table,
        policy: WhenNotNative,
    ) -> Option<DriverAction> {
        self.without(table, &["inf", "provider"], "without `state = \"absent\"`");
        let Some(node) = table.get("source") else {
            self.findings.push(Finding::at(
                &entry.origin,
                "recipe::missing",
                format!("the driver `{}` has no source", shown(&entry.key)),
                "needs `source`",
                "give the folder, INF, .cab or .zip to install, or `state = \"absent\"` and the `inf` to remove",
            ));
            return None;
        };
        let (source, inf) = self.driver_input(node)?;
        Some(DriverAction::Present {
            source,
            inf,
            allow_unsigned: text(table, "unsigned").as_deref() == Some("allow"),
            when_not_native: text(table, "when-not-native")
                .and_then(|word| WhenNotNative::of_name(&word))
                .unwrap_or(policy),
        })
    }

    fn absent_driver(&mut self, entry: &Entry, table: &Table) -> Option<DriverAction> {
        self.without(table, &["source", "unsigned", "when-not-native"], "of what is absent");
        let inf = text(table, "inf");
        let provider = text(table, "provider");
        if let (Some(inf), Some(entry)) = (&inf, table.entry("provider"))
            && is_published(inf)
        {
            self.pointless(&entry.origin, "provider", "beside a published name");
        }
        let choice = match (inf, provider) {
            (Some(inf), Some(provider)) => DriverChoice::Original { provider, inf },
            (Some(inf), None) if is_published(&inf) => DriverChoice::Published(inf.to_lowercase()),
            (inf, _) => {
                let missing = if inf.is_some() { "provider" } else { "inf" };
                self.findings.push(Finding::at(
                    &entry.origin,
                    "recipe::missing",
                    format!("the driver `{}` does not say which package shall go", shown(&entry.key)),
                    format!("needs `{missing}`"),
                    "give `inf = \"oem3.inf\"`, or the original `inf` with its `provider`; `transom inspect image --drivers` lists them",
                ));
                return None;
            }
        };
        Some(DriverAction::Absent(choice))
    }

    /// Keys that mean nothing here.
    pub(super) fn without(&mut self, table: &Table, keys: &[&str], why: &str) {
        for key in keys {
            if let Some(entry) = table.entry(key) {
                self.pointless(&entry.origin, key, why);
            }
        }
    }
}

/// `oemN.inf`: a name that Windows gave.
fn is_published(inf: &str) -> bool {
    let lower = inf.to_lowercase();
    let number = lower.strip_prefix("oem").and_then(|rest| rest.strip_suffix(".inf"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
