//! What the agency offers, and where its own server is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::UpstreamAddress;

/// Most addresses of one service's server.
const UPSTREAMS_MAX: usize = 64;

/// One gRPC service that the agency offers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Full name, such as "ir.civilregistration.v1.IdentityService".
    pub name: String,
    /// File with its `google.protobuf.FileDescriptorSet`, passport options included.
    pub descriptor_set: PathBuf,
    /// Where the agency's server answers; several are balanced.
    pub upstreams: Vec<UpstreamAddress>,
    /// For `https://` upstreams.
    #[serde(default)]
    pub tls: UpstreamTls,
    /// How the sidecar learns whether an upstream is well.
    #[serde(default)]
    pub health_check: HealthCheck,
}

/// How the sidecar speaks TLS to the agency's own server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// Certificates (PEM) that the server's must chain to. Needed for `https://`: the sidecar trusts no public CA.
    pub ca_file: Option<PathBuf>,
    /// Name that the server's certificate must carry. Unset: the host of the address.
    pub server_name: Option<String>,
    /// Certificate (PEM) that the sidecar shows. Unset: none.
    pub cert_file: Option<PathBuf>,
    /// Its private key (PEM).
    pub key_file: Option<PathBuf>,
}

/// Probing of the agency's server by the standard gRPC health service; a server without it is probed by connecting.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthCheck {
    /// Default true.
    pub enabled: bool,
    /// Service name that is asked for. Default empty: the server as a whole.
    pub service: String,
    /// Time between probes, in milliseconds. Default 5,000.
    pub interval_ms: u32,
    /// Time that an answer may take, in milliseconds. Default 1,000.
    pub timeout_ms: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self { enabled: true, service: String::new(), interval_ms: 5_000, timeout_ms: 1_000 }
    }
}

impl HealthCheck {
    /// See `interval_ms`.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms as u64)
    }

    /// See `timeout_ms`.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms as u64)
    }
}

impl Service {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, problem: String| Err((field.to_owned(), problem));
        if !is_full_name(&self.name) {
            return wrong(
                "name",
                format!("{:?} is not the full name of a gRPC service, such as \"ir.post.v1.Addressing\"", self.name),
            );
        }
        if self.upstreams.is_empty() || self.upstreams.len() > UPSTREAMS_MAX {
            return wrong("upstreams", format!("1 to {UPSTREAMS_MAX} addresses are needed, here are {}", self.upstreams.len()));
        }
        let encrypted = self.upstreams.iter().any(|address| matches!(address, UpstreamAddress::Tls(_)));
        if encrypted && self.tls.ca_file.is_none() {
            return wrong("tls.caFile", "must be set for https:// upstreams: the sidecar trusts no public CA".to_owned());
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            return wrong("tls", "certFile and keyFile go together".to_owned());
        }
        if self.health_check.interval_ms == 0 || self.health_check.timeout_ms == 0 {
            return wrong("healthCheck", "intervalMs and timeoutMs must be more than 0".to_owned());
        }
        Ok(())
    }

    pub(super) fn anchor_paths(&mut self, folder: &Path) {
        let anchor = |path: &mut PathBuf| *path = folder.join(&path);
        anchor(&mut self.descriptor_set);
        for path in [&mut self.tls.ca_file, &mut self.tls.cert_file, &mut self.tls.key_file] {
            path.iter_mut().for_each(anchor);
        }
    }
}

/// Whether `name` is a protobuf full name: identifiers joined by dots.
fn is_full_name(name: &str) -> bool {
    let identifier = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && part.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
    };
    name.split('.').all(identifier)
}
