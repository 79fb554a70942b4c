//! The path of one call, as both sidecars walk it:
//! accept → identify → route → authorize → minimise → forward → record.
//!
//! Each stage takes what the stage before it made, and nothing else makes it: a stage that is left out does not compile.
//! The account of the call is opened by `accept`, before anything can fail, and travels along; whatever becomes of the call,
//! dropping the account closes it. The stages know nothing of HTTP/2: the gate hands in a [`CallHead`], and carries out the
//! [`forward::Forward`] that comes back.
//!
//! A permitted call allocates nothing here: names are borrowed from the snapshot for as long as the path is walked, and what
//! is kept of a call is its permit, its numbers, and who brought it.

pub mod accept;
mod account_state;
pub mod accounts;
pub mod authorize;
pub mod call_limit;
pub mod caller;
pub mod context;
pub mod forward;
pub mod head;
pub mod hex;
pub mod identify;
pub mod minimise;
mod proof;
pub mod record;
pub mod route;
pub mod timeout;
pub mod trace;

pub use self::{
    accounts::Accounts,
    call_limit::CallLimit,
    caller::{Caller, CallerIdentity},
    context::{ContextInputs, SnapshotInForce, StageContext},
    forward::Forward,
    head::{CallHead, Metadata},
    record::Refused,
};

/// Walks the path for a call of the agency's own application, at the consumer's sidecar.
///
/// # Errors
/// The [`Refused`] call, its account still open, at whichever stage refused it.
pub fn from_application(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_application(context, head)?;
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
pub fn from_sidecar(context: &StageContext, head: &CallHead<'_>) -> Result<Forward, Refused> {
    let accepted = accept::from_sidecar(context, head)?;
    let identified = identify::sidecar(accepted)?;
    let routed = route::find(identified)?;
    let permitted = authorize::decide(routed)?;
    let minimised = minimise::narrow(permitted);
    forward::on(minimised)
}
