//! No bytes make the reader panic, and what it accepts it can compare.

use std::sync::LazyLock;

use chapar_core::passport::{Passport, compare_sets};
use proptest::prelude::*;

use crate::{
    source::{REGISTER, compile},
    wire,
};

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| compile(REGISTER));
static GENUINE: LazyLock<Passport> = LazyLock::new(|| Passport::parse(&BYTES).expect("complete"));

fn read(bytes: &[u8]) {
    if let Ok(passport) = Passport::parse(bytes) {
        let _ = compare_sets(&passport, &GENUINE);
        let _ = compare_sets(&GENUINE, &passport);
        assert_eq!(compare_sets(&passport, &passport), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_048)) {
        read(&bytes);
    }

    #[test]
    fn a_passport_with_bytes_changed(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = BYTES.clone();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
    }

    #[test]
    fn a_passport_cut_short(at in any::<prop::sample::Index>()) {
        read(&BYTES[..at.index(BYTES.len())]);
    }

    // Changes that keep the encoding whole reach further into the reader than changed bytes do.
    #[test]
    fn a_passport_with_declarations_changed(edits in proptest::collection::vec(wire::edit(), 1..6)) {
        let mut bytes = BYTES.clone();
        for edit in &edits {
            bytes = wire::edited(&bytes, edit);
        }
        read(&bytes);
    }
}
