//! Days of the Jalali and the Gregorian calendar, and the instants that they begin and end at.
//!
//! A resolution speaks of days; grants begin and end at instants. A day lasts from midnight to midnight at Tehran, UTC+03:30:
//! Iran has kept no summer time since 1401, so the offset is fixed, for earlier days as well.
//!
//! The year tells the calendar, of a day and of an instant alike; each calendar has its years, and others are refused.

use std::fmt;

use icu_calendar::{Date, Gregorian, cal::Persian, types::RataDie};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Timestamp;

/// Tehran's distance from UTC.
const TEHRAN_OFFSET_MS: i64 = (3 * 60 + 30) * 60 * 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// 1970-01-01 counted in days of the Gregorian era, as `icu_calendar` counts them (1 is 0001-01-01).
const UNIX_EPOCH_RATA_DIE: i64 = 719_163;
/// Years read as Jalali. The Gregorian calendar's years 1200 to 1599 concern no resolution.
const JALALI_YEARS: std::ops::RangeInclusive<i32> = 1200..=1599;
const GREGORIAN_YEARS: std::ops::RangeInclusive<i32> = 1600..=9999;

/// A day, in the calendar in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day {
    year: i32,
    month: u8,
    day: u8,
}

/// A bound of a grant: a whole day, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// As `notBefore` its beginning, as `notAfter` its end.
    Day(Day),
    /// A date of either calendar with a time, otherwise as RFC 3339 has it; kept in UTC to the second.
    Instant {
        /// Seconds since 1970-01-01T00:00:00Z.
        unix_s: i64,
    },
}

/// A text that is no day and no instant: what is wrong with it, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MomentError(String);

impl Day {
    /// Reads `YYYY-MM-DD`; years 1200 to 1599 are Jalali, later ones Gregorian.
    ///
    /// # Errors
    /// What is wrong and what is expected.
    pub fn parse(text: &str) -> Result<Self, MomentError> {
        Self::read(text).map_err(MomentError)
    }

    fn read(text: &str) -> Result<Self, String> {
        let malformed =
            || format!("{text:?} is not a date; expected YYYY-MM-DD in Latin digits, such as 1401-10-20 or 2023-01-10");
        let digits = |part: &str, width: usize| {
            (part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<i32>().ok()).flatten()
        };
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else { return Err(malformed()) };
        let (Some(year), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2)) else {
            return Err(malformed());
        };
        if !JALALI_YEARS.contains(&year) && !GREGORIAN_YEARS.contains(&year) {
            return Err(format!(
                "the year of {text} is out of range; expected 1200 to 1599 (Jalali) or 1600 to 9999 (Gregorian)"
            ));
        }
        let calendar = if JALALI_YEARS.contains(&year) { "Jalali" } else { "Gregorian" };
        let month = u8::try_from(month).ok().filter(|month| (1..=12).contains(month));
        let Some(month) = month else {
            return Err(format!("{text} is not in the {calendar} calendar: a year has months 01 to 12"));
        };
        let days = reckon(year, month, 1).map_or(0, |(_, days)| days);
        match u8::try_from(day).ok().filter(|day| (1..=days).contains(day)) {
            Some(day) => Ok(Self { year, month, day }),
            None => Err(format!("{text} is not in the {calendar} calendar: month {year}-{month:02} has {days} days")),
        }
    }

    /// The day of this instant at Tehran, in the Jalali calendar. `None`: it is outside that calendar's years.
    #[must_use]
    pub fn jalali_at_tehran(at: Timestamp) -> Option<Self> {
        let days = at.unix_ms().saturating_add(TEHRAN_OFFSET_MS).div_euclid(DAY_MS).checked_add(UNIX_EPOCH_RATA_DIE)?;
        let date = Date::from_rata_die(RataDie::new(days), Persian);
        let year = date.year().extended_year();
        JALALI_YEARS.contains(&year).then(|| Self { year, month: date.month().ordinal, day: date.day_of_month().0 })
    }

    /// The same day as the Gregorian calendar writes it, YYYY-MM-DD.
    fn gregorian(self) -> String {
        if GREGORIAN_YEARS.contains(&self.year) {
            return self.to_string();
        }
        let days = reckon(self.year, self.month, self.day).map_or(0, |(day, _)| day);
        let date = Date::from_rata_die(RataDie::new(days), Gregorian);
        format!("{:04}-{:02}-{:02}", date.year().extended_year(), date.month().ordinal, date.day_of_month().0)
    }

    /// Midnight at Tehran with which the day begins.
    pub fn begins(self) -> Timestamp {
        let days = reckon(self.year, self.month, self.day).map_or(0, |(day, _)| day);
        Timestamp::from_unix_ms((days - UNIX_EPOCH_RATA_DIE) * DAY_MS - TEHRAN_OFFSET_MS)
    }

    /// Midnight at Tehran with which the day ends.
    pub fn ends(self) -> Timestamp {
        self.begins().plus_ms(DAY_MS)
    }
}

