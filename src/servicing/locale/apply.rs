//! Writing what was resolved. What is right already is not touched.

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::hive::Value,
    servicing::error::ServicingError,
};

use super::{
    keyboard::{Keyboard, KeyboardKind, Preload, braced},
    language::LanguageKind,
    registry::{CONTROL, KEYBOARD_DRIVER, Registry, same_texts},
    resolve::{Display, LayeredDriver, Wanted, layouts},
    tables::{self, Locale},
};

/// The first build with a user's list of languages: Windows 8.
const WINDOWS_8: u32 = 9200;
/// The first build that names a location by letters too: Windows 10 1709.
const WINDOWS_10_1709: u32 = 16_299;
/// Category of text services that are keyboards (GUID_TFCAT_TIP_KEYBOARD).
const TIP_KEYBOARD: &str = "{34745C63-B2F0-4784-8B67-5E12C8701A31}";
/// The unnamed default value, and one that is really called so.
const LOCALE_NAMES: [&str; 2] = ["", "(Default)"];

/// Values of `Control Panel\International` that override what Windows knows of the locale.
const OVERRIDES: [&str; 37] = [
    "iCalendarType",
    "iCurrDigits",
    "iCurrency",
    "iDate",
    "iDigits",
    "iFirstDayOfWeek",
    "iFirstWeekOfYear",
    "iLZero",
    "iMeasure",
    "iNegCurr",
    "iNegNumber",
    "iPaperSize",
    "iTime",
    "iTimePrefix",
    "iTLZero",
    "NumShape",
    "s1159",
    "s2359",
    "sCountry",
    "sCurrency",
    "sDate",
    "sDecimal",
    "sGrouping",
    "sList",
    "sLongDate",
    "sMonDecimalSep",
    "sMonGrouping",
    "sMonThousandSep",
    "sNativeDigits",
    "sNegativeSign",
    "sPositiveSign",
    "sShortDate",
    "sShortTime",
    "sThousand",
    "sTime",
    "sTimeFormat",
    "sYearMonth",
];

type Done = Result<(), ServicingError>;

pub(super) fn apply(wanted: &Wanted, registry: &mut Registry<'_>, build: Option<u32>) -> Done {
    // Of an image that does not tell its build everything is known; it is not an old one.
    let build = build.unwrap_or(u32::MAX);
    if let Some(display_language) = &wanted.ui {
        display(display_language, registry)?;
    }
    if let Some(tag) = &wanted.fallback {
        let key = format!(r"{CONTROL}\Nls\Language");
        registry.set_texts(&key, "InstallLanguageFallback", &[tag])?;
    }
    if let Some(locale) = wanted.system {
        system(locale, registry)?;
    }
    if let Some(locale) = wanted.user {
        user(locale, registry, build)?;
    }
    if let Some(keyboards) = &wanted.input {
        input(keyboards, registry, build)?;
    }
    if let Some(zone) = &wanted.time_zone {
        zone.apply(registry)?;
    }
    if let Some(driver) = wanted.layered_driver {
        layered_driver(driver, registry)?;
    }
    Ok(())
}

fn display(wanted: &Display, registry: &mut Registry<'_>) -> Done {
    let language = format!(r"{CONTROL}\Nls\Language");
    registry.set_text(&language, "InstallLanguage", &format!("{:04x}", wanted.system))?;
    if wanted.kind == LanguageKind::Full {
        registry.delete(&language, "InstallLanguageFallback")?;
    }
    preferred(&format!(r"{CONTROL}\MUI\Settings"), "PreferredUILanguages", wanted, registry)?;
    for root in registry.users() {
        let desktop = format!(r"{root}\Control Panel\Desktop");
        preferred(&desktop, "PreferredUILanguages", wanted, registry)?;
        // What the user's session last found; it must not outlive what it was found from.
        let cached = format!(r"{desktop}\MuiCached");
        let name = "MachinePreferredUILanguages";
        if registry.texts(&cached, name)?.is_some() {
            registry.set_texts(&cached, name, &[&wanted.tag])?;
        }
    }
    Ok(())
}

/// An interface pack is named; any other language is the system's own, so nothing else may be.
fn preferred(key: &str, name: &str, wanted: &Display, registry: &mut Registry<'_>) -> Done {
    if wanted.kind == LanguageKind::InterfacePack {
        return registry.set_texts(key, name, &[&wanted.tag]);
    }
    match registry.texts(key, name)? {
        Some(now) if same_texts(&now, &[&wanted.tag]) => Ok(()),
        _ => registry.delete(key, name),
    }
}

