//! People of the identity register, with what other registers hold about each.

use super::{date::Day, numbers};

/// As the birth certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sex {
    /// A woman or a girl.
    Female,
    /// A man or a boy.
    Male,
}

/// A person of the identity register.
#[derive(Clone, Debug)]
pub struct Person {
    /// Of the person, 10 digits.
    pub national_id: String,
    /// In Persian.
    pub given_name: &'static str,
    /// In Persian.
    pub family_name: &'static str,
    /// In Persian.
    pub father_name: &'static str,
    /// Day of birth.
    pub birth_date: Day,
    /// Day of the birth certificate.
    pub certificate_issued_on: Day,
    /// As the birth certificate says.
    pub sex: Sex,
    /// National IDs; unknown for those born before the register recorded them.
    pub father: Option<String>,
    /// As the father.
    pub mother: Option<String>,
    /// Set when a court named a guardian other than the parents.
    pub guardian: Option<String>,
    /// In the person's own name; children have none.
    pub mobile_number: Option<String>,
    /// Of an account of their own.
    pub iban: Option<String>,
}

/// Grown-ups, husband and wife in turn.
pub const ADULTS: usize = 36;
/// Children of the first couples, born in 1401.
pub const CHILDREN: usize = 12;

const MEN: [&str; 9] = ["علی", "حسین", "رضا", "مهدی", "امیر", "سعید", "حمید", "ناصر", "بهرام"];
const WOMEN: [&str; 9] = ["فاطمه", "زهرا", "مریم", "نرگس", "سارا", "لیلا", "شیرین", "پروین", "مینا"];
const FAMILIES: [&str; 12] =
    ["احمدی", "محمدی", "رضایی", "کریمی", "موسوی", "جعفری", "نوری", "صادقی", "عباسی", "کاظمی", "رستمی", "شریفی"];

pub(super) fn people() -> Vec<Person> {
    let mut people: Vec<Person> = (0..ADULTS).map(adult).collect();
    for nth in 0..CHILDREN {
        let child = child(nth, &people);
        people.push(child);
    }
    people
}

fn adult(nth: usize) -> Person {
    let woman = nth % 2 == 1;
    let serial = number(1_000 + nth * 37);
    let birth_date = day(1340 + nth % 40, 1 + nth % 12, 1 + nth * 5 % 28);
    Person {
        national_id: numbers::national_id(serial),
        given_name: if woman { WOMEN[nth / 2 % WOMEN.len()] } else { MEN[nth / 2 % MEN.len()] },
        family_name: FAMILIES[nth * 5 % FAMILIES.len()],
        father_name: MEN[(nth * 4 + 3) % MEN.len()],
        birth_date,
        certificate_issued_on: day(1340 + nth % 40, 1 + nth % 12, 1 + (nth * 5 + 1) % 28),
        sex: if woman { Sex::Female } else { Sex::Male },
        father: None,
        mother: None,
        guardian: None,
        mobile_number: Some(numbers::mobile_number(serial)),
        iban: Some(numbers::iban(serial)),
    }
}

/// Two children a day got their certificates; every fourth has a guardian named by a court.
fn child(nth: usize, adults: &[Person]) -> Person {
    let (father, mother) = (&adults[nth * 2], &adults[nth * 2 + 1]);
    let girl = nth.is_multiple_of(2);
    Person {
        national_id: numbers::national_id(number(90_000 + nth * 41)),
        given_name: if girl { WOMEN[(nth + 4) % WOMEN.len()] } else { MEN[(nth + 4) % MEN.len()] },
        family_name: father.family_name,
        father_name: father.given_name,
        birth_date: day(1401, 10, 1 + nth / 2),
        certificate_issued_on: day(1401, 10, 10 + nth / 2),
        sex: if girl { Sex::Female } else { Sex::Male },
        father: Some(father.national_id.clone()),
        mother: Some(mother.national_id.clone()),
        guardian: (nth % 4 == 3).then(|| adults[ADULTS - 1 - nth].national_id.clone()),
        mobile_number: None,
        iban: None,
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A day whose parts are known to be in range: no month is shorter than 29 days.
fn day(year: usize, month: usize, day: usize) -> Day {
    let (year, month, day) = (u16::try_from(year).ok(), u8::try_from(month).ok(), u8::try_from(day).ok());
    let found = year.zip(month).zip(day).and_then(|((y, m), d)| Day::new(y, m, d));
    found.expect("years 1340 to 1401, months 1 to 12 and days 1 to 28 exist")
}
