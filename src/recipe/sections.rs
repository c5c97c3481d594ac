//! The sections of a recipe: every key that this version knows, what it means, and what may stand there.
//!
//! Data only. [`super::shape`] checks recipes against it and [`super::schema`] makes the JSON Schema of it, so the descriptions here are
//! what an editor shows.

mod answers;
pub(super) mod apps;
mod base;
mod locale;
mod pe;
pub(super) mod policy;
mod unattend;
mod winre;

use crate::base::secret::SecretRef;

use super::shape::{Group, Key, MapShape, Pattern, Shape, TableShape, Word};

/// A key that may be left out.
const fn key(name: &'static str, shape: &'static Shape, about: &'static str) -> Key {
    Key { name, about, shape, required: false }
}

/// A key that must be given.
const fn required(name: &'static str, shape: &'static Shape, about: &'static str) -> Key {
    Key { name, about, shape, required: true }
}

const fn word(text: &'static str, about: &'static str) -> Word {
    Word { text, about, number: None, also: &[] }
}

/// A table whose keys merge one by one.
const fn table(what: &'static str, about: &'static str, keys: &'static [Key]) -> TableShape {
    TableShape { what, about, keys, later: &[], groups: &[], whole: false }
}

static TEXT: Shape = Shape::Text(None);
static LINE: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[^\u0000-\u001f]+$",
    matches: |text| !text.is_empty() && !text.contains(char::is_control),
    what: "one line of text",
}));
const PATH_SHAPE: Shape = Shape::Path;
static PATH: Shape = PATH_SHAPE;
static PATHS: Shape = Shape::List { of: &PATH, least: 1, append: false };
/// What stands for a secret wherever one may stand.
static SECRET: Shape = SECRET_SHAPE;
const SECRET_SHAPE: Shape = Shape::Table(&SECRET_TABLE);
static SECRET_TABLE: TableShape = TableShape {
    whole: true,
    ..table(
        "a secret",
        "A text that the recipe does not hold: it is put in when the output is written.",
        &[required("env", &VARIABLE, ENV)],
    )
};
static VARIABLE: Shape = Shape::Text(Some(&Pattern {
    regex: "^[A-Za-z_][A-Za-z0-9_]*$",
    matches: |text| SecretRef::new(text).is_some(),
    what: "the name of an environment variable",
}));
const ENV: &str = "the environment variable that holds the text when the image is built";
static BOOLEAN: Shape = Shape::Boolean;
static TRUE: Shape = Shape::True;

/// The whole recipe.
pub(crate) static ROOT: TableShape = TableShape {
    ..table(
        "a recipe",
        "A Windows image as it shall be. Nothing here is a step: what has to be done and in which order is worked out.",
        &[
            key(
                "extends",
                &PATHS,
                "recipes that this one builds on, merged before it; relative to this file",
            ),
            key(
                "drop",
                &DROP,
                "inherited entries to remove, each written as a key path: `services.RemoteRegistry`",
            ),
            key("vars", &VARS, "texts that `${name}` stands for in every other text"),
            key("image", &IMAGE, "what the built image says of itself"),
            required("base", &base::BASE, "the image to start from"),
            key("packages", &PACKAGES, "packages: updates and whatever else comes as .cab or .msu"),
            key("languages", &LANGUAGES, "languages of Windows itself"),
            key("features", &FEATURES, "optional features: on, off, or gone"),
            key("capabilities", &CAPABILITIES, "capabilities (features on demand)"),
            key("appx", &apps::APPX, "provisioned apps"),
            key("drivers", &DRIVERS, "driver packages"),
            key("locale", &locale::LOCALE, "languages, formats, keyboards and the time zone"),
            key("defaults", &apps::DEFAULTS, "file associations, OEM information"),
            key("winpe", &pe::WINPE, "settings of a Windows PE image"),
            key("winre", &winre::WINRE, "the recovery image inside the image"),
            key("registry", &REGISTRY, "registry keys and values"),
            key("registry-files", &REGISTRY_FILES, "`.reg` files"),
            key("services", &SERVICES, "how services start"),
            key("files", &FILES, "files and folders"),
            key("unattend", &unattend::UNATTEND, "the answer file for Windows Setup"),
            key("first-boot", &apps::FIRST_BOOT, "what Windows runs once, before the first logon"),
            key(
                "policy",
                &policy::POLICY,
                "what to do where there is a choice, and rules that the finished image must keep",
            ),
            required("output", &OUTPUT, "what is written, and how"),
            key("matrix", &MATRIX, "variants of this recipe, each with an output of its own"),
        ],
    )
};

