use chapar_core::{
    policy::Side,
    record::{self, CallId, CallRecord, FurtherFields, RecordVersion, TraceContext, chain, chain::ChainId},
    time::Timestamp,
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SanType,
    SigningKey as _,
};

use super::{store::raw, *};

const CHAIN: &str = "000102030405060708090a0b0c0d0e0f";

/// The account of call `number` at place `sequence` of the chain.
fn placed(number: u8, sequence: i64) -> Span {
    let mut span = account(number, "consumer", &[("rpc.method", "ir.cra.v1.Shahkar/Check"), ("chapar.kind", "verification")]);
    span.attributes.extend([text("chapar.chain.id", CHAIN), count("chapar.chain.sequence", sequence)]);
    span
}

#[tokio::test]
async fn an_entry_is_kept_as_the_bytes_that_its_sidecar_hashed() {
    let (folder, ledger, _) = opened().await;
    let bytes = |key: &str, value: &[u8]| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(Value::BytesValue(value.to_vec())) }),
        ..KeyValue::default()
    };
    let version = || count("chapar.record.version", 2);
    let (mut newer, mut later, mut unknown) = (placed(1, 2), placed(1, 3), placed(1, 4));
    newer.attributes.push(version());
    later.attributes.extend([version(), bytes("chapar.record.further", b"\x07\x02hi")]);
    unknown.attributes.push(count("chapar.record.version", 3));
    report(&ledger, "ipm", vec![placed(1, 1), newer, later, unknown]).await;
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: None, sampled: false };
    let call_id = CallId::parse(format!("{:032x}", 1).as_bytes()).unwrap();
    let started_at = Timestamp::from_unix_ms(NOW_MS - 1_000);
    let first = CallRecord {
        version: RecordVersion::One,
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
    /// The form of an entry that is kept as its canonical bytes.
    const ENTRY: i64 = 1;
    let second = CallRecord { version: RecordVersion::Two, ..first };
    let further = CallRecord { further: FurtherFields::parse(b"\x07\x02hi").unwrap(), ..second };
    let encoded = |sequence, record| {
        let mut canonical = Vec::new();
        record::encode(record, &mut canonical);
        (sequence, ENTRY, canonical)
    };
    let kept = raw::entries(folder.path());
    assert_eq!(kept[..3], [encoded(1, &first), encoded(2, &second), encoded(3, &further)]);
    assert_ne!(kept[3].1, ENTRY, "what this software cannot make again is kept as it came");
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
    assert_eq!(found(&ledger, CallQuery::default()).await, ["3", "1", "2"], "in the order in which they came");
}

#[tokio::test]
async fn an_evicted_entry_leaves_its_digest_until_its_piece_is_evicted() {
    let (folder, ledger, clock) = opened().await;
    let signer = Signer::new("ipm");
    report(&ledger, "ipm", vec![placed(3, 1), placed(2, 2)]).await;
    clock.advance(std::time::Duration::from_secs(1));
    report(&ledger, "ipm", vec![placed(1, 3)]).await;
    let before = raw::entries(folder.path());
    let bodies: Vec<Vec<u8>> = before.iter().map(|(_, _, body)| body.clone()).collect();
    report(&ledger, "ipm", vec![signer.checkpoint(chain_id(), 1, chain::beginning(chain_id()), &bodies).0]).await;
    clock.advance(std::time::Duration::from_millis(u64::try_from(DAY_MS).unwrap() - 500));
    let bounds = crate::config::Ledger { retention_days: 1, ..crate::config::Ledger::default() };
    assert_eq!(ledger.evict_old(&bounds).await.unwrap(), 2);
    let after = raw::entries(folder.path());
    assert_eq!((after[0].1, after[0].2.as_slice()), (2, &chain::digest(&before[0].2).0[..]));
    assert_eq!(after[2], before[2]);
    let again = report(&ledger, "ipm", vec![placed(3, 1)]).await;
    assert_eq!((again.known, again.stored), (1, 0), "what was evicted does not come back");
}

/// A sidecar's certificate with its root, and what it signs.
struct Signer {
    root: Vec<u8>,
    leaf: Vec<u8>,
    key: KeyPair,
}

