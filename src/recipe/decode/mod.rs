//! From the merged tree to the [`Recipe`].
//!
//! The tree has passed [`super::shape`], so here nothing is said of unknown keys and wrong kinds: a value of the wrong kind is skipped. What is
//! said here is what a value means: paths, names, types with their data, entries that contradict one another.

mod answers;
mod apps;
mod drivers;
mod entries;
mod locale;
mod packages;
mod pe;
pub(super) mod policy;
mod registry;
mod settings;
mod unattend;
mod winre;

use std::collections::BTreeMap;

use crate::base::secret::SecretRef;
use crate::servicing::{InputId, Operation, drivers::source::split_inf};

use super::{
    finding::Finding,
    model::{Entry, InputDecl, Recipe},
    node::{Node, Table},
    paths,
    source::{Located, Origin, Sources},
};

/// What decoding gathers.
struct Decoder<'a> {
    entries: Vec<Entry>,
    inputs: BTreeMap<InputId, InputDecl>,
    secrets: BTreeMap<String, Origin>,
    findings: &'a mut Vec<Finding>,
}

/// Decodes the whole recipe; `None` only when there are findings.
pub(super) fn recipe(
    root: &Table,
    variant: Option<&str>,
    sources: Sources,
    findings: &mut Vec<Finding>,
) -> Option<Recipe> {
    let (inputs, secrets) = (BTreeMap::new(), BTreeMap::new());
    let empty = Table::default();
    let table = |key: &str| root.get(key).and_then(Node::table).unwrap_or(&empty);
    let policy = policy::policy(table("policy"), findings);
    let mut decoder = Decoder { entries: Vec::new(), inputs, secrets, findings };
    // Entries stand in the order in which their sections first appear.
    for section in root.entries() {
        match section.key.as_str() {
            "packages" => decoder.packages(&section.node, policy.when_not_native),
            "languages" => decoder.languages(&section.node, policy.when_not_native),
            "features" => decoder.features(&section.node, policy.when_not_native),
            "capabilities" => decoder.capabilities(&section.node, policy.when_not_native),
            "drivers" => decoder.drivers(&section.node, policy.when_not_native),
            "registry" => decoder.registry(&section.node),
            "registry-files" => decoder.registry_files(&section.node),
            "services" => decoder.services(&section.node),
            "files" => decoder.files(&section.node),
            "unattend" => decoder.unattend(section),
            "appx" => decoder.appx(section, policy.when_not_native),
            "locale" => decoder.locale(section),
            "defaults" => decoder.defaults(section),
            "winpe" => decoder.winpe(section),
            "first-boot" => decoder.first_boot(section),
            _ => {}
        }
    }
    let winre = root.entry("winre").map(|section| decoder.winre(section)).unwrap_or_default();
    let image = settings::image(table("image"));
    let base = settings::base(table("base"));
    let output = decoder.output(table("output"));
    if let (Some(base), Some(output)) = (&base, &output) {
        decoder.output_apart(base, output, variant, &sources);
    }
    if let Some(base) = &base {
        decoder.one_name(&image, base);
    }
    let Decoder { entries, inputs, secrets, .. } = decoder;
    let variant = variant.map(str::to_owned);
    let (base, output) = (base?, output?);
    Some(Recipe { variant, image, base, entries, winre, policy, output, inputs, secrets, sources })
}

impl Decoder<'_> {
    /// Adds an entry of `section`.
    fn entry(
        &mut self,
        section: &'static str,
        label: impl Into<String>,
        origin: &Origin,
        operation: Operation,
    ) {
        self.entries.push(Entry {
            section,
            label: label.into(),
            origin: origin.clone(),
            operation,
            note: None,
        });
    }

    /// The secret that `{ env = "NAME" }` names; `None` for any other table.
    fn secret(&mut self, table: &Table) -> Option<SecretRef> {
        let node = table.get("env")?;
        let secret = SecretRef::new(node.text()?)?;
        self.secrets.entry(secret.env.clone()).or_insert_with(|| node.origin.clone());
        Some(secret)
    }

    /// Declares a source of drivers; an INF comes with the folder it is in, and is returned too.
    fn driver_input(&mut self, node: &Node) -> Option<(InputId, Option<String>)> {
        let text = node.text()?;
        Some(match split_inf(text) {
            Some((folder, inf)) => (self.input_at(node, folder), Some(inf.to_owned())),
            None => (self.input_at(node, text), None),
        })
    }

    /// Declares the input whose path is the text of `node`.
    fn input(&mut self, node: &Node) -> Option<InputId> {
        Some(self.input_at(node, node.text()?))
    }

    /// Declares the input at `text`, which `node` asks for: its own text, or the folder of the file that it names.
    fn input_at(&mut self, node: &Node, text: &str) -> InputId {
        let source = node.origin.source();
        let id = paths::input_id(source, text);
        self.inputs.entry(id.clone()).or_insert_with(|| InputDecl {
            path: paths::resolve(source, text),
            origin: node.origin.clone(),
        });
        id
    }
}

/// The text of a key, and where it stands.
fn located(table: &Table, key: &str) -> Option<Located<String>> {
    let node = table.get(key)?;
    Some(Located { value: node.text()?.to_owned(), origin: node.origin.clone() })
}

/// The text of a key.
fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Node::text).map(str::to_owned)
}
