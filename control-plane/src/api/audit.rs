//! `chapar.admin.v1.AuditService`: reading the audit.

use chapar_proto::admin::v1::{
    AuditEntry, ListAuditRequest, ListAuditResponse,
    audit_service_server::{AuditService, AuditServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    audit,
    caller::Caller,
    clock::{instant_of, wire_of},
    page::Page,
    store::{AuditFilter, AuditLine, Store},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store) -> AuditServiceServer<Audit> {
    AuditServiceServer::new(Audit { store })
}

/// Serves [`AuditService`].
pub struct Audit {
    store: Store,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Result<Response<ListAuditResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let filter = AuditFilter {
            actor: asked.actor,
            action_prefix: asked.action,
            object: asked.object,
            from: asked.from.as_ref().map(instant_of),
            until: asked.until.as_ref().map(instant_of),
        };
        let (written, next_page_token) = audit::list(&self.store, &filter, &page).await?;
        Ok(Response::new(ListAuditResponse { entries: written.into_iter().map(entry).collect(), next_page_token }))
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
