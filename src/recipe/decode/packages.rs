//! `[packages]`, `[languages]`, `[features]` and `[capabilities]`.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Table, Value},
        source::Origin,
    },
    servicing::{
        InputId, Operation, WhenNotNative,
        cbs::{FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject},
    },
};

use super::{Decoder, text};

/// Entries of a section by their names as Windows tells them apart.
type Seen = BTreeMap<Name, Origin>;

impl Decoder<'_> {
    /// `policy`: what `[policy]` says, for entries that do not say it themselves.
    pub(super) fn packages(&mut self, node: &Node, policy: WhenNotNative) {
        let mut seen = Seen::new();
        for entry in node.table().map(Table::entries).unwrap_or_default() {
            let Some(table) = entry.node.table() else { continue };
            if !self.is_name(entry, "package", "a short name of your own: kb5066835")
                || !self.is_first(&mut seen, entry, "package")
            {
                continue;
            }
            let action = match text(table, "state").as_deref() {
                Some("absent") => self.absent_package(entry, table, policy),
                _ => {
                    self.without(table, &["identity"], "without `state = \"absent\"`");
                    let source = table.get("source").and_then(|node| self.input(node));
                    Some(present(table, source, policy))
                }
            };
            let subject = PackageSubject::Package(entry.key.clone());
            self.package("packages", entry, subject, action);
        }
    }

    pub(super) fn languages(&mut self, node: &Node, policy: WhenNotNative) {
        let mut seen = Seen::new();
        for entry in node.table().map(Table::entries).unwrap_or_default() {
            let Some(tag) = self.language_tag(entry) else { continue };
            if !self.is_first(&mut seen, entry, "language") {
                continue;
            }
            let action = match &entry.node.value {
                Value::Text(state) if state == "absent" => {
                    PackageAction::Absent { identity: None, when_not_native: policy }
                }
                Value::Table(table) if text(table, "state").as_deref() == Some("absent") => {
                    self.absent(table, policy)
                }
                Value::Table(table) => {
                    let source = table.get("source").and_then(|node| self.input(node));
                    present(table, source, policy)
                }
                _ => continue,
            };
            self.package("languages", entry, PackageSubject::Language(tag), Some(action));
        }
    }

    pub(super) fn capabilities(&mut self, node: &Node, policy: WhenNotNative) {
        let mut seen = Seen::new();
        for entry in node.table().map(Table::entries).unwrap_or_default() {
            if !self.is_capability(entry) || !self.is_first(&mut seen, entry, "capability") {
                continue;
            }
            let action = match &entry.node.value {
                Value::Text(state) => match state.as_str() {
                    "present" => present(&Table::default(), None, policy),
                    "absent" => PackageAction::Absent { identity: None, when_not_native: policy },
                    _ => continue,
                },
                Value::Table(table) if text(table, "state").as_deref() == Some("absent") => {
                    self.absent(table, policy)
                }
                Value::Table(table) => {
                    let source = table.get("source").and_then(|node| self.input(node));
                    if source.is_none() {
                        self.without(table, &["unsigned"], "without `source`");
                    }
                    present(table, source, policy)
                }
                _ => continue,
            };
            let subject = PackageSubject::Capability(entry.key.clone());
            self.package("capabilities", entry, subject, Some(action));
        }
    }

    pub(super) fn features(&mut self, node: &Node, policy: WhenNotNative) {
        let mut seen = Seen::new();
        for entry in node.table().map(Table::entries).unwrap_or_default() {
            let help = "the name that DISM shows: TelnetClient";
            if !self.is_name(entry, "feature", help) || !self.is_first(&mut seen, entry, "feature")
            {
                continue;
            }
            let empty = Table::default();
            let (state, table) = match &entry.node.value {
                Value::Text(state) => (Some(state.clone()), &empty),
                Value::Table(table) => (text(table, "state"), table),
                _ => continue,
            };
            let Some(state) = state.as_deref().and_then(feature_state) else { continue };
            let source = match state {
                FeatureState::Enabled => table.get("source").and_then(|node| self.input(node)),
                FeatureState::Disabled | FeatureState::Removed => {
                    self.without(
                        table,
                        &["source", "unsigned", "all"],
                        "of a feature that is not enabled",
                    );
                    None
                }
            };
            if source.is_none() && state == FeatureState::Enabled {
                self.without(table, &["unsigned"], "without `source`");
            }
            let spec = FeatureSpec {
                name: entry.key.clone(),
                state,
                all: matches!(table.get("all"), Some(Node { value: Value::Boolean(true), .. })),
                source,
                allow_unsigned: allows_unsigned(table),
                when_not_native: when_not_native(table, policy),
            };
            self.entry("features", &entry.key, &entry.origin, Operation::Feature(spec));
        }
    }

    fn package(
        &mut self,
        section: &'static str,
        entry: &Entry,
        subject: PackageSubject,
        action: Option<PackageAction>,
    ) {
        if let Some(action) = action {
            let spec = PackageSpec { subject, action };
            self.entry(section, &entry.key, &entry.origin, Operation::Package(spec));
        }
    }

    /// What of a language or capability shall go.
    fn absent(&mut self, table: &Table, policy: WhenNotNative) -> PackageAction {
        self.without(table, &["source", "unsigned"], "of what is absent");
        PackageAction::Absent { identity: None, when_not_native: when_not_native(table, policy) }
    }

    fn absent_package(
        &mut self,
        entry: &Entry,
        table: &Table,
        policy: WhenNotNative,
    ) -> Option<PackageAction> {
        self.without(table, &["source", "unsigned"], "of what is absent");
        let Some(identity) = text(table, "identity") else {
            self.findings.push(Finding::at(
                &entry.origin,
                "recipe::missing",
                format!("the package `{}` does not say which package shall go", shown(&entry.key)),
                "needs `identity`",
                "give its identity, or its name alone; `transom inspect image WIM --packages` lists them",
            ));
            return None;
        };
        let when_not_native = when_not_native(table, policy);
        Some(PackageAction::Absent { identity: Some(identity), when_not_native })
    }

    /// False, with a finding, for a key that can be no name.
    fn is_name(&mut self, entry: &Entry, what: &str, help: &str) -> bool {
        let name = &entry.key;
        let wrong = name.trim() != name || name.is_empty();
        let wrong = wrong || name.contains(|c: char| c.is_control() || r#"\/:*?"<>|"#.contains(c));
        if wrong {
            self.findings.push(Finding::at(
                &entry.origin,
                format!("recipe::{what}-name"),
                format!("`{}` is not the name of a {what}", shown(name)),
                format!("not a {what} name"),
                format!("write {help}"),
            ));
        }
        !wrong
    }

    fn is_first(&mut self, seen: &mut Seen, entry: &Entry, what: &str) -> bool {
        let folded = Name::from(entry.key.as_str()).to_upcase();
        if let Some(first) = seen.get(&folded).cloned() {
            self.twice(&entry.origin, &first, &format!("the {what} `{}`", shown(&entry.key)));
            return false;
        }
        seen.insert(folded, entry.origin.clone());
        true
    }

    /// The tag that is the key, written as Windows does; none, with a finding, for what is no tag of a language pack.
    fn language_tag(&mut self, entry: &Entry) -> Option<String> {
        if let Some(tag) = canonical_tag(&entry.key) {
            return Some(tag);
        }
        let meant = canonical_tag(&entry.key.trim().replace(['_', ' '], "-"));
        let help = match meant {
            Some(tag) => format!("did you mean `{tag}`?"),
            None => "write language and region: de-DE, sr-Latn-RS".to_owned(),
        };
        self.findings.push(Finding::at(
            &entry.origin,
            "recipe::language-tag",
            format!("`{}` is not the tag of a language pack", shown(&entry.key)),
            "not a language tag",
            help,
        ));
        None
    }

    fn is_capability(&mut self, entry: &Entry) -> bool {
        if is_capability_name(&entry.key) {
            return true;
        }
        let bare = !entry.key.is_empty() && !entry.key.contains('~');
        let help = match bare && is_capability_name(&format!("{}~~~~", entry.key)) {
            true => format!(
                "write the whole name, with language and version: `{}~~~~0.0.1.0`; `transom inspect image WIM --capabilities` lists them",
                shown(&entry.key)
            ),
            false => {
                "write it as DISM does: Name~~~language~version, as in Language.OCR~~~de-DE~0.0.1.0"
                    .to_owned()
            }
        };
        self.findings.push(Finding::at(
            &entry.origin,
            "recipe::capability-name",
            format!("`{}` is not the name of a capability", shown(&entry.key)),
            "not a capability name",
            help,
        ));
        false
    }
}

