//! The keys: made here, told to sidecars with the snapshot's settings, kept for as long as a record may bear their hashes.

use std::time::Duration;

use chapar_core::subject::{KEY_BYTES, SubjectKey};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use crate::{
    store::{AuditEntry, SYSTEM},
    store::{Store, StoreError, WriteTx},
};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// How old keys get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// Days after which a new key takes over.
    pub rotated_after_days: u32,
    /// Days that a key is kept after its successor took over: as long as records are.
    pub kept_days: u32,
}

/// The key in force.
///
/// # Errors
/// When the store cannot be read.
pub async fn newest(conn: &mut SqliteConnection) -> Result<Option<SubjectKey>, StoreError> {
    let row = sqlx::query("SELECT id, key FROM subject_keys ORDER BY id DESC LIMIT 1").fetch_optional(conn).await?;
    row.as_ref().map(key_of).transpose()
}

/// Every key that some record may bear a hash of, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn all(conn: &mut SqliteConnection) -> Result<Vec<SubjectKey>, StoreError> {
    let rows = sqlx::query("SELECT id, key FROM subject_keys ORDER BY id DESC").fetch_all(conn).await?;
    rows.iter().map(key_of).collect()
}

fn key_of(row: &SqliteRow) -> Result<SubjectKey, StoreError> {
    let (id, key): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
    let sound = u32::try_from(id).ok().filter(|id| *id > 0).zip(<[u8; KEY_BYTES]>::try_from(key).ok());
    let broken = || StoreError::Broken { what: format!("subject key {id}"), why: "it is not 32 bytes under a number".into() };
    sound.map(|(id, key)| SubjectKey::new(id, key)).ok_or_else(broken)
}

/// Makes the first key, or the next one when the newest is old enough, and drops those that no record bears any more. Says
/// whether a key was made.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn rotate_if_due(store: &Store, ages: Ages) -> Result<bool, StoreError> {
    let now_ms = store.clock().now_ms();
    let made_at_ms: Option<i64> =
        sqlx::query_scalar("SELECT made_at_ms FROM subject_keys ORDER BY id DESC LIMIT 1").fetch_optional(store.read()).await?;
    let due = made_at_ms.is_none_or(|at_ms| at_ms.saturating_add(days_ms(ages.rotated_after_days)) <= now_ms);
    let out_of_use_ms = now_ms.saturating_sub(days_ms(ages.kept_days));
    // A key was in force until its successor was made.
    let outlived: Vec<i64> = sqlx::query_scalar(
        "SELECT k.id FROM subject_keys k WHERE (SELECT MIN(s.made_at_ms) FROM subject_keys s WHERE s.id > k.id) < $1",
    )
    .bind(out_of_use_ms)
    .fetch_all(store.read())
    .await?;
    if !due && outlived.is_empty() {
        return Ok(false);
    }
    let mut tx = store.write().await?;
    if due {
        rotate(&mut tx, SYSTEM).await?;
    }
    for id in outlived {
        sqlx::query("DELETE FROM subject_keys WHERE id = $1").bind(id).execute(tx.conn()).await?;
        tx.audit(AuditEntry::done(SYSTEM, "subject-key.drop", id.to_string())).await?;
    }
    tx.commit().await?;
    Ok(due)
}

/// Makes a new key; sidecars hear of it with the commit. Returns its number.
///
/// # Errors
/// When the store cannot be written.
pub async fn rotate(tx: &mut WriteTx, actor: &str) -> Result<u32, StoreError> {
    let mut key = [0; KEY_BYTES];
    let no_randomness = |_| StoreError::Broken { what: "randomness".into(), why: "the machine gives none".into() };
    aws_lc_rs::rand::fill(&mut key).map_err(no_randomness)?;
    let now_ms = tx.now_ms();
    let id: i64 = sqlx::query_scalar("INSERT INTO subject_keys (key, made_at_ms) VALUES ($1, $2) RETURNING id")
        .bind(key.as_slice())
        .bind(now_ms)
        .fetch_one(tx.conn())
        .await?;
    tx.next_revision().await?;
    tx.audit(AuditEntry::done(actor, "subject-key.rotate", id.to_string())).await?;
    Ok(u32::try_from(id).unwrap_or(u32::MAX))
}

fn days_ms(days: u32) -> i64 {
    i64::from(days).saturating_mul(DAY_MS)
}

/// Pause between two looks at the keys' age.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(600);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{Clock, date_of_ms};

    const AGES: Ages = Ages { rotated_after_days: 30, kept_days: 90 };

    async fn ids(store: &Store) -> Vec<u32> {
        let mut conn = store.read().acquire().await.unwrap();
        all(&mut conn).await.unwrap().iter().map(SubjectKey::id).collect()
    }

    #[tokio::test]
    async fn a_key_takes_over_in_time_and_leaves_when_no_record_bears_it() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(date_of_ms(1_700_000_000_000));
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
        let clock = Clock::wound(date_of_ms(1_700_000_000_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
        let mut tx = store.write().await.unwrap();
        assert_eq!(rotate(&mut tx, "test").await.unwrap(), 1);
        sqlx::query("DELETE FROM subject_keys").execute(tx.conn()).await.unwrap();
        assert_eq!(rotate(&mut tx, "test").await.unwrap(), 2);
    }
}
