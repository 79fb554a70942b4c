//! Certificates and enrolment tokens are purged long after their end. Who was given what stays in the audit.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    problem::WithSources,
    store::{Store, StoreError},
};

/// How long a certificate or token is listed after its end, in milliseconds: 90 days, the longest life of an admin's
/// certificate, so that whoever looks into an incident still finds what its traces name.
const KEPT_AFTER_END: Duration = Duration::from_secs(90 * 86_400);

/// Pause between two rounds, in seconds.
const PAUSE_S: u64 = 3_600;

/// Rows that one write removes at most: other writers wait for some milliseconds, not for minutes.
const ROWS_AT_ONCE: i64 = 2_000;

/// Writes of one round at most for each table: what is left waits for the next round, an hour later. That is more than a
/// hundred thousand sidecars, renewing twice a day, leave behind.
const WRITES_A_ROUND: usize = 10;

/// What one round removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Certificates.
    pub certificates: u64,
    /// Enrolment tokens.
    pub tokens: u64,
}

/// Purges round by round until told to stop.
pub async fn run(store: Store, stopping: CancellationToken) {
    loop {
        if store.changes().leads().await {
            round(&store).await;
        }
        if stopping.run_until_cancelled(sleep(Duration::from_secs(PAUSE_S))).await.is_none() {
            return;
        }
    }
}

async fn round(store: &Store) {
    match purge_ended(store).await {
        Ok(Purged { certificates: 0, tokens: 0 }) => {}
        Ok(Purged { certificates, tokens }) => {
            tracing::info!(certificates, tokens, "removed certificates and tokens that ended long ago");
        }
        Err(error) => {
            tracing::error!(error = %WithSources(&error), "cannot remove what ended long ago; trying again in {PAUSE_S} s");
        }
    }
}

/// One round. A revoked certificate has left all snapshots at its end, so nobody refuses less for its being purged.
///
/// # Errors
/// When the store cannot be written; what was removed until then stays so.
pub async fn purge_ended(store: &Store) -> Result<Purged, StoreError> {
    let before = store.clock().now().saturating_sub(KEPT_AFTER_END);
    let mut purged = Purged::default();
    for _ in 0..WRITES_A_ROUND {
        let mut tx = store.write().await?;
        let certificates = tx.purge_certificates(before, ROWS_AT_ONCE).await?;
        tx.commit().await?;
        purged.certificates += certificates;
        if certificates < ROWS_AT_ONCE.unsigned_abs() {
            break;
        }
    }
    for _ in 0..WRITES_A_ROUND {
        let mut tx = store.write().await?;
        let tokens = tx.purge_tokens(before, ROWS_AT_ONCE).await?;
        tx.commit().await?;
        purged.tokens += tokens;
        if tokens < ROWS_AT_ONCE.unsigned_abs() {
            break;
        }
    }
    Ok(purged)
}

#[cfg(test)]
mod tests;
