//! Revoking one certificate, a sidecar or an issuing CA with all of its own, and suspending an agency.

use chapar_core::{
    identity::{SpiffeId, WorkloadName},
    time::Timestamp,
};

use super::{
    Authority,
    generations::{Generation, Kind, State},
    hanging,
    rotation::{self, Rotation},
};
use crate::{
    problem::Problem,
    store::{AgencyState, AuditEntry, Read, StoreError},
};

impl Authority {
    /// Revokes the certificate with this serial number: hex in any case, colons allowed. Returns the distribution revision.
    ///
    /// # Errors
    /// `CERTIFICATE_UNKNOWN`, `CERTIFICATE_REVOKED`, `REASON_MISSING`, or when the store cannot be written.
    pub async fn revoke(&self, actor: &str, serial: &str, reason: &str) -> Result<u64, Problem> {
        if reason.trim().is_empty() {
            return Err(Problem::invalid("REASON_MISSING", "a revocation needs a reason: every refusal shows it"));
        }
        let serial = serial.replace(':', "").to_ascii_lowercase();
        let mut tx = self.inner.store.write().await?;
        let Some(certificate) = tx.certificate(&serial).await? else {
            return Err(Problem::not_found(
                "CERTIFICATE_UNKNOWN",
                format!("no certificate has the serial number {serial}; see `chapar cert list`"),
            )
            .with("serial", serial));
        };
        if certificate.revoked_at.is_some() {
            return Err(Problem::precondition("CERTIFICATE_REVOKED", format!("certificate {serial} is revoked already"))
                .with("serial", serial));
        }
        let now = tx.now();
        tx.revoke_certificate(&serial, reason, now).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "serial": serial, "reason": reason, "revision": revision });
        tx.audit(AuditEntry::done(actor, "certificate.revoke", certificate.spiffe_id).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}

/// What the revocation of a sidecar did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedSidecar {
    /// Its identity.
    pub id: SpiffeId,
    /// Live certificates that are void from now on.
    pub certificates: u64,
    /// The distribution revision that carries it.
    pub revision: u64,
}

/// What the revocation of an issuing CA did.
#[derive(Clone, Debug)]
pub struct RevokedIssuer {
    /// As it is now.
    pub generation: Generation,
    /// Live certificates that are void from now on.
    pub certificates: u64,
    /// Who holds no other certificate, by SPIFFE ID; of many, some.
    pub must_enrol: Vec<String>,
    /// The distribution revision that carries it.
    pub revision: u64,
}

/// Revokes every certificate of a sidecar, earlier and renewed ones too. It comes back with a token that is made from now on; one that
/// renews in this moment renews before, and its new certificate is void as well, or after, and is refused.
///
/// # Errors
/// `SIDECAR_UNKNOWN`, `REASON_MISSING`, or when the store cannot be written.
pub async fn revoke_sidecar(
    authority: &Authority,
    actor: &str,
    agency: &str,
    sidecar: &str,
    reason: &str,
) -> Result<RevokedSidecar, Problem> {
    if reason.trim().is_empty() {
        return Err(Problem::invalid("REASON_MISSING", "a revocation needs a reason: every refusal shows it"));
    }
    let unknown = || {
        let message = format!("no certificate was ever issued to {agency}/{sidecar}; see `chapar cert list --all`");
        Problem::not_found("SIDECAR_UNKNOWN", message).with("agency", agency).with("sidecar", sidecar)
    };
    let (Ok(of), Ok(name)) = (agency.parse(), sidecar.parse::<WorkloadName>()) else { return Err(unknown()) };
    let id = SpiffeId::sidecar(authority.trust_domain().clone(), of, name);
    let mut tx = authority.inner.store.write().await?;
    if !tx.read().is_known_identity(&id.to_string()).await? {
        return Err(unknown());
    }
    let now = tx.now();
    let certificates = tx.revoke_certificates_for(&id.to_string(), reason, now).await?;
    let revision = tx.next_revision().await?;
    let details = serde_json::json!({ "reason": reason, "certificates": certificates, "revision": revision });
    tx.audit(AuditEntry::done(actor, "sidecar.revoke", id.to_string()).with(details)).await?;
    tx.commit().await?;
    Ok(RevokedSidecar { id, certificates, revision })
}

