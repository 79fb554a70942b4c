//! Reads the facts from the store, by the views of those who own them.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::Facts;
use crate::store::{Store, StoreError};

/// The present state. The revision is read first: what is read after it may be newer, and is then told once more under
/// its own revision; what a sidecar acknowledges is never older than the revision says.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn facts(store: &Store, trust_domain: &str) -> Result<Facts, StoreError> {
    let revision = store.revision().await?;
    let agencies = agencies(store).await?;
    Ok(Facts { revision, agencies, trust_domain: trust_domain.to_owned(), ..Facts::default() })
}

/// Agencies that the policy names, with the reason of a suspension.
async fn agencies(store: &Store) -> Result<BTreeMap<String, Option<String>>, StoreError> {
    let rows = sqlx::query("SELECT name, suspended_at_ms, suspension_reason FROM agencies WHERE removed_at_ms IS NULL")
        .fetch_all(store.read())
        .await?;
    let mut agencies = BTreeMap::new();
    for row in rows {
        let suspended: Option<i64> = row.try_get("suspended_at_ms")?;
        let reason: Option<String> = row.try_get("suspension_reason")?;
        agencies.insert(row.try_get("name")?, suspended.map(|_| reason.unwrap_or_default()));
    }
    Ok(agencies)
}
