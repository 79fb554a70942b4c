//! Forgets certificates and enrolment tokens long after their end. Who was given what stays in the audit.

use std::time::Duration;

use sqlx::{QueryBuilder, Sqlite};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    problem::WithSources,
    store::{Store, StoreError},
};

/// How long a certificate or token is listed after its end, in milliseconds: 90 days, the longest life of an admin's
/// certificate, so that whoever looks into an incident still finds what its traces name.
const KEPT_AFTER_END_MS: i64 = 90 * 86_400 * 1_000;

/// Pause between two rounds, in seconds.
const PAUSE_S: u64 = 3_600;

/// Rows that one write removes at most: other writers wait for some milliseconds, not for minutes.
const ROWS_AT_ONCE: u64 = 2_000;

/// Writes of one round at most for each table: what is left waits for the next round, an hour later. That is more than a
/// hundred thousand sidecars, renewing twice a day, leave behind.
const WRITES_A_ROUND: usize = 10;

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub certificates: u64,
    pub tokens: u64,
}

/// Forgets round by round until told to stop.
pub async fn keep_forgetting(store: Store, stopping: CancellationToken) {
    loop {
        match forget_ended(&store).await {
            Ok(Forgotten { certificates: 0, tokens: 0 }) => {}
            Ok(Forgotten { certificates, tokens }) => {
                tracing::info!(certificates, tokens, "removed certificates and tokens that ended long ago");
            }
            Err(error) => {
                tracing::error!(error = %WithSources(&error), "cannot remove what ended long ago; trying again in {PAUSE_S} s");
            }
        }
        if stopping.run_until_cancelled(sleep(Duration::from_secs(PAUSE_S))).await.is_none() {
            return;
        }
    }
}

/// One round. A revoked certificate has left all snapshots at its end, so nobody refuses less for its being forgotten.
///
/// # Errors
/// When the store cannot be written; what was removed until then stays so.
pub async fn forget_ended(store: &Store) -> Result<Forgotten, StoreError> {
    let before_ms = store.clock().now_ms().saturating_sub(KEPT_AFTER_END_MS);
    Ok(Forgotten {
        certificates: forget(store, "certificates", "serial", "not_after_ms", before_ms).await?,
        tokens: forget(store, "enrolment_tokens", "id", "expires_at_ms", before_ms).await?,
    })
}

async fn forget(store: &Store, table: &str, key: &str, end: &str, before_ms: i64) -> Result<u64, StoreError> {
    let mut forgotten = 0;
    for _ in 0..WRITES_A_ROUND {
        let mut tx = store.write().await?;
        let mut sql = QueryBuilder::<Sqlite>::new("DELETE FROM ");
        sql.push(table).push(" WHERE ").push(key).push(" IN (SELECT ").push(key).push(" FROM ").push(table);
        sql.push(" WHERE ").push(end).push(" <= ").push_bind(before_ms);
        sql.push(" ORDER BY ").push(end).push(" LIMIT ").push_bind(i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX)).push(")");
        let removed = sql.build().execute(tx.conn()).await?.rows_affected();
        tx.commit().await?;
        forgotten += removed;
        if removed < ROWS_AT_ONCE {
            break;
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests;
