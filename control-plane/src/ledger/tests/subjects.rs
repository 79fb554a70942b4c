//! Whom calls are about: by which key, and whether both sides say the same.

use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Key 3 was that of all sidecars until a year ago; key 4 is of pairs, and so is key 5, in force since `changed_ms` before now.
async fn with_keys(changed_ms: i64) -> (tempfile::TempDir, Ledger) {
    let (folder, ledger, _) = opened().await;
    for (id, of_pairs, from_ms, ended) in [
        (3, 0, 0, (NOW_MS - 365 * DAY_MS).to_string()),
        (4, 1, NOW_MS - 365 * DAY_MS, "NULL".to_owned()),
        (5, 1, NOW_MS - changed_ms, "NULL".to_owned()),
    ] {
        let made_ms = from_ms - 2 * DAY_MS;
        let values = format!("({id}, zeroblob(32), {made_ms}, {of_pairs}, {from_ms}, {ended})");
        let sql =
            format!("INSERT INTO subject_keys (id, key, made_at_ms, of_pairs, in_force_from_ms, ended_at_ms) VALUES {values}");
        ledger.audit.sql(&sql).await.unwrap();
    }
    (folder, ledger.with_subject_keys(DAY))
}

/// The account of a call that began a second before now, and names whom it is about by this key and the last byte of a hash.
fn about(side: &str, key: i64, hash: u8) -> Span {
    let mut span = account(1, side, &[("chapar.subject.hash", &format!("{hash:032x}"))]);
    span.attributes.push(count("chapar.subject.key", key));
    span
}

/// What the ledger says of the one call: the state of its accounts, and its marks.
async fn told(ledger: &Ledger) -> (&'static str, Marks) {
    let (calls, _) = ledger.calls(&CallQuery::default(), &Page::asked(10, "").unwrap()).await.unwrap();
    assert_eq!(calls.len(), 1);
    (calls[0].accounts(CallKey::MAX).as_str(), calls[0].marks)
}

#[tokio::test]
async fn hashes_of_two_keys_are_both_right_around_a_change_and_a_lie_otherwise() {
    const MINUTE_MS: i64 = 60_000;
    for (changed_ms, keys, hashes, says) in [
        (90 * DAY_MS, [5, 5], [1, 1], "AGREES"),
        (90 * DAY_MS, [5, 5], [1, 2], "DISAGREES"),
        (MINUTE_MS, [4, 5], [1, 2], "AGREES"),
        (MINUTE_MS, [5, 4], [1, 2], "AGREES"),
        (-MINUTE_MS, [5, 4], [1, 2], "AGREES"),
        (10 * MINUTE_MS, [4, 5], [1, 2], "DISAGREES"),
        (90 * DAY_MS, [5, 4], [1, 2], "DISAGREES"),
        (90 * DAY_MS, [5, 3], [1, 2], "DISAGREES"),
        (90 * DAY_MS, [5, 9], [1, 2], "DISAGREES"),
    ] {
        let (_folder, ledger) = with_keys(changed_ms).await;
        report(&ledger, "ipm", vec![about("consumer", keys[0], hashes[0])]).await;
        report(&ledger, "cra", vec![about("provider", keys[1], hashes[1])]).await;
        assert_eq!(told(&ledger).await.0, says, "{keys:?} {hashes:?}, {changed_ms} ms after the change");
    }
}

#[tokio::test]
async fn a_call_of_whose_other_account_nothing_is_remembered_is_compared_as_well() {
    for (key, hash, says) in [(5, 1, "AGREES"), (5, 2, "DISAGREES"), (4, 1, "DISAGREES")] {
        let (folder, ledger) = with_keys(90 * DAY_MS).await;
        report(&ledger, "ipm", vec![about("consumer", 5, 1)]).await;
        let (audit, metrics) = (ledger.audit.clone(), ledger.metrics.clone());
        ledger.close().await;
        let again = Ledger::open(&folder.path().join("ledger.db"), audit, metrics).unwrap().with_subject_keys(DAY);
        report(&again, "cra", vec![about("provider", key, hash)]).await;
        assert_eq!(told(&again).await.0, says, "{key} {hash}");
    }
}

#[tokio::test]
async fn a_key_that_nobody_had_then_is_marked_and_every_key_that_there_is_will_be_tried() {
    for (key, doubted, tried) in [(5, false, true), (4, true, true), (3, true, false), (9, true, false)] {
        let (_folder, ledger) = with_keys(90 * DAY_MS).await;
        report(&ledger, "ipm", vec![about("consumer", key, 1)]).await;
        assert_eq!(told(&ledger).await.1.has(Marks::SUBJECT), doubted, "{key}");
        let pair = SubjectPair { key: u32::try_from(key).unwrap(), consumer: "ipm".into(), provider: "cra".into() };
        assert_eq!(Subjects::of(&ledger).pairs().await.unwrap(), if tried { vec![pair] } else { vec![] }, "{key}");
        let hash = |last: u8| u128::from(last).to_be_bytes();
        assert_eq!(Subjects::of(&ledger).hashes_on_record(vec![hash(2), hash(1)]).await.unwrap(), [hash(1)]);
    }
}

#[tokio::test]
async fn pairs_of_keys_that_are_gone_are_tried_no_more() {
    let (_folder, ledger) = with_keys(90 * DAY_MS).await;
    report(&ledger, "ipm", vec![about("consumer", 4, 1)]).await;
    let mut tx = ledger.audit.write().await.unwrap();
    for id in [3, 4] {
        tx.delete_subject_key(id).await.unwrap();
    }
    tx.next_revision().await.unwrap();
    tx.commit().await.unwrap();
    report(&ledger, "cra", vec![about("provider", 5, 1)]).await;
    assert_eq!(Subjects::of(&ledger).pairs().await.unwrap().iter().map(|pair| pair.key).collect::<Vec<_>>(), [5]);
}
