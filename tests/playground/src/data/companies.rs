//! Companies: their standing, their workshops' payrolls, and their tax declarations.

use super::{date::Day, numbers, people::Person};

/// A company, known by its national entity ID.
#[derive(Clone, Debug)]
pub struct Company {
    /// National entity ID, 11 digits.
    pub entity_id: String,
    /// Of social security.
    pub workshop_code: String,
    /// First and last day as a knowledge-based company.
    pub knowledge_based: Option<(Day, Day)>,
    /// Of its workshop.
    pub payroll: Vec<PayrollLine>,
}

/// One employee's line in a workshop's payroll of one month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayrollLine {
    /// Of the person, 10 digits.
    pub national_id: String,
    /// Of social security.
    pub insurance_number: String,
    /// Jalali.
    pub year: i32,
    /// Jalali, from 1.
    pub month: i32,
    /// Days worked.
    pub days: i32,
    /// For the month.
    pub wages_rials: i64,
    /// Whether payroll tax was paid.
    pub tax_paid: bool,
}

/// A filed performance declaration.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// National ID of a person or entity ID of a company.
    pub taxpayer_id: String,
    /// Jalali.
    pub tax_year: i32,
    /// Given when it was filed.
    pub tracking_code: String,
    /// Whether it replaces an earlier one.
    pub amended: bool,
    /// Income at the rate of zero.
    pub zero_rate_income_rials: i64,
    /// Income that is exempt.
    pub exempt_amount_rials: i64,
    /// First and last day.
    pub fiscal_year: (Day, Day),
    /// Name and amount in rials, in the order of the form.
    pub items: Vec<(&'static str, i64)>,
}

const COMPANIES: usize = 6;
const EMPLOYEES: usize = 4;
/// Payrolls are filed up to the month before session 38.
const MONTHS: i32 = 9;

pub(super) fn companies(adults: &[Person]) -> Vec<Company> {
    (0..COMPANIES).map(|nth| company(nth, adults)).collect()
}

fn company(nth: usize, adults: &[Person]) -> Company {
    let serial = u32::try_from(200_000 + nth * 53).unwrap_or(0);
    let standing = Day::new(1399, 4, 1).zip(Day::new(1402, 3, 31));
    Company {
        entity_id: numbers::entity_id(serial),
        workshop_code: format!("{:010}", 3_100_000_000_u64 + u64::from(serial)),
        knowledge_based: standing.filter(|_| nth % 3 != 2),
        payroll: adults
            .iter()
            .skip(nth * EMPLOYEES)
            .take(EMPLOYEES)
            .enumerate()
            .flat_map(|(seat, person)| (1..=MONTHS).map(move |month| line(seat, person, month)))
            .collect(),
    }
}

fn line(seat: usize, person: &Person, month: i32) -> PayrollLine {
    let seat_number = i32::try_from(seat).unwrap_or(0);
    PayrollLine {
        national_id: person.national_id.clone(),
        // Two digits of the branch, eight of the insured person.
        insurance_number: format!("00{}", &person.national_id[2..]),
        year: 1401,
        month,
        days: if month <= 6 { 31 } else { 30 } - seat_number,
        wages_rials: 80_000_000 + 5_000_000 * i64::from(seat_number) + 250_000 * i64::from(month),
        tax_paid: !(seat == EMPLOYEES - 1 && month == MONTHS),
    }
}

/// A declaration of every company, and of one person who runs a business.
pub(super) fn declarations(companies: &[Company], adults: &[Person]) -> Vec<Declaration> {
    let taxpayers = companies.iter().map(|c| &c.entity_id).chain(adults.iter().take(1).map(|p| &p.national_id));
    taxpayers.enumerate().filter_map(|(nth, taxpayer)| declaration(nth, taxpayer)).collect()
}

fn declaration(nth: usize, taxpayer: &str) -> Option<Declaration> {
    let scale = i64::try_from(nth).unwrap_or(0) + 1;
    let (sales, cost) = (90_000_000_000 * scale, 61_000_000_000 * scale);
    Some(Declaration {
        taxpayer_id: taxpayer.to_owned(),
        tax_year: 1400,
        tracking_code: format!("1400{:012}", 77_000_000 + nth * 101),
        amended: nth % 4 == 1,
        zero_rate_income_rials: 12_000_000_000 * scale,
        exempt_amount_rials: 3_000_000_000 * scale,
        fiscal_year: (Day::new(1400, 1, 1)?, Day::new(1400, 12, 29)?),
        items: vec![("فروش خالص", sales), ("بهای تمام‌شده", cost), ("سود ناخالص", sales - cost)],
    })
}
