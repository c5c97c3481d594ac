//! The settings of `[unattend]` that a recipe gives itself: short forms, and any setting by its name.

use super::{BOOLEAN, LINE, SECRET, key, required, table, word};
use crate::{
    recipe::shape::{Group, Key, MapShape, Pattern, Shape, TableShape},
    servicing::unattend::{
        account_name_problem, computer_name_problem, is_language_tag, is_product_key,
    },
};

/// The keys, for the table of the section.
pub(super) const SETTINGS: Key = key(
    "settings",
    &Shape::Tree(
        "Settings by pass, component and name, as Microsoft's reference has them; tables hold settings, lists are lists of items.",
    ),
    "settings by pass and component: [unattend.settings.specialize.\"Microsoft-Windows-Shell-Setup\"]",
);
pub(super) const COMPUTER: Key = key(
    "computer-name",
    &COMPUTER_NAME,
    "the computer's name; `*` lets Windows make one (specialize)",
);
pub(super) const PRODUCT: Key =
    key("product-key", &PRODUCT_KEY, "the key that Windows is activated with (specialize)");
pub(super) const OWNER: Key = key("owner", &LINE, "the registered owner (specialize)");
pub(super) const ORGANIZATION: Key =
    key("organization", &LINE, "the registered organization (specialize)");
pub(super) const ADMINISTRATOR: Key = key(
    "administrator-password",
    &SECRET,
    "the password of the built-in administrator: { env = \"NAME\" } (oobeSystem)",
);
pub(super) const USERS_KEY: Key = key("users", &USERS, "local accounts (oobeSystem)");
pub(super) const AUTOLOGON_KEY: Key =
    key("autologon", &AUTOLOGON, "who is logged on without being asked (oobeSystem)");
pub(super) const COMMANDS_KEY: Key = key(
    "first-logon-commands",
    &COMMANDS,
    "commands that run at the first logon, in this order (oobeSystem)",
);
pub(super) const OOBE_KEY: Key =
    key("oobe", &OOBE, "the questions of the first start (oobeSystem)");
pub(super) const JOIN_KEY: Key =
    key("domain-join", &JOIN, "the domain or workgroup that the computer joins (specialize)");
pub(super) const LOCALE_KEY: Key = key(
    "locale",
    &LOCALE,
    "languages and keyboards that Windows sets at its first start; [locale] sets them in the image (oobeSystem)",
);
pub(super) const TIME_ZONE: Key = key(
    "time-zone",
    &LINE,
    "the time zone that Windows sets at its first start; [locale] sets it in the image (specialize)",
);
pub(super) const DISK_KEY: Key = key(
    "disk",
    &DISK,
    "the partitions that Setup makes (windowsPE: for answer files that are given to Setup itself)",
);

static COMPUTER_NAME: Shape = Shape::Text(Some(&Pattern {
    regex: r##"^(\*|[^{|}~\[\]\\^':;<=>?@!"#$%`()+/.,*& ]{1,15})$"##,
    matches: |text| !text.is_empty() && computer_name_problem(text).is_none(),
    what: "a computer name: at most 15 letters, digits and hyphens, not digits alone; or `*`",
}));
static PRODUCT_KEY: Shape = Shape::OneOf(&[
    Shape::Text(Some(&Pattern {
        regex: "^([A-Za-z0-9]{5}-){4}[A-Za-z0-9]{5}$",
        matches: is_product_key,
        what: "a product key: XXXXX-XXXXX-XXXXX-XXXXX-XXXXX",
    })),
    super::SECRET_SHAPE,
]);
static LANGUAGE_TAG: Shape = Shape::Text(Some(&Pattern {
    regex: "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$",
    matches: is_language_tag,
    what: "a language such as `de-DE`",
}));

static USERS: Shape = Shape::Map(&MapShape {
    valid: |name| account_name_problem(name).is_none(),
    about: "Local accounts by name.",
    value: &USER,
});
static USER: Shape = Shape::Table(&table(
    "a user",
    "A local account.",
    &[
        key(
            "password",
            &SECRET,
            "the password: { env = \"NAME\" }; without it the account has none",
        ),
        key("group", &LINE, "the groups it belongs to, `;` between several; default: `Users`"),
        key("display-name", &LINE, "the name that is shown"),
        key("description", &LINE, "what it is for"),
    ],
));
static AUTOLOGON: Shape = Shape::Table(&table(
    "`autologon`",
    "Who is logged on without being asked.",
    &[
        required("user", &LINE, "the account"),
        required("password", &SECRET, "its password: { env = \"NAME\" }"),
        key("domain", &LINE, "the account's domain; without it, it is a local account"),
        key("count", &COUNT, "how often; default: 1"),
    ],
));
static COUNT: Shape = Shape::Integer { least: 1, most: 9999, help: "at least once" };
static COMMANDS: Shape = Shape::List {
    of: &Shape::OneOf(&[
        Shape::Text(Some(&Pattern {
            regex: r"^[^\u0000-\u001f]{1,1024}$",
            matches: is_command,
            what: "a command of at most 1024 characters",
        })),
        Shape::Table(&table(
            "a command",
            "A command that runs at the first logon.",
            &[
                required("command", &COMMAND, "the command"),
                key("description", &LINE, "what it is for"),
                key("requires-user-input", &BOOLEAN, "true: it asks the user something"),
            ],
        )),
    ]),
    least: 1,
    append: false,
};
static COMMAND: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[^\u0000-\u001f]{1,1024}$",
    matches: is_command,
    what: "a command of at most 1024 characters",
}));

