//! Services in manifests: `memberships/categoryMembership` of the types `Service` and `SvcHost`, as the values that Windows makes of them.
//!
//! The values were compared with what a real SYSTEM hive (Windows 10 2004) has for services whose manifests are known (WManSvc, MessagingService, CNG):
//! types, texts, `FailureActions` and a `TriggerInfo` agree. `FailureActions` is `SERVICE_FAILURE_ACTIONS` of the Windows API with 32-bit
//! pointers: `u32 reset period in seconds | u32 reboot message | u32 command | u32 count | u32 offset 20 | count x (u32 action, u32 delay in ms)`.

use crate::{
    base::digest::from_hex,
    format::{
        cbs::{manifest::Membership, xml::Element},
        hive::{Value, ValueType},
    },
};

use super::{
    effects::{Effects, Member, UnknownElement},
    macros::Macros,
    security::{Descriptors, ObjectKind},
};

const SERVICES: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services";
const SVCHOST: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Svchost";

/// Types of membership of the category `Microsoft.Windows.Categories` that ask nothing of an offline image, and why.
const HARMLESS: [(&str, &str); 4] = [
    ("BootCritical", "the running Windows keeps copies of such files in WinSxS\\Backup"),
    ("BootRecovery", "the running Windows keeps copies of such files in WinSxS\\Backup"),
    ("SingleInstanceFiles", "it says how files of several languages are stored"),
    ("SingleInstance", "it says how files are stored"),
];

/// `WNF` state changes as the GUID of a custom trigger (`CUSTOM_SYSTEM_STATE_CHANGE_EVENT_GUID` of the SDK).
const STATE_CHANGE: [u8; 16] = [
    0x16, 0x28, 0x7a, 0x2d, 0x5e, 0x0c, 0xfc, 0x45, 0x9c, 0xe7, 0x57, 0x0e, 0x5e, 0xcd, 0xe9, 0xc9,
];

/// Adds what a membership does to `effects`.
pub(super) fn membership(
    membership: &Membership,
    macros: &Macros<'_>,
    descriptors: &Descriptors,
    effects: &mut Effects,
) -> Result<(), UnknownElement> {
    let path = "memberships/categoryMembership";
    let unknown = |what: String| UnknownElement::new(path, membership.line, what);
    let kind = membership.type_name.as_str();
    let services =
        membership.category.eq_ignore_ascii_case("Microsoft.Windows.Categories.Services");
    let general = membership.category.eq_ignore_ascii_case("Microsoft.Windows.Categories");
    if services && kind.eq_ignore_ascii_case("Service") {
        for (_, instance) in &membership.instances {
            service_instance(instance, macros, descriptors, effects)?;
        }
        return Ok(());
    }
    if general && kind.eq_ignore_ascii_case("SvcHost") {
        for (group, instance) in &membership.instances {
            group_instance(group, instance, macros, effects)?;
        }
        return Ok(());
    }
    let harmless = HARMLESS.iter().any(|(known, _)| known.eq_ignore_ascii_case(kind));
    // A category without type and instance is a heading in lists of components.
    if membership.instances.is_empty() && (general && harmless || kind.is_empty() && !services) {
        return Ok(());
    }
    Err(unknown(format!("the category `{}` of type `{kind}`", membership.category)))
}

fn service_instance(
    instance: &Element,
    macros: &Macros<'_>,
    descriptors: &Descriptors,
    effects: &mut Effects,
) -> Result<(), UnknownElement> {
    // Either the categoryInstance itself, or its typed child.
    let children: Vec<&Element> = if instance.name == "serviceData" {
        vec![instance]
    } else {
        instance.children.iter().collect()
    };
    for child in children {
        if child.name != "serviceData" {
            let path = format!("memberships/categoryMembership/categoryInstance/{}", child.name);
            return Err(UnknownElement::new(&path, child.line, "an element".to_owned()));
        }
        let unknown =
            |what: String| UnknownElement::new("memberships/../serviceData", child.line, what);
        let name = child.attribute("name").unwrap_or_default();
        if name.is_empty() || name.contains(['\\', '/']) {
            return Err(unknown(format!("a service called `{name}`")));
        }
        let key = effects.key(&format!("{SERVICES}\\{name}"), None, macros).map_err(unknown)?;
        for (attribute, text) in &child.attributes {
            if let Some(value) = attribute_value(attribute, text).map_err(unknown)? {
                effects.value(key, value, false);
            }
        }
        let mut triggers = 0;
        for below in &child.children {
            let unknown = |what: String| {
                let path = format!("memberships/../serviceData/{}", below.name);
                UnknownElement::new(&path, below.line, what)
            };
            match below.name.as_str() {
                "failureActions" => {
                    effects.value(key, failure_actions(below).map_err(unknown)?, false);
                }
                "serviceTrigger" => {
                    let values = trigger(below).map_err(unknown)?;
                    let place = format!("{SERVICES}\\{name}\\TriggerInfo\\{triggers}");
                    let key = effects.key(&place, None, macros).map_err(unknown)?;
                    for value in values {
                        effects.value(key, value, false);
                    }
                    triggers += 1;
                }
                "securityDescriptor" => {
                    let named = below.attribute("name").unwrap_or_default().to_owned();
                    // The rights of services are their own; generic ones stay, as they do in real keys.
                    let found =
                        descriptors.find(&[(named, None)], ObjectKind::Other).map_err(unknown)?;
                    let Some(descriptor) = found else { continue };
                    let place = format!("{SERVICES}\\{name}\\Security");
                    let key = effects.key(&place, None, macros).map_err(unknown)?;
                    effects.value(key, Value::binary("Security", descriptor.to_bytes()), false);
                }
                _ => return Err(unknown("an element".to_owned())),
            }
        }
    }
    Ok(())
}

