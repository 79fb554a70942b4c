//! Route: which inquiry of which provider is asked for.

use std::sync::Arc;

use chapar_core::policy::{Inquiry, Reason, Refusal, RouteError, Side};

use super::{
    PROVIDER_METADATA,
    identify::{Identified, Known},
    record::Refused,
};

/// A call of which it is known who asks for what.
#[derive(Debug)]
pub struct Routed(Found);

#[derive(Debug)]
pub(super) struct Found {
    pub(super) known: Known,
    pub(super) inquiry: Arc<Inquiry>,
}

impl Routed {
    pub(super) fn into_found(self) -> Found {
        self.0
    }
}

/// Finds the inquiry in the snapshot by its path, and by the provider where the caller chose one.
///
/// # Errors
/// `SNAPSHOT_STALE`, `UNKNOWN_INQUIRY`, `AMBIGUOUS_PROVIDER`, or on the provider's side `NOT_OFFERED_HERE`.
pub fn find(identified: Identified) -> Result<Routed, Refused> {
    let mut known = identified.into_known();
    let opened = &mut known.opened;
    let snapshot = Arc::clone(&opened.snapshot);
    match snapshot.inquiry(opened.account.path(), opened.wanted_provider.as_deref()) {
        Ok(offer) => {
            let inquiry = offer.inquiry();
            opened.account.asks_for(inquiry);
            Ok(Routed(Found { inquiry: Arc::clone(inquiry), known }))
        }
        Err(error) => {
            let refusal = why_not(&known, error);
            Err(known.opened.account.refused(refusal))
        }
    }
}

fn why_not(known: &Known, error: RouteError) -> Refusal {
    let opened = &known.opened;
    let (path, snapshot) = (opened.account.path(), &opened.snapshot);
    // A stale snapshot is no witness that there is no such inquiry.
    if opened.now >= snapshot.valid_until() {
        let detail = format!(
            "the snapshot that this sidecar decides on was valid until {}; its operator must restore the connection to the control plane",
            snapshot.valid_until()
        );
        return Refusal::new(Reason::SnapshotStale, detail);
    }
    if error == RouteError::Ambiguous {
        let detail = format!("several agencies offer {path}; the application must name one in the metadata {PROVIDER_METADATA}");
        return Refusal::new(Reason::AmbiguousProvider, detail);
    }
    let offered_elsewhere = opened.side == Side::Provider && !matches!(snapshot.inquiry(path, None), Err(RouteError::Unknown));
    if offered_elsewhere {
        let detail =
            format!("{} does not offer {path}; its operator must correct the address that it advertises", opened.own_agency);
        return Refusal::new(Reason::NotOfferedHere, detail);
    }
    let of = opened.wanted_provider.as_deref().map(|provider| format!(" of {provider:?}")).unwrap_or_default();
    let detail = format!("no approved passport{of} holds {path}; the application must use an inquiry of the catalogue");
    Refusal::new(Reason::UnknownInquiry, detail)
}
