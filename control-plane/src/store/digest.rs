//! Digests over the fields of what is stored.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256 over fields one after the other: a number as 8 bytes, big endian; a text after its length. No two lists of fields are alike.
pub(super) struct FieldDigest(Context);

impl FieldDigest {
    /// Begins with what says what is digested, so that no digest passes for one of anything else.
    #[must_use]
    pub(super) fn of(what: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(what);
        Self(context)
    }

    /// A hash, of which all are of one length.
    pub(super) fn hash(&mut self, hash: &[u8; 32]) -> &mut Self {
        self.0.update(hash);
        self
    }

    /// A number.
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_be_bytes());
        self
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
        self
    }

    /// All of it.
    #[must_use]
    pub(super) fn ended(self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}
