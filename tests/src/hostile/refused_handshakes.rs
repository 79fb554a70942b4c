//! A stranger without a certificate tries to get in, again and again.

use std::net::Ipv4Addr;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
};

use crate::attacker;

/// Handshakes, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedHandshakes {
    /// A sidecar's inbound listener, host:port.
    pub address: String,
    /// Where the connections come from: an address of this machine.
    pub source: Ipv4Addr,
    /// How many.
    pub handshakes: usize,
}

impl RefusedHandshakes {
    /// How many were refused.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(super) async fn run(self) -> Result<Value> {
        let mut refused = 0_usize;
        for _ in 0..self.handshakes {
            let socket = TcpSocket::new_v4()?;
            socket.bind((self.source, 0).into())?;
            let tcp = socket.connect(self.address.parse()?).await?;
            refused += usize::from(is_refused(tcp).await);
        }
        Ok(json!(refused))
    }
}

/// In TLS 1.3 a client learns only by reading that its certificate was missed.
async fn is_refused(tcp: TcpStream) -> bool {
    let Ok(mut tls) = attacker::connect(tcp, None).await else { return true };
    !matches!(tls.read(&mut [0; 1]).await, Ok(1..))
}
