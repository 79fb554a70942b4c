//! One token, presented by several in the same moment.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Result;
use chapar_proto::v1::{EnrolRequest, enrolment_service_client::EnrolmentServiceClient};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{attacker, refusal};

/// Races that are run from one address: fewer losers than a control plane allows an address within a minute.
const RACES_AN_ADDRESS: usize = 20;
/// The first of the addresses, all of them of this machine.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// Races, one after the other, each for one token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenRace {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// The SPIFFE ID that all of them ask for.
    pub uri: String,
    /// A token a race.
    pub tokens: Vec<String>,
    /// How many present each token, each on a connection of its own.
    pub racers: usize,
}

impl TokenRace {
    /// For each race the reasons of its refusals; the winners are those without one.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub(super) async fn run(self) -> Result<Value> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(self.uri.as_str().try_into()?)];
        let csr_der = params.serialize_request(&KeyPair::generate()?)?.der().to_vec();
        let mut races = Vec::with_capacity(self.tokens.len());
        let mut clients = Vec::new();
        for (at, token) in self.tokens.into_iter().enumerate() {
            if at % RACES_AN_ADDRESS == 0 {
                // Whoever fails too often is turned away: they move on.
                let source = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + u32::try_from(at / RACES_AN_ADDRESS)?);
                let client = || Ok(EnrolmentServiceClient::new(attacker::channel_from(source, &self.address, None)?));
                clients = (0..self.racers).map(|_| client()).collect::<Result<_>>()?;
            }
            let start = Arc::new(Barrier::new(self.racers));
            let mut racing = JoinSet::new();
            for mut client in clients.iter().cloned() {
                let request = EnrolRequest { token: token.clone(), csr_der: csr_der.clone(), sidecar: String::new() };
                let start = start.clone();
                racing.spawn(async move {
                    start.wait().await;
                    client.enrol(request).await.err().map_or_else(String::new, |status| refusal::reason(&status))
                });
            }
            races.push(racing.join_all().await);
        }
        Ok(json!({ "races": races }))
    }
}
