//! A sidecar, enrolled and genuine, that asks for the same again and again, as fast as it is answered.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::Result;
use chapar_proto::v1::{
    OfferedService, RegisterRequest, RenewRequest, enrolment_service_client::EnrolmentServiceClient,
    registration_service_client::RegistrationServiceClient,
};
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet, SourceCodeInfo, source_code_info::Location};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

use crate::{
    attacker::{self, Disguise},
    echo, refusal,
};

/// Floods at a time.
const FLOODERS: usize = 4;

/// What is asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// The next certificate.
    Renewals,
    /// Two registrations by turns, each of which changes what is known.
    Registrations,
    /// The echo service with another passport each time, of so many bytes more.
    Drafts {
        /// Bytes.
        bytes: usize,
    },
}

/// Requests of one sidecar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flood {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// The sidecar's certificate, PEM.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// What for.
    pub asked: Asked,
    /// For how long, in milliseconds.
    pub length_ms: u64,
}

impl Flood {
    /// How many were answered, by the reason of the refusal; the empty one: they were granted.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = Disguise::read(&self.chain, &self.key)?;
        let end = tokio::time::Instant::now() + Duration::from_millis(self.length_ms);
        let mut flooders = JoinSet::new();
        for flooder in 0..FLOODERS {
            let channel = attacker::channel(&self.address, Some(&disguise))?;
            let asked = self.asked;
            flooders.spawn(async move {
                let mut reasons = BTreeMap::<String, u64>::new();
                for number in 0.. {
                    if tokio::time::Instant::now() >= end {
                        break;
                    }
                    let refused = ask(channel.clone(), asked, number * FLOODERS + flooder).await.err();
                    *reasons.entry(refused.map_or_else(String::new, |status| refusal::reason(&status))).or_default() += 1;
                }
                reasons
            });
        }
        let mut all = BTreeMap::<String, u64>::new();
        for (reason, count) in flooders.join_all().await.into_iter().flatten() {
            *all.entry(reason).or_default() += count;
        }
        Ok(json!(all))
    }
}

async fn ask(channel: Channel, asked: Asked, number: usize) -> Result<(), Status> {
    match asked {
        Asked::Renewals => {
            let renewed = async {
                let key = rcgen::KeyPair::generate()?;
                anyhow::Ok(rcgen::CertificateParams::default().serialize_request(&key)?.der().to_vec())
            };
            let csr_der = renewed.await.map_err(|error| Status::internal(error.to_string()))?;
            EnrolmentServiceClient::new(channel).renew(RenewRequest { csr_der }).await?;
        }
        Asked::Registrations => {
            let software_version = format!("{number}");
            register(channel, RegisterRequest { software_version, ..RegisterRequest::default() }).await?;
        }
        Asked::Drafts { bytes } => {
            let location = Location { leading_comments: Some(format!("{number} {}", "x".repeat(bytes))), ..Location::default() };
            let padding = FileDescriptorProto {
                name: Some("padding.proto".to_owned()),
                source_code_info: Some(SourceCodeInfo { location: vec![location] }),
                ..FileDescriptorProto::default()
            };
            // One more file at the end: what is encoded one after the other is one message.
            let padding = FileDescriptorSet { file: vec![padding] }.encode_to_vec();
            let descriptor_set = [echo::DESCRIPTOR_SET, &padding].concat();
            let offered = OfferedService { grpc_service: echo::GRPC_SERVICE.to_owned(), descriptor_set };
            let advertised_address = "192.0.2.1:15002".to_owned();
            register(channel, RegisterRequest { services: vec![offered], advertised_address, ..RegisterRequest::default() })
                .await?;
        }
    }
    Ok(())
}

async fn register(channel: Channel, request: RegisterRequest) -> Result<(), Status> {
    RegistrationServiceClient::new(channel).register(request).await.map(drop)
}
