//! Install sections: what a device gets, from its section and the ones that hang on it.
//!
//! `[Name]` has files, the software key, properties; `[Name.Services]` services, `[Name.HW]` the hardware key, `[Name.Filters]` filters, `[Name.Interfaces]`
//! interfaces. `[Name.Wdf]` speaks to the framework alone. Source: `facts/inf.md`.

use super::document::{Line, same};
use super::error::{InfCause, InfError};
use super::files::Copied;
use super::model::{Filter, Install, Property, RegistryLine};
use super::registry;
use super::resolve::{Context, Placed};
use super::services::services;
use super::strings::number32;
use super::version::parse_guid;
use crate::base::guid::Guid;

/// The score of a driver that gives none.
const SCORE: u8 = 0xff;
/// Directives that are not done natively.
const NOT_DONE: &[&str] = &[
    "AddAutoLogger",
    "AddComponent",
    "AddEventProvider",
    "AddPowerSetting",
    "AddSoftware",
    "BitReg",
    "CopyINF",
    "DataFile",
    "DataSection",
    "DelFiles",
    "DelProperty",
    "Ini2Reg",
    "LogConfig",
    "LogConfigOverride",
    "ProfileItems",
    "RegisterDlls",
    "RenFiles",
    "UnregisterDlls",
    "UpdateIniFields",
    "UpdateInis",
    "UpdateAutoLogger",
    "VendorSetup",
    "WMIInterface",
];
/// Sections hanging on an install section that are not done natively, whatever they say.
const NOT_DONE_SECTIONS: &[&str] = &["CoInstallers", "FactDef", "LogConfigOverride"];
/// Sections hanging on an install section that hold directives of [`NOT_DONE`].
const OTHER_SECTIONS: &[&str] = &["Components", "Software", "Events", "Wmi"];
/// The category of the properties that `AddProperty` knows by name; they are numbered from [`FIRST_NAMED`] in this order.
const PACKAGE_PROPERTIES: &str = "{cf73bb51-3abf-44a2-85e0-9a3dc7a12132}";
const NAMED: &[&str] = &[
    "DeviceModel",
    "DeviceVendorWebsite",
    "DeviceDetailedDescription",
    "DeviceDocumentationLink",
    "DeviceIcon",
    "DeviceBrandingIcon",
];
const FIRST_NAMED: u32 = 2;

const PROPERTY_UINT32: u32 = 7;
const PROPERTY_BOOLEAN: u32 = 0x11;
const PROPERTY_STRING: u32 = 0x12;
const PROPERTY_STRING_LIST: u32 = 0x2012;
const PROPERTY_BINARY: u32 = 0x1003;

/// The field at `at`, strings expanded.
pub(super) fn text_at(context: &Context<'_>, placed: &Placed<'_>, at: usize) -> String {
    context.scopes[placed.0].strings.expand(placed.1.value(at))
}

/// The field at `at` as a number, 0 when it is empty; `what` it is, for the error.
pub(super) fn number_at(
    context: &Context<'_>,
    placed: &Placed<'_>,
    at: usize,
    what: &'static str,
) -> Result<u32, InfError> {
    let text = text_at(context, placed, at);
    if text.is_empty() {
        return Ok(0);
    }
    number32(&text).ok_or_else(|| placed.1.error(InfCause::Number { what, text }))
}

/// When the line is `AddReg` or `DelReg`, adds what its sections say to `into`; false for any other line.
pub(super) fn registry_of<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
    into: &mut Vec<RegistryLine>,
) -> Result<bool, InfError> {
    let key = placed.1.key().unwrap_or_default();
    let adds = same(key, "AddReg");
    if !adds && !same(key, "DelReg") {
        return Ok(false);
    }
    for (scope, section) in sections_of(context, placed) {
        context.charge_section(section)?;
        let strings = &context.scopes[scope].strings;
        if adds {
            registry::add(strings, section, into)?;
        } else {
            let mut unsupported = Vec::new();
            registry::remove(strings, section, into, &mut unsupported)?;
            for item in unsupported {
                context.unsupported(scope, &item.what, item.line);
            }
        }
    }
    Ok(true)
}

/// The sections that the fields of a line name.
fn sections_of<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
) -> Vec<(usize, super::document::Section<'a>)> {
    let strings = &context.scopes[placed.0].strings;
    let names = placed.1.values().filter(|name| !name.is_empty());
    names.filter_map(|name| context.find_or_note(placed, &strings.expand(name))).collect()
}

