//! A large synthetic package, for `tests/bench/packages.sh`:
//!
//! ```text
//! packages make COMPONENTS FILES_EACH CABINET BASE_WIM
//! ```
//!
//! writes a package of that many components and a base image that it fits. Without arguments (as `cargo bench` calls it) it does nothing.

use std::{error::Error, path::Path};

use fs_err as fs;
use transom::{
    cli::demo::{
        BaseSettings,
        packages::{Component, Package, identity},
        write_base,
    },
    format::{cab::CabMethod, cbs::Identity},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["make", components, files, cabinet, base] = arguments.as_slice() else { return Ok(()) };
    let (components, files) = (components.parse::<usize>()?, files.parse::<usize>()?);
    let package = Package {
        identity: identity("Contoso-Large-Package", "1.0.0.0", "amd64", "neutral"),
        release_type: "Update".to_owned(),
        update: "Contoso-Large".to_owned(),
        components: (0..components).map(|number| component(number, files)).collect(),
        ..Package::default()
    };
    fs::write(cabinet, package.cabinet(CabMethod::MsZip))?;
    write_base(Path::new(base), &BaseSettings::default())?;
    Ok(())
}

/// A component with files of 1 to 20 KiB that compress somewhat, and a registry key.
fn component(number: usize, files: usize) -> Component {
    let name = format!("Contoso-Large-{number:05}");
    let content = |file: usize| {
        let mut state = (number * 1000 + file) as u64;
        let size = 1024 + (number * 7919 + file * 104_729) % 19_000;
        let mut bytes = Vec::with_capacity(size + 16);
        while bytes.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&state.to_le_bytes()[3..]);
            bytes.extend_from_slice(b"a string of it");
        }
        bytes.truncate(size);
        bytes
    };
    Component {
        identity: Identity {
            version_scope: Some("nonSxS".to_owned()),
            ..identity(&name, "1.0.0.0", "amd64", "neutral")
        },
        files: (0..files)
            .map(|file| {
                let folder = format!(r"$(runtime.programFiles)\Contoso\Large\{number:05}\");
                (format!("file-{file:03}.dll"), folder, content(file))
            })
            .collect(),
        elements: format!(
            "  <registryKeys>\r\n    <registryKey keyName=\"HKEY_LOCAL_MACHINE\\SOFTWARE\\Contoso\\Large\\{number:05}\">\r\n      \
             <registryValue name=\"Number\" valueType=\"REG_DWORD\" value=\"0x{number:08x}\" />\r\n      \
             <registryValue name=\"Name\" valueType=\"REG_SZ\" value=\"{name}\" />\r\n    </registryKey>\r\n  </registryKeys>\r\n"
        ),
    }
}
