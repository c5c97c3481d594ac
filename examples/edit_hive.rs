//! Opens a registry hive file, sets a value, checks the hive and writes it to another file.
//!
//! ```text
//! transom wim cat install.wim --index 1 Windows/System32/config/SOFTWARE > SOFTWARE
//! cargo run --example edit_hive -- SOFTWARE 'Contoso\Agent' Server build.example SOFTWARE.new
//! ```
//!
//! To change a hive inside an image, use [`transom::image::Image::set_value`]: it finds the hive, and writes it back when the image is finished.

#![expect(clippy::print_stdout, reason = "a program that tells what it did prints")]

use std::{env, error::Error};

use fs_err as fs;
use transom::{
    base::{limits::Limits, name::Name},
    format::hive::{Hive, Value},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, key, name, text, output] = arguments.as_slice() else {
        return Err("usage: edit_hive HIVE KEY NAME TEXT OUTPUT".into());
    };

    // A hive that Windows did not close needs its logs: `Hive::recover`.
    let mut hive = Hive::parse(fs::read(input)?, &Limits::default())?;
    let root = hive.root();
    // The library reads no clock: the caller says what time a key that changes gets. With the root's, the same edit gives the same bytes.
    let time = hive.key_time(root)?;

    let names: Vec<Name> = key.split('\\').map(Name::from).collect();
    let key = hive.create_path(root, &names, time)?;
    let name = Name::from(name.as_str());
    if let Some(old) = hive.value(key, &name)? {
        println!("was {:?}", old.as_text());
    }
    hive.set_value(key, &Value::sz(name, text), time)?;

    // Every cell, list and reference, as a careful reader would walk them.
    let problems = hive.check();
    if !problems.is_empty() {
        return Err(format!("the hive is not sound: {problems:?}").into());
    }
    println!("{}", hive.dump(key)?);
    fs::write(output, hive.into_bytes())?;
    Ok(())
}
