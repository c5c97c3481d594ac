//! What a language pack is besides a package: a key below `MUI\UILanguages`, by which Windows knows that the language is there.
//!
//! `HKLM\SYSTEM\CurrentControlSet\Control\MUI\UILanguages\<tag>`: `LCID` and `Type` (`facts/offline-semantics.md`; real hives). The identifiers are
//! those of Microsoft's table of available language packs ([MS-LCID]). Languages that are only partly translated ("language interface packs") have
//! further values whose rules are not known, and are not in the table.

use crate::{
    base::name::Name,
    format::hive::Value,
    image::{Image, ImageError, ImageFacts, RegistryPath},
};

use super::flags;

const KEY: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\MUI\UILanguages";

/// Languages that Windows is fully translated to.
const FULL: [(&str, u32); 39] = [
    ("ar-SA", 0x0401),
    ("bg-BG", 0x0402),
    ("cs-CZ", 0x0405),
    ("da-DK", 0x0406),
    ("de-DE", 0x0407),
    ("el-GR", 0x0408),
    ("en-GB", 0x0809),
    ("en-US", 0x0409),
    ("es-ES", 0x0c0a),
    ("es-MX", 0x080a),
    ("et-EE", 0x0425),
    ("fi-FI", 0x040b),
    ("fr-CA", 0x0c0c),
    ("fr-FR", 0x040c),
    ("he-IL", 0x040d),
    ("hr-HR", 0x041a),
    ("hu-HU", 0x040e),
    ("it-IT", 0x0410),
    ("ja-JP", 0x0411),
    ("ko-KR", 0x0412),
    ("lt-LT", 0x0427),
    ("lv-LV", 0x0426),
    ("nb-NO", 0x0414),
    ("nl-NL", 0x0413),
    ("pl-PL", 0x0415),
    ("pt-BR", 0x0416),
    ("pt-PT", 0x0816),
    ("ro-RO", 0x0418),
    ("ru-RU", 0x0419),
    ("sk-SK", 0x041b),
    ("sl-SI", 0x0424),
    ("sr-Latn-RS", 0x241a),
    ("sv-SE", 0x041d),
    ("th-TH", 0x041e),
    ("tr-TR", 0x041f),
    ("uk-UA", 0x0422),
    ("zh-CN", 0x0804),
    ("zh-HK", 0x0c04),
    ("zh-TW", 0x0404),
];

/// The tag as Windows writes it and its identifier; `None` for languages that are not fully translated.
pub(super) fn full(tag: &str) -> Option<(&'static str, u32)> {
    FULL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(tag))
}

fn key(tag: &str) -> RegistryPath {
    let root = RegistryPath::parse(KEY).expect("a constant path");
    root.join(&Name::from(full(tag).map_or(tag, |(known, _)| known)))
}

/// Makes a language known.
pub(super) fn add(tag: &str, facts: &ImageFacts, image: &mut Image) -> Result<(), ImageError> {
    let Some((_, identifier)) = full(tag) else { return Ok(()) };
    let version = (facts.major.unwrap_or(10), facts.minor.unwrap_or(0));
    image.set_value(&key(tag), &Value::dword("LCID", identifier))?;
    image.set_value(&key(tag), &Value::dword("Type", flags::language_type(version.0, version.1)))
}

/// Makes a language unknown.
pub(super) fn remove(tag: &str, image: &mut Image) -> Result<(), ImageError> {
    image.delete_key(&key(tag))
}
