//! A difference as people read it.

use std::fmt::Write as _;

use super::report::{ImageReport, Report};
use crate::{
    cli::{app::Context, exit::Failure, output::Out, text},
    image::diff::{Aspect, Detail, FileChange, Kind, RegistryChange, ValueFacts},
    servicing::inventory::diff::{Area, AreaChange, EntryChange},
};

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) files: bool,
    pub(super) registry: bool,
    /// Only a part was looked at.
    pub(super) narrowed: bool,
}

/// Names are filled up to this many characters, so that short ones stand in a column.
const COLUMN: usize = 40;

/// Prints a report.
pub(super) fn print(report: &Report, shown: Shown, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    for (which, images) in [("first", &report.only_in_first), ("second", &report.only_in_second)] {
        for label in images {
            out.line(format_args!("only on the {which} side: {label}"))?;
        }
    }
    for (place, image) in report.images.iter().enumerate() {
        if place > 0 {
            out.line("")?;
        }
        out.line(format_args!("{} -> {}", image.first, image.second))?;
        print_image(image, shown, &mut out)?;
    }
    out.finish()?;
    for note in report.images.iter().flat_map(|image| &image.difference.notes) {
        context.printer.warn(note);
    }
    Ok(())
}

fn print_image(image: &ImageReport, shown: Shown, out: &mut Out) -> Result<(), Failure> {
    if !image.differ {
        let place = if shown.narrowed { " there" } else { "" };
        out.line(format_args!("no difference{place}"))?;
    }
    for change in &image.areas {
        print_area(change, out)?;
    }
    let difference = &image.difference;
    let alike = difference.hives.iter().filter(|hive| hive.changes == 0).count() as u64;
    if shown.files {
        if !difference.files.is_empty() || alike > 0 {
            out.line(format_args!("\nFiles: {}", file_counts(&difference.files)))?;
        }
        for change in &difference.files {
            out.line(file_line(change))?;
        }
        for hive in difference.hives.iter().filter(|hive| hive.changes == 0) {
            out.line(format_args!("  = {}  the same keys and values in other bytes", hive.path))?;
        }
    }
    if shown.registry && !difference.registry.is_empty() {
        out.line(format_args!("\nRegistry: {}", registry_counts(&difference.registry)))?;
        for change in &difference.registry {
            out.line(registry_line(change))?;
        }
    }
    if !shown.files && !difference.files.is_empty() {
        let counts = file_counts(&difference.files);
        out.line(format_args!("\nFiles: {counts}; --files lists them"))?;
    }
    if !shown.registry && !difference.registry.is_empty() {
        let counts = registry_counts(&difference.registry);
        let gap = if shown.files || difference.files.is_empty() { "\n" } else { "" };
        out.line(format_args!("{gap}Registry: {counts}; --registry lists them"))?;
    }
    if !shown.files && !shown.narrowed && alike > 0 {
        let hives = text::count(alike, "hive says", "hives say");
        out.line(format_args!("{hives} the same in other bytes; --files names them"))?;
    }
    Ok(())
}

fn print_area(change: &AreaChange, out: &mut Out) -> Result<(), Failure> {
    let (added, removed, changed) = change.counts();
    let counts = counts(&[(added, "added"), (removed, "removed"), (changed, "changed")]);
    out.line(format_args!("\n{}: {counts}", change.area.title()))?;
    for entry in &change.entries {
        out.line(entry_line(change.area, entry))?;
    }
    Ok(())
}

/// `2 added, 1 changed`.
fn counts(counts: &[(usize, &str)]) -> String {
    let told = counts.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

fn entry_line(area: Area, entry: &EntryChange) -> String {
    let sizes = size_change(entry.old_bytes, entry.new_bytes);
    if area == Area::Folders {
        let sign = match (entry.old_bytes, entry.new_bytes) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        return format!("  {sign} {:COLUMN$}  {}", entry.name, sizes.unwrap_or_default());
    }
    let (sign, what) = match (&entry.old, &entry.new) {
        (Some(old), Some(new)) => ('~', format!("{old} -> {new}")),
        (Some(old), None) => ('-', old.clone()),
        (None, Some(new)) => ('+', new.clone()),
        (None, None) => ('~', String::new()),
    };
    let mut line = format!("  {sign} {:COLUMN$}  {what}", entry.name);
    if let Some(sizes) = sizes {
        let _ = write!(line, ", {sizes}");
    }
    if let Some(label) = entry.label.as_ref().filter(|label| !entry.name.contains(*label)) {
        let _ = write!(line, "  [{label}]");
    }
    line
}

/// `1.0 MiB -> 1.2 MiB (+204.8 KiB)`.
fn size_change(old: Option<u64>, new: Option<u64>) -> Option<String> {
    let changed = |old: u64, new: u64| {
        let (sign, by) = if new >= old { ('+', new - old) } else { ('-', old - new) };
        format!("{} -> {} ({sign}{})", text::size(old), text::size(new), text::size(by))
    };
    match (old, new) {
        (None, None) => None,
        (Some(old), Some(new)) if old == new => Some(text::size(new)),
        (Some(old), Some(new)) => Some(changed(old, new)),
        (Some(old), None) => Some(text::size(old)),
        (None, Some(new)) => Some(text::size(new)),
    }
}

fn sign(kind: Kind) -> char {
    match kind {
        Kind::Added => '+',
        Kind::Removed => '-',
        Kind::Changed => '~',
        Kind::Renamed => '>',
    }
}

fn of_kind<'a>(kinds: impl Iterator<Item = &'a Kind> + Clone) -> String {
    let count = |kind: Kind| kinds.clone().filter(|other| **other == kind).count();
    counts(&[
        (count(Kind::Added), "added"),
        (count(Kind::Removed), "removed"),
        (count(Kind::Changed), "changed"),
        (count(Kind::Renamed), "renamed"),
    ])
}

