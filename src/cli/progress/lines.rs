//! What a line of progress looks like: cut and filled to a width, with rate and time left. Nothing here draws.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::cli::text;

/// A bar is never narrower, nor wider.
const BAR: std::ops::RangeInclusive<usize> = 8..=40;
/// The rate is that of the last seconds.
const WINDOW: Duration = Duration::from_secs(6);
/// Time left is not guessed before so much is known.
const GUESS: Duration = Duration::from_millis(800);

/// How fast something goes: how much was done at moments of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Pace {
    moments: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Notes that `done` are done at `now`, and gives how many there are in a second; `None` while too little is known.
    pub(super) fn at(&mut self, now: Instant, done: u64) -> Option<u64> {
        self.moments.push_back((now, done));
        while self.moments.len() > 2 && now.duration_since(self.moments[1].0) >= WINDOW {
            self.moments.pop_front();
        }
        let (first, before) = self.moments.front()?;
        let passed = now.duration_since(*first);
        if passed < GUESS {
            return None;
        }
        let per_second = u128::from(done.saturating_sub(*before)) * 1000 / passed.as_millis();
        u64::try_from(per_second).ok()
    }
}

/// What is told of work that has an end.
#[derive(Debug, Clone, Default)]
pub(super) struct Amount<'a> {
    /// `writing`.
    pub(super) what: &'a str,
    /// Done and all, for the bar and the percentage; `None` when the end is not known.
    pub(super) part: Option<(u64, u64)>,
    /// `1.2 GiB of 3.4 GiB`.
    pub(super) amount: String,
    /// Bytes a second.
    pub(super) rate: Option<u64>,
    /// `0:19 left`, or how long it has taken.
    pub(super) time: String,
}

/// A line of at most `width` columns. What does not fit is left out, the least telling first; the bar takes what is left over.
pub(super) fn amount_line(told: &Amount<'_>, width: usize) -> String {
    let percent = told.part.map(|(done, all)| format!("{:>3}%", percent(done, all)));
    let rate = told.rate.map(|rate| format!("{}/s", text::size(rate))).unwrap_or_default();
    let percent = percent.unwrap_or_default();
    // By how soon they are left out.
    let mut parts = [(0, percent), (3, told.amount.clone()), (2, rate), (1, told.time.clone())];
    let least_bar = if told.part.is_some() { *BAR.start() + 3 } else { 0 };
    let name = cut(told.what, width.saturating_sub(least_bar + 6).max(width / 2).max(4));
    for rank in (0..=3).rev() {
        let needed: usize = columns(&name)
            + least_bar
            + parts
                .iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(_, text)| columns(text) + 2)
                .sum::<usize>();
        if needed <= width {
            break;
        }
        for (place, text) in &mut parts {
            if *place == rank {
                text.clear();
            }
        }
    }
    let mut line = name;
    let rest: usize =
        parts.iter().filter(|(_, text)| !text.is_empty()).map(|(_, text)| columns(text) + 2).sum();
    if let Some((done, all)) = told.part {
        let free = width.saturating_sub(columns(&line) + rest + 3);
        if free >= *BAR.start() {
            line = format!("{line} {}", bar(done, all, free.min(*BAR.end())));
        }
    }
    for (_, text) in parts.iter().filter(|(_, text)| !text.is_empty()) {
        line = format!("{line}  {text}");
    }
    cut(&line, width)
}

/// `[####----]`, `inner` columns between the brackets.
fn bar(done: u64, all: u64, inner: usize) -> String {
    let full = if all == 0 {
        0
    } else {
        let full = u128::from(done.min(all)) * inner as u128 / u128::from(all);
        usize::try_from(full).unwrap_or(inner)
    };
    format!("[{}{}]", "#".repeat(full), "-".repeat(inner - full))
}

fn percent(done: u64, all: u64) -> u64 {
    match all {
        0 => 0,
        all => u64::try_from(u128::from(done.min(all)) * 100 / u128::from(all)).unwrap_or(100),
    }
}

/// How long the rest takes at this rate; empty while that cannot be told.
pub(super) fn left(done: u64, all: u64, rate: Option<u64>) -> String {
    match rate {
        Some(rate) if rate > 0 && done < all => {
            format!("{} left", clock((all - done).div_ceil(rate)))
        }
        _ => String::new(),
    }
}

/// `0:07`, `12:34`, `1:02:03`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The text in at most `width` columns, on one line.
pub(super) fn cut(text: &str, width: usize) -> String {
    let clean: String = text
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if columns(&clean) <= width {
        return clean;
    }
    let mut kept = String::new();
    let mut taken = 0;
    for character in clean.chars() {
        taken += wide(character);
        if taken + 3 > width {
            break;
        }
        kept.push(character);
    }
    kept + &"..."[..width.min(3)]
}

/// Columns that a text takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(wide).sum()
}

/// Columns of a character: East Asian ones take two. What is not known for sure counts as two: a line too short is better than one that wraps.
fn wide(character: char) -> usize {
    if (character as u32) < 0x1100 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Amount<'static> {
        Amount {
            what: "verifying",
            part: Some((450, 1000)),
            amount: "1.2 GiB of 3.4 GiB".to_owned(),
            rate: Some(120 << 20),
            time: "0:19 left".to_owned(),
        }
    }

    #[test]
    fn a_line_fits_every_width_and_loses_the_least_telling_first() {
        assert_eq!(
            amount_line(&told(), 100),
            "verifying [###############--------------------------]   45%  1.2 GiB of 3.4 GiB  120.0 MiB/s  0:19 left"
                .replace("[###############--------------------------]", &bar(45, 100, 38))
        );
        assert_eq!(amount_line(&told(), 40), "verifying [####-------]   45%  0:19 left");
        for width in 0..140 {
            let line = amount_line(&told(), width);
            assert!(columns(&line) <= width, "{width}: {line}");
            let open = Amount { part: None, ..told() };
            assert!(columns(&amount_line(&open, width)) <= width);
            let long = Amount { what: "checking the component store", ..told() };
            assert!(columns(&amount_line(&long, width)) <= width);
        }
    }

    #[test]
    fn texts_are_cut_by_columns_and_stay_on_one_line() {
        assert_eq!(cut("driver virtio", 20), "driver virtio");
        assert_eq!(cut("driver virtio from a folder", 12), "driver vi...");
        assert_eq!(cut("one\ntwo", 20), "one two");
        assert_eq!(cut("ドライバー", 7), "ドラ...");
        assert_eq!(cut("abc", 2), "..");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn rate_and_time_left_come_from_the_last_seconds() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut pace = Pace::default();
        assert_eq!(pace.at(start, 0), None);
        assert_eq!(pace.at(at(500), 500), None);
        assert_eq!(pace.at(at(1000), 1000), Some(1000));
        // Standing still is noticed.
        for second in 2..=20 {
            pace.at(at(second * 1000), 1000);
        }
        assert_eq!(pace.at(at(21_000), 1000), Some(0));
        assert_eq!(left(0, 100, Some(10)), "0:10 left");
        assert_eq!(left(0, 100, Some(0)), "");
        assert_eq!(left(100, 100, Some(10)), "");
        assert_eq!(
            (clock(59), clock(61), clock(3723)),
            ("0:59".into(), "1:01".into(), "1:02:03".into())
        );
    }
}
