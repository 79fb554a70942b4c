//! What single registers hold about a person: support, veteran status, education, deeds, certificates and rulings.

use super::{
    date::Day,
    people::{ADULTS, Person},
};

/// Cover by the welfare organization or by the relief committee.
#[derive(Clone, Debug)]
pub struct Cover {
    /// Of the person, 10 digits.
    pub national_id: String,
    /// The number of the kind in the register's own enumeration, from 1.
    pub kind: i32,
    /// First day.
    pub since: Day,
}

/// A veteran's status.
#[derive(Clone, Debug)]
pub struct Veteran {
    /// Of the person, 10 digits.
    pub national_id: String,
    /// The number of the status in the register's own enumeration, from 1.
    pub status: i32,
    /// Of disability.
    pub percentage: i32,
}

/// Highest degree, or latest enrolment.
#[derive(Clone, Debug)]
pub struct Study {
    /// Of the person, 10 digits.
    pub national_id: String,
    /// From 1, associate, to 4, doctorate.
    pub level: i32,
    /// In Persian.
    pub field: &'static str,
    /// In Persian.
    pub university: &'static str,
    /// Set for those who graduated.
    pub graduated_on: Option<Day>,
}

/// A deed in force.
#[derive(Clone, Debug)]
pub struct Deed {
    /// As the register numbers it.
    pub number: String,
    /// National ID of the owner.
    pub owner_national_id: String,
}

/// A clean-record certificate that is still valid.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// As the register numbers it.
    pub number: String,
    /// Of the person, 10 digits.
    pub national_id: String,
}

/// A final ruling.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// As the register numbers it.
    pub number: String,
    /// The number of the kind in the register's own enumeration, from 1.
    pub kind: i32,
    /// National ID of whom the ruling protects.
    pub ward_national_id: String,
    /// National ID of the guardian.
    pub guardian_national_id: String,
    /// Day since which it is final.
    pub final_on: Day,
}

const FIELDS: [&str; 5] = ["مهندسی کامپیوتر", "ریاضیات", "حقوق", "فیزیک", "اقتصاد"];
const UNIVERSITIES: [&str; 4] = ["دانشگاه تهران", "دانشگاه فردوسی مشهد", "دانشگاه صنعتی اصفهان", "دانشگاه شیراز"];

/// Every `step`th grown-up from `first` on is covered.
pub(super) fn covers(people: &[Person], first: usize, step: usize) -> Vec<Cover> {
    let chosen = people.iter().take(ADULTS).skip(first).step_by(step).enumerate();
    chosen
        .filter_map(|(nth, person)| {
            let since = Day::new(1395 + u16::try_from(nth % 6).ok()?, 2, 10)?;
            Some(Cover { national_id: person.national_id.clone(), kind: cycle(nth, 3), since })
        })
        .collect()
}

pub(super) fn veterans(people: &[Person]) -> Vec<Veteran> {
    let chosen = people.iter().take(ADULTS).step_by(5).enumerate();
    chosen
        .map(|(nth, person)| {
            let status = cycle(nth, 3);
            // Only the disabled have a percentage.
            let percentage = if status == 1 { 25 + cycle(nth, 9) * 5 } else { 0 };
            Veteran { national_id: person.national_id.clone(), status, percentage }
        })
        .collect()
}

/// Two in three grown-ups studied; every fourth of them is still enrolled.
pub(super) fn studies(people: &[Person]) -> Vec<Study> {
    let chosen = people.iter().take(ADULTS).enumerate().filter(|(nth, _)| nth % 3 != 2);
    chosen
        .map(|(nth, person)| Study {
            national_id: person.national_id.clone(),
            level: cycle(nth, 4),
            field: FIELDS[nth % FIELDS.len()],
            university: UNIVERSITIES[nth % UNIVERSITIES.len()],
            graduated_on: Day::new(1398, 6, 31).filter(|_| nth % 4 != 1),
        })
        .collect()
}

pub(super) fn deeds(people: &[Person]) -> Vec<Deed> {
    let owners = people.iter().take(ADULTS).step_by(3).enumerate();
    owners
        .map(|(nth, owner)| Deed {
            number: format!("1398{:014}", 5_500_000 + nth * 19),
            owner_national_id: owner.national_id.clone(),
        })
        .collect()
}

pub(super) fn certificates(people: &[Person]) -> Vec<Certificate> {
    let holders = people.iter().take(ADULTS).step_by(2).enumerate();
    holders
        .map(|(nth, holder)| Certificate {
            number: format!("1401{:08}", 44_000 + nth * 7),
            national_id: holder.national_id.clone(),
        })
        .collect()
}

/// One ruling about every child that has a guardian.
pub(super) fn rulings(people: &[Person]) -> Vec<Ruling> {
    let wards = people.iter().filter_map(|ward| Some((ward, ward.guardian.clone()?))).enumerate();
    wards
        .map(|(nth, (ward, guardian))| Ruling {
            number: format!("140168390{:09}", 1_200 + nth * 13),
            kind: cycle(nth, 2),
            ward_national_id: ward.national_id.clone(),
            guardian_national_id: guardian,
            final_on: ward.certificate_issued_on,
        })
        .collect()
}

/// 1 to `count`, round and round.
fn cycle(nth: usize, count: usize) -> i32 {
    i32::try_from(nth % count).unwrap_or(0) + 1
}
