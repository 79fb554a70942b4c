//! Finding stored passports, and reading them.

use std::collections::BTreeSet;

use chapar_core::passport::{Passport, PassportError, PassportVersion, ServicePassport};

use super::{RegistryError, passports};
use crate::store::{PassportRow, Read, Store, StoreError};

/// Fewest digits of a version that may stand for it: fewer would soon name several.
const PREFIX_DIGITS_MIN: usize = 8;

/// The passports with this version, or with the one that begins so; of one service and of one agency where
/// they are named.
///
/// # Errors
/// [`RegistryError::PassportUnknown`] and, when the digits are too few or name several, [`RegistryError::Argument`].
pub async fn find(
    reader: &mut dyn Read,
    prefix: &str,
    grpc_service: &str,
    agency: &str,
) -> Result<Vec<PassportRow>, RegistryError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if prefix.len() < PREFIX_DIGITS_MIN || prefix.len() > PassportVersion::DIGITS || !prefix.bytes().all(is_digit) {
        return Err(RegistryError::Argument(format!(
            "{prefix:?} is no passport version; expected {PREFIX_DIGITS_MIN} to {} lowercase hexadecimal digits",
            PassportVersion::DIGITS
        )));
    }
    let rows = reader.passports_with_prefix(prefix).await?;
    let Some(first) = rows.first() else {
        return Err(RegistryError::PassportUnknown(format!("no passport has a version that begins with {prefix}")));
    };
    if let Some(other) = rows.iter().find(|row| row.version != first.version) {
        return Err(RegistryError::Argument(format!(
            "{prefix} begins several versions, such as {} and {}; give more digits",
            first.version, other.version
        )));
    }
    let version = first.version.clone();
    let of_service: Vec<PassportRow> =
        rows.into_iter().filter(|row| grpc_service.is_empty() || row.grpc_service == grpc_service).collect();
    if of_service.is_empty() {
        return Err(RegistryError::PassportUnknown(format!("the passport {version} does not describe {grpc_service}")));
    }
    let of_agency: Vec<PassportRow> = of_service.into_iter().filter(|row| agency.is_empty() || row.agency == agency).collect();
    if of_agency.is_empty() {
        return Err(RegistryError::PassportUnknown(format!("{agency} has no passport {version}")));
    }
    Ok(of_agency)
}

/// The same bytes may be drafts of several agencies: who acts on one of them says whose.
pub(super) fn refuse_several_agencies(rows: &[PassportRow]) -> Result<(), RegistryError> {
    let agencies: BTreeSet<&str> = rows.iter().map(|row| row.agency.as_str()).collect();
    if agencies.len() <= 1 {
        return Ok(());
    }
    let agencies: Vec<_> = agencies.into_iter().collect();
    Err(RegistryError::Argument(format!("several agencies drafted this passport: {}; name the one meant", agencies.join(", "))))
}

/// The bytes of a passport.
///
/// # Errors
/// When the store cannot be read or lacks them.
pub(super) async fn descriptor_set(reader: &mut dyn Read, version: &str) -> Result<Vec<u8>, StoreError> {
    let bytes = reader.descriptor_set(version).await?;
    bytes.ok_or_else(|| StoreError::broken(format!("passport {version}"), "its bytes are missing"))
}

/// A stored passport's service, read again.
pub(super) async fn read_stored(
    reader: &mut dyn Read,
    version: &str,
    grpc_service: &str,
) -> Result<ServicePassport, RegistryError> {
    let passport = read_whole(reader, version).await?;
    let service = passport.service(grpc_service).cloned();
    let missing = || StoreError::broken(format!("passport {version}"), format!("it does not describe {grpc_service}"));
    Ok(service.ok_or_else(missing)?)
}

/// A stored passport with all its services, read again.
pub(super) async fn read_whole(reader: &mut dyn Read, version: &str) -> Result<Passport, RegistryError> {
    let bytes = descriptor_set(reader, version).await?;
    let passport = parse(bytes).await?;
    Ok(passport.map_err(|error| StoreError::broken(format!("passport {version}"), error))?)
}

/// Reads a descriptor set away from the threads that serve calls: four foreign megabytes take a while.
pub(super) async fn parse(bytes: Vec<u8>) -> Result<Result<Passport, PassportError>, tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || Passport::parse(&bytes)).await
}

/// Reads passports again that were stored before subject fields were.
///
/// # Errors
/// When the store cannot be read or written, or holds a passport that is none.
pub async fn fill_in_subjects(store: &Store) -> Result<(), RegistryError> {
    let mut tx = store.write().await?;
    let unread = tx.passports_without_subjects().await?;
    if unread.is_empty() {
        return Ok(());
    }
    for (version, grpc_service) in unread {
        let service = passports::read_stored(tx.read(), &version, &grpc_service).await?;
        for inquiry in &service.inquiries {
            tx.set_subjects(&version, &grpc_service, inquiry).await?;
        }
    }
    tx.next_revision().await?;
    tx.commit().await?;
    Ok(())
}
