//! A delta with its reference: the first two bytes say how many bytes of the data are the reference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::base::filetime::FileTime;
use transom::format::delta;

const LIMIT: u64 = 1 << 22;

fuzz_target!(|data: &[u8]| {
    let Some((count, rest)) = data.split_first_chunk() else { return };
    let count = usize::from(u16::from_le_bytes(*count));
    let (reference, stored) = rest.split_at(count.min(rest.len()));
    let _ignored = delta::apply(stored, reference, LIMIT);
    let made = delta::create(reference, stored, FileTime(0));
    assert_eq!(delta::apply(&made, reference, LIMIT).as_deref(), Ok(stored));
});
