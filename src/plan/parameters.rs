//! The parameters of a step compared leaf by leaf.
//!
//! Canonical parameters are JSON made for machines: enums are objects of one key, a registry value is `{"kind": 4, "data": [1, 0, 0, 0]}`, a map is
//! a list of pairs. Before they are compared they are put as a person would write them.

use serde_json::{Map, Value};

use crate::image::describe::value_text;

/// As many characters of a value are shown.
const SHOWN: usize = 120;
/// Deepest nesting that is looked into; what is below is compared as a whole.
const DEPTH: usize = 32;
/// Most bytes of parameters that are remembered for a comparison.
const REMEMBERED: usize = 64 << 10;

/// A parameter that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which: `values.AllowTelemetry`.
    pub path: String,
    /// What it was; `None` when there was nothing.
    pub old: Option<String>,
    /// What it is; `None` when there is nothing.
    pub new: Option<String>,
}

/// The parameters as they are remembered; `None` when they are too large for it.
#[must_use]
pub fn remembered(canonical: &[u8]) -> Option<Value> {
    if canonical.len() > REMEMBERED {
        return None;
    }
    serde_json::from_slice(canonical).ok()
}

/// What differs, in the order of the parameters' names.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let [old, new] = [old, new].map(readable);
    compare(&mut Vec::new(), &old, &new, &mut found);
    found
}

/// The parameters one by one, as a person would write them.
#[must_use]
pub fn listed(parameters: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), &Value::Object(Map::new()), &readable(parameters), &mut found);
    found
        .into_iter()
        .filter_map(|found| found.new.filter(|new| new != "null").map(|new| (found.path, new)))
        .collect()
}

/// The parameters of an operation as a person would write them: without the name of its kind.
fn readable(parameters: &Value) -> Value {
    let inner = match parameters {
        Value::Object(object) if object.len() == 1 => object.values().next(),
        _ => None,
    };
    plain(inner.unwrap_or(parameters), 0)
}

/// A value as a person would write it.
fn plain(value: &Value, depth: usize) -> Value {
    if depth > DEPTH {
        return value.clone();
    }
    match value {
        Value::Object(object) => match registry_value(object) {
            Some(text) => Value::String(text),
            None => plain_object(object, depth),
        },
        Value::Array(items) => match keyed(items) {
            Some(pairs) => Value::Object(
                pairs.into_iter().map(|(name, value)| (name, plain(&value, depth + 1))).collect(),
            ),
            None => Value::Array(items.iter().map(|item| plain(item, depth + 1)).collect()),
        },
        other => other.clone(),
    }
}

fn plain_object(object: &Map<String, Value>, depth: usize) -> Value {
    // What is set is the value itself.
    if object.len() == 1
        && let Some(set) = object.get("set")
    {
        return plain(set, depth + 1);
    }
    let mut whole = Map::new();
    for (name, value) in object {
        let value = plain(value, depth + 1);
        match value {
            // The action of an operation is what it does: its parts are parts of the operation.
            Value::Object(inner) if name == "action" => {
                for (name, value) in inner {
                    whole.insert(name, value);
                }
            }
            value => {
                whole.insert(name.clone(), value);
            }
        }
    }
    Value::Object(whole)
}

/// The text for `{"kind": 4, "data": [1, 0, 0, 0]}`.
fn registry_value(object: &Map<String, Value>) -> Option<String> {
    let kind = u32::try_from(object.get("kind")?.as_u64()?).ok()?;
    let data: Option<Vec<u8>> = match object.get("data")? {
        Value::Array(bytes) => bytes
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect(),
        Value::String(text) => crate::base::digest::from_hex(text),
        _ => None,
    };
    (object.len() == 2).then_some(())?;
    Some(value_text(kind, &data?))
}

/// A list whose items have names of their own, by these: pairs of a name and a value, or objects with a name.
fn keyed(items: &[Value]) -> Option<Vec<(String, Value)>> {
    let pair = |item: &Value| match item.as_array().map(Vec::as_slice) {
        Some([Value::String(name), value]) => Some((name.clone(), value.clone())),
        _ => None,
    };
    let named = |item: &Value| {
        let object = item.as_object().filter(|object| object.len() > 1)?;
        let key = ["name", "id", "input", "path"]
            .into_iter()
            .find(|key| matches!(object.get(*key), Some(Value::String(_))))?;
        let name = object.get(key)?.as_str()?.to_owned();
        let mut rest = object.clone();
        rest.remove(key);
        Some((name, Value::Object(rest)))
    };
    if items.is_empty() {
        return None;
    }
    let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
    let pairs = pairs.or_else(|| items.iter().map(named).collect())?;
    let mut names: Vec<&String> = pairs.iter().map(|(name, _)| name).collect();
    names.sort();
    names.windows(2).all(|two| two[0] != two[1]).then_some(pairs)
}

