//! What an image is set to: what `DISM /Get-Intl` reports, as data.

use crate::{
    image::{HiveId, Image},
    servicing::error::ServicingError,
};

use super::{
    apply::read_preload,
    keyboard::{Keyboard, KeyboardKind},
    language::{self, InstalledLanguage},
    registry::{CONTROL, KEYBOARD_DRIVER, Registry},
    resolve::{LAYERED_DRIVERS, layouts},
    tables,
};

/// Languages, formats, keyboards and the time zone of an image. What the image does not say is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocaleState {
    /// The language that the system itself is in.
    pub ui_language: Option<String>,
    /// Display languages that are preferred to that, for the whole machine: interface packs.
    pub preferred_ui_languages: Vec<String>,
    /// What is shown where the display language has no text.
    pub ui_fallback: Vec<String>,
    /// The locale of programs that do not know Unicode.
    pub system_locale: Option<String>,
    /// Their code page: `1252`; `65001` is UTF-8.
    pub ansi_code_page: Option<String>,
    /// Key name of the time zone.
    pub time_zone: Option<String>,
    /// False when the zone's daylight saving time is switched off.
    pub daylight_saving: Option<bool>,
    /// The locale of new users.
    pub user_locale: Option<String>,
    /// The locale of the logon screen.
    pub logon_locale: Option<String>,
    /// The location of new users.
    pub location: Option<Location>,
    /// The keyboards of new users, the default one first.
    pub keyboards: Vec<KeyboardState>,
    /// The layered keyboard driver.
    pub layered_driver: Option<LayeredDriverState>,
    /// The installed languages.
    pub languages: Vec<InstalledLanguage>,
}

/// A location.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Location {
    /// Its number: 94.
    pub geoid: u32,
    /// Its English name, where it is one of a locale's.
    pub name: Option<String>,
}

/// A keyboard.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeyboardState {
    /// `0407:00000407`, or `0411:{class}{profile}`.
    pub identifier: String,
    /// The language's tag.
    pub language: Option<String>,
    /// What the image calls the layout: `German`.
    pub layout: Option<String>,
}

/// A layered keyboard driver.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayeredDriverState {
    /// Its number, 1 to 6.
    pub number: Option<u8>,
    /// What it is called.
    pub name: String,
}

/// Reads what the image is set to.
///
/// # Errors
/// When a hive is damaged. What is missing is unknown in the answer.
pub fn inventory(image: &mut Image) -> Result<LocaleState, ServicingError> {
    let has = |id| image.has_hive(id);
    let has_system = has(HiveId::System);
    let user = [HiveId::NtUser, HiveId::Default]
        .into_iter()
        .find(|id| has(*id))
        .map(HiveId::registry_root);
    let has_default = has(HiveId::Default);
    let mut registry = Registry(image);
    let mut state = LocaleState::default();
    if has_system {
        system(&mut state, &mut registry)?;
    }
    if let Some(root) = user {
        let key = format!(r"{root}\Control Panel\International");
        state.user_locale = locale(&key, &mut registry)?;
        let nation = registry.text(&format!(r"{key}\Geo"), "Nation")?;
        state.location = nation.and_then(|text| text.trim().parse().ok()).map(|geoid| Location {
            geoid,
            name: tables::by_geoid(geoid).map(|region| region.name.to_owned()),
        });
        let names = if has_system { layouts(&mut registry)? } else { Vec::new() };
        state.keyboards = keyboards(root, &mut registry)?
            .into_iter()
            .map(|keyboard| shown(&keyboard, &names))
            .collect();
    }
    if has_default {
        state.logon_locale = locale(r"HKU\.DEFAULT\Control Panel\International", &mut registry)?;
    }
    Ok(state)
}

