//! What is compared: the same two hops, each by another program.

mod certificates;
pub mod chapar;
mod envoy;
mod foreign;
mod haproxy;
mod nginx;

use std::{any::Any, net::SocketAddr, path::Path};

use anyhow::{Result, bail};
use chapar_tests::{echo::GRPC_SERVICE, mesh::Mesh};

use crate::usage;

/// All that can be measured, in the order of the table.
pub const NAMES: [&str; 5] = ["direct", "chapar", "haproxy", "nginx", "envoy"];

/// Longest message of a call about somebody, in bytes: the sidecar's limit `first_message`.
const ABOUT_BYTES_MAX: usize = 256 * 1024;

/// One of them, running.
pub struct Peer {
    /// Its name in every output.
    pub name: &'static str,
    /// The version of the program.
    pub version: String,
    /// What its handshake used, and else what a reader should know.
    pub note: String,
    /// Where the client connects to.
    pub address: SocketAddr,
    /// Metadata that its calls need.
    pub metadata: Vec<(&'static str, String)>,
    /// Its two proxies.
    pub processes: Vec<u32>,
    /// What runs beside them for their sake, and is not measured.
    pub beside: Vec<u32>,
    /// Chapar's mesh, for those who change it while it is measured.
    pub mesh: Option<Box<Mesh>>,
    /// Keeps the others running.
    _alive: Box<dyn Any>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}

/// Starts the peer of this name between a client and the server at `upstream`, with all its files below `folder`.
///
/// # Errors
/// When it is not installed, or does not come up.
pub async fn start(name: &str, folder: &Path, upstream: SocketAddr) -> Result<Peer> {
    match name {
        "direct" => Ok(direct(upstream)),
        "chapar" => chapar::start(upstream).await,
        "haproxy" => haproxy::start(folder, upstream),
        "nginx" => nginx::start(folder, upstream),
        "envoy" => envoy::start(folder, upstream),
        _ => bail!("there is no peer {name:?}; there are {}", NAMES.join(", ")),
    }
}

impl Peer {
    /// Has it stand still while others are measured, or go on.
    pub fn rest(&self, still: bool) {
        usage::halt(&self.processes, still);
        usage::halt(&self.beside, still);
    }

    /// Returns once nothing is left to be done for the calls that were made: what is loaded next has the machine for itself.
    ///
    /// # Errors
    /// When it does not answer, or gets nowhere for a minute.
    pub fn settle(&self) -> Result<()> {
        match &self.mesh {
            Some(mesh) => chapar::wait_for(chapar::handed_over(mesh, 0)).map(drop),
            None => Ok(()),
        }
    }

    /// Calls whose cost is not paid in full yet: records of Chapar that the control plane does not have. With others there are none.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn debt(&self) -> Result<u64> {
        match &self.mesh {
            Some(mesh) => chapar::wait_for(chapar::records_waiting(mesh)),
            None => Ok(0),
        }
    }

    /// CPU time that it will still take to pay what a load has added to `before`, the debt until then, in microseconds; less than
    /// nothing, when older debts were paid meanwhile. So each call costs what it costs to its end, however busy the machine was while
    /// it was made.
    ///
    /// # Errors
    /// When nothing is paid for a minute.
    pub fn owed_us(&self, before: u64) -> Result<f64> {
        match &self.mesh {
            Some(mesh) => chapar::wait_for(chapar::owed_us(mesh, &self.processes, before)),
            None => Ok(0.0),
        }
    }
}

fn direct(upstream: SocketAddr) -> Peer {
    Peer {
        name: "direct",
        version: String::new(),
        note: "no proxy between the client and the server".to_owned(),
        address: upstream,
        metadata: Vec::new(),
        processes: Vec::new(),
        beside: Vec::new(),
        mesh: None,
        _alive: Box::new(()),
    }
}

/// Value of `:path` of unary calls. Inquiries of daily life are about somebody, for whom both sidecars look; a large file is about
/// nobody.
pub fn unary_path(message_bytes: usize) -> String {
    let method = if message_bytes <= ABOUT_BYTES_MAX { "About" } else { "Unary" };
    format!("/{GRPC_SERVICE}/{method}")
}

/// Value of `:path` of bidirectional streams.
pub fn dialogue_path() -> String {
    format!("/{GRPC_SERVICE}/BidiStream")
}
