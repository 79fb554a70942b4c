//! Spool files: walked to their end whatever is in them; sound frames amid damage are found, in order.

use chapar_core::{
    record::{
        Loss, LossCause, encode_loss,
        frame::{self, Step, step},
    },
    time::Timestamp,
};

pub fn run(bytes: &[u8]) {
    // The fuzzer's bytes between two sound frames: neither may be lost.
    let mut file = Vec::new();
    put(1, &mut file);
    file.extend_from_slice(bytes);
    put(u64::MAX, &mut file);
    let found = walk(&file);
    assert_eq!((found.first(), found.last()), (Some(&1), Some(&u64::MAX)));
    assert!(found.is_sorted_by(|earlier, later| earlier < later));
    walk(bytes);
    assert!(frame::whole(bytes, bytes.len()) <= bytes.len());
}

fn put(number: u64, out: &mut Vec<u8>) {
    let at = Timestamp::from_unix_ms(0);
    let loss = Loss { cause: LossCause::Damaged, records: 1, first_at: at, last_at: at, number };
    frame::put(number, out, |out| encode_loss(&loss, out));
}

fn walk(mut rest: &[u8]) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    loop {
        let taken = match step(rest, found.last().copied().unwrap_or(0), true) {
            Step::Frame(frame, taken) => {
                found.push(frame.sequence);
                taken
            }
            Step::Damage(taken) => taken,
            Step::More => panic!("nothing more will come"),
            Step::End => return found,
        };
        assert!(taken > 0, "every step goes on");
        rest = &rest[taken..];
    }
}
