//! How an admin gets a certificate: from another admin, on the control plane's machine.

use std::time::Duration;

use chapar_core::identity::{SpiffeId, WorkloadName};

use crate::{
    authority::{Authority, Csr, Issued},
    problem::Problem,
    store::{AuditEntry, Store},
};

/// Longest life of an admin's certificate, in seconds: 90 days.
const LIFE_S_MAX: u32 = 90 * 86_400;

/// Issues a certificate to the admin of this name. `life_s`: 0 for the configured one.
///
/// # Errors
/// `ADMIN_NAME_MALFORMED`, `CERTIFICATE_LIFE_TOO_LONG`, those of a request that is none, or when the store fails.
pub async fn issue_admin(
    store: &Store,
    authority: &Authority,
    actor: &str,
    name: &str,
    csr_der: &[u8],
    life_s: u32,
) -> Result<Issued, Problem> {
    let name: WorkloadName = name
        .parse()
        .map_err(|error| Problem::invalid("ADMIN_NAME_MALFORMED", format!("{error}")).field("name", format!("{error}")))?;
    if life_s > LIFE_S_MAX {
        let message = format!("an admin's certificate lives at most 90 days ({LIFE_S_MAX} s)");
        return Err(Problem::invalid("CERTIFICATE_LIFE_TOO_LONG", message).field("valid_for_s", format!("at most {LIFE_S_MAX}")));
    }
    let life = (life_s > 0).then(|| Duration::from_secs(life_s.into()));
    let id = SpiffeId::admin(authority.trust_domain().clone(), name);
    let csr = Csr::parse(csr_der)?;
    csr.expect_identity(&id)?;
    let mut tx = store.write().await?;
    let issued = authority.issue_admin(&mut tx, &id, &csr, life).await?;
    let details = serde_json::json!({ "serial": issued.serial, "issuer": issued.issuer });
    tx.audit(AuditEntry::done(actor, "certificate.issue-admin", id.to_string()).with(details)).await?;
    tx.commit().await?;
    Ok(issued)
}