/// `[matrix]`.
pub(crate) static MATRIX: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Variants of this recipe by names of your own: each is the recipe with what stands here laid over it, as `--set` does. \
            `${matrix.name}` stands for the variant's name.",
    value: &VARIANT,
});
static VARIANT: Shape = Shape::Part(&ROOT);
static DROP: Shape = Shape::List { of: &LINE, least: 0, append: false };
static VARS: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Texts that `${name}` stands for in every other text. `$${` is a plain `${`.",
    value: &TEXT,
});

static IMAGE: Shape = Shape::Table(&table(
    "the section [image]",
    "What the built image says of itself. What is left out stays as in the base.",
    &[
        key("name", &LINE, "the image's name in the WIM"),
        key("version", &LINE, "the version of the golden image, for the build report"),
        key("description", &LINE, "the image's description in the WIM"),
    ],
));

static REGISTRY: Shape = Shape::Map(&MapShape {
    // `[registry.HKLM.SOFTWARE]`, not quoted, is another table altogether.
    valid: |key| key.contains('\\'),
    about: "Registry keys. Roots: HKLM\\SOFTWARE, HKLM\\SYSTEM, HKLM\\SAM, HKLM\\SECURITY, HKLM\\COMPONENTS, HKLM\\DRIVERS, HKCR, HKU\\.DEFAULT, \
            and HKCU for the default user.",
    value: &REGISTRY_KEY,
});
static REGISTRY_KEY: Shape = Shape::OneOf(&[
    Shape::Choice { words: &[word("absent", "the key and all below it go")], other: None },
    Shape::Map(&MapShape {
        valid: |_| true,
        about: "Values of the key; others stay.",
        value: &REGISTRY_VALUE,
    }),
]);
static REGISTRY_VALUE: Shape = Shape::OneOf(&[
    Shape::Integer {
        least: 0,
        most: 0xffff_ffff,
        help: "a plain number is a REG_DWORD of 32 bits; for more write { type = \"qword\", value = ... }, \
               and a negative number as the unsigned one with the same bits",
    },
    Shape::Text(None),
    Shape::List { of: &TEXT, least: 0, append: false },
    Shape::Table(&TableShape {
        groups: &[
            Group { keys: &["type", "absent", "env"], required: true },
            Group { keys: &["value", "absent", "env"], required: false },
        ],
        whole: true,
        ..table(
            "a registry value",
            "A value with its type, a secret, or its absence.",
            &[
                key("type", &REGISTRY_TYPE, "the type"),
                key(
                    "value",
                    &REGISTRY_DATA,
                    "the data: a number for dword and qword, a list of texts for multi-sz, text for sz and expand-sz, \
                    hexadecimal bytes for the rest",
                ),
                key("absent", &TRUE, "the value goes"),
                key(
                    "env",
                    &VARIABLE,
                    "a REG_SZ: the environment variable that holds the text when the image is built",
                ),
            ],
        )
    }),
]);
static REGISTRY_TYPE: Shape = Shape::Choice {
    words: &[
        word("sz", "REG_SZ: text").also(None, &["REG_SZ", "string"]),
        word("expand-sz", "REG_EXPAND_SZ: text with %variables%").also(None, &["REG_EXPAND_SZ"]),
        word("multi-sz", "REG_MULTI_SZ: a list of texts").also(None, &["REG_MULTI_SZ"]),
        word("dword", "REG_DWORD: a number of 32 bits").also(None, &["REG_DWORD"]),
        word("qword", "REG_QWORD: a number of 64 bits").also(None, &["REG_QWORD"]),
        word("binary", "REG_BINARY: bytes").also(None, &["REG_BINARY", "hex"]),
        word("none", "REG_NONE: bytes of no type").also(None, &["REG_NONE"]),
    ],
    other: Some(&Pattern {
        regex: "^0[xX][0-9a-fA-F]{1,8}$",
        matches: |text| {
            text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).is_some_and(|digits| {
                (1..=8).contains(&digits.len())
                    && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        },
        what: "a type number such as `0x7`",
    }),
};
static REGISTRY_DATA: Shape = Shape::OneOf(&[
    Shape::Text(None),
    Shape::Integer {
        least: 0,
        most: 0xffff_ffff_ffff_ffff,
        help: "a qword holds 64 bits; write a negative number as the unsigned one with the same bits",
    },
    Shape::List { of: &TEXT, least: 0, append: false },
]);

static REGISTRY_FILES: Shape = Shape::List {
    of: &Shape::Table(&table(
        "an entry of [[registry-files]]",
        "A `.reg` file, as regedit exports it.",
        &[required("file", &PATH, "the `.reg` file")],
    )),
    least: 0,
    append: true,
};

static PACKAGES: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Packages by names of your own. They are installed in servicing order: what a package needs comes before it, whatever the order here.",
    value: &PACKAGE,
});
static PACKAGE: Shape = Shape::Table(&TableShape {
    groups: &[Group { keys: &["source", "state"], required: true }],
    ..table(
        "a package",
        "A package to install, or one to remove.",
        &[
            key("source", &PATH, PACKAGE_SOURCE),
            key("unsigned", &UNSIGNED, UNSIGNED_PACKAGES),
            key("when-not-native", &WHEN_NOT_NATIVE, NOT_NATIVE_PACKAGES),
            key("state", &ABSENT, "`absent`: the package that `identity` names is removed"),
            key(
                "identity",
                &PACKAGE_IDENTITY,
                "which package is removed: its identity as DISM shows it, or its name alone for every version",
            ),
        ],
    )
});
const PACKAGE_SOURCE: &str = "a .cab, a .msu, an .esd, or a folder with such files or an expanded package (with a .psf: the folder that holds both)";
const UNSIGNED_PACKAGES: &str =
    "what to do with packages that no known authority vouches for; default: `refuse`";
