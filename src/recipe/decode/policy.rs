//! `[policy]`.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    recipe::{
        finding::{Finding, shown},
        model::PolicySection,
        node::{Node, Table, Value},
        source::Origin,
    },
    servicing::{
        WhenNotNative,
        policy::{Area, Build, ItemRule, Rule, Wanted},
        services::StartMode,
    },
};

use super::text;

/// The section; what is wrong with the names in it goes to `findings`.
pub(in crate::recipe) fn policy(table: &Table, findings: &mut Vec<Finding>) -> PolicySection {
    let mut policy = PolicySection::default();
    let word = text(table, "when-not-native");
    policy.when_not_native =
        word.and_then(|word| WhenNotNative::of_name(&word)).unwrap_or_default();
    policy.spec.minimum_build =
        text(table, "minimum-build").and_then(|build| Build::parse(build.trim()));
    for entry in table.entries() {
        let is_true = entry.node.value == Value::Boolean(true);
        let rule = match entry.key.as_str() {
            "minimum-build" => policy.spec.minimum_build.map(|_| Rule::MinimumBuild),
            "no-pending" => {
                policy.spec.no_pending = is_true;
                is_true.then_some(Rule::NoPending)
            }
            "no-deferred" => {
                policy.spec.no_deferred = is_true;
                is_true.then_some(Rule::NoDeferred)
            }
            "signed-drivers" => {
                policy.spec.signed_drivers = is_true;
                is_true.then_some(Rule::SignedDrivers)
            }
            _ => None,
        };
        if let Some(rule) = rule {
            policy.origins.insert(rule, entry.origin.clone());
        }
    }
    for area in Area::ALL {
        if let Some(rules) = table.get(area.name()).and_then(Node::table) {
            items(area, rules, &mut policy, findings);
        }
    }
    policy
}

fn items(area: Area, rules: &Table, policy: &mut PolicySection, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<Name, Origin> = BTreeMap::new();
    for entry in rules.entries() {
        let pattern = &entry.key;
        if pattern.trim() != pattern || pattern.is_empty() || pattern.contains(char::is_control) {
            findings.push(Finding::at(
                &entry.origin,
                "recipe::policy-name",
                format!("`{}` cannot be the name in a rule", shown(pattern)),
                "no name",
                "write a name as `transom inspect image WIM` lists it, or a pattern with `*` and `?`",
            ));
            continue;
        }
        let folded = Name::from(pattern.as_str()).to_upcase();
        if let Some(first) = seen.get(&folded) {
            findings.push(
                Finding::at(
                    &entry.origin,
                    "recipe::duplicate",
                    format!("the rule about `{}` is given twice", shown(pattern)),
                    "here again",
                    "Windows does not tell the two apart; write both the same way, or take one away",
                )
                .and(first, "first given here"),
            );
            continue;
        }
        seen.insert(folded, entry.origin.clone());
        let wanted = match entry.node.text() {
            Some("required") => Wanted::Required,
            Some("forbidden") => Wanted::Forbidden,
            Some(word) => {
                let mode = StartMode::ALL.into_iter().find(|mode| mode.name() == word);
                match mode {
                    Some(mode) => Wanted::Start(mode),
                    None => continue,
                }
            }
            None => continue,
        };
        let rule = Rule::Item(area, pattern.clone());
        policy.origins.insert(rule, entry.origin.clone());
        policy.spec.items.push(ItemRule { area, pattern: pattern.clone(), wanted });
    }
}
