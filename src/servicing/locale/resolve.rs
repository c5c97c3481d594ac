//! A recipe's words against one image: what exactly is to be written, or why it cannot be.

use crate::servicing::error::{Problem, ServicingError};

use super::{
    keyboard::{Keyboard, KeyboardKind, braced},
    language::{self, InstalledLanguage, LanguageKind},
    registry::{CONTROL, KEYBOARD_DRIVER, Registry},
    spec::LocaleSpec,
    tables::{self, Locale},
    time_zone::{self, TimeZoneSetting},
};

/// What is to be set; what is not given stays.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) ui: Option<Display>,
    pub(super) fallback: Option<String>,
    pub(super) system: Option<&'static Locale>,
    pub(super) user: Option<&'static Locale>,
    pub(super) input: Option<Vec<Keyboard>>,
    pub(super) time_zone: Option<TimeZoneSetting>,
    pub(super) layered_driver: Option<&'static LayeredDriver>,
}

/// A display language.
#[derive(Debug, Clone)]
pub(super) struct Display {
    pub(super) tag: String,
    /// What the system itself is in: the language, or the one that an interface pack lies on.
    pub(super) system: u32,
    pub(super) kind: LanguageKind,
}

/// A layered keyboard driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayeredDriver {
    pub(super) number: u8,
    /// Which of the two values it replaces.
    pub(super) value: &'static str,
    pub(super) file: &'static str,
    pub(super) identifier: &'static str,
    pub(super) kind: u32,
    pub(super) subtype: u32,
    /// As DISM calls it.
    pub(super) name: &'static str,
}

const JAPANESE: &str = "LayerDriver JPN";
const KOREAN: &str = "LayerDriver KOR";

/// Seen in real systems: 1, 4 and 6. The others follow their pattern (inferred).
pub(super) static LAYERED_DRIVERS: [LayeredDriver; 6] = [
    layered(
        1,
        JAPANESE,
        "kbd101.dll",
        "PCAT_101KEY",
        (7, 0),
        "PC/AT Enhanced Keyboard (101/102-Key)",
    ),
    layered(
        2,
        KOREAN,
        "kbd101a.dll",
        "PCAT_101AKEY",
        (8, 3),
        "Korean PC/AT 101-Key Compatible Keyboard (Type 1)",
    ),
    layered(
        3,
        KOREAN,
        "kbd101b.dll",
        "PCAT_101BKEY",
        (8, 4),
        "Korean PC/AT 101-Key Compatible Keyboard (Type 2)",
    ),
    layered(
        4,
        KOREAN,
        "kbd101c.dll",
        "PCAT_101CKEY",
        (8, 5),
        "Korean PC/AT 101-Key Compatible Keyboard (Type 3)",
    ),
    layered(5, KOREAN, "kbd103.dll", "PCAT_103KEY", (8, 6), "Korean Keyboard (103/106 Key)"),
    layered(6, JAPANESE, "kbd106.dll", "PCAT_106KEY", (7, 2), "Japanese Keyboard (106/109 Key)"),
];

const fn layered(
    number: u8,
    value: &'static str,
    file: &'static str,
    identifier: &'static str,
    (kind, subtype): (u32, u32),
    name: &'static str,
) -> LayeredDriver {
    LayeredDriver { number, value, file, identifier, kind, subtype, name }
}

/// The first build whose languages DISM sets: Windows 7.
const WINDOWS_7: u32 = 7600;
/// ANSI code pages that bring fonts of their own.
const EAST_ASIAN: [u32; 4] = [932, 936, 949, 950];

/// What `spec` is in this image, and what is to be said of it; with an error among that, nothing may be written.
pub(super) fn resolve(
    spec: &LocaleSpec,
    registry: &mut Registry<'_>,
    build: Option<u32>,
) -> Result<(Wanted, Vec<Problem>), ServicingError> {
    if let Some(build) = build.filter(|build| *build < WINDOWS_7) {
        let cause = format!("build {build} is older than Windows 7: its settings lie elsewhere");
        let help = "take [locale] away, and use an answer file";
        return Ok((Wanted::default(), vec![Problem::error(build.to_string(), cause, help)]));
    }
    let mut resolving = Resolving { registry, wanted: Wanted::default(), problems: Vec::new() };
    resolving.all(spec)?;
    Ok((resolving.wanted, resolving.problems))
}

struct Resolving<'a, 'b> {
    registry: &'a mut Registry<'b>,
    wanted: Wanted,
    problems: Vec<Problem>,
}

