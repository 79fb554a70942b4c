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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn beside(address: &str) -> Result<(), NotHere> {
        let text = format!("agency: ipm\nstateDir: /s\ncontrolPlane: {{address: \"{address}\"}}\n");
        allowed(&Config::parse(Path::new("/etc/chapar/sidecar.yaml"), &text).expect("a sound configuration"))
    }

    #[test]
    fn serves_a_control_plane_on_loopback() {
        for address in ["127.0.0.1:15443", "127.8.9.10:1", "[::1]:15443", "localhost:15443"] {
            assert!(beside(address).is_ok(), "{address}");
        }
    }

    #[test]
    fn refuses_a_control_plane_elsewhere() {
        for address in ["192.0.2.1:15443", "0.0.0.0:15443", "[2001:db8::1]:15443", "[::]:15443", "10.0.0.1:15443"] {
            let refused = beside(address).unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("keeps no account"), "{refused}");
        }
    }

    #[test]
    fn refuses_a_control_plane_that_nobody_knows() {
        // An empty label: no resolver is asked.
        assert!(beside("control..plane:15443").is_err());
    }
}
