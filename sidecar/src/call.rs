//! The path of one call, as both sidecars walk it:
//! accept → identify → route → authorize → minimise → forward → record.
//!
//! Each stage takes what the stage before it made, and nothing else makes it: a stage that is left out does not compile.
//! The account of the call is opened by `accept`, before anything can fail, and travels along; whatever becomes of the call,
//! dropping the account closes it. The stages know nothing of HTTP/2: the gate hands in a [`Head`], and carries out the
//! [`forward::Forward`] that comes back.
//!
//! A permitted call allocates nothing here: names are borrowed from the snapshot for as long as the path is walked, and what
//! is kept of a call is its permit, its numbers, and who brought it.

use std::rc::Rc;

use chapar_core::{
    identity::{Agency, TrustDomain},
    policy::PeerCertificate,
};
use chapar_relay::hpack::KnownName;

pub mod accept;
pub mod authorize;
pub mod book;
pub mod desk;
pub mod forward;
pub mod hex;
pub mod identify;
pub mod live;
pub mod minimise;
mod proof;
pub mod record;
pub mod route;
pub mod timeout;
pub mod trace;

pub use book::Book;
pub use desk::{Desk, Ties};
pub use forward::Forward;
pub use live::Live;
pub use record::Refused;

/// Walks the path for a call of the agency's own application, at the consumer's sidecar.
///
/// # Errors
/// The [`Refused`] call, its account still open, at whichever stage refused it.
pub fn from_application(desk: &Desk, head: &Head<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_application(desk, head)?;
    let identified = identify::application(accepted);
    let routed = route::find(identified)?;
    let permitted = authorize::decide(routed)?;
    let minimised = minimise::narrow(permitted);
    forward::on(minimised)
}

/// Walks the path for a call that another agency's sidecar brings, at the provider's sidecar.
///
/// # Errors
/// As [`from_application`].
pub fn from_sidecar(desk: &Desk, head: &Head<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_sidecar(desk, head)?;
    let identified = identify::sidecar(accepted)?;
    let routed = route::find(identified)?;
    let permitted = authorize::decide(routed)?;
    let minimised = minimise::narrow(permitted);
    forward::on(minimised)
}

/// Who is at the other end of a connection that came in. One for each connection, shared by its calls.
#[derive(Debug)]
pub struct Caller {
    peer: Option<PeerCertificate>,
    agency: Option<Agency>,
    address: Box<str>,
}

impl Caller {
    /// One of the agency's own applications.
    #[must_use]
    pub fn application(address: &str) -> Self {
        Self { peer: None, agency: None, address: address.into() }
    }

    /// The sidecar with this certificate, which was verified when the connection was made, seen from the exchange `own`.
    #[must_use]
    pub fn sidecar(peer: PeerCertificate, own: &TrustDomain, address: &str) -> Self {
        let agency = Agency::from_spiffe_id(&peer.spiffe_id, own);
        Self { peer: Some(peer), agency, address: address.into() }
    }

    /// Its certificate; `None` for the agency's own.
    #[must_use]
    pub const fn peer(&self) -> Option<&PeerCertificate> {
        self.peer.as_ref()
    }

    /// The agency that its certificate says that it speaks for; `None` for the agency's own, and for whoever speaks for none.
    #[must_use]
    pub const fn agency(&self) -> Option<&Agency> {
        self.agency.as_ref()
    }

    /// Where it connected from.
    #[must_use]
    pub const fn address(&self) -> &str {
        &self.address
    }
}

/// The metadata of a call, as the engine holds it.
pub trait Metadata {
    /// The first value under `name`, undecoded.
    fn first(&self, name: KnownName) -> Option<&[u8]>;
    /// Whether there is more than one value under `name`.
    fn repeats(&self, name: KnownName) -> bool;
}

/// The head of a call, as the engine hands it in.
#[derive(Clone, Copy)]
pub struct Head<'h> {
    /// HTTP method.
    pub method: &'h [u8],
    /// HTTP/2 path, without a query.
    pub path: &'h [u8],
    /// Everything else.
    pub metadata: &'h dyn Metadata,
    /// Who brings it.
    pub caller: &'h Rc<Caller>,
}

impl std::fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Metadata may hold credentials: it is never printed.
        f.debug_struct("Head").finish_non_exhaustive()
    }
}

impl<'h> Head<'h> {
    /// The value under `name`, where there is exactly one and it is text.
    fn text(&self, name: KnownName) -> Option<&'h str> {
        let value = self.metadata.first(name)?;
        if self.metadata.repeats(name) {
            return None;
        }
        std::str::from_utf8(value).ok()
    }

    /// The path as a record keeps it: text, and not endless.
    fn path_on_record(&self) -> Box<str> {
        let path = String::from_utf8_lossy(self.path);
        let end = path.floor_char_boundary(chapar_core::record::PATH_BYTES_MAX);
        path.get(..end).unwrap_or_default().into()
    }
}
