//! The keys: their secrets are made here, what pairs of agencies hash with is told them with their grants, and a secret is kept for as long
//! as a record may bear its hashes.

use std::time::Duration;

use chapar_core::{subject::KEY_BYTES, time::Timestamp};

pub use crate::config::SubjectKeyAges as Ages;
use crate::{
    problem::WithSources,
    store::{AuditEntry, SYSTEM, Store, StoreError, Transaction},
    subject_keys::SubjectKeyRing,
};

const DAY: Duration = Duration::from_secs(86_400);

/// How many times as long as a snapshot is good a key is made before it is in force: every sidecar whose snapshot is not stale has it by
/// then, and both sides of a call change at the same moment.
const AHEAD_VALIDITIES: u32 = 2;

/// Makes the first secret, or the next one when the time of the newest is nearly up, and drops those that no record bears any more. Says
/// whether one was made.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn rotate_if_due(store: &Store, ages: Ages) -> Result<bool, StoreError> {
    let now = store.clock().now();
    let ring = SubjectKeyRing::load(store, ages.snapshot_valid_for).await?;
    let next = match ring.newest_of_pairs() {
        None => Some(now),
        Some(newest) => {
            let next = newest.in_force_from.saturating_add(days(ages.rotated_after_days));
            let is_due = next <= now.saturating_add(ages.snapshot_valid_for.saturating_mul(AHEAD_VALIDITIES));
            is_due.then(|| next.max(now))
        }
    };
    let outlived: Vec<u32> = ring.outlived(now, days(ages.kept_days)).collect();
    if next.is_none() && outlived.is_empty() {
        return Ok(false);
    }
    let mut tx = store.write().await?;
    if let Some(in_force_from) = next {
        make(&mut tx, SYSTEM, in_force_from).await?;
    }
    for id in outlived {
        tx.delete_subject_key(id).await?;
        tx.audit(AuditEntry::done(SYSTEM, "subject-key.drop", id.to_string())).await?;
    }
    tx.commit().await?;
    Ok(next.is_some())
}

/// Makes a new secret, in force from now on; sidecars hear of it with the commit. Returns its number.
///
/// # Errors
/// When the store cannot be written.
pub async fn rotate(tx: &mut Transaction, actor: &str) -> Result<u32, StoreError> {
    let now = tx.now();
    make(tx, actor, now).await
}

async fn make(tx: &mut Transaction, actor: &str, in_force_from: Timestamp) -> Result<u32, StoreError> {
    let mut secret = [0; KEY_BYTES];
    let no_randomness = |_| StoreError::Broken { what: "randomness".into(), why: "the machine gives none".into() };
    aws_lc_rs::rand::fill(&mut secret).map_err(no_randomness)?;
    let now = tx.now();
    let id = tx.insert_subject_key(&secret, now, in_force_from).await?;
    tx.next_revision().await?;
    let details = serde_json::json!({ "inForceFrom": in_force_from.to_string() });
    tx.audit(AuditEntry::done(actor, "subject-key.rotate", id.to_string()).with(details)).await?;
    Ok(id)
}

/// Ends the one key of all sidecars: those that need it are turned away from now on. Says whether there was one.
///
/// # Errors
/// When the store cannot be written.
pub async fn end_shared(store: &Store, actor: &str, left_behind: &[String]) -> Result<bool, StoreError> {
    let mut tx = store.write().await?;
    let now = tx.now();
    if !tx.end_shared_subject_key(now).await? {
        return Ok(false);
    }
    tx.next_revision().await?;
    let details = serde_json::json!({ "leftBehind": left_behind });
    tx.audit(AuditEntry::done(actor, "subject-key.end-shared", "").with(details)).await?;
    tx.commit().await?;
    Ok(true)
}

fn days(days: u32) -> Duration {
    DAY.saturating_mul(days)
}

/// Pause between two looks at the keys' age.
const LOOK_INTERVAL: Duration = Duration::from_secs(600);

/// Gives data subjects' hashes a new key in time.
pub async fn run(store: Store, ages: Ages, stopping: tokio_util::sync::CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
        if !store.changes().leads().await {
            continue;
        }
        if let Err(error) = rotate_if_due(&store, ages).await {
            tracing::error!(error = %WithSources(&error), "cannot rotate the keys of data subjects' hashes; trying again");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const AGES: Ages = Ages { rotated_after_days: 30, kept_days: 90, snapshot_valid_for: DAY };

    async fn ids(store: &Store) -> Vec<u32> {
        store.reader().await.unwrap().subject_keys().await.unwrap().iter().map(|key| key.id).collect()
    }

    #[tokio::test]
    async fn a_key_takes_over_in_time_and_leaves_when_no_record_bears_it() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        assert_eq!(ids(&store).await, [0; 0]);
        assert!(rotate_if_due(&store, AGES).await.unwrap(), "the first one is due at once");
        assert!(!rotate_if_due(&store, AGES).await.unwrap());
        let revision = store.revision().await.unwrap();
        clock.advance(days(28));
        assert!(rotate_if_due(&store, AGES).await.unwrap());
        assert_eq!(ids(&store).await, [1, 2]);
        assert!(store.revision().await.unwrap() > revision, "sidecars are told");
        let kept = store.reader().await.unwrap().subject_keys().await.unwrap();
        assert_eq!(kept[1].in_force_from, kept[0].in_force_from.saturating_add(days(30)), "by when all of them have it");
        assert!(!rotate_if_due(&store, AGES).await.unwrap());
        clock.advance(days(92));
        while rotate_if_due(&store, AGES).await.unwrap() {}
        assert_eq!(ids(&store).await[0], 1, "records of its last day are as old as they get");
        clock.advance(days(1));
        rotate_if_due(&store, AGES).await.unwrap();
        assert_eq!(ids(&store).await[0], 2);
    }

    #[tokio::test]
    async fn a_number_is_never_used_twice() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
        let mut tx = store.write().await.unwrap();
        assert_eq!(rotate(&mut tx, "test").await.unwrap(), 1);
        tx.delete_subject_key(1).await.unwrap();
        assert_eq!(rotate(&mut tx, "test").await.unwrap(), 2);
    }

    /// What a release before keys of pairs left behind.
    #[tokio::test]
    async fn the_one_key_of_all_keeps_its_number_and_ends_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
        store.sql("INSERT INTO subject_keys (key, made_at_ms) VALUES (zeroblob(32), 1600000000000)").await.unwrap();
        assert!(rotate_if_due(&store, AGES).await.unwrap());
        let ring = || async { SubjectKeyRing::load(&store, DAY).await.unwrap() };
        assert_eq!(ring().await.shared_in_use().map(|key| key.id()), Some(1));
        assert_eq!(ring().await.newest_of_pairs().map(|key| key.id), Some(2));
        assert!(end_shared(&store, "sara", &[]).await.unwrap());
        assert!(!end_shared(&store, "sara", &[]).await.unwrap());
        assert_eq!((ring().await.shared_in_use(), ring().await.shared().count()), (None, 1));
    }
}
