//! Evidence: what one spool writer of a sidecar writes as a hash chain, and signed checkpoints of it.
//!
//! `h(0) = SHA-256("chapar.chain.v1\0" ‖ chain ID)`; `h(n) = SHA-256(h(n-1) ‖ SHA-256(canonical bytes of entry n))`. Sequence
//! numbers begin with 1. An entry of damage stands for all the sequence numbers from its `number` to its own, which is then the
//! last one that is missing.

use std::fmt;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::CallId;
use crate::time::Timestamp;

/// Names one chain: random, made with the spool writer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId(pub [u8; 16]);

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both are 128 bits in lowercase hex.
        CallId::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainId({self})")
    }
}

/// A SHA-256 digest: of an entry, or of a chain up to some entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The digest of one entry's canonical bytes.
#[must_use]
pub fn digest(canonical: &[u8]) -> Hash {
    Hash(Sha256::digest(canonical).into())
}

/// `h(0)`.
#[must_use]
pub fn beginning(chain: ChainId) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"chapar.chain.v1\0");
    hash.update(chain.0);
    Hash(hash.finalize().into())
}

/// `h(n)`, of `h(n-1)` and the digest of entry n.
#[must_use]
pub fn next(head: Hash, entry: Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update(head.0);
    hash.update(entry.0);
    Hash(hash.finalize().into())
}

/// What a sidecar signs: that its chain, between these two sequence numbers, went from one head to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which chain.
    pub chain: ChainId,
    /// First entry that it covers.
    pub first: u64,
    /// Last one.
    pub last: u64,
    /// `h` before the first.
    pub before: Hash,
    /// `h` after the last.
    pub after: Hash,
    /// When it was signed.
    pub at: Timestamp,
}

/// Tells what is signed here from everything else that the same key signs.
const DOMAIN: &[u8; 21] = b"chapar.checkpoint.v1\0";

/// Begins every message that is signed on receipt.
const RECEIPT_DOMAIN: &[u8] = b"chapar.receipt.v1\0";

impl Checkpoint {
    /// Length of the signed message, in bytes.
    pub const SIGNED_BYTES: usize = DOMAIN.len() + 16 + 8 + 8 + 32 + 32 + 8;

    /// The message that is signed: `"chapar.checkpoint.v1\0"`, chain, first, last, before, after, instant in Unix ms;
    /// numbers are eight bytes, big-endian.
    #[must_use]
    pub fn signed_bytes(&self) -> [u8; Self::SIGNED_BYTES] {
        let mut message = [0; Self::SIGNED_BYTES];
        let mut rest = &mut message[..];
        let parts: [&[u8]; 7] = [
            DOMAIN,
            &self.chain.0,
            &self.first.to_be_bytes(),
            &self.last.to_be_bytes(),
            &self.before.0,
            &self.after.0,
            &self.at.unix_ms().to_be_bytes(),
        ];
        for part in parts {
            // The parts' lengths add up to that of the message.
            let (here, after) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = after;
        }
        message
    }

    /// The message that the ledger signs when this came in: `"chapar.receipt.v1\0"`, the message of the checkpoint, the instant in Unix
    /// ms in eight bytes, big-endian. A key that leaks later cannot make it appear to have come in earlier.
    #[must_use]
    pub fn receipt_bytes(&self, received_at: Timestamp) -> Vec<u8> {
        [RECEIPT_DOMAIN, &self.signed_bytes()[..], &received_at.unix_ms().to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_an_entry_or_of_their_order_changes_the_head() {
        let begin = beginning(ChainId([1; 16]));
        let head = |entries: &[&[u8]]| entries.iter().fold(begin, |head, entry| next(head, digest(entry)));
        let told = head(&[b"a", b"b", b"c"]);
        for other in [&[&b"b"[..], b"a", b"c"][..], &[b"a", b"b"], &[b"a", b"b", b"d"], &[b"ab", b"c"]] {
            assert_ne!(head(other), told);
        }
        assert_ne!(beginning(ChainId([2; 16])), begin);
    }

    #[test]
    fn everything_in_a_checkpoint_is_signed() {
        let one = Checkpoint {
            chain: ChainId([1; 16]),
            first: 1,
            last: 9,
            before: Hash([2; 32]),
            after: Hash([3; 32]),
            at: Timestamp::from_unix_ms(5),
        };
        let others = [
            Checkpoint { chain: ChainId([9; 16]), ..one },
            Checkpoint { first: 2, ..one },
            Checkpoint { last: 8, ..one },
            Checkpoint { before: Hash([9; 32]), ..one },
            Checkpoint { after: Hash([9; 32]), ..one },
            Checkpoint { at: Timestamp::from_unix_ms(6), ..one },
        ];
        assert!(others.iter().all(|other| other.signed_bytes() != one.signed_bytes()));
        let at = Timestamp::from_unix_ms;
        assert!(others.iter().all(|other| other.receipt_bytes(at(7)) != one.receipt_bytes(at(7))));
        assert_ne!(one.receipt_bytes(at(7)), one.receipt_bytes(at(8)));
        assert!(one.signed_bytes().starts_with(DOMAIN) && one.signed_bytes().ends_with(&5_i64.to_be_bytes()));
    }
}