impl Resolving<'_, '_> {
    fn all(&mut self, spec: &LocaleSpec) -> Result<(), ServicingError> {
        let every = spec.defaults.as_deref().or(spec.all.as_deref());
        if let Some(tag) = every
            && self.locale(tag).is_none()
        {
            // Everything else would only say it again.
            return Ok(());
        }
        self.display(spec, every)?;
        match (spec.system.as_deref(), every) {
            (Some(tag), _) => self.system(tag, false),
            (None, Some(tag)) => self.system(tag, true),
            (None, None) => {}
        }
        if let Some(tag) = spec.user.as_deref().or(every) {
            self.wanted.user = self.locale(tag);
        }
        let input: Vec<&str> = match spec.input.as_slice() {
            [] => every.into_iter().collect(),
            input => input.iter().map(String::as_str).collect(),
        };
        self.input(&input)?;
        self.time_zone(spec)?;
        if let Some(number) = spec.layered_driver {
            self.layered_driver(number)?;
        }
        let has_user = self.wanted.user.is_some() || self.wanted.input.is_some();
        if has_user && self.registry.users().is_empty() {
            self.problems.push(Problem::error(
                "user",
                "the image has no hive for users: neither config\\DEFAULT nor Users\\Default\\NTUSER.DAT",
                "take `user`, `input`, `all` and `defaults` away",
            ));
        }
        Ok(())
    }

