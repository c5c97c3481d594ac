//! How recipes are merged: one layer over another.
//!
//! Tables merge by key; scalars and lists replace, but `[[files]]` and `[[registry-files]]` append; a registry value in table form is one value and
//! replaced as a whole; of keys that exclude each other (`edition`, `name`, `index`) the later layer's counts. Order is that of first
//! appearance: what overrides keeps the place of what it overrides. `drop` removes entries from all that was merged before it.

use super::{
    finding::{Finding, nearest, shown},
    key_path::KeyPath,
    node::{Entry, Node, Table, Value},
    shape::{Shape, TableShape},
    source::Origin,
};

/// Lays `over` on top of `under`.
pub(crate) fn merge(under: &mut Table, over: Table, shape: Option<&Shape>) {
    for entry in over.entries() {
        for other in exclusive(shape, &entry.key) {
            if over.get(other).is_none() {
                under.remove(other);
            }
        }
    }
    for entry in over.into_entries() {
        let shape = shape.and_then(|shape| shape.child(&entry.key));
        match under.entry_mut(&entry.key) {
            None => under.push(entry),
            Some(below) => {
                merge_node(&mut below.node, entry.node, shape);
                below.origin = entry.origin;
            }
        }
    }
}

fn merge_node(under: &mut Node, over: Node, shape: Option<&'static Shape>) {
    let shape = shape.and_then(|shape| shape.alternative(&over.value));
    let whole = matches!(shape, Some(Shape::Table(TableShape { whole: true, .. })));
    let append = matches!(shape, Some(Shape::List { append: true, .. }));
    under.origin = over.origin;
    match (&mut under.value, over.value) {
        (Value::Table(under), Value::Table(over)) if !whole => merge(under, over, shape),
        (Value::List(under), Value::List(over)) if append => under.extend(over),
        (under, over) => *under = over,
    }
}

/// The keys that a table of this shape cannot have together with `key`.
fn exclusive(shape: Option<&Shape>, key: &str) -> impl Iterator<Item = &'static str> {
    let groups = match shape {
        Some(Shape::Table(table) | Shape::Part(table)) => table.groups,
        _ => &[],
    };
    groups
        .iter()
        .filter(move |group| group.keys.contains(&key))
        .flat_map(|group| group.keys)
        .filter(move |other| **other != key)
        .copied()
        // The iterator outlives `key`, so what it needs of it is decided now.
        .collect::<Vec<_>>()
        .into_iter()
}

