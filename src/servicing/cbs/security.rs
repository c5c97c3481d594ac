//! Security descriptors that a manifest defines by name (`trustInfo`), and what of them an object gets.
//!
//! Files, folders and keys name a descriptor; real manifests carry its text themselves. A well-known name (`WRP_...`) that a manifest uses without
//! defining it leaves the object with what it inherits. Generic rights become those of files or keys where an entry takes effect, as the kernel does when
//! a descriptor is set (MS-DTYP 2.5.3; `RtlMapGenericMask`).

use std::collections::{BTreeMap, btree_map::Entry};

use crate::format::{
    cbs::Manifest,
    security::{Ace, SecurityDescriptor, parse_sddl},
};

/// `INHERIT_ONLY_ACE`.
const INHERIT_ONLY: u8 = 8;

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// Files and folders.
    File,
    /// Registry keys.
    Key,
    /// Anything else: generic rights stay.
    Other,
}

/// The descriptors of a manifest by name, in lower case; what cannot be read with the reason.
#[derive(Debug, Default)]
pub(super) struct Descriptors(BTreeMap<String, Result<SecurityDescriptor, String>>);

impl Descriptors {
    /// Reads all that the manifest defines.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let read =
            |(name, definition): (&String, &crate::format::cbs::manifest::SecurityDefinition)| {
                let hint = definition.operation_hint.as_deref();
                let descriptor = match hint {
                    Some(other) if !other.eq_ignore_ascii_case("replace") => {
                        Err(format!("operationHint=`{other}`"))
                    }
                    _ => parse_sddl(&definition.sddl).map_err(|error| error.to_string()),
                };
                (name.to_lowercase(), descriptor)
            };
        let mut found: BTreeMap<String, Result<SecurityDescriptor, String>> = BTreeMap::new();
        for (name, descriptor) in manifest.security.iter().map(read) {
            match found.entry(name) {
                Entry::Vacant(place) => drop(place.insert(descriptor)),
                Entry::Occupied(mut other) if *other.get() != descriptor => {
                    drop(other.insert(Err("two definitions that differ".to_owned())));
                }
                Entry::Occupied(_) => {}
            }
        }
        Self(found)
    }

    /// The descriptor that an object names; `None`: it inherits.
    pub(super) fn find(
        &self,
        names: &[(String, Option<String>)],
        kind: ObjectKind,
    ) -> Result<Option<SecurityDescriptor>, String> {
        let mut distinct: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        distinct.sort_by_cached_key(|name| name.to_lowercase());
        distinct.dedup_by_key(|name| name.to_lowercase());
        let name = match distinct.as_slice() {
            [] => return Ok(None),
            [name] => *name,
            _ => return Err(format!("several descriptors: {}", distinct.join(", "))),
        };
        match self.0.get(&name.to_lowercase()) {
            Some(Ok(descriptor)) => Ok(Some(mapped(descriptor.clone(), kind))),
            Some(Err(cause)) => Err(format!("the descriptor {name}: {cause}")),
            None if name.to_ascii_uppercase().starts_with("WRP_") => Ok(None),
            None => Err(format!("the descriptor {name}, which the manifest does not define")),
        }
    }

    /// Definitions that cannot be read: name and reason.
    pub(super) fn defects(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, found)| Some((name.as_str(), found.as_ref().err()?.as_str())))
    }
}

/// The descriptor with generic rights in place where an entry takes effect.
fn mapped(mut descriptor: SecurityDescriptor, kind: ObjectKind) -> SecurityDescriptor {
    for list in [&mut descriptor.dacl, &mut descriptor.sacl].into_iter().flatten() {
        for ace in &mut list.aces {
            if ace.flags & INHERIT_ONLY == 0 {
                map(ace, kind);
            }
        }
    }
    descriptor
}

fn map(ace: &mut Ace, kind: ObjectKind) {
    // Read, write, execute, all: FILE_GENERIC_*, FILE_ALL_ACCESS; KEY_READ, KEY_WRITE, KEY_EXECUTE, KEY_ALL_ACCESS.
    let rights: [(u32, u32); 4] = match kind {
        ObjectKind::File => [
            (0x8000_0000, 0x0012_0089),
            (0x4000_0000, 0x0012_0116),
            (0x2000_0000, 0x0012_00a0),
            (0x1000_0000, 0x001f_01ff),
        ],
        ObjectKind::Key => [
            (0x8000_0000, 0x0002_0019),
            (0x4000_0000, 0x0002_0006),
            (0x2000_0000, 0x0002_0019),
            (0x1000_0000, 0x000f_003f),
        ],
        ObjectKind::Other => return,
    };
    // Labels, attributes and policies have other masks in this place.
    if !matches!(ace.kind, 0..=3) {
        return;
    }
    let Some(mut mask) = ace.rights() else { return };
    for (generic, specific) in rights {
        if mask & generic != 0 {
            mask = mask & !generic | specific;
        }
    }
    if let Some(head) = ace.body.first_chunk_mut::<4>() {
        *head = mask.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::security::to_sddl;

    fn text(sddl: &str, kind: ObjectKind) -> String {
        to_sddl(&mapped(parse_sddl(sddl).unwrap(), kind))
    }

    #[test]
    fn generic_rights_become_those_of_the_object_where_they_take_effect() {
        let file = text("D:P(A;;GRGX;;;BU)(A;OICIIO;GA;;;CO)(A;CI;GA;;;SY)", ObjectKind::File);
        assert_eq!(file, "D:P(A;;0x1200a9;;;BU)(A;OICIIO;GA;;;CO)(A;CI;FA;;;SY)");
        assert_eq!(
            text("D:P(A;CI;GR;;;BU)(A;;GA;;;SY)", ObjectKind::Key),
            "D:P(A;CI;0x20019;;;BU)(A;;0xf003f;;;SY)"
        );
    }
}
