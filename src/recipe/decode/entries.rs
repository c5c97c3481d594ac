//! `[services]`, `[[files]]`, `[[registry-files]]`, `[unattend]` and `[first-boot]`.

use std::collections::BTreeMap;

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::security::parse_sddl,
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table, Value},
        source::Origin,
    },
    servicing::{
        Operation,
        files::{FileAttribute, FilesAction, FilesSpec},
        registry::FileSpec,
        services::{ServiceSpec, StartMode},
    },
};

use super::{Decoder, text};

impl Decoder<'_> {
    pub(super) fn services(&mut self, node: &Node) {
        let Some(table) = node.table() else { return };
        let mut seen: BTreeMap<Name, &Entry> = BTreeMap::new();
        for entry in table.entries() {
            let name = &entry.key;
            if name.is_empty() || name.contains(['\\', '/']) || name.contains(char::is_control) {
                self.findings.push(Finding::at(
                    &entry.origin,
                    "recipe::service-name",
                    format!("`{}` is not the name of a service", shown(name)),
                    "not a service name",
                    "write the service's key name, as `sc query` shows it: RemoteRegistry",
                ));
                continue;
            }
            if let Some(first) = seen.insert(Name::from(name.as_str()).to_upcase(), entry) {
                self.twice(&entry.origin, &first.origin, &format!("the service `{}`", shown(name)));
                continue;
            }
            let spec = match &entry.node.value {
                Value::Text(start) => ServiceSpec {
                    name: name.clone(),
                    start: start_mode(start),
                    account: None,
                    arguments: None,
                },
                Value::Table(table) => ServiceSpec {
                    name: name.clone(),
                    start: text(table, "start").as_deref().and_then(start_mode),
                    account: text(table, "account"),
                    arguments: text(table, "arguments"),
                },
                _ => continue,
            };
            if entry.node.table().is_some_and(|table| table.entries().is_empty()) {
                self.findings.push(Finding::at(
                    &entry.origin,
                    "recipe::empty",
                    format!("nothing is said of the service `{}`", shown(name)),
                    "says nothing",
                    "give `start`, `account` or `arguments`, or take the entry away",
                ));
            }
            self.entry("services", name, &entry.origin, Operation::Service(spec));
        }
    }

    /// The same thing is said in two places that Windows does not tell apart.
    pub(super) fn twice(&mut self, here: &Origin, first: &Origin, what: &str) {
        self.findings.push(
            Finding::at(
                here,
                "recipe::duplicate",
                format!("{what} is given twice"),
                "here again",
                "Windows does not tell the two apart; write both the same way, or take one away",
            )
            .and(first, "first given here"),
        );
    }

    pub(super) fn registry_files(&mut self, node: &Node) {
        for node in node.list().unwrap_or_default() {
            let file = node.table().and_then(|table| table.get("file"));
            let Some(input) = file.and_then(|file| self.input(file)) else { continue };
            let label = input.to_string();
            let operation = Operation::RegistryFile(FileSpec { input });
            self.entry("registry-files", label, &node.origin, operation);
        }
    }

    pub(super) fn files(&mut self, node: &Node) {
        let mut placed: Vec<(NtPath, bool, Origin)> = Vec::new();
        for node in node.list().unwrap_or_default() {
            let Some(spec) = node.table().and_then(|table| self.files_spec(table, &node.origin))
            else {
                continue;
            };
            let absent = spec.action == FilesAction::Absent;
            let origin = node.table().and_then(|table| table.get("to")).unwrap_or(node);
            placed.push((spec.to.clone(), absent, origin.origin.clone()));
            self.entry("files", spec.to.to_string(), &node.origin, Operation::Files(spec));
        }
        self.absent_and_present(&placed);
    }

    fn files_spec(&mut self, table: &Table, origin: &Origin) -> Option<FilesSpec> {
        let to = self.image_path(table.get("to")?);
        let from = table.get("from").and_then(|node| self.input(node));
        let absent = table.get("absent").is_some();
        let replace =
            matches!(table.get("replace"), Some(Node { value: Value::Boolean(true), .. }));
        if let (Some(entry), true) = (table.entry("replace"), table.get("from").is_none()) {
            self.pointless(&entry.origin, "replace", "without `from`");
        }
        for key in ["attributes", "sddl"] {
            if let (Some(entry), true) = (table.entry(key), absent) {
                self.pointless(&entry.origin, key, "of what is absent");
            }
        }
        let attributes = table.get("attributes").and_then(Node::list).map(|nodes| {
            let mut attributes: Vec<FileAttribute> =
                nodes.iter().filter_map(Node::text).filter_map(file_attribute).collect();
            attributes.sort_unstable();
            attributes.dedup();
            attributes
        });
        let sddl = table.get("sddl").and_then(|node| self.sddl(node));
        let action = match (absent, from) {
            (true, _) => FilesAction::Absent,
            (false, Some(input)) => FilesAction::From { input, replace },
            (false, None) => FilesAction::Adjust,
        };
        if action == FilesAction::Adjust && table.entries().iter().all(|entry| entry.key == "to") {
            self.findings.push(Finding::at(
                origin,
                "recipe::empty",
                "nothing is said of this file",
                "says nothing",
                "give `from`, `absent = true`, `attributes` or `sddl`",
            ));
        }
        let to = to?;
        let emptied = matches!(action, FilesAction::From { replace: true, .. });
        if to.is_root() && (absent || emptied) {
            self.findings.push(Finding::at(
                origin,
                "recipe::wrong-value",
                "this would remove everything from the image",
                "names the image's root",
                "name the folder that shall go",
            ));
            return None;
        }
        Some(FilesSpec { to, action, attributes, sddl })
    }

    pub(super) fn pointless(&mut self, origin: &Origin, key: &str, why: &str) {
        self.findings.push(Finding::at(
            origin,
            "recipe::conflict",
            format!("`{key}` {why} means nothing"),
            "has no effect",
            format!("take `{key}` away"),
        ));
    }

    fn image_path(&mut self, node: &Node) -> Option<NtPath> {
        match NtPath::parse(node.text()?) {
            Ok(path) => Some(path),
            Err(error) => {
                self.findings.push(Finding::at(
                    &node.origin,
                    "recipe::image-path",
                    "this is not a path inside the image",
                    error.to_string(),
                    r"write it as on Windows: 'C:\Tools\tool.exe'; the drive letter means the image's root",
                ));
                None
            }
        }
    }

    fn sddl(&mut self, node: &Node) -> Option<String> {
        let sddl = node.text()?;
        if let Err(error) = parse_sddl(sddl) {
            // The error counts from the first character; when nothing was escaped, the text in the file is the same after the quote.
            let quoted = node.origin.text().get(1..=sddl.len()) == Some(sddl);
            let place = match quoted {
                true => node.origin.part(error.offset + 1..error.offset + 2),
                false => node.origin.clone(),
            };
            self.findings.push(Finding::at(
                &place,
                "recipe::sddl",
                "this is not a security descriptor",
                error.what,
                "for example \"D:PAI(A;;FA;;;SY)(A;;FA;;;BA)\": full access for the system and administrators alone",
            ));
            return None;
        }
        Some(sddl.to_owned())
    }

    /// What is put at or below a path that shall be absent contradicts it.
    fn absent_and_present(&mut self, placed: &[(NtPath, bool, Origin)]) {
        let folded = |path: &NtPath| path.names().iter().map(Name::to_upcase).collect::<Vec<_>>();
        let absent: BTreeMap<Vec<Name>, &Origin> = placed
            .iter()
            .filter(|(_, absent, _)| *absent)
            .map(|(path, _, origin)| (folded(path), origin))
            .collect();
        for (path, _, origin) in placed.iter().filter(|(_, absent, _)| !absent) {
            let names = folded(path);
            let above = (1..=names.len()).find_map(|length| absent.get(&names[..length]));
            if let Some(above) = above {
                self.findings.push(
                    Finding::at(
                        origin,
                        "recipe::conflict",
                        format!("`{}` cannot be both there and absent", shown(&path.to_string())),
                        "put here",
                        "to empty a folder first, use `replace = true` with `from`",
                    )
                    .and(above, "absent, with all below it"),
                );
            }
        }
    }
}

fn start_mode(text: &str) -> Option<StartMode> {
    Some(match text {
        "boot" => StartMode::Boot,
        "system" => StartMode::System,
        "auto" => StartMode::Auto,
        "delayed" => StartMode::Delayed,
        "manual" => StartMode::Manual,
        "disabled" => StartMode::Disabled,
        _ => return None,
    })
}

fn file_attribute(text: &str) -> Option<FileAttribute> {
    Some(match text {
        "readonly" => FileAttribute::ReadOnly,
        "hidden" => FileAttribute::Hidden,
        "system" => FileAttribute::System,
        "archive" => FileAttribute::Archive,
        "not-indexed" => FileAttribute::NotContentIndexed,
        _ => return None,
    })
}