/// Revokes an issuing CA with everything under it: from now on nothing that it signed is accepted anywhere.
///
/// # Errors
/// `GENERATION_UNKNOWN`, `GENERATION_RETIRED`, `GENERATION_IN_USE` when it issues, or when live certificates hang on it and
/// `danger_void` is not given; `NOT_AN_ISSUER`, `REASON_MISSING`, `ROTATION_UNDERWAY`, or when the store fails.
pub async fn revoke_issuer(
    authority: &Authority,
    actor: &str,
    name: &str,
    reason: &str,
    danger_void: bool,
) -> Result<RevokedIssuer, Problem> {
    if reason.trim().is_empty() {
        return Err(Problem::invalid("REASON_MISSING", "a revocation needs a reason: every refusal shows it"));
    }
    let _rotation = Rotation::begin(authority).await?;
    let counts = authority.live_counts().await?;
    let mut tx = authority.inner.store.write().await?;
    let held = tx.generations().await?;
    let issuer = rotation::retirable(&held, name)?;
    if issuer.kind != Kind::Issuing {
        let message = format!("{name} is a root: rotate it with `chapar ca rotate-root`, then `chapar ca retire {name}`");
        return Err(Problem::precondition("NOT_AN_ISSUER", message).with("generation", name));
    }
    if !danger_void {
        hanging::expect_unused(authority, &mut tx, issuer, &held, counts.on(issuer, &held)).await?;
    }
    let must_enrol = hanging::must_enrol(authority, &mut tx, issuer, &held).await?;
    let now = tx.now();
    // Without the control plane's own, which it has exchanged long ago.
    let certificates = u64::from(counts.on(issuer, &held));
    rotation::void(&mut tx, &held, name, &format!("{name} was revoked: {reason}")).await?;
    tx.explain_revocation(name, reason).await?;
    let revision = tx.next_revision().await?;
    let details = serde_json::json!({
        "reason": reason, "voided_certificates": certificates, "mustEnrol": must_enrol, "revision": revision,
    });
    tx.audit(AuditEntry::done(actor, "issuer.revoke", name).with(details)).await?;
    tx.commit().await?;
    let revocation = Some(reason.to_owned());
    let generation = Generation { state: State::Retired, retired_at: Some(now), revocation, ..issuer.clone() };
    authority.reload().await?;
    Ok(RevokedIssuer { generation, certificates, must_enrol, revision })
}

/// Why a token that was made then no longer lets this sidecar in. `None`: it does.
///
/// # Errors
/// When the store cannot be read.
pub async fn sidecar_revoked_since(
    reader: &mut dyn Read,
    id: &SpiffeId,
    made_at: Timestamp,
) -> Result<Option<String>, StoreError> {
    let revocation = reader.sidecar_revocation(&id.to_string()).await?;
    Ok(revocation.filter(|(revoked_at, _)| made_at <= *revoked_at).map(|(_, reason)| reason))
}

/// An agency as the store knows it.
#[derive(Clone, Debug)]
pub struct AgencyStanding {
    /// Why it is suspended. `None`: it is not.
    pub suspension: Option<String>,
}

/// What a suspension did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// Live certificates that are void until the agency is reinstated.
    pub certificates: u32,
    /// The distribution revision that carries it.
    pub revision: u64,
}

impl Authority {
    /// Voids all certificates and tokens of an agency until it is reinstated.
    ///
    /// # Errors
    /// `AGENCY_UNKNOWN`, `AGENCY_SUSPENDED` when it is already, `REASON_MISSING`, or when the store fails.
    pub async fn suspend(&self, actor: &str, agency: &str, reason: &str) -> Result<Suspended, Problem> {
        if reason.trim().is_empty() {
            return Err(Problem::invalid("REASON_MISSING", "a suspension needs a reason: every refusal shows it"));
        }
        let mut tx = self.inner.store.write().await?;
        if let Some(why) = require_agency(tx.read(), agency).await?.suspension {
            return Err(Problem::precondition("AGENCY_SUSPENDED", format!("agency {agency} is suspended already: {why}"))
                .with("agency", agency));
        }
        let now = tx.now();
        tx.set_suspension(agency, Some((now, reason))).await?;
        let certificates = tx.live_certificates_of(agency, now).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "reason": reason, "certificates": certificates, "revision": revision });
        tx.audit(AuditEntry::done(actor, "agency.suspend", agency).with(details)).await?;
        tx.commit().await?;
        Ok(Suspended { certificates, revision })
    }

    /// Lets a suspended agency in again; returns the distribution revision. Revoked certificates stay revoked.
    ///
    /// # Errors
    /// `AGENCY_UNKNOWN`, `AGENCY_NOT_SUSPENDED`, or when the store fails.
    pub async fn reinstate(&self, actor: &str, agency: &str) -> Result<u64, Problem> {
        let mut tx = self.inner.store.write().await?;
        if require_agency(tx.read(), agency).await?.suspension.is_none() {
            return Err(
                Problem::precondition("AGENCY_NOT_SUSPENDED", format!("agency {agency} is not suspended")).with("agency", agency)
            );
        }
        tx.set_suspension(agency, None).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "revision": revision });
        tx.audit(AuditEntry::done(actor, "agency.reinstate", agency).with(details)).await?;
        tx.commit().await?;
        Ok(revision)
    }
}

/// An agency that the policy holds, or that is suspended still.
///
/// # Errors
/// `AGENCY_UNKNOWN`, or when the store cannot be read.
pub async fn require_agency(reader: &mut dyn Read, agency: &str) -> Result<AgencyStanding, Problem> {
    let unknown = || {
        Problem::not_found(
            "AGENCY_UNKNOWN",
            format!("the policy holds no agency {agency:?}; see `chapar agency list`, or apply its Agency resource first"),
        )
        .with("agency", agency)
    };
    match reader.agency_state(agency).await? {
        None | Some(AgencyState { removed: true, suspension: None }) => Err(unknown()),
        Some(AgencyState { suspension, .. }) => Ok(AgencyStanding { suspension }),
    }
}

/// The refusal of what a suspended agency asks for.
#[must_use]
pub fn suspended(agency: &str, reason: &str) -> Problem {
    Problem::denied(
        "AGENCY_SUSPENDED",
        format!("agency {agency} is suspended: {reason}; only an admin of the exchange can reinstate it"),
    )
    .with("agency", agency)
    .with("suspension_reason", reason)
}
