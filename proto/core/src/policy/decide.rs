//! The decision itself.

use std::sync::Arc;

use crate::{
    identity::{Agency, SpiffeId},
    time::Timestamp,
};

use super::{
    condition::{Circumstances, Unmet},
    refusal::{Reason, Refusal},
    side::Side,
    snapshot::{AgencyStanding, Grant, Inquiry, Offer, PolicySnapshot},
};

/// What matters of a certificate that was verified against the bundle of its trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The one identity in it.
    pub spiffe_id: SpiffeId,
    /// Serial number, lowercase hex, two digits a byte.
    pub serial: Arc<str>,
    /// Serial numbers of the certificates that were shown with it, written alike: those of its issuing CA and of whatever
    /// else leads to the root. Whoever holds a revoked CA's key can make leaves that nobody has a number of to revoke.
    pub issuers: Arc<[Arc<str>]>,
    /// When it expires.
    pub not_after: Timestamp,
}

/// The facts of one call, as seen by one side.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Which side decides.
    pub side: Side,
    /// Who asks: from the peer's certificate on the provider's side, the sidecar's own agency on the consumer's.
    pub consumer: &'a Agency,
    /// What is asked, as found in this very snapshot.
    pub offer: &'a Offer,
    /// The certificate that this sidecar shows.
    pub own: &'a PeerCertificate,
    /// The certificate that the other sidecar showed. `None` on the consumer's side before a connection is chosen.
    pub peer: Option<&'a PeerCertificate>,
    /// Whether the call states its purpose (see [`crate::purpose`]).
    pub purpose_stated: bool,
    /// The instant of the decision.
    pub now: Timestamp,
}

/// Proof that [`decide`] allowed a call. It cannot be made in any other way.
#[derive(Debug, Clone)]
pub struct Permit {
    inquiry: Arc<Inquiry>,
    grant: Arc<Grant>,
    policy_version: u64,
    valid_until: Timestamp,
}

impl Permit {
    /// The inquiry that may be made.
    #[must_use]
    pub const fn inquiry(&self) -> &Arc<Inquiry> {
        &self.inquiry
    }

    /// The grant that allows it.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// The policy version that was decided on.
    #[must_use]
    pub const fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// When the first of the grant, the snapshot and the certificates ends: a call that still runs then is decided anew.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

/// Decides one call on one snapshot. Pure, and the same code for both sides and for `chapar explain`.
///
/// # Errors
/// The [`Refusal`] to give to the caller and to record.
pub fn decide(snapshot: &PolicySnapshot, facts: &Facts<'_>) -> Result<Permit, Refusal> {
    fresh(snapshot, facts.now)?;
    certificate_in_order(snapshot, facts.own, facts.now)?;
    if let Some(peer) = facts.peer {
        certificate_in_order(snapshot, peer, facts.now)?;
    }
    offered_here(snapshot, facts)?;
    in_good_standing(snapshot, facts.consumer)?;
    let inquiry = facts.offer.inquiry();
    let Some(granted) = facts.offer.granted_to(facts.consumer) else {
        return Err(Refusal::new(
            Reason::NoGrant,
            format!(
                "no resolution grants {} the inquiry {} of {}; only the working group can grant it",
                facts.consumer, inquiry.key.inquiry, inquiry.key.provider
            ),
        ));
    };
    if !granted.parties_good {
        known_and_good(snapshot, facts.consumer)?;
        known_and_good(snapshot, &inquiry.key.provider)?;
    }
    let grant = grant_in_force(granted.grants(), facts)?;
    kind_in_force(inquiry, grant)?;
    Ok(Permit {
        inquiry: Arc::clone(inquiry),
        grant: Arc::clone(grant),
        policy_version: snapshot.policy_version(),
        valid_until: earliest_end(snapshot, facts, grant),
    })
}

/// Whether `certificate` may still be shown: neither it nor an issuer of it revoked, not expired, its agency not suspended.
///
/// # Errors
/// The [`Refusal`] that says which of these it is.
pub fn certificate_in_order(snapshot: &PolicySnapshot, certificate: &PeerCertificate, now: Timestamp) -> Result<(), Refusal> {
    if snapshot.something_is_revoked() {
        unrevoked(snapshot, certificate)?;
    }
    if now >= certificate.not_after {
        return Err(Refusal::new(
            Reason::CertificateExpired,
            format!(
                "the certificate {} of {} expired at {}; its sidecar must renew it",
                certificate.serial, certificate.spiffe_id, certificate.not_after
            ),
        ));
    }
    if !snapshot.someone_is_suspended() {
        return Ok(());
    }
    let agency = Agency::from_spiffe_id(&certificate.spiffe_id, snapshot.trust_domain());
    agency.map_or(Ok(()), |agency| in_good_standing(snapshot, &agency))
}

fn unrevoked(snapshot: &PolicySnapshot, certificate: &PeerCertificate) -> Result<(), Refusal> {
    if let Some(revocation) = snapshot.revocation(&certificate.serial) {
        return Err(Refusal::new(
            Reason::CertificateRevoked,
            format!(
                "the certificate {} of {} was revoked at {}: {}; its agency must enrol anew",
                certificate.serial, certificate.spiffe_id, revocation.at, revocation.reason
            ),
        ));
    }
    let revoked =
        certificate.issuers.iter().find_map(|issuer| snapshot.revocation(issuer).map(|revocation| (issuer, revocation)));
    if let Some((issuer, revocation)) = revoked {
        return Err(Refusal::new(
            Reason::CertificateRevoked,
            format!(
                "the certificate {} of {} hangs on the issuing CA {issuer}, which was revoked at {}: {}; its agency must enrol anew",
                certificate.serial, certificate.spiffe_id, revocation.at, revocation.reason
            ),
        ));
    }
    Ok(())
}

fn fresh(snapshot: &PolicySnapshot, now: Timestamp) -> Result<(), Refusal> {
    if now < snapshot.valid_until() {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::SnapshotStale,
        format!(
            "the snapshot (revision {}) that this sidecar decides on was valid until {}; its operator must restore the connection to the control plane",
            snapshot.revision(),
            snapshot.valid_until()
        ),
    ))
}

