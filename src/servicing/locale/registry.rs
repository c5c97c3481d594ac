//! The image's registry as this room uses it: texts that are the same but for their case are the same, and what is right is not written.

use crate::{
    base::name::Name,
    format::hive::Value,
    image::{HiveId, Image, ImageError, RegistryPath},
    servicing::error::ServicingError,
};

use super::NAME;

/// `HKLM\SYSTEM\CurrentControlSet\Control`.
pub(super) const CONTROL: &str = r"HKLM\SYSTEM\CurrentControlSet\Control";
/// `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones`.
pub(super) const TIME_ZONES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones";
/// Parameters of the driver of PS/2 keyboards.
pub(super) const KEYBOARD_DRIVER: &str =
    r"HKLM\SYSTEM\CurrentControlSet\Services\i8042prt\Parameters";

/// The image, as its registry.
pub(super) struct Registry<'a>(pub(super) &'a mut Image);

type Read<T> = Result<T, ServicingError>;

impl Registry<'_> {
    /// The roots of the hives that hold what users start with, of those that the image has.
    pub(super) fn users(&self) -> Vec<&'static str> {
        let hives = [HiveId::Default, HiveId::NtUser].into_iter();
        hives.filter(|hive| self.0.has_hive(*hive)).map(HiveId::registry_root).collect()
    }

    pub(super) fn exists(&mut self, key: &str) -> Read<bool> {
        let path = path(key);
        self.0.registry_key_exists(&path).map_err(|error| failed(key, error))
    }

    /// Names of the keys below `key`; those that nobody could have written are not told.
    pub(super) fn keys(&mut self, key: &str) -> Read<Vec<String>> {
        let names = self.0.registry_subkeys(&path(key)).map_err(|error| failed(key, error))?;
        let texts = names.iter().filter_map(Name::to_text);
        Ok(texts.filter(|name| is_key_name(name)).collect())
    }

    pub(super) fn values(&mut self, key: &str) -> Read<Vec<Value>> {
        self.0.registry_values(&path(key)).map_err(|error| failed(key, error))
    }

    pub(super) fn value(&mut self, key: &str, name: &str) -> Read<Option<Value>> {
        self.0.registry_value(&path(key), &name.into()).map_err(|error| failed(key, error))
    }

    pub(super) fn text(&mut self, key: &str, name: &str) -> Read<Option<String>> {
        Ok(self.value(key, name)?.and_then(|value| value.as_text()))
    }

    /// A number that is written as hexadecimal digits.
    pub(super) fn hexadecimal(&mut self, key: &str, name: &str) -> Read<Option<u32>> {
        let text = self.text(key, name)?;
        Ok(text.and_then(|text| u32::from_str_radix(text.trim(), 16).ok()))
    }

    pub(super) fn dword(&mut self, key: &str, name: &str) -> Read<Option<u32>> {
        Ok(self.value(key, name)?.and_then(|value| value.as_dword()))
    }

    pub(super) fn texts(&mut self, key: &str, name: &str) -> Read<Option<Vec<String>>> {
        Ok(self.value(key, name)?.and_then(|value| value.as_multi_text()))
    }

    pub(super) fn set(&mut self, key: &str, value: &Value) -> Read<()> {
        self.0.set_value(&path(key), value).map_err(|error| failed(key, error))
    }

    /// Sets a text, unless what is there differs in case alone or in what stands after its end.
    pub(super) fn set_text(&mut self, key: &str, name: &str, text: &str) -> Read<()> {
        let same = self.text(key, name)?.is_some_and(|old| old.eq_ignore_ascii_case(text));
        if same { Ok(()) } else { self.set(key, &Value::sz(name, text)) }
    }

    /// Sets a list of texts, unless what is there differs in case alone.
    pub(super) fn set_texts(&mut self, key: &str, name: &str, texts: &[&str]) -> Read<()> {
        let same = self.texts(key, name)?.is_some_and(|old| same_texts(&old, texts));
        if same { Ok(()) } else { self.set(key, &Value::multi_sz(name, texts)) }
    }

    pub(super) fn set_dword(&mut self, key: &str, name: &str, number: u32) -> Read<()> {
        self.set(key, &Value::dword(name, number))
    }

    pub(super) fn delete(&mut self, key: &str, name: &str) -> Read<()> {
        self.0.delete_value(&path(key), &name.into()).map_err(|error| failed(key, error))
    }

    pub(super) fn delete_key(&mut self, key: &str) -> Read<()> {
        self.0.delete_key(&path(key)).map_err(|error| failed(key, error))
    }
}

/// True for the same texts in the same order, whatever their case.
pub(super) fn same_texts(old: &[String], new: &[&str]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.eq_ignore_ascii_case(new))
}

/// True for a name that can be one of a key below another; what a recipe says must be asked first.
pub(super) fn is_key_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('\\') && text.encode_utf16().count() <= 255
}

fn path(key: &str) -> RegistryPath {
    RegistryPath::parse(key).expect("a constant, and names that were read or asked for")
}

fn failed(key: &str, error: ImageError) -> ServicingError {
    ServicingError::image(NAME, key, error)
}
