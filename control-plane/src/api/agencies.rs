//! `chapar.admin.v1.AgencyService`: agencies' standing, and their sidecars.

use chapar_proto::admin::v1::{
    Agency, ListAgenciesRequest, ListAgenciesResponse, ListSidecarsRequest, ListSidecarsResponse, ReinstateAgencyRequest,
    ReinstateAgencyResponse, SuspendAgencyRequest, SuspendAgencyResponse,
    agency_service_server::{AgencyService, AgencyServiceServer},
};
use sqlx::{Row as _, sqlite::SqliteRow};
use tonic::{Request, Response, Status};

use super::sidecars;
use crate::{authority::Authority, caller::Caller, distribute::Distribution, page::Page, problem::Problem, store::Store};

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
        Caller::of(&request)?.require_admin()?;
        let ListAgenciesRequest { page_size, page_token } = request.into_inner();
        let page = Page::asked(page_size, &page_token)?;
        let (agencies, next_page_token) = self.list(&page).await?;
        Ok(Response::new(ListAgenciesResponse { agencies, next_page_token }))
    }

    async fn suspend_agency(&self, request: Request<SuspendAgencyRequest>) -> Result<Response<SuspendAgencyResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let SuspendAgencyRequest { agency, reason } = request.into_inner();
        let done = self.authority.suspend(&actor, &agency, &reason).await?;
        Ok(Response::new(SuspendAgencyResponse { certificates: done.certificates, revision: done.revision }))
    }

    async fn reinstate_agency(
        &self,
        request: Request<ReinstateAgencyRequest>,
    ) -> Result<Response<ReinstateAgencyResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let revision = self.authority.reinstate(&actor, &request.into_inner().agency).await?;
        Ok(Response::new(ReinstateAgencyResponse { revision }))
    }

    async fn list_sidecars(&self, request: Request<ListSidecarsRequest>) -> Result<Response<ListSidecarsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let listed = sidecars::list(&self.distribution, &self.store, &request.into_inner()).await?;
        Ok(Response::new(listed))
    }
}

impl Agencies {
    /// Agencies by name, those that left the policy while suspended among them; with how many sidecars hold a live certificate.
    async fn list(&self, page: &Page) -> Result<(Vec<Agency>, String), Problem> {
        let rows = sqlx::query(
            "SELECT a.*, (SELECT COUNT(DISTINCT c.spiffe_id) FROM certificates c WHERE c.agency = a.name \
             AND c.revoked_at_ms IS NULL AND c.not_after_ms > $1) AS sidecars FROM agencies a \
             WHERE a.name > $2 AND (a.removed_at_ms IS NULL OR a.suspended_at_ms IS NOT NULL) ORDER BY a.name LIMIT $3",
        )
        .bind(self.store.clock().now_ms())
        .bind(page.after.as_deref().unwrap_or_default())
        .bind(page.limit())
        .fetch_all(self.store.read())
        .await?;
        let mut agencies = rows.iter().map(agency).collect::<Result<Vec<_>, sqlx::Error>>()?;
        let next = page.cut(&mut agencies, |agency| agency.name.clone());
        Ok((agencies, next))
    }
}

fn agency(row: &SqliteRow) -> Result<Agency, sqlx::Error> {
    let roles: String = row.try_get("roles")?;
    Ok(Agency {
        name: row.try_get("name")?,
        title_fa: row.try_get("title_fa")?,
        title_en: row.try_get("title_en")?,
        roles: serde_json::from_str(&roles).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        part_of: row.try_get::<Option<String>, _>("part_of")?.unwrap_or_default(),
        suspended: row.try_get::<Option<i64>, _>("suspended_at_ms")?.is_some(),
        suspension_reason: row.try_get::<Option<String>, _>("suspension_reason")?.unwrap_or_default(),
        sidecars: u32::try_from(row.try_get::<i64, _>("sidecars")?).unwrap_or(u32::MAX),
    })
}
