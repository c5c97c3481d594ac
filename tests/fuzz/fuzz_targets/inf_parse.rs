//! Any bytes as an INF: read or refused, its defects told, resolved for every architecture.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::inf::{Inf, InfArchitecture, NoIncludes, Target, architectures, resolve, version};

fuzz_target!(|data: &[u8]| {
    let Ok(inf) = Inf::parse(data) else { return };
    let _ = (inf.defects(), architectures(&inf));
    for architecture in InfArchitecture::ALL {
        let target = Target {
            architecture,
            version: (10, 0),
            build: 26100,
            product_type: Some(1),
            language: 0x409,
        };
        let _ = version(&inf, architecture);
        if let Ok(found) = resolve(&inf, &target, &NoIncludes) {
            assert_eq!(found.models.is_empty(), found.installs.is_empty());
            assert!(found.files.iter().all(|file| !file.path.split('\\').any(|part| part == "..")));
        }
    }
});
