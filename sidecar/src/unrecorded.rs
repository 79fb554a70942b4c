//! A sidecar that puts no call on record, to be measured beside one that does. It is a program of its own, which is built by nothing
//! but the benchmark; there is no configuration that turns the account of calls off.

use std::net::{IpAddr, ToSocketAddrs as _};

use thiserror::Error;

use crate::config::Config;

/// It was started somewhere else than beside a benchmark's control plane.
#[derive(Debug, Error)]
#[error("this program keeps no account of calls: it serves a control plane on a loopback address only, and {0} is none")]
pub struct NotHere(String);

/// Says loudly what this is, and lets it run only where its control plane is on the same machine.
///
/// # Errors
/// When the control plane is elsewhere, or nobody knows where.
pub fn allowed(config: &Config) -> Result<(), NotHere> {
    let address = &config.control_plane.address;
    let found = (address.host(), address.port()).to_socket_addrs();
    let ips: Vec<IpAddr> = found.map(|found| found.map(|socket| socket.ip()).collect()).unwrap_or_default();
    if ips.is_empty() || !ips.iter().all(IpAddr::is_loopback) {
        return Err(NotHere(address.to_string()));
    }
    tracing::warn!("FOR MEASUREMENT ONLY: no call through this sidecar is put on record");
    Ok(())
}
