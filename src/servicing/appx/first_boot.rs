//! Apps that are installed at the first boot: their files lie in `Windows\Setup\Scripts\transom-apps\<name>`, and a command file gives them to
//! `dism.exe /Online /Add-ProvisionedAppxPackage`, which makes every user get the app.
//!
//! The files go when the app is installed and stay when it is not; a command file whose files are gone has done its work. DISM's log is
//! `Windows\Logs\transom-app-<name>.log`.

use crate::{
    base::{digest::Blake3, name::Name, ntpath::NtPath},
    image::{Image, ImageError, NewNode},
    servicing::{error::Problem, first_boot as scripts},
};

use super::{
    name::{AppName, FullName},
    package::{PreparedAppx, PreparedFile},
};

/// The folder of all apps that wait, in `Windows\Setup\Scripts`.
const FOLDER: &str = "transom-apps";
/// What names of what waits begin with.
const APP: &str = "app-";
/// How often a call is tried while servicing is busy, and the seconds between two tries.
const TRIES: u32 = 3;
const PAUSE: u32 = 60;
/// What a command file says of itself, around the full name.
const INSTALLS: &str = "rem Installs ";
const FOR_ALL: &str = " for every user.";

/// An app that waits for the first boot.
pub(super) struct Waiting {
    /// What its folder is called.
    name: String,
    /// What is installed, as far as the command file says so.
    full: Option<FullName>,
}

impl Waiting {
    /// True when a recipe that says `name`, which means `wanted`, means this one.
    pub(super) fn is_meant_by(&self, name: &str, wanted: &AppName) -> bool {
        self.full.as_ref().is_some_and(|full| wanted.means(full))
            || self.name.eq_ignore_ascii_case(&waiting_name(name))
    }
}

/// The apps that an earlier build left to the first boot of the image, and that it has not installed yet.
pub(super) fn waiting(image: &Image) -> Result<Vec<Waiting>, ImageError> {
    let mut found = Vec::new();
    for file in scripts::chained(image)? {
        let plain = file.split_once('-').and_then(|(_, plain)| plain.strip_suffix(".cmd"));
        let Some(name) = plain.filter(|plain| plain.starts_with(APP)) else { continue };
        // The files go when the app is installed.
        if image.tree().lookup(&folder(name, image)).is_none() {
            continue;
        }
        let text = scripts::text(image, &file)?;
        let full = text
            .lines()
            .find_map(|line| line.trim_end().strip_prefix(INSTALLS)?.strip_suffix(FOR_ALL))
            .and_then(FullName::parse);
        found.push(Waiting { name: name.to_owned(), full });
    }
    Ok(found)
}

/// Where the files of an app wait.
fn folder(waiting: &str, image: &Image) -> NtPath {
    let parts = ["Setup", "Scripts", FOLDER, waiting];
    let names =
        std::iter::once(image.system_root()).chain(parts.iter().map(|part| Name::from(*part)));
    NtPath::from_names(names.collect())
}

/// Stages the files and has the first boot install the app.
pub(super) fn defer(
    name: &str,
    prepared: &PreparedAppx,
    region: Option<&str>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let waiting = waiting_name(name);
    let folder = folder(&waiting, image);
    let wanted: Vec<String> = prepared.files().map(file_name).collect();
    // What an earlier build left there is not what is installed now.
    if let Some(id) = image.tree().lookup(&folder) {
        let there: Vec<Name> = image
            .tree()
            .sorted_children(id)
            .iter()
            .map(|&id| image.tree().node(id).name.clone())
            .filter(|name| !wanted.iter().any(|wanted| name.is(wanted)))
            .collect();
        there.into_iter().try_for_each(|name| image.remove(&folder.join(name)))?;
    }
    for (file, name) in prepared.files().zip(&wanted) {
        let path = folder.join(Name::from(name.as_str()));
        image.put_file(&path, file.content, &NewNode::default())?;
    }
    let script = script(&waiting, prepared, region);
    let file = format!("{waiting}.cmd");
    let known = scripts::chained(image)?;
    let same = |known: &String| {
        known.split_once('-').is_some_and(|(_, plain)| plain.eq_ignore_ascii_case(&file))
    };
    // The same script keeps its place: a build on an output of ours changes nothing.
    if known.iter().any(same) && scripts::holds_text(image, &file, &script) {
        return Ok(());
    }
    scripts::add_text(image, &file, &script)
}

