//! The base WIM of the demo and of the tests: small, shaped like Windows, made of nothing but our own code.
//!
//! Two images, a client and a server core, share most of their blobs, as real media do. They hold what servicing looks at: hives, a
//! component store whose files are projected by hard links, `servicing\Packages`, security descriptors, short names, a named stream, a
//! symbolic link, a junction, read-only and hidden files. The contents are synthetic: nothing of it is Microsoft's.

use super::{
    components::{self, StoreRegistry},
    hives::{self, Edition},
    pe,
    tree::{TreeBuilder, attribute},
};
use crate::{base::filetime::FileTime, format::hive::HiveError};

/// Descriptors by index, as SDDL: the root, system directories, the configuration folder, users' folders, the default user.
const SECURITY: [&str; 5] = [
    "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;AU)(A;OICIIO;SDGXGWGR;;;AU)",
    "O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464D:PAI(A;CIOI;FA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;OICIIO;GA;;;CO)",
    "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICIIO;GA;;;CO)",
    "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;WD)",
    "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)",
];

const ROOT: u32 = 0;
const SYSTEM: u32 = 1;
const CONFIG: u32 = 2;
const USERS: u32 = 3;
const DEFAULT_USER: u32 = 4;

/// Descriptor of a hive's root key.
const HIVE_SECURITY: &str =
    "O:BAG:SYD:PAI(A;CI;KA;;;BA)(A;CIIO;GA;;;CO)(A;CI;KA;;;SY)(A;CI;KR;;;BU)(A;CI;KR;;;AC)";

/// The version of everything in the demo's images.
pub(super) const VERSION: &str = "10.0.26100.1";

/// The editions of the demo's base, in image order.
pub(super) const EDITIONS: [Edition; 2] = [
    Edition {
        id: "Professional",
        composition: "Enterprise",
        installation: "Client",
        product: "Transom Demo Client",
        product_type: "WinNT",
        suite: "Terminal Server",
    },
    Edition {
        id: "ServerDatacenterCor",
        composition: "ServerDatacenter",
        installation: "Server Core",
        product: "Transom Demo Server",
        product_type: "ServerNT",
        suite: "DataCenter",
    },
];

/// The tree of one edition.
pub(super) fn tree(edition: &Edition, time: FileTime) -> Result<TreeBuilder, HiveError> {
    let descriptors = SECURITY.iter().map(|text| super::descriptor(text)).collect();
    let mut tree = TreeBuilder::new(descriptors, time);
    folders(&mut tree);
    let registry = components::write(&mut tree, edition);
    drivers(&mut tree);
    configuration(&mut tree, edition, &registry, time)?;
    odd_ones(&mut tree);
    Ok(tree)
}

fn folders(tree: &mut TreeBuilder) {
    for (path, short_name, security) in [
        ("Program Files", "PROGRA~1", SYSTEM),
        ("Program Files (x86)", "PROGRA~2", SYSTEM),
        ("ProgramData", "PROGRA~3", ROOT),
        (r"Program Files\Common Files", "COMMON~1", SYSTEM),
        ("Users", "", USERS),
        (r"Users\Default", "", DEFAULT_USER),
        (r"Users\Public", "", USERS),
        ("Windows", "", SYSTEM),
        (r"Windows\System32", "", SYSTEM),
        (r"Windows\System32\config", "", CONFIG),
        (r"Windows\servicing", "SERVIC~1", SYSTEM),
        (r"Windows\WinSxS", "", SYSTEM),
    ] {
        let id = tree.secured(path, security);
        tree.dentry(id).short_name = short_name.into();
    }
    for path in [
        "PerfLogs",
        r"ProgramData\Microsoft\Windows",
        r"ProgramData\ssh",
        r"Users\Default\AppData\Local",
        r"Users\Default\AppData\Roaming",
        r"Users\Default\Desktop",
        r"Users\Public\Desktop",
        r"Windows\Fonts",
        r"Windows\INF",
        r"Windows\Logs",
        r"Windows\Panther",
        r"Windows\Setup\State",
        r"Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}",
        r"Windows\System32\DriverStore\FileRepository",
        r"Windows\System32\Recovery",
        r"Windows\System32\Tasks",
        r"Windows\System32\drivers\etc",
        r"Windows\System32\en-US",
        r"Windows\SysWOW64",
        r"Windows\Temp",
        r"Windows\Web",
        r"Windows\WinSxS\Backup",
        r"Windows\WinSxS\Catalogs",
        r"Windows\WinSxS\Manifests",
        r"Windows\servicing\Editions",
        r"Windows\servicing\Packages",
        r"Windows\servicing\Sessions",
        r"Windows\servicing\Version\10.0.26100.1",
    ] {
        tree.directory(path);
    }
}

