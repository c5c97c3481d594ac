//! `[appx]`, `[defaults]` and `[first-boot]`.

use super::{
    ABSENT, ABSENT_SHAPE, BOOLEAN, LINE, PATH, PATH_SHAPE, PATHS, TRUE, WHEN_NOT_NATIVE, key,
    required, table, word,
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
    &[required("run", &RUN, "scripts and commands, in the order they run")],
));
static RUN: Shape = Shape::List { of: &ENTRY, least: 1, append: false };
static ENTRY: Shape = Shape::OneOf(&[
    PATH_SHAPE,
    Shape::Table(&TableShape {
        groups: &[Group { keys: &["script", "command"], required: true }],
        ..table(
            "an entry of `run`",
            "A script or a command, with its limits.",
            &[
                key(
                    "script",
                    &PATH,
                    "a script or program: .cmd, .bat, .ps1, .vbs, .js, .reg, .exe",
                ),
                key("command", &LINE, "a line, as in a command file: `%NAME%` is a variable"),
                key("arguments", &LINE, "what follows the script on its command line"),
                key("name", &RUN_NAME, "what the log calls it"),
                key("timeout", &TIMEOUT, "after which it is ended: `90s`, `10m`, `2h`"),
                key("ignore-failure", &BOOLEAN, "true: whatever code it ends with is no failure"),
                key("reboot", &REBOOT, "what a restart has to do with it; default: `when-asked`"),
            ],
        )
    }),
]);
static RUN_NAME: Shape = Shape::Text(Some(&Pattern {
    regex: "^[A-Za-z0-9._-]{1,40}$",
    matches: |text| {
        (1..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    },
    what: "a name of at most 40 letters, digits, dots, hyphens and underscores",
}));
static TIMEOUT: Shape = Shape::Text(Some(&Pattern {
    regex: "^[1-9][0-9]{0,4}[smh]$",
    matches: |text| seconds(text).is_some(),
    what: "a time such as `90s`, `10m` or `2h`, of at most 24 hours",
}));
static REBOOT: Shape = Shape::Choice {
    words: &[
        word("never", "its 3010 means nothing").also(None, &["no", "false"]),
        word("when-asked", "its 3010 asks for a restart; what stands behind it is run before that"),
        word("always", "what stands behind it waits for a restart").also(None, &["yes", "true"]),
    ],
    other: None,
};

/// The seconds of `90s`, `10m`, `2h`; `None` for other texts, nothing at all and more than a day.
pub(in crate::recipe) fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let digits =
        (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse::<u32>().ok().filter(|_| digits)?.checked_mul(factor)?;
    (1..=86_400).contains(&seconds).then_some(seconds)
}
