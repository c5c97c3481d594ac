//! The text files that start a Windows PE: written, and looked at for what is odd.
//!
//! `winpeshl.ini` (Microsoft, "Winpeshl.ini Reference"):
//!
//! ```text
//! [LaunchApp]
//! AppPath = %SYSTEMDRIVE%\Fabrikam\shell.exe
//! [LaunchApps]
//! wpeinit.exe
//! %SYSTEMDRIVE%\Fabrikam\app2.exe, /s "C:\Program Files\App3"
//! ```

/// Longest command line that Microsoft documents, in characters.
const LONGEST: usize = 250;

/// Something odd: line, cause, help.
pub(super) type Odd = (Option<usize>, String, &'static str);

/// `startnet.cmd` with these commands behind `wpeinit`.
pub(super) fn startnet(commands: &[String]) -> Vec<u8> {
    let own = commands.first().is_some_and(|first| calls_wpeinit(first));
    let begin = (!own).then_some("wpeinit").into_iter();
    let lines = begin.chain(commands.iter().map(String::as_str));
    lines.flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
}

/// `winpeshl.ini` with one program.
pub(super) fn winpeshl_app(app: &str) -> Vec<u8> {
    format!("[LaunchApp]\r\nAppPath = {app}\r\n").into_bytes()
}

/// `winpeshl.ini` with several programs.
pub(super) fn winpeshl_apps(apps: &[String]) -> Vec<u8> {
    let lines = std::iter::once("[LaunchApps]").chain(apps.iter().map(String::as_str));
    lines.flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
}

/// What is odd about a `startnet.cmd`.
pub(super) fn startnet_oddities(bytes: &[u8]) -> Vec<Odd> {
    let mut odd = code_page(bytes);
    let text = lossy(bytes);
    if !text.lines().any(calls_wpeinit) {
        let cause =
            "it does not call wpeinit: there will be no network and no answer file".to_owned();
        odd.push((None, cause, "begin it with a line `wpeinit`"));
    }
    odd
}

/// What is odd about a `winpeshl.ini`.
pub(super) fn winpeshl_oddities(bytes: &[u8]) -> Vec<Odd> {
    let mut odd = code_page(bytes);
    let text = lossy(bytes);
    let mut section = "";
    let mut programs = 0;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with(';') {
            continue;
        }
        let mut say = |cause: String, help| odd.push((Some(number + 1), cause, help));
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            if !["LaunchApp", "LaunchApps"].iter().any(|known| known.eq_ignore_ascii_case(section))
            {
                let cause = format!("`[{section}]` is no section of winpeshl.ini");
                say(cause, "its sections are [LaunchApp] and [LaunchApps]");
            }
            continue;
        }
        let alone = section.eq_ignore_ascii_case("LaunchApp");
        let app = if alone {
            match line.split_once('=') {
                Some((key, app)) if key.trim().eq_ignore_ascii_case("AppPath") => app.trim(),
                _ => {
                    say(format!("`{line}` is no line of [LaunchApp]"), "write AppPath = program");
                    continue;
                }
            }
        } else {
            line
        };
        programs += 1;
        if let Some(defect) = app_defect(app, alone) {
            say(defect.to_owned(), "");
        }
    }
    if programs == 0 {
        let cause = "it starts nothing".to_owned();
        odd.push((None, cause, "Windows PE restarts when nothing runs"));
    }
    odd
}

/// Why a line cannot stand in these files.
pub(super) fn line_defect(line: &str) -> Option<&'static str> {
    if line.trim().is_empty() {
        Some("it is empty")
    } else if line.chars().any(char::is_control) {
        Some("it is more than one line")
    } else if !line.is_ascii() {
        Some("it has letters that Windows PE would read in its own code page")
    } else {
        None
    }
}

/// Why this is no program of `winpeshl.ini`.
pub(super) fn app_defect(app: &str, alone: bool) -> Option<&'static str> {
    let (program, _) = app.split_once(',').unwrap_or((app, ""));
    if let Some(defect) = line_defect(app) {
        return Some(defect);
    }
    if program.trim().is_empty() {
        Some("it names no program")
    } else if app.chars().count() > LONGEST {
        Some("it has more than 250 characters")
    } else if app.starts_with(['[', ';']) {
        Some("Windows PE would read it as a section or a remark")
    } else if alone && app.contains(", ") {
        Some("the program of [LaunchApp] takes no arguments: use [LaunchApps]")
    } else if !alone && has_arguments(program) {
        Some("arguments stand behind a comma: `program.exe, /argument`")
    } else if alone && has_arguments(program) {
        Some("the program of [LaunchApp] takes no arguments: use [LaunchApps]")
    } else {
        None
    }
}

