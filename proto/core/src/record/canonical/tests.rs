use proptest::prelude::*;

use super::*;

pub(super) fn sample() -> CallRecord<'static> {
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: Some([3; 8]), sampled: true };
    CallRecord {
        consumer: "ipm",
        provider: "cra",
        inquiry: "shahkar",
        kind: "verification",
        grant: "38-1/1/ipm/shahkar",
        resolution: "38-1",
        clause: "1",
        purpose: "پرونده ۱۲",
        subject: Some(SubjectHash { key: 7, hash: [4; 16] }),
        policy_version: 3,
        outcome: Outcome::Refused,
        reason: Some(Reason::GrantRevoked),
        status: GrpcCode::PermissionDenied,
        duration_us: 1_500,
        request: Flow { messages: 1, bytes: 20 },
        response: Flow { messages: u64::MAX, bytes: 300 },
        server_address: "127.0.0.1:2",
        ..CallRecord::begun(
            CallId::from_bytes([5; 16]),
            trace,
            Side::Provider,
            "/ir.cra.v1.Shahkar/Match",
            Timestamp::from_unix_ms(1_700_000_000_123),
            "127.0.0.1:1",
        )
    }
}

fn encoded(record: &CallRecord<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    bytes
}

#[test]
fn a_record_is_read_back_as_it_was() {
    let whole = sample();
    let trace = TraceContext { parent_span_id: None, sampled: false, ..whole.trace };
    let bare = CallRecord::begun(whole.call_id, trace, Side::Consumer, "/", Timestamp::from_unix_ms(-1), "");
    for record in [whole, bare] {
        assert_eq!(decode(&encoded(&record)), Ok(record));
    }
}

#[test]
fn every_outcome_status_and_reason_has_a_number_or_a_name_of_its_own() {
    for outcome in Outcome::ALL {
        for status in 0..=16 {
            let record = CallRecord { outcome, status: GrpcCode::from_number(status), ..sample() };
            assert_eq!(decode(&encoded(&record)), Ok(record));
        }
    }
    for &reason in Reason::ALL {
        let record = CallRecord { reason: Some(reason), ..sample() };
        assert_eq!(decode(&encoded(&record)), Ok(record));
    }
}

#[test]
fn the_form_is_what_the_control_plane_and_old_evidence_rely_on() {
    // Another digest is another form, and needs another first byte.
    let first = CallRecord { version: RecordVersion::One, ..sample() };
    let digest = super::super::chain::digest(&encoded(&first));
    assert_eq!(digest.to_string(), GOLDEN);
}

const GOLDEN: &str = "29a42d3bf6dd611816ccbfec90b598adb08de15344b846d7f49a9f0c67406806";

#[test]
fn whatever_is_cut_off_or_added_is_refused() {
    let bytes = encoded(&sample());
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end}");
    }
    let first = encoded(&CallRecord { version: RecordVersion::One, ..sample() });
    assert_eq!(decode(&[&first[..], &[0]].concat()), Err(Malformed::Long));
    assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(Malformed::Field("further fields")));
}

#[test]
fn a_number_in_a_longer_form_than_need_be_is_refused() {
    let loss = Loss {
        cause: LossCause::SpoolFull,
        records: 5,
        first_at: Timestamp::from_unix_ms(1),
        last_at: Timestamp::from_unix_ms(2),
        number: 1,
    };
    let mut bytes = Vec::new();
    encode_loss(&loss, &mut bytes);
    assert_eq!(decode_entry(&bytes), Ok(ChainEntry::Loss(loss)));
    assert_eq!(decode(&bytes), Err(Malformed::Form));
    bytes.splice(2..3, [0x85, 0x00]);
    assert_eq!(decode_entry(&bytes), Err(Malformed::Field("number")));
}

#[test]
fn long_texts_are_clipped_to_whole_characters() {
    let long = "چ".repeat(TEXT_BYTES_MAX);
    let bytes = encoded(&CallRecord { purpose: &long, ..sample() });
    assert_eq!(decode(&bytes).unwrap().purpose, "چ".repeat(TEXT_BYTES_MAX / 2));
    let further = [&[1, 0xfd, 0x07][..], &[0; FURTHER_BYTES_MAX - 3]].concat();
    let texts = CallRecord {
        consumer: &long,
        provider: &long,
        inquiry: &long,
        kind: &long,
        path: &long,
        grant: &long,
        resolution: &long,
        clause: &long,
        purpose: &long,
        peer_address: &long,
        server_address: &long,
        further: FurtherFields::parse(&further).unwrap(),
        ..sample()
    };
    assert!(encoded(&texts).len() <= ENTRY_BYTES_MAX);
}

proptest! {
    #[test]
    fn whatever_is_taken_is_given_back_byte_by_byte(at in 0_usize..400, to in any::<u8>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut damaged = encoded(&sample());
        if let Some(byte) = damaged.get_mut(at) {
            *byte = to;
        }
        let further = [encoded(&sample()), bytes.clone()].concat();
        for bytes in [damaged, further, bytes] {
            let mut again = Vec::new();
            match decode_entry(&bytes) {
                Ok(ChainEntry::Call(record)) => encode(&record, &mut again),
                Ok(ChainEntry::Loss(loss)) => encode_loss(&loss, &mut again),
                Err(_) => continue,
            }
            prop_assert_eq!(&again, &bytes);
        }
    }
}
