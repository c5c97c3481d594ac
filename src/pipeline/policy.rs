//! The last step of a build: each image against the recipe's policy. Nothing is written when a rule is broken; the steps stay remembered.

use std::sync::Arc;

use super::inventory;
use crate::{
    base::{digest::Blake3, limits::Limits},
    format::wim::Wim,
    image::Image,
    plan::{Plan, PlannedImage, key},
    recipe::{Finding, OutputImages, PolicySection},
    servicing::{
        drivers::signatures::{self, Signatures},
        policy::{self, Broken, Checked},
    },
    store::{RecordKind, Store, StoreError},
};

/// The key of the signatures of an image in `state`.
fn signatures_key(state: &Blake3) -> Blake3 {
    key::key("transom driver signatures", &[&signatures::VERSION.to_le_bytes(), &state.0])
}

/// Holds `image`, which is in `state`, against the rules. What had to be looked at is kept in the store.
pub(super) fn check(
    rules: &PolicySection,
    image: &mut Image,
    state: &Blake3,
    store: &Store,
) -> Result<Checked, StoreError> {
    let inventory = inventory::take(image, state, store)?;
    let mut signed = Signatures::default();
    if rules.spec.signed_drivers {
        let key = signatures_key(state);
        signed = match store.json(RecordKind::Inventory, &key)? {
            Some(known) => known,
            None => {
                let read = signatures::read(image);
                store.put_json(RecordKind::Inventory, &key, &read)?;
                read
            }
        };
    }
    Ok(policy::check(&rules.spec, &inventory, &signed))
}

/// As [`check`], of an output that is there already: by what is kept of its state, else by looking into it. `None` when it cannot be looked into.
pub(super) fn check_output(
    plan: &Plan,
    image: &PlannedImage,
    place: usize,
    state: &Blake3,
    store: &Store,
) -> Result<Option<Checked>, StoreError> {
    let rules = &plan.policy;
    if let Some(inventory) = inventory::recall(state, store)? {
        let signed = match rules.spec.signed_drivers {
            true => store.json(RecordKind::Inventory, &signatures_key(state))?,
            false => Some(Signatures::default()),
        };
        if let Some(signed) = signed {
            return Ok(Some(policy::check(&rules.spec, &inventory, &signed)));
        }
    }
    let limits = Limits::default();
    let index = match plan.output.images {
        OutputImages::All => image.index,
        OutputImages::Selected => u32::try_from(place + 1).unwrap_or(u32::MAX),
    };
    let open = || {
        Image::open(Arc::new(Wim::open_path(&plan.output.path, &limits).ok()?), index, &limits).ok()
    };
    match open() {
        Some(mut image) => check(rules, &mut image, state, store).map(Some),
        None => Ok(None),
    }
}

/// What is broken as findings at the rules; `label` is the image, where there are several, `consequence` what is said of a rule: `this rule is broken`.
#[must_use]
pub fn findings(
    rules: &PolicySection,
    label: Option<&str>,
    broken: &[Broken],
    consequence: &str,
) -> Vec<Finding> {
    let finding = |broken: &Broken| {
        let image = label.map(|label| format!("{label}: ")).unwrap_or_default();
        let message = format!("{image}{}", broken.found);
        let code = format!("policy::{}", broken.rule.code());
        match rules.origins.get(&broken.rule) {
            Some(origin) => Finding::at(origin, code, message, consequence, &*broken.help),
            None => Finding::nowhere(code, message, &*broken.help),
        }
    };
    broken.iter().map(finding).collect()
}
