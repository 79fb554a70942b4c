//! `chapar.admin.v1.AgencyService`: agencies' standing, and their sidecars.

use chapar_proto::admin::v1::{
    Agency, ListAgenciesRequest, ListAgenciesResponse, ListSidecarsRequest, ListSidecarsResponse, ReinstateAgencyRequest,
    ReinstateAgencyResponse, Sidecar, SuspendAgencyRequest, SuspendAgencyResponse,
    agency_service_server::{AgencyService, AgencyServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    authority::Authority,
    caller::Caller,
    clock::wire_of,
    distribute::{Distribution, ListedSidecar},
    page::Page,
    registry,
    store::{AgencyInStore, Store},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store, authority: Authority, distribution: Distribution) -> AgencyServiceServer<Agencies> {
    AgencyServiceServer::new(Agencies { store, authority, distribution })
}

/// Serves [`AgencyService`].
pub struct Agencies {
    store: Store,
    authority: Authority,
    distribution: Distribution,
}

#[tonic::async_trait]
impl AgencyService for Agencies {
    async fn list_agencies(&self, request: Request<ListAgenciesRequest>) -> Result<Response<ListAgenciesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let ListAgenciesRequest { page_size, page_token } = request.into_inner();
        let page = Page::asked(page_size, &page_token)?;
        let (agencies, next_page_token) = registry::agencies(&self.store, &page).await?;
        let agencies = agencies.into_iter().map(agency).collect();
        Ok(Response::new(ListAgenciesResponse { agencies, next_page_token }))
    }

    async fn suspend_agency(&self, request: Request<SuspendAgencyRequest>) -> Result<Response<SuspendAgencyResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let SuspendAgencyRequest { agency, reason } = request.into_inner();
        let done = self.authority.suspend(&actor, &agency, &reason).await?;
        Ok(Response::new(SuspendAgencyResponse { certificates: done.certificates, revision: done.revision }))
    }

    async fn reinstate_agency(
        &self,
        request: Request<ReinstateAgencyRequest>,
    ) -> Result<Response<ReinstateAgencyResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let revision = self.authority.reinstate(&actor, &request.into_inner().agency).await?;
        Ok(Response::new(ReinstateAgencyResponse { revision }))
    }

    async fn list_sidecars(&self, request: Request<ListSidecarsRequest>) -> Result<Response<ListSidecarsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let ListSidecarsRequest { agency, page_size, page_token } = request.into_inner();
        let listed = self.distribution.sidecars(&agency, &Page::asked(page_size, &page_token)?).await?;
        Ok(Response::new(ListSidecarsResponse {
            sidecars: listed.sidecars.into_iter().map(sidecar).collect(),
            next_page_token: listed.next_page_token,
            policy_version: listed.policy_version,
        }))
    }
}

fn agency(found: AgencyInStore) -> Agency {
    Agency {
        name: found.name,
        title_fa: found.title_fa,
        title_en: found.title_en,
        roles: found.roles,
        part_of: found.part_of.unwrap_or_default(),
        suspended: found.suspension.is_some(),
        suspension_reason: found.suspension.unwrap_or_default(),
        sidecars: found.sidecars,
    }
}

fn sidecar(listed: ListedSidecar) -> Sidecar {
    let ListedSidecar { status, name, endpoint, certificate_ends } = listed;
    let (address, grpc_services) = endpoint.map(|endpoint| (endpoint.address, endpoint.grpc_services)).unwrap_or_default();
    Sidecar {
        name,
        agency: status.agency,
        connected: status.connected,
        seen_at: Some(wire_of(status.seen_at)),
        advertised_address: address,
        grpc_services,
        software_version: status.software_version,
        acknowledged_revision: status.acknowledged_revision,
        sent_revision: status.sent_revision,
        policy_version: status.policy_version,
        problem: status.problem,
        certificate_not_after: certificate_ends.map(wire_of),
        spiffe_id: status.spiffe_id,
    }
}
