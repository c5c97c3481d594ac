//! Numbers and texts for people.

/// A size with a binary unit and one decimal: `512 B`, `3.4 MiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = ((u64::BITS - 1 - bytes.leading_zeros()) / 10).min(6);
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    let unit = UNITS[power as usize - 1];
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// How a size became another: `+3.4 MiB`, `−12 B`; `None` when it stayed.
pub(super) fn difference(before: u64, after: u64) -> Option<String> {
    match before.cmp(&after) {
        std::cmp::Ordering::Less => Some(format!("+{}", size(after - before))),
        std::cmp::Ordering::Greater => Some(format!("\u{2212}{}", size(before - after))),
        std::cmp::Ordering::Equal => None,
    }
}

/// A duration given in microseconds: `85 µs`, `12 ms`, `1.3 s`, `2 min 13 s`, `1 h 05 min`.
pub(super) fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        1_000_000..60_000_000 => {
            format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000)
        }
        60_000_000..3_600_000_000 => {
            format!("{} min {:02} s", micros / 60_000_000, micros % 60_000_000 / 1_000_000)
        }
        _ => {
            format!("{} h {:02} min", micros / 3_600_000_000, micros % 3_600_000_000 / 60_000_000)
        }
    }
}

/// A number with its thousands set apart: `12,345`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of a list as a number.
pub(super) fn count(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}

/// `1 step`, `12 steps`.
pub(super) fn counted(length: usize, one: &str, many: &str) -> String {
    format!("{} {}", number(count(length)), if length == 1 { one } else { many })
}

/// `many` when there is not exactly one.
pub(super) fn plural<'a>(length: usize, one: &'a str, many: &'a str) -> &'a str {
    if length == 1 { one } else { many }
}

/// `text` with a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// The beginning of `text`, at most `most` characters, the last of them `…` when something was cut off.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.truncate(cut.trim_end().len());
    cut.push('…');
    cut
}

/// As much of `text` as surely fits into `pixels` when a letter of the fixed-width or the text font is `size` pixels high. Fonts differ, so this
/// reckons with a wide one.
pub(super) fn fitting(text: &str, pixels: usize, size: usize, fixed: bool) -> String {
    let mut width = 0;
    let mut fits = 0;
    // Hundredths of a pixel.
    let room = pixels * 100;
    let dots = letter('…', size, fixed);
    for (place, character) in text.chars().enumerate() {
        width += letter(character, size, fixed);
        if width > room {
            return if fits == 0 { String::new() } else { short(text, fits + 1) };
        }
        if width + dots <= room {
            fits = place + 1;
        }
    }
    text.to_owned()
}

/// As [`fitting`], but the end of `text`: what tells paths apart.
pub(super) fn fitting_end(text: &str, pixels: usize, size: usize, fixed: bool) -> String {
    let turned: String = text.chars().rev().collect();
    fitting(&turned, pixels, size, fixed).chars().rev().collect()
}

/// The width of a letter, in hundredths of a pixel.
fn letter(character: char, size: usize, fixed: bool) -> usize {
    let part = match character {
        // Shown by its number.
        hidden if super::markup::is_hidden(hidden) => 560,
        wide if wide >= '\u{1100}' => 110,
        _ if fixed => 62,
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | ';' | ' ' | '\'' | '|'
        | '!' => 36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 92,
        upper if upper.is_ascii_uppercase() => 72,
        _ => 58,
    };
    part * size
}

/// The name of the documents: the output's name without its extension.
pub(super) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [size(0), size(1023), size(1024), size(1_572_864)].join(" "),
            "0 B 1023 B 1.0 KiB 1.5 MiB"
        );
        assert_eq!(size(u64::MAX), "15.9 EiB");
        assert_eq!(difference(10, 2048).as_deref(), Some("+1.9 KiB"));
        assert_eq!(difference(2048, 0).as_deref(), Some("−2.0 KiB"));
        assert_eq!(difference(7, 7), None);
        let durations = [0, 999, 1_000, 1_340_000, 59_999_999, 133_000_000, 3_900_000_000];
        let texts = durations.map(duration).join(", ");
        assert_eq!(texts, "0 µs, 999 µs, 1 ms, 1.3 s, 59.9 s, 2 min 13 s, 1 h 05 min");
        assert_eq!([0, 999, 1000, 1_234_567].map(number).join(" "), "0 999 1,000 1,234,567");
        assert_eq!(counted(1, "step", "steps") + &counted(2, "step", "steps"), "1 step2 steps");
        assert_eq!(capital("éa") + &capital(""), "Éa");
    }

    #[test]
    fn texts_are_cut_at_letters() {
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(short("ab cd", 4), "ab…");
        assert_eq!(short("日本語です", 3), "日本…");
        assert_eq!(fitting("abcdef", 100, 10, true), "abcdef");
        assert_eq!(fitting("abcdefghijklmnopqrstuvwxyz", 100, 10, true), "abcdefghijklmn…");
        assert_eq!(fitting("abc", 1, 10, true), "");
        assert_eq!(fitting_end("abcdefghijklmnopqrstuvwxyz", 100, 10, true), "…mnopqrstuvwxyz");
    }

    #[test]
    fn documents_are_named_after_the_output() {
        assert_eq!([stem("a.b.wim"), stem("a"), stem(".wim"), stem("")], ["a.b", "a", ".wim", ""]);
    }
}
