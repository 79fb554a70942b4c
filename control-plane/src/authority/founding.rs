//! The first start: a root and an issuing CA where there was none.

use std::sync::Arc;

use chapar_core::{identity::TrustDomain, time::Timestamp};
use data_encoding::HEXLOWER;
use rcgen::{CertificateParams, Issuer};
use x509_parser::parse_x509_certificate;

use super::{
    error::AuthorityError,
    generations::{self, Generation, Kind, State},
    lifetime,
    profile::{self, Validity},
    signer::{CertificateKey, Keyring, Signer},
};
use crate::{
    clock::{Clock, date_of},
    config::Certificates,
    store::{AuditEntry, SYSTEM, Store},
};

/// Makes root-1 and issuing-1, unless the database holds generations; then checks that they are of this trust domain.
pub(super) async fn found_if_new(
    store: &Store,
    keys: &dyn Keyring,
    trust_domain: &TrustDomain,
    lifetimes: &Certificates,
) -> Result<(), AuthorityError> {
    let mut tx = store.write().await?;
    let held = tx.generations().await?;
    if let Some(first) = held.first() {
        return expect_trust_domain(first, trust_domain);
    }
    keys.expect_empty()?;
    let maker = Maker { keys, trust_domain, lifetimes, clock: store.clock() };
    let (root, root_key) = maker.root("root-1", State::Active, None)?;
    let issuing = maker.issuing("issuing-1", State::Active, &root, &root_key)?;
    for generation in [&root, &issuing] {
        generations::insert(&mut tx, generation).await?;
        tx.audit(
            AuditEntry::done(SYSTEM, "authority.found", &generation.name)
                .with(serde_json::json!({ "fingerprint": generation.fingerprint(), "trust_domain": trust_domain.as_str() })),
        )
        .await?;
    }
    tx.next_revision().await?;
    tx.commit().await?;
    tracing::info!(trust_domain = %trust_domain, root = root.fingerprint(), "founded the certificate authority");
    Ok(())
}

fn expect_trust_domain(generation: &Generation, configured: &TrustDomain) -> Result<(), AuthorityError> {
    let held = generation.trust_domain()?;
    if held == configured.as_str() {
        Ok(())
    } else {
        Err(AuthorityError::OtherTrustDomain { held, configured: configured.to_string() })
    }
}

/// Makes generations: key file and certificate.
pub(super) struct Maker<'a> {
    pub(super) keys: &'a dyn Keyring,
    pub(super) trust_domain: &'a TrustDomain,
    pub(super) lifetimes: &'a Certificates,
    pub(super) clock: &'a Clock,
}

impl Maker<'_> {
    /// A root; cross-signed when it follows another.
    pub(super) fn root(
        &self,
        name: &str,
        state: State,
        predecessor: Option<(&Generation, &Arc<dyn Signer>)>,
    ) -> Result<(Generation, Arc<dyn Signer>), AuthorityError> {
        let validity = Validity::from_now(date_of(self.clock.now()), lifetime(self.lifetimes.root_lifetime_s));
        let key = self.keys.make(name)?;
        let certificate = profile::root(self.trust_domain, name, validity)?
            .self_signed(&CertificateKey(key.clone()))
            .map_err(|source| AuthorityError::Crypto { doing: "sign a root", source })?;
        let mut generation = generation_of(name, Kind::Root, state, certificate.der())?;
        self.keys.keep_certificate(name, &certificate.pem())?;
        if let Some((old, old_key)) = predecessor {
            let params = profile::cross(self.trust_domain, name, validity.within(date_of(old.not_after)))?;
            generation.cross_certificate = Some(sign(&params, &key, old, old_key)?.der().to_vec());
            generation.parent = Some(old.name.clone());
        }
        Ok((generation, key))
    }

    /// An issuing CA under a root.
    pub(super) fn issuing(
        &self,
        name: &str,
        state: State,
        root: &Generation,
        root_key: &Arc<dyn Signer>,
    ) -> Result<Generation, AuthorityError> {
        let validity = Validity::from_now(date_of(self.clock.now()), lifetime(self.lifetimes.issuer_lifetime_s))
            .within(date_of(root.not_after));
        let key = self.keys.make(name)?;
        let params = profile::issuing(self.trust_domain, name, validity)?;
        let certificate = sign(&params, &key, root, root_key)?;
        self.keys.keep_certificate(name, &certificate.pem())?;
        let mut generation = generation_of(name, Kind::Issuing, state, certificate.der())?;
        generation.parent = Some(root.name.clone());
        Ok(generation)
    }
}

fn sign(
    params: &CertificateParams,
    key: &Arc<dyn Signer>,
    by: &Generation,
    by_key: &Arc<dyn Signer>,
) -> Result<rcgen::Certificate, AuthorityError> {
    let failed = |source| AuthorityError::Crypto { doing: "certify a CA", source };
    let issuer = Issuer::from_ca_cert_der(&by.certificate.as_slice().into(), CertificateKey(by_key.clone())).map_err(failed)?;
    params.signed_by(&CertificateKey(key.clone()), &issuer).map_err(failed)
}

fn generation_of(name: &str, kind: Kind, state: State, der: &[u8]) -> Result<Generation, AuthorityError> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
    Ok(Generation {
        name: name.to_owned(),
        kind,
        state,
        parent: None,
        certificate: der.to_vec(),
        cross_certificate: None,
        serial: HEXLOWER.encode(certificate.raw_serial()),
        not_before: Timestamp::from_unix_s(certificate.validity().not_before.timestamp()),
        not_after: Timestamp::from_unix_s(certificate.validity().not_after.timestamp()),
        retired_at: None,
        revocation: None,
    })
}
