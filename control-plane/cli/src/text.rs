//! Words and numbers as people read them.

use chapar_core::time::{self as instants, Day};
use prost_types::Timestamp;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// Stands where there is nothing to show.
pub(crate) const NOTHING: &str = "-";

const MOMENT: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");

/// UTC to the second.
pub(crate) fn moment(timestamp: Option<&Timestamp>) -> String {
    let Some(timestamp) = timestamp else {
        return NOTHING.to_owned();
    };
    OffsetDateTime::from_unix_timestamp(timestamp.seconds)
        .ok()
        .and_then(|moment| moment.format(MOMENT).ok())
        .unwrap_or_else(|| format!("@{}", timestamp.seconds))
}

/// The same, and the day of the Jalali calendar that it is at Tehran.
pub(crate) fn moment_and_day(timestamp: Option<&Timestamp>) -> String {
    let text = moment(timestamp);
    let at = timestamp.map(|timestamp| instants::Timestamp::from_unix_s(timestamp.seconds));
    match at.and_then(Day::jalali_at_tehran) {
        Some(day) => format!("{text} ({day} at Tehran)"),
        None => text,
    }
}

/// Microseconds in the unit that leaves few digits.
#[allow(clippy::cast_precision_loss)] // Three digits are shown, 53 bits are kept.
pub(crate) fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// "TOKEN_STATE_OPEN" of the enum "TOKEN_STATE" is "open". An unset or unknown value is shown as such.
pub(crate) fn label(name: &str, enumeration: &str) -> String {
    let short = name.strip_prefix(enumeration).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name);
    short.to_lowercase().replace('_', " ")
}

pub(crate) fn or_nothing(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

/// The first 12 hex digits tell versions apart.
pub(crate) fn short_digest(digest: &str) -> String {
    digest.get(..12).unwrap_or(digest).to_owned()
}

pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Text from elsewhere without what a terminal would obey: control characters, and those that reorder or hide text.
/// Line breaks stay.
pub(crate) fn plain(text: &str) -> String {
    if !text.chars().any(is_active) {
        return text.to_owned();
    }
    text.chars().map(|char| if is_active(char) { char.escape_unicode().to_string() } else { char.to_string() }).collect()
}

/// As [`plain`], on one line.
pub(crate) fn plain_line(text: &str) -> String {
    if !text.contains('\n') {
        return plain(text);
    }
    plain(&text.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

fn is_active(char: char) -> bool {
    char.is_control() && char != '\n'
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a terminal that knows Persian would set this from right to left.
pub(crate) fn is_right_to_left(text: &str) -> bool {
    text.chars().any(|char| matches!(char, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_in_a_fitting_unit() {
        assert_eq!([0, 999, 1_000, 12_345, 1_500_000].map(duration), ["0 µs", "999 µs", "1.0 ms", "12.3 ms", "1.50 s"]);
    }

    #[test]
    fn writes_moments_that_no_calendar_holds() {
        assert_eq!(moment(Some(&Timestamp { seconds: 1_673_303_400, nanos: 0 })), "2023-01-09 22:30:00Z");
        assert_eq!(moment(Some(&Timestamp { seconds: i64::MAX, nanos: 0 })), "@9223372036854775807");
        assert_eq!(moment(None), "-");
    }

    #[test]
    fn keeps_persian_with_its_half_space_and_drops_overrides() {
        assert_eq!(plain("دانش\u{200c}بنیان"), "دانش\u{200c}بنیان");
        assert_eq!(plain_line("a\u{202e}b\n c\u{7}"), "a\\u{202e}b c\\u{7}");
    }

    #[test]
    fn labels_what_is_known_and_what_is_not() {
        assert_eq!(label("TOKEN_STATE_OPEN", "TOKEN_STATE"), "open");
        assert_eq!(label("OTHER", "TOKEN_STATE"), "other");
    }
}
