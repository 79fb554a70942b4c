//! nginx: `grpc_pass` over a kept connection, with its worker processes chosen as its documentation advises.

use std::{ffi::OsStr, fs, net::SocketAddr, path::Path};

use anyhow::Result;

use super::{
    Peer,
    certificates::{self, Certificates, NAME},
    foreign::{Program, folder, free, installed, version_line},
};

pub(super) fn start(below: &Path, upstream: SocketAddr) -> Result<Peer> {
    let program = installed("nginx")?;
    let version = version_line(&program, "-v")?.rsplit('/').next().unwrap_or_default().to_owned();
    let certificates = certificates::make(&folder(below, "nginx")?)?;
    let (first, second) = (free()?, free()?);
    let provider = server_side(&certificates, second, upstream);
    let consumer = client_side(&certificates, first, second);
    let mut programs = Vec::new();
    for (name, text, address) in [("nginx-provider", provider, second), ("nginx-consumer", consumer, first)] {
        let folder = folder(below, name)?;
        let file = folder.join("nginx.conf");
        fs::write(&file, whole(&folder, &text))?;
        let args = [OsStr::new("-p"), folder.as_os_str(), OsStr::new("-c"), file.as_os_str()];
        let mut process = Program::start(name, &program, &args, &folder)?;
        process.listens(address)?;
        programs.push(process);
    }
    Ok(Peer {
        name: "nginx",
        version,
        note: "worker_processes auto, no access log".to_owned(),
        address: first,
        metadata: Vec::new(),
        processes: programs.iter().map(Program::id).collect(),
        beside: Vec::new(),
        mesh: None,
        _alive: Box::new(programs),
    })
}

/// What both have in common: no log of each call, no limit that the load would meet.
fn whole(folder: &Path, server: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
user root;
worker_processes auto;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    http2_max_concurrent_streams 1024;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    grpc_read_timeout 1h;
    grpc_send_timeout 1h;
    client_body_timeout 1h;
{server}
}}
"
    )
}

fn client_side(files: &Certificates, listen: SocketAddr, to: SocketAddr) -> String {
    let Certificates { authority, chain, key, .. } = files;
    let (authority, chain, key) = (authority.display(), chain.display(), key.display());
    format!(
        "    upstream provider {{ server {to}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    server {{
        listen {listen} http2;
        location / {{
            grpc_pass grpcs://provider;
            grpc_ssl_protocols TLSv1.3;
            grpc_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
            grpc_ssl_conf_command Groups X25519;
            grpc_ssl_certificate {chain};
            grpc_ssl_certificate_key {key};
            grpc_ssl_trusted_certificate {authority};
            grpc_ssl_verify on;
            grpc_ssl_name {NAME};
            grpc_ssl_server_name on;
        }}
    }}"
    )
}

fn server_side(files: &Certificates, listen: SocketAddr, to: SocketAddr) -> String {
    let Certificates { authority, chain, key, .. } = files;
    let (authority, chain, key) = (authority.display(), chain.display(), key.display());
    format!(
        "    upstream application {{ server {to}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 1h; }}
    server {{
        listen {listen} ssl http2;
        ssl_protocols TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        ssl_ecdh_curve X25519;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_client_certificate {authority};
        ssl_verify_client on;
        location / {{ grpc_pass grpc://application; }}
    }}"
    )
}
