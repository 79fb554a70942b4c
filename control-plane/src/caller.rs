//! Who is calling, as the listener proved it: never as a header claims it.

use std::net::SocketAddr;

use chapar_core::identity::{AgencyName, SpiffeId, WorkloadName};
use chapar_core::time::Timestamp;
use tonic::Request;

use crate::{access::Powers, problem::Problem};

/// The proven origin of a request. The listeners put it in the extensions of every request, after they checked that the
/// certificate is neither expired nor revoked and its agency not suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process of this machine, over the admin socket.
    Local {
        /// User ID of the process.
        uid: u32,
        /// What the configuration lets this user do.
        powers: Powers,
    },
    /// An admin with a certificate, over the admin listener.
    Admin {
        /// As the certificate names it.
        id: SpiffeId,
        /// Name of the admin.
        name: WorkloadName,
        /// Of the certificate, lowercase hex.
        serial: String,
        /// End of the certificate.
        not_after: Timestamp,
        /// What the certificate lets its holder do.
        powers: Powers,
    },
    /// An agency's sidecar with a certificate.
    Sidecar(SidecarCaller),
    /// Nobody: a connection without a certificate. Only enrolment admits it.
    Anonymous {
        /// Where it comes from.
        address: SocketAddr,
    },
}

/// A sidecar that proved its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarCaller {
    /// As the certificate names it.
    pub id: SpiffeId,
    /// That it speaks for.
    pub agency: AgencyName,
    /// Serial number of its certificate: lowercase hex, two digits a byte.
    pub serial: String,
    /// When its certificate expires: a stream must not outlive it.
    pub not_after: Timestamp,
}

impl Caller {
    /// The caller of this request.
    ///
    /// # Errors
    /// `CALLER_UNKNOWN` when no listener said who it is: the request then did not come by one, and nothing is done for it.
    pub fn from_request<T>(request: &Request<T>) -> Result<Self, Problem> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| {
            Problem::unauthenticated("CALLER_UNKNOWN", "the request did not come by a listener of the control plane")
        })
    }

    /// Lets admins pass: local users of the admin socket, and holders of an admin certificate. Returns the audit's actor.
    ///
    /// # Errors
    /// `ADMIN_REQUIRED` for everybody else.
    pub fn require_admin(&self) -> Result<String, Problem> {
        match self {
            Self::Local { .. } | Self::Admin { .. } => Ok(self.actor()),
            Self::Sidecar(SidecarCaller { id, .. }) => Err(Problem::denied(
                "ADMIN_REQUIRED",
                format!("{id} is a sidecar; use the admin socket or a certificate made by `chapar admin-cert issue`"),
            )),
            Self::Anonymous { .. } => Err(Problem::unauthenticated(
                "ADMIN_REQUIRED",
                "no certificate; use the admin socket or a certificate made by `chapar admin-cert issue`",
            )),
        }
    }

    /// What an admin may do; nobody else may do anything of it.
    #[must_use]
    pub fn powers(&self) -> Powers {
        match self {
            Self::Local { powers, .. } | Self::Admin { powers, .. } => powers.clone(),
            Self::Sidecar(_) | Self::Anonymous { .. } => Powers::default(),
        }
    }

    /// Lets sidecars pass.
    ///
    /// # Errors
    /// `CERTIFICATE_MISSING` for who has no certificate, `SIDECAR_REQUIRED` for who has another's.
    pub fn require_sidecar(&self) -> Result<SidecarCaller, Problem> {
        match self {
            Self::Sidecar(sidecar) => Ok(sidecar.clone()),
            Self::Anonymous { .. } => Err(Problem::unauthenticated(
                "CERTIFICATE_MISSING",
                "the connection has no client certificate; enrol the sidecar first",
            )),
            Self::Local { .. } | Self::Admin { .. } => {
                Err(Problem::denied("SIDECAR_REQUIRED", "only an agency's sidecar may call this"))
            }
        }
    }

    /// The caller as the audit names it.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Local { uid, .. } => format!("local:uid={uid}"),
            Self::Admin { id, .. } | Self::Sidecar(SidecarCaller { id, .. }) => id.to_string(),
            Self::Anonymous { address } => address.to_string(),
        }
    }
}
