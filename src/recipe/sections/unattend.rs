//! `[unattend]`.

use super::{PATH, required, table};
use crate::recipe::shape::Shape;

pub(super) static UNATTEND: Shape = Shape::Table(&table(
    "the section [unattend]",
    "The answer file for Windows Setup; it is checked and put at `Windows\\Panther\\unattend.xml`.",
    &[required("file", &PATH, "the answer file")],
));
