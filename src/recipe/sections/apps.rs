//! `[appx]`, `[defaults]` and `[first-boot]`.

use super::{
    ABSENT, ABSENT_SHAPE, BOOLEAN, PATH, PATH_SHAPE, PATHS, TRUE, WHEN_NOT_NATIVE, key, required,
    table,
};
use crate::recipe::shape::{Group, MapShape, Pattern, Shape, TableShape};

pub(super) static APPX: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Provisioned apps, which every new user gets, by the names that DISM shows (`DisplayName`), by family, or by full name.",
    value: &APP,
});
static APP: Shape = Shape::OneOf(&[
    ABSENT_SHAPE,
    Shape::Table(&TableShape {
        groups: &[Group { keys: &["source", "state"], required: true }],
        ..table(
            "an app",
            "An app to install at the first boot, or to remove.",
            &[
                key(
                    "source",
                    &PATH,
                    "the package or bundle: .appx, .msix, .appxbundle, .msixbundle",
                ),
                key(
                    "license",
                    &PATH,
                    "its licence (..._License1.xml); without it the app is installed without one",
                ),
                key("dependencies", &PATHS, "packages of the frameworks that it needs"),
                key("region", &REGION, "where it is pinned: `all`, or regions: `US;GB`"),
                key(
                    "when-not-native",
                    &WHEN_NOT_NATIVE,
                    "what to do, since apps cannot be installed here; default: as [policy] says",
                ),
                key("state", &ABSENT, "`absent`: new users do not get the app, and its files go"),
            ],
        )
    }),
]);
static REGION: Shape = Shape::Text(Some(&Pattern {
    regex: "^(all|[A-Za-z]{2}(;[A-Za-z]{2})*)$",
    matches: |text| {
        text == "all"
            || text
                .split(';')
                .all(|one| one.len() == 2 && one.bytes().all(|b| b.is_ascii_alphabetic()))
    },
    what: "`all`, or regions such as `US;GB`",
}));

pub(super) static DEFAULTS: Shape = Shape::Table(&table(
    "the section [defaults]",
    "What new users and the machine start with; what is left out stays.",
    &[
        key(
            "associations",
            &ASSOCIATIONS,
            "default app associations, as `dism /Export-DefaultAppAssociations` writes them; they are merged into those of the image",
        ),
        key("oem", &OEM, "what Settings shows of the manufacturer"),
        key(
            "computer-name",
            &COMPUTER_NAME,
            "the computer's name; only for an image that is past Windows Setup, all others get it from the answer file",
        ),
        key("registered-owner", &SHORT, "who this copy of Windows is registered to"),
        key("registered-organization", &SHORT, "which organization it is registered to"),
    ],
));
static ASSOCIATIONS: Shape = Shape::OneOf(&[
    PATH_SHAPE,
    Shape::Table(&TableShape {
        groups: &[
            Group { keys: &["file", "absent"], required: true },
            Group { keys: &["replace", "absent"], required: false },
        ],
        ..table(
            "`associations`",
            "Default app associations.",
            &[
                key("file", &PATH, "the file with the associations"),
                key("replace", &BOOLEAN, "true: the image's own do not stay beside them"),
                key("absent", &TRUE, "the image has none"),
            ],
        )
    }),
]);
static OEM: Shape = Shape::Table(&table(
    "`oem`",
    "What Settings shows of the manufacturer. An empty text takes a value away.",
    &[
        key("manufacturer", &SHORT, "the manufacturer"),
        key("model", &SHORT, "the model"),
        key("support-url", &URL, "the page of the support, with http:// or https://"),
        key("support-phone", &SHORT, "the telephone number of the support"),
        key("support-hours", &SHORT, "when somebody answers it"),
        key(
            "logo",
            &PATH,
            "a bitmap of 120 by 120 pixels; it goes to Windows\\System32\\oemlogo.bmp",
        ),
    ],
));
static SHORT: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[^\u0000-\u001f]{0,256}$",
    matches: |text| text.chars().count() <= 256 && !text.contains(char::is_control),
    what: "one line of at most 256 characters",
}));
static URL: Shape = Shape::Text(Some(&Pattern {
    regex: r"^(https?://[^\u0000-\u0020]{1,2075})?$",
    matches: |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain =
            |rest: &str| !rest.is_empty() && !rest.contains(|c: char| c.is_control() || c == ' ');
        text.is_empty() || text.chars().count() <= 2083 && rest.is_some_and(plain)
    },
    what: "an address that begins with http:// or https://",
}));
static COMPUTER_NAME: Shape = Shape::Text(Some(&Pattern {
    regex: "^(?=.*[A-Za-z-])[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$",
    matches: is_computer_name,
    what: "a computer's name: 1 to 15 letters, digits and hyphens, not digits alone, no hyphen at either end",
}));

fn is_computer_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) static FIRST_BOOT: Shape = Shape::Table(&table(
    "the section [first-boot]",
    "What Windows runs once, before the first logon.",
    &[required("run", &PATHS, "scripts, in the order they run")],
));
