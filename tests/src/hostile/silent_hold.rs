//! Somebody takes up room and says nothing more, for as long as it lives.

use std::{future::pending, net::Ipv4Addr, path::PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    attack::{begun, wide_windows},
    attacker::Disguise,
    frames::{Ears, Wire},
};

/// Connections that are held, each with calls whose requests never end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilentHold {
    /// The listener, host:port.
    pub address: String,
    /// Where the connections come from: an address of this machine.
    pub source: Ipv4Addr,
    /// Certificate and key, PEM. `None`: a stranger, who does not begin TLS.
    pub disguise: Option<(PathBuf, PathBuf)>,
    /// How many connections.
    pub connections: usize,
    /// How many calls on each.
    pub calls: u32,
}

impl SilentHold {
    /// Never ends by itself.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = self.disguise.as_ref().map(|(chain, key)| Disguise::read(chain, key)).transpose()?;
        let (mut wires, mut strangers) = (Vec::new(), Vec::new());
        for _ in 0..self.connections {
            // What is closed on it is what an attacker has to expect.
            match &disguise {
                Some(disguise) => wires.extend(self.calls_of(disguise).await.ok()),
                None => strangers.extend(self.connected().await.ok()),
            }
        }
        pending::<()>().await;
        drop((wires, strangers));
        Ok(Value::Null)
    }

    async fn calls_of(&self, disguise: &Disguise) -> Result<Wire> {
        let mut wire = Wire::tls(&self.address, disguise, Ears::Open).await?;
        wire.begin().await?;
        wire.send(&wide_windows()).await?;
        for number in 0..self.calls {
            wire.send(&begun(number)).await?;
        }
        Ok(wire)
    }

    async fn connected(&self) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.source, 0).into())?;
        Ok(socket.connect(self.address.parse()?).await?)
    }
}
