//! Strangers who show certificates that nobody vouches for, from many addresses.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpSocket, task::JoinSet};

use super::idlers::source;
use crate::attacker::{self, Disguise};

/// Handshakes at a time.
const AT_A_TIME: u32 = 64;

/// Handshakes that fail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FalseClaims {
    /// The listener, host:port.
    pub address: String,
    /// The SPIFFE ID that is claimed.
    pub uri: String,
    /// Addresses of this machine that they come from, `127.1.0.1` and on.
    pub sources: u32,
    /// For how long, in milliseconds.
    pub length_ms: u64,
}

impl FalseClaims {
    /// How many were tried.
    ///
    /// # Errors
    /// When a certificate cannot be made.
    pub(super) async fn run(self) -> Result<Value> {
        let end = tokio::time::Instant::now() + Duration::from_millis(self.length_ms);
        let mut claims = JoinSet::new();
        for first in 0..AT_A_TIME {
            let (address, sources) = (self.address.parse()?, self.sources.max(1));
            let disguise = Disguise::self_signed(&self.uri)?;
            claims.spawn(async move {
                let mut tried = 0u64;
                for number in (first..).step_by(AT_A_TIME as usize) {
                    let claim = async {
                        let socket = TcpSocket::new_v4()?;
                        socket.bind((source(number % sources), 0).into())?;
                        let mut tls = attacker::connect(socket.connect(address).await?, Some(&disguise)).await?;
                        // The refusal comes after the handshake is done on this side.
                        anyhow::Ok(tls.read(&mut [0]).await?)
                    };
                    if tokio::time::timeout_at(end, claim).await.is_err() {
                        break;
                    }
                    tried += 1;
                    // Somebody who is closed before the handshake must not spin without end in this very process.
                    tokio::task::yield_now().await;
                }
                tried
            });
        }
        Ok(json!({ "tried": claims.join_all().await.iter().sum::<u64>() }))
    }
}
