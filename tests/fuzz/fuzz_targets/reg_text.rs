//! Any bytes as a `.reg` file: read or refused; what is read is written and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::reg_text::{RegEntry, parse, write};

fn without_lines(mut entries: Vec<RegEntry>) -> Vec<RegEntry> {
    for entry in &mut entries {
        entry.line = 0;
    }
    entries
}

fuzz_target!(|data: &[u8]| {
    let Ok(entries) = parse(data) else { return };
    // A key whose name begins with a minus can be read (`[--x]`) but not written.
    let Ok(written) = write(&entries) else { return };
    let again = parse(&written).expect("what we wrote");
    assert_eq!(without_lines(again), without_lines(entries));
});
