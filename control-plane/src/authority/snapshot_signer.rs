//! The control plane's signature under snapshots.

use super::{Authority, AuthorityError};

/// Signs snapshots with the control plane's own key, whichever it is now.
#[derive(Clone)]
pub struct SnapshotSigner {
    authority: Authority,
}

/// A signature under a snapshot, and whose it is.
#[derive(Clone, Debug)]
pub struct SnapshotSignature {
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub der: Vec<u8>,
    /// The signer's certificate, then its issuers without the root; DER.
    pub chain: Vec<Vec<u8>>,
}

impl SnapshotSigner {
    pub(super) fn new(authority: Authority) -> Self {
        Self { authority }
    }

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn sign(&self, bytes: &[u8]) -> Result<SnapshotSignature, AuthorityError> {
        let own = self.authority.current().own.clone();
        let failed = |source| AuthorityError::Signing { doing: "sign a snapshot", source };
        let der = own.signer.sign(bytes).map_err(failed)?;
        Ok(SnapshotSignature { der, chain: own.chain.iter().map(|certificate| certificate.to_vec()).collect() })
    }
}