fn system(state: &mut LocaleState, registry: &mut Registry<'_>) -> Result<(), ServicingError> {
    state.languages = language::installed(registry)?;
    let languages = &state.languages;
    let tag = |lcid: u32| {
        let installed = languages.iter().find(|language| language.lcid == Some(lcid));
        installed
            .map(|language| language.tag.clone())
            .or_else(|| tables::by_lcid(lcid).map(|locale| locale.tag.to_owned()))
    };
    let key = format!(r"{CONTROL}\Nls\Language");
    state.ui_language = registry.hexadecimal(&key, "InstallLanguage")?.and_then(tag);
    state.ui_fallback = registry.texts(&key, "InstallLanguageFallback")?.unwrap_or_default();
    let default = registry.hexadecimal(&key, "Default")?;
    state.system_locale =
        default.and_then(tables::by_lcid).map(|locale| locale.tag.to_owned()).or_else(|| {
            let text = default.map(|lcid| format!("{lcid:04x}"));
            text.filter(|_| default != Some(0))
        });
    state.preferred_ui_languages = registry
        .texts(&format!(r"{CONTROL}\MUI\Settings"), "PreferredUILanguages")?
        .unwrap_or_default();
    state.ansi_code_page = registry.text(&format!(r"{CONTROL}\Nls\CodePage"), "ACP")?;
    let zone = format!(r"{CONTROL}\TimeZoneInformation");
    state.time_zone = registry.text(&zone, "TimeZoneKeyName")?.filter(|name| !name.is_empty());
    let off = registry.dword(&zone, "DynamicDaylightTimeDisabled")?;
    state.daylight_saving = off.map(|off| off == 0);
    let driver = registry.text(KEYBOARD_DRIVER, "OverrideKeyboardIdentifier")?;
    state.layered_driver = driver.map(|identifier| {
        let known = LAYERED_DRIVERS
            .iter()
            .find(|driver| driver.identifier.eq_ignore_ascii_case(&identifier));
        LayeredDriverState {
            number: known.map(|driver| driver.number),
            name: known.map_or(identifier, |driver| driver.name.to_owned()),
        }
    });
    Ok(())
}

/// The locale of a user's hive: by its name, else by its number.
fn locale(key: &str, registry: &mut Registry<'_>) -> Result<Option<String>, ServicingError> {
    if let Some(name) = registry.text(key, "LocaleName")?.filter(|name| !name.is_empty()) {
        return Ok(Some(name));
    }
    let number = registry.hexadecimal(key, "Locale")?;
    Ok(number.and_then(tables::by_lcid).map(|locale| locale.tag.to_owned()))
}

/// The keyboards of a user's hive: from the list of languages (8 and later), else from what is preloaded.
fn keyboards(root: &str, registry: &mut Registry<'_>) -> Result<Vec<Keyboard>, ServicingError> {
    let profile = format!(r"{root}\Control Panel\International\User Profile");
    let mut list = Vec::new();
    for tag in registry.texts(&profile, "Languages")?.unwrap_or_default() {
        if !super::registry::is_key_name(&tag) {
            continue;
        }
        let mut numbered: Vec<(u32, Keyboard)> = registry
            .values(&format!(r"{profile}\{tag}"))?
            .iter()
            .filter_map(|value| Some((value.as_dword()?, Keyboard::parse(&value.name.to_text()?)?)))
            .collect();
        numbered.sort();
        list.extend(numbered.into_iter().map(|(_, keyboard)| keyboard));
    }
    if list.is_empty() {
        list = read_preload(root, registry)?.layouts();
    }
    Ok(list)
}

fn shown(keyboard: &Keyboard, layouts: &[(u32, String)]) -> KeyboardState {
    let layout = match keyboard.kind {
        KeyboardKind::Layout(number) => layouts.iter().find(|(known, _)| *known == number),
        KeyboardKind::Method(..) => None,
    };
    KeyboardState {
        identifier: keyboard.to_string(),
        language: tables::by_lcid(keyboard.language.into()).map(|locale| locale.tag.to_owned()),
        layout: layout.map(|(_, text)| text.clone()).filter(|text| !text.is_empty()),
    }
}
