//! `transom cache`: what the store holds, and making room.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    cli::{app::Context, exit::Failure, failures, text},
    store::{self, GcOptions, GcReport, Statistics},
};

/// Show what the cache holds, or make room
///
/// The cache makes the next build fast; deleting any of it costs time, never a result.
#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    Stat(StatArguments),
    Gc(GcArguments),
}

/// Show what the cache holds
#[derive(Debug, Args)]
#[command(after_long_help = r#"Example:
  transom cache stat --json"#)]
struct StatArguments {
    /// Print JSON: {folder, kinds: {...}, total: {objects, bytes}, outputs: [...]}
    #[arg(long)]
    json: bool,
}

/// Delete from the cache what is not needed
///
/// Without options, deletes what has not been used for 30 days.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom cache gc --older-than 7d
  transom cache gc --max-size 20GiB --dry-run"#)]
struct GcArguments {
    /// Delete what has not been used for this long: 12h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Delete what has been unused for longest until no more than this is left: 500MiB, 20GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,

    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,

    /// Print JSON: {deleted, deleted-bytes, kept, kept-bytes}
    #[arg(long)]
    json: bool,
}

/// What `cache stat --json` prints. Fields are only ever added.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StatReport<'a> {
    folder: String,
    kinds: &'a std::collections::BTreeMap<String, store::KindSize>,
    total: store::KindSize,
    outputs: &'a [String],
}

/// Runs `transom cache`.
pub(crate) fn run(arguments: &CacheArguments, context: &Context) -> Result<(), Failure> {
    match &arguments.command {
        CacheCommand::Stat(arguments) => stat(arguments, context),
        CacheCommand::Gc(arguments) => gc(arguments, context),
    }
}

fn stat(arguments: &StatArguments, context: &Context) -> Result<(), Failure> {
    let folder = context.settings.cache_directory()?;
    let statistics: Statistics =
        store::statistics(&folder).map_err(|error| failures::store(&folder, error))?;
    if arguments.json {
        return context.printer.json(&StatReport {
            folder: folder.display().to_string(),
            kinds: &statistics.kinds,
            total: statistics.total,
            outputs: &statistics.outputs,
        });
    }
    let mut out = context.printer.stdout();
    out.line(folder.display())?;
    let shown = |size: &store::KindSize| format!("{:>8}  {}", size.objects, text::size(size.bytes));
    let mut rows: Vec<(&str, String)> =
        statistics.kinds.iter().map(|(kind, size)| (kind.as_str(), shown(size))).collect();
    rows.push(("total", shown(&statistics.total)));
    out.text(text::facts(&rows))?;
    if !statistics.outputs.is_empty() {
        out.line("outputs it remembers:")?;
    }
    for output in &statistics.outputs {
        out.line(format_args!("  {output}"))?;
    }
    out.finish()
}

#[expect(
    clippy::disallowed_methods,
    reason = "age is seen from now; nothing of it reaches an output"
)]
fn gc(arguments: &GcArguments, context: &Context) -> Result<(), Failure> {
    const USUAL: Duration = Duration::from_secs(30 * 24 * 3600);
    let folder = context.settings.cache_directory()?;
    let age = arguments.older_than.or_else(|| arguments.max_size.is_none().then_some(USUAL));
    let options = GcOptions {
        unused_since: age.and_then(|age| SystemTime::now().checked_sub(age)),
        max_bytes: arguments.max_size,
        dry_run: arguments.dry_run,
    };
    let report: GcReport =
        store::gc(&folder, &options).map_err(|error| failures::store(&folder, error))?;
    if arguments.json {
        return context.printer.json(&report);
    }
    context.printer.line(format_args!(
        "{} {} ({}), kept {} ({})",
        if arguments.dry_run { "would delete" } else { "deleted" },
        text::count(report.deleted, "object", "objects"),
        text::size(report.deleted_bytes),
        report.kept,
        text::size(report.kept_bytes)
    ))
}

/// Reads `12h`, `30d`, `8w`.
fn parse_age(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and h, d or w: 12h, 30d, 8w".to_owned();
    let (number, unit) = split_number(text).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// Reads `500MiB`, `20G`, `1000` (bytes).
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "write a number and KiB, MiB, GiB or TiB: 20GiB".to_owned();
    let (number, unit) = split_number(text).ok_or_else(wrong)?;
    let shift = match unit.to_ascii_lowercase().trim_end_matches("ib") {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_read() {
        assert_eq!(parse_age("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_size("20GiB"), Ok(20 << 30));
        assert_eq!(parse_size("1k"), Ok(1024));
        assert_eq!(parse_size("7"), Ok(7));
        for wrong in ["", "d", "3", "3y", "-1d", "99999999999999999999d"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "GiB", "3 parsecs", "99999999999TiB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
