//! `[locale]`.

use super::{LINE, key, table};
use crate::recipe::shape::{Group, Pattern, Shape, TableShape};

pub(super) static LOCALE: Shape = Shape::Table(&TableShape {
    groups: &[Group { keys: &["defaults", "all"], required: false }],
    ..table(
        "the section [locale]",
        "Languages, formats, keyboards and the time zone. Tags are as Windows writes them: `de-DE`. What is not given stays.",
        &[
            key(
                "defaults",
                &TAG,
                "everything below but `layered-driver` as a retail image of this language has it, the time zone too; single settings win",
            ),
            key(
                "all",
                &TAG,
                "`ui`, `system`, `user` and `input` of this language; single settings win",
            ),
            key(
                "ui",
                &TAG,
                "the display language: one that is installed, or that [languages] installs",
            ),
            key(
                "ui-fallback",
                &TAG,
                "what is shown where a partly localised display language has no text: an installed language",
            ),
            key(
                "system",
                &TAG,
                "the locale of programs that do not know Unicode, and its code pages",
            ),
            key("user", &TAG, "formats and location of new users and the logon screen"),
            key(
                "input",
                &INPUTS,
                "keyboards of new users and the logon screen, the default one first: `0407:00000407` (LCID and layout), \
                `0411:{class}{profile}` (an input method), or a tag for its default ones",
            ),
            key(
                "timezone",
                &LINE,
                "the time zone as `tzutil /l` names it: `W. Europe Standard Time`; with `_dstoff` at the end without daylight saving time",
            ),
            key(
                "layered-driver",
                &LAYERED_DRIVER,
                "the layered driver of Japanese and Korean keyboards: 1 PC/AT 101/102 keys, 2 to 4 Korean 101 keys (types 1 to 3), \
                5 Korean 103/106 keys, 6 Japanese 106/109 keys",
            ),
        ],
    )
});

static TAG: Shape = Shape::Text(Some(&Pattern {
    regex: "^[A-Za-z]{2,8}(-[A-Za-z0-9]{2,8})*$",
    matches: is_tag,
    what: "a language tag such as \"de-DE\"",
}));
static INPUTS: Shape =
    Shape::OneOf(&[LINE_TEXT, Shape::List { of: &LINE, least: 1, append: false }]);
const LINE_TEXT: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[^\u0000-\u001f]+$",
    matches: |text| !text.is_empty() && !text.contains(char::is_control),
    what: "one line of text",
}));
static LAYERED_DRIVER: Shape = Shape::Integer {
    least: 1,
    most: 6,
    help: "1 is the PC/AT keyboard with 101 or 102 keys, 6 the Japanese one with 106 or 109",
};

fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().is_some_and(|part| {
        (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    language
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}
