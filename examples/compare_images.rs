//! Compares two images as data: what `transom diff` shows, for a program of your own.
//!
//! ```text
//! transom demo
//! cargo run --example compare_images -- transom-demo/media/install.wim transom-demo/out/demo-client.wim
//! ```

#![expect(clippy::print_stdout, reason = "a program that compares prints")]

use std::{env, error::Error, path::Path, sync::Arc};

use transom::{
    base::limits::Limits,
    format::wim::Wim,
    image::{
        Image,
        diff::{self, Side},
    },
    servicing::inventory::{self, Inventory},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [before, after] = arguments.as_slice() else {
        return Err("usage: compare_images BEFORE.wim AFTER.wim".into());
    };
    let (mut before, mut after) = (open(before)?, open(after)?);

    // What people ask for: packages, drivers, features, services ... by name, old and new.
    let (was, is) = (Inventory::of(&mut before), Inventory::of(&mut after));
    for area in inventory::diff::changes(&was, &is) {
        for entry in &area.entries {
            println!("{}: {}: {:?} -> {:?}", area.area.title(), entry.name, entry.old, entry.new);
        }
    }

    // Everything: files by what the metadata says of them (no content is decoded), the registry by what it means.
    let difference =
        diff::compare(&Side::of(&mut before)?, &Side::of(&mut after)?, diff::Options::default());
    println!(
        "{} files, {} registry keys and values",
        difference.files.len(),
        difference.registry.len()
    );
    Ok(())
}

/// The first image of a WIM. Files stay compressed where they are until they are read.
fn open(path: &str) -> Result<Image, Box<dyn Error>> {
    let limits = Limits::default();
    let wim = Arc::new(Wim::open_path(Path::new(path), &limits)?);
    Ok(Image::open(wim, 1, &limits)?)
}
