//! Certificates as text.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};

/// A certificate as RFC 7468 writes it.
pub(crate) fn pem(der: &[u8]) -> String {
    const LINE_CHARS: usize = 64;
    let text = BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn writes_pem_that_reads_back() {
        for length in [0, 1, 47, 48, 49, 1_000] {
            let der = vec![7; length];
            let read: Vec<_> = CertificateDer::pem_slice_iter(pem(&der).as_bytes()).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, [CertificateDer::from(der)]);
        }
    }
}
