//! `chapar.admin.v1.CertificateService`: the certificate authority.

use std::time::Duration;

use chapar_proto::admin::v1::{
    Certificate, Generation as WireGeneration, GenerationState, GetAuthorityRequest, GetAuthorityResponse,
    IssueAdminCertificateRequest, IssueAdminCertificateResponse, ListCertificatesRequest, ListCertificatesResponse,
    RetireGenerationRequest, RetireGenerationResponse, RevokeCertificateRequest, RevokeCertificateResponse, RotateIssuerRequest,
    RotateIssuerResponse, RotateRootRequest, RotateRootResponse,
    certificate_service_server::{CertificateService, CertificateServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    authority::{Authority, CertificateRow, Generation, Kind, LiveCounts, State},
    caller::Caller,
    clock::wire_of,
    enrolment,
    page::Page,
    problem::Problem,
    store::Store,
};

/// How long a root rotation waits for connected sidecars when the request does not say, in seconds.
const WAIT_S_DEFAULT: u32 = 30;

/// Longest such wait, in seconds.
const WAIT_S_MAX: u32 = 600;

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store, authority: Authority) -> CertificateServiceServer<Certificates> {
    CertificateServiceServer::new(Certificates { store, authority })
}

/// Serves [`CertificateService`].
pub struct Certificates {
    store: Store,
    authority: Authority,
}

#[tonic::async_trait]
impl CertificateService for Certificates {
    async fn list_certificates(
        &self,
        request: Request<ListCertificatesRequest>,
    ) -> Result<Response<ListCertificatesResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let (rows, next_page_token) = self.authority.list(&asked.agency, asked.include_void, &page).await?;
        let certificates = rows.into_iter().map(certificate).collect();
        Ok(Response::new(ListCertificatesResponse { certificates, next_page_token }))
    }

    async fn revoke_certificate(
        &self,
        request: Request<RevokeCertificateRequest>,
    ) -> Result<Response<RevokeCertificateResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RevokeCertificateRequest { serial, reason } = request.into_inner();
        let revision = self.authority.revoke(&actor, &serial, &reason).await?;
        Ok(Response::new(RevokeCertificateResponse { revision }))
    }

    async fn get_authority(&self, request: Request<GetAuthorityRequest>) -> Result<Response<GetAuthorityResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let counts = self.authority.live_counts().await.map_err(Problem::from)?;
        let current = self.authority.current();
        let of = |kind| {
            let generations = current.generations.iter().filter(|generation| generation.kind == kind);
            generations.map(|generation| wire(generation, &counts, &current.generations)).collect()
        };
        Ok(Response::new(GetAuthorityResponse {
            trust_domain: self.authority.trust_domain().to_string(),
            roots: of(Kind::Root),
            issuers: of(Kind::Issuing),
        }))
    }

    async fn rotate_issuer(&self, request: Request<RotateIssuerRequest>) -> Result<Response<RotateIssuerResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let issuing = self.authority.rotate_issuer(&actor, &request.into_inner().reason).await?;
        Ok(Response::new(RotateIssuerResponse { issuer: Some(self.described(&issuing).await?) }))
    }

    async fn rotate_root(&self, request: Request<RotateRootRequest>) -> Result<Response<RotateRootResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RotateRootRequest { reason, wait_s } = request.into_inner();
        let wait_s = if wait_s == 0 { WAIT_S_DEFAULT } else { wait_s.min(WAIT_S_MAX) };
        let rotated = self.authority.rotate_root(&actor, &reason, Duration::from_secs(wait_s.into())).await?;
        Ok(Response::new(RotateRootResponse {
            root: Some(self.described(&rotated.root).await?),
            issuer: Some(self.described(&rotated.issuing).await?),
        }))
    }

    async fn retire_generation(
        &self,
        request: Request<RetireGenerationRequest>,
    ) -> Result<Response<RetireGenerationResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RetireGenerationRequest { name, danger_void_certificates } = request.into_inner();
        let retired = self.authority.retire(&actor, &name, danger_void_certificates).await?;
        Ok(Response::new(RetireGenerationResponse { generation: Some(self.described(&retired).await?) }))
    }

    async fn issue_admin_certificate(
        &self,
        request: Request<IssueAdminCertificateRequest>,
    ) -> Result<Response<IssueAdminCertificateResponse>, Status> {
        let by = Caller::from_request(&request)?;
        let IssueAdminCertificateRequest { name, csr_der, valid_for_s, roles } = request.into_inner();
        let order = enrolment::AdminOrder { name, roles, csr_der, life_s: valid_for_s };
        let issued = enrolment::issue_admin(&self.store, &self.authority, &by, order).await?;
        Ok(Response::new(IssueAdminCertificateResponse {
            chain_der: issued.chain,
            roots_der: self.authority.current().roots_der(),
            not_after: Some(wire_of(issued.not_after)),
        }))
    }
}

impl Certificates {
    async fn described(&self, generation: &Generation) -> Result<WireGeneration, Problem> {
        let counts = self.authority.live_counts().await?;
        Ok(wire(generation, &counts, &self.authority.current().generations))
    }
}

fn certificate(row: CertificateRow) -> Certificate {
    Certificate {
        serial: row.serial,
        spiffe_id: row.spiffe_id,
        agency: row.agency.unwrap_or_default(),
        not_before: Some(wire_of(row.not_before)),
        not_after: Some(wire_of(row.not_after)),
        issuer: row.issuer,
        revoked_at: row.revoked_at.map(wire_of),
        revocation_reason: row.revocation_reason.unwrap_or_default(),
        fingerprint: row.fingerprint,
    }
}

fn wire(generation: &Generation, counts: &LiveCounts, all: &[Generation]) -> WireGeneration {
    let state = match generation.state {
        State::Prepared => GenerationState::Prepared,
        State::Active => GenerationState::Active,
        State::Superseded => GenerationState::Superseded,
        State::Retired => GenerationState::Retired,
    };
    WireGeneration {
        name: generation.name.clone(),
        state: state.into(),
        fingerprint: generation.fingerprint(),
        not_before: Some(wire_of(generation.not_before)),
        not_after: Some(wire_of(generation.not_after)),
        live_certificates: counts.on(generation, all),
        certificate_der: generation.certificate.clone(),
    }
}
