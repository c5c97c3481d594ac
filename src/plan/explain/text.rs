//! Explanations for a person.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
};

use super::{
    deeds::Source,
    overview::{Explanation, ImageExplained, LastRun, NowRun, StepExplained},
    place::{PlaceHistory, PlaceKind, PlaceStep},
    step::{ChangeLine, ChangesDetail, StepDetail},
};
use crate::plan::model::StepReason;

/// Every step.
#[must_use]
pub fn overview(explanation: &Explanation<'_>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_overview(explanation, &mut text);
    text
}

/// One step in detail.
#[must_use]
pub fn detail(detail: &StepDetail<'_>) -> String {
    let mut text = String::new();
    let _ = write_detail(detail, &mut text);
    text
}

/// The history of a place.
#[must_use]
pub fn history(history: &PlaceHistory) -> String {
    let mut text = String::new();
    let _ = write_history(history, &mut text);
    text
}

fn write_overview(explanation: &Explanation<'_>, out: &mut String) -> fmt::Result {
    if let Some(variant) = explanation.variant {
        writeln!(out, "variant  {variant}")?;
    }
    let up_to_date = match (explanation.up_to_date, &explanation.not_up_to_date[..]) {
        (true, _) => ", up to date".to_owned(),
        (false, []) => String::new(),
        (false, why) => format!(", not up to date: {}", why.join("; ")),
    };
    writeln!(out, "output   {}{up_to_date}", explanation.output)?;
    writeln!(out, "order    table {}", explanation.order_table)?;
    match &explanation.last_build {
        None => writeln!(out, "last     this output was not built with this cache yet")?,
        Some(last) => {
            let (ran, total) = (last.ran, last.ran + last.cached);
            write!(out, "last     the last build ran {ran} of {}", steps(total))?;
            match last.written.is_empty() || ran > 0 {
                true => writeln!(out)?,
                false => writeln!(out, " and wrote the output: {}", last.written.join("; "))?,
            }
            for changed in &last.changed {
                writeln!(out, "         since then {changed}")?;
            }
        }
    }
    for image in &explanation.images {
        if let Some(label) = &image.label {
            writeln!(out, "\n{label}")?;
        }
        write_image(image, explanation.last_build.is_some(), out)?;
    }
    Ok(())
}

/// `1 step`, `2 steps`.
fn steps(number: usize) -> String {
    format!("{number} {}", if number == 1 { "step" } else { "steps" })
}

/// What ran in the last build, and what would run now: steps beside each other with the same cause on one line.
fn write_summary(image: &ImageExplained<'_>, out: &mut String) -> fmt::Result {
    let ran = image.steps.iter().filter_map(|step| {
        let last = step.last_build.as_ref().filter(|last| last.cached == Some(false))?;
        Some((step.number, last.why.join("; ")))
    });
    write_grouped("ran", ran, out)?;
    let would = image.steps.iter().filter_map(|step| match (step.now.status, step.now.on) {
        ("cached", _) => None,
        (_, None) => Some((step.number, step.now.why.join("; "))),
        (_, Some(on)) => Some((step.number, format!("depends on what step {on} does"))),
    });
    let would: Vec<_> = would.collect();
    if would.is_empty() {
        return writeln!(out, "now      every step is cached");
    }
    write_grouped("now", would.into_iter(), out)
}

fn write_grouped(
    title: &str,
    lines: impl Iterator<Item = (usize, String)>,
    out: &mut String,
) -> fmt::Result {
    let mut groups: Vec<(usize, usize, String)> = Vec::new();
    for (number, why) in lines {
        match groups.last_mut() {
            Some((_, last, text)) if *last + 1 == number && *text == why => *last = number,
            _ => groups.push((number, number, why)),
        }
    }
    for (place, (first, last, why)) in groups.iter().enumerate() {
        let title = if place == 0 { title } else { "" };
        let which = match first == last {
            true => format!("step {first}"),
            false => format!("steps {first} to {last}"),
        };
        writeln!(out, "{title:<8} {which}: {why}")?;
    }
    Ok(())
}