const NOT_NATIVE_PACKAGES: &str =
    "what to do when it cannot be done natively; default: as [policy] says";
static ABSENT: Shape = ABSENT_SHAPE;
const ABSENT_SHAPE: Shape =
    Shape::Choice { words: &[ABSENT_WORD.also(None, &["removed", "uninstalled"])], other: None };
const ABSENT_WORD: Word = word("absent", "it goes");
static PACKAGE_IDENTITY: Shape = Shape::Text(Some(&Pattern {
    regex: r"^[^~\s\u0000-\u001f]+(~[^~]*~[^~]*~[^~]*~[0-9]+(\.[0-9]+){0,3})?$",
    matches: is_package_identity,
    what: "a package identity such as \"Package_for_KB5001~31bf3856ad364e35~amd64~~10.0.1.0\", or a package's name",
}));

fn is_package_identity(text: &str) -> bool {
    match text.contains('~') {
        true => crate::format::cbs::Identity::of_package_id(text).is_some(),
        false => !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()),
    }
}

static LANGUAGES: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Languages of Windows itself, by tag: `de-DE`. Language packs go in before features and updates.",
    value: &LANGUAGE,
});
static LANGUAGE: Shape = Shape::OneOf(&[
    ABSENT_SHAPE,
    Shape::Table(&TableShape {
        groups: &[Group { keys: &["source", "state"], required: true }],
        ..table(
            "a language",
            "A language pack to install, or to remove.",
            &[
                key("source", &PATH, PACKAGE_SOURCE),
                key("unsigned", &UNSIGNED, UNSIGNED_PACKAGES),
                key("when-not-native", &WHEN_NOT_NATIVE, NOT_NATIVE_PACKAGES),
                key("state", &ABSENT, "`absent`: the language pack is removed"),
            ],
        )
    }),
]);

static FEATURES: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Optional features by the names that DISM shows: `TelnetClient`.",
    value: &FEATURE,
});
static FEATURE: Shape = Shape::OneOf(&[
    FEATURE_STATE_SHAPE,
    Shape::Table(&table(
        "a feature",
        "What a feature shall be.",
        &[
            required("state", &FEATURE_STATE, "what it shall be"),
            key("all", &BOOLEAN, "true: features that it needs are enabled too"),
            key(
                "source",
                &PATH,
                "where its payload comes from when the image does not have it: a package, or a folder of packages (`sources\\sxs`)",
            ),
            key("unsigned", &UNSIGNED, UNSIGNED_PACKAGES),
            key("when-not-native", &WHEN_NOT_NATIVE, NOT_NATIVE_PACKAGES),
        ],
    )),
]);
static FEATURE_STATE: Shape = FEATURE_STATE_SHAPE;
const FEATURE_STATE_SHAPE: Shape = Shape::Choice {
    words: &[
        word("enabled", "on").also(None, &["enable", "on", "present"]),
        word("disabled", "off; its payload stays in the image")
            .also(None, &["disable", "off", "absent"]),
        word("removed", "off, and its payload gone from the image")
            .also(None, &["remove", "disabled with payload removed"]),
    ],
    other: None,
};

