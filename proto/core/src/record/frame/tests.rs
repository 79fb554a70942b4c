use proptest::prelude::*;

use super::*;
use crate::{
    policy::Side,
    record::{CallId, CallRecord, Loss, LossCause, RecordVersion, TraceContext, encode, encode_loss},
    time::Timestamp,
};

/// Frames numbered 1 to `count`, and where each ends.
fn file(count: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let ends = (1..=count)
        .map(|number| {
            let instant = Timestamp::from_unix_ms(1_000);
            let loss = Loss { cause: LossCause::SpoolFull, records: number, first_at: instant, last_at: instant, number };
            put(number, &mut bytes, |out| encode_loss(&loss, out));
            bytes.len()
        })
        .collect();
    (bytes, ends)
}

/// Sequence numbers of what can be read, and the bytes that cannot.
fn read(mut bytes: &[u8]) -> (Vec<u64>, usize) {
    let (mut numbers, mut damaged) = (Vec::new(), 0);
    loop {
        let taken = match step(bytes, numbers.last().copied().unwrap_or(0), true) {
            Step::Frame(frame, taken) => {
                numbers.push(frame.sequence);
                taken
            }
            Step::Damage(taken) => {
                damaged += taken;
                taken
            }
            Step::More | Step::End => return (numbers, damaged),
        };
        bytes = &bytes[taken..];
    }
}

#[test]
fn what_was_put_is_read_back_in_order() {
    let (bytes, ends) = file(5);
    assert_eq!(read(&bytes), (vec![1, 2, 3, 4, 5], 0));
    assert_eq!(whole(&bytes, ends[2] + 3), ends[2]);
    assert_eq!(whole(&bytes, usize::MAX), bytes.len());
    assert_eq!(whole(&bytes, 3), 0);
}

/// Computed apart from this code, from the description above: a loss of 300 records at place 7.
const FRAME: &str = "5b5f9c991500000007000000000000008000ac0200000000000003e800000000000007d001";

#[test]
fn a_frame_of_the_releases_before_is_read_and_written_again() {
    let bytes = data_encoding::HEXLOWER.decode(FRAME.as_bytes()).unwrap();
    let Look::Sound(Frame { sequence, entry: ChainEntry::Loss(loss), .. }) = look(&bytes) else { panic!("not read") };
    assert_eq!((sequence, loss.records), (7, 300));
    let mut again = Vec::new();
    put(7, &mut again, |out| encode_loss(&loss, out));
    assert_eq!(again, bytes);
}

#[test]
fn records_of_all_versions_stand_in_one_file() {
    let trace = TraceContext { trace_id: [1; 16], span_id: [2; 8], parent_span_id: None, sampled: false };
    let at = Timestamp::from_unix_ms(1_000);
    let newest = CallRecord::begun(CallId::from_bytes([3; 16]), trace, Side::Consumer, "/a/b", at, "");
    let records = RecordVersion::ALL.map(|version| CallRecord { version, ..newest });
    let mut file = Vec::new();
    for (number, record) in (1..).zip(&records) {
        put(number, &mut file, |out| encode(record, out));
    }
    let mut rest = &file[..];
    for record in records {
        let Step::Frame(frame, taken) = step(rest, 0, true) else { panic!("not read") };
        assert_eq!(frame.entry, ChainEntry::Call(record));
        rest = &rest[taken..];
    }
    assert!(rest.is_empty());
}

#[test]
fn a_file_that_ends_anywhere_keeps_all_whole_frames() {
    let (bytes, ends) = file(4);
    for end in 0..=bytes.len() {
        let whole = ends.iter().filter(|at| **at <= end).count();
        let (numbers, damaged) = read(&bytes[..end]);
        assert_eq!(numbers.len(), whole, "cut at {end}");
        assert_eq!(damaged, end - ends[..whole].last().copied().unwrap_or(0), "cut at {end}");
    }
}

#[test]
fn any_flipped_bit_costs_the_frame_that_holds_it_and_no_other() {
    let (bytes, ends) = file(4);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().filter(|end| **end <= bit / 8).count() as u64 + 1;
        let left: Vec<u64> = (1..=4).filter(|number| *number != hit).collect();
        assert_eq!(read(&flipped).0, left, "bit {bit}");
    }
}

#[test]
fn a_frame_that_comes_again_is_not_read_again() {
    let (bytes, ends) = file(2);
    let again = [&bytes[..], &bytes[..ends[0]]].concat();
    assert_eq!(read(&again), (vec![1, 2], ends[0]));
}

#[test]
fn nothing_is_said_of_what_may_still_come() {
    let (bytes, ends) = file(2);
    assert_eq!(step(&bytes[..ends[0] - 1], 0, false), Step::More);
    assert_eq!(step(&[], 0, false), Step::More);
    assert_eq!(step(&[0; 40], 0, false), Step::More);
    assert_eq!(step(&[0; 40], 0, true), Step::Damage(40));
}

proptest! {
    #[test]
    fn foreign_bytes_are_walked_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (numbers, damaged) = read(&bytes);
        prop_assert!(!numbers.is_empty() || damaged == bytes.len());
    }
}
