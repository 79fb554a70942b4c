//! Strangers who open connections and are silent.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt as _, net::TcpSocket, task::JoinSet};

use crate::attacker::{self, Disguise};

/// How long a connection may take to come about: one that was not let in is closed, or never answered.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Connections, all at once, that say nothing, for a while; whoever is closed opens another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Idlers {
    /// The listener, host:port.
    pub address: String,
    /// How many are open at a time.
    pub connections: u32,
    /// Addresses of this machine that they come from, `127.1.0.1` and on.
    pub sources: u32,
    /// How many of those addresses are left out first: others may come from them.
    pub sources_apart: u32,
    /// Whether they shake hands before they are silent.
    pub handshake: bool,
    /// The certificate that they show, and its key, PEM. `None`: none.
    pub shown: Option<(PathBuf, PathBuf)>,
    /// For how long, in milliseconds.
    pub length_ms: u64,
}

impl Idlers {
    /// How many connections came about and how many were closed by the other side.
    ///
    /// # Errors
    /// When the address is none.
    pub(super) async fn run(self) -> Result<Value> {
        let end = tokio::time::Instant::now() + Duration::from_millis(self.length_ms);
        let shown = self.shown.as_ref().map(|(chain, key)| Disguise::read(chain, key).map(Arc::new)).transpose()?;
        let mut idlers = JoinSet::new();
        for number in 0..self.connections {
            let source = source(self.sources_apart + number % self.sources.max(1));
            let (address, handshake, shown) = (self.address.parse()?, self.handshake, shown.clone());
            idlers.spawn(async move {
                let (mut opened, mut closed) = (0u64, 0u64);
                loop {
                    let idle = async {
                        let socket = TcpSocket::new_v4()?;
                        socket.bind((source, 0).into())?;
                        let tcp = tokio::time::timeout(CONNECT_LIMIT, socket.connect(address)).await??;
                        opened += 1;
                        let mut byte = [0];
                        if handshake {
                            let mut tls = tokio::time::timeout(CONNECT_LIMIT, attacker::connect(tcp, shown.as_deref())).await??;
                            while tls.read(&mut byte).await? > 0 {}
                        } else {
                            let mut tcp = tcp;
                            while tcp.read(&mut byte).await? > 0 {}
                        }
                        anyhow::Ok(())
                    };
                    if tokio::time::timeout_at(end, idle).await.is_err() {
                        return (opened, closed);
                    }
                    closed += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        let counts = idlers.join_all().await;
        let sum = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>();
        Ok(json!({ "opened": sum(|count| count.0), "closed": sum(|count| count.1) }))
    }
}

/// An address of this machine.
pub(super) fn source(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + number)
}