fn present(table: &Table, source: Option<InputId>, policy: WhenNotNative) -> PackageAction {
    PackageAction::Present {
        source,
        allow_unsigned: allows_unsigned(table),
        when_not_native: when_not_native(table, policy),
    }
}

fn allows_unsigned(table: &Table) -> bool {
    text(table, "unsigned").as_deref() == Some("allow")
}

fn when_not_native(table: &Table, policy: WhenNotNative) -> WhenNotNative {
    text(table, "when-not-native").and_then(|word| WhenNotNative::of_name(&word)).unwrap_or(policy)
}

fn feature_state(word: &str) -> Option<FeatureState> {
    Some(match word {
        "enabled" => FeatureState::Enabled,
        "disabled" => FeatureState::Disabled,
        "removed" => FeatureState::Removed,
        _ => return None,
    })
}

/// A tag with language and region as Windows writes it: `de-DE`, `sr-Latn-RS`, `ca-ES-valencia`; `None` for other text.
fn canonical_tag(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let language = parts.next()?;
    if !(2..=3).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let mut tag = language.to_ascii_lowercase();
    let mut count = 1;
    for part in parts {
        let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
        let alphanumeric = part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(2..=8).contains(&part.len()) || !alphanumeric || count > 4 {
            return None;
        }
        let part = match part.len() {
            2 => part.to_ascii_uppercase(),
            4 if letters && count == 1 && language != "qps" => {
                let (first, rest) = part.split_at(1);
                first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
            }
            _ => part.to_ascii_lowercase(),
        };
        tag = format!("{tag}-{part}");
        count += 1;
    }
    (count > 1).then_some(tag)
}

