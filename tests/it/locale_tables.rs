//! The tables of locales against a list of MS-LCID that others made.
//!
//! How the tables are made: `tests/tools/locale_tables.py`, which names its sources; with `--check` it compares.

use lcid::LanguageId;
use transom::servicing::locale::tables::{locales, regions};

#[test]
fn the_tables_agree_with_the_list_of_lcids() {
    let mut unknown = Vec::new();
    for locale in locales() {
        let theirs = <&LanguageId>::try_from(u32::from(locale.lcid));
        let Ok(theirs) = theirs else {
            unknown.push(locale.tag);
            continue;
        };
        assert_eq!(theirs.name, locale.tag, "{:#x}", locale.lcid);
        assert_eq!(theirs.windows_three_letter, locale.abbreviation, "{}", locale.tag);
        let page = theirs.ansi_code_page.map(u32::from);
        assert_eq!(page, locale.code_pages.map(|pages| pages.ansi), "{}", locale.tag);
    }
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn every_locale_can_be_set_in_full_but_for_these() {
    let without = |test: fn(&transom::servicing::locale::tables::Locale) -> bool| -> Vec<&str> {
        locales().iter().filter(|locale| test(locale)).map(|locale| locale.tag).collect()
    };
    assert_eq!(
        without(|locale| locale.keyboards.is_empty()),
        ["fr-029", "tzm-Latn-DZ", "zh-MO", "zh-SG"]
    );
    assert_eq!(without(|locale| locale.region.time_zone.is_none()), ["fr-029", "yi-001"]);
    // Microsoft's page of the command speaks of 31 Unicode-only languages; they have 46 locales.
    assert_eq!(without(|locale| locale.code_pages.is_none()).len(), 46);
    assert!(regions().iter().all(|region| region.geoid != 0));
}
