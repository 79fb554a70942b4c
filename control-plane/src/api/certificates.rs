//! `chapar.admin.v1.CertificateService`: the certificate authority.

use std::time::Duration;

use chapar_proto::admin::v1::{
    AgencyBehind, Certificate, Generation as WireGeneration, GenerationState, GetAuthorityRequest, GetAuthorityResponse,
    IssueAdminCertificateRequest, IssueAdminCertificateResponse, ListCertificatesRequest, ListCertificatesResponse,
    RetireGenerationRequest, RetireGenerationResponse, RevokeCertificateRequest, RevokeCertificateResponse, RevokeIssuerRequest,
    RevokeIssuerResponse, RevokeSidecarRequest, RevokeSidecarResponse, RootRotation as WireRootRotation, RotateIssuerRequest,
    RotateIssuerResponse, RotateRootRequest, RotateRootResponse,
    certificate_service_server::{CertificateService, CertificateServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    authority::{self, Authority, CertificateRow, Generation, Kind, LiveCounts, RootRotation, State, root_rotation},
    caller::Caller,
    clock::wire_of,
    enrolment,
    page::Page,
    problem::Problem,
    store::Store,
};

/// How long the answer to a root rotation waits when the request does not say, in seconds.
const WAIT_S_DEFAULT: u32 = 30;

/// Longest such wait, in seconds.
const WAIT_S_MAX: u32 = 600;

/// Sidecars of one agency that are named as lacking a new root.
const SIDECARS_NAMED_MAX: usize = 10;

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
            rotation: self.rotation_to_show().await?,
        }))
    }

    async fn rotate_issuer(&self, request: Request<RotateIssuerRequest>) -> Result<Response<RotateIssuerResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let issuing = self.authority.rotate_issuer(&actor, &request.into_inner().reason).await?;
        Ok(Response::new(RotateIssuerResponse { issuer: Some(self.described(&issuing).await?) }))
    }

    async fn rotate_root(&self, request: Request<RotateRootRequest>) -> Result<Response<RotateRootResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RotateRootRequest { reason, wait_s, danger_leave_behind } = request.into_inner();
        let wait_s = if wait_s == 0 { WAIT_S_DEFAULT } else { wait_s.min(WAIT_S_MAX) };
        let wait = Duration::from_secs(wait_s.into());
        let rotation = self.authority.rotate_root(&actor, &reason, wait, danger_leave_behind).await?;
        let issuer = match &rotation.issuing {
            Some(issuing) => Some(self.described(issuing).await?),
            None => None,
        };
        let root = Some(self.described(&rotation.root).await?);
        Ok(Response::new(RotateRootResponse { root, issuer, rotation: Some(rotation_wire(&rotation)) }))
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

    async fn revoke_sidecar(&self, request: Request<RevokeSidecarRequest>) -> Result<Response<RevokeSidecarResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RevokeSidecarRequest { agency, sidecar, reason } = request.into_inner();
        let revoked = authority::revoke_sidecar(&self.authority, &actor, &agency, &sidecar, &reason).await?;
        Ok(Response::new(RevokeSidecarResponse { certificates: revoked.certificates, revision: revoked.revision }))
    }

    async fn revoke_issuer(&self, request: Request<RevokeIssuerRequest>) -> Result<Response<RevokeIssuerResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let RevokeIssuerRequest { name, reason, danger_void_certificates } = request.into_inner();
        let revoked = authority::revoke_issuer(&self.authority, &actor, &name, &reason, danger_void_certificates).await?;
        Ok(Response::new(RevokeIssuerResponse {
            generation: Some(self.described(&revoked.generation).await?),
            certificates: revoked.certificates,
            revision: revoked.revision,
            must_enrol: revoked.must_enrol,
        }))
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

    /// The newest rotation of the root, while it waits or somebody lacks the new root.
    async fn rotation_to_show(&self) -> Result<Option<WireRootRotation>, Problem> {
        let rotation = root_rotation(&self.authority).await?;
        let shown = rotation.filter(|rotation| match rotation.root.state {
            State::Prepared => true,
            State::Active => !rotation.stand.behind.is_empty(),
            State::Superseded | State::Retired => false,
        });
        Ok(shown.as_ref().map(rotation_wire))
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
        revocation_reason: generation.revocation.clone().unwrap_or_default(),
    }
}

fn rotation_wire(rotation: &RootRotation) -> WireRootRotation {
    let behind = rotation.stand.behind.iter().map(|(agency, sidecars)| AgencyBehind {
        agency: agency.clone(),
        count: u32::try_from(sidecars.len()).unwrap_or(u32::MAX),
        sidecars: sidecars.iter().take(SIDECARS_NAMED_MAX).cloned().collect(),
    });
    WireRootRotation {
        root: rotation.root.name.clone(),
        in_force: rotation.root.state == State::Active,
        asked_at: Some(wire_of(rotation.asked.asked_at)),
        asked_by: rotation.asked.asked_by.clone(),
        all_until: Some(wire_of(rotation.all_until)),
        percent_min: rotation.percent_min,
        agreed: u32::try_from(rotation.stand.agreed).unwrap_or(u32::MAX),
        behind: behind.collect(),
    }
}
