//! Audits what is refused, without letting it fill the audit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chapar_core::{identity::SpiffeId, time::Timestamp};

use super::intake::Ingested;
use crate::store::AuditEntry;

/// Rejections of one reporter are audited at most this often, in milliseconds: a broken or hostile sidecar must not fill the
/// audit. What is left out is counted in the next entry.
const PAUSE_MS: i64 = 10_000;

/// What of each reporter was audited; one entry a sidecar that ever sent something wrong. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<HashMap<String, LastAudited>>>);

#[derive(Debug)]
struct LastAudited {
    at: Timestamp,
    left_out: u64,
}

impl Refusals {
    /// The entry to be audited now. `None`: nothing was refused, or the reporter was audited a moment ago.
    pub(super) fn entry_for(&self, reporter: &SpiffeId, ingested: &Ingested, now: Timestamp) -> Option<AuditEntry> {
        let first = ingested.rejected.first()?;
        let reporter = reporter.to_string();
        let refused = u64::try_from(ingested.rejected.len()).unwrap_or(u64::MAX);
        // An entry in the map is one number and one time: nothing is half done if a holder panicked.
        let mut audited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = match audited.get_mut(&reporter) {
            Some(last) if now.unix_ms() < last.at.unix_ms().saturating_add(PAUSE_MS) => {
                last.left_out = last.left_out.saturating_add(refused);
                return None;
            }
            Some(last) => last.left_out,
            None => 0,
        };
        audited.insert(reporter.clone(), LastAudited { at: now, left_out: 0 });
        let details = serde_json::json!({ "spans": refused, "leftOut": left_out, "problem": ingested.complaint() });
        Some(AuditEntry::refused(reporter, "trace.refuse", "spans", first.reason()).with(details))
    }
}
