use std::path::Path;

use chapar_core::time::Timestamp;

use super::*;
use crate::{clock::Clock, store::AuditEntry};

const LINES: u64 = 6;

/// A store whose audit has some lines, and what it is remembered by.
async fn written(folder: &Path) -> (Store, Witness) {
    let store = Store::open(&folder.join("chapar.db"), Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000))).await.unwrap();
    for number in 1..=LINES {
        let mut tx = store.write().await.unwrap();
        tx.audit(AuditEntry::done("system", "test.act", number.to_string())).await.unwrap();
        tx.commit().await.unwrap();
    }
    let head = store.audit_head().await;
    assert_eq!(head.id, LINES);
    (store, Witness { who: "the test".to_owned(), head })
}

/// A finding's kind, first and last entry.
type Found = (&'static str, u64, u64);

async fn found(store: &Store, witness: Witness) -> Vec<Found> {
    let checked = check(store, vec![witness], &|_| Err("there is none".to_owned())).await.unwrap();
    checked.findings.into_iter().map(|finding| (finding.kind, finding.first, finding.last)).collect()
}

/// What somebody with the file can do: its triggers are no hindrance to him.
async fn tampered(store: &Store, statement: &str) {
    for trigger in ["audit_is_never_updated", "audit_is_never_deleted"] {
        store.sql(&format!("DROP TRIGGER IF EXISTS {trigger}")).await.unwrap();
    }
    store.sql(statement).await.unwrap();
}

#[tokio::test]
async fn an_untouched_audit_is_whole_also_after_a_restart_and_a_write_that_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (store, witness) = written(folder.path()).await;
    let mut dropped = store.write().await.unwrap();
    dropped.audit(AuditEntry::done("system", "test.act", "dropped")).await.unwrap();
    drop(dropped);
    store.audit(AuditEntry::done("system", "test.act", "kept")).await.unwrap();
    store.close().await;
    let again = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    again.audit(AuditEntry::done("system", "test.act", "after")).await.unwrap();
    assert_eq!(again.audit_head().await.id, LINES + 2);
    assert_eq!(found(&again, witness).await, []);
}

#[tokio::test]
async fn whatever_is_done_to_the_file_is_found() {
    let cases: [(&str, &[Found]); 6] = [
        ("DELETE FROM audit WHERE id = 3", &[("ENTRY_MISSING", 3, 3)]),
        ("DELETE FROM audit WHERE id < 3", &[("ENTRY_MISSING", 1, 2)]),
        ("UPDATE audit SET actor = 'somebody' WHERE id = 2", &[("ENTRY_ALTERED", 2, 2)]),
        (
            "UPDATE audit SET object = CASE id WHEN 2 THEN '4' ELSE '2' END WHERE id IN (2, 4)",
            &[("ENTRY_ALTERED", 2, 2), ("ENTRY_ALTERED", 4, 4)],
        ),
        ("UPDATE audit SET hash = NULL WHERE id = 2", &[("ENTRY_ALTERED", 2, 2), ("ENTRY_ALTERED", 3, 3)]),
        ("DELETE FROM audit WHERE id > 4", &[("ENTRY_CUT_OFF", 5, LINES)]),
    ];
    for (statement, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (store, witness) = written(folder.path()).await;
        tampered(&store, statement).await;
        assert_eq!(found(&store, witness).await, expected, "{statement}");
    }
}

#[tokio::test]
async fn a_chain_that_was_computed_anew_disagrees_with_who_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let (store, witness) = written(folder.path()).await;
    tampered(&store, "UPDATE audit SET actor = 'somebody', hash = NULL").await;
    store.close().await;
    let again = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    assert_eq!(found(&again, witness).await, [("HEAD_DISAGREES", LINES, LINES)]);
}

#[tokio::test]
async fn what_somebody_else_put_in_does_not_become_a_part_of_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (store, witness) = written(folder.path()).await;
    let forged = "INSERT INTO audit (at_ms, actor, action, object, succeeded, reason, details, hash) \
                  SELECT at_ms, actor, 'ledger.evict', object, succeeded, reason, details, hash FROM audit WHERE id = 6";
    tampered(&store, forged).await;
    store.audit(AuditEntry::done("system", "test.act", "after")).await.unwrap();
    assert_eq!(found(&store, witness).await, [("ENTRY_ALTERED", 7, 7)]);
}

#[tokio::test]
async fn lines_from_before_the_chain_are_a_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = written(folder.path()).await;
    tampered(&store, "UPDATE audit SET hash = NULL").await;
    store.close().await;
    let upgraded = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    upgraded.audit(AuditEntry::done("system", "test.act", "after")).await.unwrap();
    let witness = Witness { who: "the test".to_owned(), head: upgraded.audit_head().await };
    assert_eq!(found(&upgraded, witness.clone()).await, []);
    tampered(&upgraded, "UPDATE audit SET actor = 'somebody' WHERE id = 2").await;
    assert_eq!(found(&upgraded, witness).await, [("ENTRY_ALTERED", 7, 7)]);
}
