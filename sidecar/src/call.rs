//! The path of one call, as both sidecars walk it:
//! accept → identify → route → authorize → minimise → forward → record.
//!
//! Each stage takes what the stage before it made, and nothing else makes it: a stage that is left out does not compile.
//! The account of the call is opened by `accept`, before anything can fail, and travels along; whatever becomes of the call,
//! dropping the account closes it. The stages know nothing of HTTP libraries: an engine (`relay`) hands in a [`Head`], and
//! carries out the [`forward::Forward`] that comes back.

use std::sync::Arc;

use chapar_core::{identity::AgencyName, policy::PeerCertificate};

use crate::{clock::Clock, live::Live, snapshot::Current, trust::Trust};

pub mod accept;
pub mod authorize;
pub mod forward;
pub mod identify;
pub mod minimise;
mod proof;
pub mod record;
pub mod route;
pub mod timeout;
pub mod trace;

pub use forward::Forward;
pub use record::{Book, Refused};

/// Walks the path for a call of the agency's own application, at the consumer's sidecar.
///
/// # Errors
/// The [`Refused`] call, its account still open, at whichever stage refused it.
pub fn from_application(desk: &Desk, head: &Head<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_application(desk, head)?;
    let identified = identify::application(desk, accepted);
    let routed = route::find(identified)?;
    let permitted = authorize::decide(routed)?;
    let minimised = minimise::narrow(permitted);
    forward::to_provider(desk, minimised)
}

/// Walks the path for a call that another agency's sidecar brings, at the provider's sidecar.
///
/// # Errors
/// As [`from_application`].
pub fn from_sidecar(desk: &Desk, peer: &Arc<PeerCertificate>, head: &Head<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_sidecar(desk, head)?;
    let identified = identify::sidecar(accepted, peer)?;
    let routed = route::find(identified)?;
    let permitted = authorize::decide(routed)?;
    let minimised = minimise::narrow(permitted);
    forward::to_upstream(desk, minimised)
}

/// What the stages consult: the same for every call of this sidecar.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The agency that this sidecar speaks for.
    pub agency: AgencyName,
    /// What time it is.
    pub clock: Clock,
    /// The certificate that this sidecar shows.
    pub trust: Trust,
    /// What the control plane last said.
    pub current: Current,
    /// Where accounts of calls are closed.
    pub book: Arc<Book>,
    /// Calls that are under way.
    pub live: Arc<Live>,
}

/// The metadata of a call, as an engine holds it.
pub trait Metadata {
    /// The first value under `name` (lower case), undecoded.
    fn first(&self, name: &str) -> Option<&[u8]>;
    /// Whether there is more than one value under `name`.
    fn repeats(&self, name: &str) -> bool;
}

/// The head of a call, as an engine hands it in.
#[derive(Clone, Copy)]
pub struct Head<'h> {
    /// HTTP method.
    pub method: &'h str,
    /// HTTP/2 path, without a query.
    pub path: &'h str,
    /// Everything else.
    pub metadata: &'h dyn Metadata,
    /// Address of the other end of the connection.
    pub peer_address: &'h Arc<str>,
}

impl std::fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Metadata may hold credentials: it is never printed.
        f.debug_struct("Head").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Head<'_> {
    /// The value under `name`, where there is exactly one and it is text.
    fn text(&self, name: &str) -> Option<&str> {
        if self.metadata.repeats(name) {
            return None;
        }
        std::str::from_utf8(self.metadata.first(name)?).ok()
    }
}

/// Metadata by which an application chooses among several providers of one service.
pub const PROVIDER_METADATA: &str = "chapar-provider";
/// The tracking ID of the call, from sidecar to sidecar and back to the caller.
pub const CALL_ID_METADATA: &str = "chapar-call-id";
pub use chapar_core::purpose::PURPOSE_METADATA;
/// From the provider's sidecar to the consumer's: it was I who refused, for this reason.
pub const REFUSED_METADATA: &str = "chapar-refused";
/// All metadata of ours begins so; from outside it is stripped.
pub const OWN_PREFIX: &str = "chapar-";
