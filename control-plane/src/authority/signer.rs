//! The control plane's signature under snapshots.

use rcgen::SigningKey as _;

use super::{Authority, AuthorityError};

/// Signs with the control plane's own key, whichever it is now.
#[derive(Clone)]
pub struct Signer {
    authority: Authority,
}

/// A signature and whose it is.
#[derive(Clone, Debug)]
pub struct Signature {
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub der: Vec<u8>,
    /// The signer's certificate, then its issuers without the root; DER.
    pub chain: Vec<Vec<u8>>,
}

impl Signer {
    pub(super) fn new(authority: Authority) -> Self {
        Self { authority }
    }

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn sign(&self, bytes: &[u8]) -> Result<Signature, AuthorityError> {
        let own = self.authority.current().own.clone();
        let der = own.key.sign(bytes).map_err(|source| AuthorityError::Crypto { doing: "sign a snapshot", source })?;
        Ok(Signature { der, chain: own.chain.iter().map(|certificate| certificate.to_vec()).collect() })
    }
}