impl Signer {
    fn new(agency: &str) -> Self {
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (root.not_before, root.not_after) = (
            crate::clock::date_of(Timestamp::from_unix_ms(NOW_MS - DAY_MS)),
            crate::clock::date_of(Timestamp::from_unix_ms(NOW_MS + DAY_MS)),
        );
        let certificate = root.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut leaf = CertificateParams::default();
        (leaf.not_before, leaf.not_after) = (
            crate::clock::date_of(Timestamp::from_unix_ms(NOW_MS - DAY_MS)),
            crate::clock::date_of(Timestamp::from_unix_ms(NOW_MS + DAY_MS)),
        );
        let id = format!("spiffe://exchange.example/agency/{agency}/sidecar/main");
        leaf.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        Self { root: certificate.der().to_vec(), leaf: leaf.der().to_vec(), key }
    }

    fn trust(&self) -> Trust {
        Trust { roots: vec![self.root.clone()], issuers: Vec::new() }
    }

    /// The checkpoint of these entries, as a span.
    fn checkpoint(&self, chain: ChainId, first: u64, before: chain::Hash, entries: &[Vec<u8>]) -> (Span, chain::Hash) {
        let after = entries.iter().fold(before, |head, entry| chain::next(head, chain::digest(entry)));
        let last = first + entries.len() as u64 - 1;
        let at = Timestamp::from_unix_ms(NOW_MS);
        let signed = chain::Checkpoint { chain, first, last, before, after, at };
        let bytes = |key: &str, value: &[u8]| KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(Value::BytesValue(value.to_vec())) }),
            ..KeyValue::default()
        };
        let at_ns = u64::try_from(NOW_MS).unwrap() * 1_000_000;
        let span = Span {
            trace_id: vec![9; 16],
            span_id: vec![9; 8],
            name: "chapar.checkpoint".into(),
            start_time_unix_nano: at_ns,
            end_time_unix_nano: at_ns,
            attributes: vec![
                text("chapar.chain.id", &chain.to_string()),
                count("chapar.checkpoint.first", i64::try_from(first).unwrap()),
                count("chapar.checkpoint.last", i64::try_from(last).unwrap()),
                bytes("chapar.checkpoint.before", &before.0),
                bytes("chapar.checkpoint.after", &after.0),
                bytes("chapar.checkpoint.signature", &self.key.sign(&signed.signed_bytes()).unwrap()),
                text("chapar.checkpoint.scheme", "ECDSA_NISTP256_SHA256"),
                text("chapar.checkpoint.serial", "0a"),
                bytes("chapar.checkpoint.certificate", &self.leaf),
            ],
            ..Span::default()
        };
        (span, after)
    }
}

fn chain_id() -> ChainId {
    ChainId(*CallId::parse(CHAIN.as_bytes()).unwrap().as_bytes())
}

/// Two signed pieces: entries 1 to 3, and 4.
async fn signed() -> (tempfile::TempDir, Ledger, Clock, Signer) {
    let (folder, ledger, clock) = opened().await;
    let signer = Signer::new("ipm");
    report(&ledger, "ipm", vec![placed(4, 4), placed(3, 3)]).await;
    clock.advance(std::time::Duration::from_secs(1));
    report(&ledger, "ipm", vec![placed(2, 2), placed(1, 1)]).await;
    let bodies: Vec<Vec<u8>> = raw::entries(folder.path()).into_iter().map(|(_, _, body)| body).collect();
    let (one, head) = signer.checkpoint(chain_id(), 1, chain::beginning(chain_id()), &bodies[..3]);
    let (two, _) = signer.checkpoint(chain_id(), 4, head, &bodies[3..]);
    let ingested = report(&ledger, "ipm", vec![one.clone(), two]).await;
    assert_eq!((ingested.checkpoints, ingested.stored, ingested.rejected.len()), (2, 0, 0));
    assert_eq!(report(&ledger, "ipm", vec![one]).await.checkpoints, 0, "known already");
    (folder, ledger, clock, signer)
}

/// Longer than any test waits for a provider's account.
const GRACE_S: u32 = 30 * 86_400;

