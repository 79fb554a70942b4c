//! Who is at the other end of a connection, as its certificate or its socket proves it.

use std::net::SocketAddr;

use chapar_core::identity::{Role, SpiffeId, TrustDomain};
use chapar_core::time::Timestamp;
use data_encoding::HEXLOWER;
use x509_parser::{parse_x509_certificate, prelude::GeneralName};

use crate::{
    access::{Access, EXTENSION, Powers},
    audit::Holder,
    authority::sha256,
    caller::{Caller, SidecarCaller},
    limit::Network,
};

/// The other end of a connection.
#[derive(Clone, Debug)]
pub enum Peer {
    /// A process of this machine.
    Local {
        /// User ID of the process.
        uid: u32,
    },
    /// Someone whose certificate chains to a root of ours.
    Certified {
        /// What it showed.
        certificate: Certified,
        /// Where it comes from.
        address: SocketAddr,
    },
    /// Someone without a certificate.
    Anonymous {
        /// Where it comes from.
        address: SocketAddr,
    },
}

impl Peer {
    /// Whose share it is that this connection takes. A certificate counts for what it says, whether it is in force or not: who holds a
    /// revoked one must not take the strangers' share.
    #[must_use]
    pub(super) fn holder(&self) -> Holder {
        match self {
            Self::Local { uid } => Holder::Admin(format!("local:uid={uid}")),
            Self::Certified { certificate, .. } => match certificate.id.role() {
                Role::Sidecar { agency, .. } => Holder::Agency(agency.clone()),
                Role::Admin(_) | Role::ControlPlane => Holder::Admin(certificate.id.to_string()),
            },
            Self::Anonymous { address } => Holder::Stranger(Network::from(address.ip())),
        }
    }
}

/// What a verified certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    pub id: SpiffeId,
    /// Lowercase hex, two digits a byte.
    pub serial: String,
    /// Hex SHA-256 of the whole certificate.
    pub fingerprint: String,
    pub not_after: Timestamp,
    /// An admin's. `None`: the certificate is older than roles.
    pub powers: Option<Powers>,
}

/// Why a certificate names no identity of this exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate must name exactly one SPIFFE ID and nothing else; it has {0} subject alternative names")]
    NotOneName(usize),
    #[error("the certificate's subject alternative name is not a URI")]
    NotAUri,
    #[error("the certificate names {0:?}, which is no identity of an exchange")]
    NotAnIdentity(String),
    #[error("the certificate names {named}, of another trust domain than {own}")]
    OtherTrustDomain { named: String, own: String },
}

impl Certified {
    /// Reads the identity of a leaf. Whether it is genuine, the verifier says.
    ///
    /// # Errors
    /// When it does not name exactly one SPIFFE ID of this trust domain.
    pub fn read(der: &[u8], own: &TrustDomain) -> Result<Self, NoIdentity> {
        let (_, certificate) = parse_x509_certificate(der).map_err(|_| NoIdentity::Unreadable)?;
        let names = certificate.subject_alternative_name().map_err(|_| NoIdentity::Unreadable)?;
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        let uri = match names {
            [GeneralName::URI(uri)] => *uri,
            [_] => return Err(NoIdentity::NotAUri),
            several => return Err(NoIdentity::NotOneName(several.len())),
        };
        let id: SpiffeId = uri.parse().map_err(|_| NoIdentity::NotAnIdentity(shortened(uri)))?;
        if id.trust_domain() != own {
            return Err(NoIdentity::OtherTrustDomain { named: shortened(uri), own: own.to_string() });
        }
        let extension = certificate.extensions().iter().find(|extension| {
            extension
                .oid
                .iter()
                .is_some_and(|mut arcs| EXTENSION.iter().all(|arc| arcs.next() == Some(*arc)) && arcs.next().is_none())
        });
        Ok(Self {
            id,
            powers: extension.map(|extension| Powers::from_der(extension.value)),
            serial: HEXLOWER.encode(certificate.raw_serial()),
            fingerprint: HEXLOWER.encode(&sha256(der)),
            not_after: Timestamp::from_unix_s(certificate.validity().not_after.timestamp()),
        })
    }

    /// The caller that this certificate makes its holder. `None`: the control plane's own, which calls nobody.
    #[must_use]
    pub fn caller(&self, access: &Access) -> Option<Caller> {
        let Self { id, serial, not_after, powers, .. } = self.clone();
        match id.role().clone() {
            Role::Sidecar { agency, .. } => Some(Caller::Sidecar(SidecarCaller { id, agency, serial, not_after })),
            Role::Admin(name) => {
                let powers = powers.unwrap_or_else(|| access.of_former(name.as_str()));
                Some(Caller::Admin { id, name, serial, not_after, powers })
            }
            Role::ControlPlane => None,
        }
    }
}

/// Foreign text goes into messages only up to this many characters.
const SHOWN_CHARS_MAX: usize = 128;

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
