//! What built images are and have, kept in the store by their state: a build that only replays knows it without looking.

use crate::{
    base::{digest::Blake3, limits::Limits},
    image::{Image, ImageError},
    plan::{Plan, PlannedImage, key},
    servicing::inventory::{Inventory, VERSION},
    store::{RecordKind, Store, StoreError},
};

/// The key of the inventory of an image in `state`.
fn inventory_key(state: &Blake3) -> Blake3 {
    key::key("transom inventory", &[&VERSION.to_le_bytes(), &state.0])
}

/// What is kept of an image in `state`.
///
/// # Errors
/// When the store cannot be read.
pub fn recall(state: &Blake3, store: &Store) -> Result<Option<Inventory>, StoreError> {
    store.json(RecordKind::Inventory, &inventory_key(state))
}

/// The inventory of `image`, which is in `state`: what is kept of it, else what it says, which is kept then; what was odd about its
/// metadata is among its notes. Secrets are placeholders in it.
///
/// # Errors
/// When the store cannot be read or written.
pub fn take(image: &mut Image, state: &Blake3, store: &Store) -> Result<Inventory, StoreError> {
    if let Some(known) = recall(state, store)? {
        return Ok(known);
    }
    let mut inventory = Inventory::of(image);
    // What was odd about its metadata when it was opened.
    inventory.notes.splice(0..0, image.warnings().iter().cloned());
    store.put_json(RecordKind::Inventory, &inventory_key(state), &inventory)?;
    Ok(inventory)
}

/// The inventory of the base image that `image` starts from.
///
/// # Errors
/// When the image cannot be read, or the store.
pub fn of_base(
    plan: &Plan,
    image: &PlannedImage,
    store: &Store,
) -> Result<Result<Inventory, ImageError>, StoreError> {
    let state = key::first_state(&image.identity, plan.epoch);
    if let Some(known) = recall(&state, store)? {
        return Ok(Ok(known));
    }
    match Image::open(plan.base.wim.clone(), image.index, &Limits::default()) {
        Ok(mut base) => take(&mut base, &state, store).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}
