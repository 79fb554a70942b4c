//! Who takes part: trust domains, agencies, workloads, and the SPIFFE IDs that name them in certificates.
//!
//! A SPIFFE ID of the exchange is one of
//! `spiffe://<trust-domain>/agency/<agency>/sidecar/<name>`, `spiffe://<trust-domain>/control-plane` and
//! `spiffe://<trust-domain>/admin/<name>`. Anything else is not an identity here.
//!
//! What can only be one's own is an [`AgencyName`]: who enrols, gets tokens, is suspended here. Who takes part in calls, of whatever
//! exchange, is an [`Agency`]: `agency`, or `agency@exchange` where it is another exchange's.

mod agency;

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

pub use self::agency::{Agency, ExchangeNotJoined};

/// Longest trust domain name, in bytes (SPIFFE-ID, section 2.1: 255).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;
/// Longest name of an agency, sidecar or admin, in bytes: a DNS label, so that it fits host names and Kubernetes objects.
pub const NAME_BYTES_MAX: usize = 63;

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// A trust domain must be a lower-case DNS-like name.
    #[error("trust domain {0:?} is not 1 to 255 characters of a-z, 0-9, '.', '-' and '_'")]
    TrustDomain(String),
    /// A name must be a DNS label.
    #[error("name {0:?} is not 1 to 63 characters of a-z, 0-9 and '-', beginning and ending with a letter or digit")]
    Name(String),
    /// The text is no SPIFFE ID of the exchange.
    #[error(
        "{0:?} is not a SPIFFE ID of the form spiffe://<trust-domain>/agency/<agency>/sidecar/<name>, …/control-plane or …/admin/<name>"
    )]
    SpiffeId(String),
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text, as parsed.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentityError;

            fn from_str(text: &str) -> Result<Self, IdentityError> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The name of one exchange: what its certificates are trusted for, such as `exchange.example`.
    TrustDomain,
    check_trust_domain
);
name_type!(
    /// The name of an agency (دستگاه اجرایی), kebab-case, such as `civil-registration`.
    AgencyName,
    check_name
);
name_type!(
    /// The name of a sidecar within its agency or of an admin, kebab-case, such as `main`.
    WorkloadName,
    check_name
);

fn check_trust_domain(text: &str) -> Result<(), IdentityError> {
    let good = !text.is_empty()
        && text.len() <= TRUST_DOMAIN_BYTES_MAX
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
    if good { Ok(()) } else { Err(IdentityError::TrustDomain(clip(text))) }
}

fn check_name(text: &str) -> Result<(), IdentityError> {
    let good = !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good { Ok(()) } else { Err(IdentityError::Name(clip(text))) }
}

/// Foreign text goes into errors only up to this many characters.
fn clip(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 128;
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// What a SPIFFE ID of the exchange names within its trust domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The control plane itself: serves enrolment and signs snapshots.
    ControlPlane,
    /// An admin of the control plane.
    Admin(WorkloadName),
    /// A sidecar of an agency.
    Sidecar {
        /// The agency that it speaks for.
        agency: AgencyName,
        /// Its name within the agency.
        name: WorkloadName,
    },
}

/// A parsed SPIFFE ID: the identity in a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    role: Role,
}

impl SpiffeId {
    /// The identity of the control plane of `trust_domain`.
    #[must_use]
    pub const fn control_plane(trust_domain: TrustDomain) -> Self {
        Self { trust_domain, role: Role::ControlPlane }
    }

    /// The identity of the admin `name`.
    #[must_use]
    pub const fn admin(trust_domain: TrustDomain, name: WorkloadName) -> Self {
        Self { trust_domain, role: Role::Admin(name) }
    }

    /// The identity of the sidecar `name` of `agency`.
    #[must_use]
    pub const fn sidecar(trust_domain: TrustDomain, agency: AgencyName, name: WorkloadName) -> Self {
        Self { trust_domain, role: Role::Sidecar { agency, name } }
    }

    /// The trust domain that vouches for it.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What it names.
    #[must_use]
    pub const fn role(&self) -> &Role {
        &self.role
    }

    /// The agency that it speaks for; `None` for the control plane and for admins.
    #[must_use]
    pub const fn agency(&self) -> Option<&AgencyName> {
        match &self.role {
            Role::Sidecar { agency, .. } => Some(agency),
            Role::ControlPlane | Role::Admin(_) => None,
        }
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::SpiffeId(clip(text));
        let rest = text.strip_prefix("spiffe://").ok_or_else(malformed)?;
        let (domain, path) = rest.split_once('/').ok_or_else(malformed)?;
        let trust_domain: TrustDomain = domain.parse()?;
        let mut segments = path.split('/');
        let parts = [segments.next(), segments.next(), segments.next(), segments.next(), segments.next()];
        match parts {
            [Some("control-plane"), None, ..] => Ok(Self::control_plane(trust_domain)),
            [Some("admin"), Some(name), None, ..] => Ok(Self::admin(trust_domain, name.parse()?)),
            [Some("agency"), Some(agency), Some("sidecar"), Some(name), None] => {
                Ok(Self::sidecar(trust_domain, agency.parse()?, name.parse()?))
            }
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/", self.trust_domain)?;
        match &self.role {
            Role::ControlPlane => f.write_str("control-plane"),
            Role::Admin(name) => write!(f, "admin/{name}"),
            Role::Sidecar { agency, name } => write!(f, "agency/{agency}/sidecar/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_writes() {
        for text in [
            "spiffe://exchange.example/control-plane",
            "spiffe://exchange.example/admin/sara",
            "spiffe://exchange.example/agency/civil-registration/sidecar/main",
        ] {
            assert_eq!(text.parse::<SpiffeId>().map(|id| id.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn refuses_what_is_not_an_identity_of_the_exchange() {
        for text in [
            "",
            "spiffe://",
            "spiffe:///control-plane",
            "https://exchange.example/control-plane",
            "spiffe://Exchange.example/control-plane",
            "spiffe://exchange.example/control-plane/",
            "spiffe://exchange.example/agency/a/sidecar/",
            "spiffe://exchange.example/agency/a/sidecar/b/c",
            "spiffe://exchange.example/agency/../sidecar/b",
            "spiffe://exchange.example/agency/A/sidecar/b",
            "spiffe://exchange.example/agency/a%2fb/sidecar/b",
            "spiffe://exchange.example:443/control-plane",
            "spiffe://exchange.example/ns/default/sa/x",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "\\PC{0,80}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                proptest::prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
