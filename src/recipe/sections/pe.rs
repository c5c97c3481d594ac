//! `[winpe]` and `[winre]`.

use super::table;
use crate::recipe::shape::Shape;

pub(super) static WINPE: Shape =
    Shape::Table(&table("the section [winpe]", "Settings of a Windows PE image.", &[]));

pub(super) static WINRE: Shape =
    Shape::Table(&table("the section [winre]", "The recovery image inside the image.", &[]));
