//! What is done again and again is one row a minute with a count: a flood of refused calls does not fill the audit.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chapar_core::time::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    problem::WithSources,
    store::{AuditEntry, Store, StoreError},
};

/// How long alike entries are counted before the count is written, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Kinds of entries that are counted at a time, some 300 bytes each; whatever is new beyond them within a minute is one kind, so that
/// strangers who take a new name each time gain nothing.
const KINDS_MAX: usize = 500;

/// Pause between two looks for counts to be written, in milliseconds.
const PAUSE_MS: u64 = 5_000;

/// Who all those are that are beyond the bound.
const OTHERS: &str = "others";

/// Counts alike entries. Clones count together.
#[derive(Clone)]
pub struct Repeats {
    store: Store,
    kinds: Arc<Mutex<HashMap<Kind, Counted>>>,
}

/// What is alike: actor, action, object and reason.
type Kind = (String, &'static str, String, String);

struct Counted {
    since: Timestamp,
    /// After the first, which was written at once.
    more: u64,
    succeeded: bool,
}

impl Repeats {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, kinds: Arc::default() }
    }

    /// Writes the entry, or counts it, if one that is alike was written within the minute. Where there are too many kinds it is counted
    /// among the others.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub async fn refused(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let entry =
            if self.has_room(&entry) { entry } else { AuditEntry { actor: OTHERS.to_owned(), object: String::new(), ..entry } };
        self.take(entry).await
    }

    /// The same, but with a row of its own for each kind, however many there are: for what admins read.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub async fn done(&self, entry: AuditEntry) -> Result<(), StoreError> {
        if self.has_room(&entry) { self.take(entry).await } else { self.store.audit(entry).await }
    }

    async fn take(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let since = self.store.clock().now();
        let mut first = false;
        {
            let mut kinds = self.kinds();
            let counted = kinds.entry(kind_of(&entry)).or_insert_with(|| {
                first = true;
                Counted { since, more: 0, succeeded: entry.succeeded }
            });
            counted.more += u64::from(!first);
        }
        if first { self.store.audit(entry).await } else { Ok(()) }
    }

    fn has_room(&self, entry: &AuditEntry) -> bool {
        let kinds = self.kinds();
        kinds.len() < KINDS_MAX || kinds.contains_key(&kind_of(entry))
    }

    /// Writes the counts of windows that have ended, or of all.
    async fn write(&self, all: bool) -> Result<(), StoreError> {
        let ended_before = self.store.clock().now().plus_ms(-WINDOW_MS);
        let ended: Vec<_> = {
            let mut kinds = self.kinds();
            let kept = mem::take(&mut *kinds);
            let (ended, running) = kept.into_iter().partition(|(_, counted)| all || counted.since <= ended_before);
            *kinds = running;
            HashMap::into_iter(ended).collect()
        };
        for ((actor, action, object, reason), counted) in ended.into_iter().filter(|(_, counted)| counted.more > 0) {
            let details = serde_json::json!({ "again": counted.more, "since": counted.since.to_string() });
            let entry = AuditEntry { succeeded: counted.succeeded, ..AuditEntry::refused(actor, action, object, reason) };
            self.store.audit(entry.with(details)).await?;
        }
        Ok(())
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Counted>> {
        // An entry is one insertion or one number: nothing is half done if a holder panicked.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind_of(entry: &AuditEntry) -> Kind {
    (entry.actor.clone(), entry.action, entry.object.clone(), entry.reason.clone())
}

/// Writes counts as their time comes, and what is left at the end.
pub async fn run(repeats: Repeats, stopping: CancellationToken) {
    loop {
        let stopped = stopping.run_until_cancelled(sleep(Duration::from_millis(PAUSE_MS))).await.is_none();
        if let Err(error) = repeats.write(stopped).await {
            tracing::error!(error = %WithSources(&error), "cannot audit how often something was done again");
        }
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_flood_is_one_row_and_its_count_and_new_names_gain_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let repeats = Repeats::new(store.clone());
        let refused = |actor: String| AuditEntry::refused(actor, "policy.apply", "", "ROLE_MISSING");
        for _ in 0..1_000 {
            repeats.refused(refused("ali".into())).await.unwrap();
        }
        repeats.write(false).await.unwrap();
        assert_eq!(store.audit_head().await.id, 1, "the minute has not ended");
        clock.advance(Duration::from_secs(61));
        repeats.write(false).await.unwrap();
        let rows = store.sql("SELECT actor, details FROM audit ORDER BY id").await.unwrap();
        assert!(rows.len() == 2 && rows[1][1].contains("\"again\":999"), "{rows:?}");
        for n in 0..2 * KINDS_MAX {
            repeats.refused(refused(format!("stranger-{n}"))).await.unwrap();
        }
        assert!(usize::try_from(store.audit_head().await.id).unwrap() <= KINDS_MAX + 3);
    }
}