fn is_command(text: &str) -> bool {
    let length = text.encode_utf16().count();
    (1..=1024).contains(&length) && !text.contains(char::is_control)
}

static OOBE: Shape = Shape::OneOf(&[
    Shape::Choice {
        words: &[word(
            "skip",
            "no question is asked; it needs `locale` with all four keys, and `users` or `administrator-password`",
        )],
        other: None,
    },
    Shape::Table(&table(
        "`oobe`",
        "The questions of the first start.",
        &[
            key("hide-eula", &BOOLEAN, "true: the licence is not shown"),
            key("hide-oem-registration", &BOOLEAN, "true: the manufacturer's page is not shown"),
            key("hide-online-account", &BOOLEAN, "true: nobody is asked for an online account"),
            key("hide-wireless-setup", &BOOLEAN, "true: nobody is asked for a wireless network"),
            key(
                "hide-local-account",
                &BOOLEAN,
                "true: nobody is asked for the administrator's password (servers)",
            ),
            key(
                "protect-your-pc",
                &PROTECT,
                "1: recommended protection, 2: updates alone, 3: none",
            ),
            key("network-location", &NETWORK, "what network the computer is in"),
        ],
    )),
]);
static PROTECT: Shape =
    Shape::Integer { least: 1, most: 3, help: "1: recommended, 2: updates alone, 3: none" };
static NETWORK: Shape = Shape::Choice {
    words: &[
        word("Home", "a home network"),
        word("Work", "a network at work"),
        word("Other", "a public network"),
    ],
    other: None,
};

static JOIN: Shape = Shape::Table(&TableShape {
    groups: &[Group { keys: &["domain", "workgroup"], required: true }],
    ..table(
        "`domain-join`",
        "The domain or workgroup that the computer joins.",
        &[
            key("domain", &LINE, "the domain: `corp.example`"),
            key("workgroup", &LINE, "the workgroup"),
            key("ou", &LINE, "where in the domain: `OU=Build,DC=corp,DC=example`"),
            key("user", &LINE, "who may join it; `DOMAIN\\user`, or a name of that domain"),
            key(
                "password",
                &SECRET,
                "that account's password: { env = \"NAME\" }; answer files cannot hide it",
            ),
        ],
    )
});
static LOCALE: Shape = Shape::Table(&table(
    "`locale` of [unattend]",
    "Languages and keyboards that Windows sets at its first start.",
    &[
        key("ui", &LANGUAGE_TAG, "the language of Windows itself"),
        key("ui-fallback", &LANGUAGE_TAG, "the language for what is not translated"),
        key("system", &LANGUAGE_TAG, "the language of programs that do not know Unicode"),
        key("user", &LANGUAGE_TAG, "formats of dates, times, numbers"),
        key("input", &LINE, "keyboards: `0407:00000407` or `de-DE`, `;` between several"),
    ],
));
static DISK: Shape = Shape::Table(&table(
    "`disk`",
    "A disk that Setup wipes, and the partitions that it makes.",
    &[
        required("layout", &LAYOUT, "what the firmware starts from"),
        key("disk", &NUMBER, "the disk's number; default: 0"),
        key("system-mib", &SIZE, "size of the system partition; default: 260 (uefi), 350 (bios)"),
        key("recovery-mib", &SIZE, "size of a recovery partition; default: there is none (uefi)"),
    ],
));
static LAYOUT: Shape = Shape::Choice {
    words: &[
        word("uefi", "GPT: system (FAT32), reserved, recovery where asked for, Windows"),
        word("bios", "MBR: system (active), Windows"),
    ],
    other: None,
};
static NUMBER: Shape = Shape::Integer { least: 0, most: 99, help: "disks are counted from 0" };
static SIZE: Shape =
    Shape::Integer { least: 100, most: 1 << 20, help: "MiB: between 100 and 1048576" };
