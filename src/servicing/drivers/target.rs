//! What the image tells a driver package: for which Windows its sections are chosen, and the INFs that it may include.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use crate::{
    base::name::Name,
    format::inf::{Includes, Inf, InfArchitecture, Target},
    image::{Architecture, Image, ImageError, ImageFacts, RegistryPath},
};

use super::place;

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

/// What was read of the image's own INFs, by lower-case name.
pub(super) type InboxCache = RefCell<BTreeMap<String, Option<Arc<Inf>>>>;

/// The image's own INFs, read when a package includes them.
pub(super) struct InboxInfs<'a> {
    pub(super) image: &'a Image,
    pub(super) cache: &'a InboxCache,
}

impl Includes for InboxInfs<'_> {
    fn inf(&self, name: &str) -> Option<Arc<Inf>> {
        let name = name.to_lowercase();
        if let Some(known) = self.cache.borrow().get(&name) {
            return known.clone();
        }
        let path = place::published(self.image, &name);
        let read = self.image.read(&path).ok().and_then(|bytes| Inf::parse(&bytes).ok());
        let read = read.map(Arc::new);
        self.cache.borrow_mut().insert(name, read.clone());
        read
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
