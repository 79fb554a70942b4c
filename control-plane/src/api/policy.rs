//! `chapar.admin.v1.PolicyService`: declarative resources in, versions and decisions out.

use std::sync::Arc;

use chapar_core::time::Timestamp;
use chapar_proto::{
    admin::v1::{
        ApplyRequest, ApplyResponse, ChangeAction, DiffVersionsRequest, DiffVersionsResponse, ExplainRequest, ExplainResponse,
        GetVersionRequest, GetVersionResponse, Grant, GrantChange, ListGrantsRequest, ListGrantsResponse, ListResourcesRequest,
        ListResourcesResponse, ListVersionsRequest, ListVersionsResponse, PolicyVersion, ResourceChange, ResourceText,
        RestoreGrantRequest, RestoreGrantResponse, RevokeGrantRequest, RevokeGrantResponse, RollbackRequest, RollbackResponse,
        policy_service_server::{PolicyService, PolicyServiceServer},
    },
    convert::snapshot::PutConditions as _,
};
use tonic::{Request, Response, Status};

use crate::{
    audit::audited,
    caller::Caller,
    clock::{instant_of, wire_of},
    distribute::Distribution,
    explain::{Asked, explain},
    page::Page,
    policy::{self, Applied, ApplyOrder, GrantFilter, GrantView},
    problem::Problem,
    resources::{Action, REQUEST_BYTES_MAX, ResourceFile, ResourceName, Spec, yaml, yaml_all},
    store::{PolicyVersion as Version, Store},
};

/// Largest request: the files, and room for their names.
const MESSAGE_BYTES_MAX: usize = REQUEST_BYTES_MAX + 1024 * 1024;

/// The service, for the admin's listeners.
#[must_use]
pub fn service(store: Store, distribution: Distribution) -> PolicyServiceServer<Policy> {
    PolicyServiceServer::new(Policy { store, distribution }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`PolicyService`].
pub struct Policy {
    store: Store,
    distribution: Distribution,
}

#[tonic::async_trait]
impl PolicyService for Policy {
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let files = asked.files.into_iter().map(|file| ResourceFile { name: file.name, content: file.content }).collect();
        let (dry_run, reason) = (asked.dry_run, asked.reason);
        let order = ApplyOrder { files, delete: asked.delete, dry_run, reason, actor: actor.clone() };
        let applied = policy::apply(&self.store, order).await.map_err(Problem::from);
        let applied = if dry_run { applied? } else { audited(&self.store, &actor, "policy.apply", "policy", applied).await? };
        Ok(Response::new(applied.into()))
    }

    async fn list_resources(&self, request: Request<ListResourcesRequest>) -> Result<Response<ListResourcesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let (found, version) = policy::resources(&self.store, &asked.kind, &asked.name).await.map_err(Problem::from)?;
        let text = |(name, spec): (ResourceName, Arc<Spec>)| ResourceText {
            kind: name.kind.as_str().to_owned(),
            yaml: yaml(&name, &spec),
            name: name.name,
        };
        Ok(Response::new(ListResourcesResponse { resources: found.into_iter().map(text).collect(), version }))
    }

    async fn list_versions(&self, request: Request<ListVersionsRequest>) -> Result<Response<ListVersionsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let (versions, next_page_token) = policy::versions(&self.store, &page).await?;
        Ok(Response::new(ListVersionsResponse { versions: versions.into_iter().map(Into::into).collect(), next_page_token }))
    }

    async fn get_version(&self, request: Request<GetVersionRequest>) -> Result<Response<GetVersionResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let (version, resources) = policy::content(&self.store, request.into_inner().version).await.map_err(Problem::from)?;
        let yaml = yaml_all(resources.iter().map(|(name, spec)| (name, &**spec)));
        Ok(Response::new(GetVersionResponse { version: Some(version.into()), yaml }))
    }

    async fn diff_versions(&self, request: Request<DiffVersionsRequest>) -> Result<Response<DiffVersionsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let shown = policy::diff(&self.store, asked.from_version, asked.to_version).await.map_err(Problem::from)?;
        let shown = ApplyResponse::from(shown);
        Ok(Response::new(DiffVersionsResponse { resources: shown.resources, grants: shown.grants }))
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<RollbackResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let rolled =
            policy::rollback(&self.store, asked.version, &asked.reason, &actor, asked.dry_run).await.map_err(Problem::from);
        let object = format!("version {}", asked.version);
        let rolled =
            if asked.dry_run { rolled? } else { audited(&self.store, &actor, "policy.rollback", &object, rolled).await? };
        let ApplyResponse { version, resources, grants, revision, .. } = rolled.into();
        Ok(Response::new(RollbackResponse { version, resources, grants, revision }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let wire = request.into_inner();
        let at = wire.at.as_ref().map(instant_of);
        let asked = Asked { consumer: wire.consumer, inquiry: wire.inquiry, provider: wire.provider, at, purpose: wire.purpose };
        let moment = at.unwrap_or_else(|| self.store.clock().now());
        let (told, grant) = explain(&self.store, &self.distribution, asked).await?;
        Ok(Response::new(ExplainResponse {
            permitted: told.refused.is_none(),
            reason: told.refused.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            explanation: told.text,
            grant: grant.map(|grant| grant_at(grant, moment)),
            policy_version: told.policy_version,
        }))
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let (consumer, provider, inquiry, resolution) = (asked.consumer, asked.provider, asked.inquiry, asked.resolution);
        let filter = GrantFilter { consumer, provider, inquiry, resolution };
        let (grants, next_page_token) = policy::grants(&self.store, &filter, &page).await.map_err(Problem::from)?;
        let now = self.store.clock().now();
        let grants = grants.into_iter().map(|grant| grant_at(grant, now)).collect();
        Ok(Response::new(ListGrantsResponse { grants, next_page_token }))
    }

    async fn revoke_grant(&self, request: Request<RevokeGrantRequest>) -> Result<Response<RevokeGrantResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let revoked = policy::revoke(&self.store, &asked.grant, &asked.reason, &actor).await.map_err(Problem::from);
        let (version, revision) = audited(&self.store, &actor, "grant.revoke", &asked.grant, revoked).await?;
        Ok(Response::new(RevokeGrantResponse { version, revision }))
    }

    async fn restore_grant(&self, request: Request<RestoreGrantRequest>) -> Result<Response<RestoreGrantResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let restored = policy::restore(&self.store, &asked.grant, &asked.reason, &actor).await.map_err(Problem::from);
        let (version, revision) = audited(&self.store, &actor, "grant.restore", &asked.grant, restored).await?;
        Ok(Response::new(RestoreGrantResponse { version, revision }))
    }
}

