//! Variables: `${name}` in any text stands for a text of `[vars]`.
//!
//! Values may use variables themselves. `$${` is a plain `${`. Places are kept: a text after substitution still stands where it was written. Keys
//! are replaced too, so that `[registry.'HKLM\SOFTWARE\${company}']` works. In a variant `${matrix.name}` stands for its name.

use std::collections::BTreeMap;

use super::{
    finding::{Finding, enough, nearest, shown},
    node::{Entry, Node, Table, Value},
    source::Origin,
};

/// Longest text that substitution may make, in bytes.
const LONGEST: usize = 64 << 10;
/// Most bytes that all substitutions of a recipe may make.
const BUDGET: usize = 64 << 20;
/// Most variables that may lead from one to the next.
const CHAIN: usize = 32;

/// The variable that a variant's name has.
const VARIANT: &str = "matrix.name";

/// Replaces variables in all of `root` but `[vars]`, which is resolved too. What cannot be replaced becomes [`Value::Broken`].
pub(crate) fn substitute(root: &mut Table, variant: Option<&str>, findings: &mut Vec<Finding>) {
    let variables = root.get("vars").and_then(Node::table).cloned().unwrap_or_default();
    let mut expander = Expander {
        variables,
        resolved: variant
            .map(|name| (VARIANT.to_owned(), Some(name.to_owned())))
            .into_iter()
            .collect(),
        stack: Vec::new(),
        budget: BUDGET,
        findings,
    };
    let names: Vec<String> =
        expander.variables.entries().iter().map(|entry| entry.key.clone()).collect();
    for name in &names {
        expander.resolve(name);
    }
    let mut entries = std::mem::take(root).into_entries();
    for entry in &mut entries {
        if entry.key == "vars" {
            expander.put_resolved(entry);
        } else {
            expander.node(&mut entry.node);
        }
    }
    *root = Table::from_entries(entries);
}

struct Expander<'a> {
    variables: Table,
    /// `None`: cannot be resolved, and a finding says so.
    resolved: BTreeMap<String, Option<String>>,
    /// The variables that are being resolved, outermost first.
    stack: Vec<String>,
    budget: usize,
    findings: &'a mut Vec<Finding>,
}

impl Expander<'_> {
    /// Replaces in every text below `node`. The depth is bounded by the reader's.
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Text(text) if text.contains("${") => {
                node.value = match self.expand(&text.clone(), &node.origin) {
                    Some(text) => Value::Text(text),
                    None => Value::Broken,
                };
            }
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.node(node)),
            Value::Table(table) => {
                let mut entries = std::mem::take(table).into_entries();
                for entry in &mut entries {
                    if entry.key.contains("${")
                        && let Some(key) = self.expand(&entry.key.clone(), &entry.origin)
                    {
                        entry.key = key;
                    }
                    self.node(&mut entry.node);
                }
                *table = Table::from_entries(entries);
            }
            _ => {}
        }
    }

    /// Puts the resolved texts into the entry `vars` itself.
    fn put_resolved(&self, vars: &mut Entry) {
        if let Value::Table(table) = &mut vars.node.value {
            let names: Vec<String> =
                table.entries().iter().map(|entry| entry.key.clone()).collect();
            for name in names {
                if let (Some(entry), Some(resolved)) =
                    (table.entry_mut(&name), self.resolved.get(&name))
                    && matches!(entry.node.value, Value::Text(_))
                {
                    entry.node.value = resolved.clone().map_or(Value::Broken, Value::Text);
                }
            }
        }
    }

    /// The final text of a variable that exists.
    fn resolve(&mut self, name: &str) -> Option<String> {
        if let Some(resolved) = self.resolved.get(name) {
            return resolved.clone();
        }
        let node = self.variables.get(name)?.clone();
        let text = node.text()?;
        self.stack.push(name.to_owned());
        let resolved = self.expand(text, &node.origin);
        self.stack.pop();
        self.resolved.insert(name.to_owned(), resolved.clone());
        resolved
    }

    /// `text` with its variables replaced; `None` after a finding.
    fn expand(&mut self, text: &str, origin: &Origin) -> Option<String> {
        if enough(self.findings) {
            return None;
        }
        let mut result = String::new();
        let mut rest = text;
        let mut broken = false;
        while let Some(position) = rest.find("${") {
            if rest[..position].ends_with('$') {
                result.push_str(&rest[..position - 1]);
                result.push_str("${");
                rest = &rest[position + 2..];
                continue;
            }
            result.push_str(&rest[..position]);
            let inner = &rest[position + 2..];
            let Some(end) = inner.find('}') else {
                self.not_a_variable(&rest[position..], origin);
                return None;
            };
            let name = &inner[..end];
            rest = &inner[end + 1..];
            match self.variable(name, origin) {
                Some(value) => result.push_str(&value),
                None => broken = true,
            }
            if result.len() > LONGEST {
                break;
            }
        }
        result.push_str(rest);
        self.budget = self.budget.saturating_sub(result.len());
        if result.len() > LONGEST || self.budget == 0 {
            self.findings.push(Finding::at(
                origin,
                "recipe::variable-too-long",
                format!(
                    "with its variables replaced this text is longer than {} KiB",
                    LONGEST >> 10
                ),
                "grows too long",
                "do variables hold one another many times?",
            ));
            return None;
        }
        (!broken).then_some(result)
    }

    /// What `${name}` stands for.
    fn variable(&mut self, name: &str, origin: &Origin) -> Option<String> {
        let written = format!("${{{name}}}");
        let valid = |character: char| character.is_alphanumeric() || "_-.".contains(character);
        if name.is_empty() || !name.chars().all(valid) {
            self.not_a_variable(&written, origin);
            return None;
        }
        if self.stack.iter().any(|above| above == name) || self.stack.len() >= CHAIN {
            let chain: Vec<&str> =
                self.stack.iter().map(String::as_str).chain([name]).take(6).collect();
            self.findings.push(Finding::at(
                &locate(origin, &written),
                "recipe::variable-cycle",
                "variables lead back to one another",
                format!("by way of {}", shown(&chain.join(" -> "))),
                "give one of them a text without variables",
            ));
            return None;
        }
        if self.variables.get(name).is_none() && !self.resolved.contains_key(name) {
            let names = self.variables.entries().iter().map(|entry| entry.key.as_str());
            let help = nearest(name, names).map_or_else(
                || "add it to [vars], or write `$${` for a plain `${`".to_owned(),
                |near| format!("did you mean `${{{near}}}`?"),
            );
            self.findings.push(Finding::at(
                &locate(origin, &written),
                "recipe::unknown-variable",
                format!("there is no variable `{}`", shown(name)),
                "not in [vars]",
                help,
            ));
            return None;
        }
        self.resolve(name)
    }

    fn not_a_variable(&mut self, written: &str, origin: &Origin) {
        self.findings.push(Finding::at(
            &locate(origin, written),
            "recipe::not-a-variable",
            "`${` does not begin a variable here",
            "expected `${name}`",
            "write `$${` for a plain `${`",
        ));
    }
}

