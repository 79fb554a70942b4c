//! The law: a request is traceable, and what it says about a person is not kept (regulation, article 3, note 2). After a
//! run, none of the numbers, names and addresses that the calls carried may be in any database, spool, log or other file of the mesh.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::data::{Registers, places::Place};

/// What was searched, and what should not have been there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Files that were read.
    pub files: usize,
    /// Bytes that were read.
    pub bytes: usize,
    /// File and number of each find.
    pub found: Vec<String>,
}

/// Searches every file below `folder` for the numbers of people, companies, accounts and connections in the registers.
///
/// # Errors
/// When a file cannot be read.
pub fn search(folder: &Path, data: &Registers) -> Result<Search> {
    let numbers = numbers(data);
    let texts = texts(data);
    let lengths: BTreeSet<usize> = numbers.iter().map(|n| n.len()).collect();
    let mut search = Search::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
                search.files += 1;
                search.bytes += content.len();
                let found = found_in(&content, &numbers, &lengths);
                search.found.extend(found.into_iter().map(|number| format!("{number} in {}", entry.path().display())));
                let content = String::from_utf8_lossy(&content);
                let found = texts.iter().filter(|text| content.contains(text.as_str()));
                search.found.extend(found.map(|text| format!("{text} in {}", entry.path().display())));
            }
        }
    }
    Ok(search)
}

/// The digits of every number that a request or a response may carry.
fn numbers(data: &Registers) -> BTreeSet<&[u8]> {
    let mut numbers: BTreeSet<&[u8]> = BTreeSet::new();
    for person in &data.people {
        numbers.insert(person.national_id.as_bytes());
        numbers.extend(person.mobile_number.as_deref().map(str::as_bytes));
        numbers.extend(person.iban.as_deref().map(|iban| iban.trim_start_matches("IR").as_bytes()));
    }
    numbers.extend(data.companies.iter().map(|c| c.entity_id.as_bytes()));
    numbers.extend(data.connections.iter().map(|c| c.bill_id.as_bytes()));
    numbers.extend(data.places.iter().map(|p| p.postal_code.as_bytes()));
    numbers.extend(data.deeds.iter().map(|d| d.number.as_bytes()));
    numbers.extend(data.certificates.iter().map(|c| c.number.as_bytes()));
    numbers.extend(data.rulings.iter().map(|r| r.number.as_bytes()));
    numbers
}

/// What only responses say: family names, which no title of the mesh holds, and addresses.
fn texts(data: &Registers) -> BTreeSet<String> {
    let names = data.people.iter().map(|person| person.family_name.to_owned());
    names.chain(data.places.iter().map(Place::description)).collect()
}

/// In binary files digits may touch a number on both sides, so each place in a row of digits is looked at.
fn found_in<'a>(content: &'a [u8], numbers: &BTreeSet<&[u8]>, lengths: &BTreeSet<usize>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for row in content.split(|byte| !byte.is_ascii_digit()) {
        for length in lengths {
            let hits = row.windows(*length).filter(|window| numbers.contains(window));
            found.extend(hits.filter_map(|window| std::str::from_utf8(window).ok()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_number_in_a_log_and_amid_other_digits() {
        let data = Registers::make();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inner = folder.path().join("sidecar");
        fs::create_dir(&inner).expect("a folder");
        let id = &data.people[7].national_id;
        fs::write(inner.join("log"), format!("{{\"level\":\"INFO\",\"asked\":\"{id}\"}}")).expect("a file");
        let iban = data.people[3].iban.clone().expect("grown-ups have one");
        fs::write(folder.path().join("chapar.db"), format!("\u{0}2{iban}7\u{0}")).expect("a file");
        let search = search(folder.path(), &data).expect("readable");
        assert_eq!((search.files, search.found.len()), (2, 2), "{:?}", search.found);
    }

    #[test]
    fn finds_what_a_response_says_in_words() {
        let data = Registers::make();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = [data.people[3].family_name.to_owned(), data.places[1].description()];
        fs::write(folder.path().join("1.seg"), [&b"\xff\x01"[..], said.join(" ").as_bytes()].concat()).expect("a file");
        let search = search(folder.path(), &data).expect("readable");
        assert_eq!(search.found.len(), 2, "{:?}", search.found);
    }

    #[test]
    fn finds_nothing_where_there_is_nothing() {
        let data = Registers::make();
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("log"), "1763791234567000123 · 0499370899 · 38-1/4/ipm/shahkar").expect("a file");
        let search = search(folder.path(), &data).expect("readable");
        assert_eq!((search.files, search.found.len()), (1, 0));
    }
}