fn drivers(tree: &mut TreeBuilder) {
    for driver in ["disk.sys", "i8042prt.sys", "partmgr.sys", "tcpip.sys"] {
        let content = pe::dll(pe::MACHINE_AMD64, &filler(driver, 40_000));
        tree.file(&format!(r"Windows\System32\drivers\{driver}"), content);
    }
}

/// The hives of `System32\config`: file name, the text they are made from, and the key that is the hive's root.
const HIVES: [(&str, &str, &str); 5] = [
    ("SYSTEM", include_str!("system.reg"), r"HKEY_LOCAL_MACHINE\SYSTEM"),
    ("SOFTWARE", include_str!("software.reg"), r"HKEY_LOCAL_MACHINE\SOFTWARE"),
    ("DEFAULT", include_str!("default.reg"), r"HKEY_USERS\.DEFAULT"),
    ("COMPONENTS", include_str!("components.reg"), r"HKEY_LOCAL_MACHINE\COMPONENTS"),
    ("DRIVERS", include_str!("drivers.reg"), r"HKEY_LOCAL_MACHINE\DRIVERS"),
];

fn configuration(
    tree: &mut TreeBuilder,
    edition: &Edition,
    registry: &StoreRegistry,
    time: FileTime,
) -> Result<(), HiveError> {
    let security = super::descriptor(HIVE_SECURITY);
    for (name, text, root) in HIVES {
        let more = match name {
            "COMPONENTS" => registry.components.as_slice(),
            "SOFTWARE" => registry.software.as_slice(),
            _ => &[],
        };
        let hive = hives::from_text(text, root, edition, more, (&security, time))?;
        tree.file(&format!(r"Windows\System32\config\{name}"), hive);
        for log in ["LOG1", "LOG2"] {
            let id = tree.file(&format!(r"Windows\System32\config\{name}.{log}"), "");
            tree.dentry(id).attributes |= attribute::HIDDEN | attribute::SYSTEM;
        }
    }
    let user = hives::from_text(
        include_str!("ntuser.reg"),
        "HKEY_CURRENT_USER",
        edition,
        &[],
        (&security, time),
    )?;
    let id = tree.file(r"Users\Default\NTUSER.DAT", user);
    tree.dentry(id).attributes |= attribute::HIDDEN;
    Ok(())
}

/// What trips tools that only know plain files.
fn odd_ones(tree: &mut TreeBuilder) {
    let default = tree.directory(r"Users\Default");
    tree.dentry(default).attributes |= attribute::HIDDEN;
    let data = tree.directory("ProgramData");
    tree.dentry(data).attributes |= attribute::HIDDEN;

    let sample =
        tree.file(r"Windows\Web\sample.url", "[InternetShortcut]\r\nURL=https://example.org/\r\n");
    tree.named_stream(sample, "Zone.Identifier", "[ZoneTransfer]\r\nZoneId=3\r\n");
    let hosts = tree.file(
        r"Windows\System32\drivers\etc\hosts",
        "# localhost name resolution is handled within DNS itself.\r\n",
    );
    tree.named_stream(hosts, "note", "a second stream");
    let manifest = tree.file(r"Windows\WindowsShell.Manifest", "<assembly/>\r\n");
    tree.dentry(manifest).attributes |= attribute::READ_ONLY | attribute::HIDDEN;
    let long = tree
        .file(r"Windows\System32\LicensingDiagnosticData.txt", "a long name with a short one\r\n");
    tree.dentry(long).short_name = "LICENS~1.TXT".into();
    tree.file(r"Windows\System32\en-US\Grüße – 你好.txt", "names are UTF-16\r\n");
    tree.file(r"Windows\System32\empty.dat", "");

    tree.junction("Documents and Settings", r"C:\Users");
    tree.directory_symlink(r"Users\All Users", r"C:\ProgramData");
}

/// Bytes that compress somewhat, as programs do: words from a small vocabulary between pseudo-random ones.
pub(super) fn filler(seed: &str, size: usize) -> Vec<u8> {
    let mut state = u64::from_le_bytes(
        blake3::hash(seed.as_bytes()).as_bytes()[..8].try_into().expect("a BLAKE3 has 32 bytes"),
    );
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        // SplitMix64: a fixed, well-mixed sequence.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        if word.is_multiple_of(4) {
            out.extend_from_slice(&word.to_le_bytes());
        } else {
            let near = out.len().saturating_sub(usize::from(word.to_le_bytes()[1]) * 8 + 8);
            let length = 4 + usize::from(word.to_le_bytes()[2] % 12);
            let end = (near + length).min(out.len());
            out.extend_from_within(near..end);
            out.push(word.to_le_bytes()[3]);
        }
    }
    out.truncate(size);
    out
}