/// The copies that a `CopyFiles` line asks for.
fn copies_of<'a>(context: &mut Context<'a>, placed: &Placed<'a>) -> Result<Vec<Copied>, InfError> {
    let (scope, line) = *placed;
    let mut copies = Vec::new();
    for name in line.values().filter(|name| !name.is_empty()) {
        let here = &context.scopes[scope];
        let name = here.strings.expand(name);
        let first = copies.len();
        let mut origin = scope;
        if let Some(file) = name.strip_prefix('@') {
            let folder = here.places.folder(&here.strings, None, &line)?;
            copies.push(here.places.copy(&here.strings, folder, file, file, 0, &line)?);
        } else if let Some((scope, section)) = context.find_or_note(placed, &name) {
            context.charge_section(section)?;
            let there = &context.scopes[scope];
            copies.extend(there.places.copies(&there.strings, section)?);
            origin = scope;
        }
        if origin != 0 {
            for copied in &mut copies[first..] {
                copied.windows = Some(context.scopes[origin].name.clone());
            }
        }
    }
    Ok(copies)
}

/// Adds the copies of a `CopyFiles` line to `install` and to the package's files.
fn add_copies<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
    install: &mut Install,
) -> Result<(), InfError> {
    for Copied { copy, line, windows } in copies_of(context, placed)? {
        if let Some(name) = windows {
            install.included_copies.push((name, copy));
        } else {
            context.need_file(&copy, line);
            install.copies.push(copy);
        }
    }
    Ok(())
}

/// Adds the copies of a `CopyFiles` line that is not followed to the package's files: the package must have them all the same.
fn need_copies<'a>(context: &mut Context<'a>, placed: &Placed<'a>) -> Result<(), InfError> {
    for copied in copies_of(context, placed)?.iter().filter(|copied| copied.windows.is_none()) {
        context.need_file(&copied.copy, copied.line);
    }
    Ok(())
}

/// Notes the line when it is a directive that is not done natively.
fn note<'a>(context: &mut Context<'a>, placed: &Placed<'a>) {
    let key = placed.1.key().unwrap_or_default();
    if let Some(what) = NOT_DONE.iter().find(|known| same(known, key)) {
        context.unsupported(placed.0, what, placed.1.number());
    }
}

/// The install section called `section`, which the model at `line` names.
pub(super) fn install(
    context: &mut Context<'_>,
    section: &str,
    line: u32,
) -> Result<Install, InfError> {
    let mut found =
        Install { section: section.to_owned(), feature_score: SCORE, ..Install::default() };
    let mut included = Vec::new();
    for placed in context.lines(0, section, &mut included)? {
        directive(context, &placed, &mut found)?;
    }
    let mut part = |context: &mut Context<'_>, suffix: &str| -> Result<(), InfError> {
        let name = format!("{section}.{suffix}");
        let lines = context.lines(0, &name, &mut included)?;
        match suffix {
            "HW" => {
                for placed in lines {
                    if !registry_of(context, &placed, &mut found.device_registry)? {
                        note(context, &placed);
                    }
                }
            }
            "Services" => found.services = services(context, &lines)?,
            "Filters" => found.filters = filters(context, &lines)?,
            "Interfaces" => interfaces(context, &lines, &mut found)?,
            _ => {
                for placed in lines {
                    if placed.1.key().is_some_and(|key| same(key, "CopyFiles")) {
                        need_copies(context, &placed)?;
                    } else {
                        note(context, &placed);
                    }
                }
            }
        }
        Ok(())
    };
    for suffix in ["HW", "Services", "Filters", "Interfaces"] {
        part(context, suffix)?;
    }
    for suffix in NOT_DONE_SECTIONS.iter().chain(OTHER_SECTIONS) {
        part(context, suffix)?;
    }
    for suffix in NOT_DONE_SECTIONS {
        let found = context.scopes[0].inf.section(&format!("{section}.{suffix}"));
        if let Some(found) = found.filter(|section| section.lines().next().is_some()) {
            context.unsupported(0, suffix, found.number());
        }
    }
    found.included_infs = included;
    if context.find(0, section).is_none()
        && context.find(0, &format!("{section}.Services")).is_none()
    {
        context.note_missing(section, line);
    }
    Ok(found)
}

/// One line of an install section.
fn directive<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
    install: &mut Install,
) -> Result<(), InfError> {
    let (_, line) = *placed;
    let key = line.key().unwrap_or_else(|| line.value(0));
    if same(key, "CopyFiles") {
        add_copies(context, placed, install)?;
    } else if same(key, "FeatureScore") {
        install.feature_score = score(&line, &text_at(context, placed, 0))?;
    } else if same(key, "Reboot") {
        install.reboot = true;
    } else if same(key, "AddProperty") {
        for (scope, section) in sections_of(context, placed) {
            for line in section.lines() {
                context.charge(&line)?;
                install.properties.extend(property(context, &(scope, line))?);
            }
        }
    } else if !registry_of(context, placed, &mut install.driver_registry)? {
        note(context, placed);
    }
    Ok(())
}

