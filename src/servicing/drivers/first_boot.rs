//! What cannot be installed natively and goes the way of `when-not-native = "first-boot"`: the package lies beside the first boot's scripts, and one of
//! these gives it to `pnputil`.

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{Image, ImageError},
    servicing::first_boot as scripts,
    store::StoredBlob,
};

/// The folder of all packages that wait, in `Windows\Setup\Scripts`.
const FOLDER: &str = "transom-drivers";

/// The command file for the driver that the recipe calls `name`. `pnputil -i -a` is understood by every Windows from 7 on.
pub(super) fn script(name: &str) -> String {
    let folder = scripts::safe_name(name);
    [
        "@echo off".to_owned(),
        format!("rem Installs the driver packages of [drivers.{folder}]."),
        "setlocal DisableDelayedExpansion".to_owned(),
        r#"set "CODE=0""#.to_owned(),
        format!(r#"for /r "%~dp0..\{FOLDER}\{folder}" %%i in (*.inf) do call :install "%%i""#),
        "exit /b %CODE%".to_owned(),
        String::new(),
        ":install".to_owned(),
        r#""%SystemRoot%\System32\pnputil.exe" -i -a %1"#.to_owned(),
        r#"set "LAST=%ERRORLEVEL%""#.to_owned(),
        "rem 259: it is there now, and no device of this computer wants it. 3010: it wants a restart.".to_owned(),
        r#"if "%LAST%"=="0" exit /b 0"#.to_owned(),
        r#"if "%LAST%"=="259" exit /b 0"#.to_owned(),
        r#"if "%LAST%"=="3010" if not "%CODE%"=="0" exit /b 0"#.to_owned(),
        r#"if "%CODE%"=="0" set "CODE=%LAST%""#.to_owned(),
        r#"if "%CODE%"=="3010" set "CODE=%LAST%""#.to_owned(),
        "exit /b 0".to_owned(),
    ]
    .iter()
    .map(|line| format!("{line}\r\n"))
    .collect()
}

/// Where the package `package` of the driver `name` waits.
pub(super) fn folder(image: &Image, name: &str, package: &str) -> NtPath {
    let parts = ["Setup", "Scripts", FOLDER, &scripts::safe_name(name), package];
    let names =
        std::iter::once(image.system_root()).chain(parts.iter().map(|part| Name::from(*part)));
    NtPath::from_names(names.collect())
}

/// The folders of all packages that wait in the image.
pub(super) fn waiting(image: &Image) -> Vec<NtPath> {
    let parts = ["Setup", "Scripts", FOLDER];
    let names =
        std::iter::once(image.system_root()).chain(parts.iter().map(|part| Name::from(*part)));
    let tree = image.tree();
    let folders = |node| {
        tree.sorted_children(node).iter().copied().filter(|node| tree.inode(*node).is_directory())
    };
    let Some(root) = tree.lookup(&NtPath::from_names(names.collect())) else { return Vec::new() };
    folders(root).flat_map(folders).map(|node| tree.path_of(node)).collect()
}

/// Has the first boot run the command file.
pub(super) fn add(image: &mut Image, name: &str, script: StoredBlob) -> Result<(), ImageError> {
    scripts::add(image, &format!("driver-{}.cmd", scripts::safe_name(name)), script)
}