/// `Name~~~language~version`: the two parts behind the name are empty in every known name, language and version may be.
fn is_capability_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split('~').collect();
    let [name, token, architecture, language, version] = parts[..] else { return false };
    let word = |text: &str, more: &[u8]| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    !name.is_empty()
        && word(name, b"._-")
        && token.is_empty()
        && architecture.is_empty()
        && word(language, b"-")
        && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_windows_writes_them() {
        for (text, tag) in [
            ("de-de", Some("de-DE")),
            ("sr-latn-rs", Some("sr-Latn-RS")),
            ("ca-es-VALENCIA", Some("ca-ES-valencia")),
            ("es-419", Some("es-419")),
            ("qps-ploc", Some("qps-ploc")),
            ("de", None),
            ("de_DE", None),
            ("german", None),
            ("", None),
            ("de--DE", None),
        ] {
            assert_eq!(canonical_tag(text).as_deref(), tag, "{text}");
        }
    }

    #[test]
    fn capability_names_have_five_parts() {
        for name in ["NetFX3~~~~", "OpenSSH.Server~~~~0.0.1.0", "Language.OCR~~~de-DE~0.0.1.0"] {
            assert!(is_capability_name(name), "{name}");
        }
        for name in ["OpenSSH.Server", "~~~~1.0", "A~b~~~1.0", "A~~~~1.0~", "A b~~~~1.0"] {
            assert!(!is_capability_name(name), "{name}");
        }
    }
}