static CAPABILITIES: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Capabilities (features on demand) by the names that DISM shows: `OpenSSH.Server~~~~0.0.1.0`.",
    value: &CAPABILITY,
});
static CAPABILITY: Shape = Shape::OneOf(&[
    CAPABILITY_STATE_SHAPE,
    Shape::Table(&table(
        "a capability",
        "What a capability shall be.",
        &[
            key("state", &CAPABILITY_STATE, "what it shall be; default: `present`"),
            key(
                "source",
                &PATH,
                "where its packages come from: a .cab, or a folder of .cab files; without it its payload is in the image",
            ),
            key("unsigned", &UNSIGNED, UNSIGNED_PACKAGES),
            key("when-not-native", &WHEN_NOT_NATIVE, NOT_NATIVE_PACKAGES),
        ],
    )),
]);
static CAPABILITY_STATE: Shape = CAPABILITY_STATE_SHAPE;
const CAPABILITY_STATE_SHAPE: Shape = Shape::Choice {
    words: &[
        word("present", "it is installed").also(None, &["installed", "enabled"]),
        ABSENT_WORD.also(None, &["removed", "uninstalled", "not-present", "disabled"]),
    ],
    other: None,
};

static DRIVERS: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Driver packages by names of your own. They are installed in the order in which they stand here, which decides their oemN numbers.",
    value: &DRIVER,
});
static DRIVER: Shape = Shape::Table(&DRIVER_TABLE);
static DRIVER_TABLE: TableShape = TableShape {
    groups: &[Group { keys: &["source", "state"], required: true }],
    ..table(
        "a driver",
        "Driver packages to install, or one to remove.",
        &[
            key(
                "source",
                &PATH,
                "a folder (every .inf below it), one .inf (with its folder), a .cab or a .zip",
            ),
            key(
                "unsigned",
                &UNSIGNED,
                "what to do with packages that no known authority vouches for; default: `refuse`",
            ),
            key(
                "when-not-native",
                &WHEN_NOT_NATIVE,
                "what to do with packages that cannot be installed here; default: as [policy] says",
            ),
            key("state", &DRIVER_STATE, "`absent`: the package that `inf` names is removed"),
            key(
                "inf",
                &LINE,
                "which package is removed: `oem3.inf`, or with `provider` its original name",
            ),
            key(
                "provider",
                &LINE,
                "the provider of the package to remove, when `inf` is an original name",
            ),
        ],
    )
};
static DRIVER_STATE: Shape =
    Shape::Choice { words: &[word("absent", "the package is removed")], other: None };
static UNSIGNED: Shape = Shape::Choice {
    words: &[
        word("refuse", "refuse the build"),
        word("allow", "take them; Windows may refuse to load them"),
    ],
    other: None,
};

static SERVICES: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Services by their key names. A service that the image does not have is an error.",
    value: &SERVICE,
});
static SERVICE: Shape = Shape::OneOf(&[
    START_SHAPE,
    Shape::Table(&table(
        "a service",
        "What a service shall be like; what is left out stays.",
        &[
            key("start", &START, "when it starts"),
            key(
                "account",
                &LINE,
                "the account it runs as: `LocalSystem`, `NT AUTHORITY\\LocalService`",
            ),
            key("arguments", &TEXT, "what follows the program on its command line"),
        ],
    )),
]);
static START: Shape = START_SHAPE;
const START_SHAPE: Shape = Shape::Choice { words: &START_WORDS, other: None };
const START_WORDS: [Word; 6] = [
    word("boot", "by the boot loader (drivers)").also(Some(0), &[]),
    word("system", "while the kernel starts (drivers)").also(Some(1), &[]),
    word("auto", "at boot").also(Some(2), &["automatic", "enabled"]),
    word("delayed", "some minutes after boot").also(None, &["delayed-auto", "automatic-delayed"]),
    word("manual", "when something asks for it").also(Some(3), &["demand"]),
    word("disabled", "never").also(Some(4), &["disable"]),
];

