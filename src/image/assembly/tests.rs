//! Tests of putting images together, on WIMs made here.

use super::*;
