//! A whole cabinet: opened and taken apart.
#![no_main]

use std::{io, sync::Arc};

use libfuzzer_sys::fuzz_target;
use transom::format::cab::{Cabinet, Member};

fuzz_target!(|data: &[u8]| {
    let Ok(cabinet) = Cabinet::open(Arc::new(data.to_vec())) else { return };
    let small = |member: &Member| member.offset + member.size < 4 << 20;
    let mut sink =
        |_: &Member, content: &mut dyn io::Read| io::copy(content, &mut io::sink()).map(drop);
    let _ignored = cabinet.extract(small, &mut sink);
});
