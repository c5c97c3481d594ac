//! `[appx]`, `[defaults]` and `[first-boot]`.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node},
        source::Origin,
    },
    servicing::{
        InputId, Operation, appx::AppxSpec, defaults::DefaultsSpec, first_boot::FirstBootSpec,
    },
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn appx(&mut self, section: &Entry) {
        self.entry("appx", "apps", &section.node.origin, Operation::Appx(AppxSpec {}));
    }

    pub(super) fn defaults(&mut self, section: &Entry) {
        let operation = Operation::Defaults(DefaultsSpec {});
        self.entry("defaults", "defaults", &section.node.origin, operation);
    }

    pub(super) fn first_boot(&mut self, section: &Entry) {
        let run = section.node.table().and_then(|table| table.get("run")).and_then(Node::list);
        let mut scripts: Vec<InputId> = Vec::new();
        let mut seen: BTreeMap<Name, Origin> = BTreeMap::new();
        for node in run.unwrap_or_default() {
            let Some(input) = self.input(node) else { continue };
            let name = input.0.rsplit('/').next().unwrap_or_default().to_owned();
            let folded = Name::from(name.as_str()).to_upcase();
            if let Some(first) = seen.insert(folded, node.origin.clone()) {
                self.findings.push(
                    Finding::at(
                        &node.origin,
                        "recipe::duplicate",
                        format!("two scripts are called `{}`", shown(&name)),
                        "this one",
                        "all scripts go to one folder of the image; give them different names",
                    )
                    .and(&first, "and this one"),
                );
            }
            scripts.push(input);
        }
        if !scripts.is_empty() {
            let operation = Operation::FirstBoot(FirstBootSpec { scripts });
            self.entry("first-boot", "run", &section.node.origin, operation);
        }
    }
}
