//! `[appx]`, `[defaults]` and `[first-boot]`.

use super::{PATHS, required, table};
use crate::recipe::shape::Shape;

pub(super) static APPX: Shape =
    Shape::Table(&table("the section [appx]", "Provisioned apps.", &[]));

pub(super) static DEFAULTS: Shape =
    Shape::Table(&table("the section [defaults]", "File associations, OEM information.", &[]));

pub(super) static FIRST_BOOT: Shape = Shape::Table(&table(
    "the section [first-boot]",
    "What Windows runs once, before the first logon.",
    &[required("run", &PATHS, "scripts, in the order they run")],
));
