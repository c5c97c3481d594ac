//! Two hives compared by what they say: keys, values, classes and security of keys.
//!
//! Both are walked side by side in the order of their sorted subkeys; nothing is collected but what differs.

use std::cmp::Ordering;

use super::{Aspect, Detail, Kind, Options, RegistryChange, Text, files::match_exactly, text};
use crate::format::hive::{Hive, HiveError, KeyFacts, KeyId, NameRef, Reading, ValueRef};

/// Deepest nesting of keys; the registry allows 512 levels.
const MAX_DEPTH: usize = 512;
/// Paths may take this many bytes for each byte of the hives: deep keys with long names repeat them.
const MOST: usize = 64;

/// A hive that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {source}")]
pub(super) struct Unreadable {
    /// True when it is the one before.
    pub(super) in_first: bool,
    /// Where.
    key: String,
    /// Why.
    source: HiveError,
}

/// A key on both sides, or on one, still to be compared.
struct Visit<'a> {
    name: Option<NameRef<'a>>,
    depth: usize,
    old: Option<KeyId>,
    new: Option<KeyId>,
    /// The old spelling, where it is another.
    spelling: Option<NameRef<'a>>,
}

/// What two hives, whose root is called `root`, differ in: keys in the order of the registry, each before its values and those before its subkeys.
pub(super) fn compare(
    root: &str,
    old: &Hive,
    new: &Hive,
    options: Options,
) -> Result<Vec<RegistryChange>, Unreadable> {
    let mut comparison = Comparison {
        old: Reading::new(old),
        new: Reading::new(new),
        options,
        path: root.to_owned(),
        shared: None,
        changes: Vec::new(),
        left: MOST.saturating_mul(old.byte_size().saturating_add(new.byte_size())),
    };
    let (one, other) = (Some(old.root()), Some(new.root()));
    let mut waiting = vec![Visit { name: None, depth: 0, old: one, new: other, spelling: None }];
    let mut ends: Vec<usize> = Vec::new();
    while let Some(visit) = waiting.pop() {
        ends.truncate(visit.depth);
        comparison.path.truncate(ends.last().copied().unwrap_or(root.len()));
        if let Some(name) = visit.name {
            comparison.path.push('\\');
            comparison.path.push_str(&name.to_name().to_string());
        }
        ends.push(comparison.path.len());
        comparison.shared = None;
        comparison.key(&visit)?;
        let first = waiting.len();
        comparison.subkeys(&visit, &mut waiting)?;
        waiting[first..].reverse();
    }
    Ok(comparison.changes)
}

struct Comparison<'a> {
    old: Reading<'a>,
    new: Reading<'a>,
    options: Options,
    /// Of the key that is compared.
    path: String,
    /// The same, once something in it differs.
    shared: Option<Text>,
    changes: Vec<RegistryChange>,
    /// Bytes that paths may still take.
    left: usize,
}

impl<'a> Comparison<'a> {
    fn in_old<T>(&self, result: Result<T, HiveError>) -> Result<T, Unreadable> {
        result.map_err(|source| Unreadable { in_first: true, key: self.path.clone(), source })
    }

    fn in_new<T>(&self, result: Result<T, HiveError>) -> Result<T, Unreadable> {
        result.map_err(|source| Unreadable { in_first: false, key: self.path.clone(), source })
    }

    /// Compares a key itself, and its values.
    fn key(&mut self, visit: &Visit<'a>) -> Result<(), Unreadable> {
        let (old, new) = (&mut self.old, &mut self.new);
        let old_facts = visit.old.map(|key| old.facts(key)).transpose();
        let new_facts = visit.new.map(|key| new.facts(key)).transpose();
        let old_values = visit.old.map(|key| old.values(key)).transpose();
        let new_values = visit.new.map(|key| new.values(key)).transpose();
        let (one, other) = (self.in_old(old_facts)?, self.in_new(new_facts)?);
        let details = match (&one, &other) {
            (Some(one), Some(other)) => self.details(visit, one, other),
            _ => Vec::new(),
        };
        let kind = kind(visit.old.is_some(), visit.new.is_some());
        if kind != Kind::Changed || !details.is_empty() {
            self.tell(None, kind, None, None, details)?;
        }
        let olds = self.in_old(old_values)?.unwrap_or_default();
        let news = self.in_new(new_values)?.unwrap_or_default();
        self.values(olds, news)
    }