    /// A locale of the tables.
    fn locale(&mut self, tag: &str) -> Option<&'static Locale> {
        let found = tables::by_tag(tag);
        if found.is_none() {
            let tags = tables::locales().iter().map(|locale| locale.tag);
            let help = match language::near_tags(tag, tags).as_slice() {
                [] => "write a language and a region, as in de-DE; locales without an LCID of their own (en-DE) are not known".to_owned(),
                near => format!("did you mean {}?", near.join(", ")),
            };
            self.problems.push(Problem::error(tag, "this is no locale of Windows", help));
        }
        found
    }

    fn display(&mut self, spec: &LocaleSpec, every: Option<&str>) -> Result<(), ServicingError> {
        let wanted = spec.ui.as_deref().or(every);
        if wanted.is_none() && spec.ui_fallback.is_none() {
            return Ok(());
        }
        let languages = language::installed(self.registry)?;
        let fallback = match spec.ui_fallback.as_deref().map(|tag| language::find(tag, &languages))
        {
            Some(Err(problem)) => {
                self.problems.push(problem);
                return Ok(());
            }
            Some(Ok(language)) => Some(language),
            None => None,
        };
        let now =
            self.registry.hexadecimal(&format!(r"{CONTROL}\Nls\Language"), "InstallLanguage")?;
        let current = languages.iter().find(|language| language.lcid == now && now.is_some());
        let language = match wanted.map(|tag| language::find(tag, &languages)) {
            Some(Ok(language)) => Some(language),
            Some(Err(problem)) => {
                self.problems.push(problem);
                return Ok(());
            }
            None => current,
        };
        if let (Some(language), Some(fallback)) = (language, fallback) {
            self.fallback(language, fallback);
        }
        let Some(language) = language.filter(|_| wanted.is_some()) else { return Ok(()) };
        let system = match language.kind {
            LanguageKind::InterfacePack => parent(language, fallback, current, &languages),
            _ => Some(language),
        };
        let Some(lcid) = system.and_then(|system| system.lcid) else {
            self.problems.push(Problem::error(
                &language.tag,
                "this language covers a part of Windows, and none is known that has the rest",
                "give `ui-fallback` too: an installed language that is whole",
            ));
            return Ok(());
        };
        let (tag, kind) = (language.tag.clone(), language.kind);
        self.wanted.ui = Some(Display { tag, system: lcid, kind });
        Ok(())
    }

    fn fallback(&mut self, language: &InstalledLanguage, fallback: &InstalledLanguage) {
        let problem = if language.kind == LanguageKind::Full {
            let cause = format!(
                "{} covers all of Windows, so nothing is ever taken from another language",
                language.tag
            );
            Some((cause, "take `ui-fallback` away".to_owned()))
        } else if fallback.kind == LanguageKind::InterfacePack || fallback.tag == language.tag {
            let cause = "it does not have what is missing either".to_owned();
            Some((cause, "name a language that is whole".to_owned()))
        } else {
            let known = &language.fallback;
            let fits =
                known.is_empty() || known.iter().any(|tag| tag.eq_ignore_ascii_case(&fallback.tag));
            (!fits).then(|| {
                let cause = format!("{} does not fall back to it", language.tag);
                (cause, format!("its languages: {}", known.join(", ")))
            })
        };
        match problem {
            Some((cause, help)) => {
                self.problems.push(Problem::error(&fallback.tag, cause, help));
            }
            None => self.wanted.fallback = Some(fallback.tag.clone()),
        }
    }

    /// `follows`: the tag is that of `defaults` or `all`.
    fn system(&mut self, tag: &str, follows: bool) {
        let Some(locale) = self.locale(tag) else { return };
        match locale.code_pages {
            None if follows => self.problems.push(Problem::warning(
                locale.tag,
                "it exists in Unicode alone, so the system locale stays as it is",
                "give `system` for another one",
            )),
            None => self.problems.push(Problem::error(
                locale.tag,
                "it exists in Unicode alone: it has no code page for programs that do not know Unicode",
                "name another locale, or take `system` away",
            )),
            Some(pages) => {
                if EAST_ASIAN.contains(&pages.ansi) {
                    self.problems.push(Problem::warning(
                        locale.tag,
                        format!("the substitutes of fonts for code page {} are left to Windows", pages.ansi),
                        "",
                    ));
                }
                self.wanted.system = Some(locale);
            }
        }
    }

    fn input(&mut self, wanted: &[&str]) -> Result<(), ServicingError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let before = self.problems.iter().filter(|problem| !problem.warning).count();
        let mut keyboards: Vec<Keyboard> = Vec::new();
        for text in wanted {
            for keyboard in self.keyboards(text)? {
                if !keyboards.contains(&keyboard) {
                    keyboards.push(keyboard);
                }
            }
        }
        let after = self.problems.iter().filter(|problem| !problem.warning).count();
        if before == after {
            self.wanted.input = Some(keyboards);
        }
        Ok(())
    }

    /// What `text` names: a profile, or the default ones of a locale.
    fn keyboards(&mut self, text: &str) -> Result<Vec<Keyboard>, ServicingError> {
        if let Some(keyboard) = Keyboard::parse(text) {
            if let Some(problem) = self.unusable(&keyboard)? {
                self.problems.push(problem);
                return Ok(Vec::new());
            }
            return Ok(vec![keyboard]);
        }
        if text.contains(':') {
            self.problems.push(Problem::error(
                text,
                "this is no keyboard",
                "write the language's LCID and the layout, as in 0407:00000407, or a locale for its default ones, as in de-DE",
            ));
            return Ok(Vec::new());
        }
        let Some(locale) = self.locale(text) else { return Ok(Vec::new()) };
        let mut usable = Vec::new();
        let mut missing = Vec::new();
        for keyboard in &locale.keyboards {
            match self.unusable(keyboard)? {
                None => usable.push(keyboard.clone()),
                Some(problem) => missing.push(problem),
            }
        }
        match (usable.is_empty(), missing.into_iter().next()) {
            (true, None) => self.problems.push(Problem::error(
                locale.tag,
                "its default keyboard is not known",
                format!("write it: `input = [\"{:04x}:00000409\"]` is the US layout", locale.lcid),
            )),
            (true, Some(problem)) => self.problems.push(problem),
            (false, Some(problem)) => {
                let cause = format!("of its keyboards one is left out: {}", problem.cause);
                self.problems.push(Problem::warning(problem.item, cause, problem.help));
            }
            (false, None) => {}
        }
        Ok(usable)
    }

    /// Why the image cannot have this keyboard.
    fn unusable(&mut self, keyboard: &Keyboard) -> Result<Option<Problem>, ServicingError> {
        let item = keyboard.to_string();
        if tables::by_lcid(keyboard.language.into()).is_none() {
            let cause = format!("{:04x} is no LCID of a locale", keyboard.language);
            let help = "the four digits before the colon are the language's: 0409 is en-US";
            return Ok(Some(Problem::error(item, cause, help)));
        }
        match &keyboard.kind {
            KeyboardKind::Layout(layout) => {
                let list = format!(r"{CONTROL}\Keyboard Layouts");
                if self.registry.exists(&format!(r"{list}\{layout:08x}"))? {
                    return Ok(None);
                }
                let layouts = layouts(self.registry)?;
                let help = match like(&layouts, *layout).as_slice() {
                    [] => format!(
                        r"`transom inspect image` shows the keyboards that are set; the layouts are the keys below {list}"
                    ),
                    near => format!("did you mean {}?", near.join(", ")),
                };
                let cause = "the image has no such keyboard layout";
                Ok(Some(Problem::error(item, cause, help)))
            }
            KeyboardKind::Method(class, profile) => {
                let key = format!(
                    r"HKLM\SOFTWARE\Microsoft\CTF\TIP\{}\LanguageProfile\0x{:08x}\{}",
                    braced(class),
                    keyboard.language,
                    braced(profile)
                );
                let there = self.registry.exists(&key)?;
                let help = format!(
                    "it comes with the language, or a capability of it; a plain layout does without: `input = [\"{0:04x}:0000{0:04x}\"]`",
                    keyboard.language
                );
                let cause = "the image has no such input method";
                Ok((!there).then(|| Problem::error(item, cause, help)))
            }
        }
    }

    fn time_zone(&mut self, spec: &LocaleSpec) -> Result<(), ServicingError> {
        let by_default = || spec.defaults.as_deref().and_then(tables::by_tag);
        let wanted = match (&spec.timezone, by_default()) {
            (Some(name), _) => name.as_str(),
            (None, Some(locale)) => match locale.region.time_zone {
                Some(zone) => zone,
                None => {
                    self.problems.push(Problem::error(
                        locale.tag,
                        format!("no default time zone is known for {}", locale.region.name),
                        "give `timezone`",
                    ));
                    return Ok(());
                }
            },
            (None, None) => return Ok(()),
        };
        match time_zone::find(wanted, self.registry)? {
            Ok(zone) => {
                if !zone.daylight_saving && !zone.zone.has_daylight_saving() {
                    self.problems.push(Problem::warning(
                        wanted,
                        "this zone has no daylight saving time to switch off",
                        "`_dstoff` can go",
                    ));
                }
                self.wanted.time_zone = Some(zone);
            }
            Err(problem) => self.problems.push(problem),
        }
        Ok(())
    }

    fn layered_driver(&mut self, number: u8) -> Result<(), ServicingError> {
        let driver = LAYERED_DRIVERS.iter().find(|driver| driver.number == number);
        let service = KEYBOARD_DRIVER.trim_end_matches(r"\Parameters");
        match driver {
            None => self.problems.push(Problem::error(
                number.to_string(),
                "there is no such layered keyboard driver",
                "1 to 6: 1 is the PC/AT keyboard, 6 the Japanese 106/109 key keyboard",
            )),
            Some(_) if !self.registry.exists(service)? => self.problems.push(Problem::error(
                number.to_string(),
                "the image has no driver for PS/2 keyboards (i8042prt)",
                "take `layered-driver` away",
            )),
            Some(driver) => self.wanted.layered_driver = Some(driver),
        }
        Ok(())
    }
}

