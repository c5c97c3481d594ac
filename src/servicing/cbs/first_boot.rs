//! What cannot be done natively and goes the way of `when-not-native = "first-boot"`: the source lies in the image as it came, and a command file of the
//! first boot gives it to `dism.exe /Online`.
//!
//! In `Windows\Setup\Scripts`: `transom-packages\<kind>-<name>\...` is the payload, `transom\NN-<kind>-<name>.cmd` the command file, numbered in the order
//! of the plan. The payload goes when it is installed and stays when it is not, so that it can be tried again by hand. DISM's own log is
//! `Windows\Logs\transom-<kind>-<name>.log`; how it ended is in `Windows\Logs\transom-first-boot.status` (see [`crate::servicing::first_boot`]).
//!
//! A call that found servicing busy is tried three times, a minute apart. 3010 (a restart is needed) is success.

use crate::{
    base::{digest::Blake3, name::Name, ntpath::NtPath},
    image::{Image, ImageError, NewNode},
    servicing::{
        error::ServicingError,
        first_boot as scripts,
        inputs::{BlobSink, InputId, InputKind, Inputs},
    },
};

use super::{
    FeatureSpec, PackageSpec, PreparedPackages,
    dism::{DismCommand, escaped},
    prepared::PreparedOriginal,
};

/// The folder of all payloads that wait, in `Windows\Setup\Scripts`.
const FOLDER: &str = "transom-packages";
/// How often a call is tried.
const TRIES: u32 = 3;
/// Seconds between two tries.
const PAUSE: u32 = 60;

/// Errors after which another try may succeed: their numbers, which DISM gives as they are or as `0x8007xxxx`, and what they mean.
const BUSY: &[(u32, &str)] = &[
    (32, "a file is in use (ERROR_SHARING_VIOLATION)"),
    (33, "a part of a file is locked (ERROR_LOCK_VIOLATION)"),
    (170, "the resource is in use (ERROR_BUSY)"),
    (1618, "another installation is in progress (ERROR_INSTALL_ALREADY_RUNNING)"),
    (1722, "the servicing service is not there yet (RPC_S_SERVER_UNAVAILABLE)"),
    (1726, "the servicing service went away (RPC_S_CALL_FAILED)"),
];
/// CBS_E_PENDING: servicing has work that is not finished.
const PENDING: u32 = 0x800F_0806;

/// The files of the source `id` as they came, in the store.
///
/// # Errors
/// When one cannot be read or stored.
pub(super) fn originals(
    id: &InputId,
    inputs: &dyn Inputs,
    blobs: &dyn BlobSink,
) -> Result<Vec<PreparedOriginal>, ServicingError> {
    let tree = inputs.input(id)?;
    let mut originals = Vec::new();
    for entry in &tree.entries {
        let InputKind::File { blake3, content, .. } = &entry.kind else { continue };
        let mut shown = id.0.clone();
        for name in &entry.path {
            shown = format!("{shown}/{name}");
        }
        let content = blobs.put(&shown, content.as_ref(), blake3)?;
        let path = match entry.path.is_empty() {
            true => vec![file_name(&id.0)],
            false => entry.path.clone(),
        };
        originals.push(PreparedOriginal { path, content });
    }
    Ok(originals)
}

/// Stages the payload of `spec` and has the first boot do what it says.
pub(super) fn defer_package(
    spec: &PackageSpec,
    prepared: Option<&PreparedPackages>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let originals = prepared.map_or(&[][..], |prepared| &prepared.originals);
    let text = package_script(spec, originals);
    defer(&waiting_name(spec.kind(), spec.name()), originals, &text, image)
}

/// Stages the payload of `spec` and has the first boot do what it says.
pub(super) fn defer_feature(
    spec: &FeatureSpec,
    prepared: Option<&PreparedPackages>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let originals = prepared.map_or(&[][..], |prepared| &prepared.originals);
    let text = feature_script(spec, originals);
    defer(&waiting_name("feature", &spec.name), originals, &text, image)
}

/// The command file for `spec`, whose payload is `originals`.
pub(super) fn package_script(spec: &PackageSpec, originals: &[PreparedOriginal]) -> String {
    let waiting = waiting_name(spec.kind(), spec.name());
    let capability = spec.kind() == "capability";
    let source = Source::of(originals, !capability);
    let command = DismCommand::of_package(spec, source.path());
    script(&waiting, &spec.title(), &source, &command)
}

/// The command file for `spec`, whose payload is `originals`.
pub(super) fn feature_script(spec: &FeatureSpec, originals: &[PreparedOriginal]) -> String {
    let waiting = waiting_name("feature", &spec.name);
    let source = Source::of(originals, false);
    let command = DismCommand::of_feature(spec, source.path());
    script(&waiting, &spec.title(), &source, &command)
}

