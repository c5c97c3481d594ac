//! What Windows knows of locales and regions: LCIDs, code pages, default keyboards, GEOIDs, default time zones.
//!
//! The tables lie beside this file and are made by `tests/tools/locale_tables.py`, which names its sources and their versions: MS-LCID (tags, LCIDs,
//! abbreviations, ANSI code pages), .NET's copy of the locale data of Windows (OEM and Mac code pages, GEOIDs), Windows' own list of default
//! input profiles, Unicode's CLDR (zones of regions, names) and the calling codes of countries. Locales that Windows gives no LCID of their own
//! (`en-DE`) are not in them.
//!
//! `locales.tsv`: tag, LCID, abbreviation, region, `ANSI,OEM,Mac` code pages or `-` when the locale is Unicode only, keyboards or `-`.
//! `regions.tsv`: code, GEOID, calling code or `-`, time zone or `-`, English name.

use std::sync::LazyLock;

use super::keyboard::Keyboard;

/// A locale of Windows with an LCID of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    /// `de-DE`.
    pub tag: &'static str,
    /// Its language identifier: `0x0407`.
    pub lcid: u16,
    /// `sLanguage`: `DEU`.
    pub abbreviation: &'static str,
    /// The region in its tag.
    pub region: &'static Region,
    /// Its code pages; `None` when it has none, so that it cannot be the system locale.
    pub code_pages: Option<CodePages>,
    /// The keyboards that Windows offers for it, the default one first; none when that is not known.
    pub keyboards: Vec<Keyboard>,
}

/// The code pages of programs that do not know Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePages {
    /// Of Windows programs: 1252.
    pub ansi: u32,
    /// Of the console: 850.
    pub oem: u32,
    /// Of the Macintosh: 10000.
    pub mac: u32,
}

/// A region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// `DE`.
    pub code: &'static str,
    /// Its number as a location: 94.
    pub geoid: u32,
    /// `iCountry`: 49.
    pub calling_code: Option<&'static str>,
    /// The time zone that Windows takes for it; of several that of the capital or a major city.
    pub time_zone: Option<&'static str>,
    /// Its English name.
    pub name: &'static str,
}

static REGIONS: LazyLock<Vec<Region>> =
    LazyLock::new(|| include_str!("regions.tsv").lines().map(region).collect());
static LOCALES: LazyLock<Vec<Locale>> =
    LazyLock::new(|| include_str!("locales.tsv").lines().map(locale).collect());

/// Every locale, ordered by its tag.
#[must_use]
pub fn locales() -> &'static [Locale] {
    &LOCALES
}

/// Every region, ordered by its code.
#[must_use]
pub fn regions() -> &'static [Region] {
    &REGIONS
}

/// The locale with this tag, in whatever case.
#[must_use]
pub fn by_tag(tag: &str) -> Option<&'static Locale> {
    LOCALES.iter().find(|locale| locale.tag.eq_ignore_ascii_case(tag))
}

/// The locale with this LCID.
#[must_use]
pub fn by_lcid(lcid: u32) -> Option<&'static Locale> {
    LOCALES.iter().find(|locale| u32::from(locale.lcid) == lcid)
}

/// The region with this GEOID.
#[must_use]
pub fn by_geoid(geoid: u32) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.geoid == geoid)
}

/// `None` for the dash that stands for nothing.
fn given(text: &'static str) -> Option<&'static str> {
    (text != "-").then_some(text)
}

fn columns<const N: usize>(line: &'static str, separator: char) -> [&'static str; N] {
    let parts: Vec<&str> = line.split(separator).collect();
    parts.try_into().expect("a row of a table of ours, which a test reads")
}

fn region(line: &'static str) -> Region {
    let [code, geoid, calling_code, time_zone, name] = columns(line, '\t');
    Region {
        code,
        geoid: geoid.parse().expect("a number of a table of ours"),
        calling_code: given(calling_code),
        time_zone: given(time_zone),
        name,
    }
}

fn locale(line: &'static str) -> Locale {
    let [tag, lcid, abbreviation, code, pages, keyboards] = columns(line, '\t');
    let pages = given(pages).map(|pages| {
        let numbers: [&str; 3] = columns(pages, ',');
        numbers.map(|number| number.parse().expect("a number of a table of ours"))
    });
    let keyboards = given(keyboards).into_iter().flat_map(|list| list.split(';'));
    Locale {
        tag,
        lcid: u16::from_str_radix(lcid, 16).expect("a number of a table of ours"),
        abbreviation,
        region: REGIONS
            .iter()
            .find(|region| region.code == code)
            .expect("every region of a locale is in the other table"),
        code_pages: pages.map(|[ansi, oem, mac]| CodePages { ansi, oem, mac }),
        keyboards: keyboards
            .map(|text| Keyboard::parse(text).expect("a keyboard of a table of ours"))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole_and_ordered() {
        assert_eq!(locales().len(), 242);
        assert!(locales().iter().map(|locale| locale.tag).is_sorted());
        assert!(regions().iter().map(|region| region.code).is_sorted());
        let mut lcids: Vec<u16> = locales().iter().map(|locale| locale.lcid).collect();
        lcids.sort_unstable();
        lcids.dedup();
        assert_eq!(lcids.len(), locales().len(), "an LCID names one locale");
        for locale in locales() {
            assert!(locale.tag.contains(locale.region.code), "{}", locale.tag);
            assert!(
                locale.abbreviation.len() == 3
                    && locale.abbreviation.bytes().all(|b| b.is_ascii_uppercase()),
                "{}",
                locale.tag
            );
            // The zones, as the sheet of Windows' own zones names them.
            let zone = locale.region.time_zone;
            assert!(zone.is_none_or(|zone| zone.ends_with("Time")
                || zone.starts_with("UTC")
                || zone.ends_with("(Mexico)")));
        }
    }

    #[test]
    fn well_known_rows_are_right() {
        let german = by_tag("DE-de").unwrap();
        assert_eq!((german.lcid, german.abbreviation), (0x407, "DEU"));
        assert_eq!(german.code_pages, Some(CodePages { ansi: 1252, oem: 850, mac: 10000 }));
        assert_eq!(german.keyboards, [Keyboard::parse("0407:00000407").unwrap()]);
        let germany = german.region;
        assert_eq!(
            (germany.geoid, germany.calling_code, germany.time_zone, germany.name),
            (94, Some("49"), Some("W. Europe Standard Time"), "Germany")
        );
        let english = by_lcid(0x409).unwrap();
        assert_eq!((english.tag, english.region.geoid), ("en-US", 244));
        assert_eq!(english.code_pages.unwrap().oem, 437);
        assert_eq!(english.region.time_zone, Some("Pacific Standard Time"));
        assert_eq!(by_tag("hi-IN").unwrap().code_pages, None);
        assert_eq!(by_tag("ja-JP").unwrap().code_pages.unwrap().ansi, 932);
        assert_eq!(by_geoid(84).unwrap().name, "France");
        assert_eq!(by_tag("en-DE"), None);
    }
}
