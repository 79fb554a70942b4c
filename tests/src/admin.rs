//! What admins do to a running mesh, beyond bringing it up.

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;

use crate::control_plane::{ControlPlane, spelled_out};

/// Shown in every refusal that follows from what a test did.
const REASON: &str = "test";

impl ControlPlane {
    /// Revokes the grant of this name.
    ///
    /// # Errors
    /// As `PolicyService.RevokeGrant`.
    pub async fn revoke_grant(&self, grant: &str) -> Result<()> {
        let request = admin::RevokeGrantRequest { grant: grant.to_owned(), reason: REASON.to_owned() };
        let mut client = admin::policy_service_client::PolicyServiceClient::new(self.channel());
        client.revoke_grant(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// Takes the revocation back.
    ///
    /// # Errors
    /// As `PolicyService.RestoreGrant`.
    pub async fn restore_grant(&self, grant: &str) -> Result<()> {
        let request = admin::RestoreGrantRequest { grant: grant.to_owned(), reason: REASON.to_owned() };
        let mut client = admin::policy_service_client::PolicyServiceClient::new(self.channel());
        client.restore_grant(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// Suspends an agency.
    ///
    /// # Errors
    /// As `AgencyService.SuspendAgency`.
    pub async fn suspend(&self, agency: &str) -> Result<()> {
        let request = admin::SuspendAgencyRequest { agency: agency.to_owned(), reason: REASON.to_owned() };
        let mut client = admin::agency_service_client::AgencyServiceClient::new(self.channel());
        client.suspend_agency(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// Lets it in again.
    ///
    /// # Errors
    /// As `AgencyService.ReinstateAgency`.
    pub async fn reinstate(&self, agency: &str) -> Result<()> {
        let request = admin::ReinstateAgencyRequest { agency: agency.to_owned() };
        let mut client = admin::agency_service_client::AgencyServiceClient::new(self.channel());
        client.reinstate_agency(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// The live certificates of `agency`; of all with an empty name.
    ///
    /// # Errors
    /// As `CertificateService.ListCertificates`.
    pub async fn certificates(&self, agency: &str) -> Result<Vec<admin::Certificate>> {
        let request = admin::ListCertificatesRequest { agency: agency.to_owned(), page_size: 1_000, ..Default::default() };
        Ok(self.certificate_client().list_certificates(request).await.map_err(spelled_out)?.into_inner().certificates)
    }

    /// Revokes every live certificate of `agency`; answers how many.
    ///
    /// # Errors
    /// As `CertificateService.RevokeCertificate`.
    pub async fn revoke_certificates(&self, agency: &str) -> Result<usize> {
        let live = self.certificates(agency).await?;
        for certificate in &live {
            self.revoke_certificate(&certificate.serial).await?;
        }
        Ok(live.len())
    }

    /// Revokes the certificate with this serial number.
    ///
    /// # Errors
    /// As `CertificateService.RevokeCertificate`.
    pub async fn revoke_certificate(&self, serial: &str) -> Result<()> {
        let request = admin::RevokeCertificateRequest { serial: serial.to_owned(), reason: REASON.to_owned() };
        self.certificate_client().revoke_certificate(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// All roots and issuing CAs.
    ///
    /// # Errors
    /// As `CertificateService.GetAuthority`.
    pub async fn authority(&self) -> Result<admin::GetAuthorityResponse> {
        Ok(self.certificate_client().get_authority(admin::GetAuthorityRequest {}).await.map_err(spelled_out)?.into_inner())
    }

    /// Brings a new issuing CA in force; answers its name.
    ///
    /// # Errors
    /// As `CertificateService.RotateIssuer`.
    pub async fn rotate_issuer(&self) -> Result<String> {
        let request = admin::RotateIssuerRequest { reason: REASON.to_owned() };
        let answer = self.certificate_client().rotate_issuer(request).await.map_err(spelled_out)?.into_inner();
        Ok(answer.issuer.context("a rotation names the new issuing CA")?.name)
    }

    /// Brings a new root in force once every connected sidecar trusts it, which is waited for; answers its name and its
    /// issuing CA's.
    ///
    /// # Errors
    /// As `CertificateService.RotateRoot`, or when it is not in force after the wait.
    pub async fn rotate_root(&self, wait_s: u32) -> Result<(String, String)> {
        let answer = self.ask_for_root(wait_s, false).await?;
        let root = answer.root.context("a rotation names the new root")?.name;
        Ok((root, answer.issuer.with_context(|| format!("not in force yet: {:?}", answer.rotation))?.name))
    }

    /// Asks for a new root, and answers after the wait how far it is.
    ///
    /// # Errors
    /// As `CertificateService.RotateRoot`.
    pub async fn ask_for_root(&self, wait_s: u32, danger_leave_behind: bool) -> Result<admin::RotateRootResponse> {
        let request = admin::RotateRootRequest { reason: REASON.to_owned(), wait_s, danger_leave_behind };
        Ok(self.certificate_client().rotate_root(request).await.map_err(spelled_out)?.into_inner())
    }

    /// Revokes every certificate of the sidecar; answers how many were live.
    ///
    /// # Errors
    /// As `CertificateService.RevokeSidecar`.
    pub async fn revoke_sidecar(&self, agency: &str, sidecar: &str) -> Result<u64> {
        let (agency, sidecar) = (agency.to_owned(), sidecar.to_owned());
        let request = admin::RevokeSidecarRequest { agency, sidecar, reason: REASON.to_owned() };
        Ok(self.certificate_client().revoke_sidecar(request).await.map_err(spelled_out)?.into_inner().certificates)
    }

    /// Stops trusting a generation; `danger_void_certificates` also while live certificates hang on it.
    ///
    /// # Errors
    /// As `CertificateService.RetireGeneration`.
    pub async fn retire(&self, generation: &str, danger_void_certificates: bool) -> Result<()> {
        let request = admin::RetireGenerationRequest { name: generation.to_owned(), danger_void_certificates };
        self.certificate_client().retire_generation(request).await.map_err(spelled_out)?;
        Ok(())
    }

    /// The spans of a call or a trace that the exchange holds; none when it knows nothing of it.
    ///
    /// # Errors
    /// As `TraceService.GetTrace`, except for an unknown one.
    pub async fn spans(&self, id: &str) -> Result<Vec<admin::Span>> {
        let mut client = admin::trace_service_client::TraceServiceClient::new(self.channel());
        match client.get_trace(admin::GetTraceRequest { id: id.to_owned() }).await {
            Ok(answer) => Ok(answer.into_inner().spans),
            Err(status) if status.code() == tonic::Code::NotFound => Ok(Vec::new()),
            Err(status) => Err(spelled_out(status)),
        }
    }

    fn certificate_client(&self) -> admin::certificate_service_client::CertificateServiceClient<tonic::transport::Channel> {
        admin::certificate_service_client::CertificateServiceClient::new(self.channel())
    }
}
