//! Records: whatever is read as one is written again byte by byte.

use chapar_core::record::{ChainEntry, ENTRY_BYTES_MAX, decode_entry, encode, encode_loss};

pub fn run(bytes: &[u8]) {
    let mut again = Vec::new();
    match decode_entry(bytes) {
        Ok(ChainEntry::Call(record)) => {
            encode(&record, &mut again);
            let _ = record.attributes();
        }
        Ok(ChainEntry::Loss(loss)) => encode_loss(&loss, &mut again),
        Err(_) => return,
    }
    assert_eq!(again, bytes, "one record has one form");
    assert!(bytes.len() <= ENTRY_BYTES_MAX);
}