/// Kinds and places of what is found.
async fn findings(ledger: &Ledger, signer: &Signer) -> Vec<(&'static str, i64, i64)> {
    let mut progress = ledger.verify(String::new(), signer.trust(), GRACE_S);
    let mut found = Vec::new();
    while let Some(step) = progress.recv().await {
        found.extend(step.unwrap().findings.into_iter().map(|finding| (finding.kind, finding.first, finding.last)));
    }
    found
}

#[tokio::test]
async fn a_ledger_that_nobody_touched_is_sound() {
    let (_folder, ledger, _, signer) = signed().await;
    assert_eq!(findings(&ledger, &signer).await, []);
    report(&ledger, "ipm", vec![placed(5, 5)]).await;
    assert_eq!(findings(&ledger, &signer).await, [], "what is not signed yet is no finding");
}

#[tokio::test]
async fn whatever_is_removed_or_altered_is_found() {
    for (sql, expected) in [
        ("DELETE FROM spans WHERE sequence = 2", &[("ENTRY_MISSING", 2, 2), ("CALL_ALTERED", 0, 0)][..]),
        ("DELETE FROM spans WHERE sequence = 3", &[("ENTRY_MISSING", 3, 3), ("CALL_ALTERED", 0, 0)]),
        (
            "DELETE FROM spans WHERE sequence = 2; DELETE FROM calls WHERE id NOT IN (SELECT call FROM spans)",
            &[("ENTRY_MISSING", 2, 2)],
        ),
        (
            "UPDATE spans SET sequence = 99 WHERE sequence = 1; UPDATE spans SET sequence = 1 WHERE sequence = 2; \
          UPDATE spans SET sequence = 2 WHERE sequence = 99",
            &[("ENTRY_ALTERED", 1, 3)],
        ),
        ("UPDATE calls SET duration_us = 1 WHERE id = (SELECT call FROM spans WHERE sequence = 2)", &[("CALL_ALTERED", 2, 2)]),
        (
            "UPDATE calls SET provider = consumer WHERE id = (SELECT call FROM spans WHERE sequence = 4)",
            &[("CALL_ALTERED", 4, 4)],
        ),
        ("DELETE FROM calls WHERE id = (SELECT call FROM spans WHERE sequence = 1)", &[("CALL_ALTERED", 1, 1)]),
        ("DELETE FROM checkpoints WHERE first = 1", &[("CHAIN_BROKEN", 1, 3)]),
        ("UPDATE checkpoints SET after = before WHERE first = 1", &[("CHECKPOINT_FORGED", 1, 3), ("CHAIN_BROKEN", 4, 4)]),
        ("UPDATE checkpoints SET at_ms = at_ms + 1 WHERE first = 4", &[("CHECKPOINT_FORGED", 4, 4)]),
        (
            "UPDATE spans SET form = 2, body = zeroblob(32), call = NULL WHERE sequence = 4; DELETE FROM calls WHERE id NOT IN \
          (SELECT call FROM spans WHERE call IS NOT NULL)",
            &[("FORGOTTEN_EARLY", 4, 4), ("ENTRY_ALTERED", 4, 4)],
        ),
    ] {
        let (folder, ledger, _, signer) = signed().await;
        raw::execute(folder.path(), sql);
        assert_eq!(findings(&ledger, &signer).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_record_is_found() {
    let (folder, ledger, _, signer) = signed().await;
    let flip = "UPDATE spans SET body = CAST(substr(body, 1, length(body) - 1) || x'7a' AS BLOB) WHERE sequence = 2";
    raw::execute(folder.path(), flip);
    let found = findings(&ledger, &signer).await;
    assert!(found.contains(&("ENTRY_ALTERED", 1, 3)), "{found:?}");
}

#[tokio::test]
async fn a_signer_whom_no_root_vouches_for_proves_nothing() {
    let (_folder, ledger, _, _) = signed().await;
    let stranger = Signer::new("ipm");
    let found = findings(&ledger, &stranger).await;
    assert_eq!(found[0], ("CHECKPOINT_FORGED", 1, 3));
}

#[tokio::test]
async fn what_retention_evicted_is_no_finding() {
    let (folder, ledger, clock, signer) = signed().await;
    let bounds = crate::config::Ledger { retention_days: 1, ..crate::config::Ledger::default() };
    // Calls 4 and 3 came in a second before the others.
    clock.advance(std::time::Duration::from_millis(u64::try_from(DAY_MS).unwrap() - 500));
    assert_eq!(ledger.evict_old(&bounds).await.unwrap(), 2);
    assert_eq!(findings(&ledger, &signer).await, []);
    assert_eq!(
        raw::entries(folder.path()).iter().map(|(sequence, form, _)| (*sequence, *form)).collect::<Vec<_>>(),
        [(1, 1), (2, 1), (3, 2), (4, 2)]
    );
    clock.advance(std::time::Duration::from_secs(10));
    assert_eq!(ledger.evict_old(&bounds).await.unwrap(), 2);
    assert_eq!(raw::entries(folder.path()), [], "nothing of a piece that is evicted whole stays");
    assert_eq!(findings(&ledger, &signer).await, []);
    assert_eq!(report(&ledger, "ipm", vec![placed(1, 1)]).await.known, 1, "what was evicted does not come back");
}

#[tokio::test]
async fn evidence_of_a_call_is_proven_by_the_root_alone() {
    let (_folder, ledger, _, signer) = signed().await;
    let call_id = CallId::parse(format!("{:032x}", 2).as_bytes()).unwrap();
    let (recorded, unsigned) = ledger.evidence(call_id).await.unwrap();
    assert_eq!(unsigned, [""; 0]);
    assert_eq!((recorded.len(), recorded[0].sequence, recorded[0].position), (1, 2, 1));
    let evidence = crate::api::ledger::evidence_of("exchange.example", call_id, recorded, &[]);
    let root: rustls_pki_types::CertificateDer<'_> = signer.root.as_slice().into();
    let proven = chapar_proto::evidence::verify(&evidence, std::slice::from_ref(&root)).unwrap();
    assert_eq!(proven.finding, chapar_proto::evidence::Finding::NotReceived, "nobody has signed when it came in");
    assert_eq!((proven.records[0].record.consumer, proven.records[0].record.duration_us), ("ipm", 10_000));

    use chapar_proto::{admin::v1::Evidence, evidence::Unproven};
    let changed = |change: fn(&mut Evidence)| {
        let mut evidence = evidence.clone();
        change(&mut evidence);
        chapar_proto::evidence::verify(&evidence, std::slice::from_ref(&root)).unwrap_err()
    };
    assert!(matches!(changed(|evidence| evidence.version = 2), Unproven::Version(2)));
    assert!(matches!(changed(|evidence| evidence.records.clear()), Unproven::Empty));
    assert!(matches!(changed(|evidence| evidence.call_id = "0".repeat(32)), Unproven::OtherCall(_)));
    assert!(matches!(changed(|evidence| evidence.trust_domain = "other.example".into()), Unproven::Reporter { .. }));
    assert!(matches!(changed(|evidence| evidence.records[0].reporter.push('x')), Unproven::Reporter { .. }));
    assert!(matches!(changed(|evidence| evidence.records[0].position = 0), Unproven::Altered(_)));
    assert!(matches!(changed(|evidence| evidence.records[0].digests[0] = vec![0; 32]), Unproven::Signature(_)));
    assert!(matches!(changed(|evidence| evidence.records[0].before = vec![0; 32]), Unproven::Signature(_)));
    assert!(matches!(changed(|evidence| evidence.records[0].signature[9] ^= 1), Unproven::Signature(_)));
    assert!(matches!(changed(|evidence| evidence.records[0].sequence = 3), Unproven::Malformed("sequence")));
    let stranger = Signer::new("ipm");
    let foreign: rustls_pki_types::CertificateDer<'_> = stranger.root.as_slice().into();
    assert!(matches!(chapar_proto::evidence::verify(&evidence, &[foreign]), Err(Unproven::Certificate(_))));
}

#[tokio::test]
async fn a_record_that_is_not_signed_yet_is_no_evidence() {
    let (_folder, ledger, _, _) = signed().await;
    report(&ledger, "ipm", vec![placed(5, 5)]).await;
    let call_id = |number: u8| CallId::parse(format!("{number:032x}").as_bytes()).unwrap();
    assert!(matches!(ledger.evidence(call_id(5)).await, Err(NoEvidence::NotYetSigned(_))));
    assert!(matches!(ledger.evidence(call_id(6)).await, Err(NoEvidence::Unknown)));
}
