//! How the sidecar gets its first certificate, and keeps having a valid one.

mod first;
mod renew;
mod request;

use thiserror::Error;

pub use self::{
    first::credentials,
    renew::renewal_due,
    renew::{Renewal, Renewals},
};
use crate::{control_channel::ControlChannelError, probation::ProbationError, state::StateError, trust::TrustError};
use chapar_proto::token::TokenError;

/// Why the sidecar has no certificate, and who must act.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// Nothing was enrolled here before, and there is no token to enrol with.
    #[error(
        "this sidecar has no certificate and no enrolment token: ask an admin of the exchange for one \
         (chapar token create {agency}) and give it by controlPlane.tokenFile or CHAPAR_TOKEN"
    )]
    NoToken {
        /// The agency to ask for.
        agency: String,
    },
    /// The certificate ran out while the sidecar was off.
    #[error(
        "the certificate of this sidecar {problem}, and there is no enrolment token: ask an admin of the exchange for one \
         (chapar token create {agency}) and give it by controlPlane.tokenFile or CHAPAR_TOKEN"
    )]
    CertificateUnusable {
        /// What is wrong with it, such as "expired at …".
        problem: String,
        /// The agency to ask for.
        agency: String,
    },
    /// The file named in the configuration cannot be read.
    #[error("cannot read the enrolment token from {file}")]
    TokenFile {
        /// Which file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The text is no token.
    #[error("the enrolment token is not usable: ask an admin of the exchange for another one")]
    Token(#[source] TokenError),
    /// The token names somebody else.
    #[error("the enrolment token is for {token}, but this sidecar is configured as {configured}; one of them is wrong")]
    OtherSidecar {
        /// Whom the token is for.
        token: String,
        /// Who this is.
        configured: String,
    },
    /// The state folder holds another sidecar's certificate.
    #[error(
        "the state folder holds the certificate of {kept}, but this sidecar is configured as {configured}; \
         give every sidecar a state folder of its own"
    )]
    OtherState {
        /// Whose it is.
        kept: String,
        /// Who this is.
        configured: String,
    },
    /// The control plane refused, or is not the one that the token names.
    #[error("the control plane did not enrol this sidecar; {}", advice(.0))]
    Control(#[source] ControlChannelError),
    /// It answered with something that is no usable certificate.
    #[error("the control plane's answer is unusable: {0}")]
    Answer(String),
    /// The certificate cannot be taken into use.
    #[error("the issued certificate cannot be taken into use")]
    Trust(#[from] TrustError),
    /// The certificate cannot be kept.
    #[error("the state folder cannot be used")]
    State(#[from] StateError),
    /// The renewed certificate is not the control plane's, or not known to be.
    #[error(transparent)]
    Probation(#[from] ProbationError),
    /// No key could be made.
    #[error("cannot make a key and a certificate signing request")]
    Request(#[from] rcgen::Error),
}

/// What whoever reads the error should do.
fn advice(problem: &ControlChannelError) -> &'static str {
    match problem {
        ControlChannelError::Away(_) => "start it, or check controlPlane.address",
        ControlChannelError::Untrusted(_) => "check that controlPlane.address and the token are of the same exchange",
        ControlChannelError::Refused { reason, .. } => match reason.as_str() {
            "TOKEN_USED" => "a token works once: ask an admin of the exchange for another one",
            "TOKEN_EXPIRED" | "TOKEN_REVOKED" => "ask an admin of the exchange for another token",
            "TOKEN_UNKNOWN" => "the token was never issued by this exchange: ask its admin for one",
            "TOKEN_MALFORMED" => "was the token copied in full?",
            "AGENCY_SUSPENDED" => "the agency is suspended: only an admin of the exchange can reinstate it",
            "CSR_IDENTITY_MISMATCH" => "the token is for another agency or sidecar than the configuration names",
            _ => "the reason is the control plane's",
        },
    }
}
