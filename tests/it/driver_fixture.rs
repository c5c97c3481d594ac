//! Driver packages that the tests make: a boot-critical storage controller, a network card, and what is wrong with either.

use crate::image_fixture::MemoryInputs;

/// A storage controller: boot-critical, with a file for each architecture, a service, hardware keys.
pub(crate) const STORAGE_INF: &str = r#"; Made for tests.
[Version]
Signature   = "$Windows NT$"
Class       = SCSIAdapter
ClassGuid   = {4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider    = %Maker%
DriverVer   = 10/29/2025,1.2.3.4
CatalogFile = teststor.cat
PnpLockdown = 1

[SourceDisksNames]
1 = %Disk%,,,

[SourceDisksFiles.amd64]
teststor.sys = 1,\amd64

[SourceDisksFiles.arm64]
teststor.sys = 1,\arm64

[DestinationDirs]
DefaultDestDir = 12

[Manufacturer]
%Maker% = Models,NTamd64,NTarm64

[Models.NTamd64]
%Device% = Stor_Inst, PCI\VEN_5452&DEV_1001&SUBSYS_00025452, PCI\VEN_5452&DEV_1001
%Device% = Stor_Inst, PCI\VEN_5452&DEV_1042

[Models.NTarm64]
%Device% = Stor_Inst, PCI\VEN_5452&DEV_1001

[Stor_Inst.NT]
CopyFiles = @teststor.sys
FeatureScore = F9

[Stor_Inst.NT.HW]
AddReg = Stor_Hardware

[Stor_Hardware]
HKR,"Interrupt Management",0x00000010
HKR,"Interrupt Management\MessageSignaledInterruptProperties",MSISupported,0x00010001,1

[Stor_Inst.NT.Services]
AddService = teststor, 0x00000002, Stor_Service, Stor_Log

[Stor_Service]
DisplayName    = %Service%
ServiceType    = 1
StartType      = 0
ErrorControl   = 1
ServiceBinary  = %12%\teststor.sys
LoadOrderGroup = SCSI miniport
AddReg         = Stor_Parameters

[Stor_Parameters]
HKR,"Parameters",IoTimeoutValue,0x00010001,90
HKR,"Parameters\PnpInterface","5",0x00010001,1

[Stor_Log]
AddReg = Stor_Event

[Stor_Event]
HKR,,EventMessageFile,0x00020000,"%%SystemRoot%%\System32\IoLogMsg.dll"
HKR,,TypesSupported,0x00010001,7

[Strings]
Maker   = "Transom Tests"
Disk    = "Test disk"
Device  = "Test storage controller"
Service = "Test storage service"
"#;

/// A network card, which is imported only.
pub(crate) const NETWORK_INF: &str = r#"[Version]
Signature = "$Windows NT$"
Class = Net
ClassGuid = {4D36E972-E325-11CE-BFC1-08002BE10318}
Provider = "Transom Tests"
DriverVer = 01/02/2024,5.6
CatalogFile = testnet.cat

[SourceDisksNames]
1 = "Test disk"

[SourceDisksFiles]
testnet.sys = 1

[DestinationDirs]
DefaultDestDir = 13

[Manufacturer]
"Transom Tests" = Models,NTamd64.10.0...16299

[Models.NTamd64.10.0...16299]
"Test network card" = Net_Inst, PCI\VEN_5452&DEV_2001

[Net_Inst]
CopyFiles = @testnet.sys

[Net_Inst.Services]
AddService = testnet, 2, Net_Service

[Net_Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\testnet.sys
"#;

/// The files of both packages.
pub(crate) const FILES: [(&str, &str); 6] = [
    ("network/testnet.inf", NETWORK_INF),
    ("network/testnet.sys", "the driver of the network card"),
    ("storage/amd64/teststor.sys", "the driver of the storage controller"),
    ("storage/arm64/teststor.sys", "the same for another machine"),
    ("storage/setup.exe", "which no INF mentions"),
    ("storage/teststor.inf", STORAGE_INF),
];

/// Both packages in one folder, `drivers`.
pub(crate) fn inputs() -> MemoryInputs {
    MemoryInputs::folder("drivers", &FILES)
}

/// Both, with another text for one file.
pub(crate) fn inputs_with(path: &str, text: &str) -> MemoryInputs {
    let other = FILES.map(|(known, old)| (known, if known == path { text } else { old }));
    MemoryInputs::folder("drivers", &other)
}

/// Both, without one file.
pub(crate) fn inputs_without(path: &str) -> MemoryInputs {
    let rest: Vec<(&str, &str)> = FILES.into_iter().filter(|(known, _)| *known != path).collect();
    MemoryInputs::folder("drivers", &rest)
}
