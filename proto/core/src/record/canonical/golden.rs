//! Bytes that earlier releases wrote, and what they hash to: readable for ever, and never another form. All of it was computed apart
//! from this code, from the description in `canonical.rs`, by Python's hashlib.

use data_encoding::HEXLOWER;

use super::{tests::sample, *};
use crate::record::chain::{self, ChainId};

/// The call of [`sample`], after its first byte.
const CALL: &str = "\
        1f01070505050505050505050505050505050501010101010101010101010101010101020202020202020203030303030303030000018bcf\
        e5687bdc0b030114ffffffffffffffffff01ac0200000007040404040404040404040404040404040d4752414e545f5245564f4b45440369\
        706d0363726107736861686b61720c766572696669636174696f6e182f69722e6372612e76312e536861686b61722f4d617463681233382d\
        312f312f69706d2f736861686b61720433382d31013111d9bed8b1d988d986d8afd98720dbb1dbb20b3132372e302e302e313a310b313237\
        2e302e302e313a32";

/// Field 1 is `hi`; field 128 is one byte, which follows.
const FURTHER: &str = "01026869800101";
const LOSS_ENTRY: &str = "8000ac0200000000000003e800000000000007d001";

/// Heads of the chain 0909…09 after a call of version 1, a loss, a call of version 2, and one with further fields.
const HEADS: [&str; 4] = [
    "45f4edc2512040737fd5a1befdf6b178f05fc4fef328c049ce45767a3c61a577",
    "16c7c848899e7f7773a0be1bd90523882a7734b9d1e0152d733c22d2613a15ee",
    "c2bc0f690a034cc37af1a33b26a71602600e0401e35a0393bc16770c043dccd4",
    "a50a41a345c3987891125676cbbfbeec8e35c0153e5f53dc2bb3732c9bbdb13b",
];

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn entries() -> [Vec<u8>; 4] {
    [format!("01{CALL}"), LOSS_ENTRY.to_owned(), format!("02{CALL}"), format!("02{CALL}{FURTHER}07")].map(|hex| bytes(&hex))
}

#[test]
fn every_version_is_read_as_it_was_written_and_hashed_as_it_was() {
    let mut head = chain::beginning(ChainId([9; 16]));
    for (entry, told) in entries().iter().zip(HEADS) {
        head = chain::next(head, chain::digest(entry));
        assert_eq!(head.to_string(), told);
    }
    let [one, loss, two, further] = entries();
    assert_eq!(decode(&one), Ok(CallRecord { version: RecordVersion::One, ..sample() }));
    assert_eq!(decode(&two), Ok(CallRecord { version: RecordVersion::Two, ..sample() }));
    let fields: Vec<_> = decode(&further).unwrap().further.into_iter().collect();
    assert_eq!(fields, [(1, &b"hi"[..]), (128, &[7])]);
    let lost = |ms| Timestamp::from_unix_ms(ms);
    let told = Loss { cause: LossCause::SpoolFull, records: 300, first_at: lost(1_000), last_at: lost(2_000), number: 1 };
    assert_eq!(decode_entry(&loss), Ok(ChainEntry::Loss(told)));
}

#[test]
fn every_version_is_written_again_byte_by_byte() {
    for entry in entries() {
        let mut again = Vec::new();
        match decode_entry(&entry).unwrap() {
            ChainEntry::Call(record) => encode(&record, &mut again),
            ChainEntry::Loss(loss) => encode_loss(&loss, &mut again),
        }
        assert_eq!(again, entry);
    }
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    for first in [0_u8, 3, 0x7f, 0x81, 0xff] {
        let later = [&[first][..], &bytes(CALL)].concat();
        assert_eq!(decode(&later), Err(Malformed::Version(first)));
    }
    assert_eq!(Malformed::Version(3).to_string(), "the record is of version 3, which this software does not know");
}

#[test]
fn the_first_version_has_no_room_for_further_fields() {
    let one = bytes(&format!("01{CALL}{FURTHER}07"));
    assert_eq!(decode(&one), Err(Malformed::Long));
    assert_eq!(decode(&bytes(&format!("02{CALL}{FURTHER}"))), Err(Malformed::Field("further fields")));
}