fn system(locale: &Locale, registry: &mut Registry<'_>) -> Done {
    let language = format!(r"{CONTROL}\Nls\Language");
    let list = format!(r"{CONTROL}\Nls\Locale");
    let pages_key = format!(r"{CONTROL}\Nls\CodePage");
    let (short, long) = (format!("{:04x}", locale.lcid), format!("{:08x}", locale.lcid));
    let now = registry.hexadecimal(&language, "Default")?;
    registry.set_text(&language, "Default", &short)?;
    for name in LOCALE_NAMES {
        registry.set_text(&list, name, &long)?;
    }
    let Some(pages) = locale.code_pages else { return Ok(()) };
    // UTF-8 for all programs is a choice of its own; it goes with the locale that it was made for.
    let is_utf8 = registry.text(&pages_key, "ACP")?.as_deref() == Some("65001");
    if is_utf8 && now == Some(locale.lcid.into()) {
        return Ok(());
    }
    for (name, page) in [("ACP", pages.ansi), ("OEMCP", pages.oem), ("MACCP", pages.mac)] {
        registry.set_text(&pages_key, name, &page.to_string())?;
    }
    // The raster font of the console, where the image has one for the code page.
    let font = match pages.oem {
        437 => "vgaoem.fon".to_owned(),
        page => format!("vga{page}.fon"),
    };
    let fonts = vec![registry.0.system_root(), Name::from("Fonts"), Name::from(font.as_str())];
    if registry.0.tree().lookup(&NtPath::from_names(fonts)).is_some() {
        registry.set_text(&pages_key, "OEMHAL", &font)?;
    }
    Ok(())
}

fn user(locale: &Locale, registry: &mut Registry<'_>, build: u32) -> Done {
    let common = format!(r"{CONTROL}\CommonGlobUserSettings\Control Panel\International");
    let mut keys: Vec<(String, bool)> = registry
        .users()
        .into_iter()
        .map(|root| (format!(r"{root}\Control Panel\International"), true))
        .collect();
    if registry.exists(&common)? {
        keys.push((common, false));
    }
    for (key, is_user) in keys {
        formats(&key, is_user && build >= WINDOWS_10_1709, locale, registry)?;
    }
    Ok(())
}

/// `named`: the location is named by letters too.
fn formats(key: &str, named: bool, locale: &Locale, registry: &mut Registry<'_>) -> Done {
    let long = format!("{:08x}", locale.lcid);
    let now = registry.text(key, "Locale")?;
    let now_name = registry.text(key, "LocaleName")?;
    let is = |text: Option<String>, wanted: &str| {
        text.is_some_and(|text| text.eq_ignore_ascii_case(wanted))
    };
    // What was chosen beside the locale, formats and location, belongs to it.
    if is(now, &long) && is(now_name, locale.tag) {
        return Ok(());
    }
    registry.set_text(key, "Locale", &long)?;
    registry.set_text(key, "LocaleName", locale.tag)?;
    registry.set_text(key, "sLanguage", locale.abbreviation)?;
    match locale.region.calling_code {
        Some(code) => registry.set_text(key, "iCountry", code)?,
        None => registry.delete(key, "iCountry")?,
    }
    for name in OVERRIDES {
        registry.delete(key, name)?;
    }
    let location = format!(r"{key}\Geo");
    registry.set_text(&location, "Nation", &locale.region.geoid.to_string())?;
    if named || registry.text(&location, "Name")?.is_some() {
        registry.set_text(&location, "Name", locale.region.code)?;
    }
    Ok(())
}

fn input(keyboards: &[Keyboard], registry: &mut Registry<'_>, build: u32) -> Done {
    let known: Vec<u32> = layouts(registry)?.into_iter().map(|(number, _)| number).collect();
    let wanted = Preload::of(keyboards, |layout| known.contains(&layout));
    for root in registry.users() {
        let is_right = read_preload(root, registry)?.layouts() == wanted.layouts();
        if !is_right {
            write_preload(root, &wanted, registry)?;
        }
        let methods = keyboards.iter().any(|k| matches!(k.kind, KeyboardKind::Method(..)));
        if methods {
            write_methods(root, keyboards, registry)?;
        }
        let profile = format!(r"{root}\Control Panel\International\User Profile");
        // Without such a list Windows makes one of what is preloaded.
        if build >= WINDOWS_8 && (!is_right || methods || registry.exists(&profile)?) {
            write_profile(&profile, keyboards, registry)?;
        }
    }
    Ok(())
}

