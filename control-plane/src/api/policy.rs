//! `chapar.admin.v1.PolicyService`: declarative resources in, versions and decisions out.

mod convert;

use chapar_core::{
    identity::{Agency, TrustDomain},
    time::Timestamp,
};
use chapar_proto::admin::v1::{
    ApplyRequest, ApplyResponse, DiffVersionsRequest, DiffVersionsResponse, ExplainRequest, ExplainResponse, GetVersionRequest,
    GetVersionResponse, ListGrantsRequest, ListGrantsResponse, ListResourcesRequest, ListResourcesResponse, ListVersionsRequest,
    ListVersionsResponse, ResourceText, RestoreGrantRequest, RestoreGrantResponse, RevokeGrantRequest, RevokeGrantResponse,
    RollbackRequest, RollbackResponse,
    policy_service_server::{PolicyService, PolicyServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    audit::audited,
    caller::Caller,
    clock::ms_of_timestamp,
    distribute::{Distribution, World},
    page::Page,
    policy::{self, ApplyOrder, Question},
    problem::Problem,
    registry,
    resources::{REQUEST_BYTES_MAX, ResourceFile, yaml, yaml_all},
    store::Store,
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
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let files = asked.files.into_iter().map(|file| ResourceFile { name: file.name, content: file.content }).collect();
        let (dry_run, reason) = (asked.dry_run, asked.reason);
        let order = ApplyOrder { files, delete: asked.delete, dry_run, reason, actor: actor.clone() };
        let applied = policy::apply(&self.store, order).await.map_err(Problem::from);
        let applied = if dry_run { applied? } else { audited(&self.store, &actor, "policy.apply", "policy", applied).await? };
        Ok(Response::new(applied.into()))
    }

    async fn list_resources(&self, request: Request<ListResourcesRequest>) -> Result<Response<ListResourcesResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let version = policy::current(&mut conn).await.map_err(Problem::from)?;
        let world = policy::world_at(&mut conn, version).await.map_err(Problem::from)?;
        let wanted = |kind: &str, name: &str| {
            (asked.kind.is_empty() || asked.kind == kind) && (asked.name.is_empty() || asked.name == name)
        };
        let resources = world.iter().filter(|(name, _)| wanted(name.kind.as_str(), &name.name)).map(|(name, spec)| {
            ResourceText { kind: name.kind.as_str().to_owned(), name: name.name.clone(), yaml: yaml(name, spec) }
        });
        Ok(Response::new(ListResourcesResponse { resources: resources.collect(), version }))
    }

    async fn list_versions(&self, request: Request<ListVersionsRequest>) -> Result<Response<ListVersionsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let before = page.after_number()?.map_or(u64::MAX, i64::unsigned_abs);
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let mut versions = policy::versions(&mut conn, before, page.size + 1).await.map_err(Problem::from)?;
        let next_page_token = page.cut(&mut versions, |version| version.version.to_string());
        Ok(Response::new(ListVersionsResponse { versions: versions.into_iter().map(Into::into).collect(), next_page_token }))
    }

    async fn get_version(&self, request: Request<GetVersionRequest>) -> Result<Response<GetVersionResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner().version;
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let number = if asked == 0 { policy::current(&mut conn).await.map_err(Problem::from)? } else { asked };
        let version = policy::version(&mut conn, number).await.map_err(Problem::from)?;
        let world = policy::world_at(&mut conn, number).await.map_err(Problem::from)?;
        let yaml = yaml_all(world.iter().map(|(name, spec)| (name, &**spec)));
        Ok(Response::new(GetVersionResponse { version: Some(version.into()), yaml }))
    }

    async fn diff_versions(&self, request: Request<DiffVersionsRequest>) -> Result<Response<DiffVersionsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let shown = policy::diff(&self.store, asked.from_version, asked.to_version).await.map_err(Problem::from)?;
        let shown = ApplyResponse::from(shown);
        Ok(Response::new(DiffVersionsResponse { resources: shown.resources, grants: shown.grants }))
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<RollbackResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
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
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let revision = self.store.revision().await.map_err(Problem::from)?;
        let world = self.distribution.world_since(revision).await;
        let consumer = self.known_agency(&mut conn, &world, &asked.consumer).await?;
        let provider = match asked.provider.as_str() {
            "" => None,
            name => Some(self.known_agency(&mut conn, &world, name).await?),
        };
        let at_ms = asked.at.as_ref().map_or_else(|| self.store.clock().now_ms(), ms_of_timestamp);
        let (at, purpose_stated) = (Timestamp::from_unix_ms(at_ms), !asked.purpose.trim().is_empty());
        let question = Question { consumer, inquiry: asked.inquiry, provider, at, purpose_stated };
        let told = policy::explain(&world, &question).map_err(|error| Problem::internal(&error))?;
        let grant = match &told.grant {
            None => None,
            Some(name) => {
                let grants = policy::grants_view(&mut conn).await.map_err(Problem::from)?.grants;
                grants.into_iter().find(|found| found.grant.name == *name).map(Into::into)
            }
        };
        Ok(Response::new(ExplainResponse {
            permitted: told.refused.is_none(),
            reason: told.refused.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
            explanation: told.text,
            grant,
            policy_version: told.policy_version,
        }))
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Result<Response<ListGrantsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let view = policy::grants_view(&mut conn).await.map_err(Problem::from)?;
        let wanted = |asked: &str, found: &str| asked.is_empty() || asked == found;
        let mut grants: Vec<_> = view
            .grants
            .into_iter()
            .filter(|found| page.after.as_ref().is_none_or(|after| found.grant.name > *after))
            .filter(|found| wanted(&asked.consumer, &found.grant.consumer) && wanted(&asked.inquiry, &found.grant.inquiry))
            .filter(|found| wanted(&asked.provider, found.provider.as_deref().unwrap_or_default()))
            .filter(|found| wanted(&asked.resolution, &found.grant.resolution))
            .take(page.size + 1)
            .collect();
        let next_page_token = page.cut(&mut grants, |found| found.grant.name.clone());
        Ok(Response::new(ListGrantsResponse { grants: grants.into_iter().map(Into::into).collect(), next_page_token }))
    }

    async fn revoke_grant(&self, request: Request<RevokeGrantRequest>) -> Result<Response<RevokeGrantResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let revoked = policy::revoke(&self.store, &asked.grant, &asked.reason, &actor).await.map_err(Problem::from);
        let (version, revision) = audited(&self.store, &actor, "grant.revoke", &asked.grant, revoked).await?;
        Ok(Response::new(RevokeGrantResponse { version, revision }))
    }

    async fn restore_grant(&self, request: Request<RestoreGrantRequest>) -> Result<Response<RestoreGrantResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let restored = policy::restore(&self.store, &asked.grant, &asked.reason, &actor).await.map_err(Problem::from);
        let (version, revision) = audited(&self.store, &actor, "grant.restore", &asked.grant, restored).await?;
        Ok(Response::new(RestoreGrantResponse { version, revision }))
    }
}

impl Policy {
    /// The agency of this name, seen from the own exchange.
    async fn known_agency(&self, conn: &mut sqlx::SqliteConnection, world: &World, name: &str) -> Result<Agency, Problem> {
        let unknown = || Problem::not_found("AGENCY_UNKNOWN", format!("unknown agency {name:?}; see `chapar agency list`"));
        let own: TrustDomain = world.trust_domain().parse().map_err(|_| unknown())?;
        let agency = name.parse::<Agency>().map_err(|_| unknown())?.seen_from(&own);
        let name = agency.joined().map_err(|error| Problem::not_found("AGENCY_UNKNOWN", error.to_string()))?;
        if registry::agency_exists(conn, name.as_str()).await? { Ok(agency) } else { Err(unknown()) }
    }
}
