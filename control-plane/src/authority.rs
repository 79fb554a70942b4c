//! The certificate authority: a root, kept apart, that certifies issuing CAs; and issuing CAs that certify sidecars, admins and
//! the control plane itself with short-lived X.509-SVIDs.
//!
//! Each root and each issuing CA is a *generation*. Generations follow one another without a gap: a new one is distributed
//! before it issues, and an old one stays trusted until it is retired.

mod csr;
mod current;
mod digest;
mod error;
mod founding;
mod generations;
mod hanging;
mod issue;
mod listing;
mod profile;
mod revocation;
mod root_rotation;
mod rotation;
mod signer;
mod snapshot_signer;
mod standing;
mod succession;
mod upkeep;
mod view;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use chapar_core::identity::TrustDomain;

#[cfg(test)]
pub(crate) use self::csr::weak_request;
pub use self::{
    csr::{Csr, CsrRefusal},
    current::Current,
    digest::sha256,
    error::{AuthorityError, SigningError},
    generations::{Generation, Kind, State},
    issue::Issued,
    listing::{CertificateRow, LiveCounts},
    profile::{BACKDATED, LeafUse},
    revocation::{
        AgencyStanding, RevokedIssuer, RevokedSidecar, Suspended, require_agency, revoke_issuer, revoke_sidecar,
        sidecar_revoked_since, suspended,
    },
    root_rotation::{RootRotation, root_rotation},
    signer::{Keyring, OwnKey, Signer},
    snapshot_signer::{SnapshotSignature, SnapshotSigner},
    standing::CertificateStanding,
    upkeep::run,
    view::{RevokedCertificate, SuspendedAgency, TrustView, trust_view},
};
use self::{founding::Maker, signer::KeyFiles};
use crate::{changes::Acknowledgements, clock::Clock, config::Certificates, store::Store};

/// Hears of every exchange of the generations in use.
type Tell = Box<dyn Fn(&Current) + Send + Sync>;

/// The authority of one trust domain. Clones are the same authority.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    trust_domain: TrustDomain,
    lifetimes: Certificates,
    store: Store,
    keys: Arc<dyn Keyring>,
    current: ArcSwap<Current>,
    acknowledgements: Acknowledgements,
    /// Held while the picture is rebuilt from the database, so that an older one never replaces a newer one.
    reloading: tokio::sync::Mutex<()>,
    /// Held by whoever waits with a new root.
    conducting: Arc<tokio::sync::Mutex<()>>,
    /// Changes whenever the picture was exchanged.
    moved: tokio::sync::watch::Sender<()>,
    /// Told whenever the picture was exchanged.
    reloaded: Mutex<Vec<Tell>>,
}

impl Authority {
    /// Opens the authority; founds it when neither database nor folder know one.
    ///
    /// # Errors
    /// When keys are away, the database was lost, or it belongs to another trust domain.
    pub async fn open(
        store: Store,
        folder: &Path,
        trust_domain: TrustDomain,
        lifetimes: Certificates,
        acknowledgements: Acknowledgements,
    ) -> Result<Self, AuthorityError> {
        let keys: Arc<dyn Keyring> = Arc::new(KeyFiles::open(folder)?);
        founding::found_if_new(&store, &*keys, &trust_domain, &lifetimes).await?;
        let maker = Maker { keys: &*keys, trust_domain: &trust_domain, lifetimes: &lifetimes, clock: store.clock() };
        if let Err(error) = succession::succeed_if_due(&store, &maker).await {
            // It may well go on issuing for a while; if it cannot, the next line says so.
            tracing::warn!(%error, "cannot rotate the issuing CA, which is near its end");
        }
        let current = issue::picture(&store, &*keys, &trust_domain, &lifetimes).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                trust_domain,
                lifetimes,
                store,
                keys,
                current: ArcSwap::from_pointee(current),
                acknowledgements,
                reloading: tokio::sync::Mutex::new(()),
                conducting: Arc::default(),
                moved: tokio::sync::watch::Sender::new(()),
                reloaded: Mutex::new(Vec::new()),
            }),
        })
    }

    /// The trust domain that it vouches for.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.inner.trust_domain
    }

    /// The generations and certificates in use now.
    #[must_use]
    pub fn current(&self) -> Arc<Current> {
        self.inner.current.load_full()
    }

    /// Signs snapshots with the control plane's own key.
    #[must_use]
    pub fn signer(&self) -> SnapshotSigner {
        SnapshotSigner::new(self.clone())
    }

    /// Calls `tell` now and after every exchange of the generations in use.
    pub fn on_change(&self, tell: impl Fn(&Current) + Send + Sync + 'static) {
        tell(&self.current());
        self.inner.reloaded.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(tell));
    }

    /// Renews the control plane's own certificate when half of its life is over.
    ///
    /// # Errors
    /// When it cannot be issued.
    pub async fn renew_own_if_due(&self) -> Result<bool, AuthorityError> {
        let current = self.current();
        let half_life = current.own.not_before.plus_ms(current.own.not_after.ms_since(current.own.not_before) / 2);
        if self.clock().now() < half_life {
            return Ok(false);
        }
        self.reload().await?;
        Ok(true)
    }

    /// Seconds until a generation expires; negative once it has.
    #[must_use]
    pub fn left_s(&self, generation: &Generation) -> i64 {
        generation.not_after.ms_since(self.clock().now()) / 1_000
    }

    /// Rebuilds the picture from the database, with a new certificate of our own.
    async fn reload(&self) -> Result<(), AuthorityError> {
        let _alone = self.inner.reloading.lock().await;
        let Inner { store, keys, trust_domain, lifetimes, .. } = &*self.inner;
        let picture = Arc::new(issue::picture(store, &**keys, trust_domain, lifetimes).await?);
        self.inner.current.store(picture.clone());
        for tell in self.inner.reloaded.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tell(&picture);
        }
        self.inner.moved.send_replace(());
        Ok(())
    }

    fn clock(&self) -> &Clock {
        self.inner.store.clock()
    }
}

/// A configured lifetime.
fn lifetime(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

#[cfg(test)]
mod tests;
