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
    /// Removes what is too old, and then what is too much. Returns the number of spans removed.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn evict_old(&self, bounds: &config::Ledger) -> Result<u64, StoreError> {
        let now = self.now();
        let mut evicted = Removed::default();
        for eviction in evictions_by_age(bounds, now) {
            evicted.add(self.evict_all(|| self.store.evict_calls(&eviction)).await?);
        }
        let others_before = days_before(now, bounds.retention_days_max());
        evicted.add(self.evict_all(|| self.store.evict_other_spans(others_before)).await?);
        let evicted = self.evicted(evicted).await?;
        Ok(evicted + self.evict_excess(bounds).await?)
    }

    /// Removes what is too much: the oldest of whoever takes most, step by step. Returns the number of spans removed.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn evict_excess(&self, bounds: &config::Ledger) -> Result<u64, StoreError> {
        let evicted = self.evict_all(|| self.store.evict_excess(bounds.spans_max, bounds.bytes_max)).await?;
        self.evicted(evicted).await
    }

    async fn evicted(&self, removed: Removed) -> Result<u64, StoreError> {
        let Removed { spans, newest } = removed;
        if spans > 0 {
            // So that what retention removed can be told from what somebody else did.
            let before_ms = newest.unix_ms().saturating_add(1);
            let details = serde_json::json!({ "spans": spans, "beforeMs": before_ms });
            self.audit.audit(AuditEntry::done(SYSTEM, AUDIT_ACTION, "spans").with(details)).await?;
            tracing::info!(spans, "removed records that are older, or more, than the ledger keeps");
            self.metrics.evicted(spans);
        }
        Ok(spans)
    }

    /// Evicts step by step until there is no more.
    async fn evict_all<F>(&self, mut step: impl FnMut() -> F) -> Result<Removed, StoreError>
    where
        F: Future<Output = Result<Evicted, StoreError>>,
    {
        let mut removed = Removed::default();
        loop {
            let evicted = step().await?;
            removed.add(Removed { spans: evicted.spans, newest: evicted.newest });
            if !evicted.more {
                return Ok(removed);
            }
        }
    }
}

/// What was evicted so far.
#[derive(Clone, Copy, Debug)]
struct Removed {
    spans: u64,
    newest: Timestamp,
}

impl Default for Removed {
    fn default() -> Self {
        Self { spans: 0, newest: Timestamp::from_unix_ms(0) }
    }
}

impl Removed {
    fn add(&mut self, more: Self) {
        self.spans += more.spans;
        self.newest = self.newest.max(more.newest);
    }
}

/// Each kind with days of its own, then all others.
fn evictions_by_age(bounds: &config::Ledger, now: Timestamp) -> Vec<Eviction> {
    let before = |days: u32| CallKey::first_at(days_before(now, days));
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
    /// When the newest of them came in.
    pub(super) newest: Timestamp,
    /// Whether there may be more of the kind.
    pub(super) more: bool,
}
