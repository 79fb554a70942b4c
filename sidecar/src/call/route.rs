//! Route: which inquiry of which provider is asked for.

use chapar_core::{
    metadata,
    policy::{Offer, Reason, Refusal, RouteError, Side},
};

use super::{
    identify::{Identified, Known},
    record::Refused,
};

/// A call of which it is known who asks for what.
#[derive(Debug)]
pub struct Routed<'c>(Found<'c>);

#[derive(Debug)]
pub(super) struct Found<'c> {
    pub(super) known: Known<'c>,
    pub(super) offer: &'c Offer,
}

impl<'c> Routed<'c> {
    pub(super) fn into_found(self) -> Found<'c> {
        self.0
    }
}

/// Finds the inquiry in the snapshot by its path, and by the provider where the caller chose one.
///
/// # Errors
/// `SNAPSHOT_STALE`, `UNKNOWN_INQUIRY`, `AMBIGUOUS_PROVIDER`, or on the provider's side `NOT_OFFERED_HERE`.
pub fn find(identified: Identified<'_>) -> Result<Routed<'_>, Refused> {
    let known = identified.into_known();
    match known.opened.snapshot.inquiry(known.opened.path, known.opened.wanted_provider) {
        Ok(offer) => Ok(Routed(Found { offer, known })),
        Err(error) => {
            let refusal = why_not(&known, error);
            Err(known.opened.refused(refusal))
        }
    }
}

fn why_not(known: &Known<'_>, error: RouteError) -> Refusal {
    let opened = &known.opened;
    let (path, snapshot) = (opened.path, opened.snapshot);
    // A stale snapshot is no witness that there is no such inquiry.
    if opened.context.now() >= snapshot.valid_until() {
        let detail = format!(
            "the snapshot that this sidecar decides on was valid until {}; its operator must restore the connection to the control plane",
            snapshot.valid_until()
        );
        return Refusal::new(Reason::SnapshotStale, detail);
    }
    if error == RouteError::Ambiguous {
        let detail =
            format!("several agencies offer {path}; the application must name one in the metadata {}", metadata::PROVIDER);
        return Refusal::new(Reason::AmbiguousProvider, detail);
    }
    let here = opened.account.side() == Side::Provider;
    if here && !matches!(snapshot.inquiry(path, None), Err(RouteError::Unknown)) {
        let agency = opened.context.agency();
        let detail = format!("{agency} does not offer {path}; its operator must correct the address that it advertises");
        return Refusal::new(Reason::NotOfferedHere, detail);
    }
    let of = opened.wanted_provider.map(|provider| format!(" of {provider:?}")).unwrap_or_default();
    let detail = format!("no approved passport{of} holds {path}; the application must use an inquiry of the catalogue");
    Refusal::new(Reason::UnknownInquiry, detail)
}
