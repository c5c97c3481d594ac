//! What the image tells a driver package: for which Windows its sections are chosen, and the INFs that it may include.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::inf::{Includes, Inf, InfArchitecture, Target},
    image::{Architecture, Image, ImageError, ImageFacts, RegistryPath},
};

/// English (United States): the language of strings when the image does not name one.
const ENGLISH: u16 = 0x0409;

/// Which Windows the image is; `None` when it does not say its architecture or version.
pub(super) fn target(facts: &ImageFacts) -> Option<Target> {
    let architecture = match facts.architecture? {
        Architecture::X86 => InfArchitecture::X86,
        Architecture::Amd64 => InfArchitecture::Amd64,
        Architecture::Arm => InfArchitecture::Arm,
        Architecture::Arm64 => InfArchitecture::Arm64,
        Architecture::Ia64 => return None,
    };
    Some(Target {
        architecture,
        version: (u16::try_from(facts.major?).ok()?, u16::try_from(facts.minor.unwrap_or(0)).ok()?),
        build: facts.build?,
        product_type: facts.product_type.as_deref().and_then(|kind| match kind {
            "WinNT" => Some(1),
            "LanmanNT" => Some(2),
            "ServerNT" => Some(3),
            _ => None,
        }),
        language: ENGLISH,
    })
}

/// The image's own INFs, read when a package includes them.
pub(super) struct InboxInfs<'a> {
    image: &'a Image,
    read: Mutex<BTreeMap<String, Option<Arc<Inf>>>>,
}

impl<'a> InboxInfs<'a> {
    pub(super) fn new(image: &'a Image) -> Self {
        Self { image, read: Mutex::default() }
    }
}

impl Includes for InboxInfs<'_> {
    fn inf(&self, name: &str) -> Option<Arc<Inf>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(name.to_lowercase())
            .or_insert_with(|| {
                let names = vec![self.image.system_root(), "INF".into(), Name::from(name)];
                let bytes = self.image.read(&NtPath::from_names(names)).ok()?;
                Some(Arc::new(Inf::parse(&bytes).ok()?))
            })
            .clone()
    }
}

/// The language that the strings of packages are chosen by: the one Windows was installed with.
pub(super) fn language(image: &mut Image) -> Result<u16, ImageError> {
    let path = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Control\Nls\Language")
        .expect("a constant path");
    let value = image.registry_value(&path, &Name::from("InstallLanguage"))?;
    let number = value.and_then(|value| u16::from_str_radix(value.as_text()?.trim(), 16).ok());
    Ok(number.unwrap_or(ENGLISH))
}
