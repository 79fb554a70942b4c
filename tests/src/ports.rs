//! Free ports for addresses that others must be told before the listener is bound.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// First port that is tried, and how many: below the range from which the kernel takes ports for outgoing connections
/// (32,768 on), since one of those could be taken again before the listener is bound.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A loopback port that nobody listens on, and that this process was not given before.
///
/// # Errors
/// When all are taken.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes side by side begin at different places; the factor keeps neighbours' apart.
    let start = std::process::id().wrapping_mul(127);
    for _ in 0..COUNT {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(COUNT);
        let port = FIRST + u16::try_from(step)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no loopback port from {FIRST} on is free");
}
