//! Time zones: the image's own list of them (SOFTWARE `Time Zones`), and the one that is set (SYSTEM `TimeZoneInformation`).
//!
//! `TZI` is 44 bytes, little-endian: bias, standard bias and daylight bias in minutes (3 x i32), then the start of standard and of daylight time as SYSTEMTIME
//! (8 x u16: year, month, **day of week**, day, hour, minute, second, ms; day 5 is the last one of the month; month 0: there is no such start).
//! `TimeZoneInformation` holds the starts as TIME_FIELDS, where the day of week is the last of the eight (seen in five real hives). Windows 7 stores the zone's
//! name in a buffer with whatever lay behind its end.
//!
//! A zone without daylight saving time (`_dstoff`) has no starts, as the documentation of TIME_ZONE_INFORMATION wants it, daylight bias 0, and
//! `DynamicDaylightTimeDisabled` 1 (inferred).

use crate::{
    base::bytes::Reader,
    format::hive::Value,
    servicing::{
        error::{Problem, ServicingError},
        services::near_names,
    },
};

use super::registry::{CONTROL, Registry, TIME_ZONES};

/// A time zone as the image's list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone {
    /// Its key name: `W. Europe Standard Time`.
    pub name: String,
    /// Minutes to add to local time for UTC.
    pub bias: i32,
    /// Minutes to add to `bias` in standard time.
    pub standard_bias: i32,
    /// Minutes to add to `bias` in daylight time.
    pub daylight_bias: i32,
    /// What standard time is called; `@tzres.dll,-322`.
    pub standard_name: String,
    /// What daylight time is called.
    pub daylight_name: String,
    /// Start of standard time, as TIME_FIELDS.
    pub standard_start: [u8; 16],
    /// Start of daylight time, as TIME_FIELDS.
    pub daylight_start: [u8; 16],
}

/// A zone, and whether its daylight saving time is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZoneSetting {
    /// The zone.
    pub zone: TimeZone,
    /// False: the zone's standard time all year.
    pub daylight_saving: bool,
}

const OFF: &str = "_dstoff";

impl TimeZone {
    /// A zone from what the image's list says of it; `None` when the data is not 44 bytes.
    #[must_use]
    pub fn of_list(
        name: &str,
        tzi: &[u8],
        standard_name: String,
        daylight_name: String,
    ) -> Option<Self> {
        if tzi.len() != 44 {
            return None;
        }
        let mut reader = Reader::new("time zone", tzi);
        let mut number = || reader.u32().ok().map(u32::cast_signed);
        let (bias, standard_bias, daylight_bias) = (number()?, number()?, number()?);
        Some(Self {
            name: name.to_owned(),
            bias,
            standard_bias,
            daylight_bias,
            standard_name,
            daylight_name,
            standard_start: time_fields(tzi[12..28].try_into().ok()?),
            daylight_start: time_fields(tzi[28..44].try_into().ok()?),
        })
    }

    /// True when it has daylight saving time.
    #[must_use]
    pub fn has_daylight_saving(&self) -> bool {
        self.daylight_start[2..4] != [0, 0]
    }
}

/// TIME_FIELDS from SYSTEMTIME: the day of week goes from the third place to the last.
fn time_fields(system_time: [u8; 16]) -> [u8; 16] {
    let mut fields = system_time;
    fields.copy_within(6..16, 4);
    fields[14..16].copy_from_slice(&system_time[4..6]);
    fields
}

/// Finds the zone `wanted`, which may end in `_dstoff`, in the image's list.
pub(super) fn find(
    wanted: &str,
    registry: &mut Registry<'_>,
) -> Result<Result<TimeZoneSetting, Problem>, ServicingError> {
    let names = registry.keys(TIME_ZONES)?;
    let known = |name: &str| names.iter().find(|known| known.eq_ignore_ascii_case(name)).cloned();
    let base = wanted
        .len()
        .checked_sub(OFF.len())
        .filter(|end| wanted.is_char_boundary(*end) && wanted[*end..].eq_ignore_ascii_case(OFF))
        .map(|end| &wanted[..end]);
    let found = match (known(wanted), base) {
        (Some(name), _) => Some((name, true)),
        (None, Some(base)) => known(base).map(|name| (name, false)),
        (None, None) => None,
    };
    let Some((name, daylight_saving)) = found else {
        return Ok(Err(unknown(wanted, base.unwrap_or(wanted), &names)));
    };
    let key = format!(r"{TIME_ZONES}\{name}");
    let mut text = |first: &str, second: &str| match registry.text(&key, first)? {
        Some(text) if !text.is_empty() => Ok::<_, ServicingError>(text),
        _ => Ok(registry.text(&key, second)?.unwrap_or_default()),
    };
    let (standard, daylight) = (text("MUI_Std", "Std")?, text("MUI_Dlt", "Dlt")?);
    let tzi = registry.value(&key, "TZI")?.map(|value| value.data).unwrap_or_default();
    Ok(TimeZone::of_list(&name, &tzi, standard, daylight)
        .map(|zone| TimeZoneSetting { zone, daylight_saving })
        .ok_or_else(|| {
            Problem::error(
                wanted,
                "the image's list of time zones has this one without its rules",
                "choose another one, or set the value TZI of its key with [registry]",
            )
        }))
}

