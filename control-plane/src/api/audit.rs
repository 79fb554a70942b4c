//! `chapar.admin.v1.AuditService`: reading the audit.

use chapar_proto::admin::v1::{
    AuditEntry, AuditFinding, CheckHeadsRequest, CheckHeadsResponse, HeadsTold, ListAuditRequest, ListAuditResponse,
    VerifyAuditRequest, VerifyAuditResponse,
    audit_service_server::{AuditService, AuditServiceServer},
};
use chapar_proto::v1::Head;
use tonic::{Request, Response, Status};

use crate::{
    access::Role,
    audit,
    caller::Caller,
    clock::{instant_of, wire_of},
    heads::{self, Heads, Signed},
    page::Page,
    problem::Problem,
    store::{AuditFilter, AuditLine, Store},
    subject::SEARCHED,
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store, heads: Heads) -> AuditServiceServer<Audit> {
    AuditServiceServer::new(Audit { store, heads })
}

/// Serves [`AuditService`].
pub struct Audit {
    store: Store,
    heads: Heads,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        caller.require_admin()?;
        let shows_subjects = caller.powers().has(&Role::Inspector);
        let asked = request.into_inner();
        let searches_for_object = !asked.object.is_empty();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let filter = AuditFilter {
            actor: asked.actor,
            action_prefix: asked.action,
            object: asked.object,
            from: asked.from.as_ref().map(instant_of),
            until: asked.until.as_ref().map(instant_of),
        };
        let (written, next_page_token) = audit::list(&self.store, &filter, &page).await?;
        // Whoever could ask for the entries about one hash would learn of whom it is.
        let told = written.into_iter().filter(|line| shows_subjects || !searches_for_object || line.action != SEARCHED);
        let entries = told.map(|line| if shows_subjects { line } else { masked(line) }).map(entry).collect();
        Ok(Response::new(ListAuditResponse { entries, next_page_token }))
    }

    async fn verify_audit(&self, request: Request<VerifyAuditRequest>) -> Result<Response<VerifyAuditResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let checked = heads::verify_audit(&self.heads).await.map_err(Problem::from)?;
        Ok(Response::new(VerifyAuditResponse {
            entries: checked.entries,
            heads: checked.heads,
            last: checked.head.id,
            hash: checked.head.hash.to_vec(),
            findings: checked.findings.into_iter().map(finding).collect(),
        }))
    }

    async fn check_heads(&self, request: Request<CheckHeadsRequest>) -> Result<Response<CheckHeadsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let own = self.heads.sign().await.map_err(|error| Problem::internal(&error))?;
        let sidecars = heads::sidecars_told(&self.heads).await.map_err(Problem::from)?;
        Ok(Response::new(CheckHeadsResponse {
            own: Some(told(String::new(), &own, Vec::new())),
            sidecars: sidecars.into_iter().map(|keeps| told(keeps.sidecar, &keeps.signed, keeps.problems)).collect(),
        }))
    }
}

/// The same, without the hash of whom an inspector asked about; he may see it, and nobody else.
fn masked(mut line: AuditLine) -> AuditLine {
    if line.action != SEARCHED || line.object.is_empty() {
        return line;
    }
    "masked".clone_into(&mut line.object);
    // Releases before keys of pairs put all hashes down.
    if let Ok(serde_json::Value::Object(mut details)) = serde_json::from_str(&line.details) {
        details.remove("hashes");
        line.details = serde_json::Value::Object(details).to_string();
    }
    line
}

fn finding(found: audit::Finding) -> AuditFinding {
    AuditFinding { kind: found.kind.to_owned(), first: found.first, last: found.last, told: found.told }
}

fn told(sidecar: String, signed: &Signed, problems: Vec<String>) -> HeadsTold {
    let number = |head: Option<&Head>| head.map_or(0, |head| head.number);
    let heads = &signed.heads;
    HeadsTold {
        sidecar,
        at: heads.at,
        audit: number(heads.audit.as_ref()),
        policy: number(heads.policy.as_ref()),
        ledger: number(heads.ledger.as_ref()),
        problems,
    }
}

fn entry(written: AuditLine) -> AuditEntry {
    AuditEntry {
        id: written.id,
        at: Some(wire_of(written.at)),
        actor: written.actor,
        action: written.action,
        object: written.object,
        succeeded: written.succeeded,
        reason: written.reason,
        details: written.details,
    }
}