/// Where in `origin` it says `written`; all of it when an escape hides it.
fn locate(origin: &Origin, written: &str) -> Origin {
    match origin.text().find(written) {
        Some(position) => origin.part(position..position + written.len()),
        None => origin.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::recipe::{node::read_document, source::Source};

    fn substituted(text: &str) -> Result<Table, Vec<Finding>> {
        let mut table = read_document(&Arc::new(Source::new("test.toml", text))).unwrap();
        let mut findings = Vec::new();
        substitute(&mut table, None, &mut findings);
        if findings.is_empty() { Ok(table) } else { Err(findings) }
    }

    fn value(vars: &str, text: &str) -> Result<String, Vec<String>> {
        substituted(&format!("[vars]\n{vars}\n[image]\nname = '{text}'\n"))
            .map(|table| {
                let image = table.get("image").unwrap().table().unwrap();
                image.get("name").unwrap().text().unwrap().to_owned()
            })
            .map_err(|findings| findings.iter().map(|found| found.code().to_owned()).collect())
    }

    #[test]
    fn variables_stand_for_texts_and_may_hold_others() {
        assert_eq!(value("a = 'x'\nb = '${a}y${a}'", "<${b}>").unwrap(), "<xyx>");
        assert_eq!(value("a = 'x'", "$${a} $$${a} $ {a}").unwrap(), "${a} $${a} $ {a}");
        assert_eq!(value("a = '$${b}'", "${a}").unwrap(), "${b}");
    }

    #[test]
    fn keys_are_replaced_too() {
        let table = substituted("[vars]\nc = 'Farm'\n[registry.'HKLM\\${c}']\nx = 1\n").unwrap();
        assert!(table.get("registry").unwrap().table().unwrap().get(r"HKLM\Farm").is_some());
    }

    #[test]
    fn mistakes_are_found_once_and_at_their_place() {
        let codes = |found: &str| Err(vec![found.to_owned()]);
        assert_eq!(value("a = 'x'", "${b}"), codes("recipe::unknown-variable"));
        assert_eq!(value("a = '${b}'\nb = '${a}'", "${a} ${b}"), codes("recipe::variable-cycle"));
        assert_eq!(value("a = '${a}'", "x"), codes("recipe::variable-cycle"));
        assert_eq!(value("", "${b"), codes("recipe::not-a-variable"));
        assert_eq!(value("", "${}"), codes("recipe::not-a-variable"));
        let findings =
            substituted("[vars]\nversion = '1'\n[image]\nname = 'a${verson}'").unwrap_err();
        assert_eq!(findings[0].labels().next().unwrap().origin.text(), "${verson}");
        assert_eq!(findings[0].help(), Some("did you mean `${version}`?"));
    }

    #[test]
    fn growth_is_bounded() {
        let doubling: String = (1..30)
            .map(|index| format!("a{index} = '{}'\n", format!("${{a{}}}", index - 1).repeat(8)))
            .collect();
        let vars = format!("a0 = 'xxxxxxxxxxxxxxxx'\n{doubling}");
        let codes = value(&vars, "${a29}").unwrap_err();
        assert_eq!(codes, ["recipe::variable-too-long"]);
        let chain: String =
            (0..10_000).map(|index| format!("b{index} = '${{b{}}}'\n", index + 1)).collect();
        assert!(value(&chain, "x").is_err());
    }
}