fn write_image(image: &ImageExplained<'_>, built: bool, out: &mut String) -> fmt::Result {
    write_summary(image, out)?;
    let mut phase = None;
    for step in &image.steps {
        if phase != Some(step.phase) {
            phase = Some(step.phase);
            writeln!(out, "\n{}: {} [{}]", step.phase, step.phase_why, step.phase_source)?;
        }
        writeln!(out, "{:>4}  {}", step.number, step.title)?;
        writeln!(out, "      {}, {}", step.name, step.origin)?;
        write_reasons(step, out)?;
        write_runs(step, built, out)?;
    }
    for name in &image.gone {
        writeln!(
            out,
            "\n   -  {name}\n      was in the last build and is no longer in the recipe"
        )?;
    }
    Ok(())
}

/// Why a step does not stand earlier.
fn write_reasons(step: &StepExplained<'_>, out: &mut String) -> fmt::Result {
    // The same reason is told once for all steps that it names.
    let mut told: Vec<(&str, BTreeSet<usize>)> = Vec::new();
    for reason in step.reasons {
        let StepReason { after, why } = reason;
        // The phase's own reason stands above its steps.
        let why = if reason.is_phase() { "the order table" } else { why };
        let after = match after[..] {
            [first, last] => (first..=last).collect(),
            [step] => BTreeSet::from([step]),
            _ => BTreeSet::new(),
        };
        match told.iter_mut().find(|(known, _)| *known == why) {
            Some((_, steps)) => steps.extend(after),
            None => told.push((why, after)),
        }
    }
    for (why, after) in told {
        let after = match ranges(&after) {
            (0, _) => String::new(),
            (1, text) => format!("after step {text}: "),
            (_, text) => format!("after steps {text}: "),
        };
        writeln!(out, "      here  {after}{why}")?;
    }
    if step.reasons.is_empty() {
        writeln!(out, "      here  nothing orders it but its section and the recipe's order")?;
    }
    if step.deferred {
        writeln!(out, "            it leaves something to the first boot")?;
    }
    Ok(())
}

/// How many numbers, and in words: `3, 10 to 13`.
fn ranges(numbers: &BTreeSet<usize>) -> (usize, String) {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let texts = ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    });
    (numbers.len(), texts.collect::<Vec<_>>().join(", "))
}

fn write_runs(step: &StepExplained<'_>, built: bool, out: &mut String) -> fmt::Result {
    match &step.last_build {
        Some(LastRun { cached: None, .. }) => {
            writeln!(out, "      last  was there; the record is too old to say more")?;
        }
        Some(LastRun { cached: Some(true), .. }) => writeln!(out, "      last  cached")?,
        Some(LastRun { why, changed, .. }) => {
            let without = if *changed == Some(false) { ", and changed nothing" } else { "" };
            writeln!(out, "      last  ran: {}{without}", why.join("; "))?;
        }
        None if built => writeln!(out, "      last  was not there")?,
        None => {}
    }
    let NowRun { status, on, prepared, why, .. } = &step.now;
    match (*status, on) {
        ("cached", _) => writeln!(out, "      now   cached"),
        (_, Some(on)) => {
            let prepared = if *prepared == Some(true) { "prepared; " } else { "" };
            let own = if why.is_empty() {
                String::new()
            } else {
                format!("; and by itself: {}", why.join("; "))
            };
            writeln!(out, "      now   {prepared}depends on what step {on} does{own}")
        }
        _ => writeln!(out, "      now   runs: {}", why.join("; ")),
    }
}

