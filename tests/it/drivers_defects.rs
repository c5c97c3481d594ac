//! What `check` says of driver sources: defects of the packages, whatever the image and the recipe's choices.

use transom::servicing::{
    InputId, Operation, WhenNotNative,
    drivers::{DriverAction, DriverSpec},
};

use crate::{
    driver_fixture::NETWORK_INF,
    image_fixture::{MemoryInputs, MemoryStore},
};

#[test]
fn what_goes_to_the_first_boot_is_no_defect() {
    let inf = format!(
        "{NETWORK_INF}\r\n[Net_Inst.CoInstallers]\r\nAddReg = Co\r\n[Co]\r\nHKR,,CoInstallers32,0x00010000,\"x.dll,Entry\"\r\n"
    );
    let source = MemoryInputs::folder("drivers", &[("testnet.inf", &inf), ("testnet.sys", "card")]);
    let operation = Operation::Driver(DriverSpec {
        name: "card".to_owned(),
        action: DriverAction::Present {
            source: InputId("drivers".to_owned()),
            inf: None,
            allow_unsigned: true,
            when_not_native: WhenNotNative::FirstBoot,
        },
    });
    let prepared = operation.prepare(&source, &MemoryStore::default()).unwrap();
    let found = operation.defects(&prepared);
    assert!(found.iter().all(|problem| problem.warning), "{found:?}");
}
