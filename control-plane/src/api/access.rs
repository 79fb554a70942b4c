//! `chapar.admin.v1.AccessService`: who one is, and what waits for a second person.

use chapar_proto::admin::v1::{
    ApplyRequest, ApproveChangeRequest, ApproveChangeResponse, Change, GetChangeRequest, GetChangeResponse, GetSelfRequest,
    GetSelfResponse, ListChangesRequest, ListChangesResponse, RejectChangeRequest, RejectChangeResponse,
    access_service_server::{AccessService, AccessServiceServer},
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::{Request, Response, Status};

use crate::{
    caller::Caller,
    clock::wire_of,
    problem::Problem,
    second,
    store::{ChangeRow, Store},
};

/// Changes that one answer lists: more are never open.
const LISTED_MAX: i64 = 1_000;

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store) -> AccessServiceServer<Access> {
    AccessServiceServer::new(Access { store })
}

/// Serves [`AccessService`].
pub struct Access {
    store: Store,
}

#[tonic::async_trait]
impl AccessService for Access {
    async fn get_self(&self, request: Request<GetSelfRequest>) -> Result<Response<GetSelfResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        let actor = caller.require_admin()?;
        let roles = caller.powers().roles().iter().map(ToString::to_string).collect();
        Ok(Response::new(GetSelfResponse { actor, roles }))
    }

    async fn list_changes(&self, request: Request<ListChangesRequest>) -> Result<Response<ListChangesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let mut reader = self.store.reader().await.map_err(Problem::from)?;
        let open = reader.changes_open(self.store.clock().now(), LISTED_MAX).await.map_err(Problem::from)?;
        Ok(Response::new(ListChangesResponse { changes: open.into_iter().map(wire).collect() }))
    }

    async fn get_change(&self, request: Request<GetChangeRequest>) -> Result<Response<GetChangeResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let id = request.into_inner().id;
        let mut reader = self.store.reader().await.map_err(Problem::from)?;
        let found = reader.change(id).await.map_err(Problem::from)?;
        let mut found = found.ok_or_else(|| Problem::not_found("CHANGE_UNKNOWN", format!("there is no change {id}")))?;
        let request = std::mem::take(&mut found.request);
        let told = told(&found.method, &request);
        Ok(Response::new(GetChangeResponse { change: Some(wire(found)), request, told }))
    }

    async fn approve_change(&self, request: Request<ApproveChangeRequest>) -> Result<Response<ApproveChangeResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        second::decide(&self.store, &caller, request.into_inner().id, true).await?;
        Ok(Response::new(ApproveChangeResponse {}))
    }

    async fn reject_change(&self, request: Request<RejectChangeRequest>) -> Result<Response<RejectChangeResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        second::decide(&self.store, &caller, request.into_inner().id, false).await?;
        Ok(Response::new(RejectChangeResponse {}))
    }
}

/// What is asked for, as a person reads it.
fn told(method: &str, request: &[u8]) -> String {
    if let ("PolicyService/Apply", Ok(apply)) = (method, ApplyRequest::decode(request)) {
        let files = apply.files.iter().map(|file| format!("# {}\n{}", file.name, String::from_utf8_lossy(&file.content)));
        let deletes = apply.delete.iter().map(|name| format!("# delete {name}\n"));
        return files.chain(deletes).chain([format!("# reason: {}\n", apply.reason)]).collect();
    }
    let message = DescriptorPool::decode(chapar_proto::FILE_DESCRIPTOR_SET).ok().and_then(|pool| {
        let (service, method) = method.split_once('/')?;
        let service = pool.get_service_by_name(&format!("chapar.admin.v1.{service}"))?;
        let input = service.methods().find(|found| found.name() == method)?.input();
        DynamicMessage::decode(input, request).ok()
    });
    message.and_then(|message| serde_json::to_string_pretty(&message).ok()).unwrap_or_default()
}

fn wire(change: ChangeRow) -> Change {
    Change {
        id: change.id,
        guard: change.guard,
        method: change.method,
        proposed_by: change.proposed_by,
        proposed_at: Some(wire_of(change.proposed_at)),
        expires_at: Some(wire_of(change.expires_at)),
        decided_by: change.decided_by.unwrap_or_default(),
        approved: change.approved,
    }
}
