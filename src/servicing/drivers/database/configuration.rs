//! What a package says of its install sections and of the devices that they are for.
//!
//! `Configurations\<section>` is what is done to a device that binds to the section: its service, its filters, and what is written to its own
//! keys. `Descriptors\<device ID>` names the section, the description and the manufacturer of an ID. Both are written for packages in SYSTEM,
//! where Windows must configure devices before it can read an INF.

use crate::{base::name::Name, format::hive::Value};

use super::{
    fields::{Fields, Values},
    tree::KeyTree,
};

/// `Configurations\<section>`: what binding a device to an install section does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// The actual section, decoration included: `Stornvme_Inst`, `BthEnum.NT`.
    pub name: Name,
    /// The function driver's service; empty for the null service, `None` when the section names none.
    pub service: Option<String>,
    /// Services that are no drivers.
    pub win32_services: Option<Vec<String>>,
    /// Filters above the function driver, by service.
    pub upper_filters: Option<Vec<String>>,
    /// Filters below the function driver, by service.
    pub lower_filters: Option<Vec<String>>,
    /// `ConfigFlags`: 0; 0x400 for a few.
    pub config_flags: Option<u32>,
    /// `ConfigScope`: which parts were configured. 7 for most, absent in Windows 8.1.
    pub config_scope: Option<u32>,
    /// INFs that the section includes, in order.
    pub included_infs: Option<Vec<String>>,
    /// `Reboot`: 1 when the device needs one.
    pub reboot: Option<u32>,
    /// IDs that the section does not serve.
    pub exclude_ids: Option<Vec<String>>,
    /// What goes to the device's hardware key. Types carry flags of AddReg in their upper half.
    pub device: Option<KeyTree>,
    /// What goes to the device's software key.
    pub driver: Option<KeyTree>,
    /// What goes below each service's key, by service.
    pub services: Option<KeyTree>,
    /// The interfaces that the device gets, by class.
    pub interfaces: Option<KeyTree>,
    /// Device properties: `{category}\<number>`, default value, type `0xFFFF0000 | DEVPROP`.
    pub properties: Option<KeyTree>,
    /// Other values, as they are.
    pub other_values: Vec<Value>,
    /// Other keys, as they are.
    pub other_keys: Vec<(Name, KeyTree)>,
}

/// `Descriptors\<device ID>`: what a package says of one device ID.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The device ID, split at its backslashes.
    pub path: Vec<Name>,
    /// The section, a name below `Configurations`.
    pub configuration: Option<String>,
    /// The description: a `%token%` of `Strings` in lower case, or plain text.
    pub description: Option<String>,
    /// The manufacturer, likewise.
    pub manufacturer: Option<String>,
    /// Other values, as they are.
    pub other_values: Vec<Value>,
}

impl Configuration {
    /// Reads `Configurations\<name>`.
    #[must_use]
    pub fn decode(name: &Name, tree: &KeyTree) -> Self {
        let mut fields = Fields::of(tree);
        Self {
            name: name.clone(),
            service: fields.text("Service"),
            win32_services: fields.texts("Win32Services"),
            upper_filters: fields.texts("UpperFilters"),
            lower_filters: fields.texts("LowerFilters"),
            config_flags: fields.dword("ConfigFlags"),
            config_scope: fields.dword("ConfigScope"),
            included_infs: fields.texts("IncludedInfs"),
            reboot: fields.dword("Reboot"),
            exclude_ids: fields.texts("ExcludeIds"),
            device: fields.key("Device"),
            driver: fields.key("Driver"),
            services: fields.key("Services"),
            interfaces: fields.key("Interfaces"),
            properties: fields.key("Properties"),
            other_values: fields.values,
            other_keys: fields.keys,
        }
    }

    /// The key `Configurations\<name>`.
    #[must_use]
    pub fn encode(&self) -> KeyTree {
        let mut values = Values::default();
        values.text("Service", self.service.as_ref());
        values.texts("Win32Services", self.win32_services.as_ref());
        values.texts("UpperFilters", self.upper_filters.as_ref());
        values.texts("LowerFilters", self.lower_filters.as_ref());
        values.texts("IncludedInfs", self.included_infs.as_ref());
        values.texts("ExcludeIds", self.exclude_ids.as_ref());
        values.dword("ConfigScope", self.config_scope);
        values.dword("ConfigFlags", self.config_flags);
        values.dword("Reboot", self.reboot);
        values.0.extend(self.other_values.iter().cloned());
        let parts = [
            ("Device", &self.device),
            ("Driver", &self.driver),
            ("Interfaces", &self.interfaces),
            ("Properties", &self.properties),
            ("Services", &self.services),
        ];
        let mut keys: Vec<(Name, KeyTree)> = parts
            .into_iter()
            .filter_map(|(name, tree)| Some((Name::from(name), tree.clone()?)))
            .collect();
        keys.extend(self.other_keys.iter().cloned());
        KeyTree { values: values.0, keys }
    }

    /// Every service that it names: function driver, filters, others, and those it configures.
    #[must_use]
    pub fn service_names(&self) -> Vec<String> {
        let lists = [&self.win32_services, &self.upper_filters, &self.lower_filters];
        let listed = lists.into_iter().flatten().flatten().cloned();
        let configured = self.services.iter().flat_map(|tree| &tree.keys);
        let mut names: Vec<String> = Vec::new();
        for name in self
            .service
            .clone()
            .into_iter()
            .chain(listed)
            .chain(configured.map(|(name, _)| name.to_string()))
        {
            if !name.is_empty() && !names.iter().any(|old| old.eq_ignore_ascii_case(&name)) {
                names.push(name);
            }
        }
        names
    }
}

impl Descriptor {
    /// Reads every descriptor of `Descriptors`: the keys that have values, and those with nothing below them.
    #[must_use]
    pub fn decode_all(tree: &KeyTree) -> Vec<Self> {
        let is_descriptor = |path: &[Name], key: &KeyTree| {
            !key.values.is_empty() || (key.keys.is_empty() && !path.is_empty())
        };
        tree.walk()
            .into_iter()
            .filter(|(path, key)| is_descriptor(path, key))
            .map(|(path, key)| {
                let mut fields = Fields { values: key.values.clone(), keys: Vec::new() };
                Self {
                    path,
                    configuration: fields.text("Configuration"),
                    description: fields.text("Description"),
                    manufacturer: fields.text("Manufacturer"),
                    other_values: fields.values,
                }
            })
            .collect()
    }

    /// The key `Descriptors`.
    #[must_use]
    pub fn encode_all(descriptors: &[Self]) -> KeyTree {
        let mut tree = KeyTree::default();
        for descriptor in descriptors {
            let mut values = Values::default();
            values.text("Configuration", descriptor.configuration.as_ref());
            values.text("Manufacturer", descriptor.manufacturer.as_ref());
            values.text("Description", descriptor.description.as_ref());
            values.0.extend(descriptor.other_values.iter().cloned());
            tree.make(&descriptor.path).values = values.0;
        }
        tree
    }
}
