//! `[unattend]`.

use super::{PATH, UNSIGNED, WHEN_NOT_NATIVE, answers, key, required, table};
use crate::recipe::shape::{MapShape, Shape, TableShape};

pub(super) static UNATTEND: Shape = Shape::Table(&table(
    "the section [unattend]",
    "The answer file for Windows Setup. What it says of the offline image (`<servicing>`, the pass offlineServicing) is done now; the rest is put at \
     `Windows\\Panther\\unattend.xml`. `file` and settings may stand together: the settings are laid over the file.",
    &[
        key("file", &PATH, "the answer file"),
        key(
            "paths",
            &PATHS_OF_FILE,
            "what paths in the answer file stand for here: { 'D:\\drivers' = \"drivers\" }",
        ),
        answers::COMPUTER,
        answers::PRODUCT,
        answers::OWNER,
        answers::ORGANIZATION,
        answers::ADMINISTRATOR,
        answers::USERS_KEY,
        answers::AUTOLOGON_KEY,
        answers::COMMANDS_KEY,
        answers::OOBE_KEY,
        answers::JOIN_KEY,
        answers::LOCALE_KEY,
        answers::TIME_ZONE,
        answers::DISK_KEY,
        answers::SETTINGS,
    ],
));
static PATHS_OF_FILE: Shape = Shape::Map(&MapShape {
    valid: |_| true,
    about: "Paths of drivers and packages as the answer file writes them, and the file or folder of this machine that each stands for.",
    value: &PATH_OF_FILE,
});
static PATH_OF_FILE: Shape = Shape::OneOf(&[
    Shape::Path,
    Shape::Table(&TableShape {
        whole: true,
        ..table(
            "a path of an answer file",
            "What it stands for, and what may come from there.",
            &[
                required("source", &PATH, "the file or folder of this machine"),
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
            ],
        )
    }),
]);