/// Why the first boot could not do it either.
pub(super) fn problems(prepared: &PreparedAppx) -> Vec<Problem> {
    let mut seen: Vec<String> = Vec::new();
    let mut problems = Vec::new();
    for file in prepared.files() {
        let name = file_name(file).to_lowercase();
        if seen.contains(&name) {
            let cause = "two files of this app have the same name";
            problems.push(Problem::error(&file.shown, cause, "rename one of them"));
        }
        seen.push(name);
    }
    problems
}

/// What DISM is told, with the paths that `place` gives for the files.
pub(crate) fn options(
    package: &str,
    dependencies: &[String],
    license: Option<&str>,
    region: Option<&str>,
) -> String {
    let mut text = format!(r#"/Add-ProvisionedAppxPackage /PackagePath:"{package}""#);
    for dependency in dependencies {
        text.extend([r#" /DependencyPackagePath:""#, dependency, r#"""#]);
    }
    match license {
        Some(license) => text.extend([r#" /LicensePath:""#, license, r#"""#]),
        None => text.push_str(" /SkipLicense"),
    }
    if let Some(region) = region {
        text.extend([r#" /Region:""#, region, r#"""#]);
    }
    text
}

fn script(waiting: &str, prepared: &PreparedAppx, region: Option<&str>) -> String {
    let place = |file: &PreparedFile| format!(r"%PAYLOAD%\{}", file_name(file));
    let dependencies: Vec<String> =
        prepared.dependencies.iter().map(|(file, _)| place(file)).collect();
    let license = prepared.license.as_ref().map(place);
    let options = options(&place(&prepared.package), &dependencies, license.as_deref(), region);
    let lines = [
        "@echo off".to_owned(),
        format!("{INSTALLS}{}{FOR_ALL}", prepared.manifest.full),
        "setlocal DisableDelayedExpansion".to_owned(),
        format!(r#"for %%i in ("%~dp0..\{FOLDER}\{waiting}") do set "PAYLOAD=%%~fi""#),
        "rem An earlier run installed it.".to_owned(),
        r#"if not exist "%PAYLOAD%" exit /b 0"#.to_owned(),
        r#"set "TRIES=0""#.to_owned(),
        ":again".to_owned(),
        "set /a TRIES+=1 >nul".to_owned(),
        format!(
            r#""%SystemRoot%\System32\dism.exe" /Online {options} /NoRestart /Quiet /LogPath:"%SystemRoot%\Logs\transom-{waiting}.log""#
        ),
        r#"set "CODE=%ERRORLEVEL%""#.to_owned(),
        r#"if "%CODE%"=="0" goto done"#.to_owned(),
        "rem 3010: it succeeded, and wants a restart.".to_owned(),
        r#"if "%CODE%"=="3010" goto done"#.to_owned(),
        "rem Another installation is in progress (1618); a resource is in use (0x80073D02); the service is not there yet (1722).".to_owned(),
        r#"for %%c in (1618 -2147023278 -2147009278 1722 -2147023174) do if "%CODE%"=="%%c" goto wait"#.to_owned(),
        "exit /b %CODE%".to_owned(),
        ":wait".to_owned(),
        format!(r#"if "%TRIES%"=="{TRIES}" exit /b %CODE%"#),
        format!(r#""%SystemRoot%\System32\ping.exe" -n {} 127.0.0.1 >nul"#, PAUSE + 1),
        "goto again".to_owned(),
        ":done".to_owned(),
        r#"rd /s /q "%PAYLOAD%""#.to_owned(),
        "exit /b %CODE%".to_owned(),
    ];
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// The name of a staged file, safe in a command file.
fn file_name(file: &PreparedFile) -> String {
    scripts::safe_name(&file.shown)
}

/// What the folder and the command file are called. Names that would be the same with what is safe in a command file get their digest.
fn waiting_name(name: &str) -> String {
    let safe = scripts::safe_name(name);
    match safe == name {
        true => format!("{APP}{safe}"),
        false => format!("{APP}{safe}-{}", &Blake3::of(name.as_bytes()).to_hex()[..8]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dism_is_told_every_file() {
        let text = options(
            r"%P%\a.msixbundle",
            &["b.appx".to_owned(), "c.appx".to_owned()],
            Some("l.xml"),
            Some("all"),
        );
        assert_eq!(
            text,
            r#"/Add-ProvisionedAppxPackage /PackagePath:"%P%\a.msixbundle" /DependencyPackagePath:"b.appx" /DependencyPackagePath:"c.appx" /LicensePath:"l.xml" /Region:"all""#
        );
        assert!(options("a", &[], None, None).ends_with(" /SkipLicense"));
    }

    #[test]
    fn names_stay_apart() {
        assert_eq!(waiting_name("A.b"), "app-A.b");
        assert_ne!(waiting_name("A b"), waiting_name("A_b"));
    }
}
