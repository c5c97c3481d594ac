//! One thing that the first boot runs: a script or a command, with its limits.
//!
//! A script without any option is run as it is. Everything else gets a command file of ours around it, which is what SetupComplete.cmd runs; the script itself lies in
//! `Setup\Scripts\transom-run`. The command file calls itself once more with `run` in a process of its own, so that whatever happens in there it can say how
//! it ended:
//!
//! - a time limit needs PowerShell: it starts that process, waits, ends it with all it started (`taskkill /T`) when the time is over, and gives 1460 (`ERROR_TIMEOUT`).
//!   Where a Windows has no PowerShell the log says that there is no limit.
//! - `reboot`: a script says with 3010 that it wants a restart. `never` makes that 0. `always` makes every success 1641, behind which nothing is run until Windows
//!   was restarted: Setup does not allow a restart while SetupComplete.cmd runs, so it ends, and goes on at the next start (see the parent module).
//!
//! That this is what cmd.exe and PowerShell do with it was not tried on a Windows.

use crate::{base::digest::Blake3, servicing::inputs::InputId, store::StoredBlob};

use super::{FOLDER_OF_RUNS, runner, safe_name};

/// A script or command of the first boot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBootEntry {
    /// What is run.
    pub run: Run,
    /// What the log calls it; without it, the script's name or `command`.
    pub name: Option<String>,
    /// Seconds after which it is ended.
    pub timeout: Option<u32>,
    /// True: whatever it ends with is no failure.
    pub ignore_failure: bool,
    /// What a restart has to do with it.
    pub reboot: Reboot,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// A file, and what follows it on its command line.
    Script(InputId, Option<String>),
    /// A line, as in a command file.
    Command(String),
}

/// What a restart has to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reboot {
    /// 3010 from it means nothing.
    Never,
    /// It may ask for a restart with 3010, which comes when everything was run.
    #[default]
    WhenAsked,
    /// What comes behind it waits for a restart.
    Always,
}

/// An entry with its content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PreparedEntry {
    /// File name without number, safe in a command file.
    pub(super) name: String,
    /// The script.
    pub(super) content: Option<StoredBlob>,
    /// Our command file, and the name that it knows the script by.
    pub(super) around: Option<Around>,
}

/// A command file of ours.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Around {
    pub(super) text: String,
    pub(super) script: Option<String>,
}

impl FirstBootEntry {
    /// A script without options.
    #[must_use]
    pub fn script(input: InputId) -> Self {
        Self {
            run: Run::Script(input, None),
            name: None,
            timeout: None,
            ignore_failure: false,
            reboot: Reboot::default(),
        }
    }

    /// The file that it reads.
    pub(super) fn input(&self) -> Option<&InputId> {
        match &self.run {
            Run::Script(input, _) => Some(input),
            Run::Command(_) => None,
        }
    }

    /// What a person knows it by.
    pub(super) fn shown(&self) -> &str {
        match (&self.name, &self.run) {
            (Some(name), _) => name,
            (None, Run::Script(input, _)) => &input.0,
            // Not the whole line: it may be long, and is nobody's business.
            (None, Run::Command(line)) => line.split_whitespace().next().unwrap_or_default(),
        }
    }

    fn is_plain(&self) -> bool {
        *self == self.input().cloned().map_or_else(|| self.clone(), Self::script)
            && self.input().is_some()
    }

    /// With the content of its script.
    pub(super) fn prepared(&self, content: Option<StoredBlob>) -> PreparedEntry {
        let own = self.input().map(|input| safe_name(&input.0));
        if let (true, Some(name)) = (self.is_plain(), &own) {
            return PreparedEntry { name: name.clone(), content, around: None };
        }
        // The name tells contents apart: of two scripts with one name, and of one that an earlier build left.
        let script = own
            .as_ref()
            .zip(content)
            .map(|(name, content)| format!("{}-{name}", &content.blake3.to_hex()[..8]));
        let text = self.text(script.as_deref());
        let stem = match (&self.name, &own) {
            (Some(name), _) => safe_name(name),
            (None, Some(own)) => {
                own.rsplit_once('.').map_or(own.as_str(), |(stem, _)| stem).to_owned()
            }
            (None, None) => "command".to_owned(),
        };
        let name = format!("{stem}-{}.cmd", &Blake3::of(text.as_bytes()).to_hex()[..8]);
        PreparedEntry { name, content, around: Some(Around { text, script }) }
    }

