//! Which fields of a request name the data subject, as the approved passport says.

use super::{RegistryError, passports};
use crate::store::Store;

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
