#![allow(clippy::unwrap_used)]

use super::*;
use crate::clock::date_of_ms;

async fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(date_of_ms(1_700_000_000_000));
    let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn a_committed_write_bumps_and_announces_its_revision_once() {
    let (_folder, store) = opened().await;
    let mut seen = store.changes().subscribe();
    let mut tx = store.write().await.unwrap();
    assert_eq!(tx.next_revision().await.unwrap(), 1);
    assert_eq!(tx.next_revision().await.unwrap(), 1);
    assert!(!seen.has_changed().unwrap(), "announced before the commit");
    tx.commit().await.unwrap();
    assert_eq!(*seen.borrow_and_update(), 1);
    assert_eq!(store.revision().await.unwrap(), 1);
}

#[tokio::test]
async fn a_write_that_is_dropped_leaves_nothing() {
    let (_folder, store) = opened().await;
    let mut tx = store.write().await.unwrap();
    tx.next_revision().await.unwrap();
    tx.audit(AuditEntry::done("system", "test.nothing", "x")).await.unwrap();
    drop(tx);
    assert_eq!(store.revision().await.unwrap(), 0);
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit").fetch_one(store.read()).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn the_audit_can_be_appended_to_and_never_changed() {
    let (_folder, store) = opened().await;
    store.audit(AuditEntry::refused("192.0.2.1:9", "enrolment.refuse", "x", "TOKEN_USED")).await.unwrap();
    for change in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"] {
        let mut tx = store.write().await.unwrap();
        let refused = sqlx::query(change).execute(tx.conn()).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    let actor: String = sqlx::query_scalar("SELECT actor FROM audit").fetch_one(store.read()).await.unwrap();
    assert_eq!(actor, "192.0.2.1:9");
}

#[tokio::test]
async fn readers_cannot_write() {
    let (_folder, store) = opened().await;
    assert!(sqlx::query("UPDATE meta SET value = 7").execute(store.read()).await.is_err());
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let (folder, store) = opened().await;
    let mut tx = store.write().await.unwrap();
    tx.next_revision().await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    let again = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    assert_eq!(*again.changes().subscribe().borrow(), 1);
}
