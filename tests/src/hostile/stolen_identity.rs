//! Who took a sidecar's certificate and key makes more of it.

use std::path::Path;

use anyhow::Result;
use chapar_proto::v1::{Credentials, EnrolRequest, RenewRequest, enrolment_service_client::EnrolmentServiceClient};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    attacker::{self, Disguise},
    refusal,
};

/// What a thief has, and where he keeps what he gets for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StolenIdentity {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// The SPIFFE ID that he asks for.
    pub uri: String,
    /// Files of the chain and the key that he shows, as [`Disguise::write`] wrote them.
    pub shown: (String, String),
    /// A token that he took as well. Empty: none.
    pub token: String,
    /// Files for the renewed chain and its key.
    pub renewed: (String, String),
}

impl StolenIdentity {
    /// By the name of what was tried, the reason of its refusal; nothing for what succeeded.
    ///
    /// # Errors
    /// When the disguise cannot be worn.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = Disguise::read(self.shown.0.as_ref(), self.shown.1.as_ref())?;
        let channel = attacker::channel(&self.address, Some(&disguise))?;
        let (csr_der, key) = attacker::signing_request(&self.uri)?;
        let renewed = EnrolmentServiceClient::new(channel.clone()).renew(RenewRequest { csr_der: csr_der.clone() }).await;
        let renewed = renewed.map(|answer| answer.into_inner().credentials);
        if let Ok(Some(Credentials { chain_der, .. })) = &renewed {
            Disguise::issued(chain_der.clone(), &key).write(Path::new(&self.renewed.0), Path::new(&self.renewed.1))?;
        }
        let exported = TraceServiceClient::new(channel).export(ExportTraceServiceRequest::default()).await;
        let mut outcome = json!({ "renew": told(renewed), "export": told(exported) });
        if !self.token.is_empty() {
            let request = EnrolRequest { token: self.token, csr_der, sidecar: String::new() };
            let enrolled = EnrolmentServiceClient::new(attacker::channel(&self.address, None)?).enrol(request).await;
            outcome["enrol"] = json!(told(enrolled));
        }
        Ok(outcome)
    }
}

fn told<T>(outcome: Result<T, Status>) -> Option<String> {
    outcome.err().map(|status| refusal::reason(&status))
}