fn defer(
    waiting: &str,
    originals: &[PreparedOriginal],
    script: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    let parts = ["Setup", "Scripts", FOLDER, waiting];
    let names =
        std::iter::once(image.system_root()).chain(parts.iter().map(|part| Name::from(*part)));
    let folder = NtPath::from_names(names.collect());
    // What an earlier build left there is not what is installed now.
    image.remove(&folder)?;
    for original in originals {
        let path = original
            .path
            .iter()
            .fold(folder.clone(), |path, name| path.join(Name::from(name.as_str())));
        image.put_file(&path, original.content, &NewNode::default())?;
    }
    scripts::add_text(image, &format!("{waiting}.cmd"), script)
}

/// Where the payload lies, as the command file calls it.
enum Source {
    /// There is none.
    Nothing,
    /// A folder, or a file that DISM takes.
    Plain(String),
    /// A WIM (`.esd`, `.wim`) that holds an expanded package: it is applied to a folder first.
    Applied(String),
    /// A `.msu`: an old DISM takes none from a running Windows, `wusa.exe` does.
    Update(String),
}

impl Source {
    /// `file`: DISM is told the file; else the folder it lies in, in which it looks by names of its own.
    fn of(originals: &[PreparedOriginal], file: bool) -> Self {
        match originals {
            [] => Self::Nothing,
            [PreparedOriginal { path, .. }] if path.len() == 1 && file => {
                let place = format!(r"%PAYLOAD%\{}", escaped(&path[0]));
                let extension = path[0].rsplit_once('.').map(|(_, extension)| extension);
                match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
                    "esd" | "wim" => Self::Applied(place),
                    "msu" => Self::Update(place),
                    _ => Self::Plain(place),
                }
            }
            _ => Self::Plain("%PAYLOAD%".to_owned()),
        }
    }

    /// What DISM is told.
    fn path(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Plain(path) | Self::Update(path) => Some(path),
            Self::Applied(_) => Some("%EXPANDED%"),
        }
    }
}

