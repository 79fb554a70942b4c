//! An agency whose sidecars follow the control plane and never acknowledge anything.

use std::{future::pending, time::Duration};

use anyhow::{Context as _, Result};
use chapar_proto::v1::{
    EnrolRequest, FollowRequest, Hello, enrolment_service_client::EnrolmentServiceClient, follow_request::Message,
    snapshot_service_client::SnapshotServiceClient,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    attacker::{self, Disguise},
    control_plane::TRUST_DOMAIN,
};

/// Before a stream that was ended is opened again.
const AGAIN: Duration = Duration::from_millis(50);

/// As many sidecars as there are tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilentFollowers {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// Whose they are.
    pub agency: String,
    /// A token a sidecar.
    pub tokens: Vec<String>,
}

impl SilentFollowers {
    /// Never ends: whoever started it kills it.
    ///
    /// # Errors
    /// When one of them cannot enrol.
    pub(super) async fn run(self) -> Result<Value> {
        for (at, token) in self.tokens.iter().enumerate() {
            let name = format!("silent-{at}");
            let uri = format!("spiffe://{TRUST_DOMAIN}/agency/{}/sidecar/{name}", self.agency);
            let (request, key) = attacker::signing_request(&uri)?;
            let mut enrolment = EnrolmentServiceClient::new(attacker::channel(&self.address, None)?);
            let request = EnrolRequest { token: token.clone(), csr_der: request, sidecar: name };
            let credentials = enrolment.enrol(request).await?.into_inner().credentials.context("credentials are set")?;
            let disguise = Disguise::issued(credentials.chain_der, &key);
            tokio::spawn(follow(self.address.clone(), disguise, uri));
        }
        pending().await
    }
}

async fn follow(address: String, disguise: Disguise, spiffe_id: String) -> Result<()> {
    loop {
        let (says, said) = mpsc::channel(1);
        let hello = Hello { spiffe_id: spiffe_id.clone(), reads_keys_of_pairs: true, ..Default::default() };
        says.send(FollowRequest { message: Some(Message::Hello(hello)) }).await?;
        let mut client = SnapshotServiceClient::new(attacker::lasting_channel(&address, &disguise)?);
        if let Ok(updates) = client.follow(ReceiverStream::new(said)).await {
            let mut updates = updates.into_inner();
            while let Ok(Some(_)) = updates.message().await {}
        }
        drop(says);
        tokio::time::sleep(AGAIN).await;
    }
}
