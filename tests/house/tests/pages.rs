//! What the documentation says of the repository is so.

use anyhow::Result;
use chapar_house::{CRATES, faults::Faults, page, repository, resolve::Read, source::Source};

#[test]
fn every_file_that_a_page_names_exists() -> Result<(), Faults> {
    Faults::none("These files are named, and do not exist.", &page::dead_files(&repository())?)
}

#[test]
fn every_item_that_a_page_names_exists() -> Result<(), Faults> {
    let crates = CRATES.iter().map(|folder| Ok(Read::new(Source::read(&repository(), folder)?))).collect::<Result<Vec<_>>>()?;
    Faults::none("These modules and items are named, and do not exist.", &page::dead_items(&repository(), &crates)?)
}

#[test]
fn every_function_that_a_page_names_by_its_file_exists() -> Result<(), Faults> {
    Faults::none("These functions are named, and are not in the file.", &page::dead_functions(&repository())?)
}

#[test]
fn every_metric_that_a_page_names_exists() -> Result<(), Faults> {
    Faults::none("These metrics are named, and no program has them.", &page::dead_metrics(&repository())?)
}

#[test]
fn decision_records_are_numbered_and_listed() -> Result<(), Faults> {
    Faults::none(
        "Decision records have one numbering, a status, and a line in the table.",
        &page::faults_of_records(&repository())?,
    )
}