fn file_counts(files: &[FileChange]) -> String {
    let counts = of_kind(files.iter().map(|change| &change.kind));
    if counts.is_empty() { "none".to_owned() } else { counts }
}

fn registry_counts(registry: &[RegistryChange]) -> String {
    let of = |is_key: bool| {
        let changes = registry.iter().filter(move |change| change.value.is_none() == is_key);
        of_kind(changes.map(|change| &change.kind))
    };
    let parts = [(of(true), "keys"), (of(false), "values")];
    let told = parts.iter().filter(|(counts, _)| !counts.is_empty());
    told.map(|(counts, what)| format!("{what} {counts}")).collect::<Vec<_>>().join("; ")
}

fn file_line(change: &FileChange) -> String {
    let mut what = Vec::new();
    if let Some(from) = &change.from {
        what.push(format!("was {from}"));
    }
    if let Some(link) = &change.link_of {
        what.push(format!("another name of {link}"));
    }
    let (old, new) = (change.old.map(|facts| facts.size), change.new.map(|facts| facts.size));
    match change.kind {
        _ if change.folder && change.details.is_empty() => what.push("folder".to_owned()),
        Kind::Added | Kind::Removed => what.extend(size_change(old, new)),
        Kind::Renamed | Kind::Changed => {
            what.extend(change.details.iter().map(|detail| detail_text(detail, old, new)));
        }
    }
    format!("  {} {:COLUMN$}  {}", sign(change.kind), change.path, what.join("; "))
}

fn detail_text(detail: &Detail, old: Option<u64>, new: Option<u64>) -> String {
    let told = |text: &Option<crate::image::diff::Text>| {
        text.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let change = format!("{} -> {}", told(&detail.old), told(&detail.new));
    match detail.aspect {
        Aspect::Content if old == new => {
            format!("other content ({})", text::size(new.unwrap_or_default()))
        }
        Aspect::Content => format!("content {}", size_change(old, new).unwrap_or_default()),
        Aspect::Stream => {
            format!("stream {} {change}", detail.name.as_deref().unwrap_or_default())
        }
        Aspect::Attributes => format!("attributes {change}"),
        Aspect::Security => format!("security {change}"),
        Aspect::Reparse => format!("link {change}"),
        Aspect::Links => format!("the same file as {change}"),
        Aspect::ShortName => format!("short name {change}"),
        Aspect::Spelling => format!("spelled {change}"),
        Aspect::Extended => format!("extended data {change}"),
        Aspect::Times => change,
        Aspect::Class => format!("class {change}"),
    }
}

fn registry_line(change: &RegistryChange) -> String {
    let mut line = format!("  {} {}", sign(change.kind), change.key);
    if let Some(name) = &change.value {
        let name = if name.is_empty() { "(default)" } else { name };
        let _ = write!(line, " : {name}");
    }
    let value = |facts: &ValueFacts| format!("{} {}", facts.kind, facts.data);
    let mut what: Vec<String> = match (&change.old, &change.new) {
        (Some(old), Some(new)) if old.kind == new.kind && old.data == new.data => Vec::new(),
        (Some(old), Some(new)) if old.kind == new.kind => {
            vec![format!("{} {} -> {}", old.kind, old.data, new.data)]
        }
        (Some(old), Some(new)) => vec![format!("{} -> {}", value(old), value(new))],
        (Some(one), None) | (None, Some(one)) => vec![value(one)],
        (None, None) => Vec::new(),
    };
    what.extend(change.details.iter().map(|detail| detail_text(detail, None, None)));
    if !what.is_empty() {
        let _ = write!(line, "  {}", what.join("; "));
    }
    line
}