    fn details(&self, visit: &Visit<'a>, old: &KeyFacts<'_>, new: &KeyFacts<'_>) -> Vec<Detail> {
        let mut details = Vec::new();
        let mut tell = |aspect, old: Option<Text>, new: Option<Text>| {
            details.push(Detail { aspect, name: None, old, new });
        };
        if old.security != new.security {
            let (old, new) = text::securities(Some(old.security), Some(new.security));
            tell(Aspect::Security, old, new);
        }
        if let (Some(spelling), Some(name)) = (visit.spelling, visit.name) {
            let text = |name: NameRef<'_>| Some(Text::from(name.to_name().to_string()));
            tell(Aspect::Spelling, text(spelling), text(name));
        }
        if self.options.times && old.time != new.time {
            let text = |facts: &KeyFacts<'_>| Some(Text::from(facts.time.to_string()));
            tell(Aspect::Times, text(old), text(new));
        }
        if old.class != new.class {
            let text = |facts: &KeyFacts<'_>| {
                facts.class.as_ref().map(|class| Text::from(class.to_string()))
            };
            tell(Aspect::Class, text(old), text(new));
        }
        details
    }

    /// Compares the values of a key.
    fn values(&mut self, old: Vec<ValueRef<'a>>, new: Vec<ValueRef<'a>>) -> Result<(), Unreadable> {
        // Mostly both have the same values in the same order.
        let same = |(one, other): (&ValueRef<'_>, &ValueRef<'_>)| {
            one.kind == other.kind && one.data == other.data && is_same_name(one.name, other.name)
        };
        if old.len() == new.len() && old.iter().zip(&new).all(same) {
            return Ok(());
        }
        let name = |value: &ValueRef<'a>| value.name;
        let pairs = merge(old.iter().collect(), new.iter().collect(), |value| name(value));
        for (one, other) in pairs {
            if let (Some(one), Some(other)) = (one, other)
                && same((one, other))
            {
                continue;
            }
            let Some(named) = other.or(one) else { continue };
            let name = named.name.to_name().to_string();
            let mut details = Vec::new();
            if let (Some(one), Some(other)) = (one, other)
                && !is_same_name(one.name, other.name)
            {
                let text = |name: NameRef<'_>| Some(Text::from(name.to_name().to_string()));
                let (old, new) = (text(one.name), text(other.name));
                details.push(Detail { aspect: Aspect::Spelling, name: None, old, new });
            }
            let kind = kind(one.is_some(), other.is_some());
            self.tell(Some(name), kind, one, other, details)?;
        }
        Ok(())
    }

    fn tell(
        &mut self,
        value: Option<String>,
        kind: Kind,
        old: Option<&ValueRef<'_>>,
        new: Option<&ValueRef<'_>>,
        details: Vec<Detail>,
    ) -> Result<(), Unreadable> {
        let key = match &self.shared {
            Some(key) => key.clone(),
            None => {
                let limit = self.left;
                self.left = limit.checked_sub(self.path.len()).ok_or_else(|| {
                    let size = self.path.len();
                    let what = "the paths of the keys that differ";
                    let source = HiveError::DataTooLarge { what, size, limit };
                    Unreadable { in_first: false, key: self.path.clone(), source }
                })?;
                let key = Text::from(self.path.clone());
                self.shared = Some(key.clone());
                key
            }
        };
        let (old, new) = (old.map(text::value), new.map(text::value));
        self.changes.push(RegistryChange { key, value, kind, old, new, details });
        Ok(())
    }

    /// Adds the subkeys of a key, in order, to those that wait.
    fn subkeys(
        &mut self,
        visit: &Visit<'a>,
        waiting: &mut Vec<Visit<'a>>,
    ) -> Result<(), Unreadable> {
        let (old, new) = (&mut self.old, &mut self.new);
        let olds = visit.old.map(|key| old.subkeys(key)).transpose();
        let news = visit.new.map(|key| new.subkeys(key)).transpose();
        let olds = self.in_old(olds)?.unwrap_or_default();
        let news = self.in_new(news)?.unwrap_or_default();
        if olds.is_empty() && news.is_empty() {
            return Ok(());
        }
        if visit.depth == MAX_DEPTH {
            let source = HiveError::TooDeep { limit: MAX_DEPTH };
            return Err(Unreadable { in_first: !olds.is_empty(), key: self.path.clone(), source });
        }
        let depth = visit.depth + 1;
        let pairs = merge(olds, news, |(name, _)| *name);
        waiting.extend(pairs.into_iter().map(|(one, other)| {
            let (old_name, new_name) = (one.map(|one| one.0), other.map(|other| other.0));
            let other_spelling = match (old_name, new_name) {
                (Some(old), Some(new)) if !is_same_name(old, new) => Some(old),
                _ => None,
            };
            Visit {
                name: new_name.or(old_name),
                depth,
                old: one.map(|one| one.1),
                new: other.map(|other| other.1),
                spelling: other_spelling,
            }
        }));
        Ok(())
    }
}

