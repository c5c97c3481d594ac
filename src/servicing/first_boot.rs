//! Scripts that Windows runs once, before the first logon.
//!
//! Windows Setup runs `Windows\Setup\Scripts\SetupComplete.cmd` as SYSTEM when it is done. The scripts of the recipe go to `Setup\Scripts\transom\NN-name`,
//! and our SetupComplete.cmd runs them in order and writes a log with their exit codes, `Windows\Logs\transom-first-boot.log`.
//!
//! What came of it is for programs to read: `Windows\Logs\transom-first-boot.status` has a line `NN-name code` for each script that ended, and
//! last of all `done code`; the values `Status`, `Failed` and `Waiting` of `HKLM\SOFTWARE\Transom\FirstBoot` say the same (`Status` is `running` until then).
//! The code of the whole is that of the first script that failed, else 350 when one waits for a restart, else 3010 when one asked for a restart, else 0.
//! Nothing restarts the machine: Setup is still at work.
//!
//! That a script asked for a restart (3010) is remembered in `TRANSOM_RESTART`, which those behind it see. All of them are run; one that cannot do its work
//! before the restart ends with 350 (`ERROR_FAIL_NOACTION_REBOOT`). One that ends with 1641 has succeeded, and what stands behind it waits for the restart, without being
//! run. When something waits, a task (`Transom first boot`) runs SetupComplete.cmd again when Windows starts the next time, and goes when nothing waits any more; a person or a CI
//! may run it too. It then runs only what did not end with 0, 3010 or 1641 before. The restart itself is not made here. The task was not tried on a Windows.
//!
//! What a recipe lists is an entry: a script as it is, or a script or command with its limits.
//!
//! A SetupComplete.cmd that the image has already is kept as `SetupComplete-before-transom.cmd` and runs first. One of ours is written anew, so a
//! build on an output of ours does not call itself, and one that a file of the recipe brings later is kept in the same way: scripts that are there stay, in their order. A script of the recipe that is there already
//! (same name, same content) keeps its place as long as the recipe's own order holds; every other one follows behind them with a new number.

mod entry;

use crate::{
    base::{digest::Sha1, name::Name, ntpath::NtPath},
    image::{Change, Changeset, Image, ImageError, ImageFacts, NewNode},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, single_file},
};

use entry::PreparedEntry;
pub use entry::{FirstBootEntry, Reboot, Run, line_defect};

/// What the first boot runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBootSpec {
    /// Scripts and commands, in the order they run.
    pub run: Vec<FirstBootEntry>,
}

/// Scripts whose content is in the store, and command files of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFirstBoot {
    run: Vec<PreparedEntry>,
}

/// What a script to put into the image holds.
enum Content<'a> {
    Stored(StoredBlob),
    /// A text of ours, which goes into the changeset itself.
    Text(&'a str),
}

const NAME: &str = "first-boot";
/// A line that only our command file has.
const MARK: &str = "rem Written by Transom: first boot.";
const COMMAND_FILE: &str = "SetupComplete.cmd";
const KEPT: &str = "SetupComplete-before-transom.cmd";
const FOLDER: &str = "transom";
/// Where the scripts lie that a command file of ours runs.
const FOLDER_OF_RUNS: &str = "transom-run";
/// The scheduled task that goes on after a restart.
const TASK: &str = "Transom first boot";
/// What the names of scripts begin with that other kinds of steps leave.
const OF_ROOMS: [&str; 6] = ["package-", "language-", "capability-", "feature-", "driver-", "app-"];
/// The key that says what came of the first boot.
const KEY: &str = r"HKLM\SOFTWARE\Transom\FirstBoot";

/// The exit code of a script that did nothing because a restart has to come first: `ERROR_FAIL_NOACTION_REBOOT`.
pub(super) const WAITS: u32 = 350;

/// The exit code of a script behind which nothing is run before a restart: `ERROR_SUCCESS_REBOOT_INITIATED`.
const STOPS: u32 = 1641;

