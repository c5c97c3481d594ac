//! Installed languages: the keys below SYSTEM `Control\MUI\UILanguages`.
//!
//! `Type` is 0x91 (Windows 7) or 0x111 (8 and later) for full languages in real hives. Its low bits are taken to be the flags that the API names
//! (MUI_FULL_LANGUAGE 1, MUI_PARTIAL_LANGUAGE 2, MUI_LIP_LANGUAGE 4), and `DefaultFallback` and subkeys to name fallback languages (inferred).

use crate::servicing::{
    error::{Problem, ServicingError},
    services::near_names,
};

use super::{
    registry::{CONTROL, Registry},
    tables,
};

/// An installed language.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledLanguage {
    /// Its tag, as the image spells it.
    pub tag: String,
    /// Its LCID.
    pub lcid: Option<u32>,
    /// How much of Windows it covers.
    pub kind: LanguageKind,
    /// The languages that have what it lacks.
    pub fallback: Vec<String>,
}

/// How much of Windows a language covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LanguageKind {
    /// All of it.
    Full,
    /// A part; the rest is shown in its fallback language.
    Partial,
    /// A language interface pack: a part, on top of a language that the system itself has.
    InterfacePack,
}

impl LanguageKind {
    /// As DISM says it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Full => "Fully localized language.",
            Self::Partial => "Partially localized language, MUI type.",
            Self::InterfacePack => "Partially localized language, LIP type.",
        }
    }
}

/// The installed languages, in the hive's order.
pub(super) fn installed(
    registry: &mut Registry<'_>,
) -> Result<Vec<InstalledLanguage>, ServicingError> {
    let list = format!(r"{CONTROL}\MUI\UILanguages");
    let mut languages = Vec::new();
    for tag in registry.keys(&list)? {
        let key = format!(r"{list}\{tag}");
        let kind = registry.dword(&key, "Type")?.unwrap_or(1);
        let kind = match kind {
            kind if kind & 4 != 0 => LanguageKind::InterfacePack,
            kind if kind & 2 != 0 => LanguageKind::Partial,
            _ => LanguageKind::Full,
        };
        let mut fallback: Vec<String> =
            registry.text(&key, "DefaultFallback")?.into_iter().collect();
        for name in registry.keys(&key)? {
            if !fallback.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                fallback.push(name);
            }
        }
        let lcid = registry.dword(&key, "LCID")?;
        let lcid = lcid.or_else(|| tables::by_tag(&tag).map(|locale| locale.lcid.into()));
        languages.push(InstalledLanguage { tag, lcid, kind, fallback });
    }
    Ok(languages)
}

/// The installed language `tag`.
pub(super) fn find<'a>(
    tag: &str,
    languages: &'a [InstalledLanguage],
) -> Result<&'a InstalledLanguage, Problem> {
    let same = |language: &&InstalledLanguage| language.tag.eq_ignore_ascii_case(tag);
    if let Some(language) = languages.iter().find(same) {
        return Ok(language);
    }
    let tags: Vec<&str> = languages.iter().map(|language| language.tag.as_str()).collect();
    let near = near_tags(tag, tags.iter().copied());
    let mut help = match near.as_slice() {
        [] => String::new(),
        near => format!("did you mean {}? ", near.join(", ")),
    };
    match tags.as_slice() {
        [] => help.push_str("it has none at all"),
        tags => {
            help.push_str("it has ");
            help.push_str(&tags.join(", "));
        }
    }
    help.push_str(
        "; [languages] installs others (one that waits for the first boot is not there yet)",
    );
    Err(Problem::error(tag, "the image does not have this language", help))
}

/// At most five tags that could be meant: those of the same language, else those that are written alike.
pub(super) fn near_tags<'a>(
    wanted: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Vec<String> {
    let language = |tag: &str| {
        let end = tag.find(['-', '_']).unwrap_or(tag.len());
        tag[..end].to_ascii_lowercase()
    };
    // The tag itself, with another line between its parts, comes before its language.
    let mut near: Vec<String> = known
        .clone()
        .filter(|tag| wanted.replace('_', "-").eq_ignore_ascii_case(tag))
        .map(str::to_owned)
        .collect();
    if near.is_empty() {
        near = known
            .clone()
            .filter(|tag| language(tag) == language(wanted))
            .map(str::to_owned)
            .collect();
    }
    if near.is_empty() {
        near = near_names(wanted, known.map(str::to_owned));
    }
    near.truncate(5);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_could_be_meant_are_offered() {
        let known = ["de-AT", "de-DE", "en-US", "sr-Latn-RS"];
        let near = |wanted| near_tags(wanted, known.into_iter());
        assert_eq!(near("de_DE"), ["de-DE"]);
        assert_eq!(near("de"), ["de-AT", "de-DE"]);
        assert_eq!(near("de-CH"), ["de-AT", "de-DE"]);
        assert_eq!(near("srr-Latn-RS"), ["sr-Latn-RS"]);
        assert!(near("klingon").is_empty());
    }
}
