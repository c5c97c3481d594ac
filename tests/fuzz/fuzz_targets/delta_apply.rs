//! A delta with its reference: the first byte says how many bytes of the data are the reference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::base::filetime::FileTime;
use transom::format::delta;

const LIMIT: u64 = 1 << 22;

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else { return };
    let (reference, stored) = rest.split_at(usize::from(count).min(rest.len()));
    let _ignored = delta::apply(stored, reference, LIMIT);
    let made = delta::create(reference, stored, FileTime(0));
    assert_eq!(delta::apply(&made, reference, LIMIT).as_deref(), Ok(stored));
});
