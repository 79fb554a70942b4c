//! The keys: made here, told to sidecars with the snapshot's settings, kept for as long as a record may bear their hashes.

use std::time::Duration;

use chapar_core::subject::KEY_BYTES;

pub use crate::config::SubjectKeyAges as Ages;
use crate::{
    problem::WithSources,
    store::{AuditEntry, SYSTEM, Store, StoreError, Transaction},
};

/// Milliseconds of a day.
const DAY: Duration = Duration::from_secs(86_400);

/// Makes the first key, or the next one when the newest is old enough, and drops those that no record bears any more. Says
/// whether a key was made.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn rotate_if_due(store: &Store, ages: Ages) -> Result<bool, StoreError> {
    let now = store.clock().now();
    let mut reader = store.reader().await?;
    let made_at = reader.newest_subject_key_made_at().await?;
    let due = made_at.is_none_or(|at| at.saturating_add(days(ages.rotated_after_days)) <= now);
    let out_of_use = now.saturating_sub(days(ages.kept_days));
    // A key was in force until its successor was made.
    let outlived = reader.subject_keys_succeeded_before(out_of_use).await?;
    drop(reader);
    if !due && outlived.is_empty() {
        return Ok(false);
    }
    let mut tx = store.write().await?;
    if due {
        rotate(&mut tx, SYSTEM).await?;
    }
    for id in outlived {
        tx.delete_subject_key(id).await?;
        tx.audit(AuditEntry::done(SYSTEM, "subject-key.drop", id.to_string())).await?;
    }
    tx.commit().await?;
    Ok(due)
}

/// Makes a new key; sidecars hear of it with the commit. Returns its number.
///
/// # Errors
/// When the store cannot be written.
pub async fn rotate(tx: &mut Transaction, actor: &str) -> Result<u32, StoreError> {
    let mut key = [0; KEY_BYTES];
    let no_randomness = |_| StoreError::Broken { what: "randomness".into(), why: "the machine gives none".into() };
    aws_lc_rs::rand::fill(&mut key).map_err(no_randomness)?;
    let now = tx.now();
    let id = tx.insert_subject_key(&key, now).await?;
    tx.next_revision().await?;
    tx.audit(AuditEntry::done(actor, "subject-key.rotate", id.to_string())).await?;
    Ok(id)
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
            tracing::error!(error = %WithSources(&error), "cannot rotate the key of data subjects' hashes; trying again");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chapar_core::subject::SubjectKey;

    use super::*;
    use chapar_core::time::Timestamp;

    use crate::clock::Clock;

    const AGES: Ages = Ages { rotated_after_days: 30, kept_days: 90 };

    async fn ids(store: &Store) -> Vec<u32> {
        store.reader().await.unwrap().subject_keys().await.unwrap().iter().map(SubjectKey::id).collect()
    }

    #[tokio::test]
    async fn a_key_takes_over_in_time_and_leaves_when_no_record_bears_it() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let days = |days: u64| Duration::from_secs(days * 86_400);
        assert_eq!(ids(&store).await, [0; 0]);
        assert!(rotate_if_due(&store, AGES).await.unwrap(), "the first one is due at once");
        assert!(!rotate_if_due(&store, AGES).await.unwrap());
        let revision = store.revision().await.unwrap();
        clock.advance(days(30));
        assert!(rotate_if_due(&store, AGES).await.unwrap());
        assert_eq!(ids(&store).await, [2, 1]);
        assert!(store.revision().await.unwrap() > revision, "sidecars are told");
        clock.advance(days(90));
        rotate_if_due(&store, AGES).await.unwrap();
        assert_eq!(ids(&store).await, [3, 2, 1], "records of its last day are as old as they get");
        clock.advance(days(1));
        rotate_if_due(&store, AGES).await.unwrap();
        assert_eq!(ids(&store).await, [3, 2]);
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
}
