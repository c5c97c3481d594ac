//! The command file of an entry that waits for the first boot: calls of DISM, each tried again while servicing is busy, and what their codes mean.

use crate::servicing::{error::Problem, first_boot::WAITS};

use super::{
    PreparedPackages,
    dism::{DismCommand, escaped},
    first_boot::{FOLDER, is_below},
    prepared::{PreparedFolder, PreparedOriginal},
};

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
/// Errors that a restart ends when an earlier call or entry asked for one: ERROR_FAIL_REBOOT_REQUIRED, ERROR_FAIL_REBOOT_INITIATED.
const AFTER_RESTART: &[u32] = &[3017, 3018];
/// CBS_E_PENDING: servicing has work that is not finished.
const PENDING: u32 = 0x800F_0806;
/// CBS_E_INVALID_PACKAGE: there is no such package. To a removal that is success.
const UNKNOWN_PACKAGE: u32 = 0x800F_0805;
/// How the command file calls DISM.
const DISM: &str = "%DISM%";
/// Where the list of the packages lies.
const LIST: &str = "%LOG%.list";

/// What one call of DISM is about.
pub(super) struct Unit {
    /// What DISM is told, as the command file calls it; `None` when there is no payload.
    pub(super) path: Option<String>,
    form: Form,
}

enum Form {
    /// A folder, or a file that DISM takes.
    Plain,
    /// A WIM (`.esd`, `.wim`) that holds an expanded package: it is applied to a folder first.
    Applied {
        /// The WIM.
        file: String,
    },
    /// A `.msu`: an old DISM takes none from a running Windows, `wusa.exe` does.
    Update,
}

impl Unit {
    /// The folder in which DISM looks for packages by names of its own.
    pub(super) fn shelf(prepared: Option<&PreparedPackages>) -> Self {
        let has_payload = prepared.is_some_and(|prepared| !prepared.originals.is_empty());
        Self { path: has_payload.then(|| "%PAYLOAD%".to_owned()), form: Form::Plain }
    }

    fn of_container(
        container: &PreparedOriginal,
        folder: &PreparedFolder,
    ) -> Result<Self, Problem> {
        let place = place(&container.path);
        let name = container.path.last().map(String::as_str).unwrap_or_default();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let form = match extension.to_ascii_lowercase().as_str() {
            "msu" => Form::Update,
            "cab" if folder.shown == container.shown => Form::Plain,
            "esd" | "wim" if folder.shown == container.shown => {
                let path = Some("%EXPANDED%".to_owned());
                return Ok(Self { path, form: Form::Applied { file: place } });
            }
            _ if folder.shown == container.shown => {
                let cause = "it has to wait for the first boot, and DISM knows packages by the ends of their names: .cab, .msu";
                return Err(Problem::error(&container.shown, cause, "rename it"));
            }
            _ => {
                let cause = "it has to wait for the first boot, and DISM takes no packages that lie in another container";
                let help = "unpack it, and name the folder with the packages";
                return Err(Problem::error(&container.shown, cause, help));
            }
        };
        Ok(Self { path: Some(place), form })
    }
}

/// What DISM is told to add, each container once, in the order in which they are to be installed; and what it does not take. Without a source it is one
/// call.
pub(super) fn units(prepared: Option<&PreparedPackages>) -> (Vec<Unit>, Vec<Problem>) {
    let Some(prepared) = prepared else { return (vec![Unit::shelf(None)], Vec::new()) };
    let (mut units, mut problems) = (Vec::new(), Vec::new());
    let mut done: Vec<&str> = Vec::new();
    for folder in &prepared.folders {
        let holds = |original: &&PreparedOriginal| {
            original.shown == folder.shown || is_below(&folder.shown, &original.shown)
        };
        if let Some(container) = prepared.originals.iter().find(holds) {
            if done.contains(&container.shown.as_str()) {
                continue;
            }
            done.push(&container.shown);
            match Unit::of_container(container, folder) {
                Ok(unit) => units.push(unit),
                Err(problem) => problems.push(problem),
            }
            continue;
        }
        // An expanded package: DISM takes its folder.
        let inside = |original: &&PreparedOriginal| is_below(&original.shown, &folder.shown);
        let Some(file) = prepared.originals.iter().find(inside) else { continue };
        let below = file.shown[folder.shown.len()..].matches('/').count();
        let above = file.path.len().saturating_sub(below);
        units.push(Unit { path: Some(place(&file.path[..above])), form: Form::Plain });
    }
    (units, problems)
}

