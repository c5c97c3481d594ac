//! `[locale]`.

use super::table;
use crate::recipe::shape::Shape;

pub(super) static LOCALE: Shape = Shape::Table(&table(
    "the section [locale]",
    "Languages, formats, keyboards and the time zone.",
    &[],
));
