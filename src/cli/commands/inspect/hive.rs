//! `transom inspect hive`: keys and values of a hive file, and whether it is sound.

use std::path::{Path, PathBuf};

use clap::Args;
use fs_err as fs;
use serde::Serialize;

use crate::{
    base::{digest::to_hex, limits::Limits, name::Name},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        output::Out,
        text,
    },
    format::hive::{Hive, HiveError, KeyId, Value, ValueType},
};

/// Show keys and values of a registry hive, or check it
///
/// FILE is a hive of the host, such as one unpacked by `transom wim extract`. When Windows was interrupted while it wrote the hive, its log files
/// (FILE.LOG1, FILE.LOG2, FILE.LOG) beside it are read too; nothing is written. PATH is a key in it, names separated by `\`, without case.
///
/// With --check every key, value and cell is looked at and everything wrong is printed. Exit code 8 when something is wrong; wasted space
/// alone, which Windows does not mind, is printed and is no failure.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom inspect hive SYSTEM
  transom inspect hive SYSTEM 'ControlSet001\Services\Tcpip' --values
  transom inspect hive SOFTWARE --check"#)]
pub(crate) struct InspectHiveArguments {
    /// The hive file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A key in it [default: the root]
    #[arg(value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,

    /// Print the key's values too
    #[arg(long)]
    values: bool,

    /// Look for everything that is wrong with the hive
    #[arg(long, conflicts_with_all = ["path", "values"])]
    check: bool,

    /// Print JSON: {file, version, size, recovered, key: {...}} or, with --check, {..., problems: [...]}
    #[arg(long)]
    json: bool,
}

/// What `--json` prints. Fields are only ever added.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct HiveReport {
    file: String,
    version: String,
    size: u64,
    /// Completed from its log files.
    recovered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<ProblemReport>>,
}

/// A key.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeyReport {
    path: String,
    time: String,
    class: Option<String>,
    subkeys: Vec<String>,
    value_count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ValueReport>>,
}

/// A value.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ValueReport {
    name: String,
    kind: String,
    kind_number: u32,
    /// What the data mean; `null` where the data are not what the type says.
    value: serde_json::Value,
    /// The data in hexadecimal.
    data: String,
}

/// Something wrong.
#[derive(Serialize)]
struct ProblemReport {
    offset: u64,
    what: String,
    harmless: bool,
}

/// Runs `transom inspect hive`.
pub(crate) fn run(arguments: &InspectHiveArguments, context: &Context) -> Result<(), Failure> {
    let hive = open(&arguments.file)?;
    let (major, minor) = hive.version();
    let mut report = HiveReport {
        file: arguments.file.display().to_string(),
        version: format!("{major}.{minor}"),
        size: hive.byte_size() as u64,
        recovered: hive.is_recovered(),
        key: None,
        problems: None,
    };
    if arguments.check {
        report.problems = Some(check(&hive));
    } else {
        report.key = Some(key(&hive, arguments)?);
    }
    if arguments.json {
        context.printer.json(&report)?;
    } else {
        print(&report, context)?;
    }
    let bad = report.problems.iter().flatten().any(|problem| !problem.harmless);
    if bad { Err(Failure::silent(Exit::VerificationFailed)) } else { Ok(()) }
}

/// Opens a hive, with the logs beside it when it needs them.
fn open(path: &Path) -> Result<Hive, Failure> {
    let limits = Limits::default();
    let read = |path: &Path| fs::read(path).map_err(|error| failures::input("the hive", error));
    let size = fs::metadata(path).map_err(|error| failures::input("the hive", error))?.len();
    if size > limits.hive {
        return Err(failure(path, HiveError::TooLarge { size, limit: limits.hive }));
    }
    let logs = ["LOG1", "LOG2", "LOG"].iter().filter_map(|end| log_beside(path, end));
    let logs = logs
        .filter(|log| fs::metadata(log).is_ok_and(|found| found.len() <= limits.hive))
        .map(|log| read(&log))
        .collect::<Result<Vec<_>, _>>()?;
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    Hive::recover(read(path)?, &logs, &limits).map_err(|error| failure(path, error))
}

/// `SYSTEM.LOG1` beside `SYSTEM`, in any case.
fn log_beside(path: &Path, end: &str) -> Option<PathBuf> {
    let wanted = format!("{}.{end}", path.file_name()?.to_string_lossy()).to_lowercase();
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut found: Vec<PathBuf> = fs::read_dir(folder.unwrap_or_else(|| Path::new(".")))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase() == wanted)
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

fn failure(path: &Path, error: HiveError) -> Failure {
    let help = match error {
        HiveError::Dirty { .. } => {
            "put the log files (.LOG1, .LOG2) beside the hive under its own name"
        }
        HiveError::LogsDoNotFit { .. } => {
            "the log files belong to another state of this hive: take all of them from one place and time"
        }
        _ => "the file is no registry hive, or is damaged",
    };
    Problem::new("hive", format!("{} cannot be read", path.display()))
        .cause(error)
        .help(help)
        .exit(Exit::BadInput)
}

fn check(hive: &Hive) -> Vec<ProblemReport> {
    hive.check()
        .into_iter()
        .map(|problem| ProblemReport {
            offset: problem.offset,
            what: problem.what,
            harmless: problem.harmless,
        })
        .collect()
}

