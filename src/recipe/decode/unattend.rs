//! `[unattend]`.

use crate::{
    recipe::node::Entry,
    servicing::{Operation, unattend::UnattendSpec},
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn unattend(&mut self, section: &Entry) {
        let file = section.node.table().and_then(|table| table.get("file"));
        let Some(input) = file.and_then(|file| self.input(file)) else { return };
        let label = input.to_string();
        let operation = Operation::Unattend(UnattendSpec { input });
        self.entry("unattend", label, &section.node.origin, operation);
    }
}
