//! What vouches for signatures when they come in: each is verified against the reporter's certificate, and signed in turn with the time of
//! receipt. A key that leaks later cannot make it appear that it had signed earlier.

use std::{collections::HashMap, fmt, sync::Arc};

use chapar_core::{identity::SpiffeId, time::Timestamp};
use chapar_proto::evidence::{certified, signed_by};
use rustls_pki_types::CertificateDer;

use super::{
    trust::{Anchors, Trust},
    validation::SignedCheckpoint,
};

/// Signs these bytes with the control plane's key (ECDSA P-256 with SHA-256): the signature, and the certificate. An error is told.
type Seal = dyn Fn(&[u8]) -> Result<(Vec<u8>, Vec<u8>), String> + Send + Sync;

/// The control plane's part in evidence. Clones are the same.
#[derive(Clone)]
pub struct Notary {
    trust: Arc<dyn Fn() -> Trust + Send + Sync>,
    seal: Arc<Seal>,
}

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notary").finish_non_exhaustive()
    }
}

/// What the control plane signed on receipt of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) signature: Vec<u8>,
    /// Certificate of the signer, DER.
    pub(super) certificate: Vec<u8>,
}

/// Receipts of the checkpoints of an export, or why there is none, by the sidecar's signature.
pub(super) type Receipts = HashMap<Box<[u8]>, Result<Receipt, &'static str>>;

impl Notary {
    /// `trust`: what certificates are judged by now.
    #[must_use]
    pub fn new(
        trust: impl Fn() -> Trust + Send + Sync + 'static,
        seal: impl Fn(&[u8]) -> Result<(Vec<u8>, Vec<u8>), String> + Send + Sync + 'static,
    ) -> Self {
        Self { trust: Arc::new(trust), seal: Arc::new(seal) }
    }

    /// Verifies a checkpoint, and signs its receipt. The reporter's certificate may have been renewed since its connection was made: it
    /// must be valid now, and name the reporter.
    pub(super) fn receipt(
        &self,
        signed: &SignedCheckpoint<'_>,
        reporter: &SpiffeId,
        now: Timestamp,
    ) -> Result<Receipt, &'static str> {
        let leaf = CertificateDer::from(signed.certificate);
        signed_by(&signed.checkpoint, &leaf, signed.scheme, signed.signature).map_err(|_| "the signature is not over it")?;
        let anchors = Anchors::from((self.trust)());
        let signer = certified(&leaf, &anchors.issuers, &anchors.roots, now);
        if signer.as_ref() != Some(reporter) {
            return Err("its certificate is not the reporter's, or not valid now");
        }
        let (signature, certificate) = (self.seal)(&signed.checkpoint.receipt_bytes(now)).map_err(|problem| {
            tracing::error!(problem, "the receipt of evidence cannot be signed");
            "the exchange cannot sign its receipt now"
        })?;
        Ok(Receipt { signature, certificate })
    }
}
