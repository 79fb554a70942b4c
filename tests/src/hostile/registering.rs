//! An enrolled agency that says of itself what is another's.

use std::{fs, path::PathBuf};

use anyhow::Result;
use chapar_proto::v1::{OfferedService, RegisterRequest, registration_service_client::RegistrationServiceClient};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    attacker::{self, Disguise},
    refusal,
};

/// Registrations of one sidecar, one after the other; the last one that is taken stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Registering {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// The sidecar's certificate, PEM.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Where it says that it is reached, once each.
    pub advertised: Vec<String>,
    /// The gRPC service that it says it offers, and the file of its descriptor set.
    pub offer: (String, PathBuf),
    /// What it says that it runs.
    pub software_version: String,
}

impl Registering {
    /// By advertised address: the reason and the sentence of the refusal, or twice nothing.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = Disguise::read(&self.chain, &self.key)?;
        let mut client = RegistrationServiceClient::new(attacker::channel(&self.address, Some(&disguise))?);
        let (grpc_service, file) = self.offer;
        let offered = OfferedService { grpc_service, descriptor_set: fs::read(file)? };
        let mut outcomes = serde_json::Map::new();
        for advertised in self.advertised {
            let request = RegisterRequest {
                advertised_address: advertised.clone(),
                services: vec![offered.clone()],
                software_version: self.software_version.clone(),
                ..RegisterRequest::default()
            };
            let refused = client.register(request).await.err();
            let told = refused.map(|status| (refusal::reason(&status), status.message().to_owned())).unwrap_or_default();
            outcomes.insert(advertised, json!(told));
        }
        Ok(outcomes.into())
    }
}