/// Removes what `path` names from `table`.
///
/// # Errors
/// When the text is not a key path, or nothing is there.
pub(crate) fn drop_entry(table: &mut Table, path: &str, origin: &Origin) -> Result<(), Finding> {
    // The quotes of the TOML text are not part of the path; spans are right for all but escaped texts.
    let within = |span: std::ops::Range<usize>| match origin.text().get(1..1 + path.len()) {
        Some(inner) if inner == path => origin.part(span.start + 1..span.end + 1),
        _ => origin.clone(),
    };
    let key_path = KeyPath::read(path).and_then(|key_path| match key_path.end == path.len() {
        true => Ok(key_path),
        false => Err(super::key_path::KeyPathError {
            span: key_path.end..path.len(),
            what: "the key path should end here",
        }),
    });
    let parts = key_path
        .map_err(|error| {
            Finding::at(
                &within(error.span),
                "recipe::key-path",
                format!("`{}` is not a key path", shown(path)),
                error.what,
                "write it as the keys stand in the tables, with dots between them: services.RemoteRegistry",
            )
        })?
        .parts;
    let mut here = table;
    for (index, (key, span)) in parts.iter().enumerate() {
        let missing = |table: &Table| {
            let keys = table.entries().iter().map(|entry| entry.key.as_str());
            Finding::at(
                &within(span.clone()),
                "recipe::nothing-to-drop",
                format!("`{}` removes nothing: no inherited recipe has it", shown(path)),
                "nothing of this name here",
                nearest(key, keys).map_or_else(
                    || "take it out of `drop`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ),
            )
        };
        if index + 1 == parts.len() {
            return match here.remove(key) {
                Some(_) => Ok(()),
                None => Err(missing(here)),
            };
        }
        if here.get(key).and_then(Node::table).is_none() {
            return Err(missing(here));
        }
        match here.entry_mut(key) {
            Some(Entry { node: Node { value: Value::Table(table), .. }, .. }) => here = table,
            _ => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::recipe::{node::read_document, sections::ROOT, source::Source};

    static SHAPE: Shape = Shape::Table(&ROOT);

    fn document(text: &str) -> Table {
        read_document(&Arc::new(Source::new("test.toml", text))).unwrap()
    }

    /// Keys and values without places, on one line.
    fn dump(table: &Table) -> String {
        let entries = table.entries().iter();
        entries.map(|entry| format!("{}={}; ", entry.key, dump_node(&entry.node))).collect()
    }

    fn dump_node(node: &Node) -> String {
        match &node.value {
            Value::Table(table) => format!("{{{}}}", dump(table)),
            Value::List(nodes) => {
                format!("[{}]", nodes.iter().map(dump_node).collect::<Vec<_>>().join(","))
            }
            _ => node.origin.text().to_owned(),
        }
    }

    fn merged(texts: &[&str]) -> String {
        let mut table = Table::default();
        for text in texts {
            merge(&mut table, document(text), Some(&SHAPE));
        }
        dump(&table)
    }

    #[test]
    fn tables_merge_scalars_replace_files_append() {
        let base =
            "[services]\nA = 'auto'\nB = 'auto'\n[[files]]\nto = 'a'\n[first-boot]\nrun = ['a']";
        let over =
            "[services]\nC = 'boot'\nA = 'manual'\n[[files]]\nto = 'b'\n[first-boot]\nrun = ['b']";
        assert_eq!(
            merged(&[base, over]),
            "services={A='manual'; B='auto'; C='boot'; }; files=[{to='a'; },{to='b'; }]; first-boot={run=['b']; }; "
        );
    }

    #[test]
    fn a_registry_value_is_one_value() {
        let base = "[registry.K]\nv = { type = 'binary', value = '00' }";
        assert_eq!(
            merged(&[base, "[registry.K]\nv = { absent = true }"]),
            "registry={K={v={absent=true; }; }; }; "
        );
        assert_eq!(merged(&[base, "[registry]\nK = 'absent'"]), "registry={K='absent'; }; ");
    }

    #[test]
    fn choosing_another_image_replaces_the_choice() {
        assert_eq!(
            merged(&["[base]\nwim = 'a'\nedition = 'Core'", "[base]\nindex = 2"]),
            "base={wim='a'; index=2; }; "
        );
    }

    #[test]
    fn drop_removes_one_entry_or_says_that_there_is_none() {
        let mut table = document("[services]\nA = 'auto'\n[registry.'HKLM\\X']\nv = 1");
        let origin = Origin::start_of(&Arc::new(Source::new("drop", "")));
        drop_entry(&mut table, "services.A", &origin).unwrap();
        drop_entry(&mut table, r"registry.'HKLM\X'", &origin).unwrap();
        assert_eq!(dump(&table), "services={}; registry={}; ");
        for path in ["services.A", "servces", "services.A.b", "", "services A", "registry.'x"] {
            assert!(drop_entry(&mut table, path, &origin).is_err(), "{path}");
        }
        let finding = drop_entry(&mut table, "servces", &origin).unwrap_err();
        assert_eq!(finding.help(), Some("did you mean `services`?"));
    }

    /// Small recipes whose keys collide often.
    fn any_recipe() -> impl Strategy<Value = String> {
        let service = ("[A-D]", prop::sample::select(vec!["auto", "manual", "disabled"]));
        let value = ("[K-M]", "[v-x]", 0..9_u8);
        (
            prop::collection::btree_map(service.0, service.1, 0..4),
            prop::collection::btree_map((value.0, value.1), value.2, 0..4),
        )
            .prop_map(|(services, values)| {
                let services: String =
                    services.iter().map(|(name, start)| format!("{name} = '{start}'\n")).collect();
                let values: String = values
                    .iter()
                    .map(|((key, name), data)| format!("{key}.{name} = {data}\n"))
                    .collect();
                format!("[services]\n{services}[registry]\n{values}")
            })
    }

    proptest! {
        #[test]
        fn merging_obeys_its_laws(a in any_recipe(), b in any_recipe(), c in any_recipe()) {
            // Nothing below or above changes nothing; twice the same is once.
            prop_assert_eq!(merged(&["", &a]), merged(&[&a]));
            prop_assert_eq!(merged(&[&a, ""]), merged(&[&a]));
            prop_assert_eq!(merged(&[&a, &a]), merged(&[&a]));
            // It does not matter which two are merged first.
            let mut upper = document(&b);
            merge(&mut upper, document(&c), Some(&SHAPE));
            let mut left = document(&a);
            merge(&mut left, upper, Some(&SHAPE));
            prop_assert_eq!(dump(&left), merged(&[&a, &b, &c]));
            // The upper layer's values win.
            let both = merged(&[&a, &b, &a]);
            for service in document(&a).get("services").and_then(Node::table).unwrap().entries() {
                let expected = format!("{}={};", service.key, dump_node(&service.node));
                prop_assert!(both.contains(&expected));
            }
        }
    }
}
