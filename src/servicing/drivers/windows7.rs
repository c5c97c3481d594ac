//! Windows 7 and Server 2008 R2, which have no driver database in the registry: its index files are not documented, so nothing is pretended there.
//!
//! The package goes to a folder of its own that `DevicePath` names, where Windows looks for drivers of the devices it finds. For boot-critical classes the
//! `CriticalDeviceDatabase` binds each hardware ID to its service, and service and file are there at once (`facts/drivers.md` F).

use crate::{
    base::name::Name,
    format::{hive::Value, inf::DriverInf},
    image::{Image, ImageError, NewNode},
};

use super::{
    candidate::Candidate,
    place,
    reflect::{self, parse},
};

const CRITICAL: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\CriticalDeviceDatabase";
const CURRENT_VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion";
const DEVICE_PATH: &str = "DevicePath";
const FOLDER: &str = "Drivers";
const BOOT_START: u32 = 0;

/// True for a Windows before 8 (6.2).
pub(super) fn is_old(version: (u16, u16)) -> bool {
    version < (6, 2)
}

pub(super) fn install(candidate: &Candidate<'_>, image: &mut Image) -> Result<(), ImageError> {
    let folder = place::below_windows(image, &[FOLDER, &candidate.package]);
    for (path, file) in candidate.files() {
        let Some(names) = place::names(path) else { continue };
        let path = names.into_iter().fold(folder.clone(), |path, name| path.join(name));
        image.put_file(&path, file.content, &NewNode::default())?;
    }
    device_path(candidate, image)?;
    if is_critical(&candidate.model) {
        critical(candidate, image)?;
    }
    Ok(())
}

/// Windows 7 has no class property that says it; a driver that starts with the boot loader is one that the boot needs.
pub(super) fn is_critical(model: &DriverInf) -> bool {
    let mut services = model.installs.iter().flat_map(|install| &install.services);
    services
        .any(|service| service.service_type != 0 && reflect::start_of(model, service) == BOOT_START)
}

fn device_path(candidate: &Candidate<'_>, image: &mut Image) -> Result<(), ImageError> {
    let key = parse(CURRENT_VERSION);
    let old = image.registry_value(&key, &DEVICE_PATH.into())?.and_then(|value| value.as_text());
    let old = old.unwrap_or_else(|| r"%SystemRoot%\inf".to_owned());
    let ours = format!(r"%SystemRoot%\{FOLDER}\{}", candidate.package);
    if old.split(';').any(|path| path.eq_ignore_ascii_case(&ours)) {
        return Ok(());
    }
    image.set_value(&key, &Value::expand_sz(DEVICE_PATH, &format!("{old};{ours}")))
}

fn critical(candidate: &Candidate<'_>, image: &mut Image) -> Result<(), ImageError> {
    let model = &candidate.model;
    for install in &model.installs {
        reflect::copies(candidate, install, None, image)?;
        for service in &install.services {
            reflect::service(candidate, service, None, image)?;
        }
    }
    for line in &model.models {
        let Some(install) = model.installs.iter().find(|known| known.section == line.install)
        else {
            continue;
        };
        // The function driver is the one whose AddService has flag 2.
        let Some(service) = install.services.iter().find(|service| service.flags & 2 != 0) else {
            continue;
        };
        for id in std::iter::once(&line.hardware_id).chain(&line.compatible_ids) {
            let key =
                parse(CRITICAL).join(&Name::from(id.replace('\\', "#").to_lowercase().as_str()));
            image
                .set_value(&key, &Value::sz("ClassGUID", &model.version.class_guid.to_string()))?;
            image.set_value(&key, &Value::sz("Service", &service.name))?;
            for upper in [true, false] {
                let filters: Vec<String> = install
                    .filters
                    .iter()
                    .filter(|filter| filter.upper == upper)
                    .map(|filter| filter.service.clone())
                    .collect();
                let name = if upper { "UpperFilters" } else { "LowerFilters" };
                if !filters.is_empty() {
                    image.set_value(&key, &Value::multi_sz(name, &filters))?;
                }
            }
        }
    }
    Ok(())
}
