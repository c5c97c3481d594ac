//! What Windows does at once, offline, with packages of boot-critical classes ("reflection"): services, files outside the store, registry lines.
//!
//! Source: `facts/drivers.md` D and H, `facts/inf.md`. Packages of other classes are configured by Windows at the first boot, from their INF.

use std::collections::BTreeSet;

use crate::{
    base::name::Name,
    format::{
        hive::{Value, ValueType},
        inf::{DriverInf, Install, RegistryAction, RegistryLine, RegistryRoot, Service},
        security::parse_sddl,
    },
    image::{Image, ImageError, NewNode, RegistryPath},
};

use super::{
    candidate::Candidate,
    database::{self, PackageVersion},
    image_check, place,
};

pub(super) const SERVICES: &str = r"HKLM\SYSTEM\CurrentControlSet\Services";
pub(super) const LOCKDOWN: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles";
/// `Type` bits of services that are programs, not drivers.
const PROGRAM_TYPES: u32 = 0x10 | 0x20 | 0x40 | 0x80;
const FUNCTION_DRIVER: u32 = 2;
const BOOT_START: u32 = 0;
const DEMAND_START: u32 = 3;
/// Flags of `AddService`: what an existing service keeps (windows-driver-docs, inf-addservice-directive).
const KEEP_DISPLAY_NAME: u32 = 0x8;
const KEEP_START: u32 = 0x10;
const KEEP_ERROR_CONTROL: u32 = 0x20;
const KEEP_GROUP: u32 = 0x40;
const KEEP_DEPENDENCIES: u32 = 0x80;
const KEEP_DESCRIPTION: u32 = 0x100;
/// Flags of `CopyFiles` entries: only where no file is, only where one is.
const COPY_NO_OVERWRITE: u32 = 0x10;
const COPY_REPLACE_ONLY: u32 = 0x400;
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
        included_copies(candidate, install, image)?;
        copies(candidate, install, Some(published), image)?;
        for service in &install.services {
            self::service(candidate, service, Some(published), image)?;
        }
        let lines = install
            .driver_registry
            .iter()
            .chain(&install.device_registry)
            .chain(install.interface_registry.iter().flatten());
        for line in lines.filter(|line| line.root != RegistryRoot::Relative) {
            registry_line(line, None, image)?;
        }
    }
    Ok(())
}

/// Files of Windows that the INF builds on and that are not in their place yet: from the store folder of the INF that brings them. They stay Windows' own.
fn included_copies(
    candidate: &Candidate<'_>,
    install: &Install,
    image: &mut Image,
) -> Result<(), ImageError> {
    let architecture = candidate.target.architecture;
    for (inf, copy) in &install.included_copies {
        if image_check::is_there(candidate, copy, image) {
            continue;
        }
        let from = image_check::included_file(image, inf, &copy.from, architecture);
        let to = place::path(image, &copy.to, &candidate.package, architecture);
        if let (Some(from), Some(to)) = (from, to) {
            let content = image.read(&from)?;
            image.put_bytes(&to, content, &NewNode::default())?;
        }
    }
    Ok(())
}

/// Copies files to where the INF wants them; `owner`: and writes down whose they are, unless the image has the file already and nobody owns it: then
/// it is somebody's who does not say so, and must not go with this package.
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
        let Some(to) = place::path(image, &copy.to, &candidate.package, architecture) else {
            continue;
        };
        let existed = image.tree().lookup(&to).is_some();
        if existed && copy.flags & COPY_NO_OVERWRITE != 0
            || !existed && copy.flags & COPY_REPLACE_ONLY != 0
        {
            continue;
        }
        let below = place::below_system_root(&copy.to, &candidate.package, architecture);
        let (Some(below), Some(owner)) = (below, owner) else {
            image.put_file(&to, file.content, &NewNode::default())?;
            continue;
        };
        let key = format!("%SystemRoot%/{}", below.replace('\\', "/"));
        let path = parse(LOCKDOWN).join(&Name::from(key.as_str()));
        if existed && owners(&path, image)?.is_empty() {
            image.put_file(&to, file.content, &NewNode::default())?;
            continue;
        }
        if newer_owns(candidate, &path, image)? {
            own_last(&path, owner, image)?;
            continue;
        }
        image.put_file(&to, file.content, &NewNode::default())?;
        let source = format!(
            r"%SystemRoot%\System32\DriverStore\FileRepository\{}\{}",
            candidate.package, copy.from
        );
        let class = if candidate.model.version.pnp_lockdown { 4 } else { 5 };
        image.set_value(&path, &Value::dword("Class", class))?;
        image.set_value(&path, &Value::expand_sz("Source", &source))?;
        own(&path, owner, image)?;
    }
    Ok(())
}

