//! `[winre]`: the sections that a recovery image has, as the recipe itself has them.

use super::{
    DRIVER_TABLE, FILES, LANGUAGES, LINE, PACKAGES, REGISTRY, REGISTRY_FILES, SERVICES, key, pe,
    table, word,
};
use crate::recipe::shape::{MapShape, Shape};

pub(super) static WINRE: Shape = Shape::Table(&table(
    "the section [winre]",
    "The recovery image inside the image, Windows\\System32\\Recovery\\winre.wim: serviced once for all images that hold the same file.",
    &[
        key(
            "drivers",
            &WINRE_DRIVERS,
            "`true`: the recipe's drivers; a list: those of these names; or drivers of its own as under [drivers], where `recipe` stands for the recipe's of that name",
        ),
        key("packages", &PACKAGES, "packages for it, as under [packages]"),
        key("languages", &LANGUAGES, "languages for it, as under [languages]"),
        key("winpe", &pe::WINPE, "settings of Windows PE for it, as under [winpe]"),
        key("services", &SERVICES, "how services start in it"),
        key("registry", &REGISTRY, "registry keys and values in it"),
        key("registry-files", &REGISTRY_FILES, "`.reg` files for it"),
        key("files", &FILES, "files and folders in it"),
    ],
));
static WINRE_DRIVERS: Shape = Shape::OneOf(&[
    Shape::True,
    Shape::List { of: &LINE, least: 1, append: false },
    Shape::Map(&MapShape {
        valid: |_| true,
        about: "Drivers for the recovery image.",
        value: &WINRE_DRIVER,
    }),
]);
static WINRE_DRIVER: Shape = Shape::OneOf(&[
    Shape::Choice { words: &[word("recipe", "the recipe's driver of this name")], other: None },
    Shape::Table(&DRIVER_TABLE),
]);