/// The value that an attribute of `serviceData` becomes; `None` for those that leave none.
fn attribute_value(attribute: &str, text: &str) -> Result<Option<Value>, String> {
    let number = |name: &str, words: &[(&str, u32)]| {
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        let found = found.ok_or_else(|| format!("{attribute}=`{text}`"))?;
        Ok(Some(Value::dword(name, found.1)))
    };
    let list = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    match attribute {
        // The key's name; and what only a running Windows does.
        "name" | "startAfterInstall" => Ok(None),
        "displayName" => Ok(Some(Value::sz("DisplayName", text))),
        "description" => Ok(Some(Value::sz("Description", text))),
        "group" => Ok(Some(Value::sz("Group", text))),
        "objectName" => Ok(Some(Value::sz("ObjectName", text))),
        "imagePath" => Ok(Some(Value::expand_sz("ImagePath", text))),
        "dependOnService" => Ok(Some(Value::multi_sz("DependOnService", list()))),
        "dependOnGroup" => Ok(Some(Value::multi_sz("DependOnGroup", list()))),
        "requiredPrivileges" => Ok(Some(Value::multi_sz("RequiredPrivileges", list()))),
        "tag" => match text.parse() {
            Ok(tag) => Ok(Some(Value::dword("Tag", tag))),
            Err(_) => Err(format!("tag=`{text}`")),
        },
        "errorControl" => {
            number("ErrorControl", &[("ignore", 0), ("normal", 1), ("severe", 2), ("critical", 3)])
        }
        "start" => number(
            "Start",
            &[("boot", 0), ("system", 1), ("auto", 2), ("demand", 3), ("disabled", 4)],
        ),
        "type" => number(
            "Type",
            &[
                ("kernelDriver", 0x1),
                ("fileSystemDriver", 0x2),
                ("win32OwnProcess", 0x10),
                ("win32ShareProcess", 0x20),
                ("win32UserOwnProcess", 0x50),
                ("win32UserShareProcess", 0x60),
            ],
        ),
        "sidType" => {
            number("ServiceSidType", &[("none", 0), ("unrestricted", 1), ("restricted", 3)])
        }
        "launchProtected" => number(
            "LaunchProtected",
            &[("none", 0), ("windows", 1), ("windowsLight", 2), ("antimalwareLight", 3)],
        ),
        other => Err(format!("the attribute {other}=`{text}`")),
    }
}

/// `failureActions` as the bytes of its value.
fn failure_actions(element: &Element) -> Result<Value, String> {
    let mut reset = 0_u32;
    for (name, text) in &element.attributes {
        match name.as_str() {
            "resetPeriod" => reset = text.parse().map_err(|_| format!("resetPeriod=`{text}`"))?,
            other => return Err(format!("the attribute {other}=`{text}`")),
        }
    }
    let mut actions = Vec::new();
    for child in &element.children {
        if child.name != "actions" || !child.attributes.is_empty() {
            return Err(format!("the element {}", child.name));
        }
        for action in &child.children {
            if action.name != "action" || !action.children.is_empty() {
                return Err(format!("the element {}", action.name));
            }
            let (mut kind, mut delay) = (None, 0_u32);
            for (name, text) in &action.attributes {
                let known = [
                    ("none", 0_u32),
                    ("restartService", 1),
                    ("rebootMachine", 2),
                    ("runCommand", 3),
                ];
                match name.as_str() {
                    "type" => {
                        let found = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
                        kind = Some(found.ok_or_else(|| format!("an action of type `{text}`"))?.1);
                    }
                    "delay" => delay = text.parse().map_err(|_| format!("delay=`{text}`"))?,
                    other => return Err(format!("the attribute {other}=`{text}`")),
                }
            }
            actions.extend([kind.ok_or("an action without type")?, delay]);
        }
    }
    let count = u32::try_from(actions.len() / 2).unwrap_or(u32::MAX);
    let head = [reset, 0, 0, count, 20];
    let data: Vec<u8> = head.into_iter().chain(actions).flat_map(u32::to_le_bytes).collect();
    Ok(Value::binary("FailureActions", data))
}