impl From<Action> for ChangeAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Created => Self::Created,
            Action::Changed => Self::Changed,
            Action::Unchanged => Self::Unchanged,
            Action::Deleted => Self::Deleted,
        }
    }
}

impl From<Applied> for ApplyResponse {
    fn from(applied: Applied) -> Self {
        let resources = applied.resources.into_iter().map(|(name, action, diff)| ResourceChange {
            kind: name.kind.as_str().to_owned(),
            name: name.name,
            action: ChangeAction::from(action).into(),
            diff,
        });
        let grants =
            applied.grants.into_iter().map(|(grant, action)| GrantChange { grant, action: ChangeAction::from(action).into() });
        Self {
            version: applied.version,
            resources: resources.collect(),
            grants: grants.collect(),
            revision: applied.revision,
            warnings: applied.warnings,
        }
    }
}

impl From<Version> for PolicyVersion {
    fn from(version: Version) -> Self {
        Self {
            version: version.version,
            created_at: Some(wire_of(version.created_at)),
            created_by: version.created_by,
            reason: version.reason,
            created: version.created,
            changed: version.changed,
            deleted: version.deleted,
            rolled_back_to: version.rolled_back_to.unwrap_or_default(),
        }
    }
}

/// A grant as it stands at `now`.
fn grant_at(found: GrantView, now: Timestamp) -> Grant {
    let GrantView { grant, provider, .. } = found;
    let mut told = Grant {
        name: grant.name,
        resolution: grant.resolution,
        clause: grant.clause,
        consumer: grant.consumer,
        provider: provider.unwrap_or_default(),
        inquiry: grant.inquiry,
        note: grant.note,
        ..Grant::default()
    };
    told.put_conditions(&grant.conditions);
    let not_in_force = grant.conditions.not_in_force(now);
    told.in_force = not_in_force.is_none();
    told.not_in_force = not_in_force.map(|reason| reason.as_str().to_owned()).unwrap_or_default();
    told
}
