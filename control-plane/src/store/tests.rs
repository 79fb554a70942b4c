#![allow(clippy::unwrap_used)]

use chapar_core::time::Timestamp;

use super::*;
use crate::problem::WithSources;

async fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
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
    assert!(store.sql("SELECT * FROM audit").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_can_be_appended_to_and_never_changed() {
    let (_folder, store) = opened().await;
    store.audit(AuditEntry::refused("192.0.2.1:9", "enrolment.refuse", "x", "TOKEN_USED")).await.unwrap();
    for change in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"] {
        let refused = WithSources(&store.sql(change).await.unwrap_err()).to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
    assert_eq!(store.sql("SELECT actor FROM audit").await.unwrap(), [["192.0.2.1:9"]]);
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
