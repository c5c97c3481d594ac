//! A part of a registry in memory: a key with its values and the keys below it.

use crate::{
    base::name::Name,
    format::hive::Value,
    image::{Image, ImageError, RegistryPath},
};

/// Deepest key that is read, in levels below the one asked for: as deep as the registry allows.
const DEEPEST: usize = 512;

/// A key: its values, and the keys below by name.
///
/// Two are equal when they hold the same names, spelled alike, with the same data; the order does not count.
#[derive(Debug, Clone, Default)]
pub struct KeyTree {
    /// Its values.
    pub values: Vec<Value>,
    /// The keys below it.
    pub keys: Vec<(Name, Self)>,
}

impl KeyTree {
    /// A value, its name compared as the registry does.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        let name = Name::from(name);
        self.values.iter().find(|value| value.name.eq_ignore_case(&name))
    }

    /// The key directly below, its name compared as the registry does.
    #[must_use]
    pub fn key(&self, name: &Name) -> Option<&Self> {
        self.keys.iter().find(|(key, _)| key.eq_ignore_case(name)).map(|(_, tree)| tree)
    }

    /// The key at a path of names joined by backslashes; the empty path is this key.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('\\')
            .filter(|name| !name.is_empty())
            .try_fold(self, |tree, name| tree.key(&Name::from(name)))
    }

    /// The key at a path, made when it is not there.
    pub fn make(&mut self, path: &[Name]) -> &mut Self {
        let mut tree = self;
        for name in path {
            let at = match tree.keys.iter().position(|(key, _)| key.eq_ignore_case(name)) {
                Some(at) => at,
                None => {
                    tree.keys.push((name.clone(), Self::default()));
                    tree.keys.len() - 1
                }
            };
            tree = &mut tree.keys[at].1;
        }
        tree
    }

    /// Sets a value, in place of the one of that name.
    pub fn set(&mut self, value: Value) {
        match self.values.iter_mut().find(|old| old.name.eq_ignore_case(&value.name)) {
            Some(old) => *old = value,
            None => self.values.push(value),
        }
    }

    /// True when it has no value and no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.keys.is_empty()
    }

    /// This key and every one below, each with its path from here, parents first.
    #[must_use]
    pub fn walk(&self) -> Vec<(Vec<Name>, &Self)> {
        let mut found = vec![(Vec::new(), self)];
        let mut next = 0;
        while let Some((path, tree)) = found.get(next).cloned() {
            for (name, below) in &tree.keys {
                let mut path = path.clone();
                path.push(name.clone());
                found.push((path, below));
            }
            next += 1;
        }
        found
    }

    /// Its values and keys by name, for a comparison that does not see order.
    fn sorted(&self) -> (Vec<&Value>, Vec<&(Name, Self)>) {
        let mut values: Vec<&Value> = self.values.iter().collect();
        let mut keys: Vec<&(Name, Self)> = self.keys.iter().collect();
        values.sort_by(|a, b| a.name.units().cmp(b.name.units()));
        keys.sort_by(|a, b| a.0.units().cmp(b.0.units()));
        (values, keys)
    }
}

impl PartialEq for KeyTree {
    fn eq(&self, other: &Self) -> bool {
        self.values.len() == other.values.len()
            && self.keys.len() == other.keys.len()
            && self.sorted() == other.sorted()
    }
}

impl Eq for KeyTree {}

/// Reads a key of an image with all below it; `None` when it is not there.
///
/// # Errors
/// When the hive is missing or damaged.
pub fn read(image: &mut Image, path: &RegistryPath) -> Result<Option<KeyTree>, ImageError> {
    if !image.registry_key_exists(path)? {
        return Ok(None);
    }
    read_below(image, path, DEEPEST).map(Some)
}

/// The registry itself is at most as deep as [`DEEPEST`], so nothing is left out.
fn read_below(
    image: &mut Image,
    path: &RegistryPath,
    levels: usize,
) -> Result<KeyTree, ImageError> {
    let mut tree = KeyTree { values: image.registry_values(path)?, keys: Vec::new() };
    if levels == 0 {
        return Ok(tree);
    }
    for name in image.registry_subkeys(path)? {
        let below = read_below(image, &path.join(&name), levels - 1)?;
        tree.keys.push((name, below));
    }
    Ok(tree)
}

/// Writes a key with all below it into an image. What is there and not in `tree` stays: delete the key first to replace it.
///
/// # Errors
/// When the hive is missing, damaged or full, or a name is not a key name.
pub fn write(image: &mut Image, path: &RegistryPath, tree: &KeyTree) -> Result<(), ImageError> {
    for (names, key) in tree.walk() {
        let place = names.iter().fold(path.clone(), |path, name| path.join(name));
        if key.values.is_empty() {
            image.create_key(&place)?;
        }
        for value in &key.values {
            image.set_value(&place, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_count_and_names_are_found_in_any_case() {
        let mut left = KeyTree::default();
        left.make(&["A".into(), "b".into()]).set(Value::dword("One", 1));
        left.make(&["a".into()]).set(Value::sz("x", "y"));
        left.make(&["C".into()]);
        let mut right = KeyTree::default();
        right.make(&["C".into()]);
        right.make(&["A".into()]).set(Value::sz("x", "y"));
        right.make(&["A".into(), "b".into()]).set(Value::dword("One", 1));
        assert_eq!(left, right);
        assert_eq!(left.at("a\\B").unwrap().value("oNE"), Some(&Value::dword("One", 1)));
        assert_eq!(left.at("a\\c"), None);
        assert_eq!(left.walk().len(), 4);
        right.make(&["A".into(), "b".into()]).set(Value::dword("one", 2));
        assert_ne!(left, right);
        assert_ne!(left, KeyTree::default());
    }
}