/// True for `program.exe /argument`.
fn has_arguments(program: &str) -> bool {
    let lower = program.to_ascii_lowercase();
    [".exe ", ".cmd ", ".bat "].iter().any(|ending| {
        lower.find(ending).is_some_and(|at| !program[at + ending.len()..].trim().is_empty())
    })
}

/// True when the line calls `wpeinit`.
fn calls_wpeinit(line: &str) -> bool {
    let line = line.trim().trim_start_matches('@').to_ascii_lowercase();
    let line = line.strip_prefix("call ").unwrap_or(&line).trim_start();
    let program = line.trim_start_matches('"').split([' ', '"']).next().unwrap_or_default();
    let name = program.rsplit('\\').next().unwrap_or_default();
    name == "wpeinit" || name == "wpeinit.exe"
}

/// True when the text names `startnet.cmd`.
pub(super) fn mentions_startnet(text: &str) -> bool {
    text.to_ascii_lowercase().contains("startnet")
}

/// The text of a file: UTF-16 with a mark, else bytes of which the ASCII ones count.
pub(super) fn lossy(bytes: &[u8]) -> String {
    encoding_rs::UTF_8.decode(bytes).0.into_owned()
}

fn code_page(bytes: &[u8]) -> Vec<Odd> {
    let cause = "it has bytes that are not ASCII: cmd reads them in the code page of Windows PE";
    let odd = (None, cause.to_owned(), "save it without a byte order mark, with ASCII letters");
    if bytes.is_ascii() { Vec::new() } else { vec![odd] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wpeinit_comes_first_and_once() {
        let text = |commands: &[&str]| {
            let commands: Vec<String> = commands.iter().map(ToString::to_string).collect();
            String::from_utf8(startnet(&commands)).unwrap()
        };
        assert_eq!(text(&["a", "b c"]), "wpeinit\r\na\r\nb c\r\n");
        assert_eq!(text(&["WPEINIT.exe -unattend=x", "b"]), "WPEINIT.exe -unattend=x\r\nb\r\n");
        assert_eq!(text(&["b", "wpeinit"]), "wpeinit\r\nb\r\nwpeinit\r\n");
        assert!(calls_wpeinit(r#"@call "X:\Windows\System32\wpeinit.exe" /x"#));
        assert!(!calls_wpeinit("rem wpeinit"));
    }

    #[test]
    fn odd_files_are_told_by_line() {
        assert!(startnet_oddities(b"wpeinit\r\n").is_empty());
        assert_eq!(startnet_oddities(b"\xef\xbb\xbfcmd").len(), 2);
        let good = [
            winpeshl_app(r"X:\a b\c.exe"),
            winpeshl_apps(&["wpeinit.exe".into(), "a.exe, /x y".into()]),
        ];
        for good in good {
            assert!(winpeshl_oddities(&good).is_empty());
        }
        let odd = winpeshl_oddities(b"; x\r\n[Launch]\r\n[LaunchApp]\r\nx\r\nAppPath=a.exe /b\r\n");
        let lines: Vec<Option<usize>> = odd.iter().map(|(line, _, _)| *line).collect();
        assert_eq!(lines, [Some(2), Some(4), Some(5)], "{odd:?}");
        assert!(winpeshl_oddities(b"").iter().any(|(_, cause, _)| cause.contains("nothing")));
    }

    #[test]
    fn programs_have_their_arguments_behind_a_comma() {
        for good in ["wpeinit.exe", "a.exe, /b", r"%SYSTEMDRIVE%\a b\c.exe"] {
            assert_eq!(app_defect(good, false), None, "{good}");
        }
        for bad in ["", ", x", "a.exe /b", "[a]", "a\nb", "\u{e4}.exe"] {
            assert!(app_defect(bad, false).is_some(), "{bad}");
        }
        assert!(app_defect("a.exe, /b", true).is_some() && app_defect("a.exe /b", true).is_some());
    }
}