fn script(waiting: &str, title: &str, source: &Source, command: &DismCommand) -> String {
    let common = r#" /NoRestart /Quiet /LogPath:"%LOG%""#;
    let mut lines = vec![
        "@echo off".to_owned(),
        format!("rem {}", remark(title)),
        "setlocal DisableDelayedExpansion".to_owned(),
        // Not between quotes: SystemRoot has no blanks, and `for /f` cannot run what begins with a quote and has more of them.
        r"set DISM=%SystemRoot%\System32\dism.exe".to_owned(),
        format!(r#"for %%i in ("%~dp0..\{FOLDER}\{waiting}") do set "PAYLOAD=%%~fi""#),
        r#"set "EXPANDED=%PAYLOAD%-expanded""#.to_owned(),
        format!(r#"set "LOG=%SystemRoot%\Logs\transom-{waiting}.log""#),
        r#"set "TRIES=0""#.to_owned(),
    ];
    let mut line = |text: &str| lines.push(text.to_owned());
    if let Source::Applied(file) = source {
        line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
        line(r#"md "%EXPANDED%""#);
        line(&format!(
            r#"%DISM% /Apply-Image /ImageFile:"{file}" /Index:1 /ApplyDir:"%EXPANDED%" /Quiet /LogPath:"%LOG%""#
        ));
        line(r#"set "CODE=%ERRORLEVEL%""#);
        line(r#"if not "%CODE%"=="0" exit /b %CODE%"#);
    }
    line(":again");
    line("set /a TRIES+=1 >nul");
    line(r#"set "CODE=0""#);
    match command {
        DismCommand::Call(_) => {
            line(&command.line("%DISM%", "/Online", common));
            line(r#"set "CODE=%ERRORLEVEL%""#);
        }
        // Inside a `for` the code of each call has to be taken where it stands.
        DismCommand::RemoveEach(_) => {
            line(&format!("{} & call :code", command.line("%DISM%", "/Online", common)));
        }
    }
    line(r#"if "%CODE%"=="0" goto done"#);
    line(r#"if "%CODE%"=="3010" goto done"#);
    for (number, about) in BUSY {
        line(&format!("rem {about}"));
        for code in [i64::from(*number), hresult(0x8007_0000 | number)] {
            line(&format!(r#"if "%CODE%"=="{code}" goto wait"#));
        }
    }
    line("rem 0x800f0806 (CBS_E_PENDING): work that is not finished");
    line(&format!(r#"if "%CODE%"=="{}" goto wait"#, hresult(PENDING)));
    line("goto failed");
    line(":wait");
    line(&format!(r#"if "%TRIES%"=="{TRIES}" goto failed"#));
    // `timeout` wants a console.
    line(&format!(r#""%SystemRoot%\System32\ping.exe" -n {} 127.0.0.1 >nul"#, PAUSE + 1));
    line("goto again");
    line(":failed");
    if let Source::Update(file) = source {
        line("rem An older DISM takes no .msu from a running Windows.");
        line(&format!(r#""%SystemRoot%\System32\wusa.exe" "{file}" /quiet /norestart"#));
        line(r#"set "WUSA=%ERRORLEVEL%""#);
        line(r#"if "%WUSA%"=="0" set "CODE=0""#);
        line(r#"if "%WUSA%"=="3010" set "CODE=3010""#);
        line("rem 0x00240006: it is installed already");
        line(&format!(r#"if "%WUSA%"=="{}" set "CODE=0""#, 0x0024_0006));
        line(r#"if "%CODE%"=="0" goto done"#);
        line(r#"if "%CODE%"=="3010" goto done"#);
    }
    line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
    line("exit /b %CODE%");
    line(":done");
    line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
    line(r#"if exist "%PAYLOAD%" rd /s /q "%PAYLOAD%""#);
    line("exit /b %CODE%");
    if matches!(command, DismCommand::RemoveEach(_)) {
        line(":code");
        line(r#"set "LAST=%ERRORLEVEL%""#);
        line(r#"if "%LAST%"=="0" exit /b 0"#);
        line(r#"if "%LAST%"=="3010" if not "%CODE%"=="0" exit /b 0"#);
        line(r#"set "CODE=%LAST%""#);
        line("exit /b 0");
    }
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// An HRESULT as `%ERRORLEVEL%` shows it.
fn hresult(number: u32) -> i64 {
    i64::from(number.cast_signed())
}

/// `text` behind `rem`: cmd looks for some characters there too.
fn remark(text: &str) -> String {
    let safe = |character: char| match character {
        '^' | '&' | '<' | '>' | '|' | '%' | '"' => '_',
        ' '..='~' => character,
        _ => '_',
    };
    text.chars().map(safe).collect()
}

/// What the payload's folder and the command file are called. Names that would be the same with what is safe in a command file get their digest.
fn waiting_name(kind: &str, name: &str) -> String {
    let safe = scripts::safe_name(name);
    match safe == name {
        true => format!("{kind}-{safe}"),
        false => format!("{kind}-{safe}-{}", &Blake3::of(name.as_bytes()).to_hex()[..8]),
    }
}

/// The last name of a host path. DISM finds some packages by their names, so only what cmd cannot read is replaced.
fn file_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let safe = |character: char| match character {
        '"' | '<' | '>' | '|' | ':' | '*' | '?' | '%' => '_',
        ' '..='~' => character,
        _ => '_',
    };
    name.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{digest::Sha1, filetime::FileTime},
        servicing::{
            WhenNotNative,
            cbs::{FeatureState, PackageAction, PackageSubject},
        },
        store::StoredBlob,
    };

    fn original(path: &[&str]) -> PreparedOriginal {
        let text = path.join("/");
        let content = StoredBlob {
            blake3: Blake3::of(text.as_bytes()),
            sha1: Sha1::of(text.as_bytes()),
            size: text.len() as u64,
        };
        PreparedOriginal { path: path.iter().map(ToString::to_string).collect(), content }
    }

    fn present(subject: PackageSubject, source: &str) -> PackageSpec {
        let action = PackageAction::Present {
            source: Some(InputId(source.to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::FirstBoot,
        };
        PackageSpec { subject, action }
    }

    fn absent(subject: PackageSubject) -> PackageSpec {
        let action = PackageAction::Absent {
            identity: Some("Old.Package".to_owned()),
            when_not_native: WhenNotNative::FirstBoot,
        };
        PackageSpec { subject, action }
    }

    fn packages(originals: Vec<PreparedOriginal>) -> PreparedPackages {
        PreparedPackages { folders: Vec::new(), originals, script: None, skipped: Vec::new() }
    }

    fn paths(image: &Image) -> Vec<String> {
        let tree = image.tree();
        let mut paths: Vec<String> = tree.walk().map(|id| tree.path_of(id).to_string()).collect();
        paths.sort();
        paths
    }

    /// Every label that is jumped to is there, and no line but a label's begins with a colon.
    fn check_labels(text: &str) {
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines {
            for mark in ["goto ", "call :"] {
                if let Some((_, label)) = line.split_once(mark) {
                    let label = format!(":{}", label.trim());
                    assert!(lines.contains(&label.as_str()), "{label} in {text}");
                }
            }
        }
        assert!(text.ends_with("\r\n") && text.lines().all(|line| !line.contains('\r')));
    }

    #[test]
    fn the_image_holds_what_the_first_boot_needs_and_nothing_else() {
        let mut image = Image::empty(FileTime(0));
        let before = paths(&image);
        let prepared = packages(vec![original(&["KB 1.msu"])]);
        let spec = present(PackageSubject::Package("kb1".to_owned()), "updates/KB 1.msu");
        defer_package(&spec, Some(&prepared), &mut image).unwrap();
        let prepared = packages(vec![original(&["a.cab"]), original(&["sub", "b.cab"])]);
        let spec = FeatureSpec {
            name: "Net Fx3".to_owned(),
            state: FeatureState::Enabled,
            all: true,
            source: Some(InputId("sxs".to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::FirstBoot,
        };
        defer_feature(&spec, Some(&prepared), &mut image).unwrap();
        let new: Vec<String> =
            paths(&image).into_iter().filter(|path| !before.contains(path)).collect();
        let digest = &Blake3::of(b"Net Fx3").to_hex()[..8];
        let root = r"\Windows\Setup\Scripts";
        let feature = format!("feature-Net_Fx3-{digest}");
        let mut expected = vec![
            r"\Windows".to_owned(),
            r"\Windows\Setup".to_owned(),
            root.to_owned(),
            format!(r"{root}\SetupComplete.cmd"),
            format!(r"{root}\transom"),
            format!(r"{root}\transom\01-package-kb1.cmd"),
            format!(r"{root}\transom\02-{feature}.cmd"),
            format!(r"{root}\{FOLDER}"),
            format!(r"{root}\{FOLDER}\package-kb1"),
            format!(r"{root}\{FOLDER}\package-kb1\KB 1.msu"),
            format!(r"{root}\{FOLDER}\{feature}"),
            format!(r"{root}\{FOLDER}\{feature}\a.cab"),
            format!(r"{root}\{FOLDER}\{feature}\sub"),
            format!(r"{root}\{FOLDER}\{feature}\sub\b.cab"),
        ];
        expected.retain(|path| !before.contains(path));
        expected.sort();
        assert_eq!(new, expected);
        let script = image
            .read(&NtPath::parse(&format!(r"{root}\transom\02-{feature}.cmd")).unwrap())
            .unwrap();
        let script = String::from_utf8(script).unwrap();
        let call = r#"%DISM% /Online /Enable-Feature /FeatureName:"Net Fx3" /All /Source:"%PAYLOAD%" /LimitAccess /NoRestart /Quiet"#;
        assert!(script.contains(call), "{script}");
        assert!(script.contains(&format!(r"transom-packages\{feature}")), "{script}");
        check_labels(&script);
        // Once more on its own output: nothing new.
        let all = paths(&image);
        defer_feature(&spec, Some(&prepared), &mut image).unwrap();
        assert_eq!(paths(&image), all);
    }

    #[test]
    fn each_form_of_source_is_given_as_dism_takes_it() {
        let package = || PackageSubject::Package("x".to_owned());
        let text = |spec: &PackageSpec, file: &str| {
            let text = package_script(spec, &[original(&[file])]);
            check_labels(&text);
            text
        };
        let cab = text(&present(package(), "100%.cab"), "a.cab");
        assert!(cab.contains(r#"/Add-Package /PackagePath:"%PAYLOAD%\a.cab" /NoRestart"#), "{cab}");
        assert!(cab.contains("rem package x from 100_.cab") && !cab.contains("wusa"), "{cab}");
        // Servicing that is busy is tried again: as DISM gives the number, and as the HRESULT.
        for code in ["1618", "-2147023278", "-2146498554"] {
            assert!(cab.contains(&format!("\"{code}\" goto wait")), "{code}");
        }
        let msu = text(&present(package(), "a.msu"), "a.MSU");
        assert!(msu.contains(r#"wusa.exe" "%PAYLOAD%\a.MSU" /quiet /norestart"#), "{msu}");
        let esd = text(&present(PackageSubject::Language("de-DE".to_owned()), "lp.esd"), "lp.esd");
        assert!(esd.contains(r#"/ImageFile:"%PAYLOAD%\lp.esd" /Index:1"#), "{esd}");
        assert!(esd.contains(r#"/PackagePath:"%EXPANDED%""#), "{esd}");
        let capability = PackageSubject::Capability("A~~~~1.0".to_owned());
        let capability = text(&present(capability, "A~31bf~amd64~~.cab"), "A~31bf~amd64~~.cab");
        assert!(capability.contains(r#"/Source:"%PAYLOAD%" /LimitAccess"#), "{capability}");
        let gone = package_script(&absent(package()), &[]);
        check_labels(&gone);
        assert!(
            gone.contains("/PackageName:%%p /NoRestart /Quiet") && gone.contains("& call :code")
        );
    }

    #[test]
    fn names_stay_apart_and_safe() {
        assert_eq!(waiting_name("package", "kb5.1_x"), "package-kb5.1_x");
        assert_ne!(waiting_name("package", "a b"), waiting_name("package", "a&b"));
        assert_eq!(file_name("x/Ä 100%~a.cab"), "_ 100_~a.cab");
    }
}