fn write_detail(detail: &StepDetail<'_>, out: &mut String) -> fmt::Result {
    let step = &detail.step;
    if let Some(label) = &detail.label {
        writeln!(out, "{label}")?;
    }
    writeln!(out, "step {}: {}", step.number, step.title)?;
    writeln!(out, "      {}, {}", step.name, step.origin)?;
    writeln!(out, "      {}: {} [{}]", step.phase, step.phase_why, step.phase_source)?;
    write_reasons(step, out)?;
    write_runs(step, true, out)?;
    for (number, title) in &detail.nested {
        writeln!(out, "      inside, {number:>2}  {title}")?;
    }
    if !detail.parameters.is_empty() {
        writeln!(out, "\nparameters")?;
        for parameter in &detail.parameters {
            writeln!(out, "      {} = {}", parameter.name, parameter.value)?;
        }
    }
    if !detail.inputs.is_empty() {
        writeln!(out, "\ninputs")?;
        for input in &detail.inputs {
            let files = match input.files {
                Some(1) => "1 file, ".to_owned(),
                Some(files) => format!("{files} files, "),
                None => String::new(),
            };
            writeln!(
                out,
                "      {}  {files}{} bytes, BLAKE3 {}",
                input.id, input.size, input.blake3
            )?;
            for is in &input.is {
                writeln!(out, "          is {is}")?;
            }
        }
    }
    let key = &detail.key;
    writeln!(out, "\nkey")?;
    writeln!(out, "      operation   {}, version {}", key.operation, key.version)?;
    writeln!(out, "      parameters  {}", key.parameters)?;
    for input in &detail.inputs {
        writeln!(out, "      input       {}  ({})", input.blake3, input.id)?;
    }
    match (&key.state, &key.step) {
        (Some(state), Some(step)) => {
            writeln!(out, "      state       {state}  (of the image before it)")?;
            writeln!(out, "      step key    {step}")?;
        }
        _ => writeln!(out, "      state       not known until the steps before it have run")?,
    }
    writeln!(out)?;
    match &detail.changes {
        None => writeln!(
            out,
            "changes are not known: it has not run, or what it did is no longer in the cache"
        ),
        Some(changes) => write_changes(changes, out),
    }
}

fn write_changes(changes: &ChangesDetail, out: &mut String) -> fmt::Result {
    let when = match changes.of {
        Source::Plan => "",
        Source::LastBuild => " in the last build",
    };
    if changes.count == 0 {
        return writeln!(out, "it changed nothing{when}: the image was already so");
    }
    let counts: Vec<String> =
        changes.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let bytes = match changes.bytes {
        0 => String::new(),
        bytes => format!("; {bytes} bytes of files"),
    };
    writeln!(out, "changes{when}: {}{bytes}", counts.join(", "))?;
    write_lines(&changes.first, out)?;
    write_more(changes.more, out)
}

