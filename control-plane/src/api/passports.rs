//! `chapar.admin.v1.PassportService`: submit, compare, approve and retire technical passports.

use chapar_core::passport::DESCRIPTOR_SET_BYTES_MAX;
use chapar_proto::admin::v1::{
    ApprovePassportRequest, ApprovePassportResponse, DiffPassportsRequest, DiffPassportsResponse, GetPassportRequest,
    GetPassportResponse, ListPassportsRequest, ListPassportsResponse, Passport, Passport as WirePassport, PassportInquiry,
    PassportState, RetirePassportRequest, RetirePassportResponse, SubmitPassportRequest, SubmitPassportResponse,
    passport_service_server::{PassportService, PassportServiceServer},
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::{
    audit::audited,
    caller::Caller,
    clock::wire_of,
    page::Page,
    problem::Problem,
    registry::{self, Approval, Bounds, Described, Submission, Which},
    store::{PassportFilter, PassportRow, PassportState as State, Store},
};

/// Largest request: a descriptor set, and room for the rest.
const MESSAGE_BYTES_MAX: usize = DESCRIPTOR_SET_BYTES_MAX + 64 * 1024;

/// The service, for the admin's listeners.
#[must_use]
pub fn service(store: Store, bounds: Bounds) -> PassportServiceServer<Passports> {
    PassportServiceServer::new(Passports { store, bounds }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`PassportService`].
pub struct Passports {
    store: Store,
    bounds: Bounds,
}

#[tonic::async_trait]
impl PassportService for Passports {
    async fn submit_passport(&self, request: Request<SubmitPassportRequest>) -> Result<Response<SubmitPassportResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let object = format!("{}/{}", asked.agency, asked.grpc_service);
        let wanted = Submission {
            agency: asked.agency,
            grpc_service: asked.grpc_service,
            descriptor_set: asked.descriptor_set,
            draft_only: asked.draft_only,
        };
        let submitted = registry::submit(&self.store, wanted, &actor, &self.bounds).await;
        let rows = audited(&self.store, &actor, "passport.submit", &object, submitted.map_err(Problem::from)).await?;
        Ok(Response::new(SubmitPassportResponse { passports: self.described(rows).await? }))
    }

    async fn approve_passport(
        &self,
        request: Request<ApprovePassportRequest>,
    ) -> Result<Response<ApprovePassportResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let approval = Approval {
            version: asked.version,
            grpc_service: asked.grpc_service,
            agency: asked.agency,
            resolution: asked.resolution,
            danger_allow_breaks: asked.danger_allow_breaks,
        };
        let approved = registry::approve(&self.store, &approval, &actor).await.map_err(Problem::from);
        let (rows, revision) = audited(&self.store, &actor, "passport.approve", &approval.version, approved).await?;
        Ok(Response::new(ApprovePassportResponse { passports: self.described(rows).await?, revision }))
    }

    async fn retire_passport(&self, request: Request<RetirePassportRequest>) -> Result<Response<RetirePassportResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let which = Which { version: asked.version.clone(), grpc_service: asked.grpc_service, agency: asked.agency };
        let retired = registry::retire(&self.store, &which, &asked.reason, &actor).await;
        let (rows, revision) =
            audited(&self.store, &actor, "passport.retire", &asked.version, retired.map_err(Problem::from)).await?;
        Ok(Response::new(RetirePassportResponse { passports: self.described(rows).await?, revision }))
    }

    async fn list_passports(&self, request: Request<ListPassportsRequest>) -> Result<Response<ListPassportsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let state = wanted_state(asked.state());
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let filter = PassportFilter { agency: asked.agency, state, after: None };
        let bytes = |described: &Described| WirePassport::from(described).encoded_len();
        let (passports, next_page_token) = registry::list(&self.store, filter, &page, bytes).await.map_err(Problem::from)?;
        Ok(Response::new(ListPassportsResponse { passports: wire(&passports), next_page_token }))
    }

    async fn get_passport(&self, request: Request<GetPassportRequest>) -> Result<Response<GetPassportResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let which = Which { version: asked.version, grpc_service: asked.grpc_service, agency: asked.agency };
        let (described, descriptor_set) = registry::one(&self.store, &which).await.map_err(Problem::from)?;
        Ok(Response::new(GetPassportResponse { passport: described.as_ref().map(Into::into), descriptor_set }))
    }

    async fn diff_passports(&self, request: Request<DiffPassportsRequest>) -> Result<Response<DiffPassportsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let to = Which { version: asked.to_version, grpc_service: asked.grpc_service, agency: asked.agency };
        let changes = registry::compared(&self.store, &asked.from_version, &to).await;
        let changes = changes.map_err(Problem::from)?.into_iter().map(Into::into).collect();
        Ok(Response::new(DiffPassportsResponse { changes }))
    }
}

impl Passports {
    async fn described(&self, rows: Vec<PassportRow>) -> Result<Vec<WirePassport>, Problem> {
        Ok(wire(&registry::described(&self.store, rows).await?))
    }
}

fn wire(passports: &[Described]) -> Vec<WirePassport> {
    passports.iter().map(Into::into).collect()
}

impl From<State> for PassportState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Submitted => Self::Submitted,
            State::Approved => Self::Approved,
            State::Superseded => Self::Superseded,
            State::Retired => Self::Retired,
        }
    }
}

impl From<&Described> for Passport {
    fn from(described: &Described) -> Self {
        let Described { row, service, also_drafted_by } = described;
        let inquiries = service.iter().flat_map(|service| &service.inquiries);
        Self {
            agency: row.agency.clone(),
            grpc_service: row.grpc_service.clone(),
            id: row.id.clone(),
            version: row.version.clone(),
            number: row.number,
            state: PassportState::from(row.state).into(),
            service: service.as_ref().map(Into::into),
            inquiries: inquiries.map(PassportInquiry::from).collect(),
            created_at: Some(wire_of(row.created_at)),
            changed_at: Some(wire_of(row.changed_at)),
            changed_by: row.changed_by.clone(),
            resolution: row.resolution.clone(),
            also_drafted_by: also_drafted_by.clone(),
        }
    }
}

/// The state that a list is narrowed to; unspecified: any.
pub(super) fn wanted_state(wire: PassportState) -> Option<State> {
    State::ALL.into_iter().find(|state| PassportState::from(*state) == wire)
}
