//! How a sidecar gets its first certificate, and the next one.

mod admin;
pub mod tokens;

use std::{net::SocketAddr, sync::Arc};

use chapar_core::identity::{SpiffeId, WorkloadName};
use chapar_proto::token::EnrolmentToken;
use tonic::Code;

pub use self::admin::{AdminOrder, issue_admin};
use crate::{
    audit::{Holder, Repeats},
    authority::{self, Authority, Csr, Issued},
    caller::SidecarCaller,
    limit::{Budget, Budgets, Network, Rate},
    problem::Problem,
    store::{AuditEntry, Store, TokenRow, Transaction},
};

/// Name of a sidecar that is given none.
const SIDECAR_NAME_DEFAULT: &str = "main";

/// Failures of one network within a minute before it is turned away unread. A secret of 256 bits needs no such guard; the
/// audit and the processor do.
const FAILURES_MAX: u32 = 30;

/// Length of that minute, in seconds.
const FAILURES_PERIOD_S: u32 = 60;

/// Enrols and renews.
pub struct Enrolment {
    store: Store,
    authority: Authority,
    repeats: Repeats,
    /// Attempts that have not come to a good end.
    failures: Budgets<Network>,
    renewals: Arc<Rate>,
}

impl Enrolment {
    /// Enrols into this authority's trust domain. `repeats` puts refusals on record, `renewals` says who has renewed often enough.
    #[must_use]
    pub fn new(store: Store, authority: Authority, repeats: Repeats, renewals: Arc<Rate>) -> Self {
        let failures = Budgets::new(store.clock().clone(), Budget::new(FAILURES_MAX, FAILURES_PERIOD_S));
        Self { store, authority, repeats, failures, renewals }
    }

    /// Exchanges a token and a request for a certificate. The token is used up only when a certificate was issued.
    ///
    /// # Errors
    /// Those of `EnrolmentService.Enrol`, each audited with the caller's address; `ENROLMENT_LIMITED` after too many.
    pub async fn enrol(&self, from: SocketAddr, token: &str, csr_der: &[u8], sidecar: &str) -> Result<Issued, Problem> {
        let network = Network::from(from.ip());
        self.admit(network)?;
        let token = EnrolmentToken::parse(token)
            .map_err(|error| Problem::invalid("TOKEN_MALFORMED", format!("{error}; ask the exchange for a new one")));
        // Of a token that cannot be read there is nothing to name but the caller.
        let object = token.as_ref().map(|token| format!("token {}", token.id)).unwrap_or_else(|_| "token".to_owned());
        let enrolled = match token {
            Ok(token) => self.enrol_with(from, &token, csr_der, sidecar).await,
            Err(problem) => Err(problem),
        };
        match &enrolled {
            Ok(_) => self.failures.give_back(&network),
            Err(problem) => {
                self.audit_refusal(Holder::Stranger(network), from.to_string(), "enrolment.refuse", object, problem).await?
            }
        }
        enrolled
    }