fn offered_here(snapshot: &PolicySnapshot, facts: &Facts<'_>) -> Result<(), Refusal> {
    let own_agency = snapshot.own_agency();
    let expected = match facts.side {
        Side::Consumer => facts.consumer,
        Side::Provider => &facts.offer.inquiry().key.provider,
    };
    if own_agency == Some(expected) {
        return Ok(());
    }
    let reason = match facts.side {
        Side::Consumer => Reason::PeerNotIdentified,
        Side::Provider => Reason::NotOfferedHere,
    };
    Err(Refusal::new(reason, format!("{} does not speak for {expected}", snapshot.recipient())))
}

fn in_good_standing(snapshot: &PolicySnapshot, agency: &Agency) -> Result<(), Refusal> {
    if !snapshot.someone_is_suspended() {
        return Ok(());
    }
    match snapshot.standing(agency) {
        Some(AgencyStanding::Suspended(why)) => Err(Refusal::new(
            Reason::AgencySuspended,
            format!("the agency {agency} is suspended: {why}; only the exchange's admins can reinstate it"),
        )),
        Some(AgencyStanding::Good) | None => Ok(()),
    }
}

fn known_and_good(snapshot: &PolicySnapshot, agency: &Agency) -> Result<(), Refusal> {
    in_good_standing(snapshot, agency)?;
    if snapshot.standing(agency).is_some() {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::AgencySuspended,
        format!("the snapshot does not vouch for the agency {agency}; the exchange's admins must register it"),
    ))
}

/// The first grant whose conditions hold; else what the nearest to it lacks.
fn grant_in_force<'g>(grants: impl Iterator<Item = &'g Arc<Grant>>, facts: &Facts<'_>) -> Result<&'g Arc<Grant>, Refusal> {
    let circumstances = Circumstances { now: facts.now, purpose_stated: facts.purpose_stated };
    let mut nearest: Option<(&Grant, Unmet)> = None;
    for grant in grants {
        let Some(unmet) = grant.conditions.unmet(&circumstances) else { return Ok(grant) };
        if nearest.as_ref().is_none_or(|(_, held)| unmet.distance < held.distance) {
            nearest = Some((grant, unmet));
        }
    }
    let Some((grant, Unmet { reason, told, .. })) = nearest else {
        return Err(Refusal::new(Reason::NoGrant, "no resolution grants this inquiry"));
    };
    let detail = format!("the grant {} (resolution {}, clause {}) {told}", grant.name, grant.resolution, grant.clause);
    Err(Refusal::new(reason, detail).with_grant(&grant.name))
}

fn kind_in_force(inquiry: &Inquiry, grant: &Grant) -> Result<(), Refusal> {
    if inquiry.in_force {
        return Ok(());
    }
    let detail = format!(
        "the inquiry {} of {} is of kind {}, which is registered but not yet in force",
        inquiry.key.inquiry,
        inquiry.key.provider,
        inquiry.kind.as_str()
    );
    Err(Refusal::new(Reason::InquiryNotYetInForce, detail).with_grant(&grant.name))
}

fn earliest_end(snapshot: &PolicySnapshot, facts: &Facts<'_>, grant: &Grant) -> Timestamp {
    let mut end = snapshot.valid_until().min(facts.own.not_after);
    if let Some(peer) = facts.peer {
        end = end.min(peer.not_after);
    }
    if let Some(grant_end) = grant.conditions.ends_at() {
        end = end.min(grant_end);
    }
    end
}
