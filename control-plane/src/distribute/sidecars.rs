//! What is known of sidecars, kept over restarts.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::recipients::{Recipients, SidecarStatus};
use crate::{
    problem::WithSources,
    store::{Store, StoreError},
};

/// Pause between two writes of what changed, in milliseconds: acknowledgements of a whole fleet become one write. It is for
/// the admin's list only, so a crash may lose this much.
const SAVE_PAUSE_MS: u64 = 1_000;

/// Everyone that was ever connected.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn read(store: &Store) -> Result<Vec<SidecarStatus>, StoreError> {
    let rows = sqlx::query("SELECT * FROM sidecars").fetch_all(store.read()).await?;
    rows.iter().map(|row| status_of(row).map_err(StoreError::from)).collect()
}

fn status_of(row: &sqlx::sqlite::SqliteRow) -> Result<SidecarStatus, sqlx::Error> {
    let revision = |column| row.try_get::<i64, _>(column).map(|held| u64::try_from(held).unwrap_or_default());
    Ok(SidecarStatus {
        spiffe_id: row.try_get("spiffe_id")?,
        agency: row.try_get("agency")?,
        connected: false,
        seen_at_ms: row.try_get("seen_at_ms")?,
        software_version: row.try_get("software_version")?,
        sent_revision: revision("sent_revision")?,
        acknowledged_revision: revision("acknowledged_revision")?,
        policy_version: revision("policy_version")?,
        problem: row.try_get("problem")?,
    })
}

/// Writes what changed, now and then, and once more at the end.
pub(crate) async fn keep_saved(recipients: Recipients, store: Store, stopping: CancellationToken) {
    loop {
        let last = stopping.run_until_cancelled(sleep(Duration::from_millis(SAVE_PAUSE_MS))).await.is_none();
        let unsaved = recipients.take_unsaved();
        if let Err(error) = save(&store, &unsaved).await {
            tracing::error!(error = %WithSources(&error), "cannot save what is known of sidecars");
            recipients.unsaved(&unsaved);
        }
        if last {
            return;
        }
    }
}

async fn save(store: &Store, statuses: &[SidecarStatus]) -> Result<(), StoreError> {
    if statuses.is_empty() {
        return Ok(());
    }
    let mut tx = store.write().await?;
    for status in statuses {
        sqlx::query(
            "INSERT INTO sidecars (spiffe_id, agency, seen_at_ms, software_version, sent_revision, \
             acknowledged_revision, policy_version, problem) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (spiffe_id) DO UPDATE SET agency = $2, seen_at_ms = $3, software_version = $4, \
             sent_revision = $5, acknowledged_revision = $6, policy_version = $7, problem = $8",
        )
        .bind(&status.spiffe_id)
        .bind(&status.agency)
        .bind(status.seen_at_ms)
        .bind(&status.software_version)
        .bind(i64::try_from(status.sent_revision).unwrap_or(i64::MAX))
        .bind(i64::try_from(status.acknowledged_revision).unwrap_or(i64::MAX))
        .bind(i64::try_from(status.policy_version).unwrap_or(i64::MAX))
        .bind(&status.problem)
        .execute(tx.conn())
        .await?;
    }
    tx.commit().await
}