    /// Issues the next certificate to a sidecar that proved to hold a valid one.
    ///
    /// # Errors
    /// Those of `EnrolmentService.Renew`, each audited; `SHARE_SPENT` after too many.
    pub async fn renew(&self, caller: &SidecarCaller, csr_der: &[u8]) -> Result<Issued, Problem> {
        let actor = caller.id.to_string();
        let renewed = match self.renewals.take(&actor, caller.agency.as_str()) {
            Ok(()) => self.renew_for(caller, csr_der).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &renewed {
            let holder = Holder::Agency(caller.agency.clone());
            self.audit_refusal(holder, actor.clone(), "certificate.refuse", actor, problem).await?;
        }
        renewed
    }

    fn admit(&self, from: Network) -> Result<(), Problem> {
        self.failures.take(&from).map_err(|wait_s| {
            let message =
                format!("{FAILURES_MAX} enrolments from {from} failed within {FAILURES_PERIOD_S} s; try again in {wait_s} s");
            Problem::new(Code::ResourceExhausted, "ENROLMENT_LIMITED", message).retry_after(wait_s)
        })
    }

    async fn enrol_with(
        &self,
        from: SocketAddr,
        token: &EnrolmentToken,
        csr_der: &[u8],
        sidecar: &str,
    ) -> Result<Issued, Problem> {
        if token.trust_domain != self.authority.trust_domain().as_str() {
            return Err(tokens::unknown(&token.id));
        }
        // One write from the check to the use: of two enrolments with one token the second waits, and finds it used.
        let mut tx = self.store.write().await?;
        let held = tokens::open(&mut tx, &token.id, &token.secret).await?;
        let id = self.identity(&mut tx, &held, sidecar).await?;
        let csr = Csr::parse(csr_der)?;
        csr.expect_identity(&id)?;
        let issued = self.authority.issue_sidecar(&mut tx, &id, &csr).await?;
        tokens::use_up(&mut tx, &held.id, &issued.serial).await?;
        let details = serde_json::json!({
            "token": held.id, "serial": issued.serial, "issuer": issued.issuer, "address": from.to_string(),
        });
        tx.audit(AuditEntry::done(from.to_string(), "enrolment.enrol", id.to_string()).with(details)).await?;
        tx.commit().await?;
        Ok(issued)
    }

    /// The identity that the token entitles to: its agency's, and its sidecar's if it names one.
    async fn identity(&self, tx: &mut Transaction, token: &TokenRow, sidecar: &str) -> Result<SpiffeId, Problem> {
        if let Some(reason) = authority::require_agency(tx.read(), &token.agency).await?.suspension {
            return Err(authority::suspended(&token.agency, &reason));
        }
        let asked = match (sidecar, &token.sidecar) {
            ("", Some(named)) => named.as_str(),
            ("", None) => SIDECAR_NAME_DEFAULT,
            (asked, _) => asked,
        };
        if token.sidecar.as_deref().is_some_and(|named| named != asked) {
            return Err(Problem::denied(
                "CSR_IDENTITY_MISMATCH",
                format!("the token is for another sidecar of {}; set the sidecar's name to the token's", token.agency),
            ));
        }
        let name: WorkloadName = asked.parse().map_err(|error| {
            Problem::invalid("SIDECAR_NAME_MALFORMED", format!("{error}")).field("sidecar", format!("{error}"))
        })?;
        let agency = token.agency.parse().map_err(|error| Problem::internal(&error))?;
        let id = SpiffeId::sidecar(self.authority.trust_domain().clone(), agency, name);
        if let Some(reason) = authority::sidecar_revoked_since(tx.read(), &id, token.created_at).await? {
            // Whoever took its certificates may have taken a token as well.
            return Err(Problem::denied(
                "SIDECAR_REVOKED",
                format!("{id} was revoked after this token was made: {reason}; ask an admin of the exchange for a new token"),
            )
            .with("spiffe_id", id.to_string()));
        }
        Ok(id)
    }

    async fn renew_for(&self, caller: &SidecarCaller, csr_der: &[u8]) -> Result<Issued, Problem> {
        // The listener checked this when the request came in; between then and the write it may have changed.
        let mut tx = self.store.write().await?;
        self.authority.require_good_standing(caller).await?;
        let csr = Csr::parse(csr_der)?;
        csr.expect_identity(&caller.id)?;
        let issued = self.authority.issue_sidecar(&mut tx, &caller.id, &csr).await?;
        let details = serde_json::json!({
            "serial": issued.serial, "issuer": issued.issuer, "renews": caller.serial,
        });
        let actor = caller.id.to_string();
        tx.audit(AuditEntry::done(actor.clone(), "certificate.renew", actor).with(details)).await?;
        tx.commit().await?;
        Ok(issued)
    }

    async fn audit_refusal(
        &self,
        holder: Holder,
        actor: String,
        action: &'static str,
        object: String,
        problem: &Problem,
    ) -> Result<(), Problem> {
        let details = serde_json::json!({ "message": problem.message() });
        let entry = AuditEntry::refused(actor, action, object, problem.reason()).with(details);
        Ok(self.repeats.refused(&holder, entry).await?)
    }
}

#[cfg(test)]
mod tests;
