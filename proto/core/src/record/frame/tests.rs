use proptest::prelude::*;

use super::*;
use crate::{
    record::{Loss, LossCause, encode_loss},
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
