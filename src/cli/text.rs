//! Numbers and lists as people read them.

use std::fmt::Write as _;

/// A size with a binary unit and one decimal: `512 B`, `3.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut divisor = 1024_u64;
    while unit + 1 < UNITS.len() && bytes / divisor >= 1024 {
        divisor *= 1024;
        unit += 1;
    }
    // In integers: tenths, rounded down, so that 1023.99 never reads as 1024.
    let tenths = u128::from(bytes) * 10 / u128::from(divisor);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A count with its noun: `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The first few of `items`, and how many more there are.
pub(crate) fn few(items: &[String], most: usize) -> String {
    let mut text = items.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    if items.len() > most {
        let _ = write!(text, " and {} more", items.len() - most);
    }
    text
}

/// Names and values in two columns, for one thing's facts. Facts without a value are left out by the caller.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {value}");
        text
    })
}

/// An error and its causes in one line, without saying anything twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The candidate nearest to `word`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (1_048_575, "1023.9 KiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn lists_are_cut_and_say_so() {
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(few(&items, 2), "a, b and 1 more");
        assert_eq!(few(&items, 3), "a, b, c");
        assert_eq!(count(1, "file", "files"), "1 file");
    }

    #[test]
    fn causes_are_told_once() {
        use crate::cli::exit::Problem;
        let error = Problem::new("x", "it is broken").cause(std::io::Error::other("broken"));
        assert_eq!(chain(&error), "it is broken");
        let error = Problem::new("x", "it failed").cause(std::io::Error::other("broken"));
        assert_eq!(chain(&error), "it failed: broken");
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        assert_eq!(nearest("Windwos PE", ["Windows PE", "Server"]), Some("Windows PE"));
        assert_eq!(nearest("x", ["Windows PE"]), None);
    }
}
