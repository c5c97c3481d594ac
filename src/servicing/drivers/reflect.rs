//! What Windows does at once, offline, with packages of boot-critical classes ("reflection"): services, files outside the store, registry lines.
//!
//! Source: `facts/drivers.md` D and H, `facts/inf.md`. Packages of other classes are configured by Windows at the first boot, from their INF.

use std::collections::BTreeSet;

use crate::{
    base::name::Name,
    format::{
        hive::{Value, ValueType},
        inf::{DriverInf, Install, RegistryAction, RegistryLine, RegistryRoot, Service},
    },
    image::{Image, ImageError, NewNode, RegistryPath},
};

use super::{candidate::Candidate, place};

pub(super) const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
pub(super) const LOCKDOWN: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles";
/// `Type` bits of services that are programs, not drivers.
const PROGRAM_TYPES: u32 = 0x10 | 0x20 | 0x40 | 0x80;
const FUNCTION_DRIVER: u32 = 2;
const BOOT_START: u32 = 0;
const DEMAND_START: u32 = 3;
const NO_CLOBBER: u32 = 2;
const APPEND: u32 = 8;
const OVERWRITE_ONLY: u32 = 0x20;
/// Classes of controllers that the boot disk hangs on: SCSIAdapter, HDC.
const BOOT_CONTROLLERS: [&str; 2] =
    ["{4d36e97b-e325-11ce-bfc1-08002be10318}", "{4d36e96a-e325-11ce-bfc1-08002be10318}"];

/// Does it for `candidate`, published as `published` (`oem3.inf`).
pub(super) fn reflect(
    candidate: &Candidate<'_>,
    published: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    for install in &candidate.model.installs {
        copies(candidate, install, Some(published), image)?;
        for service in &install.services {
            self::service(candidate, service, published, image)?;
        }
        let lines = install.driver_registry.iter().chain(&install.device_registry);
        for line in lines.filter(|line| line.root != RegistryRoot::Relative) {
            registry_line(line, None, image)?;
        }
    }
    Ok(())
}

/// Copies files to where the INF wants them; `owner`: and writes down whose they are.
pub(super) fn copies(
    candidate: &Candidate<'_>,
    install: &Install,
    owner: Option<&str>,
    image: &mut Image,
) -> Result<(), ImageError> {
    for copy in &install.copies {
        if copy.to.dirid == place::STORE {
            continue;
        }
        let Some(file) = candidate.file(&copy.from) else { continue };
        let architecture = candidate.target.architecture;
        let Some(path) = place::path(image, &copy.to, &candidate.package, architecture) else {
            continue;
        };
        image.put_file(&path, file.content, &NewNode::default())?;
        let below = place::below_system_root(&copy.to, &candidate.package, architecture);
        if let (Some(below), Some(owner)) = (below, owner) {
            let key = format!("%SystemRoot%/{}", below.replace('\\', "/"));
            let path = parse(LOCKDOWN).join(&Name::from(key.as_str()));
            let source = format!(
                r"%SystemRoot%\System32\DriverStore\FileRepository\{}\{}",
                candidate.package, copy.from
            );
            let class = if candidate.model.version.pnp_lockdown { 4 } else { 5 };
            image.set_value(&path, &Value::dword("Class", class))?;
            image.set_value(&path, &Value::expand_sz("Source", &source))?;
            own(&path, owner, image)?;
        }
    }
    Ok(())
}

/// Puts `owner` in front of the key's `Owners`.
fn own(path: &RegistryPath, owner: &str, image: &mut Image) -> Result<(), ImageError> {
    let mut owners = owners(path, image)?;
    if !owners.iter().any(|known| known.eq_ignore_ascii_case(owner)) {
        owners.insert(0, owner.to_owned());
        image.set_value(path, &Value::multi_sz("Owners", &owners))?;
    }
    Ok(())
}

/// The key's `Owners`.
pub(super) fn owners(path: &RegistryPath, image: &mut Image) -> Result<Vec<String>, ImageError> {
    let value = image.registry_value(path, &"Owners".into())?;
    Ok(value.and_then(|value| value.as_multi_text()).unwrap_or_default())
}

/// Makes the service; `published` owns it.
pub(super) fn service(
    candidate: &Candidate<'_>,
    service: &Service,
    published: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    // Without a section it is a null service, or one that Windows has.
    if service.name.is_empty() || service.service_type == 0 {
        return Ok(());
    }
    let key = parse(SERVICES).join(&Name::from(service.name.as_str()));
    for value in service_values(candidate, service, published) {
        image.set_value(&key, &value)?;
    }
    own(&key, published, image)?;
    for line in &service.registry {
        registry_line(line, Some(&key), image)?;
    }
    if let Some((source, lines)) = &service.event_log {
        let key = parse(SERVICES)
            .join(&"EventLog".into())
            .join(&"System".into())
            .join(&Name::from(source.as_str()));
        for line in lines {
            registry_line(line, Some(&key), image)?;
        }
    }
    Ok(())
}

/// When the service starts: as the INF says, but the controller of the boot disk with the boot loader. Windows sets that when it installs a device
/// that it boots from; in an image nobody knows which that will be.
fn start_of(model: &DriverInf, service: &Service) -> u32 {
    let controller = BOOT_CONTROLLERS.contains(&model.version.class_guid.to_string().as_str());
    let function = service.flags & FUNCTION_DRIVER != 0;
    let kernel = service.service_type & PROGRAM_TYPES == 0;
    if controller && function && kernel && service.start_type == DEMAND_START {
        BOOT_START
    } else {
        service.start_type
    }
}

