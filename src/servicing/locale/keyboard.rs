//! An input profile, a language with a keyboard layout or an input method, and how a user's hive writes a list of them.
//!
//! `Keyboard Layout\Preload` numbers eight hexadecimal digits from 1. Their low half is the language. They name the layout themselves, or `Substitutes`
//! tells which one is meant: `00000c07` = `00000407` is German (Austria) with the German layout, and `d0010409` = `00000809` is one more layout of English
//! (United States).

use std::fmt;

use crate::base::guid::Guid;

/// A language and what it is typed with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyboard {
    /// The language's LCID.
    pub language: u16,
    /// What it is typed with.
    pub kind: KeyboardKind,
}

/// What a language is typed with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyboardKind {
    /// A layout, by its key below `Control\Keyboard Layouts`.
    Layout(u32),
    /// An input method (text service): its class and its profile.
    Method(Guid, Guid),
}

/// A list of layouts as `Preload` and `Substitutes` hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preload {
    /// What `Preload` numbers from 1.
    pub identifiers: Vec<u32>,
    /// What `Substitutes` says of some of them.
    pub substitutes: Vec<(u32, u32)>,
}

impl Keyboard {
    /// Reads `0407:00000407` and `0411:{03b5835f-...}{a76c93d9-...}`, in whatever case; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (language, what) = text.split_once(':')?;
        let language = u16::try_from(hexadecimal(language, 4)?).ok()?;
        let kind = match what.find("}{") {
            Some(middle) => {
                let (class, profile) = what.split_at(middle + 1);
                let braced = |text: &str| {
                    (text.starts_with('{') && text.ends_with('}')).then(|| Guid::parse(text))?
                };
                KeyboardKind::Method(braced(class)?, braced(profile)?)
            }
            None => KeyboardKind::Layout(hexadecimal(what, 8)?),
        };
        Some(Self { language, kind })
    }

    /// A layout of a language.
    #[must_use]
    pub fn layout(language: u16, layout: u32) -> Self {
        Self { language, kind: KeyboardKind::Layout(layout) }
    }
}

impl fmt::Display for Keyboard {
    /// As DISM prints it: digits in lower case, braces in upper case.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            KeyboardKind::Layout(layout) => {
                write!(formatter, "{:04x}:{layout:08x}", self.language)
            }
            KeyboardKind::Method(class, profile) => {
                write!(formatter, "{:04x}:{}{}", self.language, braced(class), braced(profile))
            }
        }
    }
}

/// `{03B5835F-F03C-411B-9CE2-AA23E1171E36}`.
pub(super) fn braced(guid: &Guid) -> String {
    guid.to_string().to_ascii_uppercase()
}

impl Preload {
    /// How keyboards are written. An input method is the layout of its language there (`has_layout` tells which the image has), else the US one.
    #[must_use]
    pub fn of(keyboards: &[Keyboard], has_layout: impl Fn(u32) -> bool) -> Self {
        let mut layouts: Vec<(u16, u32)> = Vec::new();
        for keyboard in keyboards {
            let own = u32::from(keyboard.language);
            let layout = match keyboard.kind {
                KeyboardKind::Layout(layout) => layout,
                KeyboardKind::Method(..) if has_layout(own) => own,
                KeyboardKind::Method(..) => US,
            };
            if !layouts.contains(&(keyboard.language, layout)) {
                layouts.push((keyboard.language, layout));
            }
        }
        // A layout of the language itself needs no other name; the others must not take these.
        let own = |&(language, layout): &(u16, u32)| layout & 0xffff == u32::from(language);
        let mut taken: Vec<u32> = layouts.iter().filter(|l| own(l)).map(|l| l.1).collect();
        let mut preload = Self::default();
        for pair in &layouts {
            let (language, layout) = (u32::from(pair.0), pair.1);
            if own(pair) {
                preload.identifiers.push(layout);
                continue;
            }
            let names = (1..=0xfff).map(|number| SUBSTITUTED | number << 16 | language);
            let identifier = std::iter::once(language)
                .chain(names)
                .find(|identifier| !taken.contains(identifier))
                .unwrap_or(language);
            taken.push(identifier);
            preload.identifiers.push(identifier);
            preload.substitutes.push((identifier, layout));
        }
        preload
    }

    /// The layouts that are meant.
    #[must_use]
    pub fn layouts(&self) -> Vec<Keyboard> {
        let layout = |identifier: &u32| {
            let substitute = self.substitutes.iter().find(|(from, _)| from == identifier);
            Keyboard::layout(
                u16::try_from(identifier & 0xffff).unwrap_or_default(),
                substitute.map_or(*identifier, |(_, layout)| *layout),
            )
        };
        self.identifiers.iter().map(layout).collect()
    }
}

/// The layout of the United States, which every Windows has.
const US: u32 = 0x0409;
/// What begins the identifier of one more layout of a language.
const SUBSTITUTED: u32 = 0xd000_0000;

/// A number of exactly so many hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u32> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyboards(texts: &[&str]) -> Vec<Keyboard> {
        texts.iter().map(|text| Keyboard::parse(text).unwrap()).collect()
    }

    #[test]
    fn profiles_are_read_and_written() {
        for text in [
            "0407:00000407",
            "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}",
        ] {
            assert_eq!(Keyboard::parse(&text.to_lowercase()).unwrap().to_string(), text);
        }
        for text in [
            "",
            "0407",
            "407:00000407",
            "0407:407",
            "0407:0000040g",
            "+407:00000407",
            "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}",
            "0411:{}{}",
            "0411:x}{y",
        ] {
            assert_eq!(Keyboard::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_of_layouts_is_written_as_windows_writes_it() {
        let written = |texts: &[&str]| {
            let list = keyboards(texts);
            let preload = Preload::of(&list, |layout| layout == 0x411);
            let hex = |number: &u32| format!("{number:08x}");
            let substitutes: Vec<String> = preload
                .substitutes
                .iter()
                .map(|(from, to)| format!("{}={}", hex(from), hex(to)))
                .collect();
            if list.iter().all(|keyboard| matches!(keyboard.kind, KeyboardKind::Layout(_))) {
                assert_eq!(preload.layouts(), list);
            }
            let identifiers: Vec<String> = preload.identifiers.iter().map(hex).collect();
            format!("{} {}", identifiers.join(","), substitutes.join(",")).trim().to_owned()
        };
        assert_eq!(written(&["0409:00000409"]), "00000409");
        assert_eq!(written(&["0409:00020409", "0407:00000407"]), "00020409,00000407");
        assert_eq!(written(&["0c07:00000407"]), "00000c07 00000c07=00000407");
        assert_eq!(
            written(&["0409:00000409", "0409:00000809", "0409:0000040b"]),
            "00000409,d0010409,d0020409 d0010409=00000809,d0020409=0000040b"
        );
        // The second one is named 00000409 itself, so the first cannot be.
        assert_eq!(
            written(&["0409:00000809", "0409:00000409"]),
            "d0010409,00000409 d0010409=00000809"
        );
        let japanese =
            "0411:{03B5835F-F03C-411B-9CE2-AA23E1171E36}{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}";
        assert_eq!(written(&[japanese, "0411:00000411"]), "00000411");
        let amharic =
            "045e:{7C472071-36A7-4709-88CC-859513E583A9}{9A4E8FC7-76BF-4A63-980D-FADDADF7E987}";
        assert_eq!(written(&[amharic, "0409:00000409"]), "0000045e,00000409 0000045e=00000409");
    }
}