fn kind(before: bool, after: bool) -> Kind {
    match (before, after) {
        (true, false) => Kind::Removed,
        (false, true) => Kind::Added,
        _ => Kind::Changed,
    }
}

fn is_same_name(one: NameRef<'_>, other: NameRef<'_>) -> bool {
    match (one, other) {
        (NameRef::Latin1(one), NameRef::Latin1(other)) => one == other,
        _ => one.len() == other.len() && one.units().eq(other.units()),
    }
}

/// Pairs two lists by name without case; the result is in the order of names.
fn merge<'a, T: Copy>(
    mut old: Vec<T>,
    mut new: Vec<T>,
    name: impl Fn(&T) -> NameRef<'a>,
) -> Vec<(Option<T>, Option<T>)> {
    let by = |one: &T, other: &T| name(one).cmp_ignore_case(name(other));
    for list in [&mut old, &mut new] {
        // In a sound hive subkeys are sorted; values never are, and in a damaged one nothing is.
        list.sort_by(by);
    }
    let (mut left, mut right) = (old.as_slice(), new.as_slice());
    let mut pairs = Vec::with_capacity(left.len().max(right.len()));
    while let ([one, ..], [other, ..]) = (left, right) {
        match by(one, other) {
            Ordering::Less => {
                pairs.push((Some(*one), None));
                left = &left[1..];
            }
            Ordering::Greater => {
                pairs.push((None, Some(*other)));
                right = &right[1..];
            }
            Ordering::Equal => {
                let run = |list: &[T]| list.iter().take_while(|next| by(one, next).is_eq()).count();
                let (lefts, rights) = (run(left), run(right));
                if (lefts, rights) == (1, 1) {
                    pairs.push((Some(*one), Some(*other)));
                } else {
                    let named = |list: &[T]| {
                        list.iter().map(|item| (name(item).to_name(), *item)).collect::<Vec<_>>()
                    };
                    pairs.extend(match_exactly(named(&left[..lefts]), named(&right[..rights])));
                }
                (left, right) = (&left[lefts..], &right[rights..]);
            }
        }
    }
    pairs.extend(left.iter().map(|one| (Some(*one), None)));
    pairs.extend(right.iter().map(|other| (None, Some(*other))));
    pairs
}
