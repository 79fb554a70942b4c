//! Who holds a key of the authority shows a certificate of its own making everywhere.

use anyhow::Result;
use chapar_proto::{
    admin::v1::{
        CreateTokenRequest, SuspendAgencyRequest, agency_service_client::AgencyServiceClient,
        token_service_client::TokenServiceClient,
    },
    v1::{RenewRequest, enrolment_service_client::EnrolmentServiceClient},
};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::Status;

use crate::{attacker, attacker::Disguise, refusal};

/// What a forged sidecar's and a forged admin's certificate are tried for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forgery {
    /// The control plane's listener for sidecars, host:port.
    pub sidecars: String,
    /// The control plane's listener for admins, host:port.
    pub admin: String,
    /// The SPIFFE ID that is asked for at the renewal.
    pub uri: String,
    /// Files of the sidecar's chain and key, as [`Disguise::write`] wrote them.
    pub sidecar: (String, String),
    /// Files of the admin's.
    pub administrator: (String, String),
    /// The agency that is to be harmed.
    pub agency: String,
}

impl Forgery {
    /// By the name of what was tried, the reason of its refusal: "handshake" for a connection that did not come about, and nothing for
    /// what succeeded.
    ///
    /// # Errors
    /// When a disguise cannot be worn.
    pub(super) async fn run(self) -> Result<Value> {
        let sidecar = Disguise::read(self.sidecar.0.as_ref(), self.sidecar.1.as_ref())?;
        let administrator = Disguise::read(self.administrator.0.as_ref(), self.administrator.1.as_ref())?;
        let (sidecars, admin) =
            (attacker::channel(&self.sidecars, Some(&sidecar))?, attacker::channel(&self.admin, Some(&administrator))?);
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(self.uri.as_str().try_into()?)];
        let csr_der = params.serialize_request(&KeyPair::generate()?)?.der().to_vec();
        let renewed = EnrolmentServiceClient::new(sidecars.clone()).renew(RenewRequest { csr_der }).await.map(drop);
        let exported = TraceServiceClient::new(sidecars).export(ExportTraceServiceRequest::default()).await.map(drop);
        let request = CreateTokenRequest { agency: self.agency.clone(), ..Default::default() };
        let token = TokenServiceClient::new(admin.clone()).create_token(request).await.map(drop);
        let request = SuspendAgencyRequest { agency: self.agency, reason: "sabotage".to_owned() };
        let suspended = AgencyServiceClient::new(admin).suspend_agency(request).await.map(drop);
        Ok(json!({ "renew": told(renewed), "export": told(exported), "token": told(token), "suspend": told(suspended) }))
    }
}

fn told(outcome: Result<(), Status>) -> Option<String> {
    let status = outcome.err()?;
    let reason = refusal::reason(&status);
    Some(if reason.starts_with("not refused by the exchange") { "handshake".to_owned() } else { reason })
}
