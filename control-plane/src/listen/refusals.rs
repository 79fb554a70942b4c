//! Those who were turned away: each counted, and audited within the share of rows that whoever it was has.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use prometheus::{IntCounterVec, Opts, Registry};
use rustls::{CertificateError, Error};

use super::peer::NoIdentity;
use crate::{
    audit::{Holder, Repeats, shortened},
    limit::Network,
    problem::WithSources,
    store::AuditEntry,
};

/// Accounts for refused connections and requests. Clones account together.
#[derive(Clone)]
pub struct Refusals {
    repeats: Repeats,
    counted: IntCounterVec,
    not_accepted: IntCounterVec,
    told: Arc<AtomicBool>,
}

/// Why a handshake ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HandshakeRefusal {
    pub(super) reason: &'static str,
    /// Worth an entry in the audit: somebody claimed an identity, and failed to prove it.
    pub(super) is_claim: bool,
    pub(super) message: String,
}

impl Refusals {
    /// Registers the counter.
    ///
    /// # Errors
    /// When something else was registered under its name.
    pub fn registered(repeats: Repeats, registry: &Registry) -> prometheus::Result<Self> {
        let about = "Connections and requests turned away before they reached a service, by listener and reason";
        let counted = IntCounterVec::new(Opts::new("chapar_control_plane_refusals_total", about), &["listener", "reason"])?;
        registry.register(Box::new(counted.clone()))?;
        let about = "Times that the system refused to open a connection, as a rule because no file descriptor was left";
        let not_accepted = IntCounterVec::new(Opts::new("chapar_control_plane_accept_failures_total", about), &["listener"])?;
        registry.register(Box::new(not_accepted.clone()))?;
        Ok(Self { repeats, counted, not_accepted, told: Arc::default() })
    }

    /// The system did not open a connection. It is said once; how often, the metric tells.
    pub(super) fn not_accepted(&self, listener: &'static str, error: &std::io::Error) {
        self.not_accepted.with_label_values(&[listener]).inc();
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::error!(
                listener,
                %error,
                "the system opens no connection: raise the limit on open files, or lower shares.connectionsMax; said once, counted in \
                 chapar_control_plane_accept_failures_total"
            );
        }
    }

    /// A handshake that failed.
    pub(super) async fn handshake(&self, listener: &'static str, address: SocketAddr, refusal: HandshakeRefusal) {
        self.counted.with_label_values(&[listener, refusal.reason]).inc();
        tracing::debug!(listener, %address, reason = refusal.reason, message = refusal.message, "refused a connection");
        if refusal.is_claim {
            let entry = AuditEntry::refused(address.to_string(), "connection.refuse", listener, refusal.reason);
            let holder = Holder::Stranger(Network::from(address.ip()));
            self.audit(&holder, entry.with(serde_json::json!({ "message": shortened(&refusal.message) }))).await;
        }
    }

    /// A request that its certificate did not entitle to. `actor`: the identity in it, or the address.
    pub(super) async fn request(
        &self,
        listener: &'static str,
        holder: &Holder,
        address: SocketAddr,
        actor: String,
        path: &str,
        reason: &'static str,
    ) {
        self.counted.with_label_values(&[listener, reason]).inc();
        let entry = AuditEntry::refused(actor, "request.refuse", path, reason);
        self.audit(holder, entry.with(serde_json::json!({ "address": address.to_string() }))).await;
    }

    async fn audit(&self, holder: &Holder, entry: AuditEntry) {
        if let Err(error) = self.repeats.refused(holder, entry).await {
            tracing::error!(error = %WithSources(&error), ?holder, "cannot audit a refusal");
        }
    }
}

impl HandshakeRefusal {
    pub(super) fn timed_out() -> Self {
        Self { reason: "HANDSHAKE_TIMED_OUT", is_claim: false, message: "the handshake took too long".to_owned() }
    }

    /// What a failed handshake means.
    pub(super) fn from_error(error: &std::io::Error) -> Self {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        let (reason, is_claim) = match cause {
            Some(Error::NoCertificatesPresented) => ("CERTIFICATE_MISSING", true),
            Some(Error::InvalidCertificate(problem)) => (reason_of(problem), true),
            // The client did not trust us, or speaks no TLS 1.3: nobody's identity was claimed.
            Some(_) => ("HANDSHAKE_FAILED", false),
            None => ("HANDSHAKE_BROKEN", false),
        };
        Self { reason, is_claim, message: WithSources(error).to_string() }
    }
}

fn reason_of(problem: &CertificateError) -> &'static str {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "CERTIFICATE_EXPIRED",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "CERTIFICATE_NOT_YET_VALID",
        // A bad signature: its issuer only bears the name of ours.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => "CERTIFICATE_FOREIGN",
        CertificateError::Other(other) => match other.0.downcast_ref::<NoIdentity>() {
            Some(NoIdentity::OtherTrustDomain { .. }) => "CERTIFICATE_FOREIGN",
            Some(_) | None => "CERTIFICATE_IDENTITY",
        },
        _ => "CERTIFICATE_INVALID",
    }
}
