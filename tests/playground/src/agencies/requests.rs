//! What a register's owner demands of a request before it looks anything up. Every refusal names the field.

use tonic::Status;

use crate::data::{date::Day, numbers};

pub(super) fn national_id(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_national_id(value), field, "a national ID: 10 digits, the last a check digit")
}

pub(super) fn entity_id(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_entity_id(value), field, "a national entity ID: 11 digits, the last a check digit")
}

pub(super) fn taxpayer_id(field: &str, value: &str) -> Result<(), Status> {
    let known = numbers::is_national_id(value) || numbers::is_entity_id(value);
    demand(known, field, "a national ID (10 digits) or a national entity ID (11 digits)")
}

pub(super) fn iban(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_iban(value), field, "an IBAN: IR and 24 digits with right check digits")
}

pub(super) fn bill_id(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_bill_id(value), field, "a power bill ID: 13 digits, the last a check digit")
}

pub(super) fn mobile_number(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_mobile_number(value), field, "a mobile number: 11 digits that begin with 09")
}

pub(super) fn postal_code(field: &str, value: &str) -> Result<(), Status> {
    demand(numbers::is_postal_code(value), field, "a postal code: 10 digits")
}

pub(super) fn digits(field: &str, value: &str, count: usize) -> Result<(), Status> {
    demand(numbers::has_digits(value, count), field, &format!("{count} digits"))
}

/// Text of a sensible length; registers hold no name of more characters.
pub(super) fn text(field: &str, value: &str) -> Result<(), Status> {
    const TEXT_CHARS_MAX: usize = 200;
    let count = value.trim().chars().count();
    demand((1..=TEXT_CHARS_MAX).contains(&count), field, "text of 1 to 200 characters")
}

pub(super) fn day(field: &str, value: &str) -> Result<Day, Status> {
    Day::parse(value).ok_or_else(|| wanted(field, "a Jalali date that exists, as YYYY-MM-DD"))
}

pub(super) fn month(year_field: &str, year: i32, month: i32) -> Result<(), Status> {
    demand((1200..=1599).contains(&year), year_field, "a Jalali year")?;
    demand((1..=12).contains(&month), "month", "a month, 1 to 12")
}

pub(super) fn demand(holds: bool, field: &str, what: &str) -> Result<(), Status> {
    if holds { Ok(()) } else { Err(wanted(field, what)) }
}

// Says what is wanted, and never what was sent: a mistyped number may be another person's.
fn wanted(field: &str, what: &str) -> Status {
    Status::invalid_argument(format!("{field}: must be {what}"))
}
