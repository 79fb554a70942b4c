//! The numbers that registers know people, companies, accounts and places by: how they are checked, and synthetic ones.
//!
//! Synthetic numbers carry valid check digits, and prefixes that are not assigned to anyone, so that none of them is a
//! real person's.

/// National ID of a person (کد ملی): 10 digits, the last a check digit, not all alike.
#[must_use]
pub fn is_national_id(text: &str) -> bool {
    digits::<10>(text).is_some_and(|d| d[9] == national_check(&d) && d.iter().any(|x| *x != d[0]))
}

/// National entity ID of a company (شناسه ملی): 11 digits, the last a check digit.
#[must_use]
pub fn is_entity_id(text: &str) -> bool {
    digits::<11>(text).is_some_and(|d| d[10] == entity_check(&d))
}

/// Iranian IBAN (شبا): "IR" and 24 digits, ISO 7064 mod 97-10.
#[must_use]
pub fn is_iban(text: &str) -> bool {
    let Some(number) = text.strip_prefix("IR") else { return false };
    digits::<24>(number).is_some_and(|d| {
        let checksum = u64::from(d[0]) * 10 + u64::from(d[1]);
        (2..=98).contains(&checksum) && iban_check(&d[2..]) == checksum
    })
}

/// Bill ID (شناسه قبض): 13 digits here, the last a check digit, the one before it the kind of utility.
#[must_use]
pub fn is_bill_id(text: &str) -> bool {
    digits::<13>(text).is_some_and(|d| d[11] == POWER && d[12] == bill_check(&d))
}

/// Mobile number: 11 digits from 09 on; there is no check digit.
#[must_use]
pub fn is_mobile_number(text: &str) -> bool {
    digits::<11>(text).is_some_and(|d| d[0] == 0 && d[1] == 9)
}

/// Postal code: 10 digits. The first four leave out 0 and 2, the fifth also 5, the rest 2; the first four are not alike.
#[must_use]
pub fn is_postal_code(text: &str) -> bool {
    digits::<10>(text).is_some_and(|d| {
        d[..4].iter().all(|x| !matches!(x, 0 | 2))
            && !matches!(d[4], 0 | 2 | 5)
            && d[5..].iter().all(|x| *x != 2)
            && d[..4].iter().any(|x| *x != d[0])
    })
}

/// Exactly so many ASCII digits.
#[must_use]
pub fn has_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|b| b.is_ascii_digit())
}

/// Place codes of birth certificates begin at 001; 000 is nobody's.
pub(super) fn national_id(serial: u32) -> String {
    let mut text = format!("000{serial:06}0");
    let check = digits::<10>(&text).map_or(0, |d| national_check(&d));
    text.replace_range(9.., &check.to_string());
    text
}

/// Entity IDs begin with 10 or 14; 19 is nobody's.
pub(super) fn entity_id(serial: u32) -> String {
    let mut text = format!("19{serial:08}0");
    let check = digits::<11>(&text).map_or(0, |d| entity_check(&d));
    text.replace_range(10.., &check.to_string());
    text
}

/// Bank 099 is not assigned.
pub(super) fn iban(serial: u32) -> String {
    let account = format!("099{serial:019}");
    let check = digits::<22>(&account).map_or(0, |d| iban_check(&d));
    format!("IR{check:02}{account}")
}

pub(super) fn bill_id(serial: u32) -> String {
    let mut text = format!("{serial:011}{POWER}0");
    let check = digits::<13>(&text).map_or(0, |d| bill_check(&d));
    text.replace_range(12.., &check.to_string());
    text
}

/// Operator code 098 0 is not assigned.
pub(super) fn mobile_number(serial: u32) -> String {
    format!("0980{serial:07}")
}

/// The utility in a bill ID: 1 water, 2 power, 3 gas, 4 telephone.
const POWER: u8 = 2;

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes: [u8; N] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(u8::is_ascii_digit).then(|| bytes.map(|b| b - b'0'))
}

fn national_check(d: &[u8; 10]) -> u8 {
    let sum: u32 = d[..9].iter().zip((2..=10).rev()).map(|(x, weight)| u32::from(*x) * weight).sum();
    let rest = sum % 11;
    let check = if rest < 2 { rest } else { 11 - rest };
    u8::try_from(check).unwrap_or(u8::MAX)
}

fn entity_check(d: &[u8; 11]) -> u8 {
    const WEIGHTS: [u32; 10] = [29, 27, 23, 19, 17, 29, 27, 23, 19, 17];
    let offset = u32::from(d[9]) + 2;
    let sum: u32 = d[..10].iter().zip(WEIGHTS).map(|(x, weight)| (u32::from(*x) + offset) * weight).sum();
    u8::try_from(sum % 11 % 10).unwrap_or(u8::MAX)
}

fn bill_check(d: &[u8; 13]) -> u8 {
    let weights = (2..=7).cycle();
    let sum: u32 = d[..12].iter().rev().zip(weights).map(|(x, weight)| u32::from(*x) * weight).sum();
    let rest = sum % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    u8::try_from(check).unwrap_or(u8::MAX)
}

/// The two check digits: 98 less the remainder of account, "IR" as 1827 and "00", by 97.
fn iban_check(account: &[u8]) -> u64 {
    let tail = [1, 8, 2, 7, 0, 0];
    98 - account.iter().chain(&tail).fold(0, |rest, digit| (rest * 10 + u64::from(*digit)) % 97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_numbers_with_right_check_digits() {
        // Examples published with open-source validators of these numbers.
        assert!(is_iban("IR580540105180021273113007"));
        assert!(is_entity_id("14007650912"));
        assert!(is_national_id("0499370899") && is_national_id("0790419904"));
        assert!(is_postal_code("1619735744"));
    }

    #[test]
    fn makes_numbers_that_pass_their_own_checks() {
        for serial in (0..200_000).step_by(331) {
            assert!(is_national_id(&national_id(serial)) || serial == 0, "{}", national_id(serial));
            assert!(is_entity_id(&entity_id(serial)), "{}", entity_id(serial));
            assert!(is_iban(&iban(serial)), "{}", iban(serial));
            assert!(is_bill_id(&bill_id(serial)), "{}", bill_id(serial));
            assert!(is_mobile_number(&mobile_number(serial)), "{}", mobile_number(serial));
        }
    }

    #[test]
    fn refuses_every_single_wrong_digit_of_a_national_id_and_of_an_iban() {
        for (good, check) in [(national_id(4321), is_national_id as fn(&str) -> bool), (iban(4321), is_iban)] {
            let first_digit = good.len() - good.trim_start_matches("IR").len();
            for at in first_digit..good.len() {
                for digit in 0..10_u8 {
                    let mut wrong = good.clone().into_bytes();
                    if wrong[at] == b'0' + digit {
                        continue;
                    }
                    wrong[at] = b'0' + digit;
                    let wrong = String::from_utf8(wrong).expect("ASCII digits");
                    assert!(!check(&wrong), "{wrong} passes beside {good}");
                }
            }
        }
    }

    #[test]
    fn refuses_what_is_not_such_a_number() {
        assert!(!is_national_id("1111111111"), "all alike");
        assert!(!is_national_id("049937089") && !is_national_id("04993708999"), "length");
        assert!(!is_national_id("۰۴۹۹۳۷۰۸۹۹"), "digits of another script");
        assert!(!is_entity_id("14007650913") && !is_iban("580540105180021273113007"));
        assert!(!is_mobile_number("9800000001") && !is_postal_code("0619735744") && !is_bill_id("0000000000000"));
    }
}
