//! An answer file against the image: languages, keyboards and time zones that must be there.
//!
//! Which images the media have (`/IMAGE/NAME`) is not the image's to say, and not looked at.

use crate::{
    base::{name::Name, secret::is_free_of_placeholders},
    format::unattend::{AnswerFile, Element},
    image::{Image, ImageFacts, RegistryPath},
};

use super::{Finding, Findings, Kind, nearest, shown, walk};

const TIME_ZONES: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones";
const LAYOUTS: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\Keyboard Layouts";
/// At the end of a time zone's name: without daylight saving.
const NO_DAYLIGHT: &str = "_dstoff";

/// What the image says against the file, in the order of the lines. What the image does not have at all (a hive, a key) says nothing.
pub(in super::super) fn lint_with_image(
    file: &AnswerFile,
    image: &mut Image,
    facts: &ImageFacts,
) -> Vec<Finding> {
    let mut findings = Findings::default();
    let time_zones = names(image, TIME_ZONES);
    let layouts = names(image, LAYOUTS);
    for component in file.passes.iter().flat_map(|pass| &pass.components) {
        let name = component.name.to_lowercase();
        let international = name.starts_with("microsoft-windows-international-core");
        let shell = name == "microsoft-windows-shell-setup";
        walk(&component.settings, "", &mut |element, path| {
            let value = element.value();
            if value.is_empty() || !is_free_of_placeholders(value) {
                return;
            }
            match path {
                "TimeZone" if shell => time_zone(element, &time_zones, &mut findings),
                "UILanguage" if international => language(element, facts, &mut findings),
                "InputLocale" if international => keyboards(element, &layouts, &mut findings),
                _ => {}
            }
        });
    }
    findings.sorted()
}

/// The names of the keys below `path`; none when it is not there.
fn names(image: &mut Image, path: &str) -> Vec<String> {
    let path = RegistryPath::parse(path).expect("a constant path");
    let keys = image.registry_subkeys(&path).unwrap_or_default();
    keys.iter().filter_map(Name::to_text).collect()
}

fn time_zone(element: &Element, known: &[String], findings: &mut Findings) {
    let value = element.value();
    let plain = match value.len().checked_sub(NO_DAYLIGHT.len()) {
        Some(at) if value.is_char_boundary(at) && value[at..].eq_ignore_ascii_case(NO_DAYLIGHT) => {
            &value[..at]
        }
        _ => value,
    };
    if known.is_empty() || known.iter().any(|name| name.eq_ignore_ascii_case(plain)) {
        return;
    }
    let help = match nearest(plain, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "it is one of the {} names below {TIME_ZONES}, such as `W. Europe Standard Time`",
            known.len()
        ),
    };
    let cause = format!("the image has no time zone `{}`", shown(value));
    findings.error(Kind::TimeZone, element.place, cause, help);
}

fn language(element: &Element, facts: &ImageFacts, findings: &mut Findings) {
    let value = element.value();
    let there = |tag: &String| tag.eq_ignore_ascii_case(value);
    if facts.languages.is_empty() || facts.languages.iter().any(there) {
        return;
    }
    let cause = format!("the language `{}` is not installed in the image", shown(value));
    let help = format!(
        "it has {}; install it with [languages], or write one of these",
        facts.languages.join(", ")
    );
    findings.warn(Kind::Locale, element.place, cause, help);
}

fn keyboards(element: &Element, known: &[String], findings: &mut Findings) {
    if known.is_empty() {
        return;
    }
    for one in element.value().split(';') {
        let Some((_, layout)) = one.trim().split_once(':') else { continue };
        let layout = layout.strip_prefix("0x").unwrap_or(layout);
        if layout.len() != 8 || known.iter().any(|name| name.eq_ignore_ascii_case(layout)) {
            continue;
        }
        let cause = format!("the image has no keyboard layout `{}`", shown(layout));
        let help = format!("layouts are the names below {LAYOUTS}");
        findings.warn(Kind::Locale, element.place, cause, help);
    }
}