fn place(path: &[String]) -> String {
    path.iter().fold("%PAYLOAD%".to_owned(), |place, name| format!(r"{place}\{}", escaped(name)))
}

pub(super) fn script(waiting: &str, title: &str, calls: &[(Unit, DismCommand)]) -> String {
    let mut lines = vec![
        "@echo off".to_owned(),
        format!("rem {}", remark(title)),
        "setlocal DisableDelayedExpansion".to_owned(),
        // Not between quotes: SystemRoot has no blanks, and `for /f` cannot run what begins with a quote and has more of them.
        r"set DISM=%SystemRoot%\System32\dism.exe".to_owned(),
        format!(r#"for %%i in ("%~dp0..\{FOLDER}\{waiting}") do set "PAYLOAD=%%~fi""#),
        r#"set "EXPANDED=%PAYLOAD%-expanded""#.to_owned(),
        format!(r#"set "LOG=%SystemRoot%\Logs\transom-{waiting}.log""#),
        r#"set "RESTART=0""#.to_owned(),
    ];
    if calls.iter().any(|(unit, _)| unit.path.is_some()) {
        lines.push("rem An earlier run installed it.".to_owned());
        lines.push(r#"if not exist "%PAYLOAD%" exit /b 0"#.to_owned());
    }
    for (number, (unit, command)) in calls.iter().enumerate() {
        call(number + 1, unit, command, &mut lines);
    }
    let mut line = |text: &str| lines.push(text.to_owned());
    line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
    line(r#"if exist "%PAYLOAD%" rd /s /q "%PAYLOAD%""#);
    line("exit /b %RESTART%");
    line(":failed");
    line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
    line("exit /b %CODE%");
    judge(calls, &mut lines);
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// One call, as often as it takes; it ends at the label `next`, or goes to `failed`.
fn call(number: usize, unit: &Unit, command: &DismCommand, lines: &mut Vec<String>) {
    let common = r#" /NoRestart /Quiet /LogPath:"%LOG%""#;
    let mut line = |text: &str| lines.push(text.to_owned());
    line(r#"set "TRIES=0""#);
    line(&format!(":again{number}"));
    line("set /a TRIES+=1 >nul");
    line(r#"set "CODE=0""#);
    if let Form::Applied { file } = &unit.form {
        line(r#"if exist "%EXPANDED%" rd /s /q "%EXPANDED%""#);
        line(r#"md "%EXPANDED%""#);
        line(&format!(
            r#"%DISM% /Apply-Image /ImageFile:"{file}" /Index:1 /ApplyDir:"%EXPANDED%" /Quiet /LogPath:"%LOG%""#
        ));
        line(r#"set "CODE=%ERRORLEVEL%""#);
        line(&format!(r#"if not "%CODE%"=="0" goto judge{number}"#));
    }
    match command {
        DismCommand::Call(_) => {
            line(&command.line(DISM, "/Online", LIST, common));
            line(r#"set "CODE=%ERRORLEVEL%""#);
        }
        // Inside a `for` the code of each call has to be taken where it stands.
        DismCommand::RemoveEach(_) => {
            line(&DismCommand::listing(DISM, "/Online", LIST));
            line(r#"set "CODE=%ERRORLEVEL%""#);
            line(&format!(r#"if not "%CODE%"=="0" goto judge{number}"#));
            line(&format!("{} & call :code", command.line(DISM, "/Online", LIST, common)));
        }
    }
    line(&format!(":judge{number}"));
    line("call :judge");
    line(&format!("if errorlevel 2 goto giveup{number}"));
    line(&format!("if errorlevel 1 goto again{number}"));
    line(&format!("goto next{number}"));
    line(&format!(":giveup{number}"));
    line(&format!(r#"if "%CODE%"=="{WAITS}" goto failed"#));
    if let (Form::Update, Some(file)) = (&unit.form, &unit.path) {
        line("rem An older DISM takes no .msu from a running Windows.");
        line(&format!(r#""%SystemRoot%\System32\wusa.exe" "{file}" /quiet /norestart"#));
        line(r#"set "WUSA=%ERRORLEVEL%""#);
        line(&format!(r#"if "%WUSA%"=="0" goto next{number}"#));
        line(r#"if "%WUSA%"=="3010" set "RESTART=3010""#);
        line(&format!(r#"if "%WUSA%"=="3010" goto next{number}"#));
        line("rem 0x00240006: it is installed already");
        line(&format!(r#"if "%WUSA%"=="{}" goto next{number}"#, 0x0024_0006));
    }
    line("goto failed");
    line(&format!(":next{number}"));
}

/// Subroutines. `judge` gives 0 for success, 1 for another try, 2 for failure.
fn judge(calls: &[(Unit, DismCommand)], lines: &mut Vec<String>) {
    let mut line = |text: &str| lines.push(text.to_owned());
    let removes = |options: &str| options.starts_with("/Remove-Package");
    let each = calls.iter().any(|(_, command)| matches!(command, DismCommand::RemoveEach(_)));
    let one = calls
        .iter()
        .any(|(_, command)| matches!(command, DismCommand::Call(options) if removes(options)));
    line(":judge");
    if each {
        line(&format!(r#"if exist "{LIST}" del /f /q "{LIST}""#));
    }
    line(r#"if "%CODE%"=="0" exit /b 0"#);
    line(r#"if "%CODE%"=="3010" set "RESTART=3010""#);
    line(r#"if "%CODE%"=="3010" exit /b 0"#);
    if one {
        line("rem 0x800f0805: there is no such package");
        line(&format!(r#"if "%CODE%"=="{}" exit /b 0"#, hresult(UNKNOWN_PACKAGE)));
    }
    restarts(lines);
    let mut line = |text: &str| lines.push(text.to_owned());
    for (number, about) in BUSY {
        line(&format!("rem {about}"));
        for code in [i64::from(*number), hresult(0x8007_0000 | number)] {
            line(&format!(r#"if "%CODE%"=="{code}" goto wait"#));
        }
    }
    line("rem 0x800f0806 (CBS_E_PENDING): work that is not finished");
    line(&format!(r#"if "%CODE%"=="{}" goto wait"#, hresult(PENDING)));
    line("exit /b 2");
    line(":restart");
    line(&format!(r#"set "CODE={WAITS}""#));
    line("exit /b 2");
    line(":wait");
    line(&format!(r#"if "%TRIES%"=="{TRIES}" exit /b 2"#));
    // `timeout` wants a console.
    line(&format!(r#""%SystemRoot%\System32\ping.exe" -n {} 127.0.0.1 >nul"#, PAUSE + 1));
    line("exit /b 1");
    if each {
        line(":code");
        line(r#"set "LAST=%ERRORLEVEL%""#);
        line(r#"if "%LAST%"=="0" exit /b 0"#);
        line("rem 0x800f0805: it went with another one");
        line(&format!(r#"if "%LAST%"=="{}" exit /b 0"#, hresult(UNKNOWN_PACKAGE)));
        line(r#"if "%LAST%"=="3010" if not "%CODE%"=="0" exit /b 0"#);
        line(r#"set "CODE=%LAST%""#);
        line("exit /b 0");
    }
}

/// Codes that say that a restart has to come first.
fn restarts(lines: &mut Vec<String>) {
    let mut line = |text: &str| lines.push(text.to_owned());
    line(&format!("rem {WAITS} (ERROR_FAIL_NOACTION_REBOOT): a restart has to come first"));
    for code in [i64::from(WAITS), hresult(0x8007_0000 | WAITS)] {
        line(&format!(r#"if "%CODE%"=="{code}" goto restart"#));
    }
    line(
        "rem Behind a call or an entry that asked for a restart these say the same, and another try is of no use.",
    );
    line(r#"if "%RESTART%"=="3010" set "TRANSOM_RESTART=1""#);
    let plain =
        AFTER_RESTART.iter().flat_map(|code| [i64::from(*code), hresult(0x8007_0000 | code)]);
    for code in plain.chain([hresult(PENDING)]) {
        line(&format!(r#"if defined TRANSOM_RESTART if "%CODE%"=="{code}" goto restart"#));
    }
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
