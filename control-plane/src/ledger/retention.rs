//! Removes what is older, or more, than the ledger keeps.

use chapar_core::time::Timestamp;

use super::{Ledger, key::CallKey};
use crate::{
    config,
    store::{AuditEntry, SYSTEM, StoreError},
};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// How the audit names an eviction. Audits from before the word was settled have the other.
pub(super) const AUDIT_ACTION: &str = "ledger.evict";
pub(super) const AUDIT_ACTION_FORMER: &str = "ledger.forget";

impl Ledger {
    /// Removes what is too old, and then the oldest of what is too much. Returns the number of spans removed.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn evict_old(&self, bounds: &config::Ledger) -> Result<u64, StoreError> {
        let now = self.now();
        let mut spans = 0;
        let mut before = CallKey::first_at_us(0);
        for eviction in evictions_by_age(bounds, now) {
            let evicted = self.evict(&eviction).await?;
            if evicted > 0 {
                before = before.max(eviction.before);
            }
            spans += evicted;
        }
        let others_before = days_before(now, bounds.retention_days_max());
        let others = self.evict_others(others_before).await?;
        while let Some(excess_before) = self.store.excess(bounds.spans_max, bounds.bytes_max).await? {
            let more = self.evict(&Eviction { before: excess_before, kinds: Kinds::AllBut(Vec::new()) }).await?;
            if more == 0 {
                break;
            }
            spans += more;
            before = before.max(excess_before);
        }
        let before_ms = before.started_at_us() / 1_000;
        let before_ms = if others > 0 { before_ms.max(others_before.unix_ms()) } else { before_ms };
        let spans = spans + others;
        if spans > 0 {
            // So that what retention removed can be told from what somebody else did.
            let details = serde_json::json!({ "spans": spans, "beforeMs": before_ms });
            self.audit.audit(AuditEntry::done(SYSTEM, AUDIT_ACTION, "spans").with(details)).await?;
            tracing::info!(spans, "removed records that are older, or more, than the ledger keeps");
            self.metrics.evicted(spans);
        }
        Ok(spans)
    }

    async fn evict(&self, which: &Eviction) -> Result<u64, StoreError> {
        let mut spans = 0;
        loop {
            let evicted = self.store.evict_calls(which).await?;
            spans += evicted.spans;
            if !evicted.more {
                return Ok(spans);
            }
        }
    }

    async fn evict_others(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut spans = 0;
        loop {
            let evicted = self.store.evict_other_spans(before).await?;
            spans += evicted.spans;
            if !evicted.more {
                return Ok(spans);
            }
        }
    }
}

/// Each kind with days of its own, then all others.
fn evictions_by_age(bounds: &config::Ledger, now: Timestamp) -> Vec<Eviction> {
    let before = |days: u32| CallKey::first_at_us(days_before(now, days).unix_ms().saturating_mul(1_000));
    let by_kind = &bounds.retention_days_by_kind;
    let own = by_kind.iter().map(|(kind, days)| Eviction { before: before(*days), kinds: Kinds::Only(kind.clone()) });
    let others = Kinds::AllBut(by_kind.keys().cloned().collect());
    own.chain([Eviction { before: before(bounds.retention_days), kinds: others }]).collect()
}

fn days_before(now: Timestamp, days: u32) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms().saturating_sub(i64::from(days).saturating_mul(DAY_MS)))
}

/// Which calls are to be evicted: those below a key, of a kind or of all but some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Eviction {
    pub(super) before: CallKey,
    pub(super) kinds: Kinds,
}

/// Kinds of inquiries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    Only(String),
    AllBut(Vec<String>),
}

/// What one step evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evicted {
    pub(super) spans: u64,
    /// Whether there may be more of the kind.
    pub(super) more: bool,
}