fn key(hive: &Hive, arguments: &InspectHiveArguments) -> Result<KeyReport, Failure> {
    let damaged = |error| failure(&arguments.file, error);
    let names: Vec<Name> =
        arguments.path.split('\\').filter(|name| !name.is_empty()).map(Name::from).collect();
    let key = walk_to(hive, &names, arguments)?;
    let values = hive.values(key).map_err(damaged)?;
    let subkeys = subkey_names(hive, key).map_err(damaged)?;
    Ok(KeyReport {
        path: format!("\\{}", arguments.path.trim_matches('\\')),
        time: hive.key_time(key).map_err(damaged)?.to_string(),
        class: hive.class(key).map_err(damaged)?.map(|class| class.to_string()),
        subkeys,
        value_count: values.len(),
        values: arguments.values.then(|| values.iter().map(value_report).collect()),
    })
}

/// Finds the key, or tells how far the path leads and what there is.
fn walk_to(
    hive: &Hive,
    names: &[Name],
    arguments: &InspectHiveArguments,
) -> Result<KeyId, Failure> {
    let damaged = |error| failure(&arguments.file, error);
    let mut key = hive.root();
    for (depth, name) in names.iter().enumerate() {
        let Some(next) = hive.subkey(key, name).map_err(damaged)? else {
            let siblings = subkey_names(hive, key).map_err(damaged)?;
            let above = names[..depth].iter().map(|name| format!("\\{name}")).collect::<String>();
            let place = if above.is_empty() { "the root".to_owned() } else { format!("`{above}`") };
            let name = name.to_string();
            let help = match text::nearest(&name, siblings.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("below {place} are: {}", text::few(&siblings, 20)),
            };
            return Err(Problem::new(
                "hive::no-such-key",
                format!("{} has no key `{name}` below {place}", arguments.file.display()),
            )
            .help(help)
            .exit(Exit::BadInput));
        };
        key = next;
    }
    Ok(key)
}

fn subkey_names(hive: &Hive, key: KeyId) -> Result<Vec<String>, HiveError> {
    let subkeys = hive.subkeys(key)?;
    subkeys.into_iter().map(|subkey| Ok(hive.key_name(subkey)?.to_string())).collect()
}

fn value_report(value: &Value) -> ValueReport {
    ValueReport {
        name: value.name.to_string(),
        kind: value.kind.to_string(),
        kind_number: value.kind.0,
        value: meaning(value),
        data: to_hex(&value.data),
    }
}

/// What the data of a value mean.
fn meaning(value: &Value) -> serde_json::Value {
    match value.kind {
        ValueType::SZ | ValueType::EXPAND_SZ => value.as_text().into(),
        ValueType::MULTI_SZ => value.as_multi_text().into(),
        ValueType::DWORD | ValueType::DWORD_BIG_ENDIAN => value.as_dword().into(),
        ValueType::QWORD => value.as_qword().into(),
        _ => serde_json::Value::Null,
    }
}

fn print(report: &HiveReport, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    let recovered = if report.recovered { ", completed from its log files" } else { "" };
    let size = text::size(report.size);
    out.line(format_args!("{}: registry hive {}, {size}{recovered}", report.file, report.version))?;
    if let Some(key) = &report.key {
        print_key(key, &mut out)?;
    }
    if let Some(problems) = &report.problems {
        for problem in problems {
            let harmless = if problem.harmless { " (harmless)" } else { "" };
            out.line(format_args!("offset {:#x}: {}{harmless}", problem.offset, problem.what))?;
        }
        let bad = problems.iter().filter(|problem| !problem.harmless).count();
        match (bad, problems.len()) {
            (0, 0) => out.line("sound")?,
            (0, _) => out.line("sound, with wasted space")?,
            (bad, _) => out.line(text::count(bad as u64, "problem", "problems"))?,
        }
    }
    out.finish()
}

fn print_key(key: &KeyReport, out: &mut Out) -> Result<(), Failure> {
    let class = key.class.as_ref().map(|class| format!(", class `{class}`")).unwrap_or_default();
    out.line(format_args!("{}  {}{class}", key.path, key.time))?;
    for subkey in &key.subkeys {
        out.line(format_args!("  {subkey}\\"))?;
    }
    let Some(values) = &key.values else {
        let count = text::count(key.value_count as u64, "value", "values");
        return if key.value_count == 0 {
            Ok(())
        } else {
            out.line(format_args!("  {count} (--values shows them)"))
        };
    };
    for value in values {
        let shown =
            if value.value.is_null() { hex_shown(&value.data) } else { value.value.to_string() };
        let number = match &value.value {
            serde_json::Value::Number(number) => {
                number.as_u64().map(|number| format!(" ({number:#x})"))
            }
            _ => None,
        };
        let number = number.unwrap_or_default();
        out.line(format_args!("  {:?} = {} {shown}{number}", value.name, value.kind))?;
    }
    Ok(())
}

/// Hexadecimal text cut to what a line can hold.
fn hex_shown(hex: &str) -> String {
    const MOST: usize = 64;
    if hex.len() <= MOST {
        hex.to_owned()
    } else {
        format!("{}... ({} bytes)", &hex[..MOST], hex.len() / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_mean_what_their_type_says() {
        assert_eq!(meaning(&Value::sz("a", "text")), "text");
        assert_eq!(meaning(&Value::dword("a", 7)), 7);
        assert_eq!(meaning(&Value::binary("a", [1, 2])), serde_json::Value::Null);
        assert_eq!(meaning(&Value::new("a", ValueType::DWORD, [1])), serde_json::Value::Null);
        assert_eq!(value_report(&Value::binary("a", [1, 0xab])).data, "01ab");
    }

    #[test]
    fn logs_are_found_whatever_their_case() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("system.log1"), "").unwrap();
        assert!(log_beside(&folder.path().join("SYSTEM"), "LOG1").is_some());
        assert!(log_beside(&folder.path().join("SYSTEM"), "LOG2").is_none());
    }
}
