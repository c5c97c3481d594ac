//! `[winpe]`.

use super::table;
use crate::recipe::shape::Shape;

pub(super) static WINPE: Shape =
    Shape::Table(&table("the section [winpe]", "Settings of a Windows PE image.", &[]));
