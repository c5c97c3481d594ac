//! `[winpe]`.

use crate::{
    recipe::node::Entry,
    servicing::{Operation, winpe::WinPeSpec},
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn winpe(&mut self, section: &Entry) {
        self.entry("winpe", "winpe", &section.node.origin, Operation::WinPe(WinPeSpec {}));
    }
}
