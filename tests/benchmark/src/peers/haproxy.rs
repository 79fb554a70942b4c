//! HAProxy: HTTP/2 on every side, connections shared as far as it can.

use std::{ffi::OsStr, fs, net::SocketAddr, path::Path};

use anyhow::Result;

use super::{
    Peer,
    certificates::{self, NAME},
    foreign::{Program, folder, free, installed, version_line},
};

pub(super) fn start(below: &Path, upstream: SocketAddr) -> Result<Peer> {
    let program = installed("haproxy")?;
    let line = version_line(&program, "-v")?;
    let version = line.split_whitespace().nth(2).unwrap_or_default().to_owned();
    let files = certificates::make(&folder(below, "haproxy")?)?;
    let (first, second) = (free()?, free()?);
    let (both, authority) = (files.both.display(), files.authority.display());
    let provider = format!(
        "    bind {second} ssl crt {both} ca-file {authority} verify required alpn h2 curves X25519
    server application {upstream} proto h2"
    );
    let consumer = format!(
        "    bind {first} proto h2
    server provider {second} ssl crt {both} ca-file {authority} verify required verifyhost {NAME} sni str({NAME}) alpn h2"
    );
    let mut programs = Vec::new();
    for (name, text, address) in [("haproxy-provider", provider, second), ("haproxy-consumer", consumer, first)] {
        let folder = folder(below, name)?;
        let file = folder.join("haproxy.cfg");
        fs::write(&file, whole(&text))?;
        let mut process = Program::start(name, &program, &[OsStr::new("-f"), file.as_os_str()], &folder)?;
        process.listens(address)?;
        programs.push(process);
    }
    Ok(Peer {
        name: "haproxy",
        version,
        note: "one thread a core, http-reuse always, no log".to_owned(),
        address: first,
        metadata: Vec::new(),
        processes: programs.iter().map(Program::id).collect(),
        beside: Vec::new(),
        mesh: None,
        _alive: Box::new(programs),
    })
}

/// What both have in common. `nbthread` is left to HAProxy: one a core.
fn whole(listen: &str) -> String {
    format!(
        "global
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
    ssl-default-server-options ssl-min-ver TLSv1.3
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
    tune.h2.max-concurrent-streams 1024
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
listen hop
{listen}
"
    )
}
