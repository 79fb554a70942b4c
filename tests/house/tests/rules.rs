//! Bounds on what one file, function and type may hold, and where some things may be named at all.

use std::path::Path;

use chapar_house::{CRATES, database, faults::Faults, key, repository, resolve::Read, size, source::Source};

#[test]
fn only_stores_name_a_database() -> Result<(), Faults> {
    let found: Vec<String> = database::outside(&repository())?.iter().map(|file| file.display().to_string()).collect();
    let [store, ledger, _] = database::HOMES;
    let rule =
        format!("Only files under {store} and {ledger} name {}; ask through their traits.", database::LIBRARIES.join(" or "));
    Faults::none(&rule, &found)
}

#[test]
fn no_type_has_too_many_methods() -> Result<(), Faults> {
    let mut found = Vec::new();
    for folder in CRATES {
        let read = Read::new(Source::read(&repository(), folder)?);
        let many = size::methods(&read).into_iter().filter(|(_, count)| *count > size::METHODS_MAX);
        found.extend(many.map(|(name, count)| format!("{folder}: {name} has {count}")));
    }
    let rule = format!(
        "A type has at most {} methods of its own, and a trait as many; give parts of it owners of their own.",
        size::METHODS_MAX
    );
    Faults::none(&rule, &found)
}

#[test]
fn the_relay_has_a_type_for_every_key() -> Result<(), Faults> {
    let found = key::bare(&Read::new(Source::read(&repository(), "sidecar/relay/src")?));
    Faults::none("A connection, a call and an endpoint of the relay have keys of their own types; these are a bare u32.", &found)
}

#[test]
fn files_are_read_in_one_sitting() -> Result<(), Faults> {
    let mut found = Vec::new();
    for file in size::rust_files(&repository())? {
        let length = size::of_file(&repository(), &file)?;
        if length.lines > size::FILE_LINES_MAX {
            found.push(format!("{}: {} lines", length.what, length.lines));
        }
    }
    Faults::none(&format!("A file has at most {} lines.", size::FILE_LINES_MAX), &found)
}

#[test]
fn functions_fit_on_a_screen() -> Result<(), Faults> {
    let mut found = Vec::new();
    for file in size::rust_files(&repository())? {
        let long = size::of_functions(&repository(), &file)?.into_iter().filter(|length| length.lines > size::FUNCTION_LINES_MAX);
        found.extend(long.map(|length| format!("{}: {} lines", length.what, length.lines)));
    }
    Faults::none(&format!("A function has at most {} lines.", size::FUNCTION_LINES_MAX), &found)
}

#[test]
fn modules_have_one_style() -> Result<(), Faults> {
    let files = size::rust_files(&repository())?;
    // Beside integration tests foo.rs would be a test of its own.
    let is_shared_by_tests = |file: &Path| file.parent().and_then(Path::parent).is_some_and(|folder| folder.ends_with("tests"));
    let found = files.iter().filter(|file| file.ends_with("mod.rs") && !is_shared_by_tests(file));
    let found: Vec<String> = found.map(|file| file.display().to_string()).collect();
    Faults::none("A module with children is foo.rs beside foo/, never foo/mod.rs.", &found)
}