/// A byte in hexadecimal, with or without `0x`.
fn score(line: &Line<'_>, text: &str) -> Result<u8, InfError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u8::from_str_radix(digits, 16).map_err(|_| {
        line.error(InfCause::Number { what: "FeatureScore, 00 to FF", text: text.to_owned() })
    })
}

/// `name,,,flags,value` or `{category},id,type,flags,value`; `None` for what is noted as not done.
fn property(context: &mut Context<'_>, placed: &Placed<'_>) -> Result<Option<Property>, InfError> {
    let (scope, line) = *placed;
    let name = text_at(context, placed, 0);
    let named = (FIRST_NAMED..).zip(NAMED).find(|(_, known)| same(known, &name));
    let (guid, id, kind) = match named {
        Some((id, _)) => (Guid::parse(PACKAGE_PROPERTIES).unwrap_or_default(), id, PROPERTY_STRING),
        None => (
            parse_guid(&line, "the category of a property", &name)?,
            number_at(context, placed, 1, "the number of a property")?,
            number_at(context, placed, 2, "the type of a property")?,
        ),
    };
    let texts = (4..line.count()).map(|at| text_at(context, placed, at));
    let data = match kind {
        PROPERTY_STRING => registry::string_data(1, texts),
        PROPERTY_STRING_LIST => registry::list_data(texts),
        PROPERTY_BINARY => {
            texts.map(|text| registry::byte(&line, &text)).collect::<Result<_, _>>()?
        }
        PROPERTY_BOOLEAN => {
            // True is written -1, 1 or 0xFF; the property holds FF or 00.
            let value = number_at(context, placed, 4, "the value of a property")?;
            vec![if value == 0 { 0 } else { 0xff }]
        }
        PROPERTY_UINT32 => {
            number_at(context, placed, 4, "the value of a property")?.to_le_bytes().to_vec()
        }
        _ => {
            context.unsupported(scope, &format!("AddProperty of type {kind:#x}"), line.number());
            return Ok(None);
        }
    };
    Ok(Some(Property { guid, id, kind, data }))
}

/// `AddFilter = service, flags, section`; the section says `FilterPosition`.
fn filters<'a>(context: &mut Context<'a>, lines: &[Placed<'a>]) -> Result<Vec<Filter>, InfError> {
    let mut filters = Vec::new();
    for placed in lines {
        if !placed.1.key().is_some_and(|key| same(key, "AddFilter")) {
            note(context, placed);
            continue;
        }
        let service = text_at(context, placed, 0);
        let section = text_at(context, placed, 2);
        let mut position = None;
        for setting in context.lines(placed.0, &section, &mut Vec::new())? {
            let key = setting.1.key().unwrap_or_default();
            if same(key, "FilterPosition") {
                position = Some(text_at(context, &setting, 0));
            }
        }
        match position {
            Some(text) if same(&text, "Upper") || same(&text, "Lower") => {
                filters.push(Filter { service, upper: same(&text, "Upper") });
            }
            _ => context.unsupported(placed.0, "AddFilter by FilterLevel", placed.1.number()),
        }
    }
    Ok(filters)
}

/// `AddInterface = {class}[, reference[, flags[, section]]]`.
fn interfaces<'a>(
    context: &mut Context<'a>,
    lines: &[Placed<'a>],
    install: &mut Install,
) -> Result<(), InfError> {
    for placed in lines {
        if !placed.1.key().is_some_and(|key| same(key, "AddInterface")) {
            note(context, placed);
            continue;
        }
        let guid =
            parse_guid(&placed.1, "the class of an interface", &text_at(context, placed, 0))?;
        install.interfaces.push((guid, text_at(context, placed, 1)));
        let section = text_at(context, placed, 3);
        let mut registry = Vec::new();
        for entry in context.lines(placed.0, &section, &mut install.included_infs)? {
            let key = entry.1.key().unwrap_or_default();
            if same(key, "CopyFiles") {
                add_copies(context, &entry, install)?;
            } else if same(key, "AddProperty") {
                context.unsupported(entry.0, "AddProperty of an interface", entry.1.number());
            } else if !registry_of(context, &entry, &mut registry)? {
                note(context, &entry);
            }
        }
        install.interface_registry.push(registry);
    }
    Ok(())
}

/// The registry lines of `[ClassInstall32]`, which makes a new setup class.
pub(super) fn class_install(context: &mut Context<'_>) -> Result<Vec<RegistryLine>, InfError> {
    let name = context.decorated("ClassInstall32");
    let mut registry = Vec::new();
    for placed in context.lines(0, &name, &mut Vec::new())? {
        if placed.1.key().is_some_and(|key| same(key, "CopyFiles")) {
            need_copies(context, &placed)?;
        } else if !registry_of(context, &placed, &mut registry)? {
            note(context, &placed);
        }
    }
    if let Some(section) = context.scopes[0].inf.section(&name) {
        context.unsupported(0, "ClassInstall32", section.number());
    }
    Ok(registry)
}