fn compare(path: &mut Vec<String>, old: &Value, new: &Value, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    if path.len() <= DEPTH {
        match (old, new) {
            (Value::Object(was), Value::Object(now)) => {
                let mut names: Vec<&String> = was.keys().chain(now.keys()).collect();
                names.sort();
                names.dedup();
                for name in names {
                    path.push(name.clone());
                    below(path, was.get(name), now.get(name), found);
                    path.pop();
                }
                return;
            }
            (Value::Array(was), Value::Array(now)) if was.len() == now.len() => {
                for (place, (was, now)) in was.iter().zip(now).enumerate() {
                    path.push(format!("[{place}]"));
                    compare(path, was, now, found);
                    path.pop();
                }
                return;
            }
            _ => {}
        }
    }
    found.push(Difference { path: joined(path), old: Some(text(old)), new: Some(text(new)) });
}

/// A part that only one of the two may have: what is new or gone is told leaf by leaf too.
fn below(
    path: &mut Vec<String>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if let (Some(old), Some(new)) = (old, new) {
        return compare(path, old, new, found);
    }
    let Some(only) = old.or(new) else { return };
    match only {
        Value::Object(object) if !object.is_empty() && path.len() <= DEPTH => {
            for (name, value) in object {
                path.push(name.clone());
                below(path, old.map(|_| value), new.map(|_| value), found);
                path.pop();
            }
        }
        _ => {
            let (old, new) = (old.map(text), new.map(text));
            found.push(Difference { path: joined(path), old, new });
        }
    }
}

/// `values.AllowTelemetry`, `run[2]`.
fn joined(path: &[String]) -> String {
    let mut text = String::new();
    for name in path {
        if !text.is_empty() && !name.starts_with('[') {
            text.push('.');
        }
        text.push_str(name);
    }
    if text.is_empty() { "what it does".to_owned() } else { text }
}

/// A value in short: texts as they are, all else as JSON.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.replace(['\r', '\n', '\t'], " "),
        other => other.to_string(),
    };
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() { format!("{shown}...") } else { shown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(old: &Value, new: &Value) -> Vec<String> {
        let text = |found: Difference| {
            let [old, new] =
                [found.old, found.new].map(|text| text.unwrap_or_else(|| "nothing".to_owned()));
            format!("{}: {old} -> {new}", found.path)
        };
        differences(old, new).into_iter().map(text).collect()
    }

    #[test]
    fn registry_values_are_decoded_and_named() {
        let key = |values: Value| json!({"registry-key": {"path": "HKLM\\X", "action": {"values": values}}});
        let one = json!(["AllowTelemetry", {"set": {"kind": 4, "data": [0, 0, 0, 0]}}]);
        let other = json!(["AllowTelemetry", {"set": {"kind": 4, "data": [1, 0, 0, 0]}}]);
        let more = json!(["Name", {"set": {"kind": 1, "data": [0x61, 0, 0, 0]}}]);
        assert_eq!(
            texts(&key(json!([one])), &key(json!([other, more]))),
            [
                "values.AllowTelemetry: REG_DWORD 0x0 (0) -> REG_DWORD 0x1 (1)",
                "values.Name: nothing -> REG_SZ \"a\"",
            ]
        );
        let gone = json!(["AllowTelemetry", "absent"]);
        assert_eq!(
            texts(&key(json!([one])), &key(json!([gone]))),
            ["values.AllowTelemetry: REG_DWORD 0x0 (0) -> absent"]
        );
        let secret = json!(["AllowTelemetry", {"secret": {"env": "TOKEN"}}]);
        assert_eq!(
            texts(&key(json!([secret])), &key(json!([gone]))),
            [r#"values.AllowTelemetry: {"secret":{"env":"TOKEN"}} -> absent"#]
        );
    }

    #[test]
    fn lists_are_compared_by_name_or_place() {
        let spec = |run: Value| json!({"first-boot": {"run": run}});
        let first = json!({"input": "a.cmd", "timeout": 1});
        let second = json!({"input": "b.cmd", "timeout": 1});
        let slower = json!({"input": "b.cmd", "timeout": 9});
        assert_eq!(
            texts(&spec(json!([first, second])), &spec(json!([first, slower]))),
            ["run.b.cmd.timeout: 1 -> 9"]
        );
        assert_eq!(texts(&spec(json!(["x", "y"])), &spec(json!(["x", "z"]))), ["run[1]: y -> z"]);
        assert_eq!(
            texts(&spec(json!(["x"])), &spec(json!(["x", "z"]))),
            [r#"run: ["x"] -> ["x","z"]"#]
        );
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_deep_ends() {
        let long = "ü".repeat(1000);
        let [line] = &texts(&json!({"a": {"b": "x"}}), &json!({"a": {"b": long}}))[..] else {
            panic!("one difference")
        };
        assert!(line.chars().count() < 150 && line.ends_with("..."), "{line}");
        let mut deep = json!(1);
        let mut other = json!(2);
        for _ in 0..100 {
            deep = json!({"x": deep, "y": 1});
            other = json!({"x": other, "y": 1});
        }
        assert_eq!(texts(&deep, &other).len(), 1);
    }

    #[test]
    fn parameters_are_listed() {
        let spec =
            json!({"service": {"name": "RemoteRegistry", "start": "disabled", "rest": null}});
        let listed = listed(&spec);
        assert_eq!(listed[0], ("name".to_owned(), "RemoteRegistry".to_owned()));
        assert_eq!(listed.len(), 2);
    }
}
