//! What the ledger does by itself: sums hours up, counts what is unpaired, forgets what is old.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Ledger, rows::TIE_BITS, sums};
use crate::{config, problem::WithSources, store::StoreError};

/// Pause between two rounds, in seconds.
const ROUND_S: u64 = 15;

/// Rounds between two removals of what is old: an hour.
const ROUNDS_A_REMOVAL: u64 = 240;

/// Calls that are counted as unpaired at most: a number beyond says no more, and counting takes time.
const UNPAIRED_COUNTED_MAX: i64 = 100_000;

/// Looks after the ledger until told to stop.
pub async fn keep_up(ledger: Ledger, bounds: config::Ledger, stopping: CancellationToken) {
    let mut ticks = interval(Duration::from_secs(ROUND_S));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0_u64;
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ledger.look_after(&bounds).await {
            tracing::error!(error = %WithSources(&error), "cannot sum up the ledger; trying again in {ROUND_S} s");
        }
        if round.is_multiple_of(ROUNDS_A_REMOVAL)
            && let Err(error) = ledger.forget_old(&bounds).await
        {
            tracing::error!(error = %WithSources(&error), "cannot remove old records; trying again in an hour");
        }
        round += 1;
    }
}

impl Ledger {
    /// Sums up the hours that have ended, and counts what is unpaired.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn look_after(&self, bounds: &config::Ledger) -> Result<(), StoreError> {
        let now_ms = self.store.clock().now_ms();
        while self.writer.write(move |conn| Ok(sums::sum_up(conn, now_ms)?)).await? {}
        let before = self.unpaired_before(bounds.pairing_grace_s);
        let counts = self.readers.read(move |conn| {
            let mut count = conn.prepare_cached(
                "SELECT COUNT(*) FROM (SELECT 1 FROM calls INDEXED BY calls_awaiting \
                 WHERE awaited = ?1 AND awaited <> 0 AND id < ?2 LIMIT ?3)",
            )?;
            let mut of = |side: i64| count.query_row([side, before, UNPAIRED_COUNTED_MAX], |row| row.get::<_, i64>(0));
            Ok([("consumer", of(1)?), ("provider", of(2)?)])
        });
        for (missing, count) in counts.await? {
            self.metrics.unpaired.with_label_values(&[missing]).set(count);
        }
        Ok(())
    }

    /// The row before which a call should have both its accounts.
    fn unpaired_before(&self, grace_s: u32) -> i64 {
        let until_us = self.store.clock().now_ms().saturating_sub(i64::from(grace_s) * 1_000).saturating_mul(1_000);
        until_us.clamp(0, i64::MAX >> TIE_BITS) << TIE_BITS
    }
}