fn service_values(candidate: &Candidate<'_>, service: &Service, published: &str) -> Vec<Value> {
    let start = start_of(&candidate.model, service);
    let mut values = vec![
        Value::dword("Type", service.service_type),
        Value::dword("Start", start),
        Value::dword("ErrorControl", service.error_control),
    ];
    if let Some(binary) = &service.binary {
        let architecture = candidate.target.architecture;
        if let Some(below) = place::below_system_root(binary, &candidate.package, architecture) {
            let program = service.service_type & PROGRAM_TYPES != 0;
            let path = match (program, start, binary.dirid) {
                (true, _, _) => format!(r"%SystemRoot%\{below}"),
                (false, DEMAND_START, _) | (false, _, place::STORE) => {
                    format!(r"\SystemRoot\{below}")
                }
                _ => below,
            };
            values.push(Value::expand_sz("ImagePath", &path));
        }
    }
    let described = [
        ("DisplayName", &service.display_name, &service.display_text),
        ("Description", &service.description, &service.description_text),
    ];
    for (name, token, text) in described {
        if let (Some(token), Some(text)) = (token, text) {
            // A token names the string, so that Windows shows it in the user's language.
            let shown = if token.starts_with('%') && token.ends_with('%') {
                format!("@{published},{token};{text}")
            } else {
                text.clone()
            };
            values.push(Value::sz(name, &shown));
        }
    }
    values.extend(service.group.as_ref().map(|group| Value::sz("Group", group)));
    values.extend(service.boot_flags.map(|flags| Value::dword("BootFlags", flags)));
    let (groups, services): (Vec<&String>, Vec<&String>) =
        service.dependencies.iter().partition(|name| name.starts_with('+'));
    let groups: Vec<String> = groups.iter().map(|name| name[1..].to_owned()).collect();
    let services: Vec<String> = services.into_iter().cloned().collect();
    for (name, list) in [("DependOnService", services), ("DependOnGroup", groups)] {
        if !list.is_empty() {
            values.push(Value::multi_sz(name, &list));
        }
    }
    values
}

/// The services that a package has, by name.
pub(super) fn service_names(model: &DriverInf) -> BTreeSet<String> {
    let services = model.installs.iter().flat_map(|install| &install.services);
    services
        .filter(|service| !service.name.is_empty() && service.service_type != 0)
        .map(|service| service.name.clone())
        .collect()
}

/// True when this program can do the line: its root is a hive of an image.
pub(super) fn can_do(line: &RegistryLine) -> bool {
    line.root == RegistryRoot::Relative || absolute(line).is_some()
}

fn absolute(line: &RegistryLine) -> Option<RegistryPath> {
    let text = match line.root {
        RegistryRoot::LocalMachine => format!(r"HKLM\{}", line.key),
        RegistryRoot::ClassesRoot => format!(r"HKLM\SOFTWARE\Classes\{}", line.key),
        RegistryRoot::Relative | RegistryRoot::CurrentUser | RegistryRoot::Users => return None,
    };
    RegistryPath::parse(text.trim_end_matches('\\')).ok()
}

/// Does one line of an AddReg or DelReg section; `relative` is the key that `HKR` means.
fn registry_line(
    line: &RegistryLine,
    relative: Option<&RegistryPath>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let path = match (line.root, relative) {
        (RegistryRoot::Relative, Some(base)) => line
            .key
            .split('\\')
            .filter(|part| !part.is_empty())
            .fold(base.clone(), |path, part| path.join(&Name::from(part))),
        _ => match absolute(line) {
            Some(path) => path,
            None => return Ok(()),
        },
    };
    let name = Name::from(line.name.as_str());
    match &line.action {
        RegistryAction::Key => image.create_key(&path),
        RegistryAction::DeleteKey => image.delete_key(&path),
        RegistryAction::DeleteValue => image.delete_value(&path, &name),
        RegistryAction::Set { kind, data, flags } => {
            let old = match flags & (NO_CLOBBER | APPEND | OVERWRITE_ONLY) {
                0 => None,
                _ => image.registry_value(&path, &name)?,
            };
            if flags & NO_CLOBBER != 0 && old.is_some()
                || flags & OVERWRITE_ONLY != 0 && old.is_none()
            {
                return Ok(());
            }
            let value = Value::new(name, ValueType(*kind), data.clone());
            match old.and_then(|old| old.as_multi_text()) {
                Some(mut list) if flags & APPEND != 0 => {
                    let more = value.as_multi_text().unwrap_or_default();
                    let new =
                        |text: &String| !list.iter().any(|known| known.eq_ignore_ascii_case(text));
                    let more: Vec<String> = more.into_iter().filter(new).collect();
                    list.extend(more);
                    image.set_value(&path, &Value::multi_sz(line.name.as_str(), &list))
                }
                _ => image.set_value(&path, &value),
            }
        }
    }
}

/// A constant path.
pub(super) fn parse(text: &str) -> RegistryPath {
    RegistryPath::parse(text).expect("a constant path")
}
