//! Secrets in an image: placeholders while it is edited, values when it is finished.
//!
//! Nobody can make a file that counts as a template by writing one with the same bytes: the name of a template's content is no SHA-1 of any bytes, but a
//! digest of its own domain. A registry value counts as long as it holds its placeholder.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{
        digest::Sha1,
        name::Name,
        ntpath::NtPath,
        secret::{SecretBytes, SecretForm, SecretRef, Secrets, Template},
    },
    format::hive::{Value, ValueType},
};

use super::{
    changeset::{Change, FileContent},
    content::{BlobLocation, BlobRef},
    edit::ref_of,
    error::ImageError,
    hives::HiveId,
    offline::{Image, NewNode},
    registry::RegistryPath,
};

/// A registry value that a secret belongs into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretValue {
    hive: HiveId,
    key: Vec<Name>,
    name: Name,
    kind: u32,
    secret: SecretRef,
}

impl Image {
    /// Puts a text file in place whose secrets are filled in when the image is finished.
    ///
    /// # Errors
    /// As [`Image::put_file`].
    pub fn put_template(
        &mut self,
        path: &NtPath,
        template: Template,
        options: &NewNode,
    ) -> Result<(), ImageError> {
        self.put(path, FileContent::Template(template), options)
    }

    /// Sets a registry value to a text that is filled in when the image is finished; makes the key when it is not there.
    ///
    /// # Errors
    /// When the hive is missing, damaged or full.
    pub fn set_secret(
        &mut self,
        path: &RegistryPath,
        name: &Name,
        kind: ValueType,
        secret: &SecretRef,
    ) -> Result<(), ImageError> {
        self.create_key(path)?;
        let placeholder = placeholder(name, kind, secret);
        if self.registry_value(path, name)?.is_some_and(|old| same(&old, &placeholder)) {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        let (name, secret) = (name.clone(), secret.clone());
        self.perform(Change::SetSecret { hive, key, name, kind: kind.0, secret })
    }

    pub(super) fn apply_secret(
        &mut self,
        hive: HiveId,
        key: &[Name],
        name: &Name,
        kind: u32,
        secret: &SecretRef,
    ) -> Result<(), ImageError> {
        let epoch = self.epoch();
        let value = placeholder(name, ValueType(kind), secret);
        self.with_hive(hive, |hive| {
            let key = hive.create_path(hive.root(), key, epoch)?;
            hive.set_value(key, &value, epoch).map(drop)
        })?;
        let (key, name, secret) = (key.to_vec(), name.clone(), secret.clone());
        self.secrets.push(SecretValue { hive, key, name, kind, secret });
        Ok(())
    }

    /// Puts the values in place of all placeholders. Gives the hives that hold one now.
    ///
    /// # Errors
    /// When a value is missing or cannot be written where it belongs.
    pub(super) fn reveal(&mut self, secrets: &Secrets) -> Result<BTreeSet<HiveId>, ImageError> {
        self.reveal_files(secrets)?;
        let mut hives = BTreeSet::new();
        for value in std::mem::take(&mut self.secrets) {
            if self.reveal_value(&value, secrets)? {
                hives.insert(value.hive);
            }
        }
        Ok(hives)
    }

    fn reveal_files(&mut self, secrets: &Secrets) -> Result<(), ImageError> {
        let is_template = |location: &BlobLocation| matches!(location, BlobLocation::Template(_));
        if !self.blobs.values().any(is_template) {
            return Ok(());
        }
        let mut known: BTreeMap<Sha1, BlobRef> = BTreeMap::new();
        for id in self.tree.walk().collect::<Vec<_>>() {
            for place in 0..self.tree.inode(id).streams.len() {
                let old = self.tree.inode(id).streams[place].content;
                let Some(BlobLocation::Template(template)) = self.blobs.get(&old.sha1) else {
                    continue;
                };
                let new = match known.get(&old.sha1) {
                    Some(new) => *new,
                    None => {
                        let text = template.reveal(secrets)?.into_inner();
                        let new = ref_of(text.as_bytes());
                        if !new.sha1.is_zero() && self.location(&new).is_none() {
                            let bytes = SecretBytes(text.into_bytes().into());
                            self.blobs.insert(new.sha1, BlobLocation::Secret(bytes));
                        }
                        known.insert(old.sha1, new);
                        new
                    }
                };
                self.tree.inode_mut(id).streams[place].content = new;
            }
        }
        self.blobs.retain(|_, location| !is_template(location));
        Ok(())
    }

    /// True when the value still was the placeholder and holds the secret now.
    fn reveal_value(&mut self, value: &SecretValue, secrets: &Secrets) -> Result<bool, ImageError> {
        let SecretValue { hive, key, name, kind, secret } = value;
        let path = RegistryPath::from_keys(*hive, key.clone());
        let expected = placeholder(name, ValueType(*kind), secret);
        if !self.has_hive(*hive)
            || !self.registry_value(&path, name)?.is_some_and(|now| same(&now, &expected))
        {
            return Ok(false);
        }
        let template = Template::new(secret.placeholder(&SecretForm::Text));
        let text = template.reveal(secrets)?.into_inner();
        let value =
            Value { name: name.clone(), kind: ValueType(*kind), data: registry_text(&text) };
        let epoch = self.epoch();
        self.with_hive(*hive, |hive| {
            let key = hive.create_path(hive.root(), key, epoch)?;
            hive.set_value(key, &value, epoch).map(drop)
        })?;
        Ok(true)
    }
}

/// The same type and data. The name may have been there in another case.
fn same(one: &Value, other: &Value) -> bool {
    one.kind == other.kind && one.data == other.data
}

fn placeholder(name: &Name, kind: ValueType, secret: &SecretRef) -> Value {
    let data = registry_text(&secret.placeholder(&SecretForm::Text));
    Value { name: name.clone(), kind, data }
}

/// Text as the registry stores it: UTF-16 with a NUL at the end.
fn registry_text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The name of a template's content.
pub(super) fn template_ref(template: &Template) -> BlobRef {
    let text = template.text();
    let mut hasher = blake3::Hasher::new_derive_key("transom template 1");
    hasher.update(text.as_bytes());
    let mut name = [0; 20];
    hasher.finalize_xof().fill(&mut name);
    BlobRef { sha1: Sha1(name), size: text.len() as u64 }
}