/// `serviceTrigger` as the values of its key. Of the kinds of triggers only the one whose values were seen is done.
fn trigger(element: &Element) -> Result<Vec<Value>, String> {
    let attribute = |name: &str| element.attribute(name).unwrap_or_default();
    let is = |name: &str, word: &str| attribute(name).eq_ignore_ascii_case(word);
    if !is("type", "WnfStateEvent") || !is("subtype", "WNF_STATE_CHANGE") {
        return Err(format!("type=`{}`, subtype=`{}`", attribute("type"), attribute("subtype")));
    }
    let action = match attribute("action").to_ascii_lowercase().as_str() {
        "start" => 1,
        "stop" => 2,
        other => return Err(format!("action=`{other}`")),
    };
    if let Some((name, text)) = element
        .attributes
        .iter()
        .find(|(name, _)| !["type", "subtype", "action"].contains(&name.as_str()))
    {
        return Err(format!("the attribute {name}=`{text}`"));
    }
    let mut values = vec![
        Value::dword("Type", 7),
        Value::dword("Action", action),
        Value::new("GUID", ValueType::BINARY, STATE_CHANGE),
    ];
    for (at, child) in element.children.iter().enumerate() {
        let data = child.attribute("value").and_then(from_hex);
        let binary =
            child.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("binary"));
        match data {
            Some(data) if binary && child.name == "triggerData" && child.attributes.len() == 2 => {
                values.push(Value::dword(format!("DataType{at}").as_str(), 1));
                values.push(Value::binary(format!("Data{at}").as_str(), data));
            }
            _ => return Err(format!("the element {}", child.name)),
        }
    }
    Ok(values)
}

fn group_instance(
    group: &str,
    instance: &Element,
    macros: &Macros<'_>,
    effects: &mut Effects,
) -> Result<(), UnknownElement> {
    let children: Vec<&Element> = if instance.name == "serviceGroup" {
        vec![instance]
    } else {
        instance.children.iter().collect()
    };
    for child in children {
        let unknown =
            |what: String| UnknownElement::new("memberships/../serviceGroup", child.line, what);
        let first =
            match child.attribute("position").unwrap_or("last").to_ascii_lowercase().as_str() {
                "first" => true,
                "last" => false,
                other => return Err(unknown(format!("position=`{other}`"))),
            };
        let other = child
            .attributes
            .iter()
            .find(|(name, _)| !["position", "serviceName"].contains(&name.as_str()));
        if let Some((name, text)) = other {
            return Err(unknown(format!("the attribute {name}=`{text}`")));
        }
        let service = child.attribute("serviceName").unwrap_or_default();
        if child.name != "serviceGroup" || service.is_empty() || group.is_empty() {
            return Err(unknown(format!("the element {}", child.name)));
        }
        let key = effects.key(SVCHOST, None, macros).map_err(unknown)?;
        effects.members.push(Member { key, name: group.into(), member: service.to_owned(), first });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(name: &str, attributes: &[(&str, &str)], children: Vec<Element>) -> Element {
        let attributes = attributes
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        Element { name: name.to_owned(), attributes, children, line: 7, ..Element::default() }
    }

    #[test]
    fn failure_actions_are_as_in_a_real_hive() {
        // MessagingService of Windows 10 2004: facts of its manifest and of its key.
        let action = |kind| element("action", &[("delay", "10000"), ("type", kind)], vec![]);
        let actions = ["restartService", "restartService", "restartService", "none"].map(action);
        let actions = element("actions", &[], actions.into());
        let value =
            failure_actions(&element("failureActions", &[("resetPeriod", "86400")], vec![actions]))
                .unwrap();
        let expected = "80510100000000000000000004000000140000000100000010270000010000001027000001000000102700000000000010270000";
        assert_eq!(crate::base::digest::to_hex(&value.data), expected);
    }

    #[test]
    fn a_trigger_is_as_in_a_real_hive_and_others_are_refused() {
        let data =
            element("triggerData", &[("type", "binary"), ("value", "7518BCA33E039513")], vec![]);
        let start =
            [("action", "start"), ("subtype", "WNF_STATE_CHANGE"), ("type", "WnfStateEvent")];
        let values = trigger(&element("serviceTrigger", &start, vec![data])).unwrap();
        let shown: Vec<String> = values
            .iter()
            .map(|value| format!("{}={}", value.name, crate::base::digest::to_hex(&value.data)))
            .collect();
        assert_eq!(
            shown,
            [
                "Type=07000000",
                "Action=01000000",
                "GUID=16287a2d5e0cfc459ce7570e5ecde9c9",
                "DataType0=01000000",
                "Data0=7518bca33e039513"
            ]
        );
        let other = [("action", "start"), ("subtype", "X"), ("type", "DeviceInterfaceArrival")];
        assert!(trigger(&element("serviceTrigger", &other, vec![])).is_err());
    }

    #[test]
    fn words_that_are_not_known_are_refused() {
        assert_eq!(attribute_value("start", "Demand").unwrap(), Some(Value::dword("Start", 3)));
        assert_eq!(attribute_value("name", "x").unwrap(), None);
        for (attribute, text) in
            [("start", "later"), ("type", "adapter"), ("tag", "x"), ("new", "1")]
        {
            assert!(attribute_value(attribute, text).is_err(), "{attribute}");
        }
    }
}
