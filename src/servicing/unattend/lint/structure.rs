//! Passes, components and attributes: what can be said without knowing a single setting.

use crate::format::unattend::{AnswerFile, Element, Namespace};

use super::{Findings, Kind};

/// What `wcm:action` can say.
const ACTIONS: [&str; 3] = ["add", "modify", "remove"];

pub(super) fn lint(file: &AnswerFile, findings: &mut Findings) {
    for pass in &file.passes {
        let name = pass.name;
        if let Some(written) = &pass.written {
            let cause = format!("the pass is written `{written}`, its name is `{name}`");
            findings.warn(Kind::PassName, pass.place, cause, "Setup may not find it");
        }
        if pass.was_processed() {
            let cause = format!("the pass `{name}` is marked as processed: Setup will skip it");
            let help = "this is a copy that Setup kept; take `wasPassProcessed` out";
            findings.warn(Kind::Processed, pass.place, cause, help);
        }
        for component in &pass.components {
            let scope = component.version_scope.as_deref();
            if !scope.is_some_and(|scope| scope.eq_ignore_ascii_case("nonSxS")) {
                let cause = format!("{}: `versionScope` is not `nonSxS`", component.name);
                findings.warn(Kind::Scope, component.place, cause, "Setup may skip the component");
            }
            component.settings.iter().for_each(|setting| configuration(setting, findings));
        }
    }
}

/// The depth is bounded by the reader's.
fn configuration(element: &Element, findings: &mut Findings) {
    for attribute in &element.attributes {
        if attribute.namespace != Namespace::Configuration {
            continue;
        }
        let (name, value) = (attribute.name.as_str(), attribute.value.as_str());
        let (cause, help) = match name {
            "action" if ACTIONS.contains(&value) => continue,
            "action" => (
                format!("`{value}` is not a value of wcm:action"),
                "write add, modify or remove; add is for items of lists",
            ),
            "keyValue" if value.is_empty() => (
                "wcm:keyValue is empty".to_owned(),
                "it names the item of the list: wcm:keyValue=\"1\"",
            ),
            "keyValue" => continue,
            _ => (
                format!("wcm:{name} is not known"),
                "the attributes are wcm:action and wcm:keyValue",
            ),
        };
        findings.warn(Kind::Configuration, element.place, cause, help);
    }
    element.children.iter().for_each(|child| configuration(child, findings));
}