/// How a kind of script is run: extension, and the command in front of its quoted path and behind it.
const RUNNERS: &[(&str, &str, &str)] = &[
    ("cmd", r#""%SystemRoot%\System32\cmd.exe" /d /c ""#, r#"""#),
    ("bat", r#""%SystemRoot%\System32\cmd.exe" /d /c ""#, r#"""#),
    (
        "ps1",
        r#""%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe" -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File "#,
        "",
    ),
    ("vbs", r#""%SystemRoot%\System32\cscript.exe" //nologo "#, ""),
    ("js", r#""%SystemRoot%\System32\cscript.exe" //nologo "#, ""),
    ("reg", r#""%SystemRoot%\System32\reg.exe" import "#, ""),
    ("exe", "", ""),
];

impl FirstBootSpec {
    /// These scripts, without options.
    #[must_use]
    pub fn of_scripts(scripts: impl IntoIterator<Item = InputId>) -> Self {
        Self { run: scripts.into_iter().map(FirstBootEntry::script).collect() }
    }

    pub(super) fn title(&self) -> String {
        let names: Vec<&str> = self.run.iter().map(FirstBootEntry::shown).collect();
        format!("first boot: {}", names.join(", "))
    }

    /// The scripts.
    pub(super) fn inputs(&self) -> Vec<InputId> {
        self.run.iter().filter_map(FirstBootEntry::input).cloned().collect()
    }

    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<PreparedFirstBoot, ServicingError> {
        let content = |id: &InputId| {
            let name = safe_name(&id.0);
            if runner(&name).is_none() {
                let known: Vec<String> =
                    RUNNERS.iter().map(|(extension, _, _)| format!(".{extension}")).collect();
                let cause = "the first boot cannot run this kind of file";
                let help = format!(
                    "it runs {}; put other files into the image with [[files]] and start them from a script",
                    known.join(", ")
                );
                return Err(ServicingError::refused(NAME, Problem::error(&id.0, cause, help)));
            }
            let (content, blake3) = single_file(NAME, inputs, id)?;
            blobs.put(&id.0, content.as_ref(), &blake3)
        };
        let prepared = |entry: &FirstBootEntry| {
            Ok::<_, ServicingError>(entry.prepared(entry.input().map(content).transpose()?))
        };
        let run = self.run.iter().map(prepared).collect::<Result<_, _>>()?;
        Ok(PreparedFirstBoot { run })
    }

    pub(super) fn apply(
        &self,
        prepared: &PreparedFirstBoot,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        if let Some(problem) = wrong_image(&image.facts()) {
            return Err(ServicingError::refused(NAME, problem));
        }
        if prepared.run.is_empty() {
            return Ok(());
        }
        let failed = |error| ServicingError::image(NAME, COMMAND_FILE, error);
        let folder = Places::of(image).scripts.join(FOLDER_OF_RUNS.into());
        let mut scripts: Vec<(&str, Content<'_>)> = Vec::new();
        for entry in &prepared.run {
            let content = match (&entry.around, entry.content) {
                (Some(around), content) => {
                    if let (Some(script), Some(content)) = (&around.script, content) {
                        let path = folder.join(Name::from(script.as_str()));
                        image.put_file(&path, content, &NewNode::default()).map_err(failed)?;
                    }
                    Content::Text(&around.text)
                }
                (None, Some(content)) => Content::Stored(content),
                (None, None) => continue,
            };
            scripts.push((entry.name.as_str(), content));
        }
        put(&scripts, image).map_err(failed)
    }
}

/// What stands against it in this image.
pub(super) fn check(facts: &ImageFacts) -> Vec<Problem> {
    wrong_image(facts).into_iter().collect()
}

/// Says that scripts which an earlier build left run too: those of another recipe, and those of this one that are others now.
pub(super) fn check_prepared(prepared: &PreparedFirstBoot, image: &Image) -> Vec<Problem> {
    // A command file that cannot be read stops the step itself.
    let there = chained(image).unwrap_or_default();
    let folder = Places::of(image).folder;
    let is_wanted = |script: &String| {
        let path = folder.join(Name::from(script.as_str()));
        prepared.run.iter().any(|entry| {
            let content = match (&entry.around, entry.content) {
                (Some(around), _) => Content::Text(&around.text),
                (None, Some(content)) => Content::Stored(content),
                (None, None) => return false,
            };
            plain_name(script).eq_ignore_ascii_case(&entry.name) && holds(image, &path, &content)
        })
    };
    // Packages, drivers and apps replace what is theirs.
    let is_listed = |script: &&String| {
        !OF_ROOMS.iter().any(|start| plain_name(script).starts_with(start)) && !is_wanted(script)
    };
    let others: Vec<&str> = there.iter().filter(is_listed).map(String::as_str).collect();
    if others.is_empty() {
        return Vec::new();
    }
    let cause = format!("these already wait on the base image, and run too: {}", others.join(", "));
    let help = "begin with a base image on which nothing waits, unless both shall run";
    vec![Problem::warning("[first-boot]", cause, help)]
}

fn wrong_image(facts: &ImageFacts) -> Option<Problem> {
    facts.windows_pe.then(|| {
        let cause = "Windows PE runs no SetupComplete.cmd";
        Problem::error(
            "[first-boot]",
            cause,
            "start scripts of a Windows PE with `startnet` of [winpe]",
        )
    })
}

/// Has the first boot run one more script, behind those that are there; `name` is its file name.
pub(super) fn add(image: &mut Image, name: &str, content: StoredBlob) -> Result<(), ImageError> {
    put(&[(name, Content::Stored(content))], image)
}

/// As [`add`], for a script whose text is at hand and whose name is its own: what an earlier build on this image left under that name goes, because its
/// place among the others was that of another plan.
pub(super) fn add_text(image: &mut Image, name: &str, text: &str) -> Result<(), ImageError> {
    let places = Places::of(image);
    for known in chained(image)? {
        if plain_name(&known).eq_ignore_ascii_case(name) {
            image.remove(&places.folder.join(Name::from(known.as_str())))?;
        }
    }
    put(&[(name, Content::Text(text))], image)
}

/// True when the script called `name` (without number) is there with this text.
pub(super) fn holds_text(image: &Image, name: &str, text: &str) -> bool {
    let folder = Places::of(image).folder;
    scripts_there(image, &folder).iter().any(|known| {
        plain_name(known).eq_ignore_ascii_case(name)
            && holds(image, &folder.join(Name::from(known.as_str())), &Content::Text(text))
    })
}

/// True when the first boot runs a script whose name, without number, `is` one that is looked for.
pub(super) fn waits(image: &Image, is: impl Fn(&str) -> bool) -> Result<bool, ImageError> {
    Ok(chained(image)?.iter().any(|name| is(plain_name(name))))
}

/// The scripts that our command file runs, if it is there.
pub(super) fn chained(image: &Image) -> Result<Vec<String>, ImageError> {
    let places = Places::of(image);
    let there = image.tree().lookup(&places.command_file);
    if there.is_none_or(|id| image.tree().inode(id).is_directory())
        || !is_ours(&image.read(&places.command_file)?)
    {
        return Ok(Vec::new());
    }
    Ok(scripts_there(image, &places.folder))
}

/// The text of the script `name` ([`chained`]).
pub(super) fn text(image: &Image, name: &str) -> Result<String, ImageError> {
    let bytes = image.read(&Places::of(image).folder.join(Name::from(name)))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Puts our command file back over one that a file of the recipe brought: `names` are the scripts that it ran. The other one is kept and runs first.
pub(super) fn keep(image: &mut Image, names: &[String]) -> Result<(), ImageError> {
    let places = Places::of(image);
    if names.is_empty() || image.tree().lookup(&places.command_file).is_none() {
        return Ok(());
    }
    if is_ours(&image.read(&places.command_file)?) {
        return Ok(());
    }
    image.remove(&places.kept)?;
    image.rename(&places.command_file, &places.kept)?;
    let text = command_text(true, names);
    image.put_bytes(&places.command_file, text.into_bytes(), &NewNode::default())
}

/// The scripts that wait in the image for its first boot, in their order: `01-package-kb1.cmd`.
///
/// # Errors
/// When the image's SetupComplete.cmd cannot be read.
pub fn waiting(image: &Image) -> Result<Vec<String>, ImageError> {
    chained(image)
}

/// What must stay in the image while scripts wait there: the command file, and folders.
pub(super) fn held(image: &Image) -> (NtPath, Vec<NtPath>) {
    let places = Places::of(image);
    let folders = [FOLDER, FOLDER_OF_RUNS, "transom-packages", "transom-drivers", "transom-apps"];
    (places.command_file, folders.iter().map(|name| places.scripts.join((*name).into())).collect())
}

/// Where things lie in an image.
struct Places {
    scripts: NtPath,
    command_file: NtPath,
    kept: NtPath,
    folder: NtPath,
}

impl Places {
    fn of(image: &Image) -> Self {
        let scripts =
            NtPath::from_names(vec![image.system_root(), "Setup".into(), "Scripts".into()]);
        Self {
            command_file: scripts.join(COMMAND_FILE.into()),
            kept: scripts.join(KEPT.into()),
            folder: scripts.join(FOLDER.into()),
            scripts,
        }
    }
}

/// True when these changes put a script there.
pub(super) fn adds_scripts(changes: &Changeset) -> bool {
    let is_script = |change: &Change| {
        let Change::PutFile { path, .. } = change else { return false };
        let names: Vec<String> = path.names().iter().map(ToString::to_string).collect();
        matches!(&names[..], [_, setup, scripts, folder, _]
            if [setup, scripts, folder].into_iter().zip(["Setup", "Scripts", FOLDER]).all(|(name, known)| name.eq_ignore_ascii_case(known)))
    };
    changes.0.iter().any(is_script)
}

fn put(new: &[(&str, Content<'_>)], image: &mut Image) -> Result<(), ImageError> {
    let Places { command_file, kept, folder, .. } = Places::of(image);
    let found = image.tree().lookup(&command_file).is_some();
    let ours = found && is_ours(&image.read(&command_file)?);
    if found && !ours {
        // A kept one of an earlier build whose command file somebody replaced since: theirs is the newer.
        image.remove(&kept)?;
        image.rename(&command_file, &kept)?;
    }
    let mut names = if ours { scripts_there(image, &folder) } else { Vec::new() };
    if !ours {
        image.remove(&folder)?;
    }
    // The first place that the next script may have, so that the scripts run in the order of the recipe.
    let mut next = 0;
    for (name, content) in new {
        let same = |place: &usize| {
            plain_name(&names[*place]).eq_ignore_ascii_case(name)
                && holds(image, &folder.join(Name::from(names[*place].as_str())), content)
        };
        let place = (next..names.len()).find(same).unwrap_or_else(|| {
            let number = names.iter().filter_map(|name| number_of(name)).max().unwrap_or(0);
            names.push(format!("{:02}-{name}", number.saturating_add(1)));
            names.len() - 1
        });
        next = place + 1;
        let path = folder.join(Name::from(names[place].as_str()));
        match content {
            Content::Stored(blob) => image.put_file(&path, *blob, &NewNode::default())?,
            Content::Text(text) => {
                image.put_bytes(&path, text.as_bytes().to_vec(), &NewNode::default())?;
            }
        }
    }
    let text = command_text(image.tree().lookup(&kept).is_some(), &names);
    image.put_bytes(&command_file, text.into_bytes(), &NewNode::default())
}

/// True when the file at `path` has this content.
fn holds(image: &Image, path: &NtPath, content: &Content<'_>) -> bool {
    let tree = image.tree();
    let Some(id) = tree.lookup(path) else { return false };
    let data = tree.inode(id).data();
    let (size, sha1) = match content {
        Content::Stored(blob) => (blob.size, blob.sha1),
        Content::Text(text) => (text.len() as u64, Sha1::of(text.as_bytes())),
    };
    data.size == size && (size == 0 || data.sha1 == sha1)
}

fn is_ours(content: &[u8]) -> bool {
    content.split(|&byte| byte == b'\n').any(|line| line.trim_ascii() == MARK.as_bytes())
}

/// The numbered scripts in the folder, in the order of their numbers.
fn scripts_there(image: &Image, folder: &NtPath) -> Vec<String> {
    let Some(folder) = image.tree().lookup(folder) else { return Vec::new() };
    let mut names: Vec<String> = image
        .tree()
        .sorted_children(folder)
        .iter()
        .filter_map(|&id| image.tree().node(id).name.to_text())
        .filter(|name| number_of(name).is_some() && runner(name).is_some())
        .collect();
    names.sort_by_key(|name| number_of(name));
    names
}

fn number_of(name: &str) -> Option<u32> {
    name.split_once('-')?.0.parse().ok()
}

fn plain_name(name: &str) -> &str {
    name.split_once('-').map_or(name, |(_, plain)| plain)
}

/// The last name of a host path, with only what is safe in a command file, and as the name of a folder: Windows drops a dot at its end.
pub(super) fn safe_name(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let safe = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '_',
    };
    let mut name: String = name.chars().map(safe).collect();
    if name.ends_with('.') {
        name.pop();
        name.push('_');
    }
    name
}

fn runner(name: &str) -> Option<(&'static str, &'static str)> {
    let (_, extension) = name.rsplit_once('.')?;
    RUNNERS
        .iter()
        .find(|(known, _, _)| known.eq_ignore_ascii_case(extension))
        .map(|(_, before, after)| (*before, *after))
}

/// Our SetupComplete.cmd. Each script runs in a process of its own, so that an `exit` in one does not end the others.
fn command_text(kept: bool, names: &[String]) -> String {
    let begin = [
        "@echo off",
        MARK,
        "rem Runs what stood here before, then each script in order; the log has their exit codes.",
        "rem Programs read transom-first-boot.status beside the log: a line `NN-name code` for each script, and one for all in the end.",
        "setlocal DisableDelayedExpansion",
        r#"if not exist "%SystemRoot%\Logs" mkdir "%SystemRoot%\Logs""#,
        r#"set "TRANSOM_LOG=%SystemRoot%\Logs\transom-first-boot.log""#,
        r#"set "TRANSOM_STATUS=%SystemRoot%\Logs\transom-first-boot.status""#,
        r#"set "TRANSOM_CODE=0""#,
        r#"set "TRANSOM_FAILED=""#,
        r#"set "TRANSOM_WAITING=""#,
        r#"set "TRANSOM_RESTART=""#,
        r#"set "TRANSOM_STOP=""#,
        "rem After a run that waited for a restart: what is done already is not done again.",
        r#"set "TRANSOM_BEFORE=%TRANSOM_STATUS%.before""#,
        r#"if exist "%TRANSOM_BEFORE%" del /f /q "%TRANSOM_BEFORE%""#,
        &format!(
            r#""%SystemRoot%\System32\findstr.exe" /r /c:" {WAITS}$" "%TRANSOM_STATUS%" >nul 2>&1"#
        ),
        r#"if not errorlevel 1 move /y "%TRANSOM_STATUS%" "%TRANSOM_BEFORE%" >nul"#,
        r#"if exist "%TRANSOM_STATUS%" del /f /q "%TRANSOM_STATUS%""#,
        r#"call :record running "" """#,
    ];
    let mut lines: Vec<String> = begin.iter().map(ToString::to_string).collect();
    let mut run = |shown: &str, path: &str| {
        let (before, after) = runner(path).unwrap_or(("", ""));
        let number = lines.len();
        lines.push(format!("call :wanted {shown}"));
        lines.push(format!("if errorlevel 1 goto after{number}"));
        lines.push(format!(r#">>"%TRANSOM_LOG%" echo %DATE% %TIME% {shown}: begins"#));
        lines.push(format!(r#"{before}"%~dp0{path}"{after} >>"%TRANSOM_LOG%" 2>&1"#));
        lines.push(format!("call :ended {shown} %ERRORLEVEL%"));
        lines.push(format!(":after{number}"));
    };
    if kept {
        run(KEPT, KEPT);
    }
    for name in names {
        run(name, &format!(r"{FOLDER}\{name}"));
    }
    let end = [
        r#"if exist "%TRANSOM_BEFORE%" del /f /q "%TRANSOM_BEFORE%""#,
        "rem What waits for a restart is run by a task when Windows starts the next time; then the task goes.",
        &format!(r#""%SystemRoot%\System32\schtasks.exe" /delete /f /tn "{TASK}" >nul 2>&1"#),
        &format!(
            r#"if defined TRANSOM_WAITING "%SystemRoot%\System32\schtasks.exe" /create /f /tn "{TASK}" /sc onstart /ru SYSTEM /rl highest /tr "\"%SystemRoot%\System32\cmd.exe\" /d /c \"%~f0\"" >>"%TRANSOM_LOG%" 2>&1"#
        ),
        r#"call :record %TRANSOM_CODE% "%TRANSOM_FAILED%" "%TRANSOM_WAITING%""#,
        r#">>"%TRANSOM_STATUS%" echo done %TRANSOM_CODE%"#,
        r#">>"%TRANSOM_LOG%" echo %DATE% %TIME% first boot: done, code %TRANSOM_CODE%"#,
        "exit /b 0",
        "",
        ":wanted",
        r#"if not exist "%TRANSOM_BEFORE%" goto unless"#,
        &format!(
            r#""%SystemRoot%\System32\findstr.exe" /x /c:"%~1 0" /c:"%~1 3010" /c:"%~1 {STOPS}" "%TRANSOM_BEFORE%" >nul 2>&1"#
        ),
        "if errorlevel 1 goto unless",
        r#">>"%TRANSOM_LOG%" echo %DATE% %TIME% %~1: done before the restart"#,
        r#">>"%TRANSOM_STATUS%" echo %~1 0"#,
        "exit /b 1",
        ":unless",
        r#"if not defined TRANSOM_STOP exit /b 0"#,
        &format!("call :ended %~1 {WAITS}"),
        "exit /b 1",
        "",
        ":ended",
        r#">>"%TRANSOM_LOG%" echo %DATE% %TIME% %~1: ended with exit code %~2"#,
        r#">>"%TRANSOM_STATUS%" echo %~1 %~2"#,
        r#"if "%~2"=="0" exit /b 0"#,
        "rem 3010: it succeeded, and wants a restart.",
        r#"if "%~2"=="3010" set "TRANSOM_RESTART=1""#,
        r#"if "%~2"=="3010" if "%TRANSOM_CODE%"=="0" set "TRANSOM_CODE=3010""#,
        r#"if "%~2"=="3010" exit /b 0"#,
        &format!("rem {STOPS}: it succeeded, and nothing is run behind it before a restart."),
        &format!(r#"if "%~2"=="{STOPS}" set "TRANSOM_RESTART=1""#),
        &format!(r#"if "%~2"=="{STOPS}" set "TRANSOM_STOP=1""#),
        &format!(r#"if "%~2"=="{STOPS}" if "%TRANSOM_CODE%"=="0" set "TRANSOM_CODE=3010""#),
        &format!(r#"if "%~2"=="{STOPS}" exit /b 0"#),
        &format!("rem {WAITS}: it did nothing, and waits for a restart."),
        &format!(r#"if "%~2"=="{WAITS}" set "TRANSOM_WAITING=%TRANSOM_WAITING% %~1""#),
        &format!(r#"if "%~2"=="{WAITS}" if not defined TRANSOM_FAILED set "TRANSOM_CODE={WAITS}""#),
        &format!(r#"if "%~2"=="{WAITS}" exit /b 0"#),
        r#"if not defined TRANSOM_FAILED set "TRANSOM_CODE=%~2""#,
        r#"set "TRANSOM_FAILED=%TRANSOM_FAILED% %~1""#,
        "exit /b 0",
        "",
        ":record",
        &format!(
            r#""%SystemRoot%\System32\reg.exe" add "{KEY}" /v Status /t REG_SZ /d "%~1" /f >nul 2>&1"#
        ),
        &format!(
            r#""%SystemRoot%\System32\reg.exe" add "{KEY}" /v Failed /t REG_SZ /d "%~2" /f >nul 2>&1"#
        ),
        &format!(
            r#""%SystemRoot%\System32\reg.exe" add "{KEY}" /v Waiting /t REG_SZ /d "%~3" /f >nul 2>&1"#
        ),
        "exit /b 0",
    ];
    lines.extend(end.iter().map(ToString::to_string));
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_file_runs_everything_in_order_and_knows_itself() {
        let text = command_text(true, &["01-a.cmd".to_owned(), "02-b.ps1".to_owned()]);
        assert!(is_ours(text.as_bytes()));
        assert!(!is_ours(b"@echo off\r\necho hello\r\n"));
        assert!(text.lines().all(|line| !line.contains('\r')) && text.ends_with("\r\n"));
        let places: Vec<usize> = [KEPT, "01-a.cmd", "02-b.ps1", "echo done"]
            .iter()
            .map(|part| text.find(part).unwrap())
            .collect();
        assert!(places.is_sorted());
        let run = r#"cmd.exe" /d /c ""%~dp0transom\01-a.cmd"" >>"%TRANSOM_LOG%" 2>&1"#;
        assert!(text.contains(run), "{text}");
        assert!(text.contains(r#"-File "%~dp0transom\02-b.ps1" >>"#), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let run = lines.iter().position(|line| line.contains(r"transom\01-a.cmd")).unwrap();
        assert_eq!(lines[run + 1], "call :ended 01-a.cmd %ERRORLEVEL%");
        let done = lines.iter().position(|line| line.contains("echo done %TRANSOM_CODE%")).unwrap();
        assert_eq!(
            lines[done + 2],
            "exit /b 0",
            "nothing stands between the end and the subroutines"
        );
        // Every subroutine that is called is there.
        for line in lines.iter().filter_map(|line| line.strip_prefix("call :")) {
            let label = format!(":{}", line.split(' ').next().unwrap());
            assert!(lines.contains(&label.as_str()), "{label}");
        }
    }

    #[test]
    fn a_restart_is_remembered_and_what_waits_for_it_is_told_from_what_failed() {
        let text = command_text(false, &["01-a.cmd".to_owned(), "02-b.cmd".to_owned()]);
        let lines: Vec<&str> = text.lines().collect();
        let at = |wanted: &str| {
            let found = lines.iter().position(|line| *line == wanted);
            found.unwrap_or_else(|| panic!("{wanted} in {text}"))
        };
        // 3010 is remembered for the scripts behind it, and the next one is run all the same.
        let ended = at(":ended");
        let remembered = at(r#"if "%~2"=="3010" set "TRANSOM_RESTART=1""#);
        assert!(ended < remembered && remembered < at(":record"));
        // 350 is no failure, and comes before 3010 in the code of the whole.
        let waits = at(r#"if "%~2"=="350" if not defined TRANSOM_FAILED set "TRANSOM_CODE=350""#);
        let failed = at(r#"if not defined TRANSOM_FAILED set "TRANSOM_CODE=%~2""#);
        assert!(remembered < waits && waits < failed);
        assert_eq!(lines[waits + 1], r#"if "%~2"=="350" exit /b 0"#);
        // A run after that restart does what is left: each script asks, and is jumped over.
        let again = lines.iter().position(|line| line.contains(r#"/c:" 350$""#)).unwrap();
        assert!(lines[again + 1].starts_with("if not errorlevel 1 move /y"), "{text}");
        for name in ["01-a.cmd", "02-b.cmd"] {
            let asks = at(&format!("call :wanted {name}"));
            let label = lines[asks + 1].strip_prefix("if errorlevel 1 goto ").unwrap();
            let ends = at(&format!("call :ended {name} %ERRORLEVEL%"));
            assert_eq!((ends, lines[ends + 1]), (asks + 4, format!(":{label}").as_str()));
        }
        assert!(
            text.contains(r#"/c:"%~1 0" /c:"%~1 3010" /c:"%~1 1641" "%TRANSOM_BEFORE%""#),
            "{text}"
        );
        // Behind 1641 nothing is run: it is told to wait.
        let stopped = at(r#"if "%~2"=="1641" set "TRANSOM_STOP=1""#);
        assert!(stopped < waits);
        let unless = at(":unless");
        assert_eq!(lines[unless + 2], "call :ended %~1 350");
        // A task goes on after the restart, and goes itself when nothing waits.
        let task = lines.iter().position(|line| line.contains("/create /f /tn")).unwrap();
        assert!(lines[task].starts_with("if defined TRANSOM_WAITING "), "{text}");
        assert!(lines[task - 1].contains(r#"/delete /f /tn "Transom first boot""#), "{text}");
    }

    #[test]
    fn a_command_file_that_is_put_over_ours_runs_before_what_waits() {
        let mut image = Image::empty(crate::base::filetime::FileTime(0));
        add_text(&mut image, "package-a.cmd", "a").unwrap();
        let names = chained(&image).unwrap();
        assert_eq!(names, ["01-package-a.cmd"]);
        assert!(waits(&image, |name| name == "package-a.cmd").unwrap());
        let (command_file, _) = held(&image);
        image.put_bytes(&command_file, b"echo theirs".to_vec(), &NewNode::default()).unwrap();
        assert!(chained(&image).unwrap().is_empty());
        keep(&mut image, &names).unwrap();
        assert_eq!(chained(&image).unwrap(), names);
        assert_eq!(image.read(&Places::of(&image).kept).unwrap(), b"echo theirs");
        let text = String::from_utf8(image.read(&command_file).unwrap()).unwrap();
        assert!(text.find(KEPT).unwrap() < text.find("01-package-a.cmd").unwrap(), "{text}");
        // Once more: nothing to do.
        image.begin_step();
        keep(&mut image, &names).unwrap();
        assert!(image.end_step().0.is_empty());
        // What comes later stands behind it.
        add_text(&mut image, "package-b.cmd", "b").unwrap();
        assert_eq!(chained(&image).unwrap(), ["01-package-a.cmd", "02-package-b.cmd"]);
    }

    #[test]
    fn names_become_safe_for_a_command_file() {
        assert_eq!(safe_name("scripts/set up %PATH%&.cmd"), "set_up__PATH__.cmd");
        assert_eq!(safe_name(r"a\b.ps1"), "b.ps1");
        assert_eq!(safe_name("kb."), "kb_");
        assert!(runner("x.CMD").is_some() && runner("x").is_none() && runner("x.txt").is_none());
        assert_eq!((number_of("07-x.cmd"), plain_name("07-x-y.cmd")), (Some(7), "x-y.cmd"));
    }
}
