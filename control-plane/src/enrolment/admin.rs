//! How an admin gets a certificate: from another admin, on the control plane's machine.

use std::time::Duration;

use chapar_core::identity::{SpiffeId, WorkloadName};

use crate::{
    access::{Powers, Role},
    authority::{Authority, Csr, Issued},
    caller::Caller,
    problem::Problem,
    store::{AuditEntry, Store, Transaction, second},
};

/// Longest life of an admin's certificate, in seconds: 90 days.
const LIFE_S_MAX: u32 = 90 * 86_400;

/// What is asked for an admin.
#[derive(Clone, Debug, Default)]
pub struct AdminOrder {
    /// Name of the admin.
    pub name: String,
    /// What the admin is to be; empty: an admin.
    pub roles: Vec<String>,
    /// Its request.
    pub csr_der: Vec<u8>,
    /// How long it is to be valid; 0 for the configured time.
    pub life_s: u32,
}

/// Issues a certificate to the admin of this name.
///
/// # Errors
/// `ADMIN_NAME_MALFORMED`, `ROLE_MALFORMED`, `CERTIFICATE_LIFE_TOO_LONG`, `SECOND_PERSON_REQUIRED` (a role that one admin alone does not
/// grant over the network), `ADMIN_NAME_TAKEN`, those of a request that is none, or when the store fails.
pub async fn issue_admin(store: &Store, authority: &Authority, by: &Caller, order: AdminOrder) -> Result<Issued, Problem> {
    let AdminOrder { name, roles, csr_der, life_s } = order;
    let actor = by.require_admin()?;
    let roles = read_roles(&roles)?;
    let name: WorkloadName = name
        .parse()
        .map_err(|error| Problem::invalid("ADMIN_NAME_MALFORMED", format!("{error}")).field("name", format!("{error}")))?;
    if life_s > LIFE_S_MAX {
        let message = format!("an admin's certificate lives at most 90 days ({LIFE_S_MAX} s)");
        return Err(Problem::invalid("CERTIFICATE_LIFE_TOO_LONG", message).field("valid_for_s", format!("at most {LIFE_S_MAX}")));
    }
    let life = (life_s > 0).then(|| Duration::from_secs(life_s.into()));
    let powers = granted(by, &name, roles)?;
    let told = powers.roles().iter().map(ToString::to_string).collect::<Vec<_>>();
    let too_many = || Problem::invalid("ROLE_MALFORMED", "these are more roles than one certificate can hold");
    let extension = powers.to_der().ok_or_else(too_many)?;
    let id = SpiffeId::admin(authority.trust_domain().clone(), name);
    let csr = Csr::parse(&csr_der)?;
    csr.expect_identity(&id)?;
    let mut tx = store.write().await?;
    if !matches!(by, Caller::Local { .. }) && by.actor() != id.to_string() {
        name_is_free(&mut tx, &id).await?;
    }
    let issued = authority.issue_admin(&mut tx, &id, &csr, extension, life).await?;
    let details = serde_json::json!({ "serial": issued.serial, "issuer": issued.issuer, "roles": told });
    tx.audit(AuditEntry::done(actor, "certificate.issue-admin", id.to_string()).with(details)).await?;
    tx.commit().await?;
    Ok(issued)
}

fn read_roles(words: &[String]) -> Result<Vec<Role>, Problem> {
    if words.is_empty() {
        return Ok(vec![Role::Admin]);
    }
    let malformed = |error: crate::access::RoleMalformed| Problem::invalid("ROLE_MALFORMED", error.to_string());
    words.iter().map(|word| word.parse().map_err(malformed)).collect()
}

/// What `by` may grant to the admin of this name. Whom an admin makes another over the network remains that admin, where two persons are
/// asked for: otherwise one could be two.
fn granted(by: &Caller, name: &WorkloadName, roles: Vec<Role>) -> Result<Powers, Problem> {
    let person = match by {
        Caller::Local { .. } => Some(name.to_string()),
        Caller::Admin { .. } if second().is_some() => Some(name.to_string()),
        Caller::Admin { powers, .. } => {
            if let Some(role) = roles.iter().find(|role| role.needs_two()) {
                let told = format!(
                    "one admin alone does not make anybody {role} over the network; do it on the control plane's own machine"
                );
                return Err(Problem::precondition("SECOND_PERSON_REQUIRED", told));
            }
            powers.person().map(str::to_owned)
        }
        Caller::Sidecar(_) | Caller::Anonymous { .. } => None,
    };
    Ok(Powers::new(roles, person))
}

/// Over the network nobody takes the name of somebody who has a certificate: the audit would take one for the other.
async fn name_is_free(tx: &mut Transaction, id: &SpiffeId) -> Result<(), Problem> {
    let now = tx.now();
    if tx.has_live_certificate(&id.to_string(), now).await? {
        let told = format!(
            "{id} has a live certificate; only its holder renews it over the network, or an admin on the control plane's machine"
        );
        return Err(Problem::precondition("ADMIN_NAME_TAKEN", told));
    }
    Ok(())
}
