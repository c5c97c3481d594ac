//! NT time: 100-nanosecond ticks since 1601-01-01 UTC.

use std::fmt;

/// Ticks between 1601-01-01 and 1970-01-01.
const UNIX_EPOCH_TICKS: i64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: i64 = 10_000_000;

/// A point in time as NT and the WIM format store it: 100 ns ticks since 1601-01-01 UTC.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct FileTime(pub u64);

impl FileTime {
    /// From seconds and nanoseconds since 1970-01-01 UTC; times before 1601 become 1601.
    #[must_use]
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let ticks = seconds
            .saturating_mul(TICKS_PER_SECOND)
            .saturating_add(i64::from(nanoseconds / 100))
            .saturating_add(UNIX_EPOCH_TICKS);
        Self(u64::try_from(ticks).unwrap_or(0))
    }

    /// Seconds and nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn to_unix(self) -> (i64, u32) {
        let ticks = i64::try_from(self.0).unwrap_or(i64::MAX) - UNIX_EPOCH_TICKS;
        let nanoseconds = ticks.rem_euclid(TICKS_PER_SECOND) * 100;
        (ticks.div_euclid(TICKS_PER_SECOND), u32::try_from(nanoseconds).unwrap_or(0))
    }

    /// Reads an RFC 3339 time such as `2026-11-01T00:00:00Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time: jiff::Timestamp = text.parse().ok()?;
        let nanoseconds = u32::try_from(time.subsec_nanosecond().rem_euclid(1_000_000_000)).ok()?;
        let seconds = time.as_nanosecond().div_euclid(1_000_000_000);
        Some(Self::from_unix(i64::try_from(seconds).ok()?, nanoseconds))
    }
}

impl fmt::Display for FileTime {
    /// RFC 3339 in UTC, with as many decimals as needed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.to_unix();
        match jiff::Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)) {
            Ok(time) => time.fmt(formatter),
            Err(_) => write!(formatter, "{} ticks", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_unix_forms_agree() {
        let time = FileTime::parse("2026-11-01T00:00:00Z").unwrap();
        assert_eq!(time.to_unix(), (1_793_491_200, 0));
        assert_eq!(time.to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(FileTime(0).to_string(), "1601-01-01T00:00:00Z");
        assert_eq!(FileTime(u64::MAX).to_string(), format!("{} ticks", u64::MAX));
        let odd = FileTime(time.0 + 1);
        assert_eq!(FileTime::parse(&odd.to_string()), Some(odd));
    }
}