/// The keyboards that a user's hive preloads.
pub(super) fn read_preload(
    root: &str,
    registry: &mut Registry<'_>,
) -> Result<Preload, ServicingError> {
    let number = |value: &Value| u32::from_str_radix(value.as_text()?.trim(), 16).ok();
    let mut identifiers: Vec<(u32, u32)> = registry
        .values(&format!(r"{root}\Keyboard Layout\Preload"))?
        .iter()
        .filter_map(|value| Some((value.name.to_text()?.parse().ok()?, number(value)?)))
        .collect();
    identifiers.sort_unstable();
    let substitutes = registry
        .values(&format!(r"{root}\Keyboard Layout\Substitutes"))?
        .iter()
        .filter_map(|value| {
            Some((u32::from_str_radix(&value.name.to_text()?, 16).ok()?, number(value)?))
        })
        .collect();
    Ok(Preload { identifiers: identifiers.into_iter().map(|(_, id)| id).collect(), substitutes })
}

fn write_preload(root: &str, wanted: &Preload, registry: &mut Registry<'_>) -> Done {
    let preload = format!(r"{root}\Keyboard Layout\Preload");
    let values = wanted.identifiers.iter().enumerate();
    let values = values.map(|(place, id)| ((place + 1).to_string(), format!("{id:08x}")));
    write_exactly(&preload, &values.collect::<Vec<_>>(), registry)?;
    let substitutes = format!(r"{root}\Keyboard Layout\Substitutes");
    let values = wanted.substitutes.iter();
    let values = values.map(|(from, to)| (format!("{from:08x}"), format!("{to:08x}")));
    write_exactly(&substitutes, &values.collect::<Vec<_>>(), registry)
}

/// The key holds these texts and nothing else.
fn write_exactly(key: &str, texts: &[(String, String)], registry: &mut Registry<'_>) -> Done {
    for value in registry.values(key)? {
        let name = value.name.to_text().unwrap_or_default();
        if !texts.iter().any(|(wanted, _)| wanted.eq_ignore_ascii_case(&name)) {
            registry.delete(key, &name)?;
        }
    }
    texts.iter().try_for_each(|(name, text)| registry.set_text(key, name, text))
}

/// The input methods, by their languages in order.
fn write_methods(root: &str, keyboards: &[Keyboard], registry: &mut Registry<'_>) -> Done {
    let mut counts = std::collections::BTreeMap::<u16, u32>::new();
    for keyboard in keyboards {
        let KeyboardKind::Method(class, profile) = &keyboard.kind else { continue };
        let count = counts.entry(keyboard.language).or_default();
        let key = format!(
            r"{root}\Software\Microsoft\CTF\SortOrder\AssemblyItem\0x{:08x}\{TIP_KEYBOARD}\{count:08x}",
            keyboard.language
        );
        *count += 1;
        registry.set_text(&key, "CLSID", &braced(class))?;
        registry.set_dword(&key, "KeyboardLayout", 0)?;
        registry.set_text(&key, "Profile", &braced(profile))?;
    }
    Ok(())
}

/// The user's languages in order, and below each its keyboards, numbered from 1.
fn write_profile(key: &str, keyboards: &[Keyboard], registry: &mut Registry<'_>) -> Done {
    let mut languages: Vec<(&str, Vec<String>)> = Vec::new();
    for keyboard in keyboards {
        let Some(locale) = tables::by_lcid(keyboard.language.into()) else { continue };
        // As Windows writes them there.
        let name = keyboard.to_string().to_ascii_uppercase();
        match languages.iter_mut().find(|(tag, _)| *tag == locale.tag) {
            Some((_, names)) => names.push(name),
            None => languages.push((locale.tag, vec![name])),
        }
    }
    let tags: Vec<&str> = languages.iter().map(|(tag, _)| *tag).collect();
    registry.set_texts(key, "Languages", &tags)?;
    for tag in registry.keys(key)? {
        let is_language = tables::by_tag(&tag).is_some();
        if is_language && !tags.iter().any(|wanted| wanted.eq_ignore_ascii_case(&tag)) {
            registry.delete_key(&format!(r"{key}\{tag}"))?;
        }
    }
    for (tag, names) in &languages {
        let below = format!(r"{key}\{tag}");
        for value in registry.values(&below)? {
            let name = value.name.to_text().unwrap_or_default();
            let wanted = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(&name));
            if Keyboard::parse(&name).is_some() && !wanted {
                registry.delete(&below, &name)?;
            }
        }
        for (number, name) in (1..).zip(names) {
            registry.set_dword(&below, name, number)?;
        }
    }
    Ok(())
}

fn layered_driver(driver: &LayeredDriver, registry: &mut Registry<'_>) -> Done {
    let key = KEYBOARD_DRIVER;
    registry.set_text(key, driver.value, driver.file)?;
    registry.set_text(key, "OverrideKeyboardIdentifier", driver.identifier)?;
    registry.set_dword(key, "OverrideKeyboardType", driver.kind)?;
    registry.set_dword(key, "OverrideKeyboardSubtype", driver.subtype)
}
