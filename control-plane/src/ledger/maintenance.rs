//! What the ledger does by itself: sums hours up, counts what is unpaired, looks into claims, removes what is old.

use std::time::Duration;

use chapar_core::policy::Side;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Ledger;
use crate::{config, problem::WithSources, store::StoreError};

/// Pause between two rounds, in seconds: what a flood brings in meanwhile is some hundred MB at most.
const ROUND_S: u64 = 5;

/// Rounds between two removals of what is old: an hour.
const ROUNDS_A_REMOVAL: u64 = 720;

/// Calls that are counted as unpaired at most: a number beyond says no more, and counting takes time.
const UNPAIRED_COUNTED_MAX: u32 = 100_000;

/// Looks after the ledger until told to stop.
pub async fn run(ledger: Ledger, bounds: config::Ledger, stopping: CancellationToken) {
    let mut ticks = interval(Duration::from_secs(ROUND_S));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0_u64;
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = ledger.sum_up(&bounds).await {
            tracing::error!(error = %WithSources(&error), "cannot sum up the ledger; trying again in {ROUND_S} s");
        }
        if let Err(error) = ledger.check_claims().await {
            tracing::error!(error = %WithSources(&error), "cannot look into what accounts claim; trying again in {ROUND_S} s");
        }
        if let Err(error) = ledger.evict_excess(&bounds).await {
            tracing::error!(error = %WithSources(&error), "cannot remove what is too much; trying again in {ROUND_S} s");
        }
        if round.is_multiple_of(ROUNDS_A_REMOVAL)
            && let Err(error) = ledger.evict_old(&bounds).await
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
    pub async fn sum_up(&self, bounds: &config::Ledger) -> Result<(), StoreError> {
        let now = self.now();
        while self.store.sum_up(now).await? {}
        let before = self.unpaired_before(bounds.pairing_grace_s);
        for side in [Side::Consumer, Side::Provider] {
            let count = self.store.count_awaiting(side, before, UNPAIRED_COUNTED_MAX).await?;
            self.metrics.unpaired.with_label_values(&[side.as_str()]).set(count);
        }
        Ok(())
    }
}
