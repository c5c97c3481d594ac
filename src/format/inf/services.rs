//! `AddService`: services, their registry values, their event sources.
//!
//! `AddService = name, flags, section[, event section[, log[, source]]]`; an empty name with flag 2 says that the device needs no
//! driver. Source: `facts/inf.md`.

use super::document::same;
use super::error::{InfCause, InfError};
use super::files::destination;
use super::install::{number_at, registry_of, text_at};
use super::model::{RegistryLine, Service};
use super::resolve::{Context, Placed};

/// What a service section may say that is not done natively.
const NOT_DONE: &[&str] = &[
    "AddTrigger",
    "DelayedAutoStart",
    "FailureActions",
    "PreshutdownTimeout",
    "RequiredPrivileges",
    "ServiceSidType",
    "StartName",
    "UserName",
    "BitReg",
];

/// The services of the lines of a `.Services` section.
pub(super) fn services<'a>(
    context: &mut Context<'a>,
    lines: &[Placed<'a>],
) -> Result<Vec<Service>, InfError> {
    let mut services = Vec::new();
    for placed in lines {
        let (scope, line) = *placed;
        let key = line.key().unwrap_or_default();
        if same(key, "DelService") {
            context.unsupported(scope, "DelService", line.number());
        } else if same(key, "AddService") {
            services.extend(service(context, placed)?);
        }
    }
    Ok(services)
}

fn service<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
) -> Result<Option<Service>, InfError> {
    let name = text_at(context, placed, 0);
    let flags = number_at(context, placed, 1, "the flags of a service")?;
    let section = text_at(context, placed, 2);
    let scope = &context.scopes[placed.0].name;
    let inf = (!scope.is_empty()).then(|| scope.clone());
    let mut service = Service { name, flags, inf, ..Service::default() };
    if service.name.is_empty() || section.is_empty() {
        return Ok(Some(service));
    }
    if context.find(placed.0, &section).is_none() {
        if context.includes_are_missing() {
            context.find_or_note(placed, &section);
            return Ok(None);
        }
        let cause = InfCause::ServiceSection { service: service.name, section };
        return Err(placed.1.error(cause));
    }
    for setting in context.lines(placed.0, &section, &mut Vec::new())? {
        set(context, &setting, &mut service)?;
    }
    service.event_log = event_log(context, placed, &service.name)?;
    Ok(Some(service))
}

/// One line of a service section.
fn set<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
    service: &mut Service,
) -> Result<(), InfError> {
    let (scope, line) = *placed;
    let Some(key) = line.key() else { return Ok(()) };
    let text = text_at(context, placed, 0);
    match key.to_ascii_lowercase().as_str() {
        "displayname" => {
            service.display_name = Some(line.value(0).to_owned());
            service.display_text = Some(text);
        }
        "description" => {
            service.description = Some(line.value(0).to_owned());
            service.description_text = Some(text);
        }
        "servicetype" => {
            service.service_type = number_at(context, placed, 0, "the type of a service")?;
        }
        "starttype" => {
            service.start_type = number_at(context, placed, 0, "the start of a service")?;
        }
        "errorcontrol" => {
            service.error_control =
                number_at(context, placed, 0, "the error control of a service")?;
        }
        "servicebinary" => {
            let wrong = || line.error(InfCause::ServiceBinary(text.clone()));
            let path = destination(&text).ok_or_else(wrong)?;
            let path =
                path.map_err(|why| line.error(InfCause::Path { path: text.clone(), why }))?;
            service.binary = Some(path);
        }
        "loadordergroup" => service.group = Some(text).filter(|text| !text.is_empty()),
        "dependencies" => {
            let strings = &context.scopes[scope].strings;
            let names = line.values().map(|name| strings.expand(name));
            service.dependencies.extend(names.filter(|name| !name.is_empty()));
        }
        "security" => service.security = Some(text),
        "bootflags" => {
            service.boot_flags =
                Some(number_at(context, placed, 0, "the boot flags of a service")?);
        }
        _ if registry_of(context, placed, &mut service.registry)? => {}
        _ => {
            if let Some(what) = NOT_DONE.iter().find(|known| same(known, key)) {
                context.unsupported(scope, what, line.number());
            }
        }
    }
    Ok(())
}

/// The event source that fields 3 to 5 of an `AddService` line give.
fn event_log<'a>(
    context: &mut Context<'a>,
    placed: &Placed<'a>,
    service: &str,
) -> Result<Option<(String, Vec<RegistryLine>)>, InfError> {
    let section = text_at(context, placed, 3);
    if section.is_empty() || context.find_or_note(placed, &section).is_none() {
        return Ok(None);
    }
    let log = text_at(context, placed, 4);
    if !log.is_empty() && !same(&log, "System") {
        let what = format!("event source in the log {log}");
        context.unsupported(placed.0, &what, placed.1.number());
        return Ok(None);
    }
    let source = Some(text_at(context, placed, 5)).filter(|name| !name.is_empty());
    let mut lines = Vec::new();
    for entry in context.lines(placed.0, &section, &mut Vec::new())? {
        registry_of(context, &entry, &mut lines)?;
    }
    Ok(Some((source.unwrap_or_else(|| service.to_owned()), lines)))
}
