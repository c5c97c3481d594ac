//! `[locale]`.

use crate::{
    recipe::node::Entry,
    servicing::{Operation, locale::LocaleSpec},
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn locale(&mut self, section: &Entry) {
        self.entry("locale", "locale", &section.node.origin, Operation::Locale(LocaleSpec {}));
    }
}
