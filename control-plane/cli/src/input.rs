//! What a person types, parsed: spans of time, moments, names of resources, resource files.

pub(crate) mod files;

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use chapar_core::time;
use clap::Args;
use prost_types::Timestamp;

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

/// A moment: as in resource files (a day, which begins at midnight in Tehran, or a date and time, Jalali or Gregorian), or how long ago (2h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(time::Timestamp);

impl Moment {
    fn parse(text: &str, now: time::Timestamp) -> Result<Self, String> {
        if let Ok(ago) = text.parse::<Span>() {
            return Ok(Self(now.saturating_sub(ago.0)));
        }
        let read = time::Moment::parse(text).map_err(|error| format!("{error}; or how long ago, such as 2h"))?;
        Ok(Self(read.first()))
    }

    pub(crate) fn timestamp(self) -> Timestamp {
        let ms = self.0.unix_ms();
        let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
        Timestamp { seconds: self.0.unix_s(), nanos }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, SystemTime::now().into())
    }
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
    use super::*;

    // 2026-11-22T06:00:00Z.
    const NOW: time::Timestamp = time::Timestamp::from_unix_s(1_795_327_200);

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
        let moment = |text| Moment::parse(text, NOW).map(|moment| moment.0.to_string());
        let at = |text: &str| Ok(text.to_owned());
        assert_eq!(moment("2026-11-22T05:00:00Z"), at("2026-11-22T05:00:00.000Z"));
        assert_eq!(moment("2h"), at("2026-11-22T04:00:00.000Z"));
        assert_eq!(moment("2023-01-10"), at("2023-01-09T20:30:00.000Z"));
        assert_eq!(moment("1401-10-20"), moment("2023-01-10"));
        assert_eq!(moment("1401-10-20T12:00:00+03:30"), at("2023-01-10T08:30:00.000Z"));
    }

    #[test]
    fn refuses_days_that_do_not_exist() {
        for wrong in ["1401-13-01", "1402-12-30", "2026-02-30", "2026-02", "2026-02-01-01", "yesterday"] {
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