    /// The command file; `script` is what the script is called.
    fn text(&self, script: Option<&str>) -> String {
        let line = match (&self.run, script) {
            (Run::Script(_, arguments), Some(script)) => {
                let (before, after) = runner(script).unwrap_or(("", ""));
                let path = format!(r#""%~dp0..\{FOLDER_OF_RUNS}\{script}""#);
                let arguments =
                    arguments.as_ref().map(|text| format!(" {text}")).unwrap_or_default();
                format!("{before}{path}{arguments}{after}")
            }
            (Run::Command(line), _) => line.clone(),
            (Run::Script(..), None) => String::new(),
        };
        let mut lines = vec!["@echo off".to_owned()];
        lines.push("rem Written by Transom: an entry of [first-boot].".to_owned());
        lines.push("setlocal DisableDelayedExpansion".to_owned());
        lines.push(r#"if "%~1"=="run" goto run"#.to_owned());
        self.supervise(&mut lines);
        self.judge(&mut lines);
        lines.push(":run".to_owned());
        lines.push("endlocal".to_owned());
        lines.push(line);
        lines.into_iter().map(|line| line + "\r\n").collect()
    }

    /// Runs the line in a process of its own.
    fn supervise(&self, lines: &mut Vec<String>) {
        let mut line = |text: &str| lines.push(text.to_owned());
        if let Some(seconds) = self.timeout {
            line(r#"set "TRANSOM_SELF=%~f0""#);
            line(r#"set "POWERSHELL=%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe""#);
            line(r#"if exist "%POWERSHELL%" goto limited"#);
            line(&format!(
                "echo this Windows has no PowerShell: the limit of {seconds} seconds does not hold"
            ));
        }
        line(r#""%SystemRoot%\System32\cmd.exe" /d /c ""%~f0" run""#);
        if let Some(seconds) = self.timeout {
            line("goto ended");
            line(":limited");
            let milliseconds = u64::from(seconds) * 1000;
            line(&format!(
                r#""%POWERSHELL%" -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "$q=[char]34; $p=Start-Process -FilePath ($env:SystemRoot+'\System32\cmd.exe') -ArgumentList ('/d /c '+$q+$q+$env:TRANSOM_SELF+$q+' run'+$q) -NoNewWindow -PassThru; $null=$p.Handle; if ($p.WaitForExit({milliseconds})) {{ exit $p.ExitCode }}; taskkill.exe /T /F /PID $p.Id; exit 1460""#
            ));
            line(":ended");
        }
        line(r#"set "CODE=%ERRORLEVEL%""#);
        if let Some(seconds) = self.timeout {
            line(&format!(
                r#"if "%CODE%"=="1460" echo it took longer than {seconds} seconds and was ended"#
            ));
        }
    }

    /// What the end of that process means.
    fn judge(&self, lines: &mut Vec<String>) {
        let mut line = |text: &str| lines.push(text.to_owned());
        match self.reboot {
            Reboot::WhenAsked => {}
            Reboot::Never => {
                line("rem Whether it wants a restart does not matter.");
                line(r#"for %%c in (3010 1641) do if "%CODE%"=="%%c" set "CODE=0""#);
            }
            Reboot::Always => {
                line("rem 1641: what comes behind it waits for a restart.");
                line(r#"for %%c in (0 3010) do if "%CODE%"=="%%c" set "CODE=1641""#);
            }
        }
        if self.ignore_failure {
            line(r#"for %%c in (0 350 1641 3010) do if "%CODE%"=="%%c" exit /b %%c"#);
            line("echo its exit code %CODE% is ignored");
            let code = if self.reboot == Reboot::Always { 1641 } else { 0 };
            line(&format!("exit /b {code}"));
        } else {
            line("exit /b %CODE%");
        }
    }
}

/// Why a line cannot stand in a command file; `None` when it can.
#[must_use]
pub fn line_defect(line: &str) -> Option<&'static str> {
    if line.trim().is_empty() {
        Some("it is empty")
    } else if line.chars().any(char::is_control) {
        Some("it is more than one line")
    } else if !line.is_ascii() {
        Some(
            "a command file is read in the code page of that Windows, which need not have its letters",
        )
    } else if line.len() > LONGEST {
        Some("it is longer than a line of a command file may be")
    } else {
        None
    }
}

/// cmd.exe reads 8191 characters; the paths in front of arguments need some.
const LONGEST: usize = 7000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Sha1;

    fn content() -> StoredBlob {
        StoredBlob { blake3: Blake3::of(b"x"), sha1: Sha1::of(b"x"), size: 1 }
    }

    fn command(line: &str) -> FirstBootEntry {
        FirstBootEntry {
            run: Run::Command(line.to_owned()),
            ..FirstBootEntry::script(InputId(String::new()))
        }
    }

    fn text(entry: &FirstBootEntry) -> String {
        let content = entry.input().map(|_| content());
        let text = entry.prepared(content).around.unwrap().text;
        for label in text.lines().filter_map(|line| line.strip_prefix(':')) {
            assert!(text.contains(&format!("goto {label}")), "{label}: {text}");
        }
        assert!(text.is_ascii() && text.ends_with("\r\n"));
        text
    }

    #[test]
    fn a_script_without_options_is_run_as_it_is() {
        let plain =
            FirstBootEntry::script(InputId("a/b c.cmd".to_owned())).prepared(Some(content()));
        assert_eq!((plain.name.as_str(), plain.around), ("b_c.cmd", None));
    }

    #[test]
    fn arguments_stand_inside_the_quotes_of_cmd() {
        let mut entry = FirstBootEntry::script(InputId("a.cmd".to_owned()));
        entry.run = Run::Script(InputId("a.cmd".to_owned()), Some("/x \"y z\"".to_owned()));
        let prepared = entry.prepared(Some(content()));
        let script = prepared.around.as_ref().unwrap().script.clone().unwrap();
        assert!(prepared.name.starts_with("a-") && prepared.name.ends_with(".cmd"));
        let line = format!(
            r#""%SystemRoot%\System32\cmd.exe" /d /c ""%~dp0..\transom-run\{script}" /x "y z"""#
        );
        assert_eq!(text(&entry).lines().last(), Some(line.as_str()));
        entry.run = Run::Script(InputId("a.ps1".to_owned()), Some("-Name x".to_owned()));
        assert!(text(&entry).trim_end().ends_with(r#"a.ps1" -Name x"#));
    }

    #[test]
    fn limits_and_codes_are_what_the_recipe_says() {
        let plain = text(&command("net start x"));
        assert!(plain.ends_with(":run\r\nendlocal\r\nnet start x\r\n"), "{plain}");
        assert!(!plain.contains("POWERSHELL") && plain.contains("exit /b %CODE%"), "{plain}");
        let limited = text(&FirstBootEntry { timeout: Some(600), ..command("x") });
        assert!(limited.contains("WaitForExit(600000)) { exit $p.ExitCode }"), "{limited}");
        assert!(limited.contains("exit 1460\"") && limited.contains("no PowerShell"), "{limited}");
        let ignored = text(&FirstBootEntry { ignore_failure: true, ..command("x") });
        assert!(ignored.contains("is ignored\r\nexit /b 0\r\n"), "{ignored}");
        let never = text(&FirstBootEntry { reboot: Reboot::Never, ..command("x") });
        assert!(never.contains(r#"in (3010 1641) do if "%CODE%"=="%%c" set "CODE=0""#), "{never}");
        let always =
            FirstBootEntry { reboot: Reboot::Always, ignore_failure: true, ..command("x") };
        let always = text(&always);
        assert!(
            always.contains(r#"set "CODE=1641""#) && always.contains("exit /b 1641"),
            "{always}"
        );
    }

    #[test]
    fn other_texts_have_other_names() {
        let name = |line: &str| command(line).prepared(None).name;
        assert_ne!(name("a"), name("b"));
        assert_eq!(command("net user x secret").shown(), "net");
        for line in ["", "a\nb", "\u{e4}"] {
            assert!(line_defect(line).is_some());
        }
    }
}