/// The language that an interface pack lies on: the one that is given, one that it names, or the one that the system is in.
fn parent<'a>(
    language: &InstalledLanguage,
    given: Option<&'a InstalledLanguage>,
    current: Option<&'a InstalledLanguage>,
    languages: &'a [InstalledLanguage],
) -> Option<&'a InstalledLanguage> {
    let named = language.fallback.iter().filter_map(|tag| language::find(tag, languages).ok());
    let fits = |other: &&InstalledLanguage| {
        other.kind != LanguageKind::InterfacePack && other.tag != language.tag
    };
    let current = current.filter(|current| {
        language.fallback.is_empty()
            || language.fallback.iter().any(|tag| tag.eq_ignore_ascii_case(&current.tag))
    });
    given.into_iter().chain(current).chain(named).find(fits)
}

/// The image's keyboard layouts and what they are called.
pub(super) fn layouts(registry: &mut Registry<'_>) -> Result<Vec<(u32, String)>, ServicingError> {
    let list = format!(r"{CONTROL}\Keyboard Layouts");
    let mut layouts = Vec::new();
    for name in registry.keys(&list)? {
        let Ok(number) = u32::from_str_radix(&name, 16) else { continue };
        let text = registry.text(&format!(r"{list}\{name}"), "Layout Text")?;
        layouts.push((number, text.unwrap_or_default()));
    }
    Ok(layouts)
}

/// The layouts of the same language, else those whose digits differ little.
fn like(layouts: &[(u32, String)], wanted: u32) -> Vec<String> {
    let shown = |(number, text): &(u32, String)| format!("{number:08x} ({text})");
    let same = layouts.iter().filter(|(number, _)| number & 0xffff == wanted & 0xffff);
    let mut near: Vec<String> = same.map(shown).collect();
    if near.is_empty() {
        let digits = format!("{wanted:08x}");
        let distance = |number: u32| strsim::damerau_levenshtein(&format!("{number:08x}"), &digits);
        near = layouts.iter().filter(|(number, _)| distance(*number) == 1).map(shown).collect();
    }
    near.truncate(5);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_that_could_be_meant_are_offered() {
        let layouts =
            [(0x407, "German"), (0x10407, "German (IBM)"), (0x409, "US"), (0x411, "Japanese")]
                .map(|(number, text)| (number, text.to_owned()));
        assert_eq!(like(&layouts, 0x30407), ["00000407 (German)", "00010407 (German (IBM))"]);
        assert_eq!(like(&layouts, 0x470), ["00000407 (German)"], "digits in another order");
        assert_eq!(like(&layouts, 0x999), Vec::<String>::new());
        assert_eq!(like(&layouts, 0x410), ["00000411 (Japanese)"]);
    }

    #[test]
    fn layered_drivers_are_numbered_from_one() {
        for (place, driver) in LAYERED_DRIVERS.iter().enumerate() {
            assert_eq!(usize::from(driver.number), place + 1);
        }
    }
}
