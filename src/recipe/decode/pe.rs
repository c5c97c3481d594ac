//! `[winpe]` and `[winre]`.

use crate::{
    recipe::node::Entry,
    servicing::{Operation, winpe::WinPeSpec, winre::WinReSpec},
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn winpe(&mut self, section: &Entry) {
        self.entry("winpe", "winpe", &section.node.origin, Operation::WinPe(WinPeSpec {}));
    }

    pub(super) fn winre(&mut self, section: &Entry) {
        self.entry("winre", "winre", &section.node.origin, Operation::WinRe(WinReSpec {}));
    }
}
