//! Work on hives beside libhivex (`tests/bench/hive/run.sh` runs both):
//!
//! ```text
//! hive_walk walk REPEAT HIVE          open, visit every key and value, add up all name and data bytes
//! hive_walk parents REPEAT HIVE OUT   100 keys with 100 keys each, two values in each; written to OUT
//! hive_walk one REPEAT HIVE OUT       10,000 keys under one, one value in each; written to OUT
//! hive_walk make MEBIBYTES WHICH OUT  a hive of that size; WHICH is `old`, or `new`: laid out otherwise, with a few differences (for `diff.sh`)
//! ```
//!
//! Without arguments (as `cargo bench` calls it) it does the same once on a small hive of its own.

use std::error::Error;
use std::io::Write as _;

use transom::base::filetime::FileTime;
use transom::base::limits::Limits;
use transom::base::name::Name;
use transom::format::hive::{Entry, Hive, KeyId, NameRef, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [mode, repeat, input, output @ ..] = arguments.as_slice() else {
        let mut hive = Hive::create(5, FileTime(1), &[]);
        many_parents(&mut hive)?;
        one_parent(&mut hive)?;
        return report(&walk(&hive)?);
    };
    if let ("make", [output, ..]) = (mode.as_str(), output) {
        let (size, changes) = make(repeat.parse()?, input == "new", output)?;
        writeln!(std::io::stdout(), "{size} bytes, {changes} differences")?;
        return Ok(());
    }
    let mut totals = Totals::default();
    for _ in 0..repeat.parse::<u32>()? {
        let mut hive = Hive::parse(fs_err::read(input)?, &Limits::default())?;
        match mode.as_str() {
            "walk" => totals = walk(&hive)?,
            "parents" => many_parents(&mut hive)?,
            "one" => one_parent(&mut hive)?,
            other => return Err(format!("no mode {other}").into()),
        }
        if let [output, ..] = output {
            fs_err::write(output, hive.into_bytes())?;
        }
    }
    report(&totals)
}

/// Keys of a part of a made hive.
const PART: u32 = 1000;

/// Writes a hive of about `mebibytes`; gives its size and in how many keys and values it differs from the old one of that size.
fn make(mebibytes: u32, new: bool, output: &str) -> Result<(usize, usize), Box<dyn Error>> {
    let time = FileTime(1);
    let mut hive = Hive::create(5, time, &[]);
    let mut differences = 0;
    // A key with its eight values takes about 1,100 bytes.
    let parts = mebibytes * 1024 * 1024 / 1100 / PART + 1;
    for place in 0..parts {
        let part = if new { parts - 1 - place } else { place };
        let parent = format!("Part{part:05}");
        let parent = hive.create_key(hive.root(), &Name::from(parent.as_str()), time)?;
        for number in 0..PART {
            let gone = number == 500;
            if gone && new {
                // The key and its values.
                differences += 9;
                continue;
            }
            let name = format!("Key{:06}", number * 7919 % 10_007);
            let key = hive.create_key(parent, &Name::from(name.as_str()), time)?;
            for value in 0..8_u8 {
                let changed = new && number == 100 && value == 3;
                differences += usize::from(changed);
                let byte = if changed { 255 } else { value };
                let data: Vec<u8> =
                    (0..90).map(|at| byte ^ u8::try_from(number % 251).unwrap_or(0) ^ at).collect();
                let value = Value::binary(format!("Value{value}").as_str(), data);
                hive.set_value(key, &value, time)?;
            }
        }
    }
    let bytes = hive.into_bytes();
    fs_err::write(output, &bytes)?;
    Ok((bytes.len(), differences))
}

#[derive(Default)]
struct Totals {
    keys: u64,
    values: u64,
    bytes: u64,
    sum: u64,
}

fn report(totals: &Totals) -> Result<(), Box<dyn Error>> {
    let Totals { keys, values, bytes, sum } = totals;
    writeln!(std::io::stdout(), "keys {keys} values {values} bytes {bytes} sum {sum}")?;
    Ok(())
}

fn add(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

fn add_name(name: NameRef<'_>) -> u64 {
    match name {
        NameRef::Latin1(bytes) => add(bytes),
        NameRef::Utf16(units) => add(units.as_flattened()),
    }
}

fn walk(hive: &Hive) -> Result<Totals, Box<dyn Error>> {
    let mut totals = Totals::default();
    hive.walk(hive.root(), |entry| match entry {
        Entry::Key { name, .. } => {
            totals.keys += 1;
            totals.sum += add_name(name);
        }
        Entry::Value(value) => {
            totals.values += 1;
            totals.bytes += value.data.len() as u64;
            totals.sum += add_name(value.name) + add(&value.data);
        }
    })?;
    Ok(totals)
}

fn child(hive: &mut Hive, parent: KeyId, name: &str) -> Result<KeyId, Box<dyn Error>> {
    Ok(hive.create_key(parent, &Name::from(name), FileTime(1))?)
}

fn many_parents(hive: &mut Hive) -> Result<(), Box<dyn Error>> {
    let root = hive.root();
    for outer in 0..100 {
        let parent = child(hive, root, &format!("Bench{outer:03}"))?;
        for inner in 0..100 {
            let key = child(hive, parent, &format!("Key{inner:05}"))?;
            hive.set_value(key, &Value::dword("Start", inner), FileTime(1))?;
            hive.set_value(key, &Value::sz("Description", "text"), FileTime(1))?;
        }
    }
    Ok(())
}

fn one_parent(hive: &mut Hive) -> Result<(), Box<dyn Error>> {
    let root = hive.root();
    let parent = child(hive, root, "Bench0")?;
    for number in 0..10_000 {
        let key = child(hive, parent, &format!("Key{number:05}"))?;
        hive.set_value(key, &Value::dword("Start", number), FileTime(1))?;
    }
    Ok(())
}
