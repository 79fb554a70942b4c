//! What a person types, parsed: spans of time, moments, names of resources, resource files.

pub(crate) mod files;

use std::{str::FromStr, time::Duration};

use clap::Args;
use icu_calendar::{Date, Iso};
use prost_types::Timestamp;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::offset};

/// A day begins at midnight in Tehran, for the regulation's deadlines count there. Iran has had no summer time since 1401.
const TEHRAN: UtcOffset = offset!(+3:30);

/// Years up to this are Jalali, as in resource files.
const JALALI_YEAR_MAX: i32 = 1599;

/// A span of time, written with its unit: 500ms, 90s, 15m, 2h, 7d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// Whole seconds, as the API counts.
    pub(crate) fn seconds(self) -> Result<u32, String> {
        u32::try_from(self.0.as_secs()).map_err(|_| "this is longer than a lifetime".to_owned())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not a span of time: write it as 500ms, 90s, 15m, 2h or 7d");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let count: u64 = count.parse().map_err(|_| malformed())?;
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(malformed()),
        };
        let ms = count.checked_mul(unit_ms).ok_or_else(malformed)?;
        Ok(Self(Duration::from_millis(ms)))
    }
}

/// A moment: RFC 3339, a date (Jalali or Gregorian, midnight in Tehran), or how long ago (2h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(OffsetDateTime);

impl Moment {
    fn parse(text: &str, now: OffsetDateTime) -> Result<Self, String> {
        if let Ok(moment) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self(moment));
        }
        if let Ok(ago) = text.parse::<Span>() {
            let moment = now.checked_sub(ago.0.try_into().map_err(|_| "this is before all time".to_owned())?);
            return moment.map(Self).ok_or_else(|| "this is before all time".to_owned());
        }
        midnight(text).map(Self).ok_or_else(|| {
            format!("`{text}` is not a moment: write 2026-03-21T08:00:00Z, 2026-03-21, 1405-01-01 (Jalali), or 2h (ago)")
        })
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp { seconds: self.0.unix_timestamp(), nanos: i32::try_from(self.0.nanosecond()).unwrap_or(0) }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, OffsetDateTime::now_utc())
    }
}

fn midnight(text: &str) -> Option<OffsetDateTime> {
    let mut parts = text.split('-');
    let year: i32 = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day: u8 = parts.next()?.parse().ok()?;
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = if year <= JALALI_YEAR_MAX {
        let iso = Date::try_new_persian(year, month, day).ok()?.to_calendar(Iso);
        (iso.year().extended_year(), iso.month().ordinal, iso.day_of_month().0)
    } else {
        (year, month, day)
    };
    let date = time::Date::from_calendar_date(year, time::Month::try_from(month).ok()?, day).ok()?;
    Some(date.midnight().assume_offset(TEHRAN))
}

/// The time that a list is about.
#[derive(Debug, Args)]
pub(crate) struct Period {
    /// Only since then: 2026-03-21T08:00:00Z, 2026-03-21, 1405-01-01 (Jalali), or 2h (ago)
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// Only until then
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
}

impl Period {
    pub(crate) fn from(&self) -> Option<Timestamp> {
        self.from.map(Moment::timestamp)
    }

    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.until.map(Moment::timestamp)
    }
}

/// Why something is done; kept in the audit.
#[derive(Clone, Debug, Args)]
pub(crate) struct Reason {
    /// Why; kept in the audit
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
}

/// As [`Reason`], where others are refused because of it and are told why.
#[derive(Clone, Debug, Args)]
pub(crate) struct RequiredReason {
    /// Why; kept in the audit, and shown in every refusal that follows
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}

/// Kinds of resources that the policy is made of.
const KINDS: [&str; 4] = ["Agency", "InformationSystem", "BaseDatabase", "Resolution"];

/// A kind of resource; also taken in lower case or kebab-case, since people type it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) &'static str);

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.replace('-', "");
        let known = KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(&plain));
        known.map(Self).ok_or_else(|| format!("no such kind: the kinds are {}", KINDS.join(", ")))
    }
}

/// One resource, "Kind/name".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceName {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl FromStr for ResourceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').ok_or("write it as Kind/name, such as Resolution/38-1")?;
        if name.is_empty() {
            return Err("write it as Kind/name, such as Resolution/38-1".to_owned());
        }
        Ok(Self { kind: kind.parse()?, name: name.to_owned() })
    }
}

impl std::fmt::Display for ResourceName {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.kind.0, self.name)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 06:00:00 UTC);

    #[test]
    fn reads_a_span_in_each_unit_and_refuses_one_without() {
        assert_eq!("500ms".parse(), Ok(Span(Duration::from_millis(500))));
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("7d".parse(), Ok(Span(Duration::from_secs(604_800))));
        for wrong in ["", "90", "s", "1.5h", "-3s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_moments_in_both_calendars() {
        let moment = |text| Moment::parse(text, NOW).map(|moment| moment.0);
        assert_eq!(moment("2026-11-22T05:00:00Z"), Ok(datetime!(2026-11-22 05:00:00 UTC)));
        assert_eq!(moment("2h"), Ok(datetime!(2026-11-22 04:00:00 UTC)));
        assert_eq!(moment("2023-01-10"), Ok(datetime!(2023-01-10 00:00:00 +3:30)));
        assert_eq!(moment("1401-10-20"), Ok(datetime!(2023-01-10 00:00:00 +3:30)));
    }

    #[test]
    fn refuses_days_that_do_not_exist() {
        for wrong in ["1401-13-01", "1402-12-30", "2026-02-30", "2026-02", "2026-02-01-01", "yesterday", "99999999999d"] {
            assert!(Moment::parse(wrong, NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_resource_names_in_the_ways_people_type_them() {
        assert_eq!("base-database/tax".parse::<ResourceName>().map(|name| name.to_string()), Ok("BaseDatabase/tax".into()));
        assert_eq!("Resolution/38-1".parse::<ResourceName>().map(|name| name.to_string()), Ok("Resolution/38-1".into()));
        for wrong in ["Resolution", "Resolution/", "Treaty/1"] {
            assert!(wrong.parse::<ResourceName>().is_err(), "{wrong}");
        }
    }
}
