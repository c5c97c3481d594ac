//! `[unattend]`.

use super::{PATH, answers, key, table};
use crate::recipe::shape::Shape;

pub(super) static UNATTEND: Shape = Shape::Table(&table(
    "the section [unattend]",
    "The answer file for Windows Setup; it is checked and put at `Windows\\Panther\\unattend.xml`. `file` and settings may stand together: the settings \
     are laid over the file.",
    &[
        key("file", &PATH, "the answer file"),
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
