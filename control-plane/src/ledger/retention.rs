//! Forgets what is older, or more, than the ledger keeps.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Ledger;
use crate::{api::problem::WithSources, config, store::StoreError};

/// Pause between two rounds, in seconds.
const PAUSE_S: u64 = 3_600;

/// Rows that one write removes at most: other writers wait for some milliseconds, not for minutes.
const ROWS_AT_ONCE: i64 = 2_000;

/// Microseconds of a day.
const DAY_US: i64 = 86_400 * 1_000_000;

/// Keeps the ledger within its bounds until told to stop.
pub async fn keep_bounded(ledger: Ledger, bounds: config::Ledger, stopping: CancellationToken) {
    loop {
        if let Err(error) = ledger.forget_old(&bounds).await {
            tracing::error!(error = %WithSources(&error), "cannot remove old records; trying again in {PAUSE_S} s");
        }
        if stopping.run_until_cancelled(sleep(Duration::from_secs(PAUSE_S))).await.is_none() {
            return;
        }
    }
}

impl Ledger {
    /// Removes what is too old, and then the oldest of what is too much. Returns the number of spans removed.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn forget_old(&self, bounds: &config::Ledger) -> Result<u64, StoreError> {
        let now_us = self.store.clock().now_ms().saturating_mul(1_000);
        let by_age_us = now_us.saturating_sub(i64::from(bounds.retention_days) * DAY_US);
        let mut forgotten = self.forget_before(by_age_us).await?;
        let spans: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM spans").fetch_one(self.store.read()).await?;
        let excess = spans.saturating_sub(i64::try_from(bounds.spans_max).unwrap_or(i64::MAX));
        if excess > 0 {
            let by_size_us: Option<i64> =
                sqlx::query_scalar("SELECT started_at_us FROM spans ORDER BY started_at_us LIMIT 1 OFFSET $1")
                    .bind(excess)
                    .fetch_optional(self.store.read())
                    .await?;
            // None: nothing at all may stay.
            forgotten += self.forget_before(by_size_us.unwrap_or(i64::MAX)).await?;
        }
        if forgotten > 0 {
            tracing::info!(spans = forgotten, "removed records that are older than the ledger keeps");
            self.metrics.forgotten.inc_by(forgotten);
        }
        Ok(forgotten)
    }

    async fn forget_before(&self, before_us: i64) -> Result<u64, StoreError> {
        let spans = self.forget("spans", "trace_id, span_id, reporter", before_us).await?;
        self.forget("calls", "call_key", before_us).await?;
        Ok(spans)
    }

    async fn forget(&self, table: &str, key: &str, before_us: i64) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let mut tx = self.store.write().await?;
            let mut sql = sqlx::QueryBuilder::<sqlx::Sqlite>::new("DELETE FROM ");
            sql.push(table).push(" WHERE (").push(key).push(") IN (SELECT ").push(key).push(" FROM ").push(table);
            sql.push(" WHERE started_at_us < ").push_bind(before_us).push(" LIMIT ").push_bind(ROWS_AT_ONCE).push(")");
            let removed = sql.build().execute(tx.conn()).await?.rows_affected();
            tx.commit().await?;
            forgotten += removed;
            if removed == 0 {
                return Ok(forgotten);
            }
        }
    }
}