impl Moment {
    /// Reads a day as [`Day::parse`] does, or a date and time as RFC 3339 has them; its date may be Jalali too.
    ///
    /// # Errors
    /// What is wrong and what is expected.
    pub fn parse(text: &str) -> Result<Self, MomentError> {
        let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return Day::parse(text).map(Self::Day) };
        let day = Day::parse(date)?;
        let malformed = || {
            let expected = "RFC 3339 with an offset, such as 2023-09-22T23:59:59+03:30 or 1402-06-31T23:59:59+03:30";
            MomentError(format!("{text:?} is not a date and time; expected {expected}"))
        };
        let instant = OffsetDateTime::parse(&format!("{}T{time}", day.gregorian()), &Rfc3339).map_err(|_| malformed())?;
        Ok(Self::Instant { unix_s: instant.unix_timestamp() })
    }

    /// The instant meant, when it is the first of a span.
    pub fn first(self) -> Timestamp {
        match self {
            Self::Day(day) => day.begins(),
            Self::Instant { unix_s } => Timestamp::from_unix_s(unix_s),
        }
    }

    /// The instant meant, when it is the last of a span: from then on the span is over.
    pub fn last(self) -> Timestamp {
        match self {
            Self::Day(day) => day.ends(),
            Self::Instant { unix_s } => Timestamp::from_unix_s(unix_s),
        }
    }
}

/// The day's number in `icu_calendar`'s count, and the days of its month. None: the calendar has no such day.
fn reckon(year: i32, month: u8, day: u8) -> Option<(i64, u8)> {
    if JALALI_YEARS.contains(&year) {
        let date = Date::try_new_persian(year, month, day).ok()?;
        Some((date.to_rata_die().to_i64_date(), date.days_in_month()))
    } else {
        let date = Date::try_new_gregorian(year, month, day).ok()?;
        Some((date.to_rata_die().to_i64_date(), date.days_in_month()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Instant { unix_s } => {
                let text = OffsetDateTime::from_unix_timestamp(*unix_s).ok().and_then(|instant| instant.format(&Rfc3339).ok());
                f.write_str(&text.unwrap_or_default())
            }
        }
    }
}

impl TryFrom<String> for Day {
    type Error = MomentError;
    fn try_from(text: String) -> Result<Self, MomentError> {
        Self::parse(&text)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = MomentError;
    fn try_from(text: String) -> Result<Self, MomentError> {
        Self::parse(&text)
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_jalali_and_gregorian_days() {
        // 1401-10-20 is 2023-01-10; midnight at Tehran is 20:30 UTC of the day before.
        let jalali = Day::parse("1401-10-20").expect("a day");
        let gregorian = Day::parse("2023-01-10").expect("a day");
        assert_eq!(jalali.begins(), gregorian.begins());
        assert_eq!(jalali.begins(), Timestamp::from_unix_ms(1_673_296_200_000));
        assert_eq!(Moment::Day(jalali).last().ms_since(Moment::Day(jalali).first()), DAY_MS);
    }

    #[test]
    fn knows_leap_days() {
        assert!(Day::parse("1403-12-30").is_ok());
        let refused = |text| Day::parse(text).expect_err("no day").to_string();
        assert_eq!(refused("1402-12-30"), "1402-12-30 is not in the Jalali calendar: month 1402-12 has 29 days");
        assert!(Day::parse("2024-02-29").is_ok());
        assert_eq!(refused("2023-02-29"), "2023-02-29 is not in the Gregorian calendar: month 2023-02 has 28 days");
        assert!(Day::parse("1402-06-31").is_ok());
        assert!(Day::parse("1402-07-31").is_err());
    }

    #[test]
    fn refuses_what_is_no_date() {
        let refused = Day::parse("1401-13-01").expect_err("no day").to_string();
        assert_eq!(refused, "1401-13-01 is not in the Jalali calendar: a year has months 01 to 12");
        for text in ["", "1401", "1401-1-1", "0900-01-01", "1401-10-00", "۱۴۰۱-۱۰-۲۰", "1401/10/20", "+401-10-20"] {
            assert!(Day::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_are_kept_in_utc() {
        let moment = Moment::parse("2023-09-23T00:00:00+03:30").expect("an instant");
        assert_eq!(moment.to_string(), "2023-09-22T20:30:00Z");
        assert_eq!(moment.last(), Moment::parse("1402-06-31").expect("a day").last());
        assert!(Moment::parse("2023-09-23T25:00:00Z").is_err());
    }

    #[test]
    fn a_jalali_date_with_a_time_is_no_year_of_the_other_calendar() {
        let instant = |text| Moment::parse(text).expect("an instant").to_string();
        assert_eq!(instant("1408-12-30T08:00:00+03:30"), "2030-03-20T04:30:00Z");
        assert_eq!(instant("1402-06-31T23:59:59+03:30"), "2023-09-22T20:29:59Z");
        assert_eq!(instant("1402-07-01t00:00:00z"), "2023-09-23T00:00:00Z");
        for wrong in [
            "1402-06-32T00:00:00Z",
            "1407-12-30T08:00:00+03:30",
            "1100-01-01T00:00:00Z",
            "1402-06-31T24:30:00Z",
            "1402-06-31T08:00",
        ] {
            assert!(Moment::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_instant_is_told_as_a_day_at_tehran() {
        let day = |text| Day::jalali_at_tehran(Moment::parse(text).expect("an instant").first()).map(|day| day.to_string());
        assert_eq!(day("2030-03-20T20:29:59Z").as_deref(), Some("1408-12-30"));
        assert_eq!(day("2030-03-20T20:30:00Z").as_deref(), Some("1409-01-01"));
        assert_eq!(day("9999-12-31"), None);
    }
}
