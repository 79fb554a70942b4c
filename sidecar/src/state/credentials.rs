//! The sidecar's key, certificate and roots in the state folder.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};

use super::{StateError, StateFolder};
use crate::trust::{Bundle, Credentials, peer_certificate};

/// Private key and chain in one file, so that they can only change together.
const CREDENTIALS_FILE: &str = "credentials.pem";
/// Roots of the sidecar's trust domain.
const BUNDLE_FILE: &str = "bundle.pem";

impl StateFolder {
    /// What an earlier start kept; `None` before the first enrolment.
    ///
    /// # Errors
    /// When a file cannot be read, is open to others, or is damaged.
    pub fn credentials(&self) -> Result<Option<(Credentials, Bundle)>, StateError> {
        let Some(pem) = self.read(CREDENTIALS_FILE)? else { return Ok(None) };
        let Some(roots) = self.read(BUNDLE_FILE)? else { return Ok(None) };
        let damaged = |name: &str, problem: String| StateError::Damaged { path: self.file(name), problem };
        let key = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|error| damaged(CREDENTIALS_FILE, error.to_string()))?;
        let chain = certificates(&pem).map_err(|problem| damaged(CREDENTIALS_FILE, problem))?;
        let own = peer_certificate(&chain).map_err(|problem| damaged(CREDENTIALS_FILE, problem.to_string()))?;
        let roots = certificates(&roots).map_err(|problem| damaged(BUNDLE_FILE, problem))?;
        let trust_domain = own.spiffe_id.trust_domain().clone();
        Ok(Some((Credentials { key, chain }, Bundle { trust_domain, roots })))
    }

    /// Keeps the key and its chain.
    ///
    /// # Errors
    /// When they cannot be written; the earlier ones are then still there.
    pub fn keep_credentials(&self, credentials: &Credentials) -> Result<(), StateError> {
        let mut pem = block("PRIVATE KEY", credentials.key.secret_pkcs8_der());
        for certificate in &credentials.chain {
            pem.push_str(&block("CERTIFICATE", certificate));
        }
        self.write(CREDENTIALS_FILE, pem.as_bytes())
    }

    /// Keeps the roots.
    ///
    /// # Errors
    /// When they cannot be written; the earlier ones are then still there.
    pub fn keep_bundle(&self, bundle: &Bundle) -> Result<(), StateError> {
        let pem: String = bundle.roots.iter().map(|root| block("CERTIFICATE", root)).collect();
        self.write(BUNDLE_FILE, pem.as_bytes())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// One block of RFC 7468: base64 in lines of 64 characters.
fn block(label: &str, der: &[u8]) -> String {
    const BYTES_PER_LINE: usize = 48;
    let lines: String = der.chunks(BYTES_PER_LINE).map(|line| STANDARD.encode(line) + "\n").collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}
