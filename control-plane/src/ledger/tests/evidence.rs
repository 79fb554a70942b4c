use chapar_core::record::{self, CallId, CallRecord, TraceContext, chain};
use chapar_core::{policy::Side, time::Timestamp};

use super::*;

const CHAIN: &str = "000102030405060708090a0b0c0d0e0f";

/// The account of call `number` at place `sequence` of the chain.
fn placed(number: u8, sequence: i64) -> Span {
    let mut span = account(number, "consumer", &[("rpc.method", "ir.cra.v1.Shahkar/Check"), ("chapar.kind", "verification")]);
    span.attributes.extend([text("chapar.chain.id", CHAIN), count("chapar.chain.sequence", sequence)]);
    span
}

async fn bodies(ledger: &Ledger) -> Vec<(i64, i64, Vec<u8>)> {
    let all = "SELECT sequence, form, body FROM spans ORDER BY sequence";
    let read = ledger.readers.read(|conn| {
        let mut statement = conn.prepare(all)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn an_entry_is_kept_as_the_bytes_that_its_sidecar_hashed() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![placed(1, 1)]).await;
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: None, sampled: false };
    let call_id = CallId::parse(format!("{:032x}", 1).as_bytes()).unwrap();
    let started_at = Timestamp::from_unix_ms(NOW_MS - 1_000);
    let record = CallRecord {
        consumer: "ipm",
        provider: "cra",
        inquiry: "shahkar",
        kind: "verification",
        resolution: "38-1",
        outcome: record::Outcome::Served,
        status: chapar_core::policy::GrpcCode::Ok,
        duration_us: 10_000,
        ..CallRecord::begun(call_id, trace, Side::Consumer, "/ir.cra.v1.Shahkar/Check", started_at, "")
    };
    let mut canonical = Vec::new();
    record::encode(&record, &mut canonical);
    assert_eq!(bodies(&ledger).await, [(1, rows::FORM_ENTRY, canonical)]);
    let spans = ledger.trace(&"01".repeat(16)).await.unwrap();
    assert_eq!((spans[0].name.as_str(), spans[0].kind), ("ir.cra.v1.Shahkar/Check", 3));
    assert_eq!(
        (spans[0].attributes["chapar.chain.sequence"].as_str(), spans[0].attributes["chapar.chain.id"].as_str()),
        ("1", CHAIN)
    );
}

#[tokio::test]
async fn a_place_in_a_chain_is_written_once() {
    let (_folder, ledger, _) = opened().await;
    report(&ledger, "ipm", vec![placed(1, 1), placed(2, 2)]).await;
    let again = report(&ledger, "ipm", vec![placed(1, 1), placed(2, 2), placed(3, 3)]).await;
    assert_eq!((again.known, again.stored, again.rejected.len()), (2, 1, 0));
    let other = report(&ledger, "ipm", vec![placed(4, 2)]).await;
    assert_eq!(other.rejected[0].reason(), "CHAIN_REWRITTEN");
    let mut foreign = account(5, "provider", &[]);
    foreign.attributes.extend([text("chapar.chain.id", CHAIN), count("chapar.chain.sequence", 9)]);
    let foreign = report(&ledger, "cra", vec![foreign]).await;
    assert_eq!(foreign.rejected[0].reason(), "CHAIN_FOREIGN");
    assert_eq!(found(&ledger, Query::default()).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_forgotten_entry_leaves_its_digest_until_its_piece_is_forgotten() {
    let (_folder, ledger, clock) = opened().await;
    report(&ledger, "ipm", vec![placed(3, 1), placed(2, 2), placed(1, 3)]).await;
    let before = bodies(&ledger).await;
    clock.advance(std::time::Duration::from_millis(u64::try_from(DAY_MS).unwrap() - 1_500));
    let bounds = crate::config::Ledger { retention_days: 1, ..crate::config::Ledger::default() };
    assert_eq!(ledger.forget_old(&bounds).await.unwrap(), 2);
    let after = bodies(&ledger).await;
    assert_eq!((after[0].1, after[0].2.as_slice()), (rows::FORM_DIGEST, &chain::digest(&before[0].2).0[..]));
    assert_eq!(after[2], before[2]);
    let again = report(&ledger, "ipm", vec![placed(3, 1)]).await;
    assert_eq!((again.known, again.stored), (1, 0), "what was forgotten does not come back");
}