/// True when a third-party package that owns the key is newer (date, then version) than the candidate: Windows takes the better driver, whatever the
/// order in which they came.
fn newer_owns(
    candidate: &Candidate<'_>,
    key: &RegistryPath,
    image: &mut Image,
) -> Result<bool, ImageError> {
    let version = &candidate.model.version;
    let ours = (database::midnight(version.date), version.version);
    let root = candidate.hive().root();
    for owner in owners(key, image)? {
        if database::oem_number(&owner).is_none() {
            continue;
        }
        let entry = root.join(&"DriverInfFiles".into()).join(&Name::from(owner.as_str()));
        let active = image.registry_value(&entry, &"Active".into())?;
        let Some(package) = active.and_then(|value| value.as_text()) else { continue };
        let record = root.join(&"DriverPackages".into()).join(&Name::from(package.as_str()));
        let theirs = image.registry_value(&record, &"Version".into())?;
        let theirs = theirs.and_then(|value| PackageVersion::decode(&value.data));
        if theirs.is_some_and(|theirs| (theirs.date, theirs.version) > ours) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts `owner` behind the key's other `Owners`.
fn own_last(path: &RegistryPath, owner: &str, image: &mut Image) -> Result<(), ImageError> {
    let mut owners = owners(path, image)?;
    if !owners.iter().any(|known| known.eq_ignore_ascii_case(owner)) {
        owners.push(owner.to_owned());
        image.set_value(path, &Value::multi_sz("Owners", &owners))?;
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

/// Makes the service, owned by `published`; without one (Windows 7) nobody is written down as its owner.
///
/// A service that is there already and has no owners is one of Windows' own or of an installer: it gets the INF's values, but does not go with this
/// package. One that comes from a section of Windows' own INF keeps what it has.
pub(super) fn service(
    candidate: &Candidate<'_>,
    service: &Service,
    published: Option<&str>,
    image: &mut Image,
) -> Result<(), ImageError> {
    // Without a section it is a null service, or one that Windows has.
    if service.name.is_empty() || service.service_type == 0 {
        return Ok(());
    }
    let key = parse(SERVICES).join(&Name::from(service.name.as_str()));
    let existed = image.registry_key_exists(&key)?;
    let unowned = existed && owners(&key, image)?.is_empty();
    if let (Some(published), true) = (published, existed)
        && newer_owns(candidate, &key, image)?
    {
        return own_last(&key, published, image);
    }
    if !(existed && service.inf.is_some()) {
        for (value, keep) in service_values(candidate, service, published) {
            let kept = existed
                && service.flags & keep != 0
                && image.registry_value(&key, &value.name)?.is_some();
            if !kept {
                image.set_value(&key, &value)?;
            }
        }
        security(service, &key, image)?;
        for line in &service.registry {
            registry_line(line, Some(&key), image)?;
        }
    }
    if let (Some(published), false) = (published, unowned) {
        own(&key, published, image)?;
    }
    if let Some((source, lines)) = &service.event_log {
        let key = event_log(source);
        for line in lines {
            registry_line(line, Some(&key), image)?;
        }
    }
    Ok(())
}

/// The key of a source of the system's event log.
pub(super) fn event_log(source: &str) -> RegistryPath {
    parse(SERVICES).join(&"EventLog".into()).join(&"System".into()).join(&Name::from(source))
}

/// Who may control the service.
fn security(service: &Service, key: &RegistryPath, image: &mut Image) -> Result<(), ImageError> {
    let descriptor = service.security.as_ref().and_then(|text| parse_sddl(text).ok());
    match descriptor {
        Some(descriptor) => image.set_value(
            &key.join(&"Security".into()),
            &Value::binary("Security", descriptor.to_bytes()),
        ),
        None => Ok(()),
    }
}

/// When the service starts: as the INF says, but the controller of the boot disk with the boot loader. Windows sets that when it installs a device
/// that it boots from; in an image nobody knows which that will be.
pub(super) fn start_of(model: &DriverInf, service: &Service) -> u32 {
    let controller = BOOT_CONTROLLERS.contains(&model.version.class_guid.to_string().as_str());
    let function = service.flags & FUNCTION_DRIVER != 0;
    let kernel = service.service_type & PROGRAM_TYPES == 0;
    if controller && function && kernel && service.start_type == DEMAND_START {
        BOOT_START
    } else {
        service.start_type
    }
}

/// The values of the service's key, each with the flag of `AddService` that keeps an existing one.
fn service_values(
    candidate: &Candidate<'_>,
    service: &Service,
    published: Option<&str>,
) -> Vec<(Value, u32)> {
    let start = start_of(&candidate.model, service);
    let mut values = vec![
        (Value::dword("Type", service.service_type), 0),
        (Value::dword("Start", start), KEEP_START),
        (Value::dword("ErrorControl", service.error_control), KEEP_ERROR_CONTROL),
    ];
    // The folder of another INF's package is not this one's.
    let binary = service.binary.as_ref();
    let binary = binary.filter(|to| service.inf.is_none() || to.dirid != place::STORE);
    if let Some(binary) = binary {
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
            values.push((Value::expand_sz("ImagePath", &path), 0));
        }
    }
    let described = [
        ("DisplayName", &service.display_name, &service.display_text, KEEP_DISPLAY_NAME),
        ("Description", &service.description, &service.description_text, KEEP_DESCRIPTION),
    ];
    let inf = service.inf.as_deref().or(published);
    for (name, token, text, keep) in described {
        if let (Some(token), Some(text)) = (token, text) {
            // A token names the string, so that Windows shows it in the user's language.
            let shown = match inf {
                Some(inf) if token.starts_with('%') && token.ends_with('%') => {
                    format!("@{inf},{token};{text}")
                }
                _ => text.clone(),
            };
            values.push((Value::sz(name, &shown), keep));
        }
    }
    values.extend(service.group.as_ref().map(|group| (Value::sz("Group", group), KEEP_GROUP)));
    values.extend(service.boot_flags.map(|flags| (Value::dword("BootFlags", flags), 0)));
    let (groups, services): (Vec<&String>, Vec<&String>) =
        service.dependencies.iter().partition(|name| name.starts_with('+'));
    let groups: Vec<String> = groups.iter().map(|name| name[1..].to_owned()).collect();
    let services: Vec<String> = services.into_iter().cloned().collect();
    for (name, list) in [("DependOnService", services), ("DependOnGroup", groups)] {
        if !list.is_empty() {
            values.push((Value::multi_sz(name, &list), KEEP_DEPENDENCIES));
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
    if line.root == RegistryRoot::Relative {
        return true;
    }
    // A hive's root, a control set or all classes are not deleted by a driver.
    absolute(line).is_some_and(|path| {
        !matches!(line.action, RegistryAction::DeleteKey) || path.keys().len() >= 2
    })
}

/// The key of a line with an absolute root; `None` when no image has it.
pub(super) fn absolute(line: &RegistryLine) -> Option<RegistryPath> {
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