static FILES: Shape = Shape::List {
    of: &Shape::Table(&TableShape {
        groups: &[Group { keys: &["from", "absent"], required: false }],
        ..table(
            "an entry of [[files]]",
            "A file or folder of the image. Without `from` and `absent` what is there gets other attributes or security.",
            &[
                required(
                    "to",
                    &LINE,
                    "where in the image: 'C:\\Tools\\tool.exe'; the drive letter means the image's root",
                ),
                key(
                    "from",
                    &PATH,
                    "the file or folder on this machine; a folder is merged into what is there",
                ),
                key("replace", &BOOLEAN, "true: the folder in the image is emptied first"),
                key("absent", &TRUE, "the file, or the folder and all below it, goes"),
                key("attributes", &ATTRIBUTES, "attributes of the file, or of the folder's files"),
                key(
                    "sddl",
                    &LINE,
                    "the security descriptor as SDDL; without it, it is inherited as Windows does",
                ),
            ],
        )
    }),
    least: 0,
    append: true,
};
static ATTRIBUTES: Shape = Shape::List {
    of: &Shape::Choice {
        words: &[
            word("readonly", "cannot be written"),
            word("hidden", "is not shown"),
            word("system", "belongs to the system"),
            word("archive", "changed since the last backup"),
            word("not-indexed", "is not indexed for search"),
        ],
        other: None,
    },
    least: 0,
    append: false,
};

static WHEN_NOT_NATIVE: Shape = Shape::Choice {
    words: &[
        word("refuse", "refuse the build"),
        word("first-boot", "let Windows install it at the first boot"),
        word(
            "dism",
            "let DISM install it, on a Windows host: this version does not call it and refuses the build by name; `transom plan --as dism` prints the commands",
        ),
    ],
    other: None,
};

static OUTPUT: Shape = Shape::Table(&TableShape {
    ..table(
        "the section [output]",
        "What is written, and how.",
        &[
            required("path", &PATH, "the WIM to write; its folder is made"),
            key("compression", &COMPRESSION, "how it is compressed; default: as the base"),
            key(
                "level",
                &LEVEL,
                "how much time compressing may take for how much size; default: `default`",
            ),
            key(
                "chunk-kib",
                &CHUNK,
                "bytes that are compressed together, in KiB; default: what Windows reads, or as the base when the compression is the base's",
            ),
            key(
                "split-mib",
                &SPLIT,
                "write a split set (.swm) with parts of at most this many MiB, unless one content or the metadata alone is larger; not with `compression = \"solid\"`",
            ),
            key(
                "integrity",
                &BOOLEAN,
                "true: write the integrity table that `dism /CheckIntegrity` reads",
            ),
            key("images", &IMAGES, "which images the output has; default: `selected`"),
            key(
                "epoch",
                &EPOCH,
                "the time of everything new: RFC 3339, or seconds since 1970; default: SOURCE_DATE_EPOCH, else the base image's own",
            ),
        ],
    )
});
static COMPRESSION: Shape = Shape::Choice {
    words: &[
        word("none", "stored as it is"),
        word("xpress", "fast"),
        word("lzx", "small"),
        word("lzms", "smaller; each file alone, for tools that read version 0xE00"),
        word(
            "solid",
            "smallest: files together in LZMS, as in an install.esd; slow to make and to read",
        ),
    ],
    other: None,
};
static LEVEL: Shape = Shape::Choice {
    words: &[
        word("fast", "less time, five to ten per cent larger"),
        word("default", "what golden images are built with every day"),
        word("high", "many times the time for some per cent less"),
        word("max", "twice the time of `high` for less than a per cent: for releases"),
    ],
    other: None,
};
static SPLIT: Shape = Shape::Integer {
    least: 1,
    most: 1 << 20,
    help: "FAT32 media hold files below 4096 MiB: 3800 leaves room",
};
static CHUNK: Shape = Shape::Integer {
    least: 4,
    most: 65536,
    help: "a power of two: 4 to 64 for xpress, 32 to 2048 for lzx, 32 to 65536 for lzms and solid",
};
static IMAGES: Shape = Shape::Choice {
    words: &[
        word("selected", "the built images alone"),
        word("all", "all images of the base, with the built ones in their places"),
    ],
    other: None,
};
static EPOCH: Shape = Shape::OneOf(&[
    Shape::Time,
    Shape::Text(Some(&Pattern {
        regex: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}",
        matches: |text| crate::base::filetime::FileTime::parse(text).is_some(),
        what: "a time such as 2026-11-01T00:00:00Z",
    })),
    Shape::Integer {
        least: -11_644_473_600,
        most: 253_402_300_799,
        help: "seconds since 1970-01-01 UTC, between the years 1601 and 9999",
    },
]);
