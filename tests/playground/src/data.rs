//! Synthetic registers of session 38's providers: the same at every start, nobody's real data.

pub mod companies;
pub mod date;
pub mod numbers;
pub mod people;
pub mod places;
pub mod standing;

use companies::{Company, Declaration};
use date::Day;
use people::Person;
use places::{Connection, Place};
use standing::{Certificate, Cover, Deed, Ruling, Study, Veteran};

/// All registers. Each sample service reads only what its agency would hold.
#[derive(Clone, Debug)]
pub struct Registers {
    /// The identity register.
    pub people: Vec<Person>,
    /// The post's.
    pub places: Vec<Place>,
    /// The electricity company's.
    pub connections: Vec<Connection>,
    /// Of several registers.
    pub companies: Vec<Company>,
    /// The tax administration's.
    pub declarations: Vec<Declaration>,
    /// The welfare organization's.
    pub welfare_clients: Vec<Cover>,
    /// The relief committee's.
    pub relief_clients: Vec<Cover>,
    /// The foundation's.
    pub veterans: Vec<Veteran>,
    /// The science ministry's.
    pub studies: Vec<Study>,
    /// The deeds registry's.
    pub deeds: Vec<Deed>,
    /// Clean records, of the judiciary.
    pub certificates: Vec<Certificate>,
    /// The judiciary's.
    pub rulings: Vec<Ruling>,
    /// The day on which all registers were last brought up to date.
    pub updated_on: Day,
}

impl Registers {
    /// Makes them, always alike.
    #[must_use]
    pub fn make() -> Self {
        let people = people::people();
        let places = places::places();
        let companies = companies::companies(&people[..people::ADULTS]);
        Self {
            connections: places::connections(places.len()),
            declarations: companies::declarations(&companies, &people),
            welfare_clients: standing::covers(&people, 2, 7),
            relief_clients: standing::covers(&people, 4, 6),
            veterans: standing::veterans(&people),
            studies: standing::studies(&people),
            deeds: standing::deeds(&people),
            certificates: standing::certificates(&people),
            rulings: standing::rulings(&people),
            updated_on: Day::new(1401, 10, 20).expect("the day of session 38 exists"),
            people,
            places,
            companies,
        }
    }

    /// The person with a national ID.
    #[must_use]
    pub fn person(&self, national_id: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.national_id == national_id)
    }

    /// The company with an entity ID.
    #[must_use]
    pub fn company(&self, entity_id: &str) -> Option<&Company> {
        self.companies.iter().find(|c| c.entity_id == entity_id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_in_the_registers_passes_its_check() {
        let data = Registers::make();
        for person in &data.people {
            assert!(numbers::is_national_id(&person.national_id), "{}", person.national_id);
            assert!(person.iban.as_deref().is_none_or(numbers::is_iban));
            assert!(person.mobile_number.as_deref().is_none_or(numbers::is_mobile_number));
        }
        assert!(data.companies.iter().all(|c| numbers::is_entity_id(&c.entity_id)));
        assert!(data.places.iter().all(|p| numbers::is_postal_code(&p.postal_code)));
        assert!(data.connections.iter().all(|c| numbers::is_bill_id(&c.bill_id)));
        assert!(data.deeds.iter().all(|d| numbers::has_digits(&d.number, 18)));
        assert!(data.rulings.iter().all(|r| numbers::has_digits(&r.number, 18)));
        assert!(data.certificates.iter().all(|c| numbers::has_digits(&c.number, 12)));
        assert!(data.declarations.iter().all(|d| numbers::has_digits(&d.tracking_code, 16)));
    }

    #[test]
    fn no_register_is_empty_and_no_key_is_twice() {
        let data = Registers::make();
        let people: BTreeSet<_> = data.people.iter().map(|p| &p.national_id).collect();
        let codes: BTreeSet<_> = data.places.iter().map(|p| &p.postal_code).collect();
        let bills: BTreeSet<_> = data.connections.iter().map(|c| &c.bill_id).collect();
        assert_eq!([people.len(), codes.len(), bills.len()], [48, 32, 160]);
        let sizes = [data.welfare_clients.len(), data.relief_clients.len(), data.veterans.len(), data.studies.len()];
        assert!(sizes.into_iter().all(|s| s > 0) && data.rulings.len() == 3 && data.declarations.len() == 7);
    }
}
