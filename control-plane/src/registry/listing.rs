//! Passports as admins see them: what is stored, with what its descriptors say.

use std::collections::{BTreeSet, HashMap};

use chapar_core::passport::{Change, Passport, ServicePassport};

use super::{RegistryError, Which, lifecycle, passports};
use crate::{
    page::Page,
    store::{PassportFilter, PassportRow, Read, Store},
};

/// Other agencies that are named beside one passport; who wants more lists the drafts.
const RIVALS_MAX: usize = 16;

/// Separates the parts of a page's key; in none of them.
const KEY_SEPARATOR: char = ' ';

/// A passport of one service.
#[derive(Clone, Debug)]
pub struct Described {
    /// As it is stored.
    pub row: PassportRow,
    /// What its descriptors say.
    pub service: Option<ServicePassport>,
    /// Other agencies whose passport of the same gRPC service is a draft, submitted or in force; the first of them.
    pub also_drafted_by: Vec<String>,
}

/// Passports in the order of agency, service and version, and the token of the next page. The page ends early where the answer would
/// be too long; `bytes` tells what one passport takes of it.
///
/// # Errors
/// When the store cannot be read, or holds a passport that is none.
pub async fn list(
    store: &Store,
    filter: PassportFilter,
    page: &Page,
    bytes: impl Fn(&Described) -> usize,
) -> Result<(Vec<Described>, String), RegistryError> {
    let filter = PassportFilter { after: page.after.as_deref().and_then(parts_of), ..filter };
    let mut reader = store.reader().await?;
    let mut rows = reader.passports(&filter, page.size + 1).await?;
    let next = page.cut(&mut rows, key);
    let mut passports = describe(&mut *reader, rows.clone()).await?;
    let fitting = page.fitting(passports.iter().map(bytes));
    if fitting.size >= passports.len() {
        return Ok((passports, next));
    }
    passports.truncate(fitting.size);
    let next = fitting.cut(&mut rows, key);
    Ok((passports, next))
}

/// The one passport with this version, or the beginning of one, and its bytes.
///
/// # Errors
/// [`RegistryError::PassportUnknown`]; [`RegistryError::Argument`] when the service must be named.
pub async fn one(store: &Store, which: &Which) -> Result<(Option<Described>, Vec<u8>), RegistryError> {
    let mut reader = store.reader().await?;
    let mut rows = passports::find(&mut *reader, &which.version, &which.grpc_service, &which.agency).await?;
    passports::refuse_several_agencies(&rows)?;
    if rows.len() > 1 {
        let names: Vec<&str> = rows.iter().map(|row| row.grpc_service.as_str()).collect();
        return Err(RegistryError::Argument(format!("the descriptor set describes {}; name one of them", names.join(", "))));
    }
    rows.truncate(1);
    let bytes = match rows.first() {
        Some(row) => passports::descriptor_set(&mut *reader, &row.version).await?,
        None => Vec::new(),
    };
    Ok((describe(&mut *reader, rows).await?.pop(), bytes))
}

/// The rows with what their descriptors say.
///
/// # Errors
/// When the store cannot be read, or holds a passport that is none.
pub async fn described(store: &Store, rows: Vec<PassportRow>) -> Result<Vec<Described>, RegistryError> {
    describe(&mut *store.reader().await?, rows).await
}

/// What one passport changes in another; `from` empty: in the one in force of the other's service.
///
/// # Errors
/// When one of them does not exist.
pub async fn compared(store: &Store, from: &str, to: &Which) -> Result<Vec<Change>, RegistryError> {
    lifecycle::changes(&mut *store.reader().await?, from, to).await
}

/// Every descriptor set is read once.
async fn describe(reader: &mut dyn Read, rows: Vec<PassportRow>) -> Result<Vec<Described>, RegistryError> {
    let mut read: HashMap<String, Passport> = HashMap::new();
    let services: BTreeSet<&str> = rows.iter().map(|row| row.grpc_service.as_str()).collect();
    let mut holders: HashMap<String, Vec<String>> = HashMap::new();
    for (service, agency) in reader.holders_of_services(&services.into_iter().collect::<Vec<_>>()).await? {
        holders.entry(service).or_default().push(agency);
    }
    let mut described = Vec::with_capacity(rows.len());
    for row in rows {
        if !read.contains_key(&row.version) {
            read.insert(row.version.clone(), passports::read_whole(&mut *reader, &row.version).await?);
        }
        let service = read.get(&row.version).and_then(|passport| passport.service(&row.grpc_service)).cloned();
        let others = holders.get(&row.grpc_service).into_iter().flatten().filter(|agency| **agency != row.agency);
        let also_drafted_by = others.take(RIVALS_MAX).cloned().collect();
        described.push(Described { row, service, also_drafted_by });
    }
    Ok(described)
}

fn key(row: &PassportRow) -> String {
    [row.agency.as_str(), &row.grpc_service, &row.version].join(&KEY_SEPARATOR.to_string())
}

fn parts_of(key: &str) -> Option<(String, String, String)> {
    let mut parts = key.split(KEY_SEPARATOR).map(str::to_owned);
    Some((parts.next()?, parts.next()?, parts.next()?))
}
