//! How a sidecar gets its first certificate, and the next one.

mod admin;
pub mod tokens;

use std::net::{IpAddr, SocketAddr};

use chapar_core::identity::{SpiffeId, WorkloadName};
use chapar_proto::token::EnrolmentToken;
use tonic::Code;

pub use self::admin::{AdminOrder, issue_admin};
use crate::{
    authority::{self, Authority, Csr, Issued},
    caller::SidecarCaller,
    limit::AddressWindows,
    problem::Problem,
    store::{AuditEntry, Store, TokenRow, Transaction},
};

/// Name of a sidecar that is given none.
const SIDECAR_NAME_DEFAULT: &str = "main";

/// Failures of one address within a minute before it is turned away unread. A secret of 256 bits needs no such guard; the
/// audit and the processor do.
const FAILURES_MAX: u32 = 30;

/// Enrols and renews.
pub struct Enrolment {
    store: Store,
    authority: Authority,
    failures: AddressWindows,
}

impl Enrolment {
    /// Enrols into this authority's trust domain.
    #[must_use]
    pub fn new(store: Store, authority: Authority) -> Self {
        let failures = AddressWindows::new(store.clock().clone());
        Self { store, authority, failures }
    }

    /// Exchanges a token and a request for a certificate. The token is used up only when a certificate was issued.
    ///
    /// # Errors
    /// Those of `EnrolmentService.Enrol`, each audited with the caller's address; `ENROLMENT_LIMITED` after too many.
    pub async fn enrol(&self, from: SocketAddr, token: &str, csr_der: &[u8], sidecar: &str) -> Result<Issued, Problem> {
        self.admit(from.ip())?;
        let token = EnrolmentToken::parse(token)
            .map_err(|error| Problem::invalid("TOKEN_MALFORMED", format!("{error}; ask the exchange for a new one")));
        // Of a token that cannot be read there is nothing to name but the caller.
        let object = token.as_ref().map(|token| format!("token {}", token.id)).unwrap_or_else(|_| "token".to_owned());
        let enrolled = match token {
            Ok(token) => self.enrol_with(from, &token, csr_der, sidecar).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = &enrolled {
            self.failures.add(from.ip());
            self.audit_refusal(from.to_string(), "enrolment.refuse", object, problem).await?;
        }
        enrolled
    }

    /// Issues the next certificate to a sidecar that proved to hold a valid one.
    ///
    /// # Errors
    /// Those of `EnrolmentService.Renew`, each audited.
    pub async fn renew(&self, caller: &SidecarCaller, csr_der: &[u8]) -> Result<Issued, Problem> {
        let renewed = self.renew_for(caller, csr_der).await;
        if let Err(problem) = &renewed {
            let actor = caller.id.to_string();
            self.audit_refusal(actor.clone(), "certificate.refuse", actor, problem).await?;
        }
        renewed
    }

    fn admit(&self, from: IpAddr) -> Result<(), Problem> {
        let failed = self.failures.of(from);
        if failed.count < FAILURES_MAX {
            return Ok(());
        }
        let message = format!("{} enrolments from {from} failed within a minute; try again in {} s", failed.count, failed.left_s);
        let problem = Problem::new(Code::ResourceExhausted, "ENROLMENT_LIMITED", message);
        Err(problem.with("retry_after_s", failed.left_s.to_string()))
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

    async fn audit_refusal(&self, actor: String, action: &'static str, object: String, problem: &Problem) -> Result<(), Problem> {
        let details = serde_json::json!({ "message": problem.message() });
        Ok(self.store.audit(AuditEntry::refused(actor, action, object, problem.reason()).with(details)).await?)
    }
}

#[cfg(test)]
mod tests;
