//! A renewed certificate on probation: it is taken into use once the control plane has accepted it, and the one before is kept for as long
//! as it is valid. Whoever answers a renewal in the control plane's place, as a thief of an issuing key can, gives a certificate that the
//! control plane never issued: it is not taken into use, or not for long.

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient};
use rustls::ClientConfig;

use crate::{
    control_channel::{ControlChannel, ControlChannelError, sentence},
    state::{StateError, StateFolder},
    trust::{Credentials, Trust, TrustError},
};

/// Why a renewed certificate is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ProbationError {
    /// It cannot be used.
    #[error("the renewed certificate cannot be taken into use")]
    Trust(#[from] TrustError),
    /// It cannot be kept.
    #[error("the state folder cannot be used")]
    State(#[from] StateError),
    /// The control plane does not know it.
    #[error("the control plane does not accept the certificate {serial}, which answered the renewal")]
    Denied {
        /// Its serial number.
        serial: Arc<str>,
        /// In the control plane's words.
        source: Box<ControlChannelError>,
    },
    /// The control plane could not be asked.
    #[error("the renewed certificate waits for the control plane to accept it")]
    Away(#[source] Box<ControlChannelError>),
}

/// Reasons by which the control plane says that it never issued a certificate.
const DENIED: [&str; 2] = ["CERTIFICATE_UNKNOWN", "CERTIFICATE_FORGED"];

/// Whether the control plane says by this reason that it never issued the certificate that was shown.
#[must_use]
pub fn is_denied(reason: &str) -> bool {
    DENIED.contains(&reason)
}

impl ProbationError {
    /// Whether somebody else answered the renewal: what it brought is nothing that the control plane knows.
    #[must_use]
    pub fn is_not_of_the_control_plane(&self) -> bool {
        match self {
            Self::Denied { source, .. } => match &**source {
                ControlChannelError::Refused { reason, .. } => is_denied(reason),
                ControlChannelError::Untrusted(_) => true,
                ControlChannelError::Away(_) => false,
            },
            Self::Trust(_) | Self::State(_) | Self::Away(_) => false,
        }
    }
}

/// Shows `candidate` to the control plane, on a connection of its own, and answers when it was accepted.
///
/// # Errors
/// [`ProbationError::Away`] when it could not be asked: ask again.
pub async fn shown(channel: &ControlChannel, trust: &Trust, candidate: &Credentials) -> Result<(), ProbationError> {
    let (tls, serial) = trust.candidate(candidate)?;
    match accepted(channel, tls).await {
        Ok(()) => Ok(()),
        Err(away @ ControlChannelError::Away(_)) => Err(ProbationError::Away(Box::new(away))),
        Err(source) => Err(ProbationError::Denied { serial, source: Box::new(source) }),
    }
}

async fn accepted(channel: &ControlChannel, tls: Arc<ClientConfig>) -> Result<(), ControlChannelError> {
    // Every control plane answers an export, once it has judged who asks; one of nothing changes nothing.
    let mut client = TraceServiceClient::new(channel.showing(tls));
    let asked = client.export(ExportTraceServiceRequest::default());
    let time_max: Duration = channel.request_timeout();
    match tokio::time::timeout(time_max, asked).await {
        Ok(Ok(_accepted)) => Ok(()),
        Ok(Err(status)) => Err(status.into()),
        Err(_elapsed) => Err(ControlChannelError::Away("it does not answer".to_owned())),
    }
}

/// Takes what was accepted into use, and keeps both it and the one before.
///
/// # Errors
/// When it cannot be used, or not be kept; what was in use stays.
pub fn take(trust: &Trust, state: &StateFolder, renewed: &Credentials) -> Result<(), ProbationError> {
    let former = trust.replace_credentials(renewed)?;
    state.keep_former_credentials(&former)?;
    state.keep_credentials(renewed)?;
    trust.doubt(None);
    Ok(())
}

/// The control plane denies the certificate with this serial number: back to the one before, if there is one that is valid still.
pub fn fall_back(trust: &Trust, state: &StateFolder, serial: &str, reason: &str) {
    let Some(former) = trust.fall_back(serial) else { return };
    let own = trust.own();
    tell(trust, &format!("certificate {serial}: {reason}"));
    tracing::warn!(denied = serial, serial = %own.serial, not_after = %own.not_after, "back to the certificate before");
    if let Err(error) = state.keep_credentials(&former) {
        tracing::error!(error = sentence(&error), "the certificate could not be kept for the next start");
    }
}

/// Says, in the log and at readiness, that somebody else answered a renewal; until one is accepted.
pub fn tell(trust: &Trust, what: &str) {
    let doubt = format!(
        "a renewal was answered with a certificate that the control plane denies ({what}): somebody may have a key of an issuing CA and be \
         between this sidecar and the control plane; the exchange's admins must look (chapar ca revoke-issuer), and the operator at the way \
         to controlPlane.address"
    );
    tracing::error!(doubt, "not the control plane answered");
    trust.doubt(Some(doubt));
}