fn write_lines(lines: &[ChangeLine], out: &mut String) -> fmt::Result {
    for line in lines {
        write!(out, "      {:<16}  {}", line.kind, line.place)?;
        match &line.now {
            Some(now) => writeln!(out, "  {now}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn write_more(more: usize, out: &mut String) -> fmt::Result {
    if more > 0 {
        writeln!(out, "      and {more} more (--all shows them)")?;
    }
    Ok(())
}

fn write_history(history: &PlaceHistory, out: &mut String) -> fmt::Result {
    let image = history.label.as_ref().map(|label| format!(" in {label}")).unwrap_or_default();
    writeln!(out, "{}{image}", history.place)?;
    if history.of == Source::LastBuild {
        writeln!(out, "      as in the last build: the plan has steps that did not run since")?;
    }
    if history.kind == PlaceKind::Nowhere {
        let so_far = if history.unknown.is_empty() { "" } else { " that has run" };
        writeln!(out, "      is neither in the base image nor put there by a step{so_far}")?;
        for near in &history.near {
            writeln!(out, "      there is {near}")?;
        }
        return write_unknown(history, out);
    }
    let nothing = || "not there".to_owned();
    if history.kind == PlaceKind::Hive {
        writeln!(
            out,
            "      is the file of a registry hive: it is written with these changes when the build ends"
        )?;
    }
    writeln!(out, "      base    {}", history.base.clone().unwrap_or_else(nothing))?;
    for step in &history.steps {
        write_place_step(step, out)?;
    }
    let when = if history.unknown.is_empty() { "now   " } else { "so far" };
    writeln!(out, "      {when}  {}", history.now.clone().unwrap_or_else(nothing))?;
    write_conclusion(history, out)?;
    write_unknown(history, out)
}

/// Whose what is there is.
fn write_conclusion(history: &PlaceHistory, out: &mut String) -> fmt::Result {
    let step = |step: &PlaceStep| format!("step {} ({})", step.number, step.name);
    let below = matches!(history.kind, PlaceKind::Folder | PlaceKind::Key | PlaceKind::Hive);
    let now = history.now.is_some();
    match (history.steps.last(), history.maker(), history.source()) {
        (None, ..) if now && history.unknown.is_empty() => {
            writeln!(out, "It is the base image's own: no step changed it.")?;
        }
        (None, ..) if now => {
            writeln!(out, "It is the base image's own: no step that has run changed it.")?;
        }
        (None, ..) => {}
        (Some(_), ..) if !now => {
            let mut steps = history.steps.iter().rev();
            if let Some(last) = steps.find(|step| step.before.is_some() && step.after.is_none()) {
                writeln!(out, "Step {} ({}) took it away.", last.number, last.name)?;
            }
        }
        (Some(last), Some(maker), _) if below && maker.number != last.number => writeln!(
            out,
            "Step {} ({}) made it; what is in or below it was last changed by {}.",
            maker.number,
            maker.name,
            step(last)
        )?,
        (Some(last), None, Some(source)) if below && source.number != last.number => writeln!(
            out,
            "It is the base image's own, changed by {}; what is in or below it was last changed by {}.",
            step(source),
            step(last)
        )?,
        (Some(_), _, Some(source)) => writeln!(out, "It is as {} left it.", step(source))?,
        (Some(last), _, None) if below => writeln!(
            out,
            "It is the base image's own; what is below it was last changed by {}.",
            step(last)
        )?,
        (Some(_), _, None) => writeln!(out, "It is the base image's own: no step changed it.")?,
    }
    if !history.unknown.is_empty() {
        writeln!(out, "That is so before the steps below, which have not run.")?;
    }
    Ok(())
}

fn write_place_step(step: &PlaceStep, out: &mut String) -> fmt::Result {
    let origin = step.origin.as_ref().map(|origin| format!(", {origin}")).unwrap_or_default();
    writeln!(out, "      step {:<2} {}{origin}", step.number, step.name)?;
    for line in &step.changes {
        let now = line.now.as_ref().map(|now| format!("  {now}")).unwrap_or_default();
        writeln!(out, "              {}  {}{now}", line.kind, line.place)?;
    }
    if step.count > step.changes.len() {
        let more = step.count - step.changes.len();
        writeln!(out, "              and {more} more (--all shows them)")?;
    }
    Ok(())
}

fn write_unknown(history: &PlaceHistory, out: &mut String) -> fmt::Result {
    if history.unknown.is_empty() {
        return Ok(());
    }
    if !history.will_write.is_empty() {
        writeln!(out, "By the recipe these write there: {}", history.will_write.join(", "))?;
    }
    writeln!(
        out,
        "What these steps do is not known before they have run: {}",
        history.unknown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reason_behind_several_steps_is_told_once() {
        let told = |numbers: &[usize]| ranges(&numbers.iter().copied().collect());
        assert_eq!(told(&[]), (0, String::new()));
        assert_eq!(told(&[4]), (1, "4".to_owned()));
        assert_eq!(told(&[13, 10, 11, 12]), (4, "10 to 13".to_owned()));
        assert_eq!(told(&[7, 3, 8]), (3, "3, 7 to 8".to_owned()));
    }
}
