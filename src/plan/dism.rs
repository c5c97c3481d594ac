//! A plan as the DISM commands that would do it on a Windows host: a command file.
//!
//! It does in the plan's order what DISM can do: packages, languages, capabilities, features, drivers, locale and the answer file. Everything else stands there as a
//! remark. The base stays as it is: the image is exported into the output first, and that is mounted.

use std::path::Path;

use super::model::{Plan, Step};
use crate::servicing::{
    InputId, Operation,
    appx::{AppxAction, AppxSpec, dism_options, name::FullName},
    cbs::{
        PackageAction, PackageSubject,
        dism::{DismCommand, escaped},
    },
    defaults::{AssociationsAction, DefaultsSpec},
    drivers::{DriverAction, DriverChoice},
    locale,
    winpe::WinPeSpec,
};

/// How DISM is called: without quotes, because `for /f` cannot run what begins with one and has more of them.
const PROGRAM: &str = r"%SystemRoot%\System32\dism.exe";
const IMAGE: &str = r#"/Image:"%MOUNT%""#;

/// The command file, with CR LF.
#[must_use]
pub fn script(plan: &Plan) -> String {
    let folder = plan.lock_path.parent().unwrap_or_else(|| Path::new(""));
    let output = plan.output.path.strip_prefix(folder).unwrap_or(&plan.output.path);
    let output = windows_path(&output.to_string_lossy());
    let base = windows_path(&plan.lock.base.path);
    let mut lines = Lines::default();
    lines.add("@echo off");
    lines.add("rem What this plan's packages, languages, capabilities, features, drivers, locale and answer file are to DISM, in the plan's order.");
    lines.add("rem Written by `transom plan --as dism`. Save it beside the recipe and run it as administrator; inputs are named as seen from there.");
    lines.add("setlocal DisableDelayedExpansion");
    lines.add(r#"pushd "%~dp0""#);
    lines.add(r#"set "MOUNT=%TEMP%\transom-mount""#);
    lines.add(r#"set "EXPANDED=%TEMP%\transom-expanded""#);
    lines.add(r#"set "LIST=%TEMP%\transom-packages.txt""#);
    // The path of the output comes into being when everything was done.
    let unfinished = unfinished(&output);
    lines.add(&format!(
        r#"if exist "{output}" echo {} is there already & popd & exit /b 1"#,
        plain(&output)
    ));
    lines.add(&format!(r#"if exist "{unfinished}" del /f /q "{unfinished}""#));
    if let Some((parent, _)) = output.rsplit_once('\\') {
        lines.add(&format!(r#"if not exist "{parent}" md "{parent}""#));
    }
    lines.add(r#"if not exist "%MOUNT%" md "%MOUNT%""#);
    for (index, image) in (1..).zip(&plan.images) {
        let index: u32 = index;
        if let Some(label) = plan.label_of(image) {
            lines.add("");
            lines.add(&format!("rem {}", plain(&label)));
        }
        let named = image.name.as_ref().filter(|_| plan.images.len() > 1);
        let named = named
            .map_or_else(String::new, |name| format!(r#" /DestinationName:"{}""#, escaped(name)));
        lines.call(&format!(
            r#"/Export-Image /SourceImageFile:"{base}" /SourceIndex:{} /DestinationImageFile:"{unfinished}"{named}"#,
            image.index
        ));
        lines.call(&format!(
            r#"/Mount-Image /ImageFile:"{unfinished}" /Index:{index} /MountDir:"%MOUNT%""#
        ));
        for step in &image.steps {
            lines.add("");
            lines.add(&format!("rem {}. {}", step.number, plain(&step.title)));
            lines.step(step, plan);
        }
        lines.add("");
        lines.call(r#"/Unmount-Image /MountDir:"%MOUNT%" /Commit"#);
    }
    lines.add(&format!(r#"move "{unfinished}" "{output}" >nul || goto failed"#));
    lines.add("popd");
    lines.add("exit /b 0");
    lines.add("");
    lines.add(":code");
    lines.add(
        "rem 3010: it succeeded, and wants a restart. Errors are negative numbers or small ones.",
    );
    lines.add(r#"if "%~1"=="0" exit /b 0"#);
    lines.add(r#"if "%~1"=="3010" exit /b 0"#);
    lines.add("exit /b 1");
    lines.add("");
    lines.add(":last");
    lines.add("call :code %ERRORLEVEL%");
    lines.add("exit /b %ERRORLEVEL%");
    lines.add("");
    lines.add(":failed");
    lines.add(
        "echo DISM failed; the image is given up. Its log is %SystemRoot%\\Logs\\DISM\\dism.log",
    );
    lines.add(&format!(r#"{PROGRAM} /Unmount-Image /MountDir:"%MOUNT%" /Discard"#));
    lines.add(&format!(r#"if exist "{unfinished}" del /f /q "{unfinished}""#));
    lines.add("popd");
    lines.add("exit /b 1");
    lines.0
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\r\n");
    }

    /// A call of DISM, and what happens when it fails.
    fn call(&mut self, options: &str) {
        self.add(&format!("{PROGRAM} {options}"));
        self.add("call :code %ERRORLEVEL% || goto failed");
    }

    fn dism(&mut self, command: &DismCommand) {
        let line = command.line(PROGRAM, IMAGE, "%LIST%", "");
        match command {
            DismCommand::Call(_) => {
                self.add(&line);
                self.add("call :code %ERRORLEVEL% || goto failed");
            }
            DismCommand::RemoveEach(_) => {
                self.add(&DismCommand::listing(PROGRAM, IMAGE, "%LIST%"));
                self.add("call :code %ERRORLEVEL% || goto failed");
                self.add(&format!("{line} & call :last || goto failed"));
            }
        }
    }

    fn not_of_dism(&mut self) {
        self.add("rem This is nothing that DISM does.");
    }

    fn step(&mut self, step: &Step, plan: &Plan) {
        match &step.operation {
            Operation::Package(spec) => {
                let source = match &spec.action {
                    PackageAction::Present { source: Some(id), .. } => match &spec.subject {
                        PackageSubject::Capability(_) => Some(shelf(id, plan)),
                        PackageSubject::Package(_) | PackageSubject::Language(_) => {
                            Some(self.package_source(id, plan))
                        }
                    },
                    _ => None,
                };
                self.dism(&DismCommand::of_package(spec, source.as_deref()));
            }
            Operation::Feature(spec) => {
                let source = spec.source.as_ref().map(|id| shelf(id, plan));
                self.dism(&DismCommand::of_feature(spec, source.as_deref()));
            }
            Operation::Driver(spec) => self.driver(&spec.action, plan),
            Operation::Unattend(spec) => {
                if let Some(input) = &spec.input {
                    let path = windows_path(&input.0);
                    self.call(&format!(r#"{IMAGE} /Apply-Unattend:"{path}""#));
                }
                if spec.settings.is_some() {
                    self.add("rem The recipe's own settings are written into an answer file by a build alone.");
                }
            }
            Operation::Appx(spec) => self.app(spec),
            Operation::Defaults(spec) => self.associations(spec),
            Operation::WinPe(spec) => self.windows_pe(spec),
            Operation::Locale(spec) => {
                for call in locale::dism::calls(spec) {
                    self.call(&format!("{IMAGE} {call}"));
                }
            }
            Operation::RegistryKey(_)
            | Operation::RegistryFile(_)
            | Operation::Service(_)
            | Operation::Files(_)
            | Operation::WinRe(_)
            | Operation::FirstBoot(_) => self.not_of_dism(),
        }
    }

    fn app(&mut self, spec: &AppxSpec) {
        match &spec.action {
            AppxAction::Absent { .. } if FullName::parse(&spec.name).is_some() => {
                let name = escaped(&spec.name);
                self.call(&format!("{IMAGE} /Remove-ProvisionedAppxPackage /PackageName:{name}"));
            }
            AppxAction::Absent { .. } => self.add("rem DISM removes an app by its full name: see /Get-ProvisionedAppxPackages, then /Remove-ProvisionedAppxPackage /PackageName:NAME."),
            AppxAction::Present { source, license, dependencies, region, .. } => {
                let path = |id: &InputId| windows_path(&id.0);
                let dependencies: Vec<String> = dependencies.iter().map(path).collect();
                let license = license.as_ref().map(path);
                let options =
                    dism_options(&path(source), &dependencies, license.as_deref(), region.as_deref());
                self.call(&format!("{IMAGE} {options}"));
            }
        }
    }

    fn associations(&mut self, spec: &DefaultsSpec) {
        match &spec.associations {
            Some(AssociationsAction::Merge(id) | AssociationsAction::Replace(id)) => {
                let path = windows_path(&id.0);
                self.call(&format!(r#"{IMAGE} /Import-DefaultAppAssociations:"{path}""#));
            }
            Some(AssociationsAction::Absent) => {
                self.call(&format!("{IMAGE} /Remove-DefaultAppAssociations"));
            }
            None => self.not_of_dism(),
        }
    }

    fn windows_pe(&mut self, spec: &WinPeSpec) {
        if let Some(mib) = spec.scratch_mib {
            self.call(&format!("{IMAGE} /Set-ScratchSpace:{mib}"));
        }
        if let Some(path) = &spec.target_path {
            self.call(&format!("{IMAGE} /Set-TargetPath:{}", escaped(path)));
        }
        if spec.startnet.is_some() || spec.winpeshl.is_some() {
            self.add("rem startnet.cmd and winpeshl.ini are nothing that DISM writes.");
        }
    }

    /// What `/PackagePath` takes; a WIM with an expanded package is applied to a folder first.
    fn package_source(&mut self, id: &InputId, plan: &Plan) -> String {
        let path = windows_path(&id.0);
        let is_wim = ["esd", "wim"].iter().any(|extension| has_extension(&path, extension));
        if is_folder(id, plan) || !is_wim {
            return path;
        }
        self.add(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
        self.add(r#"md "%EXPANDED%""#);
        self.call(&format!(r#"/Apply-Image /ImageFile:"{path}" /Index:1 /ApplyDir:"%EXPANDED%""#));
        "%EXPANDED%".to_owned()
    }

    fn driver(&mut self, action: &DriverAction, plan: &Plan) {
        match action {
            DriverAction::Present { source, inf, allow_unsigned, .. } => {
                let path = windows_path(&source.0);
                let unsigned = if *allow_unsigned { " /ForceUnsigned" } else { "" };
                match inf {
                    Some(inf) => self.call(&format!(
                        r#"{IMAGE} /Add-Driver /Driver:"{path}\{}"{unsigned}"#,
                        escaped(inf)
                    )),
                    None if is_folder(source, plan) => self.call(&format!(
                        r#"{IMAGE} /Add-Driver /Driver:"{path}" /Recurse{unsigned}"#
                    )),
                    None => self.add("rem DISM takes no archive: unpack it and give the folder to /Add-Driver /Recurse."),
                }
            }
            DriverAction::Absent(DriverChoice::Published(inf)) => {
                self.call(&format!(r#"{IMAGE} /Remove-Driver /Driver:"{}""#, escaped(inf)));
            }
            DriverAction::Absent(DriverChoice::Original { .. }) => {
                self.add("rem DISM removes a driver by its published name: see /Get-Drivers, then /Remove-Driver /Driver:oemN.inf.");
            }
        }
    }
}

fn is_folder(id: &InputId, plan: &Plan) -> bool {
    plan.inputs.get(id).is_some_and(|input| input.is_folder)
}

/// The folder that DISM looks in for packages: the source, or the one that it lies in.
fn shelf(id: &InputId, plan: &Plan) -> String {
    let path = windows_path(&id.0);
    if is_folder(id, plan) {
        return path;
    }
    path.rsplit_once('\\').map_or_else(|| ".".to_owned(), |(folder, _)| folder.to_owned())
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(extension))
}

/// What the output is called until it is finished; DISM goes by the end of the name.
fn unfinished(output: &str) -> String {
    match output.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains('\\') => {
            format!("{stem}.unfinished.{extension}")
        }
        _ => format!("{output}.unfinished"),
    }
}

/// A path of the recipe as cmd reads it between quotes.
fn windows_path(path: &str) -> String {
    escaped(path).replace('/', "\\")
}

/// Text outside of quotes: cmd looks for some characters there.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "^&<>|%\"()".contains(c) { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_texts_are_safe_in_a_command_file() {
        assert_eq!(windows_path("updates/100% a.msu"), r"updates\100%% a.msu");
        assert_eq!(unfinished(r"out.d\a.wim"), r"out.d\a.unfinished.wim");
        assert_eq!(unfinished(r"out.d\a"), r"out.d\a.unfinished");
        assert_eq!(plain("a & b > 50%"), "a _ b _ 50_");
        assert!(has_extension("x.ESD", "esd") && !has_extension("esd", "esd"));
    }
}