fn unknown(wanted: &str, base: &str, names: &[String]) -> Problem {
    // People write IANA names and cities; the list knows neither.
    let near = near_names(base, names.iter().cloned());
    let help = match (near.as_slice(), names) {
        (_, []) => format!(r"it has none at all: {TIME_ZONES} is empty or not there"),
        ([], names) if names.len() <= 12 => format!("it has {}", names.join(", ")),
        ([], names) => format!(
            "it has {} of them, named as `tzutil /l` shows them: W. Europe Standard Time, UTC ...",
            names.len()
        ),
        (near, _) => format!("did you mean {}?", near.join(", ")),
    };
    Problem::error(wanted, "the image has no such time zone", help)
}

impl TimeZoneSetting {
    /// Writes it. What the clock makes of a zone (the bias in force now) stays when this zone is set already.
    pub(super) fn apply(&self, registry: &mut Registry<'_>) -> Result<(), ServicingError> {
        let key = format!(r"{CONTROL}\TimeZoneInformation");
        let zone = &self.zone;
        let off = !self.daylight_saving && zone.has_daylight_saving();
        let (daylight_bias, standard_start, daylight_start) = match off {
            true => (0, [0; 16], [0; 16]),
            false => (zone.daylight_bias, zone.standard_start, zone.daylight_start),
        };
        let standard = zone.bias.wrapping_add(zone.standard_bias);
        let in_force = [standard, zone.bias.wrapping_add(daylight_bias)];
        let number = |name: &str, number: i32| Value::dword(name, number.cast_unsigned());
        let now = registry.dword(&key, "ActiveTimeBias")?.map(u32::cast_signed);
        // Another zone may have the same bias in its summer.
        let there = registry.text(&key, "TimeZoneKeyName")?;
        let stays = there.is_some_and(|there| there.eq_ignore_ascii_case(&zone.name));
        if !(stays && now.is_some_and(|now| in_force.contains(&now))) {
            registry.set(&key, &number("ActiveTimeBias", standard))?;
        }
        registry.set(&key, &number("Bias", zone.bias))?;
        registry.set(&key, &number("DaylightBias", daylight_bias))?;
        registry.set_text(&key, "DaylightName", &zone.daylight_name)?;
        registry.set(&key, &Value::binary("DaylightStart", daylight_start))?;
        registry.set_dword(&key, "DynamicDaylightTimeDisabled", u32::from(off))?;
        registry.set(&key, &number("StandardBias", zone.standard_bias))?;
        registry.set_text(&key, "StandardName", &zone.standard_name)?;
        registry.set(&key, &Value::binary("StandardStart", standard_start))?;
        registry.set_text(&key, "TimeZoneKeyName", &zone.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_week_goes_to_the_end() {
        // Eastern: the second Sunday of March, 02:00; the first of November.
        let mut tzi = Vec::new();
        for number in [300_i32, 0, -60] {
            tzi.extend(number.to_le_bytes());
        }
        for field in [0_u16, 11, 0, 1, 2, 0, 0, 0, 0, 3, 0, 2, 2, 0, 0, 0] {
            tzi.extend(field.to_le_bytes());
        }
        let zone = TimeZone::of_list("x", &tzi, String::new(), String::new()).unwrap();
        assert_eq!((zone.bias, zone.standard_bias, zone.daylight_bias), (300, 0, -60));
        assert_eq!(zone.daylight_start, [0, 0, 3, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(zone.standard_start[..8], [0, 0, 11, 0, 1, 0, 2, 0]);
        // A Thursday, 23:59:59.999.
        let fields = [0_u16, 4, 4, 5, 23, 59, 59, 999].map(u16::to_le_bytes).concat();
        let words: Vec<u16> = time_fields(fields.try_into().unwrap())
            .chunks(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(words, [0, 4, 5, 23, 59, 59, 999, 4]);
        assert!(zone.has_daylight_saving());
        assert_eq!(TimeZone::of_list("x", &tzi[1..], String::new(), String::new()), None);
    }
}
